"""Results: what is stored comes back, damage is named, a kill never mixes old and new."""

import hashlib
import json
import os
import threading

import numpy as np
import pytest
from made import store
from stored import begin, finish

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.store import results
from semantica_lib.store.provenance import NUMERICS


def test_a_result_comes_back(tmp_path):
    own = store(tmp_path)
    result = results.load(tmp_path)
    assert result.settings == own
    assert result.covers(own)
    assert not result.covers(own.model_copy(update={"seeds": (42, 43)}))
    assert not result.covers(own.model_copy(update={"ties": ("untied",)}))
    assert not result.covers(own.model_copy(update={"steps": 2}))
    assert result.input_embedding.dtype == np.float32
    assert result.metrics["tied"].tolist() == [True]


def test_no_result_is_none(tmp_path):
    assert results.load(tmp_path) is None
    assert results.load(tmp_path / "absent") is None


@pytest.mark.parametrize("name", [results.MANIFEST, results.TRAJECTORY, results.METRICS])
@pytest.mark.parametrize("damage", ["cut", "altered", "removed"])
def test_damage_is_named_in_one_line(tmp_path, name, damage):
    store(tmp_path)
    file = tmp_path / name
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "altered":
        file.write_bytes(b"\x00" + data[1:])
    else:
        file.unlink()
    if damage == "removed" and name == results.MANIFEST:
        assert results.load(tmp_path) is None  # a folder without a manifest holds no result
        return
    with pytest.raises(RequestError, match="damaged") as error:
        results.load(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_pickle_is_never_loaded(tmp_path):
    store(tmp_path)
    np.savez(tmp_path / results.TRAJECTORY, seed=np.array([print], dtype=object))
    manifest = json.loads((tmp_path / results.MANIFEST).read_text())
    data = (tmp_path / results.TRAJECTORY).read_bytes()
    manifest["files"][results.TRAJECTORY] = hashlib.sha256(data).hexdigest()
    (tmp_path / results.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(RequestError, match="damaged"):
        results.load(tmp_path)


class Killed(BaseException):
    """Stands for a process that ends at this very call."""


def test_a_kill_at_any_move_leaves_the_old_result_or_the_new(tmp_path, monkeypatch):
    replace = os.replace
    seen = set()
    for moment in range(100):
        path = tmp_path / str(moment)
        store(path, 1.0)
        left = moment

        def counted(source, target):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            replace(source, target)

        monkeypatch.setattr(os, "replace", counted)
        try:
            store(path, 2.0)
            survived = True
        except Killed:
            survived = False
        monkeypatch.setattr(os, "replace", replace)
        value = float(results.load(path).input_embedding.max())
        assert value in (1.0, 2.0)
        seen.add(value)
        if survived:
            assert moment == 6 and value == 2.0  # three files aside, then three moves
            break
    assert seen == {1.0, 2.0}


def test_who_reads_while_it_is_stored_gets_the_one_or_the_other(tmp_path):
    """Never a mixture, nothing that is told to be damaged, and who stores is not disturbed."""
    last, failures = 40, []
    store(tmp_path, 0.0, steps_done=1000)

    def storing():
        try:
            for value in range(1, last + 1):
                store(tmp_path, value, steps_done=1000 + value)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=storing)]
    threads[0].start()
    seen = []
    while threads[0].is_alive():
        result = results.load(tmp_path)
        seen.append(result.manifest["steps_done"] - 1000)
        assert result.input_embedding.min() == result.input_embedding.max() == seen[-1]
    assert not failures and seen == sorted(seen) and len(set(seen)) > 2
    assert results.load(tmp_path).input_embedding.max() == last


