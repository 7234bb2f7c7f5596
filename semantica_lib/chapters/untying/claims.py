"""What the sweep over the step at which tied tables are untied claims.

The predictions follow from the decay clock, counted from the step of untying, and from what the
loss asks. They were written down before any point of the sweep was looked at but the main
experiment, which is always tied and always untied.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import MERGE_MARGIN, Side, exploratory, more_learn
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.exploratory import CLOSE
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.untying.measures import (
    Way,
    final,
    first_close,
    first_learned,
    left_of,
    merges,
    ways_of,
)

NO_WORSE = 0.02  # nats; a smaller difference in loss is none
EARLY = 10_000  # untied by this step: predicted to be as good as always untied


def untying_claims(found: Sequence[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep, the primary ones and the exploratory ones."""
    ways = {way.until: way for way in ways_of(found)}
    late = [way for until, way in ways.items() if 0 < until < np.inf]
    ends = ways.get(0), ways.get(np.inf)
    untied_at = [own.untie_at for _, own, _ in found if own.untie_at]
    primary: list[Claim] = []
    others: list[Claim] = []
    for way in late:
        primary += _by_the_clock(way, True)
        others += _by_the_clock(way, False)
        # Where the outputs end is judged of the first and of the last to be untied.
        outputs = primary if way.until in (min(untied_at), max(untied_at)) else others
        outputs += _outputs(way, "")
        others += _outputs(way, ", learned trials only")
        if way.until <= EARLY:
            primary.append(_gets_back(way, *ends))
        if way.until == max(untied_at):
            primary.append(_difference(way, ends[1], "always tied", "loss", "under", 0.0))
        for name, base in zip(("always untied", "always tied"), ends, strict=True):
            if base:
                others += _against(way, base, name)
    return primary, exploratory(others)


def _claim(
    ways: Sequence[Way | None], text: str, measure: str, values: np.ndarray,
    prediction: str = "none", obstacle: str = "", **rest: Any,
) -> Claim:  # fmt: skip
    """Like :meth:`Measured.claim`, which is not for trials that are untied on the way."""
    there = [way for way in ways if way]
    obstacle = next((way.lacks for way in there if way.lacks), obstacle)
    if len(there) < len(ways):
        obstacle = "There are no trials of the main experiment to compare with."
    values, failed = values[np.isfinite(values)], sum(way.trials.failed for way in there)
    return Claim(text, prediction, measure, values, failed=failed, obstacle=obstacle, **rest)


def _by_the_clock(way: Way, primary: bool) -> list[Claim]:
    """Input rows from the step of untying on: those that tying held apart are the primary claim."""
    claims, own, obstacle = [], way.measured.settings, ""
    if way.since not in way.trials.steps:
        obstacle = f"Step {way.since}, at which the tables were untied, is not among the records."
    for a, b, holds in synonym_pairs(way.measured.task):
        left, merge = left_of(way, "input", (a, b)), None if holds else merges(own)
        text = f"{way.label}: input rows {a} and {b}, distance over that when untied"
        predicted: dict[str, Any] = {"obstacle": obstacle}
        if merge is not None:
            side = "under" if merge else "over"
            text += f", predicted to {'merge' if merge else 'stay apart'}"
            predicted |= {"side": side, "margin": MERGE_MARGIN,
                          "prediction": f"{side} {MERGE_MARGIN:g}"}  # fmt: skip
        if primary == (merge is not None):
            claims.append(_claim([way], text, "ratio", left, **predicted))
        if primary:
            continue
        only = f"{text}, learned trials only"
        claims.append(
            _claim([way], only, "ratio", left[way.measured.learners(way.until > 0)], **predicted)
        )
        text = text.partition(", predicted")[0] + f" over the {way.clock:.3g} that decay leaves"
        claims.append(_claim([way], text, "ratio", left / way.clock, obstacle=obstacle))
        ratio = way.trials.ratio("input", (a, b))[0]
        text = f"{way.label}: input rows {a} and {b}, ratio to the control pairs"
        claims.append(_claim([way], text, "ratio", ratio))
    return claims


