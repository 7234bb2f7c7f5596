"""How the cost of training grows with trials, width, depth, string length, steps and processes.

Writes ``book/results/scaling.json``, which the page "Running it at scale" shows beside what
``semantica run --dry-run`` expects. One thing is varied at a time, from the main experiment with
ten untied trials; each stack in a process of its own on one thread, one after the other.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from bench import (
    ROUNDS,
    TRIALS,
    by_turns,
    machine,
    our_loop,
    peak_mb,
    seconds,
    significant,
    step_seconds,
)
from tqdm import tqdm

from semantica_lib.files import ROOT, write_whole
from semantica_lib.running.devices import cores
from semantica_lib.settings.catalogue import find
from semantica_lib.store.provenance import provenance

FILE = ROOT / "book" / "results" / "scaling.json"
MAIN = "transformer-small"
VARIED: dict[str, tuple[int, ...]] = {  # what is not varied is as the main experiment has it
    "trials": (1, TRIALS, 100, 300),
    "embedding_size": (8, 16, 32),
    "layers": (2, 4),
    "bits": (5, 9, 10),
}
STEPS = (1_000, 10_000, 100_000)  # of whole runs
PROCESSES = (1, 2, 4, 8, 16, 32)  # as far as there are cores
MEASURED_SECONDS = 5.0


def stack(changes: dict[str, int], trials: int) -> dict[str, float]:
    """Milliseconds of a step, seconds of the first one, and megabytes at most; in a process."""
    torch.set_num_threads(1)
    advance = our_loop(find(MAIN, changes.items()), False, trials)
    first = seconds(advance, 1)
    ms = by_turns({"stack": advance}, MEASURED_SECONDS / ROUNDS)["stack"]
    return {
        "ms_a_step": significant(ms),
        "first_step_s": significant(first),
        "peak_memory_mb": peak_mb(),
    }


def growth(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """A stack for each value of each thing that is varied."""
    rows = []
    wanted = [(name, value) for name, values in VARIED.items() for value in values]
    for name, value in tqdm(wanted, desc="stacks", file=sys.stderr, disable=None):
        changes = {} if name == "trials" else {name: value}
        trials = value if name == "trials" else TRIALS
        found = pool.submit(stack, changes, trials).result()
        rows.append({"varied": name, "value": value, "trials": trials} | found)
    return rows


def runs(folder: Path) -> list[dict[str, Any]]:
    """Whole runs of the command, ten seeds tied and untied, from nothing to the stored result."""
    rows = []
    for steps in tqdm(STEPS, desc="runs", file=sys.stderr, disable=None):
        command = [sys.executable, "-m", "semantica_lib.cli", "train", MAIN, "--device", "cpu"]
        command += ["--set", f"steps={steps}", "--set", f"seeds={list(range(1, TRIALS + 1))}"]
        place = {**os.environ, "SEMANTICA_RESULTS": str(folder / str(steps))}
        start = time.perf_counter()
        subprocess.run(command, check=True, env=place, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - start
        rows.append({"steps": steps, "trials": 2 * TRIALS, "seconds": significant(took)})
    return rows


def side(barrier: Any, pipe: Any) -> None:
    """A step's milliseconds while others do the same, told by a pipe."""
    torch.set_num_threads(1)
    advance = our_loop(find(MAIN), False, TRIALS)
    seconds(advance, 1)
    steps = round(MEASURED_SECONDS / step_seconds(advance))
    barrier.wait()
    pipe.send(1_000 * seconds(advance, steps) / steps)


def side_by_side() -> list[dict[str, Any]]:
    """The main experiment's stack in so many processes at once: the mean of their steps."""
    context, rows = get_context("spawn"), []
    for count in [one for one in PROCESSES if one <= cores()]:
        barrier, (ours, theirs) = context.Barrier(count), context.Pipe(False)
        processes: list[multiprocessing.Process] = [
            context.Process(target=side, args=(barrier, theirs)) for _ in range(count)
        ]
        for process in processes:
            process.start()
        ms = [ours.recv() for _ in processes]
        for process in processes:
            process.join()
        rate = sum(1_000 * TRIALS / one for one in ms)
        rows.append(
            {
                "processes": count,
                "ms_a_step": significant(sum(ms) / count),
                "trial_steps_a_second": significant(rate),
            }
        )
    return rows


def main() -> None:
    """Measure all of it, a quarter of an hour, and store it with what it was measured by."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/compiled"
        found = {
            "experiment": MAIN,
            "growth": growth(pool),
            "runs": runs(Path(folder)),
            "side_by_side": side_by_side(),
            "machine": machine(),
            "date": datetime.now(UTC).date().isoformat(),
            **{name: provenance()[name] for name in ("commit", "dirty")},
        }
    write_whole(FILE, (json.dumps(found, indent=1, sort_keys=True) + "\n").encode())
    print(f"wrote {FILE.name}: {len(found['growth'])} stacks, {len(found['runs'])} runs")


if __name__ == "__main__":
    main()
