"""What the book ships: by name, each result once, and bit for bit what it was before it had names.

Before, each result had a folder of its own; that is how the commit ``BEFORE`` has them.
"""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semantica_lib.analysis.language import variants
from semantica_lib.files import ROOT
from semantica_lib.running.publish import LIMIT, told
from semantica_lib.settings.catalogue import experiments, find, round_of, settings
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store import results
from semantica_lib.store.folders import MANIFEST, METRICS

BEFORE = "2700b48"


def manifests() -> dict[str, dict]:
    found = results.PUBLISHED.glob(f"*/{MANIFEST}")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def test_every_folder_has_the_name_of_an_experiment_or_of_a_sweep() -> None:
    assert not set(experiments()) & set(sweeps())
    for name, manifest in manifests().items():
        assert name in (sweeps() if "points" in manifest else experiments()), name


def test_every_point_lies_once_and_is_named_by_every_sweep_that_has_it() -> None:
    hashes = []
    for path, point in results.addresses(results.PUBLISHED):
        manifest = results.manifest_of(path, point)
        hashes.append((manifest["settings_hash"], round_of(manifest["experiment"])))
        assert results.locate(results.PUBLISHED, settings(manifest["settings"])) == (path, point)
    assert len(set(hashes)) == len(hashes)
    for name, manifest in manifests().items():
        if "points" not in manifest:
            continue
        wanted = {own.settings_hash[:8]: own for _, own in points(read(sweeps()[name]))}
        assert manifest["points"].keys() <= wanted.keys()
        there = set(results.addresses(results.PUBLISHED))
        rest = wanted.keys() - manifest["points"].keys()
        found = {key for key in rest if results.locate(results.PUBLISHED, wanted[key]) in there}
        assert manifest["elsewhere"].keys() == found
        assert found == rest
        for key, where in manifest["elsewhere"].items():
            place, _ = results.locate(results.PUBLISHED, wanted[key])
            assert place.name == where["folder"] and (place / MANIFEST).exists()


def test_the_variants_of_a_chapter_are_points_of_a_sweep() -> None:
    swept = {own.settings_hash for path in sweeps().values() for _, own in points(read(path))}
    grammar = variants(find("mlm-grammar"))
    assert {own.settings_hash for own in grammar.values()} <= swept
    assert variants(find("mlm"))["all four"].settings_hash in swept


def test_there_is_room_for_more() -> None:
    sizes = [path.stat().st_size for path in results.PUBLISHED.rglob("*") if path.is_file()]
    assert sum(sizes) < LIMIT
    assert told().endswith(f"{(LIMIT - sum(sizes)) / 1e6:.1f} left")
    later = "-round-2", "bias-or-frequency", "schemes"  # than the bound of the metrics
    metrics = [*results.PUBLISHED.rglob(METRICS)]
    first = [path for path in metrics if not path.parent.name.endswith(later)]
    assert sum(path.stat().st_size for path in first) < 1.5e6
    assert sum(path.stat().st_size for path in metrics) < 3e6


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published results of the commit, each in a folder of its own."""
    command = ["git", "-C", str(ROOT), "archive", BEFORE, "book/results"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"commit {BEFORE} is not in this history")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "book" / "results"


@pytest.mark.long
def test_every_published_number_is_what_it_was(before: Path) -> None:
    """Arrays bit for bit, metrics, settings' hashes, and manifests but for digests of files."""
    old = sorted(path.parent for path in before.glob(f"*/{MANIFEST}"))
    assert len(old) == 125
    for path in old:
        manifest = json.loads((path / MANIFEST).read_text())
        result = results.load_of(results.PUBLISHED, settings(manifest["settings"]))
        assert result is not None and result.name == path.name and result.published
        if result.manifest["stacks"] != manifest["stacks"]:
            continue  # trained and published anew since
        assert result.manifest["settings_hash"] == manifest["settings_hash"]
        assert result.settings.settings_hash == manifest["settings_hash"]
        assert result.manifest.keys() == manifest.keys()
        for name in manifest.keys() - {"files"}:
            now, then = (json.dumps(one[name]) for one in (result.manifest, manifest))
            assert json.loads(now) == json.loads(then), (path.name, name)
        with np.load(path / "trajectory.npz", allow_pickle=False) as arrays:
            for name in arrays.files:
                now, then = getattr(result, name), arrays[name]
                assert (now.dtype, now.shape) == (then.dtype, then.shape), (path.name, name)
                assert now.tobytes() == then.tobytes(), (path.name, name)
            held = {name for name, value in vars(result).items() if isinstance(value, np.ndarray)}
            assert held == {*arrays.files, "tie"}  # old files tell the ties by `tied` alone
        kinds = {"accuracy": float, "loss": float}
        metrics = pd.read_csv(path / "metrics.csv", dtype=kinds)
        pd.testing.assert_frame_equal(result.metrics.drop(columns="tie"), metrics, check_exact=True)
        lines = results.contents_of(*result.address).metrics
        assert lines == (path / "metrics.csv").read_text()
