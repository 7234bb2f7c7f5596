"""The decay clock and the log-odds law, drawn and in tables: for the chapters on them."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullLocator

from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.log_odds import Odds, Source
from semantica_lib.analysis.markdown import NONE, geometric, markdown_table, mean
from semantica_lib.analysis.statistics import mean_interval
from semantica_lib.analysis.sweep_points import PLACES, name_of
from semantica_lib.chapters.laws.measures import CLASSES, SLOWER, SWEEP, Course, Swept, point_of
from semantica_lib.figures import style, tables
from semantica_lib.figures.facts import facts_of_run
from semantica_lib.figures.overview import pair_keys
from semantica_lib.figures.style import BLACK, DH, GREY

WHERES = tuple(map(name_of, PLACES))
OLDER = "stored before the gap of logits was measured"


def clock(made: Sequence[Course]) -> Figure:
    """What is left of each pair's distance against what decay alone would leave, both logarithmic.

    A column a table, a row each for pairs whose DH holds and fails. Time runs to the right. Thin:
    a seed each; thick: the geometric mean of one pair of one experiment; on the dashed diagonal
    lies what feels no gradient.
    """
    figure, grid = style.panels(2, len(WHERES), 5.6, sharex=True, sharey=True)
    least = 1.0
    for holds, row in zip(DH, grid, strict=True):
        for where, axes in zip(WHERES, row, strict=True):
            axes.set_title(f"{where}\nDH {'holds' if holds else 'fails'}", fontsize=10)
            drawn = [_course(axes, one) for one in made if (one.where, one.holds) == (where, holds)]
            if not any(drawn):
                style.note(axes, "no such pair")
            least = min([least, *drawn])
    for axes in grid.ravel():
        axes.set(xscale="log", yscale="log")
        axes.plot([least, 1], [least, 1], color=BLACK, linestyle="--", linewidth=1.4, zorder=5)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(numticks=5))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(LogFormatterMathtext())
    grid[0, 0].set_xlim(1.3, least / 1.5)
    grid[1, 1].set_xlabel("share left by decay alone (training runs to the right)")
    for axes in grid[:, 0]:
        axes.set_ylabel("share left, measured")
    keys = [
        *pair_keys(", mean", markeredgecolor=BLACK),
        style.key("a seed", color=GREY, linewidth=0.7),
        style.key("the clock", linestyle="--"),
    ]
    if not all(one.measured.complete for one in made):
        hollow = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        keys.append(style.key("hollow: partial result", color=GREY, **hollow))
    style.legend(figure, *keys, columns=3)
    return figure


def _course(axes: Axes, one: Course) -> float:
    """Draw one pair; the least that decay would leave, or 0 if there is nothing to draw."""
    colour, marker = DH[one.holds]
    factor, shrunk = one.measured.factor, one.shrunk[np.isfinite(one.shrunk).all(1)]
    if not len(shrunk) or not np.isfinite(factor).all():
        return 0.0
    mean = np.exp(np.log(shrunk).mean(0))
    axes.plot(factor, shrunk.T, color=colour, linewidth=0.5, alpha=0.3)
    axes.plot(factor, mean, color=colour, linewidth=1.8, zorder=4)
    look = {"marker": marker, "markersize": 6, "markeredgecolor": BLACK, "zorder": 6}
    look["markerfacecolor"] = colour if one.measured.complete else "white"
    axes.plot(factor[-1], mean[-1], color=colour, linestyle="none", **look)
    return float(factor[-1])


def classes(made: Sequence[Course]) -> str:
    """Each pair's place beside the clock with its ratio and 95% interval, a column a table."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for one in made:
        name = one.name if one.measured.complete else f"{one.name} (partial)"
        own = cells.setdefault((name, f"{one.words}, {one.dh}"), dict.fromkeys(WHERES, NONE))
        own[one.where] = f"*{one.class_}*: {geometric(one.ratio)}"
    lines = [[*head, *of.values()] for head, of in cells.items()]
    return markdown_table(["experiment", "pair", *WHERES], lines)


def counted(made: Sequence[Course]) -> str:
    """How many pairs of complete results are of which class, by table and DH."""
    whole, lines = [one for one in made if one.measured.complete], []
    for where, holds in product(WHERES, DH):
        own = [one.class_ for one in whole if (one.where, one.holds) == (where, holds)]
        counts = [str(own.count(word)) for word in CLASSES]
        lines.append([where, "holds" if holds else "fails", str(len(own)), *counts])
    return markdown_table(["table", "DH", "pairs", *CLASSES], lines)


def resisted(made: Sequence[Course]) -> str:
    """Which untied input pairs of complete results are surely over the clock, in words."""
    inputs = [one for one in made if one.measured.complete and one.where == WHERES[0]]
    late = "; ".join(f"{one.name}, {one.words}" for one in inputs if one.class_ == SLOWER)
    words = "Untied input pairs of complete results that are slower than the clock"
    return f"{words}: {late or 'none'}."


