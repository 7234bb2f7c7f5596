"""The decay clock and the log-odds law, drawn and in tables: for the chapters on them."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullLocator

from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.log_odds import Odds, Source
from semantica_lib.analysis.markdown import NONE, markdown_table, with_interval
from semantica_lib.analysis.statistics import geometric_interval, mean_interval
from semantica_lib.chapters.laws.measures import CLASSES, OLDER, SWEEP, Course
from semantica_lib.figures import tables
from semantica_lib.figures.facts import facts_of_run
from semantica_lib.figures.overview import LOOKS
from semantica_lib.figures.style import (
    BLACK,
    DOTS,
    GREY,
    STYLE,
    WIDTH,
    draw_seeds,
    legend,
    note,
    step_axis,
)
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

WHERES = "untied input", "untied output", "tied"


def clock(made: Sequence[Course]) -> Figure:
    """What is left of each pair's distance against what decay alone would leave, both logarithmic.

    A column a table, a row each for pairs whose DH holds and fails. Time runs to the right. Thin:
    a seed each; thick: the geometric mean of one pair of one experiment; on the dashed diagonal
    lies what feels no gradient.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 5.6), dpi=DOTS)
        grid = figure.subplots(2, len(WHERES), sharex=True, sharey=True)
    least = 1.0
    for holds, row in zip(BOTH[::-1], grid, strict=True):
        for where, axes in zip(WHERES, row, strict=True):
            axes.set_title(f"{where}\nDH {'holds' if holds else 'fails'}", fontsize=10)
            drawn = [_course(axes, one) for one in made if (one.where, one.holds) == (where, holds)]
            if not any(drawn):
                note(axes, "no such pair")
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
    legend(figure, *_clock_keys(any(not one.measured.complete for one in made)), columns=3)
    return figure


def _course(axes: Axes, one: Course) -> float:
    """Draw one pair; the least that decay would leave, or 0 if there is nothing to draw."""
    colour, marker = LOOKS[one.holds]
    there = np.isfinite(one.shrunk).all(1)
    if not there.any() or not np.isfinite(one.factor).all():
        return 0.0
    shrunk = one.shrunk[there]
    mean = np.exp(np.log(shrunk).mean(0))
    axes.plot(one.factor, shrunk.T, color=colour, linewidth=0.5, alpha=0.3)
    axes.plot(one.factor, mean, color=colour, linewidth=1.8, zorder=4)
    axes.plot(
        one.factor[-1], mean[-1], marker, color=colour, markersize=6, zorder=6,
        markerfacecolor=colour if one.measured.complete else "white", markeredgecolor=BLACK,
    )  # fmt: skip
    return float(one.factor[-1])


def _clock_keys(partial: bool) -> Iterator[Line2D]:
    for holds, (colour, marker) in LOOKS.items():
        words = f"DH {'holds' if holds else 'fails'}, mean"
        yield Line2D([], [], color=colour, marker=marker, markeredgecolor=BLACK, label=words)
    yield Line2D([], [], color=GREY, linewidth=0.7, label="a seed")
    yield Line2D([], [], color=BLACK, linestyle="--", label="the clock")
    if partial:
        yield Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none",
                     label="hollow: partial result")  # fmt: skip


