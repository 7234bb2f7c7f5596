"""A corpus as rows of token ids, with the words that get a synonym, kept in a cache.

The text is encoded in portions of so many sentences, each written whole, so that a run that was
killed goes on behind the last one. A portion holds a stream of ids for each split, a separator
after each sentence; the streams are joined, and cut in rows, when all portions are there.
"""

import contextlib
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from semantica_lib.datasets.corpora import Corpus, cached, keep, load_json, rebuilt
from semantica_lib.datasets.wordpiece import SPECIAL, choose, tokenizer, told, vocabulary
from semantica_lib.errors import RequestError

SPLITS = ("train",) * 7 + ("validation",) + ("test",) * 2  # of the sentences, by number modulo 10
LEAST_ROWS = {"train": 256, "validation": 64, "test": 64}
PORTION = 200_000  # sentences
AT_ONCE = 2_000  # sentences encoded together
FORMAT = 1  # of the cache: another number, and it is made anew
TOKENIZER, COUNTS, ABOUT = "tokenizer.json", "counts.npy", "about.json"


@dataclass(frozen=True)
class Tokens:
    """An encoded corpus.

    ``about`` is the corpus's (see :class:`Corpus`) and, as JSON values: text_sha256 (of the text,
    or where that was not known beforehand, of its portions' digests), tokenizer_sha256 (of the
    vocabulary), rows_sha256 (of the three files' digests), rows of each split, occurrences of the
    words, unknown_share of the training rows.
    """

    vocabulary: tuple[str, ...]  # the piece of each id
    unknown: int  # and the next two: ids of the special pieces
    mask: int
    separator: int
    words: tuple[str, ...]  # that get a synonym, a piece each, commonest in the text first
    word_ids: np.ndarray  # (word,)
    rows: dict[str, np.ndarray]  # of train, validation, test: (row, length - 1) ids, on the disk
    counts: np.ndarray  # (vocabulary,): how often each id stands in the training rows
    about: dict[str, Any]
    tokenizer: Path | None = None  # the file of the library ``tokenizers``


def tokens(
    corpus: Corpus, words: int, least: int, vocabulary_size: int, length: int, cache: Path
) -> Tokens:
    """A corpus as tokens, from the cache where it is there.

    What does not fill a row at the end of a split is dropped.

    Args:
        words: how many get a synonym: the first of the candidates that are frequent enough.
        least: how often such a word must occur in the text.
        vocabulary_size: most pieces of the tokenizer, if one is trained.
        length: of a sequence; a row is shorter by one, for the tag in front.

    Raises:
        RequestError: too few such words, too little text, too small a vocabulary, no tokenizer, no
            room on the disk.
    """
    named = corpus.name, corpus.tokenizer
    folder = cache / _name(corpus.about, named, words, least, vocabulary_size, length)

    def build() -> None:
        if (folder / ABOUT).exists():  # damaged or outdated: nothing here is to be trusted
            for file in (folder / ABOUT, *folder.glob("*.np[yz]"), folder / TOKENIZER):
                file.unlink(missing_ok=True)
        coder = tokenizer(corpus, words, least, vocabulary_size, folder / TOKENIZER)
        portions = _encode(corpus, coder, folder)
        _join(corpus, coder, portions, words, least, length, folder)
        for portion in portions:
            portion.unlink()

    return cached(folder, f"the encoded corpus {corpus.name}", lambda: _load(folder), build)


def kept_tokens(
    rows: str, named: tuple[str, str | None], words: int, least: int, vocabulary_size: int,
    length: int, cache: Path,
) -> Tokens | None:  # fmt: skip
    """The tokens that the cache has, also where the corpus is another one by now; or None.

    Args:
        rows: the sha256 of their rows.
        named: the corpus and the tokenizer that goes with it. The others: as :func:`tokens`.
    """
    for folder in sorted(cache.glob("tokens-*")):
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            about = load_json(folder / ABOUT)["about"]
            key = _name(about, named, words, least, vocabulary_size, length)
            if (about["rows_sha256"], key) == (rows, folder.name):
                return _load(folder)
    return None


def _name(
    about: dict[str, Any], named: tuple[str, str | None], words: int, least: int, size: int,
    length: int,
) -> str:  # fmt: skip
    """Of the folder in the cache: what the rows and the words depend on."""
    key = {name: about.get(name) for name in ("sha256", "source", "data_seed")}
    key |= {"corpus": named[0], "tokenizer": named[1], "words": words, "least": least}
    key |= {"vocabulary_size": size, "length": length}
    return f"tokens-{_sha256([json.dumps(key, sort_keys=True)])[:12]}"


def _load(folder: Path) -> Tokens:
    from tokenizers import Tokenizer

    note = load_json(folder / ABOUT)
    if note["format"] != FORMAT:
        raise ValueError("made by an earlier version of this code")
    for name, digest in dict(note["files"]).items():
        if not (folder / name).exists() or _file_sha256(folder / name) != digest:
            raise ValueError(f"{name} is missing or does not match its sha256")
    pieces = vocabulary(Tokenizer.from_file(str(folder / TOKENIZER)))
    ids = {piece: number for number, piece in enumerate(pieces)}
    chosen = tuple(note["about"]["occurrences"])
    splits = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in LEAST_ROWS}
    return Tokens(
        pieces, *(ids[piece] for piece in SPECIAL[1:]), chosen,
        np.array([ids[word] for word in chosen]), splits, np.load(folder / COUNTS), note["about"],
        folder / TOKENIZER,
    )  # fmt: skip


