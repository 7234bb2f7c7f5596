"""What all tests share: one thread, the same examples at every run, and PyTorch's own model."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from plain import PlainModel
from stored import train_here

from semantica_lib.datasets.xor import XorTask

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
# A suite started in the background ignores Ctrl-C, and so would every process that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")


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
    synonyms = list(enumerate(task.zero_dst)), list(enumerate(task.one_dst, len(task.zero_dst)))
    for string in strings:
        for writing in product(*(synonyms[bit] for bit in string)):
            probability = math.prod(p for _, p in writing) / len(strings) / task.bits
            for place in range(task.bits):
                tokens = [symbol for symbol, _ in writing]
                target, tokens[place] = tokens[place], task.mask
                yield [*tokens, task.parity + sum(string) % 2], target, probability


@pytest.fixture(scope="session")
def masked_writings() -> Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]]:
    return enumerate_masked_writings