def gaps(made: Sequence[Odds]) -> Figure:
    """Where each gap of two logits ends, beside the log-odds: a row a pair, a panel a tie.

    Points are the seeds' means over contexts and the schedule's last full period, the thick bar
    their mean's 95% interval; the thin line spans the least to the greatest gap of any context,
    each the mean over seeds. The upright dashes are the log-odds.
    """
    complete = {(one.label, one.words): one.measured.complete for one in made}
    rows, height = list(complete), max(3, len(complete))
    figure, (both,) = style.panels(1, len(BOTH), 1.6 + 0.27 * height, sharex=True, sharey=True)
    for tied, axes in zip(BOTH, both, strict=True):
        axes.set_title(tie_of(tied))
        axes.set_xlabel("gap of the logits (nats)")
        axes.grid(axis="y", visible=False)
        if not rows:
            style.note(axes, "no results")
        for one in (one for one in made if one.tied == tied):
            _gap(axes, rows.index((one.label, one.words)), one)
    names = [f"{row[0]}{' (partial)' * (not complete[row])}: {row[1]}" for row in rows]
    both[0].set_yticks(range(len(rows)), names, fontsize=9)
    both[0].set_ylim(height - 0.5, -0.5)
    keys = [
        *pair_keys(": a seed each", linestyle="none"),
        style.key("mean over seeds, 95% interval", linewidth=3),
        style.key("least to greatest context", color=GREY, linewidth=1),
        style.key("log-odds", linestyle="--"),
    ]
    style.legend(figure, *keys)
    return figure


def _gap(axes: Axes, y: int, one: Odds) -> None:
    """One pair of one result in one panel; where there is nothing, why."""
    upright = {"linestyle": (0, (2, 1)), "linewidth": 1.5}
    axes.plot([one.odds] * 2, [y - 0.45, y + 0.45], color=BLACK, **upright)
    end = one.end[np.isfinite(one.end).all(1)]
    if not len(end):
        why = "not measured" if one.gaps is None else "nothing at the end"
        look = {"va": "center", "ha": "center", "fontsize": 8.5, "style": "italic", "color": GREY}
        axes.text(0.6, y, why, transform=axes.get_yaxis_transform(), **look)
        return
    colour, marker = DH[one.odds == 0]
    axes.plot(end[:, 1:].mean(0), [y, y], color=GREY, linewidth=1, marker="|")
    spread = np.linspace(-0.25, 0.25, len(end)) if len(end) > 1 else np.zeros(1)
    axes.scatter(end[:, 0], y + spread, s=14, marker=marker, color=colour, alpha=0.7, zorder=3)
    bounds = mean_interval(end[:, 0])[1:3]
    axes.plot(bounds, [y, y], color=BLACK, linewidth=3, zorder=4)


def gap_course(made: Sequence[Odds]) -> Figure:
    """The gaps of one result's pairs over training, a panel a tie.

    Thin: a seed's mean over contexts; thick: the mean over seeds with its 95% band; dotted: least
    and greatest gap of any context, each the mean over seeds; dashed: the log-odds.
    """
    figure, (row,) = style.panels(1, len(BOTH), sharex=True, sharey=True)
    for tied, axes in zip(BOTH, row, strict=True):
        axes.set_title(tie_of(tied))
        style.step_axis(axes)
        own = [one for one in made if one.tied == tied]
        there = [one for one in own if one.gaps is not None and len(one.gaps)]
        if not there:
            old = any(one.gaps is None for one in own)
            style.note(axes, OLDER.replace("before ", "before\n") if old else "no trials")
            axes.set_xticks([])
        for one in there:
            colour, marker = DH[one.odds == 0]
            style.draw_seeds(axes, one.steps, one.gaps[..., 0], "both", marker, color=colour)
            axes.plot(one.steps, one.gaps[..., 1:].mean(0), color=colour, linestyle=":")
            axes.axhline(one.odds, color=BLACK, linestyle="--", linewidth=1.3)
    row[0].set_ylabel("gap of the logits (nats)")
    dotted = style.key("least and greatest context", color=GREY, linestyle=":")
    style.legend(figure, *pair_keys(), dotted, style.key("log-odds", linestyle="--"))
    return figure


def shortfalls(made: Sequence[Odds]) -> str:
    """What each gap of unequal odds falls short by, and how it differs between contexts."""
    lines = []
    for one in (one for one in made if one.odds > 0 and one.gaps is not None):
        short = one.shortfall
        cells = [mean(of) for of in (one.end[:, 0], short, short[one.learned], one.spread)]
        lines.append([one.label, tie_of(one.tied), one.words, f"{one.odds:.3f}", *cells])
    heads = ["result", "tie", "pair", "log-odds", "gap", "log-odds minus gap"]
    return markdown_table([*heads, "of trials that learned", "greatest minus least context"], lines)


def older(made: Sequence[Odds]) -> str:
    """Of which results only the bound can be told."""
    names = ", ".join(dict.fromkeys(one.label for one in made if one.gaps is None))
    return f"{OLDER.capitalize()}, so that only the bound is told: {names}." if names else ""


def absent(swept: Sequence[Swept]) -> str:
    """Which points of the sweep have no result, and the command that trains them."""
    lacks = "; ".join(point_of(own) for own, result in swept if not result)
    return f"No result yet: {lacks}. `semantica run {SWEEP}` trains them." if lacks else ""


def listed(sources: Sequence[Source]) -> str:
    """Which results a chapter is made from."""
    lines, told = [], "{seed_count} seeds ({seeds}), {ties}, {steps} steps, {source}"
    for label, result in sources:
        partial = "" if result.complete else f" ({tables.steps(result)})"
        made = f"{told}, commit {{commit}}".format(**facts_of_run(result))
        lines.append(f"- {label}{partial}: {made}.")
    lines = lines or ["There is no result yet; `semantica run transformer-small` makes one."]
    return "\n".join(lines)
