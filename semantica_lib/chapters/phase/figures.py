"""The plane of the sweep *phase*, p by weight decay: its figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib import colors, patheffects, ticker
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from scipy import stats

from semantica_lib.analysis import statistics
from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, ON_LAW, tie_of
from semantica_lib.analysis.statistics import Interval, finite
from semantica_lib.analysis.sweep_points import PLACES, name_of
from semantica_lib.chapters.phase.measures import MARGINS, Onset, Spot, by_decay, costs_of, rising
from semantica_lib.figures.style import (
    BLACK,
    GREY,
    MARGIN_LINE,
    bars,
    key,
    legend,
    note,
    panels,
    scale,
)

MARKERS = "osD^v"  # of the decays, from the least
TICKS = 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99
COLOURS_FROM, COLOURS_TO = 0.02, 2.0  # of ratios
P_LABEL = "p, the likelier synonym's probability"
HATCHED = {"facecolor": "0.97", "edgecolor": "0.7", "hatch": "/////"}


def _mean(values: np.ndarray) -> Interval:
    return statistics.mean_interval(finite(values))


def _geometric(values: np.ndarray) -> Interval:
    return statistics.geometric_interval(finite(values))


def diagram(spots: Sequence[Spot]) -> Figure:
    """The plane in each table, and what tying costs over it.

    Colour: the pair's distance at the end over a control pair's, geometric mean over seeds; last,
    tied minus untied cross-entropy, mean over seeds. The line is the law's border: for untied
    inputs where decay alone leaves a tenth of the control pair's distance, for outputs where the
    log-odds ask for a tenth. Marks tell what the 95% interval says; hatched is what has no result.
    """
    figure, grid = panels(2, 2, 5.2, grid=False, sharex=True, sharey=True)
    ratios = colors.LogNorm(COLOURS_FROM, COLOURS_TO)
    for axes, place in zip(grid.flat, PLACES, strict=False):
        ends = [_geometric(spot.ends(place).ratio) for spot in spots]
        image = _heat(axes, spots, ends, "cividis", ratios)
        _border(axes, _grid(spots, [_mean_of_law(spot.ends(place).law_ratio) for spot in spots]))
        _marks(axes, spots, ends, MERGE_MARGIN, [end.high < MERGE_MARGIN for end in ends])
        axes.set_title(f"{name_of(place)} table")
        if axes is grid[0, 1]:
            bar = figure.colorbar(image, ax=grid[0], extend="both", label="distance / control")
            bar.ax.axhline(MERGE_MARGIN, color="white", linewidth=1.5)
            bar.ax.yaxis.set_major_locator(ticker.FixedLocator([0.02, MERGE_MARGIN, 0.5, 2]))
            bar.ax.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
            bar.ax.yaxis.set_minor_locator(ticker.NullLocator())
    axes, margin = grid[1, 1], MARGINS["loss"]
    ends = [_mean(spot.cost("loss")) for spot in spots]
    largest = finite([abs(end.estimate) for end in ends]).max(initial=margin)
    image = _heat(axes, spots, ends, "RdGy_r", colors.CenteredNorm(0, largest))
    _marks(axes, spots, ends, margin, [end.low > margin for end in ends])
    axes.set_title("what tying costs")
    figure.colorbar(image, ax=grid[1], label="tied minus untied (nats)")
    decays, p = by_decay(spots), _p(spots)
    grid[0, 0].set_yticks(range(len(decays)), [f"{value:g}" for value in decays])
    for axes in grid[:, 0]:
        axes.set_ylabel("weight decay")
    for axes in grid[1]:
        axes.set_xticks(range(len(p)), [f"{value:g}" for value in p], rotation=90, fontsize=8.5)
        axes.set_xlabel("p of the likelier synonym")
    keys = [
        key("border by the law", linewidth=2),
        key("merged; tying costs", linestyle="none", marker="o", mfc="white", markersize=5),
        key("open", linestyle="none", marker="d", mfc="none", markersize=5),
        Patch(label="no result", **HATCHED),
    ]
    legend(figure, *keys, columns=4)
    return figure


def _heat(
    axes: Axes, spots: Sequence[Spot], ends: list[Interval], colours: str, norm: colors.Normalize
) -> AxesImage:
    """Estimates over the plane; where there is none: hatched."""
    values = _grid(spots, [end.estimate for end in ends])
    for row, column in np.argwhere(np.isnan(values)):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, **HATCHED))
    look = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    return axes.imshow(np.ma.masked_invalid(values), colours, norm, **look)


def _marks(
    axes: Axes, spots: Sequence[Spot], ends: list[Interval], margin: float, beyond: list[bool]
) -> None:
    """A white dot where the interval is beyond the margin, a hollow diamond where it has it."""
    within = [end.low <= margin <= end.high for end in ends]
    for marked, marker, ground in ((beyond, "o", "white"), (within, "d", "none")):
        y, x = np.nonzero(_grid(spots, marked) == 1)
        look = {"marker": marker, "facecolor": ground, "edgecolor": BLACK, "linewidth": 0.9}
        axes.scatter(x, y, s=18, zorder=4, **look)


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
    figure, (row,) = panels(1, len(PLACES), 3.7, sharex=True, sharey=True)
    for axes, place in zip(row, PLACES, strict=True):
        axes.set_title(name_of(place))
        for own, x, look in _lines(spots):
            laws = [_mean_of_law(spot.ends(place).law) or np.nan for spot in own]  # 0 at p = 0.5
            axes.plot(x, laws, color=look["color"], linestyle="--", linewidth=1.2)
            bars(axes, x, [_geometric(spot.ends(place).distance) for spot in own], **look)
        _p_axis(axes, spots, (0.5, 0.7, 0.9, 0.97, 0.99))
    row[0].set_ylabel("distance at the end")
    if any(len(finite(spot.ends(place).distance)) for spot in spots for place in PLACES):
        row[0].set_yscale("log")  # which needs a number
    row[1].set_xlabel(P_LABEL)
    _legend(figure, spots, key("the law", color=GREY, linestyle="--"))
    return figure


def gaps(spots: Sequence[Spot]) -> Figure:
    """The gap of the two logits against p, and below how far it is from the log-odds.

    Means over seeds with 95% intervals, a line a decay; untied and tied.
    """
    rows = {
        "gap of the logits (nats)": lambda spot, tied: _mean(spot.gap(tied)),
        "gap minus log-odds (nats)": lambda spot, tied: _mean(spot.gap(tied) - spot.log_odds),
    }
    figure, grid = _by_tie(spots, rows)
    odds = sorted({spot.log_odds for spot in spots})
    for above, below in grid.T:
        above.plot(odds, odds, color=BLACK, linestyle="--", linewidth=1.3)
        for margin in (-ON_LAW, ON_LAW):
            below.axhline(margin, **MARGIN_LINE)
    _legend(figure, spots, key("log-odds", linestyle="--"), key("margin", **MARGIN_LINE))
    return figure


def attained(spots: Sequence[Spot]) -> Figure:
    """Accuracy over all strings as a share of what can be attained, and who learns the parity.

    Means and shares over seeds with 95% intervals, a line a decay; dotted: always guessing the
    likeliest symbol.
    """
    share = statistics.share_interval
    rows = {
        "accuracy, share of\nthe attainable": lambda spot, tied: _mean(spot.attained(tied)),
        "share of trials\nthat learn the parity": lambda spot, tied: share(spot.learned(tied)),
    }
    figure, grid = _by_tie(spots, rows)
    p = np.array(_p(spots))
    for axes in grid[0]:
        axes.plot(np.log(p / (1 - p)), p / (p + 0.5), color=BLACK, linestyle=":", linewidth=1.4)
    grid[1, 0].set_ylim(-0.03, 1.03)
    _legend(figure, spots, key("a guess", linestyle=":"))
    return figure


def _by_tie(
    spots: Sequence[Spot], rows: Mapping[str, Callable[[Spot, bool], Interval]]
) -> tuple[Figure, np.ndarray]:
    """Quantities against p with their intervals, a line a decay: a row each, a column a tie."""
    figure, grid = panels(len(rows), len(BOTH), 4.6, sharex=True, sharey="row")
    for row, (label, interval) in zip(grid, rows.items(), strict=True):
        for axes, tied in zip(row, BOTH, strict=True):
            for own, x, look in _lines(spots):
                bars(axes, x, [interval(spot, tied) for spot in own], **look)
            _p_axis(axes, spots)
        row[0].set_ylabel(label)
    for (first, *_, last), tied in zip(grid.T, BOTH, strict=True):
        first.set_title(tie_of(tied))
        last.set_xlabel(P_LABEL)
    return figure, grid


def costs(spots: Sequence[Spot], onsets: Mapping[tuple, Onset]) -> Figure:
    """What tying costs against p: a column a decay, above in cross-entropy, below in accuracy.

    Thin: a seed each; points: their mean with its 95% interval; line: the rising fit; dotted: the
    margin; shaded: the 95% interval of where the fit passes it.

    Args:
        onsets: as from :func:`semantica_lib.chapters.phase.measures.onsets_of`.
    """
    decays = by_decay(spots)
    figure, grid = panels(2, max(1, len(decays)), 4.4, sharex=True, sharey="row")
    for row, quantity in zip(grid, MARGINS, strict=True):
        for axes, (own, _, look) in zip(row, _lines(spots), strict=False):
            found = costs_of(own, quantity)
            if found.empty:
                continue
            x = np.log(found.columns / (1 - found.columns))
            axes.plot(x, found.to_numpy().T, color=GREY, linewidth=0.4, alpha=0.5)
            bars(axes, x, [_mean(found[p]) for p in found], **look, linestyle="none")
            axes.plot(x, rising(found), color=look["color"], linewidth=1.8)
            at = onsets[own[0].decay, quantity, False]
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
    keys = [
        key("a seed", color=GREY, linewidth=0.7),
        key("mean, 95% interval", marker="o", linestyle="none"),
        key("rising fit", linewidth=1.8),
        key("margin", **MARGIN_LINE),
        Patch(facecolor="0.85", label="where it passes, 95%"),
    ]
    legend(figure, *keys, columns=3)
    return figure


def _p(spots: Sequence[Spot]) -> list[float]:
    return sorted({spot.p for spot in spots})


def _grid(spots: Sequence[Spot], values: Sequence[float]) -> np.ndarray:
    """Values of the spots as ``(decay, p)``, nan where there is none."""
    p, decays = _p(spots), list(by_decay(spots))
    grid = np.full((max(1, len(decays)), max(1, len(p))), np.nan)
    for spot, value in zip(spots, values, strict=True):
        grid[decays.index(spot.decay), p.index(spot.p)] = value
    return grid


def _lines(spots: Sequence[Spot]) -> Iterator[tuple[list[Spot], np.ndarray, dict]]:
    """The spots of each decay by p, where they stand (none hides another), what they look like."""
    lines = by_decay(spots).values()
    colours = scale(len(lines))
    for index, own in enumerate(lines):
        x = np.array([spot.log_odds for spot in own]) + 0.03 * (index - (len(lines) - 1) / 2)
        yield own, x, {"color": colours[index], "marker": MARKERS[index % len(MARKERS)]}


def _legend(figure: Figure, spots: Sequence[Spot], *keys: Line2D) -> None:
    looks = zip(by_decay(spots), (look for *_, look in _lines(spots)), strict=True)
    decays = [key(f"decay {decay:g}", markersize=4, **look) for decay, look in looks]
    legend(figure, *decays, *keys, columns=3)


def _p_axis(axes: Axes, spots: Sequence[Spot], ticks: Sequence[float] = TICKS) -> None:
    """Have p along the lower edge, spaced by its log-odds: there the law is a straight line."""
    places = np.log(ticks) - np.log1p(-np.array(ticks))
    axes.set_xticks(places, [f"{p:g}" for p in ticks], fontsize=8.5)
    axes.set_xlim(-0.25, max([*places, *(spot.log_odds for spot in spots)]) + 0.25)
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if all(spot.measured is None for spot in spots):
        note(axes, "no results")


def _mean_of_law(values: np.ndarray) -> float:
    """Geometric mean of what is finite; 0 if one of it is, nan without any."""
    values = finite(values)
    return float(stats.gmean(values)) if len(values) else np.nan
