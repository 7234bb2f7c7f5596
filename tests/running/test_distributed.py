"""Two processes that train one model together, as ``torchrun`` starts them (gloo on loopback)."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from stored import train_here

from semantica_lib.cli import main
from semantica_lib.errors import RequestError
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import find
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint

SMALL = [
    "mlm-grammar", "--set", "steps=24", "--set", "seeds=[1]", "--set", "layers=1",
    "--set", "embedding_size=16", "--set", "feedforward_size=32", "--set", "length=16",
    "--set", "batch_size=32", "--set", "record_every=8", "--set", "validate_every=24",
    "--device", "cpu",
]  # fmt: skip
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Runs the command, by so many processes; gives the result and the outcome."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def start(name: str, *arguments: str, processes: int = 1):
        monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / name))
        launch = [*LAUNCH, str(processes)] if processes > 1 else []
        done = subprocess.run(
            [sys.executable, *launch, "-m", "semantica_lib.cli", "train", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = [results.load(path.parent) for path in tmp_path.glob(f"{name}/*/manifest.json")]
        return done, found[0] if found else None

    return start


def test_one_and_two_processes_end_alike(train, tmp_path, monkeypatch):
    train_here(monkeypatch)  # the one process is this one
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "one"))
    assert main(["train", *SMALL]) == 0
    (manifest,) = tmp_path.glob("one/*/manifest.json")
    alone = results.load(manifest.parent)
    done, both = train("two", *SMALL, processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mlm-grammar: ") == 1  # only the first process speaks
    assert [one["processes"] for one in both.manifest["stacks"]] == [2, 2]
    np.testing.assert_array_equal(both.steps, alone.steps)
    for name in ("input_embedding", "output_embedding"):
        np.testing.assert_allclose(getattr(both, name), getattr(alone, name), atol=2e-5)
    np.testing.assert_allclose(both.metrics.loss, alone.metrics.loss, atol=1e-3)
    for path in (tmp_path / "one").rglob("*.safetensors"):
        (other,) = (tmp_path / "two").rglob(path.name)
        weights, others = load_checkpoint(path)[0], load_checkpoint(other)[0]
        assert weights.keys() == others.keys()
        for key in (key for key in weights if key.startswith("model.")):
            if not key.endswith("in_proj_bias"):  # the keys' part has no gradient but for rounding
                torch.testing.assert_close(weights[key], others[key], rtol=0, atol=2e-5)


@pytest.mark.long
def test_rows_that_cannot_be_shared_equally_are_refused_in_a_line(train):
    done, result = train("odd", *SMALL, "--set", "batch_size=33", processes=2)
    assert done.returncode != 0 and result is None
    assert "semantica: error: batch_size must be a multiple of the processes, and 33" in done.stderr


def test_an_experiment_that_several_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RequestError, match="transformer-small is trained by one process"):
        run(find("transformer-small"))


def test_several_processes_execute_no_notebook(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", "mlm-grammar"]) == 2
    assert "train together by `semantica train`" in capsys.readouterr().err
