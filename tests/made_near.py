"""Made-up results of the sweep over symbols that almost mean the same, with rows on a line."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from made import made

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.near.theory import output_law, values_of
from semantica_lib.datasets.xor import XorTask

RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
PRIMARY = {0.1: (0.0, 0.01, 0.02, 0.05, 0.5), 0.0: (0.0,)}  # points of the primary claims
EVEN = (0.5, 0.5)
Rows = Callable[[int, bool, str], np.ndarray]


def line(values: Any, sideways: float = 0.0) -> np.ndarray:
    """A table ``(vocabulary, feature)``: four rows on a line, row 1 aside of it, and the rest."""
    rows = np.zeros((7, 4))
    rows[:4, 0] = values
    rows[1, 1] = sideways
    rows[4:, 2] = 1.0, -1.0, 0.0
    return rows


@cache
def _ceilings(q: float) -> dict[str, tuple[float, float]]:
    task = XorTask(7, EVEN, EVEN, 14, q)
    return {split: task.ceiling(split) for split in ("train", "validation", "test", "exact")}


def attained_at(q: float, share: float) -> Callable[[int, bool, str], tuple[float, float]]:
    """Accuracy and loss of trials that learned this share of what can be."""
    found = _ceilings(q)

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        best, floor = found[split]
        return best - 0.005 * tied, np.log(4) - (share - 0.01 * seed) * (np.log(4) - floor)

    return attained


def point(
    folder: Path, q: float, decay: float, rows_of: Rows | None = None, attained: Any = None,
    **own: Any,
) -> Point:  # fmt: skip
    """A point whose tables are the same at every record."""
    folder = folder / f"{q:g}-{decay:g}"
    folder.mkdir(parents=True)
    settings = {"zero_dst": EVEN, "near_synonym": q, "weight_decay": decay} | own
    more = {"attained": attained or attained_at(q, 0.95)}
    result = made(folder, **more, **settings)
    rows_of = rows_of or (lambda *_: line(values_of(q)))
    trials = list(zip(result.seed.tolist(), result.tied.tolist(), strict=True))
    stacked = []
    for table in ("input", "output"):
        rows = np.array([rows_of(seed, tied, "input" if tied else table) for seed, tied in trials])
        stacked.append(np.repeat(rows[:, None], len(result.steps), 1).astype(np.float32))
    result = replace(result, input_embedding=stacked[0], output_embedding=stacked[1])
    return Point({"near_synonym": q, "weight_decay": decay}, result.settings, result)


def sweep(
    folder: Path, spread: Mapping[tuple[float, float, str], float] | None = None,
    swap: bool = False, exact: bool = False, whole: bool = False,
) -> list[Point]:  # fmt: skip
    """The points of the primary claims, or the whole sweep, as the laws have it.

    At q = 0 without decay synonyms are far apart.

    Args:
        spread: by decay, q and table, how far 0 and 1 and 2 and 3 are, of the control's distance.
        swap: whether inputs follow the outputs' law and the other way round.
        exact: whether all seeds are alike.
    """
    found = []
    for decay in (0.1, 0.0):
        for q in RATES if whole else PRIMARY[decay]:

            def rows_of(
                seed: int, tied: bool, table: str, q: float = q, decay: float = decay
            ) -> np.ndarray:
                law = output_law if (table == "output") != swap else lambda q, pair: q
                share = (spread or {}).get((decay, q, table), law(q, (0, 1)))
                far = 2 * share
                if q == 0 and decay == 0 and (spread or {}).get((decay, q, table)) is None:
                    far = 0.8
                far = far * (1 if exact else 1 + 1e-4 * seed)
                return line([1, 1 - far, -1, far - 1])

            found.append(point(folder, q, decay, rows_of))
    return found
