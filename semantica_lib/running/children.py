"""Child processes side by side, each with a pipe to its parent: begun, heard, stopped."""

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

Running = dict[Any, Any]  # by their pipes: what is known of children, each with its ``process``


def begun(function: Callable, *arguments: Any) -> tuple[Any, BaseProcess]:
    """Our end of the pipe, and the process, which does ``function(its_end, *arguments)``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=function, args=(theirs, *arguments))
    process.start()
    theirs.close()
    return ours, process


def heard(running: Running, timeout: float | None = None) -> Iterator[tuple[Any, str, Any]]:
    """What children tell: each time one of them, a kind and its content.

    One that has ended runs no more; of it the kind is ``"ended"``, and how, in words.
    """
    for pipe in multiprocessing.connection.wait(list(running), timeout):
        child = running[pipe]
        try:
            kind, content = pipe.recv()
        except (EOFError, ConnectionResetError):
            child.process.join()
            del running[pipe]
            kind, content = "ended", death(child.process.exitcode or 0)
        yield child, kind, content


def stop(running: Running, ask: Callable[[Any, Any], None], seconds: float) -> None:
    """Ask all to end, and kill those that do not within so many seconds."""
    for pipe, child in running.items():
        ask(pipe, child)
    deadline, waiting = time.monotonic() + seconds, list(running)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for pipe in multiprocessing.connection.wait(waiting, left):
            try:
                pipe.recv()  # keeps it from filling up
            except (EOFError, OSError):  # it ends
                waiting.remove(pipe)
    for child in running.values():
        child.process.join(max(0, deadline - time.monotonic()))
        if child.process.is_alive():
            child.process.kill()


def death(code: int) -> str:
    """How a process ended by its exit code, in words; empty if it ended well."""
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as a machine does that is out of memory"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}" if code else ""


def logged(log: Path) -> str:
    """Keep the traceback of the error at hand in a file; in words, where."""
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
    return f"(more in {log})"
