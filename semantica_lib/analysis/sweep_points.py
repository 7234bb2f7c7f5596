"""The points of a sweep with their results: what the chapters on sweeps are made from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import Table
from semantica_lib.errors import RequestError, nearest
from semantica_lib.settings.catalogue import Settings, settings
from semantica_lib.settings.own_files import word_of
from semantica_lib.settings.sweeps import file_of, points, read, sweeps
from semantica_lib.store import results
from semantica_lib.store.results import Result

Place = tuple[bool, Table]  # a table: whether of tied trials, and which
INPUT, OUTPUT, TIED = PLACES = ((False, "input"), (False, "output"), (True, "input"))


class Point(NamedTuple):
    """A point of a sweep, and its result if there is one."""

    varied: Mapping[str, Any]
    settings: Settings
    result: Result | None

    @property
    def places(self) -> list[Place]:
        """The tables that it has: whether tied, and which."""
        return [place for place in PLACES if tie_of(place[0]) in self.settings.ties]


def stored(sweep: str) -> list[Point]:
    """The points of a sweep, each with the result that has its trials: this machine's, if it has.

    Args:
        sweep: its name, or the path of its file.

    Raises:
        RequestError: there is no such sweep, something in it is wrong, or a result is damaged.
    """
    path = file_of(sweep)
    if path is None:
        raise RequestError(f"{sweep} is an experiment, not a sweep{nearest(sweep, sweeps())}")
    return [Point(varied, own, _result(own)) for varied, own in points(read(path))]


def added(sweep: str) -> list[Point]:
    """Points that ``--set scheme=FILE.py:NAME`` has added to a sweep on this machine, in its order.

    Each has trials of that scheme alone, at the settings of one of the sweep's points, and as many
    steps. Their files are not looked for.

    Args:
        sweep: its name, or the path of its file.

    Raises:
        RequestError: as :func:`stored`.
    """
    ours: dict[str, list[tuple[Settings, Result]]] = {}
    for address in results.addresses(results.here()):
        try:
            own = settings(results.manifest_of(*address)["settings"])
        except RequestError:
            continue  # `semantica list` names what is damaged
        if getattr(own, "scheme", None) and own.ties == (word_of(own.scheme),):
            plain = own.model_copy(update={"scheme": None}).settings_hash
            ours.setdefault(plain, []).append((own, results.load(*address)))
    return [
        Point(varied | {"ties": list(own.ties)}, own, result.of_seeds(point.seeds))
        for varied, point in points(read(file_of(sweep)))
        for own, result in ours.get(point.settings_hash, ())
        if own.steps == point.steps  # else it would stand unmarked beside longer ones
    ]


def _result(own: Settings) -> Result | None:
    found = results.sources(own)
    best = next((one for one in found if one.covers(own)), found[0] if found else None)
    return best.of_seeds(own.seeds, own.ties) if best else None


def pairs_of(found: list[Point], name: str, one: Any, other: Any) -> list[tuple[Point, Point]]:
    """Points that have a result and differ in one setting alone, by its values."""
    by = {point.settings.settings_hash: point for point in found if point.result}
    pairs = []
    for point in by.values():
        if getattr(point.settings, name) == one:
            changed = point.settings.model_copy(update={name: other}).settings_hash
            if changed in by:
                pairs.append((point, by[changed]))
    return pairs


def name_of(place: Place) -> str:
    """A table in words: ``tied``, ``untied input`` or ``untied output``."""
    tied, table = place
    return "tied" if tied else f"untied {table}"
