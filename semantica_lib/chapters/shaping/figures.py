"""Who shapes a tied table: figures, and tables as Markdown."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter

from semantica_lib.analysis.distances import Table
from semantica_lib.analysis.markdown import markdown_table, number, with_interval
from semantica_lib.analysis.statistics import geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping.measures import EXPERIMENTS, TABLES, Nearness, ratios
from semantica_lib.chapters.shaping.claims import pulls
from semantica_lib.figures.facts import facts_of_run
from semantica_lib.figures.style import (
    BLACK,
    BLUE,
    DOTS,
    GREY,
    ORANGE,
    STYLE,
    WIDTH,
    legend,
    note,
    step_axis,
)
from semantica_lib.store.results import Result

LOOKS: dict[Table, tuple] = {"output": (BLUE, "o"), "input": (ORANGE, "D")}
DASHED = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1}


def alignment(found: Sequence[Nearness]) -> Figure:
    """The ratio of the residuals, and the residuals themselves: a row an experiment."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.7 + 0.36 * len(EXPERIMENTS)), dpi=DOTS)
        left, right = figure.subplots(1, 2, sharey=True)
    by = {near.name: near for near in found}
    for row, near in ((row, by.get(name)) for row, name in enumerate(EXPERIMENTS)):
        if near is None or near.window is None or not len(near.seeds):
            left.text(1, row, "no result", ha="center", va="center", color=GREY, fontsize=9)
            continue
        for others, aside, marker, fill in ((False, -0.17, "o", "full"), (True, 0.17, "s", "none")):
            values = ratios(near, others)
            middle, low, high, _ = geometric_interval(values)
            left.plot(values, np.full(len(values), row + aside), ".", color=GREY, markersize=3)
            left.plot([low, high], [row + aside] * 2, color=BLACK, linewidth=1.2)
            left.plot(middle, row + aside, color=BLACK, marker=marker, fillstyle=fill)
        for table, aside in zip(TABLES, (-0.17, 0.17), strict=True):
            colour, marker = LOOKS[table]
            values = near.others(near.end(table))
            right.plot(values, np.full(len(values), row + aside), ".", color=colour,
                       markersize=3, alpha=0.6)  # fmt: skip
            right.plot(values.mean(), row + aside, color=colour, marker=marker)
            right.plot(near.others(near.chance[table]).mean(), row + aside, color=colour,
                       marker="|", markersize=11, markeredgewidth=2)  # fmt: skip
    left.axvline(1, **DASHED)
    left.set_xscale("log")
    left.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5, 10]))
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel("residual from the output over\nthat from the input (log scale)")
    right.set_xlabel("residual from tables\nof other seeds")
    right.set_xlim(0, 1)
    left.set_yticks(range(len(EXPERIMENTS)), EXPERIMENTS)
    left.set_ylim(len(EXPERIMENTS) - 0.5, -0.5)
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
    whose = [
        Line2D([], [], color=BLACK, marker=marker, fillstyle=fill, label=label)
        for marker, fill, label in (("o", "full", "same seed"), ("s", "none", "other seeds"))
    ]
    order = Line2D([], [], color=GREY, marker="|", linestyle="", markersize=11, markeredgewidth=2,
                   label="random order")  # fmt: skip
    legend(figure, *whose, *_tables(""), order, columns=3)
    return figure


def _tables(dash: str) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, linestyle=dash, label=f"untied {table}")
        for table, (colour, marker) in LOOKS.items()
    ]


def alignment_over_steps(found: Sequence[Nearness]) -> Figure:
    """The residuals over training, a panel an experiment."""
    by = {near.name: near for near in found}
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 6.9), dpi=DOTS)
        panels = figure.subplots(3, 3, sharey=True)
    for axes, name in zip(panels.ravel(), EXPERIMENTS, strict=True):
        axes.set_title(name, fontsize=9.5)
        step_axis(axes)
        axes.set_xlabel("")
        near = by.get(name)
        if near is None or not len(near.seeds):
            note(axes, "no result")
            continue
        for table, (colour, marker) in LOOKS.items():
            same, others = near.same(near.apart[table]), near.others(near.apart[table])
            look = {"color": colour, "marker": marker, "markersize": 4}
            look["markevery"] = max(1, len(near.steps) // 5)
            axes.plot(near.steps, same.T, color=colour, linewidth=0.5, alpha=0.3)
            axes.plot(near.steps, same.mean(0), **look)
            axes.plot(near.steps, others.mean(0), linestyle="--", **look)
            axes.axhline(near.others(near.chance[table]).mean(), color=colour, linestyle=":")
        axes.set_xticks([0, near.steps[-1] // 2])
    panels[0, 0].set_ylim(0, 1)
    for axes in panels[:, 0]:
        axes.set_ylabel("residual")
    for axes in panels[-1]:
        axes.set_xlabel("optimizer steps")
    ways = [
        Line2D([], [], color=BLACK, linestyle=dash, label=label)
        for dash, label in (("-", "same seed"), ("--", "other seeds"), (":", "random order"))
    ]
    legend(figure, *_tables("-"), *ways, columns=3)
    return figure


def listed(sweep: str, found: Sequence[Point], named: Sequence[Result]) -> str:
    """What the page is made from, and how to get the rest."""
    lines = []
    by = {one.settings.experiment: one for one in named}
    for name in EXPERIMENTS:
        if name in by:
            made = facts_of_run(by[name])
            lines.append(
                f"- {name}: {made['seed_count']} seeds, {made['ties']}, {made['steps']} steps, "
                f"{made['source']}; commit {made['commit']}."
            )
        else:
            lines.append(f"- {name}: no complete result; `semantica run {name}` trains it.")
    trained = [point for point in found if point.result]
    measured = [point for point in trained if pulls(point, True) is not None]
    lines += [
        f"- The sweep {sweep}: {len(trained)} of {len(found)} points have a result, "
        f"{len(measured)} with measured gradients (results of an older version have none). "
        f"`semantica run {sweep}` trains what is missing.",
        "\nlstm-medium, which is trained in part only, is left out.",
    ]
    return "\n".join(lines)


def residuals(found: Sequence[Nearness]) -> str:
    """The residuals at the end beside what chance gives, a row an experiment and table."""
    lines = []
    for near in found:
        for table in TABLES:
            end, begun = near.end(table), near.apart[table][..., 0]
            whole = len(near.steps) and near.steps[0] == 0
            cells = [near.same(end), near.others(end)]
            cells += [near.others(begun) if whole else np.empty(0), near.others(near.chance[table])]
            size = f"{len(near.rows)} in {near.settings.embedding_size}"
            told = [with_interval(mean_interval(one[np.isfinite(one)])) for one in cells]
            lines.append([near.name, size, f"untied {table}", *told])
    heads = ["experiment", "rows in dimensions", "from", "same seed, end", "other seeds, end"]
    return markdown_table([*heads, "other seeds, begin", "random order, end"], lines)


def among(found: Sequence[Nearness]) -> str:
    """Mean residual between tables of one kind of two seeds, a row an experiment."""
    kinds = ("tied", "output", "input")
    lines = [
        [near.name, *(number(_mean(near.others(near.among[kind]))) for kind in kinds)]
        for near in found
    ]
    return markdown_table(["experiment", "tied", "untied output", "untied input"], lines)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


def open_rows(frame: pd.DataFrame) -> str:
    """The rows whose verdict differs from the prediction, each with the reason."""
    rows = frame[frame.deviation != ""]
    lines = [f"- {row.claim}: *{row.verdict}*. {row.deviation}" for row in rows.itertuples()]
    return "\n".join(lines) or "There is none."
