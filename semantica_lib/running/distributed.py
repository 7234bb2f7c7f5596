"""Distributed training: several processes, as ``torchrun`` starts them, train each model together.

The first one plans, keeps and collects, as a single process does; the others follow: they are told
which trial to train. Their folders need not be shared, but their text must be the same.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NoReturn

from semantica_lib.errors import RequestError
from semantica_lib.running.groups import Group, title
from semantica_lib.running.processes import train_stack
from semantica_lib.running.progress import Bar, Tell, amount, unit
from semantica_lib.settings.catalogue import AnySettings, MlmSettings


def several() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def run(own: AnySettings, device: str, work: Callable[[], Any]) -> Any:
    """What the first process's ``work`` returns; in the others it trains along, and then exits.

    Raises:
        RequestError: the experiment is not one that several processes can share.
    """
    from accelerate import PartialState

    if not isinstance(own, MlmSettings):
        raise RequestError(
            f"{own.experiment} is trained by one process (each of its stacks in a child): start "
            "it without torchrun"
        )
    if not PartialState(cpu=device == "cpu").is_main_process:
        _follow(device)
    made = work()
    _tell(None)
    return made


def lead(
    stacks: Sequence[list[Group]], device: str, done: Callable[[list[Group], str], None]
) -> None:
    """In the first process: train stacks (a trial each) one after the other, all processes alike.

    Raises:
        KeyboardInterrupt: one of the processes was stopped; checkpoints are written.
    """
    for stack in stacks:
        _tell(stack)
        with closing(Bar(title(stack))) as bar:
            _train(stack, device, bar)
        done(stack, "")


def _follow(device: str) -> NoReturn:
    """In another process: train what the first one tells, until it tells nothing more."""
    while stack := _tell(None):
        _train(stack, device, None)
    raise SystemExit(0)


def _tell(told: Any) -> Any:
    """What the first process tells, in all of them."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([told])[0]


def _train(stack: list[Group], device: str, tell: Tell | None) -> None:
    """Train a stack in this process; asked to stop (Ctrl-C), it ends with all the others."""
    stopped = threading.Event()
    before = {
        name: signal.signal(name, lambda *_: stopped.set())
        for name in (signal.SIGINT, signal.SIGTERM)
    }

    def going_on(step: int) -> bool:
        if tell:
            tell(amount(stack, step), amount(stack, stack[0].own.steps), unit(stack), "")
        return not stopped.is_set()

    try:
        if not train_stack(stack, device, tell is not None, going_on):
            raise KeyboardInterrupt
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
