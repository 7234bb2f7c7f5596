"""The two gradients of a tied table: figures, and a table as Markdown."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from semantica_lib.analysis.markdown import markdown_table, number
from semantica_lib.analysis.statistics import mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping.claims import (
    CHOSEN,
    EARLY,
    HALF,
    Pulls,
    chosen,
    likelier,
    pulls,
    related,
)
from semantica_lib.figures.style import (
    BLACK,
    BLUE,
    DOTS,
    GREEN,
    GREY,
    ORANGE,
    STYLE,
    WIDTH,
    legend,
    note,
)

TIES = {True: ("tied", BLUE, "o", "-"), False: ("untied", ORANGE, "s", "--")}
LEVELS = (
    (BLUE, "o", "-"),
    (ORANGE, "D", "--"),
    (GREEN, "s", "-."),
    (GREY, "^", ":"),
    (BLACK, "v", "-"),
)
DASHED = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1}
BEFORE = 0.5  # where step 0 stands on a logarithmic axis, left of step 1


def over_steps(found: Sequence[Point]) -> Figure:
    """The output's share of the gradient, and the cosine of the two: a column a chosen point."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.8), dpi=DOTS)
        panels = figure.subplots(2, len(CHOSEN), sharex=True, sharey="row")
    for (p, point), (above, below) in zip(chosen(found).items(), panels.T, strict=True):
        above.set_title(f"p = {p:g}: DH {'holds' if np.isclose(p, HALF) else 'fails'}")
        for axes, level in ((above, HALF), (below, 0.0)):
            axes.axvspan(BEFORE, EARLY, color="0.95", linewidth=0, zorder=0)
            axes.axhline(level, **DASHED)
        drawn = False
        for tied, (_, colour, marker, dash) in TIES.items():
            got = pulls(point, tied) if point else None
            if got is not None and len(got.seeds):
                drawn = True
                for axes, curves in ((above, got.share), (below, got.cosine)):
                    _course(axes, got, curves, colour, marker, dash)
        if not drawn:
            for axes in (above, below):
                note(axes, "not trained" if not point or not point.result else "not measured")
    panels[0, 0].set(ylim=(0, 1), ylabel="output's share\nof the gradient")
    panels[1, 0].set(ylim=(-1, 1), ylabel="cosine between the\ntwo gradients")
    for axes in panels[1]:
        axes.set_xlabel("optimizer steps")
    axes = panels[0, 0]
    axes.set_xscale("log")
    axes.set_xlim(BEFORE * 0.8, 2e5)
    axes.xaxis.set_major_locator(FixedLocator([BEFORE, 10, 1_000, 100_000]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: "0" if x == BEFORE else f"$10^{{{round(np.log10(x))}}}$")
    )
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle=dash, label=name)
        for name, colour, marker, dash in TIES.values()
    ]
    legend(figure, *keys)
    return figure


def _course(
    axes: Axes, got: Pulls, curves: np.ndarray, colour: tuple, marker: str, dash: str
) -> None:
    steps = np.where(got.steps == 0, BEFORE, got.steps)
    axes.plot(steps, curves.T, color=colour, linewidth=0.6, alpha=0.35, linestyle=dash)
    rows = [mean_interval(values[np.isfinite(values)])[:3] for values in curves.T]
    mean, low, high = np.array(rows).T
    axes.plot(steps, mean, color=colour, linewidth=2, linestyle=dash, marker=marker, markersize=4)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)


def over_points(found: Sequence[Point]) -> Figure:
    """Early share, late share and late cosine of tied trials at every point of the sweep."""
    heads = "output's share, early", "output's share, late", "cosine, late"
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.3), dpi=DOTS)
        panels = figure.subplots(1, len(heads), sharex=True)
    there = [(point, got) for point in found if (got := pulls(point, True)) and len(got.seeds)]
    decays = sorted({point.settings.weight_decay for point in found})
    for index, (axes, head) in enumerate(zip(panels, heads, strict=True)):
        axes.set(title=head, xlabel="likelier synonym's p", xlim=(0.48, 1.02))
        axes.axhline(HALF if index < 2 else 0.0, **DASHED)
        axes.set_ylim(*((0, 1) if index < 2 else (-1, 1)))
        for level, decay in enumerate(decays):
            rows = sorted(
                (likelier(point.settings), *mean_interval(_summaries(got)[index])[:3])
                for point, got in there
                if point.settings.weight_decay == decay
            )
            if rows:
                p, middle, low, high = np.array(rows).T
                colour, marker, dash = LEVELS[level % len(LEVELS)]
                axes.errorbar(
                    p + 0.003 * (level - len(decays) / 2), middle, [middle - low, high - middle],
                    color=colour, marker=marker, linestyle=dash, linewidth=1.2, markersize=4,
                    elinewidth=0.8,
                )  # fmt: skip
        if not there:
            note(axes, "not measured" if any(one.result for one in found) else "not trained")
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle=dash, label=f"decay {decay:g}")
        for decay, (colour, marker, dash) in zip(decays, LEVELS, strict=False)
    ]
    legend(figure, *keys, columns=3)
    return figure


def _summaries(got: Pulls) -> list[np.ndarray]:
    means = got.early(got.share), got.late(got.share), got.late(got.cosine)
    return [one.dropna().to_numpy() for one in means]


def related_rows(found: Sequence[Point]) -> str:
    """The rank correlation of share and residual over seeds, a row a chosen point."""
    rows = related(found)
    if not rows:
        return "No point has both measured gradients and trials of either tie yet."
    lines = [
        [f"{row.p:g}", str(row.seeds), number(row.correlation), number(row.chance)] for row in rows
    ]
    return markdown_table(["p", "seeds", "rank correlation (negative: yes)", "p-value"], lines)
