"""Tokens against a plain tokenizer and plain splits; the cache against damage and interruption."""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from semantica_lib.datasets import grammar, wordpiece
from semantica_lib.datasets import tokens as module
from semantica_lib.datasets.corpora import Corpus, Rebuilt
from semantica_lib.datasets.tokens import Tokens, tokens
from semantica_lib.errors import RequestError

# The grammar's, with signs, characters beyond ASCII and words that no vocabulary can hold.
ENDS = (".", "", " (\u00e9t\u00e9!)", "s", f" {'x' * 101}")
LINES = [f"{line}{ENDS[number % 5]}" for number, line in enumerate(grammar.sentences(5, 3_010))]
WORDS = ("the", "zebra", "with", "cook", "in", "every", "that", "this", "old", "near")
MADE_OF = {"sha256": "1a2b", "source": "made here", "sentences": len(LINES), "words": 5}


def opened(lines: list[str]) -> Callable[..., Iterator[str]]:
    return lambda start=0: islice(lines, start, None)


def small(lines: list[str] = LINES, **changes: Any) -> Corpus:
    about = {**MADE_OF, "sentences": len(lines)}
    given = {"name": "small", "candidates": WORDS, "sentences": opened(lines), "about": about}
    return Corpus(**{**given, **changes})


def make(cache: Path, corpus: Corpus | None = None, **changes: int) -> Tokens:
    given = {"words": 4, "least": 300, "vocabulary_size": 600, "length": 9, **changes}
    return tokens(corpus or small(), cache=cache, **given)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """A cache with the small corpus in it; not to be changed."""
    cache = tmp_path_factory.mktemp("kept")
    make(cache)
    return cache


@pytest.fixture
def cache(kept, tmp_path) -> Path:
    """A copy of it."""
    shutil.copytree(kept, tmp_path / "cache")
    return tmp_path / "cache"


def folder(cache: Path) -> Path:
    (found,) = cache.glob("tokens-*")
    return found


def in_words(line: str) -> list[str]:
    return re.findall(r"\w+|[^\w ]", line)


def pieces_of(word: str, known: dict[str, int]) -> list[str]:
    """Greedy longest match first, as WordPiece is told."""
    found, start = [], 0
    if len(word) > 100:
        return ["[UNK]"]
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in known:
                break
        else:
            return ["[UNK]"]
        found.append(piece)
        start = end
    return found


def plain_rows(lines: list[str], made: Tokens, width: int) -> dict[str, list[list[int]]]:
    ids = {piece: number for number, piece in enumerate(made.vocabulary)}
    streams: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for number, line in enumerate(lines):
        split = "train" if number % 10 < 7 else "validation" if number % 10 == 7 else "test"
        pieces = [p for word in in_words(line) for p in pieces_of(word, ids)]
        streams[split] += [ids[piece] for piece in (*pieces, "[SEP]")]
    return {
        split: [stream[at : at + width] for at in range(0, len(stream) - width + 1, width)]
        for split, stream in streams.items()
    }


def assert_same(a: Tokens, b: Tokens) -> None:
    assert a.vocabulary == b.vocabulary and a.words == b.words and a.about == b.about
    assert all(np.array_equal(a.rows[split], b.rows[split]) for split in a.rows)


@pytest.mark.parametrize("length", [9, 32])
def test_rows_are_those_of_a_plain_tokenizer(kept, tmp_path, length):
    made = make(kept if length == 9 else tmp_path, length=length)
    expected = plain_rows(LINES, made, length - 1)
    for split, rows in expected.items():
        assert made.rows[split].tolist() == rows
        assert isinstance(made.rows[split], np.memmap) and made.rows[split].dtype == np.uint16
    train = Counter(piece for row in expected["train"] for piece in row)
    assert made.counts.tolist() == [train[piece] for piece in range(len(made.vocabulary))]
    assert made.about["rows"] == {split: len(rows) for split, rows in expected.items()}
    share = train[made.unknown] / sum(train.values())
    assert made.about["unknown_share"] == pytest.approx(share) and 0.005 < share < 0.1


