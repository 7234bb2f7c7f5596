"""A small made-up result: tables that close in at known rates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import manifest_of
from matplotlib.figure import Figure

from semantica_lib.settings.catalogue import settings
from semantica_lib.store import results
from semantica_lib.store.results import Result
from semantica_lib.trainers.stacked import xor_task


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Result]:
    """Stores and loads a result of random tables with the settings given; records each tenth."""

    def made(folder: str = "one", scale: float = 1.0, **values: object) -> Result:
        own = settings(
            {"steps": 100, "schedule_period": 40, "record_every": 10, "experiment": "made"} | values
        )
        task, rng = xor_task(own), np.random.default_rng(0)
        steps = np.arange(0, own.steps + 1, own.record_every)
        trials = [(seed, tie == "tied") for tie in own.ties for seed in own.seeds]
        shape = len(trials), len(steps), task.vocabulary, own.embedding_size
        tables = scale * rng.normal(size=shape).astype(np.float32)
        seed, tied = (np.array(column) for column in zip(*trials, strict=True))
        trajectory = {
            "steps": steps,
            "seed": seed,
            "tied": tied,
            "input_embedding": tables,
            "output_embedding": np.where(tied[:, None, None, None], tables, 0.5 * tables),
        }
        best, least = task.ceiling("exact")
        rows = [
            (number, str(tie).lower(), step, split, best / 2, least + (0.1 if number % 2 else 1.0))
            for number, tie in trials
            for step in steps
            for split in ("train", "validation", "test", "exact")
        ]
        columns = ["seed", "tied", "step", "split", "accuracy", "loss"]
        manifest = manifest_of(own, trials)
        path = tmp_path / folder / own.experiment
        path.mkdir(parents=True)
        metrics = pd.DataFrame(rows, columns=columns).to_csv(index=False)
        results.write(path, manifest, trajectory, metrics)
        result = results.load(path)
        assert result is not None
        return result

    return made


@pytest.fixture
def fits() -> Callable[[Figure], bool]:
    """Whether all that a figure draws lies on it, so that no text is cut off."""

    def inside(figure: Figure) -> bool:
        figure.draw_without_rendering()
        (left, bottom), (right, top) = figure.get_tightbbox().get_points()
        width, height = figure.get_size_inches()
        return min(left, bottom) >= 0 and right <= width and top <= height

    return inside
