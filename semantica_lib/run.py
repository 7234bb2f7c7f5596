"""Train an experiment on this machine and store it: what is finished is kept, the rest goes on.

A result is put together from the parts of its folder: trials of one tie with a checkpoint of their
own. They train as stacks (:mod:`semantica_lib.shards`), each in a process of its own on one thread.
"""

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from semantica_lib import results, together
from semantica_lib.assembly import assemble
from semantica_lib.datasets.tokens import Tokens
from semantica_lib.errors import RequestError
from semantica_lib.experiments import AnySettings, MlmSettings, run_command
from semantica_lib.processes import Part, TrainingError, refuse_other_text, texts, title, train_all
from semantica_lib.results import Result
from semantica_lib.shards import cut, stacks
from semantica_lib.trainers.checkpoint import load_checkpoint, write_whole

TAKEN = "checkpoints.new"  # published checkpoints, while they are copied


def run(own: AnySettings, fresh: bool = False) -> Result:
    """The result of these settings on this machine, trained as far as it is missing.

    Raises:
        RequestError, TrainingError, KeyboardInterrupt: as :func:`run_all` has it.
    """
    (outcome,) = run_all([own], fresh)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_all(wanted: Sequence[AnySettings], fresh: bool = False) -> list[Result | Exception]:
    """The results of these settings on this machine, trained as far as they are missing.

    Trials that are finished here are kept, interrupted ones go on from their checkpoint, and all
    trials of a result end at the same step. Where nothing of it is here, training goes on from
    the checkpoints of a published partial result of fewer steps. With ``SEMANTICA_TRAIN=never`` in
    the environment nothing is trained: the result here is returned, or else the published one.
    Trials of one shape train together, whatever result they belong to, and a result is stored as
    soon as its last trial has ended.

    Args:
        wanted: experiments of different results.
        fresh: discard what this machine has of them and begin again, at step 0.

    Returns:
        Each result, or why there is none: a :class:`RequestError` (device, folder, damaged file)
        or a :class:`TrainingError` (training failed on the way; that of the others went on).

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    if os.environ.get("SEMANTICA_TRAIN") == "never":
        return [_attempt(_stored, own) for own in wanted]
    if together.several():
        (own,) = wanted
        device = resolve_device(own.device)
        return [together.run(own, device, lambda: _run([own], fresh)[0])]
    return _run(wanted, fresh)


@dataclass
class _Job:
    """A result that is wanted: its parts, and what has become of it."""

    own: AnySettings
    parts: list[Part]
    text: Tokens | None = None
    outcome: Result | Exception | None = None


def _run(wanted: Sequence[AnySettings], fresh: bool) -> list[Result | Exception]:
    with contextlib.ExitStack() as held:
        jobs = []
        for own in wanted:
            begun = _attempt(_begin, own, fresh, held)
            failed = isinstance(begun, Exception)
            jobs.append(_Job(own, [], outcome=begun) if failed else begun)
        for job in jobs:
            _end(job)  # all of it may have been trained before
        open_ = {id(part): job for job in jobs for part in job.parts if job.outcome is None}

        def done(stack: list[Part], failure: str) -> None:
            for part in stack:
                _ended(open_[id(part)], part, failure and f"{title(stack)}: {failure}")

        for device in dict.fromkeys(job.own.device for job in jobs if job.parts):
            there = resolve_device(device)
            shards = cut([p for job in jobs for p in job.parts if job.own.device == device], there)
            left = [
                stack
                for shard in shards
                for stack in stacks([part for part in shard if id(part) in open_])
            ]

            if together.several():
                together.lead([part for stack in left for part in stack], there)
                for stack in left:
                    done(stack, "")
            elif left:
                train_all(left, there, done)
    return [job.outcome for job in jobs]


def _attempt(function: Callable, *arguments: Any) -> Any:
    """What it returns, or the error that says why it could not."""
    try:
        return function(*arguments)
    except (RequestError, OSError) as error:
        return error


def _begin(own: AnySettings, fresh: bool, held: contextlib.ExitStack) -> _Job:
    """Hold a result's folder and see what there is of it."""
    resolve_device(own.device)
    folder = results.folder(results.here(), own)
    held.enter_context(holding(folder))
    if fresh:
        _discard(folder)
    before = results.load(folder)
    if before and before.covers(own):
        done = [Part(folder, own, tie == "tied", own.seeds) for tie in own.ties]
        return _Job(own, done, outcome=before)
    if not fresh and before is None:
        _take(folder, own, _published(folder, own))
    wanted = results.asked(own)
    if before and before.complete:  # its trials stay in the result
        wanted |= before.held
    parts = [part for part in _plan(folder, own) if wanted & set(part.trials)]
    text = _text(own, parts)
    steps = max(own.steps, *(part.step for part in parts))
    own = own.model_copy(update={"steps": steps})
    for part in parts:
        part.own = own
    return _Job(own, parts, text)


def _ended(job: _Job, part: Part, failure: str) -> None:
    """Note what became of a part's training; store the result if it was the last."""
    words = f"training {job.own.experiment} failed: {failure}"
    got = TrainingError(words) if failure else _attempt(load_checkpoint, part.path)
    if isinstance(got, Exception):
        job.outcome = job.outcome or got
    else:
        part.tensors, part.about = got
    _end(job)


