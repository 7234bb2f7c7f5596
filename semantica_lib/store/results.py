"""Where results live, what is in them, and whether they are finished.

A result is a set of trials (seed, tie) of one experiment, all at the same step, in one folder:
``manifest.json`` (settings, provenance, sha256 of the files), ``trajectory.npz`` (both embedding
tables at the recorded steps) and ``metrics.csv.gz`` (accuracy and loss). A partial result that is
published has its ``checkpoints/`` beside them, named in the manifest like the other files.

The results of a sweep's points can lie in one folder together, with one of each of these files: as
they are published. A result is found by its settings' identity, wherever of these it lies; its
*address* is the folder and, in a sweep's, its key.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import AnySettings, experiment_file, find, read_file, round_of
from semantica_lib.settings.spelling import typed
from semantica_lib.settings.sweeps import read as read_sweep
from semantica_lib.settings.sweeps import sweeps
from semantica_lib.store import contents, folders
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.contents import Contents
from semantica_lib.store.folders import MANIFEST, METRICS, TRAJECTORY
from semantica_lib.store.manifest import CHECKPOINTS, key_of
from semantica_lib.store.result import Result, asked

__all__ = ["MANIFEST", "METRICS", "TRAJECTORY", "Result", "asked"]

PLACE = "SEMANTICA_RESULTS"
PUBLISHED = ROOT / "book" / "results"
PAPER_SEEDS = (42, 43, 44, 45, 46)  # a named subset of every result that has more


def here() -> Path:
    """This machine's own results: ``runs/``, or the folder that ``SEMANTICA_RESULTS`` names.

    Raises:
        RequestError: it is relative, and a notebook runs elsewhere than its shell; as `settle`.
    """
    told = os.environ.get(PLACE) or str(ROOT / "runs")
    if not os.path.isabs(told):
        now, shell = os.getcwd(), os.environ.get("PWD", os.curdir)
        if not told.startswith("~") and os.path.realpath(shell) != now:
            raise RequestError(
                f"{PLACE}={told} can be of {now} or of {shell}: write the whole path"
            )
        settle()
    return Path(os.environ.get(PLACE) or told)


def settle() -> None:
    """Make the variable absolute, for this process and those that it starts elsewhere.

    Raises:
        RequestError: what it names is no folder.
    """
    if told := os.environ.get(PLACE):
        path = typed(told)
        if os.path.lexists(path) and not os.path.isdir(path):
            raise RequestError(f"{PLACE} must name a folder, and {path} is none")
        os.environ[PLACE] = str(path)


def folder(place: Path, own: AnySettings) -> Path:
    """A result's own folder: the experiment's name, with a hash for settings not its own.

    Between the two stands the name of a scheme of one's own.
    """
    file = experiment_file(own.experiment)
    if file and _hash_in(file, file.stat().st_mtime_ns) == own.settings_hash:
        return place / own.experiment
    whose = "".join(f"-{tie.partition('@')[0]}" for tie in own.ties if "@" in tie)
    return place / f"{own.experiment}{whose}-{key_of(own)}"


@cache
def _hash_in(file: Path, _: int) -> str:
    """The hash of an experiment's own settings, for as long as its file does not change."""
    return read_file(file).settings_hash


def full_steps(own: AnySettings) -> int:
    """The steps from which a result counts as complete: those of the experiment of that name."""
    return find(own.experiment).steps if experiment_file(own.experiment) else own.steps


def locate(place: Path, own: AnySettings) -> tuple[Path, str]:
    """The address of a result in a place; where it would be, if it is not there.

    Raises:
        RequestError: the manifest of a sweep that may have it is damaged.
    """
    path, key, wanted = folder(place, own), key_of(own), own.settings_hash
    if folders.is_there(path) or round_of(own.experiment) == 2:  # rounds share no trials
        return path, ""
    for one in _filled(place):
        try:
            if _points(one).get(key) == wanted:
                return one, key
        except RequestError:
            if one.name in sweeps() and read_sweep(sweeps()[one.name]).base == own.experiment:
                raise
    return path, ""


def addresses(place: Path) -> list[tuple[Path, str]]:
    """Of every result in a place, a damaged one too."""
    found: list[tuple[Path, str]] = []
    for path in _filled(place):
        try:
            found += [(path, key) for key in sorted(_points(path)) or [""]]
        except RequestError:
            found.append((path, ""))
    return found


def _filled(place: Path) -> list[Path]:
    """The folders of a place that have a manifest."""
    return sorted(path for path in place.glob("*/") if folders.is_there(path))


def _points(path: Path) -> dict[str, str]:
    with folders.reading(path):
        return contents.points_of(path)


def contents_of(path: Path, point: str = "") -> Contents | None:
    """What the files of a result hold; None if there is none.

    Raises:
        RequestError: as :func:`load`.
    """
    with folders.reading(path):
        if not (path / MANIFEST).exists():
            return None
        return contents.read_point(path, point) if point else contents.read(path)


