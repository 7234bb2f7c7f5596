"""Made-up points of the sweep over ways to tie, whose trials know and hold what one says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

TIES = (
    "tied", "untied", "tied-but-mask", "mapped", "pseudo-inverse", "soft:0.01", "soft:0.1",
    "soft:1", "scaled:0.02", "scaled:0.3", "scaled:1", "lookup:0.1", "lookup:0.3", "lookup:3",
    "lookup:10", "lookup:30",
)  # fmt: skip
SEEDS, STEPS = tuple(range(1, 9)), np.arange(0, 401, 100)
Known = Callable[[int, str], float]
Tables = Callable[[int, str], tuple[np.ndarray, np.ndarray]]


def random_tables(seed: int, tie: str) -> tuple[np.ndarray, np.ndarray]:
    """Input and output table, ``(symbol, feature)``, drawn anew for every trial."""
    both = np.random.default_rng([seed, *tie.encode()]).normal(size=(2, 7, 4))
    return (both[0], both[1]) if tie == "untied" else (both[0], both[0])


def scheme_point(
    folder: Path,
    known: Known = lambda seed, tie: 0.5,
    tables: Tables = random_tables,
    expectation: str = "sampled",
    ties: tuple[str, ...] = TIES,
    **more: object,
) -> Point:
    """A complete point whose trials know ``known(seed, tie)`` of the bit and have these tables."""
    varied = {"expectation": expectation, "ties": ties}
    own = Settings(
        experiment="made-up", seeds=SEEDS, steps=400, schedule_period=200, weight_decay=0.0,
        **varied | more,
    )  # fmt: skip
    trials = [(seed, tie) for tie in own.ties for seed in SEEDS]
    made = np.array(
        [tables(*trial) for trial in trials], np.float32
    )  # (trial, table, row, feature)
    made = np.repeat(made[:, :, None], len(STEPS), 2)
    least = xor_task(own).ceiling("exact")[1]
    rows = [
        (seed, tie, step, "exact", 0.5, least + (1 - known(seed, tie)) * np.log(2))
        for seed, tie in trials
        for step in STEPS
    ]
    metrics = pd.DataFrame(rows, columns=["seed", "tie", "step", "split", "accuracy", "loss"])
    folder = folder / expectation
    folder.mkdir(parents=True)
    manifest = {"settings": own.model_dump(mode="json"), "status": "complete"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    seed, tie = (np.array(column) for column in zip(*trials, strict=True))
    tied = ~np.isin(tie, ["untied", "mapped"])
    arrays = STEPS, seed, tied, made[:, 0], made[:, 1]
    metrics = metrics.assign(tied=~metrics.tie.isin(["untied"]))
    return Point(varied, own, Result(folder, manifest, *arrays, metrics, tie=tie))
