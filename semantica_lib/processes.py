"""Training stacks side by side, each in a process of its own on one thread, with progress bars."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
import traceback
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from semantica_lib.experiments import Settings
from semantica_lib.provenance import device_name, listed, provenance
from semantica_lib.trainers.checkpoint import save_checkpoint
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.stacked import Stack, train

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


def train_all(parts: list[Part], own: Settings, device: str) -> None:
    """Train stacks to ``own.steps``, at most one a core at a time.

    Raises:
        TrainingError: a stack failed (the others went on to their end).
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
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
    """Ask every stack to write its checkpoint and end; one still compiling has nothing to write."""
    for pipe, (part, process, bar) in running.items():
        if bar.n == part.step:
            process.terminate()
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
    made, before, used = provenance(), part.about, device_name(device)
    about = {
        "settings_hash": own.settings_hash,
        "experiment": own.experiment,
        "tied": str(part.tied).lower(),
        "started": before.get("started") or datetime.now(UTC).isoformat(timespec="seconds"),
        # of every go, in their order: a stack may go on at another commit and on another device
        "commit": listed(before.get("commit", ""), made["commit"] or "unknown"),
        "device": listed(before.get("device", ""), used),
        "dirty": str(made["dirty"] or before.get("dirty") == "true").lower(),
    }

    def keep(tensors: dict[str, torch.Tensor]) -> None:
        seconds = f"{base + time.monotonic() - started:.1f}"
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