def _encode(corpus: Corpus, coder: Any, folder: Path) -> list[Path]:
    """The portions of the whole text, in order; those that are there and sound are left alone.

    A portion with fewer sentences than the others, or none, is the last one.
    """
    pieces = vocabulary(coder)
    tag = f"{FORMAT} {PORTION} {_sha256(pieces)}"
    portions: list[Path] = []
    sentences = PORTION
    while sentences == PORTION and (path := folder / f"portion-{len(portions):05}.npz").exists():
        try:
            portion = _read(path)
            if str(portion["tag"]) != tag:
                raise ValueError("made with another tokenizer or an earlier version of this code")
            sentences = int(portion["sentences"])
        except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
            rebuilt(f"{path} and what follows", error)
            break
        portions.append(path)
    if sentences < PORTION:
        return portions
    kind = np.uint16 if len(pieces) <= 2**16 else np.int32
    lines = told(corpus, "rows of", len(portions) * PORTION)
    while sentences == PORTION:
        arrays = _streams(lines, len(portions) * PORTION, coder, kind)
        sentences = int(arrays["sentences"])
        data = io.BytesIO()
        np.savez(data, tag=tag, **arrays)
        parts = max(len(portions) + 1, corpus.about.get("sentences", 0) / PORTION)  # one more: rows
        portions.append(folder / f"portion-{len(portions):05}.npz")
        keep(portions[-1], data.getvalue(), int(2 * parts * data.tell()))
    return portions


def _streams(lines: Iterator[str], first: int, coder: Any, kind: type) -> dict[str, np.ndarray]:
    """A portion: the ids of each split, how many sentences they are, and the text's sha256."""
    streams: dict[str, list[int]] = {split: [] for split in LEAST_ROWS}
    separator, digest, number = coder.token_to_id(SPECIAL[3]), hashlib.sha256(), first
    while some := list(islice(lines, min(AT_ONCE, first + PORTION - number))):
        digest.update("".join(f"{line}\n" for line in some).encode())
        for one in coder.encode_batch_fast(some, add_special_tokens=False):
            stream = streams[SPLITS[number % len(SPLITS)]]
            stream += one.ids
            stream.append(separator)
            number += 1
    arrays = {split: np.array(stream, kind) for split, stream in streams.items()}
    return arrays | {"sentences": np.array(number - first), "text": np.array(digest.hexdigest())}


def _read(portion: Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(portion.read_bytes())) as arrays:
        return dict(arrays)


def _join(
    corpus: Corpus, coder: Any, portions: list[Path], words: int, least: int, length: int,
    folder: Path,
) -> None:  # fmt: skip
    """Write the rows of the portions and, last of all, what they are."""
    pieces = vocabulary(coder)
    goes_on = np.array([piece.startswith("##") for piece in pieces])
    whole = np.zeros(len(pieces), np.int64)  # how often each piece is a whole word
    sizes, texts = Counter[str](), []
    for portion in map(_read, portions):
        texts.append(str(portion["text"]))
        for split in LEAST_ROWS:
            ids = portion[split]
            sizes[split] += ids.size
            whole += np.bincount(ids[:-1][~goes_on[ids[1:]]], minlength=len(pieces))
    chosen = choose(corpus, words, least, dict(zip(pieces, whole.tolist(), strict=True)))
    rows = {split: sizes[split] // (length - 1) for split in LEAST_ROWS}
    if any(rows[split] < needed for split, needed in LEAST_ROWS.items()):
        has = ", ".join(f"{rows[split]} of {n} ({split})" for split, n in LEAST_ROWS.items())
        raise RequestError(
            f"corpus {corpus.name} is too short: of the rows of {length - 1} pieces that are "
            f"needed it has {has}; take more text or a smaller length"
        )
    counts = np.zeros(len(pieces), np.int64)
    for split in LEAST_ROWS:
        data, left, kind = io.BytesIO(), rows[split] * (length - 1), ids.dtype
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False}
        header["shape"] = (rows[split], length - 1)
        np.lib.format.write_array_header_1_0(data, header)
        for portion in map(_read, portions):  # one in memory at a time
            ids = portion[split][:left]
            left -= ids.size
            data.write(ids.tobytes())
            if split == "train":
                counts += np.bincount(ids, minlength=len(pieces))
        keep(folder / f"{split}.npy", data.getbuffer(), sum(sizes.values()) * kind.itemsize)
    data = io.BytesIO()
    np.save(data, counts)
    keep(folder / COUNTS, data.getvalue())
    names = (*(f"{split}.npy" for split in LEAST_ROWS), COUNTS, TOKENIZER)
    files = {name: _file_sha256(folder / name) for name in names}
    about = corpus.about | {
        "corpus": corpus.name,
        "text_sha256": corpus.about.get("sha256") or _sha256(texts),
        "tokenizer_sha256": _sha256(pieces),
        "rows_sha256": _sha256(files[name] for name in names[:3]),
        "rows": rows,
        "occurrences": chosen,
        "unknown_share": float(counts[coder.token_to_id(SPECIAL[1])] / counts.sum()),
    }
    keep(folder / ABOUT, json.dumps({"format": FORMAT, "about": about, "files": files}).encode())


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
