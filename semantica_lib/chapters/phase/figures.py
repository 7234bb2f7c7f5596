"""The plane of the sweep *phase*, p by weight decay: its figures, and its tables as Markdown."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import colormaps, patheffects, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import CenteredNorm, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, ON_LAW, tie_of
from semantica_lib.analysis.statistics import (
    Interval,
    finite,
    geometric_interval,
    mean_interval,
    share_interval,
)
from semantica_lib.analysis.sweep_points import PLACES, name_of
from semantica_lib.chapters.phase.measures import MARGINS, Onset, Spot, costs_of, decays_of, rising
from semantica_lib.figures.style import BLACK, DOTS, GREY, STYLE, WIDTH, legend, note

MARKERS = "osD^v"  # of the decays, from the least
TICKS = 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99
COLOURS_FROM, COLOURS_TO = 0.02, 2.0  # of ratios
P_LABEL = "p, the likelier synonym's probability"
MARGIN_LINE = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1}


def diagram(spots: Sequence[Spot]) -> Figure:
    """The plane in each table, and what tying costs over it.

    Colour: the pair's distance at the end over a control pair's, geometric mean over seeds; last,
    tied minus untied cross-entropy, mean over seeds. The line is the law's border: for untied
    inputs where decay alone leaves a tenth of the control pair's distance, for outputs where the
    log-odds ask for a tenth. Marks tell what the 95% interval says; hatched is what has no result.
    """
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(WIDTH, 5.2), dpi=DOTS)
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
    p, decays = _p(spots), decays_of(spots)
    for axes, place in zip(panels.flat, PLACES, strict=False):
        ends = [geometric_interval(finite(spot.ratio(place))) for spot in spots]
        norm = LogNorm(COLOURS_FROM, COLOURS_TO)
        image = _heat(axes, _grid(spots, [end.estimate for end in ends]), "cividis", norm)
        _border(axes, _grid(spots, [_positive_mean(spot.law_ratio(place)) for spot in spots]))
        _marks(axes, _grid(spots, [_side(-e.high, -e.low, -MERGE_MARGIN) for e in ends]))
        axes.set_title(f"{name_of(place)} table")
        if axes is panels[0, 1]:
            bar = figure.colorbar(image, ax=panels[0], extend="both")
            bar.set_label("distance / control")
            bar.ax.axhline(MERGE_MARGIN, color="white", linewidth=1.5)
            bar.ax.yaxis.set_major_locator(FixedLocator([0.02, MERGE_MARGIN, 0.5, 2]))
            bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            bar.ax.yaxis.set_minor_locator(NullLocator())
    axes, ends = (
        panels[1, 1],
        [mean_interval(finite(spot.cost("loss").to_numpy())) for spot in spots],
    )
    largest = max([abs(end.estimate) for end in ends if np.isfinite(end.estimate)], default=0.0)
    norm = CenteredNorm(0, max(largest, MARGINS["loss"]))
    image = _heat(axes, _grid(spots, [end.estimate for end in ends]), "PuOr_r", norm)
    _marks(axes, _grid(spots, [_side(e.low, e.high, MARGINS["loss"]) for e in ends]))
    axes.set_title("what tying costs")
    figure.colorbar(image, ax=panels[1]).set_label("tied minus untied (nats)")
    panels[0, 0].set_yticks(range(len(decays)), [f"{value:g}" for value in decays])
    for axes in panels[:, 0]:
        axes.set_ylabel("weight decay")
    for axes in panels[1]:
        axes.set_xticks(range(len(p)), [f"{value:g}" for value in p], rotation=90, fontsize=8.5)
        axes.set_xlabel("p of the likelier synonym")
    legend(figure, Line2D([], [], color=BLACK, linewidth=2, label="border by the law"),
           _mark("white", label="merged; tying costs"), _mark("none", label="open"),
           Patch(facecolor="0.97", edgecolor="0.7", hatch="/////", label="no result"),
           columns=4)  # fmt: skip
    return figure


def _mark(ground: str, **rest: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o" if ground == "white" else "d", color=BLACK,
                  markerfacecolor=ground, markersize=5, **rest)  # fmt: skip


def _heat(axes: Axes, values: np.ndarray, colours: str, norm: Normalize) -> AxesImage:
    """Values ``(decay, p)``, nan where there is none: hatched."""
    for row, column in np.argwhere(np.isnan(values)):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="0.97", hatch="/////",
                                 edgecolor="0.7", linewidth=0))  # fmt: skip
    return axes.imshow(np.ma.masked_invalid(values), colours, norm, origin="lower", aspect="auto",
                       interpolation="nearest")  # fmt: skip


def _marks(axes: Axes, sides: np.ndarray) -> None:
    """A white dot where the interval is beyond the margin (1), a hollow one where it has it (0)."""
    for side, ground, marker in ((1, "white", "o"), (0, "none", "d")):
        y, x = np.nonzero(sides == side)
        axes.scatter(x, y, s=18, marker=marker, facecolor=ground, edgecolor=BLACK, linewidth=0.9,
                     zorder=4)  # fmt: skip


def _border(axes: Axes, ratios: np.ndarray) -> None:
    """The edges between cells ``(decay, p)`` of which one is under the margin and one is not."""
    edges = []
    for (row, column), ratio in np.ndenumerate(ratios):
        for down, right in ((1, 0), (0, 1)):
            if row + down < ratios.shape[0] and column + right < ratios.shape[1]:
                other = ratios[row + down, column + right]
                if np.isfinite(ratio + other) and (ratio < MERGE_MARGIN) != (other < MERGE_MARGIN):
                    x, y = column + right / 2, row + down / 2
                    edges.append([(x - down / 2, y - right / 2), (x + down / 2, y + right / 2)])
    halo = [patheffects.Stroke(linewidth=4, foreground="white"), patheffects.Normal()]
    lines = LineCollection(edges, colors=BLACK, linewidths=2, path_effects=halo, zorder=3)
    axes.add_collection(lines, autolim=False)


def distances(spots: Sequence[Spot]) -> Figure:
    """The pair's distance at the end against p, a line a decay, a panel a table; dashed: the law's.

    Geometric means over seeds, the measured ones with 95% intervals.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.7), dpi=DOTS)
        panels = figure.subplots(1, len(PLACES), sharex=True, sharey=True)
    for axes, place in zip(panels, PLACES, strict=True):
        axes.set_title(name_of(place))
        for spots_of, x, look in _lines(spots):
            laws = [_positive_mean(spot.law(place)) or np.nan for spot in spots_of]  # 0 at p = 0.5
            axes.plot(x, laws, color=look["color"], linestyle="--", linewidth=1.2)
            ends = [geometric_interval(finite(spot.distance(place))) for spot in spots_of]
            _with_bars(axes, x, ends, look)
        _p_axis(axes, spots, (0.5, 0.7, 0.9, 0.97, 0.99))
    panels[0].set_ylabel("distance at the end")
    if any(len(finite(spot.distance(place))) for spot in spots for place in PLACES):
        panels[0].set_yscale("log")  # which needs a number
    panels[1].set_xlabel(P_LABEL)
    legend(figure, *_decay_keys(spots), Line2D([], [], color=GREY, linestyle="--", label="the law"),
           columns=3)  # fmt: skip
    return figure


