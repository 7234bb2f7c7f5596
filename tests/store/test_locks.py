"""Holding a folder against other processes, however those end."""

import errno
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from semantica_lib.datasets import corpora
from semantica_lib.errors import RequestError
from semantica_lib.store.locks import TAKEN, InUse, holding, holding_stack, turn


def _hold(folder: Path, shared: bool, pipe: Any) -> None:
    with holding(folder, shared):
        pipe.send("held")
        pipe.recv()


@contextmanager
def another(folder: Path, shared: bool = False) -> Iterator[multiprocessing.Process]:
    """Another process that holds the folder."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_hold, args=(folder, shared, theirs)
    )
    process.start()
    try:
        assert ours.poll(30) and ours.recv() == "held"
        yield process
    finally:
        process.kill()
        process.join()


def test_who_holds_it_is_told(tmp_path: Path) -> None:
    with another(tmp_path) as holder, pytest.raises(InUse) as caught, holding(tmp_path):
        pass
    words = str(caught.value)
    assert f"{tmp_path} is in use by process {holder.pid} on " in words and "\n" not in words
    assert isinstance(caught.value, RequestError)


def test_the_hold_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    with another(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        with holding(tmp_path):
            assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_one_that_waits_says_for_whom_and_goes_on_when_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with another(tmp_path) as holder:
        killer = threading.Timer(0.3, lambda: os.kill(holder.pid, signal.SIGKILL))
        killer.start()
        with holding(tmp_path, wait=True):
            assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()
    said = capsys.readouterr().err
    assert f"in use by process {holder.pid} on " in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [(False, False, False), (False, True, False), (True, False, False), (True, True, True)],
)
def test_those_who_share_a_folder_keep_others_out_and_not_each_other(
    tmp_path: Path, first: bool, second: bool, both: bool
) -> None:
    with another(tmp_path, first):
        try:
            with holding(tmp_path, second):
                assert both
        except InUse:
            assert not both


def test_who_is_alone_clears_away_what_was_half_written(tmp_path: Path) -> None:
    (tmp_path / TAKEN).mkdir()
    left = [tmp_path / "a.1.part", tmp_path / TAKEN / "b", tmp_path / "checkpoints" / "c.2.part"]
    left[2].parent.mkdir()
    for file in left:
        file.write_text("")
    with holding(tmp_path, shared=True):
        assert all(file.exists() for file in left)  # others may be writing them
    with holding(tmp_path):
        assert not any(file.exists() for file in left) and not (tmp_path / TAKEN).exists()


def test_a_stack_and_a_moment_can_be_held_within_a_shared_folder(tmp_path: Path) -> None:
    with (
        holding(tmp_path, shared=True),
        turn(tmp_path),
        holding_stack(tmp_path / "checkpoints" / "a.safetensors"),
        holding_stack(tmp_path / "checkpoints" / "b.safetensors"),
    ):
        assert not list((tmp_path / "checkpoints").iterdir())  # a published one may replace it


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot write results to"), holding(tmp_path / "file"):
        pass


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", none)
    reason = r"no locks \(Function not implemented\)"
    with pytest.raises(RequestError, match=reason) as caught, holding(tmp_path):
        pass
    assert str(tmp_path) in str(caught.value) and "SEMANTICA_RESULTS" in str(caught.value)
    with pytest.raises(RequestError, match="no locks"), corpora._alone(tmp_path / "corpora"):
        pass
