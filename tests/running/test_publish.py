"""Publishing: what is copied and what refused, and training that goes on from it elsewhere."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import made_language
import numpy as np
import pytest
import yaml
from stored import begin, finish

from semantica_lib import cli
from semantica_lib.errors import RequestError
from semantica_lib.figures import facts
from semantica_lib.running import collect, processes
from semantica_lib.running import publish as module
from semantica_lib.running import run as running
from semantica_lib.running.plan import check
from semantica_lib.running.publish import publish
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import changes, settings
from semantica_lib.store import contents, folders, results
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.listing import rows
from semantica_lib.store.locks import TAKEN
from semantica_lib.store.manifest import key_of
from semantica_lib.store.provenance import NUMERICS, provenance

pytestmark = pytest.mark.usefixtures("in_process")
OWN = settings(
    {
        "experiment": "transformer-small",  # so that few steps make a partial result
        "bits": 4,
        "steps": 40,
        "seeds": [1, 2],
        "record_every": 10,
        "validate_every": 10,
    }
)
FIXED = {"bits": 4, "steps": 40, "record_every": 10, "validate_every": 10}
OTHER = OWN.model_copy(update={"weight_decay": 0.0})


class Killed(BaseException):
    """Stands for a process that ends at this very call."""


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch) -> dict:
    """Places of its own for each test, and a working tree without changes."""
    tree = {"commit": "c", "dirty": False}
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "here"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(module, "provenance", lambda: tree)
    return tree


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Publishes a partial result at step 20, and moves to a machine that has nothing yet."""
    finish(OWN, 20, commit="first", device="cpu: one")
    publish([OWN])
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    return results.folder(tmp_path / "elsewhere", OWN)


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def checkpoints(folder: Path) -> dict[str, bytes]:
    held = content(folder)
    return {Path(name).name: held[name] for name in held if name.endswith(".safetensors")}


def same(result, other):
    for name in ("steps", "seed", "tied", "input_embedding", "output_embedding", "hidden_norm"):
        np.testing.assert_array_equal(getattr(result, name), getattr(other, name))
    assert result.metrics.equals(other.metrics)


@pytest.mark.parametrize(("period", "kept"), [(20, [0, 20, 40, 50, 60]), (80, [0, 20, 40, 60])])
def test_a_thinned_result_has_its_last_period_and_evenly_spaced_records_before(period, kept):
    own = settings(OWN.model_dump() | {"experiment": "made", "schedule_period": period})
    result = finish(own, 60, commit="c")
    (target,) = publish([own], records=len(kept))
    thin = results.load(target)
    assert thin.steps.tolist() == thin.measured_steps.tolist() == kept
    assert sorted(set(thin.metrics.step)) == kept
    keep = np.isin(result.steps, kept)
    for name in ("input_embedding", "output_embedding", "hidden_norm", "logit_gap"):
        np.testing.assert_array_equal(getattr(thin, name), getattr(result, name)[:, keep])
    rows = result.metrics[result.metrics.step.isin(kept)].reset_index(drop=True)
    assert thin.metrics.equals(rows)
    for name in ("trials", "settings", "steps_done", "commit", "status"):
        assert thin.manifest[name] == result.manifest[name]
    (target,) = publish([own], records=100)
    same(results.load(target), result)


def test_a_thinned_result_keeps_its_tables_as_they_were_when_they_were_untied() -> None:
    changes = {"experiment": "made", "schedule_period": 2, "untie_at": 30, "ties": ["tied"]}
    own = settings(OWN.model_dump() | changes)
    finish(own, 60, commit="c")
    (target,) = publish([own], records=4)
    thin = results.load(target)
    assert thin.steps.tolist() == [0, 20, 30, 50, 60]  # without 30 were it not for that
    assert thin.gradient_steps.tolist() == [0, 1, 2, 4, 8, 16, 32]  # few, and all kept


def test_a_published_result_that_has_more_trials_is_left_as_it_is(tmp_path, monkeypatch) -> None:
    finish(OWN, 20)
    (target,) = publish([OWN])
    before = content(target)
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    fewer = settings(OWN.model_dump() | {"seeds": [2]})
    finish(fewer, 20)
    assert publish([fewer]) == [] and content(target) == before
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "shorter"))
    finish(OWN, 10)  # the same trials, not as far
    assert publish([OWN]) == [] and content(target) == before
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    finish(fewer, 40)  # further than the published one: that is news
    assert publish([fewer]) == [target]
    assert results.load(target).manifest["steps_done"] == 40


