"""The validation's contrasts, and which side each table of a real model follows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semantica_lib.chapters.models.validation import Row
from semantica_lib.checkpoints.measures.rows import CLEANINGS
from semantica_lib.checkpoints.measures.sides import MARGIN
from semantica_lib.figures.style import BLACK, GREY, MARGIN_LINE, WIDTH, key, legend, note, panels

LOOKS = {
    "+": ("over 0", {"color": BLACK, "marker": "o"}),
    "0": ("nothing", {"color": GREY, "marker": "s", "markerfacecolor": "white"}),
    "-": ("under 0", {"color": GREY, "marker": "D"}),
}
SIDES = {"before": {"color": GREY, "marker": "D"}, "after": {"color": BLACK, "marker": "o"}}


def validated(rows: Sequence[Row]) -> Figure:
    """The contrast of each state of tables, every seed a dot; colours say what has to come out."""
    rows = [one for one in rows if one.measure == "sides" and not one.state.startswith("tied")]
    figure, axes = _rows([one.label for one in rows])
    for place, one in enumerate(rows):
        look = LOOKS[one.expected][1]
        axes.plot(one.values, np.full(len(one.values), place), look["marker"], color=look["color"],
                  markersize=3.5, alpha=0.35)  # fmt: skip
        middle, low, high = one.interval
        reach = [[middle - low], [high - middle]]
        axes.errorbar(middle, place, xerr=reach, color=BLACK, marker="|", markersize=9)
    for margin in (-MARGIN, MARGIN):
        axes.axvline(margin, **MARGIN_LINE)
    axes.set_xlabel("(after − before) of the input, less that of the output")
    keys = [key(f"expected: {label}", linestyle="", **look) for label, look in LOOKS.values()]
    legend(figure, *keys, columns=3)
    return figure


def sides(models: Sequence[Mapping[str, Any]]) -> Figure:
    """How well each table ranks pairs as what comes before them does, and as what comes after."""
    found = [
        (f"{one['name']}, {table}", told, table)
        for one in models
        for told in [(one.get("sides") or {}).get(CLEANINGS[0], {})]
        for table in ("input", "output", "table")
        if f"{table} before" in told
    ]
    figure, axes = _rows([label for label, *_ in found])
    for side, look in SIDES.items():
        offset = -0.13 if side == "before" else 0.13
        for place, (_, told, table) in enumerate(found):
            middle, low, high = told[f"{table} {side}"]
            axes.errorbar(middle, place + offset, xerr=[[middle - low], [high - middle]],
                          markersize=5, linewidth=1.3, **look)  # fmt: skip
    axes.axvline(0, color=BLACK, linewidth=0.8)
    axes.set_xlabel("partial rank correlation with how alike two tokens' companies are")
    legend(
        figure, *(key(f"what comes {side}", linestyle="", **look) for side, look in SIDES.items())
    )
    return figure


def _rows(labels: Sequence[str]) -> tuple[Figure, Axes]:
    """A panel with a row a label, the first on top."""
    figure, grid = panels(1, 1, 1.1 + 0.3 * max(2, len(labels)), WIDTH + 1)
    axes = grid[0, 0]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(max(1, len(labels)) - 0.5, -0.5)
    if not labels:
        note(axes, "nothing is measured here")
    return figure, axes
