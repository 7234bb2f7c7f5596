"""How fast training is on a GPU, beside a plain PyTorch loop on the same GPU.

For every stack of untied trials in ``STACKS``, or those named ``EXPERIMENT:TRIALS``, it prints a
line and writes its figures to ``book/results/bench-gpu.json`` before the next is begun; none is
begun when the time is used up. A step is the median over rounds of launches, by turns with the
plain loop, which trains one run; the ratio is how many times as long as many plain runs take as the
stack has trials. The first launch is from nothing to its end, compiling included, with nothing
compiled before; the first stack also waits for the compiler to be loaded. Memory is what the stack
adds at most to what is taken on the device.
"""

import argparse
import gc
import json
import os
import platform
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import torch
from bench import by_turns, plain_loop, significant

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT, write_whole
from semantica_lib.settings.catalogue import find
from semantica_lib.settings.xor import Settings
from semantica_lib.store.provenance import commit, device_name
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.launching import launched, steps_a_launch
from semantica_lib.trainers.stacked import Stack

FILE = ROOT / "book" / "results" / "bench-gpu.json"
# What matters most comes first: the time may not be enough for all.
STACKS = [
    ("transformer-small", 10), ("transformer-small", 1000), ("transformer-small", 40),
    ("mlp-small", 10), ("transformer-medium", 10), ("transformer-small", 100),
    ("transformer-small", 2000), ("mlp-medium", 10), ("lstm-small", 10),
]  # fmt: skip
SECONDS = 150.0
TURN_SECONDS = 0.1  # shorter than on a processor: nothing else is at work on the device
TIED = False  # of the two the one with more parameters


def wait(device: str) -> None:
    """Until the device has done all that it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def waiting(advance: Callable[[int], None], device: str) -> Callable[[int], None]:
    """The same loop, which returns when the device is done."""

    def call(steps: int) -> None:
        advance(steps)
        wait(device)

    return call


def our_launches(own: Settings, trials: int, device: str) -> Callable[[int], None]:
    """A stack of trials of this library: a function that makes so many more launches."""
    stack = Stack(own, range(trials), TIED, device)
    state, step = stack.initial(), stack.stepper(own.steps)
    launch = launched(lambda state: step(state)[0], steps_a_launch(device), device)

    def advance(launches: int) -> None:
        nonlocal state
        for _ in range(launches):
            state = launch(state)

    return advance


def measure(name: str, trials: int, device: str) -> dict[str, Any]:
    """All figures of one stack."""
    own, on_gpu = find(name), device == "cuda"
    gc.unfreeze()
    gc.collect()  # what the stack before took
    before = 0
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    wait(device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Uncompiled)
        start = perf_counter()
        launches = waiting(our_launches(own, trials, device), device)
        launches(1)
        first = perf_counter() - start
    failed = [str(one.message) for one in caught if issubclass(one.category, Uncompiled)]
    print(*failed, sep="\n", end="", file=sys.stderr, flush=True)
    peak = torch.cuda.max_memory_allocated() - before if on_gpu else None
    plain = waiting(plain_loop(own, TIED, device), device)
    gc.freeze()  # or the plain loop, which allocates more, would pay for the compiler's objects
    ms = by_turns({"launch": launches, "plain": plain}, TURN_SECONDS)
    return {
        "experiment": name,
        "first_launch_s": significant(first),
        **figures(trials, ms["launch"] / steps_a_launch(device), ms["plain"]),
        "steps_a_launch": steps_a_launch(device),
        "peak_memory_mb": None if peak is None else significant(peak / 2**20),
        "tied": TIED,
        "compiled": not failed,
        "machine": {
            "device": device_name(device),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
    }


def figures(trials: int, ours: float, plain: float) -> dict[str, Any]:
    """What the milliseconds of a step of the stack and of one plain run come to."""
    return {
        "trials": trials,
        "ms_a_step": significant(ours),
        "trial_steps_a_second": significant(1000 * trials / ours),
        "plain_ms_a_step": significant(plain),
        "ratio": significant(trials * plain / ours),
    }


def stack_of(text: str) -> tuple[str, int]:
    """``EXPERIMENT:TRIALS`` as a pair."""
    name, _, trials = text.rpartition(":")
    try:
        find(name)
        if int(trials) < 1:
            raise ValueError("at least one trial")
    except (RequestError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    return name, int(trials)


def measured(
    stacks: list[tuple[str, int]], device: str, seconds: float, file: Path, stored: dict[str, Any]
) -> bool:
    """Measure one stack after another while there is time; write what there is after each.

    Returns:
        Whether none failed; those that the time was not enough for are only told.
    """
    begun, whole = monotonic(), True
    for name, trials in stacks:
        key = f"{name} {trials}"
        if monotonic() - begun >= seconds:
            print(f"{key}: left out, the {seconds:g} s are used up", flush=True)
            continue
        try:
            one = measure(name, trials, device)
        except Exception:  # the others may do better
            traceback.print_exc()
            print(f"{key}: failed", flush=True)
            whole = False
            continue
        stored[key] = one
        write_whole(file, (json.dumps(stored, indent=1, sort_keys=True) + "\n").encode())
        print(
            f"{key}: first launch {one['first_launch_s']:.1f} s, {one['ms_a_step']:.4f} ms a step, "
            f"plain {one['plain_ms_a_step']:.2f} ms, {one['ratio']:.0f}x, "
            f"{one['peak_memory_mb']} MB, {monotonic() - begun:.0f} s so far",
            flush=True,
        )
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Measure and store; 1 if a measurement failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "stacks", nargs="*", type=stack_of, metavar="EXPERIMENT:TRIALS",
        help="measure these anew and keep the file's others (default: all, and a new file)",
    )  # fmt: skip
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="none is begun later (default: %(default)g)"
    )
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here")
    if asked.device == "cpu" and asked.out == FILE:
        parser.error("that file is of a GPU; name another by --out")
    stored = json.loads(asked.out.read_text()) if asked.stacks and asked.out.exists() else {}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.zeros(1, device=asked.device)  # loads what belongs to the device
    # A cache of its own: the compiler's time is then that of a first run.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        stacks = asked.stacks or STACKS
        return 0 if measured(stacks, asked.device, asked.seconds, asked.out, stored) else 1


if __name__ == "__main__":
    sys.exit(main())
