"""Experiments side by side: each in a process of its own, whatever becomes of the others."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_work
import nbformat
import pytest
from stored import begin, train_here

from semantica_lib import cli
from semantica_lib.files import ROOT
from semantica_lib.pages import notebooks
from semantica_lib.running import batch
from semantica_lib.running.batch import Outcome, Request, run_batch
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import find
from semantica_lib.store import results
from semantica_lib.store.locks import holding

SMALL = "bits: 3\nsteps: 20\nseeds: [1]\nrecord_every: 10\nvalidate_every: 20\ndevice: cpu\n"


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    monkeypatch.chdir(tmp_path)


def experiment(name: str, text: str = SMALL) -> Request:
    """A file of settings, and a request for it."""
    Path(f"{name}.yaml").write_text(text)
    return Request(f"{name}.yaml", [find(f"{name}.yaml")])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "semantica_lib.cli", *arguments]


@pytest.mark.long
def test_one_that_fails_stops_no_other() -> None:
    """Through the command line, two at a time: what failed and why, what was gone on with."""
    one, other = experiment("one"), experiment("other", SMALL.replace("20", "40"))
    begin(other.wanted[0], 20)
    folder = results.folder(results.here(), one.wanted[0])
    (folder / "checkpoints").mkdir(parents=True)
    (folder / results.TRAJECTORY).mkdir()  # where the result is to be stored is something else
    run = command("run", one.name, other.name, "--jobs", "2")
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == "semantica: error: 1 of 2 failed: one.yaml"
    first, second, whole = done.stdout.splitlines()
    assert first.startswith("one.yaml: failed in ") and "notebook kept as" in first
    assert re.match(r"other.yaml: resumed in \d+ s: complete, 40 steps, 2 trials", second), second
    assert whole.endswith(": 0 done, 1 resumed, 0 skipped, 1 failed")
    kept = nbformat.read(folder / "one.failed.ipynb", as_version=4)
    assert "**This run failed:**" in kept.cells[0].source
    assert any("injected-parameters" in cell.metadata.get("tags", []) for cell in kept.cells)
    bars = [line for line in re.split(r"[\r\n]+", done.stderr) if "trial-steps" in line]
    assert {line.split(":")[0].removeprefix("\x1b[A") for line in bars} == {
        "one.yaml",
        "other.yaml",
    }

    page = results.folder(results.here(), other.wanted[0]) / "other.ipynb"
    assert json.loads(page.read_text())["metadata"]["semantica_key"]


@pytest.mark.long
def test_relative_paths_are_of_the_shell_s_folder_for_the_notebook_too(tmp_path: Path) -> None:
    """The notebook's kernel runs in the checkout, and shows the one result that was trained."""
    experiment("one", SMALL + "ties: [tied]\n")
    place = tmp_path / "rel"
    place.mkdir()
    done = subprocess.run(
        command("run", "../one.yaml"), cwd=place,
        env=os.environ | {"SEMANTICA_RESULTS": "out of a test"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (manifest,) = place.rglob(results.MANIFEST)
    assert manifest.is_relative_to(place / "out of a test")
    assert not (ROOT / "out of a test").exists()
    assert manifest.with_name("one.ipynb").exists()


@pytest.mark.usefixtures("in_process")
def test_what_cannot_be_stored_fails_and_its_notebook_is_kept() -> None:
    request = experiment("one")
    folder = results.folder(results.here(), request.wanted[0])
    (folder / "checkpoints").mkdir(parents=True)
    (folder / results.TRAJECTORY).mkdir()  # where the result is to be stored is something else
    kind, words = batch.work(request, lambda *_: None, 2)
    assert kind == "failed" and f"notebook kept as {folder / 'one.failed.ipynb'}" in words
    first, *rest = nbformat.read(folder / "one.failed.ipynb", as_version=4).cells
    assert "**This run failed:**" in first.source
    assert any("injected-parameters" in cell.metadata.get("tags", []) for cell in rest)
    assert not (folder / "one.ipynb").exists()


def edited(folder: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str) -> None:
    """Batches execute a notebook in which somebody has changed something and saved it."""
    source = notebooks.NOTEBOOKS / "xor.ipynb"
    text = source.read_text(encoding="utf-8")
    assert text.count(before) == 1
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "xor.ipynb").write_text(text.replace(before, after), encoding="utf-8")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", folder / "notebooks")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that a batch executed once, with all of the user's own in its way."""
    folder = tmp_path_factory.mktemp("page")
    profile = folder / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00-mine.py").write_text("project_dir = '/x'\nfrom sys import exit\n")
    stops = "c.IPKernelApp.exec_lines = ['import os; os._exit(3)']\n"
    (profile / "ipython_kernel_config.py").write_text(stops)
    (folder / "start.py").write_text("other_dir = '/y'\n")
    kernel = folder / "jupyter" / "kernels" / "python3"  # of another Python, here of none
    kernel.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    (folder / "matplotlibrc").write_text("text.usetex: True\nbackend: TkAgg\nthis is no line\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_here(patch)
        patch.delenv("SEMANTICA_TRAIN", raising=False)
        patch.setattr(notebooks, "ROOT", folder)  # the kernel's own folder
        for name, value in {
            "SEMANTICA_RESULTS": folder / "runs", "IPYTHONDIR": folder / "ipython",
            "PYTHONSTARTUP": folder / "start.py", "JUPYTER_PATH": folder / "jupyter",
            "MATPLOTLIBRC": folder, "MPLBACKEND": "absent",
        }.items():  # fmt: skip
            patch.setenv(name, str(value))
        edited(folder, patch, '"weight_decay = 0.1\\n"', '"weight_decay = 0.0\\n"')
        request = experiment("one")
        kind, words = batch.work(request, lambda *_: None, 2)
        assert kind == "done", words
        assert os.environ["IPYTHONDIR"] == str(folder / "ipython")  # as it was
        return results.folder(results.here(), request.wanted[0]) / "one.ipynb"


def test_what_is_saved_in_a_notebook_s_cell_does_not_leak_into_a_result(page: Path) -> None:
    (manifest,) = page.parents[1].glob(f"*/{results.MANIFEST}")  # nothing else was trained
    assert manifest.parent == page.parent
    text = page.read_text()
    assert json.loads(manifest.read_text())["files"][results.TRAJECTORY][:12] in text
    assert "Its own values" in text and "`bits` = 3" in text
    assert "check(result" not in text


def test_the_user_s_own_start_up_files_and_kernels_stay_out(page: Path) -> None:
    assert nbformat.read(page, 4).metadata.kernelspec.name == "python3"
    assert "this is no line" not in page.read_text()


@pytest.mark.usefixtures("in_process")
def test_a_page_that_shows_another_result_than_it_was_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "run(settings.model_copy(update={'weight_decay': 0.0}))"
    edited(tmp_path, monkeypatch, '"result = run(settings)"', f'"result = {other}"')
    request = experiment("one")
    run(request.wanted[0].model_copy(update={"weight_decay": 0.0}))  # there: the page only shows it
    with pytest.raises(notebooks.NotebookError) as caught:
        batch.work(request, lambda *_: None, 2)
    folder = results.folder(results.here(), request.wanted[0])
    kept = folder / "one.failed.ipynb"
    assert str(caught.value) == (
        "xor.ipynb failed: RequestError: this page was asked for weight_decay 0.1, and its cells "
        f"show weight_decay 0.0: undo what was changed in them (kept as {kept})"
    )
    assert not (folder / "one.ipynb").exists()


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Outcome]]:
    """Runs made-up work by its names; what became of each."""
    monkeypatch.setattr(batch, "_child", made_work.child)
    monkeypatch.setattr(batch, "_kept", lambda request, reason: f"{reason} (kept)")

    def run(*names: str, **options: Any) -> dict[str, Outcome]:
        outcomes = run_batch([Request(name, []) for name in names], **options)
        assert [one.name for one in outcomes] == list(names)
        return {one.name: one for one in outcomes}

    return run


