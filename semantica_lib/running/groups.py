"""The parts of a result: trials of one tie that train together, with a checkpoint of their own."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from semantica_lib.datasets.tokens import Tokens
from semantica_lib.errors import RequestError
from semantica_lib.files import write_whole
from semantica_lib.settings.catalogue import AnySettings, MlmSettings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.locks import TAKEN

if TYPE_CHECKING:  # torch takes two seconds to import
    from torch import Tensor


@dataclass
class Part:
    """Trials of one tie of a result, which train together, and their checkpoint where there is one.

    ``own`` are the result's settings, to whose steps it is trained; ``text`` is the sha256 of the
    rows of tokens that a language model is trained on.
    """

    path: Path
    own: AnySettings
    tied: bool
    seeds: tuple[int, ...]
    tensors: "dict[str, Tensor] | None" = None
    about: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def step(self) -> int:
        return int(self.tensors["step"]) if self.tensors else 0

    @property
    def name(self) -> str:
        return "tied" if self.tied else "untied"

    @property
    def progress(self) -> tuple:
        """How far it is: parts that agree in it can go on as one stack."""
        series = {name: value for name, value in (self.tensors or {}).items() if "steps" in name}
        recorded = tuple(sorted((name, tuple(steps.tolist())) for name, steps in series.items()))
        return self.step, tuple(sorted(self.tensors or {})), recorded

    @property
    def trials(self) -> list[tuple[int, bool]]:
        return [(seed, self.tied) for seed in self.seeds]

    def reread(self) -> None:
        """What its checkpoint holds by now.

        Raises:
            RequestError: it is missing or damaged.
        """
        self.tensors, self.about = load_checkpoint(self.path)


def title(stack: Sequence[Part]) -> str:
    """The stack in a few words."""
    first = stack[0]
    seeds = len(first.seeds)
    if len(stack) == 1:
        trials = f"{seeds} seeds" if seeds > 1 else f"seed {first.seeds[0]}"
        return f"{first.own.experiment} {first.name}, {trials}"
    trials, folders = sum(len(part.seeds) for part in stack), {part.path.parent for part in stack}
    return f"{first.own.experiment}, {trials} trials of {len(folders)} results"


def read_part(path: Path, own: AnySettings) -> Part:
    """A part from its checkpoint.

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


def parts_of(folder: Path, own: AnySettings, fresh: bool = False) -> list[Part]:
    """The parts of a result: those begun, and a new one for each tie that lacks trials.

    They stand in the order of their trials, whoever has begun which of them by now.

    Args:
        fresh: as if none was begun.

    Raises:
        RequestError: as :func:`read_part`.
    """
    files = [] if fresh else (folder / "checkpoints").glob("*.safetensors")
    parts = [read_part(path, own) for path in files]
    begun = {trial for part in parts for trial in part.trials}
    for tie in own.ties:
        seeds = tuple(seed for seed in own.seeds if (seed, tie == "tied") not in begun)
        alone = isinstance(own, MlmSettings)  # whose trials do not train as a stack
        for some in [(seed,) for seed in seeds] if alone else [seeds] if seeds else []:
            mark = hashlib.sha256(repr(some).encode()).hexdigest()[:6]
            name = f"{tie}-{min(some)}-{max(some)}-{mark}.safetensors"
            parts.append(Part(folder / "checkpoints" / name, own, tie == "tied", some))
    return sorted(parts, key=lambda part: (not part.tied, part.seeds))


def published_parts(folder: Path, own: AnySettings) -> list[Part]:
    """The parts that training here goes on from: none where one was begun here.

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
    parts = [read_part(result.folder / name, own) for name in names]
    return [part for part in parts if results.asked(own) & set(part.trials)]


def take(folder: Path, own: AnySettings, parts: list[Part]) -> None:
    """Copy published checkpoints into a folder that has none: all of them, or after a kill none."""
    if parts:
        (folder / TAKEN).mkdir()
        for part in parts:
            write_whole(folder / TAKEN / part.path.name, part.path.read_bytes())
        os.replace(folder / TAKEN, folder / "checkpoints")  # an empty folder gives way
        step = f"the published checkpoint at step {parts[0].step:,}"
        print(f"{own.experiment}: training goes on from {step}", file=sys.stderr, flush=True)


def texts() -> Path:
    """Where this machine keeps the text of language models."""
    return results.here() / "corpora"


def text_of(own: AnySettings, parts: list[Part]) -> Tokens | None:
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


def refuse_other_text(part: Part, sha256: str) -> None:
    """A trial goes on with the text and the tokenizer that it began with, or not at all."""
    if part.text not in ("", sha256):
        raise RequestError(
            f"checkpoint {part.path} was trained on another text or tokenizer (rows sha256 "
            f"{part.text[:12]}) than there is here ({sha256[:12]}); start again with --fresh"
        )
