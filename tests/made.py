"""Made-up results of the XOR task whose pairs are as far apart as one says."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.settings.catalogue import AnySettings, Settings, settings
from semantica_lib.store import results
from semantica_lib.store.provenance import NUMERICS
from semantica_lib.store.results import Result

STEPS, SEEDS = np.arange(0, 401, 20), (1, 2, 3, 4, 5, 6)
TINY = settings({"experiment": "tiny", "seeds": [42], "ties": ["tied"], "steps": 1})
Distance = Callable[[int, bool, str, tuple[int, int]], Any]


def manifest_of(
    own: AnySettings, trials: Iterable[tuple[int, bool]], **changes: Any
) -> dict[str, Any]:
    """What the manifest of a complete result of these settings and trials holds, but for files."""
    trials = [(int(seed), bool(tied)) for seed, tied in trials]
    return {
        "experiment": own.experiment, "settings": own.model_dump(mode="json"),
        "settings_hash": own.settings_hash, "seeds": sorted({seed for seed, _ in trials}),
        "trials": [{"seed": seed, "tied": tied} for seed, tied in trials], "status": "complete",
        "steps_done": own.steps, "commit": "c" * 40, "dirty": False, "source_sha256": "d" * 64,
        "numerics": NUMERICS, "versions": {"python": "3.11", "torch": "2.0"},
        "device": "cpu: some", "threads": 1, "started": "2026-01-02T03:04:05+00:00",
        "duration_s": 3700.0,
    } | changes  # fmt: skip


def store(
    path: Path,
    value: float = 1.0,
    own: Settings = TINY,
    trial: tuple[int, bool] = (42, True),
    **changes: Any,
) -> Settings:
    """Store a result of one trial whose tables are all of one value; its settings."""
    path.mkdir(parents=True, exist_ok=True)
    table = np.full((1, 1, 7, 4), value, np.float32)
    trajectory = {
        "steps": np.array([0]), "seed": np.array(trial[:1]), "tied": np.array(trial[1:]),
        "input_embedding": table, "output_embedding": table,
    }  # fmt: skip
    row = f"{trial[0]},{str(trial[1]).lower()},0,train,0.5,1.2"
    metrics = f"seed,tied,step,split,accuracy,loss\n{row}\n"
    results.write(path, manifest_of(own, [trial], **changes), trajectory, metrics)
    return own


def made(
    folder: Path,
    distance: Distance = lambda *_: 1.0,
    attained: Callable[[int, bool, str], tuple[float, float]] = lambda *_: (0.5, 1.0),
    status: str = "complete",
    steps: np.ndarray = STEPS,
    **own: Any,
) -> Result:
    """A result whose pairs (0, 1) and (2, 3) are as far apart as ``distance`` says; of 20 records.

    ``distance(seed, tied, table, pair)`` is a number or ``(record,)``; ``attained`` gives accuracy
    and loss of (seed, tied, split). Control pairs are about 2 apart.
    """
    own = {"experiment": "made-up", "seeds": SEEDS, "steps": 400, "schedule_period": 200} | own
    settings = Settings(**own)
    trials = [(seed, tied) for tied in (True, False) for seed in settings.seeds]
    tables = {}
    for table in ("input", "output"):
        rows = np.zeros((len(trials), len(steps), 7, 4))
        rows[:, :, 2:4, 2] = 2.0
        rows[:, :, 4, 3] = 1.0
        for index, trial in enumerate(trials):
            for feature, (a, b) in enumerate([(0, 1), (2, 3)]):
                apart = distance(*trial, "input" if trial[1] else table, (a, b))
                rows[index, :, a, feature] = np.asarray(apart) / 2
                rows[index, :, b, feature] = -np.asarray(apart) / 2
        tables[table] = rows.astype(np.float32)
    metrics = pd.DataFrame(
        [
            (seed, tied, step, split, *attained(seed, tied, split))
            for seed, tied in trials
            for step in steps
            for split in ("train", "validation", "test", "exact")
        ],
        columns=["seed", "tied", "step", "split", "accuracy", "loss"],
    )
    manifest = manifest_of(settings, trials, status=status)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    seed, tied = (np.array(column) for column in zip(*trials, strict=True))
    return Result(folder, manifest, steps, seed, tied, tables["input"], tables["output"], metrics)
