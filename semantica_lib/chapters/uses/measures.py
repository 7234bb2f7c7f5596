"""How each symbol is used, at the end of a trial: what the chapter on rows and uses measures."""

from itertools import combinations

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, Measured
from semantica_lib.analysis.distances import Pair, control_pairs
from semantica_lib.analysis.second_round import HALF, share_known
from semantica_lib.analysis.statistics import last_period, mean_over
from semantica_lib.analysis.sweep_points import Point, stored

DIVERGENCE, CURVATURE = 0, 1  # the effects of a swap, as they are stored
LEAST = 1e-9  # nats: a smaller divergence is taken for this


def asked(sweep: str) -> list[Point]:
    """The points of a sweep; a result that measured no uses (it kept no weights) counts as none.

    Raises:
        RequestError: as :func:`semantica_lib.analysis.sweep_points.stored`.
    """
    found = stored(sweep)
    none = [one.result is None or one.result.uses is None for one in found]
    return [one._replace(result=None) if no else one for one, no in zip(found, none, strict=True)]


def label(point: Point) -> str:
    """The point in words: of which task it is."""
    return "the DH fails" if 0 in point.settings.zero_dst else "the paper's task"


def curve(point: Point, measured: Measured, tied: bool, pair: Pair, effect: int) -> np.ndarray:
    """An effect of swapping a pair, nats, ``(trial, use)``, of the trials of a tie by seed."""
    swaps = list(combinations(range(measured.task.symbols), 2))
    return point.result.uses[measured.trials[tied].index][:, :, swaps.index(pair), effect]


def ends(point: Point, measured: Measured, tied: bool, pair: Pair, effect: int) -> pd.Series:
    """Its mean over the last full period, by seed."""
    window = last_period(point.result.use_steps, point.settings.period)
    values = mean_over(window, curve(point, measured, tied, pair, effect).astype(np.float64))
    return pd.Series(values, measured.trials[tied].seeds)


def divergence(point: Point, measured: Measured, tied: bool, pair: Pair) -> pd.Series:
    """The swap divergence at the end, nats, by seed."""
    return ends(point, measured, tied, pair, DIVERGENCE).clip(LEAST)


def over_control(point: Point, measured: Measured, tied: bool, pair: Pair) -> pd.Series:
    """A pair's swap divergence over the median control pair's, at the end, by seed."""
    others = [divergence(point, measured, tied, one) for one in control_pairs(measured.task)]
    return divergence(point, measured, tied, pair) / pd.concat(others, axis=1).median(axis=1)


def between(point: Point, measured: Measured, tied: bool, pair: Pair) -> pd.Series:
    """What the half way between two rows costs over the mean of both ends, nats, by seed."""
    return -ends(point, measured, tied, pair, CURVATURE) / 2


def knowing(measured: Measured, tied: bool) -> pd.Index:
    """Seeds of the trials that know over half of the bit: others use no symbol."""
    known = share_known(measured, tied)
    return known.index[known > HALF]


def against_untied(point: Point, measured: Measured, pair: Pair) -> pd.Series:
    """A pair's swap divergence tied over untied, by seed, where both trials know the bit."""
    both = knowing(measured, False).intersection(knowing(measured, True))
    untied, tied = (divergence(point, measured, one, pair).reindex(both) for one in BOTH)
    return tied / untied


def distance(measured: Measured, tied: bool, pair: Pair) -> pd.Series:
    """The distance of a pair's input rows over the median control pair's, at the end, by seed."""
    trials = measured.trials[tied]
    return pd.Series(trials.ratio("input", pair)[0], trials.seeds)


def over_clock(measured: Measured, tied: bool, pair: Pair) -> pd.Series:
    """The distance of a pair's input rows at the end over what decay alone would leave, by seed."""
    trials = measured.trials[tied]
    apart = trials.distance("input", pair)
    clock = trials.end(trials.start(apart)[:, None] * measured.factor)
    return pd.Series(trials.end(apart) / clock, trials.seeds)
