"""How long training takes and what memory, from rates that were measured; before it begins.

XOR stacks: what ``make bench`` measured of the nearest experiment of the same architecture, scaled
by how many numbers a step makes, and by how this machine's own results compare. Language models:
seconds a token of stored results. What nothing was measured of is nan.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from semantica_lib.errors import RequestError
from semantica_lib.models import encoders
from semantica_lib.settings.catalogue import (
    AnySettings,
    MlmSettings,
    Settings,
    catalogue,
    find,
    settings,
)
from semantica_lib.settings.xor import training_strings
from semantica_lib.store import results

EAGER_STEPS = 300  # of a run below which nothing is compiled
TRIALS = 10  # of the bench's stacks, and MANY where a second size was measured
MANY = 100
LEAST_STEPS = 1_000  # of a result from which a rate is taken: shorter ones are mostly beginning


class Rate(NamedTuple):
    """What was measured of an experiment's step: milliseconds by trials of the stack."""

    points: dict[int, float]
    compile_s: float
    memory_mb: float
    name: str
    machine: str

    def ms(self, trials: int, times: float) -> float:
        """Of a stack of so many trials, each so many times as large.

        Straight lines through what was measured; what even a stack of no trials would take does not
        grow with their size.
        """
        (few, least), (many, most) = min(self.points.items()), max(self.points.items())
        fixed = max(0.0, least - few * (most - least) / (many - few)) if few < many else 0.0
        if trials < few:
            here = fixed + (least - fixed) * trials / few
        elif trials < many:
            here = least + (most - least) * (trials - few) / (many - few)
        else:
            here = fixed + (most - fixed) * trials / many
        return fixed + times * (here - fixed)


def seconds(own: AnySettings, trials: int, steps: int, device: str) -> float:
    """How long a stack of so many trials trains for so many steps, on one core or one GPU."""
    here = _ratio(results.here(), own, device)
    if isinstance(own, MlmSettings):
        rate = here or _ratio(results.PUBLISHED, own, device)
        return (rate or math.nan) * trials * steps * _tokens(own)
    return _bench_seconds(own, trials, steps, device) * (here or 1.0)


def memory_mb(own: AnySettings, trials: int) -> float:
    """At most so many megabytes the process of a stack takes on a processor."""
    if isinstance(own, MlmSettings):
        return math.nan
    rate = _rate(own, "cpu")
    return rate.memory_mb * max(1.0, trials / (2 * TRIALS)) if rate else math.nan


def basis(own: AnySettings, device: str) -> str:
    """What :func:`seconds` was measured on, in a few words."""
    here = _ratio(results.here(), own, device)
    if isinstance(own, MlmSettings):
        there = "published results" if _ratio(results.PUBLISHED, own, device) else ""
        return "results here" if here else there or "nothing measured"
    rate = _rate(own, device)
    if rate is None:
        return "nothing measured"
    adjusted = ", adjusted by results here" if here else ""
    return f"the bench of {rate.name} on {rate.machine}{adjusted}"


def duration(seconds: float) -> str:
    """A time in words: ``40 s``, ``12 min``, ``3.5 h``; ``unknown`` if nothing was measured."""
    if math.isnan(seconds):
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def _kind(own: AnySettings) -> str:
    return "words" if isinstance(own, MlmSettings) else own.architecture


def _tokens(own: MlmSettings) -> int:
    """Of a step, each as costly as the model is wide and deep."""
    return own.tokens_a_step * own.layers * own.embedding_size


def numbers(own: Settings) -> int:
    """How many numbers a trial's step makes, by its widest tensors: what its cost grows with."""
    batch = own.batch_size or training_strings(own.bits)
    return own.layers * encoders.widest(own, len(own.zero_dst) + len(own.one_dst) + 3, batch)


def _bench_seconds(own: Settings, trials: int, steps: int, device: str) -> float:
    rate = _rate(own, device)
    if rate is None:
        return math.nan
    times = numbers(own) / numbers(find(rate.name))
    compiling = rate.compile_s if steps >= EAGER_STEPS else 0.0
    return compiling + steps * rate.ms(trials, times) / 1_000


def _rate(own: Settings, device: str) -> Rate | None:
    """What was measured of the experiment that is nearest in size, of the same architecture."""
    rates = _gpu_rates() if device.startswith("cuda") else _rates()
    alike = [rate for rate in rates if find(rate.name).architecture == own.architecture]

    def apart(rate: Rate) -> tuple[float, bool]:
        named = find(rate.name)
        return abs(math.log(numbers(own) / numbers(named))), rate.name != own.experiment

    return min(alike, key=apart, default=None)


def _rates() -> tuple[Rate, ...]:
    """The bench's, on a processor."""
    rates = []
    for name, one in _measured(results.PUBLISHED / "bench.json").items():
        points = {TRIALS: one["ms_a_step"]["mean"]}
        if one["ms_a_step_100_trials"]:
            points[MANY] = one["ms_a_step_100_trials"]["mean"]
        about = max(one["compile_s"].values()), one["peak_memory_mb"], name
        rates.append(Rate(points, *about, one["machine"]["processor"]))
    return tuple(rate for rate in rates if rate.name in catalogue())


def _gpu_rates() -> tuple[Rate, ...]:
    """The bench's, on a GPU."""
    points: dict[str, dict[int, float]] = {}
    about = {}
    for one in _measured(results.PUBLISHED / "bench-gpu.json").values():
        name = one["experiment"]
        points.setdefault(name, {})[one["trials"]] = one["ms_a_step"]
        about[name] = one["first_launch_s"], one["peak_memory_mb"], name, one["machine"]["device"]
    return tuple(Rate(points[name], *about[name]) for name in points if name in catalogue())


@cache
def _measured(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _ratio(place: Path, own: AnySettings, device: str) -> float | None:
    """How results of its kind compare with what is expected; of words, their seconds a token."""
    return _found(place, _kind(own), device)


@cache
def _found(place: Path, kind: str, device: str) -> float | None:
    """The median ratio over the results of a kind that were trained on such a device."""
    ratios = []
    for manifest in _manifests(place, device):
        own = settings(manifest["settings"])
        if _kind(own) != kind or (manifest["steps_done"] < LEAST_STEPS and kind != "words"):
            continue
        took, steps = manifest["duration_s"], manifest["steps_done"]
        if isinstance(own, MlmSettings):
            ratios.append(took / (len(manifest["trials"]) * steps * _tokens(own)))
        else:
            counts = [len(stack["seeds"]) for stack in manifest.get("stacks", [])]
            expected = [_bench_seconds(own, count, steps, device) for count in counts]
            ratios.append(took / sum(expected) if sum(expected) else math.nan)
    known = [ratio for ratio in ratios if ratio > 0]
    return median(known) if known else None


def _manifests(place: Path, device: str) -> Iterator[dict[str, Any]]:
    for address in results.addresses(place):
        try:
            manifest = results.manifest_of(*address)
            if manifest["device"].startswith("cpu") != device.startswith("cuda"):
                yield manifest
        except RequestError:
            continue  # `semantica list` names what is damaged
