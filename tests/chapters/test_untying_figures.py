"""The chapter on untying, drawn and in tables, with any part of its sweep there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import SEEDS, STEPS, made
from rendering import rendered

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.untying import figures
from semantica_lib.settings.catalogue import Settings

FAST = {"learning_rate": 0.1, "learning_rate_min": 0.1, "record_every": 20}
RUN = {
    "dirty": False, "steps_done": 400, "device": "cpu: made", "duration_s": 1.0, "commit": "c0ffee",
    "started": "2024-01-01T00:00:00", "versions": {},
}  # fmt: skip


def point(folder: Path, until: int | None, distance: Any = lambda *_: 1.0, **own: Any) -> Point:
    """A point with a made-up result: of seeds 1 to 6 the first four learn."""
    folder = folder / f"{until}"
    folder.mkdir(parents=True, exist_ok=True)

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        return (0.6, 0.6) if seed <= 4 else (0.4, 1.2)

    result = made(folder, distance, attained, untie_at=until, **(FAST | own))
    result.manifest.update(RUN)
    return Point({"untie_at": until}, result.settings, result)


def missing(until: int | None) -> Point:
    own = Settings(steps=400, schedule_period=200, untie_at=until, **FAST)
    return Point({"untie_at": until}, own, None)


def cells(table: str, row: str) -> list[str]:
    """A row's cells by its first."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_step_of_untying_lies_between_always_untied_and_always_tied(tmp_path: Path) -> None:
    found = [point(tmp_path, until) for until in (None, 20, 100)]
    share, accuracy, loss = figures.by_step(found).axes
    marks = [line for line in share.lines if line.get_markersize() > 6]
    means = {
        tuple(line.get_xdata()): line.get_ydata() for line in marks if len(line.get_xdata()) == 1
    }
    (left,), *between, (right,) = sorted(means)
    assert left < 20 < 100 < right and between == [(20,), (100,)]
    assert all(np.allclose(value, 4 / 6) for value in means.values())
    ticks = [label.get_text() for label in loss.get_xticklabels()]
    assert ticks == ["always\nuntied", "0.02", "0.1", "always\ntied"]
    low, high = loss.get_xlim()
    for axes, values in ((accuracy, (0.6, 0.4)), (loss, (0.6, 1.2))):
        assert axes.get_xscale() == "log"
        seeds = [line for line in axes.lines if line.get_markersize() == 3]
        drawn = {fill: [line for line in seeds if line.get_fillstyle() == fill]
                 for fill in ("full", "none")}  # fmt: skip
        for (_, lines), value, count in zip(drawn.items(), values, (4, 2), strict=True):
            assert [len(line.get_xdata()) for line in lines] == [count] * 4
            assert all(np.allclose(line.get_ydata(), value) for line in lines)
            assert all((low < np.array(line.get_xdata())).all() for line in lines)
            assert all((np.array(line.get_xdata()) < high).all() for line in lines)


def test_gaps_are_over_those_when_untied_and_the_clock_begins_there(tmp_path: Path) -> None:
    def distance(seed: int, tied: bool, table: str, pair: tuple) -> Any:
        return np.where(STEPS < 100, 6.0, 2.0 * 0.99 ** (STEPS - 100.0)) * seed

    found = [missing(None), point(tmp_path, 100, distance), missing(200)]
    axes, empty = figures.gaps(found).axes
    clock = next(line for line in axes.lines if line.get_linewidth() == 1.4)
    assert clock.get_xdata()[0] == 100
    assert clock.get_ydata() == pytest.approx(0.99 ** np.arange(0, 301, 20.0), rel=1e-4)
    seeds = [line for line in axes.lines if line.get_linewidth() == 0.5]
    assert len(seeds) == 2 * len(SEEDS)
    for line in seeds:
        assert line.get_ydata()[0] == pytest.approx(3) and line.get_ydata()[5] == pytest.approx(1)
        assert line.get_ydata()[-1] == pytest.approx(0.99**300, rel=1e-4)
    assert not empty.lines and empty.texts[0].get_text() == "not trained"


