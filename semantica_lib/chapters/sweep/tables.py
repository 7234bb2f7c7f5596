"""Any sweep in words and numbers, as Markdown."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.distances import end_of
from semantica_lib.analysis.markdown import NONE
from semantica_lib.analysis.sweep_points import Point, name_of
from semantica_lib.chapters.sweep.figures import places_of
from semantica_lib.chapters.sweep.measures import attained, ends, label
from semantica_lib.errors import literal
from semantica_lib.figures.facts import seeds_of, whose
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.sweeps import read


def asked(sweep: str, file: Path, found: Sequence[Point]) -> str:
    """What a sweep asks, what there is of it, and how to get the rest, as Markdown."""
    own, there = read(file), sum(point.result is not None for point in found)
    trained = [point.result is not None and point.result.covers(point.settings) for point in found]
    lines = [
        f"**{literal(file.stem)}.** {literal(own.question)}".strip(),
        f"{len(found)} points of *{markdown.title(own.base)}*, {len(own.seeds)} seeds each; "
        f"{there} have a result.",
    ]
    if not all(trained):
        lines.append(f"`semantica run {shlex.quote(sweep)}` trains what is missing.")
    if any(not isinstance(point.settings, Settings) for point in found):
        lines.append("Figures are drawn of the XOR task only, and this is not of it.")
    return "\n\n".join(lines)


def nearest(found: Sequence[Point]) -> str:
    """At which point synonyms end nearest in each table: what the figure of distances shows."""
    frame, told = ends(found), []
    for place, rows in frame.groupby(["tied", "table"], sort=False):
        means = np.log(rows.ratio.replace(0, np.nan)).groupby([rows.point, rows.pair]).mean()
        if means.notna().any():
            (index, pair), least = means.idxmin(), np.exp(means.min())
            at = f"{pair} at {label(found[index].varied)}" if found[index].varied else pair
            told.append(f"{name_of(place)}, {at} ({markdown.number(least)})")
    least = "By the mean over seeds, as a share of a control pair's distance, synonyms end nearest"
    return f"{least}: {'; '.join(told)}." if told else ""


def best(found: Sequence[Point]) -> str:
    """At which point most trials learn the parity: what the figure of what is attained shows."""
    told = []
    for tied, rows in attained(found).groupby("tied"):
        shares = rows.groupby("point").learned.mean()
        of = rows[rows.point == shares.idxmax()].learned
        at = label(found[shares.idxmax()].varied)
        told.append(f"{tie_of(bool(tied))}, {markdown.counted(of)} at {at or 'the only point'}")
    return f"The most trials that learn the parity at a point: {'; '.join(told)}." if told else ""


def endings(found: Sequence[Point], failures: Mapping[int, str] = {}) -> str:
    """Every point with its result in numbers, a row each, as Markdown.

    Args:
        failures: index of a point -> why it could not be trained.
    """
    if not found:
        return "No point of the sweep is chosen."
    pairs, trials = ends(found), attained(found)
    kinds = [kind[-1] for kind in sorted(set(zip(pairs.bit, pairs.ranks, pairs.pair, strict=True)))]
    ratios = _told(pairs, ["tied", "table", "pair"], "ratio", markdown.geometric)
    learned = _told(trials, ["tied"], "learned", markdown.counted)
    accuracy = _told(trials, ["tied"], "accuracy", markdown.mean)
    return markdown.table_of(
        {"point": label(point.varied), "result": state(point, failures.get(index, ""))}
        | {
            f"{name_of(place)}, {pair}": ratios.get((index, *place, pair), NONE)
            for place in places_of(found)
            for pair in kinds
        }
        | {f"learn, {tie_of(tied)}": learned.get((index, tied), NONE) for tied in BOTH}
        | {f"accuracy, {tie_of(tied)}": accuracy.get((index, tied), NONE) for tied in BOTH}
        for index, point in enumerate(found)
    )


def _told(
    frame: pd.DataFrame, by: list[str], column: str, tell: Callable[[pd.Series], str]
) -> dict[tuple, str]:
    """A column's values in words, by point and what else tells the trials apart."""
    return {key: tell(values) for key, values in frame.groupby(["point", *by])[column]}


def state(point: Point, failure: str = "") -> str:
    """What there is of a point, or why there is nothing."""
    result = point.result
    if result is None:
        return f"missing: {' '.join(failure.split())}" if failure else "missing"
    told = f"{whose(result)}, {result.manifest['steps_done']:,} steps, {seeds_of(result)}"
    if not result.covers(point.settings):
        own = point.settings
        told += f" (asked for: {own.steps:,} steps, {len(own.seeds)} seeds)"
    if end_of(result) is None:
        told += ", no full period of the schedule"
    told += f"; {result.divergence}" * bool(result.divergence)
    return told + f"; stale: {literal(result.stale)}" * bool(result.stale)
