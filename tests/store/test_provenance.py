"""What made a result is told by git: the commit, and whether the tree is it."""

import subprocess
from pathlib import Path

import pytest

from semantica_lib.store import provenance


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in the place of this one, with one file of code and one published result."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(provenance, "_sources", str)
    for name in ("semantica_lib/code.py", "book/results/one/manifest.json", "book/run.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    return tmp_path


def test_a_commit_is_clean_and_told(tree: Path) -> None:
    head = subprocess.check_output(["git", "-C", tree, "rev-parse", "HEAD"], text=True).strip()
    assert provenance.commit() == head and provenance.provenance()["dirty"] is False


@pytest.mark.parametrize("name", ["semantica_lib/code.py", "book/run.md", "semantica_lib/new.py"])
def test_what_is_changed_or_new_makes_a_tree_dirty(tree: Path, name: str) -> None:
    (tree / name).write_text("after")
    assert provenance.provenance()["dirty"] is True


def test_published_results_do_not(tree: Path) -> None:
    """Neither checkpoints that were restored to go on from, nor what was just published."""
    (tree / "book/results/one/manifest.json").write_text("after")
    (tree / "book/results/one/checkpoints").mkdir()
    (tree / "book/results/one/checkpoints/new").write_text("after")
    subprocess.run(["git", "-C", tree, "add", "book/results/one/checkpoints"], check=True)
    assert provenance.provenance()["dirty"] is False