def test_a_published_trial_that_is_not_here_is_not_lost(tmp_path, monkeypatch, capsys) -> None:
    """Where what is here has others, it is refused; with all of them it is published."""
    finish(OWN, 20)
    (target,) = publish([OWN])
    before = content(target)
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    others = OWN.model_copy(update={"seeds": (2, 3)})
    finish(others, 40)
    options = [word for text in map(str, changes(OWN)) for word in ("--set", text)]
    assert cli.main(["publish", "transformer-small", *options]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "that are not here (seed 1, tied; seed 1, untied)" in told
    assert "--set bits=4" in told and "--set 'seeds=[1]'`" in told
    assert content(target) == before
    finish(OWN.model_copy(update={"seeds": (1, 2, 3)}), 40)
    assert publish([others]) == [target]
    assert sorted({*results.load(target).seed.tolist()}) == [1, 2, 3]


def test_a_thinned_result_of_a_language_model_keeps_its_end(tmp_path):
    result = made_language.made(tmp_path, steps=80, schedule_period=160)
    thin = contents.thinned(results.contents_of(tmp_path), 4).arrays
    assert thin["steps"][0] == 0 and thin["steps"][-1] == result.steps[-1]
    assert len(thin["steps"]) == 4 < len(result.steps)
    assert (thin["words"] == result.words).all() and (thin["holds"] == result.holds).all()


def test_a_partial_result_takes_its_checkpoints_along_and_a_complete_one_drops_them(monkeypatch):
    result = finish(OWN, 20)
    (target,) = publish([OWN])
    assert target == results.PUBLISHED / f"transformer-small-{OWN.settings_hash[:8]}"
    assert checkpoints(target) == checkpoints(result.folder) and len(checkpoints(target)) == 2
    same(results.load(target), result)
    told = "partial, at step 20 of 150,000, 4 trials, complete as asked"
    assert results.state(results.PUBLISHED, OWN) == results.state(results.here(), OWN) == told

    monkeypatch.setattr(results, "full_steps", lambda own: 40)
    result = finish(OWN, 40)
    assert publish([OWN]) == [target]
    assert set(content(target)) == {results.MANIFEST, results.TRAJECTORY, results.METRICS}
    same(results.load(target), result)
    assert results.state(results.PUBLISHED, OWN) == "complete, 40 steps, 4 trials"


def test_a_partial_result_without_its_checkpoints_is_begun_anew_elsewhere(tmp_path, monkeypatch):
    finish(OWN, 20)
    (target,) = publish([OWN], bare=True)
    assert not checkpoints(target)
    assert facts.shown(results.load(target)).endswith("trains one anew.")
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    assert run(OWN.model_copy(update={"steps": 30})).manifest["stacks"][0]["commit"] != "c"
    assert len(checkpoints(results.folder(tmp_path / "elsewhere", OWN))) == 2


def test_what_is_refused_leaves_everything_as_it_was(tree):
    other = OWN.model_copy(update={"weight_decay": 0.0})
    finish(OWN, 20)
    with pytest.raises(RequestError, match="no result here"):
        publish([OWN, other])
    begin(other, 10)
    with pytest.raises(RequestError, match="no result here"):
        publish([OWN, other])
    finish(OWN, 20, dirty=True)
    with pytest.raises(RequestError, match="with uncommitted changes"):
        publish([OWN])
    finish(OWN, 20)
    tree["dirty"] = True
    with pytest.raises(RequestError, match="commit them"):
        publish([OWN])
    assert not results.PUBLISHED.exists()
    tree["dirty"] = False
    finish(other, 20)
    assert len(publish([OWN, other])) == 2  # the first does not make the tree dirty for the second


@pytest.mark.parametrize("commit", [None, "0123456789abcdef"])
def test_what_is_of_a_tree_that_git_cannot_check_is_told_and_not_published(commit, monkeypatch):
    """Whether or not a variable named the commit; going on in a clean tree mends nothing."""
    made = provenance() | {"commit": commit, "dirty": None}
    for one in (collect, processes):
        monkeypatch.setattr(one, "provenance", lambda: dict(made))
    for steps in (20, 30):
        result = run(OWN.model_copy(update={"steps": steps}))
        manifest = result.manifest
        assert [one["dirty"] for one in (manifest, *manifest["stacks"])] == [None, None, None]
        state = results.state(results.here(), OWN)
        told = "4 trials, complete as asked (from a tree that git could not check)"
        assert state.endswith(told)
        with pytest.raises(RequestError, match="--fresh in a clone") as error:
            publish([OWN])
        assert "\n" not in str(error.value)
        told = (commit or "unknown" if steps == 20 else "c" * 40)[:10]
        assert facts.provenance(result).startswith(f"Commit {told}, not checked by git; ")
        made |= {"commit": "c" * 40, "dirty": False}
    made["dirty"] = True
    assert run(OWN.model_copy(update={"steps": 40})).manifest["dirty"] is True
    made["dirty"] = False
    assert run(OWN.model_copy(update={"steps": 20}), fresh=True).manifest["dirty"] is False
    assert len(publish([OWN])) == 1 and "(" not in results.state(results.PUBLISHED, OWN)


def test_an_older_result_without_a_commit_is_not_taken_for_clean():
    """Which its manifest says, since git told nothing."""
    result = finish(OWN, 20)
    path = result.folder / results.MANIFEST
    path.write_text(json.dumps(result.manifest | {"commit": None, "dirty": False}))
    assert results.state(results.here(), OWN).endswith("(from a tree that git could not check)")
    with pytest.raises(RequestError, match="--fresh in a clone"):
        publish([OWN])
    begin(OWN, 20, commit="unknown")  # as its checkpoints have it
    assert run(OWN.model_copy(update={"steps": 30})).manifest["dirty"] is not False


def test_nothing_is_published_from_a_tree_that_git_cannot_check(tree, monkeypatch):
    finish(OWN, 20)
    tree["dirty"] = None
    monkeypatch.setattr(module, "why_unknown", lambda: "not a git repository")
    with pytest.raises(
        RequestError, match=r"\(not a git repository\); publish from a clone"
    ) as error:
        publish([OWN])
    assert "\n" not in str(error.value) and not results.PUBLISHED.exists()


def test_of_an_archive_with_changes_the_refusal_says_to_unpack_it_anew(tree, monkeypatch):
    finish(OWN, 20)
    tree["dirty"] = True
    monkeypatch.setattr(module.archive, "commit", lambda root: "c" * 40)
    with pytest.raises(RequestError, match="unpack it anew to publish"):
        publish([OWN])
    assert not results.PUBLISHED.exists()


@pytest.mark.parametrize("how", ["gone on", "gone", "of other trials"])
def test_checkpoints_that_are_not_those_of_the_result_are_refused(how):
    result = finish(OWN, 20)
    if how == "gone on":
        begin(OWN, 30)
        assert results.state(results.here(), OWN).endswith("; interrupted at step 30")
    elif how == "gone":
        (result.folder / "checkpoints" / "tied.safetensors").unlink()
    else:
        begin(OWN.model_copy(update={"seeds": (2, 3)}), 20)
    with pytest.raises(RequestError, match="partial, at step 20, and its checkpoints") as error:
        publish([OWN])
    assert "\n" not in str(error.value) and not results.PUBLISHED.exists()


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """A sweep whose points are ``OWN`` and ``OTHER``, and the folder in which it is published."""
    grid = {"weight_decay": [0.1, 0.0]}
    sweep = {"base": "transformer-small", "seeds": [1, 2], "fixed": FIXED, "grid": [grid]}
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(sweep))
    found = {"made": tmp_path / "made.yaml"}
    monkeypatch.setattr(module, "sweeps", lambda: found)
    return results.PUBLISHED / "made"


