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
from dataclasses import replace
from itertools import chain
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
    too few values. ``seeds`` have a value, ``failed`` trials have none; ``pass_share`` is the share
    of those seeds that meet the prediction by themselves.

    Args:
        result: one XOR experiment's, stored.
        notebook: what the rows name as their notebook.
    """
    measured = Measured(result)
    primary = primary_claims(measured)
    levels = statistics.holm_levels([claim.interval().p for claim in primary])
    rows = [_row(claim, level, True) for claim, level in zip(primary, levels, strict=True)]
    rows += [_row(claim, 0.95, False) for claim in exploratory_claims(measured)]
    frame = pd.DataFrame(rows)
    frame["experiment"], frame["notebook"] = result.settings.experiment, notebook
    manifest = (result.folder / MANIFEST).read_bytes()
    frame["manifest_sha256"] = hashlib.sha256(manifest).hexdigest()
    return frame[list(COLUMNS)]


def primary_claims(measured: "Measured") -> list[Claim]:
    """The claims that share Holm's correction: fixed by the settings, whatever was measured."""
    pairs = [measured.pair(prediction) for prediction in paper_predictions(measured.task)]
    return [*pairs, measured.learning(False), measured.learning(True), measured.accuracy()]


def exploratory_claims(measured: "Measured") -> list[Claim]:
    """All else, each judged by itself."""
    paper = paper_predictions(measured.task)
    merges = [prediction for prediction in paper if prediction.merges]
    claims = [
        *(measured.pair(p) for p in further_predictions(measured.task)),
        *(measured.pair(p, ", learned trials only", learners=True) for p in paper),
        *(measured.pair(p, ", stricter margin", STRICTER_MARGIN) for p in merges),
        *chain.from_iterable(map(measured.beside, paper)),
        *(measured.log_odds(p) for p in paper if not p.merges),
        measured.paired_learning(),
        measured.loss(),
    ]
    return [replace(claim, text=EXPLORATORY + claim.text) for claim in claims]


class Measured:
    """A result's trials by tie, and each claim with the values that they give it."""

    def __init__(self, result: Result) -> None:
        own = self.settings = result.settings
        self.window = statistics.last_period(result.steps, own.schedule_period)
        self.trials = {tied: Trials.of(result, tied, self.window) for tied in BOTH}
        self.task = self.trials[True].task
        self.last, self.factor = int(result.steps[-1]), decay_factor(own, result.steps)
        self.complete = result.manifest.get("status") == "complete"
        self.learned = {tied: self._learned(trials) for tied, trials in self.trials.items()}

    def _learned(self, trials: Trials) -> pd.Series:
        """Whether each trial learned, by seed; a failed one did not. Empty without a period."""
        loss = trials.measured("train", "loss")
        learned = loss - self.task.ceiling("train")[1] <= LEARNED_NATS
        return learned if self.window is not None else learned[:0]

    def claim(
        self, text: str, measure: str, values: np.ndarray, *ties: bool,
        prediction: str = "none", obstacle: str = "", **rest: Any,
    ) -> Claim:  # fmt: skip
        """Values that are not there are left out: of failed trials, or all without a period."""
        failed = sum(self.trials[tied].failed for tied in ties)
        values, obstacle = values[np.isfinite(values)], self._lacks(ties) or obstacle
        return Claim(text, prediction, measure, values, failed=failed, obstacle=obstacle, **rest)

    def _lacks(self, ties: tuple[bool, ...]) -> str:
        """What the result lacks for a verdict on these ties, and the command to get it."""
        own, command = self.settings, f"semantica run {self.settings.experiment}"
        if not self.complete:
            return f"The result is partial, at step {self.last}; `{command}` completes it."
        if self.window is None:
            period = own.schedule_period
            command += f" --set steps={period}" * (own.steps < period)
            return (
                f"The records, to step {self.last}, hold no full period of the schedule "
                f"({period} steps); `{command}` trains one."
            )
        for tied in ties:
            tie, trials = _tie(tied), self.trials[tied]
            if not len(trials.seeds) and tie not in own.ties:
                both = "--set 'ties=[tied, untied]'"
                return f"There are no {tie} trials; `{command} {both}` trains them."
            if trials.absent:
                seeds = ", ".join(map(str, trials.absent))
                return f"The {tie} trials of seeds {seeds} are missing; `{command}` trains them."
        return ""

    def pair(
        self, p: Prediction, note: str = "", margin: float = MERGE_MARGIN, learners: bool = False
    ) -> Claim:
        trials, side = self.trials[p.tied], "under" if p.merges else "over"
        end, start = trials.ratio(p.table, p.pair)
        keep = np.isfinite(end)
        if learners:
            keep &= self.learned[p.tied].reindex(trials.seeds, fill_value=False).to_numpy(bool)
        return self.claim(
            p.claim + note, "ratio", end[keep], p.tied, side=side, margin=margin,
            prediction=f"{side} {margin:.2f} of a control pair's distance",
            change=(end / start)[keep & np.isfinite(start) & p.merges],
        )  # fmt: skip

    def learning(self, tied: bool) -> Claim:
        return self.claim(
            f"the parity is learned, {_tie(tied)}", "share", self.learned[tied].to_numpy(bool),
            tied, side="over", margin=LEARNED_SHARE, all_pass=True,
            prediction=f"by every trial, to {LEARNED_NATS:g} nats (share over {LEARNED_SHARE:g})",
        )  # fmt: skip

    def accuracy(self) -> Claim:
        """Tying costs where a pair of synonyms is not conditionally equivalent, else not."""
        costs = not all(pair.conditionally_equivalent for pair in synonym_pairs(self.task))
        side = "over" if costs else "under"
        return self.claim(
            f"claim 3: tying costs {'' if costs else 'no '}accuracy (over all strings)",
            "difference", self._untied_minus_tied("accuracy"), *BOTH,
            side=side, margin=ACCURACY_MARGIN,
            prediction=f"untied minus tied {side} {ACCURACY_MARGIN:g}",
        )  # fmt: skip

    def loss(self) -> Claim:
        return self.claim("claim 3: what tying costs in cross-entropy, nats (over all strings)",
                          "difference", -self._untied_minus_tied("loss"), *BOTH)  # fmt: skip

    def _untied_minus_tied(self, quantity: str) -> np.ndarray:
        """Exact over all strings, ``(seed,)``; nan where one of the two is."""
        untied, tied = (self.trials[tied].measured("exact", quantity) for tied in BOTH)
        return (untied - tied).to_numpy(float)

    def beside(self, p: Prediction) -> list[Claim]:
        """What stands beside a merge: is it closer than it began, what did decay do, the norms.

        Over the decay clock, 1 says that decay alone closed the gap, less that gradients did too,
        more that they resisted.
        """
        trials, (end, start) = self.trials[p.tied], self.trials[p.tied].ratio(p.table, p.pair)
        distance, norm = trials.distance(p.table, p.pair), trials.norm(p.table, p.pair)
        clock = trials.end(distance) / trials.end(trials.start(distance)[:, None] * self.factor)
        closer = {"side": "under", "margin": 1.0, "prediction": "under 1"} if p.merges else {}
        about = [
            (", ratio to the control pairs over that at step 0", end / start, closer),
            (", distance over the decay clock's", clock, {}),
            (", mean norm of its rows", trials.end(norm), {}),
        ]
        return [
            self.claim(p.claim + what, "ratio", values, p.tied, **rest)
            for what, values, rest in about
        ]

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
        untied, tied = pd.DataFrame(self.learned).dropna().to_numpy(bool).T
        p = statistics.paired_exact_test(untied, tied)
        return self.claim(
            f"untied learns where tied does not (exact paired p {p:.2g})", "share",
            untied[untied != tied], *BOTH, side="over", margin=LEARNED_SHARE, pairs=len(untied),
            prediction=f"over {LEARNED_SHARE:g} of the seeds that differ",
        )  # fmt: skip


