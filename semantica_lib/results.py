"""Where results live, what is in them, and whether they are finished.

A result is a set of trials (seed, tied) of one experiment, all at the same step, in one folder:
``manifest.json`` (settings, provenance, sha256 of the files), ``trajectory.npz`` (both embedding
tables at the recorded steps) and ``metrics.csv`` (accuracy and loss).
"""

import hashlib
import io
import json
import os
import platform
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.errors import RequestError
from semantica_lib.experiments import ROOT, Settings, catalogue, find, settings
from semantica_lib.trainers.checkpoint import write_whole

# Raised when the stored 100-step reference trajectories change beyond tolerance: results of an
# older number are shown as stale.
NUMERICS = 1
PUBLISHED = ROOT / "book" / "results"
PAPER_SEEDS = (42, 43, 44, 45, 46)  # a named subset of every result that has more
SOURCES = ("datasets", "models", "trainers", "experiments.py")
MANIFEST, TRAJECTORY, METRICS = "manifest.json", "trajectory.npz", "metrics.csv"


def here() -> Path:
    """This machine's own results: ``runs/``, or the folder that ``SEMANTICA_RESULTS`` names."""
    return Path(os.environ.get("SEMANTICA_RESULTS") or ROOT / "runs")


def folder(place: Path, own: Settings) -> Path:
    """A result's folder: the experiment's name, with a hash for settings not its own."""
    if own.experiment in catalogue() and find(own.experiment).identity == own.identity:
        return place / own.experiment
    return place / f"{own.experiment}-{own.settings_hash[:8]}"


