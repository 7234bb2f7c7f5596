"""Who closes the gap between synonyms: what the sweeps over decay, optimizer and noise claim.

The predictions follow from the decay clock and from what gradients ask (the chapter on theory).
They were written down before any point of the sweeps was looked at but the main experiment.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from semantica_lib.analysis import claims
from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, STRONG, Measured, aim, exploratory
from semantica_lib.analysis.distances import SynonymPair, Table, synonym_pairs, tie_of
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point, name_of, pairs_of
from semantica_lib.analysis.theory import Prediction, decay_factor

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}
KEPT_MARGIN = 0.01  # of a control pair's distance: rows that began equal and are nearer are equal
LEARNED = ", learned trials only"
JUDGED = ("adamw", 0.0), ("adamw", STRONG), ("sgd", 0.0)  # optimizers and decays


def label(point: Point) -> str:
    """The point in words: its optimizer, its loss, its decay."""
    own = point.settings
    return f"{OPTIMIZERS[own.optimizer]}, {own.expectation} loss, decay {own.weight_decay:g}"


def _each(found: list[Point]) -> Iterator[tuple[Point, Measured, SynonymPair, bool, Table]]:
    """Every pair in every table of every point that has a result."""
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        for pair, (tied, table) in product(synonym_pairs(measured.task), point.places):
            yield point, measured, pair, tied, table


def closing_claims(found: list[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep *closing*, the primary ones and the exploratory ones.

    Primary are those of AdamW without decay and with the paper's, and of SGD without; not those
    of the main experiment, which was known. Of the others nothing is predicted: between the two the
    clock leaves more than a tenth, Adam's decay has no clock, and what SGD's leaves of a model is
    another question.
    """
    primary, others = [], []
    for point, measured, pair, tied, table in _each(found):
        p = predict(point, pair, tied, table)
        predicted = (point.settings.optimizer, point.settings.weight_decay) in JUDGED
        if not predicted:
            p = p._replace(claim=p.claim.partition(", predicted")[0], merges=None)
        fresh = bool(point.settings.identity)  # all but the main experiment, the default
        (primary if predicted and not tied and fresh else others).append(measured.pair(p))
        others.append(measured.pair(p, LEARNED, learners=True))
    return primary, exploratory(others)


def predict(point: Point, pair: SynonymPair, tied: bool, table: Table) -> Prediction:
    """Whether a pair merges at a point.

    Inputs of synonyms merge if decay alone leaves under a tenth: what gradients do for them was
    thought to be nothing, and is little. Outputs of equally likely synonyms are brought together by
    the loss itself, whatever the decay; those of others are held apart by it, and tied ones too.
    """
    own, merges = point.settings, pair.conditionally_equivalent
    if table == "input" and not tied:
        merges = bool(decay_factor(own, np.array([own.steps]))[0] < MERGE_MARGIN)
    verb = "merge" if merges else "stay apart"
    words = f"{label(point)}: {_where(pair, tied, table)}, predicted to {verb}"
    return Prediction(words, tied, table, pair[:2], merges)


def _where(pair: SynonymPair, tied: bool, table: Table) -> str:
    return f"{name_of((tied, table))}: {pair.first} and {pair.second}"


def coincidence_claims(found: list[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep *coincidence*: do rows that began equal stay equal?

    By the theory input rows of synonyms do without noise, under AdamW whatever the frequencies and
    under SGD for equal ones only; noise parts them. Output rows do if the pair is equally likely.
    """
    primary, others = [], []
    for point, measured, pair, tied, table in _each(found):
        own, equal = point.settings, pair.conditionally_equivalent
        kept = own.expectation == "exact" and (
            equal or (own.optimizer == "adamw" and table == "input" and not tied)
        )
        side, verb = ("under", "stay equal") if kept else ("over", "part")
        words = f"{label(point).rpartition(', decay')[0]}: {_where(pair, tied, table)} {verb}"
        p = Prediction(words, tied, table, pair[:2], None)
        kept = aim(side, KEPT_MARGIN, " of a control pair's distance")
        (others if tied else primary).append(replace(measured.pair(p), **kept))
        others.append(replace(measured.pair(p, LEARNED, learners=True), **kept))
    return primary, exploratory(others)


def noise_claims(found: list[Point]) -> list[Claim]:
    """What sampling noise changes, paired by seed: distances and learning, exact over sampled."""
    made = []
    for sampled, exact in pairs_of(found, "expectation", "sampled", "exact"):
        before, after = both = Measured(sampled.result), Measured(exact.result)
        words = label(sampled).replace(", sampled loss", "")
        for pair, (tied, table) in product(synonym_pairs(before.task), exact.places):
            trials = [one.trials[tied] for one in both]
            ends = [pd.Series(one.ratio(table, pair[:2])[0], one.seeds) for one in trials]
            text = f"{words}: {_where(pair, tied, table)}, without noise over with"
            made.append(after.claim(text, "ratio", ends[1] / ends[0], tied))
        for tied in (tied for tied in BOTH if tie_of(tied) in exact.settings.ties):
            text = f"{words}: learned by more trials without noise, {tie_of(tied)}"
            made.append(claims.more_learn(text, before.learned[tied], after.learned[tied]))
    return exploratory(made)
