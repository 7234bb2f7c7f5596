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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from semantica_lib import results
from semantica_lib.errors import RequestError
from semantica_lib.experiments import AnySettings, MlmSettings
from semantica_lib.models.stack import Layout
from semantica_lib.provenance import device_name, listed, provenance
from semantica_lib.trainers import stacked, training
from semantica_lib.trainers.checkpoint import save_checkpoint
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.history import joined, parted, relaid

STOP_SECONDS = 30.0  # how long a stack may take to write its checkpoint when it is stopped


class TrainingError(RuntimeError):
    """Training began and failed: the command line answers with exit code 1."""


@dataclass
class Part:
    """Trials of one tie of a result, which train together, and their checkpoint where there is one.

    ``own`` are the result's settings, to whose steps it is trained; ``text`` is the sha256 of the
    rows of tokens that a language model is trained on.
    """

    path: Path
    own: AnySettings
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
    def progress(self) -> tuple:
        """How far it is: parts that agree in it can go on as one stack."""
        series = {name: value for name, value in (self.tensors or {}).items() if "steps" in name}
        recorded = tuple(sorted((name, tuple(steps.tolist())) for name, steps in series.items()))
        return self.step, tuple(sorted(self.tensors or {})), recorded

    @property
    def trials(self) -> list[tuple[int, bool]]:
        return [(seed, self.tied) for seed in self.seeds]


def cores() -> int:
    """How many processor cores this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return here or 1


def title(stack: Sequence[Part]) -> str:
    """The stack in a few words."""
    first = stack[0]
    seeds = len(first.seeds)
    if len(stack) == 1:
        trials = f"{seeds} seeds" if seeds > 1 else f"seed {first.seeds[0]}"
        return f"{first.own.experiment} {first.name}, {trials}"
    trials, folders = sum(len(part.seeds) for part in stack), {part.path.parent for part in stack}
    return f"{first.own.experiment}, {trials} trials of {len(folders)} results"


def train_all(
    stacks: Sequence[list[Part]], device: str, done: Callable[[list[Part], str], None]
) -> None:
    """Train stacks to their steps, at most one a core at a time.

    Args:
        done: told each stack when it has ended, and why it failed if it did.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    context = multiprocessing.get_context("spawn")
    waiting, running, said = list(stacks), {}, set()
    try:
        while waiting or running:
            while waiting and len(running) < cores():
                stack = waiting.pop(0)
                ours, theirs = context.Pipe()
                process = context.Process(target=_child, args=(theirs, stack, device))
                process.start()
                theirs.close()
                running[ours] = stack, process, Bar(stack)
            for pipe in multiprocessing.connection.wait(list(running)):
                stack, process, bar = running[pipe]
                try:
                    kind, content = pipe.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    bar.close()
                    del running[pipe]
                    done(stack, bar.failure or _death(process.exitcode or 0))
                    continue
                if kind == "step":
                    bar.at(content)
                elif kind == "warning" and content not in said:
                    said.add(content)
                    warnings.warn(content, Uncompiled, stacklevel=4)
                elif kind == "error":
                    bar.failure = content
    except BaseException:
        _stop(running)
        raise


def _stop(running: dict[Any, Any]) -> None:
    """Ask every stack to write its checkpoint and end; one still compiling has nothing to write."""
    for pipe, (stack, process, bar) in running.items():
        if bar.step == stack[0].step:
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
    return f"its process ended with exit code {code}" if code else ""


