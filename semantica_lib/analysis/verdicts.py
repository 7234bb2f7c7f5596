"""A verdict on each claim about an XOR experiment, judged by rules that were fixed beforehand.

*Fixed when?* The margins below were chosen after one run of the original, seed 42, was known, and
before any other. *Values* are means over the last full period of the schedule. *Merge*: the pair's
distance over the median control pair's, a ratio a seed; its geometric mean lies under 0.10. *Stay
apart*: over 0.10. *Learned*: exact cross-entropy on the training strings within 0.25 nats of the
least. All seeds count, learned or not.

The interval decides (t of the log ratio, t of a paired difference, Clopper-Pearson of a share):

- ``reproduced``: it lies on the predicted side of the margin (for learning: and every trial
  learns); with five seeds or fewer ``consistent with the paper``;
- ``partly``, one of three: a merge misses its margin (the interval is over it), yet the pair came
  closer, relative to its control pairs, than it began (the 95% interval of that change is under 1);
  more than half of the trials learn (the interval is over 0.5) but not all; or the interval is on
  the predicted side but some trials crashed;
- ``not reproduced``: it lies on the other side;
- ``inconclusive``: the margin is inside it, or values are missing (the deviation says which).

Primary rows are judged together: ``low`` and ``high`` are at Holm's step-down levels, so a margin
outside them is a rejection in Holm's procedure at 5%. A claim that lacks its values still counts
among them. All other rows begin with ``exploratory:`` and have plain 95% intervals.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis import statistics
from semantica_lib.analysis.distances import Trials, synonym_pairs
from semantica_lib.analysis.statistics import Claim, Interval
from semantica_lib.analysis.theory import (
    Prediction,
    decay_factor,
    further_predictions,
    log_odds,
    paper_predictions,
)
from semantica_lib.results import MANIFEST, Result

COLUMNS = (
    "experiment", "claim", "prediction", "margin", "estimate", "low", "high", "seeds", "failed",
    "pass_share", "verdict", "deviation", "notebook", "manifest_sha256",
)  # fmt: skip
MERGE_MARGIN, STRICTER_MARGIN = 0.10, 0.05  # of the median control pair's distance
LEARNED_NATS, LEARNED_SHARE = 0.25, 0.5
ACCURACY_MARGIN = 0.01  # a smaller difference is no cost
EXPLORATORY = "exploratory: "
BOTH = (False, True)


def verdicts(result: Result, notebook: str = "") -> pd.DataFrame:
    """A row a claim, the primary ones first; columns as in ``COLUMNS``.

    ``margin`` is nan where nothing is predicted, ``estimate``, ``low`` and ``high`` where there are
    too few values. ``seeds`` have a value, ``failed`` trials have none, ``pass_share`` is the share
    of the values that meet the prediction by themselves.

    Args:
        result: one XOR experiment's, stored.
        notebook: what the rows name as their notebook.
    """
    measured = _Measured(result)
    primary = primary_claims(measured)
    levels = statistics.holm_levels([claim.interval().p for claim in primary])
    rows = [_row(claim, level, True) for claim, level in zip(primary, levels, strict=True)]
    rows += [_row(claim, 0.95, False) for claim in exploratory_claims(measured)]
    frame = pd.DataFrame(rows)
    frame["experiment"], frame["notebook"] = result.settings.experiment, notebook
    manifest = (result.folder / MANIFEST).read_bytes()
    frame["manifest_sha256"] = hashlib.sha256(manifest).hexdigest()
    return frame[list(COLUMNS)]


def primary_claims(measured: "_Measured") -> list[Claim]:
    """The claims that share Holm's correction: fixed by the settings, whatever was measured."""
    pairs = [measured.pair(prediction) for prediction in paper_predictions(measured.task)]
    return [*pairs, measured.learning(False), measured.learning(True), measured.accuracy()]


def exploratory_claims(measured: "_Measured") -> list[Claim]:
    """All else, each judged by itself."""
    paper = paper_predictions(measured.task)
    merges = [prediction for prediction in paper if prediction.merges]
    claims = [
        *(measured.pair(p) for p in further_predictions(measured.task)),
        *(measured.pair(p, ", learned trials only", learned_only=True) for p in paper),
        *(measured.pair(p, ", stricter margin", STRICTER_MARGIN) for p in merges),
        *(measured.change(p) for p in paper),
        *(measured.clock(p) for p in merges),
        *(measured.norms(p) for p in merges),
        *(measured.log_odds(p) for p in paper if not p.merges),
        measured.paired_learning(),
        measured.loss(),
    ]
    return [replace(claim, text=EXPLORATORY + claim.text) for claim in claims]


