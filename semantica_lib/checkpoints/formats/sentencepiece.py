"""SentencePiece's ``.model``: pieces of words with their scores, and how text is read."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semantica_lib.checkpoints.formats.protobuf import fields, text
from semantica_lib.checkpoints.place import Place
from semantica_lib.errors import RequestError

FILES = "tokenizer.model", "spiece.model", "spm.model"  # whose ids are the rows
# Of these transformers 5.24 moves the ids by its own special tokens.
MOVED = {"pegasus", "pegasus_x", "bigbird_pegasus"}
BYTES = 25_000_000
UNIGRAM, BPE = 1, 2  # kinds of models
NORMAL, UNKNOWN, OWN, BYTE = 1, 2, 4, 6  # kinds of pieces; others are of no text


@dataclass(frozen=True)
class Pieces:
    """By id; ``charsmap`` is how signs are made one, ``prefix`` whether a space comes first."""

    names: Sequence[str]
    scores: Sequence[float]
    kinds: Sequence[int]
    merges: bool = False  # BPE; else unigrams
    charsmap: bytes = b""
    prefix: bool = True
    tidy: bool = False  # runs of spaces are one


def named(place: Place) -> str:
    """The file of a folder that has such a model whose ids are the rows; empty if none has."""
    name = next((name for name in FILES if name in place.sizes), "")
    if not name or place.json("config.json").get("model_type") in MOVED:
        return ""
    with place.open(name) as opened:  # tiktoken's have the same name
        return name if opened.read(1) == b"\n" else ""


def read(place: Place, file: str) -> Pieces | None:
    """A model's pieces; None if they are whole words or single signs, which are not read.

    Raises:
        RequestError: it is too large or damaged.
    """
    if place.sizes[file] > BYTES:
        raise RequestError(f"{file} has {place.sizes[file]:,} bytes; too many")
    with place.open(file) as opened:
        data = opened.read()
    try:
        return _read(data)
    except (EOFError, LookupError, TypeError, ValueError, struct.error) as error:
        raise RequestError(f"{file} is damaged ({error}); fetch it anew") from None


def _read(data: bytes) -> Pieces | None:
    stream = io.BytesIO(data)
    found: list[tuple[str, float, int]] = []
    how: dict[tuple[int, int], Any] = {}
    for number, span in fields(stream, 0, len(data)):
        inside = dict(fields(stream, *span))
        if number == 1:
            score = struct.unpack("<f", data[slice(*inside[2])])[0] if 2 in inside else 0.0
            found.append((text(stream, inside[1]), score, inside.get(3, NORMAL)))
        else:
            how |= {(number, inner): value for inner, value in inside.items()}
    kind, (start, stop) = how.get((2, 3), UNIGRAM), how.get((3, 2), (0, 0))
    if kind not in (UNIGRAM, BPE):
        return None
    names, scores, kinds = zip(*found, strict=True)
    prefix, tidy = (bool(how.get((3, one), True)) for one in (3, 4))
    return Pieces(names, scores, kinds, kind == BPE, data[start:stop], prefix, tidy)
