"""CTranslate2's model.bin: variables one after the other, then aliases."""

import math
import struct
from typing import BinaryIO

import numpy as np

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import SIZES, Tensor, exactly, scaled, stored

TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
ENTRIES = 1 << 20


def begins(data: bytes) -> bool:
    """Whether a file's first bytes are such a model's: a small version, a name, its end's 0."""
    version, length = struct.unpack_from("<IH", data.ljust(8, b"\0"))
    name = data[6 : 6 + length]
    return 4 <= version <= 6 and 1 < length < 60 and name[-1:] == b"\0" and name[:-1].isalnum()


def read(place: Place, file: str) -> Contents:
    """The decoder's tables; an encoder's input alone has no output."""
    tensors: dict[str, Tensor] = {}
    with place.open(file) as opened:
        _number(opened, "I")
        family = _text(opened)
        _number(opened, "I")
        for _ in range(_count(opened)):
            name, axes = _text(opened), _number(opened, "B")
            shape = tuple(_number(opened, "I") for _ in range(axes))
            kind, _ = TYPES[_number(opened, "B")], _number(opened, "I")
            tensors[name] = stored(place, file, opened.tell(), name, shape, kind)
            opened.seek(math.prod(shape) * SIZES[kind], 1)
        aliases = {_text(opened): _text(opened) for _ in range(_count(opened))}
    for name in [*tensors]:
        if f"{name}_scale" in tensors and tensors[name].dtype == "int8":
            tensors[name] = _dequantised(tensors[name], tensors[f"{name}_scale"])
    inputs = ("decoder/embeddings/weight", "decoder/embeddings_0/weight",
              "encoder/embeddings/weight", "encoder/embeddings_0/weight")  # fmt: skip
    both = tensors.keys() | aliases.keys()
    made = Contents("CTranslate2", tensors, family, aliases=aliases)
    made.input = next((name for name in inputs if name in both), "")
    made.output = next((name for name in ("decoder/projection/weight",) if name in both), "")
    made.bias = "decoder/projection/bias" if "decoder/projection/bias" in both else ""
    made.absent = "no output table", "it has no decoder/projection/weight"
    if made.output in aliases or made.input in aliases:
        made.evidence.append("CTranslate2 writes one table for any two that are equal, tied or not")
    for side, name in (
        ("decoder", "decoder/scale_embeddings"),
        ("encoder", "encoder/scale_embeddings"),
    ):
        if made.input.startswith(side) and name in tensors and tensors[name].rows(0, 1).item() == 1:
            made.scales["sqrt(d)"] = tensors.get(made.input, tensors[made.output]).shape[1] ** 0.5
    return made


def _dequantised(table: Tensor, scale: Tensor) -> Tensor:
    """CTranslate2's scales divide: 127 is a row's largest."""

    def inverse(start: int, stop: int) -> np.ndarray:
        return 1 / scale.rows(start, stop)

    return scaled(table, Tensor(scale.name, scale.shape, scale.dtype, inverse))


def _number(file: BinaryIO, form: str) -> int:
    return struct.unpack(f"<{form}", exactly(file, struct.calcsize(form)))[0]


def _count(file: BinaryIO) -> int:
    count = _number(file, "I")
    if count > ENTRIES:
        raise ValueError(f"{count:,} entries are announced")
    return count


def _text(file: BinaryIO) -> str:
    return exactly(file, _number(file, "H"))[:-1].decode()
