"""Training stacks side by side, each in a process of its own on one thread.

A stack of a language model is one trial. Several processes that ``torchrun`` started train such
trials together instead, one after the other (:mod:`semantica_lib.running.distributed`).
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
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from semantica_lib.models.stack import Layout
from semantica_lib.running.devices import spread
from semantica_lib.running.groups import Part, refuse_other_text, texts
from semantica_lib.running.progress import Tell, amount, unit
from semantica_lib.running.stopping import STOP_SECONDS, death
from semantica_lib.settings.catalogue import MlmSettings
from semantica_lib.store.checkpoint import save_checkpoint
from semantica_lib.store.provenance import device_name, listed, provenance
from semantica_lib.trainers import stacked, training
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.history import joined, parted, relaid


@dataclass
class _Running:
    """A stack in training: its process, the device it is on, how far it is."""

    stack: list[Part]
    process: BaseProcess
    device: str
    step: int
    failure: str = ""


def train_all(
    stacks: Sequence[list[Part]],
    device: str,
    at_once: int,
    done: Callable[[list[Part], str], None],
    tell: Tell,
) -> None:
    """Train stacks to their steps, spread over the GPUs where ``device`` is no certain one.

    Args:
        at_once: so many at a time.
        done: told each stack when it has ended, and why it failed if it did.
        tell: told now and then how much of all is done.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    context, places = multiprocessing.get_context("spawn"), spread(device)
    waiting, running, said = list(stacks), {}, set()
    total = sum(amount(stack, stack[0].own.steps) for stack in stacks)
    reached = {id(stack): amount(stack, stack[0].step) for stack in stacks}
    try:
        while waiting or running:
            while waiting and len(running) < max(at_once, len(places)):
                stack, place = (
                    waiting.pop(0),
                    emptiest(places, [r.device for r in running.values()]),
                )
                ours, theirs = context.Pipe()
                process = context.Process(target=_child, args=(theirs, stack, place))
                process.start()
                theirs.close()
                running[ours] = _Running(stack, process, place, stack[0].step)
            tell(sum(reached.values()), total, unit(stacks[0]))
            for pipe in multiprocessing.connection.wait(list(running)):
                one = running[pipe]
                try:
                    kind, content = pipe.recv()
                except (EOFError, ConnectionResetError):
                    one.process.join()
                    del running[pipe]
                    done(one.stack, one.failure or death(one.process.exitcode or 0))
                    continue
                if kind == "step":
                    one.step, reached[id(one.stack)] = content, amount(one.stack, content)
                elif kind == "warning" and content not in said:
                    said.add(content)
                    warnings.warn(content, Uncompiled, stacklevel=4)
                elif kind == "error":
                    one.failure = content
        tell(sum(reached.values()), total, unit(stacks[0]))
    except BaseException:
        _stop(running)
        raise


def emptiest(places: Sequence[str], taken: Sequence[str]) -> str:
    """The device on which the fewest stacks are."""
    return min(places, key=taken.count)


def _stop(running: dict[Any, _Running]) -> None:
    """Ask every stack to write its checkpoint and end; one still compiling has nothing to write."""
    for pipe, one in running.items():
        if one.step == one.stack[0].step:
            one.process.kill()
        with contextlib.suppress(OSError):
            pipe.send("stop")
    for pipe, one in running.items():
        deadline = time.monotonic() + STOP_SECONDS
        while one.process.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(EOFError, OSError):  # keep its pipe from filling up
                while pipe.poll(0.05):
                    pipe.recv()
            one.process.join(0.05)
        if one.process.is_alive():
            one.process.kill()


def train_stack(
    parts: Sequence[Part], device: str, keeps: bool, going_on: Callable[[int], bool]
) -> bool:
    """Train one stack in this process, keeping its checkpoints if asked to; whether it got there.

    Raises:
        RequestError: the text here is another than that of the checkpoint.
    """
    torch.set_num_threads(1)  # faster for products this small, and the same bits every time
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)  # on which what is captured runs
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


def _child(pipe: Any, stack: list[Part], device: str) -> None:
    """Train one stack in this process and tell the parent how it goes; ends when that does."""
    for name in (signal.SIGINT, signal.SIGTERM):  # a cluster sends it to every process of a job
        signal.signal(name, signal.SIG_IGN)  # the parent says when to stop

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
