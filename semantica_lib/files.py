"""Where the project lies, and files that are whole or absent."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the checkout, from wherever it is used


def digest(files: Iterable[Path], of: str = "") -> str:
    """A sha256 of files, their paths and whether they are there, and of a text."""
    found = hashlib.sha256(of.encode())
    for file in files:
        found.update(str(file).encode() + (file.read_bytes() if file.exists() else b"absent"))
    return found.hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside, make it durable, then give it its name in one move."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
