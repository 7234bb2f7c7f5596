"""GGUF: llama.cpp's files, whose tables may be quantised in blocks."""

import re
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import Tensor, exactly, numbers
from semantica_lib.errors import RequestError

ENTRIES, TOKENS = 1 << 20, 1 << 24  # keys or tensors; values of an array
SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
TEXT, ARRAY = 8, 9
PLAIN = {
    0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64",
    30: "bfloat16",
}  # fmt: skip
NAMES = {
    2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 9: "q8_1", 10: "q2_k", 11: "q3_k",
    12: "q4_k", 13: "q5_k", 14: "q6_k", 15: "q8_k", 16: "iq2_xxs", 17: "iq2_xs", 18: "iq3_xxs",
    19: "iq1_s", 20: "iq4_nl", 21: "iq3_s", 22: "iq2_s", 23: "iq4_xs", 29: "iq1_m", 34: "tq1_0",
    35: "tq2_0", 39: "mxfp4", 40: "nvfp4",
}  # fmt: skip
ENCODERS = {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "t5encoder", "modern-bert"}
SPLIT = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")
SCALES = {
    "embedding_scale": "embedding_scale", "logit_scale": "logit_scale",
    "final_logit_softcapping": "final_logit_softcapping",
}  # fmt: skip


def read(place: Place, file: str) -> Contents:
    """One model, of which this file may be one of several.

    Raises:
        RequestError: it is an adapter, or a part of it is missing.
    """
    files = [file]
    if split := SPLIT.fullmatch(file):
        stem, total = split.groups()
        files = [f"{stem}-{one:05}-of-{total}.gguf" for one in range(1, int(total) + 1)]
        if missing := [name for name in files if name not in place.sizes]:
            raise RequestError(f"{missing[0]} is missing; fetch it")
    keys: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for name in files:
        more, found = _one(place, name)
        keys, tensors = more | keys, tensors | found
    family = str(keys.get("general.architecture", ""))
    if keys.get("general.type") == "adapter" or any(".lora_" in name for name in tensors):
        raise RequestError("a LoRA adapter in GGUF; merge it into its model")
    table = "token_embd.weight"
    made = Contents("GGUF", tensors, family, input=table if table in tensors else "")
    made.output = "output.weight" if "output.weight" in tensors else ""
    made.bias = "output.bias" if "output.bias" in tensors else ""
    if family in ENCODERS:
        made.absent = "no output table", f"{family} is an encoder; llama.cpp gives it no head"
    else:
        made.absent = "tied", "there is no output.weight: llama.cpp takes token_embd.weight for it"
    scales = {key: keys.get(f"{family}.{key}") for key in SCALES}
    made.scales = {key: value for key, value in scales.items() if isinstance(value, float)}
    if family.startswith("gemma") and made.input:
        made.scales["sqrt(d)"] = tensors[table].shape[1] ** 0.5
    return made


def keys(place: Place, file: str) -> dict[str, Any]:
    """What it says of itself, the vocabulary too."""
    with place.open(file) as opened:
        return _header(opened, True)[0]


def _header(opened: BinaryIO, whole: bool) -> tuple[dict[str, Any], int]:
    """The keys, with their lists where it is ``whole``, and the number of tensors."""
    _, version, count, length = _unpack(opened, "4sIQQ")
    if version not in (2, 3) or max(count, length) > ENTRIES:
        raise ValueError(f"version {version}, {count:,} tensors and {length:,} keys")
    found = {_text(opened): _value(opened, _unpack(opened, "I")[0], whole) for _ in range(length)}
    return found, count


