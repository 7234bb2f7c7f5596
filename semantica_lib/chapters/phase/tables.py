"""The plane of the sweep *phase* in numbers, and where tying begins to cost: as Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.markdown import NONE, markdown_table, number, with_interval
from semantica_lib.analysis.statistics import Interval, finite, geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import INPUT, PLACES, Point, name_of
from semantica_lib.analysis.verdicts import primary_rows
from semantica_lib.chapters.phase.measures import MARGINS, NEVER, START, Onset, Spot
from semantica_lib.figures.facts import whose


def onset_table(onsets: Mapping[tuple, Onset]) -> str:
    """The same as a table: a row a decay."""
    heads = ["weight decay"]
    for learners in BOTH:
        heads += [f"{q}{', both learned (seeds at a p)' if learners else ''}" for q in MARGINS]
    lines = []
    for decay in dict.fromkeys(decay for decay, *_ in onsets):
        cells = [_onset(onsets[decay, q, learners], learners) for learners in BOTH for q in MARGINS]
        lines.append(["mean over all" if decay is None else f"{decay:g}", *cells])
    return markdown_table(heads, lines)


def _onset(at: Onset, learners: bool) -> str:
    if np.isnan(at.p):
        return NONE
    words = {START: "from the start", NEVER: "not within"}
    low, high = ({START: "the start", NEVER: "beyond"}.get(v, number(v)) for v in (at.low, at.high))
    counts = f" ({at.fewest} to {at.most})" if learners else ""
    return f"{words.get(at.p, number(at.p))} [{low}, {high}]{counts}"


def numbers(spots: Sequence[Spot]) -> str:
    """The plane in numbers: a row a point that has a result."""
    lines, heads = (
        [],
        ["decay", "p", *(f"{name_of(place)}, distance / control" for place in PLACES)],
    )
    heads += ["untied input, distance / clock", "log-odds", *(f"gap, {tie_of(t)}" for t in BOTH)]
    heads += ["tying costs, nats", "tying costs, accuracy", *(f"learn, {tie_of(t)}" for t in BOTH)]
    for spot in (spot for spot in spots if spot.measured is not None):
        ratios = [spot.ratio(place) for place in PLACES]
        ratios.append(spot.distance(INPUT) / spot.law(INPUT))
        learned = [spot.learned(tied) for tied in BOTH]
        lines.append([
            f"{spot.decay:g}", f"{spot.p:g}",
            *(with_interval(geometric_interval(finite(values))) for values in ratios),
            f"{spot.log_odds:.3f}",
            *(with_interval(mean_interval(finite(spot.gap(tied)))) for tied in BOTH),
            *(with_interval(mean_interval(finite(spot.cost(q).to_numpy()))) for q in MARGINS),
            *(f"{values.sum()} of {len(values)}" if len(values) else NONE for values in learned),
        ])  # fmt: skip
    return markdown_table(heads, lines)


def what_tying_costs(frame: pd.DataFrame) -> str:
    """The judged rows on what tying costs, a line each.

    Args:
        frame: the chapter's rows.
    """
    rows = primary_rows(frame)
    lines = []
    for row in rows[rows.claim.str.contains("what tying costs")].itertuples():
        interval = with_interval(Interval(row.estimate, row.low, row.high))
        at = row.claim.partition(", mean")[0].removeprefix("p ")
        lines.append(f"- p = {at}: {interval} nats (predicted: {row.prediction}; {row.verdict}).")
    return "\n".join(lines)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """What the page is made from, a line a decay, and how to get the rest."""
    lines, lacks = [], 0
    for decay in sorted({point.settings.weight_decay for point in found}):
        groups: dict[str, list[str]] = {}
        for point in (point for point in found if point.settings.weight_decay == decay):
            groups.setdefault(_made(point), []).append(f"{max(point.settings.zero_dst):g}")
            lacks += point.result is None or not point.result.complete
        told = "; ".join(f"p {', '.join(p)}: {words}" for words, p in groups.items())
        lines.append(f"- decay {decay:g}: {told}.")
    if lacks:
        lines.append(
            f"\n{lacks} of {len(found)} points have no complete result and are left blank. "
            f"`semantica run {sweep}` trains them and executes this page."
        )
    return "\n".join(lines)


def _made(point: Point) -> str:
    result = point.result
    if result is None:
        return "no result yet"
    steps = int(result.steps.max(initial=0))
    if not result.complete:
        return f"partial, at step {steps:,}, not shown"
    ties = " and ".join(tie_of(tied) for tied in BOTH if tied in result.tied)
    commit = (result.manifest.get("commit") or "unknown")[:10]
    return (
        f"{len(set(result.seed.tolist()))} seeds, {ties}, {steps:,} steps, {whose(result)}, "
        f"commit {commit}"
    )
