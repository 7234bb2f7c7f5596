"""Train an experiment on this machine and store it: what is finished is kept, the rest goes on.

The unit of work is a stack: trials of one tie that train together, in a process of their own on
one thread, with a checkpoint of their own. A result is put together from the stacks of its folder.
"""

import contextlib
import fcntl
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from semantica_lib import results
from semantica_lib.datasets.xor import SPLITS
from semantica_lib.errors import RequestError
from semantica_lib.experiments import Settings, run_command
from semantica_lib.processes import Part, train_all
from semantica_lib.provenance import device_name, listed, provenance
from semantica_lib.results import Result
from semantica_lib.trainers.checkpoint import load_checkpoint, write_whole

TAKEN = "checkpoints.new"  # published checkpoints, while they are copied


def run(own: Settings, fresh: bool = False) -> Result:
    """The result of these settings on this machine, trained as far as it is missing.

    Trials that are finished here are kept, interrupted ones go on from their checkpoint, and all
    trials of the result end at the same step. Where nothing of it is here, training goes on from
    the checkpoints of a published partial result of fewer steps. With ``SEMANTICA_TRAIN=never`` in
    the environment nothing is trained: the result here is returned, or else the published one.

    Args:
        own: the experiment.
        fresh: discard what this machine has of it and begin again, at step 0.

    Raises:
        RequestError: the request cannot be carried out (device, folder, damaged file).
        TrainingError: training failed on the way.
        KeyboardInterrupt: stopped by Ctrl-C; checkpoints are written.
    """
    if os.environ.get("SEMANTICA_TRAIN") == "never":
        return _stored(own)
    device = resolve_device(own.device)
    folder = results.folder(results.here(), own)
    with holding(folder):
        if fresh:
            _discard(folder)
        before = results.load(folder)
        if before and before.covers(own):
            return before
        if not fresh and before is None:
            _take(folder, own, _published(folder, own))
        wanted = results.asked(own)
        if before and before.complete:  # its trials stay in the result
            wanted |= before.held
        parts = [part for part in _plan(folder, own) if wanted & set(part.trials)]
        steps = max(own.steps, *(part.step for part in parts))
        own = own.model_copy(update={"steps": steps})
        train_all([part for part in parts if part.step < steps], own, device)
        _assemble(folder, own, [read_part(part.path, own) for part in parts], device)
    result = results.load(folder)
    assert result is not None
    return result


def check(own: Settings, fresh: bool = False) -> None:
    """Refuse what could not run, before anything runs.

    Raises:
        RequestError: the device is not there, the results folder cannot be written or is in use,
            a result or a checkpoint is damaged, a published one from which training would go on
            included, or a checkpoint belongs to other settings.
    """
    resolve_device(own.device)
    folder = results.folder(results.here(), own)
    with holding(folder):
        before = None if fresh else results.load(folder)
        if not (fresh or (before and before.covers(own))):
            _plan(folder, own)
            if before is None:
                _published(folder, own)


