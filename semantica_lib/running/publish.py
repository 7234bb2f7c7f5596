"""Publishing: this machine's results copied into those that the book ships.

A result is published where it is published now; else in the folder of its experiment, if it has the
settings of one; else in that of the sweep that asks most of it; else in a folder of its own.
"""

import fcntl
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.running.groups import read_group
from semantica_lib.settings.catalogue import AnySettings, changes, run_command, settings
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store import archive, contents, folders, results
from semantica_lib.store.contents import Contents
from semantica_lib.store.folders import MANIFEST, METRICS, PLAIN_METRICS, TRAJECTORY
from semantica_lib.store.locks import holding
from semantica_lib.store.manifest import CHECKPOINTS, key_of, of_sweep
from semantica_lib.store.provenance import provenance, why_unknown
from semantica_lib.store.results import Result

LIMIT = 40_000_000  # bytes of all that is published but checkpoints: it is in everybody's checkout


def publish(
    wanted: Sequence[AnySettings], bare: bool = False, records: int | None = None
) -> list[Path]:
    """Copy this machine's results into the book's; all of them, or after a refusal none.

    A published result that has all trials of the one here, at its steps, and more is left as it is.

    A partial result takes its checkpoints along, so that any machine can go on from it. A complete
    one has none, and those of its partial forerunner are removed. A kill at any moment leaves each
    folder as it was or as it is to be.

    Args:
        bare: leave the checkpoints of partial results out.
        records: publish at most about so many of a result's records and measurements: all of the
            schedule's last period, and of those before evenly spaced ones.

    Returns:
        The folders into which they were copied.

    Raises:
        RequestError: there is no such result, its checkpoints are not those of its step or are
            being trained, it or the working tree differs from any commit or git cannot tell, a
            published trial would be lost, or all that is published would be too large.
    """
    with folders.alone(results.PUBLISHED, fcntl.LOCK_EX):
        new: dict[Path, dict[str, Contents]] = {}
        left = {}
        for own in wanted:
            path, point = _home(own)
            if _has_more(own):
                left[path.name] = None
            else:
                new.setdefault(path, {})[point] = _taken(own, bare, records)
        if left:
            why = "what is published there has all trials of what is here, and more or further ones"
            print(f"semantica: note: {', '.join(left)} left as published: {why}", file=sys.stderr)
        packed = {path: _packed(path, some) for path, some in new.items()}
        _refuse_tree(provenance()["dirty"])
        _refuse_too_much(packed)
        for target, files in packed.items():
            folders.store(target, files)
            _remove_others(target, files)
        for path, manifest in _outdated():
            folders.store(path, {MANIFEST: folders.text_of(manifest)})
        return list(packed)


def _refuse_tree(dirty: bool | None) -> None:
    if dirty is None:
        raise RequestError(
            f"git cannot tell what tree this is ({why_unknown()}); publish from a clone of your own"
        )
    if dirty and archive.commit(ROOT):
        raise RequestError(
            "what is here is not the commit that this archive carries; unpack it anew to publish"
        )
    if dirty:
        raise RequestError(
            "the working tree has changes in the library, its settings or the lock; commit them "
            "before publishing"
        )


def refuse_nameless(wanted: Sequence[AnySettings]) -> None:
    """Refuse, by a RequestError, settings that no experiment and no sweep of the project has."""
    for own in wanted:
        if getattr(own, "scheme", None):
            raise RequestError(
                "what is published is the project's, and a scheme of one's own is not: make it a "
                "class in semantica_lib/models/ties.py, with a word, as CONTRIBUTING.md tells"
            )
        home, _ = _home(own)
        if home.name not in (own.experiment, *sweeps()) and not folders.is_there(home):
            what = " with ".join(filter(None, [own.experiment, ", ".join(changes(own))]))
            raise RequestError(
                f"{what} has no name, as all that is published has: write it to notebooks/"
                "experiments/NAME.yaml, or a sweep with it to notebooks/sweeps/NAME.yaml; then "
                "`semantica run NAME` and `semantica publish NAME`"
            )


def told() -> str:
    """How much is published of what may be, and what is left."""
    done, limit = sum(_sizes().values()) / 1e6, LIMIT / 1e6
    return f"{done:.1f} of {limit:g} MB published, {limit - done:.1f} left"


def _has_more(own: AnySettings) -> bool:
    """Whether the published result has all trials of the one here and is further, or has others.

    Where either has trials that the other lacks, those published would be lost: a RequestError.
    """
    ours, theirs = (results.load_of(place, own) for place in (results.here(), results.PUBLISHED))
    if ours is None or theirs is None:
        return False
    if (lost := theirs.held - ours.held) and ours.held - theirs.held:
        told = "; ".join(f"seed {seed}, {tie}" for seed, tie in sorted(lost))
        raise RequestError(
            f"{own.experiment} is published with trials that are not here ({told}), and here are "
            f"others; `{run_command(own)} --set 'seeds={sorted({seed for seed, _ in lost})}'` "
            "trains them here too"
        )
    here, there = ours.manifest["steps_done"], theirs.manifest["steps_done"]
    return ours.held <= theirs.held and here <= there and (ours.held, here) != (theirs.held, there)