def classes(made: Sequence[Course]) -> str:
    """Each pair's place beside the clock with its ratio and 95% interval, a column a table."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for one in made:
        pair = f"{one.pair[0]} and {one.pair[1]}, DH {'holds' if one.holds else 'fails'}"
        name = one.name if one.measured.complete else f"{one.name} (partial)"
        ratio = geometric_interval(one.ratio[np.isfinite(one.ratio)])
        cells.setdefault((name, pair), {})[one.where] = f"*{one.class_}*: {with_interval(ratio)}"
    lines = [[*head, *(of.get(where, NONE) for where in WHERES)] for head, of in cells.items()]
    return markdown_table(["experiment", "pair", *WHERES], lines)


def counted(made: Sequence[Course]) -> str:
    """How many pairs of complete results are of which class, by table and DH."""
    whole, lines = [one for one in made if one.measured.complete], []
    for where in WHERES:
        for holds in BOTH[::-1]:
            own = [one.class_ for one in whole if (one.where, one.holds) == (where, holds)]
            counts = [str(own.count(word)) for word in CLASSES]
            lines.append([where, "holds" if holds else "fails", str(len(own)), *counts])
    return markdown_table(["table", "DH", "pairs", *CLASSES], lines)


def resisted(made: Sequence[Course]) -> str:
    """Which untied input pairs of complete results are surely over the clock, in words."""
    late = [
        f"{one.name}, {one.pair[0]} and {one.pair[1]}"
        for one in made
        if one.measured.complete and one.where == WHERES[0] and one.class_ == "slower"
    ]
    words = "Untied input pairs of complete results that are slower than the clock"
    return f"{words}: {'; '.join(late) or 'none'}."


def gaps(made: Sequence[Odds]) -> Figure:
    """Where each gap of two logits ends, beside the log-odds: a row a pair, a panel a tie.

    Points are the seeds' means over contexts and the schedule's last full period, the thick bar
    their mean's 95% interval; the thin line spans the least to the greatest gap of any context,
    each the mean over seeds. The upright dashes are the log-odds.
    """
    rows = list(dict.fromkeys((one.label, one.pair) for one in made))
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.6 + 0.27 * max(3, len(rows))), dpi=DOTS)
        panels = figure.subplots(1, len(BOTH), sharex=True, sharey=True)
    for tied, axes in zip(BOTH, panels, strict=True):
        axes.set_title(tie_of(tied))
        axes.set_xlabel("gap of the logits (nats)")
        axes.grid(axis="y", visible=False)
        if not rows:
            note(axes, "no results")
        for one in made:
            if one.tied == tied:
                _gap(axes, rows.index((one.label, one.pair)), one)
    names = [
        f"{label}{'' if _complete(made, label) else ' (partial)'}: {b} over {a}"
        for label, (a, b) in rows
    ]
    panels[0].set_yticks(range(len(rows)), names, fontsize=9)
    panels[0].set_ylim(max(3, len(rows)) - 0.5, -0.5)
    legend(
        figure,
        *(Line2D([], [], color=colour, marker=marker, linestyle="none",
                 label=f"DH {'holds' if holds else 'fails'}: a seed each")
          for holds, (colour, marker) in LOOKS.items()),
        Line2D([], [], color=BLACK, linewidth=3, label="mean over seeds, 95% interval"),
        Line2D([], [], color=GREY, linewidth=1, label="least to greatest context"),
        Line2D([], [], color=BLACK, linestyle="--", label="log-odds"),
    )  # fmt: skip
    return figure


def _complete(made: Sequence[Odds], label: str) -> bool:
    return all(one.measured.complete for one in made if one.label == label)


def _gap(axes: Axes, y: int, one: Odds) -> None:
    """One pair of one result in one panel; where there is nothing, why."""
    axes.plot([one.odds] * 2, [y - 0.45, y + 0.45], color=BLACK, linestyle=(0, (2, 1)),
              linewidth=1.5)  # fmt: skip
    end = one.end[np.isfinite(one.end).all(1)]
    if not len(end):
        why = "not measured" if one.gaps is None else "nothing at the end"
        axes.text(0.6, y, why, transform=axes.get_yaxis_transform(), va="center", ha="center",
                  fontsize=8.5, style="italic", color=GREY)  # fmt: skip
        return
    colour, marker = LOOKS[one.odds == 0]
    axes.plot([end[:, 1].mean(), end[:, 2].mean()], [y, y], color=GREY, linewidth=1, marker="|")
    spread = np.linspace(-0.25, 0.25, len(end)) if len(end) > 1 else np.zeros(1)
    axes.scatter(end[:, 0], y + spread, s=14, marker=marker, color=colour, alpha=0.7, zorder=3)
    mean = mean_interval(end[:, 0])
    axes.plot([mean.low, mean.high], [y, y], color=BLACK, linewidth=3, zorder=4)


def gap_course(made: Sequence[Odds]) -> Figure:
    """The gaps of one result's pairs over training, a panel a tie.

    Thin: a seed's mean over contexts; thick: the mean over seeds with its 95% band; dotted: least
    and greatest gap of any context, each the mean over seeds; dashed: the log-odds.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.5), dpi=DOTS)
        panels = figure.subplots(1, len(BOTH), sharex=True, sharey=True)
    for tied, axes in zip(BOTH, panels, strict=True):
        axes.set_title(tie_of(tied))
        step_axis(axes)
        own = [one for one in made if one.tied == tied]
        there = [one for one in own if one.gaps is not None and len(one.gaps)]
        if not there:
            older = any(one.gaps is None for one in own)
            note(axes, OLDER.replace("before ", "before\n") if older else "no trials")
            axes.set_xticks([])
        for one in there:
            colour, marker = LOOKS[one.odds == 0]
            draw_seeds(axes, one.steps, one.gaps[..., 0], "both", marker, color=colour)
            axes.plot(one.steps, one.gaps[..., 1:].mean(0), color=colour, linestyle=":")
            axes.axhline(one.odds, color=BLACK, linestyle="--", linewidth=1.3)
    panels[0].set_ylabel("gap of the logits (nats)")
    legend(
        figure,
        *(Line2D([], [], color=colour, marker=marker, label=f"DH {'holds' if holds else 'fails'}")
          for holds, (colour, marker) in LOOKS.items()),
        Line2D([], [], color=GREY, linestyle=":", label="least and greatest context"),
        Line2D([], [], color=BLACK, linestyle="--", label="log-odds"),
    )  # fmt: skip
    return figure


