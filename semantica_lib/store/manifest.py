"""The shape of manifests: a result's, and a sweep's, which says once what its points share.

A point is known in its sweep by the first eight digits of its settings' hash, its *key*.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from semantica_lib.settings.catalogue import AnySettings
from semantica_lib.settings.schema import BOTH

CHECKPOINTS = "checkpoints"


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


class Trial(BaseModel):
    """A trial, as a manifest names it."""

    model_config = ConfigDict(strict=True)
    seed: int
    tied: bool  # whether one table serves both
    tie: str = ""  # a result of an earlier version has none


class Diverged(Trial):
    """A trial that diverged, and its first step whose numbers are not all finite."""

    step: int


class Stacked(BaseModel):
    """A stack that trained some of a result's trials."""

    model_config = ConfigDict(strict=True)
    seeds: list[int]


class Manifest(BaseModel):
    """What every result's manifest has; language models' have more."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    experiment: str
    settings: dict[str, Any]
    settings_hash: str
    seeds: list[int]
    trials: list[Trial]
    status: Literal["complete", "partial"]
    steps_done: int
    commit: str | None
    dirty: bool | None
    source_sha256: str
    numerics: int
    versions: dict[str, str]
    device: str
    threads: int
    started: Annotated[str, AfterValidator(_moment)]
    duration_s: float
    files: dict[str, str]
    stacks: list[Stacked] = []
    diverged: list[Diverged] = []


class Point(BaseModel):
    """A point in its sweep's manifest: what it is in words, and in what it differs from most."""

    model_config = ConfigDict(strict=True, extra="allow")
    label: str
    settings: dict[str, Any]
    settings_hash: str


class Elsewhere(BaseModel):
    """A point of a sweep that lies in the folder of another, or of an experiment."""

    model_config = ConfigDict(strict=True)
    label: str
    folder: str


class SweepManifest(BaseModel):
    """What the manifest of a sweep's folder has: ``common`` is what most points have."""

    model_config = ConfigDict(strict=True)
    sweep: str
    common: dict[str, Any]
    points: dict[str, Point]
    elsewhere: dict[str, Elsewhere]
    files: dict[str, str]


def tie_in(trial: Mapping[str, Any]) -> str:
    """The word for a trial's tie, as a manifest or a checkpoint tells it, an older one too."""
    return trial.get("tie") or BOTH[trial.get("tied") not in (True, "true")]


def key_of(own: AnySettings) -> str:
    """What a point of these settings is known by in its sweep."""
    return own.settings_hash[:8]


def is_sweep(manifest: Any) -> bool:
    """Whether a manifest is a sweep's, not one result's."""
    return isinstance(manifest, dict) and "points" in manifest


def of_point(sweep: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A point's manifest, as if it had a folder of its own; ``files`` are its sweep's.

    Args:
        sweep: the sweep's manifest, checked.

    Raises:
        KeyError: the sweep has no such point.
    """
    common, point = sweep["common"], sweep["points"][key]
    found = {**common, **point, "settings": {**common["settings"], **point["settings"]}}
    others = tuple(f"{CHECKPOINTS}/{other}/" for other in sweep["points"] if other != key)
    found["files"] = {n: d for n, d in sweep["files"].items() if not n.startswith(others)}
    del found["label"]
    return found


def of_sweep(
    name: str, points: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest of a sweep's folder, but for its files and for what lies elsewhere.

    Args:
        points: the points' own manifests by their keys.
        labels: what each is in words, by its key.
    """
    settings = _common([one["settings"] for one in points.values()])
    common = _common(list(points.values())) | {"settings": settings}
    for name in ("settings_hash", "files"):
        common.pop(name, None)
    differing = {}
    for key, one in points.items():
        of_it = _differing(one, common) | {"settings": _differing(one["settings"], settings)}
        of_it.pop("files", None)
        differing[key] = {"label": labels[key], **of_it}
    return {"sweep": name, "common": common, "points": differing, "elsewhere": {}}


def _common(ones: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the names that all of them have, the value that most have, if several have the same."""
    found = {}
    for name in ones[0]:
        if all(name in one for one in ones):
            texts = [json.dumps(one[name], sort_keys=True) for one in ones]
            most = max(texts, key=texts.count)
            if texts.count(most) > 1 or len(ones) == 1:
                found[name] = ones[texts.index(most)][name]
    return found


def _differing(one: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: json.dumps(value, sort_keys=True) for name, value in common.items()}
    return {
        name: value
        for name, value in one.items()
        if texts.get(name) != json.dumps(value, sort_keys=True)
    }
