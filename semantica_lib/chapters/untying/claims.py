"""What the sweep over the step at which tied tables are untied claims.

The predictions follow from the decay clock, counted from the step of untying, and from what the
loss asks. They were written down before any point of the sweep was looked at but the main
experiment, which is always tied and always untied.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from semantica_lib.analysis.claims import MERGE_MARGIN, aim, claim_of, exploratory, more_learn
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.exploratory import CLOSE
from semantica_lib.analysis.statistics import Claim, finite
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.untying import measures
from semantica_lib.chapters.untying.measures import ALWAYS, NEVER, Way

NO_WORSE = 0.02  # nats; a smaller difference in loss is none
EARLY = 10_000  # untied by this step: predicted to be as good as always untied


def untying_claims(found: Sequence[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep, the primary ones and the exploratory ones."""
    ways, steps = {way.label: way for way in measures.ways_of(found)}, measures.untied_at(found)
    never, always = ways.get(NEVER), ways.get(ALWAYS)
    primary: list[Claim] = []
    others: list[Claim] = []
    for way in (way for way in ways.values() if way.late):
        predicted, further = _by_the_clock(way)
        primary += predicted
        others += further
        # Where the outputs end is judged of the first and of the last to be untied.
        outputs = primary if way.until in (steps[0], steps[-1]) else others
        outputs += _outputs(way)
        others += _outputs(way, learners=True)
        if way.until <= EARLY:
            primary.append(_gets_back(way, never, always))
        if way.until == steps[-1]:
            less = measures.difference(way, always, "loss") if always else ()
            text = f"{way.label}: loss over all strings minus {ALWAYS}'s, nats"
            primary.append(_claim([way, always], text, less, "difference", **aim("under", 0.0)))
        for base in filter(None, (never, always)):
            others += _against(way, base)
    return primary, exploratory(others)


def _claim(
    ways: Sequence[Way | None], text: str, values: Any, measure: str = "ratio", **about: Any
) -> Claim:
    """Like :meth:`semantica_lib.analysis.claims.Evidence.claim`, which is not for such trials.

    Those that are untied on the way are judged as what they then are.
    """
    there = [way for way in ways if way]
    lacks = [way.lacks for way in there if way.lacks]
    if len(there) < len(ways):
        lacks = ["There are no trials of the main experiment to compare with."]
    obstacle = [*lacks, about.pop("obstacle", "")][0]
    trials = {place: way.trials for place, way in enumerate(there)}
    return claim_of(trials, obstacle, text, measure, finite(values), *trials, **about)


def _by_the_clock(way: Way) -> tuple[list[Claim], list[Claim]]:
    """Input rows from the step of untying on: those that tying held apart are the primary claim."""
    primary, others, obstacle = [], [], ""
    learners = way.measured.learners(True)
    if way.since not in way.trials.steps:
        obstacle = f"Step {way.since}, at which the tables were untied, is not among the records."
    for a, b, holds in synonym_pairs(way.measured.task):
        rows, left = f"{way.label}: input rows {a} and {b}", measures.left_of(way, "input", (a, b))
        merge = None if holds else measures.merges(way.measured.settings)
        over, text = f"{rows}, distance over that when untied", ""
        predicted = {"obstacle": obstacle}
        if merge is not None:
            text = f", predicted to {'merge' if merge else 'stay apart'}"
            predicted |= aim("under" if merge else "over", MERGE_MARGIN)
        judged = others if merge is None else primary
        judged.append(_claim([way], over + text, left, **predicted))
        only = f"{over}{text}, learned trials only"
        decay = f"{over} over the {way.clock:.3g} that decay leaves"
        ratio = way.trials.ratio("input", (a, b))[0]
        others += [
            _claim([way], only, left[learners], **predicted),
            _claim([way], decay, left / way.clock, obstacle=obstacle),
            _claim([way], f"{rows}, ratio to the control pairs", ratio),
        ]
    return primary, others


def _outputs(way: Way, learners: bool = False) -> list[Claim]:
    """Output rows at the end: the loss brings equally likely ones together, no others."""
    claims, keep = [], way.measured.learners(True) if learners else slice(None)
    for a, b, holds in synonym_pairs(way.measured.task):
        side, verb = ("under", "merge") if holds else ("over", "stay apart")
        text = f"{way.label}: output rows {a} and {b} {verb} (DH {'holds' if holds else 'fails'})"
        text += ", learned trials only" * learners
        predicted = aim(side, MERGE_MARGIN)
        predicted["prediction"] = f"{side} {MERGE_MARGIN:.2f} of a control pair's distance"
        ratio = way.trials.ratio("output", (a, b))[0][keep]
        claims.append(_claim([way], text, ratio, **predicted))
    return claims


def _gets_back(way: Way, never: Way | None, always: Way | None) -> Claim:
    """More than half of what tying costs in loss is got back, paired by seed."""
    ways, values = [way, never, always], ()
    if never and always:
        loss, least, most = (measures.final(one, "loss", *ways) for one in ways)
        values = loss - (least + most) / 2
    text = f"{way.label}: loss over all strings minus the mean of always untied's and always tied's"
    less = aim("under", 0.0, " nats: over half of tying's cost is got back")
    return _claim(ways, text, values, "difference", **less)


def _against(way: Way, base: Way) -> list[Claim]:
    """A way beside one that never unties: who learns, how soon, how well; paired by seed."""
    name = base.label
    told = more_learn(f"{way.label}: learned by more trials than {name}", base.learned, way.learned)
    claims = [replace(told, obstacle=way.lacks or base.lacks)]
    worse = aim("under", NO_WORSE) if name == NEVER and way.until <= EARLY else {}
    for quantity, unit, predicted in (("loss", ", nats", worse), ("accuracy", "", {})):
        values = measures.difference(way, base, quantity)
        text = f"{way.label}: {quantity} over all strings minus {name}'s{unit}"
        claims.append(_claim([way, base], text, values, "difference", **predicted))
        learned = [one.learned.reindex(values.index, fill_value=False) for one in (way, base)]
        text += ", seeds that learn in both"
        claims.append(
            _claim([way, base], text, values[np.all(learned, 0)], "difference", **predicted)
        )
    steps = np.intersect1d(*(one.values("train", "loss").columns for one in (way, base)))
    firsts = {"the parity is learned": [measures.first_learned(one, steps) for one in (way, base)]}
    steps = np.intersect1d(way.trials.steps, base.trials.steps)
    for a, b, holds in synonym_pairs(way.measured.task):
        if holds:
            near = f"output rows {a} and {b} are under {CLOSE:g} of their start"
            firsts[near] = [measures.first_close(one, (a, b), steps) for one in (way, base)]
    for event, (mine, its) in firsts.items():
        never = f"never: {np.isinf(mine).sum()} and {np.isinf(its).sum()}"
        last = min(way.measured.last, base.measured.last)
        values = mine.clip(upper=last) / its.clip(upper=last)
        text = f"{way.label}: first step at which {event}, over {name}'s ({never})"
        claims.append(_claim([way, base], text, values[values > 0]))
    return claims