class Bar:
    """How far a stack is, and how long it will take; of a language model in tokens a second."""

    def __init__(self, stack: Sequence[Part]) -> None:
        first, self.failure = stack[0], ""
        own, self.step = first.own, first.step
        self.each = own.tokens_a_step if isinstance(own, MlmSettings) else 1
        self.bar = tqdm(
            total=own.steps * self.each, initial=self.step * self.each, dynamic_ncols=True,
            unit=" steps" if self.each == 1 else " tokens", unit_scale=self.each > 1,
            desc=title(stack),
        )  # fmt: skip

    def at(self, step: int) -> None:
        self.step = step
        self.bar.update(step * self.each - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def texts() -> Path:
    """Where this machine keeps the text of language models."""
    return results.here() / "corpora"


def train_stack(
    parts: Sequence[Part], device: str, keeps: bool, going_on: Callable[[int], bool]
) -> bool:
    """Train one stack in this process, keeping its checkpoints if asked to; whether it got there.

    Raises:
        RequestError: the text here is another than that of the checkpoint.
    """
    torch.set_num_threads(1)  # faster for products this small, and the same bits every time
    started, made, used = time.monotonic(), provenance(), device_name(device)
    told = [_about(part, made, used) for part in parts]
    everyone = sum(len(part.seeds) for part in parts)

    def keep(part: Part, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
        share = len(part.seeds) / everyone  # of the time that its stack took
        seconds = float(part.about.get("seconds", 0)) + share * (time.monotonic() - started)
        if keeps:
            save_checkpoint(part.path, tensors, about | {"seconds": f"{seconds:.1f}"})

    own = parts[0].own
    if isinstance(own, MlmSettings):
        from semantica_lib.trainers import mlm  # accelerate takes seconds to import

        (part,), (about,) = parts, told
        text = mlm.text_of(own, texts())
        refuse_other_text(part, text.about["rows_sha256"])
        trial = mlm.Trial(own, text, part.seeds[0], part.tied, device)
        return mlm.train(
            trial, own.steps, part.tensors, lambda tensors: keep(part, tensors, about), going_on
        )
    trials = [(part.own, seed, part.tied) for part in parts for seed in part.seeds]
    stack = stacked.Stack(*(list(column) for column in zip(*trials, strict=True)), device)
    layouts = [Layout(stack.layout.shapes, part.tied and not part.own.untie_at) for part in parts]

    def keep_all(tensors: dict[str, torch.Tensor]) -> None:
        each = parted(tensors, [len(part.seeds) for part in parts])
        for part, mine, about, layout in zip(parts, each, told, layouts, strict=True):
            keep(part, relaid(mine, stack.layout, layout), about)

    start = None
    if parts[0].tensors:
        start = joined(
            [relaid(p.tensors, old, stack.layout) for p, old in zip(parts, layouts, strict=True)]
        )
    return training.train(stack, own.steps, start, keep_all, going_on)


def _about(part: Part, made: dict[str, Any], used: str) -> dict[str, str]:
    """What a part's checkpoint says of itself."""
    before = part.about
    about = {
        "settings_hash": part.own.settings_hash,
        "experiment": part.own.experiment,
        "tied": str(part.tied).lower(),
        "started": before.get("started") or datetime.now(UTC).isoformat(timespec="seconds"),
        # of every go, in their order: a stack may go on at another commit and on another device
        "commit": listed(before.get("commit", ""), made["commit"] or "unknown"),
        "device": listed(before.get("device", ""), used),
        "dirty": str(made["dirty"] or before.get("dirty") == "true").lower(),
    }
    if part.text:
        about |= {"text": part.text, "processes": os.environ.get("WORLD_SIZE", "1")}
    return about


def refuse_other_text(part: Part, sha256: str) -> None:
    """A trial goes on with the text and the tokenizer that it began with, or not at all."""
    if part.text not in ("", sha256):
        raise RequestError(
            f"checkpoint {part.path} was trained on another text or tokenizer (rows sha256 "
            f"{part.text[:12]}) than there is here ({sha256[:12]}); start again with --fresh"
        )


def _child(pipe: Any, stack: list[Part], device: str) -> None:
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
        train_stack(stack, device, True, going_on)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        log = stack[0].path.parents[1] / "error.log"
        with contextlib.suppress(OSError):
            log.write_text(traceback.format_exc(), encoding="utf-8")
        with contextlib.suppress(OSError):
            pipe.send(("error", f"{reason} (more in {log})"))
        raise SystemExit(1) from None
