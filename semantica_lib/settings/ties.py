"""The words for ways to tie the two tables, beside ``tied`` and ``untied``; and how they are read.

Some take a strength after a colon, as ``soft:0.1``. What each computes is in ``models/ties.py``.
One of one's own has the word ``NAME@DIGEST`` (``settings/own_files.py``).
"""

import re
from collections.abc import Collection
from typing import Any

from semantica_lib.errors import nearest
from semantica_lib.settings.yaml_text import number

# Each with the strength that its example has and whether it may be 0; None takes none.
WORDS: dict[str, tuple[str, bool] | None] = {
    "tied": None,
    "untied": None,
    "tied-but-mask": None,
    "mapped": None,
    "pseudo-inverse": None,
    "soft": ("0.1", True),
    "scaled": ("0.3", False),
    "lookup": ("3", True),
}
MOST = 1e6  # of a strength
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,39}"  # of a class
OWN = re.compile(NAME + "@[0-9a-f]{12}")


def read(word: str) -> str:
    """The word as it is stored: one spelling of its strength.

    Raises:
        ValueError: there is no such word, or its strength is none.
    """
    name, colon, text = word.partition(":")
    if OWN.fullmatch(word):
        return word
    if name.endswith(".py"):
        raise ValueError("has no files: write scheme=FILE.py:NAME, which is tried beside ties")
    if name not in WORDS:
        written = (name + (f":{takes[0]}" if takes else "") for name, takes in WORDS.items())
        raise ValueError(f"should be a way to tie{nearest(word, written)}")
    takes = WORDS[name]
    if takes is None:
        if colon:
            raise ValueError(f"should have no strength: write {name}")
        return name
    example, zero = takes
    try:
        strength = float(number(text))
    except ValueError:
        raise ValueError(f"should have a strength: write {name}:{example}") from None
    if not (0 < strength <= MOST or (zero and strength == 0)):
        least = "from 0" if zero else "over 0"
        raise ValueError(f"should have a strength {least} to {MOST:g}: write {name}:{example}")
    return f"{name}:{strength:.12g}"


def strength(word: str) -> float | None:
    """The number after the colon of a word that was read; None if it takes none."""
    _, colon, text = word.partition(":")
    return float(text) if colon else None


def refuse_misfits(own: Any, schemes: Collection[str], vocabulary: int) -> None:
    """Refuse, by a ValueError, settings that do not go with their ties.

    Args:
        schemes: their ties but for tied and untied.
        vocabulary: how many symbols there are, at least.
    """
    known = {(getattr(own, "scheme", None) or "").rpartition(":")[2]}
    if foreign := {tie for tie in schemes if "@" in tie} - known:
        tie = min(foreign)
        if not hasattr(own, "scheme"):
            raise ValueError(f"a language model takes no tie of a file of one's own, as {tie}")
        raise ValueError(f"ties has {tie}, of a file of one's own: write scheme=FILE.py:NAME")
    if getattr(own, "untie_at", None) is not None:  # a language model has no such setting
        raise ValueError(f"untie_at does not apply to ties {min(schemes)}: leave one of them out")
    if "pseudo-inverse" in schemes and own.embedding_size > vocabulary:
        raise ValueError(
            f"embedding_size must not exceed the {vocabulary} symbols where ties has "
            f"pseudo-inverse, and {own.embedding_size} does"
        )
