"""The rules of the second round of evidence, fixed before any of its seeds was trained.

*Why a second round?* The first one's numbers are right, its questions were not good enough. "Under
0.10 of a control pair" measures how far weight decay has run, for a pair that does nothing but
decay would end at 0.08 in one model and at 0.55 in another. A geometric mean lets one very small
distance outvote several large ones. Trials that learned and that did not were mixed. "By every
trial" is refuted by one. *Known by then:* all results of the first round (seeds 42 to 61), on which
these rules were tried, and by which claims of ours were chosen: that the loss pulls the inputs of
synonyms together, and that of two trials that both learned none is better.

*Seeds* are 1000 to 1099 (of the larger models 1000 to 1004). None is left out, and none is pooled
with the first round's. A trial that diverged meets no prediction, known nothing, and in a
difference counts as the most that can speak against what is predicted.

*Values* are means over the last full period of the schedule. *Known* is the share of the bit that a
trial knows: ``1 - (loss - least loss) / log 2``, of the exact loss over all strings.

*Most trials.* A claim about a pair is met by a trial or not. It is decided by the share of trials
that meet it: over a half or under, by its exact interval (Clopper-Pearson). So an interval over a
half says that the median, too, meets the claim.

- *Claim 1*, untied input, two rows a pair. *Not kept apart* (the paper's): its distance is under
  1.25 of what the decay clock leaves of its distance at step 0. *Pulled together* (ours): under 1
  of it.
- *Claim 2*, untied output. *Merge*: the distance is under 0.10 of the median control pair's. *Stay
  apart*: one logit exceeds the other, on the mean over contexts, by the log of their odds to within
  0.1 nats (equal rows: by 0).
- *Claim 3*, tied: the same two. What tying costs is three numbers that are never mixed: untied
  minus tied known, a mean difference over all seeds, over 0 where the DH fails for some pair, else
  under 0.10; *who learns*: of the seeds of which just one of the two trials knows over half of the
  bit, it is the untied one in most (nothing is predicted where the DH holds for all); and of the
  seeds of which both do, tied loss is within 0.02 nats of untied (ours).

*Words.* Of the paper's claims: ``reproduced``, ``not reproduced``, ``undecided``; of ours: ``as
predicted``, ``not as predicted``, ``undecided``. Five seeds or fewer are ``undecided (consistent)``
if each of them meets the claim, else ``undecided``.

*Primary rows* are judged together, at Holm's step-down levels. Of the three costs the last is not
among them: by the first round's spread (0.08 nats) the pairs that a hundred seeds of a small
transformer hold are too few to decide it. It is two rows, two one-sided tests: neither is tied
worse by 0.02 nats, nor better.

*Exploratory*, plain 95% intervals: the means of what is known; how many know over half of the bit,
and all but 0.25 nats of it; each claim about a pair among trials that know over half of the bit,
and among the others; geometric means of the distance over the clock's and over the control pair's,
this with what the clock alone would leave of it (the first round's question), and the mean gap of
the logits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import (
    BOTH,
    LEARNED_NATS,
    MERGE_MARGIN,
    ON_CLOCK,
    ON_LAW,
    Measured,
    aim,
    claim_of,
    exploratory,
    tie_of,
)
from semantica_lib.analysis.log_odds import Odds, Source, odds_of
from semantica_lib.analysis.statistics import FEW_SEEDS, NO_PREDICTION, Claim, Interval
from semantica_lib.analysis.theory import Prediction, paper_predictions
from semantica_lib.store.results import Result

HALF, NO_COST, EQUAL_NATS = 0.5, 0.10, 0.02
AS_PREDICTED, NOT_AS_PREDICTED, UNDECIDED = "as predicted", "not as predicted", "undecided"
PAPERS, OURS = ("reproduced", "not reproduced"), (AS_PREDICTED, NOT_AS_PREDICTED)
CONSISTENT = f"{UNDECIDED} (consistent)"
WORDS = (*PAPERS, *OURS, UNDECIDED, CONSISTENT)
KNOWN_MOST = 1 - LEARNED_NATS / np.log(2)  # the first round's cut, as a share of the bit


@dataclass(frozen=True)
class Fresh(Claim):
    """A claim in the words of the second round: the paper's, or ours."""

    words: tuple[str, str] = PAPERS

    def judge(self, interval: Interval) -> str:
        if self.obstacle or not self.side:
            return UNDECIDED if self.obstacle else NO_PREDICTION
        below, above = interval.high < self.margin, interval.low > self.margin
        if self.seeds <= FEW_SEEDS:
            return CONSISTENT if self.seeds and self.passed.all() else UNDECIDED
        meets, misses = (below, above) if self.side == "under" else (above, below)
        return self.words[0] if meets else self.words[1] if misses else UNDECIDED


