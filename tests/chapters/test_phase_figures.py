"""The figures and tables of the plane show what made-up results are known to hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_plane import DECAYS, P, point, whole, without
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from rendering import rendered

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.phase import figures as phase
from semantica_lib.chapters.phase import tables as phase_tables
from semantica_lib.chapters.phase.measures import NEVER, START, Onset, onsets_of, plane


def every(found: list[Point]) -> list[Figure]:
    spots = plane(found)
    drawn = [make(spots) for make in (phase.diagram, phase.distances, phase.gaps, phase.attained)]
    return [*drawn, phase.costs(spots, onsets_of(spots))]


def border(axes: object) -> set[tuple]:
    (lines,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    return {tuple(map(tuple, segment.tolist())) for segment in lines.get_segments()}


def dots(axes: object) -> set[tuple[float, float]]:
    """Where white dots stand: (column, row)."""
    return {tuple(at) for at in axes.collections[-2].get_offsets().tolist()}


def test_the_diagram_has_the_plane_its_borders_and_its_marks(tmp_path: Path) -> None:
    """Decay alone merges inputs at 0.1; the log-odds forbid a tenth of 2 from p = 0.6 on."""
    found = whole(tmp_path, cost=lambda seed, p: 0.1 * (p > 0.9) - 0.1 * (p < 0.6))
    entry, output, tied, cost = phase.diagram(plane(found)).axes[:4]
    shown = entry.images[0].get_array()
    assert shown.shape == (len(DECAYS), len(P))
    spots = {(spot.decay, spot.p): spot for spot in plane(found)}
    for row, decay in enumerate(DECAYS):
        for column, p in enumerate(P):
            ratios = spots[decay, p].ends((False, "input")).ratio
            assert shown[row, column] == pytest.approx(np.exp(np.log(ratios).mean()))
    assert border(entry) == {((x - 0.5, 3.5), (x + 0.5, 3.5)) for x in range(12)}
    for axes in (output, tied):
        assert border(axes) == {((1.5, y - 0.5), (1.5, y + 0.5)) for y in range(5)}
        assert dots(axes) == {(x, y) for x in (0, 1) for y in range(5)}
    assert dots(entry) == {(x, 4) for x in range(12)}
    assert dots(cost) == {(x, y) for x in (9, 10, 11) for y in range(5)}
    assert cost.images[0].get_array().data[0] == pytest.approx([-0.1] * 2 + [0] * 7 + [0.1] * 3)
    low, high = cost.images[0].get_clim()
    assert -low == high == pytest.approx(0.1)


def test_an_open_interval_has_a_diamond_and_no_dot(tmp_path: Path) -> None:
    found = [point(tmp_path, 0.5, 0.0, cost=lambda seed, p: 0.028 + 0.01 * (-1) ** seed)]
    cost = phase.diagram(plane(found)).axes[3]
    assert dots(cost) == set()
    assert cost.collections[-1].get_offsets().tolist() == [[0, 0]]


def test_a_missing_point_is_hatched_and_bounds_nothing(tmp_path: Path) -> None:
    found = whole(tmp_path)
    lost = P.index(0.6) * len(DECAYS) + DECAYS.index(0.03)
    found[lost] = without(found[lost])
    entry, output, *_ = phase.diagram(plane(found)).axes
    for axes in (entry, output):
        assert [one.get_xy() for one in axes.patches if one.get_hatch()] == [(1.5, 2.5)]
        assert axes.images[0].get_array().mask.sum() == 1
    assert border(output) == {((1.5, y - 0.5), (1.5, y + 0.5)) for y in (0, 1, 2, 4)}


def test_the_laws_are_drawn_beside_what_was_measured(tmp_path: Path) -> None:
    spots = plane(whole(tmp_path, decays=(0.0, 0.1)))
    odds = np.log(np.array(P) / (1 - np.array(P)))
    entry, output, _ = phase.distances(spots).axes
    laws = [line for line in output.lines if line.get_linestyle() == "--"]
    assert len(laws) == 2
    for line in laws:
        assert np.isnan(line.get_ydata()[0])  # 0 has no place on a logarithmic axis
        assert line.get_ydata()[1:] == pytest.approx(odds[1:] / 2)
    clock = entry.lines[-1 if entry.lines[-1].get_linestyle() == "--" else -2].get_ydata()
    assert np.ptp(clock) == 0 and clock[0] < 0.2  # horizontal
    above, _, below, _ = phase.gaps(spots).axes
    measured = above.containers[0].lines[0].get_ydata()
    assert measured == pytest.approx(odds)
    assert below.containers[0].lines[0].get_ydata() == pytest.approx(0 * odds)


def test_shares_of_the_attainable_and_of_learners(tmp_path: Path) -> None:
    """Of six tied trials two never learn: they attain a quarter less."""
    spots = plane(whole(tmp_path, decays=(0.0,), fails=lambda seed, tied: tied and seed < 3))
    untied, tied, learn, learn_tied = phase.attained(spots).axes
    assert untied.containers[0].lines[0].get_ydata() == pytest.approx(np.ones(12))
    lost = 0.25 / 3 / ((np.array(P) + 0.5) / 2)
    assert tied.containers[0].lines[0].get_ydata() == pytest.approx(1 - lost)
    assert learn.containers[0].lines[0].get_ydata() == pytest.approx(np.ones(12))
    assert learn_tied.containers[0].lines[0].get_ydata() == pytest.approx(np.full(12, 4 / 6))


def test_costs_have_the_fit_the_margin_and_where_it_passes(tmp_path: Path) -> None:
    spots = plane(whole(tmp_path, decays=(0.0,), cost=lambda s, p: (p - 0.5) / 5 + s / 1000))
    onsets = onsets_of(spots)
    above, below = phase.costs(spots, onsets).axes
    assert any(np.ptp(line.get_ydata()) == 0 and line.get_ydata()[0] == 0.028
               for line in above.lines)  # fmt: skip
    at = onsets[0.0, "loss", False]
    (band,) = above.patches
    p = np.array([at.low, at.high])
    assert band.get_x() == pytest.approx(np.log(p / (1 - p))[0])
    assert band.get_x() + band.get_width() == pytest.approx(np.log(p / (1 - p))[1])
    assert len(below.lines) >= 8


def test_the_table_of_onsets_says_what_is_not_a_number() -> None:
    made = {
        (decay, quantity, learners): at
        for decay, at in {
            0.0: Onset(START, START, 0.61, 6, 6), 0.1: Onset(NEVER, 0.9, NEVER, 3, 5),
            None: Onset(0.7, 0.6512, 0.8, 6, 6),
        }.items()
        for learners in (False, True)
        for quantity in ("loss", "accuracy")
    }  # fmt: skip
    made[0.0, "loss", True] = Onset(np.nan, np.nan, np.nan, 0, 0)
    lines = phase_tables.onset_table(made).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    assert cells[0][:4] == ["0", *["from the start [the start, 0.610]"] * 2, "–"]
    assert cells[1][0] == "0.1" and cells[1][1] == "not within [0.900, beyond]"
    assert cells[1][4] == "not within [0.900, beyond] (3 to 5)"
    assert cells[2][:2] == ["mean over all", "0.700 [0.651, 0.800]"]


def test_the_numbers_are_those_of_the_points(tmp_path: Path) -> None:
    found = [point(tmp_path, 0.9, 0.0, cost=lambda seed, p: 0.3,
                   fails=lambda seed, tied: tied and seed == 1)]  # fmt: skip
    head, _, line = phase_tables.numbers(plane([*found, without(found[0])])).splitlines()
    cells = dict(zip(*([c.strip() for c in row.strip("| ").split("|")] for row in (head, line)),
                     strict=True))  # fmt: skip
    assert (cells["decay"], cells["p"], cells["log-odds"]) == ("0", "0.9", "2.197")
    assert cells["untied input, distance / clock"] == "1.00 [1.00, 1.00]"
    assert cells["gap, tied"] == "2.20 [2.20, 2.20]"
    assert cells["tying costs, nats"].startswith(f"{0.3 + np.log(2) / 6:.3f} [")
    # 0.3 nats lost are too much to count as having learned
    assert (cells["learn, untied"], cells["learn, tied"]) == ("6 of 6", "0 of 6")


def test_what_the_page_is_made_from(tmp_path: Path) -> None:
    found = whole(tmp_path, (0.5, 0.9, 0.99), (0.0, 0.1))
    found[2] = without(found[2])
    found[4].result.manifest["status"] = "partial"
    told = phase_tables.listed("phase", found)
    assert "p 0.9: no result yet" in told and "p 0.99: partial, at step 400, not shown" in told
    assert "p 0.5, 0.9, 0.99: 6 seeds, tied and untied, 400 steps" in told
    assert "2 of 6 points" in told and "`semantica run phase`" in told
    assert "semantica run" not in phase_tables.listed("phase", found[1::2])


def test_pages_stand_with_any_part_of_the_plane(tmp_path: Path) -> None:
    full = whole(tmp_path, (0.5, 0.8), (0.0, 0.1))
    nothing = list(map(without, full))
    broken = point(tmp_path / "broken", 0.99, 0.0)
    broken.result.output_embedding[:] = np.nan
    assert rendered(every(full)[0])
    for found in ([], nothing, full[:1], [*full[:1], *nothing[1:]], [broken], [*full, broken]):
        for figure in every(found):
            figure.draw_without_rendering()
        assert isinstance(phase_tables.numbers(plane(found)), str)
        assert isinstance(phase_tables.onset_table(onsets_of(plane(found))), str)
        assert isinstance(phase_tables.listed("phase", found), str)


def test_what_tying_costs_is_told_of_each_judged_row_about_it() -> None:
    rows = [
        ("p 0.5, mean over the decays: what tying costs in cross-entropy", 0.1, 0.05, 0.15),
        ("exploratory: p 0.5, decay 0: what tying costs in accuracy", 0.2, 0.1, 0.3),
        ("p 0.5, decay 0: tied: 0 and 1, predicted to merge", 0.3, 0.2, 0.4),
    ]
    frame = pd.DataFrame(rows, columns=["claim", "estimate", "low", "high"])
    frame["prediction"], frame["verdict"] = "under 0.028 nats", "not as predicted"
    told = phase_tables.what_tying_costs(frame).splitlines()
    assert len(told) == 3
    assert told[2] == "| 0.5 | 0.100 [0.0500, 0.150] | under 0.028 nats | not as predicted |"
