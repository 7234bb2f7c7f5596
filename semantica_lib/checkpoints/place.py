"""Where a checkpoint's files lie: a folder of this machine or a hub; they are read in parts."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from semantica_lib.errors import RequestError

JSON_BYTES = 25_000_000  # a config, an index or a tokenizer is smaller


@dataclass(frozen=True)
class Place:
    """Files by name, with their sizes in bytes; ``chosen`` is the one that was asked for."""

    label: str
    sizes: Mapping[str, int]
    open: Callable[[str], BinaryIO]
    chosen: str = ""

    def within(self, folder: str) -> "Place":
        """The same below one folder of it."""
        sizes = {
            name.removeprefix(folder): size
            for name, size in self.sizes.items()
            if name.startswith(folder)
        }
        return replace(self, sizes=sizes, open=lambda name: self.open(folder + name))

    def json(self, name: str) -> dict[str, Any]:
        """A file's JSON object; empty where there is no such file.

        Raises:
            RequestError: it is too large, or no JSON object.
        """
        if name not in self.sizes:
            return {}
        if self.sizes[name] > JSON_BYTES:
            raise RequestError(f"{self.label}: {name} has {self.sizes[name]:,} bytes; too many")
        with self.open(name) as file:
            return json_object(file.read(), f"{self.label}: {name}")


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object from its bytes.

    Raises:
        RequestError: it is none, or names one key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ValueError("a name stands there twice")
        return made

    try:
        found = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{what} is no JSON ({error}); fetch it anew") from None
    if not isinstance(found, dict):
        raise RequestError(f"{what} is no JSON object; fetch it anew")
    return found


def local(path: Path) -> Place:
    """A folder, or a file with those beside it.

    Raises:
        RequestError: it cannot be listed, or is neither.
    """
    root = path if path.is_dir() else path.parent
    try:
        sizes = {one.name: one.stat().st_size for one in root.iterdir() if one.is_file()}
        if path == root:
            for folder in filter(Path.is_dir, root.iterdir()):
                files = filter(Path.is_file, folder.iterdir())
                sizes |= {f"{folder.name}/{one.name}": one.stat().st_size for one in files}
    except OSError as error:
        raise RequestError(f"{path}: cannot be listed ({error.strerror})") from None
    if path != root and path.name not in sizes:
        raise RequestError(f"{path}: neither a file nor a folder")

    def opened(name: str) -> BinaryIO:
        try:
            return (root / name).open("rb")
        except OSError as error:
            raise RequestError(f"{root / name}: cannot be opened ({error.strerror})") from None

    return Place(str(path), sizes, opened, "" if path == root else path.name)
