"""Any sweep in words and numbers, as Markdown."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.markdown import NONE, markdown_table, with_interval
from semantica_lib.analysis.statistics import mean_interval
from semantica_lib.analysis.sweep_points import Point, name_of
from semantica_lib.chapters.sweep.figures import interval_of, places_of
from semantica_lib.chapters.sweep.measures import attained, ends, label, whole_period
from semantica_lib.errors import literal
from semantica_lib.figures.facts import whose
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.sweeps import read


def asked(sweep: str, file: Path, found: Sequence[Point]) -> str:
    """What a sweep asks, what there is of it, and how to get the rest, as Markdown."""
    own, there = read(file), sum(point.result is not None for point in found)
    lacking = [
        point for point in found if point.result is None or not point.result.covers(point.settings)
    ]
    lines = [
        f"**{literal(file.stem)}.** {literal(own.question)}".strip(),
        f"{len(found)} points of {own.base}, {len(own.seeds)} seeds each; {there} have a result.",
    ]
    if lacking:
        lines.append(f"`semantica run {shlex.quote(sweep)}` trains what is missing.")
    if any(not isinstance(point.settings, Settings) for point in found):
        lines.append("Figures are drawn of the XOR task only, and this is not of it.")
    return "\n\n".join(lines)


def endings(found: Sequence[Point], failures: Mapping[int, str] = {}) -> str:
    """Every point with its result in numbers, a row each, as Markdown.

    Args:
        failures: index of a point -> why it could not be trained.
    """
    if not found:
        return "No point of the sweep is chosen."
    pairs, trials = ends(found), attained(found)
    kinds = sorted(set(zip(pairs.bit, pairs.ranks, pairs.pair, strict=True)))
    heads = [f"{name_of(place)}, {pair}" for place in places_of(found) for *_, pair in kinds]
    heads += [f"{what}, {tie_of(tied)}" for what in ("learn", "accuracy") for tied in BOTH]
    rows = []
    for index, point in enumerate(found):
        own, cells = pairs[pairs.point == index], []
        for tied, table in places_of(found):
            here = own[(own.tied == tied) & (own.table == table)]
            for _, _, pair in kinds:
                ratios = here[here.pair == pair].rename(columns={"ratio": "value"})
                cells.append(with_interval(interval_of(ratios)))
        for quantity in ("learned", "accuracy"):
            for tied in BOTH:
                told = trials[(trials.point == index) & (trials.tied == tied)][quantity]
                cells.append(_told(told))
        words = state(point, failures.get(index, ""))
        rows.append([label(point.varied), words, *cells])
    return markdown_table(["point", "result", *heads], rows)


def _told(values: pd.Series) -> str:
    if values.dtype == bool:
        return f"{int(values.sum())} of {len(values)}" if len(values) else NONE
    return with_interval(mean_interval(values[np.isfinite(values)]))


def state(point: Point, failure: str = "") -> str:
    """What there is of a point, or why there is nothing."""
    result = point.result
    if result is None:
        return f"missing: {' '.join(failure.split())}" if failure else "missing"
    done, asked = result.manifest["steps_done"], point.settings.steps
    seeds = len(set(result.seed.tolist()))
    told = f"{whose(result)}, {done:,} steps, {seeds} seed{'s' * (seeds != 1)}"
    if not result.covers(point.settings):
        told += f" (asked for: {asked:,} steps, {len(point.settings.seeds)} seeds)"
    if not whole_period(point):
        told += ", no full period of the schedule"
    return told + f"; stale: {literal(result.stale)}" * bool(result.stale)
