"""What training costs: what `make bench` measured, and what the published results took.

Text is Markdown. What a measurement lacks, since it is of an older version of the bench, is a dash.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from semantica_lib.analysis.markdown import NONE, markdown_table, number
from semantica_lib.errors import RequestError
from semantica_lib.figures.facts import TIES, facts_of_run
from semantica_lib.figures.style import BLACK, BLUE, DOTS, GREY, ORANGE, STYLE, WIDTH, legend, note
from semantica_lib.figures.tables import named, steps
from semantica_lib.settings.catalogue import changes
from semantica_lib.store import results
from semantica_lib.store.results import Result

TRIALS = 10  # of a step, in what the bench compares
UNMEASURED = "The speed was not measured yet: `make bench` does, and writes `bench.json`."
OURS = {"color": BLUE, "marker": "o", "markersize": 7}
PLAIN = {"color": ORANGE, "marker": "D", "markersize": 6}
BOUND = {"color": BLACK, "marker": "|", "markersize": 12, "markeredgewidth": 1.8}
Bench = Mapping[str, Mapping[str, Any]]  # experiment -> what was measured


def bench() -> Bench:
    """What `make bench` last measured, in the experiments' order; empty if it never did.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """

    def checked(found: Bench) -> Bench:
        for one in found.values():
            float(one["ms_a_step"]["mean"]), float(one["plain_ms_a_step"]["mean"])
            float(one["ratio"])
        return found

    return in_order(written("bench.json", "`make bench`", checked))


def in_order(found: Bench) -> Bench:
    """The same in the experiments' order; what is none of them comes last."""
    order = [name for name in named() if name in found]
    return {name: found[name] for name in [*order, *sorted(found.keys() - set(order))]}


