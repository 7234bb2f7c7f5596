"""The primary claims about an XOR experiment, each with the values that a result gives it.

How they are judged, and when the margins here were fixed, is told in
:mod:`semantica_lib.analysis.verdicts`; the other claims are in
:mod:`semantica_lib.analysis.exploratory`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from semantica_lib.analysis import statistics
from semantica_lib.analysis.distances import OneTie, Trials, end_of, synonym_pairs, tie_of
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.theory import Prediction, decay_factor, paper_predictions
from semantica_lib.settings.catalogue import run_command
from semantica_lib.store.results import Result

MERGE_MARGIN = 0.10  # of the median control pair's distance
ON_CLOCK = 1.25  # a pair within this factor of the decay clock is on it
ON_LAW = 0.1  # nats: a gap of two logits so near to its log-odds obeys the law
LEARNED_NATS, LEARNED_SHARE = 0.25, 0.5
ACCURACY_MARGIN = 0.01  # a smaller difference is no cost
EXPLORATORY = "exploratory: "
STRONG = 0.1  # the paper's weight decay
BOTH = (False, True)
Side = Literal["under", "over", ""]


def primary_claims(measured: "Measured") -> list[Claim]:
    """The claims that share Holm's correction: fixed by the settings, whatever was measured."""
    pairs = [measured.pair(prediction) for prediction in paper_predictions(measured.task)]
    return [*pairs, measured.learning(False), measured.learning(True), measured.accuracy()]


class Evidence:
    """What claims about a result are made from: its trials by tie, and what there is not."""

    def __init__(self, result: Result, window: np.ndarray | None, kind: type[OneTie]) -> None:
        self.settings, self.complete, self.window = result.settings, result.complete, window
        self.last = int(result.steps.max(initial=0))
        self.trials = {tied: kind.of(result, tied, window) for tied in BOTH}

    def claim(self, text: str, measure: str, values: Any, *ties: bool, **rest: Any) -> Claim:
        """A claim about these ties of this result alone, as :func:`claim_of` makes it."""
        return claim_of([(self, ties)], text, measure, values, **rest)

    def lacks(self, ties: tuple[bool, ...]) -> str:
        """What the result lacks for a verdict on these ties, and the command to get it."""
        if not self.complete:
            command = run_command(self.settings)
            return f"The result is partial, at step {self.last}; `{command}` completes it."
        return self.unfit(ties) or next(filter(None, map(self._missing, ties)), "")

    def _missing(self, tied: bool) -> str:
        """Which trials of a tie are missing, and the command to get them; empty if none is."""
        tie, trials, command = tie_of(tied), self.trials[tied], run_command(self.settings)
        if not len(trials.seeds) and tie not in self.settings.ties:
            both = "--set 'ties=[tied, untied]'"
            return f"There are no {tie} trials; `{command} {both}` trains them."
        if trials.absent:
            seeds = ", ".join(map(str, trials.absent))
            return f"The {tie} trials of seeds {seeds} are missing; `{command}` trains them."
        return ""

    def lost(self, ties: tuple[bool, ...]) -> bool:
        """Whether all that there is of one of these ties diverged: no further steps change it."""
        return any(self.trials[tied].diverged and not len(self.trials[tied].seeds) for tied in ties)

    def unfit(self, ties: tuple[bool, ...]) -> str:
        """Why a complete result says nothing of these ties; empty if it does."""
        raise NotImplementedError


