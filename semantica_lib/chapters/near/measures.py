"""The sweep over symbols that almost mean the same: what is measured at its points."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

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
        self.measured = {
            key: Measured(point.result) for key, point in self.points.items() if point.result
        }
        self.decays = sorted({decay for decay, _ in self.points}, reverse=True)
        self.rates = sorted({q for _, q in self.points})
        self.tasks = {key_of(point)[1]: xor_task(point.settings) for point in found}
        self.telling = [q for q in self.rates if learnable(self.tasks[q]) > LEARNED_NATS]

    def ratio(
        self, key: Key, place: Place, pair: Pair, usual: bool = False, learners: bool = False
    ) -> pd.Series:
        """A pair's distance over the control's at the end, by seed; empty without a result.

        Args:
            usual: over the median control pair's, as elsewhere.
            learners: of :meth:`learners` only.
        """
        if key not in self.measured:
            return pd.Series(dtype=float)
        trials, table = self.measured[key].trials[place[0]], place[1]
        ends = [trials.end(trials.distance(table, one)) for one in (pair, CONTROL)]
        values = trials.ratio(table, pair)[0] if usual else ends[0] / ends[1]
        ratio = pd.Series(values, trials.seeds)
        return self.learners(key, place[0], ratio) if learners else ratio

    def change(self, key: Key, place: Place, pair: Pair, learners: bool = False) -> pd.Series:
        """How many times its value at step 0 that ratio is, by seed; likewise."""
        if key not in self.measured:
            return pd.Series(dtype=float)
        trials = self.measured[key].trials[place[0]]
        starts = [trials.start(trials.distance(place[1], one)) for one in (pair, CONTROL)]
        change = self.ratio(key, place, pair) / (starts[0] / starts[1])
        return self.learners(key, place[0], change) if learners else change

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

    def learners(self, key: Key, tied: bool, values: pd.Series) -> pd.Series:
        """Those values whose trials have learned at least half of what can be learned."""
        share = self.learned(key, tied).reindex(values.index)
        return values[share.to_numpy(float) >= LEARNED]

    def trend(self, decay: float, place: Place, pair: Pair, rates: Sequence[float]) -> np.ndarray:
        """Rank correlation of q and a pair's ratio, ``(seed,)``, of seeds that have all points."""
        columns = [self.ratio((decay, q), place, pair) for q in rates]
        if len(rates) < 2:
            return np.empty(0)
        ranks = stats.rankdata(pd.concat(columns, axis=1).dropna().to_numpy(), axis=1)
        ranks, wanted = ranks - ranks.mean(1, keepdims=True), stats.rankdata(rates)
        wanted = wanted - wanted.mean()
        with np.errstate(invalid="ignore"):  # nan where all are equal
            return ranks @ wanted / np.sqrt((ranks**2).sum(1) * (wanted**2).sum())

    def sooner(self, decay: float, learners: bool = False) -> np.ndarray:
        """The outputs' ratio over the inputs', geometric mean over small q, ``(seed,)``."""
        columns = []
        for key in [(decay, q) for q in SMALL]:
            outputs, inputs = (
                self.ratio(key, place, NEAR, learners=learners) for place in (OUTPUT, INPUT)
            )
            columns.append(outputs / inputs)
        return np.exp(np.log(pd.concat(columns, axis=1)).dropna().mean(axis=1)).to_numpy()


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


def threshold(near: Near, decay: float, place: Place, pair: Pair = NEAR) -> Threshold:
    """Of the points that have a result, as far as they have one."""
    rates = [q for q in near.rates if (decay, q) in near.measured]
    ratios = {q: near.ratio((decay, q), place, pair).dropna() for q in rates}
    bounds = {q: geometric_interval(ratio.to_numpy()) for q, ratio in ratios.items()}

    def told(q: float) -> bool:
        if q == 0 or 0 not in ratios:
            return False
        return geometric_interval((ratios[q] / ratios[0]).dropna().to_numpy()).low > 1

    return Threshold(
        _last(rates, lambda q: bounds[q].high < MERGE_MARGIN),
        _last(rates[::-1], lambda q: bounds[q].low > MERGE_MARGIN),
        _last(rates[::-1], told),
    )


def _last(rates: Sequence[float], holds: Callable[[float], bool]) -> float:
    """The last of the first q in a row for which it holds; nan if it does not for the first."""
    return next(iter([*takewhile(holds, rates)][::-1]), np.nan)
