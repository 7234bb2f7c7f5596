"""Train an experiment on this machine and store it: what is finished is kept, the rest goes on.

The unit of work is a stack: trials of one tie that train together, in a process of their own on
one thread, with a checkpoint of their own. A result is put together from the stacks of its folder.
"""

import contextlib
import fcntl
import io
import multiprocessing
import multiprocessing.connection
import os
import platform
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from semantica_lib import results
from semantica_lib.datasets.xor import SPLITS
from semantica_lib.errors import RequestError
from semantica_lib.experiments import Settings, catalogue, find
from semantica_lib.results import Result
from semantica_lib.trainers.checkpoint import load_checkpoint, save_checkpoint
from semantica_lib.trainers.stacked import Stack, Uncompiled, train

STOP_SECONDS = 30.0  # how long a stack may take to write its checkpoint when it is stopped


class TrainingError(RuntimeError):
    """Training began and failed: the command line answers with exit code 1."""


@dataclass
class Part:
    """A stack of a result: its trials, and its checkpoint where there is one."""

    path: Path
    tied: bool
    seeds: tuple[int, ...]
    tensors: dict[str, torch.Tensor] | None = None
    about: dict[str, str] = field(default_factory=dict)

    @property
    def step(self) -> int:
        return int(self.tensors["step"]) if self.tensors else 0

    @property
    def name(self) -> str:
        return "tied" if self.tied else "untied"

    @property
    def trials(self) -> list[tuple[int, bool]]:
        return [(seed, self.tied) for seed in self.seeds]


def run(own: Settings, fresh: bool = False) -> Result:
    """The result of these settings on this machine, trained as far as it is missing.

    Trials that are finished here are kept, interrupted ones go on from their checkpoint, and all
    trials of the result end at the same step. With ``SEMANTICA_TRAIN=never`` in the environment
    nothing is trained: the result here is returned, or else the published one.

    Args:
        own: the experiment.
        fresh: discard what this machine has of it and begin again.

    Raises:
        RequestError: the request cannot be carried out (device, folder, damaged file).
        TrainingError: training failed on the way.
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    if os.environ.get("SEMANTICA_TRAIN") == "never":
        return _stored(own)
    device = resolve_device(own.device)
    folder = results.folder(results.here(), own)
    with _holding(folder):
        if fresh:
            _discard(folder)
        elif (result := results.load(folder)) and result.covers(own):
            return result
        parts = _plan(folder, own)
        steps = max(own.steps, *(part.step for part in parts))
        unfinished = [part for part in parts if part.step < steps]
        own = own.model_copy(update={"steps": steps})
        _train_all(unfinished, own, device)
        _assemble(folder, own, [_read(part.path, own) for part in parts], device)
    result = results.load(folder)
    assert result is not None
    return result


def check(own: Settings, fresh: bool = False) -> None:
    """Refuse what could not run, before anything runs.

    Raises:
        RequestError: the device is not there, the results folder cannot be written or is in use,
            a checkpoint is damaged or belongs to other settings.
    """
    resolve_device(own.device)
    folder = results.folder(results.here(), own)
    with _holding(folder):
        if not fresh:
            _plan(folder, own)


def resolve_device(name: str) -> str:
    """``cpu`` or ``cuda`` for a device setting.

    Raises:
        RequestError: the device is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu":
        index = int(name.partition(":")[2] or 0)
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            raise RequestError(
                f"device {name!r} is not there: this machine has {count} CUDA devices "
                "(allowed: auto, cpu)"
            )
    return name


def _stored(own: Settings) -> Result:
    result = results.best(own)
    if result is None:
        raise RequestError(
            f"{own.experiment} has no result, here or published; "
            f"train it by `semantica run {own.experiment}`"
        )
    return result


