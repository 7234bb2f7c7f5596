"""The plane of the sweep *phase*: how unequal synonyms are, by weight decay.

What is claimed of it is in :mod:`semantica_lib.chapters.phase.claims`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from semantica_lib.analysis.claims import ACCURACY_MARGIN, BOTH, Measured
from semantica_lib.analysis.distances import RESOLUTION, Pair
from semantica_lib.analysis.log_odds import Odds, Source, odds_of
from semantica_lib.analysis.sweep_points import INPUT, Place, Point

Quantity = Literal["loss", "accuracy"]
PAIR: Pair = (0, 1)  # the synonyms of bit 0; the likelier one is the second
# Learning the parity is worth a quarter of accuracy and log 2 nats at every p, so the two margins
# are one and the same share of it.
MARGINS: dict[Quantity, float] = {
    "loss": round(ACCURACY_MARGIN / 0.25 * float(np.log(2)), 3),
    "accuracy": ACCURACY_MARGIN,
}
RESAMPLES = 2_000
LEAST_PAIRS = 3  # seeds of which both trials learned; with fewer a point is left out
START, NEVER = -np.inf, np.inf  # onsets before the least p and beyond the greatest


@dataclass(frozen=True)
class Spot:
    """A point of the plane; ``measured`` is None without a complete result.

    Attributes:
        odds: of ``PAIR``, by whether tied.
    """

    p: float
    decay: float
    measured: Measured | None
    odds: dict[bool, Odds]

    @property
    def label(self) -> str:
        return f"p {self.p:g}, decay {self.decay:g}"

    @property
    def log_odds(self) -> float:
        """``log(p / (1 - p))``, nats."""
        return float(np.log(self.p / (1 - self.p)))

    def ends(self, place: Place) -> pd.DataFrame:
        """Where the pair ends in a table, by seed: ``distance``, and ``law``, what it should be.

        By the law of this table; nan where it cannot be told. Of untied inputs what decay alone
        leaves of the distance at step 0, like the distance the mean over the last period's records;
        of all others, whose rows are outputs too, the least that the log-odds allow: ``log_odds /
        min ||h||``, the mean of that norm over the last period's measurements. Neither has a free
        parameter. ``ratio`` and ``law_ratio`` are the two over the median control pair's distance.
        """
        if self.measured is None:
            return pd.DataFrame(columns=["distance", "law", "ratio", "law_ratio"], dtype=float)
        trials, (tied, table) = self.measured.trials[place[0]], place
        curve, norm = trials.distance(table, PAIR), trials.hidden_norm
        if place == INPUT:
            law = trials.start(curve) * trials.end(self.measured.factor[None])
        else:
            if norm is not None:
                norm = norm[..., 0].astype(np.float64).clip(RESOLUTION)
            law = self.log_odds / self.odds[tied].at_end(norm)
        both = pd.DataFrame({"distance": trials.end(curve), "law": law}, trials.seeds)
        over = both.div(trials.end(trials.control(table)), axis=0)
        return both.assign(ratio=over.distance, law_ratio=over.law)

    def gap(self, tied: bool) -> np.ndarray:
        """By how much the likelier symbol's logit exceeds the other's at the end, ``(trial,)``.

        The mean over contexts of bit 0 and the last period, nats; nan where it is not stored.
        """
        return self.odds[tied].end[:, 0] if self.odds else np.empty(0)

    def learned(self, tied: bool) -> np.ndarray:
        """Which trials learned the parity, a failed one did not: bool, by seed."""
        return self.measured.learned[tied].to_numpy(bool) if self.measured else np.empty(0, bool)

    def attained(self, tied: bool) -> pd.Series:
        """Accuracy over all strings as a share of the attainable, by seed."""
        if self.measured is None:
            return pd.Series(dtype=float)
        accuracy = self.measured.trials[tied].measured("exact", "accuracy")
        return accuracy / self.measured.task.ceiling("exact")[0]

    def cost(self, quantity: Quantity, learners: bool = False) -> pd.Series:
        """By how much tying does worse over all strings, by seed: positive where it costs.

        Args:
            learners: of the seeds only of which both trials learned the parity.
        """
        if self.measured is None:
            return pd.Series(dtype=float)
        of = {tied: t.measured("exact", quantity) for tied, t in self.measured.trials.items()}
        worse = of[True] - of[False] if quantity == "loss" else of[False] - of[True]
        if learners:
            for learned in self.measured.learned.values():
                worse = worse[learned.reindex(worse.index, fill_value=False)]
        return worse.astype(float)


def plane(found: Sequence[Point]) -> list[Spot]:
    """The points by decay and p; each result is gone through once."""
    spots = []
    for point in found:
        own, odds = point.settings, {}
        if point.result is not None and point.result.complete:
            made = odds_of([Source("", point.result)])
            odds = {one.tied: one for one in made if one.pair == PAIR}
        measured = odds[True].measured if odds else None
        spots.append(Spot(max(own.zero_dst), own.weight_decay, measured, odds))
    return sorted(spots, key=lambda spot: (spot.decay, spot.p))


def by_decay(spots: Sequence[Spot]) -> dict[float, list[Spot]]:
    """The points of each weight decay, from the least; by p."""
    ordered = sorted(spots, key=lambda spot: (spot.decay, spot.p))
    return {decay: list(own) for decay, own in groupby(ordered, key=lambda spot: spot.decay)}


class Onset(NamedTuple):
    """From which p on tying costs more than the margin, with its 95% interval.

    ``START`` stands for "over it at the least p already", ``NEVER`` for "not within the p that
    were tried", nan for "nothing to tell it by". ``fewest`` and ``most`` count the seeds of a p.
    """

    p: float
    low: float
    high: float
    fewest: int
    most: int


def costs_of(spots: Sequence[Spot], quantity: Quantity, learners: bool = False) -> pd.DataFrame:
    """What tying costs, a row a seed and a column a p; the mean over decays where there are some.

    Points with fewer than ``LEAST_PAIRS`` seeds of which both learned are left out of ``learners``.
    """
    columns: dict[float, pd.DataFrame] = {}
    for p in sorted({spot.p for spot in spots}):
        here = [s.cost(quantity, learners) for s in spots if s.p == p and s.measured is not None]
        means = pd.DataFrame(dict(enumerate(here))).mean(axis=1, skipna=learners).dropna()
        if len(means) >= (LEAST_PAIRS if learners else 1):
            columns[p] = means
    return pd.DataFrame(columns)


def rising(costs: pd.DataFrame) -> np.ndarray:
    """The mean cost at each p, fitted so that it never falls, ``(p,)``: least squares."""
    counts = costs.notna().sum().to_numpy(float)
    return isotonic_regression(costs.mean().to_numpy(float), weights=counts).x


def onset(costs: pd.DataFrame, margin: float) -> Onset:
    """Where the rising fit of the mean cost passes the margin, by linear interpolation in p.

    The interval is the percentile bootstrap over seeds, always with the same resamples; a seed is
    drawn with its costs at all p, for its trials share their initial weights. Assumed is that the
    cost does not fall as p rises, and that seeds are alike; 2.5% of the resamples lie beyond
    either bound, so that a bound can be ``START`` or ``NEVER``.

    Args:
        costs: as from :func:`costs_of`.
    """
    if costs.shape[1] < 2 or len(costs) < 2:
        return Onset(np.nan, np.nan, np.nan, 0, 0)
    p, values, counts = costs.columns.to_numpy(float), costs.to_numpy(float), costs.notna().sum()
    there = np.isfinite(values)
    draws = np.random.default_rng(0).multinomial(
        len(values), np.full(len(values), 1 / len(values)), RESAMPLES
    )
    weights, sums = draws @ there.astype(float), draws @ np.where(there, values, 0.0)
    drawn = [
        _passes(p[kept], row[kept] / weight[kept], weight[kept], margin)
        for row, weight in zip(sums, weights, strict=True)
        if (kept := weight > 0).any()
    ]
    at = _passes(p, costs.mean().to_numpy(), counts.to_numpy(float), margin)
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    return Onset(at, float(low), float(high), int(counts.min()), int(counts.max()))


def onsets_of(spots: Sequence[Spot]) -> dict[tuple[float | None, Quantity, bool], Onset]:
    """Where tying begins to cost, by decay, quantity and whether of learners only.

    A decay of None stands for the mean over all.
    """
    return {
        (decay, quantity, learners): onset(costs_of(own, quantity, learners), margin)
        for decay, own in [*by_decay(spots).items(), (None, spots)]
        for quantity, margin in MARGINS.items()
        for learners in BOTH
    }


def _passes(p: np.ndarray, means: np.ndarray, weights: np.ndarray, margin: float) -> float:
    fit = isotonic_regression(means, weights=weights).x
    over = int(np.searchsorted(fit, margin, side="right"))  # the first that is over it
    if over in (0, len(fit)):
        return NEVER if over else START
    before, after = fit[over - 1], fit[over]
    return float(p[over - 1] + (p[over] - p[over - 1]) * (margin - before) / (after - before))
