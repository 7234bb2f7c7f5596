"""Nothing lost, shown by trying: work that meets with a fault, and what is there afterwards.

Whatever befalls it, no finished result changes, nothing half-written is taken for whole, and the
same command ends where it would have ended undisturbed, bit for bit. The faults are drawn anew in
each test from a fixed seed; a failure names its fault, which repeats it.
"""

import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from semantica_lib import files
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.running.groups import groups_of
from semantica_lib.settings.catalogue import Settings, settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint

OWN = {
    "experiment": "own", "bits": 3, "seeds": [1, 2], "steps": 6, "record_every": 2,
    "validate_every": 3, "device": "cpu",
}  # fmt: skip
NOBODY = 65534
KINDS = [results.MANIFEST, results.TRAJECTORY, results.METRICS, "tied", "untied"]


class Place:
    """A folder of results in which one experiment is finished, and a process that does work there.

    ``OWN`` is the experiment that meets with faults; ``before`` is a finished one beside it.
    """

    def __init__(self, folder: Path, process: subprocess.Popen) -> None:
        self.folder, self.process = folder, process
        self.runs, self.published = folder / "runs", folder / "published"

    def does(self, work: str = "train", **told: Any) -> tuple[int, str]:
        """Do work in a child, with a fault if one is told; how that ended and what it said."""
        request = {"work": work, "own": OWN, "runs": str(self.runs)}
        request |= {"published": str(self.published), "book": str(self.folder / "book")} | told
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["code"] in (0, 1, 2, -9, -25), (told, answer["said"])
        return answer["code"], answer["said"]

    def reset(self, *kept: str) -> None:
        """Nothing is there but what lies in the folder under these names."""
        for name in ("runs", "published", "book"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.runs.mkdir(mode=0o755)
        for name in kept:
            shutil.copytree(self.folder / "kept" / name, self.runs / name)


def at(place: Path) -> Path:
    own = settings(OWN)
    return place / f"own-{own.settings_hash[:8]}"


def content(folder: Path) -> dict[str, Any]:
    """What a result is, but for times: its arrays, its metrics, its weights."""
    with np.load(folder / results.TRAJECTORY) as file:
        found: dict[str, Any] = {name: file[name].tobytes() for name in file.files}
    found["metrics"] = (folder / results.METRICS).read_bytes()
    for path in sorted((folder / "checkpoints").glob("*.safetensors")):
        tensors, about = load_checkpoint(path)
        for name, value in tensors.items():
            found[about["tied"], name] = value.numpy().tobytes()
    return found


def every_file(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # of its own, since whom permission is taken from must be able to walk to it
    folder = Path(tempfile.mkdtemp(prefix="semantica-faults-"))
    folder.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "faulty.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    try:
        there = Place(folder, process)
        there.reset()
        assert there.does()[0] == 0
        before = OWN | {"experiment": "before", "weight_decay": 0.0}
        assert there.does(own=before)[0] == 0
        shutil.move(there.runs, folder / "kept")
        yield there
    finally:
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> dict[str, Any]:
    return content(at(place.folder / "kept"))


SHORTER = OWN | {"steps": 4}


@pytest.fixture(scope="module")
def grown(place: Place) -> dict[str, Any]:
    """What an undisturbed result is that went on from one of fewer steps."""
    place.reset()
    assert place.does(own=SHORTER)[0] == 0 and place.does()[0] == 0
    return content(at(place.runs))


@pytest.fixture(scope="module")
def other(place: Place) -> str:
    """The folder's name of the result that was finished before."""
    (path,) = (place.folder / "kept").glob("before-*")
    return path.name


def nothing_half(own: Settings, place: Path, damaged: bool = False) -> None:
    """Whatever is there is read whole, or where it was damaged refused by its name."""
    folder = results.folder(place, own)
    for read in (results.load, lambda folder: groups_of(folder, own)):
        try:
            read(folder)
        except RequestError as error:
            assert damaged and str(folder) in str(error), error
    assert len(results.state(place, own).splitlines()) == 1


def tried(short: int, long: int) -> Callable:
    """A test of so many faults every day, and of many more in the long form."""
    return pytest.mark.parametrize("faults", [short, pytest.param(long, marks=pytest.mark.faults)])


def drawn(faults: int, what: str) -> Iterator[random.Random]:
    """A source of chance for each fault, which its number repeats."""
    for number in range(faults):
        yield random.Random(f"{what} {number}")


def sudden(chance: random.Random, within: Path, events: int, sizes: int) -> dict[str, Any]:
    """A fault at a moment: killed before a change, or a disk that is full in the midst of one."""
    kind = chance.choice(["killed", "storing", "full", "cut"])
    if kind == "killed":
        return {"event": chance.randint(1, events), "within": str(within)}
    if kind == "storing":  # the moves by which a result takes the place of an older one
        names = "^(manifest|trajectory|metrics)"
        return {"event": chance.randint(1, 12), "within": str(within), "names": names}
    return {"bytes": chance.randint(0, sizes), "dies": kind == "cut"}


@tried(8, 300)
def test_training(
    faults: int, place: Place, undisturbed: dict[str, Any], grown: dict[str, Any], other: str
) -> None:
    """Killed at any change of a file, with a full disk, once or several times before it ends."""
    own = settings(OWN)
    for chance in drawn(faults, "training"):
        place.reset(other)
        finished = every_file(place.runs / other)
        if going_on := chance.random() < 0.4:  # from a result that is there
            assert place.does(own=SHORTER)[0] == 0
        for _ in range(chance.randint(1, 3)):
            fault = sudden(chance, place.runs, 90, 9_000)
            code, said = place.does(**fault)
            assert code in (0, 1, 2, -9, -25), (fault, said)
            nothing_half(own, place.runs)
            assert every_file(place.runs / other) == finished, fault
        code, said = place.does()
        assert code == 0, (fault, said)
        assert content(at(place.runs)) == (grown if going_on else undisturbed), fault
        assert not [*place.runs.rglob("*.part"), *place.runs.rglob("*.new")], fault


@tried(4, 60)
def test_publishing(faults: int, place: Place, other: str) -> None:
    """The published result is the old one or the new one; what is here does not change."""
    own = settings(OWN)
    for chance in drawn(faults, "publishing"):
        place.reset(other)
        if chance.random() < 0.5:  # a partial forerunner is published, with its checkpoints
            assert place.does(own=SHORTER)[0] == 0 and place.does("publish", own=SHORTER)[0] == 0
        assert place.does()[0] == 0
        old = results.load(at(place.published))
        here = every_file(place.runs)
        fault = sudden(chance, place.published, 25, 9_000)
        code, said = place.does("publish", **fault)
        assert every_file(place.runs) == here, fault
        found = results.load(at(place.published))
        steps = found and found.manifest["steps_done"]
        assert steps in (old and old.manifest["steps_done"], own.steps), (fault, said)
        code, said = place.does("publish")
        assert code == 0, (fault, said)
        files = content(at(place.published))
        trained = content(at(place.runs))
        assert files.items() <= trained.items(), fault
        assert {name for name in trained if isinstance(name, str)} <= files.keys()


@tried(6, 150)
def test_damage(faults: int, place: Place, undisturbed: Mapping[str, Any], other: str) -> None:
    """A file cut short or with bits flipped is told by its name, and what it says is of help."""
    own = settings(OWN)
    for chance in drawn(faults, "damage"):
        place.reset(other, at(place.runs).name)
        if unfinished := chance.random() < 0.3:  # the checkpoints alone
            for name in (results.MANIFEST, results.TRAJECTORY, results.METRICS):
                (at(place.runs) / name).unlink()
        name = chance.choice(KINDS[3:] if unfinished else KINDS)
        (path,) = at(place.runs).rglob(name if "." in name else f"{name}-*.safetensors")
        data = bytearray(path.read_bytes())
        if chance.random() < 0.5:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        fault, finished = (name, len(data), unfinished), every_file(place.runs / other)
        path.write_bytes(data)
        nothing_half(own, place.runs, damaged=True)
        code, said = place.does()
        assert code in (0, 2), (fault, said)
        if code == 2:
            assert path.name in said or str(at(place.runs)) in said, (fault, said)
            assert path.read_bytes() == data  # nothing is done about it unasked
            code, said = place.does(fresh=True)
        assert code == 0, (fault, said)
        if not (name in KINDS[3:] and not unfinished):  # a finished result needs no checkpoint
            assert content(at(place.runs)) == undisturbed, fault
        assert every_file(place.runs / other) == finished, fault


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to be root")
@tried(2, 12)
def test_no_permission(
    faults: int, place: Place, undisturbed: Mapping[str, Any], other: str
) -> None:
    """Whom a folder does not let write is told so, and all is as it was."""
    for chance in drawn(faults, "permission"):
        place.reset(other)
        if chance.random() < 0.5:
            assert place.does(bytes=3_000)[0] == 1  # something is begun
        open_ = chance.choice([[], [place.runs], [place.runs, at(place.runs)]])
        for folder in open_:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        before = every_file(place.runs)
        code, said = place.does(user=NOBODY)
        if code == 0:  # nothing had been begun, and it could begin
            assert len(open_) and content(at(place.runs)) == undisturbed
        else:
            assert code in (1, 2) and "ermission denied" in said, said
            assert before.items() <= every_file(place.runs).items()
        if code and place.does()[0]:
            pytest.fail(said)
        assert content(at(place.runs)) == undisturbed


@tried(6, 60)
def test_the_folder_of_compiled_code(
    faults: int, place: Place, undisturbed: Mapping[str, Any], other: str
) -> None:
    """Taken away, in the way, full or nowhere, from one step on: training ends as without that.

    Where another folder is taken, or none, a line says why, and says it once.
    """
    told = {"removed": "", "purged": "", "blocked": "Not a directory", "nowhere": "Not a directory",
            "full": "File too large"}  # fmt: skip
    steps = OWN["steps"] * 2  # of two stacks, each compiled when it begins
    for number, chance in enumerate(drawn(faults, "compiled")):
        place.reset(other)
        finished = every_file(place.runs / other)
        with tempfile.TemporaryDirectory() as folder:
            fault, step = list(told)[number % len(told)], chance.randint(1, steps)
            if fault == "purged":
                (Path(folder) / "cache").symlink_to(Path(folder) / "scratch")
            compiling = {"folder": folder, "fault": fault, "step": step}
            code, said = place.does(compiling=compiling)
        early = step <= OWN["steps"]  # before the second stack is compiled
        assert code == 0 and len(said.splitlines()) == (early and bool(told[fault])), (step, said)
        assert (told[fault] if early else "") in said
        assert ("uncompiled" in said) == (early and fault in ("nowhere", "full")), said
        assert content(at(place.runs)) == undisturbed, fault
        assert every_file(place.runs / other) == finished, fault


@pytest.mark.faults
@pytest.mark.parametrize("full", [False, True])
def test_a_real_compiler_s_folder(full: bool, tmp_path: Path) -> None:
    """Full while it compiles, or gone while the training runs, which then goes on as it was."""
    environment = os.environ | {files.COMPILED: str(tmp_path / "cache"), files.WHY: ""}
    environment |= {"SEMANTICA_RESULTS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "semantica_lib.cli", "train", "mlp-small", "--device", "cpu"]
    for text in ("bits=3", "expectation=exact", "schedule=none", "seeds=[1]", "ties=[tied]"):
        command += ["--set", text]

    def limited() -> None:  # more than a step's code, less than compiled headers
        size = 30_000_000 if full else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    for steps in (20_000, 21_000):
        process = subprocess.Popen(
            [*command, "--set", f"steps={steps}"], env=environment, preexec_fn=limited,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = ""
        while not full and not re.search(r" [1-9][\d.]*k/2", said):  # it runs
            said += process.stderr.read(1)
            assert process.poll() is None, said
        if not full:
            shutil.rmtree(tmp_path / "cache")
        out, rest = process.communicate()
        assert process.returncode == 0 and f" {steps:,} of the experiment" in out, said + rest
        assert (said + rest).count("training uncompiled") == full, said + rest


@tried(4, 40)
def test_the_clock_is_set_back(
    faults: int, place: Place, grown: Mapping[str, Any], other: str
) -> None:
    """What is there is of a later time than what is done with it: nothing is kept for that."""
    for chance in drawn(faults, "clock"):
        place.reset(other)
        back = -chance.choice([1.0, 3_600.0, 86_400.0 * 365])
        assert place.does(own=SHORTER)[0] == 0
        if chance.random() < 0.5:
            assert place.does("publish", own=SHORTER)[0] == 0
        if chance.random() < 0.5:  # and so is what a killed process has left
            place.does(event=chance.randint(1, 60), within=str(place.runs))
        for path in [*place.runs.rglob("*"), *place.published.rglob("*")]:
            later = path.stat().st_mtime - back
            os.utime(path, (later, later))
        finished = every_file(place.runs / other)
        code, said = place.does(clock=back)
        assert code == 0 and content(at(place.runs)) == grown, (back, said)
        code, said = place.does("publish", clock=back)
        assert code == 0, (back, said)
        assert content(at(place.published)).items() <= grown.items(), back
        assert every_file(place.runs / other) == finished, back


@tried(6, 80)
def test_a_folder_of_results_that_vanishes(
    faults: int, place: Place, undisturbed: Mapping[str, Any], grown: Mapping[str, Any], other: str
) -> None:
    """A link to a disk that is gone from some moment on: a line says so; all is there, once it is.

    What is done after that moment makes no other folder in its place.
    """
    own = settings(OWN)
    for number, chance in enumerate(drawn(faults, "vanishing")):
        place.reset(other)
        publishes, going_on = number % 3 == 0, chance.random() < 0.4
        if going_on or publishes:
            assert place.does(own=SHORTER)[0] == 0
            assert place.does("publish", own=SHORTER)[0] == 0
        if publishes:
            assert place.does()[0] == 0
        link = place.published if publishes else place.runs
        disk, away = place.folder / "disk", place.folder / "disk.away"
        link.rename(disk)
        link.symlink_to(disk)
        fault = {"event": chance.randint(1, 25 if publishes else 90), "within": str(link)}
        code, said = place.does("publish" if publishes else "train", away=str(disk), **fault)
        if gone := not disk.exists():
            if code:
                assert f"{link} is a link to {disk}, which is not there" in said, (fault, said)
                assert len(said.splitlines()) == 1, (fault, said)
            else:  # all was in its place by then
                assert results.load(at(away)).manifest["steps_done"] == own.steps, fault
            again, said = place.does("publish" if publishes else "train")
            assert again in (1, 2) and "which is not there" in said, (fault, said)
            assert not disk.exists(), said
            away.rename(disk)
        nothing_half(own, place.runs)
        link.unlink()
        disk.rename(link)
        if not publishes:
            finished = every_file(place.folder / "kept" / other)
            names = {Path(path).name: data for path, data in finished.items()}
            found = every_file(place.runs / other)
            assert {Path(path).name: data for path, data in found.items()} == names, fault
        code, said = place.does()
        assert code == 0, (fault, gone, said)
        assert content(at(place.runs)) == (grown if going_on or publishes else undisturbed), fault
        if publishes:
            assert results.load(at(place.published)), fault
            assert place.does("publish")[0] == 0
            assert content(at(place.published)).items() <= grown.items(), fault


@tried(1, 8)
def test_executing_a_notebook(faults: int, place: Place, other: str) -> None:
    """Killed with its kernel at any moment: the page is whole, old or absent, and comes."""
    for chance in drawn(faults, "notebook"):
        place.reset(other, at(place.runs).name)
        finished = content(at(place.runs))
        page = at(place.runs) / "own.ipynb"
        old = chance.random() < 0.5
        if old:
            page.write_text("an old page")
        place.does("notebook", after=chance.uniform(1, 12))
        if page.exists() and page.read_text() != "an old page":
            assert nbformat.read(page, as_version=4).metadata["semantica_key"]
        else:
            assert page.exists() == old
        assert place.does("notebook")[0] == 0
        notebook = nbformat.read(page, as_version=4)
        assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
        assert not list(page.parent.glob(".own.*.ipynb"))
        assert content(at(place.runs)) == finished


CONFIG = "title: A book\nexecute: {execute_notebooks: 'off'}\nonly_build_toc_files: true\n"


@pytest.mark.faults
@pytest.mark.parametrize("faults", [6])
def test_building_the_book(faults: int, place: Place) -> None:
    """Killed at any moment, the next build ends with the book of an undisturbed one."""
    cells = [nbformat.v4.new_markdown_cell("# A page"), nbformat.v4.new_code_cell("print(6 * 7)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), place.folder / "page.ipynb")

    def begin() -> None:
        place.reset()
        book = place.folder / "book"
        (book / "experiments").mkdir(parents=True)
        (book / "_config.yml").write_text(CONFIG)
        toc = "format: jb-book\nroot: intro\nchapters: [{file: experiments/page}]\n"
        (book / "_toc.yml").write_text(toc)
        (book / "intro.md").write_text("# A book\n")

    html = place.folder / "book" / "_build" / "html"
    begin()
    assert place.does("book")[0] == 0
    whole = {path.name: path.read_bytes() for path in html.rglob("*.html")}
    assert b"42" in whole["page.html"]
    for chance in drawn(faults, "book"):
        begin()
        after = chance.uniform(0.5, 9)
        place.does("book", after=after)
        code, said = place.does("book")
        assert code == 0, (after, said)
        assert {path.name for path in html.rglob("*.html")} == whole.keys(), after
        assert b"42" in (html / "experiments" / "page.html").read_bytes()


def test_the_faults_are_faults(place: Place, other: str) -> None:
    """Each kind does befall the work, so that what is shown above is shown of something."""
    place.reset()
    assert place.does(event=1, within=str(place.runs))[0] == -9
    place.reset()
    assert place.does(bytes=3_000, dies=True)[0] == -25
    place.reset()
    code, said = place.does(bytes=3_000)
    assert code == 1 and "too large" in said, said
