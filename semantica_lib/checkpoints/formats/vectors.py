"""fastText's .bin, word2vec's text and binary files, and gensim's models."""

import itertools
import struct
from typing import BinaryIO

import numpy as np

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.formats import arrays, pickles
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import Tensor, exactly, stored, whole
from semantica_lib.errors import RequestError

MAGIC = struct.pack("<i", 793712314)  # of fastText
MODELS = {1: "cbow", 2: "skip-gram", 3: "supervised"}
LINE = 1 << 20  # bytes of a word or a line of text
PICKLE_BYTES = 1 << 28
SUBWORDS = "a word's input vector is the mean of its row and its subwords' rows"


def read_fasttext(place: Place, file: str) -> Contents:
    """Both matrices: the input of words and buckets of subwords, the output of words or labels.

    Raises:
        RequestError: they are quantised (.ftz).
    """
    with place.open(file) as opened:
        names, dim, model, buckets, smallest, largest, labels, pruned = _fasttext(opened)
        words = len(names) - labels
        found = []
        for name, count in (("input", words + buckets), ("output", labels or words)):
            if exactly(opened, 1) != b"\0":
                raise RequestError(
                    "a quantised fastText model (.ftz), whose tables are not read; "
                    "take the .bin it was made of"
                )
            shape = struct.unpack("<2q", exactly(opened, 16))
            if shape[1] != dim or (shape[0] != count and pruned < 0):
                raise ValueError(f"its {name} matrix is {shape}, {(count, dim)} is announced")
            found.append(stored(place, file, opened.tell(), name, shape, "float32"))
            opened.seek(4 * shape[0] * dim, 1)
        if opened.tell() != place.sizes[file]:
            raise EOFError(f"{place.sizes[file] - opened.tell():,} bytes are left over")
    made = Contents("fastText", {one.name: one for one in found}, f"fastText {MODELS[model]}")
    made.input, made.output = "input", "output"
    if MODELS[model] == "supervised":
        made.absent = "not tables of words", f"supervised: the output's rows are {labels:,} labels"
    made.evidence.append(
        f"{words:,} words and {buckets:,} buckets of subwords of {smallest} to {largest} letters: "
        + SUBWORDS
    )
    return made


def _fasttext(opened: BinaryIO) -> tuple[list[str], int, int, int, int, int, int, int]:
    """What comes before the matrices: the words (labels last), sizes, labels, pruned subwords."""
    opened.seek(4)
    version, *sizes = struct.unpack("<13i", exactly(opened, 52))
    opened.seek(8, 1)
    size, words, labels = struct.unpack("<3i", exactly(opened, 12))
    _, pruned = struct.unpack("<2q", exactly(opened, 16))
    if version not in (11, 12) or not 0 <= words + labels == size:
        raise ValueError(f"version {version}, {size:,} words")
    names = []
    for _ in range(size):
        names.append(_until(opened, b"\0").decode("utf-8", "replace"))
        opened.seek(9, 1)
    opened.seek(8 * max(0, pruned), 1)
    return names, sizes[0], *(sizes[i] for i in (7, 8, 9, 10)), labels, pruned


def fasttext_words(place: Place, file: str) -> tuple[list[str], int, int, int]:
    """Its words, the number of buckets, and the least and most letters of a subword."""
    with place.open(file) as opened:
        names, _, _, buckets, least, most, labels, _ = _fasttext(opened)
    return names[: len(names) - labels], buckets, least, most


