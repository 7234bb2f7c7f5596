"""Prose out of the user's own files: which are read, and where their sentences end."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from semantica_lib.datasets.documentation import SUFFIXES, read, sentences
from semantica_lib.errors import RequestError

_SYSTEM = {"__MACOSX", "__pycache__", "lost+found"}  # folders that systems make
LEAST_LINES = 10  # from which it is told whether a text has a sentence a line
MOST_LINES = 20  # of a sentence of wrapped prose, on average
_ENDED = re.compile(r"""[.!?:]["')\]”’]?$""")
_ANY_END = re.compile(r"""[.!?]["')\]”’]?\s""")
_BYTE_ORDER = "\ufeff"
_MARK = re.compile(rf"""(?<=[\n.!?"')\]”’]){_BYTE_ORDER}|{_BYTE_ORDER}(?=[^\W\d_a-z])""")


@dataclass(frozen=True)
class OwnFiles:
    """A user's files that are read, in order, and what of a folder is not.

    Attributes:
        unreadable: names, relative to the folder, of those that are not UTF-8.
        by_name: how many were left out for their name, by its ending; ``hidden`` of hidden ones
            and of what systems leave in folders.
    """

    files: list[Path]
    unreadable: list[str]
    by_name: dict[str, int]


def own_files(path: Path, skip_unreadable: bool) -> OwnFiles:
    """A file, or the text files below a folder in order; a warning tells what is left out.

    Raises:
        RequestError: there is no such file, or one cannot be read as UTF-8 (if such files are not
            to be skipped).
    """
    if not path.exists():
        raise RequestError(f"there is no file or folder {path}: write text:PATH of what is there")
    folder, files, by_name = path.parent, [path], Counter[str]()
    if path.is_dir():
        folder, files = path, []
        for file in sorted(one for one in path.rglob("*") if one.is_file()):
            if any(n.startswith(".") or n in _SYSTEM for n in file.relative_to(path).parts):
                by_name["hidden"] += 1
            elif file.suffix.lower() in SUFFIXES:
                files.append(file)
            else:
                by_name[file.suffix.lower() or "no ending"] += 1
    good, bad = [], {}
    for file in files:
        try:
            read(file)
            good.append(file)
        except RequestError as error:
            if not skip_unreadable:
                raise
            bad[file.relative_to(folder).as_posix()] = error
    if bad:
        first = next(iter(bad.values()))
        warnings.warn(f"files left out of the corpus: {len(bad)}; {first}", stacklevel=2)
    others = {ending: count for ending, count in by_name.items() if ending != "hidden"}
    if others:
        told = ", ".join(f"{ending}: {count}" for ending, count in sorted(others.items()))
        warnings.warn(
            f"files left out of the corpus {path} for their names ({told}); text is "
            f"{', '.join(SUFFIXES)}",
            stacklevel=2,
        )
    if not good:
        raise RequestError(f"{path} has no text file ({', '.join(SUFFIXES)}) that can be read")
    return OwnFiles(good, list(bad), dict(sorted(by_name.items())))


def own_text(file: Path) -> str:
    """A user's file without byte-order marks: one behind a line or a sentence parts two texts.

    Raises:
        RequestError: as :func:`read`.
    """
    return _MARK.sub("\n\n", read(file)).replace(_BYTE_ORDER, "")


def a_line_each(text: str) -> bool:
    """Whether a text has a sentence a line, and is no prose that was wrapped to a width.

    Wrapped lines are full: the next line's first word would not fit. Of every two lines of which
    the first does not end like a sentence that is looked at; the width is the one that nine tenths
    of the lines keep to. Lines of one length look full too, but prose ends its sentences. Of fewer
    than ten such lines nothing is concluded: they are prose.
    """
    lines = [" ".join(line.split()) for line in text.split("\n")]
    lengths = sorted(len(line) for line in lines if line)
    pairs = [
        (line, after.partition(" ")[0])
        for line, after in pairwise(lines)
        if line and after and not _ENDED.search(line)
    ]
    if len(pairs) < LEAST_LINES:
        return False
    if MOST_LINES * len(_ANY_END.findall(text)) < len(pairs):
        return True
    width = lengths[len(lengths) * 9 // 10]
    full = sum(len(line) + 1 + len(word) > width for line, word in pairs)
    return full < len(pairs) / 2


def own_sentences(text: str) -> Iterator[str]:
    """The sentences of a user's text: where it has a sentence a line, none crosses a line's end."""
    for part in text.split("\n") if a_line_each(text) else [text]:
        yield from sentences(part)