def load(path: Path, point: str = "") -> Result | None:
    """The result at an address; None if there is none.

    Raises:
        RequestError: a file is missing, cut short or altered (which one, and what to do).
    """
    found = contents_of(path, point)
    if found is None:
        return None
    with folders.naming_damage(path):
        table = found.table()
    about = {"point": point, "published": path.parent == PUBLISHED}
    return Result(path, found.manifest, metrics=table, **found.arrays, **about)


def manifest_of(path: Path, point: str = "") -> dict[str, Any]:
    """The manifest of the result at an address.

    Raises:
        RequestError: it is missing or damaged.
    """
    with folders.reading(path):
        return contents.read_manifest(path, point)


def load_of(place: Path, own: AnySettings) -> Result | None:
    """The result of these settings in a place; None if there is none.

    Raises:
        RequestError: as :func:`load`.
    """
    return load(*locate(place, own))


def sources(own: AnySettings) -> list[Result]:
    """The results of these settings that there are: this machine's, then the published one."""
    return [one for place in (here(), PUBLISHED) if (one := load_of(place, own))]


def best(own: AnySettings) -> Result | None:
    """This machine's result where there is one, else the published one.

    Of two that are as far it is the one with more trials.
    """
    mine, published = load_of(here(), own), load_of(PUBLISHED, own)
    if mine and published and mine.manifest["steps_done"] == published.manifest["steps_done"]:
        return fullest((mine, published))
    return mine or published


def fullest(found: Iterable[Result]) -> Result:
    """Of several results the complete one, then that of more trials, then the first."""
    return max(found, key=lambda one: (one.complete, len(one.seed)))


def read_files(result: Result, names: Iterable[str]) -> dict[str, bytes]:
    """Files of a result by name, as its manifest has them.

    Raises:
        RequestError: one is missing, cut short or altered.
    """
    with folders.naming_damage(result.folder):
        return folders.checked(result.folder, result.manifest["files"], names)


def checkpoints(result: Result) -> list[str]:
    """Names of the checkpoints that belong to a result: a published partial one has them."""
    return [name for name in result.manifest["files"] if name.endswith(".safetensors")]


def checkpoint_files(place: Path, own: AnySettings) -> list[Path]:
    """The checkpoints of these settings in a place, of training that is on its way too."""
    path, point = locate(place, own)
    places = {folder(place, own) / CHECKPOINTS, path / CHECKPOINTS / point}
    return [file for one in sorted(places) for file in sorted(one.glob("*.safetensors"))]


def write(
    path: Path, manifest: Mapping[str, Any], trajectory: Mapping[str, np.ndarray], metrics: str
) -> None:
    """Store a result in a folder of its own, as :func:`semantica_lib.store.folders.store` does."""
    folders.store(path, contents.packed(Contents(dict(manifest), dict(trajectory), metrics)))


def state(place: Path, own: AnySettings) -> str:
    """A result's state in a few words.

    ``missing``; ``interrupted at step 7,000 of 150,000``; ``complete, 150,000 steps, 10 trials``;
    ``complete as asked: 5 of the experiment's 150,000 steps, 10 trials`` where these settings ask
    for no more; ``partial, at step 20,000 of 500,000, 10 trials``, with ``, complete as asked``
    where no more were asked for then; these with ``; interrupted at step 25,000`` where training
    goes on, ``(1 of 10 trials diverged: ...)``, ``(stale: ...)`` and ``(from a tree with
    uncommitted changes)``; ``damaged: ...``.
    """
    full = full_steps(own)
    try:
        result = load_of(place, own)
        if result and result.published:
            read_files(result, checkpoints(result))
        files = checkpoint_files(place, own)
        begun = {int(load_checkpoint(file)[0]["step"]) for file in files}
    except RequestError as error:
        return f"damaged: {error}"
    if result is None:
        return f"interrupted at step {min(begun):,} of {full:,}" if begun else "missing"
    done, trials = result.manifest["steps_done"], len(result.seed)
    words = f"complete, {done:,} steps, {trials} trials"
    if not result.complete and result.covers(own):
        words = f"complete as asked: {done:,} of the experiment's {full:,} steps, {trials} trials"
    elif not result.complete:
        then = ", complete as asked" * (result.settings.steps <= done)
        words = f"partial, at step {done:,} of {full:,}, {trials} trials{then}"
    if begun - {done}:
        words += f"; interrupted at step {min(begun - {done}):,}"
    words += f" ({result.divergence})" if result.divergence else ""
    words += f" (stale: {result.stale})" if result.stale else ""
    tree = {True: "with uncommitted changes", None: "that git could not check"}.get(result.dirty)
    return words + f" (from a tree {tree})" * bool(tree)
