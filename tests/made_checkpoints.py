"""Tiny checkpoints, written by numpy, safetensors and torch, or byte by byte."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

V, D = 23, 8


def table(seed: int, words: int = V, width: int = D) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(words, width)).astype(np.float32)


def folder(path: Path, tensors: Mapping[str, np.ndarray], config: Mapping[str, Any] | None) -> str:
    """A folder as transformers saves one."""
    path.mkdir(exist_ok=True)
    save_file(dict(tensors), path / "model.safetensors")
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return str(path)


def gguf(path: Path, keys: Mapping[str, Any], tensors: Mapping[str, tuple]) -> str:
    """``tensors``: a name's shape as rows and columns, ggml's number of its type, and its bytes."""

    def text(of: str) -> bytes:
        return struct.pack("<Q", len(of.encode())) + of.encode()

    def value(of: Any) -> bytes:
        if isinstance(of, list):
            return struct.pack("<IIQ", 9, 8, len(of)) + b"".join(map(text, of))
        if isinstance(of, float):
            return struct.pack("<If", 6, of)
        return struct.pack("<I", 8) + text(of)

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    head += b"".join(text(key) + value(of) for key, of in keys.items())
    offset, body = 0, b""
    for name, (shape, kind, data) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head += struct.pack("<IQ", kind, offset)
        body += data + bytes(-len(data) % 32)
        offset = len(body)
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return str(path)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def node(op: str, inputs: list[str], output: str) -> bytes:
    """A node of an ONNX graph."""
    made = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, op)
    return field(1, made)


def constant(name: str, values: np.ndarray) -> bytes:
    """A constant of an ONNX graph."""
    kind = {"float32": 1, "uint8": 2, "int64": 7}[values.dtype.name]
    made = b"".join(field(1, length) for length in values.shape) + field(2, kind)
    return field(5, made + field(8, name) + field(9, values.tobytes()))


def onnx(path: Path, *parts: bytes) -> str:
    """A model of nodes and constants, whose output is called ``logits``."""
    graph = b"".join(parts) + field(12, field(1, "logits"))
    path.write_bytes(field(1, 8) + field(7, graph))
    return str(path)


def ctranslate2(path: Path, tensors: Mapping[str, np.ndarray], aliases: Mapping[str, str]) -> str:
    def text(of: str) -> bytes:
        return struct.pack("<H", len(of) + 1) + of.encode() + b"\0"

    kinds = {"float32": 0, "int8": 1}
    data = struct.pack("<I", 6) + text("TransformerDecoderSpec")
    data += struct.pack("<II", 8, len(tensors))
    for name, values in tensors.items():
        data += text(name) + struct.pack("<B", values.ndim)
        data += struct.pack(f"<{values.ndim}I", *values.shape)
        data += struct.pack("<BI", kinds[values.dtype.name], values.nbytes) + values.tobytes()
    data += struct.pack("<I", len(aliases))
    data += b"".join(text(alias) + text(name) for alias, name in aliases.items())
    path.mkdir()
    (path / "model.bin").write_bytes(data)
    return str(path)


def fasttext(path: Path, model: int, words: int, labels: int, matrices: list[np.ndarray]) -> str:
    """``model``: 1 cbow, 2 skip-gram, 3 supervised."""
    width = matrices[0].shape[1]
    buckets = len(matrices[0]) - words
    data = struct.pack("<i13id", 793712314, 12, width, 5, 1, 1, 5, 1, 1, model, buckets, 3, 6, 1, 0)
    data += struct.pack("<3i2q", words + labels, words, labels, 1000, -1)
    for number in range(words + labels):
        kind = number >= words
        data += f"w{number}".encode() + b"\0" + struct.pack("<qb", 7, kind)
    for values in matrices:
        data += b"\0" + struct.pack("<2q", *values.shape) + values.tobytes()
    path.write_bytes(data)
    return str(path)
