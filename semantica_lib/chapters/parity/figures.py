"""Which trials learn the parity, drawn and in tables: for the chapter about it."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.markdown import NONE, counted, geometric, markdown_table, number, share
from semantica_lib.analysis.sweep_points import name_of
from semantica_lib.chapters.parity.measures import Row, merging
from semantica_lib.figures import style
from semantica_lib.store.results import Result

LOOKS = {  # whether a trial learns: how it is drawn
    True: {"fillstyle": "full", "color": style.BLUE},
    False: {"fillstyle": "none", "color": style.GREY},
}


def matrix(rows: Sequence[Row]) -> Figure:
    """Which seeds learn where: a row a result and tie, a column a seed."""
    figure, ((axes,),) = style.panels(height=1.2 + 0.22 * max(3, len(rows)))
    if not rows:
        style.note(axes, "no results")
    for place, row in enumerate(rows):
        learned = row.learned.astype(bool)
        for learns, look in LOOKS.items():
            seeds = learned.index[learned == learns]
            axes.plot(seeds, [place] * len(seeds), "s", markersize=6, **look)
    axes.set_yticks(range(len(rows)), [f"{row.label}, {tie_of(row.tied)}" for row in rows])
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(11, integer=True))
    axes.set_xlabel("seed")
    axes.grid(False)
    keys = [
        style.key("learns" if learns else "does not", linestyle="", marker="s", **look)
        for learns, look in LOOKS.items()
    ]
    style.legend(figure, *keys)
    return figure


def shares(rows: Sequence[Row]) -> str:
    """How many trials of each result and tie learn, with the exact interval of the share."""
    lines = [[r.label, tie_of(r.tied), counted(r.learned), share(r.learned)] for r in rows]
    return markdown_table(["result", "tie", "learn", "share"], lines)


def by_learning(named: Sequence[tuple[str, Result]]) -> str:
    """How near pairs end in trials that learn and in those that do not, where there are both."""
    lines = []
    for label, result in named:
        for tied, table, (a, b), *either in merging(result):
            if all(map(len, either)):
                middles = [geometric(v) if len(v) > 1 else number(v[0]) for v in either]
                cells = [f"{middle} ({len(v)})" for middle, v in zip(middles, either, strict=True)]
                lines.append([label, name_of((tied, table)), f"{a} and {b}", *cells])
    heads = ["result", "table", "pair", "learn", "do not"]
    return markdown_table(heads, lines or [[NONE] * len(heads)])
