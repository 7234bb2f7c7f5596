"""What training costs on a GPU: what `tests/benchmarks/gpu.py` measured.

Text is Markdown. What was not measured is a dash.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from semantica_lib.analysis.markdown import markdown_table, number
from semantica_lib.chapters.costs.processor import measured_on, whole, written
from semantica_lib.figures.tables import named

UNMEASURED = (
    "Training on a GPU is possible, but its speed is unmeasured: no number on this page is of one. "
    "`tests/benchmarks/gpu.py` measures it, and writes `bench-gpu.json`."
)
GpuBench = Mapping[str, Mapping[str, Any]]  # experiment and trials -> what was measured


def gpu() -> GpuBench:
    """What was last measured on a GPU: in the experiments' order, smaller stacks first.

    Empty if nothing was.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """
    order = named()

    def place(item: tuple[str, Mapping[str, Any]]) -> tuple:
        name = item[1]["experiment"]
        return order.index(name) if name in order else len(order), name, item[1]["trials"]

    def checked(found: GpuBench) -> GpuBench:
        for one in found.values():
            str.strip(one["experiment"]), int(one["trials"])
            for key in ("ms_a_step", "plain_ms_a_step", "ratio", "first_launch_s"):
                float(one[key])
        return dict(sorted(found.items(), key=place))

    return written("bench-gpu.json", "tests/benchmarks/gpu.py", checked)


def gpu_table(found: GpuBench) -> str:
    """A row a stack, then on what and when it was measured."""
    if not found:
        return UNMEASURED
    heads = [
        "experiment", "trials", "ms a step", "trial-steps a second", "one plain run, ms a step",
        "ratio", "first launch, compiling, s", "peak memory of the GPU, MB",
    ]  # fmt: skip
    lines = [
        [
            one["experiment"] + ("" if one.get("compiled", True) else " (uncompiled)"),
            f"{one['trials']:,}",
            number(one["ms_a_step"]),
            whole(one.get("trial_steps_a_second")),
            number(one["plain_ms_a_step"]),
            f"{number(ratio) if (ratio := one['ratio']) < 1000 else whole(ratio)}×",
            number(one["first_launch_s"]),
            whole(one.get("peak_memory_mb")),
        ]
        for one in found.values()
    ]
    return f"{markdown_table(heads, lines)}\n{_where(found)}"


def missing(found: GpuBench, all_: Sequence[str]) -> str:
    """Which of these experiments no stack was measured of on a GPU, in a sentence; empty if none.

    They may train there all the same.
    """
    measured = {one["experiment"] for one in found.values()}
    names = [f"*{name}*" for name in all_ if name not in measured]
    return f"No stack was measured of {', '.join(names)}." if found and names else ""


def _where(found: GpuBench) -> str:
    """GPU, versions, date and commit, of each that differs."""
    lines = {}
    for name, one in found.items():
        machine = one.get("machine", {})
        versions = ", ".join(f"{key} {machine.get(key, 'unknown')}" for key in ("python", "torch"))
        lines[name] = (
            f"{machine.get('device', 'unknown')}; {versions}; {one.get('date', 'date unknown')}; "
            f"commit {(one.get('commit') or 'unknown')[:10]}"
        )
    return "\n".join(measured_on(lines))