def shortfalls(made: Sequence[Odds]) -> str:
    """What each gap of unequal odds falls short by, and how it differs between contexts."""
    lines = []
    for one in (one for one in made if one.odds > 0 and one.gaps is not None):
        cells = [with_interval(mean_interval(values[np.isfinite(values)]))
                 for values in (one.end[:, 0], one.shortfall, one.shortfall[one.learned],
                                one.spread)]  # fmt: skip
        pair = f"{one.pair[1]} over {one.pair[0]}"
        lines.append([one.label, tie_of(one.tied), pair, f"{one.odds:.3f}", *cells])
    heads = (
        "result",
        "tie",
        "pair",
        "log-odds",
        "gap",
        "log-odds minus gap",
        "of trials that learned",
    )
    return markdown_table([*heads, "greatest minus least context"], lines)


def older(made: Sequence[Odds]) -> str:
    """Of which results only the bound can be told."""
    names = list(dict.fromkeys(one.label for one in made if one.gaps is None))
    told = f"{OLDER.capitalize()}, so that only the bound is told: {', '.join(names)}."
    return told if names else ""


def absent(swept: Sequence[tuple[Settings, Result | None]]) -> str:
    """Which points of the sweep have no result, and the command that trains them."""
    lacks = [f"decay {own.weight_decay:g}, {own.expectation} loss" for own, one in swept if not one]
    told = f"No result yet: {'; '.join(lacks)}. `semantica run {SWEEP}` trains them."
    return told if lacks else ""


def listed(sources: Sequence[Source]) -> str:
    """Which results a chapter is made from."""
    lines = []
    for label, result in sources:
        made = facts_of_run(result)
        partial = "" if result.complete else f" ({tables.steps(result)})"
        lines.append(
            f"- {label}{partial}: {made['seed_count']} seeds ({made['seeds']}), {made['ties']}, "
            f"{made['steps']} steps, {made['source']}, commit {made['commit']}."
        )
    return (
        "\n".join(lines) or "There is no result yet; `semantica run transformer-small` makes one."
    )
