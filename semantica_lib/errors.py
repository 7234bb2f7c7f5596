"""What people see: errors of one line, and words from elsewhere within ours."""

import difflib
import html
import re
import reprlib
from collections.abc import Iterable
from typing import Any


class RequestError(ValueError):
    """A request was wrong and nothing ran: the command line answers with exit code 2.

    Its message is one line, whatever it quotes (a name may hold a line's end).
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class TrainingError(RuntimeError):
    """Training began and failed: the command line answers with exit code 1."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint for a misspelt name: ``" (did you mean 'steps'?)"``, else the names allowed."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (allowed: {', '.join(allowed)})" if allowed else ""


def short(value: Any) -> str:
    """A value in a few words, however large (YAML can name one list a billion times)."""
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxdict, short.maxstring = 2, 6, 3, 60
    try:
        return " ".join(short.repr(list(value) if isinstance(value, tuple) else value).split())
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a value with a number of so many digits"


def literal(text: str) -> str:
    """Markdown that shows a text as it is, on one line: no tag, link or mark in it has effect."""
    return html.escape(re.sub(r"([\\`*_\[\]{}#|~$])", r"\\\1", " ".join(text.split())))
