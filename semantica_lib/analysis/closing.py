"""Who closes the gap between synonyms: what the sweeps over decay, optimizer and noise claim.

The predictions follow from the decay clock and from what gradients ask (the chapter on theory).
They were written down before any point of the sweeps was looked at but the main experiment.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from semantica_lib import results
from semantica_lib.analysis import statistics
from semantica_lib.analysis.claims import BOTH, EXPLORATORY, MERGE_MARGIN, Measured, tie_of
from semantica_lib.analysis.distances import SynonymPair, Table, synonym_pairs
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.theory import Prediction, decay_factor
from semantica_lib.experiments import Settings
from semantica_lib.results import Result
from semantica_lib.sweeps import points, read, sweeps

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}
KEPT_MARGIN = 0.01  # of a control pair's distance: rows that began equal and are nearer are equal
STRONG = 0.1  # the paper's weight decay
Side = Literal["under", "over", ""]
PLACES: tuple[tuple[bool, Table], ...] = ((False, "input"), (False, "output"), (True, "input"))


class Point(NamedTuple):
    """A point of a sweep, and its result if there is one."""

    varied: Mapping[str, Any]
    settings: Settings
    result: Result | None

    @property
    def label(self) -> str:
        own = self.settings
        return f"{OPTIMIZERS[own.optimizer]}, {own.expectation} loss, decay {own.weight_decay:g}"

    @property
    def places(self) -> list[tuple[bool, Table]]:
        """The tables that it has: whether tied, and which."""
        return [place for place in PLACES if tie_of(place[0]) in self.settings.ties]


def stored(sweep: str) -> list[Point]:
    """The points of a sweep, each with the result that has its trials: this machine's, if it has.

    Raises:
        RequestError: a result is damaged.
    """
    return [Point(varied, own, _result(own)) for varied, own in points(read(sweeps()[sweep]))]


def _result(own: Settings) -> Result | None:
    places = results.here(), results.PUBLISHED
    found = [one for place in places if (one := results.load(results.folder(place, own)))]
    best = next((one for one in found if one.covers(own)), found[0] if found else None)
    return best.of_seeds(own.seeds) if best else None


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
    where = "tied" if tied else f"untied {table}"
    words = f"{point.label}: {where}: {pair.first} and {pair.second}"
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
    where = f"{point.label.rpartition(', decay')[0]}: {'tied' if tied else f'untied {table}'}"
    p = Prediction(f"{where}: {pair.first} and {pair.second} {verb}", tied, table, pair[:2], None)
    claim = measured.pair(p, ", learned trials only" * learners, learners=learners)
    prediction = f"{side} {KEPT_MARGIN:g} of a control pair's distance"
    return replace(claim, side=side, margin=KEPT_MARGIN, prediction=prediction)


def noise_claims(found: list[Point]) -> list[Claim]:
    """What sampling noise changes, paired by seed: distances and learning, exact over sampled."""
    claims = []
    for sampled, exact in pairs_of(found, "expectation", "sampled", "exact"):
        before, after = Measured(sampled.result), Measured(exact.result)
        label = sampled.label.replace(", sampled loss", "")
        for pair in synonym_pairs(before.task):
            for tied, table in exact.places:
                ends = [
                    pd.Series(m.trials[tied].ratio(table, pair[:2])[0], m.trials[tied].seeds)
                    for m in (before, after)
                ]
                where = "tied" if tied else f"untied {table}"
                text = f"{label}: {where}: {pair.first} and {pair.second}, without noise over with"
                values = (ends[1] / ends[0]).to_numpy(float)
                claims.append(after.claim(text, "ratio", values, tied))
        for tied in (tied for tied in BOTH if tie_of(tied) in exact.settings.ties):
            text = f"{label}: learned by more trials without noise, {tie_of(tied)}"
            claims.append(more_learn(text, before.learned[tied], after.learned[tied]))
    return exploratory(claims)


def pairs_of(found: list[Point], name: str, one: Any, other: Any) -> list[tuple[Point, Point]]:
    """Points that have a result and differ in one setting alone, by its values."""
    by = {point.settings.settings_hash: point for point in found if point.result}
    pairs = []
    for point in by.values():
        if getattr(point.settings, name) == one:
            changed = point.settings.model_copy(update={name: other}).settings_hash
            if changed in by:
                pairs.append((point, by[changed]))
    return pairs


def more_learn(text: str, before: pd.Series, after: pd.Series, side: Side = "") -> Claim:
    """Whether most of the seeds that learn in one of two ways only learn in the second.

    Args:
        before, after: whether each trial learns, by seed; of the seeds that are in both.
        side: where the share is predicted, seen from a half.
    """
    both = pd.DataFrame({"before": before, "after": after}).dropna().astype(bool)
    differ = both[both.before != both.after]
    p = statistics.paired_exact_test(both.before, both.after)
    counts = f"{int(both.before.sum())} and {int(both.after.sum())} of {len(both)}"
    text += f" ({counts}; paired exact test, p = {p:.2g})"
    prediction = f"{side} 0.5 of the seeds that differ" if side else "none"
    values = differ.after.to_numpy(bool)
    return Claim(text, prediction, "share", values, side=side, margin=0.5, pairs=len(both))


def exploratory(claims: list[Claim]) -> list[Claim]:
    """The same claims, said to be exploratory."""
    return [replace(claim, text=EXPLORATORY + claim.text) for claim in claims]
