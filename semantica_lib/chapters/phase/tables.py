"""The plane of the sweep *phase* in numbers, and where tying begins to cost: as Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import BOTH, tie_of
from semantica_lib.analysis.markdown import counted, geometric, mean, number, table_of
from semantica_lib.analysis.statistics import Interval
from semantica_lib.analysis.sweep_points import INPUT, PLACES, Point, name_of
from semantica_lib.analysis.verdicts import primary_rows
from semantica_lib.chapters.phase.measures import MARGINS, NEVER, START, Onset, Spot
from semantica_lib.figures.facts import in_short
from semantica_lib.store.results import Result


def onset_table(onsets: Mapping[tuple, Onset]) -> str:
    """The same as a table: a row a decay."""
    both, rows = [(q, learners) for learners in BOTH for q in MARGINS], []
    for decay in dict.fromkeys(decay for decay, *_ in onsets):
        row = {"weight decay": "mean over all" if decay is None else f"{decay:g}"}
        for q, learners in both:
            head = f"{q}{', both learned (seeds at a p)' * learners}"
            row[head] = _onset(onsets[decay, q, learners], learners)
        rows.append(row)
    return table_of(rows)


def _onset(at: Onset, learners: bool) -> str:
    if np.isnan(at.p):
        return markdown.NONE
    words = {START: "from the start", NEVER: "not within"}
    low, high = ({START: "the start", NEVER: "beyond"}.get(v, number(v)) for v in (at.low, at.high))
    counts = f" ({at.fewest} to {at.most})" if learners else ""
    return f"{words.get(at.p, number(at.p))} [{low}, {high}]{counts}"


def numbers(spots: Sequence[Spot]) -> str:
    """The plane in numbers: a row a point that has a result."""
    rows = []
    for spot in (spot for spot in spots if spot.measured):
        ends = {place: spot.ends(place) for place in PLACES}
        row = {"decay": f"{spot.decay:g}", "p": f"{spot.p:g}"}
        for place, own in ends.items():
            row[f"{name_of(place)}, distance / control"] = geometric(own.ratio)
        clock = ends[INPUT].distance / ends[INPUT].law
        row["untied input, distance / clock"] = geometric(clock)
        row["log-odds"] = f"{spot.log_odds:.3f}"
        row |= {f"gap, {tie_of(tied)}": mean(spot.gap(tied)) for tied in BOTH}
        row["tying costs, nats"] = mean(spot.cost("loss"))
        row["tying costs, accuracy"] = mean(spot.cost("accuracy"))
        row |= {f"learn, {tie_of(tied)}": counted(spot.learned(tied)) for tied in BOTH}
        rows.append(row)
    return table_of(rows)


def what_tying_costs(frame: pd.DataFrame) -> str:
    """The judged ones of the chapter's rows on what tying costs, as a table."""
    rows = primary_rows(frame)
    lines = []
    for row in rows[rows.claim.str.contains("what tying costs")].itertuples():
        interval = markdown.with_interval(Interval(row.estimate, row.low, row.high))
        at = row.claim.partition(", mean")[0].removeprefix("p ")
        lines.append([at, interval, row.prediction, row.verdict])
    return markdown.markdown_table(["p", "tying costs, nats", "predicted", "verdict"], lines)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """What the page is made from, a line a decay, and how to get the rest."""
    lines, groups = [], {}
    for _, own, result in sorted(found, key=lambda point: point.settings.weight_decay):
        made = groups.setdefault(own.weight_decay, {})
        made.setdefault(_made(result), []).append(f"{max(own.zero_dst):g}")
    for decay, made in groups.items():
        told = "; ".join(f"p {', '.join(p)}: {words}" for words, p in made.items())
        lines.append(f"- decay {decay:g}: {told}.")
    lacks = sum(result is None or not result.complete for _, _, result in found)
    if lacks:
        lines.append(
            f"\n{lacks} of {len(found)} points have no complete result and are left blank. "
            f"`semantica run {sweep}` trains them and executes this page."
        )
    return "\n".join(lines)


def _made(result: Result | None) -> str:
    if result is None:
        return "no result yet"
    partial = f"partial, at step {result.steps.max(initial=0):,}, not shown"
    return in_short(result) if result.complete else partial
