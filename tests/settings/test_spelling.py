"""Numbers, truth, nothing and lists mean what they look like, by every way to write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import papermill.cli
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.settings import sweeps
from semantica_lib.settings.catalogue import (
    catalogue,
    find,
    parse_override,
    settings,
)
from semantica_lib.settings.namespace import from_namespace
from semantica_lib.settings.spelling import advice
from semantica_lib.settings.yaml_text import number, parse

REFUSED = {
    "steps": {
        "042": "write 42)",
        "010": "write 10)",
        "-042": "write -42)",
        "00": "write 0)",
        "1_000_": "1_000 or 1e3",
        "1__000": "1_000 or 1e3",
        "1:30": "write a whole number, as 1000, 1_000 or 1e3)",
        "1:30:00": "write a whole number",
        "0o17": "write 15)",
        "0x1f": "write 31)",
        "0X1F": "write 31)",
        "0b11": "write 3)",
        "1,000": "write 1000)",
        "1'000": "write 1000)",
        "1 000": "write 1000)",
        "150,000": "write 150000)",
        "1,0": "write a whole number",
        "1.000": "write 1)",
        "1000.0": "write 1000)",
        "1.5": "write a whole number",
        "1e-3": "write a whole number",
        "5k": "write a whole number",
        "10^3": "write a whole number",
        "yes": "write a whole number",
        "on": "write a whole number",
        "true": "write a whole number",
        "null": "write a whole number",
        "None": "write a whole number",
        ".inf": "write a whole number",
        "１０": "write a whole number",
        "2024-01-01": "write a whole number",
    },
    "learning_rate": {
        "042": "write 42)",
        "00.5": "write 0.5)",
        "0,5": "write 0.5)",
        "0,001": "write 0.001)",
        "1,000.5": "write 1000.5)",
        "1:30.5": "write a number",
        "0x1f": "write 31)",
        "yes": "write a number",
        "inf": "write a number",
        ".nan": "finite",
    },
    "keep_best": {
        "yes": "write true;",
        "Yes": "write true;",
        "y": "write true;",
        "on": "write true;",
        "no": "write false;",
        "NO": "write false;",
        "n": "write false;",
        "off": "write false;",
        "0": "write false;",
        "1": "write true;",
        "'false'": "papermill -p False, or use its -y or -f)",
        "None": "write true or false)",
    },
    "seeds": {
        "042": "write 42)",
        "[1, 042]": "seeds[1]",
        "[0x1f]": "write 31)",
        "[1:30]": "a whole number",
        "[1,000]": "write 0)",
        "1,000": "write 1000, or a list as [1, 2])",
        "42,43": "write [42, 43])",
        "'[42]'": "-y or -f",
        "yes": "a whole number",
        "None": "a whole number",
    },
    "ties": {"tied,untied": "write [tied, untied])", "no": "mapped", "'[tied]'": "-y or -f"},
    "batch_size": {"042": "write 42)", "no": "a whole number"},
    "device": {"0": "with the quotes", "no": "auto, cpu, cuda or cuda:N"},
    "question": {"42": '"42" with the quotes', "null": "write text"},
}
TAKEN: dict[str, dict[str, Any]] = {
    "steps": {
        "42": 42,
        "+7": 7,
        "1_000": 1000,
        "150_000": 150_000,
        "1e3": 1000,
        "1E3": 1000,
        "1e+3": 1000,
        "1.5e3": 1500,
        "'1e3'": 1000,
    },
    "learning_rate": {"1e-3": 1e-3, ".5": 0.5, "5.": 5.0, "1": 1.0, "1e0": 1.0, "1_0.5": 10.5},
    "keep_best": {"true": True, "True": True, "TRUE": True, "false": False, "False": False},
    "batch_size": dict.fromkeys(["null", "Null", "NULL", "~", "None", "none"]),
    "seeds": {"42": (42,), "1e3": (1000,), "[1_0, 2e1]": (10, 20)},
    "ties": {"tied": ("tied",), "[untied]": ("untied",)},
    "zero_dst": {"1": (1.0,), "[.5, 5e-1]": (0.5, 0.5)},
    "schedule": {"none": "none"},
    "question": {"yes": "yes", "042": "042", "1:30": "1:30", "2024-01-01": "2024-01-01"},
    "experiment": {"042": "042", "none": "none", "1.2.3": "1.2.3"},
}


def by_set(name: str, text: str, folder: Path) -> Any:
    return getattr(find("transformer-small", [parse_override(f"{name}={text}")]), name)


def by_file(name: str, text: str, folder: Path) -> Any:
    (path := folder / "own.yaml").write_text(f"{name}: {text}\n", encoding="utf-8")
    return getattr(find(str(path)), name)


def by_sweep(name: str, text: str, folder: Path, grid: bool = False) -> Any:
    """What all points of a sweep share, or one of its grid's values."""
    lines = f"fixed: {{bits: 7}}\ngrid: [{{{name}: [{text}]}}]\n"
    if not grid:
        lines = f"fixed:\n  {name}: {text}\ngrid: [{{weight_decay: [0]}}]\n"
    path = folder / "sweep.yaml"
    path.write_text(f"base: transformer-small\nseeds: 7\n{lines}", encoding="utf-8")
    ((_, own),) = sweeps.points(sweeps.read(path))
    return getattr(own, name)


def by_grid(name: str, text: str, folder: Path) -> Any:
    return by_sweep(name, text, folder, grid=True)


def cases(table: dict[str, dict[str, Any]]) -> list[tuple]:
    """Each way to write each; of a sweep not seeds, of which it has its own, nor a grid's comma."""
    return [
        (way, name, text, end)
        for name, texts in table.items()
        for text, end in texts.items()
        for way in (by_set, by_file, by_sweep, by_grid)
        if not (way in (by_sweep, by_grid) and name == "seeds")
        and not (way is by_grid and "," in text)
    ]


