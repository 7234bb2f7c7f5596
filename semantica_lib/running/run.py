"""Train an experiment on this machine and store it: what is finished is kept, the rest goes on.

A result is put together from its parts (:mod:`semantica_lib.running.groups`). They train as stacks
(:mod:`semantica_lib.running.stacks`), each in a process of its own on one thread.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from semantica_lib.errors import RequestError, TrainingError
from semantica_lib.running import distributed as together
from semantica_lib.running.collect import assemble
from semantica_lib.running.devices import cores, resolve_device
from semantica_lib.running.groups import Part, title
from semantica_lib.running.plan import Job, begin, folder_of, left_of, shards_of
from semantica_lib.running.processes import train_all
from semantica_lib.running.progress import Bar, Tell
from semantica_lib.settings.catalogue import AnySettings, run_command
from semantica_lib.store import results
from semantica_lib.store.locks import holding, holding_stack, turn
from semantica_lib.store.results import Result


def run(own: AnySettings, fresh: bool = False) -> Result:
    """The result of these settings on this machine, trained as far as it is missing.

    Raises:
        RequestError, TrainingError, KeyboardInterrupt: as :func:`run_all` has it.
    """
    (outcome,) = run_all([own], fresh)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_all(
    wanted: Sequence[AnySettings],
    fresh: bool = False,
    tell: Tell | None = None,
    at_once: int | None = None,
) -> list[Result | Exception]:
    """The results of these settings on this machine, trained as far as they are missing.

    Trials that are finished here are kept, interrupted ones go on from their checkpoint, and all
    trials of a result end at the same step. Where nothing of it is here, training goes on from
    the checkpoints of a published partial result of fewer steps. With ``SEMANTICA_TRAIN=never`` in
    the environment nothing is trained: the result here is returned, or else the published one.
    Trials of one shape train together, whatever result they belong to, and a result is stored as
    soon as its last trial has ended. What another process trains is waited for.

    Args:
        wanted: experiments of different results.
        fresh: discard what this machine has of them and begin again, at step 0.
        tell: told how far all is; a bar if there is none.
        at_once: so many stacks at a time; one a core if it is not said.

    Returns:
        Each result, or why there is none: a :class:`RequestError` (device, folder, damaged file)
        or a :class:`TrainingError` (training failed on the way; that of the others went on).

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    if os.environ.get("SEMANTICA_TRAIN") == "never":
        return [_attempt(_stored, own) for own in wanted]
    with closing(Bar(wanted[0].experiment)) as bar:
        work = _Work(tell or bar, at_once or cores())
        if together.several():
            (own,) = wanted
            device = resolve_device(own.device)
            return [together.run(own, device, lambda: _run([own], fresh, work)[0])]
        return _run(wanted, fresh, work)


def _attempt(function: Callable, *arguments: Any) -> Any:
    """What it returns, or the error that says why it could not."""
    try:
        return function(*arguments)
    except (RequestError, OSError) as error:
        return error


@dataclass
class _Work:
    """How training is done: who is told of it, how many stacks are trained at a time."""

    tell: Tell
    at_once: int


def _run(wanted: Sequence[AnySettings], fresh: bool, work: _Work) -> list[Result | Exception]:
    with ExitStack() as held:
        jobs = {}
        for own in sorted(wanted, key=folder_of):  # else two could wait for each other
            begun = _attempt(begin, own, fresh, held)
            failed = isinstance(begun, Exception)
            jobs[id(own)] = Job(own, [], outcome=begun) if failed else begun
        ordered = [jobs[id(own)] for own in wanted]
        for job in ordered:
            _end(job)  # all of it may have been trained before
        open_ = {id(part): job for job in ordered for part in job.parts if job.outcome is None}

        def done(stack: list[Part], failure: str) -> None:
            for part in stack:
                _ended(open_[id(part)], part, failure and f"{title(stack)}: {failure}")

        for device, shards in shards_of(ordered):
            left = left_of(shards, open_)
            if together.several():
                together.lead([part for stack in left for part in stack], device)
                for stack in left:
                    done(stack, "")
            elif left:
                train_all(left, device, work.at_once, done, work.tell)
    return [job.outcome for job in ordered]


def run_share(
    wanted: Sequence[AnySettings],
    number: int,
    of: int,
    tell: Tell | None = None,
    at_once: int | None = None,
) -> list[str]:
    """Train one of so many shares of the stacks; the rest is left to others, on a shared folder.

    Nothing is put together: :func:`run_all` does that in no time once all shares are trained.

    Args:
        number: of the share, from 1.
        of: so many shares; the stacks are cut so that each has one, if there are trials enough.

    Returns:
        Why stacks failed; empty if this share is trained.

    Raises:
        RequestError, KeyboardInterrupt: as :func:`run_all` has it.
    """
    failures: list[str] = []

    def done(stack: list[Part], failure: str) -> None:
        failures.extend([f"{title(stack)}: {failure}"] if failure else [])

    with ExitStack() as held, closing(Bar(f"{wanted[0].experiment} {number}/{of}")) as bar:
        jobs = []
        for own in sorted(wanted, key=folder_of):
            held.enter_context(holding(folder_of(own), shared=True, wait=True))
            with turn(folder_of(own)):
                jobs.append(begin(own))
        open_ = {id(part): job for job in jobs for part in job.parts if job.outcome is None}
        for device, shards in shards_of(jobs, of):
            mine = shards[number - 1 :: of]
            parts = (part for shard in mine for part in shard if id(part) in open_)
            for part in sorted(parts, key=lambda part: part.path):
                held.enter_context(holding_stack(part.path))
                if part.path.exists():
                    part.reread()
            if left := left_of(mine, open_):
                train_all(left, device, at_once or cores(), done, tell or bar)
    return failures


def _ended(job: Job, part: Part, failure: str) -> None:
    """Note what became of a part's training; store the result if it was the last."""
    words = f"training {job.own.experiment} failed: {failure}"
    error = TrainingError(words) if failure else _attempt(part.reread)
    job.outcome = job.outcome or error
    _end(job)


def _end(job: Job) -> None:
    """Store a result if all its trials are at its last step."""
    if job.outcome is None and all(part.step >= job.own.steps for part in job.parts):
        folder, device = folder_of(job.own), resolve_device(job.own.device)
        job.outcome = _attempt(assemble, folder, job.own, job.parts, device, job.text)
        job.outcome = job.outcome or _attempt(results.load, folder)
        for part in job.parts:  # a sweep has many
            part.tensors = None


def _stored(own: AnySettings) -> Result:
    result = results.best(own)
    if result is None:
        raise RequestError(
            f"{own.experiment} has no result, here or published; train it by `{run_command(own)}`"
        )
    return result
