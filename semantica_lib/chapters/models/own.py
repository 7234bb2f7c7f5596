"""Checkpoints that somebody names: each is measured, or it is said why not."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from semantica_lib.chapters.models.pinned import rounded
from semantica_lib.checkpoints.measures.measuring import measure
from semantica_lib.checkpoints.reading import tables
from semantica_lib.datasets.corpora import corpus
from semantica_lib.datasets.own_text import own_files, own_sentences, own_text
from semantica_lib.errors import RequestError
from semantica_lib.settings.spelling import typed
from semantica_lib.store import results

MOST_SENTENCES = 100_000


def named(checkpoints: Sequence[str], text: str) -> dict[str, Any]:
    """The measures of each, as ``pinned.stored`` has them.

    Args:
        text: a file or folder of plain text; empty: the project's documentation corpus.
    """
    found: dict[str, Any] = {"models": [], "left out": []}
    lines = list(islice(_sentences(text), MOST_SENTENCES)) if checkpoints else []
    for source in checkpoints:
        try:
            told = {"name": source.rstrip("/").rpartition("/")[2], "what": "", "package": None}
            found["models"].append(rounded(told | measure(tables(source), lines)))
        except (RequestError, EOFError, OSError, ValueError) as error:
            found["left out"].append(f"{source}: {error}".replace(f"{source}: {source}", source))
    return found


def _sentences(text: str) -> Iterator[str]:
    if text:
        files = own_files(typed(text), False).files
        return (line for file in files for line in own_sentences(own_text(file)))
    # they are kept in lower case, and each began with a capital letter
    kept = corpus("documentation", 0, results.here() / "corpora").sentences()
    return (line[:1].upper() + line[1:] for line in kept)
