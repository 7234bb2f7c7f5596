"""What the page on scale shows is what was measured, beside what the estimate says."""

import json
from pathlib import Path
from typing import Any

import pytest

from semantica_lib.analysis.markdown import title
from semantica_lib.chapters.costs import scale
from semantica_lib.errors import RequestError
from semantica_lib.running import estimate
from semantica_lib.settings.catalogue import catalogue, find
from semantica_lib.settings.sweeps import sweeps
from semantica_lib.store import results


def row(varied: str, value: int, ms: float, trials: int = 10) -> dict[str, Any]:
    about = {"first_step_s": 12.5, "peak_memory_mb": 456}
    return {"varied": varied, "value": value, "trials": trials, "ms_a_step": ms} | about


FOUND: dict[str, Any] = {
    "experiment": "transformer-small",
    "growth": [
        row("trials", 1, 0.2, 1), row("trials", 10, 0.5), row("trials", 100, 4.0, 100),
        row("embedding_size", 16, 2.0), row("layers", 2, 1.0), row("bits", 9, 1.5),
    ],
    "runs": [{"steps": 1_000, "trials": 20, "seconds": 12.0}],
    "side_by_side": [{"processes": 2, "ms_a_step": 0.625, "trial_steps_a_second": 32_000.0}],
    "machine": {"processor": "Some | processor", "cores": 2, "torch": "2.0"},
    "date": "2026-01-02", "commit": "c" * 40, "dirty": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    (tmp_path / "scaling.json").write_text(text)


def test_what_is_read_is_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, monkeypatch, json.dumps(FOUND))
    assert scale.scaling() == FOUND
    (tmp_path / "scaling.json").unlink()
    assert scale.scaling() == {}
    for text in (scale.growth_table({}), scale.runs_table({}), scale.where({}), scale.farthest({})):
        assert "not measured yet" in text
    assert scale.growth({}).axes


@pytest.mark.parametrize(
    "change",
    [
        {"growth": []}, {"growth": FOUND["growth"][:1]}, {"growth": [row("layer", 2, 1.0)]},
        {"runs": [{}]}, {"side_by_side": 3}, {"experiment": "other"}, {"machine": None},
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    written(tmp_path, monkeypatch, json.dumps(FOUND | change))
    with pytest.raises(RequestError, match=r"scaling\.json is damaged|unknown"):
        scale.scaling()


def cells(table: str) -> list[list[str]]:
    return [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_a_row_sets_what_was_measured_beside_what_was_expected() -> None:
    rows = cells(scale.growth_table(FOUND))
    assert [line[0] for line in rows].count("layers") == 2  # the base is one of them
    assert ["bits of a string", "7", "10", "0.500", "20,000", "1.00", "1.00", "12.5", "456"] in rows
    (two,) = [line for line in rows if line[:2] == ["layers", "2"]]
    own, base = find("transformer-small", [("layers", 2)]), find("transformer-small")
    per_step = [
        estimate.seconds(one, 10, 10**6, "cpu") - estimate.seconds(one, 10, 10**5, "cpu")
        for one in (own, base)
    ]
    assert two[5] == "2.00"
    assert float(two[6]) == pytest.approx(per_step[0] / per_step[1], rel=0.01)


def test_the_farthest_is_named() -> None:
    exact = [
        one | {"ms_a_step": 0.5 * scale.expected_growth(FOUND, one)} for one in FOUND["growth"]
    ]
    assert "within a factor of 1.00 " in scale.farthest(FOUND | {"growth": exact})
    exact[4] = exact[4] | {"ms_a_step": exact[4]["ms_a_step"] / 3}
    told = scale.farthest(FOUND | {"growth": exact})
    assert "within a factor of 3.00 " in told
    assert "that of 2 layers, which takes 0.333 times" in told


def test_runs_processes_and_where() -> None:
    assert cells(scale.runs_table(FOUND)) == [["1,000", "20", "12.0", "12.0"]]
    assert cells(scale.side_table(FOUND)) == [["2", "0.625", "32,000"]]
    told = scale.where(FOUND)
    assert "Some \\| processor, 2 cores" in told
    assert f"commit {'c' * 10} with uncommitted changes" in told
    unknown = FOUND | {"commit": None, "dirty": None}
    assert scale.where(unknown).endswith("commit unknown, not checked by git.")


def test_the_figure_draws_every_stack() -> None:
    drawn = scale.growth(FOUND).axes
    assert len(drawn) == len(scale.VARIED)
    for axes, name in zip(drawn, scale.VARIED, strict=True):
        measured, expected, _ = axes.get_lines()
        of_it = [one["ms_a_step"] for one in FOUND["growth"] if one["varied"] == name]
        assert sorted(measured.get_ydata()) == sorted(of_it + [0.5] * (name != "trials"))
        at = list(measured.get_ydata()).index(0.5)
        assert expected.get_ydata()[at] == pytest.approx(0.5)
        assert axes.get_xlabel() and axes.get_xscale() == axes.get_yscale() == "log"


def test_every_experiment_and_sweep_has_its_size() -> None:
    table = cells(scale.sizes())
    rows = {line[1].strip("`"): line[2:] for line in table}
    assert [line[0] for line in table] == [title(name) for name in rows]
    assert list(rows) == [*catalogue(), *sweeps()]
    own = find("transformer-small")
    trials = len(own.seeds) * len(own.ties)
    assert rows["transformer-small"][:2] == [str(trials), "150,000"]
    assert int(rows["phase"][0].replace(",", "")) > 1_000
    bench = json.loads((results.PUBLISHED / "bench.json").read_text())["transformer-small"]
    assert scale.planned("transformer-small").endswith(bench["machine"]["processor"])
