"""Protocol buffers, as ONNX and SentencePiece write them: a message's fields, one by one."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from semantica_lib.checkpoints.tensor import exactly

SMALL = 1 << 20  # bytes of a name or of a number's list
Span = tuple[int, int]


def fields(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, Any]]:
    """The fields of a message: their numbers, with an integer, or the span where bytes lie.

    Raises:
        EOFError: the file or the message is cut.
        ValueError: it is no such message.
    """
    at, file_end = start, stop
    while at < file_end:
        file.seek(at)
        key, at = _varint(file, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(file, at)
        elif wire == 2:
            length, at = _varint(file, at)
            value, at = (at, at + length), at + length
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value, at = (at, at + length), at + length
        else:
            raise ValueError(f"a field of kind {wire}")
        if at > stop or not number:
            raise EOFError("the file is cut: a message ends after what holds it")
        yield number, value


def _varint(file: BinaryIO, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        byte = exactly(file, 1)[0]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise ValueError("an integer of more than 64 bits")


def text(file: BinaryIO, span: Span) -> str:
    """What lies in a span, which is short."""
    if span[1] - span[0] > SMALL:
        raise ValueError("a name is too long")
    file.seek(span[0])
    return exactly(file, span[1] - span[0]).decode()


def integers(file: BinaryIO, value: Any) -> list[int]:
    """One integer, or a packed list of them."""
    if isinstance(value, int):
        return [value]
    file.seek(value[0])
    found, at = [], value[0]
    while at < value[1]:
        one, at = _varint(file, at)
        found.append(one)
    return found
