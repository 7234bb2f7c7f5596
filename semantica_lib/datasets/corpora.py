"""Where a language model's text comes from: a grammar, documentation, a hub or the user's files.

A text is lines of lower-case words, a sentence each. What took long to get is kept in a cache,
whole or not at all.
"""

import contextlib
import fcntl
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from semantica_lib.datasets import documentation, grammar, hub, own_text
from semantica_lib.errors import RequestError, nearest
from semantica_lib.files import write_whole
from semantica_lib.settings.language import CORPORA, TEXT
from semantica_lib.settings.spelling import typed

NAMES = (*CORPORA, f"{TEXT}PATH")
FORMAT = 2  # of the documentation's cache: another number, and it is made anew

# The 100 most common words of English, as the usual lists of word forms have them.
_COMMON = """
the be to of and a in that have i it for not on with he as you do at this but his by from they we
say her she or an will my one all would there their what so up out if about who get which go me when
make can like time no just him know take people into year your good some could them see other than
then now look only come its over think also back after use two how our work first well way even new
want because any these give day most us
"""
COMMON = tuple(_COMMON.split())
Made = TypeVar("Made")
Sentences = Callable[..., Iterator[str]]  # sentence after sentence, from number ``start=0`` on


class Rebuilt(UserWarning):
    """Something in the cache was damaged or outdated, and was made anew."""


@dataclass(frozen=True)
class Corpus:
    """A text, and what it is (``about``), as JSON values.

    Of these ``sha256`` (of the sentences, a newline after each) is missing where it is not known
    before the text is read.
    """

    name: str  # as asked for
    candidates: tuple[str, ...]  # words that may be given a synonym, most common first
    sentences: Sentences  # anew at each call; lower-cased, a line each, none of them empty
    about: dict[str, Any]
    tokenizer: str | None = None  # of a hub, that goes with it; None: one is trained on it


def corpus(name: str, data_seed: int, cache: Path, skip_unreadable: bool = False) -> Corpus:
    """A text by its name.

    Args:
        data_seed: of the grammar, the only one that depends on it.
        cache: the folder of what is kept.
        skip_unreadable: leave out those of the user's files that cannot be read as UTF-8.

    Raises:
        RequestError: no such name; files that are not there or cannot be read; no hub that
            answers; no room for what is to be kept.
    """
    if name == "grammar":
        lines, candidates, about = grammar.grammar(data_seed)
        return Corpus(name, candidates, partial(_from, lines), about)
    if name == "documentation":
        lines, about = _documentation(cache / name)
        return Corpus(name, COMMON, partial(_from, lines), about)
    if name == "bookcorpus":
        return _bookcorpus(cache / name)
    if name.startswith(TEXT) and name != TEXT:
        return _own_text(name, skip_unreadable)
    raise RequestError(f"there is no corpus {name!r}{nearest(name, NAMES)}")


def _from(lines: Iterable[str], start: int = 0) -> Iterator[str]:
    return islice(lines, start, None)


def measured(lines: Iterable[str]) -> dict[str, Any]:
    """sha256 of a text, how many sentences it has and how many words, as blanks part them."""
    digest, sentences, words = hashlib.sha256(), 0, 0
    for line in lines:
        digest.update(f"{line}\n".encode())
        sentences += 1
        words += line.count(" ") + 1
    return {"sha256": digest.hexdigest(), "sentences": sentences, "words": words}


def _own_text(name: str, skip_unreadable: bool) -> Corpus:
    own = own_text.own_files(typed(name.removeprefix(TEXT)), skip_unreadable)

    def sentences(start: int = 0) -> Iterator[str]:
        texts = map(own_text.own_text, own.files)
        found = (one.lower() for text in texts for one in own_text.own_sentences(text))
        return _from(found, start)

    by_line = sum(map(own_text.a_line_each, map(own_text.own_text, own.files)))
    about = {"source": "own files", **measured(sentences()), "files": len(own.files)}
    about |= {"a_sentence_a_line": by_line}  # so many of the files
    about |= {"skipped": own.unreadable, "left_out": own.by_name}
    return Corpus(name, COMMON, sentences, about)


# What is kept


def _documentation(folder: Path) -> tuple[list[str], dict[str, Any]]:
    text, note = folder / "sentences.txt", folder / "about.json"
    versions = documentation.versions()

    def read() -> tuple[list[str], dict[str, Any]]:
        about = load_json(note)
        before = dict(about["versions"])
        for name, version in versions.items():
            if (made := before.get(name, "none")) != version:
                raise ValueError(f"made with {name} {made}, here is {version}")
        if (before, about["format"]) != (versions, FORMAT):
            raise ValueError("made with other packages or an earlier version of this code")
        data = text.read_bytes() if text.exists() else b""
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            raise ValueError(f"{text.name} does not match its sha256")
        return data.decode().split("\n")[:-1], about

    def build() -> None:
        found = documentation.harvest(documentation.roots())
        about = {"source": "technical documentation", **measured(found.lines)}
        about |= {"files": found.files, "skipped": found.skipped}
        about |= {"format": FORMAT, "versions": versions}
        data = "".join(f"{line}\n" for line in found.lines).encode()
        keep(text, data, len(data))
        keep(note, json.dumps(about, indent=1).encode(), len(data))

    return cached(folder, "the documentation corpus", read, build)


def _bookcorpus(folder: Path) -> Corpus:
    """Which source answered is kept, so that text once encoded needs no hub any more."""

    def read() -> hub.Source:
        return hub.Source(**load_json(folder / "source.json"))

    def build() -> None:
        data = json.dumps(hub.first_that_answers().__dict__, indent=1).encode()
        keep(folder / "source.json", data, len(data))

    source = cached(folder, "the choice of the bookcorpus source", read, build)
    return Corpus("bookcorpus", COMMON, source.sentences, source.about, hub.TOKENIZER)


def load_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; damage is a ValueError."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no object")
    return found


def cached(folder: Path, what: str, read: Callable[[], Made], build: Callable[[], None]) -> Made:
    """What ``read`` returns; where there is nothing sound, one process builds it, the others wait.

    Args:
        what: in words, for people.
        read: raises FileNotFoundError where nothing is kept; another OSError, KeyError, TypeError
            or ValueError (with the reason) where it is damaged or outdated.

    Raises:
        RequestError: nothing can be written there.
    """
    with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
        return read()
    with _alone(folder):
        try:
            return read()
        except FileNotFoundError:
            pass
        except (OSError, KeyError, TypeError, ValueError) as error:
            rebuilt(f"{what} in {folder}", error)
        build()
        return read()


def rebuilt(what: str, error: Exception) -> None:
    """Warn that something is made anew, and why."""
    reason = " ".join(str(error).split())
    warnings.warn(f"{what} is made anew: {reason}", Rebuilt, stacklevel=4)


def keep(path: Path, data: bytes, needed: int = 0) -> None:
    """Write a file whole.

    Args:
        needed: bytes that all takes that is to be kept there; at least this file's.

    Raises:
        RequestError: it cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        megabytes = max(1, round(max(needed, len(data)) / 1e6))
        raise RequestError(
            f"cannot write {path}: {error.strerror}; about {megabytes} MB are needed there"
        ) from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder of the cache; another process that wants it waits."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise RequestError(f"cannot write to the cache {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tqdm.write(f"waiting for another process that fills {folder}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise RequestError(
                f"the cache {folder} lies on a file system that has no locks ({error.strerror}); "
                "name a folder elsewhere by SEMANTICA_RESULTS"
            ) from None
        for left in folder.glob("*.part"):  # what a killed process was writing
            left.unlink()
        yield