def _end(job: _Job) -> None:
    """Store a result if all its trials are at its last step."""
    if job.outcome is None and all(part.step >= job.own.steps for part in job.parts):
        folder, device = results.folder(results.here(), job.own), resolve_device(job.own.device)
        job.outcome = _attempt(assemble, folder, job.own, job.parts, device, job.text)
        job.outcome = job.outcome or _attempt(results.load, folder)
        for part in job.parts:  # a sweep has many
            part.tensors = None


def check(own: AnySettings, fresh: bool = False) -> None:
    """Refuse what could not run, before anything runs.

    Raises:
        RequestError: the device is not there, the results folder cannot be written or is in use,
            a result or a checkpoint is damaged, a published one from which training would go on
            included, or a checkpoint belongs to other settings.
    """
    resolve_device(own.device)
    folder = results.folder(results.here(), own)
    with holding(folder):
        before = None if fresh else results.load(folder)
        if not (before and before.covers(own)):
            parts = [] if fresh else _plan(folder, own)
            if before is None and not fresh:
                _published(folder, own)
            _text(own, parts)


def resolve_device(name: str) -> str:
    """``cpu`` or ``cuda`` for a device setting.

    Raises:
        RequestError: the device is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu":
        index = int(name.partition(":")[2] or 0)
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            raise RequestError(
                f"device {name!r} is not there: this machine has {count} CUDA devices "
                "(allowed: auto, cpu)"
            )
    return name


def _stored(own: AnySettings) -> Result:
    result = results.best(own)
    if result is None:
        raise RequestError(
            f"{own.experiment} has no result, here or published; train it by `{run_command(own)}`"
        )
    return result


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a result's folder against other processes; the hold ends with the process.

    Raises:
        RequestError: the folder cannot be written, or another process holds it.
    """
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise RequestError(f"cannot write results to {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(f"{folder} is in use by another process that trains it") from None
        for left in folder.rglob("*.part"):  # what a killed process was writing
            left.unlink()
        shutil.rmtree(folder / TAKEN, ignore_errors=True)
        yield


def _discard(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    for name in (results.MANIFEST, results.TRAJECTORY, results.METRICS):
        for file in (folder / f"{name}.new", folder / name):
            file.unlink(missing_ok=True)


def _published(folder: Path, own: AnySettings) -> list[Part]:
    """The stacks that training here goes on from: none where a stack was begun here.

    Nor are there any where the published result is complete, stale, or as far as is asked for: to
    run means to train here.
    """
    if any((folder / "checkpoints").glob("*.safetensors")):
        return []
    result = results.load(results.folder(results.PUBLISHED, own))
    if result is None or result.stale or result.manifest["steps_done"] >= own.steps:
        return []
    names = results.checkpoints(result)
    results.read_files(result, names)  # refuses those that are not the manifest's
    parts = [read_part(result.folder / name, own) for name in names]
    return [part for part in parts if results.asked(own) & set(part.trials)]


def _take(folder: Path, own: AnySettings, parts: list[Part]) -> None:
    """Copy published checkpoints into a folder that has none: all of them, or after a kill none."""
    if parts:
        (folder / TAKEN).mkdir()
        for part in parts:
            write_whole(folder / TAKEN / part.path.name, part.path.read_bytes())
        os.replace(folder / TAKEN, folder / "checkpoints")  # an empty folder gives way
        step = f"the published checkpoint at step {parts[0].step:,}"
        print(f"{own.experiment}: training goes on from {step}", file=sys.stderr, flush=True)


def _plan(folder: Path, own: AnySettings) -> list[Part]:
    """The stacks of a result: those begun, and a new one for each tie that lacks trials."""
    parts = [
        read_part(path, own) for path in sorted((folder / "checkpoints").glob("*.safetensors"))
    ]
    begun = {trial for part in parts for trial in part.trials}
    for tie in own.ties:
        seeds = tuple(seed for seed in own.seeds if (seed, tie == "tied") not in begun)
        alone = isinstance(own, MlmSettings)  # whose trials do not train as a stack
        for some in [(seed,) for seed in seeds] if alone else [seeds] if seeds else []:
            name = f"{tie}-{min(some)}-{max(some)}-{len(parts)}.safetensors"
            parts.append(Part(folder / "checkpoints" / name, own, tie == "tied", some))
    return parts


def _text(own: AnySettings, parts: list[Part]) -> Tokens | None:
    """What a language model is trained on, made if it is not there yet; of XOR None.

    Raises:
        RequestError: it cannot be had, or a trial was begun with another one.
    """
    if not isinstance(own, MlmSettings):
        return None
    from semantica_lib.trainers.mlm import text_of  # accelerate takes seconds to import

    text = text_of(own, texts())
    for part in parts:
        refuse_other_text(part, text.about["rows_sha256"])
        part.text = text.about["rows_sha256"]
    return text


def read_part(path: Path, own: AnySettings) -> Part:
    """A stack from its checkpoint.

    Raises:
        RequestError: the checkpoint is damaged or belongs to other settings.
    """
    tensors, about = load_checkpoint(path)
    if about.get("settings_hash") != own.settings_hash:
        raise RequestError(
            f"checkpoint {path} belongs to other settings; delete it, or start again with --fresh"
        )
    seeds, text = tuple(tensors["seeds"].tolist()), about.get("text", "")
    return Part(path, own, about["tied"] == "true", seeds, tensors, about, text)
