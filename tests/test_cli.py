"""The command line: exit codes, one-line errors, JSON on stdout."""

import io
import json
import os
import subprocess
import sys

import pytest
from stored import begin, finish

from semantica_lib import cli
from semantica_lib.errors import TrainingError
from semantica_lib.files import ROOT
from semantica_lib.running import publish, run
from semantica_lib.settings.catalogue import experiments, find
from semantica_lib.store import results

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
    "run transformer-small absent": "unknown experiment or sweep 'absent'",
    "run transformer-small --jobs 0": "jobs",
    "list --jsn": "--json",
    "publish": "NAME",
    "publish transformer-small": "no result here",
    "publish absent.yml": "cannot read absent.yml",
    "publish transformer-small --set stpes=3": "did you mean 'steps'?",
    "verdicts": "no experiment has a finished result; `semantica run NAME`",
    "verdicts --json": "no experiment has a finished result",
    "verdicts lstm-smal": "did you mean 'lstm-small'?",
    "verdicts lstm-small --set stpes=3": "did you mean 'steps'?",
    "verdicts lstm-small mlp-small --set weight_decay=0 --set zero_dst=[.5,.5] --set steps=9": (
        "of lstm-small, mlp-small; "
        "`semantica run lstm-small mlp-small --set weight_decay=0 --set 'zero_dst=[.5,.5]'`"
    ),
    "export": "NAME",
    "export absent": "unknown experiment 'absent'",
    "--verbose": "--verbose",
}


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")


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


def test_a_relative_place_is_one_place_for_all_that_the_command_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMANTICA_RESULTS", "out")
    assert cli.main(["list"]) == 0
    told = subprocess.check_output(["printenv", "SEMANTICA_RESULTS"], text=True, cwd=ROOT)
    monkeypatch.setenv("SEMANTICA_RESULTS", told.rstrip("\n"))  # as a child finds it
    monkeypatch.chdir(ROOT)
    assert str(results.here()) == f"{tmp_path}/out"


