"""The rules of the second round of evidence, fixed before any of its seeds was trained.

*Why a second round?* The first one's numbers are right, its questions were not good enough. "Under
0.10 of a control pair" measures how far weight decay has run, for a pair that does nothing but
decay would end at 0.08 in one model and at 0.55 in another. A geometric mean lets one very small
distance outvote several large ones. Trials that learned and that did not were mixed. "By every
trial" is refuted by one. *Known by then:* all results of the first round (seeds 42 to 61), on which
these rules were tried, and by which claims of ours were chosen: that the loss pulls the inputs of
synonyms together, and that of two trials that both learned none is better.

*Seeds* are 1000 to 1099 (of the larger models 1000 to 1004; of the small LSTM 1000 to 1039: its
hundred were cut for their cost, after these rules and before any was trained). None is left out,
and none is pooled with the first round's. A trial that diverged meets no prediction, known nothing,
and in a difference counts as the most that can speak against what is predicted.

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
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from semantica_lib.analysis import claims as first
from semantica_lib.analysis.claims import BOTH, Measured, aim
from semantica_lib.analysis.log_odds import Odds, Source, odds_of
from semantica_lib.analysis.statistics import FEW_SEEDS, NO_PREDICTION, Claim, Interval
from semantica_lib.analysis.theory import Prediction, paper_predictions
from semantica_lib.store.results import Result

HALF, NO_COST, EQUAL_NATS = 0.5, 0.10, 0.02
KNOWN_MOST = 1 - first.LEARNED_NATS / np.log(2)  # the first round's cut, as a share of the bit
PAPERS, OURS = ("reproduced", "not reproduced"), ("as predicted", "not as predicted")
UNDECIDED, CONSISTENT = "undecided", "undecided (consistent)"
Known = dict[bool, pd.Series]  # share of the bit, by tie and seed


@dataclass(frozen=True)
class Fresh(Claim):
    """A claim in the words of the second round: the paper's, or ours."""

    words: tuple[str, str] = PAPERS

    def judge(self, interval: Interval) -> str:
        if self.obstacle or not self.side:
            return UNDECIDED if self.obstacle else NO_PREDICTION
        if self.seeds <= FEW_SEEDS:
            return CONSISTENT if self.seeds and self.passed.all() else UNDECIDED
        below, above = interval.high < self.margin, interval.low > self.margin
        meets, misses = (below, above) if self.side == "under" else (above, below)
        return self.words[0] if meets else self.words[1] if misses else UNDECIDED


class Trait(NamedTuple):
    """What a claim about a pair asks of each trial: that ``value`` ``(trial,)`` is ``met``."""

    prediction: Prediction
    verb: str
    told: str
    value: np.ndarray
    met: np.ndarray
    what: str  # the value is, and how its mean is taken
    measure: str = "ratio"
    words: tuple[str, str] = PAPERS


def claims(result: Result) -> tuple[list[Claim], list[Claim]]:
    """The primary claims about a result of the XOR task, and the exploratory ones."""
    measured = Measured(result)
    known = {tied: share_known(measured, tied) for tied in BOTH}
    gaps = {(one.tied, frozenset(one.pair)): one for one in odds_of([Source("", result)])}
    predictions = paper_predictions(measured.task)
    traits = [trait for p in predictions for trait in _traits(measured, p, gaps)]
    costs = [_cost(measured, known), _who_learns(measured, known)]
    primary = [*(_most(measured, trait) for trait in traits), *(one for one in costs if one.side)]
    others = [one for one in costs if not one.side]
    others += [*_equal(measured, known), *_learning(measured, known)]
    for trait in traits:
        tied = trait.prediction.tied
        knows = known[tied].reindex(measured.trials[tied].seeds).to_numpy() > HALF
        others.append(_most(measured, trait, knows, ", trials that know over half of the bit"))
        others.append(_most(measured, trait, ~knows, ", the other trials"))
        others += _means(measured, trait)
    return primary, first.exploratory(others)


def _traits(
    measured: Measured, p: Prediction, gaps: dict[tuple[bool, frozenset], Odds]
) -> Iterator[Trait]:
    """What is asked of a pair in a table; ``gaps`` are of its logits, by tie and pair."""
    trials = measured.trials[p.tied]
    if not p.merges:
        odds, gap = (one := gaps[p.tied, frozenset(p.pair)]).odds, one.end[:, 0]
        words, obeys = f"logits apart by {odds:.3f}, to {first.ON_LAW:g} nats", abs(gap - odds)
        about = obeys < first.ON_LAW, "gap of logits, nats", "difference"
        yield Trait(p, "keep their odds", words, gap, *about)
    elif p.table == "output" or p.tied:
        ratio, _ = trials.ratio(p.table, p.pair)
        words = f"under {first.MERGE_MARGIN:.2f} of a control pair's distance"
        about = ratio < first.MERGE_MARGIN, "distance over a control's"
        yield Trait(p, "merge", words, ratio, *about)
    else:
        distance = trials.distance(p.table, p.pair)
        clock = trials.end(trials.start(distance)[:, None] * measured.factor)
        over = trials.end(distance) / clock
        asked = ("are not kept apart", first.ON_CLOCK, PAPERS), ("are pulled together", 1.0, OURS)
        for verb, margin, words in asked:
            told = f"under {margin:g} of what the decay clock leaves"
            about = "distance over the clock's", "ratio", words
            yield Trait(p, verb, told, over, over < margin, *about)


