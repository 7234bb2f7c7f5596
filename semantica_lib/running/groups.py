"""Groups: the trials of one tie of a result, which share a checkpoint on disk.

A language model's trials train one by one, so each of them is a group by itself.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from semantica_lib.errors import RequestError
from semantica_lib.files import write_whole
from semantica_lib.settings.catalogue import AnySettings, MlmSettings
from semantica_lib.settings.schema import order
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.locks import TAKEN
from semantica_lib.store.manifest import tie_in

if TYPE_CHECKING:  # torch takes two seconds to import; tokens are for language models only
    from torch import Tensor

    from semantica_lib.datasets.tokens import Tokens


@dataclass
class Group:
    """Trials of one tie of a result, and their checkpoint where there is one.

    ``own`` are the result's settings, to whose steps it is trained; ``text`` is the sha256 of the
    rows of tokens that a language model is trained on; ``finished`` is what lies in the result.
    """

    path: Path
    own: AnySettings
    tie: str
    seeds: tuple[int, ...]
    tensors: "dict[str, Tensor] | None" = None
    about: dict[str, str] = field(default_factory=dict)
    text: str = ""
    finished: bool = False

    @property
    def step(self) -> int:
        return int(self.tensors["step"]) if self.tensors else 0

    @property
    def place(self) -> tuple:
        """Where it stands among the groups of a result."""
        return order(self.tie), self.seeds

    @property
    def progress(self) -> tuple:
        """How far it is: groups that agree in it can go on as one stack."""
        series = {name: value for name, value in (self.tensors or {}).items() if "steps" in name}
        recorded = tuple(sorted((name, tuple(steps.tolist())) for name, steps in series.items()))
        return self.step, tuple(sorted(self.tensors or {})), recorded

    @property
    def trials(self) -> list[tuple[int, str]]:
        return [(seed, self.tie) for seed in self.seeds]

    def reread(self) -> None:
        """What its checkpoint holds by now.

        Raises:
            RequestError: it is missing or damaged.
        """
        self.tensors, self.about = load_checkpoint(self.path)


def trials_in(groups: Iterable[Group]) -> int:
    return sum(len(group.seeds) for group in groups)


def title(stack: Sequence[Group]) -> str:
    """A stack in a few words."""
    first = stack[0]
    if len(stack) == 1:
        seeds = len(first.seeds)
        trials = f"{seeds} seeds" if seeds > 1 else f"seed {first.seeds[0]}"
        return f"{first.own.experiment} {first.tie}, {trials}"
    folders = {group.path.parent for group in stack}
    return f"{first.own.experiment}, {trials_in(stack)} trials of {len(folders)} results"


def read_group(path: Path, own: AnySettings) -> Group:
    """A group from its checkpoint.

    Raises:
        RequestError: the checkpoint is damaged or belongs to other settings.
    """
    tensors, about = load_checkpoint(path)
    if about.get("settings_hash") != own.settings_hash:
        raise RequestError(
            f"checkpoint {path} belongs to other settings; delete it, or start again with --fresh"
        )
    seeds, text = tuple(tensors["seeds"].tolist()), about.get("text", "")
    return Group(path, own, tie_in(about), seeds, tensors, about, text)


def groups_of(folder: Path, own: AnySettings, fresh: bool = False) -> list[Group]:
    """The groups of a result: those begun, and a new one for each tie that lacks trials.

    They stand in the order of their trials, whoever has begun which of them by now.

    Args:
        fresh: as if none was begun.

    Raises:
        RequestError: as :func:`read_group`.
    """
    files = [] if fresh else (folder / "checkpoints").glob("*.safetensors")
    groups = [read_group(path, own) for path in files]
    begun = {trial for group in groups for trial in group.trials}
    for tie in own.ties:
        seeds = tuple(seed for seed in own.seeds if (seed, tie) not in begun)
        alone = isinstance(own, MlmSettings)
        for some in [(seed,) for seed in seeds] if alone else [seeds] if seeds else []:
            mark = hashlib.sha256(repr(some).encode()).hexdigest()[:6]
            name = f"{tie}-{min(some)}-{max(some)}-{mark}.safetensors".replace(":", "-")
            groups.append(Group(folder / "checkpoints" / name, own, tie, some))
    return sorted(groups, key=lambda group: group.place)


def published_groups(folder: Path, own: AnySettings) -> list[Group]:
    """The groups that training here goes on from: none where one was begun here.

    Nor are there any where the published result is complete, stale, or as far as is asked for: to
    run means to train here.
    """
    if any((folder / "checkpoints").glob("*.safetensors")):
        return []
    result = results.load_of(results.PUBLISHED, own)
    if result is None or result.stale or result.manifest["steps_done"] >= own.steps:
        return []
    names = results.checkpoints(result)
    results.read_files(result, names)  # refuses those that are not the manifest's
    groups = [read_group(result.folder / name, own) for name in names]
    return [group for group in groups if results.asked(own) & set(group.trials)]


def take(folder: Path, own: AnySettings, groups: list[Group]) -> None:
    """Copy published checkpoints into a folder that has none: all of them, or after a kill none."""
    if groups:
        (folder / TAKEN).mkdir()
        for group in groups:
            write_whole(folder / TAKEN / group.path.name, group.path.read_bytes())
        os.replace(folder / TAKEN, folder / "checkpoints")  # an empty folder gives way
        step = f"the published checkpoint at step {groups[0].step:,}"
        print(f"{own.experiment}: training goes on from {step}", file=sys.stderr, flush=True)


def text_of(own: AnySettings, groups: Sequence[Group]) -> "Tokens | None":
    """What a language model is trained on, made if it is not there yet; of XOR None.

    Raises:
        RequestError: it cannot be had, or a group was begun with another text or tokenizer.
    """
    if not isinstance(own, MlmSettings):
        return None
    from semantica_lib.trainers import mlm  # accelerate takes seconds to import

    text = mlm.text_of(own, results.here() / "corpora")
    sha256 = text.about["rows_sha256"]
    for group in groups:
        if group.text not in ("", sha256):
            raise RequestError(
                f"checkpoint {group.path} was trained on another text or tokenizer (rows sha256 "
                f"{group.text[:12]}) than there is here ({sha256[:12]}); start again with --fresh"
            )
        group.text = sha256
    return text