class _Measured:
    """A result's trials by tie, and each claim with the values that they give it."""

    def __init__(self, result: Result) -> None:
        own = self.settings = result.settings
        window = statistics.last_period(result.steps, own.schedule_period)
        self.trials = {tied: Trials.of(result, tied, window) for tied in BOTH}
        self.task = self.trials[True].task
        self.factor = decay_factor(own, result.steps)
        self.complete = result.manifest["status"] == "complete"
        least = self.task.ceiling("train")[1]
        loss = {tied: self.trials[tied].measured("train", "loss") for tied in BOTH}
        self.learned = {tied: loss[tied] - least <= LEARNED_NATS for tied in BOTH}

    def claim(self, text: str, measure: str, values: Any, *ties: bool, **rest: Any) -> Claim:
        """Values that are missing are left out: failed trials, or all without a full period."""
        values = np.asarray(values)
        return Claim(
            text,
            rest.pop("prediction", "none"),
            measure,
            values[np.isfinite(values)],
            failed=sum(self.trials[tied].failed for tied in ties),
            obstacle=self.obstacle(ties) or rest.pop("obstacle", ""),
            **rest,
        )

    def pair(
        self, p: Prediction, note: str = "", margin: float = MERGE_MARGIN, learned_only: bool = False
    ) -> Claim:
        trials, side = self.trials[p.tied], "under" if p.merges else "over"
        end, start = trials.ratio(p.table, p.pair)
        keep = np.isfinite(end)
        if learned_only:
            keep &= self.learned[p.tied][trials.seeds].to_numpy(bool)
        return self.claim(
            p.claim + note, "ratio", end[keep], p.tied, side=side, margin=margin,
            prediction=f"{side} {margin:.2f} of a control pair's distance",
            change=(end / start)[keep & p.merges],
        )  # fmt: skip

    def learning(self, tied: bool) -> Claim:
        learned = self.learned[tied].to_numpy(bool)
        return self.claim(
            f"the parity is learned, {_tie(tied)}", "share", learned[: self.recorded * len(learned)],
            tied, side="over", margin=LEARNED_SHARE, all_pass=True,
            prediction=f"by every trial (within {LEARNED_NATS:g} nats), share over {LEARNED_SHARE:g}",
        )  # fmt: skip

    def accuracy(self) -> Claim:
        """Tying costs where a pair of synonyms is not conditionally equivalent, else it does not."""
        costs = not all(pair.conditionally_equivalent for pair in synonym_pairs(self.task))
        side = "over" if costs else "under"
        return self.claim(
            f"claim 3: tying costs {'' if costs else 'no '}accuracy (over all strings)",
            "difference", self.untied_minus_tied("accuracy"), *BOTH,
            side=side, margin=ACCURACY_MARGIN, prediction=f"untied - tied {side} {ACCURACY_MARGIN:g}",
        )  # fmt: skip

    def loss(self) -> Claim:
        return self.claim("claim 3: what tying costs in cross-entropy, nats (over all strings)",
                          "difference", -self.untied_minus_tied("loss"), *BOTH)  # fmt: skip

    def change(self, p: Prediction) -> Claim:
        end, start = self.trials[p.tied].ratio(p.table, p.pair)
        rest = {"side": "under", "margin": 1.0, "prediction": "under 1"} if p.merges else {}
        return self.claim(
            f"{p.claim}, ratio to the control pairs over that at step 0", "ratio", end / start,
            p.tied, **rest,
        )  # fmt: skip

    def clock(self, p: Prediction) -> Claim:
        """1: decay alone closed the gap; less: gradients did too; more: they resisted."""
        trials = self.trials[p.tied]
        distance = trials.distance(p.table, p.pair)
        alone = trials.end(trials.start(distance)[:, None] * self.factor)
        return self.claim(
            f"{p.claim}, distance over the decay clock's", "ratio", trials.end(distance) / alone,
            p.tied,
        )  # fmt: skip

    def norms(self, p: Prediction) -> Claim:
        norm = self.trials[p.tied].end(self.trials[p.tied].norm(p.table, p.pair))
        return self.claim(f"{p.claim}, mean norm of its rows", "ratio", norm, p.tied)

    def log_odds(self, p: Prediction) -> Claim:
        (a, b), probability = p.pair, self.task.probability
        trials, least = self.trials[p.tied], abs(log_odds(probability[b], probability[a]))
        return self.claim(
            f"{p.claim}, log-odds law for ||o_{b} - o_{a}||", "ratio",
            trials.end(trials.distance("output", p.pair)), p.tied,
            prediction=f"at least {least:.3f} / min ||h||",
            obstacle="The encoder's output h is not stored: only the distance is reported.",
        )  # fmt: skip

    def paired_learning(self) -> Claim:
        both = pd.DataFrame(self.learned).dropna().to_numpy(bool)
        first, second = both[: self.recorded * len(both)].T
        p = statistics.paired_exact_test(first, second)
        return self.claim(
            f"untied learns where tied does not (exact paired p {p:.2g})", "share",
            first[first != second], *BOTH, side="over", margin=LEARNED_SHARE, pairs=len(first),
            prediction=f"over {LEARNED_SHARE:g} of the seeds where they differ",
        )  # fmt: skip

    def untied_minus_tied(self, quantity: str) -> np.ndarray:
        """Exact over all strings, ``(seed,)``, of the seeds that have both."""
        untied, tied = (self.trials[tied].measured("exact", quantity) for tied in BOTH)
        return (untied - tied).to_numpy(float)