def _tie(tied: bool) -> str:
    return "tied" if tied else "untied"


def _row(claim: Claim, level: float, primary: bool) -> dict[str, Any]:
    interval = claim.interval(level)
    verdict = claim.judge(interval)
    deviation = _deviation(claim, interval, verdict)
    if primary and claim.measure == "ratio" and len(claim.values) >= statistics.LEAST_FOR_BCA:
        bca = statistics.bca_interval(claim.values, level)
        if (other := claim.judge(bca)) != verdict:
            deviation += f" By a BCa bootstrap, {_with_interval(bca)}, it is {other}."
    judged = claim.side and claim.seeds
    return {
        "claim": claim.text,
        "prediction": claim.prediction,
        "margin": claim.margin,
        **interval._asdict(),
        "seeds": claim.seeds,
        "failed": claim.failed,
        "pass_share": claim.passed.sum() / claim.seeds if judged else np.nan,
        "verdict": verdict,
        "deviation": deviation.strip(),
    }


def _with_interval(interval: Interval) -> str:
    return f"{interval.estimate:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def _deviation(claim: Claim, interval: Interval, verdict: str) -> str:
    """What differs from the prediction, in a sentence; empty if nothing does."""
    if claim.obstacle:
        return claim.obstacle
    if verdict in (statistics.REPRODUCED, statistics.CONSISTENT, statistics.NO_PREDICTION):
        return ""
    if np.isnan(interval.low):
        return "Fewer than two seeds have a value."
    measured, failed = f"Measured {_with_interval(interval)}", ""
    if claim.failed:
        failed = f"; crashed trials: {claim.failed}"
    if claim.all_pass and verdict == statistics.PARTLY:
        return f"{claim.passed.sum()} of {len(claim.passed)} trials learn{failed}."
    low, high = interval.low - claim.margin, interval.high - claim.margin
    place = "over" if low > 0 else "under" if high < 0 else "on both sides of"
    closer = ""
    if verdict == statistics.PARTLY and place != claim.side:
        change = statistics.geometric_interval(claim.change).estimate
        closer = f", but the ratio came to {change:.2g} of its value at step 0"
    return f"{measured}, {place} the margin {claim.margin:g}{closer}{failed}."


def summary(frame: pd.DataFrame) -> str:
    """One line on the primary rows of each experiment, in plain words."""
    primary = frame[~frame.claim.str.startswith(EXPLORATORY)]
    lines = []
    for experiment, rows in primary.groupby("experiment", sort=False):
        counts = rows.verdict.value_counts()
        words = ", ".join(f"{counts[v]} {v}" for v in statistics.VERDICTS if v in counts)
        lines.append(f"{experiment}: of {len(rows)} primary claims {words}")
    return "; ".join(lines)


def to_markdown(frame: pd.DataFrame) -> str:
    """The rows as a Markdown table: claim, prediction, measured, seeds that pass, verdict."""
    lines = ["| claim | predicted | measured | seeds that pass | verdict |", "|---" * 5 + "|"]
    for row in frame.itertuples():
        interval = Interval(row.estimate, row.low, row.high)
        measured = "–" if np.isnan(row.estimate) else _with_interval(interval)
        passed = round(np.nan_to_num(row.pass_share) * row.seeds)
        share = "–" if np.isnan(row.pass_share) else f"{passed} of {row.seeds}"
        cells = row.claim, row.prediction, measured, share, row.verdict
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
