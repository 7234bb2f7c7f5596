"""Sweeps: files and their points, errors, training all of them, and what each result is."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from semantica_lib import cli
from semantica_lib.analysis.sweep_points import stored
from semantica_lib.errors import RequestError
from semantica_lib.pages import notebooks
from semantica_lib.running import batch, publish
from semantica_lib.running import run as running
from semantica_lib.settings import sweeps
from semantica_lib.settings.catalogue import CATALOGUE, find
from semantica_lib.settings.sweeps import file_of, points, read
from semantica_lib.store import listing, results

pytestmark = pytest.mark.usefixtures("in_process")
GOOD = {
    "base": "transformer-small",
    "question": "why?",
    "seeds": [42, 43],
    "fixed": {"bits": 4, "ties": ["tied"], "record_every": 10, "validate_every": 10},
    "grid": [
        {"optimizer": ["adamw"], "weight_decay": [0.0, 0.1]},
        {"optimizer": ["sgd"], "learning_rate": [0.1], "ties": [["untied"]]},
    ],
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "made.yaml"
    values = {name: value for name, value in (GOOD | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("name", sweeps.sweeps())
def test_the_points_of_a_sweep_are_the_product_of_its_lists(name: str) -> None:
    sweep = read(sweeps.sweeps()[name])
    found = points(sweep)
    expected = [
        dict(zip(block, values, strict=True))
        for block in sweep.grid
        for values in product(*block.values())
    ]
    assert [varied for varied, _ in found] == expected
    assert len({own.settings_hash for _, own in found}) == len(found)
    base = find(sweep.base)
    for varied, own in found:
        plain = json.loads(json.dumps(own.model_dump(mode="json")))
        assert {key: plain[key] for key in varied} == varied
        assert own.seeds == sweep.seeds and own.experiment == sweep.base
        same = own.identity == base.identity
        assert own.record_every == (base if same else own).record_every
        assert same or {key: plain[key] for key in sweep.fixed} == sweep.fixed


def test_a_point_that_is_the_base_is_recorded_as_the_base_is(tmp_path: Path) -> None:
    sweep = read(written(tmp_path, fixed={"record_every": 7}))
    same = [own for _, own in points(sweep) if not own.identity]
    assert len(same) == 1 and same[0].record_every == find("transformer-small").record_every
    assert [own.record_every for _, own in points(sweep) if own.identity] == [7, 7]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": "transformer-smal"}, ["transformer-smal", "did you mean 'transformer-small'"]),
        ({"base": "some.yaml"}, ["some.yaml"]),
        ({"base": None}, ["base", "required"]),
        ({"seeds": []}, ["seeds"]),
        ({"grid": []}, ["grid", "at least 1"]),
        ({"grid": [{}]}, ["grid[0]", "at least 1"]),
        ({"grid": [{"weight_decay": 0.1}]}, ["grid[0]weight_decay", "list", "0.1"]),
        ({"grid": [{"weight_decay": []}]}, ["grid[0]weight_decay", "at least 1"]),
        ({"girds": []}, ["unknown setting 'girds'", "did you mean 'grid'"]),
        ({"grid": [{"weight_decai": [0.1]}]}, ["'weight_decai'", "did you mean 'weight_decay'"]),
        ({"grid": [{"weight_decay": [-1]}]}, ["weight_decay", "-1"]),
        ({"grid": [{"weight_decay": [0.2, 0.2]}]}, ["weight_decay=0.2", "twice"]),
        ({"fixed": {"heads": 3}}, ["heads", "3"]),
        ({"grid": [{"a\nb": 5}]}, ["a b", "list"]),
        ({"grid": [{"data_seed": [*range(101)], "bits": [*range(100)]}]}, ["10,000", "10100"]),
        ({"grid": [{"question": ["b", "a" * 999]}]}, ["aaa", "twice"]),
    ],
    ids=repr,
)
def test_a_wrong_sweep_is_refused_in_one_line(
    changes: dict, words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(RequestError) as caught:
        points(read(written(tmp_path, **changes)))
    assert len(str(caught.value).splitlines()) == 1
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep by the name of made, and places of its own for results."""
    path = written(tmp_path)
    for module in (sweeps, listing, notebooks):
        monkeypatch.setattr(module, "sweeps", lambda: {"made": path})
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    return path


def test_a_sweep_is_trained_listed_and_finished_work_is_kept(
    made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "made", "--set", "steps=20"]) == 0
    told = capfd.readouterr().out
    assert told.count("complete as asked: 20 of the experiment's 150,000 steps, 2 trials") == 3
    assert told.count("trained in") == 3
    for _, own in points(read(made), [("steps", 20)]):
        result = results.load(results.folder(results.here(), own))
        assert result.covers(own)
        assert result.held == {(s, tie) for s in (42, 43) for tie in own.ties}
    assert cli.main(["train", "made", "--set", "steps=20"]) == 0
    assert capfd.readouterr().out.count("finished before") == 3
    assert cli.main(["list", "--json"]) == 0
    (row,) = [one for one in json.loads(capfd.readouterr().out) if one["name"] == "made"]
    assert row["trials"] == 6 and row["published"] == "0 of 3 complete"
    assert row["here"].startswith("0 of 3 complete; partial, at step 20 of 150,000")


