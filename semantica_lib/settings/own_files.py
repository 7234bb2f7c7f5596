"""Files of one's own that settings name: text of a language model, and a way to tie.

``scheme`` is ``FILE.py:NAME``, a class in that file. Read, it is ``PATH:NAME@DIGEST``, with the
whole path and a digest of the file. Its last part is the word for its tie, and all of it that
identifies a result or is stored of it: nothing stored says where a file lay. Nothing here runs it.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError, short
from semantica_lib.settings.schema import BOTH
from semantica_lib.settings.spelling import TEXT, as_list, typed
from semantica_lib.settings.ties import NAME, OWN

NAMED = re.compile(rf"(.+\.py):({NAME})", re.DOTALL)


def word_of(scheme: str) -> str:
    """The word for its tie."""
    return scheme.rpartition(":")[2]


def whole(name: str, value: Any, folder: Path) -> Any:
    """A setting, or each of a list, in which a file is named by its whole path.

    Raises:
        RequestError: a scheme's file cannot be read.
    """
    if isinstance(value, list):
        return [whole(name, one, folder) for one in value]
    if not isinstance(value, str):
        return value
    if name == "corpus" and value.startswith(TEXT) and value != TEXT:
        return f"{TEXT}{typed(value.removeprefix(TEXT), folder)}"
    if name == "scheme" and (found := NAMED.fullmatch(value)):
        path = typed(found[1], folder)
        return f"{path}:{found[2]}@{digest_of(path)}"
    return value


def digest_of(path: Path) -> str:
    """What tells the content of one's own file from any other.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise RequestError(f"scheme: cannot read {path}: {error.strerror}") from None


def with_its_tie(values: dict[str, Any]) -> dict[str, Any]:
    """Settings with a scheme, which is the last of their ties.

    Raises:
        ValueError: it is no scheme.
    """
    word, ties = word_of(values["scheme"]), as_list(values.get("ties", BOTH))
    if not OWN.fullmatch(word):
        raise ValueError(
            "scheme should be FILE.py:NAME, a class NAME in a file of your own, not "
            f"{short(values['scheme'])}"
        )
    listed = isinstance(ties, list | tuple) and word not in ties
    return values | {"ties": [*ties, word]} if listed else values
