"""Being stopped: by Ctrl-C, by a cluster's SIGTERM, or since the parent process is gone."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOP_SECONDS = 30.0  # how long a stack may take to write its checkpoint when it is stopped


def stop_once(number: int, _: Any) -> None:
    """A signal's handler: the first one stops what runs, further ones do not disturb that.

    Raises:
        KeyboardInterrupt: always.
    """
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def stopped_by(name: signal.Signals) -> Iterator[None]:
    """A time in which a signal stops what runs, as Ctrl-C does; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(name, stop_once)
    try:
        yield
    finally:
        signal.signal(name, before)


def follow_parent() -> None:
    """Let SIGTERM stop this process, and send it when the process that began this one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    signal.signal(signal.SIGTERM, stop_once)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    if parent:
        threading.Thread(target=watch, daemon=True).start()
