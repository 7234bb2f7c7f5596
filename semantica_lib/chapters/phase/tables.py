"""The plane of the sweep *phase* in numbers, and where tying begins to cost: as Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.markdown import counted, geometric, markdown_table, mean, number
from semantica_lib.analysis.statistics import Interval
from semantica_lib.analysis.sweep_points import INPUT, PLACES, Point, name_of
from semantica_lib.analysis.verdicts import primary_rows
from semantica_lib.chapters.phase.measures import MARGINS, NEVER, START, Onset, Spot
from semantica_lib.figures.facts import whose


def onset_table(onsets: Mapping[tuple, Onset]) -> str:
    """The same as a table: a row a decay."""
    both = [(q, learners) for learners in BOTH for q in MARGINS]
    lines = [
        [
            "mean over all" if decay is None else f"{decay:g}",
            *(_onset(onsets[decay, *of], of[1]) for of in both),
        ]
        for decay in dict.fromkeys(decay for decay, *_ in onsets)
    ]
    heads = [f"{q}{', both learned (seeds at a p)' * learners}" for q, learners in both]
    return markdown_table(["weight decay", *heads], lines)


def _onset(at: Onset, learners: bool) -> str:
    if np.isnan(at.p):
        return markdown.NONE
    words = {START: "from the start", NEVER: "not within"}
    low, high = ({START: "the start", NEVER: "beyond"}.get(v, number(v)) for v in (at.low, at.high))
    counts = f" ({at.fewest} to {at.most})" if learners else ""
    return f"{words.get(at.p, number(at.p))} [{low}, {high}]{counts}"


def numbers(spots: Sequence[Spot]) -> str:
    """The plane in numbers: a row a point that has a result."""
    rows = [_numbers(spot) for spot in spots]
    lines = [row.values() for row, spot in zip(rows, spots, strict=True) if spot.measured]
    return markdown_table(rows[0] if rows else [], lines)


def _numbers(spot: Spot) -> dict[str, str]:
    ratios = {f"{name_of(at)}, distance / control": geometric(spot.ratio(at)) for at in PLACES}
    return {
        "decay": f"{spot.decay:g}",
        "p": f"{spot.p:g}",
        **ratios,
        "untied input, distance / clock": geometric(spot.distance(INPUT) / spot.law(INPUT)),
        "log-odds": f"{spot.log_odds:.3f}",
        **{f"gap, {tie_of(tied)}": mean(spot.gap(tied)) for tied in BOTH},
        "tying costs, nats": mean(spot.cost("loss")),
        "tying costs, accuracy": mean(spot.cost("accuracy")),
        **{f"learn, {tie_of(tied)}": counted(spot.learned(tied)) for tied in BOTH},
    }


def what_tying_costs(frame: pd.DataFrame) -> str:
    """The judged rows on what tying costs, a line each.

    Args:
        frame: the chapter's rows.
    """
    rows = primary_rows(frame)
    lines = []
    for row in rows[rows.claim.str.contains("what tying costs")].itertuples():
        interval = markdown.with_interval(Interval(row.estimate, row.low, row.high))
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
