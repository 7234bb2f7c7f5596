"""Any sweep drawn: where its pairs end and what its trials attain, against what is varied."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, tie_of
from semantica_lib.analysis.statistics import (
    Interval,
    geometric_interval,
    mean_interval,
    share_interval,
)
from semantica_lib.analysis.sweep_points import PLACES, Point, name_of
from semantica_lib.chapters.sweep.measures import (
    Line,
    attained,
    axis,
    ends,
    lines,
    varied,
    words,
)
from semantica_lib.figures.style import BLACK, DOTS, GREY, STYLE, WIDTH, legend, note

MOST_LINES, MOST_PAIRS = 6, 4  # that a panel and a figure can hold
MARKS, DASHES = "oDs^vP", ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))
COLOURS = sns.color_palette("colorblind", MOST_LINES)
MARGIN = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1}
CROSS = {"marker": "x", "markersize": 5, "linestyle": "none"}
APART = 0.5  # between the outermost lines at one value
NOTHING = "no result\nto draw"


def distances(found: Sequence[Point], x: str = "") -> Figure:
    """How near synonyms end against the setting ``x``: a row a table, a column a pair.

    The distance as a share of the median control pair's: every seed, their geometric mean with its
    95% interval, and a line for each combination of the other settings that vary. Marks are full
    where the DH holds; crosses stand below where a point has no result.

    Raises:
        RequestError: ``x`` is not a setting that has several values.
    """
    x, frame = axis(found, x), ends(found)
    drawn, places = lines(found, x)[:MOST_LINES], places_of(found)
    pairs = sorted(set(zip(frame.bit, frame.ranks, strict=True)))[:MOST_PAIRS]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.9 + 1.9 * len(places)), dpi=DOTS)
        panels = figure.subplots(
            len(places), max(1, len(pairs)), sharex=True, sharey=True, squeeze=False
        )
    for row, (tied, table) in zip(panels, places, strict=True):
        row[0].set_ylabel(f"{name_of((tied, table))}\ndistance / control")
        if not pairs:
            note(row[0], NOTHING)
        for axes, (bit, ranks) in zip(row, pairs, strict=False):
            of = frame[(frame.bit == bit) & (frame.ranks == ranks)]
            panel = of[(of.tied == tied) & (of.table == table)]
            axes.axhline(MERGE_MARGIN, **MARGIN)
            _draw(axes, drawn, found, panel.rename(columns={"ratio": "value"}), tied)
            if axes in panels[0]:
                axes.set_title(f"bit {bit}: {' or '.join(of.pair.unique())}")
    panels[0, 0].set_yscale("log")
    reach = [*frame.ratio[np.isfinite(frame.ratio)], MERGE_MARGIN]
    panels[0, 0].set_ylim(min(reach) / 2, max(reach) * 2)  # few seeds have intervals without end
    _finish(figure, panels, found, x, True)
    return figure


def attainment(found: Sequence[Point], x: str = "") -> Figure:
    """What trials attain against the setting ``x``: share that learns the parity, and accuracy.

    The share with its exact 95% interval; of the accuracy over all strings every seed and their
    mean with its 95% interval; lines as in :func:`distances`.

    Raises:
        RequestError: ``x`` is not a setting that has several values.
    """
    x, frame = axis(found, x), attained(found)
    drawn = lines(found, x)[:MOST_LINES]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.9), dpi=DOTS)
        panels = figure.subplots(2, 2, sharex=True, sharey="row")
    heads = {"learned": "share of trials that\nlearn the parity", "accuracy": "accuracy over\nall"}
    for row, (quantity, head) in zip(panels, heads.items(), strict=True):
        row[0].set_ylabel(head + " strings" * (quantity == "accuracy"))
        for axes, tied in zip(row, BOTH, strict=True):
            panel = frame[frame.tied == tied].rename(columns={quantity: "value"})
            _draw(axes, drawn, found, panel, tied)
            if panel.empty:
                note(axes, NOTHING)
            if axes in panels[0]:
                axes.set_title(tie_of(tied))
    panels[0, 0].set_ylim(-0.05, 1.05)
    _finish(figure, panels, found, x, False)
    return figure


def places_of(found: Sequence[Point]) -> list[tuple]:
    """The tables that some point has; all of them without a point."""
    return [p for p in PLACES if any(p in point.places for point in found)] or list(PLACES)


def _draw(
    axes: Axes, drawn: Sequence[Line], found: Sequence[Point], panel: pd.DataFrame, tied: bool
) -> None:
    """The points of each line; ``panel`` has the columns point, seed, value and, of pairs, dh."""
    for number, line in enumerate(drawn):
        colour, marker, dash = COLOURS[number], MARKS[number], DASHES[number]
        aside = APART * ((number + 0.5) / len(drawn) - 0.5)
        middles = []
        for index, place in sorted(line.places.items(), key=lambda item: item[1]):
            at, here = place + aside, panel[panel.point == index]
            if found[index].result is None and tie_of(tied) in found[index].settings.ties:
                axes.plot(at, 0.04, color=colour, transform=axes.get_xaxis_transform(), **CROSS)
            middle, low, high, _ = interval_of(here)
            if np.isnan(middle):
                continue
            middles.append((at, middle))
            if here.value.dtype != bool:
                axes.plot([at] * len(here), here.value, ".", color=colour, markersize=3, alpha=0.35)
            if np.isfinite(low):
                axes.plot([at, at], [low, high], color=colour, linewidth=1.3)
            full = "dh" not in here or bool(here.dh.iloc[0])
            axes.plot(at, middle, marker, color=colour, markersize=6,
                      markerfacecolor=colour if full else "white")  # fmt: skip
        if len(middles) > 1:
            axes.plot(*np.array(middles).T, color=colour, linestyle=dash, linewidth=1.1, zorder=1.5)


def interval_of(panel: pd.DataFrame) -> Interval:
    """Of a point's trials: geometric of ratios, exact of shares, else of the mean.

    Args:
        panel: with the column ``value``, and ``dh`` where the values are ratios.
    """
    if panel.value.dtype == bool:
        return share_interval(panel.value.to_numpy())
    values = panel.value.to_numpy(float)
    values = values[np.isfinite(values)]
    return geometric_interval(values) if "dh" in panel else mean_interval(values)


def _finish(
    figure: Figure, panels: np.ndarray, found: Sequence[Point], x: str, pairs: bool
) -> None:
    """Have the values along the lower edge and the keys below."""
    values = [words(value) for value in varied(found).get(x, [])] or [""]
    turned = sum(map(len, values)) * len(panels[0]) > 60
    panels[0, 0].set_xticks(range(len(values)), values)
    panels[0, 0].set_xlim(-0.5, len(values) - 0.5)
    for axes in panels[-1]:
        axes.tick_params(axis="x", rotation=90 * turned, labelsize=8.5 if turned else 10)
        axes.set_xlabel(x.replace("_", " "))
    every = lines(found, x)
    keys = list(_keys(every[:MOST_LINES], found, pairs))
    longest = max([len(key.get_label()) for key in keys], default=1)
    legend(figure, *keys, columns=max(1, min(4, 100 // (longest + 8))))
    if len(every) > MOST_LINES:
        left = f"{len(every) - MOST_LINES} of {len(every)} lines are left out: see the table"
        figure.suptitle(left, fontsize=10, color=GREY)


def _keys(drawn: Sequence[Line], found: Sequence[Point], pairs: bool) -> Iterator[Line2D]:
    for number, line in enumerate(drawn):
        look = {"color": COLOURS[number], "marker": MARKS[number], "linestyle": DASHES[number]}
        if line.label:
            yield Line2D([], [], label=line.label, **look)
    if pairs:
        mark = {"color": BLACK, "marker": "o", "linestyle": "none"}
        yield Line2D([], [], label="DH holds", **mark)
        yield Line2D([], [], label="DH fails", markerfacecolor="white", **mark)
        yield Line2D([], [], label="margin of a merge", **MARGIN)
    if any(point.result is None for point in found):
        yield Line2D([], [], color=BLACK, label="no result", **CROSS)
