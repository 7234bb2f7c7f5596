"""Where settings come from: a notebook's variables, files, options, the catalogue."""

import math
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from semantica_lib import cli
from semantica_lib.errors import RequestError
from semantica_lib.settings import catalogue as catalogue_
from semantica_lib.settings.catalogue import (
    catalogue,
    find,
    parse_override,
    read_file,
    run_command,
    settings,
)
from semantica_lib.settings.namespace import from_namespace, only
from semantica_lib.settings.schema import NOT_IDENTITY
from semantica_lib.settings.writing import file_text
from semantica_lib.settings.xor import Settings

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# --- a notebook's variables ------------------------------------------------------------------


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    main = sys.modules["__main__"]  # which the shell puts its own module in place of
    yield InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    sys.modules["__main__"] = main


def test_a_notebooks_variables_are_settings(shell: InteractiveShell) -> None:
    shell.reset()
    shell.run_cell("import math\ndef helper(): pass\n_private = 3\nsteps = 7\nzero_dst = [1, 0]")
    assert from_namespace(shell.user_ns) == settings({"steps": 7, "zero_dst": [1, 0]})


def test_a_notebooks_misspelt_variable_is_refused(shell: InteractiveShell) -> None:
    shell.reset()
    shell.run_cell("stpes = 7")
    with pytest.raises(RequestError, match=r"unknown setting 'stpes' \(did you mean 'steps'\?\)"):
        from_namespace(shell.user_ns)


def test_a_notebook_of_other_parameters_refuses_what_is_none_of_them(
    shell: InteractiveShell,
) -> None:
    shell.reset()
    shell.run_cell("import math\ndef helper(): pass\n_private = 3\nname = 'a'\nseeds = [1]")
    only(shell.user_ns, ["name", "seeds"])
    with pytest.raises(RequestError, match=r"unknown parameter 'name' \(did you mean 'names'\?\)"):
        only(shell.user_ns, ["names", "seeds"])


def test_what_a_start_up_file_defines_is_no_setting(shell: InteractiveShell) -> None:
    """Neither a name of its own nor one of a setting, unless a cell sets the same."""
    shell.reset()
    before = {"project_dir": "/x", "corpus": "grammar", "heads": 2, "bits": 4, "steps": 9}
    shell.user_ns |= before
    shell.user_ns_hidden |= before  # as IPython does when its start-up files have run
    shell.run_cell("bits = 4\nfor steps in [8]: pass\nseeds = [1]", store_history=True)
    assert from_namespace(shell.user_ns) == settings({"bits": 4, "steps": 8, "seeds": [1]})
    only(shell.user_ns, ["bits", "steps", "seeds"])
    shell.run_cell("project_dir = '/x'", store_history=True)
    with pytest.raises(RequestError, match="unknown setting 'project_dir'"):
        from_namespace(shell.user_ns)


@pytest.mark.parametrize("value", [len, math])
def test_a_notebooks_setting_is_never_passed_over(value: Any) -> None:
    with pytest.raises(RequestError, match="steps should be a valid integer"):
        from_namespace({"steps": value})


# --- files -----------------------------------------------------------------------------------


