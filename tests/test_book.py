"""The notebook by bare papermill, and the book from the published results, as readers get them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from semantica_lib import cli, notebooks, results
from semantica_lib.experiments import CATALOGUE, ROOT

NOTEBOOK = str(ROOT / "notebooks" / "xor.ipynb")
MAIN = str(CATALOGUE / "transformer-small.yaml")


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)


def papermill(target: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", NOTEBOOK, str(target), "-f", MAIN, *parameters]
    return subprocess.run(command, cwd=target.parent, capture_output=True, text=True)


def test_bare_papermill_trains_and_shows(tmp_path):
    target = tmp_path / "out.ipynb"
    done = papermill(
        target, "-p", "steps", "30", "-y", "seeds: [7, 8]", "-y", "record_every: 10", "-p",
        "weight_decay", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "unknown parameter" not in done.stderr  # papermill's own, milder word
    (folder,) = (tmp_path / "runs").glob("transformer-small-*")
    result = results.load(folder)
    assert result.steps.tolist() == [0, 10, 20, 30]
    assert result.settings.weight_decay == 0
    outputs = [o for cell in nbformat.read(target, 4).cells for o in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    assert not any(o.output_type == "stream" and "Warning" in o.text for o in outputs)


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


def test_the_book_is_built_from_published_results(tmp_path, monkeypatch, capfd):
    book = tmp_path / "book"
    shutil.copytree(ROOT / "book", book, ignore=shutil.ignore_patterns("_build", "experiments"))
    monkeypatch.setattr(notebooks, "BOOK", book)
    monkeypatch.setattr(notebooks, "EXECUTED", book / "experiments")
    assert cli.main(["book", "--no-train"]) == 0, capfd.readouterr().err
    html = book / "_build" / "html"
    pages = {path.stem: path.read_text() for path in html.rglob("*.html")}
    assert {"index", "intro", "run", "bibliography", "task", "transformer-small"} <= pages.keys()
    frame = json.loads((results.PUBLISHED / notebooks.MAIN / results.MANIFEST).read_text())
    assert frame["commit"][:10] in pages["transformer-small"]
    assert "published with this book" in pages["intro"]
    for name, page in pages.items():
        article = page[page.find("<article") : page.rfind("</article>")]
        for image in re.findall(r"<img[^>]*>", article):
            assert re.search(r'alt="[^"]{20,}"', image), (name, image[:200])
        assert str(ROOT) not in page, name
    stamps = {path: path.stat().st_mtime_ns for path in (book / "experiments").glob("*.ipynb")}
    for path in stamps:
        assert "papermill" not in json.loads(path.read_text())["metadata"].get("path", "")
    assert len(stamps) == 2
    notebooks._page(Path(NOTEBOOK), book / "experiments" / "transformer-small.ipynb",
                    notebooks._parameters(notebooks.find(notebooks.MAIN)))  # fmt: skip
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}  # not executed again
