"""Prose out of the documentation of the standard library and the installed packages.

Nothing is imported or executed, nor parsed: a pattern finds the strings and comments of Python
source, nine times as fast as ``ast`` does and whatever the version that a file was written for.
"""

import os
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from platform import python_version

from tqdm import tqdm

from semantica_lib.errors import RequestError

SUFFIXES = (".md", ".rst", ".txt")  # of files that are prose throughout
OWN = "semantica"  # this package, which is no part of its corpus
_OUTSIDE = ("__pycache__", "site-packages", "dist-packages", f"{OWN}_lib")
LEAST, MOST = 4, 60  # words of a sentence
SHORTEST = 20  # characters of a string, or of a block of comments, that may hold a sentence
FULL = 40  # characters of a line that may go on in the next one

# Strings stand side by side where Python joins them. A quote within a comment, and a hash within
# a string, are passed over, since whichever begins first is read to its end.
_QUOTED = r"""
    (?:"{3}(?:[^"\\]++|\\.|"(?!""))*+"{3}|'{3}(?:[^'\\]++|\\.|'(?!''))*+'{3}
    |"(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')
"""
_ONE = re.compile(rf"[rbufRBUF]{{0,2}}{_QUOTED}", re.VERBOSE | re.DOTALL)
_PIECE = re.compile(
    rf"""(?=[\#"'])(?:\#[^\n]*+(?:\n[ \t]*+\#[^\n]*+)*+|{_QUOTED}(?:\s*+{_ONE.pattern})*+)""",
    re.VERBOSE | re.DOTALL,
)
_OPENING = re.compile(r"""(\w*)("{3}|'{3}|"|')""")
_HASH = re.compile(r"^[ \t]*#+[:!]?", re.MULTILINE)
_ESCAPES = {r"\n": "\n", r"\t": " ", "\\\n": "", r"\"": '"', r"\'": "'"}
_ESCAPE = re.compile(r"""\\[nt"'\n]""")

# A line that begins a paragraph: a bullet, a number, or an argument's name before what it means.
_ITEM = re.compile(r"(?:[-*+•]|\(?\d+[.)]|[@:]\w+[^:]*:|\*{0,2}\w+(?: ?\([^)]*\))?:(?= ))\s*")
_MARKS = re.compile(r":[\w:+-]+:(?=`)|`+~?|\*{1,2}(?=\w)|(?<=[\w.,])\*{1,2}(?!\w)")
# A sentence ends before a blank or, where a line ends with it, always; not after an abbreviation.
_END = re.compile(
    r"""\s(?:
    (?:(?<=[.!?]\s)|(?<=[.!?]["')\]”’]\s))
    (?<!(?:[ (]e\.g|[ (]i\.e)\.\s)(?<!\b(?:Mr|Dr|vs|St|cf)\.\s)(?<!\b(?:Mrs|etc|Fig)\.\s)
    (?:(?<=\n)|[ ]*\n|\s*(?=["'(\[“‘]?[^\W_a-z]))
    |(?<=\s[.!?]\s)|(?<=\n)[ \t]*\n)""",
    re.VERBOSE,
)
# What a sentence of a piece of documentation looks like, once its marks are gone.
_PROSE = re.compile(
    r"""["'(]?[A-Z](?:[A-Za-z0-9 ,;:'"()&%/-]|\.(?!\w)|(?<=\d)\.(?=\d)|e\.g|i\.e)+[.!?]["')]?"""
)
_ANY = re.compile(r"[.!?](?!\w)")
_PLAIN = str.maketrans("‘’“”–—\xa0", "''\"\"-- ")
_NO_LETTERS = re.compile(r"[^A-Za-z]+")
_LETTERS = 0.75  # least share


