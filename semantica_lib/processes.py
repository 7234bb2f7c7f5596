"""Training stacks side by side, each in a process of its own on one thread, with progress bars.

A stack of a language model is one trial. Several processes that ``torchrun`` started train such
trials together instead, one after the other (:mod:`semantica_lib.together`).
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from semantica_lib import results
from semantica_lib.errors import RequestError
from semantica_lib.experiments import AnySettings, MlmSettings
from semantica_lib.provenance import device_name, listed, provenance
from semantica_lib.trainers import stacked
from semantica_lib.trainers.checkpoint import save_checkpoint
from semantica_lib.trainers.compiling import Uncompiled

STOP_SECONDS = 30.0  # how long a stack may take to write its checkpoint when it is stopped


class TrainingError(RuntimeError):
    """Training began and failed: the command line answers with exit code 1."""


@dataclass
class Part:
    """A stack of a result: its trials, and its checkpoint where there is one.

    ``text`` is the sha256 of the rows of tokens that a language model is trained on.
    """

    path: Path
    tied: bool
    seeds: tuple[int, ...]
    tensors: dict[str, torch.Tensor] | None = None
    about: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def step(self) -> int:
        return int(self.tensors["step"]) if self.tensors else 0

    @property
    def name(self) -> str:
        return "tied" if self.tied else "untied"

    @property
    def trials(self) -> list[tuple[int, bool]]:
        return [(seed, self.tied) for seed in self.seeds]


def train_all(parts: list[Part], own: AnySettings, device: str) -> None:
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
                running[ours] = part, process, Bar(part, own)
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
                    bar.at(content)
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
        if bar.step == part.step:
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


class Bar:
    """How far a stack is, and how long it will take; of a language model in tokens a second."""

    def __init__(self, part: Part, own: AnySettings) -> None:
        self.step, several = part.step, len(part.seeds) > 1
        self.each = own.tokens_a_step if isinstance(own, MlmSettings) else 1
        trials = f"{len(part.seeds)} seeds" if several else f"seed {part.seeds[0]}"
        self.bar = tqdm(
            total=own.steps * self.each, initial=part.step * self.each, dynamic_ncols=True,
            unit=" steps" if self.each == 1 else " tokens", unit_scale=self.each > 1,
            desc=f"{own.experiment} {part.name}, {trials}",
        )  # fmt: skip

    def at(self, step: int) -> None:
        self.step = step
        self.bar.update(step * self.each - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def texts() -> Path:
    """Where this machine keeps the text of language models."""
    return results.here() / "corpora"


def train_part(
    part: Part, own: AnySettings, device: str, keeps: bool, going_on: Callable[[int], bool]
) -> bool:
    """Train one stack in this process, keeping its checkpoints if asked to; whether it got there.

    Raises:
        RequestError: the text here is another than that of the checkpoint.
    """
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
    if part.text:
        about |= {"text": part.text, "processes": os.environ.get("WORLD_SIZE", "1")}

    def keep(tensors: dict[str, torch.Tensor]) -> None:
        seconds = f"{base + time.monotonic() - started:.1f}"
        if keeps:
            save_checkpoint(part.path, tensors, about | {"seconds": seconds})

    if isinstance(own, MlmSettings):
        from semantica_lib.trainers import mlm  # accelerate takes seconds to import

        text = mlm.text_of(own, texts())
        refuse_other_text(part, text.about["rows_sha256"])
        trial = mlm.Trial(own, text, part.seeds[0], part.tied, device)
        return mlm.train(trial, own.steps, part.tensors, keep, going_on)
    stack = stacked.Stack(own, part.seeds, part.tied, device)
    return stacked.train(stack, own.steps, part.tensors, keep, going_on)


def refuse_other_text(part: Part, sha256: str) -> None:
    """A trial goes on with the text and the tokenizer that it began with, or not at all."""
    if part.text not in ("", sha256):
        raise RequestError(
            f"checkpoint {part.path} was trained on another text or tokenizer (rows sha256 "
            f"{part.text[:12]}) than there is here ({sha256[:12]}); start again with --fresh"
        )


def _child(pipe: Any, part: Part, own: AnySettings, device: str) -> None:
    """Train one stack in this process and tell the parent how it goes; ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop

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
        train_part(part, own, device, True, going_on)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        log = part.path.parents[1] / "error.log"
        with contextlib.suppress(OSError):
            log.write_text(traceback.format_exc(), encoding="utf-8")
        with contextlib.suppress(OSError):
            pipe.send(("error", f"{reason} (more in {log})"))
        raise SystemExit(1) from None
