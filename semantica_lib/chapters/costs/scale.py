"""How the cost of training grows, and what a whole study asks for: measured and expected.

What was measured is `tests/benchmarks/scaling.py`'s; what is expected, :mod:`estimate`'s. Text is
Markdown.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from semantica_lib.analysis.markdown import NONE, number, table_of, title
from semantica_lib.chapters.costs.processor import TRIALS, Row, measured_on, whole, written
from semantica_lib.figures import style
from semantica_lib.running import dry_run, estimate
from semantica_lib.running.plan import plan
from semantica_lib.settings.catalogue import AnySettings, catalogue, find
from semantica_lib.settings.sweeps import points, read, sweeps

MACHINE = "{processor}, {cores} cores; torch {torch}; {date}; commit {commit}"
UNMEASURED = (
    "How the cost grows was not measured yet: `tests/benchmarks/scaling.py` does, and writes "
    "`scaling.json`."
)
VARIED = {  # what the bench varies -> its axis
    "trials": "trials of a stack",
    "embedding_size": "numbers of a symbol",
    "layers": "layers",
    "bits": "bits of a string",
}
STEPS = 10_000  # between which a step's expected time is taken
LOOKS = {
    "measured": {"color": style.BLACK, "marker": "o", "markersize": 7, "linestyle": "none"},
    "expected": {"color": style.GREY, "linestyle": "--", "linewidth": 1.8, "zorder": 1},
}
Scaling = Mapping[str, Any]


def scaling() -> Scaling:
    """What was last measured of how the cost grows; empty if nothing was.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """
    shown = growth_table, runs_table, side_table, where
    return written("scaling.json", "tests/benchmarks/scaling.py", *shown)


def expected_growth(found: Scaling, row: Row) -> float:
    """How many times as long as the base's a stack's step is expected to take."""

    def step(own: AnySettings, trials: int) -> float:
        first, second = (estimate.seconds(own, trials, n * STEPS, "cpu") for n in (1, 2))
        return second - first

    name, value = row["varied"], row["value"]
    own = find(found["experiment"], [] if name == "trials" else [(name, value)])
    return step(own, row["trials"]) / step(find(found["experiment"]), TRIALS)


def stacks(found: Scaling) -> pd.DataFrame:
    """The stacks that were measured, by what is varied and its values.

    The base, from which one thing at a time was varied, is among those of each. ``times`` is how
    many times as long as the base's a step takes, ``expected`` what was expected of that.
    """
    rows = [row | {"expected": expected_growth(found, row)} for row in found["growth"]]
    (base,) = [row for row in rows if (row["varied"], row["value"]) == ("trials", TRIALS)]
    usual = {name: getattr(find(found["experiment"]), name) for name in VARIED if name != "trials"}
    rows += [base | {"varied": name, "value": value} for name, value in usual.items()]
    frame = pd.DataFrame(rows).assign(times=lambda one: one.ms_a_step / base["ms_a_step"])
    frame["varied"] = pd.Categorical(frame.varied, list(VARIED))
    return frame.sort_values(["varied", "value"], ignore_index=True)


def growth(found: Scaling) -> Figure:
    """Milliseconds of a step against each thing that is varied, both logarithmic; and expected."""
    figure, panels = style.panels(2, 2, height=5.0, sharey=True)
    for axes, (name, label) in zip(panels.flat, VARIED.items(), strict=True):
        axes.set_xlabel(label)
        if not found:
            style.note(axes, "not measured yet")
            continue
        own = stacks(found)[lambda one, name=name: one.varied == name]
        base = (own.ms_a_step / own.times).iloc[0]
        axes.plot(own.value, own.ms_a_step, **LOOKS["measured"])
        axes.plot(own.value, base * own.expected, **LOOKS["expected"])
        axes.axhline(base, color=style.GREY, linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(own.value, own.value.map("{:,}".format))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for axes in panels[:, 0]:
        axes.set_ylabel("milliseconds a step")
    style.legend(figure, *(style.key(label, **look) for label, look in LOOKS.items()))
    return figure


def growth_table(found: Scaling) -> str:
    """Every stack that was measured, and what was expected of it, a row each."""
    if not found:
        return UNMEASURED
    return table_of(
        {
            "varied": VARIED[one.varied],
            "value": f"{one.value:,}",
            "trials": f"{one.trials:,}",
            "ms a step": number(one.ms_a_step),
            "trial-steps a second": whole(1_000 * one.trials / one.ms_a_step),
            "times the base": number(one.times),
            "expected": number(one.expected),
            "first step, s": number(one.first_step_s),
            "peak memory, MB": whole(one.peak_memory_mb),
        }
        for one in stacks(found).itertuples()
    )


def farthest(found: Scaling) -> str:
    """Where what was measured is farthest from what was expected, a sentence."""
    if not found:
        return UNMEASURED
    frame = stacks(found)
    off = np.log(frame.times / frame.expected).abs()
    one = frame.loc[off.idxmax()]
    return (
        f"Over these stacks the expected time is within a factor of {number(np.exp(off.max()))} of "
        f"the measured one; the farthest is that of {one.value:,} {VARIED[one.varied]}, which "
        f"takes {number(one.times / one.expected)} times as long as expected."
    )


def runs_table(found: Scaling) -> str:
    """Whole runs by their steps: seconds from the command to the stored result."""
    rows = (
        {
            "steps": f"{row['steps']:,}",
            "trials": f"{row['trials']:,}",
            "seconds": number(row["seconds"]),
            "ms a step, all counted": number(1_000 * row["seconds"] / row["steps"]),
        }
        for row in found.get("runs", ())
    )
    return table_of(rows, UNMEASURED)


def side_table(found: Scaling) -> str:
    """One stack in one process, and such stacks in several at once."""
    rows = (
        {
            "processes at once": str(row["processes"]),
            "ms a step": number(row["ms_a_step"]),
            "trial-steps a second, all": whole(row["trial_steps_a_second"]),
        }
        for row in found.get("side_by_side", ())
    )
    return table_of(rows, UNMEASURED)


def where(found: Scaling) -> str:
    """On what, when and by which commit it was measured."""
    return measured_on({"": found}, MACHINE) if found else UNMEASURED


def sizes() -> str:
    """What each experiment and each sweep asks for if nothing of it is trained, a row each."""
    wanted = {name: [find(name)] for name in catalogue()}
    wanted |= {name: [own for _, own in points(read(path))] for name, path in sweeps().items()}
    return table_of(
        {"experiment or sweep": title(name), "its name": f"`{name}`"} | _size(some)
        for name, some in wanted.items()
    )


def _size(wanted: Sequence[AnySettings]) -> dict[str, str]:
    on_cpu = [own.model_copy(update={"device": "cpu"}) for own in wanted]
    stacks = plan(on_cpu, fresh=True)
    each, memory = [one.seconds for one in stacks], max(one.memory_mb for one in stacks)
    return {
        "trials": f"{sum(one.trials for one in stacks):,}",
        "steps": f"{max(own.steps for own in wanted):,}",
        "stacks": f"{len(stacks):,}",
        "computing, one core": estimate.duration(sum(each)),
        "of which the longest stack": estimate.duration(max(each)),
        "memory of a stack, MB at most": NONE if math.isnan(memory) else whole(memory),
    }


def planned(name: str) -> str:
    """What ``semantica run NAME --dry-run --fresh --device cpu`` prints here, of an experiment."""
    own = find(name, [("device", "cpu")])
    return "\n".join(dry_run.lines([own], fresh=True))
