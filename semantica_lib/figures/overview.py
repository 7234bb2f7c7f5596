"""Figures of a whole: where the synonyms of all experiments end, and all distances of one."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullLocator

from semantica_lib.analysis import distances
from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.analysis.distances import SynonymPair, Table, Trials, end_of, synonym_pairs
from semantica_lib.analysis.markdown import names, pair_name, title
from semantica_lib.analysis.statistics import geometric_interval
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.figures import style
from semantica_lib.figures.curves import source
from semantica_lib.figures.style import BLACK, DH, GREY, key
from semantica_lib.store.results import Result, full_steps

TABLES = {"tied": TIED, "untied, input": INPUT, "untied, output": OUTPUT}
CELL = 0.37  # inches: five figures fit in it


def overview(results: Sequence[Result]) -> Figure:
    """Where every pair of synonyms of every result ends: a row a pair, a panel a table.

    Distances are means over the schedule's last full period, as a share of the median control
    pair's, on a logarithmic axis. Each seed is a point (a little off its row's middle, so that
    none hides another), their geometric mean a bar. Colour and marker say whether the
    distributional hypothesis (DH) holds for the pair, hollow points that the result is partial;
    the dotted line is the margin of a merge.
    """
    pairs = [synonym_pairs(xor_task(result.settings)) for result in results]
    heads = [_head(result, results) for result in results]
    count = max(1, sum(map(len, heads)) + sum(map(len, pairs)))
    figure, (panels,) = style.panels(1, 3, 1.6 + 0.25 * count, sharex=True, sharey=True)
    rows: list[str] = []
    for index, (result, own) in enumerate(zip(results, pairs, strict=True)):
        top, ground = len(rows), ("0.96", "white")[index % 2]
        rows += [*heads[index], *(pair_name(pair[:2]) for pair in own)]
        for axes, (name, (tied, table)) in zip(panels, TABLES.items(), strict=True):
            trials = Trials.of(result, tied, end_of(result))
            axes.axhspan(top - 0.5, len(rows) - 0.5, color=ground, linewidth=0, zorder=0)
            _missing(axes, top, _lacks(trials, own, name), ground)
            _group(axes, top + len(heads[index]), trials, own, table, not result.complete)
    for axes, name in zip(panels, TABLES, strict=True):
        axes.set(title=name, xlabel="share of\nthe control\npairs' distance")
        axes.axvline(MERGE_MARGIN, **style.MARGIN_LINE)
        axes.grid(axis="y", visible=False)
        if not results:
            style.note(axes, "no results")
    _shares(panels[0])
    panels[0].set_ylim(count - 0.5, -0.5)
    panels[0].set_yticks(range(len(rows)), rows)
    for label in panels[0].get_yticklabels():
        named = label.get_text() in [name for name, *_ in heads]
        label.set(fontsize=10 if named else 9, fontweight="bold" if named else "normal")
    style.legend(figure, *_keys(any(len(head) > 1 for head in heads)))
    return figure


def heat_map(result: Result) -> Figure:
    """How far apart all symbols end, in the tied, the untied input and the untied output table.

    A number is a Euclidean distance: its mean over the schedule's last full period, or the last
    record where there is no period yet, then the arithmetic mean over the seeds that did not
    diverge. All tables share one scale of colours, which goes by the square root of the distance,
    so that pairs that merged differ from pairs that are merely close.
    """
    task, window = xor_task(result.settings), end_of(result)
    used = np.arange(len(result.steps)) == len(result.steps) - 1 if window is None else window
    means, titles = {}, {}
    for name, (tied, table) in TABLES.items():
        trials = Trials.of(result, tied, window)
        seeds, diverged = len(trials.seeds), len(trials.diverged)
        titles[name] = f"{name}: {seeds} seed{'s' * (seeds != 1)}" if seeds else name
        titles[name] += f", {diverged} diverged" if diverged else ""
        if seeds and used.any():
            means[name] = distances.pairwise(trials.tables[table][:, used]).mean((0, 1))
    highest = max((mean.max() for mean in means.values()), default=0)
    colours = ScalarMappable(PowerNorm(0.5, 0, highest or 1), colormaps["viridis"])
    symbols = [_symbol(task, symbol) for symbol in range(task.vocabulary)]
    side = CELL * len(symbols)
    figure, grid = style.panels(2, 2, 2 * side + 2.3, 2 * side + 1.7, grid=False)
    grid = grid.ravel()
    for axes, name in zip(grid[[0, 2, 3]], TABLES, strict=True):
        axes.set_title(titles[name])
        axes.set(xlim=(-0.5, len(symbols) - 0.5), ylim=(len(symbols) - 0.5, -0.5), aspect="equal")
        axes.set_xticks(range(len(symbols)), symbols, rotation=90, fontsize=9)
        axes.set_yticks(range(len(symbols)), symbols, fontsize=9)
        if name in means:
            _matrix(axes, means[name], colours)
        else:
            style.note(axes, f"nothing measured of {name.partition(',')[0]} trials")
    grid[3].set_yticklabels([])  # as in the panel to its left
    grid[1].set_axis_off()
    bar = grid[1].inset_axes((0.05, 0.5, 0.9, 0.06))
    figure.colorbar(colours, cax=bar, orientation="horizontal", label="Euclidean distance")
    steps = [f"{step:,}" for step in result.steps[used]] or ["none"]
    whole = (
        f"no full period of the schedule yet,\nso the last record (step {steps[-1]}), mean"
        if window is None
        else "mean over the last full period of the schedule\n"
        f"(records of steps {steps[0]} to {steps[-1]}) and"
    )
    figure.suptitle(f"{title(result.settings.experiment)}: {whole} over seeds", fontsize=11)
    return figure


def _head(result: Result, beside: Sequence[Result]) -> list[str]:
    """A result's name, with whose it is if another has the same, and how far it is if partial."""
    own = result.settings
    twice = [other.settings.experiment for other in beside].count(own.experiment) > 1
    name = title(own.experiment) + f", {source(result)}" * twice
    if result.complete:
        return [name]
    return [name, f"partial, {result.manifest['steps_done']:,} of {full_steps(own):,} steps"]