def _one(place: Place, file: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with place.open(file) as opened:
        keys, count = _header(opened, False)
        entries = []
        for _ in range(count):
            name, axes = _text(opened), _unpack(opened, "I")[0]
            if axes > 8:
                raise ValueError(f"{name} has {axes:,} axes")
            shape = _unpack(opened, f"{axes}Q")[::-1]  # ggml names the innermost first
            entries.append((name, shape, *_unpack(opened, "IQ")))
        step = int(keys.get("general.alignment", 32))
        begin = -(-opened.tell() // step) * step
    made = {}
    for name, shape, kind, offset in entries:
        made[name] = _tensor(place, file, begin + offset, name, shape, kind)
    return keys, made


def _unpack(file: BinaryIO, form: str) -> tuple:
    form = "<" + form
    return struct.unpack(form, exactly(file, struct.calcsize(form)))


def _text(file: BinaryIO) -> str:
    (length,) = _unpack(file, "Q")
    if length > 1 << 26:
        raise ValueError(f"a text of {length:,} bytes is announced")
    return exactly(file, length).decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int, whole: bool = False) -> Any:
    if kind == TEXT:
        return _text(file)
    if kind != ARRAY:
        return _unpack(file, SCALARS[kind])[0]
    kind, count = _unpack(file, "IQ")
    if count > TOKENS or kind == ARRAY:
        raise ValueError(f"an array of {count:,} values is announced")
    if kind == TEXT and whole:
        return [_text(file) for _ in range(count)]
    if kind == TEXT:  # the vocabulary, which is passed over
        for _ in range(count):
            file.seek(_unpack(file, "Q")[0], 1)
    elif whole:
        return list(_unpack(file, f"{count}{SCALARS[kind]}"))
    else:
        file.seek(struct.calcsize("<" + SCALARS[kind]) * count, 1)
    return f"{count} values"


def _tensor(
    place: Place, file: str, offset: int, name: str, shape: tuple[int, ...], kind: int
) -> Tensor:
    size, length, decode = 0, 1, None
    dtype = PLAIN.get(kind) or NAMES.get(kind, f"type {kind}")
    if kind in PLAIN:
        size = np.dtype(dtype.replace("bfloat16", "float16")).itemsize
    elif dtype in BLOCKS:
        length, size, decode = BLOCKS[dtype]
    width = shape[-1] // length * size if shape else size

    def blocks(start: int, stop: int) -> bytes:
        if not size:
            raise RequestError(
                f"{name} is of GGUF's type {dtype}, whose values are not read; name the model's "
                "file of another type, such as Q4_K_M or Q8_0"
            )
        with place.open(file) as opened:
            opened.seek(offset + start * width)
            return exactly(opened, (stop - start) * width)

    def rows(start: int, stop: int) -> np.ndarray:
        data = blocks(start, stop)
        if decode is None:
            return numbers(data, dtype).reshape(stop - start, -1)
        return decode(np.frombuffer(data, np.uint8).reshape(-1, size))[0].reshape(stop - start, -1)

    def steps(start: int, stop: int) -> np.ndarray:
        values, step = decode(np.frombuffer(blocks(start, stop), np.uint8).reshape(-1, size))
        return np.broadcast_to(np.abs(step), values.shape).reshape(stop - start, -1)

    rows_before = int(np.prod(shape[:-1], dtype=np.int64)) if shape else 1
    if shape and shape[-1] % length:
        raise ValueError(f"{name} has rows of {shape[-1]:,}, which are no whole blocks")
    if offset + rows_before * width > place.sizes[file]:
        raise EOFError(f"the file is cut: {name} ends after it does")
    return Tensor(name, shape, dtype, rows, steps if decode else None, (file, offset))


Decoded = tuple[np.ndarray, np.ndarray]  # values [blocks, length], and their steps


def _half(blocks: np.ndarray, at: int) -> np.ndarray:
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _fours(data: np.ndarray, group: int) -> np.ndarray:
    """Two numbers of four bits a byte: of each group of bytes the low ones, then the high ones."""
    data = data.reshape(len(data), -1, 1, group)
    return np.concatenate([data & 15, data >> 4], axis=2).reshape(len(data), -1).astype(np.int16)


def _small(bits: int, offset: bool) -> Callable[[np.ndarray], Decoded]:
    """Blocks of 32: a step (and a least value), the fifth bits if there are, then fours."""

    def decode(blocks: np.ndarray) -> Decoded:
        step, at = _half(blocks, 0), 4 if offset else 2
        high = 0
        if bits == 5:
            one = np.unpackbits(blocks[:, at : at + 4], axis=1, bitorder="little")
            high, at = one.astype(np.int16) << 4, at + 4
        whole = _fours(blocks[:, at:], 16) + high
        least = _half(blocks, 2) if offset else -step * 2 ** (bits - 1)
        return whole * step + least, step

    return decode


def _eight(blocks: np.ndarray) -> Decoded:
    step = _half(blocks, 0)
    return blocks[:, 2:].view(np.int8) * step, step


def _large(bits: int) -> Callable[[np.ndarray], Decoded]:
    """Blocks of 256 in eight parts, each with a step and a least value of six bits."""

    def decode(blocks: np.ndarray) -> Decoded:
        packed = blocks[:, 4:16].reshape(-1, 3, 4)
        first, second, both = packed[:, 0], packed[:, 1], packed[:, 2]
        scale = np.concatenate([first & 63, (both & 15) | (first >> 6 << 4)], axis=1)
        least = np.concatenate([second & 63, (both >> 4) | (second >> 6 << 4)], axis=1)
        whole = _fours(blocks[:, -128:], 32).reshape(-1, 8, 32)
        if bits == 5:
            one = np.unpackbits(blocks[:, 16:48, None], axis=2, bitorder="little")
            whole = whole + (one.transpose(0, 2, 1).astype(np.int16) << 4)
        step = (_half(blocks, 0) * scale)[:, :, None]
        values = whole * step - (_half(blocks, 2) * least)[:, :, None]
        # These steps are fitted, and may leave more than one of them.
        return values.reshape(-1, 256), np.broadcast_to(2 * step, values.shape).reshape(-1, 256)

    return decode


def _two(blocks: np.ndarray) -> Decoded:
    """In sixteen parts, each with a step and a least value of four bits."""
    whole = _quarters(blocks[:, 16:80])
    step = ((blocks[:, :16] & 15) * _half(blocks, 80))[:, :, None]
    values = whole * step - ((blocks[:, :16] >> 4) * _half(blocks, 82))[:, :, None]
    return values.reshape(-1, 256), 2 * np.repeat(step[:, :, 0], 16, axis=1)


def _three(blocks: np.ndarray) -> Decoded:
    """In sixteen parts, each with a step of six bits; the numbers' third bits come first."""
    high = blocks[:, None, :32] >> np.arange(8)[:, None] & 1
    whole = _quarters(blocks[:, 32:96]) + (high.reshape(-1, 16, 16).astype(np.int16) << 2) - 4
    low = np.concatenate([blocks[:, 96:104] & 15, blocks[:, 96:104] >> 4], axis=1)
    top = (blocks[:, None, 104:108] >> np.arange(0, 8, 2)[:, None] & 3).reshape(-1, 16)
    step = ((low | top << 4).astype(np.int16) - 32) * _half(blocks, 108)
    return (whole * step[:, :, None]).reshape(-1, 256), 2 * np.repeat(step, 16, axis=1)


def _quarters(data: np.ndarray) -> np.ndarray:
    """Four numbers of two bits a byte, of every 32 bytes the lowest first: [blocks, 16, 16]."""
    four = data.reshape(-1, 2, 1, 32) >> np.arange(0, 8, 2)[:, None] & 3
    return four.reshape(-1, 16, 16).astype(np.int16)


def _six(blocks: np.ndarray) -> Decoded:
    low = _fours(blocks[:, :128], 64).reshape(-1, 8, 32)
    whole = low + (_quarters(blocks[:, 128:192]).reshape(-1, 8, 32) << 4) - 32
    scale = blocks[:, 192:208].view(np.int8) * _half(blocks, 208)
    step = np.repeat(scale, 16, axis=1)
    return whole.reshape(-1, 256) * step, 2 * step


BLOCKS: dict[str, tuple[int, int, Callable[[np.ndarray], Decoded]]] = {
    "q4_0": (32, 18, _small(4, False)),
    "q4_1": (32, 20, _small(4, True)),
    "q5_0": (32, 22, _small(5, False)),
    "q5_1": (32, 24, _small(5, True)),
    "q8_0": (32, 34, _eight),
    "q2_k": (256, 84, _two),
    "q3_k": (256, 110, _three),
    "q4_k": (256, 144, _large(4)),
    "q5_k": (256, 176, _large(5)),
    "q6_k": (256, 210, _six),
}
