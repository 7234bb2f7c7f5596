"""How values are written: what is one thing in several spellings, and what to write instead."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError, short
from semantica_lib.settings.yaml_text import number

NULLS = {"~", "null", "none"}  # in any case
YES, NO = {"true", "yes", "y", "on", "1", "1.0"}, {"false", "no", "n", "off", "0", "0.0"}
TEXT = "text:"  # before a path: the user's own files
LONGEST = 30  # characters of a number that a hint repeats
THOUSANDS = r"[-+]?[1-9][0-9]{0,2}([,' ])[0-9]{3}(?:\1[0-9]{3})*(?:\.[0-9]*)?"


def typed(path: str | Path, folder: Path = Path()) -> Path:
    """The absolute path of a written one, as a shell finds it; relative ones begin at ``folder``.

    ``LINK/..`` lies beside the link's target; else links keep their names, which name experiments.

    Raises:
        RequestError: there is no such home, or it cannot be a path.
    """
    try:
        whole = str((folder.expanduser() / Path(path).expanduser()).absolute())
        up = re.match(r".*/\.\.(?=/|\Z)", whole, re.DOTALL)
        return Path(os.path.realpath(up[0]) + whole[up.end() :]) if up else Path(whole)
    except (RuntimeError, ValueError):
        raise RequestError(f"{short(str(path))} is no path: write the whole one") from None


def as_number(value: Any) -> Any:
    """A number for a text that is one: YAML 1.1, which papermill reads, takes 1e3 for text."""
    try:
        return number(value) if isinstance(value, str) else value
    except ValueError:
        return value


def as_list(value: Any) -> Any:
    """A list for one value of it; a text that looks like a list is left, and refused."""
    several = isinstance(value, str) and re.match(r"\s*[\[(]|.*[,;]", value)
    one = isinstance(value, str | int | float) and not several
    return [value] if one else value


def as_null(value: Any) -> Any:
    """None for its names in YAML and in Python."""
    return None if isinstance(value, str) and value.strip().lower() in NULLS else value


def advice(kind: str, value: Any) -> str:
    """What to write in place of a value, in brackets; empty where the error itself says it.

    Args:
        kind: pydantic's name of the error.
    """
    return f" (write {ADVICE[kind](value)})" if kind in ADVICE else ""


def _whole(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return f"{value:.0f}"
    found = _meant(value)
    whole = found and isinstance(number(found), int)
    return found if whole else "a whole number, as 1000, 1_000 or 1e3"


def _meant(value: Any) -> str:
    """The number that a text was probably meant to be, as it is written here; else empty."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return ""
    text = value.strip()
    try:
        if re.match(r"[-+]?0[xob]", text, re.IGNORECASE):
            return str(int(text, 0))
        if re.fullmatch(THOUSANDS, text):
            text = re.sub(r"[,' ]", "", text)
        text = re.sub(r"^([-+]?)0[0_]*(?=[0-9])", r"\1", text.replace(",", "."))
        number(text)
    except ValueError:
        return ""
    return text


def _truth(value: Any) -> str:
    word = value.strip().lower() if isinstance(value, str) else short(value)
    if word not in YES | NO:
        return "true or false"
    plain = "true" if word in YES else "false"
    return f"{plain}; by papermill -p {plain.title()}, or use its -y or -f"


def _list(value: Any) -> str:
    if not isinstance(value, str):
        return f"[{short(value)}]" if isinstance(value, int | float) else "a list, as [1, 2]"
    if re.match(r"\s*[\[(]", value):
        return "it without quotes; by papermill with its -y or -f, not -p"
    if re.fullmatch(THOUSANDS, value):
        return f"{_meant(value)}, or a list as [1, 2]"
    return f"[{', '.join(part.strip() for part in re.split('[,;]', value[:LONGEST]))}]"


def _text(value: Any) -> str:
    return f'text, as "{short(value)}" with the quotes' if isinstance(value, int) else "text"


ADVICE: dict[str, Callable[[Any], str]] = {
    "int_type": _whole,
    "float_type": lambda value: _meant(value) or "a number, as 0.5, 5e-4 or 1_000",
    "bool_type": _truth,
    "tuple_type": _list,
    "list_type": _list,
    "string_type": _text,
}
