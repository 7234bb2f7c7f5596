"""How fast training is beside a plain PyTorch loop that does the same work one run at a time.

For every experiment, or those named, it prints ``NAME MS ms RATIOx``: milliseconds of a step of ten
trials here (mean of tied and untied), and how many times as long ten runs of the plain loop take
for it. Where the kernel trains it, further lines tell what another engine takes and how many times
as long that is: ``NAME/compiled`` and ``NAME/compiled-100`` (the general path, compiled, of ten and
of a hundred trials), ``NAME/avx2`` and ``NAME/avx2-100`` (the kernel built for processors that have
AVX2 and no AVX-512; its ratio is the time of the general path, built for them too, over its own).
All is measured on one thread in one process an experiment (for AVX2 in another), by turns: a busy
machine then slows all alike. A figure is the median over the rounds. The rest of what was measured
goes to stderr and to ``book/results/bench.json``; what a hundred trials take is null there where
ten are too slow for it. The bound there is what a step costs at least (see ``bound.py``) at the
peaks that the same process measures, the share how much of the time that explains.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import chain, islice, product, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from semantica_lib.datasets.xor import XorTask
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT, write_whole
from semantica_lib.settings.catalogue import find, xor_experiments
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.engines import Engine, engine, general, of_kernel
from semantica_lib.trainers.kernel import Kernel, serves
from semantica_lib.trainers.stacked import Stack, xor_task

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest does
import bound
from plain import PlainModel, optimizer_and_schedule

FILE = ROOT / "book" / "results" / "bench.json"
TRIALS, MANY, MOST = 10, 100, 1000
AVX2 = ("-march=x86-64-v3",)
# What tells PyTorch, its compiler and its libraries of products that there is no more than AVX2.
ON_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2", "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
}  # fmt: skip
SLOW_MS = 5.0  # of ten trials a step: beyond it a hundred would take minutes to measure
ROUNDS, ROUND_SECONDS = 9, 0.3  # odd, so that the median is one that was measured
WARM = 5  # steps
SIDE = 1024  # of the square matrices whose product is the peak of arithmetic
COPIED = 2**28  # bytes, of the copy that is the peak of memory: more than caches hold
# In the order of compiling: the first also waits for the compiler itself to be loaded.
TIES = {"untied": False, "tied": True}


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


def plain_loop(own: Settings, tied: bool, device: str = "cpu") -> Callable[[int], None]:
    """One run as a person would write it: a function that trains it for so many more steps."""
    data = Strings(xor_task(own))
    size = own.batch_size or len(data)
    loader = DataLoader(data, batch_size=size, shuffle=True, drop_last=True)
    batches = chain.from_iterable(repeat(loader))  # shuffled anew in each pass
    model = PlainModel(own, xor_task(own).vocabulary, tied).to(device)
    optimizer, schedule = optimizer_and_schedule(own, model)
    distances = []

    def advance(steps: int) -> None:
        for batch in islice(batches, steps):
            tokens, place, target = (part.to(device) for part in batch)
            optimizer.zero_grad()
            hidden = model(tokens)[torch.arange(len(tokens), device=device), place]
            loss = cross_entropy(hidden @ model.output_embedding.weight.T, target)
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                tables = model.input_embedding.weight, model.output_embedding.weight
                distances.append([torch.cdist(table, table) for table in tables])

    return advance


Choose = Callable[[Stack, int], Engine]


def our_loop(
    own: Settings, tied: bool, trials: int, choose: Choose = engine
) -> Callable[[int], None]:
    """The same for a stack of trials of this library.

    Args:
        choose: its engine, the fastest if it is not said.
    """
    stack = Stack(own, range(trials), tied)
    state, chosen = stack.initial(), choose(stack, own.steps)

    def advance(steps: int) -> None:
        nonlocal state
        while steps:
            count = min(steps, chosen.most)
            state, steps = chosen.advance(state, count), steps - count

    return advance


def avx2(stack: Stack, steps: int) -> Engine:
    """The kernel as processors without AVX-512 have it."""
    return of_kernel(Kernel(stack, AVX2))


def seconds(advance: Callable[[int], None], steps: int) -> float:
    """How long so many steps take."""
    start = time.perf_counter()
    advance(steps)
    return time.perf_counter() - start


def step_seconds(advance: Callable[[int], None]) -> float:
    """How long a step takes, roughly, once the loop is warm."""
    seconds(advance, WARM)
    return seconds(advance, WARM) / WARM


def by_turns(
    loops: dict[str, Callable[[int], None]], turn_seconds: float = ROUND_SECONDS
) -> dict[str, float]:
    """Milliseconds of a step of each loop, the median over rounds in which each has a turn."""
    steps = {
        name: max(1, round(turn_seconds / step_seconds(advance))) for name, advance in loops.items()
    }
    rounds = [
        {name: seconds(advance, steps[name]) / steps[name] for name, advance in loops.items()}
        for _ in range(ROUNDS)
    ]
    return {name: 1000 * statistics.median(turn[name] for turn in rounds) for name in loops}


def least(work: Callable[[], object]) -> float:
    """The seconds that it takes when nothing disturbs it: the least of the rounds."""
    return min(seconds(lambda _: work(), 1) for _ in range(ROUNDS))


def peaks() -> dict[str, float]:
    """Operations a second of a large product of matrices on this process's threads, and bytes a
    second, read plus written, of a copy that no cache holds."""
    first, second = torch.rand(2, SIDE, SIDE)
    source = torch.rand(COPIED // bound.BYTES)
    target = torch.empty_like(source).zero_()  # or the first copy would wait for its pages
    product, copy = least(lambda: first @ second), least(lambda: target.copy_(source))
    return {"operations_a_second": 2 * SIDE**3 / product, "bytes_a_second": 2 * COPIED / copy}


def bounded(own: Settings, ms: float, peaks: dict[str, float]) -> dict[str, float]:
    """The bound of a step of ten trials, mean of both ties, beside the milliseconds it takes."""
    sizes = [Stack(own, [0], tied).layout.size for tied in TIES.values()]
    operations = TRIALS * bound.operations(own)
    moved = [TRIALS * bound.moved(own, size) for size in sizes]
    bound_ms = statistics.mean(bound.milliseconds(operations, one, **peaks) for one in moved)
    return rounded(
        {
            "operations": operations,
            "bytes": statistics.mean(moved),
            **peaks,
            "bound_ms": bound_ms,
            "share": bound_ms / ms,
        }
    )


def warm(name: str) -> float:
    """Seconds until the first step is done, where the compiler has met it before; to be called in a
    process of its own."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    our_loop(find(name), TIES["untied"], TRIALS)(1)
    return significant(time.perf_counter() - start)


