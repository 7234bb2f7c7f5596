"""Which trials learn the parity, and what makes the others fail: seed, tying, decay, noise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, STRONG, Measured, exploratory, more_learn, tie_of
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.statistics import Claim, finite
from semantica_lib.analysis.sweep_points import PLACES, Point, pairs_of
from semantica_lib.store.results import Result

PERMUTATIONS = 10_000


class Row(NamedTuple):
    """Whether the trials of one tie of a result learn, by seed."""

    label: str
    tied: bool
    learned: pd.Series


def rows_of(named: Sequence[tuple[str, Result]]) -> list[Row]:
    """The ties of results that are trained to a full period, those without trials left out.

    Args:
        named: labels and results.
    """
    found = []
    for label, result in named:
        learned = Measured(result).learned
        found += [Row(label, tied, learned[tied]) for tied in BOTH if len(learned[tied])]
    return found


def tying_claims(named: Sequence[tuple[str, Result]]) -> list[Claim]:
    """Of the seeds of a result that learn in one tie only, most learn untied: nothing predicted."""
    claims = []
    for label, result in named:
        learned = Measured(result).learned
        if all(len(learned[tied]) for tied in BOTH):
            text = f"{label}: learned by more trials untied than tied"
            claims.append(more_learn(text, learned[True], learned[False]))
    return exploratory(claims)


def decay_claims(found: list[Point]) -> list[Claim]:
    """That more trials of AdamW learn without decay than with the paper's, either way and loss.

    Predicted because decay pulls every weight towards the model that does not look at its input.
    """
    claims = []
    for strong, none in pairs_of(found, "weight_decay", STRONG, 0.0):
        if strong.settings.optimizer == "adamw":
            way = f"AdamW, {strong.settings.expectation} loss"
            claims += _helps(way, "without decay", strong, none)
    return claims


def noise_helps(found: list[Point]) -> list[Claim]:
    """That more trials of AdamW learn with noise than without, at the paper's decay.

    Predicted because noise moves a trial off a plateau on which it would stay.
    """
    claims = []
    for exact, sampled in pairs_of(found, "expectation", "exact", "sampled"):
        if (exact.settings.optimizer, exact.settings.weight_decay) == ("adamw", STRONG):
            claims += _helps(f"AdamW, decay {STRONG:g}", "with noise", exact, sampled)
    return claims


def _helps(way: str, what: str, *ends: Point) -> list[Claim]:
    """That of each tie more trials learn at the second of two points."""
    before, after = (Measured(point.result).learned for point in ends)
    texts = {tied: f"{way}, {tie_of(tied)}: learned by more trials {what}" for tied in BOTH}
    return [more_learn(text, before[tied], after[tied], "over") for tied, text in texts.items()]


def seed_matters(rows: Sequence[Row]) -> tuple[int, float]:
    """Whether the same seeds learn again and again: how many rows it is of, and p.

    A seed begins with the same weights in every row. Under the null hypothesis each row's outcomes
    fall on its seeds at random; the statistic is the variance over seeds of how many rows each
    learns in, and the permutations are within rows. Rows in which all or none learn say nothing.
    """
    table = pd.DataFrame({index: row.learned for index, row in enumerate(rows)}).dropna()
    outcomes = table.to_numpy(float)
    outcomes = outcomes[:, np.ptp(outcomes, axis=0) > 0] if len(outcomes) else outcomes
    if outcomes.shape[1] < 2:
        return outcomes.shape[1], np.nan
    rng = np.random.default_rng(0)
    measured, extreme = outcomes.sum(1).var(), 0
    for _ in range(PERMUTATIONS):
        extreme += rng.permuted(outcomes, axis=0).sum(1).var() >= measured
    return outcomes.shape[1], (1 + extreme) / (1 + PERMUTATIONS)


def merging(result: Result) -> list[tuple[bool, str, tuple[int, int], np.ndarray, np.ndarray]]:
    """How near pairs end in trials that learn and in those that do not, where there are both.

    Returns:
        Whether tied, the table, the pair, and the ratios to a control pair of either.
    """
    measured, found = Measured(result), []
    for tied, table in PLACES:
        learns = measured.learners(tied)
        for a, b, _ in synonym_pairs(measured.task):
            ratio, _ = measured.trials[tied].ratio(table, (a, b))
            found.append((tied, table, (a, b), finite(ratio[learns]), finite(ratio[~learns])))
    return found
