"""A made-up plane of p by weight decay that follows the two laws, and costs what one says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from made import made

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.settings.catalogue import Settings

P = 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99
DECAYS = 0.0, 0.001, 0.01, 0.03, 0.1
STEPS = np.array([0, 200, 300, 400])
START, NORM = 2.5, 2.0  # distance at step 0, and ||h||
RATES = {"learning_rate": 38.25 / 400, "learning_rate_min": 38.25 / 400}  # their sum is 38.25


def point(
    folder: Path,
    p: float,
    decay: float,
    cost: Callable[[int, float], float] = lambda seed, p: 0.0,
    fails: Callable[[int, bool], bool] = lambda seed, tied: False,
    floor: float = 0.05,
    **own: object,
) -> Point:
    """Inputs are on the clock; outputs and tied rows as near as the log-odds allow, plus a floor.

    ``cost(seed, p)`` is what tying loses, in nats and a third of it in accuracy; trials that
    ``fails(seed, tied)`` never learn the parity, which costs log 2 nats and 0.25.
    """
    own = {"zero_dst": (round(1 - p, 9), p), "weight_decay": decay, **RATES, **own}
    settings = Settings(steps=400, schedule_period=200, **own)
    odds, factor = float(np.log(p / (1 - p))), decay_factor(settings, STEPS)
    accuracy, loss = (p + 0.5) / 2, (_entropy(p) + np.log(2)) / 2

    def distance(seed: int, tied: bool, table: str, pair: tuple[int, int]) -> np.ndarray:
        aside = 1 + 0.01 * (seed - 3.5)
        if table == "input" and not tied:
            return START * factor * aside
        ends = (odds if pair == (0, 1) else 0.0) / NORM + floor
        return np.where(STEPS == 0, START, ends) * aside

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        lost, lower = cost(seed, p) * tied, fails(seed, tied)
        return accuracy - lost / 3 - 0.25 * lower, loss + lost + np.log(2) * lower

    folder = folder / f"{p:g}-{decay:g}"
    folder.mkdir(parents=True)
    result = made(folder, distance, attained, steps=STEPS, **own)
    trials = len(result.seed)
    gap = np.zeros((trials, len(STEPS), 2, 3))
    gap[:, :, 0] = odds * (STEPS > 0)[:, None]
    gap[..., 1:] += [-0.1, 0.1]
    norm = np.full((trials, len(STEPS), 2), [NORM, NORM + 1])  # contexts of bit 0, of bit 1
    result = replace(result, measured_steps=STEPS, logit_gap=gap, hidden_norm=norm)
    return Point({"zero_dst": [1 - p, p], "weight_decay": decay}, result.settings, result)


def whole(
    folder: Path, p: Sequence[float] = P, decays: Sequence[float] = DECAYS, **own: object
) -> list[Point]:
    """All points of a plane, in a sweep's order."""
    return [point(folder, one, decay, **own) for one in p for decay in decays]


def without(one: Point) -> Point:
    """The same point without a result."""
    return one._replace(result=None)


def _entropy(p: float) -> float:
    return float(-p * np.log(p) - (1 - p) * np.log(1 - p))
