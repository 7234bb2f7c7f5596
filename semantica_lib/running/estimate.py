"""How long training takes and what memory, from rates that were measured; before it begins.

XOR stacks: what ``make bench`` measured of the nearest experiment of the same architecture that the
same engine trained, scaled by how many numbers a step makes, and by how this machine's own results
compare. Language models: seconds a token of stored results. What nothing was measured of is nan.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

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
from semantica_lib.trainers import engines
from semantica_lib.trainers.stacked import EAGER_BELOW

TRIALS, MANY, MOST = 10, 100, 1_000  # of the bench's stacks; the greater ones where they are quick
TWO = 2 * TRIALS  # trials of the processes whose memory the bench measured: tied and untied
LEAST_STEPS = 1_000  # of a result from which a rate is taken: shorter ones are mostly beginning


class Rate(NamedTuple):
    """What was measured of an experiment's step: milliseconds by trials of the stack."""

    points: dict[int, float]
    compile_s: float
    memory_mb: float  # of TWO trials
    more_mb: float  # of each further one
    name: str
    machine: str

    def ms(self, trials: int, times: float) -> float:
        """Of a stack of so many trials, each so many times as large.

        Straight lines through what was measured; what even a stack of no trials would take does not
        grow with their size.
        """
        counts, ms = zip(*sorted(self.points.items()), strict=True)
        fixed = 0.0
        if len(counts) > 1:
            slope = (ms[-1] - ms[-2]) / (counts[-1] - counts[-2])
            fixed = max(0.0, ms[-1] - slope * counts[-1])
        if trials > counts[-1]:
            here = fixed + (ms[-1] - fixed) * trials / counts[-1]
        else:
            here = float(np.interp(trials, (0, *counts), (fixed, *ms)))
        return fixed + times * (here - fixed)


def seconds(own: AnySettings, trials: int, steps: int, device: str) -> float:
    """How long a stack of so many trials trains for so many steps, on one core or one GPU."""
    here = _ratio(results.here(), own, device)
    if isinstance(own, MlmSettings):
        rate = here or _ratio(results.PUBLISHED, own, device)
        return (rate or math.nan) * trials * steps * _tokens(own)
    engine = engines.kind(own, device, steps)
    return _bench_seconds(own, trials, steps, device, engine) * (here or 1.0)


def memory_mb(own: AnySettings, trials: int) -> float:
    """At most so many megabytes the process of a stack takes on a processor."""
    if isinstance(own, MlmSettings):
        return math.nan
    rate = _rate(own, "cpu", engines.kind(own, "cpu", own.steps))
    return rate.memory_mb + rate.more_mb * max(0, trials - TWO) if rate else math.nan


def basis(own: AnySettings, device: str) -> str:
    """What :func:`seconds` was measured on, in a few words."""
    here = _ratio(results.here(), own, device)
    if isinstance(own, MlmSettings):
        there = "published results" if _ratio(results.PUBLISHED, own, device) else ""
        return "results here" if here else there or "nothing measured"
    rate = _rate(own, device, engines.kind(own, device, own.steps))
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


def _bench_seconds(own: Settings, trials: int, steps: int, device: str, engine: str) -> float:
    rate = _rate(own, device, engine)
    if rate is None:
        return math.nan
    times = numbers(own) / numbers(find(rate.name))
    compiling = rate.compile_s if steps >= EAGER_BELOW else 0.0
    return compiling + steps * rate.ms(trials, times) / 1_000


def _rate(own: Settings, device: str, engine: str) -> Rate | None:
    """What was measured of the experiment that is nearest in size, of the same architecture."""
    rates = _gpu_rates() if device.startswith("cuda") else _rates(engine)
    alike = [rate for rate in rates if find(rate.name).architecture == own.architecture]

    def apart(rate: Rate) -> tuple[float, bool]:
        named = find(rate.name)
        return abs(math.log(numbers(own) / numbers(named))), rate.name != own.experiment

    return min(alike, key=apart, default=None)


def _rates(engine: str) -> tuple[Rate, ...]:
    """The bench's, on a processor, of an engine."""
    rates = []
    for name, one in _measured(results.PUBLISHED / "bench.json").items():
        if one["engine"].startswith(engine):
            stacks = {TRIALS: "", MANY: "_100_trials", MOST: "_1000_trials"}
            each = {trials: one[f"ms_a_step{suffix}"] for trials, suffix in stacks.items()}
            compiling, memory = one["compile_s"], one["peak_memory_mb"]
        elif engine == engines.GENERAL:
            each = {int(trials): ms for trials, ms in one["compiled_ms_a_step"].items()}
            compiling, memory = one["compiled_compile_s"], one["compiled_peak_memory_mb"]
        else:
            continue
        points = {trials: ms["mean"] for trials, ms in each.items() if ms}
        most = one["peak_memory_mb_1000_trials"]
        more = memory / TWO  # at most: as if nothing of it were the same for any number of trials
        if engine != engines.GENERAL:
            points[1] = points[
                TRIALS
            ]  # trials share a vector, which is as slow when it is not full
            more = (most - memory) / (MOST - TRIALS) if most else more
        about = max(compiling.values()), memory, more, name, one["machine"]["processor"]
        rates.append(Rate(points, *about))
    return tuple(rate for rate in rates if rate.name in catalogue())


def _gpu_rates() -> tuple[Rate, ...]:
    """The bench's, on a GPU."""
    points: dict[str, dict[int, float]] = {}
    about = {}
    for one in _measured(results.PUBLISHED / "bench-gpu.json").values():
        name = one["experiment"]
        points.setdefault(name, {})[one["trials"]] = one["ms_a_step"]
        memory, device = one["peak_memory_mb"], one["machine"]["device"]
        about[name] = one["first_launch_s"], memory, memory / TWO, name, device
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
            expected = [
                _bench_seconds(own, len(stack["seeds"]), steps, device, _engine(stack))
                for stack in manifest.get("stacks", [])
            ]
            ratios.append(took / sum(expected) if sum(expected) else math.nan)
    return median(known) if (known := [ratio for ratio in ratios if ratio > 0]) else None


def _engine(stack: dict[str, Any]) -> str:
    """What trained a stack of a manifest: the last, if there were several."""
    name = stack.get("engine", engines.GENERAL).rpartition("; ")[2]
    return engines.GENERAL if name.startswith(engines.GENERAL) else engines.KIND


def _manifests(place: Path, device: str) -> Iterator[dict[str, Any]]:
    for address in results.addresses(place):
        try:
            manifest = results.manifest_of(*address)
            if manifest["device"].startswith("cpu") != device.startswith("cuda"):
                yield manifest
        except RequestError:
            continue  # `semantica list` names what is damaged