def test_the_points_of_a_sweep_are_published_in_one_folder(made, tmp_path):
    ours = [finish(own, steps) for own, steps in ((OWN, 20), (OTHER, 30))]
    assert publish([OWN, OTHER]) == [made]
    for own, result in zip((OWN, OTHER), ours, strict=True):
        point = results.load_of(results.PUBLISHED, own)
        assert point.address == (made, own.settings_hash[:8]) and point.published
        assert point.name == result.name and point.settings == result.settings
        same(point, result)
        assert {name: point.manifest[name] for name in point.manifest if name != "files"} == {
            name: result.manifest[name] for name in result.manifest if name != "files"
        }
        assert results.state(results.PUBLISHED, own) == results.state(results.here(), own)
        assert "partial" in results.state(results.PUBLISHED, own)
    assert len({results.load_of(results.PUBLISHED, own).digest for own in (OWN, OTHER)}) == 2
    manifest = json.loads((made / results.MANIFEST).read_text())
    assert [one["label"] for one in manifest["points"].values()] == [
        f"weight_decay={own.weight_decay}" for own in sorted((OWN, OTHER), key=key_of)
    ]
    before = results.contents_of(made, key_of(OTHER))
    finish(OWN, 30)
    assert publish([OWN]) == [made]  # one point alone: the other is as it was
    after = results.contents_of(made, key_of(OTHER))
    for name in before.arrays:
        assert before.arrays[name].tobytes() == after.arrays[name].tobytes()
    assert before.metrics == after.metrics
    assert results.load_of(results.PUBLISHED, OWN).manifest["steps_done"] == 30
    held = sorted(path.name for path in (made / "checkpoints").rglob("*.safetensors"))
    assert held == ["tied.safetensors", "tied.safetensors"] + ["untied.safetensors"] * 2


