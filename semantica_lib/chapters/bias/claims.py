"""DH or frequency: what the sweep over output biases and odds claims.

*Why?* The paper's pair for which the DH fails, 0 and 1, keeps one company and differs in frequency
alone: its odds are 1 to 9 in every context, which one number a symbol, an output bias, could carry.
Where odds turn with the string's parity no such number can: then the company differs.

*Fixed when?* Before a trial of the sweep was trained; of biases and turning odds nothing was known
but four runs of 400 steps, by which the code was tried. Known were all results of the main
experiment (no bias, constant odds), so the point that is like it has no primary row though its
seeds and its split are others; and that tying costs where the DH holds for every synonym, too (the
chapter on p).

*Values* are means over the last full period. A claim about a pair is decided by the share of trials
that meet it, by the words of the second round (:mod:`semantica_lib.analysis.second_round`).

- *Output rows and tied rows* of two symbols merge (under 0.10 of the median control pair's
  distance) where their odds are the same in every context and a bias can carry them, or are even.
  Else they stay apart (over 0.10).
- *Untied input rows* of synonyms are not kept apart (under 1.25 of what the decay clock leaves),
  whatever the bias and the odds: to a reader they mean the same.
- *Tying costs* knowledge of the bit (untied minus tied over 0, on the mean), whatever the bias and
  the odds. If the DH were the reason, a bias under constant odds, with which it holds for all rows,
  would end the cost. It is predicted not to: what tying costs is learning, and that it costs where
  the DH holds.

Primary are the rows of 0 and 1 and the costs, at all points but the one that was known, judged
together at Holm's levels. By how much a bias changes what is known, and the cost, is exploratory.
"""

import numpy as np

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, ON_CLOCK, Measured, aim, exploratory
from semantica_lib.analysis.distances import SynonymPair, synonym_pairs, tie_of
from semantica_lib.analysis.second_round import HALF, Fresh, ours
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import INPUT, Place, Point, name_of
from semantica_lib.analysis.theory import log_odds_by_parity
from semantica_lib.chapters.bias import measures
from semantica_lib.chapters.bias.measures import label


def bias_claims(found: list[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep *bias-or-frequency*, the primary ones and the exploratory ones."""
    primary, others = [], []
    for point in (point for point in found if point.result):
        own, measured = point.settings, Measured(point.result)
        was_known = (own.output_bias, own.odds) == ("none", "constant")
        for pair in synonym_pairs(measured.task):
            even = not any(log_odds_by_parity(measured.task, pair[:2]))
            for place in point.places:
                claim = of_pair(point, measured, pair, place)
                (others if was_known or even else primary).append(claim)
        (others if was_known else primary).append(_cost(point, measured))
        others += _learning(point, measured)
    return primary, exploratory([*others, *_changes(found)])


def merges(point: Point, pair: SynonymPair) -> bool:
    """Whether a pair's output rows are to merge: the loss leaves nothing for them to tell apart."""
    own = point.settings
    carried = own.odds == "constant" and own.output_bias != "none"
    return pair.conditionally_equivalent or carried


def of_pair(point: Point, measured: Measured, pair: SynonymPair, place: Place) -> Fresh:
    """That most trials do with a pair's rows in a table what is predicted."""
    tied, table = place
    if place == INPUT:
        verb, told = "are not kept apart", f"under {ON_CLOCK:g} of what the decay clock leaves"
        met = measures.over_clock(measured, pair[:2]) < ON_CLOCK
    else:
        ratio, _ = measured.trials[tied].ratio(table, pair[:2])
        together = merges(point, pair)
        verb = "merge" if together else "stay apart"
        side = "under" if together else "over"
        told = f"{side} {MERGE_MARGIN:.2f} of a control pair's distance"
        met = (ratio < MERGE_MARGIN) if together else (ratio > MERGE_MARGIN)
    lost = np.zeros(len(measured.trials[tied].diverged), bool)  # meets no prediction
    text = f"{label(point)}: {name_of(place)}, {pair.first} and {pair.second} {verb}"
    about = aim("over", HALF, told=f"{told}, in most trials")
    return ours(measured, text, "share", np.concatenate([met, lost]), tied, **about)


def _cost(point: Point, measured: Measured) -> Fresh:
    about = aim("over", 0.0, told="untied minus tied over 0, on the mean")
    text, values = f"{label(point)}: tying costs knowledge of the bit", measures.cost(measured)
    return ours(measured, text, "difference", values, *BOTH, **about)


def _learning(point: Point, measured: Measured) -> list[Claim]:
    """What is known by tied and by untied trials, and who learns where just one does."""
    made, shares = [], measures.known(measured)
    for tied in BOTH:
        text = f"{label(point)}: share of the bit that is known, {tie_of(tied)}"
        made.append(measured.claim(f"{text}, mean", "difference", shares[tied], tied))
        over = shares[tied] > HALF
        made.append(measured.claim(f"{text}, over a half", "share", over, tied, margin=HALF))
    text = f"{label(point)}: of the seeds of which just one trial learns, the untied one does"
    untied = measures.just_one(measured)
    return [*made, measured.claim(text, "share", untied, *BOTH, margin=HALF)]


def _changes(found: list[Point]) -> list[Claim]:
    """What a bias adds to what is known, and to the cost of tying, paired by seed."""
    made = []
    for point, before, after in measures.against_none(found):
        known = measures.known(after) - measures.known(before)
        for tied in BOTH:
            text = f"{label(point)}: known more than without it, {tie_of(tied)}"
            made.append(after.claim(text, "difference", known[tied].dropna(), tied, margin=0.0))
        change = measures.cost(after) - measures.cost(before)
        text = f"{label(point)}: tying costs more than without it"
        made.append(after.claim(text, "difference", change.dropna(), *BOTH, margin=0.0))
    return made