def test_however_one_ends_it_is_told_and_the_others_go_on(worked: Callable) -> None:
    found = worked("raises", "killed", "errs", "exits", "ends", jobs=3)
    assert {name: one.kind for name, one in found.items()} == {
        "raises": "failed", "killed": "failed", "errs": "failed", "exits": "failed", "ends": "done",
    }  # fmt: skip
    assert found["raises"].words == "two lines"
    assert "out of memory" in found["killed"].words and "(kept)" in found["killed"].words
    assert "exit code 3" in found["exits"].words
    assert "ZeroDivisionError" in found["errs"].words
    assert "ZeroDivisionError" in (results.here() / "errs.error.log").read_text()
    assert found["ends"].words == "well"


def test_what_takes_too_long_is_stopped_and_named(worked: Callable) -> None:
    found = worked("sleeps", "ends", jobs=2, limit=0.6)
    assert found["ends"].kind == "done"
    assert found["sleeps"].kind == "failed"
    assert found["sleeps"].words.startswith("stopped at its time limit of 0.01 min")


def test_stopped_by_ctrl_c_everything_is_stopped(worked: Callable, monkeypatch: Any) -> None:
    stopped = []
    monkeypatch.setattr(
        batch.children, "heard", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    monkeypatch.setattr(
        batch, "_stop", lambda running: (stopped.extend(running.values()), STOP(running))
    )
    with pytest.raises(KeyboardInterrupt):
        worked("sleeps", "sleeps", jobs=2)
    assert len(stopped) == 2 and not any(one.process.is_alive() for one in stopped)


STOP = batch._stop

LONG = "bits: 8\nsteps: 299\nseeds: [1, 2, 3]\nrecord_every: 299\nvalidate_every: 299\n"


@pytest.mark.parametrize(
    "kind", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.long)]
)
def test_a_stopped_batch_leaves_no_process_and_goes_on(kind: signal.Signals) -> None:
    """As a cluster stops a job, and killed outright, which leaves no word."""
    request = experiment("long", LONG)
    process = subprocess.Popen(
        command("run", request.name), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip
    said = ""
    while not re.search(r" [1-9][\d.]*k?/1.79k", said):
        piece = process.stderr.read(1)
        assert piece, said
        said += piece
    process.send_signal(kind)
    assert re.search(r"^long.yaml: compiling:.*<\?,", said, re.MULTILINE)  # and no time left
    said += process.communicate(timeout=60)[1]
    assert process.returncode == (1 if kind != signal.SIGKILL else -kind)
    if kind != signal.SIGKILL:
        assert said.splitlines()[-1] == (
            "semantica: error: stopped; the same command goes on from here"
        )
    folder = results.folder(results.here(), request.wanted[0])
    deadline = time.monotonic() + 60
    while _alive(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with holding(folder):  # nobody has it any more
        found = sorted((folder / "checkpoints").glob("*.safetensors"))
    steps = [int(results.load_checkpoint(path)[0]["step"]) for path in found]
    assert steps and all(0 < step < 299 for step in steps)


def _alive(session: int) -> bool:
    """Whether a process of a session is left."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            return True
    return False


@pytest.mark.usefixtures("in_process")
def test_a_result_that_needs_nothing_is_skipped_with_its_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request, executed = experiment("one"), []
    monkeypatch.setattr(
        "semantica_lib.pages.notebooks.tell", lambda page: executed.append(page) or False
    )
    assert batch.work(request, lambda *_: None, 2)[0] == "done"
    assert batch.work(request, lambda *_: None, 2)[0] == "skipped"
    monkeypatch.setattr("semantica_lib.pages.notebooks.tell", lambda page: True)
    kind, words = batch.work(request, lambda *_: None, 2)
    assert kind == "done" and words.startswith("complete, 20 steps, 2 trials")
    again = Request(request.name, request.wanted, fresh=True)
    assert batch.work(again, lambda *_: None, 2)[0] == "done"


@pytest.mark.usefixtures("in_process")
def test_shards_of_a_sweep_train_it_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Whoever trains which shard and when, together they are the whole, cut as the shards are."""
    text = "base: transformer-small\nseeds: [1, 2]\nfixed: {bits: 3, steps: 20, record_every: 10}\n"
    Path("s.yaml").write_text(text + "grid: [{weight_decay: [0.0, 0.2]}]\n")
    for shard in ("2/2", "1/2", "2/2"):
        assert cli.main(["train", "s.yaml", "--shard", shard, "--device", "cpu"]) == 0
        assert not list(results.here().glob(f"*/{results.MANIFEST}"))
        assert f"shard {shard} is trained" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in results.here().rglob("*.safetensors")}
    assert len(before) == 4
    monkeypatch.setattr("semantica_lib.running.run.train_all", None)  # nothing is left to train
    assert cli.main(["train", "s.yaml", "--device", "cpu"]) == 0
    assert len(list(results.here().glob(f"*/{results.MANIFEST}"))) == 2
    assert before == {path: path.read_bytes() for path in results.here().rglob("*.safetensors")}
    for shard in ("4/3", "0/3", "1", "a/b", "1/3/5", "-1/2"):
        assert cli.main(["train", "s.yaml", "--shard", shard]) == 2
        assert "--shard takes I/N" in capsys.readouterr().err
    assert cli.main(["train", "s.yaml", "--shard", "1/2", "--fresh"]) == 2


@pytest.mark.parametrize("verb", ["run", "train"])
def test_a_dry_run_tells_what_is_left_and_trains_nothing(
    verb: str, capsys: pytest.CaptureFixture
) -> None:
    request = experiment("one", SMALL.replace("steps: 20", "steps: 200"))
    begin(request.wanted[0].model_copy(update={"ties": ("tied",)}), 50)
    before = sorted(results.here().rglob("*"))
    assert cli.main([verb, request.name, "--dry-run"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("one tied, seed 1: 150 of 200 steps on cpu, ")
    assert out[1].startswith("one untied, seed 1: 200 of 200 steps on cpu, ")
    assert out[2].startswith("2 stack(s), 2 trials: ") and "of computing" in out[2]
    assert out[3].startswith("expected from: the bench of transformer-small on ")
    assert cli.main([verb, request.name, "--dry-run", "--fresh"]) == 0
    assert capsys.readouterr().out.count("200 of 200 steps") == 2
    assert cli.main([verb, request.name, "--dry-run", "--shard", "2/2"]) == 0
    assert capsys.readouterr().out.startswith("one untied, seed 1: 200 of 200 steps")
    assert before == sorted(results.here().rglob("*"))
    begin(request.wanted[0], 200)
    assert cli.main([verb, request.name, "--dry-run"]) == 0
    assert capsys.readouterr().out == "nothing is left to train\n"
