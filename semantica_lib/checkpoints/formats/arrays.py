"""NumPy's .npz, and single .npy files beside a gensim model."""

import zipfile
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import (
    Tensor,
    exactly,
    member_offset,
    stored,
    swells,
    whole,
)


def read(place: Place, file: str, archive: zipfile.ZipFile) -> Contents:
    """All arrays of an archive; those of objects are left out, since they are pickles."""
    tensors: dict[str, Tensor] = {}
    made = Contents("npz", tensors)
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        packed, size = member.compress_size, member.file_size
        if name == member.filename:
            continue
        if swells(packed, size):
            raise ValueError(f"{name} would swell from {packed:,} bytes to {size:,}")
        with archive.open(member) as opened:
            shape, columns, dtype = _header(opened)
            begin = opened.tell()
        if dtype.hasobject:
            made.warnings.append(f"{name} holds objects, a pickle, which is not opened")
        elif begin + dtype.itemsize * int(np.prod(shape, dtype=np.int64)) != size:
            raise EOFError(f"{name} is cut, or longer than its shape")
        elif columns or member.compress_type != zipfile.ZIP_STORED:

            def load(member=member, begin=begin, shape=shape, columns=columns, dtype=dtype):
                with place.open(file) as opened, zipfile.ZipFile(opened) as again:
                    data = again.read(member)[begin:]
                return np.frombuffer(data, dtype).reshape(shape, order="F" if columns else "C")

            tensors[name] = whole(name, shape, dtype.name, load)
        else:
            offset = member_offset(place, file, member) + begin
            tensors[name] = stored(place, file, offset, name, shape, dtype.name)
    return made


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    return (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)


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