def test_a_point_that_sweeps_share_lies_where_most_is_asked_of_it(made, tmp_path):
    values = yaml.safe_load((tmp_path / "made.yaml").read_text())
    values |= {"seeds": [1, 2, 3], "grid": [{"weight_decay": [0.1]}]}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(values))
    module.sweeps()["more"] = tmp_path / "more.yaml"
    finish(OWN, 20)
    finish(OTHER, 20)
    assert publish([OTHER, OWN]) == [made, results.PUBLISHED / "more"]
    (where,) = json.loads((made / results.MANIFEST).read_text())["elsewhere"].items()
    assert where == (key_of(OWN), {"label": "weight_decay=0.1", "folder": "more"})
    assert json.loads((made.with_name("more") / results.MANIFEST).read_text())["elsewhere"] == {}
    made.with_name("more").rename(made.with_name("away"))  # by whatever name it is found
    assert results.load_of(results.PUBLISHED, OWN).folder.name == "away"


def test_training_goes_on_from_a_published_point(made, tmp_path, monkeypatch, capfd):
    finish(OWN, 20, commit="first")
    finish(OTHER, 20)
    publish([OWN, OTHER])
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    result = run(OWN)
    assert "training goes on from the published checkpoint at step 20" in capfd.readouterr().err
    assert result.folder == results.folder(tmp_path / "elsewhere", OWN)
    assert all(stack["commit"].startswith("first, ") for stack in result.manifest["stacks"])
    file = made / "checkpoints" / key_of(OTHER) / "tied.safetensors"
    file.write_bytes(b"")
    assert results.state(results.PUBLISHED, OTHER).startswith("damaged: ")
    assert results.state(results.PUBLISHED, OWN).startswith("partial, at step 20")
    with pytest.raises(RequestError, match="damaged"):
        run(OTHER)


def test_a_sweep_s_folder_is_read_here_too(made, tmp_path, monkeypatch, begins):
    monkeypatch.setattr(results, "full_steps", lambda own: 20)
    for own in (OWN, OTHER):
        finish(own, 20)
    publish([OWN, OTHER])
    monkeypatch.setenv("SEMANTICA_RESULTS", str(results.PUBLISHED))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "none")
    finished = run(OWN.model_copy(update={"steps": 20}))
    assert finished.folder == made and not finished.published and not begins
    assert starts(begins) == {"tied": 0, "untied": 0}  # for more steps: in a folder of its own
    assert starts(begins, steps=20, fresh=True) == {"tied": 0, "untied": 0}
    names = [row["name"] for row in rows()]
    assert {f"made/{key_of(own)}" for own in (OWN, OTHER)} <= set(names)


