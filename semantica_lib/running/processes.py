"""Training stacks side by side, each in a process of its own on one thread.

A stack of a language model is one trial. Several processes that ``torchrun`` started train such
trials together instead, one after the other (:mod:`semantica_lib.running.distributed`).
"""

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from semantica_lib.models.stack import Layout
from semantica_lib.running import children
from semantica_lib.running.devices import spread
from semantica_lib.running.groups import Group, text_of, trials_in
from semantica_lib.running.progress import Tell, amount, unit
from semantica_lib.running.stopping import STOP_SECONDS
from semantica_lib.settings.catalogue import MlmSettings
from semantica_lib.settings.schema import BOTH, one_table
from semantica_lib.store.checkpoint import save_checkpoint
from semantica_lib.store.provenance import any_dirty, device_name, listed, provenance, was_dirty
from semantica_lib.trainers import engines, stacked, training
from semantica_lib.trainers.compiling import Compiling, check_variables
from semantica_lib.trainers.history import joined, parted, relaid


@dataclass
class _Running:
    """A stack in training: its process, the device it is on, how far it is."""

    stack: list[Group]
    process: BaseProcess
    device: str
    step: int
    failure: str = ""


def train_all(
    stacks: Sequence[list[Group]],
    device: str,
    at_once: int,
    done: Callable[[list[Group], str], None],
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
    places, waiting, running, said = spread(device), list(stacks), {}, set()
    total = sum(amount(stack, stack[0].own.steps) for stack in stacks)
    reached = {id(stack): amount(stack, stack[0].step) for stack in stacks}
    try:
        while waiting or running:
            while waiting and len(running) < max(at_once, len(places)):
                place = emptiest(places, [one.device for one in running.values()])
                stack = waiting.pop(0)
                pipe, process = children.begun(_child, stack, place)
                running[pipe] = _Running(stack, process, place, stack[0].step)
            begins = all(one.step == one.stack[0].step for one in running.values())
            doing = "beginning" if isinstance(stacks[0][0].own, MlmSettings) else "compiling"
            tell(sum(reached.values()), total, unit(stacks[0]), doing * begins)
            for one, kind, content in children.heard(running):
                if kind == "step":
                    one.step, reached[id(one.stack)] = content, amount(one.stack, content)
                elif kind == "warning" and content not in said:
                    said.add(content)
                    warnings.warn(content, Compiling, stacklevel=4)
                elif kind == "error":
                    one.failure = content
                elif kind == "ended":
                    done(one.stack, one.failure or content)
        tell(sum(reached.values()), total, unit(stacks[0]), "")
    except BaseException:
        children.stop(running, _ask_to_stop, STOP_SECONDS)
        raise


def emptiest(places: Sequence[str], taken: Sequence[str]) -> str:
    """The device on which the fewest stacks are."""
    return min(places, key=taken.count)


def _ask_to_stop(pipe: Any, one: _Running) -> None:
    """Have a stack write its checkpoint and end; one still compiling has nothing to write."""
    if one.step == one.stack[0].step:
        one.process.kill()
    with contextlib.suppress(OSError):
        pipe.send("stop")


def train_stack(
    groups: Sequence[Group], device: str, keeps: bool, going_on: Callable[[int], bool]
) -> bool:
    """Train one stack in this process, keeping its checkpoints if asked to; whether it got there.

    Raises:
        RequestError: the text here is another than that of the checkpoint, or PyTorch can't start.
    """
    torch.set_num_threads(1)  # faster for products this small, and the same bits every time
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)  # on which what is captured runs
    started, made, used = time.monotonic(), provenance(), device_name(device)
    told = [_about(group, made, used) for group in groups]

    def keep(each: Sequence[dict[str, torch.Tensor]]) -> None:
        a_trial = (time.monotonic() - started) / trials_in(groups)
        for group, tensors, about in zip(groups, each, told, strict=True):
            seconds = float(group.about.get("seconds", 0)) + len(group.seeds) * a_trial
            if keeps:
                save_checkpoint(group.path, tensors, about | {"seconds": f"{seconds:.1f}"})

    first = groups[0]
    if isinstance(first.own, MlmSettings):
        check_variables()
        from semantica_lib.trainers import mlm  # accelerate takes seconds to import

        text = text_of(first.own, groups)
        trial = mlm.Trial(first.own, text, first.seeds[0], first.tie, device)
        steps, start = first.own.steps, first.tensors
        return mlm.train(trial, steps, start, lambda tensors: keep([tensors]), going_on)
    trials = [(group.own, seed, group.tie) for group in groups for seed in group.seeds]
    stack = stacked.Stack(*(list(column) for column in zip(*trials, strict=True)), device)
    # a checkpoint is laid out as its own tie needs it, whatever else is in the stack
    tied = [one.tie == BOTH[0] and not one.own.untie_at for one in groups]
    layouts = [Layout(stack.layout.shapes, one) for one in tied]

    def keep_each(tensors: dict[str, torch.Tensor]) -> None:
        each = zip(parted(tensors, [len(one.seeds) for one in groups]), layouts, strict=True)
        keep([relaid(mine, stack.layout, layout) for mine, layout in each])

    start = None
    if first.tensors:
        each = zip(groups, layouts, strict=True)
        start = joined([relaid(one.tensors, layout, stack.layout) for one, layout in each])
    chosen = engines.engine(stack, first.own.steps)
    for group, about in zip(groups, told, strict=True):
        about["engine"] = _trained_by(group, chosen.name)
    return training.train(stack, first.own.steps, start, keep_each, going_on, chosen)


