"""The tokenizer of a corpus: trained on it, or the one of a hub that goes with it."""

import contextlib
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from semantica_lib.datasets.corpora import Corpus, keep
from semantica_lib.datasets.hub import hub_tokenizer
from semantica_lib.errors import RequestError

SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[SEP]")  # of a trained one the ids are 0, 1, 2, 3

# What is a word, for counting as for encoding: each of these signs by itself, and what stands
# between them. They are listed, so that the two pattern languages agree to the letter.
_SIGNS = re.escape(string.punctuation) + "¡§«¶·»¿‐-‧‰-⁞、-〃〈-】"
WORD = f"[^ {_SIGNS}]+|[{_SIGNS}]"


def tokenizer(corpus: Corpus, words: int, least: int, size: int, path: Path) -> Any:
    """The tokenizer (``tokenizers.Tokenizer``) that a file keeps, or a new one for it to keep.

    Args:
        words, least: how many words are to be pieces, and how often each must occur.
        size: most pieces of a trained one.

    Raises:
        RequestError: it cannot be had, or the words cannot be pieces of it.
    """
    from tokenizers import Tokenizer

    with contextlib.suppress(Exception):  # the library has no class of its own
        return Tokenizer.from_file(str(path))
    if (name := corpus.tokenizer) is None:
        made = _trained(corpus, words, least, size)
    else:
        made = hub_tokenizer(name)
        made.no_padding()
        made.no_truncation()
        for piece in (*SPECIAL, *corpus.candidates[:words]):
            if made.token_to_id(piece) is None:
                wrong = f"{piece} is no single piece of the tokenizer {name}"
                raise RequestError(f"{wrong}: take another corpus, or fewer synonyms")
    keep(path, made.to_str().encode())
    return made


def vocabulary(tokenizer: Any) -> tuple[str, ...]:
    """The piece of each id."""
    known = tokenizer.get_vocab()
    return tuple(sorted(known, key=known.get))


def choose(corpus: Corpus, words: int, least: int, found: Mapping[str, int]) -> dict[str, int]:
    """The first candidates that occur often enough, commonest first, with their occurrences.

    Args:
        found: how often each word occurs in the text.

    Raises:
        RequestError: there are too few of them.
    """
    often = [word for word in corpus.candidates if found.get(word, 0) >= least]
    if len(often) < words:
        rare = sorted(set(corpus.candidates) - set(often), key=lambda w: (-found.get(w, 0), w))
        some = ", ".join(f"{word} {found.get(word, 0)}" for word in rare[:5])
        raise RequestError(
            f"{words} words are needed for synonyms, and {len(often)} of those of corpus "
            f"{corpus.name} occur {least} times or more; others: {some or 'none'}; take "
            "more text, or lower synonyms, broken_synonyms or least_occurrences"
        )
    return {word: found[word] for word in sorted(often[:words], key=lambda word: -found[word])}


def told(corpus: Corpus, what: str, start: int = 0) -> Iterator[str]:
    """The sentences from a number on, with a bar that tells how many there have been."""
    total = corpus.about.get("sentences") or corpus.about.get("dataset_rows")
    bar = {"total": total, "initial": start, "unit": " sentences", "unit_scale": True}
    shown = tqdm(desc=f"{what} {corpus.name}", dynamic_ncols=True, **bar)
    lines = iter(corpus.sentences(start=start))
    first = list(islice(lines, 1))
    shown.unpause()  # reading files whole, before the first, is not how fast it goes
    shown.iterable = chain(first, lines)
    yield from shown


def _trained(corpus: Corpus, words: int, least: int, size: int) -> Any:
    """WordPiece with ``size`` pieces at most, the same at every run.

    The trainer breaks ties by ids, and numbers single characters in an order of its own unless
    they come as special pieces. Ids are given anew: the special pieces first, the others sorted.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    word = re.compile(WORD)
    found = Counter(part for line in told(corpus, "words of") for part in word.findall(line))
    chosen = choose(corpus, words, least, found)
    letters = sorted({piece for one in found for piece in (one[0], *(f"##{c}" for c in one[1:]))})
    pieces = {*SPECIAL, *letters, *chosen}
    if len(pieces) > size:
        raise RequestError(
            f"vocabulary_size must be at least {len(pieces)} for corpus {corpus.name} (special "
            f"pieces {len(SPECIAL)}, characters {len(letters)}, words {words}), not {size}"
        )
    split = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    model = Tokenizer(models.WordPiece(unk_token=SPECIAL[1]))
    model.pre_tokenizer = split
    most = size + len(letters)  # it adds characters that begin no word, which are not taken
    limits = {"vocab_size": most, "limit_alphabet": most, "show_progress": False}
    trainer = trainers.WordPieceTrainer(special_tokens=[*SPECIAL, *letters], **limits)
    model.train_from_iterator(told(corpus, "pieces of"), trainer)
    for piece in vocabulary(model):
        if len(pieces) < size and len(piece.removeprefix("##")) > 1:
            pieces.add(piece)
    ordered = (*SPECIAL, *sorted(pieces - set(SPECIAL)))
    made = Tokenizer(models.WordPiece({p: i for i, p in enumerate(ordered)}, unk_token=SPECIAL[1]))
    made.pre_tokenizer = split
    return made
