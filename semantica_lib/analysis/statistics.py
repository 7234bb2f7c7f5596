"""Estimates over seeds with intervals, exact tests, and the judging of a claim by its interval."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from scipy import special, stats

LEAST_FOR_BCA = 20  # values; with fewer the bootstrap's intervals are too short
FEW_SEEDS = 5  # with so few or fewer nothing is called reproduced
REPRODUCED, CONSISTENT, PARTLY = "reproduced", "consistent with the paper", "partly"
NOT_REPRODUCED, INCONCLUSIVE, NO_PREDICTION = "not reproduced", "inconclusive", "no prediction"
VERDICTS = (REPRODUCED, CONSISTENT, PARTLY, NOT_REPRODUCED, INCONCLUSIVE, NO_PREDICTION)


class Interval(NamedTuple):
    """An estimate, its confidence interval, and the two-sided p of a given value.

    The p is under 1 - level just where the interval leaves that value out.
    """

    estimate: float
    low: float
    high: float
    p: float = np.nan


def finite(values: np.ndarray) -> np.ndarray:
    """The values that are finite: of trials that did not fail."""
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]


def mean_interval(values: np.ndarray, level: float = 0.95, at: float = 0.0) -> Interval:
    """Mean of ``(seed,)`` values with Student's t interval, and the p of ``at``.

    Of fewer than two values the bounds are nan and p is 1. Equal values give a point.
    """
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean()) if values.size else np.nan
    if values.size < 2:
        return Interval(mean, np.nan, np.nan, 1.0)
    error, free = float(values.std(ddof=1)) / values.size**0.5, values.size - 1
    if error == 0:
        return Interval(mean, mean, mean, float(mean == at))
    low, high = special.stdtrit(free, [(1 - level) / 2, (1 + level) / 2]) * error + mean
    p = 2 * special.stdtr(free, -abs(mean - at) / error)
    return Interval(mean, float(low), float(high), float(p))


def geometric_interval(values: np.ndarray, level: float = 0.95, at: float = 1.0) -> Interval:
    """Geometric mean of ``(seed,)`` values with the t interval of their logs, and the p of ``at``.

    Raises:
        ValueError: a value is not positive and finite.
    """
    *interval, p = mean_interval(_logs(values), level, float(np.log(at)))
    with np.errstate(over="ignore"):  # a bound too large for a float is inf
        return Interval(*np.exp(interval).tolist(), p)


def bca_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Geometric mean with the bias-corrected accelerated bootstrap interval; p is nan.

    Of the mean of the logs, by ``scipy.stats.bootstrap``, always with the same resamples (Efron
    1987).

    Raises:
        ValueError: fewer than 20 values, or one that is not positive and finite.
    """
    logs = _logs(values)
    if logs.size < LEAST_FOR_BCA:
        raise ValueError(f"a BCa interval needs {LEAST_FOR_BCA} values, not {logs.size}")
    if np.ptp(logs) == 0:
        return geometric_interval(values, level)._replace(p=np.nan)
    low, high = stats.bootstrap(
        (logs,), np.mean, confidence_level=level, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return Interval(*np.exp([logs.mean(), low, high]).tolist())


def share_interval(passed: np.ndarray, level: float = 0.95, at: float = 0.5) -> Interval:
    """Share of true ``(seed,)`` values with its exact interval, and the exact p of ``at``.

    Clopper & Pearson 1934; p is twice the smaller tail, as the interval has it. Without values
    all is nan and p is 1.
    """
    passed = np.asarray(passed, dtype=bool)
    if not passed.size:
        return Interval(np.nan, np.nan, np.nan, 1.0)
    return Interval(float(passed.mean()), *_exact(int(passed.sum()), passed.size, level, at))


@cache  # the same few counts are asked for again and again
def _exact(true: int, of: int, level: float, at: float) -> tuple[float, float, float]:
    p = min(stats.binomtest(true, of, at, alternative=side).pvalue for side in ("less", "greater"))
    bounds = stats.binomtest(true, of).proportion_ci(level, method="exact")
    return float(bounds.low), float(bounds.high), float(min(1.0, 2 * p))


def paired_exact_test(first: np.ndarray, second: np.ndarray) -> float:
    """Exact p of McNemar's test of two ``(seed,)`` boolean vectors paired by seed.

    Of the pairs that differ half should have the first true; p is 1 if none differs.

    Raises:
        ValueError: the vectors differ in length.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal lengths, not {first.shape} and {second.shape}")
    return share_interval(first[first != second]).p


def holm_levels(p: Sequence[float], alpha: float = 0.05) -> np.ndarray:
    """Confidence level of each claim's interval at which it decides as Holm's procedure does.

    The i-th smallest p (from 0) of m is tested at ``alpha / (m - i)``; from the first that is not
    rejected on, all are held to that one's level.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    alphas = alpha / np.arange(p.size, 0, -1)
    kept = np.flatnonzero(p[order] > alphas)
    if kept.size:
        alphas[kept[0] :] = alphas[kept[0]]
    levels = np.empty_like(p)
    levels[order] = 1 - alphas
    return levels


def last_period(steps: np.ndarray, period: int) -> np.ndarray | None:
    """Which records lie in the schedule's last full period: steps in ``(last - period, last]``.

    The learning rate moves distances within a period, so a mean over a whole one does not depend
    on where in the schedule a run happened to end.

    Args:
        steps: ``(record,)``, ascending.

    Returns:
        ``(record,)`` bool; None if the run is shorter than a period or has fewer than two records
        in it.
    """
    steps = np.asarray(steps)
    if not steps.size or steps[-1] < period:
        return None
    inside = steps > steps[-1] - period
    return inside if inside.sum() > 1 else None


def mean_over(window: np.ndarray | None, curve: np.ndarray) -> np.ndarray:
    """Mean over a window's records, ``(..., record)`` to ``(...)``; nan without a window."""
    return np.full(curve.shape[:-1], np.nan) if window is None else curve[..., window].mean(-1)


@dataclass(frozen=True)
class Claim:
    """What is claimed, and the values ``(seed,)`` to judge it by.

    Attributes:
        measure: ratios have a geometric mean, differences a mean, and shares are of booleans.
        side: where the interval must lie, seen from the margin; empty if nothing is predicted.
        failed: trials without a value, absent or diverged.
        obstacle: why it cannot be judged, a sentence.
        change: of each distance ratio, how many times its value at step 0; empty if not asked.
        all_pass: reproduced only if every value passes.
        pairs: how many seeds there were, where only those that differ have a value.
        diverged: how many of the failed trials did, which counts against any prediction.
    """

    text: str
    prediction: str
    measure: Literal["ratio", "difference", "share"]
    values: np.ndarray
    side: Literal["under", "over", ""] = ""
    margin: float = np.nan
    failed: int = 0
    obstacle: str = ""
    change: np.ndarray = field(default_factory=lambda: np.empty(0))
    all_pass: bool = False
    pairs: int | None = None
    diverged: int = 0

    @property
    def seeds(self) -> int:
        return len(self.values) if self.pairs is None else self.pairs

    @property
    def passed(self) -> np.ndarray:
        """Which values meet the prediction by themselves, ``(seed,)``."""
        if self.measure == "share":
            return self.values
        return self.values < self.margin if self.side == "under" else self.values > self.margin

    def interval(self, level: float = 0.95) -> Interval:
        """Of the values; its p is that of the margin."""
        make = {"ratio": geometric_interval, "difference": mean_interval, "share": share_interval}
        return make[self.measure](self.values, level, self.margin)

    def judge(self, interval: Interval) -> str:
        """The verdict, by the rules that :mod:`semantica_lib.analysis.verdicts` states."""
        if self.obstacle or not self.side:
            return INCONCLUSIVE if self.obstacle else NO_PREDICTION
        if self.diverged and not len(self.values) and self.measure != "share":
            return NOT_REPRODUCED
        below, above = interval.high < self.margin, interval.low > self.margin
        meets, misses = (below, above) if self.side == "under" else (above, below)
        if meets and (self.failed or (self.all_pass and not self.passed.all())):
            return PARTLY
        if meets:
            return CONSISTENT if self.seeds <= FEW_SEEDS else REPRODUCED
        if misses:
            return PARTLY if geometric_interval(self.change).high < 1 else NOT_REPRODUCED
        return INCONCLUSIVE


def _logs(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("a geometric mean needs positive finite values")
    return np.log(values)