def written(name: str, maker: str, checked: Callable[[Any], Any]) -> Any:
    """What a bench last wrote into a file, as a check gives it back; empty if it never did.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """
    file = results.PUBLISHED / name
    if not file.exists():
        return {}
    try:
        return checked(json.loads(file.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise RequestError(f"{name} is damaged ({error!r}); {maker} measures anew") from None


def times(found: Bench) -> Figure:
    """What a step of ten trials takes here and by ten plain runs: a row an experiment.

    Milliseconds on a logarithmic axis. Beside each row stands how many times as long the plain runs
    take; a tick is the least that a step can take, where the bench has counted it.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.7 + 0.34 * max(1, len(found))), dpi=DOTS)
        axes = figure.subplots()
    for row, one in enumerate(found.values()):
        ours, plain = one["ms_a_step"]["mean"], TRIALS * one["plain_ms_a_step"]["mean"]
        axes.plot([ours, plain], [row, row], color=GREY, linewidth=1, zorder=2)
        axes.plot(ours, row, zorder=3, **OURS)
        axes.plot(plain, row, zorder=3, **PLAIN)
        if "bound" in one:
            axes.plot(one["bound"]["bound_ms"], row, zorder=3, **BOUND)
        axes.text(
            1.02, row, f"{number(one['ratio'])}×", transform=axes.get_yaxis_transform(),
            va="center", fontsize=10, color=BLACK,
        )  # fmt: skip
    axes.set_ylim(max(1, len(found)) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), found)
    axes.set_xscale("log")
    axes.set_xlabel(f"milliseconds a step of {TRIALS} trials, one thread (logarithmic)")
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if not found:
        note(axes, "not measured yet")
    legend(figure, *_keys(any("bound" in one for one in found.values())), columns=3)
    return figure


def _keys(bounds: bool) -> list[Line2D]:
    looks = {"here, one stack": OURS, f"{TRIALS} plain PyTorch runs": PLAIN}
    looks |= {"bound: arithmetic or memory": BOUND} if bounds else {}
    return [Line2D([], [], linestyle="none", label=label, **look) for label, look in looks.items()]


def summary(found: Bench) -> str:
    """The first experiment's cost in a sentence, and between which ratios all of them lie."""
    if not found:
        return UNMEASURED
    name, one = next(iter(found.items()))
    ratios = sorted((one["ratio"], name) for name, one in found.items())
    (least, slow), (most, fast) = ratios[0], ratios[-1]
    return (
        f"A step of {TRIALS} trials of *{name}* takes {number(one['ms_a_step']['mean'])} ms here; "
        f"{TRIALS} plain runs take {number(one['ratio'])} times as long. Over all experiments it "
        f"is {number(least)} times (*{slow}*) to {number(most)} times (*{fast}*)."
    )


def speeds(found: Bench) -> str:
    """All that the bench measured, a row an experiment."""
    if not found:
        return UNMEASURED
    heads = [
        "experiment", f"ms a step ({TRIALS} trials)", f"{TRIALS} plain runs, ms", "ratio",
        f"trial-steps a second, {TRIALS} trials", "of 100 trials", "bound, ms", "set by",
        "bound as a share of the time", "first step, compiling, s",
        "first step, compiled before, s", "peak memory, MB",
    ]  # fmt: skip
    lines = []
    for name, one in found.items():
        bound = one.get("bound", {})
        lines.append(
            [
                name if one.get("compiled", True) else f"{name} (uncompiled)",
                number(one["ms_a_step"]["mean"]),
                number(TRIALS * one["plain_ms_a_step"]["mean"]),
                f"{number(one['ratio'])}×",
                whole(one.get("trial_steps_a_second")),
                whole(one.get("trial_steps_a_second_100_trials")),
                number(bound.get("bound_ms")),
                _set_by(bound),
                f"{number(100 * bound['share'])}%" if bound else NONE,
                number(one.get("compile_s", {}).get("untied")),
                number(one.get("warm_s")),
                whole(one.get("peak_memory_mb")),
            ]
        )
    return markdown_table(heads, lines)


def whole(value: float | None) -> str:
    """Three digits, thousands apart."""
    return NONE if value is None else f"{float(f'{value:.3g}'):,.0f}"


def _set_by(bound: Mapping[str, float]) -> str:
    """Whether the operations or the bytes make the bound."""
    if not bound:
        return NONE
    seconds = {
        "arithmetic": bound["operations"] / bound["operations_a_second"],
        "memory": bound["bytes"] / bound["bytes_a_second"],
    }
    return max(seconds, key=seconds.__getitem__)


def measured(found: Bench) -> str:
    """When, on what and with which versions the bench was run, and the peaks that it found."""
    if not found:
        return UNMEASURED
    lines = machines(found)
    bounds = [one["bound"] for one in found.values() if "bound" in one]
    if bounds:
        lines += [
            "",
            f"Peaks: {_range(bounds, 'operations_a_second')} billion operations a second in a "
            f"large matrix product, {_range(bounds, 'bytes_a_second')} GB a second (read plus "
            f"written) in a copy that no cache holds.",
        ]
    return "\n".join(lines)


def machines(found: Bench) -> list[str]:
    """On what and when it was measured; a line for each that differs."""
    lines = {}
    for name, one in found.items():
        machine = one.get("machine", {})
        told = {key: machine.get(key, "unknown") for key in ("processor", "cores", "threads_used")}
        versions = ", ".join(f"{key} {machine.get(key, 'unknown')}" for key in ("python", "torch"))
        lines[name] = (
            f"{told['processor']}, {told['cores']} cores, of which {told['threads_used']} used; "
            f"{versions}; {one.get('date', 'date unknown')}"
        )
    return measured_on(lines)


def measured_on(lines: Mapping[str, str]) -> list[str]:
    """A line for each that differs, with the names that it is of where there are several."""
    runs: dict[str, list[str]] = {}
    for name, line in lines.items():
        runs.setdefault(line, []).append(name)
    if len(runs) == 1:
        return [f"Measured on: {next(iter(runs))}."]
    return [f"- {', '.join(names)}, measured on: {line}." for line, names in runs.items()]


def _range(bounds: Sequence[Mapping[str, float]], key: str) -> str:
    found = [one[key] / 1e9 for one in bounds]
    low, high = number(min(found)), number(max(found))
    return low if low == high else f"{low} to {high}"


def published() -> list[Result]:
    """Every published result, those of an experiment's own settings first.

    Raises:
        RequestError: one is damaged.
    """
    order = named()
    found = [results.load(*address) for address in results.addresses(results.PUBLISHED)]

    def place(one: Result) -> tuple:
        name = one.settings.experiment
        known = order.index(name) if name in order else len(order)
        return one.name != name, known, one.name

    return sorted((one for one in found if one is not None), key=place)


def spent(found: Sequence[Result]) -> str:
    """What each result took, a row each; core-seconds a trial of 1,000 steps make them comparable.

    Computing time is the manifest's, summed over processes of as many threads as it says.
    """
    if not found:
        return "No result is published yet."
    heads = [
        "result", "steps", "trials", "computing time", "core-seconds a trial of 1,000 steps",
        "trained on", "begun",
    ]  # fmt: skip
    lines = []
    for one in found:
        made, manifest = facts_of_run(one), one.manifest
        ties = [f"{(one.tied == tied).sum()} {tie}" for tied, tie in TIES if tied in one.tied]
        seconds = manifest["duration_s"] * manifest["threads"]
        done = manifest["steps_done"] * len(one.seed)
        line = [_called(one), steps(one), ", ".join(ties), made["duration"]]
        line += [number(1000 * seconds / done) if done else NONE, made["device"], made["started"]]
        lines.append(line)
    return markdown_table(heads, lines)


def total(found: Sequence[Result]) -> str:
    """What the results took together, in a sentence; empty if there is none."""
    hours = sum(one.manifest["duration_s"] * one.manifest["threads"] for one in found) / 3600
    trials = sum(len(one.seed) for one in found)
    return f"Together: {trials:,} trials in {number(hours)} core-hours." if found else ""


def _called(one: Result) -> str:
    """The experiment, with what was set otherwise."""
    own = one.settings
    changed = ", ".join(changes(own))
    return f"{own.experiment} ({changed})" if changed else own.experiment
