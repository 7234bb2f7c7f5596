"""Which trials learn the parity, drawn and in tables: for the chapter about it."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.markdown import NONE, markdown_table, number, with_interval
from semantica_lib.analysis.statistics import geometric_interval, share_interval
from semantica_lib.analysis.sweep_points import name_of
from semantica_lib.chapters.parity.measures import Row, merging
from semantica_lib.figures.style import BLUE, DOTS, GREY, STYLE, WIDTH, legend, note
from semantica_lib.store.results import Result


def matrix(rows: Sequence[Row]) -> Figure:
    """Which seeds learn where: a row a result and tie, a column a seed."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.2 + 0.22 * max(3, len(rows))), dpi=DOTS)
        axes = figure.subplots()
    if not rows:
        note(axes, "no results")
    for place, row in enumerate(rows):
        for fill, chosen in (("full", row.learned), ("none", ~row.learned.astype(bool))):
            seeds = row.learned.index[chosen.astype(bool)]
            axes.plot(seeds, [place] * len(seeds), linestyle="", marker="s", markersize=6,
                      fillstyle=fill, color=BLUE if fill == "full" else GREY)  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{row.label}, {tie_of(row.tied)}" for row in rows])
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(11, integer=True))
    axes.set_xlabel("seed")
    axes.grid(False)
    keys = [
        Line2D([], [], linestyle="", marker="s", fillstyle=fill, color=colour, label=label)
        for fill, colour, label in (("full", BLUE, "learns"), ("none", GREY, "does not"))
    ]
    legend(figure, *keys)
    return figure


def shares(rows: Sequence[Row]) -> str:
    """How many trials of each result and tie learn, with the exact interval of the share."""
    lines = []
    for row in rows:
        share = share_interval(row.learned.to_numpy(bool))
        counts = f"{int(row.learned.sum())} of {len(row.learned)}"
        lines.append([row.label, tie_of(row.tied), counts, with_interval(share)])
    return markdown_table(["result", "tie", "learn", "share"], lines)


def by_learning(named: Sequence[tuple[str, Result]]) -> str:
    """How near pairs end in trials that learn and in those that do not, where there are both."""
    lines = []
    for label, result in named:
        for tied, table, (a, b), *either in merging(result):
            if all(len(values) for values in either):
                cells = []
                for values in either:
                    middle, low, high, _ = geometric_interval(values)
                    bounds = f" [{number(low)}, {number(high)}]" if len(values) > 1 else ""
                    cells.append(f"{number(middle)}{bounds} ({len(values)})")
                where = name_of((tied, table))
                lines.append([label, where, f"{a} and {b}", *cells])
    return markdown_table(["result", "table", "pair", "learn", "do not"], lines or [[NONE] * 5])
