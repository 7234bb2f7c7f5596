"""Where results live, what is in them, and whether they are finished.

A result is a set of trials (seed, tied) of one experiment, all at the same step, in one folder:
``manifest.json`` (settings, provenance, sha256 of the files), ``trajectory.npz`` (both embedding
tables at the recorded steps) and ``metrics.csv`` (accuracy and loss). A partial result that is
published has its ``checkpoints/`` beside them, named in the manifest like the other files.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT, write_whole
from semantica_lib.settings.catalogue import AnySettings, catalogue, find, settings
from semantica_lib.settings.schema import NOT_IDENTITY
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.provenance import NUMERICS

PUBLISHED = ROOT / "book" / "results"
PAPER_SEEDS = (42, 43, 44, 45, 46)  # a named subset of every result that has more
MANIFEST, TRAJECTORY, METRICS = "manifest.json", "trajectory.npz", "metrics.csv"


def here() -> Path:
    """This machine's own results: ``runs/``, or the folder that ``SEMANTICA_RESULTS`` names."""
    return Path(os.environ.get("SEMANTICA_RESULTS") or ROOT / "runs")


def folder(place: Path, own: AnySettings) -> Path:
    """A result's folder: the experiment's name, with a hash for settings not its own."""
    if own.experiment in catalogue() and find(own.experiment).identity == own.identity:
        return place / own.experiment
    return place / f"{own.experiment}-{own.settings_hash[:8]}"


def full_steps(own: AnySettings) -> int:
    """The steps from which a result counts as complete: those of the experiment of that name."""
    return find(own.experiment).steps if own.experiment in catalogue() else own.steps


def asked(own: AnySettings) -> set[tuple[int, bool]]:
    """The trials that settings ask for: (seed, tied)."""
    return {(seed, tie == "tied") for seed in own.seeds for tie in own.ties}


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


class Trial(BaseModel):
    """A trial, as a manifest names it."""

    model_config = ConfigDict(strict=True)
    seed: int
    tied: bool


class Stacked(BaseModel):
    """A stack that trained some of a result's trials."""

    model_config = ConfigDict(strict=True)
    seeds: list[int]