def aliases(depth: int) -> str:
    """A file of some hundred bytes whose value has ten to the power of ``depth`` leaves."""
    lines = ["question:", "  - &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, depth):
        lines.append(f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("stpes: 5", ["'stpes'", "did you mean 'steps'"]),
        ("steps: many", ["steps", "integer", "'many'"]),
        ("steps: 10\nsteps: 20", ["steps", "twice"]),
        ("", ["name: value"]),
        ("- steps", ["name: value"]),
        ("steps", ["name: value"]),
        ("steps: 5: 6", ["not valid YAML", "line 1"]),
        ("steps: 5\n\tbits: 3", ["not valid YAML", "line 2"]),
        ("steps: !!python/object/apply:os.getpid []", ["not valid YAML"]),
        ("question: !!timestamp 2024-13-45", ["not valid YAML"]),
        ("steps: 0b_", ["steps", "integer", "'0b_'"]),
        ("steps: !!int ''", ["not valid YAML"]),
        ("steps: !!bool perhaps", ["not valid YAML"]),
        ("steps: !!timestamp now", ["not valid YAML"]),
        ("steps: " + "1" * 5000, ["not valid YAML"]),
        ("steps: -0x" + "f" * 5000, ["steps"]),
        ("? [a, b]\n: 1", ["not valid YAML"]),
        ("[" * 100_000, ["nested too deeply: at most 20 brackets"]),
        (aliases(12), ["question", "string"]),
        (b"\xff\xfe\x00s", ["UTF-8"]),
        (b"steps: \x00", ["not valid YAML"]),
        ("learning_rate: " + "1:" * 400 + "1.5", ["number", "'1:1:"]),  # none in base 60
        ("learning_rate: !!float 1:1.5", ["not valid YAML at line 1"]),
        ("steps: !!int 042", ["not valid YAML at line 1"]),
        ("keep_best: !!bool yes", ["not valid YAML at line 1"]),
        ("batch_size: !!null 5", ["not valid YAML at line 1"]),
        ("? 0x" + "f" * 5000, ["unknown setting", "'0xfff"]),
        ("? 1e308", ["unknown setting", "100000"]),
        ("? " + "x" * 10_000, ["unknown setting", "xxx"]),
        ("? [a]\n: 1", ["not valid YAML at line 1"]),
        ("steps: " + "[" * 21 + "]" * 21, ["nested too deeply: at most 20 brackets"]),
        ("#" * 200_001, ["at most 200,000 characters"]),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, str | bytes) else "",
)
def test_a_bad_file_is_named_with_what_is_wrong(
    content: str | bytes, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "custom.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RequestError) as caught:
        read_file(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 1000
    for word in [str(path), *words]:
        assert word in message


def test_a_name_with_a_line_s_end_is_told_in_one_line(tmp_path: Path) -> None:
    (path := tmp_path / "two\nlines.yaml").write_text("experiment: a\nstpes: 5")
    with pytest.raises(RequestError, match=r"two lines\.yaml: unknown setting 'stpes'"):
        read_file(path)


@pytest.mark.parametrize("name", ["my exp", "-a", ".b", "é", "a" * 101, "_c", "a:b", "two\nlines"])
def test_a_file_whose_name_is_no_experiment_s_is_told_so(name: str, tmp_path: Path) -> None:
    (path := tmp_path / f"{name}.yaml").write_text("steps: 5\n")
    with pytest.raises(RequestError) as caught:
        find(str(path))
    message = str(caught.value)
    for words in ("the file's name", "rename the file", "experiment: NAME", "letters a to z"):
        assert words in message
    assert "[A-Za-z0-9]" not in message and len(message.splitlines()) == 1
    path.write_text("steps: 5\nexperiment: mine\n")
    assert find(str(path)).experiment == "mine"


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot read .*absent\.yaml: No such file"):
        read_file(tmp_path / "absent.yaml")
    with pytest.raises(RequestError, match=r"cannot read .*: Is a directory"):
        read_file(tmp_path)


@given(content=st.text() | st.binary() | values.map(lambda value: yaml.dump({"steps": value})))
def test_any_file_makes_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content.encode(errors="replace") if isinstance(content, str) else content)
    try:
        assert isinstance(read_file(path), Settings)
    except RequestError as error:
        assert len(str(error).splitlines()) == 1


def test_a_file_gives_its_name_to_the_experiment_and_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "my-own.yaml"
    path.write_text("bits: 5\nsteps: 10\n")
    assert read_file(path) == settings({"experiment": "my-own", "bits": 5, "steps": 10})
    assert read_file(path, {"steps": 20}).steps == 20
    with pytest.raises(RequestError, match=r"^steps .*, not 0$"):  # it is not the file's error
        read_file(path, {"steps": 0})
    assert find(str(path), [("steps", 20)]) == read_file(path, {"steps": 20})


def test_every_named_experiment_can_be_read_and_the_main_one_is_the_default() -> None:
    for name in catalogue():
        assert find(name).experiment == name
    assert find("transformer-small").identity == {}
    with pytest.raises(RequestError, match=r"'transformer-smal' \(did you mean 'transformer-small"):
        find("transformer-smal")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("steps=5", ("steps", 5)),
        ("zero_dst=[.7,.2,.1]", ("zero_dst", [0.7, 0.2, 0.1])),
        ("ties=[tied]", ("ties", ["tied"])),
        ("question=what is a=b?", ("question", "what is a=b?")),
        ("device=", ("device", None)),
    ],
)
def test_an_override_is_read_as_yaml(text: str, parsed: tuple[str, Any]) -> None:
    assert parse_override(text) == parsed