def test_words_are_the_first_frequent_ones(kept, tmp_path):
    found = Counter(word for line in LINES for word in in_words(line))
    made = make(kept)
    often = [word for word in WORDS if found[word] >= 300][:4]
    assert "zebra" not in often and len(often) == 4
    assert list(made.words) == sorted(often, key=lambda word: -found[word])
    assert made.about["occurrences"] == {word: found[word] for word in made.words}
    assert [made.vocabulary[number] for number in made.word_ids] == list(made.words)
    rare = make(tmp_path, words=9, least=found["near"])
    assert "near" in rare.words and set(rare.words) == set(WORDS) - {"zebra"}


def test_vocabulary(kept, tmp_path):
    made = make(kept)
    assert made.vocabulary[:4] == ("[PAD]", "[UNK]", "[MASK]", "[SEP]")
    assert (made.unknown, made.mask, made.separator) == (1, 2, 3)
    assert list(made.vocabulary[4:]) == sorted(set(made.vocabulary[4:]))
    letters = {w[0] for line in LINES for w in in_words(line)}
    letters |= {f"##{c}" for line in LINES for w in in_words(line) for c in w[1:]}
    single = {piece for piece in made.vocabulary if len(piece.removeprefix("##")) == 1}
    assert letters == single
    assert len(make(tmp_path, vocabulary_size=150).vocabulary) == 150
    least = len(letters | set(make(tmp_path, vocabulary_size=150).words)) + 4
    smallest = make(tmp_path, vocabulary_size=least)
    assert set(smallest.vocabulary) == letters | set(smallest.words) | set(made.vocabulary[:4])
    expected = f"vocabulary_size must be at least {least} for corpus small .* not {least - 1}"
    with pytest.raises(RequestError, match=expected):
        make(tmp_path, vocabulary_size=least - 1)


def test_what_it_is_made_of_is_told(kept):
    made = make(kept)
    files = [(folder(kept) / f"{split}.npy").read_bytes() for split in made.rows]
    digests = "".join(f"{hashlib.sha256(data).hexdigest()}\n" for data in files)
    pieces = "".join(f"{piece}\n" for piece in made.vocabulary)
    assert made.about["rows_sha256"] == hashlib.sha256(digests.encode()).hexdigest()
    assert made.about["tokenizer_sha256"] == hashlib.sha256(pieces.encode()).hexdigest()
    assert made.about["text_sha256"] == "1a2b" and made.about["corpus"] == "small"
    assert {name: made.about[name] for name in MADE_OF} == MADE_OF
    assert json.loads(json.dumps(made.about)) == made.about


TIES = """
import random, sys
from pathlib import Path
from itertools import islice
from semantica_lib.datasets.corpora import Corpus
from semantica_lib.datasets.tokens import tokens
random.seed(1)  # words of few letters, once each: nearly all pairs are equally frequent
letters = "abcdefghijklm"
words = sorted({"".join(random.choices(letters, k=2 + number % 5)) for number in range(9000)})
random.shuffle(words)
lines = [" ".join(["the", *words[at : at + 5]]) for at in range(0, len(words), 5)]
corpus = Corpus("ties", ("the",), lambda start=0: islice(lines, start, None), {"sha256": "1"})
made = tokens(corpus, 1, 1, 900, 9, Path(sys.argv[1]))
print(len(made.vocabulary), made.about["tokenizer_sha256"], made.about["rows_sha256"])
"""


def test_every_process_makes_the_same(tmp_path):
    told = set()
    for number in range(2):
        changes = {"PYTHONHASHSEED": str(number), "RAYON_NUM_THREADS": str(1 + 3 * number)}
        command = [sys.executable, "-c", TIES, str(tmp_path / str(number))]
        done = subprocess.run(
            command, env=os.environ | changes, capture_output=True, text=True, check=True
        )
        told.add(done.stdout)
    assert len(told) == 1 and told.pop().startswith("900 ")