def peak_mb() -> int:
    """Megabytes that this process took at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def measure(name: str) -> dict[str, Any]:
    """All figures of one experiment; to be called in a process of its own."""
    torch.set_num_threads(1)
    own = find(name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Uncompiled)
        loops, first = {}, {}

        def add(kind: str, trials: int, choose: Choose = engine) -> None:
            for tie, tied in TIES.items():
                start = time.perf_counter()
                loop = loops[f"{kind} {tie}"] = our_loop(own, tied, trials, choose)
                loop(1)
                first[f"{kind} {tie}"] = time.perf_counter() - start

        add(f"{TRIALS}", TRIALS)
        peaks_mb: dict[object, int] = {TRIALS: peak_mb()}
        slow = statistics.mean(step_seconds(loops[f"{TRIALS} {tie}"]) for tie in TIES)
        quick, kernel = 1000 * slow <= SLOW_MS, serves(Stack(own, [0], False))
        if kernel and quick:
            add(f"{MOST}", MOST)
            peaks_mb[MOST] = peak_mb()
        for trials in ((TRIALS, MANY) if quick else (TRIALS,)) if kernel else ():
            add(f"compiled {trials}", trials, general)
            peaks_mb.setdefault("compiled", peak_mb())
        if quick:
            add(f"{MANY}", MANY)
    for tie, tied in TIES.items():
        loops[f"plain {tie}"] = plain_loop(own, tied)

    def beginning(kind: str) -> dict[str, float]:
        return rounded({tie: first[f"{kind} {tie}"] for tie in TIES})

    frozen()
    found = figures(by_turns(loops))
    return {
        **found,
        "bound": bounded(own, found["ms_a_step"]["mean"], peaks()),
        "engine": engine(Stack(own, [0], False), own.steps).name,
        "compile_s": beginning(f"{TRIALS}"),
        "compiled_compile_s": beginning(f"compiled {TRIALS}") if kernel else None,
        "peak_memory_mb": peaks_mb[TRIALS],
        "peak_memory_mb_1000_trials": peaks_mb.get(MOST),
        "compiled_peak_memory_mb": peaks_mb.get("compiled"),
        "compiled": not any(issubclass(w.category, Uncompiled) for w in caught),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def frozen() -> None:
    """Or loops in Python, which allocate more, would pay for the compiler's objects."""
    gc.collect()
    gc.freeze()