@pytest.mark.parametrize("name", [results.MANIFEST, results.TRAJECTORY, results.METRICS])
@pytest.mark.parametrize("damage", ["cut", "altered", "removed"])
def test_damage_of_a_sweep_s_folder_is_named(made, name, damage, monkeypatch):
    finish(OWN, 20)
    publish([OWN])
    assert results.load_of(results.PUBLISHED, OWN)  # what was read before is not taken for it
    data = (made / name).read_bytes()
    if damage == "removed":
        (made / name).unlink()
    else:
        (made / name).write_bytes(data[: len(data) // 2] if damage == "cut" else b"-" + data)
    monkeypatch.setattr(results, "sweeps", module.sweeps)  # one of this base may well have had it
    state = results.state(results.PUBLISHED, OWN)
    if damage == "removed" and name == results.MANIFEST:
        assert state == "missing"  # a folder without a manifest holds no result
    else:
        assert state.startswith("damaged: ") and str(made) in state


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("last", [30, 40])
def test_a_kill_at_any_move_leaves_the_old_publication_or_the_new(
    tmp_path, monkeypatch, last, swept, request
):
    monkeypatch.setattr(results, "full_steps", lambda own: 40)
    if swept:
        request.getfixturevalue("made")
        finish(OTHER, 40)
        publish([OTHER])
    finish(OWN, 20)
    (target,) = publish([OWN])
    shutil.copytree(target, tmp_path / "old")
    finish(OWN, last)
    replace, unlink, seen = os.replace, Path.unlink, set()
    for moment in range(100):
        shutil.rmtree(target)
        shutil.copytree(tmp_path / "old", target)
        left = moment

        def counted(act):
            def call(*arguments, **rest):
                nonlocal left
                if left == 0 and str(target) in str(arguments[0]):
                    raise Killed
                left -= str(target) in str(arguments[0])
                return act(*arguments, **rest)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted(replace))
            patch.setattr(Path, "unlink", counted(unlink))
            try:
                publish([OWN])
                survived = True
            except Killed:
                survived = False
        result = results.load_of(results.PUBLISHED, OWN)
        step = result.manifest["steps_done"]
        assert step in (20, last) and result.address == (target, key_of(OWN) if swept else "")
        if swept:
            assert results.load_of(results.PUBLISHED, OTHER).manifest["steps_done"] == 40
        seen.add(step)
        names = results.checkpoints(result)
        assert len(names) == (0 if step == 40 else 2)
        results.read_files(result, names)
        for name in names:
            assert int(load_checkpoint(target / name)[0]["step"]) == step
        if survived:
            break
    assert survived and moment > 6 and seen == {20, last}
    left_over = {results.MANIFEST, results.TRAJECTORY, results.METRICS, *names}
    assert set(content(target)) == left_over


def test_no_more_is_published_than_a_checkout_should_hold(monkeypatch):
    finish(OWN, 20)
    (target,) = publish([OWN])
    (target / "endings.png").write_bytes(bytes(1000))  # stays when the result is replaced
    (results.PUBLISHED / "bench.json").write_bytes(bytes(1000))
    held = content(results.PUBLISHED)
    counted = [name for name in held if not name.endswith(".safetensors")]
    assert 0 < len(counted) < len(held)  # checkpoints are not
    total = sum(len(held[name]) for name in counted)
    monkeypatch.setattr(module, "LIMIT", total)
    assert module.told().endswith(" 0.0 left")
    publish([OWN])  # takes the place of what is there
    before = content(results.PUBLISHED)
    monkeypatch.setattr(module, "LIMIT", total - 1)
    with pytest.raises(RequestError, match=r"0\.00 MB that stay") as error:
        publish([OWN])
    assert target.name in str(error.value) and "\n" not in str(error.value)
    other = OWN.model_copy(update={"weight_decay": 0.0})
    finish(other, 20)
    monkeypatch.setattr(module, "LIMIT", total + 1000)  # each by itself, but not both
    with pytest.raises(RequestError, match=other.settings_hash[:8]):
        publish([OWN, other])
    assert content(results.PUBLISHED) == before


def test_trials_that_a_partial_result_left_behind_are_not_published():
    finish(OWN, 20)
    result = finish(OWN.model_copy(update={"seeds": (3,), "ties": ("untied",)}), 20)
    assert set(checkpoints(result.folder)) == {"tied.safetensors", "untied.safetensors"}
    assert result.held == {(3, "untied")}
    (target,) = publish([OWN])
    assert set(checkpoints(target)) == {"untied.safetensors"}


def test_going_on_elsewhere_ends_as_an_undisturbed_run(tmp_path, monkeypatch, elsewhere, capfd):
    check(OWN)
    assert not checkpoints(elsewhere)
    result = run(OWN)
    told = "transformer-small: training goes on from the published checkpoint at step 20"
    assert capfd.readouterr().err.splitlines().count(told) == 1
    assert result.folder == elsewhere and result.manifest["steps_done"] == 40
    for stack in result.manifest["stacks"]:
        first, now = stack["commit"].split(", ")
        assert first == "first" and now not in ("", "first")
        assert stack["device"].startswith("cpu: one, cpu: ")
        assert stack["started"].startswith("2020") and stack["seconds"] > 1
    assert result.manifest["device"] == stack["device"]
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "undisturbed"))
    same(result, finish(OWN, 40))