def test_nothing_is_done_twice(kept):
    def never(start=0):
        raise AssertionError("it is in the cache")

    before = sorted((path, path.stat().st_mtime_ns) for path in kept.rglob("*"))
    assert_same(make(kept, small(sentences=never)), make(kept))
    assert sorted((path, path.stat().st_mtime_ns) for path in kept.rglob("*")) == before
    names = {"train.npy", "validation.npy", "test.npy", "counts.npy", "tokenizer.json"}
    assert {path.name for path in folder(kept).iterdir()} == names | {"about.json", ".lock"}


def test_what_is_asked_for_has_a_folder_of_its_own(cache):
    make(cache, words=5)
    make(cache, least=301)
    make(cache, vocabulary_size=601)
    make(cache, length=10)
    make(cache, small(name="other"))
    for name in ("sha256", "source", "data_seed"):
        make(cache, small(about=MADE_OF | {name: "7"}))
    assert len(list(cache.glob("tokens-*"))) == 9
    make(cache, small(about=MADE_OF | {"files": "7"}))
    assert len(list(cache.glob("tokens-*"))) == 9


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def older(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("train.npy", flip, "train.npy is missing or does not match its sha256"),
        ("validation.npy", cut, "validation.npy is missing or does"),
        ("test.npy", Path.unlink, "test.npy is missing or does"),
        ("counts.npy", flip, "counts.npy is missing or does"),
        ("tokenizer.json", flip, "tokenizer.json is missing or does"),
        ("about.json", cut, "delimiter|column"),
        ("about.json", older, "made by an earlier version of this code"),
        ("about.json", lambda path: path.write_text('{"format": 1}'), "files"),
    ],
)
def test_damage_is_mended(kept, cache, name, damage, reason):
    damage(folder(cache) / name)
    with pytest.warns(Rebuilt, match=f"encoded corpus small in .* made anew: .*({reason})") as told:
        made = make(cache)
    assert len(told) == 1
    assert_same(made, make(kept))
    assert_same(make(cache), made)


class Killed(BaseException):
    """What ends a process here."""


def stopping(after: int, starts: list[int]) -> Corpus:
    """A corpus whose third and later readings stop; the first two are the tokenizer's."""

    def sentences(start: int = 0) -> Iterator[str]:
        starts.append(start)
        for number, line in enumerate(LINES[start:], start):
            if number == after and len(starts) > 2:
                raise Killed
            yield line

    return small(sentences=sentences)


