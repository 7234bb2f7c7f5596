"""What the files of a result hold, and how: arrays in one file, metrics in another.

A sweep's folder has the same two files for all its points: an array of a point is named
``KEY/NAME``, and the metrics have a column ``point`` in front.
"""

import gzip
import io
import json
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semantica_lib.settings.catalogue import settings
from semantica_lib.settings.schema import BOTH, one_table
from semantica_lib.store import folders
from semantica_lib.store.folders import MANIFEST, METRICS, PLAIN_METRICS, TRAJECTORY
from semantica_lib.store.manifest import (
    CHECKPOINTS,
    Manifest,
    SweepManifest,
    is_sweep,
    of_point,
    tie_in,
)

if TYPE_CHECKING:
    import pandas as pd

# Of each array what its values are and what its dimensions are of, by NumPy's kinds and by name.
SHAPES = {
    "steps": ("iu", "record"), "seed": ("iu", "trial"), "tied": ("b", "trial"),
    "tie": ("U", "trial"),
    "input_embedding": ("f", "trial record symbol feature"),
    "output_embedding": ("f", "trial record symbol feature"),
    "measured_steps": ("iu", "measurement"), "hidden_norm": ("f", "trial measurement bit"),
    "logit_gap": ("f", "trial measurement pair quantity"),
    "use_steps": ("iu", "use"), "uses": ("f", "trial use swap effect"),
    "gradient_steps": ("iu", "gradient"), "table_gradient": ("f", "trial gradient pull"),
    "words": ("U", "symbol"), "holds": ("b", "trial synonyms"),
    "neighbours": ("U", "trial table symbol rank"),
}  # fmt: skip
ALWAYS = ("steps", "seed", "tied", "input_embedding", "output_embedding")
MEASURED = ("accuracy", "loss")  # columns of floats, even where all are whole numbers
COLUMNS = {"seed": "iu", "tied": "b", "step": "iu", "split": "OTU"} | dict.fromkeys(MEASURED, "f")
POINT = "point,"  # what stands before the other columns of a sweep's metrics


class Contents(NamedTuple):
    """What a result's files hold: its metrics as CSV; checkpoints by name, where they are asked."""

    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    metrics: str
    checkpoints: Mapping[str, bytes] = {}

    def table(self) -> "pd.DataFrame":
        """The metrics; the arrays and they are checked to be those of a result.

        Raises:
            ValueError: they are not.
        """
        import pandas as pd  # would double the time that the command takes to start

        table = pd.read_csv(io.StringIO(self.metrics), dtype=dict.fromkeys(MEASURED, float))
        _refuse_other_shapes(self.arrays, table, self.manifest)
        return table