@dataclass(frozen=True)
class Harvest:
    """Sentences, each once and lower-cased; files read, and files skipped as no text."""

    lines: list[str]
    files: int
    skipped: int


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, a line each; none of them is empty.

    One ends at a full stop, exclamation or question mark (with what closes a quotation) where the
    line ends or what follows begins like a sentence, and at an empty line.
    """
    for part in _END.split(text):
        if line := " ".join(part.split()):
            yield line


def _paragraphs(text: str) -> Iterator[str]:
    """Runs of lines that belong together, by their bullets and indents."""
    run: list[str] = []
    depth, over = -1, False  # of the line before: its indent, -1 where it is not known; its end
    for number, line in enumerate([*text.split("\n"), ""]):
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        item = _ITEM.match(words)
        apart = depth >= 0 and (indent < depth or (indent > depth and over))
        if run and (not words or item or apart):
            yield "\n".join(run)
            run = []
        if words:
            run.append(words[item.end() :] if item else words)
        # what is indented more is something else, unless the line before stops halfway
        over = words.endswith((".", ":", "!", "?")) or not (item or len(words) >= FULL)
        depth = indent if number and run else -1


def _prose(text: str) -> Iterator[str]:
    """The sentences of a piece of documentation that are plain prose."""
    if not _ANY.search(text):  # most have none
        return
    for paragraph in filter(_ANY.search, _paragraphs(_MARKS.sub("", text.translate(_PLAIN)))):
        for line in sentences(paragraph):
            blanks = line.count(" ")
            if LEAST <= blanks + 1 <= MOST and _PROSE.fullmatch(line):
                letters = len(_NO_LETTERS.sub("", line))
                if letters >= _LETTERS * (len(line) - blanks):
                    yield line.lower()


def _pieces(source: str) -> Iterator[str]:
    """Strings and blocks of comments of Python source."""
    for match in _PIECE.finditer(source):
        start, end = match.span()
        if end - start < SHORTEST:
            continue
        if source[start] == "#":
            yield _HASH.sub("", match[0])
            continue
        while start and source[start - 1] in "rbufRBUF":
            start -= 1
        yield "".join(map(_value, _ONE.findall(source, start, end)))


def _value(literal: str) -> str:
    """What a string in source says; nothing for bytes."""
    prefix, quote = _OPENING.match(literal).groups()
    if "b" in prefix.lower():
        return ""
    body = literal[len(prefix) + len(quote) : -len(quote)]
    return body if "r" in prefix.lower() else _ESCAPE.sub(lambda found: _ESCAPES[found[0]], body)


def harvest(roots: Sequence[Path]) -> Harvest:
    """The prose in and below some folders, in the order of the files' paths.

    Of ``.py`` files strings and comments, of the others all. Other environments' packages, which a
    folder may hold, are left out, and so is this package.
    """
    lines: dict[str, None] = {}  # in order, each once
    files = skipped = 0
    listed = [file for root in dict.fromkeys(roots) for file in _files(root)]
    for file in tqdm(listed, desc="documentation", unit=" files", dynamic_ncols=True):
        try:
            text = read(file)
        except RequestError:
            skipped += 1
            continue
        files += 1
        for piece in _pieces(text) if file.suffix == ".py" else (text,):
            lines.update(dict.fromkeys(_prose(piece)))
    return Harvest(list(lines), files, skipped)


def _files(root: Path) -> list[Path]:
    """Files to read below a folder, sorted by their path relative to it."""
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _OUTSIDE]
        found += [Path(folder, name) for name in names if name.endswith((".py", *SUFFIXES))]
    return sorted(file for file in found if not file.name.startswith("__editable__"))


def roots() -> list[Path]:
    """Folders of the standard library and of the installed packages."""
    paths = sysconfig.get_paths()
    return [Path(paths[name]) for name in ("stdlib", "purelib", "platlib")]


def versions() -> dict[str, str]:
    """Of Python and of each installed package."""
    folders = [str(root) for root in roots()[1:]]
    found = {one.metadata["Name"]: one.version for one in distributions(path=folders)}
    found.pop(OWN, None)
    return {"python": python_version(), **dict(sorted(found.items()))}


def read(file: Path) -> str:
    """A text file.

    Raises:
        RequestError: it cannot be read, or not as UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{file} is not UTF-8 (at byte {error.start}): save it so") from None
    except OSError as error:
        raise RequestError(f"cannot read {file}: {error.strerror}") from None
