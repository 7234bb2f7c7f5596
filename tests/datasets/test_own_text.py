"""The user's own files: which are read, what is told of the others, where sentences end."""

import textwrap

import pytest
from stored_files import tree

from semantica_lib.datasets import documentation, own_text
from semantica_lib.datasets.corpora import corpus
from semantica_lib.datasets.own_text import OwnFiles
from semantica_lib.errors import RequestError


def test_own_files(tmp_path):
    root = tree(tmp_path, {"b.txt": "B", "a/c.md": "C", "a.RST": "A", "x.py": "X", "d.txt/e": "E"})
    with pytest.warns(UserWarning, match=r"for their names \(.py: 1, no ending: 1\); text is"):
        found = own_text.own_files(root, False)
    assert found.files == sorted(root / name for name in ("b.txt", "a/c.md", "a.RST"))
    assert found.unreadable == [] and found.by_name == {".py": 1, "no ending": 1}
    assert own_text.own_files(root / "x.py", False) == OwnFiles([root / "x.py"], [], {})


def test_own_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RequestError, match=r"no file or folder .*nowhere: write text:PATH"):
        own_text.own_files(tmp_path / "nowhere", False)
    root = tree(tmp_path, {"x.py": "X"})
    with (
        pytest.warns(UserWarning, match="for their names"),
        pytest.raises(RequestError, match=r"has no text file \(\.md, \.rst, \.txt\)"),
    ):
        own_text.own_files(root, False)
    (root / "x.py").unlink()
    tree(root, {"a/bad.txt": b"\xff", "bad.md": b"good\xe9 bad", "good.txt": "\ufeffGood."})
    with pytest.raises(RequestError, match=r"a/bad\.txt is not UTF-8 \(at byte 0\): save it so"):
        own_text.own_files(root, False)
    with pytest.warns(UserWarning, match=r"left out of the corpus: 2; .*bad\.txt is not UTF-8"):
        found = own_text.own_files(root, True)
    assert found.files == [root / "good.txt"] and found.unreadable == ["a/bad.txt", "bad.md"]
    assert documentation.read(found.files[0]) == "Good."
    with (
        pytest.warns(UserWarning, match="corpus: 1"),
        pytest.raises(RequestError, match=r"bad\.md has no text file"),
    ):
        own_text.own_files(root / "bad.md", True)
    with pytest.raises(RequestError, match=r"cannot read .*: Is a directory"):
        documentation.read(root / "a")


def test_hidden_files_and_those_of_systems_are_left_out(tmp_path):
    """Copies that editors and systems keep would double the text, or are no text at all."""
    root = tree(tmp_path, {"book.txt": "A book.", ".ipynb_checkpoints/book-checkpoint.txt": "A."})
    tree(root, {"._book.txt": b"\x00\xff", "__MACOSX/book.txt": b"\xff", ".git/x.md": "X."})
    found = own_text.own_files(root, False)
    assert found == OwnFiles([root / "book.txt"], [], {"hidden": 4})
    hidden = tree(tmp_path / ".mine", {"a.txt": "A."})  # asked for by its name
    assert own_text.own_files(hidden, False).files == [hidden / "a.txt"]


SPOKEN = [f"{'a word ' * (number % 9 + 1)}number {number}" for number in range(60)]


@pytest.mark.parametrize("end", ["", " .", "."])
def test_a_sentence_a_line(end):
    """As BookCorpus, LM1B and subtitles have them; with full stops either way is the same."""
    lines = [" ".join(f"{line}{end}".split()) for line in SPOKEN]
    assert own_text.a_line_each("\n".join(lines)) == (end == "")
    assert list(own_text.own_sentences("\n".join(lines))) == lines


@pytest.mark.parametrize("width", [40, 72, 100])
def test_wrapped_prose_is_not_cut_at_its_lines(width):
    prose = " ".join(f"{line.capitalize()}." for line in SPOKEN)
    wrapped = textwrap.fill(prose, width)
    assert not own_text.a_line_each(wrapped)
    assert list(own_text.own_sentences(wrapped)) == list(documentation.sentences(prose))
    with_address = wrapped + "\n\n" + "x" * 300 + "\n"  # one long line is not the width
    assert not own_text.a_line_each(with_address)


def test_lines_of_one_length_are_no_wrapped_prose():
    """Which ends a sentence now and then; a few marks are no ends."""
    lines = [f"the cat sat on mat {number}" for number in range(1_000, 1_400)]
    assert list(own_text.own_sentences("\n".join(lines))) == lines
    few = [line if number % 90 else f"what? {line}" for number, line in enumerate(lines)]
    assert own_text.a_line_each("\n".join(few))
    long = textwrap.fill(". ".join(" ".join(["word"] * 150) for _ in range(20)) + ".", 60)
    assert not own_text.a_line_each(long)


def test_a_few_lines_are_prose():
    assert list(own_text.own_sentences("One\nand a half!")) == ["One and a half!"]


def test_byte_order_marks_are_nowhere(tmp_path):
    """Of files that were joined, each with its own."""
    text = "\ufeffIt is one.\n\ufeffit is two\ufeffIt is three.\ufeffand wo\ufeffrds"
    root = tree(tmp_path, {"a.txt": text})
    made = corpus(f"text:{root}", 0, tmp_path / "none")
    assert list(made.sentences()) == ["it is one.", "it is two", "it is three.", "and words"]


def test_all_is_told_of_the_corpus(tmp_path):
    root = tree(
        tmp_path, {"a.txt": "\n".join(SPOKEN), "b.md": "B.", ".c.txt": "C.", "d.text": "D."}
    )
    with pytest.warns(UserWarning, match=r"\(\.text: 1\)"):
        about = corpus(f"text:{root}", 0, tmp_path / "none").about
    assert about["files"] == 2 and about["a_sentence_a_line"] == 1
    assert about["left_out"] == {".text": 1, "hidden": 1} and about["sentences"] == 61
