"""Corpora by name, and what of them is kept: whole, checked when read, made once."""

import errno
import hashlib
import itertools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from semantica_lib.datasets import corpora, documentation, grammar, hub
from semantica_lib.datasets.corpora import COMMON, Corpus, Rebuilt, corpus
from semantica_lib.errors import RequestError

LINES = ["it is the first one.", "it is the second one.", "one of \u00e9 more."]


@pytest.fixture
def harvests(monkeypatch) -> SimpleNamespace:
    """A harvest of three lines, that counts how often it was made; and versions to change."""
    seen = SimpleNamespace(count=0, versions={"python": "3.0", "numpy": "1.0", "tqdm": "2.0"})

    def harvest(roots) -> documentation.Harvest:
        seen.count += 1
        return documentation.Harvest(LINES, files=7, skipped=2)

    monkeypatch.setattr(documentation, "harvest", harvest)
    monkeypatch.setattr(documentation, "versions", lambda: dict(seen.versions))
    return seen


def sha256(lines: list[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_common_words():
    assert len(set(COMMON)) == 100 == len(COMMON)
    assert COMMON[:5] == ("the", "be", "to", "of", "and") and "i" in COMMON
    assert all(word.isalpha() and word.islower() for word in COMMON)


def test_grammar_by_its_name(tmp_path):
    made = corpus("grammar", 3, tmp_path / "none")
    assert list(made.sentences()) == grammar.sentences(3) == list(made.sentences())
    assert list(made.sentences(start=39_990)) == grammar.sentences(3)[39_990:]
    assert made.about["data_seed"] == 3 and made.tokenizer is None
    assert list(tmp_path.iterdir()) == []
    json.dumps(made.about)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gramar", r"did you mean 'grammar'\?"),
        ("wikipedia", "allowed: bookcorpus, documentation, grammar, text:PATH"),
        ("text:", r"did you mean 'text:PATH'\?"),
    ],
)
def test_unknown_names(tmp_path, name, hint):
    with pytest.raises(RequestError, match=f"no corpus '{name}' .*{hint}"):
        corpus(name, 0, tmp_path)


def test_documentation_is_harvested_once(tmp_path, harvests):
    made = corpus("documentation", 0, tmp_path)
    again = corpus("documentation", 1, tmp_path)
    assert harvests.count == 1
    assert list(made.sentences()) == LINES == list(again.sentences())
    assert list(again.sentences(start=1)) == LINES[1:]
    assert made.about == again.about and made.candidates == COMMON
    assert made.about["sha256"] == sha256(LINES)
    assert made.about["versions"] == harvests.versions
    told = {name: made.about[name] for name in ("sentences", "words", "files", "skipped")}
    assert told == {"sentences": 3, "words": 14, "files": 7, "skipped": 2}
    kept = {path.name for path in (tmp_path / "documentation").iterdir()}
    assert kept == {"sentences.txt", "about.json", ".lock"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"first", b"1irst"))


def older(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("sentences.txt", cut, "sentences.txt does not match its sha256"),
        ("sentences.txt", alter, "sentences.txt does not match its sha256"),
        ("sentences.txt", Path.unlink, "sentences.txt does not match its sha256"),
        ("about.json", cut, "line|column|delimiter"),
        ("about.json", older, "an earlier version of this code"),
        ("about.json", lambda path: path.write_text("[]"), "holds no object"),
        ("about.json", lambda path: path.write_text("{}"), "versions"),
        ("about.json", lambda path: path.write_text('{"versions": 1}'), "int"),
    ],
)
def test_damaged_documentation_is_harvested_anew(tmp_path, harvests, name, damage, reason):
    before = corpus("documentation", 0, tmp_path).about
    damage(tmp_path / "documentation" / name)
    with pytest.warns(Rebuilt, match=rf"documentation corpus in .* is made anew: .*({reason})"):
        made = corpus("documentation", 0, tmp_path)
    assert list(made.sentences()) == LINES and made.about == before
    assert corpus("documentation", 0, tmp_path).about == before
    assert harvests.count == 2


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"numpy": "1.1"}, r"made with numpy 1\.0, here is 1\.1"),
        ({"python": "3.1"}, r"made with python 3\.0, here is 3\.1"),
        ({"scipy": "9"}, "made with scipy none, here is 9"),
        ({"tqdm": None}, "made with other packages"),
    ],
)
def test_other_packages_make_it_anew(tmp_path, harvests, versions, reason):
    corpus("documentation", 0, tmp_path)
    changed = harvests.versions | versions
    harvests.versions = {name: version for name, version in changed.items() if version}
    with pytest.warns(Rebuilt, match=reason) as told:
        made = corpus("documentation", 0, tmp_path)
    assert len(told) == 1 and "\n" not in str(told[0].message)
    assert made.about["versions"] == harvests.versions and harvests.count == 2


def test_nothing_is_left_half_written(tmp_path, harvests, monkeypatch):
    replace = os.replace

    def stopped(source: Path, target: Path) -> None:
        if Path(target).name == "about.json":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        corpus("documentation", 0, tmp_path)
    (tmp_path / "documentation" / "about.json.1.part").write_text("of a process that was killed")
    monkeypatch.setattr(os, "replace", replace)
    assert list(corpus("documentation", 0, tmp_path).sentences()) == LINES
    assert harvests.count == 2 and not list(tmp_path.rglob("*.part"))


