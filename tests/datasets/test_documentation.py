"""Harvest of a small tree made here, of files of the standard library, and the user's own files."""

import ast
import inspect
import json
import sysconfig
import warnings
from pathlib import Path

import pytest
from stored_files import tree

from semantica_lib.datasets import documentation

MODULE = r'''
"""Summary of the module in one line.

This goes on over two
lines, e.g. here. It has a second sentence! ``Marks`` and :class:`Roles` are taken away.

Args:
    name: The name that is asked for by the caller.
    size (int): The number of bytes, 2.5 at least,
        which wrap around.

    >>> call(what="is no prose at all.")
    Has a_name_with_underscores in it somewhere.
- First item of a list in here.
- Second item of a list in here.
- an item without an end
- An item that is a whole sentence.
"""
raise SystemExit("Nothing of this file is ever executed by it.")
# A comment of two lines that is not broken,
# as the block goes on here.
x = 1  # Quotes such as "these are not strings in comments.
error = (
    "The first half of a message "
    "and the second half of it."
)
raw = r"A raw string keeps its backslashes, \n as well as others."
plain = "A string whose last words follow\na line that is broken."
data = b"These are bytes and no text at all."
told = f"The value {x} is not what was expected here."
hashed = "A # in a string is no comment at all."
hashed = "This sentence has a - sign and 'quotes' in it."
code = "Foo(bar).baz = Qux[1] + Quux."
short = "Only three words."
repeated = "Summary of the module in one line."
'''
FOUND = [
    "summary of the module in one line.",
    "this goes on over two lines, e.g. here.",
    "it has a second sentence!",
    "marks and roles are taken away.",
    "the name that is asked for by the caller.",
    "the number of bytes, 2.5 at least, which wrap around.",
    "first item of a list in here.",
    "second item of a list in here.",
    "an item that is a whole sentence.",
    "nothing of this file is ever executed by it.",
    "a comment of two lines that is not broken, as the block goes on here.",
    'quotes such as "these are not strings in comments.',
    "the first half of a message and the second half of it.",
    "a string whose last words follow a line that is broken.",
    "this sentence has a - sign and 'quotes' in it.",
]


def test_prose_of_a_module(tmp_path):
    found = documentation.harvest([tree(tmp_path, {"module.py": MODULE})])
    assert found == documentation.Harvest(FOUND, files=1, skipped=0)


def test_every_file_in_its_order(tmp_path, capsys):
    line = "This is the sentence of number {}.".format
    inner = "site-packages/x.py", "__pycache__/y.txt", "semantica_lib/z.py"
    root = tree(
        tmp_path / "one",
        {
            "b/readme.txt": f"Title\n=====\n\n{line('four')} {line('five')}",
            "b.py": f'"""{line("six")}"""',
            "a/z.md": f"* {line('two')}\n* {line('three')}",
            "a/a.rst": line("one"),
            "a/table.csv": line("seven"),
            "a/latin.txt": "Das hei\xdft, dieser Satz ist keiner.".encode("latin-1"),
            "__editable___finder.py": f"# {line('eight')}",
            **{name: f"# {line('nine')}" for name in inner},
        },
    )
    other = tree(tmp_path / "other", {"a.txt": f"{line('one')} {line('ten')}"})
    found = documentation.harvest([root, other, root])
    names = "one", "two", "three", "four", "five", "six", "ten"
    assert found.lines == [line(name).lower() for name in names]
    assert (found.files, found.skipped) == (5, 1)
    assert "documentation: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "Too short it is.",  # four words are enough: see below
        "the beginning is no capital letter.",
        "There is no end to this sentence",
        "It is 1 2 3 4 5 6 7 8 9 10 11 12.",
        "A path such as /usr/lib\\x is none.",
        "Call foo.bar to have it done.",
        f"{'Very ' * 60}long.",
    ],
)
def test_what_is_no_prose(tmp_path, line):
    found = documentation.harvest([tree(tmp_path, {"a.txt": line})]).lines
    assert found == (["too short it is."] if line.startswith("Too") else [])


def docstrings(source: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = ast.walk(ast.parse(source))
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    bodies = (node.body[0] for node in nodes if isinstance(node, kinds) and node.body)
    return [
        first.value.value
        for first in bodies
        if isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ]


def test_docstrings_are_those_that_the_parser_finds():
    """Of modules of the standard library: the pattern finds what ``ast`` finds."""
    names = "argparse ast codecs dataclasses datetime decimal difflib doctest enum inspect logging"
    folder, found, expected = Path(sysconfig.get_paths()["stdlib"]), set(), set()
    for name in (*names.split(), "statistics", "textwrap", "typing", "unittest/mock"):
        path = folder / name
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        for piece in documentation._pieces(source):
            found.update(documentation._prose(piece))
        for text in docstrings(source):
            expected.update(documentation._prose(text))
    assert len(expected) > 500
    assert len(expected - found) <= len(expected) / 1000


def test_sentences():
    text = """First one. Second
one?  "Third!" he said, i.e. she did. Mr. Smith ended
this. And this
had 3.5 lines.
lower case after a line's end

An empty line ends . it , as a . between blanks does
"""
    assert list(documentation.sentences(text)) == [
        "First one.",
        "Second one?",
        '"Third!" he said, i.e. she did.',
        "Mr. Smith ended this.",
        "And this had 3.5 lines.",
        "lower case after a line's end",
        "An empty line ends .",
        "it , as a .",
        "between blanks does",
    ]


def test_versions_and_roots():
    versions = documentation.versions()
    assert {"python", "numpy", "torch"} <= set(versions) and "semantica" not in versions
    assert json.loads(json.dumps(versions)) == versions
    roots = documentation.roots()
    assert Path(inspect.getfile(json)).is_relative_to(roots[0])
    assert any(Path(pytest.__file__).is_relative_to(root) for root in roots[1:])
