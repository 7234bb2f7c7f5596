"""Which word each row of a table stands for, and a text as rows: from what lies beside the tables.

No code of a tokenizer is run but that of the library ``tokenizers``.
"""

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from semantica_lib.checkpoints.formats import gguf, sentencepiece, vectors
from semantica_lib.checkpoints.formats.sentencepiece import BYTE, NORMAL, OWN, UNKNOWN, Pieces
from semantica_lib.checkpoints.place import Place
from semantica_lib.errors import RequestError

Encode = Callable[[str], Sequence[int]]
SPACES = "Ġ▁ "  # how tokenizers write the space before a word
SPECIAL = re.compile(r"<.*>|\[[A-Z]+\d*\]|\[unused\d+\]|\[PAD.*\]|<\|.*\|>|")


@dataclass(frozen=True)
class Vocabulary:
    """``names`` of the rows, in their order.

    ``encode`` gives a sentence's ids, where a text can be read by it; ``compose`` makes the input
    rows of words of those of the file, where they are not the same.
    """

    names: Sequence[str]
    encode: Encode | None = None
    compose: Callable[[np.ndarray], np.ndarray] | None = None


def of(place: Place) -> Vocabulary:
    """The vocabulary of a checkpoint, by the files of its folder or by its own file.

    Raises:
        RequestError: there is none that can be read.
    """
    try:
        return _of(place)
    except RequestError:
        raise
    except Exception as error:  # damage shows in many ways
        words = " ".join(str(error).split())[:200]
        raise RequestError(f"its vocabulary cannot be read ({words}); fetch it anew") from None


def _of(place: Place) -> Vocabulary:
    file = place.chosen or next((name for name in place.sizes if name.endswith(".gguf")), "")
    if "tokenizer.json" in place.sizes:
        from tokenizers import Tokenizer

        with place.open("tokenizer.json") as opened:
            return _of_tokenizer(Tokenizer.from_str(opened.read().decode()))
    if file.endswith(".gguf"):
        return _of_gguf(place, file)
    if file and _begins(place, file, vectors.MAGIC):
        return _of_fasttext(place, file)
    if (name := sentencepiece.named(place)) and (pieces := sentencepiece.read(place, name)):
        return _of_pieces(pieces)
    if "vocab.txt" in place.sizes:
        with place.open("vocab.txt") as opened:
            lines = opened.read().decode().replace("\r\n", "\n").removesuffix("\n")
        return Vocabulary(lines.split("\n"))  # other signs that end a line are words
    if name := next((name for name in sorted(place.sizes) if name.endswith("vocab.json")), ""):
        ids = {token: id_ for token, id_ in place.json(name).items() if isinstance(id_, int)}
        letters = all(len(one) == 1 or SPECIAL.fullmatch(one) for one in ids)
        return Vocabulary(_in_order(ids), spelt(ids) if letters else None)
    raise RequestError(
        "no vocabulary beside it that is read "
        "(tokenizer.json, spiece.model, tokenizer.model, vocab.txt, GGUF's); "
        "transformers' AutoTokenizer writes a tokenizer.json by save_pretrained"
    )


def spelt(ids: dict[str, int], parts: Callable[[str], Iterable[str]] = iter) -> Encode:
    """The ids of a text's parts, by letters where nothing else is said; others are left out."""
    return lambda text: [ids[one] for one in parts(text) if one in ids]


def _in_order(ids: dict[str, int]) -> list[str]:
    names = [""] * (max(ids.values(), default=-1) + 1)
    for name, place in ids.items():
        names[place] = name
    return names


def _of_tokenizer(made) -> Vocabulary:
    names = _in_order(made.get_vocab())
    return Vocabulary(names, lambda text: made.encode(text, add_special_tokens=False).ids)


