"""What training costs: what `make bench` measured, and what the published results took.

Text is Markdown. What a measurement lacks, since it is of an older version of the bench, is a dash.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from semantica_lib.analysis.markdown import NONE, number, table_of, title
from semantica_lib.errors import RequestError, literal
from semantica_lib.figures import style
from semantica_lib.figures.facts import facts_of_run
from semantica_lib.figures.tables import named, steps
from semantica_lib.settings.catalogue import changes, round_of
from semantica_lib.store import results
from semantica_lib.store.provenance import UNSURE
from semantica_lib.store.results import Result

TRIALS = 10  # of a step, in what the bench compares
UNMEASURED = "The speed was not measured yet: `make bench` does, and writes `bench.json`."
LOOKS = {
    "here, one stack": {"color": style.BLACK, "marker": "o", "markersize": 7},
    f"{TRIALS} plain PyTorch runs": {"color": style.GREY, "marker": "D", "markersize": 6},
    "bound: arithmetic or memory": {"marker": "|", "markersize": 12, "markeredgewidth": 1.8},
}
PROCESSOR = (  # what is told of a measurement
    "{processor}, {cores} cores, of which {threads_used} used; "
    "python {python}, torch {torch}; {date}"
)
Row = Mapping[str, Any]  # what was measured of a stack
Bench = Mapping[str, Row]  # by experiment


def bench() -> Bench:
    """What `make bench` last measured; empty if it never did. Raises as :func:`written`."""
    return by_experiment("bench.json", "`make bench`", summary, speeds)


def by_experiment(name: str, maker: str, *shown: Callable[[Bench], Any]) -> Bench:
    """As :func:`written`, smaller stacks first; what is of no experiment comes last."""

    def place(item: tuple[str, Row]) -> tuple:
        name = item[1].get("experiment", item[0])
        return _place(name), name, item[1].get("trials", 0)

    return dict(sorted(written(name, maker, *shown).items(), key=place))


def written(name: str, maker: str, *shown: Callable[[Any], Any]) -> dict[str, Any]:
    """What a bench last wrote into a file; empty if it never did.

    Args:
        shown: what is shown of it, which fails if the bench does not write that.

    Raises:
        RequestError: the file does not hold what the bench writes.
    """
    file = results.PUBLISHED / name
    if not file.exists():
        return {}
    try:
        found = {**json.loads(file.read_text(encoding="utf-8"))}
        for show in shown:
            show(found)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{name} is damaged ({error!r}); {maker} measures anew") from None
    return found


def _place(name: str) -> int:
    """Of an experiment in the order of all."""
    order = named()
    return order.index(name) if name in order else len(order)


def times(found: Bench) -> Figure:
    """What a step of ten trials takes here and by ten plain runs: a row an experiment.

    Milliseconds on a logarithmic axis. Beside each row stands how many times as long the plain runs
    take; a tick is the least that a step can take, where the bench has counted it.
    """
    figure, axes = rows_of(found, 1.7, lambda one: f"{number(one['ratio'])}×")
    keys = [style.key(label, linestyle="none", **look) for label, look in LOOKS.items()]
    for row, one in enumerate(found.values()):
        values = [one["ms_a_step"]["mean"], TRIALS * one["plain_ms_a_step"]["mean"]]
        axes.plot(values, [row, row], color=style.GREY, linewidth=1, zorder=2)
        values += [one["bound"]["bound_ms"]] if "bound" in one else []
        for value, look in zip(values, LOOKS.values(), strict=False):
            axes.plot(value, row, zorder=3, **{"color": style.BLACK, **look})
    axes.set_xscale("log")
    axes.set_xlabel(f"milliseconds a step of {TRIALS} trials, one thread (logarithmic)")
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    some = any("bound" in one for one in found.values())
    style.legend(figure, *keys[: 2 + some], columns=3)
    return figure


def rows_of(found: Bench, height: float, beside: Callable[[Row], str]) -> tuple[Figure, Axes]:
    """A panel with a row an experiment, the first at the top, and what stands beside each.

    Args:
        height: of what is not rows, inches.
    """
    figure, ((axes,),) = style.panels(height=height + 0.34 * max(1, len(found)))
    look = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 10}
    for row, one in enumerate(found.values()):
        axes.text(1.02, row, beside(one), color=style.BLACK, **look)
    axes.set_ylim(max(1, len(found)) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), map(title, found))
    if not found:
        style.note(axes, "not measured yet")
    return figure, axes


def summary(found: Bench) -> str:
    """The first experiment's cost in a sentence, and between which ratios all of them lie."""
    if not found:
        return UNMEASURED
    name, one = next(iter(found.items()))
    ratios = sorted((one["ratio"], name) for name, one in found.items())
    (least, slow), (most, fast) = ratios[0], ratios[-1]
    return (
        f"A step of {TRIALS} trials of *{title(name)}* takes {number(one['ms_a_step']['mean'])} ms "
        f"here; {TRIALS} plain runs take {number(one['ratio'])} times as long. Over all "
        f"experiments it is {number(least)} times (*{title(slow)}*) to {number(most)} times "
        f"(*{title(fast)}*)."
    )


