"""Where the project lies, and files that are whole or absent."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the checkout, from wherever it is used


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
