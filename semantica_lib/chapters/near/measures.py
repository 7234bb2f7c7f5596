"""The sweep over symbols that almost mean the same: what is measured at its points."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import LEARNED_NATS, MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import RESOLUTION, Pair
from semantica_lib.analysis.statistics import geometric_interval
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, Place, Point
from semantica_lib.chapters.near.theory import CONTROL, NEAR, learnable, trivial
from semantica_lib.datasets.xor import xor_task

SMALL = (0.01, 0.02, 0.05)  # q at which outputs are predicted to part further than inputs
LEARNED = 0.5  # share of what can be learned
Key = tuple[float, float]  # weight decay and q


class Near:
    """The points of the sweep by weight decay and q, those with a result measured.

    Attributes:
        tasks: the task at each q.
        telling: those q at which who learned can be told by 0.25 nats.
    """

    def __init__(self, found: Sequence[Point]) -> None:
        self.points = {key_of(point): point for point in found}
        results = {key: point.result for key, point in self.points.items()}
        self.measured = {key: Measured(result) for key, result in results.items() if result}
        self.decays = sorted({decay for decay, _ in self.points}, reverse=True)
        self.rates = sorted({q for _, q in self.points})
        self.tasks = {key[1]: xor_task(point.settings) for key, point in self.points.items()}
        self.telling = [q for q in self.rates if learnable(self.tasks[q]) > LEARNED_NATS]

    def ends(
        self, key: Key, place: Place, pair: Pair, usual: bool = False, learners: bool = False
    ) -> pd.DataFrame:
        """Where a pair ends, by seed: ``ratio``, its distance over the control's, and ``change``.

        The second is how many times its value at step 0 the first is. Empty without a result.

        Args:
            usual: over the median control pair's, as elsewhere.
            learners: of trials only that have learned at least half of what can be learned.
        """
        if key not in self.measured:
            return pd.DataFrame(columns=["ratio", "change"], dtype=float)
        trials = self.measured[key].trials[place[0]]
        ratio, begun = trials.ratio(place[1], pair, None if usual else CONTROL)
        ends = pd.DataFrame({"ratio": ratio, "change": ratio / begun}, trials.seeds)
        learned = self.learned(key, place[0]).reindex(ends.index) >= LEARNED
        return ends[learned] if learners else ends

    def position(self, key: Key, place: Place, symbol: int = 1) -> pd.Series:
        """How far along the way from row 0 to row 2 a row lies at the end, by seed.

        Sideways noise does not enter it, as it does a distance. The laws say the same of it.
        """
        trials = self.measured[key].trials[place[0]]
        rows = trials.tables[place[1]].astype(np.float64)
        way = rows[..., CONTROL[1], :] - rows[..., CONTROL[0], :]
        along = ((rows[..., symbol, :] - rows[..., CONTROL[0], :]) * way).sum(-1)
        length = (way**2).sum(-1).clip(RESOLUTION**2)
        return pd.Series(trials.end(along) / trials.end(length), trials.seeds)

    def learned(self, key: Key, tied: bool) -> pd.Series:
        """Share of what can be learned that each trial has, by seed; empty without an end."""
        measured = self.measured[key]
        loss = measured.trials[tied].measured("train", "loss")
        share = (trivial(measured.task) - loss) / learnable(measured.task)
        return share if measured.window is not None else share[:0]

    def trend(self, decay: float, place: Place, pair: Pair, rates: Sequence[float]) -> np.ndarray:
        """Spearman's correlation of q and a pair's ratio, ``(seed,)``: of seeds with all points.

        nan where all are equal; empty with fewer than two q.
        """
        if len(rates) < 2:
            return np.empty(0)
        ratios = {q: self.ends((decay, q), place, pair).ratio for q in rates}
        ranks = pd.DataFrame(ratios).dropna().rank(axis=1).to_numpy()
        ranks, wanted = ranks - ranks.mean(1, keepdims=True), pd.Series(rates).rank()
        wanted = (wanted - wanted.mean()).to_numpy()
        with np.errstate(invalid="ignore"):
            return ranks @ wanted / np.sqrt((ranks**2).sum(1) * (wanted**2).sum())

    def sooner(self, decay: float, learners: bool = False) -> pd.Series:
        """The outputs' ratio over the inputs', geometric mean over small q, by seed."""
        output, inputs = (
            {q: self.ends((decay, q), place, NEAR, learners=learners).ratio for q in SMALL}
            for place in (OUTPUT, INPUT)
        )
        return np.exp(np.log(pd.DataFrame(output) / pd.DataFrame(inputs)).dropna().mean(axis=1))


def key_of(point: Point) -> Key:
    """The point's weight decay and q."""
    return point.settings.weight_decay, point.settings.near_synonym or 0.0


def words(decay: float, q: float) -> str:
    """A point in words."""
    return f"q {q:g}, decay {decay:g}"


class Threshold(NamedTuple):
    """Where in q a pair parts, of a table at one decay; nan where nowhere.

    ``under``: up to which q the interval of the ratio is under the margin of a merge; ``over``:
    from which on it is over it; ``told``: from which on it is over the ratio at q = 0, by seed.
    """

    under: float
    over: float
    told: float


def threshold(near: Near, decay: float, place: Place) -> Threshold:
    """Of symbols 0 and 1 at the points that have a result, as far as they have one."""
    rates = [q for q in near.rates if (decay, q) in near.measured]
    ratios = pd.DataFrame({q: near.ends((decay, q), place, NEAR).ratio for q in rates})
    begun = ratios.get(0.0, pd.Series(np.nan, ratios.index))
    bounds = {q: geometric_interval(ratios[q].dropna()) for q in rates}
    more = {q: geometric_interval((ratios[q] / begun).dropna()) for q in rates if q}
    return Threshold(
        _last(rates, lambda q: bounds[q].high < MERGE_MARGIN),
        _last(rates[::-1], lambda q: bounds[q].low > MERGE_MARGIN),
        _last(rates[::-1], lambda q: q > 0 and more[q].low > 1),
    )


def _last(rates: Sequence[float], holds: Callable[[float], bool]) -> float:
    """The last of the first q in a row for which it holds; nan if it does not for the first."""
    return next(iter([*takewhile(holds, rates)][::-1]), np.nan)