class Measured(Evidence):
    """A result on the XOR task, and each claim with the values that it gives it."""

    def __init__(self, result: Result) -> None:
        super().__init__(result, end_of(result), Trials)
        self.task, self.factor = self.trials[True].task, decay_factor(self.settings, result.steps)
        self.costs = not all(pair.conditionally_equivalent for pair in synonym_pairs(self.task))
        self.learned = {tied: self._learned(trials) for tied, trials in self.trials.items()}

    def _learned(self, trials: Trials) -> pd.Series:
        """Whether each trial learned, by seed; a failed one did not. Empty without a period."""
        loss = trials.measured("train", "loss")
        learned = loss - self.task.ceiling("train")[1] <= LEARNED_NATS
        return learned if self.window is not None else learned[:0]

    def learners(self, tied: bool) -> np.ndarray:
        """Which trials of a tie, failed ones left out, learned the parity: bool, ``(trial,)``."""
        seeds = self.trials[tied].seeds
        return self.learned[tied].reindex(seeds, fill_value=False).to_numpy(bool)

    def unfit(self, ties: tuple[bool, ...]) -> str:
        own = self.settings
        if self.window is None and not self.lost(ties):
            more = f" --set steps={own.period}" * (own.steps < own.period)
            return (
                f"The records, to step {self.last}, hold no full period of the schedule "
                f"({own.period} steps); `{run_command(own)}{more}` trains one."
            )
        untied = f"The tied tables were untied at step {own.untie_at}: the claim is not on such."
        return untied if own.untie_at and True in ties else ""

    def pair(
        self, p: Prediction, note: str = "", margin: float = MERGE_MARGIN, learners: bool = False
    ) -> Claim:
        end, start = self.trials[p.tied].ratio(p.table, p.pair)
        keep = np.isfinite(end)
        if learners:
            keep &= self.learners(p.tied)
        about = merging(p.merges, margin)
        if p.merges:
            about["change"] = (end / start)[keep & np.isfinite(start)]
        return self.claim(p.claim + note, "ratio", end[keep], p.tied, **about)

    def learning(self, tied: bool) -> Claim:
        text, learned = f"the parity is learned, {tie_of(tied)}", self.learned[tied].to_numpy(bool)
        words = f"by every trial, to {LEARNED_NATS:g} nats (share over {LEARNED_SHARE:g})"
        about = aim("over", LEARNED_SHARE, told=words)
        return self.claim(text, "share", learned, tied, all_pass=True, **about)

    def accuracy(self) -> Claim:
        """Tying costs where a pair of synonyms is not conditionally equivalent, else not."""
        side, no = ("over", "") if self.costs else ("under", "no ")
        about = aim(side, ACCURACY_MARGIN, told=f"untied minus tied {side} {ACCURACY_MARGIN:g}")
        text, cost = f"claim 3: tying costs {no}accuracy", self.untied_minus_tied("accuracy")
        return self.claim(f"{text} (over all strings)", "difference", cost, *BOTH, **about)

    def untied_minus_tied(self, quantity: str) -> np.ndarray:
        """Exact over all strings, ``(seed,)``; nan where one of the two is."""
        untied, tied = (self.trials[tied].measured("exact", quantity) for tied in BOTH)
        return (untied - tied).to_numpy(float)


def claim_of(
    of: Sequence[tuple[Evidence | None, tuple[bool, ...]]], text: str, measure: str, values: Any,
    absent: str = "", obstacle: str = "", prediction: str = "none", **rest: Any,
) -> Claim:  # fmt: skip
    """A claim about some ties of some results, judged only where none of them lacks anything.

    Values that are not there are left out: of failed trials, or all without a period.

    Args:
        of: the results, each with the ties whose values enter; None where there is none.
        absent: what to say if one is None; the claim then has no values.
        obstacle: what else there is that keeps it from being judged.
    """
    there = [(one, ties) for one, ties in of if one]
    obstacle = next(filter(None, (one.lacks(ties) for one, ties in there)), obstacle)
    if len(there) < len(of):
        obstacle, values = absent, ()
    values = np.asarray(values, bool if measure == "share" else float)
    trials = [one.trials[tied] for one, ties in there for tied in ties]
    rest |= {"failed": sum(one.failed for one in trials), "obstacle": obstacle}
    rest |= {"diverged": sum(len(one.diverged) for one in trials)}
    return Claim(text, prediction, measure, values[np.isfinite(values)], **rest)


def more_learn(text: str, before: pd.Series, after: pd.Series, side: Side = "") -> Claim:
    """Whether most of the seeds that learn in one of two ways only learn in the second.

    Args:
        before, after: whether each trial learns, by seed; of the seeds that are in both.
        side: where the share is predicted, seen from a half.
    """
    both = pd.DataFrame({"before": before, "after": after}).dropna().astype(bool)
    differ = both[both.before != both.after]
    p = statistics.paired_exact_test(both.before, both.after)
    counts = f"{int(both.after.sum())} and {int(both.before.sum())} of {len(both)}"
    text += f" ({counts}; paired exact test, p = {p:.2g})"
    prediction = f"{side} 0.5 of the seeds that differ" if side else "none"
    values = differ.after.to_numpy(bool)
    return Claim(text, prediction, "share", values, side=side, margin=0.5, pairs=len(both))


def exploratory(claims: list[Claim]) -> list[Claim]:
    """The same claims, said to be exploratory."""
    return [replace(claim, text=EXPLORATORY + claim.text) for claim in claims]


def aim(side: Side, margin: float, of: str = "", told: str = "") -> dict[str, Any]:
    """What of a :class:`Claim` says what is predicted: the side of the margin, and its words.

    Args:
        of: what stands behind the margin in the words.
        told: the words, where they are others.
    """
    return {"side": side, "margin": margin, "prediction": told or f"{side} {margin:g}{of}"}


def merging(merges: bool | None, margin: float = MERGE_MARGIN) -> dict[str, Any]:
    """The same of a pair that is predicted to merge, to stay apart, or neither."""
    if merges is None:
        return {}
    side: Side = "under" if merges else "over"
    return aim(side, margin, told=f"{side} {margin:.2f} of a control pair's distance")
