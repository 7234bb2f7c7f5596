"""Several experiments one after the other or side by side, whatever becomes of each.

Each has a process of its own, which trains it and executes its notebook, and a line of progress.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from semantica_lib.errors import RequestError, TrainingError
from semantica_lib.running.devices import cores
from semantica_lib.running.progress import Bar
from semantica_lib.running.stopping import STOP_SECONDS, death, follow_parent
from semantica_lib.settings.catalogue import AnySettings
from semantica_lib.store import results
from semantica_lib.store.listing import summary

GRACE_SECONDS = STOP_SECONDS + 10  # for what is stopped, before it is killed


@dataclass(frozen=True)
class Request:
    """What is run under a name: the settings of an experiment, or of every point of a sweep."""

    name: str
    wanted: Sequence[AnySettings]
    fresh: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a request, in words, after so many seconds."""

    name: str
    kind: Literal["done", "resumed", "skipped", "failed"]
    words: str
    seconds: float = 0.0


@dataclass
class _Running:
    request: Request
    process: BaseProcess
    bar: Bar
    started: float | None = None
    told: tuple[str, str] | None = None
    late: bool = False
    killed: bool = False


def run_batch(
    requests: Sequence[Request], jobs: int = 1, limit: float | None = None
) -> list[Outcome]:
    """Run each, so many at a time; one that fails, is killed or takes too long stops no other.

    Args:
        limit: seconds that each may take; then it is stopped, with a checkpoint.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    context = multiprocessing.get_context("spawn")
    waiting, running, outcomes = list(enumerate(requests)), {}, {}
    at_once = max(1, cores() // min(jobs, len(requests)))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                place, request = waiting.pop(0)
                ours, theirs = context.Pipe()
                process = context.Process(target=_child, args=(theirs, request, at_once))
                process.start()
                theirs.close()
                line = min(set(range(jobs)) - {one.bar.position for one, _ in running.values()})
                running[ours] = _Running(request, process, Bar(request.name, line)), place
            for pipe in multiprocessing.connection.wait(list(running), timeout=0.5):
                one, place = running[pipe]
                if not _heard(pipe, one):
                    del running[pipe]
                    outcomes[place] = _outcome(one, limit)
            for one, _ in running.values():
                _hold_to(one, limit)
    except BaseException:
        _stop([one for one, _ in running.values()])
        raise
    return [outcomes[place] for place in sorted(outcomes)]


def _heard(pipe: Any, one: _Running) -> bool:
    """Take what a child tells; False when it has ended."""
    try:
        kind, content = pipe.recv()
    except (EOFError, ConnectionResetError):
        one.process.join()
        one.bar.close()
        return False
    if kind == "progress":
        one.bar(*content)
    elif kind == "warning":
        warnings.warn(content, stacklevel=4)
    elif kind == "begun":
        one.started = time.monotonic()
    else:
        one.told = kind, content
    return True


def _hold_to(one: _Running, limit: float | None) -> None:
    """Stop what takes too long, and kill what does not stop."""
    took = _seconds(one)
    if limit and took > limit and not one.late and not one.told:
        one.late = True
        one.process.terminate()
    if limit and took > limit + GRACE_SECONDS and not one.killed:
        one.killed = True
        one.process.kill()


def _seconds(one: _Running) -> float:
    """Since it began, which is when its process has started."""
    return time.monotonic() - one.started if one.started else 0.0


def _outcome(one: _Running, limit: float | None) -> Outcome:
    """What became of a request whose process has ended."""
    name, seconds = one.request.name, _seconds(one)
    if one.told and not (one.late and one.told[0] == "failed"):
        return Outcome(name, *one.told, seconds)
    reason = death(one.process.exitcode or 0) or "it ended without a word"
    if one.late:
        minutes = f"{(limit or 0) / 60:g} min"
        reason = f"stopped at its time limit of {minutes}; the same command goes on from there"
    return Outcome(name, "failed", _kept(one.request, reason), seconds)


def _kept(request: Request, reason: str) -> str:
    """Why a request failed, and where its notebook is kept."""
    from semantica_lib.pages.notebooks import (  # papermill takes seconds to import
        keep_failed,
        page_of,
    )

    try:
        page = page_of(request.name, request.wanted)
        return f"{reason} (notebook kept as {keep_failed(page, reason)})"
    except (OSError, RequestError) as error:
        return f"{reason} (its notebook could not be kept: {' '.join(str(error).split())})"


def _stop(running: Sequence[_Running]) -> None:
    for one in running:
        one.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for one in running:
        one.process.join(max(0.0, deadline - time.monotonic()))
        if one.process.is_alive():
            one.process.kill()
        one.bar.close()


def _child(pipe: Any, request: Request, at_once: int) -> None:
    """Run one request in this process and tell the parent how it goes."""
    follow_parent()

    def send(kind: str, content: Any) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, and this process will be
            pipe.send((kind, content))

    def tell(done: int, total: int, unit: str) -> None:
        send("progress", (done, total, unit))

    def warn(message: Warning | str, *_: Any) -> None:
        send("warning", " ".join(str(message).split()))

    warnings.showwarning = warn
    send("begun", None)
    try:
        send(*work(request, tell, at_once))
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except (RequestError, TrainingError, RuntimeError, OSError) as error:
        send("failed", " ".join(str(error).split()) or repr(error))
    except Exception as error:  # a fault of the program's own: more than a line is needed
        log = results.here() / f"{request.name.replace(os.sep, '_')}.error.log"
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc(), encoding="utf-8")
        send("failed", f"{error!r} (more in {log})")


def work(request: Request, tell: Callable[[int, int, str], None], at_once: int) -> tuple[str, str]:
    """Train what a request names and execute its notebook: the kind of its outcome, and words."""
    from semantica_lib.pages import notebooks
    from semantica_lib.running.run import run_all  # papermill and torch take seconds to import

    name, wanted = request.name, request.wanted
    before = [results.state(results.here(), own) for own in wanted]
    outcomes = run_all(wanted, request.fresh, tell, at_once)
    after = [results.state(results.here(), own) for own in wanted]
    failures = [
        (f"{own.experiment}: " if len(wanted) > 1 else "") + " ".join(str(outcome).split())
        for own, outcome in zip(wanted, outcomes, strict=True)
        if isinstance(outcome, Exception)
    ]
    if failures and len(wanted) == 1:
        return "failed", _kept(request, failures[0])
    page = notebooks.page_of(name, wanted)  # of a sweep it shows what points there are
    executed = notebooks.tell(page)
    begun = any("interrupted" in state or "partial" in state for state in before)
    trained = before != after or request.fresh
    kind = "resumed" if trained and begun and not request.fresh else "done"
    kind = "failed" if failures else kind if trained or executed else "skipped"
    return kind, "; ".join([*failures, summary(after), f"notebook {page.target}"])


def lines(outcomes: Sequence[Outcome], seconds: float) -> list[str]:
    """A line for each, and one of them all."""
    each = [
        f"{one.name}: {one.kind}{f' in {one.seconds:.0f} s' if one.kind != 'skipped' else ''}: "
        f"{one.words}"
        for one in outcomes
    ]
    kinds = [one.kind for one in outcomes]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("done", "resumed", "skipped", "failed")]
    return [*each, f"{len(outcomes)} in {seconds:.0f} s: {', '.join(counts)}"]