@pytest.mark.parametrize("text", ["steps", "steps=[", "steps=" + "[" * 100_000, "steps=!!int 0b_"])
def test_a_bad_override_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_override(text)
    message = str(caught.value)
    assert "--set" in message and "steps" in message and len(message.splitlines()) == 1
    assert len(message) < 1000


# --- the command that trains settings ------------------------


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("transformer-small", {}),
        ("mlp-small", {"steps": 10, "seeds": [1]}),  # how far and how many is not what it is
        ("transformer-small", {"weight_decay": 0, "zero_dst": [0.3, 0.7]}),
        ("transformer-medium", {"learning_rate": 1e-3}),  # back to the default
        ("lstm-small", {"bidirectional": False, "loss": "cross-entropy"}),
    ],
)
def test_the_command_that_is_told_trains_these_settings(name: str, changed: dict) -> None:
    own = find(name, changed.items())
    program, verb, named, *options = shlex.split(run_command(own))
    assert (program, verb, named) == ("semantica", "run", name)
    assert options[::2] == ["--set"] * (len(options) // 2)
    again = find(named, map(parse_override, options[1::2]))
    assert again.settings_hash == own.settings_hash
    assert len(options) == 2 * sum(changed[key] != getattr(find(name), key) for key in changed
                                   if key not in NOT_IDENTITY)  # fmt: skip


def test_of_a_file_of_the_user_the_command_tells_the_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("weight_decay: 0\n")
    assert run_command(find(str(tmp_path / "mine.yaml"))) == "semantica run mine.yaml"


@pytest.mark.parametrize(
    "own",
    [
        *(find(name) for name in catalogue() if isinstance(find(name), Settings)),
        settings({"question": "Is “it” true: # or\n no? \U0001f600", "seeds": [2**32 - 1]}),
        settings({"weight_decay": 1e-7, "learning_rate": 0.1 + 0.2, "eps": 1e-30}),
        settings({"optimizer": "sgd", "schedule": "none", "experiment": "on"}),
        settings({"zero_dst": [1 / 3, 2 / 3], "untie_at": 10, "keep_best": True}),
    ],
    ids=lambda own: own.experiment,
)
def test_the_text_of_a_settings_file_is_read_as_the_same_settings(
    own: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(file_text(own), encoding="utf-8")
    assert read_file(file) == own
    yaml.safe_load(file_text(own))  # others read it too
    usual = Settings()
    names = {line.partition(":")[0] for line in file_text(own).splitlines()}
    differing = {key for key in type(own).model_fields if getattr(own, key) != getattr(usual, key)}
    assert names == {"experiment"} | {key for key in differing if getattr(own, key) is not None}


def test_a_library_without_its_checkout_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `pip install .` leaves it: without the notebooks and their settings."""
    monkeypatch.setattr(catalogue_, "CATALOGUE", tmp_path / "notebooks" / "experiments")
    catalogue_.catalogue.cache_clear()
    try:
        assert cli.main(["list"]) == 2
    finally:
        catalogue_.catalogue.cache_clear()
    told = capsys.readouterr()
    assert "pip install -e ." in told.err and not told.out and told.err.count("\n") == 1
