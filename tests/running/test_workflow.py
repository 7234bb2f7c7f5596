"""The Snakefile: what its jobs train and wait for, and what Snakemake makes of it."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semantica_lib import cli
from semantica_lib.running.plan import folder_of, plan
from semantica_lib.running.run import run
from semantica_lib.running.workflow import snakefile
from semantica_lib.settings.catalogue import AnySettings, find, parse_override
from semantica_lib.settings.sweeps import points, read
from semantica_lib.store import results

SMALL = "bits: 3\nsteps: 20\nseeds: [1, 2]\nrecord_every: 10\nvalidate_every: 20\ndevice: cpu\n"
FILE, CHANGE = "a folder's/one.yaml", ["--set", "steps=30"]
SWEEP = """\
base: transformer-small
question: Some question?
seeds: [1, 2]
fixed: {steps: 20}
grid:
  - weight_decay: [0.0, 0.01, 0.2]
"""


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "it's here" / "runs"))
    monkeypatch.chdir(tmp_path)


def written(text: str) -> dict[str, Any]:
    """The constants of a Snakefile."""
    values: dict[str, Any] = {"config": {}}
    exec(text[: text.index("wildcard_constraints:")], values)
    return values


def sweep(name: str) -> list[AnySettings]:
    Path(name).write_text(SWEEP)
    return [own for _, own in points(read(Path(name)))]


def experiment(name: str, text: str = SMALL) -> list[AnySettings]:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    return [find(name)]


pytestmark = pytest.mark.usefixtures("in_process")


@pytest.mark.parametrize("jobs", [1, 2, 3, 5, 40])
def test_every_trial_is_in_one_job_and_a_name_waits_for_its_own(jobs: int) -> None:
    requests = {"s.yaml": sweep("s.yaml"), "one.yaml": experiment("one.yaml"), "two.yaml": []}
    requests["two.yaml"] = experiment("two.yaml", SMALL.replace("bits: 3", "bits: 4"))
    made = written(snakefile(requests, ["--device", "cpu"], jobs))
    assert made["NAMES"] == [str(Path(name).resolve()) for name in requests]
    assert len(made["TRAIN"]) == made["SHARDS"] >= jobs or jobs == 40
    wanted = [own for some in requests.values() for own in some]
    shards = {
        number: plan(wanted, shard=(number, made["SHARDS"])) for number in made["TRAIN"]
    }  # as a job cuts them, independent of how the Snakefile numbered them

    def trials(some: Sequence[AnySettings], numbers: Sequence[int]) -> list[tuple]:
        folders = {folder_of(own) for own in some}
        return sorted(
            (str(folder_of(group.own)), group.tie, seed)
            for number in numbers
            for one in shards[number]
            for group in one.groups
            for seed in group.seeds
            if folder_of(group.own) in folders
        )

    for needs, some in zip(made["NEEDS"], requests.values(), strict=True):
        asked = sorted(
            (str(folder_of(own)), tie, seed) for own in some for seed, tie in results.asked(own)
        )
        assert trials(some, needs) == asked == trials(some, list(shards))
    for number, (minutes, megabytes) in made["TRAIN"].items():
        asks = [(one.seconds < 60 * minutes, one.memory_mb < megabytes) for one in shards[number]]
        assert asks and all(map(all, asks)), shards[number]


def test_what_is_trained_is_no_job() -> None:
    own = experiment("one.yaml")
    run(own[0])
    made = written(snakefile({"one.yaml": own}, [], 2))
    assert made["TRAIN"] == {} and made["NEEDS"] == [[]]
    assert plan(own) == []


def snakemake(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--cores", "2", *arguments],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def asked_for(capsys: pytest.CaptureFixture[str]) -> AnySettings:
    """Leaves a Snakefile of two jobs and a notebook; the settings that they are to train."""
    (own,) = experiment(FILE)
    assert cli.main(["workflow", FILE, "--jobs", "2", *CHANGE]) == 0
    Path("Snakefile").write_text(capsys.readouterr().out)
    return own.model_copy(update={"steps": 30})


def commands_of(done: subprocess.CompletedProcess) -> list[list[str]]:
    """Of the jobs that Snakemake would run, what follows `semantica`, as a shell reads it."""
    lines = [line for line in done.stdout.splitlines() if " -m semantica_lib.cli " in line]
    words = [shlex.split(line) for line in lines]
    return [one[one.index("semantica_lib.cli") + 1 :] for one in words]


def test_the_jobs_that_snakemake_would_run_train_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Their commands here, one after the other, through folders whose names a shell mistakes."""
    own = asked_for(capsys)
    done = snakemake("--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stderr
    commands = commands_of(done)
    assert [one[0] for one in commands] == ["train", "train", "run"]
    for one in commands[:2]:
        assert cli.main(one) == 0
    assert plan([own]) == []
    assert commands[2] == ["run", str(Path(FILE).resolve()), *CHANGE, "--device", "cpu"]


def test_a_snakefile_means_the_same_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files, a text and the results are those of the folder in which it was asked for."""
    text = "corpus: text:of the file\nsteps: 4\nseeds: [1]\nties: [tied]\ndevice: cpu\n"
    experiment("files/own.yaml", text)
    Path("own.yaml").symlink_to("files/own.yaml")
    place = tmp_path / "elsewhere"
    for name in ("of the file", "files/of the file", "asked for"):
        Path(name).mkdir()
    place.mkdir()
    monkeypatch.setenv("SEMANTICA_RESULTS", "out")
    monkeypatch.setattr("semantica_lib.running.workflow.plan", lambda *_, **__: [])
    for asked, change, corpus in (
        ("files/own.yaml", [], "files/of the file"),
        ("own.yaml", [], "of the file"),
        ("own.yaml", ["--set", "corpus=text:asked for"], "asked for"),
        ("own.yaml", ["--set", "corpus=text:files/../asked for"], "asked for"),
    ):
        monkeypatch.chdir(tmp_path)
        assert cli.main(["workflow", asked, *change]) == 0
        made = written(capsys.readouterr().out)
        assert made["RESULTS"] == str(tmp_path / "out")
        monkeypatch.chdir(place)
        ((name,), options) = made["NAMES"], made["OPTIONS"][1:-2:2]
        own = find(name, [parse_override(option) for option in options])
        assert (own.experiment, own.corpus) == ("own", f"text:{tmp_path / corpus}")


@pytest.mark.long
def test_snakemake_runs_it(capsys: pytest.CaptureFixture[str]) -> None:
    """On this machine, in two jobs, through folders whose names the shell could mistake."""
    own = asked_for(capsys)
    done = snakemake()
    assert done.returncode == 0, done.stderr
    assert len(list(results.here().glob(".workflow/*/shard-*"))) == 2
    stored = results.load(folder_of(own))
    assert stored.complete and stored.covers(own)
    assert (stored.folder / "one.ipynb").exists()
    os.environ["SEMANTICA_RESULTS"] += "-again"
    plain = run(own)
    assert np.allclose(stored.input_embedding, plain.input_embedding, atol=1e-5)
    os.environ["SEMANTICA_RESULTS"] = os.environ["SEMANTICA_RESULTS"].removesuffix("-again")
    assert "Nothing to be done" in snakemake("--dry-run").stdout


def test_a_mark_goes_with_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever removes a result, or changes the file that asks for it, has it trained anew."""
    own = asked_for(capsys)
    made = written(text := Path("Snakefile").read_text())
    marks = [Path(made["DONE"], mark) for mark in ("shard-1", "shard-2", "notebook-0")]
    folder_of(own).mkdir(parents=True)
    for mark in marks:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    written(text)
    assert all(mark.exists() for mark in marks)
    folder_of(own).rmdir()
    written(text)
    assert not any(mark.exists() for mark in marks)
    experiment(FILE, SMALL.replace("seeds: [1, 2]", "seeds: [1, 3]"))
    assert cli.main(["workflow", FILE, "--jobs", "2", *CHANGE]) == 0
    assert written(capsys.readouterr().out)["DONE"] != made["DONE"]
