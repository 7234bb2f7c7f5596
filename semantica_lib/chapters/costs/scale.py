"""How the cost of training grows, and what a whole study asks for: measured and expected.

What was measured is `tests/benchmarks/scaling.py`'s; what is expected, :mod:`estimate`'s. Text is
Markdown.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from semantica_lib.analysis.markdown import NONE, markdown_table, number, table_of
from semantica_lib.chapters.costs.processor import TRIALS, Row, whole, written
from semantica_lib.errors import literal
from semantica_lib.figures import style
from semantica_lib.running import dry_run, estimate
from semantica_lib.running.plan import plan
from semantica_lib.settings.catalogue import AnySettings, catalogue, find
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store.provenance import UNSURE

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
    "measured": {"color": style.BLUE, "marker": "o", "markersize": 7, "linestyle": "none"},
    "expected": {"color": style.ORANGE, "linestyle": "--", "linewidth": 1.8, "zorder": 1},
}
Scaling = Mapping[str, Any]


def scaling() -> Scaling:
    """What was last measured of how the cost grows; empty if nothing was.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """
    return written("scaling.json", "tests/benchmarks/scaling.py", _checked)


def _checked(found: Scaling) -> Scaling:
    find(found["experiment"])
    for row in found["growth"]:
        _settings(found, row), int(row["trials"]), float(row["ms_a_step"])
        float(row["first_step_s"]), float(row["peak_memory_mb"])
    _base(found)
    for row in found["runs"]:
        int(row["steps"]), int(row["trials"]), float(row["seconds"])
    for row in found["side_by_side"]:
        int(row["processes"]), float(row["ms_a_step"]), float(row["trial_steps_a_second"])
    str.strip(found["machine"]["processor"]), str.strip(found["date"]), UNSURE[found["dirty"]]
    return found


def _settings(found: Scaling, row: Row) -> AnySettings:
    """Of a stack that was measured."""
    name, value = row["varied"], row["value"]
    return find(found["experiment"], [] if name == "trials" else [(name, value)])


def _base(found: Scaling) -> Row:
    """The stack from which one thing at a time was varied."""
    return next(r for r in found["growth"] if r["varied"] == "trials" and r["value"] == TRIALS)


def expected_growth(found: Scaling, row: Row) -> float:
    """How many times as long as the base's a stack's step is expected to take."""

    def step(own: AnySettings, trials: int) -> float:
        first, second = (estimate.seconds(own, trials, n * STEPS, "cpu") for n in (1, 2))
        return second - first

    return step(_settings(found, row), row["trials"]) / step(find(found["experiment"]), TRIALS)


class Varied(NamedTuple):
    """A stack, the value of what is varied, and its step's time over the base's."""

    value: int
    row: Row
    measured: float
    expected: float


def _varied(found: Scaling, name: str) -> list[Varied]:
    """The stacks by the values of one thing, the base's among them; none without a measurement."""
    if not found:
        return []
    base = _base(found)
    stacks = [(row["value"], row) for row in found["growth"] if row["varied"] == name]
    if name != "trials":
        stacks.append((getattr(find(found["experiment"]), name), base))
    return [
        Varied(value, row, row["ms_a_step"] / base["ms_a_step"], expected_growth(found, row))
        for value, row in sorted(stacks, key=lambda stack: stack[0])
    ]


def growth(found: Scaling) -> Figure:
    """Milliseconds of a step against each thing that is varied, both logarithmic; and expected."""
    figure, panels = style.panels(2, 2, height=5.0, sharey=True)
    for axes, (name, label) in zip(panels.flat, VARIED.items(), strict=True):
        axes.set_xlabel(label)
        if not found:
            style.note(axes, "not measured yet")
            continue
        stacks, base = _varied(found, name), _base(found)["ms_a_step"]
        x = [one.value for one in stacks]
        axes.plot(x, [one.row["ms_a_step"] for one in stacks], **LOOKS["measured"])
        axes.plot(x, [base * one.expected for one in stacks], **LOOKS["expected"])
        axes.axhline(base, color=style.GREY, linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(x, [f"{value:,}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for axes in panels[:, 0]:
        axes.set_ylabel("milliseconds a step")
    style.legend(figure, *(style.key(label, **look) for label, look in LOOKS.items()))
    return figure


def growth_table(found: Scaling) -> str:
    """Every stack that was measured, and what was expected of it, a row each."""
    rows = (
        {
            "varied": label,
            "value": f"{one.value:,}",
            "trials": f"{one.row['trials']:,}",
            "ms a step": number(one.row["ms_a_step"]),
            "trial-steps a second": whole(1_000 * one.row["trials"] / one.row["ms_a_step"]),
            "times the base": number(one.measured),
            "expected": number(one.expected),
            "first step, compiling, s": number(one.row["first_step_s"]),
            "peak memory, MB": whole(one.row["peak_memory_mb"]),
        }
        for name, label in VARIED.items()
        for one in _varied(found, name)
    )
    return table_of(rows, UNMEASURED)


def farthest(found: Scaling) -> str:
    """Where what was measured is farthest from what was expected, a sentence."""
    if not found:
        return UNMEASURED
    stacks = [(label, one) for name, label in VARIED.items() for one in _varied(found, name)]
    off = [(abs(math.log(one.measured / one.expected)), label, one) for label, one in stacks]
    most, label, one = max(off, key=lambda found: found[0])
    return (
        f"Over these stacks the expected time is within a factor of {number(math.exp(most))} of "
        f"the measured one; the farthest is that of {one.value:,} {label}, which takes "
        f"{number(one.measured / one.expected)} times as long as expected."
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
    if not found:
        return UNMEASURED
    machine, dirty = found["machine"], UNSURE[found["dirty"]]
    told = [machine["processor"], f"{machine.get('cores')} cores", f"PyTorch {machine['torch']}"]
    made = f"{found['date']}, commit {(found.get('commit') or 'unknown')[:10]}{dirty}"
    return f"Measured on {literal(', '.join(told))}; {literal(made)}."


def sizes() -> str:
    """What each experiment and each sweep asks for if nothing of it is trained, a row each."""
    heads = [
        "experiment or sweep", "trials", "steps", "stacks", "computing, one core",
        "of which the longest stack", "memory of a stack, MB at most",
    ]  # fmt: skip
    wanted = {name: [find(name)] for name in catalogue()}
    wanted |= {name: [own for _, own in points(read(path))] for name, path in sweeps().items()}
    return markdown_table(heads, [[name, *_size(some)] for name, some in wanted.items()])


def _size(wanted: Sequence[AnySettings]) -> list[str]:
    on_cpu = [own.model_copy(update={"device": "cpu"}) for own in wanted]
    stacks = plan(on_cpu, fresh=True)
    each, memory = [one.seconds for one in stacks], max(one.memory_mb for one in stacks)
    return [
        f"{sum(one.trials for one in stacks):,}",
        f"{max(own.steps for own in wanted):,}",
        f"{len(stacks):,}",
        estimate.duration(sum(each)),
        estimate.duration(max(each)),
        NONE if math.isnan(memory) else whole(memory),
    ]


def planned(name: str) -> str:
    """What ``semantica run NAME --dry-run --fresh --device cpu`` prints here, of an experiment."""
    own = find(name, [("device", "cpu")])
    return "\n".join(dry_run.lines([own], fresh=True))
