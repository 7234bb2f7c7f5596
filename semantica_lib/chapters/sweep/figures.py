"""Any sweep drawn: where its pairs end and what its trials attain, against what is varied."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semantica_lib.analysis import statistics
from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, tie_of
from semantica_lib.analysis.sweep_points import PLACES, Point, name_of
from semantica_lib.chapters.sweep import measures
from semantica_lib.chapters.sweep.measures import Line
from semantica_lib.figures.style import GREY, MARGIN_LINE, key, legend, note, panels, scale

MOST_LINES, MOST_PAIRS = 6, 4  # that a panel and a figure can hold
MARKS, DASHES = "oDs^vP", ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))
LOOKS = [
    {"color": colour, "marker": mark, "linestyle": dash}
    for colour, mark, dash in zip(scale(6), MARKS, DASHES, strict=True)
]
CROSS = {"marker": "x", "markersize": 5, "linestyle": "none"}
APART = 0.5  # between the outermost lines at one value
NOTHING = "no result\nto draw"
INTERVALS = {
    "ratio": statistics.geometric_interval,
    "learned": statistics.share_interval,
    "accuracy": statistics.mean_interval,
}


def distances(found: Sequence[Point], x: str = "") -> Figure:
    """How near synonyms end against the setting ``x``: a row a table, a column a pair.

    The distance as a share of the median control pair's: every seed, their geometric mean with its
    95% interval, and a line for each combination of the other settings that vary. Marks are full
    where the DH holds; crosses stand below where a point has no result.

    Raises:
        RequestError: ``x`` is not a setting that has several values.
    """
    frame, places = measures.ends(found), places_of(found)
    pairs = sorted(set(zip(frame.bit, frame.ranks, strict=True)))[:MOST_PAIRS]
    figure, grid = panels(
        len(places), max(1, len(pairs)), height=0.9 + 1.9 * len(places), sharex=True, sharey=True
    )
    drawn = _along(figure, grid, found, x, pairs=True)
    for row, (tied, table) in zip(grid, places, strict=True):
        row[0].set_ylabel(f"{name_of((tied, table))}\ndistance / control")
        if not pairs:
            note(row[0], NOTHING)
        for axes, (bit, ranks) in zip(row, pairs, strict=False):
            of = frame[(frame.bit == bit) & (frame.ranks == ranks)]
            axes.axhline(MERGE_MARGIN, **MARGIN_LINE)
            _draw(axes, drawn, found, of[(of.tied == tied) & (of.table == table)], tied, "ratio")
            if axes in grid[0]:
                axes.set_title(f"bit {bit}: {' or '.join(of.pair.unique())}")
    grid[0, 0].set_yscale("log")
    reach = [*statistics.finite(frame.ratio), MERGE_MARGIN]
    grid[0, 0].set_ylim(min(reach) / 2, max(reach) * 2)  # few seeds have intervals without end
    return figure


def attainment(found: Sequence[Point], x: str = "") -> Figure:
    """What trials attain against the setting ``x``: share that learns the parity, and accuracy.

    The share with its exact 95% interval; of the accuracy over all strings every seed and their
    mean with its 95% interval; lines as in :func:`distances`.

    Raises:
        RequestError: ``x`` is not a setting that has several values.
    """
    frame = measures.attained(found)
    figure, grid = panels(2, 2, height=4.9, sharex=True, sharey="row")
    drawn = _along(figure, grid, found, x, pairs=False)
    grid[0, 0].set_ylabel("share of trials that\nlearn the parity")
    grid[1, 0].set_ylabel("accuracy over\nall strings")
    for row, quantity in zip(grid, ("learned", "accuracy"), strict=True):
        for axes, tied in zip(row, BOTH, strict=True):
            panel = frame[frame.tied == tied]
            _draw(axes, drawn, found, panel, tied, quantity)
            if panel.empty:
                note(axes, NOTHING)
            if axes in grid[0]:
                axes.set_title(tie_of(tied))
    grid[0, 0].set_ylim(-0.05, 1.05)
    return figure


def places_of(found: Sequence[Point]) -> list[tuple]:
    """The tables that some point has; all of them without a point."""
    return [p for p in PLACES if any(p in point.places for point in found)] or list(PLACES)


def _draw(
    axes: Axes,
    drawn: Sequence[Line],
    found: Sequence[Point],
    panel: pd.DataFrame,
    tied: bool,
    quantity: str,
) -> None:
    """The points of each line: a quantity of a panel's trials, those that have a column for it."""
    for number, (line, look) in enumerate(zip(drawn, LOOKS, strict=False)):
        colour, aside = look["color"], APART * ((number + 0.5) / len(drawn) - 0.5)
        middles = []
        for index, place in sorted(line.places.items(), key=lambda item: item[1]):
            at, here = place + aside, panel[panel.point == index]
            if found[index].result is None and tie_of(tied) in found[index].settings.ties:
                axes.plot(at, 0.04, color=colour, transform=axes.get_xaxis_transform(), **CROSS)
            values = statistics.finite(here[quantity])
            middle, low, high, _ = INTERVALS[quantity](values)
            if np.isnan(middle):
                continue
            middles.append((at, middle))
            if quantity != "learned":
                axes.plot(
                    [at] * len(here), here[quantity], ".", color=colour, markersize=3, alpha=0.35
                )
            if np.isfinite(low):
                axes.plot([at, at], [low, high], color=colour, linewidth=1.3)
            full = quantity != "ratio" or here.dh.iloc[0]
            face = colour if full else "white"
            axes.plot(at, middle, look["marker"], color=colour, markersize=6, markerfacecolor=face)
        if len(middles) > 1:
            dash = {"linestyle": look["linestyle"], "linewidth": 1.1, "zorder": 1.5}
            axes.plot(*np.array(middles).T, color=colour, **dash)


def _along(
    figure: Figure, grid: np.ndarray, found: Sequence[Point], x: str, pairs: bool
) -> list[Line]:
    """Have the values of ``x`` along the lower edge and the keys below; the lines to draw."""
    x = measures.axis(found, x)
    values = [measures.words(value) for value in measures.varied(found).get(x, [])] or [""]
    turned = sum(map(len, values)) * len(grid[0]) > 60
    grid[0, 0].set_xticks(range(len(values)), values)
    grid[0, 0].set_xlim(-0.5, len(values) - 0.5)
    for axes in grid[-1]:
        axes.tick_params(axis="x", rotation=90 * turned, labelsize=8.5 if turned else 10)
        axes.set_xlabel(x.replace("_", " "))
    every = measures.lines(found, x)
    keys = [key(one.label, **look) for one, look in zip(every, LOOKS, strict=False) if one.label]
    if pairs:
        mark = {"marker": "o", "linestyle": "none"}
        keys += [key("DH holds", **mark), key("DH fails", markerfacecolor="white", **mark)]
        keys.append(key("margin of a merge", **MARGIN_LINE))
    if any(point.result is None for point in found):
        keys.append(key("no result", **CROSS))
    longest = max([len(one.get_label()) for one in keys], default=1)
    legend(figure, *keys, columns=max(1, min(4, 100 // (longest + 8))))
    if len(every) > MOST_LINES:
        left = f"{len(every) - MOST_LINES} of {len(every)} lines are left out: see the table"
        figure.suptitle(left, fontsize=10, color=GREY)
    return every[:MOST_LINES]