def read(path: Path) -> Contents:
    """What a result's own folder holds.

    Raises:
        ValueError, OSError: a file is missing, damaged or not of a result.
    """
    manifest = read_manifest(path)
    name = METRICS if METRICS in manifest["files"] else PLAIN_METRICS
    files = folders.checked(path, manifest["files"], (TRAJECTORY, name))
    with np.load(io.BytesIO(files[TRAJECTORY]), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Contents(manifest, arrays, _text(files[name], name))


def read_point(path: Path, key: str) -> Contents:
    """What a sweep's folder holds of a point; raises as :func:`read`, or a KeyError."""
    manifest = read_manifest(path, key)
    arrays, metrics = _opened(path, folders.stamp(path, (MANIFEST, TRAJECTORY, METRICS)))
    names = (name for name in arrays.files if name.startswith(f"{key}/"))
    mine = {name.removeprefix(f"{key}/"): arrays[name] for name in names}
    return Contents(manifest, mine, metrics[key])


def read_manifest(path: Path, key: str = "") -> dict[str, Any]:
    """The manifest of the result in a folder, or of a point of the sweep there.

    Raises:
        ValueError, OSError: it is missing or damaged; KeyError: there is no such point.
    """
    found = _manifest(path, folders.stamp(path))
    manifest = deepcopy(of_point(found, key) if key else found)  # the other is kept
    Manifest.model_validate(manifest)
    settings(manifest["settings"])
    return manifest


def points_of(path: Path) -> dict[str, str]:
    """The settings' hashes of a folder's points by their keys; empty if it is not a sweep's.

    Raises:
        ValueError, OSError: its manifest is missing or damaged.
    """
    manifest = _manifest(path, folders.stamp(path))
    points = manifest["points"] if is_sweep(manifest) else {}
    return {key: one["settings_hash"] for key, one in points.items()}


@lru_cache(maxsize=256)
def _manifest(path: Path, _: tuple) -> Any:
    """A folder's manifest, read once for as long as it is the same file; a sweep's is checked."""
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    if is_sweep(manifest):
        SweepManifest.model_validate(manifest)
    return manifest


@lru_cache(maxsize=4)
def _opened(path: Path, _: tuple) -> tuple[Any, dict[str, str]]:
    """A sweep's arrays, each unpacked when it is asked for, and metrics by point; read once."""
    digests = _manifest(path, folders.stamp(path))["files"]
    files = folders.checked(path, digests, (TRAJECTORY, METRICS))
    arrays = np.load(io.BytesIO(files[TRAJECTORY]), allow_pickle=False)
    return arrays, _split(_text(files[METRICS], METRICS))


def _text(data: bytes, name: str) -> str:
    return (data if name == PLAIN_METRICS else gzip.decompress(data)).decode()


def _split(text: str) -> dict[str, str]:
    """The metrics of each point, as it would have them in a folder of its own."""
    head, *rows = text.splitlines()
    found: dict[str, list[str]] = {}
    for row in rows:
        key, _, rest = row.partition(",")
        found.setdefault(key, [head.removeprefix(POINT)]).append(rest)
    return {key: "\n".join([*lines, ""]) for key, lines in found.items()}


def packed(one: Contents) -> dict[str, bytes]:
    """The files of a result's own folder by name."""
    files = {TRAJECTORY: packed_arrays(one.arrays), METRICS: packed_metrics(one.metrics)}
    return folders.pack(one.manifest, files | _checkpoints(one, CHECKPOINTS))


def packed_points(manifest: Mapping[str, Any], points: Mapping[str, Contents]) -> dict[str, bytes]:
    """The files of a sweep's folder by name.

    Args:
        manifest: the sweep's, as :func:`semantica_lib.store.manifest.of_sweep` makes it.
        points: by their keys.

    Raises:
        ValueError: their metrics do not have the same columns.
    """
    arrays, rows, heads, checkpoints = {}, [], set(), {}
    for key in sorted(points):
        arrays |= {f"{key}/{name}": array for name, array in points[key].arrays.items()}
        head, *lines = _with_ties(points[key].metrics)
        rows += [f"{key},{line}" for line in lines]
        heads.add(head)
        checkpoints |= _checkpoints(points[key], f"{CHECKPOINTS}/{key}")
    (head,) = heads
    metrics = "\n".join([POINT + head, *rows, ""])
    files = {TRAJECTORY: packed_arrays(arrays), METRICS: packed_metrics(metrics)}
    return folders.pack(manifest, files | checkpoints)


def _with_ties(metrics: str) -> list[str]:
    """The lines of metrics with the word for each trial's tie, which an earlier version lacks."""
    head, *rows = metrics.splitlines()
    if not head.startswith("seed,tied,step"):
        return [head, *rows]
    lines = [head.replace("tied", "tied,tie", 1)]
    for row in rows:
        seed, tied, rest = row.split(",", 2)
        lines.append(f"{seed},{tied},{BOTH[tied != 'true']},{rest}")
    return lines


def _checkpoints(one: Contents, folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in one.checkpoints.items()}


def packed_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A result's arrays as its file has them."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def packed_metrics(text: str) -> bytes:
    """Metrics as their file has them: the same text is the same bytes at any time."""
    return gzip.compress(text.encode(), mtime=0)


def _refuse_other_shapes(
    arrays: Mapping[str, np.ndarray], metrics: "pd.DataFrame", manifest: Mapping[str, Any]
) -> None:
    """Arrays and columns are those of a result, and of the trials that the manifest names."""
    lengths: dict[str, int] = {}
    for name in (*ALWAYS, *arrays):
        if name not in arrays or name not in SHAPES:
            raise ValueError(f"{TRAJECTORY} {'lacks' if name in SHAPES else 'has'} {name[:60]!r}")
        (kinds, dimensions), array = SHAPES[name], arrays[name]
        words = dimensions.split()
        fits = array.dtype.kind in kinds and array.ndim == len(words) and array.size
        if not fits or any(
            lengths.setdefault(word, length) != length
            for word, length in zip(words, array.shape, strict=True)
        ):
            raise ValueError(f"{name} in {TRAJECTORY} is {array.dtype} of shape {array.shape}")
    ties = arrays.get("tie", np.where(arrays["tied"], *BOTH)).tolist()
    trials = [*zip(arrays["seed"].tolist(), arrays["tied"].tolist(), ties, strict=True)]
    told = [(one["seed"], one["tied"], tie_in(one)) for one in manifest["trials"]]
    if trials != told or any(tied != one_table(tie) for _, tied, tie in trials):
        raise ValueError(f"{TRAJECTORY} has other trials than {MANIFEST}")
    for name, kinds in COLUMNS.items():
        if name not in metrics or metrics[name].dtype.kind not in kinds:
            raise ValueError(f"{METRICS} lacks {name}, or its values are of another kind")


def thinned(found: Contents, records: int) -> Contents:
    """The same with fewer records and measurements."""
    arrays, table = dict(found.arrays), found.table()
    own = settings(found.manifest["settings"])
    last = int(arrays["steps"].max()) - own.period
    kept = table.step.isin(_kept(np.unique(table.step), last, records))
    for steps, names in (
        ("steps", ("input_embedding", "output_embedding")),
        ("measured_steps", ("hidden_norm", "logit_gap")),
        ("use_steps", ("uses",)),
    ):
        if steps in arrays:
            keep = np.isin(arrays[steps], _kept(arrays[steps], last, records))
            if steps == "steps":  # the tables as they were when they were untied
                keep |= arrays[steps] == (getattr(own, "untie_at", None) or -1)
            arrays |= {name: arrays[name][:, keep] for name in names if name in arrays}
            arrays[steps] = arrays[steps][keep]
    rows = table[kept].assign(tied=table.tied.map({True: "true", False: "false"}))
    return found._replace(arrays=arrays, metrics=rows.to_csv(index=False, float_format="%.6g"))


def _kept(steps: np.ndarray, last: int, count: int) -> np.ndarray:
    """Those after ``last``, and evenly spaced ones before; all evenly spaced if it is negative."""
    after = steps[steps > last] if last >= 0 else steps[:0]
    before = steps[: len(steps) - len(after)]
    places = np.linspace(0, len(before) - 1, min(len(before), max(2, count - len(after))))
    return np.concatenate([before[places.round().astype(int)], after])
