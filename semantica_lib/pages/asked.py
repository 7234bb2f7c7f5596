"""What a page was asked for, and whether that is what it shows."""

from collections.abc import Mapping
from typing import Any

from semantica_lib.errors import RequestError, short
from semantica_lib.settings.catalogue import settings
from semantica_lib.store.results import Result


def check(shown: Result, asked: Mapping[str, Any]) -> None:
    """Refuse a page whose cells made another result than it was asked for.

    Args:
        asked: all settings of the result that it was asked for.

    Raises:
        RequestError: the identities differ, and in which settings.
    """
    own, other = settings(asked), shown.settings
    if own.settings_hash == other.settings_hash:
        return
    # settings of another kind of experiment have other names
    wanted, made = (one.model_dump(mode="json") for one in (own, other))
    names = {*own.identity, *other.identity}
    differing = [name for name in sorted(names) if wanted.get(name) != made.get(name)]
    words = ", ".join(f"{name} {short(wanted.get(name))}" for name in differing)
    others = ", ".join(f"{name} {short(made.get(name))}" for name in differing)
    raise RequestError(
        f"this page was asked for {words}, and its cells show {others}: undo what was changed in "
        "them"
    )
