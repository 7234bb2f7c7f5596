"""Where a step's time goes: what `tests/benchmarks/kernels.py` measured.

Text is Markdown.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from semantica_lib.analysis.markdown import markdown_table, number
from semantica_lib.chapters.costs.processor import TRIALS, in_order, machines, written
from semantica_lib.figures.style import BLACK, BLUE, DOTS, GREEN, ORANGE, STYLE, WIDTH, note

FILES = {"cpu": "profile.json", "cuda": "profile-gpu.json"}
UNMEASURED = {
    device: f"Where a step's time goes is unmeasured here: `{command}` measures it, and writes "
    f"`{FILES[device]}`."
    for device, command in (
        ("cpu", "tests/benchmarks/kernels.py"),
        ("cuda", "tests/benchmarks/kernels.py --device cuda"),
    )
}
# What the bench calls it -> what it is here, colour and hatch.
PARTS = {
    "products": ("matrix products", BLUE, ""),
    "fused": ("elementwise, fused", ORANGE, "////"),
    "optimizer": ("optimizer", GREEN, "...."),
    "between": ("between kernels", "0.8", ""),
}
Profile = Mapping[str, Mapping[str, Any]]  # experiment -> what was measured


def profiled(device: str = "cpu") -> Profile:
    """What was last measured on a processor or a GPU, in the experiments' order; empty if never.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """

    def checked(found: Profile) -> Profile:
        for one in found.values():
            for part in PARTS:
                float(one["ms"][part])
            if not sum(_shown(one).values()) > 0:
                raise ValueError("a step takes no time")
        return in_order(found)

    return written(FILES[device], "`tests/benchmarks/kernels.py`", checked)


def shares(found: Profile) -> Figure:
    """What share of a step each kind of work takes: a bar an experiment, and its milliseconds."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.6 + 0.34 * max(1, len(found))), dpi=DOTS)
        axes = figure.subplots()
    for row, one in enumerate(found.values()):
        shown, left = _shown(one), 0.0
        whole = sum(shown.values())
        for part, ms in shown.items():
            _, color, hatch = PARTS[part]
            width = 100 * ms / whole
            axes.barh(
                row, width, 0.7, left, color=color, hatch=hatch, edgecolor="white", linewidth=0.8
            )
            left += width
        axes.text(
            1.02, row, f"{number(sum(one['ms'].values()))} ms",
            transform=axes.get_yaxis_transform(), va="center", fontsize=10, color=BLACK,
        )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(max(1, len(found)) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), found)
    axes.set_xlabel(f"share of a step of {TRIALS} trials, %")
    axes.grid(False, axis="y")
    if not found:
        note(axes, "not measured yet")
    figure.legend(
        handles=[
            Patch(facecolor=color, hatch=hatch, edgecolor="white", label=label)
            for label, color, hatch in PARTS.values()
        ],
        loc="outside lower center", ncols=len(PARTS), frameon=False, fontsize=9.5,
    )  # fmt: skip
    return figure


def table(found: Profile, device: str = "cpu") -> str:
    """Milliseconds of each kind of work, a row an experiment; then on what it was measured."""
    if not found:
        return UNMEASURED[device]
    heads = ["experiment", "a step, ms", *(f"{label}, ms" for label, *_ in PARTS.values())]
    lines = [
        [name, number(sum(one["ms"].values())), *(_signed(one["ms"][part]) for part in PARTS)]
        for name, one in found.items()
    ]
    return f"{markdown_table(heads, lines)}\n" + "\n".join(machines(found))


def _shown(one: Mapping[str, Any]) -> dict[str, float]:
    """The parts of a bar: what noise put below zero is nothing."""
    return {part: max(0.0, one["ms"][part]) for part in PARTS}


def _signed(ms: float) -> str:
    return f"–{number(-ms)}" if ms < 0 else number(ms)