def test_folders_tell_settings_apart(tmp_path):
    own = find("transformer-small")
    assert results.folder(tmp_path, own) == tmp_path / "transformer-small"
    more = own.model_copy(update={"seeds": (1,), "steps": 5, "record_every": 7})
    assert results.folder(tmp_path, more) == tmp_path / "transformer-small"
    other = own.model_copy(update={"weight_decay": 0.0})
    name = f"transformer-small-{other.settings_hash[:8]}"
    assert results.folder(tmp_path, other) == tmp_path / name


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("out", "rel/out"), ("out/", "rel/out"), ("../out", "out"), ("a b", "rel/a b"),
        ("~/out", "home/out"), ("link", "rel/link"), ("link/..", "far"), ("", None), (None, None),
    ],
)  # fmt: skip
def test_results_lie_where_a_shell_would_find_them_wherever_one_goes(
    told, meant, tmp_path, monkeypatch
):
    """By the command, and where a notebook runs in the folder that the shell was in."""
    for name in ("rel", "home", "far/away"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "rel" / "link").symlink_to(tmp_path / "far" / "away")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PWD", str(tmp_path / "rel"))
    place = ROOT / "runs" if meant is None else tmp_path / meant
    for settle in (results.settle, results.here):
        monkeypatch.setenv("SEMANTICA_RESULTS", told or "")
        if told is None:
            monkeypatch.delenv("SEMANTICA_RESULTS")
        monkeypatch.chdir(tmp_path / "rel")
        settle()
        monkeypatch.chdir(tmp_path)
        assert results.here() == place
        inherited = os.environ.get("SEMANTICA_RESULTS")  # by processes started elsewhere
        assert inherited == (str(place) if told else told)


def test_a_place_that_can_be_two_or_none_is_refused_in_a_line(tmp_path, monkeypatch):
    (tmp_path / "rel").mkdir()
    monkeypatch.chdir(tmp_path / "rel")
    monkeypatch.setenv("PWD", str(tmp_path))  # as Jupyter's kernels have it
    monkeypatch.setenv("SEMANTICA_RESULTS", "out")
    with pytest.raises(RequestError) as caught:
        results.here()
    assert f"can be of {tmp_path / 'rel'} or of {tmp_path}: " in str(caught.value)
    monkeypatch.setenv("PWD", str(tmp_path / "rel"))
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to("absent")
    for name in ("../file", "../file/", "../nowhere"):
        monkeypatch.setenv("SEMANTICA_RESULTS", name)
        with pytest.raises(RequestError, match=r"must name a folder, and .* is none"):
            results.here()
    monkeypatch.setenv("SEMANTICA_RESULTS", "~nobody-of-that-name/out")
    with pytest.raises(RequestError, match="is no path: write the whole one"):
        results.here()


def test_states_tell_how_far_training_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    own = settings({"experiment": "transformer-small", "bits": 4, "seeds": [1], "record_every": 1})

    def told() -> str:
        return results.state(tmp_path, own)

    assert told() == "missing"
    begin(own, 2)
    assert told() == "interrupted at step 2 of 150,000"
    folder = finish(own, 3).folder
    assert told() == "partial, at step 3 of 150,000, 2 trials"
    begin(own.model_copy(update={"ties": ("tied",)}), 5)
    assert told() == "partial, at step 3 of 150,000, 2 trials; interrupted at step 5"
    monkeypatch.setattr(results, "full_steps", lambda own: 6)
    finish(own, 6)
    assert told() == "complete, 6 steps, 2 trials"
    monkeypatch.setattr("semantica_lib.store.result.NUMERICS", NUMERICS + 1)
    assert told().startswith("complete, 6 steps, 2 trials (stale: numerics ")
    checkpoint = folder / "checkpoints" / "tied.safetensors"
    checkpoint.write_bytes(b"")
    assert told().startswith("damaged: checkpoint ")
    checkpoint.unlink()
    (folder / results.METRICS).unlink()
    assert told().startswith("damaged: the result in ")


def test_older_numerics_are_stale(tmp_path):
    store(tmp_path, numerics=NUMERICS - 1)
    assert "numerics" in results.load(tmp_path).stale
    store(tmp_path)
    assert results.load(tmp_path).stale == ""


def test_some_seeds_of_a_result_are_a_result(tmp_path):
    store(tmp_path)
    result = results.load(tmp_path)
    same = result.of_seeds([42])
    np.testing.assert_array_equal(same.input_embedding, result.input_embedding)
    assert same.metrics.equals(result.metrics)
    none = result.of_seeds([43])
    assert len(none.seed) == len(none.metrics) == len(none.manifest["trials"]) == 0
    assert none.settings.seeds == (43,)
