"""Several processes, as ``torchrun`` starts them, that train each trial of a result together.

The first one plans, keeps and puts together, as a single process does; the others follow: they are
told which trial to train. Their folders need not be shared, but their text must be the same.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, NoReturn

from semantica_lib.errors import RequestError
from semantica_lib.running.groups import Part, title
from semantica_lib.running.processes import train_stack
from semantica_lib.running.progress import Bar, Tell, amount, unit
from semantica_lib.settings.catalogue import AnySettings, MlmSettings
from semantica_lib.store.results import Result


def several() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def run(own: AnySettings, device: str, work: Callable[[], Result]) -> Result:
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
    result = work()
    _tell(None)
    return result


def lead(parts: list[Part], device: str) -> None:
    """In the first process: train trials one after the other, all processes alike.

    Raises:
        KeyboardInterrupt: one of the processes was stopped; checkpoints are written.
    """
    for part in parts:
        _tell(part)
        with closing(Bar(title([part]))) as bar:
            finished = _train(part, device, bar)
        if not finished:
            raise KeyboardInterrupt


def _follow(device: str) -> NoReturn:
    """In another process: train what the first one tells, until it tells nothing more."""
    while part := _tell(None):
        if not _train(part, device, None):
            raise KeyboardInterrupt
    raise SystemExit(0)


def _tell(told: Any) -> Any:
    """What the first process tells, in all of them."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([told])[0]


def _train(part: Part, device: str, tell: Tell | None) -> bool:
    """Train a trial in this process; asked to stop (Ctrl-C), it ends with all the others."""
    stopped = threading.Event()
    before = {
        name: signal.signal(name, lambda *_: stopped.set())
        for name in (signal.SIGINT, signal.SIGTERM)
    }

    def going_on(step: int) -> bool:
        if tell:
            tell(amount([part], step), amount([part], part.own.steps), unit([part]))
        return not stopped.is_set()

    try:
        return train_stack([part], device, tell is not None, going_on)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