def test_a_point_that_fails_is_told_and_the_others_stand(
    made: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = running.begin

    def failing(own: Any, *rest: Any) -> Any:
        if own.weight_decay == 0.0:
            raise RequestError("no luck")
        return begin(own, *rest)

    monkeypatch.setattr(running, "begin", failing)
    assert cli.main(["train", "made", "--set", "steps=20"]) == 1
    told = capfd.readouterr()
    assert told.out.count("trained in") == 2 and "failed: no luck" in told.out
    assert "the same command goes on" in told.err


def test_a_sweep_is_found_by_its_name_and_by_its_path(tmp_path: Path) -> None:
    assert file_of("closing") == sweeps.FOLDER / "closing.yaml"
    assert file_of("transformer-small") is None
    assert file_of(str(CATALOGUE / "transformer-small.yaml")) is None
    own = written(tmp_path)
    assert file_of(str(own)) == own
    (other := own.with_suffix(".yml")).write_text("base: transformer-small\nseeds: [1]\n")
    with pytest.raises(RequestError, match="grid field required"):
        read(file_of(str(other)))  # meant as a sweep, and told what it lacks
    for name, words in {
        "closng": r"experiment or sweep 'closng' \(did you mean 'closing'",
        "absent.yaml": "cannot read absent.yaml",
    }.items():
        with pytest.raises(RequestError, match=words):
            file_of(name)
    with pytest.raises(RequestError, match="an experiment, not a sweep"):
        stored("transformer-small")


def test_a_file_anywhere_is_trained_stored_and_told_by_the_notebook_of_any_sweep(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = []
    monkeypatch.setattr(notebooks, "execute", lambda *what, **how: executed.append((what, how)))
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    fixed = GOOD["fixed"] | {"steps": 20}
    own = written(tmp_path, fixed=fixed).rename(tmp_path / "closing.yaml")  # not the book's
    monkeypatch.chdir(tmp_path)
    assert [point.result for point in stored("closing.yaml")] == [None] * 3
    wanted = [point.settings for point in stored("closing.yaml")]
    kind, told = batch.work(batch.Request("closing.yaml", wanted), lambda *_: None, 2)
    assert kind == "done" and f"notebook {results.here()}" in told
    found = stored("closing.yaml")
    assert all(point.result.covers(point.settings) for point in found)
    target = results.here() / "closing" / "closing.ipynb"
    source = notebooks.NOTEBOOKS / "sweep.ipynb"
    ((what, how),) = executed
    assert (
        what == (source, target, {"sweep": str(own), "x": "", "where": {}})
        and how["train"] is False
    )
    assert cli.main(["train", "closing.yaml"]) == 0
    assert capfd.readouterr().out.count("finished before") == 3
    asked = []
    monkeypatch.setattr(publish, "publish", lambda wanted, *_: asked.extend(wanted) or [])
    assert cli.main(["publish", "closing.yaml"]) == 2  # not among the project's sweeps
    assert "has no name" in capfd.readouterr().err
    monkeypatch.setattr(publish, "sweeps", lambda: {"closing": own})
    assert cli.main(["publish", "closing.yaml"]) == 0
    assert asked == [point.settings for point in found]


def test_a_sweep_without_a_chapter_is_told_by_the_notebook_of_any_sweep(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = []
    monkeypatch.setattr(notebooks, "execute", lambda *what, **how: executed.append(what))
    notebooks.tell(notebooks.page_of("made", []))
    ((source, _, parameters),) = executed
    assert source.name == "sweep.ipynb" and source.exists()
    assert parameters == {"sweep": str(made), "x": "", "where": {}}


def test_running_a_sweep_executes_its_chapter_on_what_is_stored(
    made: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = []
    (made.parent / "made.ipynb").write_text("")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", made.parent)
    monkeypatch.setattr(running, "run_all", lambda wanted, *_: [None] * len(wanted))
    monkeypatch.setattr(notebooks, "execute", lambda *what, **how: executed.append((what, how)))
    wanted = [own for _, own in points(read(made))]
    kind, told = batch.work(batch.Request("made", wanted), lambda *_: None, 2)
    assert kind == "done" and told.startswith("0 of 3 complete; notebook ")
    target = results.here() / "made" / "made.ipynb"
    ((what, how),) = executed
    assert what == (notebooks.NOTEBOOKS / "made.ipynb", target, {}) and how["train"] is False


def test_a_wrong_override_of_a_sweep_is_refused_before_anything_runs(
    made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "made", "--set", "weight_decay=-1"]) == 2
    assert cli.main(["train", "mad"]) == 2
    assert "did you mean 'made'" in capfd.readouterr().err
    assert not results.here().exists()


@pytest.mark.parametrize("command", ["run --dry-run", "publish", "workflow"])
@pytest.mark.parametrize(
    "change", ["weight_decay=0.3", "ties=[tied]", "bits=5", "dropout=0.1", "experiment=other"]
)
def test_what_would_make_other_points_than_the_page_shows_is_refused(
    command: str, change: str, made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the points vary or fix, and what a result is told from others by."""
    assert cli.main([*command.split(), "made", "--set", change]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and f"--set {change.split('=')[0]} would" in err
    assert "change a copy of its file" in err and not results.here().exists()


def test_how_far_and_how_many_may_differ_from_a_sweep_s_file(made: Path) -> None:
    changes = {"steps": 7, "seeds": (3,), "record_every": 3, "device": "cpu"}
    asked, own = points(read(made), changes.items()), points(read(made))
    assert [one.identity for _, one in asked] == [one.identity for _, one in own]
    assert all({name: getattr(one, name) for name in changes} == changes for _, one in asked)
