"""The chapter on symbols that almost mean the same: what is drawn and told of made-up results."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_near import RATES, line, point, sweep
from rendering import rendered

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.near import figures
from semantica_lib.chapters.near.measures import Near
from semantica_lib.chapters.near.theory import LAWS
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.sweeps import points as points_of
from semantica_lib.settings.sweeps import read, sweeps


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    return sweep(tmp_path_factory.mktemp("sweep"), whole=True)


@pytest.fixture
def untrained() -> list[Point]:
    return [Point(varied, own, None) for varied, own in points_of(read(sweeps()["near"]))]


A_TRIAL = "seed", "tied", "tie", "input_embedding", "output_embedding"


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]


def test_marks_of_distances_lie_on_the_laws_that_made_them(found: list[Point]) -> None:
    """Of 0 and 1: at q in the input panel, at the output's law in the output panel."""
    figure = figures.distances(Near(found))
    panels = figure.axes
    assert [axes.get_title() for axes in panels[:3]] == ["untied input", "untied output", "tied"]
    for axes, law in zip(panels[:2], LAWS.values(), strict=True):
        marks = [
            bars.lines[0].get_xydata()[0]
            for bars in axes.containers
            if bars.lines[0].get_marker() == "o"
        ]
        at = {round(x / 0.93, 6): y for x, y in marks if x > 0}
        assert sorted(at) == pytest.approx(RATES[1:])
        for q, y in at.items():
            assert y == pytest.approx(law(round(q, 3), (0, 1)), rel=2e-3)
        dots = [one for one in axes.lines if one.get_marker() == "."]
        assert len(dots) == 3 * len(RATES) and {len(one.get_xdata()) for one in dots} == {6}
    curves = [
        sum(len(one.get_xdata()) == len(figures.CURVE) for one in axes.lines) for axes in panels
    ]
    assert curves == [2, 2, 4] * 2  # a tied table has both laws
    dashes = [axes.lines[0].get_linestyle() for axes in panels[:2]]
    assert dashes == ["-", "--"]
    assert rendered(figure)


def test_losses_are_drawn_between_the_floor_and_the_predictor_without_context(
    found: list[Point],
) -> None:
    figure = figures.losses(Near(found))
    above, below = figure.axes[0], figure.axes[2]
    assert (above.get_ylabel(), below.get_ylabel()) == ("loss (nats)", "accuracy")
    floor, plain = above.lines[:2]
    assert floor.get_ydata()[0] == pytest.approx(math.log(2))
    assert plain.get_ydata() == pytest.approx([math.log(4)] * 9, abs=1e-3)
    (ground,) = above.patches
    assert 0.05 < ground.get_x() < 0.1  # from the first q at which 0.25 nats do not tell
    marks = [bars.lines[0].get_ydata()[0] for bars in below.containers]
    assert len(marks) == 2 * len(RATES) and max(marks) == pytest.approx(0.5)
    assert rendered(figure)


def test_theory_is_drawn_and_told_without_any_result(untrained: list[Point]) -> None:
    figure = figures.meanings(Near(untrained))
    far, _, laws = figure.axes
    curves, marks = far.lines[::2], far.lines[1::2]
    for curve, counted in zip(curves, marks, strict=True):  # closed form and enumeration
        for x, y in counted.get_xydata():
            assert np.interp(x, *curve.get_data()) == pytest.approx(y, abs=2e-3)
    assert laws.lines[0].get_ydata()[-1] == pytest.approx(0.5)
    table = rows(figures.enumerated(Near(untrained)))
    assert [row[0] for row in table] == [f"{q:g}" for q in RATES]
    assert table[4][1] == "0.0531" and table[4][-1] == "0.0531"  # 0.1 * 0.9^6
    assert table[4][7] == "−0.105 to ∞"  # log 0.9
    assert "at q = 0.1 in an input table and at q = 0.08 in an output" in figures.crossings()


def test_tables_tell_what_is_measured(found: list[Point]) -> None:
    ends = {(row[0], row[1]): row for row in rows(figures.endings(Near(found)))}
    assert len(ends) == 18 * 3
    row = ends["q 0.2, decay 0.1", "untied input"]
    assert row[2] == "0.200" and row[3].startswith("0.200 [") and row[7].startswith("0.600 [")
    assert row[8].startswith("0.200 [") and row[9].startswith("2.00 [")
    assert row[5].startswith("0.25")  # of the usual control: 0.4 of the median of 2, 1.6, 1.6, 1.2
    learn = {row[0]: row for row in rows(figures.attainable(Near(found)))}
    told, *cells = learn["q 0.05, decay 0"][4:]
    assert told == "yes" and [*cells[1:3], *cells[4:]] == ["6 of 6"] * 4
    known = Near(found).learned((0.0, 0.05), tied=False)
    assert float(cells[0]) == pytest.approx(known.mean(), rel=5e-3)
    assert learn["q 0.1, decay 0"][4] == "no"
    parted = rows(figures.thresholds(Near(found)))
    assert parted[0] == ["0.1", "untied input", "0.05", "0.1", "0.01"]
    assert parted[3] == ["0", "untied input", "–", "0.1", "0.5"]  # 0.4 at q = 0


def test_pages_stand_with_any_part_of_the_sweep(untrained: list[Point], tmp_path: Path) -> None:
    """Nothing, no result, one, untied trials only, numbers not finite, rows that all collapsed."""
    odd = [
        point(tmp_path / "a", 0.0, 0.1, ties=["untied"]),
        point(tmp_path / "b", 0.05, 0.1, lambda seed, *_: line([1, np.nan * seed, -1, -1])),
        point(tmp_path / "c", 0.5, 0.0, lambda *_: np.zeros((7, 4))),
        point(tmp_path / "d", 0.1, 0.0, schedule_period=4000),
        Point({}, Settings(near_synonym=0.3), None),
    ]
    alone, untied = odd[0].result, ~odd[0].result.tied
    a_trial = {name: getattr(alone, name)[untied] for name in A_TRIAL}
    metrics = alone.metrics[~alone.metrics.tied]
    odd[0] = odd[0]._replace(result=replace(alone, metrics=metrics, **a_trial))
    for some in ([], odd[:1], odd):
        for draw in (figures.meanings, figures.distances, figures.losses):
            assert rendered(draw(Near(some)))
        for tell in (figures.enumerated, figures.attainable, figures.endings,
                     figures.thresholds):  # fmt: skip
            assert isinstance(tell(Near(some)), str)
    assert (
        figures.endings(Near(untrained))
        == figures.thresholds(Near([]))
        == "Nothing is trained yet."
    )
    listed = figures.listed("near", Near(untrained))
    assert len(re.findall("no result yet", listed)) == 18 and "semantica run near" in listed
    texts = [
        text.get_text() for axes in figures.distances(Near(odd[:1])).axes for text in axes.texts
    ]
    assert texts == ["not trained"]  # the tied panel