@dataclass(frozen=True)
class Trait:
    """What a claim about a pair asks of each trial: a value, and whether it meets the claim.

    Attributes:
        verb: of the claim.
        told: what is predicted of a trial.
        values: ``(trial,)``, nan where something was not stored.
        meets: the same as bool.
        what: the value, in words, and ``measure``, how its mean is taken.
    """

    prediction: Prediction
    verb: str
    told: str
    values: np.ndarray
    meets: np.ndarray
    what: str
    measure: str = "ratio"
    words: tuple[str, str] = PAPERS

    @property
    def text(self) -> str:
        own = self.prediction
        return own.claim.replace("merge" if own.merges else "stay apart", self.verb)


def claims(result: Result) -> tuple[list[Claim], list[Claim]]:
    """The primary claims about a result of the XOR task, and the exploratory ones."""
    measured = Measured(result)
    known = {tied: _known(measured, tied) for tied in BOTH}
    gaps = {(one.tied, frozenset(one.pair)): one for one in odds_of([Source("", result)])}
    predictions = paper_predictions(measured.task)
    traits = [trait for p in predictions for trait in _traits(measured, p, gaps)]
    cost = [_cost(measured, known), _who_learns(measured, known)]
    primary = [_most(measured, trait) for trait in traits]
    primary += [claim for claim in cost if claim.side]
    others = [claim for claim in cost if not claim.side]
    others += [*_equal(measured, known), *_learning(measured, known)]
    for trait in traits:
        tied = trait.prediction.tied
        knows = known[tied].reindex(measured.trials[tied].seeds).to_numpy() > HALF
        others.append(_most(measured, trait, knows, ", trials that know over half of the bit"))
        others.append(_most(measured, trait, ~knows, ", the other trials"))
        others += _means(measured, trait)
    return primary, exploratory(others)


def _traits(measured: Measured, p: Prediction, gaps: dict[Any, Odds]) -> Iterator[Trait]:
    """What is asked of a pair in a table.

    Args:
        gaps: of its logits, by tie and pair.
    """
    trials = measured.trials[p.tied]
    if not p.merges:
        odds, gap = (one := gaps[p.tied, frozenset(p.pair)]).odds, one.end[:, 0]
        words = f"logits apart by {odds:.3f}, to {ON_LAW:g} nats"
        obeys = np.abs(gap - odds) < ON_LAW
        yield Trait(p, "keep their odds", words, gap, obeys, "gap of logits, nats", "difference")
        return
    ratio, _ = trials.ratio(p.table, p.pair)
    if p.table == "output" or p.tied:
        words = f"under {MERGE_MARGIN:.2f} of a control pair's distance"
        yield Trait(p, "merge", words, ratio, ratio < MERGE_MARGIN, "distance over a control's")
        return
    over = _over_clock(measured, p)
    for verb, margin, words in (
        ("are not kept apart", ON_CLOCK, PAPERS), ("are pulled together", 1.0, OURS)
    ):  # fmt: skip
        told = f"under {margin:g} of what the decay clock leaves"
        yield Trait(p, verb, told, over, over < margin, "distance over the clock's", words=words)


def _over_clock(measured: Measured, p: Prediction) -> np.ndarray:
    """Distance at the end over that which decay alone leaves, ``(trial,)``."""
    trials = measured.trials[p.tied]
    distance = trials.distance(p.table, p.pair)
    return trials.end(distance) / trials.end(trials.start(distance)[:, None] * measured.factor)


def _most(
    measured: Measured, trait: Trait, keep: np.ndarray | None = None, among: str = ""
) -> Fresh:
    """That most trials meet what is asked of a pair; of some trials only if they are named."""
    tied, there = trait.prediction.tied, np.isfinite(trait.values)
    obstacle = "" if there.all() else f"The {trait.what} was not stored of every trial."
    meets = trait.meets[there if keep is None else there & keep]
    if keep is None or among.endswith("other trials"):  # a diverged trial knows nothing
        meets = np.concatenate([meets, np.zeros(len(measured.trials[tied].diverged), bool)])
    about = aim("over", HALF, told=f"{trait.told}, in most trials") | {"obstacle": obstacle}
    return _fresh(measured, trait.text + among, "share", meets, tied, words=trait.words, **about)


