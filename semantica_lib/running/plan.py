"""What there is to do for a result: what of it is here, and how its training is cut into stacks."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from semantica_lib.datasets.tokens import Tokens
from semantica_lib.errors import RequestError
from semantica_lib.running.devices import cores, resolve_device, spread
from semantica_lib.running.groups import Part, parts_of, published_parts, take, text_of
from semantica_lib.running.stacks import cut, stacks
from semantica_lib.settings.catalogue import AnySettings
from semantica_lib.store import results
from semantica_lib.store.folders import MANIFEST, METRICS, PLAIN_METRICS, TRAJECTORY
from semantica_lib.store.locks import InUse, holding
from semantica_lib.store.results import Result


@dataclass
class Job:
    """A result that is wanted: its parts, and what has become of it."""

    own: AnySettings
    parts: list[Part]
    text: Tokens | None = None
    outcome: Result | Exception | None = None


def folder_of(own: AnySettings) -> Path:
    return results.folder(results.here(), own)


def begin(own: AnySettings, fresh: bool = False, held: ExitStack | None = None) -> Job:
    """See what there is of a result, and take what is published of it; hold it if that is asked."""
    resolve_device(own.device)
    folder = folder_of(own)
    if held:
        held.enter_context(holding(folder, wait=True))
    if fresh:
        _discard(folder)
    if not fresh and results.load_of(results.here(), own) is None:
        take(folder, own, published_parts(folder, own))
    job = look(own, folder, fresh)
    job.text = text_of(own, job.parts) if job.outcome is None else None
    return job


def look(own: AnySettings, folder: Path, fresh: bool = False) -> Job:
    """A result and its parts, as they are, or as if there was nothing yet."""
    before = None if fresh else results.load_of(results.here(), own)
    if before and (differing := before.differs_from(own)):
        raise RequestError(
            f"the result in {folder} was made by other settings ({differing}); move it away, or "
            "discard it by --fresh"
        )
    if before and before.covers(own):
        done = [Part(folder, own, tie == "tied", own.seeds) for tie in own.ties]
        return Job(own, done, outcome=before)
    wanted = results.asked(own)
    if before and before.complete:  # its trials stay in the result
        wanted |= before.held
    parts = [part for part in parts_of(folder, own, fresh) if wanted & set(part.trials)]
    steps = max(own.steps, *(part.step for part in parts))
    own = own.model_copy(update={"steps": steps})
    for part in parts:
        part.own = own
    return Job(own, parts)


def _discard(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    for name in (MANIFEST, TRAJECTORY, METRICS, PLAIN_METRICS):
        for file in (folder / f"{name}.new", folder / name):
            file.unlink(missing_ok=True)


def shards_of(jobs: Sequence[Job], least: int = 0) -> Iterator[tuple[str, list[list[Part]]]]:
    """Each device that is wanted, and what there is to do on it, what is finished too."""
    for name in dict.fromkeys(job.own.device for job in jobs if job.parts):
        device = resolve_device(name) if name == "auto" else name
        parts = [part for job in jobs for part in job.parts if job.own.device == name]
        few = max(2, cores()) if device == "cpu" else max(1, len(spread(device)))
        yield device, cut(parts, device, least or few)


def left_of(shards: Sequence[Sequence[Part]], open_: dict[int, Job]) -> list[list[Part]]:
    """The stacks that are to be trained still."""
    of_open = ([part for part in shard if id(part) in open_] for shard in shards)
    return [stack for shard in of_open for stack in stacks(shard)]


def plan(
    wanted: Sequence[AnySettings], fresh: bool = False, least: int = 0
) -> list[tuple[str, list[Part], list[list[Part]]]]:
    """What there is to do, without doing it: each shard's device, parts, and stacks to train yet.

    Args:
        fresh: as if nothing was done.
        least: of one shape so many shards if there are trials enough; as :func:`run_all` cuts them
            if it is not said.

    Raises:
        RequestError: a result or a checkpoint is damaged, or the device is not there.
    """
    jobs = [look(own, folder_of(own), fresh) for own in wanted]
    open_ = {id(part): job for job in jobs for part in job.parts if job.outcome is None}
    return [
        (device, shard, left_of([shard], open_))
        for device, shards in shards_of(jobs, least)
        for shard in shards
    ]


def check(own: AnySettings, fresh: bool = False) -> None:
    """Refuse what could not run, before anything runs; what is in use is not looked at.

    Raises:
        RequestError: the device is not there, the results folder cannot be written, a result or a
            checkpoint is damaged, a published one from which training would go on included, or
            it belongs to other settings.
    """
    resolve_device(own.device)
    folder = folder_of(own)
    with _unless_in_use(folder) as free:
        if free and not fresh:
            if results.load_of(results.here(), own) is None:
                published_parts(folder, own)
            job = look(own, folder)
            if job.outcome is None:
                text_of(own, job.parts)
        elif free:
            text_of(own, [])


@contextmanager
def _unless_in_use(folder: Path) -> Iterator[bool]:
    """Hold a folder; whether that could be."""
    with ExitStack() as held:
        try:
            held.enter_context(holding(folder))
        except InUse:
            yield False
        else:
            yield True
