"""The primary claims about an XOR experiment, each with the values that a result gives it.

How they are judged, and when the margins here were fixed, is told in
:mod:`semantica_lib.analysis.verdicts`; the other claims are in
:mod:`semantica_lib.analysis.exploratory`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from semantica_lib.analysis import statistics
from semantica_lib.analysis.distances import OneTie, Trials, end_of, synonym_pairs, tie_of
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.theory import Prediction, decay_factor, paper_predictions
from semantica_lib.settings.catalogue import AnySettings, run_command
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

    def claim(
        self, text: str, measure: str, values: np.ndarray, *ties: bool, obstacle: str = "",
        **rest: Any,
    ) -> Claim:  # fmt: skip
        """Values that are not there are left out: of failed trials, or all without a period."""
        obstacle = self.lacks(ties) or obstacle
        return claim_of(self.trials, obstacle, text, measure, values, *ties, **rest)

    def lacks(self, ties: tuple[bool, ...]) -> str:
        """What the result lacks for a verdict on these ties, and the command to get it."""
        if not self.complete:
            return partial(self.settings, self.last)
        return self.unfit(ties) or missing(self.settings, self.trials, ties)

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
        side, about = {True: "under", False: "over", None: ""}[p.merges], {}
        if side:
            words = f"{side} {margin:.2f} of a control pair's distance"
            about = {"side": side, "margin": margin, "prediction": words}
        if p.merges:
            about["change"] = (end / start)[keep & np.isfinite(start)]
        return self.claim(p.claim + note, "ratio", end[keep], p.tied, **about)

    def learning(self, tied: bool) -> Claim:
        text, learned = f"the parity is learned, {tie_of(tied)}", self.learned[tied].to_numpy(bool)
        words = f"by every trial, to {LEARNED_NATS:g} nats (share over {LEARNED_SHARE:g})"
        about = aim("over", LEARNED_SHARE) | {"prediction": words, "all_pass": True}
        return self.claim(text, "share", learned, tied, **about)

    def accuracy(self) -> Claim:
        """Tying costs where a pair of synonyms is not conditionally equivalent, else not."""
        side, no = ("over", "") if self.costs else ("under", "no ")
        words = f"untied minus tied {side} {ACCURACY_MARGIN:g}"
        about = aim(side, ACCURACY_MARGIN) | {"prediction": words}
        text, cost = f"claim 3: tying costs {no}accuracy", self.untied_minus_tied("accuracy")
        return self.claim(f"{text} (over all strings)", "difference", cost, *BOTH, **about)

    def untied_minus_tied(self, quantity: str) -> np.ndarray:
        """Exact over all strings, ``(seed,)``; nan where one of the two is."""
        untied, tied = (self.trials[tied].measured("exact", quantity) for tied in BOTH)
        return (untied - tied).to_numpy(float)


def claim_of(
    trials: Mapping[bool, Any], obstacle: str, text: str, measure: str, values: np.ndarray,
    *ties: bool, prediction: str = "none", **rest: Any,
) -> Claim:  # fmt: skip
    """A claim about these ties; values that are not finite are left out.

    Args:
        trials: by tie, each with the number that ``failed``, and the seeds that ``diverged``.
    """
    failed, values = sum(trials[tied].failed for tied in ties), values[np.isfinite(values)]
    rest |= {"diverged": sum(len(trials[tied].diverged) for tied in ties), "obstacle": obstacle}
    return Claim(text, prediction, measure, values, failed=failed, **rest)


def partial(own: AnySettings, step: int) -> str:
    """That a result is not complete, and the command that completes it."""
    return f"The result is partial, at step {step}; `{run_command(own)}` completes it."


def missing(own: AnySettings, trials: Mapping[bool, Any], ties: tuple[bool, ...]) -> str:
    """Which trials of these ties are missing, and the command to get them; empty if none is.

    Args:
        trials: by tie, each with its ``seeds`` and those that are ``absent``.
    """
    command = run_command(own)
    for tied in ties:
        tie, absent = tie_of(tied), trials[tied].absent
        if not len(trials[tied].seeds) and tie not in own.ties:
            both = "--set 'ties=[tied, untied]'"
            return f"There are no {tie} trials; `{command} {both}` trains them."
        if absent:
            seeds = ", ".join(map(str, absent))
            return f"The {tie} trials of seeds {seeds} are missing; `{command}` trains them."
    return ""


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


def aim(side: Side, margin: float, of: str = "") -> dict[str, Any]:
    """What of a :class:`Claim` says what is predicted: the side of the margin, and its words.

    Args:
        of: what stands behind the margin in the words.
    """
    return {"side": side, "margin": margin, "prediction": f"{side} {margin:g}{of}"}