@pytest.mark.parametrize("portion", [301, 700, 3_010])
def test_a_killed_run_goes_on(kept, tmp_path, monkeypatch, portion):
    """Behind its last whole portion, and ends with the rows of a run that was not interrupted."""
    monkeypatch.setattr(module, "PORTION", portion)
    monkeypatch.setattr(module, "AT_ONCE", 64)
    starts: list[int] = []
    with pytest.raises(Killed):
        make(tmp_path, stopping(1_500, starts))
    done = 1_500 // portion
    assert len(list(folder(tmp_path).glob("portion-*.npz"))) == done
    (folder(tmp_path) / "portion-00009.npz.1.part").write_text("half")
    assert starts == [0, 0, 0]
    with pytest.raises(Killed):
        make(tmp_path, stopping(2_900, starts))
    assert starts[3:] == [done * portion]
    assert_same(make(tmp_path, stopping(-1, starts)), make(kept))
    assert starts[4:] == [2_900 // portion * portion]
    assert not [*tmp_path.rglob("portion-*"), *tmp_path.rglob("*.part")]


def test_a_killed_run_without_all_its_rows(kept, tmp_path, monkeypatch):
    """What is written last is what counts."""
    keep = module.keep

    def stopped(path: Path, *more) -> None:
        if path.name == "about.json":
            raise Killed
        keep(path, *more)

    monkeypatch.setattr(module, "keep", stopped)
    with pytest.raises(Killed):
        make(tmp_path)
    monkeypatch.setattr(module, "keep", keep)

    def never(start=0):
        raise AssertionError("all portions are there")

    assert_same(make(tmp_path, small(sentences=never)), make(kept))


@pytest.mark.parametrize("damage", [flip, cut, lambda path: path.write_bytes(b"")])
def test_a_damaged_portion_is_made_anew(kept, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(module, "PORTION", 500)
    starts: list[int] = []
    with pytest.raises(Killed):
        make(tmp_path, stopping(1_700, starts))
    damage(folder(tmp_path) / "portion-00001.npz")
    with pytest.warns(Rebuilt, match=r"portion-00001\.npz and what follows is made anew: ."):
        made = make(tmp_path, stopping(-1, starts))
    assert starts[3:] == [500]
    assert_same(made, make(kept))


def test_portions_of_another_tokenizer_are_made_anew(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PORTION", 500)
    with pytest.raises(Killed):
        make(tmp_path, stopping(1_700, []))
    other = Tokenizer(models.WordPiece({"[UNK]": 0, "[SEP]": 1}, unk_token="[UNK]"))
    (folder(tmp_path) / "tokenizer.json").write_text(other.to_str()[:-1])  # damaged: trained anew
    with pytest.raises(Killed):
        make(tmp_path, stopping(1_900, []))
    assert len(list(folder(tmp_path).glob("portion-*.npz"))) == 3
    (folder(tmp_path) / "tokenizer.json").unlink()
    changed = wordpiece._trained

    def train(corpus, words, least, size):
        return changed(corpus, words, least, size - 1)

    monkeypatch.setattr(wordpiece, "_trained", train)
    with pytest.warns(Rebuilt, match=r"portion-00000.* made with another tokenizer"):
        assert len(make(tmp_path).vocabulary) == 599


def test_a_text_without_a_digest_gets_one_of_its_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PORTION", 1_505)  # two whole portions, and an empty one
    made = make(tmp_path, small(about={"source": "x"}))
    halves = ("".join(f"{line}\n" for line in part) for part in (LINES[:1_505], LINES[1_505:], []))
    digests = "".join(f"{hashlib.sha256(half.encode()).hexdigest()}\n" for half in halves)
    assert made.about["text_sha256"] == hashlib.sha256(digests.encode()).hexdigest()


def test_two_at_once(kept, tmp_path):
    opened, made = [], []

    def sentences(start: int = 0) -> Iterator[str]:
        opened.append(start)
        yield from LINES[start:]

    def work() -> None:
        made.append(make(tmp_path, small(sentences=sentences)))

    both = [threading.Thread(target=work) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(opened) == 3
    assert_same(made[0], made[1])
    assert_same(made[0], make(kept))


def test_too_few_words(tmp_path):
    found = Counter(word for line in LINES for word in in_words(line))
    often = [word for word in WORDS if found[word] >= 700]
    expected = (
        f"9 words are needed for synonyms, and {len(often)} of those of corpus small occur 700 "
        rf"times or more; others: (\w+ \d+, )+\w+ \d+; take more text, or lower synonyms,"
    )
    with pytest.raises(RequestError, match=expected) as caught:
        make(tmp_path, words=9, least=700)
    for word, count in re.findall(r"(\w+) (\d+)[,;]", str(caught.value)):
        assert found[word] == int(count) < 700
    with pytest.raises(RequestError, match=r"11 words .* 9 of those .* others: zebra 0; take"):
        make(tmp_path, words=11, least=1)


def test_too_little_text(tmp_path):
    short = small(LINES[:100])
    expected = (
        r"corpus small is too short: of the rows of 31 pieces that are needed it has \d+ of 256 "
        r"\(train\), \d+ of 64 \(validation\), \d+ of 64 \(test\); take more text"
    )
    with pytest.raises(RequestError, match=expected) as caught:
        make(tmp_path, short, least=1, length=32)
    rows = [int(number) for number in re.findall(r"(\d+) of", str(caught.value))]
    pieces = sum(len(in_words(line)) + 1 for line in LINES[:100])
    assert pieces / 31 * 0.9 < sum(rows) < pieces / 31 * 2
    with pytest.raises(RequestError, match=r"1 words are needed .* 0 of those"):
        make(tmp_path, small([]), words=1, least=1)


def test_no_room(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    expected = r"cannot write .*tokenizer\.json: No space left on device; about 1 MB are needed"
    with pytest.raises(RequestError, match=expected):
        make(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"cannot write to the cache .*: Not a directory"):
        make(tmp_path / "file")


def of_a_hub(more: int = 0) -> Tokenizer:
    """A tokenizer of the kind that comes with BookCorpus, with its special pieces elsewhere."""
    pieces = [
        "[PAD]",
        "the",
        "[UNK]",
        "c",
        "##ook",
        "[CLS]",
        "cook",
        "##s",
        "[MASK]",
        "in",
        "[SEP]",
    ]
    pieces += ["with", "every", *(f"##{c}" for c in "abcdefghijklmnopqrtuvwxyz")]
    pieces += [*"abdefghijklmnopqrstuvwxyz.(!)", *(f"<{number}>" for number in range(more))]
    ids = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    made.enable_truncation(3)
    made.enable_padding()
    return made


@pytest.mark.parametrize(("more", "kind"), [(0, np.uint16), (70_000, np.int32)])
def test_tokenizer_of_a_hub(tmp_path, monkeypatch, more, kind):
    monkeypatch.setattr(wordpiece, "hub_tokenizer", lambda name: {"a/b": of_a_hub(more)}[name])
    corpus = small(tokenizer="a/b", candidates=("every", "in", "zebra", "cook", "the"))
    made = make(tmp_path, corpus, words=2, least=200, vocabulary_size=0)
    assert dict(zip(made.vocabulary, range(100_000), strict=False)) == of_a_hub(more).get_vocab()
    assert (made.unknown, made.mask, made.separator) == (2, 8, 10)
    assert set(made.words) == {"every", "in"}
    found = Counter(word for line in LINES for word in in_words(line))
    assert made.about["occurrences"] == {word: found[word] for word in made.words}
    plain = [line.replace("\u00e9", "e") for line in LINES]  # as it takes accents away
    for split, rows in plain_rows(plain, made, 8).items():
        assert made.rows[split].tolist() == rows and made.rows[split].dtype == kind
    monkeypatch.setattr(wordpiece, "hub_tokenizer", None)  # not needed any more
    assert_same(make(tmp_path, corpus, words=2, least=200, vocabulary_size=0), made)


def test_a_word_that_is_no_single_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(wordpiece, "hub_tokenizer", lambda name: of_a_hub())
    corpus = small(tokenizer="a/b", candidates=("every", "old", "in"))
    with pytest.raises(
        RequestError, match="old is no single piece of the tokenizer a/b: take another corpus"
    ):
        make(tmp_path, corpus, words=2)
    assert make(tmp_path, corpus, words=1, least=100).words == ("every",)


def test_what_goes_wrong_in_the_text_is_told_as_it_is(tmp_path):
    def gone(start: int = 0) -> Iterator[str]:
        yield from LINES[:10]
        raise RequestError("the file is gone")

    calls = []

    def later(start: int = 0) -> Iterator[str]:
        calls.append(start)
        return gone() if len(calls) == 2 else iter(LINES)

    for sentences in (gone, later):  # while words are counted; within the trainer
        with pytest.raises(RequestError, match=r"^the file is gone$"):
            make(tmp_path, small(sentences=sentences))


def test_reading_before_the_first_sentence_is_no_measure_of_the_speed(monkeypatch, capsys):
    now = [1_000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def read(start: int = 0) -> Iterator[str]:
        now[0] += 60.0  # whole files
        yield from LINES

    told = wordpiece.told(replace(small(), sentences=read), "words of")
    assert next(told) == LINES[0]
    for line in LINES[1:]:
        now[0] += 1.0
        assert next(told) == line
    shown = re.findall(r"<([^,]*),", capsys.readouterr().err)
    assert shown[0] == "?" and shown[2].startswith("50:") and not any("d" in one for one in shown)
    assert list(wordpiece.told(small([]), "words of")) == []