def test_no_room(tmp_path, harvests, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    expected = r"cannot write .*sentences\.txt: No space left on device; about 1 MB are needed"
    with pytest.raises(RequestError, match=expected):
        corpus("documentation", 0, tmp_path)
    with pytest.raises(RequestError, match="about 23 MB are needed there"):
        corpora.keep(tmp_path / "x", b"x", 23_400_000)
    assert [path.name for path in (tmp_path / "documentation").iterdir()] == [".lock"]


def test_cache_that_cannot_be_a_folder(tmp_path, harvests):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RequestError, match=r"cannot write to the cache .*: Not a directory; .*SEMANTICA_RES"
    ):
        corpus("documentation", 0, tmp_path / "file")
    assert harvests.count == 0


def test_cached_needs_no_right_to_write_once_it_is_there(tmp_path, harvests, monkeypatch):
    corpus("documentation", 0, tmp_path)
    monkeypatch.setattr(corpora, "_alone", None)  # would be called to write
    assert list(corpus("documentation", 0, tmp_path).sentences()) == LINES


def test_one_makes_it_and_the_others_wait(tmp_path, harvests, monkeypatch, capsys):
    harvest, begun, waiting, go = (
        documentation.harvest, threading.Event(), threading.Event(), threading.Event(),
    )  # fmt: skip

    def slow(roots) -> documentation.Harvest:
        begun.set()
        assert go.wait(30)
        return harvest(roots)

    monkeypatch.setattr(documentation, "harvest", slow)
    monkeypatch.setattr(corpora.tqdm, "write", lambda text, file: waiting.set())
    found: list[Corpus] = []

    def work() -> None:
        found.append(corpus("documentation", 0, tmp_path))

    first, second = threading.Thread(target=work), threading.Thread(target=work)
    first.start()
    assert begun.wait(30)
    second.start()
    assert waiting.wait(30) and not found
    go.set()
    first.join()
    second.join()
    assert harvests.count == 1 and [list(one.sentences()) for one in found] == [LINES, LINES]


def own(folder: Path, files: dict[str, bytes]) -> Callable[..., Corpus]:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return lambda path=folder, **more: corpus(f"text:{path}", 0, folder / "none", **more)


def test_own_text(tmp_path):
    text = {
        "b.txt": "Two. Three \u00c9.".encode(),
        "a/x.md": b"One\nand a half!\n\nOne",
        "c.py": b"X",
    }
    make = own(tmp_path, text)
    with pytest.warns(UserWarning, match=r"left out of the corpus .*\(\.py: 1\)"):
        made = make()
    expected = ["one and a half!", "one", "two.", "three \u00e9."]
    for start in range(6):
        assert list(made.sentences(start=start)) == expected[start:]
    assert made.name == f"text:{tmp_path}" and made.candidates == COMMON
    assert made.about == {
        "source": "own files", "sha256": sha256(expected), "sentences": 4, "words": 8,
        "files": 2, "a_sentence_a_line": 0, "skipped": [], "left_out": {".py": 1},
    }  # fmt: skip
    assert list(make(tmp_path / "c.py").sentences()) == ["x"]


def test_own_text_that_cannot_be_read(tmp_path, monkeypatch):
    make = own(tmp_path, {"a.txt": b"Good.", "b.txt": b"\xff\xfe", "c/d.rst": b"\xe9"})
    with pytest.raises(RequestError, match=r"b\.txt is not UTF-8"):
        make()
    with pytest.warns(UserWarning, match=r"left out of the corpus: 2; .*b\.txt is not UTF-8"):
        made = make(skip_unreadable=True)
    assert list(made.sentences()) == ["good."]
    assert (made.about["files"], made.about["skipped"]) == (1, ["b.txt", "c/d.rst"])
    with pytest.raises(RequestError, match=r"there is no file or folder .*nowhere"):
        make(tmp_path / "nowhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(make("~/a.txt").sentences()) == ["good."]


def test_own_text_that_disappears(tmp_path):
    made = own(tmp_path, {"a.txt": b"Good.", "b.txt": b"Better."})()
    (tmp_path / "b.txt").unlink()
    with pytest.raises(RequestError, match=r"cannot read .*b\.txt: No such file"):
        list(made.sentences())


def test_bookcorpus_remembers_who_answered(tmp_path, monkeypatch):
    asked = itertools.count()
    source = hub.Source("some/where", "part", "1a2b", 17, ("else/where (gone)",))

    def answer() -> hub.Source:
        assert next(asked) == 0
        return source

    monkeypatch.setattr(hub, "first_that_answers", answer)
    monkeypatch.setattr(hub.Source, "_texts", lambda self: iter([f"By {self.words}", "", "B"]))
    for _ in range(2):  # the second time without a hub
        made = corpus("bookcorpus", 0, tmp_path)
        assert list(made.sentences()) == ["by some/where part at 1a2b", "b"]
        assert list(made.sentences(start=1)) == ["b"]
        assert made.tokenizer == "google-bert/bert-base-uncased" and made.candidates == COMMON
        assert made.about == source.about and "sha256" not in made.about
        json.dumps(made.about)
    asked = itertools.count()
    (tmp_path / "bookcorpus" / "source.json").write_text('{"nam": 1}')
    with pytest.warns(Rebuilt, match="choice of the bookcorpus source .* is made anew: .*nam"):
        assert corpus("bookcorpus", 0, tmp_path).about == source.about