def test_curves_are_of_the_three_ways(tmp_path: Path) -> None:
    found = [point(tmp_path, None), point(tmp_path, 100)]
    (axes, *_) = figures.curves(found).axes
    means = [line for line in axes.lines if line.get_linewidth() == 2.2]
    assert [line.get_linestyle() for line in means] == ["--", "-", "-."]
    assert all(np.allclose(line.get_ydata(), (4 * 0.6 + 2 * 1.2) / 6) for line in means)
    assert sum(line.get_linewidth() == 0.5 for line in axes.lines) == len(SEEDS)


def test_tables_tell_what_was_measured(tmp_path: Path) -> None:
    def distance(seed: int, tied: bool, table: str, pair: tuple) -> Any:
        return np.where(STEPS <= 100, 1.0, 0.5 * 0.99 ** (STEPS - 100.0))

    found = [point(tmp_path, None), point(tmp_path, 100, distance), missing(200)]
    told = figures.endings(found)
    assert cells(told, "tied until 100")[1] == "4 of 6"
    assert cells(told, "tied until 100")[3:5] == ["1", "1"]
    assert cells(told, "tied until 100")[-2:] == ["0.00 [0.00, 0.00]"] * 2
    assert cells(told, "always untied")[3] == cells(told, "always tied")[4] == "–"
    heads = cells(figures.tables_end(found), "")
    row = cells(figures.tables_end(found), "tied until 100")
    assert row[heads.index("input A and B, over the clock")] == "0.500 [0.500, 0.500]"
    assert row[-2:] == ["0.00 [0.00, 0.00]", "0.00"]
    always = cells(figures.tables_end(found), "always tied")
    assert always[heads.index("input A and B, over the clock")] == "–"
    speeds = figures.speeds(found)
    assert 0.5 * 0.99**160 > 0.1 > 0.5 * 0.99**180
    assert cells(speeds, "tied until 100")[1:] == ["0 (4 of 6)", "280 (6 of 6)"]
    assert cells(speeds, "always tied")[1:] == ["0 (4 of 6)", "–"]
    listed = figures.listed("untie", found)
    assert "- tied until step 200, untied from there on: no result yet." in listed
    assert "- always tied, and always untied: 6 seeds, tied and untied, 400 steps" in listed
    assert "partial" not in listed
    found[1].result.manifest["status"] = "partial"
    assert figures.listed("untie", found).count("partial, so no claim") == 1


def test_what_the_clock_says_is_told_without_any_result() -> None:
    found = [missing(until) for until in (None, 20, 60, 120)]
    told = figures.predicted(found)
    words = {20: "merge", 60: "too near to say", 120: "stay apart"}
    for until, word in words.items():
        left = np.mean([0.99 ** (step - until) for step in range(220, 401, 20)])
        _, number, said = cells(told, str(until))
        assert (float(number), said) == (pytest.approx(left, rel=5e-3), word)
    assert len(told.splitlines()) == 5
    assert rendered(figures.gaps(found))


def test_pages_stand_with_any_part_of_the_sweep(tmp_path: Path) -> None:
    """None; the main experiment alone, or untied only; diverged trials; too short; few arrays."""
    nothing = [missing(until) for until in (None, 20, 100)]
    main, late = point(tmp_path, None), point(tmp_path, 100)
    one_tie = point(tmp_path / "one", None)
    chosen = ~one_tie.result.tied
    names = ("seed", "tied", "tie", "input_embedding", "output_embedding")
    arrays = {name: getattr(one_tie.result, name)[chosen] for name in names}
    metrics = one_tie.result.metrics
    arrays["metrics"] = metrics[~metrics.tied]
    one_tie = one_tie._replace(result=replace(one_tie.result, **arrays))
    diverged = point(tmp_path / "diverged", 20, lambda *_: np.nan)
    short = point(tmp_path / "short", 20, schedule_period=500)
    between = point(tmp_path / "between", 30)
    for found in (
        [], nothing, [main, *nothing[1:]], [one_tie], [one_tie, late], [nothing[0], late],
        [main, diverged, late], [main, short], [main, between, late],
    ):  # fmt: skip
        for draw in (figures.by_step, figures.curves, figures.gaps):
            draw(found).draw_without_rendering()
        for tell in (figures.endings, figures.tables_end, figures.speeds,
                     figures.predicted):  # fmt: skip
            assert isinstance(tell(found), str)
        assert "semantica run untie" in figures.listed("untie", found)