def _most(
    measured: Measured, trait: Trait, keep: np.ndarray | None = None, among: str = ""
) -> Fresh:
    """That most trials meet what is asked of a pair; of some trials only if they are named."""
    p, there = trait.prediction, np.isfinite(trait.value)
    text = p.claim.replace("merge" if p.merges else "stay apart", trait.verb)
    obstacle = "" if there.all() else f"The {trait.what} was not stored of every trial."
    met = trait.met[there if keep is None else there & keep]
    if keep is None or among.endswith("other trials"):  # a diverged trial knows nothing
        met = np.concatenate([met, np.zeros(len(measured.trials[p.tied].diverged), bool)])
    about = aim("over", HALF, told=f"{trait.told}, in most trials") | {"obstacle": obstacle}
    return _fresh(measured, text + among, "share", met, p.tied, words=trait.words, **about)


def _means(measured: Measured, trait: Trait) -> Iterator[Claim]:
    """The mean of what is asked of a pair; for input rows the first round's question too."""
    p = trait.prediction
    if trait.words is OURS:  # asks the same value
        return
    yield _fresh(measured, f"{p.claim}, {trait.what}", trait.measure, trait.value, p.tied)
    ratio, _ = measured.trials[p.tied].ratio(p.table, p.pair)
    if p.table == "input" and not p.tied:
        clock = np.exp(np.mean(np.log(ratio / trait.value))) if ratio.size else np.nan
        text = f"{p.claim}, distance over a control's (the clock alone: {clock:.3f})"
        yield _fresh(measured, text, "ratio", ratio, p.tied)


def share_known(measured: Measured, tied: bool) -> pd.Series:
    """Share of the bit that each trial knows, by seed; -inf if it diverged, nan if absent."""
    trials = measured.trials[tied]
    loss = trials.measured("exact", "loss") - measured.task.ceiling("exact")[1]
    return (1 - loss / np.log(2)).mask(loss.index.isin(trials.diverged), -np.inf)


def _cost(measured: Measured, known: Known) -> Fresh:
    lost = np.isneginf(known[False]) | np.isneginf(known[True])
    no, side, margin, most = ("", "over", 0.0, -1.0) if measured.costs else (
        "no ", "under", NO_COST, 1.0
    )  # fmt: skip
    diff = (known[False] - known[True]).mask(lost, most)  # the most that speaks against it
    about = aim(side, margin, told=f"untied minus tied {side} {margin:.2g}, on the mean")
    text = f"claim 3: tying costs {no}knowledge of the bit"
    return _fresh(measured, text, "difference", diff, *BOTH, **about)


def _who_learns(measured: Measured, known: Known) -> Fresh:
    """Of the seeds of which just one trial learns, whether it is the untied one."""
    both = pd.DataFrame(known).dropna()
    learn, lost = both > HALF, np.isneginf(both).any(axis=1)
    untied = (learn[False] & ~lost)[(learn[False] != learn[True]) | lost]
    words = "of the seeds of which just one trial learns, in most"
    about = aim("over", HALF, told=words) if measured.costs else {"margin": HALF}
    text = "claim 3: untied learns where tied does not"
    return _fresh(measured, text, "share", untied, *BOTH, **about)


def _equal(measured: Measured, known: Known) -> Iterator[Fresh]:
    """Two one-sided tests of tied minus untied loss where both learn, nats."""
    both = pd.DataFrame(known)[lambda share: (share > HALF).all(axis=1)]
    worse = (both[False] - both[True]) * np.log(2)
    for words, margin, side in (("worse", EQUAL_NATS, "under"), ("better", -EQUAL_NATS, "over")):
        text = f"claim 3: where both learn, tied is not {words}"
        about = aim(side, margin, told=f"tied minus untied loss {side} {margin:g} nats")
        yield _fresh(measured, text, "difference", worse, *BOTH, words=OURS, **about)


def _learning(measured: Measured, known: Known) -> Iterator[Fresh]:
    """How much is known, and by how many over each cut; a diverged trial knows nothing."""
    for tied, values in known.items():
        values = values.dropna().replace(-np.inf, 0.0)
        text = f"share of the bit that is known, {first.tie_of(tied)}"
        yield _fresh(measured, f"{text}, mean", "difference", values, tied)
        for cut in (HALF, KNOWN_MOST):
            over = f"{text}, over {cut:.2f}"
            yield _fresh(measured, over, "share", values > cut, tied, margin=HALF)


def ours(measured: Measured, *about: Any, **rest: Any) -> Fresh:
    """A claim on trials, as ``measured.claim`` makes it, told in the words of this book's own."""
    return _fresh(measured, *about, words=OURS, **rest)


def _fresh(
    measured: Measured, text: str, measure: str, values: Any, *ties: bool,
    words: tuple[str, str] = PAPERS, **rest: Any,
) -> Fresh:  # fmt: skip
    claim = measured.claim(text, measure, values, *ties, **rest)
    return Fresh(**vars(claim), words=words)
