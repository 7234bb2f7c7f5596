"""What made a result: commit, sources, versions, and the device that did the arithmetic."""

import contextlib
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.machinery import all_suffixes
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semantica_lib.files import ROOT
from semantica_lib.store import archive

# Raised when the stored 100-step reference trajectories change beyond tolerance: results of an
# older number are shown as stale.
NUMERICS = 1
SOURCES = "settings", "datasets", "models", "trainers"
# How a commit is told that may not be what a tree was; None: git could not tell.
UNSURE = {False: "", True: " with uncommitted changes", None: ", not checked by git"}
LIBRARY = "semantica_lib"
# What makes a result: the library, settings and the lock. Notebooks and pages only show it.
MAKING = LIBRARY, "notebooks/experiments", "notebooks/sweeps", "constraints.txt", "pyproject.toml"
CODE = {".cpp", ".h", ".py"}
KINDS = {*all_suffixes(), *CODE, ".yaml"}  # of new files that would be read, if they lay there


class _Unknown(Exception):
    """Git cannot tell the commit of this tree, and why."""


def provenance() -> dict[str, Any]:
    """Commit, whether what makes a result differs from it (None: unknown), sources, versions."""
    packages = (
        "torch", "numpy", "pandas", "safetensors", "pydantic", "accelerate", "tokenizers",
    )  # fmt: skip
    return {
        "commit": commit(),
        "dirty": _dirty(),
        "source_sha256": _sources(),
        "numerics": NUMERICS,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def commit() -> str | None:
    """The commit; where git cannot tell it, as in a container, ``SEMANTICA_COMMIT`` may name it."""
    try:
        return _head()
    except _Unknown:
        told = os.environ.get("SEMANTICA_COMMIT", "")
        return told if re.fullmatch("[0-9a-f]{7,64}", told) else None


def why_unknown() -> str:
    """Why git cannot tell the commit of this tree; empty if it can."""
    try:
        _committed()
    except _Unknown as reason:
        return str(reason)
    return ""


def any_dirty(*trees: bool | None) -> bool | None:
    """Of what several trees made: True if one had changes, else None if one is not known."""
    return True if True in trees else None if None in trees else False


def was_dirty(checkpoint: Mapping[str, str]) -> bool | None:
    """What a checkpoint says of its trees; an earlier version took unknown ones for clean."""
    if checkpoint["dirty"] == "false" and "unknown" not in checkpoint["commit"]:
        return False
    return True if checkpoint["dirty"] == "true" else None


def device_name(device: str) -> str:
    """What does the arithmetic, in words: the GPU's or the processor's name."""
    if device.startswith("cuda"):
        import torch  # it takes a second

        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"cpu: {line.partition(':')[2].strip()}"
    return f"cpu: {platform.processor() or platform.machine()}"


def listed(*words: str) -> str:
    """Lists of commits or devices as one, ``abc, def``: in their order, none of them twice."""
    return ", ".join(dict.fromkeys(word for some in words for word in some.split(", ") if word))


def _head() -> str:
    """The commit that is checked out here, or that an archive carries; raises _Unknown."""
    if carried := archive.commit(ROOT):
        return carried
    top, _, head = _git("rev-parse", "--show-toplevel", "HEAD").rstrip("\n").rpartition("\n")
    if not os.path.samefile(top, ROOT):
        raise _Unknown(f"it lies inside another repository, {top}")
    if not _git("ls-tree", head, "--", LIBRARY):
        raise _Unknown(f"the repository here has no {LIBRARY} in its commit")
    return head


def _dirty() -> bool | None:
    """Whether what makes a result differs from the commit; None if git cannot tell.

    Files are compared with the commit itself: git's index, its list of changes and what it ignores
    can be told to leave some out.
    """
    try:
        committed = _committed()
    except _Unknown:
        return None
    here = (file for part in MAKING for file in _files(ROOT / part, KINDS))
    names = {*committed, *(file.relative_to(ROOT).as_posix() for file in here)}
    return any(name not in committed or _differs(name, committed[name]) for name in names)


def _committed() -> dict[str, str]:
    """The digests that the commit has of what makes a result, by name; raises _Unknown."""
    head = _head()
    if archive.commit(ROOT):
        parts = tuple(f"{part}/" for part in MAKING)
        files = archive.committed(ROOT).items()
        return {name: blob for name, blob in files if f"{name}/".startswith(parts)}
    entries = _git("ls-tree", "-r", "-z", head, "--", *MAKING).split("\0")
    named = (entry.partition("\t") for entry in entries if entry)
    return {name: about.split()[2] for about, _, name in named}


def _differs(name: str, digest: str) -> bool:
    """Whether a file is not the one of which git has this digest."""
    try:
        data = (ROOT / name).read_bytes()
    except OSError:
        return True
    texts = data, data.replace(b"\r\n", b"\n")  # as git may have been told to write lines
    return digest not in {archive.digest("blob", text, digest) for text in texts}


def _git(*arguments: str) -> str:
    """What git answers of this tree, whatever the environment says to it; raises _Unknown."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-replace-objects", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(
            command, env=clean | {"LC_ALL": "C"}, capture_output=True, check=False
        )
    except OSError as error:
        raise _Unknown(f"git does not start: {error.strerror}") from None
    if done.returncode:
        reason = os.fsdecode(done.stderr).strip().partition("\n")[0]
        raise _Unknown(reason.removeprefix("fatal: ") or "git fails")
    return os.fsdecode(done.stdout)


def _sources() -> str:
    """sha256 of the code that decides what a trial does."""
    digest = hashlib.sha256()
    base = ROOT / LIBRARY
    for source in SOURCES:
        for file in sorted(_files(base / source, CODE)):
            digest.update(file.relative_to(base).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _files(folder: Path, kinds: set[str]) -> Iterator[Path]:
    """The files of some kinds in a folder, without hidden ones and what Python keeps beside."""
    for file in folder.rglob("*"):
        hidden = any(
            part.startswith((".", "__pycache__")) for part in file.relative_to(folder).parts
        )
        if file.suffix in kinds and not hidden and file.is_file():
            yield file