def resolve_device(name: str) -> str:
    """``cpu`` or ``cuda`` for a device setting.

    Raises:
        RequestError: the device is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu":
        index = int(name.partition(":")[2] or 0)
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            raise RequestError(
                f"device {name!r} is not there: this machine has {count} CUDA devices "
                "(allowed: auto, cpu)"
            )
    return name


def _stored(own: Settings) -> Result:
    result = results.best(own)
    if result is None:
        raise RequestError(
            f"{own.experiment} has no result, here or published; train it by `{run_command(own)}`"
        )
    return result


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a result's folder against other processes; the hold ends with the process.

    Raises:
        RequestError: the folder cannot be written, or another process holds it.
    """
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise RequestError(f"cannot write results to {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(f"{folder} is in use by another process that trains it") from None
        for left in folder.rglob("*.part"):  # what a killed process was writing
            left.unlink()
        shutil.rmtree(folder / TAKEN, ignore_errors=True)
        yield


def _discard(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    for name in (results.MANIFEST, results.TRAJECTORY, results.METRICS):
        for file in (folder / f"{name}.new", folder / name):
            file.unlink(missing_ok=True)


def _published(folder: Path, own: Settings) -> list[Part]:
    """The stacks that training here goes on from: none where a stack was begun here.

    Nor are there any where the published result is complete, stale, or as far as is asked for: to
    run means to train here.
    """
    if any((folder / "checkpoints").glob("*.safetensors")):
        return []
    result = results.load(results.folder(results.PUBLISHED, own))
    if result is None or result.stale or result.manifest["steps_done"] >= own.steps:
        return []
    names = results.checkpoints(result)
    results.read_files(result, names)  # refuses those that are not the manifest's
    parts = [read_part(result.folder / name, own) for name in names]
    return [part for part in parts if results.asked(own) & set(part.trials)]


def _take(folder: Path, own: Settings, parts: list[Part]) -> None:
    """Copy published checkpoints into a folder that has none: all of them, or after a kill none."""
    if parts:
        (folder / TAKEN).mkdir()
        for part in parts:
            write_whole(folder / TAKEN / part.path.name, part.path.read_bytes())
        os.replace(folder / TAKEN, folder / "checkpoints")  # an empty folder gives way
        step = f"the published checkpoint at step {parts[0].step:,}"
        print(f"{own.experiment}: training goes on from {step}", file=sys.stderr, flush=True)


def _plan(folder: Path, own: Settings) -> list[Part]:
    """The stacks of a result: those begun, and a new one for each tie that lacks trials."""
    parts = [
        read_part(path, own) for path in sorted((folder / "checkpoints").glob("*.safetensors"))
    ]
    begun = {trial for part in parts for trial in part.trials}
    for tie in own.ties:
        seeds = tuple(seed for seed in own.seeds if (seed, tie == "tied") not in begun)
        if seeds:
            name = f"{tie}-{min(seeds)}-{max(seeds)}-{len(parts)}.safetensors"
            parts.append(Part(folder / "checkpoints" / name, tie == "tied", seeds))
    return parts


def read_part(path: Path, own: Settings) -> Part:
    """A stack from its checkpoint.

    Raises:
        RequestError: the checkpoint is damaged or belongs to other settings.
    """
    tensors, about = load_checkpoint(path)
    if about.get("settings_hash") != own.settings_hash:
        raise RequestError(
            f"checkpoint {path} belongs to other settings; delete it, or start again with --fresh"
        )
    return Part(path, about["tied"] == "true", tuple(tensors["seeds"].tolist()), tensors, about)


def _assemble(folder: Path, own: Settings, parts: list[Part], device: str) -> None:
    """Put the result together from its finished stacks and store it."""
    steps, tables = _joined(parts, "record_steps", "tables")  # (trial, record, table, ...)
    measured_steps, norms = _joined(parts, "measured_steps", "norms")  # (trial, measurement, bit)
    trials = [trial for part in parts for trial in part.trials]
    order = sorted(range(len(trials)), key=lambda index: (not trials[index][1], trials[index][0]))
    trials = [trials[index] for index in order]
    trajectory = {
        "steps": steps,
        "seed": np.array([seed for seed, _ in trials]),
        "tied": np.array([tied for _, tied in trials]),
        "input_embedding": tables[order, :, 0],
        "output_embedding": tables[order, :, 1],
        "measured_steps": measured_steps,
        "hidden_norm": norms[order],
    }
    made, name = provenance(), device_name(device)
    # checkpoints of an earlier version do not tell their device; they never left their machine
    devices = [part.about.get("device", name) for part in parts]
    manifest = made | {
        "experiment": own.experiment,
        "settings": own.model_dump(mode="json"),
        "settings_hash": own.settings_hash,
        "seeds": sorted({seed for seed, _ in trials}),
        "trials": [{"seed": seed, "tied": tied} for seed, tied in trials],
        "status": "complete" if own.steps >= results.full_steps(own) else "partial",
        "steps_done": own.steps,
        "dirty": made["dirty"] or any(part.about["dirty"] == "true" for part in parts),
        "device": listed(*devices),
        "threads": 1,
        "started": min(part.about["started"] for part in parts),
        "duration_s": round(sum(float(part.about["seconds"]) for part in parts), 1),
        "stacks": [
            {"tied": part.tied, "seeds": list(part.seeds), "device": used}
            | {name: part.about[name] for name in ("commit", "started")}
            | {"dirty": part.about["dirty"] == "true", "seconds": float(part.about["seconds"])}
            for part, used in zip(parts, devices, strict=True)
        ],
    }
    results.write(folder, manifest, trajectory, _metrics(parts))


def _joined(parts: list[Part], steps: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps that every stack has, and what it stored by that name, ``(trial, step, ...)``."""
    shared = set.intersection(*(set(part.tensors[steps].tolist()) for part in parts))
    values = []
    for part in parts:
        keep = [index for index, step in enumerate(part.tensors[steps].tolist()) if step in shared]
        values.append(part.tensors[name][keep].transpose(0, 1).numpy())
    return np.array(sorted(shared)), np.concatenate(values)


def _metrics(parts: list[Part]) -> str:
    """Accuracy and loss of every trial as tidy CSV."""
    rows = io.StringIO()
    rows.write("seed,tied,step,split,accuracy,loss\n")
    for part in sorted(parts, key=lambda part: (not part.tied, part.seeds)):
        measured = part.tensors["measured"].tolist()  # (step, split, quantity, trial)
        for index, (seed, tied) in enumerate(part.trials):
            for step, splits in zip(part.tensors["measured_steps"].tolist(), measured, strict=True):
                for split, (accuracy, loss) in zip(SPLITS, splits, strict=True):
                    rows.write(
                        f"{seed},{str(tied).lower()},{step},{split},"
                        f"{accuracy[index]:.6g},{loss[index]:.6g}\n"
                    )
    return rows.getvalue()
