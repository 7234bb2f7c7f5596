"""A folder of files that its manifest names with their sha256: read whole and replaced whole."""

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT, naming_links, write_whole

MANIFEST, TRAJECTORY, METRICS = "manifest.json", "trajectory.npz", "metrics.csv.gz"
PLAIN_METRICS = "metrics.csv"  # as results of an earlier version have them

UNPACKING = (zipfile.BadZipFile, zlib.error)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Read a folder while no other process replaces what is in it.

    Raises:
        RequestError: what is read in the meantime is damaged (what of it, and what to do).
    """
    kind = fcntl.LOCK_EX if _moving(path) else fcntl.LOCK_SH
    with naming_damage(path), alone(path, kind):
        _roll_forward(path)
        yield


@contextlib.contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Whatever is wrong with the files of a folder is told in a line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise _damaged(path, f"{Path(error.filename).name} is missing") from None
    except (KeyError, TypeError, ValueError, OSError, EOFError, *UNPACKING) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, reason: str) -> RequestError:
    reason = " ".join(reason.split())
    how = remedy(path, "train again with --fresh")
    return RequestError(f"the result in {path} is damaged ({reason}); {how}")


def remedy(path: Path, else_: str) -> str:
    """What brings back a damaged file or folder: git, where the project ships it."""
    if path.is_relative_to(ROOT / "book"):
        command = ["git", "-C", str(ROOT), "checkout", "--", str(path.relative_to(ROOT))]
        return f"`{shlex.join(command)}` brings it back"
    return else_


def is_there(path: Path) -> bool:
    """Whether a folder has a manifest, or is about to."""
    return (path / MANIFEST).exists() or _moving(path)


def stamp(path: Path, names: Iterable[str] = (MANIFEST,)) -> tuple:
    """What changes whenever one of these files is replaced."""
    stats = [(path / name).stat() for name in names]
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in stats)


def checked(path: Path, digests: Mapping[str, str], names: Iterable[str]) -> dict[str, bytes]:
    """Files by name.

    Raises:
        ValueError: one does not match its digest.
    """
    files = {name: (path / name).read_bytes() for name in names}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != digests[name]:
            raise ValueError(f"{name} does not match its sha256")
    return files


def pack(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files by name, with the manifest that holds the sha256 of the others as last."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {**files, MANIFEST: text_of({**manifest, "files": digests})}


def text_of(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as its file has it."""
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()


def store(path: Path, packed: Mapping[str, bytes]) -> None:
    """Store packed files. A kill at any moment leaves the old ones or the new, never a mixture.

    The files are written under other names; naming the new manifest ``manifest.json.new`` is the
    moment from which the new ones count, and whoever finds that name completes the moves.
    """
    with naming_links(path):
        for name in packed:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
        with alone(path, fcntl.LOCK_EX):
            for name, data in packed.items():
                write_whole(path / f"{name}.new", data)
            _roll_forward(path)
            (path / MANIFEST).stat()  # else all of it vanished before it was in its place


def _moving(path: Path) -> bool:
    """Whether new files have begun to take the place of older ones."""
    return (path / f"{MANIFEST}.new").exists()


def _roll_forward(path: Path) -> None:
    if _moving(path):
        names = json.loads((path / f"{MANIFEST}.new").read_text(encoding="utf-8"))["files"]
        if PLAIN_METRICS not in names:
            (path / PLAIN_METRICS).unlink(missing_ok=True)
        for name in (*names, MANIFEST):
            with contextlib.suppress(FileNotFoundError):  # moved by now
                os.replace(path / f"{name}.new", path / name)


@contextlib.contextmanager
def alone(path: Path, kind: int) -> Iterator[None]:
    """Hold a folder against others that store in it or read it, where it can be locked."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            folder = os.open(path, os.O_RDONLY)
            held.callback(os.close, folder)
            fcntl.flock(folder, kind)
        yield