def _about(group: Group, made: dict[str, Any], used: str) -> dict[str, str]:
    """What a group's checkpoint says of itself."""
    before = group.about
    dirty = any_dirty(made["dirty"], was_dirty(before) if "dirty" in before else False)
    about = {
        "settings_hash": group.own.settings_hash,
        "experiment": group.own.experiment,
        "tied": str(one_table(group.tie)).lower(),
        "tie": group.tie,
        "started": before.get("started") or datetime.now(UTC).isoformat(timespec="seconds"),
        # of every go, in their order: a stack may go on at another commit and on another device
        "commit": listed(before.get("commit", ""), made["commit"] or "unknown"),
        "device": listed(before.get("device", ""), used),
        "dirty": "unknown" if dirty is None else str(dirty).lower(),
    }
    if group.text:
        about |= {"text": group.text, "processes": os.environ.get("WORLD_SIZE", "1")}
    return about


def _trained_by(group: Group, engine: str) -> str:
    """The engines that trained a group, in their order, each with the step from which it did."""
    before = group.about.get("engine", engines.GENERAL if group.step else "")
    if not before:
        return engine
    last = before.rpartition("; ")[2].partition(" from step ")[0]
    return before if last == engine else f"{before}; {engine} from step {group.step}"


def _child(pipe: Any, stack: list[Group], device: str) -> None:
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
        if issubclass(category, Compiling):
            pipe.send(("warning", str(message)))

    warnings.showwarning = tell  # the parent says it once for all stacks
    try:
        train_stack(stack, device, True, going_on)
    except Exception as error:
        reason = " ".join(_said(error, stack[0]).split())[:300] or type(error).__name__
        log = stack[0].path.parents[1] / "error.log"
        with contextlib.suppress(OSError):
            pipe.send(("error", f"{reason} {children.logged(log)}"))
        raise SystemExit(1) from None


def _said(error: Exception, group: Group) -> str:
    """An error in words; one that arose in a scheme of one's own with its place there."""
    if not getattr(group.own, "scheme", None):
        return str(error)
    from semantica_lib.models.own_scheme import in_file  # most need none

    return in_file(error, group.own.scheme) or str(error)
