"""Runs: what is finished is kept, what was interrupted ends as if it had not been."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from stored import begin, train_here

from semantica_lib import cli
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.running.plan import check
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint, save_checkpoint
from semantica_lib.store.locks import InUse, holding
from semantica_lib.trainers.measuring import table_gradient
from semantica_lib.trainers.stacked import Stack
from semantica_lib.trainers.training import train

SMALL = {
    "experiment": "small",
    "bits": 4,
    "steps": 40,
    "seeds": [1, 2],
    "record_every": 10,
    "validate_every": 20,
}


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)


def same(result, other):
    names = "steps", "seed", "tied", "input_embedding", "output_embedding"
    for name in (*names, "gradient_steps", "table_gradient"):
        np.testing.assert_array_equal(getattr(result, name), getattr(other, name))
    assert result.metrics.equals(other.metrics)


def trained(own, stop_at=None, start=None):
    """Tensors of a stack trained in this process, stopped at a step if asked."""
    kept = {}
    stack = Stack(own, own.seeds, False)
    reached = train(
        stack, own.steps, start, kept.update, lambda step: stop_at is None or step < stop_at
    )
    return kept, reached


def test_stopped_and_resumed_is_bit_for_bit_the_straight_run(monkeypatch, tmp_path):
    monkeypatch.setattr("semantica_lib.trainers.reporting.TELL_SECONDS", 0)
    own = settings(SMALL)
    straight, reached = trained(own)
    assert reached
    for stop_at in (1, 10, 13, 39):
        stopped, reached = trained(own, stop_at)
        assert not reached and int(stopped["step"]) == stop_at
        path = tmp_path / "stack.safetensors"
        save_checkpoint(path, stopped, {})
        resumed, reached = trained(own, start=load_checkpoint(path)[0])
        assert reached
        assert resumed.keys() == straight.keys()
        for name in straight:
            assert torch.equal(resumed[name], straight[name]), name


@pytest.mark.usefixtures("in_process")
def test_a_result_grows_by_trials_and_steps_and_is_otherwise_kept():
    first = run(settings(SMALL))
    assert first.manifest["status"] == "complete"
    assert first.steps.tolist() == [0, 10, 20, 30, 40]
    assert first.input_embedding.shape == (4, 5, 7, 4)
    tied = first.tied
    assert np.array_equal(first.input_embedding[tied], first.output_embedding[tied])
    assert not np.array_equal(first.input_embedding[~tied], first.output_embedding[~tied])
    # both embeddings are drawn even when tied: tied and untied share the input table
    np.testing.assert_array_equal(
        first.input_embedding[tied][:, 0], first.input_embedding[~tied][:, 0]
    )
    assert first.gradient_steps.tolist() == [0, 1, 2, 4, 8, 16, 32]
    assert first.table_gradient.shape == (4, 7, 3)
    for trial, (seed, tie) in enumerate(zip(first.seed, tied, strict=True)):
        stack = Stack(settings(SMALL), [int(seed)], bool(tie))
        pulls = table_gradient(stack, stack.initial())[0]
        np.testing.assert_allclose(first.table_gradient[trial, 0], pulls, rtol=1e-4)
    stamp = (first.folder / results.MANIFEST).stat().st_mtime_ns
    fewer = settings(SMALL | {"seeds": [2], "steps": 10})
    same(run(fewer), first)
    assert (first.folder / results.MANIFEST).stat().st_mtime_ns == stamp

    more = run(settings(SMALL | {"seeds": [3], "ties": ["untied"], "steps": 60}))
    assert more.steps.tolist() == [0, 10, 20, 30, 40, 50, 60]
    trials = list(zip(more.seed.tolist(), more.tied.tolist(), strict=True))
    assert trials == [(1, True), (2, True), (1, False), (2, False), (3, False)]
    np.testing.assert_array_equal(more.input_embedding[:4, :5], first.input_embedding)
    np.testing.assert_array_equal(more.table_gradient[:4], first.table_gradient)


@pytest.mark.usefixtures("in_process")
def test_a_result_names_every_commit_and_device_of_all_its_goes():
    own = settings(SMALL | {"ties": ["tied"]})
    begin(own, 20, device="gpu: G, with a comma", commit="a, b")
    (once,) = run(own).manifest["stacks"]
    assert once["commit"].startswith("a, b, ") and once["device"].startswith("gpu: G, with a comma")
    more = run(own.model_copy(update={"steps": 60, "seeds": (3,)})).manifest
    (twice, new) = more["stacks"]
    assert (twice["commit"], twice["device"]) == (once["commit"], once["device"])  # none twice
    assert f"a, b, {new['commit']}" == once["commit"]
    assert f"gpu: G, with a comma, {new['device']}" == once["device"] == more["device"]


@pytest.mark.usefixtures("in_process")
def test_checkpoints_of_an_earlier_version_do_not_name_their_device():
    own = settings(SMALL)
    begin(own, 40)
    manifest = run(own).manifest
    (device,) = {stack["device"] for stack in manifest["stacks"]}
    assert device and manifest["device"] == device


@pytest.mark.usefixtures("in_process")
def test_a_trial_run_of_a_named_experiment_is_partial_and_leaves_no_trials_behind():
    few = {"experiment": "transformer-small", "ties": ["tied"]}
    first = run(settings(few | {"seeds": [1], "steps": 3}))
    assert first.manifest["status"] == "partial"
    second = run(settings(few | {"seeds": [2], "steps": 4}))
    assert second.seed.tolist() == [2] and second.manifest["steps_done"] == 4


def steps_in(folder: Path) -> list[int]:
    """The step of each checkpoint of a result."""
    paths = sorted(folder.rglob("*.safetensors"))
    return [int(load_checkpoint(path)[0]["step"]) for path in paths]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "semantica_lib.cli", *arguments]


LONG = [
    "--set", "steps=280", "--set", "seeds=[1,2]", "--set", "record_every=7",
    "--set", "ties=[untied]",
]  # fmt: skip
WORDS = [
    *LONG, "--set", "validate_every=280", "--set", "batch_size=8",
    "--set", "length=8", "--set", "layers=1", "--set", "embedding_size=8",
]  # fmt: skip


def train_command(name: str) -> list[str]:
    return command("train", name, *(WORDS if name.startswith("mlm") else LONG))


def trains_here(name):
    with pytest.MonkeyPatch.context() as patch:  # in this process: the bits are the same
        train_here(patch)
        assert cli.main(train_command(name)[3:]) == 0


def straight_run(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "straight"))
    trains_here(name)
    (manifest,) = (tmp_path / "straight").glob(f"{name}*/{results.MANIFEST}")
    return results.load(manifest.parent)


@pytest.mark.parametrize(
    "name", ["transformer-small", pytest.param("mlm-grammar", marks=pytest.mark.long)]
)
def test_killed_and_interrupted_runs_end_where_a_straight_run_ends(name, monkeypatch, tmp_path):
    straight = straight_run(name, monkeypatch, tmp_path)
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "disturbed"))
    folder = tmp_path / "disturbed" / straight.folder.name

    def started_and_hit(kind: signal.Signals) -> tuple[int, str]:
        process = subprocess.Popen(
            train_command(name),
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        said = ""
        while not re.search(r" [1-9][\d.]*k?/(560|35.8k)", said):  # a bar has moved
            piece = process.stderr.read(1)
            assert piece, said
            said += piece
        if kind == signal.SIGKILL:
            os.killpg(process.pid, kind)  # the stacks' processes too
        else:
            process.send_signal(kind)
        said += process.communicate(timeout=60)[1]
        return process.returncode, said

    code, said = started_and_hit(signal.SIGINT)
    assert code == 1 and said.splitlines()[-1].startswith("semantica: error: stopped"), said
    steps = steps_in(folder)  # of the stacks that had begun
    assert steps and min(steps) > 0 and max(steps) < 280
    assert not (folder / results.MANIFEST).exists()

    code, _ = started_and_hit(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert steps_in(folder) == steps  # nothing lost but the steps since the checkpoint

    trains_here(name)
    same(results.load(folder), straight)


def test_ctrl_c_while_compiling_does_not_wait_for_the_compiler(tmp_path, monkeypatch):
    slow, compiles = tmp_path / "slow", tmp_path / "compiles"
    slow.write_text(f"#!/bin/sh\ntouch {compiles}\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    process = subprocess.Popen(
        command("train", "transformer-small", "--set", "ties=[tied]"),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    while not compiles.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=50)[1]
    assert process.returncode == 1 and "stopped" in said
    # had it been waited for, it would have made a step and kept it
    assert not list(tmp_path.rglob("*.safetensors"))


def test_an_orphaned_stack_stops_by_itself(tmp_path):
    process = subprocess.Popen(
        command("train", "transformer-small", "--set", "steps=299", "--set", "ties=[tied]",
                "--set", "bits=10"),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    said = ""
    while not re.search(r" [1-9][\d.]*k?/(1.50k|[\d.]+k)", said):
        said += process.stderr.read(1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (checkpoint,) = (tmp_path / "runs").rglob("*.safetensors")
    assert 0 < int(load_checkpoint(checkpoint)[0]["step"]) < 299


def test_requests_that_cannot_run_are_refused_before_anything_runs(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=r"'cuda:7' is not there"):
        check(settings(SMALL | {"device": "cuda:7"}))
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("SEMANTICA_RESULTS", str(file / "runs"))
    with pytest.raises(RequestError, match=r"cannot write results to .*SEMANTICA_RESULTS"):
        check(settings(SMALL))
    assert file.read_text() == ""


def test_a_bad_checkpoint_is_refused(tmp_path):
    own = settings(SMALL | {"ties": ["tied"]})
    folder = results.folder(results.here(), own) / "checkpoints"
    folder.mkdir(parents=True)
    path = folder / "tied.safetensors"
    kept, _ = trained(own)
    about = {"tied": "true", "settings_hash": own.settings_hash}
    save_checkpoint(path, kept | {"seeds": torch.tensor([1])}, about)
    check(own)
    save_checkpoint(path, kept | {"seeds": torch.tensor([1])}, about | {"settings_hash": "0"})
    with pytest.raises(RequestError, match="belongs to other settings"):
        run(own)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RequestError, match="is damaged"):
        run(own)
    assert not (folder.parent / results.MANIFEST).exists()
    check(own, fresh=True)


def test_nothing_is_trained_where_that_is_forbidden(monkeypatch):
    monkeypatch.setenv("SEMANTICA_TRAIN", "never")
    with pytest.raises(RequestError, match="semantica run small"):
        run(settings(SMALL))


def test_two_runs_of_one_experiment_do_not_mix(tmp_path):
    own = settings(SMALL)
    folder = results.folder(results.here(), own)
    folder.mkdir(parents=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check(own)  # what is in use is waited for
        with pytest.raises(InUse, match=r"in use by .*; try again when"), holding(folder):
            pass
    with holding(folder):
        pass


LANGUAGE = [
    "datasets.corpora", "datasets.documentation", "datasets.grammar", "datasets.hub",
    "datasets.mlm", "datasets.tokens", "datasets.wordpiece", "models.language", "trainers.mlm",
]  # fmt: skip
IMPORTS = """
import sys
from pytest import MonkeyPatch
from semantica_lib import cli
from stored import train_here
train_here(MonkeyPatch())  # so that what a stack's own process imports is seen too
assert cli.main(["train", "transformer-small", "--set", "steps=10", "--device", "cpu"]) == 0
print(*sys.modules)
"""


def test_training_on_the_xor_task_imports_nothing_of_language_models():
    names = [f"semantica_lib.{name}" for name in LANGUAGE]
    assert all(map(find_spec, names))
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported = done.stdout.splitlines()[-1].split()
    assert "semantica_lib.trainers.stacked" in imported
    assert not {*names, "accelerate", "tokenizers"} & set(imported)
    assert not {"torch._dynamo", "torch._inductor"} & set(imported)  # which takes a second
