"""How the cost of training grows, and what a whole study asks for: measured and expected.

What was measured is `tests/benchmarks/scaling.py`'s; what is expected, :mod:`estimate`'s. Text is
Markdown.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from semantica_lib.analysis.markdown import NONE, markdown_table, number
from semantica_lib.chapters.costs.processor import TRIALS, whole, written
from semantica_lib.errors import literal
from semantica_lib.figures.style import BLUE, DOTS, GREY, ORANGE, STYLE, WIDTH, legend, note
from semantica_lib.running import dry_run, estimate
from semantica_lib.running.plan import plan
from semantica_lib.settings.catalogue import AnySettings, catalogue, find
from semantica_lib.settings.sweeps import points, read, sweeps

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
MEASURED = {"color": BLUE, "marker": "o", "markersize": 7, "linestyle": "none"}
EXPECTED = {"color": ORANGE, "marker": "", "linestyle": "--", "linewidth": 1.8}
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
    str.strip(found["machine"]["processor"]), str.strip(found["date"]), bool(found["dirty"])
    return found


def _settings(found: Scaling, row: Mapping[str, Any]) -> AnySettings:
    """Of a stack that was measured."""
    name, value = row["varied"], row["value"]
    return find(found["experiment"], [] if name == "trials" else [(name, value)])


def _base(found: Scaling) -> Mapping[str, Any]:
    """The stack from which one thing at a time was varied."""
    return next(r for r in found["growth"] if r["varied"] == "trials" and r["value"] == TRIALS)


def expected_growth(found: Scaling, row: Mapping[str, Any]) -> float:
    """How many times as long as the base's a stack's step is expected to take."""

    def step(own: AnySettings, trials: int) -> float:
        return estimate.seconds(own, trials, 2 * STEPS, "cpu") - estimate.seconds(
            own, trials, STEPS, "cpu"
        )

    return step(_settings(found, row), row["trials"]) / step(find(found["experiment"]), TRIALS)


def growth(found: Scaling) -> Figure:
    """Milliseconds of a step against each thing that is varied, both logarithmic; and expected."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 5.0), dpi=DOTS)
        panels = figure.subplots(2, 2, sharey=True)
    for axes, (name, label) in zip(panels.flat, VARIED.items(), strict=True):
        axes.set_xlabel(label)
        if not found:
            note(axes, "not measured yet")
            continue
        rows = _varied(found, name)
        x = [value for value, _ in rows]
        axes.plot(x, [row["ms_a_step"] for _, row in rows], **MEASURED)
        base = _base(found)["ms_a_step"]
        axes.plot(x, [base * expected_growth(found, row) for _, row in rows], **EXPECTED, zorder=1)
        axes.axhline(base, color=GREY, linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(x, [f"{value:,}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for axes in panels[:, 0]:
        axes.set_ylabel("milliseconds a step")
    looks = {"measured": MEASURED, "expected": EXPECTED}
    legend(figure, *(Line2D([], [], label=label, **look) for label, look in looks.items()))
    return figure


def _varied(found: Scaling, name: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The values of one thing with their stacks, the base's among them."""
    rows = [(row["value"], row) for row in found["growth"] if row["varied"] == name]
    if name != "trials":
        rows.append((getattr(find(found["experiment"]), name), _base(found)))
    return sorted(rows, key=lambda row: row[0])


def growth_table(found: Scaling) -> str:
    """Every stack that was measured, and what was expected of it, a row each."""
    if not found:
        return UNMEASURED
    heads = [
        "varied", "value", "trials", "ms a step", "trial-steps a second", "times the base",
        "expected", "first step, compiling, s", "peak memory, MB",
    ]  # fmt: skip
    base, lines = _base(found)["ms_a_step"], []
    for name, label in VARIED.items():
        for value, row in _varied(found, name):
            lines.append(
                [
                    label,
                    f"{value:,}",
                    f"{row['trials']:,}",
                    number(row["ms_a_step"]),
                    whole(1_000 * row["trials"] / row["ms_a_step"]),
                    number(row["ms_a_step"] / base),
                    number(expected_growth(found, row)),
                    number(row["first_step_s"]),
                    whole(row["peak_memory_mb"]),
                ]
            )
    return markdown_table(heads, lines)


def farthest(found: Scaling) -> str:
    """Where what was measured is farthest from what was expected, a sentence."""
    if not found:
        return UNMEASURED
    base = _base(found)["ms_a_step"]
    off = {
        (name, value): row["ms_a_step"] / base / expected_growth(found, row)
        for name in VARIED
        for value, row in _varied(found, name)
    }
    (name, value), most = max(off.items(), key=lambda one: abs(math.log(one[1])))
    within = max(max(ratio, 1 / ratio) for ratio in off.values())
    return (
        f"Over these stacks the expected time is within a factor of {number(within)} of the "
        f"measured one; the farthest is that of {value:,} {VARIED[name]}, which takes "
        f"{number(most)} times as long as expected."
    )


def runs_table(found: Scaling) -> str:
    """Whole runs by their steps: seconds from the command to the stored result."""
    if not found:
        return UNMEASURED
    lines = [
        [
            f"{row['steps']:,}",
            f"{row['trials']:,}",
            number(row["seconds"]),
            number(1_000 * row["seconds"] / row["steps"]),
        ]
        for row in found["runs"]
    ]
    return markdown_table(["steps", "trials", "seconds", "ms a step, all counted"], lines)


def side_table(found: Scaling) -> str:
    """One stack in one process, and such stacks in several at once."""
    if not found:
        return UNMEASURED
    lines = [
        [str(row["processes"]), number(row["ms_a_step"]), whole(row["trial_steps_a_second"])]
        for row in found["side_by_side"]
    ]
    return markdown_table(["processes at once", "ms a step", "trial-steps a second, all"], lines)


def where(found: Scaling) -> str:
    """On what, when and by which commit it was measured."""
    if not found:
        return UNMEASURED
    machine, dirty = found["machine"], " with uncommitted changes" * found["dirty"]
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
