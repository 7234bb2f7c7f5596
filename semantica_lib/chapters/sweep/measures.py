"""Any sweep: which settings it varies, and what its points come to, trial by trial."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from semantica_lib.analysis.claims import BOTH, LEARNED_NATS
from semantica_lib.analysis.distances import Table, Trials, end_of, synonym_pairs, tie_of
from semantica_lib.analysis.markdown import pair_name
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
    return [found[i] for i, own in enumerate(_values(found, where)) if own == wanted]


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
        if len(set(_values(found, [x, *rest]))) == len(set(_values(found, [x, *others]))):
            others = rest
    by: dict[tuple, dict[int, int]] = {}
    for index, values in enumerate(_values(found, others)):
        place = several[x].index(getattr(found[index].settings, x)) if x in several else 0
        by.setdefault(values, {})[index] = place
    return [Line(label(dict(zip(others, own, strict=True))), places) for own, places in by.items()]


def ends(found: Sequence[Point]) -> pd.DataFrame:
    """How near each pair of synonyms ends in each table of each trial, a row each.

    ``point`` is the index in ``found``; ``ranks`` are the pair's places among the symbols of its
    ``bit``; ``ratio`` is the distance over the median control pair's, a mean over the schedule's
    last period, or of the last record where there is no full one.
    """
    rows = []
    for index, tied, table, trials in _tables(found):
        zeros = len(trials.task.zero_dst)
        for a, b, holds in synonym_pairs(trials.task):
            bit = int(a >= zeros)
            ranks = (a - bit * zeros, b - bit * zeros)
            about = (index, tied, table, bit, ranks, pair_name((a, b)), holds)
            ratio = trials.ratio(table, (a, b))[0]
            rows += [(*about, *one) for one in zip(trials.seeds, ratio, strict=True)]
    return pd.DataFrame(rows, columns=END).astype({"tied": bool, "ratio": float})


def attained(found: Sequence[Point]) -> pd.DataFrame:
    """Whether each trial learns the parity, and its exact accuracy over all strings, a row each.

    Over the same records as :func:`ends`. A trial with numbers that are not finite did not learn.
    """
    rows = []
    for index, tied, table, trials in _tables(found):
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
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:,}"
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


def _tables(found: Sequence[Point]) -> Iterator[tuple[int, bool, Table, Trials]]:
    """The trials of each table of each point, none of a language model, with the point's index."""
    for index, (_, own, result) in enumerate(found):
        if result is None or not isinstance(own, Settings) or not result.steps.size:
            continue
        by_tie = {tied: _trials(result, tied) for tied in BOTH}
        for tied, table in found[index].places:
            if len(by_tie[tied].seeds) or by_tie[tied].diverged:
                yield index, tied, table, by_tie[tied]


def _trials(result: Result, tied: bool) -> Trials:
    trials, steps, rows = Trials.of(result, tied, end_of(result)), result.steps, result.metrics
    if trials.window is not None:
        return trials
    rows = rows[(rows.tie == tie_of(tied)) & (rows.step <= steps[-1])]
    return replace(trials, window=steps == steps[-1], metrics=rows[rows.step == rows.step.max()])


def _refuse_unknown(parameter: str, name: str, known: Sequence[str] | Mapping[str, Any]) -> None:
    if name not in known:
        hint = nearest(name, known)
        raise RequestError(f"{parameter}: {name!r} is no setting that the sweep varies{hint}")


def _values(found: Sequence[Point], names: Iterable[str]) -> list[tuple]:
    """The values of these settings, by point."""
    return [tuple(getattr(point.settings, name) for name in names if name) for point in found]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