@pytest.mark.parametrize("told", ["../file", "../nowhere", "~nobody-of-that-name/x"])
@pytest.mark.parametrize("line", ["list", "run lstm-small --dry-run", "workflow lstm-small"])
def test_a_place_that_is_no_folder_is_refused(told, line, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to("absent")
    (tmp_path / "rel").mkdir()
    monkeypatch.chdir(tmp_path / "rel")
    monkeypatch.setenv("SEMANTICA_RESULTS", told)
    assert cli.main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("semantica: error: ")
    assert "must name a folder" in err or "is no path" in err


def test_a_failure_on_the_way_is_exit_code_1(monkeypatch, capsys):
    def fails(wanted, fresh, tell=None, at_once=None):
        return [TrainingError("training failed: no space\nleft")]

    monkeypatch.setattr(run, "run_all", fails)
    assert cli.main(["train", "transformer-small"]) == 1
    assert capsys.readouterr().err == "semantica: error: training failed: no space left\n"


def test_ctrl_c_is_exit_code_1(monkeypatch, capsys):
    def stopped(wanted, fresh, tell=None, at_once=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_all", stopped)
    assert cli.main(["train", "transformer-small"]) == 1
    assert "stopped" in capsys.readouterr().err


def test_list_tells_the_state_of_each_experiment(capsys, tmp_path):
    assert cli.main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"transformer-small"}
    main = next(row for row in rows if row["name"] == "transformer-small")
    assert main["here"] == "missing"
    assert main["trials"] == 10 and main["steps"] == 150_000
    begin(find("transformer-small", [("seeds", [1])]), 3)
    assert cli.main(["list"]) == 0
    assert "here: interrupted at step 3 of 150,000; published: missing" in capsys.readouterr().out


SEEDS = ("seeds", [1, 2])


def rows_of(out: str) -> list[dict]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(out, parse_constant=refuse)


def test_verdicts_are_of_finished_experiments_and_notes_tell_of_the_others(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(results, "full_steps", lambda own: 3)
        finish(find("mlp-small", [SEEDS]), 3)
    results.here().rename(results.PUBLISHED)
    finish(find("transformer-small", [SEEDS]), 4)

    assert cli.main(["verdicts", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = rows_of(out)
    assert {row["experiment"] for row in rows} == {"mlp-small"}
    assert {row["notebook"] for row in rows} == {"experiments/mlp-small.ipynb"}
    assert any(row["margin"] is None for row in rows)  # nothing is predicted
    assert any(isinstance(row["margin"], float) for row in rows)
    notes = err.splitlines()
    assert (
        "semantica: note: transformer-small is partial, at step 4 of 150,000; "
        "`semantica run transformer-small` completes it"
    ) in notes
    assert (
        "semantica: note: lstm-medium has no result, here or published; "
        "`semantica run lstm-medium` makes one"
    ) in notes
    assert len(notes) == len(experiments()) - 1

    assert cli.main(["verdicts"]) == 0
    assert capsys.readouterr().out.count("| claim |") == 1


def test_verdicts_of_names_are_of_exactly_those(monkeypatch, capsys, tmp_path):
    finish(find("transformer-small", [SEEDS]), 4)
    finish(find("transformer-small", [SEEDS, ("weight_decay", 0.0)]), 4)
    (tmp_path / "mine.yaml").write_text("steps: 3\nseeds: [1, 2]\nbits: 4\n")
    mine = str(tmp_path / "mine.yaml")
    finish(find(mine), 3)

    assert cli.main(["verdicts", "--json", mine, "transformer-small"]) == 0
    out, err = capsys.readouterr()
    rows = rows_of(out)
    assert list(dict.fromkeys(row["experiment"] for row in rows)) == ["mine", "transformer-small"]
    partial = [row for row in rows if row["experiment"] == "transformer-small"]
    assert {row["verdict"] for row in partial} <= {"inconclusive", "no prediction"}
    assert any("partial, at step 4" in row["deviation"] for row in partial)
    assert {row["notebook"] for row in rows} == {"", "experiments/transformer-small.ipynb"}
    assert err.count("\n") == 1 and "partial, at step 4 of 150,000" in err

    options = ["--set", "weight_decay=0", "--set", "steps=9"]
    assert cli.main(["verdicts", "transformer-small", *options]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("transformer-small\n\n| claim |")
    assert "`semantica run transformer-small --set weight_decay=0` completes it" in err

    assert cli.main(["verdicts", "transformer-small", "lstm-small"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "of lstm-small; `semantica run lstm-small`" in err


def test_a_terminal_without_unicode_gets_its_table(monkeypatch):
    finish(find("transformer-small", [SEEDS]), 4)
    terminal = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["verdicts", "transformer-small"]) == 0
    terminal.flush()
    assert b"| claim |" in terminal.buffer.getvalue()


def test_what_is_published_has_a_name(monkeypatch, capsys, tmp_path):
    """That of an experiment or of a sweep; a folder by a hash is shown nowhere."""
    monkeypatch.setattr(publish, "provenance", lambda: {"dirty": False})
    (tmp_path / "mine.yaml").write_text("steps: 3\nseeds: [1]\nbits: 4\n")
    mine, other = str(tmp_path / "mine.yaml"), [("seeds", [1]), ("weight_decay", 0.25)]
    variant, own = find("transformer-small", other), find("transformer-small", other[:1])
    finish(variant, 4)
    finish(find(mine), 3)
    wrong = ["transformer-small", "--set", "weight_decay=0.25"], ["transformer-small", mine]
    for names, what in zip(
        wrong, ("transformer-small with weight_decay=0.25", "mine"), strict=True
    ):
        assert cli.main(["publish", *names]) == 2
        assert f"error: {what} has no name, as all that" in capsys.readouterr().err
        assert not results.PUBLISHED.exists()
    finish(own, 4)
    assert cli.main(["publish", "transformer-small", "--set", "seeds=[1]"]) == 0
    told = f"published {results.PUBLISHED / 'transformer-small'}\n"
    assert capsys.readouterr().out == told + "0.0 of 40 MB published, 40.0 left\n"
    sweep = tmp_path / "decay.yaml"
    sweep.write_text("base: transformer-small\nseeds: [1]\ngrid: [{weight_decay: [0.25]}]\n")
    monkeypatch.setattr(publish, "sweeps", lambda: {"decay": sweep})
    assert cli.main(["publish", "transformer-small", "--set", "weight_decay=0.25"]) == 0
    assert {path.name for path in results.PUBLISHED.iterdir()} == {"decay", "transformer-small"}
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    finish(own, 3)
    assert cli.main(["publish", "transformer-small"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("semantica: note: transformer-small left as published: what")
    assert err.count("\n") == 1


def test_help_goes_to_stdout(capsys):
    assert cli.main(["--help"]) == 0
    assert "verdicts" in capsys.readouterr().out


def test_without_a_compiler_training_works_and_says_so_once(tmp_path):
    # no compiler on the path, an empty compile cache; tied and untied train in two processes, of
    # more steps than those that are never compiled
    environment = os.environ | {
        "PATH": str(tmp_path),
        "CXX": str(tmp_path / "absent"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    arguments = ["train", "mlp-small", "--set", "bits=3", "--set", "steps=320"]
    arguments += ["--set", "expectation=exact", "--set", "schedule=none", "--set", "seeds=[1]"]
    command = [sys.executable, "-m", "semantica_lib.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training uncompiled") == 1
    (manifest,) = (tmp_path / "runs").rglob(results.MANIFEST)
    assert json.loads(manifest.read_text())["steps_done"] == 320