@contextlib.contextmanager
def _holding(folder: Path) -> Iterator[None]:
    """Hold a result's folder against other processes; the hold ends with the process."""
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise RequestError(f"cannot write results to {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(f"{folder} is in use by another process that trains it") from None
        yield


def _discard(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    for name in (results.MANIFEST, results.TRAJECTORY, results.METRICS):
        for file in (folder / f"{name}.new", folder / name):
            file.unlink(missing_ok=True)


def _plan(folder: Path, own: Settings) -> list[Part]:
    """The stacks of a result: those begun, and a new one for each tie that lacks trials."""
    parts = [_read(path, own) for path in sorted((folder / "checkpoints").glob("*.safetensors"))]
    begun = {trial for part in parts for trial in part.trials}
    for tie in own.ties:
        seeds = tuple(seed for seed in own.seeds if (seed, tie == "tied") not in begun)
        if seeds:
            name = f"{tie}-{min(seeds)}-{max(seeds)}-{len(parts)}.safetensors"
            parts.append(Part(folder / "checkpoints" / name, tie == "tied", seeds))
    return parts


def _read(path: Path, own: Settings) -> Part:
    tensors, about = load_checkpoint(path)
    if about.get("settings_hash") != own.settings_hash:
        raise RequestError(
            f"checkpoint {path} belongs to other settings; delete it, or start again with --fresh"
        )
    return Part(path, about["tied"] == "true", tuple(tensors["seeds"].tolist()), tensors, about)


def _train_all(parts: list[Part], own: Settings, device: str) -> None:
    """Train stacks side by side, at most one a core, with a progress bar each."""
    context = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting, running, failures, said = list(parts), {}, [], set()
    try:
        while waiting or running:
            while waiting and len(running) < (cores or 1):
                part = waiting.pop(0)
                ours, theirs = context.Pipe()
                process = context.Process(target=_child, args=(theirs, part, own, device))
                process.start()
                theirs.close()
                bar = tqdm(
                    total=own.steps, initial=part.step, unit=" steps", dynamic_ncols=True,
                    desc=f"{own.experiment} {part.name}, {len(part.seeds)} seeds",
                )  # fmt: skip
                running[ours] = part, process, bar
            for pipe in multiprocessing.connection.wait(list(running)):
                part, process, bar = running[pipe]
                try:
                    kind, content = pipe.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    bar.close()
                    del running[pipe]
                    if process.exitcode:
                        failures.append(f"{part.name}: {_death(process.exitcode)}")
                    continue
                if kind == "step":
                    bar.update(content - bar.n)
                elif kind == "warning" and content not in said:
                    said.add(content)
                    warnings.warn(content, Uncompiled, stacklevel=4)
                elif kind == "error":
                    failures.append(f"{part.name}: {content}")
    except BaseException:
        _stop(running)
        raise
    if failures:
        told = [failure for failure in failures if "ended with exit code" not in failure]
        raise TrainingError(f"training {own.experiment} failed: " + "; ".join(told or failures))


def _stop(running: dict[Any, Any]) -> None:
    """Ask every stack to write its checkpoint and end."""
    for pipe in running:
        with contextlib.suppress(OSError):
            pipe.send("stop")
    for pipe, (_, process, bar) in running.items():
        deadline = time.monotonic() + STOP_SECONDS
        while process.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(EOFError, OSError):  # keep its pipe from filling up
                while pipe.poll(0.05):
                    pipe.recv()
            process.join(0.05)
        if process.is_alive():
            process.kill()
        bar.close()


def _death(code: int) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


def _child(pipe: Any, part: Part, own: Settings, device: str) -> None:
    """Train one stack in this process and tell the parent how it goes; ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    torch.set_num_threads(1)  # faster for products this small, and the same bits every time
    started, base = time.monotonic(), float(part.about.get("seconds", 0))
    made = results.provenance()
    about = {
        "settings_hash": own.settings_hash,
        "experiment": own.experiment,
        "tied": str(part.tied).lower(),
        "started": part.about.get("started") or datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": str(made["commit"] or ""),
        "dirty": str(made["dirty"] or part.about.get("dirty") == "true").lower(),
    }

    def keep(tensors: dict[str, torch.Tensor]) -> None:
        seconds = f"{base + time.monotonic() - started:.1f}"
        tensors = tensors | {"seeds": torch.tensor(part.seeds)}
        save_checkpoint(part.path, tensors, about | {"seconds": seconds})

    def going_on(step: int) -> bool:
        try:
            pipe.send(("step", step))
            return not pipe.poll()
        except OSError:  # the parent is gone
            return False

    def tell(message: Warning | str, category: type[Warning], *_: Any) -> None:
        if issubclass(category, Uncompiled):
            pipe.send(("warning", str(message)))

    warnings.showwarning = tell  # the parent says it once for all stacks
    try:
        stack = Stack(own, part.seeds, part.tied, device)
        train(stack, own.steps, part.tensors, keep, going_on)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        log = part.path.parents[1] / "error.log"
        with contextlib.suppress(OSError):
            log.write_text(traceback.format_exc(), encoding="utf-8")
        with contextlib.suppress(OSError):
            pipe.send(("error", f"{reason} (more in {log})"))
        raise SystemExit(1) from None


def _assemble(folder: Path, own: Settings, parts: list[Part], device: str) -> None:
    """Put the result together from its finished stacks and store it."""
    steps = _common([part.tensors["record_steps"] for part in parts])
    tables = np.concatenate(
        [
            part.tensors["tables"][torch.isin(part.tensors["record_steps"], steps)]
            .permute(1, 0, 2, 3, 4)
            .numpy()
            for part in parts
        ]
    )  # (trial, record, table, symbol, feature)
    trials = [trial for part in parts for trial in part.trials]
    order = sorted(range(len(trials)), key=lambda index: (not trials[index][1], trials[index][0]))
    trials, tables = [trials[index] for index in order], tables[order]
    trajectory = {
        "steps": steps.numpy(),
        "seed": np.array([seed for seed, _ in trials]),
        "tied": np.array([tied for _, tied in trials]),
        "input_embedding": tables[:, :, 0],
        "output_embedding": tables[:, :, 1],
    }
    wanted = find(own.experiment).steps if own.experiment in catalogue() else own.steps
    made = results.provenance()
    manifest = made | {
        "experiment": own.experiment,
        "settings": own.model_dump(mode="json"),
        "settings_hash": own.settings_hash,
        "seeds": sorted({seed for seed, _ in trials}),
        "trials": [{"seed": seed, "tied": tied} for seed, tied in trials],
        "status": "complete" if own.steps >= wanted else "partial",
        "steps_done": own.steps,
        "dirty": made["dirty"] or any(part.about["dirty"] == "true" for part in parts),
        "device": _device_name(device),
        "threads": 1,
        "started": min(part.about["started"] for part in parts),
        "duration_s": round(sum(float(part.about["seconds"]) for part in parts), 1),
        "stacks": [
            {"tied": part.tied, "seeds": list(part.seeds)}
            | {name: part.about[name] for name in ("commit", "started")}
            | {"dirty": part.about["dirty"] == "true", "seconds": float(part.about["seconds"])}
            for part in parts
        ],
    }
    results.write(folder, manifest, trajectory, _metrics(parts))


def _common(steps: list[torch.Tensor]) -> torch.Tensor:
    """Steps that every stack recorded."""
    shared = set.intersection(*(set(own.tolist()) for own in steps))
    return torch.tensor(sorted(shared))


def _metrics(parts: list[Part]) -> str:
    """Accuracy and loss of every trial as tidy CSV."""
    rows = io.StringIO()
    rows.write("seed,tied,step,split,accuracy,loss\n")
    for part in sorted(parts, key=lambda part: (not part.tied, part.seeds)):
        measured = part.tensors["measured"].tolist()  # (step, split, quantity, trial)
        for index, (seed, tied) in enumerate(part.trials):
            for step, splits in zip(part.tensors["measured_steps"].tolist(), measured, strict=True):
                for split, (accuracy, loss) in zip(SPLITS, splits, strict=True):
                    rows.write(
                        f"{seed},{str(tied).lower()},{step},{split},"
                        f"{accuracy[index]:.6g},{loss[index]:.6g}\n"
                    )
    return rows.getvalue()


def _device_name(device: str) -> str:
    """What did the arithmetic, in words: the GPU's or the processor's name."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"cpu: {line.partition(':')[2].strip()}"
    return f"cpu: {platform.processor() or platform.machine()}"
