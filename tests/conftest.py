"""What all tests share: one thread, the same examples, PyTorch's own model, a made-up result."""

import gc
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
import torch
from made import manifest_of
from matplotlib.figure import Figure
from plain import PlainModel
from rendering import rendered
from stored import train_here

from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.settings.catalogue import settings
from semantica_lib.store import results
from semantica_lib.store.results import Result

gc.disable()  # until all is collected: what is imported stays
torch.set_num_threads(1)
# For the processes that tests start: one thread each, and none compiles the library anew.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# PyTorch tries each kind of vectors on the compiler, again for every new folder: some seconds.
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A suite started in the background ignores Ctrl-C, and so would every process that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")

# Each file is of one worker, so those that take longest are begun first.
LONGEST = (
    "test_book.py", "test_stacked.py", "test_faults.py", "test_run.py", "test_cli.py",
    "test_batch.py", "test_compiling.py", "test_near_figures.py", "test_distributed.py",
    "test_phase_figures.py", "test_run_all.py", "test_near.py", "test_publish.py",
    "test_exploratory.py", "test_kernel.py", "test_lstm_kernel.py", "test_ties.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    gc.freeze()  # so it is not looked through in every test
    gc.enable()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks train in the test's own process, where that is not what is tested."""
    train_here(monkeypatch)


@pytest.fixture(scope="session")
def plain_model() -> type[PlainModel]:
    return PlainModel


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a stored run of the original code by its name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(Path(__file__).parent / "reference" / f"{name}.npz") as file:
            return dict(file)

    return read


def enumerate_masked_writings(task: XorTask, split: str) -> Iterator[tuple[list[int], int, float]]:
    """Tokens, hidden symbol and probability of every masked writing of every string of a split."""
    strings = task.splits[split].tolist()
    for string in strings:
        dsts = task.zero_dst, task.one_dst
        if sum(string) % 2 and task.odds != "constant":
            turning = task.odds == "turning"
            dsts = [dst[::-1] if turning else [1 / len(dst)] * len(dst) for dst in dsts]
        synonyms = list(enumerate(dsts[0])), list(enumerate(dsts[1], len(dsts[0])))
        for writing in product(*(synonyms[bit] for bit in string)):
            probability = math.prod(p for _, p in writing) / len(strings) / task.bits
            for place in range(task.bits):
                tokens = [symbol for symbol, _ in writing]
                target, tokens[place] = tokens[place], task.mask
                yield [*tokens, task.parity + sum(string) % 2], target, probability


@pytest.fixture(scope="session")
def masked_writings() -> Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]]:
    return enumerate_masked_writings


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
        rendered(figure)
        (left, bottom), (right, top) = figure.get_tightbbox().get_points()
        width, height = figure.get_size_inches()
        return min(left, bottom) >= 0 and right <= width and top <= height

    return inside