@pytest.fixture
def begins(monkeypatch) -> list:
    """Instead of training, the steps at which the stacks would begin, by tie."""
    begins = []

    def train_all(stacks, *_):
        begins.append({part.tie: part.step for stack in stacks for part in stack})
        raise Killed

    monkeypatch.setattr(running, "train_all", train_all)
    return begins


def starts(begins: list, fresh: bool = False, **changes) -> dict[str, int]:
    with pytest.raises(Killed):
        run(OWN.model_copy(update=changes), fresh)
    return begins.pop()


def test_only_what_is_asked_for_and_not_here_is_taken(elsewhere, begins, monkeypatch):
    new = {"tied": 0, "untied": 0}
    assert starts(begins, fresh=True) == new
    assert starts(begins, steps=20) == new  # to run means to train here
    assert starts(begins, seeds=(3,)) == new
    assert starts(begins, weight_decay=0.0) == new
    with monkeypatch.context() as patch:
        patch.setattr("semantica_lib.store.result.NUMERICS", NUMERICS + 1)
        assert starts(begins) == new
    assert not checkpoints(elsewhere)
    assert starts(begins, ties=("untied",)) == {"untied": 20}
    assert set(checkpoints(elsewhere)) == {"untied.safetensors"}
    assert starts(begins) == {"untied": 20, "tied": 0}  # something of it is here
    assert starts(begins, fresh=True) == new
    assert starts(begins) == {"untied": 20, "tied": 20}
    shutil.rmtree(elsewhere)
    begin(OWN, 10)
    assert starts(begins) == {"untied": 10, "tied": 10}


def test_a_kill_while_copying_leaves_all_checkpoints_or_none(elsewhere, begins, monkeypatch):
    replace, seen = os.replace, []
    for moment in range(10):
        calls = iter([replace] * moment)

        def counted(source, target, calls=calls):
            call = next(calls, None)
            if call is None:
                raise Killed
            call(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted)
            with pytest.raises(Killed):
                run(OWN)
        seen.append(len(checkpoints(elsewhere / "checkpoints")))
        if begins:
            break
    assert seen == [0, 0, 0, 2] and begins == [{"tied": 20, "untied": 20}]
    assert starts(begins) == {"tied": 20, "untied": 20}
    assert not (elsewhere / TAKEN).exists()


def test_what_git_has_comes_back_from_there(tmp_path, monkeypatch):
    """The book's own results; training them anew may take hours."""
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "a b" / "book" / "results")
    monkeypatch.setattr(folders, "ROOT", tmp_path / "a b")
    finish(OWN, 20)
    (target,) = publish([OWN])
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *command]
        subprocess.run(git, cwd=tmp_path / "a b", check=True)
    before = content(target)
    for name in before:
        (target / name).write_bytes(b"")
        with pytest.raises(RequestError, match="is damaged") as error:
            results.load(target)
            for file in results.checkpoint_files(results.PUBLISHED, OWN):
                results.load_checkpoint(file)
        assert "--fresh" not in str(error.value)
        (command,) = re.findall("`(git .*)` brings it back", str(error.value))
        subprocess.run(shlex.split(command), check=True)
        assert content(target) == before


@pytest.mark.parametrize("damage", ["cut", "altered", "removed", "of another step"])
def test_a_published_checkpoint_that_is_damaged_is_refused(elsewhere, begins, damage, tmp_path):
    target = results.folder(results.PUBLISHED, OWN)
    file = target / "checkpoints" / "tied.safetensors"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "altered":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "removed":
        file.unlink()
    else:
        begin(OWN, 30)
        shutil.move(elsewhere / "checkpoints" / "tied.safetensors", file)
        shutil.rmtree(elsewhere)
    for call in (check, run):
        with pytest.raises(RequestError, match=r"damaged.*--fresh") as error:
            call(OWN)
        assert "\n" not in str(error.value) and file.name in str(error.value)
        assert str(target) in str(error.value)
    assert not checkpoints(elsewhere) and not begins
    assert results.state(results.PUBLISHED, OWN).startswith("damaged: ")
    check(OWN, fresh=True)
    assert results.load(target).manifest["steps_done"] == 20  # what it shows is sound