def measure_on_avx2(name: str, counts: Sequence[int]) -> dict[str, Any]:
    """What a step takes with AVX2 alone, of so many trials: of the kernel and the general path.

    To be called in a process of its own, which begins with ``ON_AVX2`` in its environment.
    """
    if (vectors := torch.backends.cpu.get_cpu_capability()) != "AVX2":
        raise RuntimeError(f"the general path would be measured with {vectors}, not AVX2")
    warnings.simplefilter("error", Uncompiled)
    torch.set_num_threads(1)
    loops, own = {}, find(name)
    for kind, choose in (("avx2", avx2), ("avx2_compiled", general)):
        for trials, (tie, tied) in product(counts, TIES.items()):
            loops[f"{kind} {trials} {tie}"] = our_loop(own, tied, trials, choose)
            loops[f"{kind} {trials} {tie}"](1)
    frozen()
    ms = by_turns(loops)
    return {f"{kind}_ms_a_step": by_trials(ms, kind) for kind in ("avx2", "avx2_compiled")}


def apart(environment: dict[str, str], work: Callable[..., Any], *given: object) -> Any:
    """What it returns, in a process of its own that began with this in its environment.

    A pool of its own, too: one that is kept starts its next process ahead, with what stands in the
    environment then.
    """
    with patch.dict(os.environ, environment), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def each_tie(ms: dict[str, float], kind: object) -> dict[str, float] | None:
    """What a loop takes by tie and on the mean; None if it was not measured."""
    if f"{kind} tied" not in ms:
        return None
    own = {tie: ms[f"{kind} {tie}"] for tie in TIES}
    return rounded(own | {"mean": statistics.mean(own.values())})


def by_trials(ms: dict[str, float], kind: str) -> dict[str, dict[str, float]] | None:
    """The same of another engine by the number of trials."""
    both = {f"{trials}": each_tie(ms, f"{kind} {trials}") for trials in (TRIALS, MANY)}
    return {trials: own for trials, own in both.items() if own} or None


def figures(ms: dict[str, float]) -> dict[str, Any]:
    """What the milliseconds of a step come to; null for a hundred trials that were not measured."""
    plain = each_tie(ms, "plain")
    found: dict[str, Any] = {"plain_ms_a_step": plain}
    found["compiled_ms_a_step"] = by_trials(ms, "compiled")
    for trials, suffix in ((TRIALS, ""), (MANY, "_100_trials"), (MOST, "_1000_trials")):
        ours = each_tie(ms, trials)
        found[f"ms_a_step{suffix}"] = ours
        found[f"ratio{suffix}"] = ours and significant(trials * plain["mean"] / ours["mean"])
        found[f"trial_steps_a_second{suffix}"] = ours and significant(1000 * trials / ours["mean"])
    return found


def lines(name: str, figure: dict[str, Any]) -> list[str]:
    """What is printed of an experiment."""

    def line(name: str, ms: float, ratio: float) -> str:
        return f"{name} {ms:.{2 if ms >= 1 else 4}f} ms {ratio:.{0 if ratio >= 20 else 1}f}x"

    found = [line(name, figure["ms_a_step"]["mean"], figure["ratio"])]
    for trials, suffix in ((TRIALS, ""), (MANY, "_100_trials")):
        ms, end = figure[f"ms_a_step{suffix}"], "" if trials == TRIALS else f"-{trials}"
        general, avx2, on_avx2 = (
            (figure[f"{kind}_ms_a_step"] or {}).get(f"{trials}", {}).get("mean")
            for kind in ("compiled", "avx2", "avx2_compiled")
        )
        if ms and general:
            found.append(line(f"{name}/compiled{end}", general, general / ms["mean"]))
        if ms and avx2:
            found.append(line(f"{name}/avx2{end}", avx2, on_avx2 / avx2))
    return found


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: significant(value) for name, value in values.items()}


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
    names = asked or xor_experiments()
    try:
        for name in names:
            find(name)
    except RequestError as error:
        parser.error(str(error))
    stored = json.loads(FILE.read_text()) if asked and FILE.exists() else {}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    for name in tqdm(names, file=sys.stderr, disable=None):
        # A cache of its own: the compiler's time is then that of a first run.
        with tempfile.TemporaryDirectory() as cache:
            ours = {"TORCHINDUCTOR_CACHE_DIR": cache}
            # Another for AVX2: from the same PyTorch takes what it made for AVX-512.
            on_avx2 = ON_AVX2 | {"TORCHINDUCTOR_CACHE_DIR": f"{cache}/avx2"}
            figure = apart(ours, measure, name)
            figure["warm_s"] = apart(ours, warm, name)
            figure |= {"avx2_ms_a_step": None, "avx2_compiled_ms_a_step": None}
            counts = [int(trials) for trials in figure["compiled_ms_a_step"] or ()]
            if counts and torch.backends.cpu.get_cpu_capability().startswith("AVX"):
                figure |= apart(on_avx2, measure_on_avx2, name, counts)
        print("\n".join(lines(name, figure)), flush=True)
        print(json.dumps(figure, indent=1), file=sys.stderr)
        stored[name] = figure
        write_whole(FILE, (json.dumps(stored, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
