"""Training what is wanted and storing it: what is finished is kept, the rest goes on.

The trials of a result stand in groups (:mod:`semantica_lib.running.groups`). Groups train together
as stacks (:mod:`semantica_lib.running.stacks`), each in a process of its own on one thread.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any

from semantica_lib.errors import RequestError, TrainingError
from semantica_lib.running import distributed
from semantica_lib.running.collect import collect
from semantica_lib.running.devices import cores, resolve_device
from semantica_lib.running.groups import Group, title
from semantica_lib.running.plan import Shard, Target, begin, folder_of, stacks_of
from semantica_lib.running.processes import train_all
from semantica_lib.running.progress import Bar, Tell
from semantica_lib.running.stacks import remaining
from semantica_lib.settings.catalogue import MAIN, AnySettings, find, run_command
from semantica_lib.store import results
from semantica_lib.store.locks import holding, holding_stack, turn
from semantica_lib.store.results import Result
from semantica_lib.trainers.building import NotBuilt, compiler


def run(own: AnySettings, fresh: bool = False) -> Result:
    """The result of these settings on this machine, trained as far as it is missing.

    Raises:
        RequestError, TrainingError, KeyboardInterrupt: as :func:`run_all` has it.
    """
    (outcome,) = run_all([own], fresh)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def trained(wanted: Sequence[AnySettings], fresh: bool = False) -> list[str | Exception]:
    """Train as :func:`run_all` does: what became of each in words, or the error that ended it."""
    started, before = time.monotonic(), [results.state(results.here(), own) for own in wanted]
    outcomes: list[Any] = run_all(wanted, fresh)
    seconds = time.monotonic() - started
    for place, (own, state) in enumerate(zip(wanted, before, strict=True)):
        if not isinstance(outcomes[place], Exception):
            after = results.state(results.here(), own)
            same = state == after and not fresh
            word = "finished before" if same else f"trained in {seconds:.0f} s"
            folder = outcomes[place].folder
            outcomes[place] = f"{own.experiment}: {after}, {word}, in {folder}"
    return outcomes


def trained_main() -> str:
    """Train the main experiment for the book: what became of it, in words.

    A hundred seeds where the kernel trains them, which takes less than the paper's five do else.
    """
    try:
        compiler()
        changes = [("seeds", [*range(42, 47), *range(62, 157)])]  # the paper's, and new ones
    except NotBuilt as error:
        changes = []
        print(f"training the paper's five seeds, not a hundred: {error}", file=sys.stderr)
    (outcome,) = trained([find(MAIN, changes)])
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
    if not wanted:
        return []
    with closing(Bar(wanted[0].experiment)) as bar:

        def work() -> list[Result | Exception]:
            return _run(wanted, fresh, tell or bar, at_once or cores())

        if not distributed.several():
            return work()
        (own,) = wanted
        return distributed.run(own, resolve_device(own.device), work)


def _attempt(function: Callable, *arguments: Any) -> Any:
    """What it returns, or the error that says why it could not."""
    try:
        return function(*arguments)
    except (RequestError, OSError) as error:
        return error


def _run(
    wanted: Sequence[AnySettings], fresh: bool, tell: Tell, at_once: int
) -> list[Result | Exception]:
    with ExitStack() as held:
        begun = {}
        for own in sorted(wanted, key=folder_of):  # else two could wait for each other
            target = _attempt(begin, own, fresh, held)
            failed = isinstance(target, Exception)
            begun[id(own)] = Target(own, [], outcome=target) if failed else target
        targets = [begun[id(own)] for own in wanted]
        for target in targets:
            _end(target)  # all of it may have been trained before
        target_of = {id(group): target for target in targets for group in target.groups}

        def done(stack: list[Group], failure: str) -> None:
            for group in stack:
                _ended(target_of[id(group)], group, failure and f"{title(stack)}: {failure}")

        for device, stacks in stacks_of(targets).items():
            left = [some for stack in stacks for some in remaining(stack)]
            if distributed.several():
                distributed.lead(left, device, done)
            elif left:
                train_all(left, device, at_once, done, tell)
    return [target.outcome for target in targets]


def run_shard(wanted: Sequence[AnySettings], shard: Shard) -> list[str]:
    """Train one shard of the stacks; the rest is left to others, on a shared folder.

    Nothing is collected: :func:`run_all` does that in no time once all shards are trained.

    Returns:
        Why stacks failed; empty if this shard is trained.

    Raises:
        RequestError, KeyboardInterrupt: as :func:`run_all` has it.
    """
    failures: list[str] = []

    def done(stack: list[Group], failure: str) -> None:
        failures.extend([f"{title(stack)}: {failure}"] if failure else [])

    number, of = shard
    with ExitStack() as held, closing(Bar(f"{wanted[0].experiment} {number}/{of}")) as bar:
        targets = []
        for own in sorted(wanted, key=folder_of):
            held.enter_context(holding(folder_of(own), shared=True, wait=True))
            with turn(folder_of(own)):
                targets.append(begin(own))
        for device, stacks in stacks_of(targets, shard).items():
            mine = [group for stack in stacks for group in stack if not group.finished]
            for group in sorted(mine, key=lambda group: group.path):
                held.enter_context(holding_stack(group.path))
                if group.path.exists():
                    group.reread()
            if left := [some for stack in stacks for some in remaining(stack)]:
                train_all(left, device, cores(), done, bar)
    return failures


def _ended(target: Target, group: Group, failure: str) -> None:
    """Note what became of a group's training; store the result if it was the last."""
    words = f"training {target.own.experiment} failed: {failure}"
    error = TrainingError(words) if failure else _attempt(group.reread)
    target.outcome = target.outcome or error
    _end(target)


def _end(target: Target) -> None:
    """Store a result if all its trials are at its last step."""
    own, groups = target.own, target.groups
    if target.outcome is None and all(group.step >= own.steps for group in groups):
        folder, device = folder_of(own), resolve_device(own.device)
        target.outcome = _attempt(collect, folder, own, groups, device, target.text)
        target.outcome = target.outcome or _attempt(results.load, folder)
        for group in groups:  # a sweep has many
            group.tensors, group.finished = None, True


def _stored(own: AnySettings) -> Result:
    result = results.best(own)
    if result is None:
        raise RequestError(
            f"{own.experiment} has no result, here or published; train it by `{run_command(own)}`"
        )
    return result
