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

MANTISSA = {  # bits of a float after the point, and the exponent of its least normal number
    "float16": (10, -14), "bfloat16": (7, -126), "float8_e4m3fn": (3, -6), "float8_e5m2": (2, -14),
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
    if dtype == "float8_e5m2":  # the upper half of a float16
        return (np.frombuffer(data, np.uint8).astype("<u2") << 8).view("<f2").astype(np.float32)
    if dtype == "float8_e4m3fn":  # as a float16, but for 8 in the exponent, and its NaN is all ones
        bits = np.frombuffer(data, np.uint8).astype("<u2")
        made = ((bits & 128) << 8 | (bits & 127) << 7).view("<f2").astype(np.float32) * 256
        made[bits & 127 == 127] = np.nan
        return made
    if dtype not in SIZES:
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
    """A quantised table with its scale: ``(table - offset) * scale * factor``.

    There is one scale, or one a row; or one a group of columns, or a block of 128 by 128.
    """

    @functools.cache
    def spread(of: Tensor) -> tuple[np.ndarray, int]:
        """Its values [groups of rows, groups of columns], and how many rows a group has."""
        values = of.rows(0, of.shape[0] if of.shape else 1).astype(np.float32)
        values = values.reshape((-1, 1) if len(of.shape) < 2 else of.shape)
        sizes = [_group(*both) for both in zip(table.shape, values.shape, strict=True)]
        if not all(sizes):
            shapes = [" x ".join(f"{n:,}" for n in one) for one in (values.shape, table.shape)]
            raise RequestError(f"{of.name} has {shapes[0]} scales, {table.name} {shapes[1]} values")
        return np.repeat(values, sizes[1], axis=1)[:, : table.shape[1]], sizes[0]

    def beside(of: Tensor, start: int, stop: int) -> np.ndarray:
        values, size = spread(of)
        return values[np.arange(start, stop) // size]

    def rows(start: int, stop: int) -> np.ndarray:
        values = table.rows(start, stop).astype(np.float32)
        values = values - beside(offset, start, stop) if offset else values
        return values * (beside(scale, start, stop) * np.float32(factor))

    def steps(start: int, stop: int) -> np.ndarray:
        return np.abs(beside(scale, start, stop) * factor) * (
            float_steps(table.rows(start, stop), table.dtype) if "float" in table.dtype else 1
        )

    return Tensor(table.name, table.shape, table.dtype, rows, steps, table.place)


def _group(count: int, groups: int) -> int:
    """How many of so many share a scale, 0 if it cannot be told."""
    if -(-count // 128) == groups:
        return 128
    return count // groups if groups and count % groups == 0 else 0


def float_steps(values: np.ndarray, dtype: str) -> np.ndarray:
    """How far floats of a type may lie from what they were rounded to, [row, column]."""
    bits, least = MANTISSA.get(dtype, (23, -126))
    return np.maximum(np.abs(values), 2.0**least) * 2.0**-bits


def swells(packed: int, unpacked: int) -> bool:
    """Whether compressed data grows as no table of numbers does."""
    return unpacked > SWELL_BYTES and unpacked > SWELL * packed
