"""What `semantica list` tells of results that no longer stand; nothing trains them anew."""

import json
from pathlib import Path

import pytest
from made import store

from semantica_lib import cli
from semantica_lib.checkpoints.jobs import JOBS
from semantica_lib.settings.catalogue import Settings, experiments, find
from semantica_lib.settings.sweeps import sweeps
from semantica_lib.store import results
from semantica_lib.store.provenance import NUMERICS

ONE = [("seeds", [42]), ("ties", ["tied"]), ("device", "cpu")]


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict]:
    capsys.readouterr()
    assert cli.main(["list", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def put(name: str, *changes: tuple[str, object], place: Path | None = None, **manifest: object):
    """A result of the experiment's settings but for some, in the folder of the experiment."""
    own: Settings = find(name, [*ONE, *changes])
    return store((place or results.here()) / name, own=own, **manifest)


def test_nothing_is_told_of_what_stands(capsys: pytest.CaptureFixture[str]) -> None:
    put("transformer-small")
    put("lstm-small", ("steps", 7), ("record_every", 3), status="partial")  # of no trial's settings
    rows = listed(capsys)
    assert list(rows) == [*experiments(), *sweeps(), *JOBS]
    assert rows["transformer-small"]["here"] == "complete, 150,000 steps, 1 trials"
    assert (
        rows["lstm-small"]["here"] == "partial, at step 7 of 150,000, 1 trials, complete as asked"
    )
    assert rows["mlp-small"]["here"] == rows["transformer-small"]["published"] == "missing"


def test_other_settings_older_numerics_and_a_dirty_tree_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each with its reason, here and published, an experiment's and a sweep's."""
    put("transformer-small", ("weight_decay", 0.0), ("zero_dst", [0.2, 0.8]))
    put("transformer-small", place=results.PUBLISHED, numerics=NUMERICS - 1)
    put("mlp-small", dirty=True)
    put("lstm-small", ("learning_rate", 0.5), dirty=True, numerics=NUMERICS - 1)
    put("lstm-medium", commit=None, dirty=None)
    put("mlp-medium", commit="a" * 40, dirty=None)
    rows = listed(capsys)
    for name in ("lstm-medium", "mlp-medium"):
        assert rows[name]["here"].endswith("1 trials (from a tree that git could not check)")
    own, lstm = find("transformer-small"), find("lstm-small")
    now = f"now {json.dumps(list(own.zero_dst))}"
    assert rows["transformer-small"]["here"].endswith(
        f"(stale: made by other settings: zero_dst [0.2, 0.8], {now}, weight_decay 0.0, "
        f"now {own.weight_decay})"
    )
    older = f"numerics {NUMERICS - 1}, the code's are {NUMERICS}"
    assert rows["transformer-small"]["published"].endswith(f"1 trials (stale: {older})")
    uncommitted = "(from a tree with uncommitted changes)"
    assert rows["mlp-small"]["here"] == f"complete, 150,000 steps, 1 trials {uncommitted}"
    assert rows["lstm-small"]["here"].endswith(
        f"(stale: made by other settings: learning_rate 0.5, now {lstm.learning_rate}; {older}) "
        f"{uncommitted}"
    )
    assert older in rows["closing"]["published"]  # one of whose points is the main experiment


def test_results_of_other_settings_have_rows_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = find("transformer-small", [*ONE, ("weight_decay", 0.5)])
    folder = results.folder(results.here(), own)
    store(folder, own=own)
    (results.here() / "broken").mkdir()
    (results.here() / "broken" / results.MANIFEST).write_text("{")
    rows = listed(capsys)
    assert rows[folder.name]["here"] == "complete, 150,000 steps, 1 trials"
    assert rows[folder.name]["question"] == "transformer-small with weight_decay=0.5"
    assert rows["broken"]["here"].startswith("damaged: ")


def test_what_is_stale_is_not_trained_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Older numerics count as finished; other settings are refused; both until --fresh asks."""
    put("transformer-small", numerics=NUMERICS - 1, dirty=True)
    put("mlp-small", ("weight_decay", 0.0))
    before = {path: path.read_bytes() for path in results.here().rglob("*.*")}
    some = ["--set", "seeds=[42]", "--set", "ties=[tied]", "--device", "cpu"]
    assert cli.main(["train", "transformer-small", *some]) == 0
    assert "finished before" in capsys.readouterr().out
    assert cli.main(["run", "transformer-small", "--dry-run", *some]) == 0
    assert capsys.readouterr().out == "nothing is left to train\n"
    for command in (["train"], ["run"], ["run", "--dry-run"]):
        assert cli.main([*command, "mlp-small", *some]) == 2
        told = capsys.readouterr().err
        assert "made by other settings (weight_decay 0.0, now 0.1)" in told and "--fresh" in told
    assert {path: path.read_bytes() for path in before} == before
    assert cli.main(["run", "mlp-small", "--dry-run", "--fresh", *some]) == 0
    assert "150,000 of 150,000 steps" in capsys.readouterr().out