def _outputs(way: Way, note: str) -> list[Claim]:
    """Output rows at the end: the loss brings equally likely ones together, no others."""
    claims, keep = [], way.measured.learners(way.until > 0) if note else slice(None)
    for a, b, holds in synonym_pairs(way.measured.task):
        side, verb = ("under", "merge") if holds else ("over", "stay apart")
        dh = f"(DH {'holds' if holds else 'fails'})"
        text = f"{way.label}: output rows {a} and {b} {verb} {dh}{note}"
        prediction = f"{side} {MERGE_MARGIN:.2f} of a control pair's distance"
        ratio = way.trials.ratio("output", (a, b))[0][keep]
        claims.append(_claim([way], text, "ratio", ratio, prediction=prediction, side=side,
                             margin=MERGE_MARGIN))  # fmt: skip
    return claims


def _gets_back(way: Way, untied: Way | None, tied: Way | None) -> Claim:
    """More than half of what tying costs in loss is got back, paired by seed."""
    ways, values = [way, untied, tied], np.empty(0)
    if untied and tied:
        loss, least, most = (
            final(one, "loss", *(other for other in ways if other)) for one in ways if one
        )
        values = (loss - (least + most) / 2).to_numpy(float)
    text = f"{way.label}: loss over all strings minus the mean of always untied's and always tied's"
    prediction = "under 0 nats: over half of tying's cost is got back"
    return _claim(ways, text, "difference", values, prediction, side="under", margin=0.0)


def _difference(
    way: Way, base: Way | None, name: str, quantity: str, side: Side = "", margin: float = np.nan,
    learners: bool = False,
) -> Claim:  # fmt: skip
    values = pd.Series(dtype=float)
    if base:
        values = final(way, quantity, base) - final(base, quantity, way)
        if learners:
            both = way.learned & base.learned.reindex(way.learned.index, fill_value=False)
            values = values[both.reindex(values.index, fill_value=False)]
    unit = ", nats" if quantity == "loss" else ""
    text = f"{way.label}: {quantity} over all strings minus {name}'s{unit}"
    text += ", seeds that learn in both" * learners
    prediction = f"{side} {margin:g}" if side else "none"
    return _claim([way, base], text, "difference", values.to_numpy(float), prediction, side=side,
                  margin=margin)  # fmt: skip


def _against(way: Way, base: Way, name: str) -> list[Claim]:
    """A way beside one that never unties: who learns, how soon, how well; paired by seed."""
    told = more_learn(f"{way.label}: learned by more trials than {name}", base.learned, way.learned)
    claims = [replace(told, obstacle=way.lacks or base.lacks)]
    early = name == "always untied" and way.until <= EARLY
    worse = ("under", NO_WORSE) if early else ()
    claims += [_difference(way, base, name, "loss", *worse)]
    claims += [_difference(way, base, name, "loss", *worse, learners=True)]
    claims += [_difference(way, base, name, "accuracy", learners=only) for only in (False, True)]
    steps = np.intersect1d(*(one.values("train", "loss").columns for one in (way, base)))
    firsts = {"the parity is learned": [first_learned(one, steps) for one in (way, base)]}
    steps = np.intersect1d(way.trials.steps, base.trials.steps)
    for a, b, holds in synonym_pairs(way.measured.task):
        if holds:
            near = f"output rows {a} and {b} are under {CLOSE:g} of their start"
            firsts[near] = [first_close(one, (a, b), steps) for one in (way, base)]
    for event, (mine, its) in firsts.items():
        never = f"never: {np.isinf(mine).sum()} and {np.isinf(its).sum()}"
        last = min(way.measured.last, base.measured.last)
        values = (mine.clip(upper=last) / its.clip(upper=last)).to_numpy(float)
        text = f"{way.label}: first step at which {event}, over {name}'s ({never})"
        claims.append(_claim([way, base], text, "ratio", values[values > 0]))
    return claims
