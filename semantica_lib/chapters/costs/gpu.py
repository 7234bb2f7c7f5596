"""What training costs on a GPU: what `tests/benchmarks/gpu.py` measured.

Text is Markdown. What was not measured is a dash.
"""

from collections.abc import Sequence

from semantica_lib.analysis.markdown import number, table_of, title
from semantica_lib.chapters.costs import processor
from semantica_lib.chapters.costs.processor import Bench, Row, whole

UNMEASURED = (
    "Training on a GPU is possible, but its speed is unmeasured: no number on this page is of one. "
    "`tests/benchmarks/gpu.py` measures it, and writes `bench-gpu.json`."
)
MACHINE = "{device}; python {python}, torch {torch}; {date}; commit {commit}"


def gpu() -> Bench:
    """What was last measured on a GPU, by experiment and trials; empty if nothing was.

    Raises as :func:`~semantica_lib.chapters.costs.processor.written`.
    """
    return processor.by_experiment("bench-gpu.json", "tests/benchmarks/gpu.py", gpu_table)


def gpu_table(found: Bench) -> str:
    """A row a stack, then on what and when it was measured."""
    if not found:
        return UNMEASURED
    return f"{table_of(map(_row, found.values()))}\n{processor.measured_on(found, MACHINE)}"


def _row(one: Row) -> dict[str, str]:
    return {
        "experiment": title(one["experiment"]) + " (uncompiled)" * (not one.get("compiled", True)),
        "trials": f"{one['trials']:,}",
        "ms a step": number(one["ms_a_step"]),
        "trial-steps a second": whole(one.get("trial_steps_a_second")),
        "one plain run, ms a step": number(one["plain_ms_a_step"]),
        "ratio": f"{number(float(one['ratio']))}×",  # without one the file is damaged
        "first launch, compiling, s": number(one["first_launch_s"]),
        "peak memory of the GPU, MB": whole(one.get("peak_memory_mb")),
    }


def missing(found: Bench, all_: Sequence[str]) -> str:
    """Which of these experiments no stack was measured of on a GPU, in a sentence; empty if none.

    They may train there all the same.
    """
    measured = {one["experiment"] for one in found.values()}
    names = [f"*{title(name)}*" for name in all_ if name not in measured]
    return f"No stack was measured of {', '.join(names)}." if found and names else ""
