"""What is measured at a point of the sweep over output biases and odds."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, Measured
from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.log_odds import Odds
from semantica_lib.analysis.second_round import HALF, share_known
from semantica_lib.analysis.sweep_points import Point, pairs_of
from semantica_lib.analysis.theory import log_odds_by_parity

BIASES = {"none": "no bias", "learned": "learned bias", "log-frequency": "fixed bias"}
ODDS = {"constant": "constant odds", "turning": "turning odds", "both": "half-turning odds"}


def label(point: Point) -> str:
    """The point in words: its bias, its odds."""
    return f"{BIASES[point.settings.output_bias]}, {ODDS[point.settings.odds]}"


def over_clock(measured: Measured, pair: Pair) -> np.ndarray:
    """A pair's untied input distance at the end over what decay alone would leave, ``(trial,)``."""
    trials = measured.trials[False]
    distance = trials.distance("input", pair)
    clock = trials.end(trials.start(distance)[:, None] * measured.factor)
    return trials.end(distance) / clock


def known(measured: Measured) -> pd.DataFrame:
    """Share of the bit that each trial knows, a row a seed, a column a tie; 0 if it diverged."""
    found = pd.DataFrame({tied: share_known(measured, tied) for tied in BOTH})
    return found.dropna().replace(-np.inf, 0.0)


def cost(measured: Measured, lost: float = -1.0) -> pd.Series:
    """What untied trials know more of the bit than tied ones, by seed.

    Args:
        lost: of a seed of which a trial diverged.
    """
    found = pd.DataFrame({tied: share_known(measured, tied) for tied in BOTH}).dropna()
    gone = np.isneginf(found).any(axis=1)
    return (found[False] - found[True]).mask(gone, lost)


def just_one(measured: Measured) -> pd.Series:
    """Of the seeds of which one trial knows over half of the bit: is it the untied one?"""
    knows = known(measured) > HALF
    return knows[False][knows[False] != knows[True]]


def gaps(point: Point, measured: Measured, tied: bool, pair: Pair) -> tuple[Odds, list[float]]:
    """The gap of a pair's logits over its contexts, and the odds asked for, the least first."""
    result, trials = point.result, measured.trials[tied]
    found = None
    if result.logit_gap is not None:
        found = result.logit_gap[trials.index][:, :, measured.task.synonyms.index(pair)]
    odds = sorted({round(one, 12) for one in log_odds_by_parity(measured.task, pair)})
    return Odds("", measured, tied, pair, odds[-1], result.measured_steps, found), odds


def against_none(found: list[Point]) -> Iterator[tuple[Point, Measured, Measured]]:
    """Every point with a bias, and what is measured of it without the bias and with it."""
    for bias in list(BIASES)[1:]:
        for before, after in pairs_of(found, "output_bias", "none", bias):
            yield after, Measured(before.result), Measured(after.result)