class Manifest(BaseModel):
    """What every manifest has; language models' have more."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    experiment: str
    settings: dict[str, Any]
    settings_hash: str
    seeds: list[int]
    trials: list[Trial]
    status: Literal["complete", "partial"]
    steps_done: int
    commit: str | None
    dirty: bool
    source_sha256: str
    numerics: int
    versions: dict[str, str]
    device: str
    threads: int
    started: Annotated[str, AfterValidator(_moment)]
    duration_s: float
    files: dict[str, str]
    stacks: list[Stacked] = []


@dataclass(frozen=True)
class Result:
    """A stored result.

    ``steps`` is ``(record,)``; ``seed`` and ``tied`` are ``(trial,)``; the embeddings are
    ``(trial, record, vocabulary, feature)`` float32; ``metrics`` has the columns seed, tied, step,
    split, accuracy and loss (nats), expectations over each split's strings, symbols and places.
    ``hidden_norm`` is ``(trial, measurement, bit)`` at ``measured_steps`` ``(measurement,)``: the
    least norm of the encoder's output over all contexts whose masked bit is 0, and is 1.
    ``logit_gap`` is ``(trial, measurement, pair, 3)``: for every two synonyms ``a < b``, by how
    much b's logit exceeds a's, mean, least and greatest over the contexts of their bit.
    ``table_gradient`` is ``(trial, measurement, 3)`` at ``gradient_steps`` ``(measurement,)``, 0
    and the powers of 2: of the loss of the step to come, the norm of the gradient that reaches the
    embedding table by the input, that by the output, and the cosine between them. Results of an
    older version lack some of these.

    Of a language model the vocabulary is the words that have a synonym, then their synonyms,
    ``words`` ``(word,)``; ``holds`` ``(trial, pair)`` is whether the DH holds for a word and its
    synonym; ``neighbours`` ``(trial, table, word, rank)`` are the pieces nearest to each of
    ``words`` at the end.
    """

    folder: Path
    manifest: dict[str, Any]
    steps: np.ndarray
    seed: np.ndarray
    tied: np.ndarray
    input_embedding: np.ndarray
    output_embedding: np.ndarray
    metrics: pd.DataFrame
    measured_steps: np.ndarray | None = None
    hidden_norm: np.ndarray | None = None
    logit_gap: np.ndarray | None = None
    gradient_steps: np.ndarray | None = None
    table_gradient: np.ndarray | None = None
    words: np.ndarray | None = None
    holds: np.ndarray | None = None
    neighbours: np.ndarray | None = None

    @property
    def settings(self) -> AnySettings:
        return settings(self.manifest["settings"], str(self.folder / MANIFEST))

    @property
    def published(self) -> bool:
        """Whether this is the result that the book ships, not one of this machine."""
        return self.folder.parent == PUBLISHED

    @property
    def complete(self) -> bool:
        """Whether its trials are at the end of the experiment, not somewhere on the way."""
        return self.manifest.get("status") == "complete"

    @property
    def held(self) -> set[tuple[int, bool]]:
        """Its trials: (seed, tied)."""
        return set(zip(self.seed.tolist(), self.tied.tolist(), strict=True))

    def covers(self, own: AnySettings) -> bool:
        """Whether it has every trial that the settings ask for, at their number of steps."""
        return asked(own) <= self.held and self.manifest["steps_done"] >= own.steps

    def of_seeds(self, seeds: Sequence[int]) -> "Result":
        """The same result with the trials of these seeds only."""
        keep = np.isin(self.seed, seeds)
        changes = {"settings": {**self.manifest["settings"], "seeds": list(seeds)}}
        changes["seeds"] = sorted(set(self.seed[keep].tolist()))
        changes["trials"] = [t for t in self.manifest["trials"] if t["seed"] in seeds]
        a_trial = ("seed", "tied", "input_embedding", "output_embedding")
        a_trial += ("hidden_norm", "logit_gap", "table_gradient", "holds", "neighbours")
        arrays = {name: getattr(self, name) for name in a_trial}
        return replace(
            self,
            manifest={**self.manifest, **changes},
            metrics=self.metrics[self.metrics.seed.isin(seeds)],
            **{name: None if one is None else one[keep] for name, one in arrays.items()},
        )

    @property
    def stale(self) -> str:
        """Why it no longer stands for the code and the settings here; empty if it does."""
        reasons = []
        if self.folder.name in catalogue():  # the name of a folder of other settings has their hash
            differing = self.differs_from(find(self.folder.name))
            reasons += [f"made by other settings: {differing}"] if differing else []
        if self.manifest["numerics"] < NUMERICS:
            reasons.append(f"numerics {self.manifest['numerics']}, the code's are {NUMERICS}")
        return "; ".join(reasons)

    def differs_from(self, own: AnySettings) -> str:
        """In which settings of its trials it differs, as ``weight_decay 0.1, now 0.0``."""
        if self.manifest["settings_hash"] == own.settings_hash:
            return ""
        mine, now = (one.model_dump(mode="json") for one in (self.settings, own))
        names = [name for name in {**mine, **now} if name not in NOT_IDENTITY]
        return ", ".join(
            f"{name} {json.dumps(mine.get(name))}, now {json.dumps(now.get(name))}"
            for name in names
            if mine.get(name) != now.get(name)
        )


def load(path: Path) -> Result | None:
    """The result in a folder; None if there is none.

    Raises:
        RequestError: a file is missing, cut short or altered (which one, and what to do).
    """
    with _naming_damage(path), _alone(path, fcntl.LOCK_EX if _moving(path) else fcntl.LOCK_SH):
        _roll_forward(path)
        if not (path / MANIFEST).exists():
            return None
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        Manifest.model_validate(manifest)
        settings(manifest["settings"])
        files = _checked(path, manifest, (TRAJECTORY, METRICS))
        with np.load(io.BytesIO(files[TRAJECTORY]), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        metrics = pd.read_csv(io.BytesIO(files[METRICS]), dtype=dict.fromkeys(MEASURED, float))
        _refuse_other_shapes(arrays, metrics, manifest)
        return Result(path, manifest, metrics=metrics, **arrays)


# Of each array what its values are and what its dimensions are of, by NumPy's kinds and by name.
SHAPES = {
    "steps": ("iu", "record"), "seed": ("iu", "trial"), "tied": ("b", "trial"),
    "input_embedding": ("f", "trial record symbol feature"),
    "output_embedding": ("f", "trial record symbol feature"),
    "measured_steps": ("iu", "measurement"), "hidden_norm": ("f", "trial measurement bit"),
    "logit_gap": ("f", "trial measurement pair quantity"),
    "gradient_steps": ("iu", "gradient"), "table_gradient": ("f", "trial gradient pull"),
    "words": ("U", "symbol"), "holds": ("b", "trial synonyms"),
    "neighbours": ("U", "trial table symbol rank"),
}  # fmt: skip
ALWAYS = ("steps", "seed", "tied", "input_embedding", "output_embedding")
MEASURED = ("accuracy", "loss")  # columns of floats, even where all are whole numbers
COLUMNS = {"seed": "iu", "tied": "b", "step": "iu", "split": "OTU"} | dict.fromkeys(MEASURED, "f")


def _refuse_other_shapes(
    arrays: Mapping[str, np.ndarray], metrics: pd.DataFrame, manifest: Mapping[str, Any]
) -> None:
    """Arrays and columns are those of a result, and of the trials that the manifest names."""
    lengths: dict[str, int] = {}
    for name in (*ALWAYS, *arrays):
        if name not in arrays or name not in SHAPES:
            raise ValueError(f"{TRAJECTORY} {'lacks' if name in SHAPES else 'has'} {name[:60]!r}")
        (kinds, dimensions), array = SHAPES[name], arrays[name]
        words = dimensions.split()
        fits = array.dtype.kind in kinds and array.ndim == len(words) and array.size
        if not fits or any(
            lengths.setdefault(word, length) != length
            for word, length in zip(words, array.shape, strict=True)
        ):
            raise ValueError(f"{name} in {TRAJECTORY} is {array.dtype} of shape {array.shape}")
    trials = list(zip(arrays["seed"].tolist(), arrays["tied"].tolist(), strict=True))
    if trials != [(trial["seed"], trial["tied"]) for trial in manifest["trials"]]:
        raise ValueError(f"{TRAJECTORY} has other trials than {MANIFEST}")
    for name, kinds in COLUMNS.items():
        if name not in metrics or metrics[name].dtype.kind not in kinds:
            raise ValueError(f"{METRICS} lacks {name}, or its values are of another kind")


def read_files(result: Result, names: Iterable[str]) -> dict[str, bytes]:
    """Files of a result by name, as its manifest has them.

    Raises:
        RequestError: one is missing, cut short or altered.
    """
    with _naming_damage(result.folder):
        return _checked(result.folder, result.manifest, names)


def checkpoints(result: Result) -> list[str]:
    """Names of the checkpoints that belong to a result: a published partial one has them."""
    return [name for name in result.manifest["files"] if name.endswith(".safetensors")]


def _checked(path: Path, manifest: Mapping[str, Any], names: Iterable[str]) -> dict[str, bytes]:
    files = {name: (path / name).read_bytes() for name in names}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != manifest["files"][name]:
            raise ValueError(f"{name} does not match its sha256")
    return files


@contextlib.contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise _damaged(path, f"{Path(error.filename).name} is missing") from None
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, reason: str) -> RequestError:
    reason = " ".join(reason.split())
    return RequestError(f"the result in {path} is damaged ({reason}); train again with --fresh")


def write(
    path: Path, manifest: Mapping[str, Any], trajectory: Mapping[str, np.ndarray], metrics: str
) -> None:
    """Store a result, as :func:`store` does."""
    files = {TRAJECTORY: packed_arrays(trajectory), METRICS: metrics.encode()}
    store(path, pack(manifest, files))


def packed_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A result's arrays as its file has them."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def pack(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A result's files by name, with the manifest that holds the sha256 of the others as last."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps({**manifest, "files": digests}, indent=1, sort_keys=True) + "\n"
    return {**files, MANIFEST: text.encode()}


def store(path: Path, packed: Mapping[str, bytes]) -> None:
    """Store a packed result. A kill at any moment leaves the old one or the new, never a mixture.

    The files are written under other names; naming the new manifest ``manifest.json.new`` is the
    moment from which the new result counts, and whoever finds that name completes the moves.
    """
    with _alone(path, fcntl.LOCK_EX):
        for name, data in packed.items():
            write_whole(path / f"{name}.new", data)
        _roll_forward(path)


def _moving(path: Path) -> bool:
    """Whether a new result has begun to take the place of an older one."""
    return (path / f"{MANIFEST}.new").exists()


def _roll_forward(path: Path) -> None:
    if _moving(path):
        new = json.loads((path / f"{MANIFEST}.new").read_text(encoding="utf-8"))
        for name in (*new["files"], MANIFEST):
            with contextlib.suppress(FileNotFoundError):  # moved by now
                os.replace(path / f"{name}.new", path / name)


@contextlib.contextmanager
def _alone(path: Path, kind: int) -> Iterator[None]:
    """Store or read a result while no other process stores it, where the folder can be locked."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            folder = os.open(path, os.O_RDONLY)
            held.callback(os.close, folder)
            fcntl.flock(folder, kind)
        yield


