"""Where a step's time goes: what `tests/benchmarks/kernels.py` measured.

Text is Markdown.
"""

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from semantica_lib.analysis.markdown import number, table_of, title
from semantica_lib.chapters.costs import processor
from semantica_lib.chapters.costs.processor import Bench, Row
from semantica_lib.figures.style import BLACK, GREY

FILES = {"cpu": "profile.json", "cuda": "profile-gpu.json"}
BENCH = "tests/benchmarks/kernels.py"
# What the bench calls it -> what it is here, and its look.
PARTS = {
    "products": ("matrix products", {"facecolor": BLACK, "hatch": ""}),
    "fused": ("elementwise, fused", {"facecolor": GREY, "hatch": "////"}),
    "optimizer": ("optimizer", {"facecolor": "0.65", "hatch": "...."}),
    "between": ("between kernels", {"facecolor": "0.8", "hatch": ""}),
}


def profiled(device: str = "cpu") -> Bench:
    """What was last measured on a processor or a GPU; empty if nothing was.

    Raises as :func:`~semantica_lib.chapters.costs.processor.written`.
    """
    return processor.by_experiment(FILES[device], f"`{BENCH}`", table, _widths)


def shares(found: Bench) -> Figure:
    """What share of a step each kind of work takes: a bar an experiment, and its milliseconds."""
    figure, axes = processor.rows_of(found, 1.6, lambda one: f"{_step(one)} ms")
    for row, widths in enumerate(_widths(found)):
        left = 0.0
        for width, (_, look) in zip(widths, PARTS.values(), strict=True):
            axes.barh(row, width, 0.7, left, edgecolor="white", linewidth=0.8, **look)
            left += width
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"share of a step of {processor.TRIALS} trials, %")
    axes.grid(False, axis="y")
    keys = [Patch(edgecolor="white", label=label, **look) for label, look in PARTS.values()]
    below = {"loc": "outside lower center", "frameon": False, "fontsize": 9.5}
    figure.legend(handles=keys, ncols=len(PARTS), **below)
    return figure


def table(found: Bench, device: str = "cpu") -> str:
    """Milliseconds of each kind of work, a row an experiment; then on what it was measured."""
    if not found:
        command = BENCH + " --device cuda" * (device == "cuda")
        return (
            f"Where a step's time goes is unmeasured here: `{command}` measures it, and writes "
            f"`{FILES[device]}`."
        )
    rows = [
        {"experiment": title(name), "a step, ms": _step(one)}
        | {f"{label}, ms": _signed(one["ms"][part]) for part, (label, _) in PARTS.items()}
        for name, one in found.items()
    ]
    return f"{table_of(rows)}\n{processor.measured_on(found)}"


def _step(one: Row) -> str:
    return number(sum(one["ms"].values()))


def _widths(found: Bench) -> list[list[float]]:
    """The parts of each bar, per cent: what noise put below zero is nothing."""
    bars = [[max(0.0, one["ms"][part]) for part in PARTS] for one in found.values()]
    return [[100 * ms / sum(bar) for ms in bar] for bar in bars]


def _signed(ms: float) -> str:
    return f"–{number(-ms)}" if ms < 0 else number(ms)
