"""An array in a checkpoint: what is known of it unread, and rows of it when they are wanted."""

import functools
import math
import struct
import zipfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semantica_lib.checkpoints.place import Place
from semantica_lib.errors import RequestError

CHUNK = 1 << 21  # bytes that are read at a time
SWELL, SWELL_BYTES = 200, 1 << 26  # compressed data may grow so much, once it is so large

Rows = Callable[[int, int], np.ndarray]
SIZES = {  # bytes of a number; those that NumPy has no type for are read as they can be
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2,
    "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1, "float8_e4m3fn": 1,
    "float8_e5m2": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """Its name, shape and type as the file has them.

    ``rows(a, b)`` reads the stored rows from a to b: floats as they are (bfloat16 as float32,
    which holds all its values), quantised ones as the float32 that they stand for. ``steps(a, b)``
    are the widths of a quantised value's step. Two names over one storage have one ``place``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rows: Rows = field(repr=False)
    steps: Rows | None = field(default=None, repr=False)
    place: Hashable = None

    @property
    def at_once(self) -> int:
        """So many rows are read together."""
        return max(1, CHUNK // max(1, 4 * math.prod(self.shape[1:])))


def exactly(file: Any, count: int) -> bytes:
    """So many bytes.

    Raises:
        EOFError: the file ends before.
    """
    data = file.read(count) if count < CHUNK or _left(file) >= count else b""
    if len(data) != count:
        raise EOFError("the file is cut: it ends before what it announces")
    return data


def _left(file: Any) -> int:
    """Bytes to the end, so that a number in a file never makes room for more than the file has."""
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


def member_offset(place: Place, file: str, member: zipfile.ZipInfo) -> int:
    """Where the data of a zip's stored member begin; its own header tells."""
    with place.open(file) as opened:
        opened.seek(member.header_offset + 26)
        return member.header_offset + 30 + sum(struct.unpack("<HH", exactly(opened, 4)))


def numbers(data: bytes, dtype: str) -> np.ndarray:
    """Little-endian numbers.

    Raises:
        RequestError: of a type whose values are not read.
    """
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype.startswith("float8"):
        raise RequestError(f"values of type {dtype} are not read; save the table as bfloat16")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


def stored(
    place: Place, file: str, offset: int, name: str, shape: tuple[int, ...], dtype: str
) -> Tensor:
    """An array whose rows lie one after the other in a file.

    Raises:
        EOFError: the file ends before the array does.
    """
    width = math.prod(shape[1:]) * SIZES[dtype]
    if offset + math.prod(shape) * SIZES[dtype] > place.sizes[file]:
        raise EOFError(f"the file is cut: {name} ends after it does")

    def rows(start: int, stop: int) -> np.ndarray:
        with place.open(file) as opened:
            opened.seek(offset + start * width)
            data = exactly(opened, max(0, stop - start) * width)
        return numbers(data, dtype).reshape(-1, *shape[1:])

    return Tensor(name, shape, dtype, rows, place=(file, offset, shape))


def whole(name: str, shape: tuple[int, ...], dtype: str, load: Callable[[], np.ndarray]) -> Tensor:
    """An array that can only be read as a whole; it is, once."""
    loaded = functools.cache(load)
    return Tensor(name, shape, dtype, lambda start, stop: loaded()[start:stop])


def scaled(
    table: Tensor, scale: Tensor, factor: float = 1.0, offset: Tensor | None = None
) -> Tensor:
    """A quantised table with its scale a row: ``(table - offset) * scale * factor``."""
    count, length = table.shape[0], math.prod(scale.shape)
    if length not in (1, count):
        raise ValueError(f"{scale.name} has {length:,} scales for {count:,} rows")

    @functools.cache
    def column(of: Tensor) -> np.ndarray:
        values = of.rows(0, of.shape[0] if of.shape else 1).reshape(-1, 1)
        return np.broadcast_to(values.astype(np.float32), (count, 1))

    def rows(start: int, stop: int) -> np.ndarray:
        values = table.rows(start, stop).astype(np.float32)
        values = values - column(offset)[start:stop] if offset else values
        return values * (column(scale)[start:stop] * np.float32(factor))

    def steps(start: int, stop: int) -> np.ndarray:
        return np.abs(column(scale)[start:stop] * factor)

    return Tensor(table.name, table.shape, table.dtype, rows, steps, table.place)


def swells(packed: int, unpacked: int) -> bool:
    """Whether compressed data grows as no table of numbers does."""
    return unpacked > SWELL_BYTES and unpacked > SWELL * packed