def gaps(spots: Sequence[Spot]) -> Figure:
    """The gap of the two logits against p, and below how far it is from the log-odds.

    Means over seeds with 95% intervals, a line a decay; untied and tied.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.6), dpi=DOTS)
        grid = figure.subplots(2, len(BOTH), sharex=True, sharey="row")
    for column, tied in enumerate(BOTH):
        for axes, law in zip(grid[:, column], (False, True), strict=True):
            for spots_of, x, look in _lines(spots):
                ends = [
                    mean_interval(finite(spot.gap(tied) - law * spot.log_odds)) for spot in spots_of
                ]
                _with_bars(axes, x, ends, look)
            _p_axis(axes, spots)
        odds = sorted({spot.log_odds for spot in spots})
        grid[0, column].plot(odds, odds, color=BLACK, linestyle="--", linewidth=1.3)
        for margin in (-ON_LAW, ON_LAW):
            grid[1, column].axhline(margin, **MARGIN_LINE)
        grid[0, column].set_title(tie_of(tied))
        grid[1, column].set_xlabel(P_LABEL)
    grid[0, 0].set_ylabel("gap of the logits (nats)")
    grid[1, 0].set_ylabel("gap minus log-odds (nats)")
    legend(figure, *_decay_keys(spots), Line2D([], [], color=BLACK, linestyle="--",
           label="log-odds; margin"), columns=3)  # fmt: skip
    return figure


def attained(spots: Sequence[Spot]) -> Figure:
    """Accuracy over all strings as a share of what can be attained, and who learns the parity.

    Means and shares over seeds with 95% intervals, a line a decay; dotted: always guessing the
    likeliest symbol.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.6), dpi=DOTS)
        grid = figure.subplots(2, len(BOTH), sharex=True, sharey="row")
    for column, tied in enumerate(BOTH):
        for spots_of, x, look in _lines(spots):
            shares = [mean_interval(finite(_share(spot, tied))) for spot in spots_of]
            _with_bars(grid[0, column], x, shares, look)
            learned = [share_interval(spot.learned(tied)) for spot in spots_of]
            _with_bars(grid[1, column], x, learned, look)
        p = np.array(_p(spots))
        guess = np.log(p / (1 - p)), p / (p + 0.5)
        grid[0, column].plot(*guess, color=BLACK, linestyle=":", linewidth=1.4)
        grid[0, column].set_title(tie_of(tied))
        grid[1, column].set_xlabel(P_LABEL)
        for axes in grid[:, column]:
            _p_axis(axes, spots)
    grid[0, 0].set_ylabel("accuracy, share of\nthe attainable")
    grid[1, 0].set(ylabel="share of trials\nthat learn the parity", ylim=(-0.03, 1.03))
    legend(figure, *_decay_keys(spots), Line2D([], [], color=BLACK, linestyle=":", label="a guess"),
           columns=3)  # fmt: skip
    return figure