def _home(own: AnySettings) -> tuple[Path, str]:
    """The address at which a result is published."""
    path, point = results.locate(results.PUBLISHED, own)
    if folders.is_there(path) or path.name == own.experiment:
        return path, point
    asking = {
        name: len(one.seeds) * len(one.ties) * one.steps
        for name, file in sweeps().items()
        for _, one in points(read(file))
        if one.settings_hash == own.settings_hash
    }
    if not asking:
        return path, point
    return results.PUBLISHED / max(asking, key=asking.__getitem__), key_of(own)


def _taken(own: AnySettings, bare: bool, records: int | None) -> Contents:
    """What is to be published of this machine's result."""
    result = results.load_of(results.here(), own)
    if result is None:
        raise RequestError(f"{own.experiment} has no result here; train it by `{run_command(own)}`")
    if result.dirty is not False:
        how = {
            True: "with uncommitted changes; train again with --fresh",
            None: "in a tree that git could not check (within another repository, of another "
            "owner, without git); train again with --fresh in a clone of your own",
        }
        raise RequestError(f"{own.experiment} was trained {how[result.dirty]}")
    found = results.contents_of(*result.address)
    if records is not None:
        found = contents.thinned(found, records)
    if not result.complete and not bare:
        found = found._replace(checkpoints=_checkpoints(own, result))
    return found


def _packed(path: Path, new: Mapping[str, Contents]) -> dict[str, bytes]:
    """The files of a published folder with its new result, or new points by their keys."""
    if "" in new:
        return contents.packed(new[""])
    found = _held(path) | new
    labels = {
        key: ", ".join(changes(settings(one.manifest["settings"]))) for key, one in found.items()
    }
    labels |= {key_of(own): label for label, own in _points(path.name)}
    manifests = {key: one.manifest for key, one in found.items()}
    return contents.packed_points(of_sweep(path.name, manifests, labels), found)


def _held(path: Path) -> dict[str, Contents]:
    """What the folder of a published sweep has of its points, by their keys."""
    found = {}
    for where, key in results.addresses(results.PUBLISHED):
        if where == path:
            one, result = results.contents_of(path, key), results.load(path, key)
            files = results.read_files(result, results.checkpoints(result))
            kept = {Path(name).name: data for name, data in files.items()}
            found[key] = one._replace(checkpoints=kept)
    return found


def _points(name: str) -> list[tuple[str, AnySettings]]:
    """The points of a named sweep, each with its varied settings in words."""
    found = points(read(sweeps()[name])) if name in sweeps() else []
    return [
        (", ".join(f"{name}={json.dumps(value)}" for name, value in varied.items()), own)
        for varied, own in found
    ]


def _outdated() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Manifests of published sweeps that do not say yet where their other points lie."""
    for path in sorted({path for path, point in results.addresses(results.PUBLISHED) if point}):
        elsewhere = {}
        for label, own in _points(path.name):
            where, _ = results.locate(results.PUBLISHED, own)
            if where != path and folders.is_there(where):
                elsewhere[key_of(own)] = {"label": label, "folder": where.name}
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["elsewhere"] != elsewhere:
            yield path, manifest | {"elsewhere": elsewhere}


def _checkpoints(own: AnySettings, result: Result) -> dict[str, bytes]:
    """The checkpoints of a partial result, each at its step, together of all its trials."""
    done, files, trials = result.manifest["steps_done"], {}, set()
    with holding(results.folder(results.here(), own)):
        for path in results.checkpoint_files(results.here(), own):
            group = read_group(path, own)
            if group.step == done and set(group.trials) <= result.held:
                files[path.name] = path.read_bytes()
                trials |= set(group.trials)
    if trials != result.held:
        raise RequestError(
            f"{own.experiment} is partial, at step {done:,}, and its checkpoints are gone or not "
            f"of that step; complete it by `{run_command(own)}`, or go on to some step "
            "by `--set steps=N`"
        )
    return files


def _replaced(target: Path) -> list[Path]:
    """What a folder has of the files of results, and what killed processes left there."""
    names = (MANIFEST, TRAJECTORY, METRICS, PLAIN_METRICS, "*.part", "*.new", f"{CHECKPOINTS}/**/*")
    found = {file for name in names for file in target.glob(name) if file.is_file()}
    return sorted(found)


def _remove_others(target: Path, files: Mapping[str, bytes]) -> None:
    """Remove what results had in a folder before."""
    for file in _replaced(target):
        if file.relative_to(target).as_posix() not in files:
            file.unlink()
    for folder in sorted(target.glob(f"{CHECKPOINTS}/**"), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _sizes() -> dict[Path, int]:
    """The bytes of each published file, without checkpoints."""
    files = (path for path in results.PUBLISHED.rglob("*") if path.is_file())
    return {path: path.stat().st_size for path in files if CHECKPOINTS not in path.parts}


def _refuse_too_much(packed: Mapping[Path, Mapping[str, bytes]]) -> None:
    sizes = _sizes()
    for target in packed:
        for path in _replaced(target):
            sizes.pop(path, None)
    new = {
        path.name: sum(len(data) for name, data in files.items() if CHECKPOINTS not in name)
        for path, files in packed.items()
    }
    kept = sum(sizes.values())
    if kept + sum(new.values()) > LIMIT:
        added = ", ".join(f"{name} ({size / 1e6:.2f} MB)" for name, size in new.items())
        raise RequestError(
            f"{added} beside the {kept / 1e6:.2f} MB that stay in {results.PUBLISHED} would exceed "
            f"the {LIMIT / 1e6:g} MB that may be published; thin what you publish by --records N"
        )