def _means(measured: Measured, trait: Trait) -> Iterator[Claim]:
    """The mean of what is asked of a pair; for input rows the first round's question too."""
    p = trait.prediction
    if trait.words is OURS:  # asks the same value
        return
    text = f"{p.claim}, {trait.what}"
    yield _fresh(measured, text, trait.measure, trait.values, p.tied)
    ratio, _ = measured.trials[p.tied].ratio(p.table, p.pair)
    if p.table == "input" and not p.tied:
        clock = np.exp(np.mean(np.log(ratio / trait.values))) if ratio.size else np.nan
        text = f"{p.claim}, distance over a control's (the clock alone: {clock:.3f})"
        yield _fresh(measured, text, "ratio", ratio, p.tied)


def _known(measured: Measured, tied: bool) -> pd.Series:
    """Share of the bit that each trial knows, by seed; -inf if it diverged, nan if absent."""
    trials = measured.trials[tied]
    loss = trials.measured("exact", "loss") - measured.task.ceiling("exact")[1]
    known = 1 - loss / np.log(2)
    known[known.index.isin(trials.diverged)] = -np.inf
    return known


def _cost(measured: Measured, known: dict[bool, pd.Series]) -> Fresh:
    costs, diff = measured.costs, known[False] - known[True]
    lost = np.isneginf(known[False]) | np.isneginf(known[True])
    diff = diff.where(~lost, -1.0 if costs else 1.0)  # the most that speaks against it
    text = f"claim 3: tying costs {'' if costs else 'no '}knowledge of the bit"
    margin = 0.0 if costs else NO_COST
    side = "over" if costs else "under"
    about = aim(side, margin, told=f"untied minus tied {side} {margin:.2g}, on the mean")
    return _fresh(measured, text, "difference", diff, *BOTH, **about)


def _who_learns(measured: Measured, known: dict[bool, pd.Series]) -> Fresh:
    """Of the seeds of which just one trial learns, whether it is the untied one."""
    both = pd.DataFrame(known).dropna()
    learn, lost = both > HALF, np.isneginf(both).any(axis=1)
    differ = (learn[False] != learn[True]) | lost
    untied = learn[False] & ~lost
    text, about = "claim 3: untied learns where tied does not", {"margin": HALF}
    if measured.costs:
        about = aim("over", HALF, told="of the seeds of which just one trial learns, in most")
    return _fresh(measured, text, "share", untied[differ], *BOTH, **about)


def _equal(measured: Measured, known: dict[bool, pd.Series]) -> Iterator[Fresh]:
    """Two one-sided tests of tied minus untied loss where both learn, nats."""
    both = pd.DataFrame(known)
    both = both[(both > HALF).all(axis=1)]
    worse = (both[False] - both[True]) * np.log(2)
    for words, margin, side in (("worse", EQUAL_NATS, "under"), ("better", -EQUAL_NATS, "over")):
        text = f"claim 3: where both learn, tied is not {words}"
        about = aim(side, margin, told=f"tied minus untied loss {side} {margin:g} nats")
        yield _fresh(measured, text, "difference", worse, *BOTH, words=OURS, **about)


def _learning(measured: Measured, known: dict[bool, pd.Series]) -> Iterator[Fresh]:
    """How much is known, and by how many over each cut; a diverged trial knows nothing."""
    for tied, values in known.items():
        values = values.dropna().replace(-np.inf, 0.0)
        text = f"share of the bit that is known, {tie_of(tied)}"
        yield _fresh(measured, f"{text}, mean", "difference", values, tied)
        for cut in (HALF, KNOWN_MOST):
            over = f"{text}, over {cut:.2f}"
            yield _fresh(measured, over, "share", values > cut, tied, margin=HALF)


def _fresh(measured: Measured, text: str, measure: str, values: Any, *ties: bool, **rest: Any):
    words = rest.pop("words", PAPERS)
    claim = claim_of([(measured, ties)], text, measure, values, **rest)
    return Fresh(**vars(claim), words=words)
