"""Who closes the gap between synonyms: what the sweeps over decay, optimizer and noise claim.

The predictions follow from the decay clock and from what gradients ask (the chapter on theory).
They were written down before any point of the sweeps was looked at but the main experiment.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import (
    BOTH,
    MERGE_MARGIN,
    STRONG,
    Measured,
    exploratory,
    more_learn,
    tie_of,
)
from semantica_lib.analysis.distances import SynonymPair, Table, synonym_pairs
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point, name_of, pairs_of
from semantica_lib.analysis.theory import Prediction, decay_factor

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}
KEPT_MARGIN = 0.01  # of a control pair's distance: rows that began equal and are nearer are equal


def label(point: Point) -> str:
    """The point in words: its optimizer, its loss, its decay."""
    own = point.settings
    return f"{OPTIMIZERS[own.optimizer]}, {own.expectation} loss, decay {own.weight_decay:g}"


def closing_claims(found: list[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep *closing*, the primary ones and the exploratory ones.

    Primary are those of AdamW without decay and with the paper's, and of SGD without. Of the others
    nothing is predicted: between the two the clock leaves more than a tenth, Adam's decay has no
    clock, and what SGD's leaves of a model is another question.
    """
    primary, others = [], []
    for point in (point for point in found if point.result):
        measured, own = Measured(point.result), point.settings
        predicted = (own.optimizer, own.weight_decay) in (
            ("adamw", 0.0), ("adamw", STRONG), ("sgd", 0.0),
        )  # fmt: skip
        for pair in synonym_pairs(measured.task):
            for tied, table in point.places:
                p = predict(point, pair, tied, table)
                if predicted and not tied:
                    primary.append(measured.pair(p))
                else:
                    words = p.claim if predicted else p.claim.partition(", predicted")[0]
                    p = p._replace(claim=words, merges=p.merges if predicted else None)
                    others.append(measured.pair(p))
                others.append(measured.pair(p, ", learned trials only", learners=True))
    return primary, exploratory(others)


def predict(point: Point, pair: SynonymPair, tied: bool, table: Table) -> Prediction:
    """Whether a pair merges at a point.

    No gradient keeps the inputs of synonyms apart and none brings them together, so they merge if
    decay alone leaves under a tenth. Outputs of equally likely synonyms are brought together by the
    loss itself, whatever the decay; those of others are held apart by it, and tied ones too.
    """
    own = point.settings
    if table == "input" and not tied:
        merges = bool(decay_factor(own, np.array([own.steps]))[0] < MERGE_MARGIN)
    else:
        merges = pair.conditionally_equivalent
    where = name_of((tied, table))
    words = f"{label(point)}: {where}: {pair.first} and {pair.second}"
    verb = "merge" if merges else "stay apart"
    return Prediction(f"{words}, predicted to {verb}", tied, table, pair[:2], merges)


def coincidence_claims(found: list[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep *coincidence*: do rows that began equal stay equal?

    By the theory input rows of synonyms do without noise, under AdamW whatever the frequencies and
    under SGD for equal ones only; noise parts them. Output rows do if the pair is equally likely.
    """
    primary, others = [], []
    for point in (point for point in found if point.result):
        measured, own = Measured(point.result), point.settings
        for pair in synonym_pairs(measured.task):
            for tied, table in point.places:
                equal = pair.conditionally_equivalent
                kept = own.expectation == "exact" and (
                    equal or (own.optimizer == "adamw" and table == "input" and not tied)
                )
                claim = _kept(measured, point, pair, tied, table, kept)
                (others if tied else primary).append(claim)
                others.append(_kept(measured, point, pair, tied, table, kept, learners=True))
    return primary, exploratory(others)


def _kept(
    measured: Measured, point: Point, pair: SynonymPair, tied: bool, table: Table, kept: bool,
    learners: bool = False,
) -> Claim:  # fmt: skip
    side, verb = ("under", "stay equal") if kept else ("over", "part")
    where = f"{label(point).rpartition(', decay')[0]}: {name_of((tied, table))}"
    p = Prediction(f"{where}: {pair.first} and {pair.second} {verb}", tied, table, pair[:2], None)
    claim = measured.pair(p, ", learned trials only" * learners, learners=learners)
    prediction = f"{side} {KEPT_MARGIN:g} of a control pair's distance"
    return replace(claim, side=side, margin=KEPT_MARGIN, prediction=prediction)


def noise_claims(found: list[Point]) -> list[Claim]:
    """What sampling noise changes, paired by seed: distances and learning, exact over sampled."""
    claims = []
    for sampled, exact in pairs_of(found, "expectation", "sampled", "exact"):
        before, after = Measured(sampled.result), Measured(exact.result)
        words = label(sampled).replace(", sampled loss", "")
        for pair in synonym_pairs(before.task):
            for tied, table in exact.places:
                ends = [
                    pd.Series(m.trials[tied].ratio(table, pair[:2])[0], m.trials[tied].seeds)
                    for m in (before, after)
                ]
                where = name_of((tied, table))
                text = f"{words}: {where}: {pair.first} and {pair.second}, without noise over with"
                values = (ends[1] / ends[0]).to_numpy(float)
                claims.append(after.claim(text, "ratio", values, tied))
        for tied in (tied for tied in BOTH if tie_of(tied) in exact.settings.ties):
            text = f"{words}: learned by more trials without noise, {tie_of(tied)}"
            claims.append(more_learn(text, before.learned[tied], after.learned[tied]))
    return exploratory(claims)
