"""Rows or uses: what the sweep over two tasks, with weights kept, claims.

*Why?* Claim 1 of the paper says that symbols of one meaning get one input row. A reader can use two
symbols alike though their rows are apart, and a tied table may need that: its output keeps the rows
apart where the DH fails, while to the reader the symbols still mean the same. So is the claim about
rows, or about what is done with them?

*Measured* of trained weights (:mod:`semantica_lib.trainers.uses`): the *swap divergence* of two
symbols, the KL in nats between what is predicted in a context with the one and with the other in
its place, the mean over all occurrences of either over all strings, both directions alike; and what
the row *half way* between the two costs, over the mean of both ends.

*Fixed when?* Before a trial of the sweep was trained, and before either had been measured of any
trained model. Known were all results of both tasks: which rows merge, that tying costs, and how
many trials learn.

*Values* are means over the last full period, of trials that know over half of the bit: one that has
not learned uses no symbol, and to it all are alike. How many those are is told; a trial that
diverged meets no prediction. Shares are judged by the words of the second round
(:mod:`semantica_lib.analysis.second_round`).

- *Used alike* are synonyms, tied and untied, whether the DH holds or fails for them: their swap
  divergence is under 0.10 of the median control pair's in most trials.
- *Nothing lies between* two synonyms' rows: the row half way costs under 0.05 nats in most trials.
  Predicted of untied input rows, and of tied rows where the DH fails, which stay apart.
- *Tying costs likeness* where the DH fails: a pair's swap divergence is greater tied than untied,
  the geometric mean over seeds of which both trials know.

All of these are primary, judged together at Holm's levels. Exploratory: how many tied trials use a
pair alike whose rows are apart (over 0.10 of the median control pair's distance).
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, Measured, aim, exploratory
from semantica_lib.analysis.distances import SynonymPair, synonym_pairs, tie_of
from semantica_lib.analysis.second_round import HALF, ours
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.uses import measures
from semantica_lib.chapters.uses.measures import label

ALIKE = 0.10  # of the median control pair's swap divergence
NO_BARRIER = 0.05  # nats


def uses_claims(found: list[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep *uses*: the primary ones, and those of which nothing is predicted."""
    primary, others = [], []
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        for pair in synonym_pairs(measured.task):
            fails = not pair.conditionally_equivalent
            for tied in BOTH:
                alike, between, apart = _of_tie(point, measured, tied, pair)
                primary.append(alike)
                (primary if fails or not tied else others).append(between)
                others.append(apart)
            (primary if fails else others).append(_less_alike(point, measured, pair))
    return primary, exploratory([replace(one, side="", prediction="none") for one in others])


def _of_tie(point: Point, measured: Measured, tied: bool, pair: SynonymPair) -> list[Claim]:
    """That a pair is used alike, that nothing lies between, that it is used alike and apart."""
    alike = measures.over_control(point, measured, tied, pair[:2]) < ALIKE
    between = measures.between(point, measured, tied, pair[:2]) < NO_BARRIER
    apart = alike & (measured.trials[tied].ratio("input", pair[:2])[0] > MERGE_MARGIN)
    like = f"under {ALIKE:.2f} of a control pair's swap divergence, in most trials"
    less = f"half way costs under {NO_BARRIER:g} nats, in most trials"
    about = {
        "are used alike": (alike, like),
        "have nothing between them": (between, less),
        "are used alike and lie apart": (apart, ""),
    }
    return [_share(point, measured, tied, pair, verb, *one) for verb, one in about.items()]


def _less_alike(point: Point, measured: Measured, pair: SynonymPair) -> Claim:
    text = f"{label(point)}: {pair.first} and {pair.second} are used less alike tied than untied"
    values = measures.against_untied(point, measured, pair[:2])
    about = aim("over", 1.0, told="swap divergence tied over untied over 1, on the mean")
    return ours(measured, text, "ratio", values, *BOTH, **about)


def _share(
    point: Point,
    measured: Measured,
    tied: bool,
    pair: SynonymPair,
    verb: str,
    met: pd.Series,
    told: str,
) -> Claim:
    """A claim on the share of the trials of a tie that know the bit; one that diverged fails."""
    text = f"{label(point)}: {tie_of(tied)}, {pair.first} and {pair.second} {verb}"
    lost = np.zeros(len(measured.trials[tied].diverged), bool)
    values = np.concatenate([met[measures.knowing(measured, tied)].to_numpy(bool), lost])
    about = aim("over", HALF, told=told) if told else {"margin": HALF}
    return ours(measured, text, "share", values, tied, **about)
