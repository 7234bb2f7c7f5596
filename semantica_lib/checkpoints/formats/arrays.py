"""NumPy's .npz, and single .npy files beside a gensim model."""

import zipfile
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import CHUNK, Tensor, exactly, stored, swells, whole


def read(place: Place, file: str, archive: zipfile.ZipFile) -> Contents:
    """All arrays of an archive; those of objects are left out, since they are pickles."""
    made: dict[str, Tensor] = {}
    warnings = []
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            continue
        name = member.filename.removesuffix(".npy")
        if swells(member.compress_size, member.file_size):
            raise ValueError(
                f"{name} would swell from {member.compress_size:,} bytes to {member.file_size:,}"
            )
        with archive.open(member) as opened:
            shape, columns, dtype = _header(opened)
            begin = opened.tell()
        if dtype.hasobject:
            warnings.append(f"{name} holds objects, a pickle, which is not opened")
            continue
        if begin + dtype.itemsize * int(np.prod(shape, dtype=np.int64)) != member.file_size:
            raise EOFError(f"{name} is cut, or longer than its shape")
        made[name] = _member(place, file, member, name, begin, shape, columns, dtype)
    return Contents("npz", made, warnings=warnings)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    return (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)


def _member(
    place: Place, file: str, member: zipfile.ZipInfo, name: str, begin: int,
    shape: tuple[int, ...], columns: bool, dtype: np.dtype,
) -> Tensor:  # fmt: skip
    width = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))

    def rows(start: int, stop: int) -> np.ndarray:
        with place.open(file) as opened, zipfile.ZipFile(opened) as archive:
            with archive.open(member) as inside:
                inside.seek(begin + start * width)
                data = _all(inside, (stop - start) * width)
        return np.frombuffer(data, dtype).reshape(-1, *shape[1:])

    def turned() -> np.ndarray:
        with place.open(file) as opened, zipfile.ZipFile(opened) as archive:
            with archive.open(member) as inside:
                inside.seek(begin)
                data = _all(inside, dtype.itemsize * int(np.prod(shape)))
        return np.frombuffer(data, dtype).reshape(shape, order="F")

    if columns or member.compress_type != zipfile.ZIP_STORED:
        load: Callable[[], np.ndarray] = turned if columns else (lambda: rows(0, shape[0]))
        return whole(name, shape, dtype.name, load)
    return Tensor(name, shape, dtype.name, rows, place=(file, member.header_offset))


def _all(file: BinaryIO, count: int) -> bytes:
    """So many bytes of a member, which is known to hold them."""
    parts = []
    while count and (part := file.read(min(count, CHUNK))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def single(place: Place, file: str, name: str) -> Tensor:
    """The array of an .npy file."""
    with place.open(file) as opened:
        shape, columns, dtype = _header(opened)
        begin = opened.tell()
    if dtype.hasobject:
        raise ValueError(f"{file} holds objects, a pickle, which is not opened")
    if not columns:
        return stored(place, file, begin, name, shape, dtype.name)

    def load() -> np.ndarray:
        with place.open(file) as opened:
            opened.seek(begin)
            data = exactly(opened, dtype.itemsize * int(np.prod(shape)))
        return np.frombuffer(data, dtype).reshape(shape, order="F")

    return whole(name, shape, dtype.name, load)