def speeds(found: Bench) -> str:
    """All that the bench measured, a row an experiment."""
    return table_of((_speed(*item) for item in found.items()), UNMEASURED)


def _speed(name: str, one: Row) -> dict[str, str]:
    bound, set_by = one.get("bound", {}), NONE
    if bound:
        times = {of: bound[of] / bound[f"{of}_a_second"] for of in ("operations", "bytes")}
        set_by = "arithmetic" if times["operations"] >= times["bytes"] else "memory"
    return {
        "experiment": title(name) + " (uncompiled)" * (not one.get("compiled", True)),
        f"ms a step ({TRIALS} trials)": number(one["ms_a_step"]["mean"]),
        f"{TRIALS} plain runs, ms": number(TRIALS * one["plain_ms_a_step"]["mean"]),
        "ratio": f"{number(one['ratio'])}×",
        f"trial-steps a second, {TRIALS} trials": whole(one.get("trial_steps_a_second")),
        "of 100 trials": whole(one.get("trial_steps_a_second_100_trials")),
        "bound, ms": number(bound.get("bound_ms")),
        "set by": set_by,
        "bound as a share of the time": f"{number(100 * bound['share'])}%" if bound else NONE,
        "first step, compiling, s": number(one.get("compile_s", {}).get("untied")),
        "first step, compiled before, s": number(one.get("warm_s")),
        "peak memory, MB": whole(one.get("peak_memory_mb")),
    }


def engines(found: Bench) -> str:
    """What the kernel's steps take beside the general path's, of the experiments that it serves."""
    rows = (
        _engines(name, one, f"{trials}", ours["mean"])
        for name, one in found.items()
        for trials, end in ((TRIALS, ""), (100, "_100_trials"))
        if (ours := one.get("compiled_ms_a_step") and one[f"ms_a_step{end}"])
    )
    return table_of(rows, UNMEASURED)


def _engines(name: str, one: Row, trials: str, ours: float) -> dict[str, str]:
    general, avx2, on_avx2 = (
        (one.get(f"{kind}_ms_a_step") or {}).get(trials, {}).get("mean")
        for kind in ("compiled", "avx2", "avx2_compiled")
    )
    return {
        "experiment": title(name),
        "trials": trials,
        f"{one['engine']}, ms a step": number(ours),
        "general path, ms": number(general),
        "ratio": f"{number(general / ours)}×" if general else NONE,
        "AVX2: kernel, ms": number(avx2),
        "AVX2: general path, ms": number(on_avx2),
        "AVX2: ratio": f"{number(on_avx2 / avx2)}×" if avx2 and on_avx2 else NONE,
    }


