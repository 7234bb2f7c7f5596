"""The command line: exit codes, one-line errors, JSON on stdout."""

import json
import os
import subprocess
import sys

import pytest

from semantica_lib import cli, results, run
from semantica_lib.processes import TrainingError

WRONG = {
    "lst": "did you mean 'list'?",
    "train": "NAME",
    "train transformer-smal": "did you mean 'transformer-small'?",
    "train absent.yaml": "cannot read absent.yaml",
    "train transformer-small --set stpes=3": "did you mean 'steps'?",
    "train transformer-small --set steps": "key=value",
    "train transformer-small --set steps=0": "greater than or equal to 1, not 0",
    "train transformer-small --set steps=[": "not valid YAML",
    "train transformer-small --set zero_dst=[.5,.6]": "sum to 1",
    "train transformer-small --set zero_dst=[1.5,-.5]": "none negative",
    "train transformer-small --set zero_dst=[]": "at least one",
    "train transformer-small --set architecture=transfromer": "did you mean 'transformer'?",
    "train transformer-small --set ties=[tide]": "did you mean 'tied'?",
    "train transformer-small --set device=gpu": "auto, cpu, cuda or cuda:N",
    "train transformer-small --device cuda:9": "is not there",
    "run": "NAME",
    "run transformer-small absent": "unknown experiment 'absent'",
    "run transformer-small --jobs 0": "jobs",
    "list --jsn": "--json",
    "publish transformer-small": "no result here",
    "--verbose": "--verbose",
}


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_request_is_one_line_and_exit_code_2(line, capsys, tmp_path):
    assert cli.main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("semantica: error: ") and err.count("\n") == 1
    assert WRONG[line] in err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "file" / "runs"))
    for command in ("run", "train"):
        assert cli.main([command, "transformer-small"]) == 2
        assert "cannot write results to" in capsys.readouterr().err


def test_a_failure_on_the_way_is_exit_code_1(monkeypatch, capsys):
    def fails(own, fresh):
        raise TrainingError("training failed: no space\nleft")

    monkeypatch.setattr(run, "run", fails)
    assert cli.main(["train", "transformer-small"]) == 1
    assert capsys.readouterr().err == "semantica: error: training failed: no space left\n"


def test_ctrl_c_is_exit_code_1(monkeypatch, capsys):
    def stopped(own, fresh):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", stopped)
    assert cli.main(["train", "transformer-small"]) == 1
    assert "stopped" in capsys.readouterr().err


def test_list_tells_the_state_of_each_experiment(capsys, tmp_path):
    assert cli.main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"transformer-small"}
    main = next(row for row in rows if row["name"] == "transformer-small")
    assert main["here"] == "missing"
    assert main["trials"] == 10 and main["steps"] == 150_000
    checkpoints = tmp_path / "runs" / "transformer-small" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "tied.safetensors").write_bytes(b"")
    assert cli.main(["list"]) == 0
    assert "here: interrupted" in capsys.readouterr().out


def test_help_goes_to_stdout(capsys):
    assert cli.main(["--help"]) == 0
    assert "verdicts" in capsys.readouterr().out


def test_without_a_compiler_training_works_and_says_so_once(tmp_path):
    # no compiler on the path, an empty compile cache; tied and untied train in two processes
    environment = os.environ | {
        "PATH": str(tmp_path),
        "CXX": str(tmp_path / "absent"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    arguments = ["train", "transformer-small", "--set", "bits=3", "--set", "steps=320"]
    command = [sys.executable, "-m", "semantica_lib.cli", *arguments, "--set", "seeds=[1]"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training uncompiled") == 1
    (manifest,) = (tmp_path / "runs").rglob(results.MANIFEST)
    assert json.loads(manifest.read_text())["steps_done"] == 320
