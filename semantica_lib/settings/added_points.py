"""The points that a scheme of one's own adds to a sweep."""

from collections.abc import Iterable, Mapping
from typing import Any

from semantica_lib.errors import RequestError, short
from semantica_lib.settings.catalogue import AnySettings
from semantica_lib.settings.own_files import word_of
from semantica_lib.settings.schema import checked
from semantica_lib.settings.sweeps import Sweep, points


def asked_points(
    sweep: Sweep, overrides: Iterable[tuple[str, Any]]
) -> list[tuple[Mapping[str, Any], AnySettings]]:
    """A sweep's points; or, where an override names a scheme, the points that it adds to them.

    Those are the sweep's own but for their trials, which are of that scheme alone.

    Raises:
        RequestError: as :func:`semantica_lib.settings.sweeps.points`; the scheme is no text,
            or ties are named beside it.
    """
    others = dict(overrides)
    scheme = others.pop("scheme", None)
    there = points(sweep, others.items())
    if scheme is None:
        return there
    if not isinstance(scheme, str):
        raise RequestError(f"scheme: {short(scheme)}: write scheme=FILE.py:NAME, of one class")
    if "ties" in others:
        raise RequestError("scheme adds points of that scheme alone to a sweep: leave ties out")
    own = {"scheme": scheme, "ties": [word_of(scheme)]}
    return [(varied, checked(type(one), one.model_dump() | own)) for varied, one in there]
