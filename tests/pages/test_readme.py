"""README.md shows what the published result says, and the commands that there are."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

from semantica_lib import cli
from semantica_lib.analysis.markdown import title
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.errors import RequestError
from semantica_lib.pages import readme
from semantica_lib.settings.catalogue import catalogue
from semantica_lib.store import results
from semantica_lib.store.results import Result


@pytest.fixture(scope="module", autouse=True)
def each_once() -> Iterator[None]:
    """What is published is loaded once for all these tests, and each result is judged once."""
    frames: dict[int, tuple[Result, pd.DataFrame]] = {}

    def judged(result: Result) -> pd.DataFrame:
        if id(result) not in frames:
            frames[id(result)] = result, verdicts(result)
        return frames[id(result)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readme, "published", cache(readme.published))
        patch.setattr(readme, "verdicts", judged)
        yield


def test_the_readme_shows_the_published_results() -> None:
    text = readme.README.read_text(encoding="utf-8")
    block = readme.block(readme.published())
    assert f"{readme.BEGIN}\n\n{block}\n{readme.END}" in text, "run `make readme`"
    assert readme.FIGURE.exists()
    rows = readme.experiments(readme.published())
    assert rows in block
    for folder in results.PUBLISHED.glob("*/"):
        if folder.name in catalogue():
            assert rows.count(f"\n| {title(folder.name)} | ") == 1


def test_a_row_tells_how_far_a_result_is_and_what_is_decided() -> None:
    (whole, *_) = readme.published()
    manifest = {**whole.manifest, "status": "partial", "steps_done": 2_000}
    *_, row, open_row = readme.experiments([whole, replace(whole, manifest=manifest)]).splitlines()
    seeds = len(set(whole.seed.tolist()))
    assert row.startswith(
        f"| {title(readme.MAIN)} | transformer, 1 layer, d 4 | {seeds} | 150,000 | "
    )
    counts = [int(number) for number in re.findall(r"(\d+) [a-z]", row.rpartition("150,000")[2])]
    frame = readme.verdicts(whole)
    assert sum(counts) == (~frame.claim.str.startswith("exploratory")).sum()
    assert open_row.endswith(f"| partial: 2,000 of 150,000 | {sum(counts)} open |")


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
    monkeypatch.setenv("MPLBACKEND", "absent")
    before = copy.read_text()
    assert cli.main(["readme"]) == 0
    assert copy.read_text() == before
    assert "MPLBACKEND" not in os.environ
    copy.write_text("no marks")
    with pytest.raises(RequestError, match="lacks the lines"):
        readme.write()