def costs(spots: Sequence[Spot], onsets: Mapping[tuple, Onset]) -> Figure:
    """What tying costs against p: a column a decay, above in cross-entropy, below in accuracy.

    Thin: a seed each; points: their mean with its 95% interval; line: the rising fit; dashed: the
    margin; shaded: the 95% interval of where the fit passes it.

    Args:
        onsets: as from :func:`onsets_of`.
    """
    decays = decays_of(spots)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.4), dpi=DOTS)
        grid = figure.subplots(2, max(1, len(decays)), sharex=True, sharey="row", squeeze=False)
    for row, quantity in zip(grid, MARGINS, strict=True):
        for axes, (spots_of, _, look) in zip(row, _lines(spots), strict=False):
            found = costs_of(spots_of, quantity)
            if found.empty:
                continue
            x = np.log(found.columns / (1 - found.columns))
            axes.plot(x, found.to_numpy().T, color=GREY, linewidth=0.4, alpha=0.5)
            means = [mean_interval(finite(found[p].to_numpy())) for p in found]
            _with_bars(axes, x, means, look | {"linestyle": "none"})
            axes.plot(x, rising(found), color=look["color"], linewidth=1.8)
            at = onsets[spots_of[0].decay, quantity, False]
            if np.isfinite(at.p):
                p = np.clip([at.low, at.high], min(found), max(found))
                axes.axvspan(*np.log(p / (1 - p)), color=look["color"], alpha=0.15, linewidth=0)
        for axes in row:
            axes.axhline(MARGINS[quantity], **MARGIN_LINE)
            _p_axis(axes, spots, (0.5, 0.8, 0.99))
    for axes, decay in zip(grid[0], decays, strict=False):
        axes.set_title(f"decay {decay:g}", fontsize=10)
    grid[0, 0].set_ylabel("tied minus untied\ncross-entropy (nats)")
    grid[1, 0].set_ylabel("untied minus tied\naccuracy")
    grid[1, len(decays) // 2].set_xlabel(P_LABEL)
    legend(
        figure,
        Line2D([], [], color=GREY, linewidth=0.7, label="a seed"),
        Line2D([], [], color=BLACK, marker="o", linestyle="none", label="mean, 95% interval"),
        Line2D([], [], color=BLACK, linewidth=1.8, label="rising fit"),
        Line2D([], [], label="margin", **MARGIN_LINE),
        Patch(facecolor="0.85", label="where it passes, 95%"),
        columns=3,
    )
    return figure


def _p(spots: Sequence[Spot]) -> list[float]:
    return sorted({spot.p for spot in spots})


def _grid(spots: Sequence[Spot], values: Sequence[float]) -> np.ndarray:
    """Values of the spots as ``(decay, p)``, nan where there is none."""
    p, decays = _p(spots), decays_of(spots)
    grid = np.full((max(1, len(decays)), max(1, len(p))), np.nan)
    for spot, value in zip(spots, values, strict=True):
        grid[decays.index(spot.decay), p.index(spot.p)] = value
    return grid


def _lines(spots: Sequence[Spot]) -> Iterator[tuple[list[Spot], np.ndarray, dict]]:
    """The spots of each decay by p, where they stand (none hides another), what they look like."""
    decays = decays_of(spots)
    colours = colormaps["viridis"](np.linspace(0, 0.85, max(1, len(decays))))
    for index, decay in enumerate(decays):
        own = sorted((s for s in spots if s.decay == decay), key=lambda spot: spot.p)
        x = np.array([spot.log_odds for spot in own]) + 0.03 * (index - (len(decays) - 1) / 2)
        yield own, x, {"color": colours[index], "marker": MARKERS[index % len(MARKERS)]}


def _decay_keys(spots: Sequence[Spot]) -> list[Line2D]:
    return [
        Line2D([], [], markersize=4, label=f"decay {own[0].decay:g}", **look)
        for own, _, look in _lines(spots)
    ]


def _with_bars(axes: Axes, x: Sequence[float], ends: Sequence[Interval], look: dict) -> None:
    x, (middle, low, high) = np.array(x), np.array([end[:3] for end in ends]).T
    keep = np.isfinite(middle)
    bars = np.nan_to_num([middle - low, high - middle])[:, keep].clip(0)
    axes.errorbar(x[keep], middle[keep], bars, linewidth=1.1, markersize=3.5, elinewidth=0.8,
                  **look)  # fmt: skip


def _p_axis(axes: Axes, spots: Sequence[Spot], ticks: Sequence[float] = TICKS) -> None:
    """Have p along the lower edge, spaced by its log-odds: there the law is a straight line."""
    places = np.log(ticks) - np.log1p(-np.array(ticks))
    axes.set_xticks(places, [f"{p:g}" for p in ticks], fontsize=8.5)
    axes.set_xlim(-0.25, max([*places, *(spot.log_odds for spot in spots)]) + 0.25)
    axes.yaxis.set_minor_formatter(NullFormatter())
    if all(spot.measured is None for spot in spots):
        note(axes, "no results")


def _positive_mean(values: np.ndarray) -> float:
    """Geometric mean of what is finite; 0 if one of it is, nan without any."""
    values = finite(values)
    if not len(values):
        return np.nan
    return float(np.exp(np.log(values).mean())) if values.all() else 0.0


def _side(low: float, high: float, margin: float) -> float:
    """1 where the interval is over the margin, -1 under it, 0 if it has it; nan without one."""
    if np.isnan(low) or np.isnan(high):
        return np.nan
    return float(low > margin) - float(high < margin)


def _share(spot: Spot, tied: bool) -> np.ndarray:
    """Accuracy over all strings as a share of the attainable, ``(trial,)``."""
    if spot.measured is None:
        return np.empty(0)
    accuracy = spot.measured.trials[tied].measured("exact", "accuracy").to_numpy(float)
    return accuracy / spot.measured.task.ceiling("exact")[0]