def best(own: AnySettings) -> Result | None:
    """This machine's result where there is one, else the published one."""
    return load(folder(here(), own)) or load(folder(PUBLISHED, own))


def state(place: Path, own: AnySettings) -> str:
    """A result's state in a few words.

    ``missing``; ``interrupted at step 7,000 of 150,000``; ``complete, 150,000 steps, 10 trials``;
    ``partial, at step 20,000 of 500,000, 10 trials``; the last two with ``; interrupted at step
    25,000`` where training has begun to add to them, then ``(stale: ...)`` and ``(from a tree with
    uncommitted changes)``; or ``damaged: ...``.
    """
    path, full = folder(place, own), full_steps(own)
    try:
        result = load(path)
        if result and result.published:
            read_files(result, checkpoints(result))
        files = (path / "checkpoints").glob("*.safetensors")
        begun = {int(load_checkpoint(file)[0]["step"]) for file in files}
    except RequestError as error:
        return f"damaged: {error}"
    if result is None:
        return f"interrupted at step {min(begun):,} of {full:,}" if begun else "missing"
    done, trials = result.manifest["steps_done"], len(result.seed)
    words = f"complete, {done:,} steps, {trials} trials"
    if not result.complete:
        words = f"partial, at step {done:,} of {full:,}, {trials} trials"
    if begun - {done}:
        words += f"; interrupted at step {min(begun - {done}):,}"
    words += f" (stale: {result.stale})" if result.stale else ""
    return words + " (from a tree with uncommitted changes)" * bool(result.manifest["dirty"])
