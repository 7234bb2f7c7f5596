"""Holding a result's folder, or a stack in it, against other processes.

A hold ends with its process, however that ends; on a shared folder it holds against other machines
as well (Linux keeps ``flock`` over NFS).
"""

import contextlib
import fcntl
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from semantica_lib.errors import RequestError
from semantica_lib.files import naming_links

TAKEN = "checkpoints.new"  # published checkpoints, while they are copied


class InUse(RequestError):
    """Another process holds it."""


@contextlib.contextmanager
def holding(folder: Path, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a result's folder; what killed processes left half-written there is removed.

    Args:
        shared: together with others who hold it so, each of whom trains other stacks of it.
        wait: for a process that holds it, saying which one; otherwise that is an error.

    Raises:
        RequestError: the folder cannot be written, or (:class:`InUse`) another process holds it.
    """
    with _making(folder):
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock", fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait):
        if not shared:
            for left in [*folder.rglob("*.part"), *(folder / TAKEN).glob("*")]:
                left.unlink()
            with contextlib.suppress(FileNotFoundError):
                (folder / TAKEN).rmdir()
        yield


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """A moment alone among those who share a folder."""
    with _locked(folder / ".turn", fcntl.LOCK_EX, True):
        yield


@contextlib.contextmanager
def holding_stack(checkpoint: Path) -> Iterator[None]:
    """Hold one stack of a shared folder, after whoever trains it."""
    file = checkpoint.parents[1] / f".{checkpoint.stem}.lock"
    with _locked(file, fcntl.LOCK_EX, True):
        yield


@contextlib.contextmanager
def _making(folder: Path) -> Iterator[None]:
    try:
        with naming_links(folder):
            yield
    except OSError as error:
        raise RequestError(
            f"cannot write results to {folder}: {error.strerror}; name another by SEMANTICA_RESULTS"
        ) from None


@contextlib.contextmanager
def _locked(file: Path, kind: int, wait: bool) -> Iterator[None]:
    with _making(file.parent):
        lock = file.open("a+", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = " ".join(lock.read(1_000).split()) or "another process"
            told = f"{file.parent} is in use by {holder}"
            if not wait:
                raise InUse(f"{told}; try again when that has ended") from None
            print(f"semantica: note: {told}; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, kind)
        except OSError as error:
            raise RequestError(
                f"{file.parent} lies on a file system that has no locks ({error.strerror}), so two "
                "processes could train the same; name a folder elsewhere by SEMANTICA_RESULTS"
            ) from None
        with _making(file.parent):
            lock.truncate(0)
            lock.write(_self())
            lock.flush()
        yield


def _self() -> str:
    """This process, for who finds the folder in use."""
    command = shlex.join(["semantica", *sys.argv[1:]])[:200]
    since = datetime.now(UTC).isoformat(" ", timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {since} ({command})"
