"""Any sweep: which settings it varies, and what its points come to, trial by trial."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from semantica_lib.analysis.claims import BOTH, LEARNED_NATS
from semantica_lib.analysis.distances import Trials, synonym_pairs
from semantica_lib.analysis.statistics import last_period
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.errors import RequestError, nearest
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

END = ["point", "tied", "table", "bit", "ranks", "pair", "dh", "seed", "ratio"]
ATTAINED = ["point", "tied", "seed", "learned", "accuracy"]


class Line(NamedTuple):
    """Points that differ in one setting alone, which stands along the axis."""

    label: str
    places: dict[int, int]
    """index of a point -> index of its value on the axis"""


def varied(found: Sequence[Point]) -> dict[str, list[Any]]:
    """The settings of several values, with these: numbers in their order, others as in the file.

    ``ties`` is none of them: it decides which tables a point has.
    """
    names = dict.fromkeys(name for point in found for name in point.varied if name != "ties")
    several = {}
    for name in names:
        values = list(dict.fromkeys(getattr(point.settings, name) for point in found))
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if len(values) > 1:
            several[name] = sorted(values) if numbers else values
    return several


def chosen(found: Sequence[Point], where: Mapping[str, Any]) -> list[Point]:
    """The points whose settings have these values.

    Raises:
        RequestError: a name is not a setting that is varied.
    """
    names = list(dict.fromkeys(name for point in found for name in point.varied))
    for name in where:
        _refuse_unknown("where", name, names)
    wanted = tuple(map(_frozen, where.values()))
    return [point for point in found if _values(point, where) == wanted]


def axis(found: Sequence[Point], x: str = "") -> str:
    """The setting along the axis: ``x``, else the first one of most values; empty without any.

    Raises:
        RequestError: ``x`` is not a setting that has several values.
    """
    several = varied(found)
    if not x:
        return max(several, key=lambda name: len(several[name]), default="")
    if found:
        _refuse_unknown("x", x, several)
    return x


def lines(found: Sequence[Point], x: str) -> list[Line]:
    """The points by the values of their other settings, in the order of the file.

    A setting that follows from the others (a rate that goes with an optimizer) is in no label.
    """
    several = varied(found)
    others = [name for name in several if name != x]
    for name in reversed(others[:]):
        rest = [other for other in others if other != name]
        if _count(found, [x, *rest]) == _count(found, [x, *others]):
            others = rest
    by: dict[tuple, dict[int, int]] = {}
    for index, point in enumerate(found):
        place = several[x].index(getattr(point.settings, x)) if x in several else 0
        by.setdefault(_values(point, others), {})[index] = place
    return [Line(label(dict(zip(others, own, strict=True))), places) for own, places in by.items()]


def ends(found: Sequence[Point]) -> pd.DataFrame:
    """How near each pair of synonyms ends in each table of each trial, a row each.

    ``point`` is the index in ``found``; ``ranks`` are the pair's places among the symbols of its
    ``bit``; ``ratio`` is the distance over the median control pair's, a mean over the schedule's
    last period, or of the last record where there is no full one.
    """
    rows = []
    for index, point in enumerate(found):
        for (tied, table), trials in _tables(point).items():
            zeros = len(trials.task.zero_dst)
            for a, b, holds in synonym_pairs(trials.task):
                bit = int(a >= zeros)
                ranks = (a - bit * zeros, b - bit * zeros)
                about = (index, tied, table, bit, ranks, f"{a} and {b}", holds)
                ratio = trials.ratio(table, (a, b))[0]
                rows += [(*about, *one) for one in zip(trials.seeds, ratio, strict=True)]
    return pd.DataFrame(rows, columns=END).astype({"tied": bool, "ratio": float})


def attained(found: Sequence[Point]) -> pd.DataFrame:
    """Whether each trial learns the parity, and its exact accuracy over all strings, a row each.

    Over the same records as :func:`ends`. A trial with numbers that are not finite did not learn.
    """
    rows = []
    for index, point in enumerate(found):
        for (tied, table), trials in _tables(point).items():
            if table == "output":
                continue  # told with the input table of the same trials
            seeds = sorted({*trials.seeds.tolist(), *trials.diverged})
            loss = trials.measured("train", "loss").reindex(seeds)
            learned = loss - trials.task.ceiling("train")[1] <= LEARNED_NATS
            accuracy = trials.measured("exact", "accuracy").reindex(seeds)
            rows += [(index, tied, *one) for one in zip(seeds, learned, accuracy, strict=True)]
    kinds = {"tied": bool, "learned": bool, "accuracy": float}
    return pd.DataFrame(rows, columns=ATTAINED).astype(kinds)


def label(values: Mapping[str, Any]) -> str:
    """Settings with their values, in words."""
    return ", ".join(f"{name.replace('_', ' ')} {words(value)}" for name, value in values.items())


def words(value: Any) -> str:
    """A setting's value as on a page: null for none, a list's values behind one another."""
    if isinstance(value, tuple | list):
        return ", ".join(map(words, value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


def _tables(point: Point) -> dict[tuple[bool, str], Trials]:
    """Its trials, by table; none without a result, nor of a language model."""
    result = point.result
    if result is None or not isinstance(point.settings, Settings) or not result.steps.size:
        return {}
    found = {tied: _trials(result, tied) for tied in BOTH}
    some = [tied for tied, trials in found.items() if len(trials.seeds) or trials.diverged]
    return {place: found[place[0]] for place in point.places if place[0] in some}


def _trials(result: Result, tied: bool) -> Trials:
    steps, metrics = result.steps, result.metrics
    window = last_period(steps, result.settings.period)
    trials = Trials.of(result, tied, window)
    if window is not None:
        return trials
    metrics = metrics[(metrics.tied == tied) & (metrics.step <= steps[-1])]
    last = metrics[metrics.step == metrics.step.max()]
    return replace(trials, window=steps == steps[-1], metrics=last)


def _refuse_unknown(parameter: str, name: str, known: Sequence[str] | Mapping[str, Any]) -> None:
    if name not in known:
        hint = nearest(name, known)
        raise RequestError(f"{parameter}: {name!r} is no setting that the sweep varies{hint}")


def _values(point: Point, names: Iterable[str]) -> tuple:
    return tuple(getattr(point.settings, name) for name in names if name)


def _count(found: Sequence[Point], names: Sequence[str]) -> int:
    """How many different values of these settings there are."""
    return len({_values(point, names) for point in found})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
