"""A batch: several experiments one after the other or side by side, whatever becomes of each.

Each has a process of its own, which trains it and executes its notebook, and a line of progress.
"""

import contextlib
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from semantica_lib.checkpoints.jobs import JOBS
from semantica_lib.errors import RequestError, TrainingError
from semantica_lib.running import children
from semantica_lib.running.devices import cores
from semantica_lib.running.progress import Bar, Tell
from semantica_lib.running.stopping import STOP_SECONDS, follow_parent
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
    place: int
    request: Request
    process: BaseProcess
    bar: Bar
    started: float | None = None
    told: tuple[str, str] | None = None
    late: bool = False

    @property
    def seconds(self) -> float:
        """Since it began, which is when its process has started."""
        return time.monotonic() - self.started if self.started else 0.0


def run_batch(
    requests: Sequence[Request], jobs: int = 1, limit: float | None = None
) -> list[Outcome]:
    """Run each, so many at a time; one that fails, is killed or takes too long stops no other.

    Args:
        limit: seconds that each may take; then it is stopped, with a checkpoint.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    waiting, outcomes = list(enumerate(requests)), {}
    running: dict[Any, _Running] = {}
    at_once = max(1, cores() // min(jobs, len(requests)))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                place, request = waiting.pop(0)
                pipe, process = children.begun(_child, request, at_once)
                line = min(set(range(jobs)) - {one.bar.position for one in running.values()})
                running[pipe] = _Running(place, request, process, Bar(request.name, line))
            for one, kind, content in children.heard(running, 0.5):
                if kind == "ended":
                    one.bar.close()
                    outcomes[one.place] = _outcome(one, content, limit)
                else:
                    _note(one, kind, content)
            for one in running.values():
                _hold_to(one, limit)
    except BaseException:
        _stop(running)
        raise
    return [outcomes[place] for place in sorted(outcomes)]


def _note(one: _Running, kind: str, content: Any) -> None:
    """Take what a child tells."""
    if kind == "progress":
        one.bar(*content)
    elif kind == "warning":
        warnings.warn(content, stacklevel=4)
    elif kind == "begun":
        one.started = time.monotonic()
    else:
        one.told = kind, content


def _hold_to(one: _Running, limit: float | None) -> None:
    """Stop what takes too long, and kill what does not stop."""
    if limit and one.seconds > limit and not one.late and not one.told:
        one.late = True
        one.process.terminate()
    if limit and one.seconds > limit + GRACE_SECONDS:
        one.process.kill()


def _outcome(one: _Running, death: str, limit: float | None) -> Outcome:
    """What became of a request whose process has ended."""
    name = one.request.name
    if one.told and not (one.late and one.told[0] == "failed"):
        return Outcome(name, *one.told, one.seconds)
    reason = death or "it ended without a word"
    if one.late:
        minutes = f"{(limit or 0) / 60:g} min"
        reason = f"stopped at its time limit of {minutes}; the same command goes on from there"
    return Outcome(name, "failed", _kept(one.request, reason), one.seconds)


def _kept(request: Request, reason: str) -> str:
    """Why a request failed, and where its notebook is kept."""
    from semantica_lib.pages import notebooks  # papermill takes seconds to import

    try:
        page = notebooks.page_of(request.name, request.wanted)
        return f"{reason} (notebook kept as {notebooks.keep_failed(page, reason)})"
    except (OSError, RequestError) as error:
        return f"{reason} (its notebook could not be kept: {' '.join(str(error).split())})"


def _stop(running: dict[Any, _Running]) -> None:
    children.stop(running, lambda _, one: one.process.terminate(), GRACE_SECONDS)
    for one in running.values():
        one.bar.close()


def _child(pipe: Any, request: Request, at_once: int) -> None:
    """Run one request in this process and tell the parent how it goes."""
    follow_parent()

    def send(kind: str, content: Any) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, and this process will be
            pipe.send((kind, content))

    def warn(message: Warning | str, *_: Any) -> None:
        send("warning", " ".join(str(message).split()))

    warnings.showwarning = warn
    send("begun", None)
    try:
        send(*work(request, lambda *told: send("progress", told), at_once))
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except (RequestError, TrainingError, RuntimeError, OSError) as error:
        send("failed", " ".join(str(error).split()) or repr(error))
    except Exception as error:  # a fault of the program's own: more than a line is needed
        log = results.here() / f"{request.name.replace(os.sep, '_')}.error.log"
        send("failed", f"{error!r} {children.logged(log)}")


def work(request: Request, tell: Tell, at_once: int) -> tuple[str, str]:
    """Train what a request names and execute its notebook: the kind of its outcome, and words."""
    from semantica_lib.pages import notebooks
    from semantica_lib.running.run import run_all  # papermill and torch take seconds to import

    name, wanted = request.name, request.wanted
    if name in JOBS:  # what it reads may have changed without a trace here
        page = notebooks.page_of(name, wanted)
        notebooks.execute(*page[:3], train=False)
        return "done", f"notebook {page.target}"
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


def told(outcomes: Sequence[Outcome], seconds: float) -> list[str]:
    """A line for each, and one of them all."""
    each = [
        f"{one.name}: {one.kind}{f' in {one.seconds:.0f} s' if one.kind != 'skipped' else ''}: "
        f"{one.words}"
        for one in outcomes
    ]
    kinds = [one.kind for one in outcomes]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("done", "resumed", "skipped", "failed")]
    return [*each, f"{len(outcomes)} in {seconds:.0f} s: {', '.join(counts)}"]
