"""Settings and parameters from a notebook's variables."""

import ast
from collections.abc import Collection, Mapping
from typing import Any

from semantica_lib.errors import RequestError, nearest
from semantica_lib.settings.catalogue import AnySettings, kind_of, settings
from semantica_lib.settings.language import anchored


def from_namespace(names: Mapping[str, Any]) -> AnySettings:
    """Settings from a notebook's variables: every name set in its parameter cells must be one.

    Raises:
        RequestError: as :func:`semantica_lib.settings.catalogue.settings`.
    """
    names = _set_in_cells(names)
    return settings(anchored(_set_by_the_user(names, kind_of(names).model_fields)))


def only(names: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a notebook's variable that is no parameter of it (papermill only warns of one).

    Raises:
        RequestError: a name that is not known, with the nearest one that is.
    """
    for name in _set_by_the_user(_set_in_cells(names), known):
        if name not in known:
            raise RequestError(f"unknown parameter {name!r}{nearest(name, known)}")


def _set_in_cells(names: Mapping[str, Any]) -> Mapping[str, Any]:
    """A notebook's variables without those that were there before its first cell.

    The user's start-up files can define some, even ones that are called like a setting. IPython
    keeps what they have defined, and the text of each cell that was executed.
    """
    if not callable(names.get("get_ipython")):
        return names
    shell = names["get_ipython"]()
    before, cells = shell.user_ns_hidden, shell.history_manager.input_hist_parsed
    assigned = {name for cell in cells for name in _assigned(cell)}
    return {
        name: value
        for name, value in names.items()
        if name in assigned or name not in before or value is not before[name]
    }


def _assigned(code: str) -> set[str]:
    """The names that code assigns to; none if it is not Python."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError):
        return set()
    found = (node for node in nodes if isinstance(node, ast.Name))
    return {node.id for node in found if isinstance(node.ctx, ast.Store)}


def _set_by_the_user(names: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """A notebook's variables without modules, functions, objects and ``_names`` of its own code."""
    plain = (type(None), bool, int, float, str, list, tuple, dict)
    return {
        name: value
        for name, value in names.items()
        if name in known
        or (isinstance(value, plain) and not name.startswith("_") and name not in ("In", "Out"))
    }
