"""The claims about a language model, each with the values that a result gives it.

How they are judged, and when the margins here were fixed, is told in
:mod:`semantica_lib.analysis.verdicts`.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from semantica_lib.analysis import language
from semantica_lib.analysis.claims import BOTH, aim, exploratory, tie_of
from semantica_lib.analysis.language import BROKEN, HOLDS, TABLES, UNRELATED, Language, kinds
from semantica_lib.analysis.statistics import Claim
from semantica_lib.settings.catalogue import MlmSettings

NEARER = 0.90  # of unrelated words' distance
APART = 1.25  # times the distance of synonyms for which DH holds
COST_NATS = 0.01  # a smaller difference of losses is no cost


class Prediction(NamedTuple):
    """On which side of a margin something lies.

    It is the mean distance of the class ``near`` over that of the class ``over`` in a table of
    ``TABLES``; or, where none is named, what tying costs at the places of the class's words.
    """

    claim: str
    table: str
    near: str
    over: str
    side: Literal["under", "over"]
    margin: float

    @property
    def words(self) -> str:
        """What is predicted."""
        if not self.table:
            return f"tied minus untied loss {self.side} {self.margin:g} nats"
        if self.over == UNRELATED:
            return f"{self.side} {self.margin:.2f} of unrelated words' distance"
        return f"{self.side} {self.margin:.2f} times the distance where DH holds"


def predictions(own: MlmSettings) -> list[Prediction]:
    """What the primary claims predict; of a class that the settings do not have, nothing."""
    read, write, both = (f"claim {number}, {name}: " for number, name in enumerate(TABLES, 1))
    holds = "synonyms for which DH holds are nearer than unrelated words"
    broken = "synonyms for which DH is broken are nearer than unrelated words"
    as_near = "broken synonyms are as near as those for which DH holds"
    apart = "synonyms for which DH is broken stay apart"
    costs = "claim 3: tying costs cross-entropy where DH is broken"
    none = "claim 3: tying costs none where DH holds"
    found = [
        Prediction(read + holds, "untied input", HOLDS, UNRELATED, "under", NEARER),
        Prediction(read + broken, "untied input", BROKEN, UNRELATED, "under", NEARER),
        Prediction(read + as_near, "untied input", BROKEN, HOLDS, "under", APART),
        Prediction(write + holds, "untied output", HOLDS, UNRELATED, "under", NEARER),
        Prediction(write + apart, "untied output", BROKEN, HOLDS, "over", APART),
        Prediction(both + holds, "tied", HOLDS, UNRELATED, "under", NEARER),
        Prediction(both + apart, "tied", BROKEN, HOLDS, "over", APART),
        Prediction(costs, "", BROKEN, BROKEN, "over", COST_NATS),
        Prediction(none, "", HOLDS, HOLDS, "under", COST_NATS),
    ]
    there = {*kinds(own), UNRELATED}
    return [one for one in found if {one.near, one.over} <= there]


def primary_claims(measured: Language) -> list[Claim]:
    """The claims that share Holm's correction: fixed by the settings, whatever was measured."""
    return [_judged(measured, one) for one in predictions(measured.settings)]


def _judged(measured: Language, p: Prediction) -> Claim:
    about = aim(p.side, p.margin, told=p.words)
    if not p.table:
        cost = measured.cost(language.PLACES[p.near])
        return measured.claim(p.claim, "difference", cost, *BOTH, **about)
    end, start = (of(p.table, p.near, p.over) for of in (measured.ratio, measured.start))
    closer = np.isfinite(end) & np.isfinite(start) & (p.over == UNRELATED)
    tied, _ = TABLES[p.table]
    return measured.claim(p.claim, "ratio", end, tied, change=(end / start)[closer], **about)


def exploratory_claims(measured: Language) -> list[Claim]:
    """All claims beside the primary ones, each judged by itself."""
    places = [(name, kind) for name in TABLES for kind in kinds(measured.settings)]
    claims = [claim for place in places for claim in _beside(measured, *place)]
    text, cost = "what tying costs in cross-entropy, nats (all places)", measured.cost("validation")
    claims.append(measured.claim(text, "difference", cost, *BOTH))
    return exploratory([*claims, *(_learning(measured, tied) for tied in BOTH)])


def _beside(measured: Language, name: str, kind: str) -> Iterator[Claim]:
    """What stands beside a class's ratio in a table: other measures, and where it began."""
    tied, table = TABLES[name]
    end, which = measured.trials[tied].end, f"{name}, synonyms, {kind}:"
    cosine = end(table, kind, "cosine") - end(table, UNRELATED, "cosine")
    text = f"{which} cosine less that of unrelated words"
    yield measured.claim(text, "difference", cosine, tied)
    under = f"the {language.PERCENTILE}th percentile of unrelated words' distances"
    text = f"{which} share under {under}"
    yield measured.claim(text, "difference", end(table, kind, "close"), tied)
    text = f"{which} distance over that of unrelated words at step 0"
    yield measured.claim(text, "ratio", measured.start(name, kind), tied)


def _learning(measured: Language, tied: bool) -> Claim:
    """Whether context is used at all: the baseline knows how often each piece occurs."""
    loss = measured.loss(tied, "validation")
    gain = measured.unigram["loss"].reindex(loss.index) - loss
    text = f"more is learned than frequencies, {tie_of(tied)} (loss, nats)"
    about = aim("over", 0.0, told="the baseline's loss minus the model's over 0")
    return measured.claim(text, "difference", gain, tied, **about)
