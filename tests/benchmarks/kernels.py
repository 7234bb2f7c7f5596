"""Where a step's time goes: products of matrices, the optimizer, all else, and between kernels.

For every model, or the experiments named, it profiles the compiled step of ten untied trials and
writes ``book/results/profile.json`` (on a GPU ``profile-gpu.json``), which the page "What it costs"
shows. PyTorch's profiler tells how long each kernel takes; what of a step's time, measured by turns
without the profiler, is in no kernel is *between* them: calls, allocations, waiting. Where kernels
are long that difference is within the noise, and may be below zero. Figures are medians of rounds.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench import ROUND_SECONDS, ROUNDS, TRIALS, machine, rounded, seconds, step_seconds
from gpu import TIED, our_launches, waiting
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT, write_whole
from semantica_lib.settings.catalogue import find
from semantica_lib.store.provenance import commit, device_name
from semantica_lib.trainers.launching import steps_a_launch

RESULTS = ROOT / "book" / "results"
FILES = {"cpu": RESULTS / "profile.json", "cuda": RESULTS / "profile-gpu.json"}
# An experiment a model: the main one's others differ from it in their data only.
MODELS = (
    "transformer-small", "mlp-small", "lstm-small",
    "transformer-medium", "mlp-medium", "lstm-medium",
)  # fmt: skip
KINDS = ("products", "optimizer", "fused")


def kind_of(kernel: str) -> str | None:
    """What a kernel does, by the name that PyTorch gives it; None if it is none of a step's.

    Those that the compiler makes are named after what is fused in them; ``lerp`` is the
    optimizer's alone. The library's products go by many names on a GPU, all with one of these.
    """
    if "cpp_fused" in kernel or kernel.startswith("triton"):
        return "optimizer" if "lerp" in kernel else "fused"
    return "products" if any(word in kernel for word in ("bmm", "gemm", "gemv", "nvjet")) else None


def shared_out(spent: Mapping[str, float], ms: float) -> dict[str, float]:
    """Milliseconds of a step by kind, from those of each kernel and of the whole step."""
    parts = dict.fromkeys(KINDS, 0.0)
    for kernel, own in spent.items():
        if kind := kind_of(kernel):
            parts[kind] += own
    return parts | {"between": ms - sum(parts.values())}


def kernels_of(launches: Callable[[int], None], count: int, device: str) -> dict[str, float]:
    """Milliseconds that a launch spends in each kernel, over so many launches."""
    on_gpu = device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        launches(count)
    return {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total)
        / (1000 * count)
        for event in found.key_averages()
        if event.device_type == (DeviceType.CUDA if on_gpu else DeviceType.CPU)
    }


def measure(name: str, device: str) -> dict[str, Any]:
    """Where the time of an experiment's step goes; to be called in a process of its own."""
    torch.set_num_threads(1)
    bare = waiting(our_launches(find(name), TRIALS, device), device)
    each = step_seconds(bare)  # compiled here, before kernels are told to name themselves
    torch._inductor.config.cpp.enable_kernel_profile = True
    named = waiting(our_launches(find(name), TRIALS, device), device)
    step_seconds(named)
    count, rounds = max(5, round(ROUND_SECONDS / each)), []
    for _ in range(ROUNDS):
        ms = 1000 * seconds(bare, count) / count
        rounds.append(shared_out(kernels_of(named, count, device), ms))
    parts = {
        kind: median(one[kind] for one in rounds) / steps_a_launch(device) for kind in rounds[0]
    }
    if not all(parts[kind] for kind in KINDS):
        raise RuntimeError(f"{name}: not all kinds of kernels were found: {parts}")
    return {
        "trials": TRIALS,
        "tied": TIED,
        "ms": rounded(parts),
        "machine": machine() | ({"processor": device_name(device)} if device == "cuda" else {}),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Profile, print a line an experiment, and store after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: a model)")
    parser.add_argument("--device", choices=list(FILES), default="cpu")
    parser.add_argument("--out", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    try:
        for name in asked.names:
            find(name)
    except RequestError as error:
        parser.error(str(error))
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here")
    file = asked.out or FILES[asked.device]
    stored = json.loads(file.read_text()) if asked.names and file.exists() else {}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for name in tqdm(asked.names or MODELS, file=sys.stderr, disable=None):
            stored[name] = pool.submit(measure, name, asked.device).result()
            print(name, stored[name]["ms"], flush=True)
            write_whole(file, (json.dumps(stored, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
