"""Paths that somebody writes mean what they mean in a shell, once, by every way to write them."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import find, parse_override
from semantica_lib.settings.namespace import from_namespace
from semantica_lib.settings.spelling import typed
from semantica_lib.settings.sweeps import file_of, points, read

WRITTEN = (
    "out", "./out", "out/", "a b/c", "", ".", "..", "../out", "../../rel/out", "~", "~/out",
    "~/a/../b", "~root", "/tmp/../etc", "link", "link/", "link/..", "link/../x", "deep/../out",
    "...", "a..b/..c",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``rel/``, with a link to a folder that lies deeper, and a home of its own."""
    for name in ("rel/deep", "home/a", "elsewhere/far"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "rel" / "link").symlink_to(tmp_path / "elsewhere" / "far")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "rel")


@pytest.mark.parametrize("text", WRITTEN)
def test_a_path_is_the_one_that_a_shell_finds(text: str) -> None:
    word = text if text.startswith("~") else shlex.quote(text or ".")
    script = f"realpath -m -- {word}"
    shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    found = typed(text)
    assert found.is_absolute() and ".." not in found.parts
    assert os.path.realpath(found) == shell.stdout.rstrip("\n")


def test_a_link_keeps_its_name_and_a_folder_can_be_said(tmp_path: Path) -> None:
    """A link's name is an experiment's; what it leads to can differ between machines."""
    (tmp_path / "own.yaml").symlink_to("other.yaml")
    assert typed("../own.yaml") == tmp_path / "own.yaml"
    assert typed("link") == tmp_path / "rel" / "link"
    assert typed("x", Path("link")) == tmp_path / "rel" / "link" / "x"
    assert typed("../x", Path("link")) == tmp_path / "elsewhere" / "x"
    assert typed("~/x", Path("link")) == tmp_path / "home" / "x"


@pytest.mark.parametrize("text", ["~nobody-of-that-name/out", "a\0/../b", "\ud800/../a"])
def test_what_is_no_path_is_one_line(text: str) -> None:
    with pytest.raises(RequestError, match="is no path: write the whole one"):
        typed(text)


def by_option(text: str) -> str:
    return find("mlm", [parse_override(f"corpus={text}")]).corpus


def by_notebook(text: str) -> str:
    return from_namespace({"experiment": "mlm", "corpus": text}).corpus


def by_file(text: str) -> str:
    Path("own.yaml").write_text(f"corpus: {text}\n")
    return find("own.yaml").corpus


def by_sweep(text: str) -> str:
    Path("s.yaml").write_text(
        f"base: mlm\nseeds: [1]\nfixed: {{corpus: {text}}}\ngrid: [{{steps: [4]}}]\n"
    )
    ((_, own),) = points(read(file_of("s.yaml")))
    return own.corpus


def by_grid(text: str) -> str:
    Path("s.yaml").write_text(f"base: mlm\nseeds: [1]\ngrid: [{{corpus: [grammar, {text}]}}]\n")
    (_, first), (_, second) = points(read(file_of("s.yaml")))
    assert first.corpus == "grammar"
    return second.corpus


WAYS = by_option, by_notebook, by_file, by_sweep, by_grid


@pytest.mark.parametrize("way", WAYS)
def test_own_text_is_named_by_its_whole_path(way: Callable, tmp_path: Path) -> None:
    rel = tmp_path / "rel"
    for text in ("novels", "./novels/", "../rel/novels", f"{rel}/novels"):
        assert way(f"text:{text}") == f"text:{rel}/novels"
    assert way("text:link/../novels") == f"text:{tmp_path}/elsewhere/novels"
    assert way("text:~/novels") == f"text:{tmp_path}/home/novels"
    assert way(f"text:{rel}/a b") == f"text:{rel}/a b"
    assert way("documentation") == "documentation"
    for text, words in {
        "text:~nobody-of-that-name/x": "is no path",
        "'text:'": "text:PATH",
    }.items():
        with pytest.raises(RequestError, match=words):
            way(text.strip("'") if way is by_notebook else text)


@pytest.mark.parametrize("way", [by_file, by_sweep, by_grid])
def test_a_path_in_a_file_begins_at_the_file_s_folder(way: Callable, tmp_path: Path) -> None:
    """So a file means the same text wherever it is trained, also by a job in another folder."""
    assert way("text:novels") == f"text:{tmp_path}/rel/novels"
    os.chdir(tmp_path / "home")
    for name in ("../rel/own.yaml", str(tmp_path / "rel" / "own.yaml")):
        if way is by_file:
            assert find(name).corpus == f"text:{tmp_path}/rel/novels"
    for name in ("../rel/s.yaml", str(tmp_path / "rel" / "s.yaml")):
        if way is not by_file:
            assert points(read(file_of(name)))[-1][1].corpus == f"text:{tmp_path}/rel/novels"


def test_a_file_in_the_home_is_found(tmp_path: Path) -> None:
    """A notebook's variable, which no shell has read."""
    (tmp_path / "home" / "own.yaml").write_text("steps: 3\n")
    assert find("~/own.yaml").steps == 3
    assert file_of("~/own.yaml") is None
