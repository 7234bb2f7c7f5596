"""Any sweep in words and numbers, as Markdown."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.statistics import last_period
from semantica_lib.analysis.sweep_points import Point, name_of
from semantica_lib.chapters.sweep.figures import places_of
from semantica_lib.chapters.sweep.measures import attained, ends, label
from semantica_lib.errors import literal
from semantica_lib.figures.facts import whose
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.sweeps import read


def asked(sweep: str, file: Path, found: Sequence[Point]) -> str:
    """What a sweep asks, what there is of it, and how to get the rest, as Markdown."""
    own, there = read(file), sum(point.result is not None for point in found)
    trained = [point.result is not None and point.result.covers(point.settings) for point in found]
    lines = [
        f"**{literal(file.stem)}.** {literal(own.question)}".strip(),
        f"{len(found)} points of {own.base}, {len(own.seeds)} seeds each; {there} have a result.",
    ]
    if not all(trained):
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
    pairs, trials, places = ends(found), attained(found), places_of(found)
    kinds = [kind[-1] for kind in sorted(set(zip(pairs.bit, pairs.ranks, pairs.pair, strict=True)))]
    heads = [f"{name_of(place)}, {pair}" for place in places for pair in kinds]
    heads += [f"{what}, {tie_of(tied)}" for what in ("learn", "accuracy") for tied in BOTH]
    lines = []
    for index, point in enumerate(found):
        own, of = pairs[pairs.point == index], trials[trials.point == index]
        cells = [
            markdown.geometric(
                own[(own.tied == tied) & (own.table == table) & (own.pair == pair)].ratio
            )
            for tied, table in places
            for pair in kinds
        ]
        cells += [markdown.counted(of[of.tied == tied].learned) for tied in BOTH]
        cells += [markdown.mean(of[of.tied == tied].accuracy) for tied in BOTH]
        lines.append([label(point.varied), state(point, failures.get(index, "")), *cells])
    return markdown.markdown_table(["point", "result", *heads], lines)


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
    if last_period(result.steps, result.settings.period) is None:
        told += ", no full period of the schedule"
    told += f"; {result.divergence}" * bool(result.divergence)
    return told + f"; stale: {literal(result.stale)}" * bool(result.stale)
