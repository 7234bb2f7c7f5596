"""Sweeps: a named experiment with its settings varied, each combination a result of its own.

A sweep is a file ``notebooks/sweeps/NAME.yaml``, or a YAML file anywhere else. Its grid is a list
of blocks, each the product of its lists::

    base: transformer-small
    question: Who closes the gap between synonyms?
    seeds: [42, 43, 44]
    fixed: {record_every: 10_000}
    grid:
      - {optimizer: [adamw], weight_decay: [0.0, 0.1]}
      - {optimizer: [sgd], learning_rate: [0.3]}
"""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from semantica_lib.errors import RequestError, nearest, short
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import AnySettings, catalogue, experiments, find, read_values
from semantica_lib.settings.language import anchored
from semantica_lib.settings.schema import NOT_IDENTITY, Prose, Seeds, checked

FOLDER = ROOT / "notebooks" / "sweeps"
RECORDED = ("record_every", "validate_every")
MOST_POINTS = 10_000


class Sweep(BaseModel):
    """What a sweep's file holds."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    base: str
    """the named experiment that is varied"""
    question: Prose = ""
    """what it asks, in plain words"""
    seeds: Seeds
    """of every point, one trial each for each tie"""
    fixed: dict[str, Any] = {}
    """settings that all points share"""
    grid: Annotated[
        list[Annotated[dict[str, Annotated[list, Field(min_length=1)]], Field(min_length=1)]],
        Field(min_length=1),
    ]
    """blocks of settings, each with the list of its values"""


@cache
def sweeps() -> dict[str, Path]:
    """Sweeps and their files, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def file_of(name: str) -> Path | None:
    """The file of a sweep, by its name or its path; None if the name is an experiment's.

    A file is a sweep's if it holds a grid or a base, which no settings do.

    Raises:
        RequestError: there is no such name, or the file cannot be read.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name) if {"grid", "base"} & read_values(Path(name)).keys() else None
    if name not in (known := [*experiments(), *sweeps()]):
        raise RequestError(f"unknown experiment or sweep {name!r}{nearest(name, known)}")
    return sweeps().get(name)


def read(path: Path) -> Sweep:
    """A sweep's file; its relative paths begin at its folder.

    Raises:
        RequestError: it cannot be read, or something in it is not allowed.
    """
    sweep = checked(Sweep, read_values(path), str(path))
    if sweep.base not in catalogue():
        find(sweep.base)  # says which names there are
        raise RequestError(f"{path}: base should be a named experiment, not {sweep.base!r}")
    fixed, *grid = (anchored(values, path.parent) for values in (sweep.fixed, *sweep.grid))
    return sweep.model_copy(update={"fixed": fixed, "grid": grid})


def points(
    sweep: Sweep, overrides: Iterable[tuple[str, Any]] = ()
) -> list[tuple[Mapping[str, Any], AnySettings]]:
    """The values of each point and its settings, in the order of the file.

    A point that is the base itself is recorded as the base is, so that one result serves both.

    Raises:
        RequestError: a name or a value is not one of the base's settings, two points are one,
            there are too many, or an override makes other points of them.
    """
    count = sum(prod(map(len, block.values())) for block in sweep.grid)
    if count > MOST_POINTS:
        raise RequestError(f"a sweep has at most {MOST_POINTS:,} points, not {short(count)}")
    found: dict[str, tuple[Mapping[str, Any], AnySettings]] = {}  # by their hashes
    seeds, overrides = {"seeds": list(sweep.seeds)}, dict(overrides)
    base = find(sweep.base, (seeds | overrides).items())
    may = NOT_IDENTITY - {"experiment"}.union(*sweep.grid)
    if wrong := sorted(overrides.keys() - may):
        raise RequestError(
            f"--set {wrong[0]} would make other points than the sweep has: change a copy of its "
            "file, and name that copy"
        )
    for block in sweep.grid:
        for values in product(*block.values()):
            varied = dict(zip(block, values, strict=True))
            own = find(sweep.base, (sweep.fixed | varied | seeds | overrides).items())
            taken = own.model_dump(mode="json", include=set(varied))
            varied = {name: taken[name] for name in varied}  # however they are written
            if own.settings_hash == base.settings_hash:
                own = own.model_copy(update={name: getattr(base, name) for name in RECORDED})
            if own.settings_hash in found:
                told = ", ".join(f"{name}={short(value)}" for name, value in varied.items())
                raise RequestError(f"the point {told} stands in the grid twice: leave one out")
            found[own.settings_hash] = varied, own
    return list(found.values())
