"""Publishing: this machine's results copied into those that the book ships."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semantica_lib.errors import RequestError
from semantica_lib.running.groups import read_group
from semantica_lib.settings.catalogue import AnySettings, run_command
from semantica_lib.store import results
from semantica_lib.store.locks import holding
from semantica_lib.store.provenance import provenance
from semantica_lib.store.results import METRICS, TRAJECTORY, Result

LIMIT = 25_000_000  # bytes of all that is published: it is in everybody's checkout


def publish(
    wanted: Sequence[AnySettings], bare: bool = False, records: int | None = None
) -> list[Path]:
    """Copy this machine's results into the book's; all of them, or after a refusal none.

    A published result that has all trials of the one here, at its steps, and more is left as it is.

    A partial result takes its checkpoints along, so that any machine can go on from it. A complete
    one has none, and those of its partial forerunner are removed. A kill at any moment leaves each
    result as it was or as it is to be.

    Args:
        bare: leave the checkpoints of partial results out.
        records: publish at most about so many of a result's records and measurements: all of the
            schedule's last period, and of those before evenly spaced ones.

    Returns:
        The folder of each.

    Raises:
        RequestError: there is no such result, its checkpoints are not those of its step or are
            being trained, it or the working tree differs from any commit, or all that is published
            would be too large.
    """
    wanted = [own for own in wanted if not _has_more(own)]
    packed = {results.folder(results.PUBLISHED, own): _packed(own, bare, records) for own in wanted}
    if provenance()["dirty"]:
        raise RequestError("the working tree has changes; commit them before publishing")
    _refuse_too_much(packed)
    for target, files in packed.items():
        (target / "checkpoints").mkdir(parents=True, exist_ok=True)
        results.store(target, files)
        for file in _replaced(target):
            if file.relative_to(target).as_posix() not in files:
                file.unlink()
        if not any((target / "checkpoints").iterdir()):
            (target / "checkpoints").rmdir()
    return list(packed)


def _has_more(own: AnySettings) -> bool:
    """Whether the published result has all trials of the one here, at its steps, and others."""
    ours, theirs = (
        results.load(results.folder(place, own)) for place in (results.here(), results.PUBLISHED)
    )
    if ours is None or theirs is None:
        return False
    return ours.held < theirs.held and ours.manifest["steps_done"] <= theirs.manifest["steps_done"]


def _packed(own: AnySettings, bare: bool, records: int | None) -> dict[str, bytes]:
    """The files to publish, by name."""
    result = results.load(results.folder(results.here(), own))
    if result is None:
        raise RequestError(f"{own.experiment} has no result here; train it by `{run_command(own)}`")
    if result.manifest["dirty"]:
        raise RequestError(
            f"{own.experiment} was trained with uncommitted changes; train again with --fresh"
        )
    files = results.read_files(result, (TRAJECTORY, METRICS))
    if records is not None:
        files |= thinned(result, records)
    if not result.complete and not bare:
        files |= _checkpoints(own, result)
    return results.pack(result.manifest, files)


def thinned(result: Result, records: int) -> dict[str, bytes]:
    """The result's files with fewer records and measurements, by name."""
    end, period = int(result.steps.max()), result.settings.period
    arrays = {name: value for name, value in vars(result).items() if isinstance(value, np.ndarray)}
    kept = result.metrics.step.isin(_kept(np.unique(result.metrics.step), end - period, records))
    for steps, names in (
        ("steps", ("input_embedding", "output_embedding")),
        ("measured_steps", ("hidden_norm", "logit_gap")),
    ):
        if steps in arrays:
            keep = np.isin(arrays[steps], _kept(arrays[steps], end - period, records))
            if steps == "steps":  # the tables as they were when they were untied
                keep |= arrays[steps] == (getattr(result.settings, "untie_at", None) or -1)
            arrays |= {name: arrays[name][:, keep] for name in names if name in arrays}
            arrays[steps] = arrays[steps][keep]
    metrics = result.metrics[kept].assign(
        tied=result.metrics.tied.map({True: "true", False: "false"})
    )
    return {
        TRAJECTORY: results.packed_arrays(arrays),
        METRICS: metrics.to_csv(index=False, float_format="%.6g").encode(),
    }


def _kept(steps: np.ndarray, last: int, count: int) -> np.ndarray:
    """Those after ``last``, and evenly spaced ones before; all evenly spaced if it is negative."""
    after = steps[steps > last] if last >= 0 else steps[:0]
    before = steps[: len(steps) - len(after)]
    places = np.linspace(0, len(before) - 1, min(len(before), max(2, count - len(after))))
    return np.concatenate([before[places.round().astype(int)], after])


def _checkpoints(own: AnySettings, result: Result) -> dict[str, bytes]:
    """The checkpoints of a partial result, each at its step, together of all its trials."""
    done, files, trials = result.manifest["steps_done"], {}, set()
    with holding(result.folder):
        for path in sorted((result.folder / "checkpoints").glob("*.safetensors")):
            group = read_group(path, own)
            if group.step == done and set(group.trials) <= result.held:
                files[f"checkpoints/{path.name}"] = path.read_bytes()
                trials |= set(group.trials)
    if trials != result.held:
        raise RequestError(
            f"{own.experiment} is partial, at step {done:,}, and its checkpoints are gone or not "
            f"of that step; complete it by `{run_command(own)}`, or go on to some step "
            "by `--set steps=N`"
        )
    return files


def _replaced(target: Path) -> list[Path]:
    """What a result of this code has in its folder, and what killed processes left there."""
    names = (results.MANIFEST, TRAJECTORY, METRICS, "*.part", "*.new", "checkpoints/*")
    return sorted({file for name in names for file in target.glob(name)})


def _refuse_too_much(packed: dict[Path, dict[str, bytes]]) -> None:
    sizes = {path: path.stat().st_size for path in results.PUBLISHED.rglob("*") if path.is_file()}
    for target in packed:
        for path in _replaced(target):
            sizes.pop(path, None)
    new = {path.name: sum(map(len, files.values())) for path, files in packed.items()}
    kept = sum(sizes.values())
    if kept + sum(new.values()) > LIMIT:
        added = ", ".join(f"{name} ({size / 1e6:.2f} MB)" for name, size in new.items())
        raise RequestError(
            f"{added} beside the {kept / 1e6:.2f} MB that stay in {results.PUBLISHED} would exceed "
            f"the {LIMIT / 1e6:g} MB that may be published"
        )
