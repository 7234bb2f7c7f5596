"""README.md shows what the published result says, and the commands that there are."""

import re
import shutil

import pytest

from semantica_lib import cli, readme, results
from semantica_lib.errors import RequestError
from semantica_lib.experiments import find


def test_the_readme_shows_the_published_result() -> None:
    result = results.load(results.folder(results.PUBLISHED, find(readme.MAIN)))
    text = readme.README.read_text(encoding="utf-8")
    assert f"{readme.BEGIN}\n\n{readme.block(result)}\n{readme.END}" in text, "run `make readme`"
    assert readme.FIGURE.exists()


def test_the_readmes_commands_exist() -> None:
    text = readme.README.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (readme.ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    assert {"make book", "make test"} <= set(re.findall(r"^make \w+", text, re.MULTILINE))


def test_writing_needs_the_marks_and_changes_nothing_else(tmp_path, monkeypatch) -> None:
    copy = tmp_path / "README.md"
    shutil.copy(readme.README, copy)
    monkeypatch.setattr(readme, "README", copy)
    monkeypatch.setattr(readme, "FIGURE", results.PUBLISHED / readme.MAIN / "endings.png")
    monkeypatch.setattr(readme, "write_whole", lambda path, data: copy.write_bytes(data)
                        if path == copy else None)  # fmt: skip
    before = copy.read_text()
    assert cli.main(["readme"]) == 0
    assert copy.read_text() == before
    copy.write_text("no marks")
    with pytest.raises(RequestError, match="lacks the lines"):
        readme.write()