@pytest.mark.parametrize(("way", "name", "text", "words"), cases(REFUSED))
def test_what_is_no_number_at_sight_is_refused_with_what_to_write(
    way: Callable, name: str, text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError) as caught:
        way(name, text, tmp_path)
    message = str(caught.value)
    assert name in message and words in message and len(message.splitlines()) == 1


@pytest.mark.parametrize(("way", "name", "text", "value"), cases(TAKEN))
def test_the_same_text_means_the_same_everywhere(
    way: Callable, name: str, text: str, value: Any, tmp_path: Path
) -> None:
    found = way(name, text, tmp_path)
    assert found == value and type(found) is type(value)


def test_a_sweep_s_values_are_told_as_they_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(
        "base: transformer-small\nseeds: 7\n"
        "grid: [{ties: [tied], weight_decay: [0, 1e0], batch_size: [None]}]\n"
    )
    sweep = sweeps.read(path)
    assert sweep.seeds == (7,)
    varied = [dict(values) for values, _ in sweeps.points(sweep)]
    same = {"ties": ["tied"], "batch_size": None}
    assert varied == [same | {"weight_decay": 0.0}, same | {"weight_decay": 1.0}]
    assert all(isinstance(one["weight_decay"], float) for one in varied)


# --- what the project holds ------------------------------------------------------------------


@pytest.mark.parametrize("path", [*catalogue().values(), *sweeps.sweeps().values()], ids=str)
def test_the_project_s_files_read_as_any_reader_of_yaml_reads_them(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    plain, own = yaml.safe_load(text), parse(text, "")
    if path.stem in catalogue():
        assert find(path.stem) == settings(own) == settings(plain)
    else:
        assert own == plain and repr(own) == repr(plain)
        for block in plain["grid"]:
            for values, one in sweeps.points(sweeps.read(path)):
                if values.keys() == block.keys():
                    plainly = {name: values[name] for name in block}
                    same = find(plain["base"], (plain["fixed"] | plainly).items())
                    assert one.settings_hash == same.settings_hash


# --- the reader ------------------------------------------------------------------------------


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none())
def test_what_yaml_and_python_write_is_read_again(value: Any) -> None:
    assert parse(yaml.safe_dump([value]), "") == [value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308:
        assert number(str(value)) == value


@given(st.text("0123456789_.:+-eExo,", max_size=8))
def test_a_text_without_quotes_is_pythons_number_or_text(text: str) -> None:
    """Never another number than Python's, nor one where Python sees none."""
    try:
        found = parse(f"x: {text}", "")["x"]
    except (RequestError, TypeError, KeyError):
        return
    if isinstance(found, int | float):
        assert found == float(text)
        assert isinstance(found, float) or float(text).is_integer()


@given(st.text(max_size=40) | st.floats() | st.integers() | st.none() | st.lists(st.none()))
def test_advice_never_fails(value: Any) -> None:
    for kind in ("int_type", "float_type", "bool_type", "tuple_type", "list_type", "string_type"):
        assert advice(kind, value).startswith(" (write ")
    assert advice("missing", value) == ""


def test_advice_of_a_number_is_taken() -> None:
    found = [words.removeprefix("write ").rstrip(")") for *_, words in cases(REFUSED)]
    numbers = [text for text in found if text.replace(".", "").isdigit()]
    assert len(numbers) > 20 and all(number(text) == parse(text, "") for text in numbers)


# --- papermill's own reading -----------------------------------------------------------------


def by_papermill(name: str, text: str, folder: Path, option: str) -> Any:
    """The setting as the notebook takes it, of what papermill's command hands to it."""
    (path := folder / "own.yaml").write_text(f"{name}: {text}\n", encoding="utf-8")
    given = [name, text] if option == "-p" else [str(path)]
    handed: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papermill.cli, "execute_notebook", lambda **how: handed.update(how))
        done = CliRunner().invoke(papermill.cli.papermill, ["a.ipynb", "b.ipynb", option, *given])
    assert done.exit_code == 0, done.output
    return getattr(from_namespace(handed["parameters"]), name)


def told(way: Callable, *arguments: Any) -> str:
    """What becomes of a value, as the table writes it."""
    try:
        found = way(*arguments)
    except RequestError:
        return "refused"
    found = list(found) if isinstance(found, tuple) else found
    return f"`{json.dumps(found)}`".replace('"', "")


def test_the_book_s_table_of_spellings_is_what_happens(tmp_path: Path) -> None:
    text = (ROOT / "book" / "run.md").read_text(encoding="utf-8")
    table = text[text.index("| setting | written |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert len(rows) > 10
    for setting, spellings, *expected in rows:
        name = setting.strip("`")
        for spelling in spellings.split("`, `"):
            written = name, spelling.strip("`")
            found = [
                told(by_set, *written, tmp_path),
                told(by_papermill, *written, tmp_path, "-p"),
                told(by_papermill, *written, tmp_path, "-f"),
            ]
            assert found == expected, written
            assert found[0] == told(by_file, *written, tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("keep_best", "false", "papermill -p False, or use its -y or -f"),
        ("keep_best", "true", "papermill -p True, or use its -y or -f"),
        ("seeds", "[42]", "by papermill with its -y or -f, not -p"),
        ("ties", "[tied]", "by papermill with its -y or -f, not -p"),
        ("steps", "1e3", "write 1000"),
    ],
)
def test_papermill_s_p_is_refused_with_what_to_write(
    name: str, text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=words):
        by_papermill(name, text, tmp_path, "-p")
