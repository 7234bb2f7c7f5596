"""The notebook by bare papermill, and the book from the published results, as readers get them."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from semantica_lib import cli
from semantica_lib.files import ROOT
from semantica_lib.pages import book as book_
from semantica_lib.pages import kernels, notebooks
from semantica_lib.settings.catalogue import CATALOGUE, catalogue
from semantica_lib.store import results

NOTEBOOK = str(ROOT / "notebooks" / "xor.ipynb")
DRAWN = {"image/png", "image/svg+xml"}
MAIN = str(CATALOGUE / "transformer-small.yaml")


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)


def papermill(target: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", NOTEBOOK, str(target), "-f", MAIN, *parameters]
    return subprocess.run(command, cwd=target.parent, capture_output=True, text=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What bare papermill says, and where it did its work: once, beside somebody's start-up file.

    What is defined there is named as settings and as what the notebook itself defines.
    """
    folder = tmp_path_factory.mktemp("bare")
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-mine.py").write_text("project_dir = '/x'\ncorpus = 'grammar'\nbits = 4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTICA_RESULTS", str(folder / "runs"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.delenv("SEMANTICA_TRAIN", raising=False)
        done = papermill(
            folder / "out.ipynb", "-p", "steps", "30", "-y", "seeds: [7, 8]",
            "-y", "record_every: 10", "-p", "weight_decay", "0",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr, folder


def test_bare_papermill_trains_and_shows(told: tuple[str, Path]) -> None:
    said, place = told
    assert "unknown parameter" not in said  # papermill's own, milder word
    (folder,) = (place / "runs").glob("transformer-small-*")
    result = results.load(folder)
    assert result.steps.tolist() == [0, 10, 20, 30]
    assert result.settings.weight_decay == 0
    notebook = nbformat.read(place / "out.ipynb", 4)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum(bool(DRAWN & output.get("data", {}).keys()) for output in outputs) == 7
    assert not any(o.output_type == "stream" and "Warning" in o.text for o in outputs)


def test_bare_papermill_passes_over_what_a_start_up_file_defines(told: tuple[str, Path]) -> None:
    (result,) = map(results.load, (told[1] / "runs").glob("transformer-small*"))
    assert result.settings.bits == 7


def test_bare_papermill_refuses_a_misspelt_parameter(tmp_path):
    done = papermill(tmp_path / "out.ipynb", "-p", "stpes", "30")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "unknown setting 'stpes' (did you mean 'steps'?)" in last
    assert not (tmp_path / "runs").exists()


def test_a_failing_notebook_is_kept_under_another_name(tmp_path):
    target = tmp_path / "page.ipynb"
    target.write_text("what was there before")
    with pytest.raises(notebooks.NotebookError, match=r"unknown setting 'stpes'.*page\.failed"):
        notebooks.execute(Path(NOTEBOOK), target, {"stpes": 3})
    assert target.read_text() == "what was there before"
    assert nbformat.read(tmp_path / "page.failed.ipynb", 4).cells
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.failed.ipynb", "page.ipynb"]


SLOW = """
import time
from ipykernel.kernelbase import Kernel

replies = Kernel.kernel_info_request

async def slow(*arguments):
    await replies(*arguments)
    time.sleep(1)

Kernel.kernel_info_request = slow
"""


def test_a_kernel_ends_without_a_word(tmp_path, monkeypatch, capfd):
    """It is interrupted at its end, on a busy machine before its last reply is done with."""
    source = tmp_path / "page.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# Page"), nbformat.v4.new_code_cell("6 * 7")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    monkeypatch.setattr(kernels, "CONFIGURATION", SLOW + kernels.CONFIGURATION)
    notebooks.execute(source, tmp_path / "told.ipynb", {})
    assert capfd.readouterr().err == ""


def test_one_page_that_fails_leaves_the_others(tmp_path, capfd):
    source = tmp_path / "source" / "good.ipynb"
    source.parent.mkdir()
    cells = [nbformat.v4.new_markdown_cell("# Good"), nbformat.v4.new_code_cell("6 * 7")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    bad = notebooks.Page(Path(NOTEBOOK), tmp_path / "bad.ipynb", {"stpes": 3})
    good = notebooks.Page(source, tmp_path / "good.ipynb", {})
    with pytest.raises(notebooks.NotebookError, match=r"unknown setting 'stpes'.*bad\.failed"):
        book_._execute_all([bad, good], 2)
    assert sorted(path.name for path in tmp_path.glob("*.ipynb")) == [
        "bad.failed.ipynb", "good.ipynb",
    ]  # fmt: skip
    assert notebooks.current(good)
    assert not notebooks.current(good._replace(parameters={"a": 1}))
    progress = re.findall(r"^\d of 2: (.*)$", capfd.readouterr().err, re.MULTILINE)
    assert sorted(progress) == ["bad.ipynb failed", "good.ipynb executed"]


def test_a_page_depends_on_the_results_that_it_shows(tmp_path, monkeypatch):
    places = tmp_path / "runs", tmp_path / "published"
    monkeypatch.setattr(results, "PUBLISHED", places[1])
    pages = {page.target.stem: page for page in book_.pages()}
    assert {"task", "tables", *catalogue()} <= pages.keys()
    names = ("task", "tables", "costs", "lstm-small", "mlp-small", "mlm")

    def changed_by(path: Path) -> list[str]:
        before = {name: notebooks.key_of(pages[name]) for name in names}
        path.mkdir(parents=True)
        (path / results.MANIFEST).write_text(str(path))
        return [name for name in names if notebooks.key_of(pages[name]) != before[name]]

    both = ["tables", "costs"]  # of all results
    assert changed_by(places[0] / "lstm-small") == [*both, "lstm-small"]
    assert changed_by(places[1] / "mlp-small") == [*both, "mlp-small"]
    assert changed_by(places[0] / "transformer-small-12345678") == both
    assert changed_by(places[1] / "mlp-small-0123abcd") == [*both, "mlp-small"]  # a variant of it
    assert changed_by(places[1] / "mlm-variants") == [*both, "mlm"]  # several, in a sweep
    for name in ("bench.json", "bench-gpu.json"):
        before = notebooks.key_of(pages["costs"])
        (places[1] / name).write_text("{}")
        assert notebooks.key_of(pages["costs"]) != before


def test_every_experiment_has_its_page_in_the_contents():
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = [page["file"] for part in contents["parts"] for page in part["chapters"]]
    assert {page.target.stem for page in book_.pages()} == {
        Path(file).name for file in listed if file.startswith("experiments/")
    }
    assert len(set(listed)) == len(listed)


QUOTED = {  # by other pages
    "transformer-small", "tables", "mlm", "closing", "phase", "bias-or-frequency", "schemes",
    "uses",
}  # fmt: skip
EXECUTED = {*QUOTED, "first"}


def stand_in(page: notebooks.Page) -> None:
    """A page with its heading alone, that counts as executed."""
    heading = nbformat.read(page.source, as_version=4).cells[0].source.splitlines()[0]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(heading, id="head")])
    notebook.metadata["semantica_key"] = notebooks.key_of(page)
    page.target.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, page.target)


@pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["in part", "whole"]
)
def test_the_book_is_built_from_published_results(whole, tmp_path, monkeypatch, capfd):
    """In part: the pages that are quoted, and one more, are executed; the others are headings."""
    book = tmp_path / "book"
    shutil.copytree(ROOT / "book", book, ignore=shutil.ignore_patterns("_build", "experiments"))
    monkeypatch.setattr(book_, "BOOK", book)
    monkeypatch.setattr(book_, "EXECUTED", book / "experiments")
    for page in book_.pages():
        if not whole and page.target.stem not in EXECUTED:
            stand_in(page)
    assert cli.main(["book", "--no-train"]) == 0, capfd.readouterr().err
    html = book / "_build" / "html"
    pages = {path.stem: path.read_text() for path in html.rglob("*.html")}
    assert {"index", "intro", "run", "bibliography", "task", "tables", *catalogue()} <= pages.keys()
    assert "published with this book" in pages["intro"]
    shown = {name: " ".join(re.sub("<[^>]*>", "", page).split()) for name, page in pages.items()}
    assert "Each claim is judged by fresh seeds" in shown["intro"]
    assert "In this task (The main experiment)" in shown["tables"]  # the second round, first of all
    for name, page in pages.items():
        article = page[page.find("<article") : page.rfind("</article>")]
        for image in re.findall(r"<img[^>]*>", article):
            assert re.search(r'alt="[^"]{20,}"', image), (name, image[:200])
        assert str(ROOT) not in page, name
        assert not re.search(r'<script[^>]* src="(https?:)?//', page), name  # all of it is local
    assert 'class="math' in pages["fast"]
    script = re.search(r'src="(_static/tex-svg[^"?]*)', pages["fast"])[1]
    assert (html / script).exists()
    assert script not in pages["intro"]  # which has no formula
    for name in catalogue():
        result = results.load(results.PUBLISHED / name)
        if result is None:
            assert f"There is no result of {name} yet" in pages[name]
            assert f"{name} has no result, here or published" in pages["first"] + pages["tables"]
            continue
        assert f'href="{name}.html"' in pages["first"] + pages["tables"]
        if whole or name in QUOTED:
            assert result.manifest["commit"][:10] in pages[name]
            assert ("It is partial" in pages[name]) != result.complete

    stamps = {path: path.stat().st_mtime_ns for path in (book / "experiments").glob("*.ipynb")}
    for path in stamps:
        assert "papermill" not in json.loads(path.read_text())["metadata"].get("path", "")
    assert len(stamps) == len(book_.pages())
    monkeypatch.setattr(book_, "_execute_all", lambda *wanted: pytest.fail(str(wanted)))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    book_.build_book(2)  # nothing is executed again


def test_a_checkout_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path, data: bytes) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(book_, "EXECUTED", tmp_path)
    monkeypatch.setattr(book_, "write_whole", refused)  # who may write everywhere is root
    assert cli.main(["book", "--no-train"]) == 2
    assert f"cannot write the book to {book_.BOOK} (Permission denied)" in capsys.readouterr().err


def test_the_book_is_rendered_again_where_something_changed_or_was_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, ends = tmp_path / "_build" / "html" / "index.html", [0]

    def rendered(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text("rendered")
        return subprocess.CompletedProcess([], ends[0])

    def renders() -> bool:
        index.write_text("as before") if index.exists() else None
        book_.build_book(1)
        return index.read_text() == "rendered"

    monkeypatch.setattr(book_, "BOOK", tmp_path)
    monkeypatch.setattr(book_, "EXECUTED", tmp_path / "experiments")
    monkeypatch.setattr(book_, "pages", list)
    monkeypatch.setattr(subprocess, "run", rendered)
    assert [renders(), renders()] == [True, False]
    for name in ("intro.md", "experiments/task.ipynb", "_toc.yml"):
        (tmp_path / name).write_text("new")
        assert [renders(), renders()] == [True, False]
    index.unlink()
    assert [renders(), renders()] == [True, False]
    (tmp_path / "intro.md").unlink()
    ends[0] = 1
    for _ in range(2):  # what failed is not taken for done
        with pytest.raises(notebooks.NotebookError, match="see the warnings"):
            renders()
    ends[0] = 0
    assert [renders(), renders()] == [True, False]
