"""Who shapes a tied table: its two gradients, and which untied table it is like, shown and told."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.markdown import markdown_table, number, title
from semantica_lib.analysis.statistics import finite, geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping import measures
from semantica_lib.chapters.shaping.measures import EXPERIMENTS, TABLES, Nearness, pulls, ratios
from semantica_lib.figures import style
from semantica_lib.figures.facts import in_short
from semantica_lib.figures.style import BLACK, GREY, TIES, key, note, panels
from semantica_lib.store.results import Result

LEVELS = [
    {"color": colour, "marker": marker, "linestyle": dash}
    for colour, marker, dash in zip(
        style.scale(5), "oDs^v", ("-", "--", "-.", ":", "-"), strict=True
    )
]
WHOSE = {  # tables of other seeds, or of the same
    False: {"color": BLACK, "marker": "o"},
    True: {"color": BLACK, "marker": "s", "fillstyle": "none"},
}
ASIDE = -0.17, 0.17  # where the two of a row stand
BAR = {"marker": "|", "markersize": 11, "markeredgewidth": 2}
BEFORE = 0.5  # where step 0 stands on a logarithmic axis, left of step 1


def over_steps(found: Sequence[Point]) -> Figure:
    """The output's share of the gradient, and the cosine of the two: a column a chosen point.

    Every trial is thin, their mean thick with its 95% band.
    """
    points = measures.chosen(found)
    figure, grid = panels(2, len(points), height=4.8, sharex=True, sharey="row")
    for (p, point), column in zip(points.items(), grid.T, strict=True):
        column[0].set_title(f"p = {p:g}: DH {'holds' if np.isclose(p, 0.5) else 'fails'}")
        there = {tied: got for tied in TIES if (got := pulls(point, tied)) and len(got.share)}
        for axes, level, quantity in zip(column, (0.5, 0.0), ("share", "cosine"), strict=True):
            axes.axvspan(BEFORE, measures.EARLY, color="0.95", linewidth=0, zorder=0)
            axes.axhline(level, **style.MARGIN_LINE)
            for tied, got in there.items():
                of, look = getattr(got, quantity), TIES[tied] | {"markersize": 4}
                steps = np.where(of.columns == 0, BEFORE, of.columns)
                axes.plot(steps, of.T, linewidth=0.6, alpha=0.35, **look | {"marker": ""})
                ends = [mean_interval(finite(of[step]))[:3] for step in of]
                mean, low, high = np.array(ends).T
                axes.plot(steps, mean, linewidth=2, **look)
                axes.fill_between(steps, low, high, color=look["color"], alpha=0.2, linewidth=0)
            if not there:
                note(axes, "not trained" if not point or not point.result else "not measured")
    first, below = grid[:, 0]
    first.set(ylim=(0, 1), ylabel="output's share\nof the gradient")
    below.set(ylim=(-1, 1), ylabel="cosine between the\ntwo gradients")
    for axes in grid[1]:
        axes.set_xlabel("optimizer steps")
    first.set_xscale("log")
    first.set_xlim(BEFORE * 0.8, 2e5)
    first.xaxis.set_major_locator(FixedLocator([BEFORE, 10, 1_000, 100_000]))
    first.xaxis.set_minor_locator(NullLocator())
    first.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: "0" if x == BEFORE else f"$10^{{{round(np.log10(x))}}}$")
    )
    style.legend(figure, *(key(tie_of(tied), **look) for tied, look in TIES.items()))
    return figure


def over_points(found: Sequence[Point]) -> Figure:
    """Early share, late share and late cosine of tied trials at every point of the sweep."""
    quantities = {
        "output's share, early": lambda got: measures.early(got.share),
        "output's share, late": lambda got: measures.late(got.share),
        "cosine, late": lambda got: measures.late(got.cosine),
    }
    figure, (row,) = panels(1, len(quantities), height=3.3, sharex=True)
    found = sorted(found, key=lambda point: measures.likelier(point.settings))
    there = [(one.settings, got) for one in found if (got := pulls(one, True)) and len(got.share)]
    decays = sorted({point.settings.weight_decay for point in found})
    for axes, (head, of) in zip(row, quantities.items(), strict=True):
        level, low = (0.0, -1) if axes is row[-1] else (0.5, 0)
        axes.set(title=head, xlabel="likelier synonym's p", xlim=(0.48, 1.02), ylim=(low, 1))
        axes.axhline(level, **style.MARGIN_LINE)
        for index, decay in enumerate(decays):
            mine = [(own, got) for own, got in there if own.weight_decay == decay]
            if mine:
                aside = 0.003 * (index - len(decays) / 2)
                places = [measures.likelier(own) + aside for own, _ in mine]
                ends = [mean_interval(finite(of(got))) for _, got in mine]
                look = LEVELS[index % len(LEVELS)] | {"linewidth": 1.2, "markersize": 4}
                style.bars(axes, places, ends, **look)
        if not there:
            note(axes, "not measured" if any(one.result for one in found) else "not trained")
    looks = zip(decays, LEVELS, strict=False)
    style.legend(figure, *(key(f"decay {decay:g}", **look) for decay, look in looks), columns=3)
    return figure


def alignment(found: Sequence[Nearness]) -> Figure:
    """The ratio of the residuals, and the residuals themselves: a row an experiment."""
    height = 1.7 + 0.36 * len(EXPERIMENTS)
    figure, ((left, right),) = panels(1, 2, height=height, sharey=True)
    by = {near.name: near for near in found}
    for row, name in enumerate(EXPERIMENTS):
        near = by.get(name)
        if near is None or near.window is None or not len(near.seeds):
            left.text(1, row, "no result", ha="center", va="center", color=GREY, fontsize=9)
            continue
        for at, (others, look) in zip(ASIDE, WHOSE.items(), strict=True):
            values = ratios(near, others)
            middle, low, high, _ = geometric_interval(values)
            left.plot(values, [row + at] * len(values), ".", color=GREY, markersize=3)
            left.plot([low, high], [row + at] * 2, color=BLACK, linewidth=1.2)
            left.plot(middle, row + at, **look)
        for at, table in zip(ASIDE, TABLES, strict=True):
            look, dot = style.TABLES[table], {"linestyle": "", "marker": ".", "markersize": 3}
            values, chance = near.others(near.end(table)), near.others(near.chance[table])
            right.plot(values, [row + at] * len(values), alpha=0.6, **look | dot)
            right.plot(values.mean(), row + at, **look)
            right.plot(chance.mean(), row + at, **look | BAR)
    left.axvline(1, **style.MARGIN_LINE)
    left.set_xscale("log")
    left.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5, 10]))
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel("residual from the output over\nthat from the input (log scale)")
    right.set(xlabel="residual from tables\nof other seeds", xlim=(0, 1))
    left.set_yticks(range(len(EXPERIMENTS)), map(title, EXPERIMENTS))
    left.set_ylim(len(EXPERIMENTS) - 0.5, -0.5)
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
    keys = [key("other seeds" if others else "same seed", **look) for others, look in WHOSE.items()]
    keys += [key(f"untied {table}", linestyle="", **look) for table, look in style.TABLES.items()]
    keys.append(key("random order", color=GREY, linestyle="", **BAR))
    style.legend(figure, *keys, columns=3)
    return figure


def alignment_over_steps(found: Sequence[Nearness]) -> Figure:
    """The residuals over training, a panel an experiment."""
    by = {near.name: near for near in found}
    figure, grid = panels(3, 3, height=6.9, sharey=True)
    for axes, name in zip(grid.flat, EXPERIMENTS, strict=True):
        axes.set_title(title(name), fontsize=9.5)
        style.step_axis(axes)
        axes.set_xlabel("optimizer steps" if axes in grid[-1] else "")
        near = by.get(name)
        if near is None or not len(near.seeds):
            note(axes, "no result")
            continue
        sparse = {"markersize": 4, "markevery": max(1, len(near.steps) // 5)}
        for table, look in style.TABLES.items():
            same, others = near.same(near.apart[table]), near.others(near.apart[table])
            axes.plot(near.steps, same.T, color=look["color"], linewidth=0.5, alpha=0.3)
            axes.plot(near.steps, same.mean(0), **look, **sparse)
            axes.plot(near.steps, others.mean(0), linestyle="--", **look, **sparse)
            chance = near.others(near.chance[table]).mean()
            axes.axhline(chance, color=look["color"], linestyle=":")
        axes.set_xticks([0, near.steps[-1] // 2])
    grid[0, 0].set_ylim(0, 1)
    for axes in grid[:, 0]:
        axes.set_ylabel("residual")
    ways = {"same seed": "-", "other seeds": "--", "random order": ":"}
    keys = [key(f"untied {table}", **look) for table, look in style.TABLES.items()]
    keys += [key(label, linestyle=dash) for label, dash in ways.items()]
    style.legend(figure, *keys, columns=3)
    return figure


def listed(sweep: str, found: Sequence[Point], named: Sequence[Result]) -> str:
    """What the page is made from, and how to get the rest."""
    told = {name: f"no complete result; `semantica run {name}` trains it" for name in EXPERIMENTS}
    told |= {one.settings.experiment: in_short(one) for one in named}
    lines = [f"- {title(name)}: {told[name]}." for name in EXPERIMENTS]
    trained = [point for point in found if point.result]
    measured = [point for point in trained if pulls(point, True)]
    return "\n".join(lines) + (
        f"\n- The sweep *{title(sweep)}*: {len(trained)} of {len(found)} points have a result, "
        f"{len(measured)} with measured gradients (results of an older version have none). "
        f"`semantica run {sweep}` trains what is missing."
        f"\n\n*{title('lstm-medium')}* is left out: it was not complete when the claims were fixed."
    )


def residuals(found: Sequence[Nearness]) -> str:
    """The residuals at the end beside what chance gives, a row an experiment and table."""
    lines = []
    for near in found:
        size = f"{len(near.rows)} in {near.settings.embedding_size}"
        begun = len(near.steps) and near.steps[0] == 0
        for table in TABLES:
            end, apart, chance = near.end(table), near.apart[table], near.chance[table]
            cells = [near.same(end), near.others(end)]
            cells += [near.others(apart[..., 0]) if begun else (), near.others(chance)]
            lines.append([title(near.name), size, f"untied {table}", *map(markdown.mean, cells)])
    heads = ["experiment", "rows in dimensions", "from", "same seed, end", "other seeds, end"]
    return markdown_table([*heads, "other seeds, begin", "random order, end"], lines)


def among(found: Sequence[Nearness]) -> str:
    """Mean residual between tables of one kind of two seeds, a row an experiment."""
    lines = []
    for near in found:
        apart = (near.others(near.among[kind]) for kind in measures.KINDS)
        lines.append(
            [title(near.name), *(number(one.mean() if one.size else None) for one in apart)]
        )
    return markdown_table(["experiment", "tied", "untied output", "untied input"], lines)


def open_rows(frame: pd.DataFrame) -> str:
    """The rows whose verdict differs from the prediction, each with the reason."""
    rows = frame[frame.deviation != ""]
    lines = [f"- {row.claim}: *{row.verdict}*. {row.deviation}" for row in rows.itertuples()]
    return "\n".join(lines) or "There is none."


def related_rows(found: Sequence[Point]) -> str:
    """The rank correlation of share and residual over seeds, a row a chosen point."""
    lines = [
        [f"{row.p:g}", str(row.seeds), number(row.correlation), number(row.chance)]
        for row in measures.related(found)
    ]
    if not lines:
        return "No point has both measured gradients and trials of either tie yet."
    return markdown_table(["p", "seeds", "rank correlation (negative: yes)", "p-value"], lines)