def beside_jax() -> str:
    """The kernel's step beside JAX's, of the experiments where that was measured."""

    def row(name: str, one: Row) -> dict[str, str]:
        return {
            "experiment": title(name),
            "trials": f"{one['trials']}",
            "kernel, ms a step": number(one["kernel_ms"]),
            f"JAX {one['jax']}, ms": number(one["jax_ms"]),
            "ratio": f"{number(one['ratio'])}×",
        }

    def table(found: Bench) -> str:
        rows = table_of((row(*item) for item in found.items()), "Not measured beside JAX.")
        return rows + f"\n{measured_on(found)}" * bool(found)

    return table(by_experiment("bench-jax.json", "`tests/benchmarks/jax_loop.py`", table))


def whole(value: float | None) -> str:
    """Three digits, thousands apart."""
    return NONE if value is None else f"{float(f'{value:.3g}'):,.0f}"


def measured(found: Bench) -> str:
    """When, on what and with which versions the bench was run, and the peaks that it found."""
    if not found:
        return UNMEASURED
    bounds = [one["bound"] for one in found.values() if "bound" in one]
    if not bounds:
        return measured_on(found)
    least, most = pd.DataFrame(bounds).agg(["min", "max"]).to_dict("records")
    operations, size = (
        " to ".join(dict.fromkeys(number(end[f"{of}_a_second"] / 1e9) for end in (least, most)))
        for of in ("operations", "bytes")
    )
    return (
        f"{measured_on(found)}\n\nPeaks: {operations} billion operations a second in a large "
        f"matrix product, {size} GB a second (read plus written) in a copy that no cache holds."
    )


def measured_on(found: Bench, told: str = PROCESSOR) -> str:
    """On what and when it was measured: a line for each that differs, with the names it is of.

    Args:
        told: what is told of a machine, a format of what the bench wrote of it.
    """
    runs: dict[str, list[str]] = {}
    for name, one in found.items():
        known = {"date": "date unknown"} | one | one.get("machine", {})
        known["commit"] = (one.get("commit") or "unknown")[:10] + UNSURE[one.get("dirty", False)]
        line = literal(told.format_map(defaultdict(lambda: "unknown", known)))
        runs.setdefault(line, []).append(title(name))
    if len(runs) == 1:
        return f"Measured on: {next(iter(runs))}."
    return "\n".join(f"- {', '.join(names)}, measured on: {line}." for line, names in runs.items())


def published() -> list[Result]:
    """Every published result, those of an experiment's own settings first.

    Raises:
        RequestError: one is damaged.
    """

    def place(one: Result) -> tuple:
        name = one.settings.experiment
        return one.name != name, _place(name), one.name

    found = (results.load(*address) for address in results.addresses(results.PUBLISHED))
    return sorted(filter(None, found), key=place)


def spent(found: Sequence[Result]) -> str:
    """What each result took, a row each; core-seconds a trial of 1,000 steps make them comparable.

    Computing time is the manifest's, summed over processes of as many threads as it says.
    """
    return table_of(map(_spent, found), "No result is published yet.")


def _spent(one: Result) -> dict[str, str]:
    made, own, manifest = facts_of_run(one), one.settings, one.manifest
    done = manifest["steps_done"] * len(one.seed) or float("nan")
    changed = ", ".join(changes(own))  # what was set otherwise
    name = title(own.experiment) + ", second round" * (round_of(own.experiment) - 1)
    ties = [f"{(one.tie == tie).sum()} {tie}" for tie in dict.fromkeys(one.tie.tolist())]
    return {
        "result": name + f" ({changed})" * bool(changed),
        "steps": steps(one),
        "trials": ", ".join(ties),
        "computing time": made["duration"],
        "core-seconds a trial of 1,000 steps": number(1000 * _core_seconds(one) / done),
        "trained on": made["device"],
        "begun": made["started"],
    }


def total(found: Sequence[Result]) -> str:
    """What the results took together, in a sentence; empty if there is none."""
    hours = sum(map(_core_seconds, found)) / 3600
    trials = sum(len(one.seed) for one in found)
    return f"Together: {trials:,} trials in {number(hours)} core-hours." if found else ""


def _core_seconds(one: Result) -> float:
    return one.manifest["duration_s"] * one.manifest["threads"]
