"""The plan: what there is of each result that is wanted, and which stacks are to be trained."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semantica_lib.errors import RequestError
from semantica_lib.running import estimate
from semantica_lib.running.devices import cores, resolve_device, spread
from semantica_lib.running.groups import (
    Group,
    groups_of,
    published_groups,
    take,
    text_of,
    trials_in,
)
from semantica_lib.running.stacks import cut, remaining
from semantica_lib.settings.catalogue import AnySettings, Settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.folders import MANIFEST, METRICS, PLAIN_METRICS, TRAJECTORY, is_there
from semantica_lib.store.locks import InUse, holding
from semantica_lib.store.manifest import CHECKPOINTS
from semantica_lib.store.results import Result

if TYPE_CHECKING:
    from semantica_lib.datasets.tokens import Tokens

Shard = tuple[int, int]  # I and N: the I-th of N machines' part of the stacks


@dataclass
class Target:
    """A result that is wanted: its groups, and what has become of it."""

    own: AnySettings
    groups: list[Group]
    text: "Tokens | None" = None
    outcome: Result | Exception | None = None


@dataclass(frozen=True)
class Planned:
    """A stack to train: groups that are equally far, of the plan's stack of such a number."""

    groups: list[Group]
    device: str
    number: int

    @property
    def own(self) -> AnySettings:
        return self.groups[0].own

    @property
    def trials(self) -> int:
        return trials_in(self.groups)

    @property
    def steps(self) -> int:
        """Those that are left."""
        return self.own.steps - self.groups[0].step

    @property
    def seconds(self) -> float:
        return estimate.seconds(self._own, self.trials, self.steps, self.device)

    @property
    def memory_mb(self) -> float:
        return estimate.memory_mb(self._own, self.trials)

    @property
    def _own(self) -> AnySettings:
        """With the stack's own ties alone, which decide its engine."""
        return self.own.model_copy(update={"ties": sorted({one.tie for one in self.groups})})


def folder_of(own: AnySettings) -> Path:
    return results.folder(results.here(), own)


def begin(own: AnySettings, fresh: bool = False, held: ExitStack | None = None) -> Target:
    """See what there is of a result, and take what is published of it; hold it if that is asked."""
    resolve_device(own.device)
    folder = folder_of(own)
    if held:
        held.enter_context(holding(folder, wait=True))
    if fresh:
        _discard(folder)
    elif results.load_of(results.here(), own) is None:
        take(folder, own, published_groups(folder, own))
    target = look(own, folder, fresh)
    target.text = text_of(own, target.groups) if target.outcome is None else None
    return target


def look(own: AnySettings, folder: Path, fresh: bool = False) -> Target:
    """A result and its groups, as they are, or as if there was nothing yet."""
    before = None if fresh else results.load_of(results.here(), own)
    if before and (differing := before.differs_from(own)):
        raise RequestError(
            f"the result in {folder} was made by other settings ({differing}); move it away, or "
            "discard it by --fresh"
        )
    if before and before.covers(own):
        done = [Group(folder, own, tie, own.seeds, finished=True) for tie in own.ties]
        return Target(own, done, outcome=before)
    if getattr(own, "scheme", None):
        from semantica_lib.models.own_scheme import tried  # torch takes seconds to import

        tried(own)
        if not fresh:
            _refuse_changed(own, folder)
    wanted = results.asked(own)
    if before and before.complete:  # its trials stay in the result
        wanted |= before.held
    groups = [group for group in groups_of(folder, own, fresh) if wanted & set(group.trials)]
    steps = max(own.steps, *(group.step for group in groups))
    own = own.model_copy(update={"steps": steps})
    for group in groups:
        group.own = own
    return Target(own, groups)


def _refuse_changed(own: Settings, folder: Path) -> None:
    """Refuse to begin anew, unasked, what was begun with another content of a scheme's file."""
    (word,) = (tie for tie in own.ties if "@" in tie)
    name = word.partition("@")[0]
    if any((folder / CHECKPOINTS).glob("*.safetensors")):
        return
    for file in folder.parent.glob(f"{own.experiment}-{name}-*/{CHECKPOINTS}/{name}@*.safetensors"):
        before = load_checkpoint(file)[1]["tie"]
        if before != word and not is_there(file.parents[1]):
            raise RequestError(
                f"training of {name} was begun with another content of its file ({before}, in "
                f"{file.parents[1]}): bring that back to go on, or begin anew by --fresh"
            )


def _discard(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    for name in (MANIFEST, TRAJECTORY, METRICS, PLAIN_METRICS):
        for file in (folder / f"{name}.new", folder / name):
            file.unlink(missing_ok=True)


def stacks_of(
    targets: Sequence[Target], shard: Shard | None = None, least: int = 0
) -> dict[str, list[list[Group]]]:
    """The stacks of the plan by their device, finished ones too.

    Args:
        shard: only its stacks, where each shard has one if there are trials enough.
        least: of one shape so many stacks if there are trials enough; one a core or a GPU if it is
            not said.
    """
    number, of = shard or (1, 1)
    found: dict[str, list[list[Group]]] = {}
    for name in dict.fromkeys(target.own.device for target in targets if target.groups):
        device = resolve_device(name) if name == "auto" else name
        groups = [group for one in targets for group in one.groups if one.own.device == name]
        few = max(2, cores()) if device == "cpu" else max(1, len(spread(device)))
        found.setdefault(device, []).extend(cut(groups, device, of if shard else least or few))
    return {device: stacks[number - 1 :: of] for device, stacks in found.items()}


def plan(
    wanted: Sequence[AnySettings], fresh: bool = False, shard: Shard | None = None, least: int = 0
) -> list[Planned]:
    """What there is to train, without doing it.

    Args:
        fresh: as if nothing was done.
        shard, least: as :func:`stacks_of` has them.

    Raises:
        RequestError: a result or a checkpoint is damaged, or the device is not there, or there
            is something wrong with a scheme of one's own.
    """
    found = stacks_of([look(own, folder_of(own), fresh) for own in wanted], shard, least)
    every = ((device, stack) for device, stacks in found.items() for stack in stacks)
    return [
        Planned(groups, device, number)
        for number, (device, stack) in enumerate(every, 1)
        for groups in remaining(stack)
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
    with suppress(InUse), holding(folder):
        if not fresh and results.load_of(results.here(), own) is None:
            published_groups(folder, own)
        target = look(own, folder, fresh)
        if target.outcome is None:
            text_of(own, target.groups)