def _lacks(trials: Trials, pairs: list[SynonymPair], name: str) -> str:
    """What there is not to be drawn of a result in the panel of this name."""
    if not pairs:
        return "no pair of synonyms"
    if not len(trials.seeds) and not trials.diverged:
        return f"no {name.partition(',')[0]} trials"
    counts = {"diverged": len(trials.diverged), "missing": len(trials.absent)}
    lacks = [f"{count} {what}" for what, count in counts.items() if count]
    return ", ".join(lacks + ["no full period yet"] * (trials.window is None))


def _missing(axes: Axes, row: int, text: str, ground: str) -> None:
    if text:
        box = {"facecolor": ground, "linewidth": 0, "pad": 1}
        look = {"fontsize": 8.5, "style": "italic", "color": GREY, "bbox": box}
        axes.text(0.02, row, text, transform=axes.get_yaxis_transform(), va="center", **look)


def _group(
    axes: Axes, row: int, trials: Trials, pairs: list[SynonymPair], table: Table, partial: bool
) -> None:
    """One result's pairs in one panel, from this row on."""
    if trials.window is None or not len(trials.seeds):
        return
    for y, pair in enumerate(pairs, row):
        ratio, _ = trials.ratio(table, pair[:2])
        colour, marker = DH[pair.conditionally_equivalent]
        spread = np.linspace(-0.2, 0.2, len(ratio)) if len(ratio) > 1 else np.zeros(1)
        look = {"facecolor": "none" if partial else colour, "edgecolor": colour, "alpha": 0.7}
        axes.scatter(ratio, y + spread, s=16, marker=marker, linewidth=0.9, zorder=4, **look)
        mean = geometric_interval(ratio).estimate
        axes.plot([mean, mean], [y - 0.4, y + 0.4], color=BLACK, linewidth=2.2, zorder=3)


def _shares(axes: Axes) -> None:
    """A logarithmic axis of shares that holds the margin and 1, its ticks at powers of 10."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, MERGE_MARGIN / 4) / 1.3, max(high, 2) * 1.3)
    axes.xaxis.set_major_locator(LogLocator(numticks=3))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(LogFormatterMathtext())  # short: 0.001 would touch 0.01


def _keys(partial: bool) -> Iterator[Line2D]:
    yield from pair_keys(": a seed each", linestyle="none")
    if partial:
        hollow = {"marker": "o", "fillstyle": "none", "linestyle": "none"}
        yield key("hollow: of a partial result", color=GREY, **hollow)
    bar = {"marker": "|", "markersize": 11, "markeredgewidth": 2.2, "linestyle": "none"}
    yield key("geometric mean over seeds", **bar)
    yield key(f"margin of a merge: {MERGE_MARGIN:.2f}", **style.MARGIN_LINE)


def _matrix(axes: Axes, mean: np.ndarray, colours: ScalarMappable) -> None:
    """Distances as coloured cells with their values, black or white, whichever reads better."""
    axes.imshow(mean, cmap=colours.cmap, norm=colours.norm)
    for (row, column), value in np.ndenumerate(mean):
        shade = np.array(colours.to_rgba(value)[:3])
        linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
        light = linear @ (0.2126, 0.7152, 0.0722) > 0.179  # WCAG: black has the higher contrast
        look = {"ha": "center", "va": "center", "fontsize": 7.5}
        axes.text(column, row, _number(value), color="black" if light else "white", **look)


def _symbol(task: XorTask, symbol: int) -> str:
    name = names(task)[symbol]
    if symbol >= task.symbols:
        return name
    never = "\nnever shown" if task.probability[symbol] == 0 else ""
    return f"{name} (bit {int(symbol >= len(task.zero_dst))}){never}"


def _number(value: float) -> str:
    """A distance in at most five characters."""
    if 0 < value < 0.005:
        return "<0.01"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}" if 0 < value < 99999 else f"{value:.0g}"


def pair_keys(words: str = "", **look: object) -> list[Line2D]:
    """The keys of pairs whose DH holds and of those whose DH fails, each with these words."""
    return [
        key(f"DH {verb}{words}", color=colour, marker=marker, **look)
        for verb, (colour, marker) in zip(("holds", "fails"), DH.values(), strict=True)
    ]
