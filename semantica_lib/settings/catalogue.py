"""The catalogue of named experiments, and where settings come from: files and options.

A settings file lists what differs from the defaults of :class:`Settings`, or, if it names a corpus,
of :class:`MlmSettings`.
"""

import json
import shlex
from collections.abc import Container, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError, nearest, short
from semantica_lib.files import ROOT
from semantica_lib.settings.language import MlmSettings, anchored
from semantica_lib.settings.schema import NAMES, NOT_IDENTITY, checked, is_name
from semantica_lib.settings.spelling import typed
from semantica_lib.settings.xor import Settings
from semantica_lib.settings.yaml_text import parse

CATALOGUE = ROOT / "notebooks" / "experiments"
MAIN = "transformer-small"  # the paper's main experiment
# The second round of evidence has results of its own, NAME-round-2, of fresh seeds from 1000 on:
# how many, by experiment (a small LSTM's step costs most: forty). What they record is enough for
# the means of the schedule's last period.
SECOND, FIRST_SEED, RECORDED = "-round-2", 1000, 2_000
SEEDS = {
    "transformer-small": 100, "transformer-small-ydh": 100, "transformer-small-ndh": 100,
    "three-synonyms": 100, "mlp-small": 100, "lstm-small": 40, "transformer-medium": 5,
    "mlp-medium": 5, "lstm-medium": 5,
}  # fmt: skip
AnySettings = Settings | MlmSettings


def settings(values: Mapping[str, Any], where: str = "") -> AnySettings:
    """Checked settings from plain values: of a language model if they name a corpus, else of XOR.

    Raises:
        RequestError: as :func:`semantica_lib.settings.schema.checked`.
    """
    return checked(kind_of(values), values, where)


def kind_of(names: Container[str]) -> type[AnySettings]:
    """The schema that settings of these names are of."""
    return MlmSettings if "corpus" in names else Settings


def read_file(path: Path, overrides: Mapping[str, Any] | None = None) -> AnySettings:
    """Settings of a YAML file, with some of them replaced; its relative paths begin at its folder.

    Raises:
        RequestError: as :func:`read_values`; or a setting is wrong.
    """
    values = read_values(path)
    if "experiment" not in values and not is_name(path.stem):
        raise RequestError(
            f"{path}: the file's name is that of the experiment, and {short(path.stem)} cannot be "
            f"one: rename the file, or put `experiment: NAME` into it (allowed: {NAMES})"
        )
    values = {"experiment": path.stem} | anchored(values, path.parent)
    settings(values, str(path))  # so that an error of the file names the file
    return checked(kind_of(values), {**values, **(overrides or {})})


def parse_override(text: str) -> tuple[str, Any]:
    """``key=value`` of the command line, the value written as in YAML; a corpus's path is whole."""
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--set takes key=value, not {short(text)}")
    name = name.strip()
    return name, anchored({name: parse(value, f"--set {name}: {short(value)}")})[name]


def read_values(path: Path) -> dict[Any, Any]:
    """The names and values of a YAML file.

    Raises:
        RequestError: it cannot be read, or is not a mapping.
    """
    try:
        values = parse(typed(path).read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RequestError(f"cannot read {path}: {reason}") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} must hold values, one `name: value` a line")
    return values


@cache
def catalogue() -> dict[str, Path]:
    """Named experiments and their files, in the order of their names.

    Raises:
        RequestError: the library was installed apart from its checkout, where they are.
    """
    if not CATALOGUE.is_dir():
        raise RequestError(
            f"there is no {CATALOGUE}: Semantica works in its checkout; clone it, and there "
            "`make env`, or `pip install -e .`"
        )
    return {path.stem: path for path in sorted(CATALOGUE.glob("*.yaml"))}


def second_rounds() -> list[str]:
    """Names of the second round's experiments, the main one first."""
    return [name + SECOND for name in SEEDS]


def experiments() -> list[str]:
    """Names of all experiments, those of the second round last."""
    return [*catalogue(), *second_rounds()]


def first_of(name: str) -> str:
    """The experiment of which this is a round: itself in the first."""
    return name.removesuffix(SECOND) if name in second_rounds() else name


def round_of(name: str) -> int:
    """Which round of evidence an experiment of this name is: 1 or 2."""
    return 1 + (name in second_rounds())


def experiment_file(name: str) -> Path | None:
    """The file of a named experiment, of either round; None if there is none of that name."""
    return catalogue().get(first_of(name))


def xor_experiments() -> list[str]:
    """Names of the experiments on the XOR task, in their order."""
    return [name for name in catalogue() if isinstance(find(name), Settings)]


def find(name: str, overrides: Iterable[tuple[str, Any]] = ()) -> AnySettings:
    """Settings of a named experiment or of a YAML file.

    Raises:
        RequestError: there is no such experiment or file, or a setting is wrong.
    """
    file = experiment_file(name)
    if not file and not name.endswith((".yaml", ".yml")):
        raise RequestError(f"unknown experiment {name!r}{nearest(name, experiments())}")
    if round_of(name) == 1:
        return read_file(file or Path(name), dict(overrides))
    own = find(first_of(name))
    seeds = range(FIRST_SEED, FIRST_SEED + SEEDS[first_of(name)])
    fresh = {"experiment": name, "seeds": list(seeds)}
    fresh |= {key: max(getattr(own, key), RECORDED) for key in ("record_every", "validate_every")}
    return read_file(file, fresh | dict(overrides))


def run_command(own: AnySettings) -> str:
    """What to type to train these settings: a name, or one's own file, and what differs from it."""
    named = own.experiment if experiment_file(own.experiment) else f"{own.experiment}.yaml"
    return shlex.join(["semantica", "run", named, *(w for c in changes(own) for w in ("--set", c))])


def changes(own: AnySettings) -> list[str]:
    """What differs from the named experiment in its trials, each as ``key=value``."""
    if not experiment_file(own.experiment):
        return []
    mine, named = (one.model_dump(mode="json") for one in (own, find(own.experiment)))
    differing = (name for name in mine if name not in NOT_IDENTITY and mine[name] != named[name])
    return [f"{name}={json.dumps(mine[name])}" for name in differing]