@dataclass(frozen=True)
class Result:
    """A stored result.

    ``steps`` is ``(record,)``; ``seed`` and ``tied`` are ``(trial,)``; the embeddings are
    ``(trial, record, vocabulary, feature)`` float32; ``metrics`` has the columns seed, tied, step,
    split, accuracy and loss (nats), expectations over each split's strings, symbols and places.
    ``hidden_norm`` is ``(trial, measurement, bit)`` at ``measured_steps`` ``(measurement,)``: the
    least norm of the encoder's output over all contexts whose masked bit is 0, and is 1. Results
    of an older version have neither.
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

    @property
    def settings(self) -> Settings:
        return settings(self.manifest["settings"], str(self.folder / MANIFEST))

    @property
    def published(self) -> bool:
        """Whether this is the result that the book ships, not one of this machine."""
        return self.folder.parent == PUBLISHED

    def covers(self, own: Settings) -> bool:
        """Whether it has every trial that the settings ask for, at their number of steps."""
        have = set(zip(self.seed.tolist(), self.tied.tolist(), strict=True))
        asked = {(seed, tie == "tied") for seed in own.seeds for tie in own.ties}
        return asked <= have and self.manifest["steps_done"] >= own.steps

    def of_seeds(self, seeds: Sequence[int]) -> "Result":
        """The same result with the trials of these seeds only."""
        keep = np.isin(self.seed, seeds)
        changes = {"settings": {**self.manifest["settings"], "seeds": list(seeds)}}
        changes["seeds"] = sorted(set(self.seed[keep].tolist()))
        changes["trials"] = [t for t in self.manifest["trials"] if t["seed"] in seeds]
        return replace(
            self,
            manifest={**self.manifest, **changes},
            seed=self.seed[keep],
            tied=self.tied[keep],
            input_embedding=self.input_embedding[keep],
            output_embedding=self.output_embedding[keep],
            hidden_norm=None if self.hidden_norm is None else self.hidden_norm[keep],
            metrics=self.metrics[self.metrics.seed.isin(seeds)],
        )

    @property
    def stale(self) -> str:
        """Why it no longer stands for the code that is here; empty if it does."""
        if self.manifest["numerics"] < NUMERICS:
            return f"numerics {self.manifest['numerics']}, the code's are {NUMERICS}"
        return ""


def load(path: Path) -> Result | None:
    """The result in a folder; None if there is none.

    Raises:
        RequestError: a file is missing, cut short or altered (which one, and what to do).
    """
    try:
        _roll_forward(path)
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files = {name: (path / name).read_bytes() for name in (TRAJECTORY, METRICS)}
        for name, data in files.items():
            if hashlib.sha256(data).hexdigest() != manifest["files"][name]:
                raise ValueError(f"{name} does not match its sha256")
        with np.load(io.BytesIO(files[TRAJECTORY]), allow_pickle=False) as arrays:
            trajectory = {name: arrays[name] for name in arrays.files}
        metrics = pd.read_csv(io.BytesIO(files[METRICS]))
        settings(manifest["settings"])
        result = Result(path, manifest, metrics=metrics, **trajectory)
        int(manifest["steps_done"]), int(manifest["numerics"])
        return result
    except FileNotFoundError as error:
        if not (path / MANIFEST).exists():
            return None
        raise _damaged(path, f"{Path(error.filename).name} is missing") from None
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, reason: str) -> RequestError:
    reason = " ".join(reason.split())
    return RequestError(f"the result in {path} is damaged ({reason}); train again with --fresh")


def write(
    path: Path, manifest: Mapping[str, Any], trajectory: Mapping[str, np.ndarray], metrics: str
) -> None:
    """Store a result. A kill at any moment leaves the old result or the new one, never a mixture.

    The files are written under other names; naming the new manifest ``manifest.json.new`` is the
    moment from which the new result counts, and whoever finds that name completes the moves.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **trajectory)
    files = {TRAJECTORY: buffer.getvalue(), METRICS: metrics.encode()}
    for name, data in files.items():
        write_whole(path / f"{name}.new", data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps({**manifest, "files": digests}, indent=1, sort_keys=True) + "\n"
    write_whole(path / f"{MANIFEST}.new", text.encode())
    _roll_forward(path)


def _roll_forward(path: Path) -> None:
    if (path / f"{MANIFEST}.new").exists():
        for name in (TRAJECTORY, METRICS, MANIFEST):
            if (path / f"{name}.new").exists():
                os.replace(path / f"{name}.new", path / name)


def best(own: Settings) -> Result | None:
    """This machine's result where there is one, else the published one."""
    return load(folder(here(), own)) or load(folder(PUBLISHED, own))


def provenance() -> dict[str, Any]:
    """What made a result: commit, whether the tree differed from it, sources and versions."""
    packages = ("torch", "numpy", "pandas", "safetensors", "pydantic")
    return {
        "commit": _git("rev-parse", "HEAD") or None,
        "dirty": bool(_git("status", "--porcelain")),
        "source_sha256": _sources(),
        "numerics": NUMERICS,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _sources() -> str:
    """sha256 of the code that decides what a trial does."""
    digest = hashlib.sha256()
    base = ROOT / "semantica_lib"
    for source in SOURCES:
        for file in sorted((base / source).rglob("*.py")) or [base / source]:
            digest.update(file.relative_to(base).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def state(place: Path, own: Settings) -> str:
    """A result's state in a few words: ``missing``, ``complete, 150,000 steps, 10 trials``, ..."""
    path = folder(place, own)
    try:
        result = load(path)
    except RequestError as error:
        return f"damaged: {error}"
    if result is None:
        begun = any((path / "checkpoints").glob("*.safetensors"))
        return "interrupted" if begun else "missing"
    manifest = result.manifest
    words = f"{manifest['status']}, {manifest['steps_done']:,} steps, {len(result.seed)} trials"
    return f"{words} (stale: {result.stale})" if result.stale else words


def publish(own: Settings) -> Path:
    """Copy this machine's result into the book's results.

    Raises:
        RequestError: there is none, or it or the working tree differs from any commit.
    """
    result = load(folder(here(), own))
    if result is None:
        raise RequestError(
            f"{own.experiment} has no result here; train it by `semantica run {own.experiment}`"
        )
    if provenance()["dirty"]:
        raise RequestError("the working tree has changes; commit them before publishing")
    if result.manifest["dirty"]:
        raise RequestError(
            f"{own.experiment} was trained with uncommitted changes; train again with --fresh"
        )
    target = folder(PUBLISHED, own)
    target.mkdir(parents=True, exist_ok=True)
    names = ("steps", "seed", "tied", "input_embedding", "output_embedding")
    trajectory = {name: getattr(result, name) for name in names}
    metrics = (result.folder / METRICS).read_text(encoding="utf-8")
    write(target, result.manifest, trajectory, metrics)
    return target
