"""How fast training is beside a plain PyTorch loop that does the same work one run at a time.

For every experiment, or those named, it prints ``NAME MS ms RATIOx``: milliseconds of a step of ten
trials here (mean of tied and untied), and how many times as long ten runs of the plain loop take
for it. All is measured on one thread in one process an experiment, by turns: a busy machine then
slows all alike. A figure is the median over the rounds. The rest of what was measured goes to
stderr and to ``book/results/bench.json``.
"""

import argparse
import gc
import json
import os
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from semantica_lib.datasets.xor import XorTask
from semantica_lib.errors import RequestError
from semantica_lib.experiments import ROOT, Settings, catalogue, find
from semantica_lib.trainers.checkpoint import write_whole
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.stacked import Stack, xor_task

FILE = ROOT / "book" / "results" / "bench.json"
TRIALS, MANY = 10, 100
ROUNDS, ROUND_SECONDS = 9, 1.0  # odd, so that the median is one that was measured
TIES = {"tied": True, "untied": False}


class Strings(Dataset):
    """The training strings, each written and masked anew whenever it is asked for."""

    def __init__(self, task: XorTask) -> None:
        self.strings = task.splits["train"].tolist()
        zeros = range(len(task.zero_dst))
        ones = range(len(task.zero_dst), task.symbols)
        self.synonyms = ((zeros, task.zero_dst), (ones, task.one_dst))
        self.parity, self.mask = task.parity, task.mask

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        bits = self.strings[index]
        tokens = [random.choices(*self.synonyms[bit])[0] for bit in bits]
        place = random.randrange(len(bits))
        target, tokens[place] = tokens[place], self.mask
        tokens.append(self.parity + sum(bits) % 2)
        return torch.tensor(tokens), place, target


class Plain(nn.Module):
    """The model of one run, made of PyTorch's own modules."""

    def __init__(self, own: Settings, vocabulary: int, tied: bool) -> None:
        super().__init__()
        self.input = nn.Embedding(vocabulary, own.embedding_size)
        self.output = nn.Embedding(vocabulary, own.embedding_size)
        layer = nn.TransformerEncoderLayer(
            own.embedding_size,
            own.heads,
            own.feedforward_size,
            dropout=0.0,
            activation=own.activation,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, own.layers, enable_nested_tensor=False)
        if tied:
            self.output.weight = self.input.weight

    def forward(self, tokens: Tensor, place: Tensor) -> Tensor:
        """Logits at the masked place, ``(batch, symbol)``."""
        hidden = self.encoder(self.input(tokens))
        return hidden[torch.arange(len(tokens)), place] @ self.output.weight.T


def plain_loop(own: Settings, tied: bool) -> Callable[[int], None]:
    """One run as a person would write it: a function that trains it for so many more steps."""
    data = Strings(xor_task(own))
    loader = DataLoader(data, batch_size=len(data), shuffle=True)
    model = Plain(own, xor_task(own).vocabulary, tied)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=own.learning_rate,
        betas=own.betas,
        eps=own.eps,
        weight_decay=own.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=own.schedule_period // 2, eta_min=own.learning_rate_min
    )
    distances = []

    def advance(steps: int) -> None:
        for _ in range(steps):
            for tokens, place, target in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(tokens, place), target)
                loss.backward()
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                tables = model.input.weight, model.output.weight
                distances.append([torch.cdist(table, table) for table in tables])

    return advance


def our_loop(own: Settings, tied: bool, trials: int) -> Callable[[int], None]:
    """The same for a stack of trials of this library."""
    stack = Stack(own, range(trials), tied)
    state, step = stack.initial(), stack.stepper(own.steps)

    def advance(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, _ = step(state)

    return advance


def seconds(advance: Callable[[int], None], steps: int) -> float:
    """How long so many steps take."""
    start = time.perf_counter()
    advance(steps)
    return time.perf_counter() - start


def by_turns(loops: dict[str, Callable[[int], None]]) -> dict[str, float]:
    """Milliseconds of a step of each loop, the median over rounds in which each has a turn."""
    steps = {}
    for name, advance in loops.items():
        seconds(advance, 5)  # warm
        steps[name] = max(1, round(ROUND_SECONDS * 5 / seconds(advance, 5)))
    rounds = [
        {name: seconds(advance, steps[name]) / steps[name] for name, advance in loops.items()}
        for _ in range(ROUNDS)
    ]
    return {name: 1000 * statistics.median(turn[name] for turn in rounds) for name in loops}


def measure(name: str) -> dict[str, Any]:
    """All figures of one experiment; to be called in a process of its own."""
    torch.set_num_threads(1)
    own, loops, compiling = find(name), {}, {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Uncompiled)
        for trials in (TRIALS, MANY):
            for tie, tied in TIES.items():
                loop = loops[f"{trials} {tie}"] = our_loop(own, tied, trials)
                compiling[f"{trials} {tie}"] = seconds(loop, 1)
            if trials == TRIALS:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for tie, tied in TIES.items():
        loops[f"plain {tie}"] = plain_loop(own, tied)
    gc.collect()
    gc.freeze()  # or the plain loop, which allocates more, would pay for the compiler's objects
    ms = by_turns(loops)

    def mean(kind: object, of: dict[str, float] = ms) -> float:
        return statistics.mean(of[f"{kind} {tie}"] for tie in TIES)

    def each(kind: object, of: dict[str, float] = ms) -> dict[str, float]:
        return {tie: significant(of[f"{kind} {tie}"]) for tie in TIES}

    return {
        "ms_a_step": each(TRIALS) | {"mean": significant(mean(TRIALS))},
        "ms_a_step_100_trials": each(MANY) | {"mean": significant(mean(MANY))},
        "plain_ms_a_step": each("plain") | {"mean": significant(mean("plain"))},
        "ratio": significant(TRIALS * mean("plain") / mean(TRIALS)),
        "ratio_100_trials": significant(MANY * mean("plain") / mean(MANY)),
        "trial_steps_a_second": significant(1000 * TRIALS / mean(TRIALS)),
        "trial_steps_a_second_100_trials": significant(1000 * MANY / mean(MANY)),
        "compile_s": each(TRIALS, compiling),
        "peak_memory_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10)),
        "compiled": not any(issubclass(w.category, Uncompiled) for w in caught),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def significant(value: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What was measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads_used": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, print a line an experiment, and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: all)")
    asked = parser.parse_args().names
    names = asked or list(catalogue())
    try:
        for name in names:
            find(name)
    except RequestError as error:
        parser.error(str(error))
    stored = json.loads(FILE.read_text()) if asked and FILE.exists() else {}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    # A cache of its own: the compiler's time is then that of a first run.
    with (
        tempfile.TemporaryDirectory() as cache,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        figures = tqdm(pool.map(measure, names), total=len(names), file=sys.stderr, disable=None)
        for name, figure in zip(names, figures, strict=True):
            print(f"{name} {figure['ms_a_step']['mean']:.2f} ms {figure['ratio']:.0f}x", flush=True)
            print(json.dumps(figure, indent=1), file=sys.stderr)
            stored[name] = figure
            write_whole(FILE, (json.dumps(stored, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