def read_word2vec(place: Place, file: str) -> Contents:
    """Words with their input vectors, in text or binary: a line of counts comes first."""
    with place.open(file) as opened:
        line = _until(opened, b"\n")
        count, width = map(int, line.split())
        begin = opened.tell()
        if count < 1 or width < 1 or count * (width + 1) > place.sizes[file]:
            raise EOFError(f"the file is cut: {count:,} vectors of {width:,} are announced")
        beginning = opened.read(min(LINE, 4 * width + 200))
        text = _is_text(beginning, width)
        opened.seek(begin)
        if text:
            ended = sum(part.count(b"\n") for part in iter(lambda: opened.read(LINE), b""))
            opened.seek(-1, 2)
            ended += opened.read(1) != b"\n"
            if ended != count:
                raise EOFError(f"the file is cut: {count:,} vectors are announced, not {ended:,}")

    def load() -> np.ndarray:
        made = np.empty((count, width), np.float32)
        with place.open(file) as opened:
            opened.seek(begin)
            for row in made:
                if text:
                    words = _until(opened, b"\n").split()
                    row[:] = words[-width:]
                else:
                    _until(opened, b" ")
                    row[:] = np.frombuffer(exactly(opened, 4 * width), "<f4")
        return made

    kind = "word2vec text" if text else "word2vec binary"
    table = whole("vectors", (count, width), "float32", load)
    made = Contents(kind, {"vectors": table}, "word2vec", input="vectors")
    made.absent = "no output table", "this format keeps the input vectors only"
    return made


def _is_text(data: bytes, width: int) -> bool:
    """Whether the first vector is written in digits."""
    words = data.partition(b"\n")[0].split(b" ", 1)[-1].split()[:width]
    try:
        return bool([float(word) for word in words])
    except ValueError:
        return False


def _until(file: BinaryIO, end: bytes) -> bytes:
    """What comes before a byte; the byte is read as well."""
    if end == b"\n":
        line = file.readline(LINE)
    else:
        found = bytearray()
        while (byte := file.read(1)) not in (end, b"") and len(found) < LINE:
            found += byte
        line = bytes(found) + byte
    if not line or (line[-1:] != end and (len(line) >= LINE or end != b"\n")):
        raise EOFError("the file is cut within a word, or it is none of this kind")
    return line.removesuffix(end)


def read_gensim(place: Place, file: str) -> Contents:
    """A model by its pickle, read as data, and the .npy files beside it.

    Raises:
        RequestError: the pickle is no gensim model's.
    """
    if place.sizes[file] > PICKLE_BYTES:
        raise RequestError(f"a pickle of {place.sizes[file]:,} bytes; not opened")
    with place.open(file) as opened:
        root = pickles.load(opened)
    of = root.of.replace(" ", ".") if isinstance(root, pickles.Made) else type(root).__name__
    if "copyreg" in of and root.args:
        of = root.args[0].words.replace(" ", ".")
    if not of.startswith("gensim.models."):
        raise RequestError(
            f"a pickle ({of}), which can run code, so it is not opened; save the "
            "tables as safetensors or npz"
        )
    state = pickles.mapping(root)
    inner = {name: pickles.mapping(state.get(name)) for name in ("wv", "trainables")} | {"": state}
    tensors: dict[str, Tensor] = {}
    for (prefix, holder), name in itertools.product(
        inner.items(), ("vectors", "vectors_vocab", "vectors_ngrams", "syn0", "syn1neg", "syn1")
    ):
        path = f"{prefix}.{name}".lstrip(".")
        side = f"{file}.{path}.npy"
        if name in (holder.get("_SaveLoad__numpys") or holder.get("__numpys") or ()):
            if side not in place.sizes:
                raise RequestError(f"{side} is missing; put it beside the model")
            tensors[path] = arrays.single(place, side, path)
        elif (value := pickles.array(holder.get(name))) is not None:
            tensors[path] = whole(path, value.shape, value.dtype.name, lambda value=value: value)
    made = Contents("gensim", tensors, of.rpartition(".")[2])
    names = ("wv.vectors", "wv.vectors_vocab", "wv.syn0", "vectors", "syn0")
    made.input = next(filter(tensors.__contains__, names), "")
    made.output = next(filter(tensors.__contains__, ("syn1neg", "trainables.syn1neg")), "")
    if not made.input:
        raise RequestError(f"gensim's {made.family} without vectors of words")
    made.absent = "no output table", "it keeps the input vectors only"
    if "wv.vectors_ngrams" in tensors:
        made.evidence.append(SUBWORDS)
    if not made.output and any(name.endswith("syn1") for name in tensors):
        made.absent = (
            "no output table",
            "hierarchical softmax: syn1's rows are inner nodes, not words",
        )
    return made