def _of_gguf(place: Place, file: str) -> Vocabulary:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    keys = gguf.keys(place, file)
    names = keys.get("tokenizer.ggml.tokens")
    if not isinstance(names, list):
        raise RequestError("a GGUF file without a vocabulary")
    kind = keys.get("tokenizer.ggml.model")
    scores, kinds = (keys.get(f"tokenizer.ggml.{one}") for one in ("scores", "token_type"))
    if kind in ("llama", "t5") and isinstance(scores, list) and isinstance(kinds, list):
        charsmap = bytes(keys.get("tokenizer.ggml.precompiled_charsmap", ()))
        prefix = keys.get("tokenizer.ggml.add_space_prefix", True)
        tidy = keys.get("tokenizer.ggml.remove_extra_whitespaces", False)
        return _of_pieces(Pieces(names, scores, kinds, kind == "llama", charsmap, prefix, tidy))
    if kind != "gpt2":
        return Vocabulary(names)
    merges = [tuple(one.split(" ")) for one in keys.get("tokenizer.ggml.merges", ())]
    made = Tokenizer(models.BPE({name: one for one, name in enumerate(names)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return Vocabulary(names, lambda text: made.encode(text).ids)


def _of_pieces(found: Pieces) -> Vocabulary:
    """SentencePiece's, whose merges are of the pieces by their scores."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    # What no text is read as gets a name that stands in none.
    names = [
        name if kind in (NORMAL, OWN, BYTE) else f"\0{place}"
        for place, (name, kind) in enumerate(zip(found.names, found.kinds, strict=True))
    ]
    unknown, spelt_out = found.kinds.index(UNKNOWN), BYTE in found.kinds
    if found.merges:
        ids = {name: one for one, name in enumerate(names)}
        told = {"unk_token": names[unknown], "fuse_unk": True, "byte_fallback": spelt_out}
        model = models.BPE(ids, _merges(found), **told)
    else:
        model = models.Unigram(list(zip(names, found.scores, strict=True)), unknown, spelt_out)
    made = Tokenizer(model)
    steps: list[normalizers.Normalizer] = []
    if found.charsmap:
        steps.append(normalizers.Precompiled(found.charsmap))
    if found.tidy:
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    made.normalizer = normalizers.Sequence(steps)
    made.pre_tokenizer = pre_tokenizers.Metaspace(
        prepend_scheme="first" if found.prefix else "never", split=not found.merges
    )
    own = [name for name, kind in zip(found.names, found.kinds, strict=True) if kind == OWN]
    made.add_tokens([AddedToken(name, normalized=False) for name in own])

    def encode(text: str) -> Sequence[int]:
        text = text.strip(" ") if found.tidy else text
        return made.encode(text, add_special_tokens=False).ids

    return Vocabulary(found.names, encode)


def _merges(found: Pieces) -> list[tuple[str, str]]:
    """Every two pieces that make a third, the one with the best score first."""
    pieces = zip(found.names, found.scores, found.kinds, strict=True)
    scores = {name: score for name, score, kind in pieces if kind == NORMAL}
    return [
        (name[:at], name[at:])
        for name in sorted(scores, key=scores.__getitem__, reverse=True)
        for at in range(1, len(name))
        if name[:at] in scores and name[at:] in scores
    ]


def _begins(place: Place, file: str, magic: bytes) -> bool:
    with place.open(file) as opened:
        return opened.read(len(magic)) == magic


def _of_fasttext(place: Place, file: str) -> Vocabulary:
    words, buckets, least, most = vectors.fasttext_words(place, file)
    ids = {word: place for place, word in enumerate(words)}

    def compose(rows: np.ndarray) -> np.ndarray:
        """A word's input vector is the mean of its row and those of its subwords."""
        own = [[place, *(len(words) + one % buckets for one in _hashes(word, least, most))]
               for place, word in enumerate(words)]  # fmt: skip
        return np.stack([rows[one].mean(0) for one in own])

    return Vocabulary(words, spelt(ids, str.split), compose)


def _hashes(word: str, least: int, most: int) -> list[int]:
    """Of a word's subwords, as fastText 0.9.2 has them: FNV-1a of signed bytes."""
    found, whole = [], f"<{word}>"
    for start in range(len(whole)):
        for length in range(least, min(most, len(whole) - start) + 1):
            if length == 1 and start in (0, len(whole) - 1):
                continue
            value = 2166136261
            for byte in whole[start : start + length].encode():
                value = (value ^ struct.unpack("b", bytes([byte]))[0]) * 16777619 & 0xFFFFFFFF
            found.append(value)
    return found


def pairs(names: Sequence[str], among: Sequence[int]) -> dict[str, list[tuple[int, int]]]:
    """Pairs of ids that mean one thing by their spelling, by kind: case, leading space, plural.

    Args:
        among: the ids to choose from; a special token is none of them.
    """
    place = {names[one]: one for one in among if not SPECIAL.fullmatch(names[one])}
    found: dict[str, list[tuple[int, int]]] = {"case": [], "leading space": [], "plural": []}
    for name, one in place.items():
        word = name.lstrip(SPACES)
        space = name[: len(name) - len(word)]
        if word == word.lower() and word.upper() != word:
            for other in dict.fromkeys((word.capitalize(), word.upper())):
                if other != word and space + other in place:
                    found["case"].append((one, place[space + other]))
                    break
        if space and len(word) > 1 and word.isalpha() and word in place:
            found["leading space"].append((one, place[word]))
        if len(word) > 2 and word.isalpha() and word.islower() and f"{name}s" in place:
            found["plural"].append((one, place[f"{name}s"]))
    return found
