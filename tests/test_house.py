"""The plan of the house: which room may import which, how large a module may grow, where tests lie.

A room is a folder of the library, or a module beside the folders.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from semantica_lib.files import ROOT

LIBRARY = ROOT / "semantica_lib"
# From the ground up: a room imports what is below it, never what is beside it or above.
FLOORS = (
    ("errors", "files"),
    ("__init__",),  # done before anything else is imported, so it needs no more than the ground
    ("settings",),
    ("datasets",),
    ("checkpoints",),
    ("models",),
    ("trainers",),
    ("store",),
    ("analysis",),
    ("figures",),
    ("pages",),
    ("running",),
    ("chapters",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ALONE = {"__init__", "cli", "errors", "files"}  # modules beside the folders
NOT_ROOMS = {"benchmarks", "cluster", "reference"}  # folders of tests/ that are of no room
MODULE_LINES, CLASS_LINES, CORE_LINES = 300, 200, 3_000
ALL_LINES = 23_850  # 15,000 is the aim; what is new may take it no further than this
# What reads and measures real checkpoints counts apart: ten formats, vocabularies, five measures.
REAL = "checkpoints", "chapters.models"
REAL_LINES = 4_190

CORE = """
import sys
import semantica_lib.running.run
from semantica_lib.settings.catalogue import settings
from semantica_lib.trainers.stacked import Stack

Stack(settings({"bits": 3}), [1], False)
for module in list(sys.modules.values()):
    if module.__name__.startswith("semantica_lib.") and module.__file__:
        print(module.__file__)
"""


def name_of(path: Path) -> str:
    """A module's name below the library: ``running.run``; a folder's own is the folder's."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {name_of(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def room(module: str) -> str:
    return module.partition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """Every module of the library that a file imports, wherever the import stands in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inside = name.removeprefix("semantica_lib.")
            if inside == name:
                continue
            while inside and inside not in FILES:  # a name in a module
                inside = inside.rpartition(".")[0]
            assert inside, f"{path}:{node.lineno}: {name} is no module"
            yield inside


ARROWS = {module: set(imported(path)) - {module} for module, path in FILES.items()}


def test_every_file_lies_in_a_room():
    assert {room(module) for module in FILES} <= set(FLOOR)
    assert {path.stem for path in LIBRARY.glob("*.py")} == ALONE


def test_imports_point_down():
    wrong = [
        f"{module} imports {other}"
        for module, others in ARROWS.items()
        for other in others
        if room(other) != room(module) and FLOOR[room(other)] >= FLOOR[room(module)]
    ]
    assert not wrong, ", ".join(wrong)


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(ARROWS).prepare()
    except CycleError as error:
        pytest.fail(" imported by ".join(error.args[1]))


def test_no_chapter_imports_another():
    """What two chapters share lies below, in analysis or figures."""

    def chapter(module: str) -> str:
        return ".".join(module.split(".")[:2])

    wrong = [
        f"{module} imports {other}"
        for module, others in ARROWS.items()
        for other in others
        if room(module) == room(other) == "chapters"
        and "." in module
        and chapter(module) != chapter(other)
    ]
    assert not wrong, ", ".join(wrong)


def test_no_module_is_too_large():
    wrong = [
        f"{name} has {lines(path)} lines"
        for name, path in FILES.items()
        if lines(path) > MODULE_LINES
    ]
    assert not wrong, ", ".join(wrong)


def test_no_class_is_too_large():
    wrong = [
        f"{module}.{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno >= CLASS_LINES
    ]
    assert not wrong, ", ".join(wrong)


def test_the_library_is_small():
    counts = {name: lines(path) for name, path in FILES.items()}
    real = sum(count for name, count in counts.items() if name.startswith(REAL))
    assert real < REAL_LINES
    assert sum(counts.values()) - real < ALL_LINES


def test_what_trains_is_read_in_an_hour():
    """All that training an XOR experiment imports of the rooms in which a step is made."""
    said = subprocess.check_output([sys.executable, "-c", CORE], text=True, cwd=ROOT)
    read = {name_of(Path(file)): lines(Path(file)) for file in said.splitlines()}
    core = {
        name: count
        for name, count in read.items()
        if room(name) in ("settings", "datasets", "models", "trainers")
    }
    assert "trainers.stacked" in core
    whole = sum(core.values())
    assert whole < CORE_LINES, core


def test_tests_lie_as_what_they_test():
    """A folder of tests a room, and beside them those of the whole."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*.*"))}
    assert (
        folders - {"__pycache__"}
        == {name for name in FLOOR if (LIBRARY / name).is_dir()} | NOT_ROOMS
    )
