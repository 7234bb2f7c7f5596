"""Settings: what is refused and how, what makes up an identity, where settings come from."""

import hashlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from semantica_lib.errors import RequestError
from semantica_lib.experiments import (
    Settings,
    catalogue,
    find,
    from_namespace,
    parse_override,
    read_file,
    settings,
)

DEFAULT_HASH = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

# For every setting a value that differs from its default.
OTHER: dict[str, Any] = {
    "experiment": "another",
    "question": "why?",
    "steps": 7,
    "seeds": [1, 2],
    "ties": ["tied"],
    "zero_dst": [0.7, 0.2, 0.1],
    "one_dst": [0.4, 0.6],
    "bits": 5,
    "layers": 2,
    "embedding_size": 8,
    "heads": 2,
    "feedforward_size": 16,
    "activation": "relu",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "betas": [0.9, 0.99],
    "eps": 1e-8,
    "schedule_period": 10_000,
    "learning_rate_min": 0.0,
    "data_seed": 15,
    "validation": "as-published",
    "record_every": 10,
    "validate_every": 10,
    "device": "cpu",
}
NO_OTHER = {"architecture"}  # has only one value
NOT_IDENTITY = {
    "experiment", "question", "steps", "seeds", "ties", "record_every", "validate_every", "device",
}  # fmt: skip
NUMBERS = {name for name, value in OTHER.items() if isinstance(value, int | float)}
LISTS = {name for name, value in OTHER.items() if isinstance(value, list)}


def refusal(values: Any, where: str = "") -> str:
    with pytest.raises(RequestError) as caught:
        settings(values, where)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stpes": 5}, ["'stpes'", "did you mean 'steps'"]),
        ({"learningrate": 5}, ["'learningrate'", "did you mean 'learning_rate'"]),
        ({"xyz": 5}, ["'xyz'", "allowed:", "steps", "zero_dst"]),
        ({7: 5}, ["'7'", "allowed:"]),
        ({"zero_dst": []}, ["zero_dst", "at least one", "[]"]),
        ({"zero_dst": [-0.1, 1.1]}, ["zero_dst", "negative", "[-0.1, 1.1]"]),
        ({"one_dst": [0.5, 0.6]}, ["one_dst", "must sum to 1", "[0.5, 0.6]", "1.1"]),
        ({"one_dst": [0.5, 0.5 + 2e-9]}, ["one_dst", "must sum to 1"]),
        ({"one_dst": [0.5, "half"]}, ["one_dst[1]", "number", "'half'"]),
        ({"one_dst": 0.5}, ["one_dst", "0.5"]),
        ({"zero_dst": [math.nan, 1.0]}, ["zero_dst[0]", "finite", "nan"]),
        ({"zero_dst": [math.inf, -math.inf]}, ["zero_dst[0]", "finite", "inf"]),
        ({"zero_dst": [1e308, 1e308]}, ["zero_dst", "must sum to 1", "1e+308"]),
        ({"steps": 0}, ["steps", "greater than or equal to 1", "0"]),
        ({"steps": -3}, ["steps", "greater than or equal to 1", "-3"]),
        ({"steps": 1.5}, ["steps", "integer", "1.5"]),
        ({"steps": "many"}, ["steps", "integer", "'many'"]),
        ({"steps": None}, ["steps", "integer", "None"]),
        ({"bits": 1}, ["bits", "greater than or equal to 2", "1"]),
        ({"bits": 17}, ["bits", "less than or equal to 16", "17"]),
        ({"seeds": []}, ["seeds", "at least one", "[]"]),
        ({"seeds": [42, 42]}, ["seeds", "none twice", "[42, 42]"]),
        ({"seeds": [1, -1]}, ["seeds[1]", "greater than or equal to 0", "-1"]),
        ({"seeds": [2**32]}, ["seeds[0]", "less than 4294967296", "4294967296"]),
        ({"ties": []}, ["ties", "at least one", "[]"]),
        ({"ties": ["tied", "tide"]}, ["ties[1]", "'tide'", "did you mean 'tied'"]),
        ({"ties": "tied"}, ["ties", "'tied'"]),
        ({"architecture": "transfomer"}, ["architecture", "did you mean 'transformer'"]),
        ({"architecture": "perceptron"}, ["architecture", "'perceptron'", "'transformer'"]),
        ({"activation": "tanh"}, ["activation", "'tanh'", "'gelu'", "'relu'"]),
        ({"validation": "heldout"}, ["validation", "'heldout'", "did you mean 'held-out'"]),
        ({"device": "cdua"}, ["device", "'cdua'", "did you mean 'cuda'"]),
        ({"device": "tpu"}, ["device", "'tpu'", "auto", "cpu", "cuda"]),
        ({"device": "cuda:x"}, ["device", "'cuda:x'", "cuda:N"]),
        ({"heads": 3}, ["heads", "must divide embedding_size", "3", "4"]),
        ({"learning_rate": 0}, ["learning_rate", "greater than 0", "0"]),
        ({"learning_rate": "fast"}, ["learning_rate", "number", "'fast'"]),
        ({"learning_rate": "1e999"}, ["learning_rate", "finite", "inf"]),
        ({"learning_rate_min": 0.5}, ["learning_rate_min", "exceed learning_rate", "0.5"]),
        ({"weight_decay": -1}, ["weight_decay", "greater than or equal to 0", "-1"]),
        ({"betas": [0.9]}, ["betas", "[0.9]"]),
        ({"betas": [0.9, 0.99, 0.999]}, ["betas", "[0.9, 0.99, 0.999]"]),
        ({"betas": [0.9, 1.0]}, ["betas[1]", "less than 1", "1.0"]),
        ({"eps": 0}, ["eps", "greater than 0", "0"]),
        ({"schedule_period": 1}, ["schedule_period", "greater than or equal to 2", "1"]),
        ({"data_seed": -1}, ["data_seed", "greater than or equal to 0", "-1"]),
        ({"record_every": 0}, ["record_every", "greater than or equal to 1", "0"]),
        ({"experiment": "../elsewhere"}, ["experiment", "'../elsewhere'"]),
        ({"experiment": ""}, ["experiment", "''"]),
        ({"question": 5}, ["question", "string", "5"]),
        ({"question": ["a\nb"]}, ["question", "string"]),
    ],
    ids=lambda value: repr(value)[:50] if isinstance(value, dict) else "",
)
def test_a_bad_setting_is_named_with_its_value_and_what_is_allowed(
    values: dict, words: list[str]
) -> None:
    message = refusal(values)
    for word in words:
        assert word in message
    assert refusal(values, "some.yaml") == f"some.yaml: {message}"


@pytest.mark.parametrize("name", sorted(NUMBERS | LISTS))
@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(name: str, value: bool) -> None:
    bad = [value, *OTHER[name][1:]] if name in LISTS else value
    message = refusal({name: bad})
    assert message.startswith(name) and str(value) in message


@pytest.mark.parametrize(
    "dst", [[0.7, 0.2, 0.1], [1, 0], [1.0], [1 / 3] * 3, [0.1] * 10, [0.5, 0.5 + 9e-10]]
)
def test_a_distribution_needs_to_sum_to_1_within_a_billionth_only(dst: list[float]) -> None:
    assert settings({"zero_dst": dst}).zero_dst == tuple(dst)


@pytest.mark.parametrize("text", ["5e-4", "5E-4", "5.0e-4", "+5e-4", "0.5e-3", "50e-5"])
def test_a_number_that_yaml_takes_for_text_is_a_number(text: str, tmp_path: Path) -> None:
    path = tmp_path / "custom.yaml"
    path.write_text(f"learning_rate: {text}\nbetas: [9e-1, {text}]\nzero_dst: [1e0, 0e0]\n")
    own = read_file(path)
    assert (own.learning_rate, own.betas, own.zero_dst) == (5e-4, (0.9, 5e-4), (1.0, 0.0))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.binary()
    | st.sampled_from(["5e-4", "tied", "untied", "cpu", "transformer", 0.5, 1, 1.0, 42, 1e308]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)


@given(values=st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), values, max_size=3))
@example(values={"zero_dst": [1e308, 1e308]})
@example(values={"steps": -(10**5000)})
@example(values={"question": [10**5000]})
@example(values={"learning_rate": 10**400})
def test_any_values_make_settings_or_one_line(values: dict[str, Any]) -> None:
    try:
        own = settings(values)
    except RequestError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert own == settings(own.model_dump())


@given(values=st.dictionaries(st.text() | st.integers() | st.none(), values, min_size=1))
def test_any_unknown_name_is_refused_in_one_line(values: dict[Any, Any]) -> None:
    if not values.keys() <= Settings.model_fields.keys():
        assert "unknown setting" in refusal(values)


# --- identity --------------------------------------------------------------------------------


def test_the_table_of_other_values_is_complete() -> None:
    assert OTHER.keys() | NO_OTHER == Settings.model_fields.keys()


def test_the_defaults_and_their_hash_never_change() -> None:
    """A stored result is known by what differs from them: they are the paper's main experiment."""
    assert Settings().settings_hash == DEFAULT_HASH
    assert {
        "zero_dst": [0.1, 0.9], "one_dst": [0.5, 0.5], "bits": 7, "data_seed": 14,
        "validation": "held-out", "architecture": "transformer", "layers": 1, "embedding_size": 4,
        "heads": 1, "feedforward_size": 4, "activation": "gelu", "learning_rate": 5e-4,
        "learning_rate_min": 1e-5, "schedule_period": 20_000, "weight_decay": 0.1,
        "betas": [0.9, 0.999], "eps": 1e-12, "steps": 150_000, "seeds": [42, 43, 44, 45, 46],
        "ties": ["tied", "untied"],
    }.items() <= Settings().model_dump(mode="json").items()  # fmt: skip


def test_the_hash_is_that_of_the_canonical_json_of_what_differs() -> None:
    own = settings({"zero_dst": [1, 0], "bits": 5, "steps": 3, "learning_rate": "1e-3"})
    text = '{"bits":5,"learning_rate":0.001,"zero_dst":[1.0,0.0]}'
    assert own.settings_hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", sorted(OTHER))
def test_a_setting_changes_the_identity_unless_it_leaves_trials_as_they_are(name: str) -> None:
    own = settings({name: OTHER[name]})
    assert getattr(own, name) != getattr(Settings(), name)
    assert (own.settings_hash == DEFAULT_HASH) == (name in NOT_IDENTITY)
    assert set(own.identity) == {name} - NOT_IDENTITY


def test_no_two_settings_share_a_hash() -> None:
    names = OTHER.keys() - NOT_IDENTITY
    assert len({settings({name: OTHER[name]}).settings_hash for name in names}) == len(names)


@given(names=st.permutations(sorted(OTHER)), count=st.integers(0, len(OTHER)))
def test_neither_order_nor_values_equal_to_defaults_change_the_identity(
    names: list[str], count: int
) -> None:
    default = yaml.safe_load(yaml.safe_dump(Settings().model_dump(mode="json")))
    chosen = {name: OTHER[name] for name in sorted(names[:count])}
    with_defaults = {name: chosen.get(name, default[name]) for name in names}
    assert settings(with_defaults).settings_hash == settings(chosen).settings_hash
    assert settings({name: default[name] for name in names}).settings_hash == DEFAULT_HASH


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
        ("question: 2024-13-45", ["not valid YAML"]),
        ("steps: 0b_", ["not valid YAML"]),
        ("steps: !!int ''", ["not valid YAML"]),
        ("steps: !!bool perhaps", ["not valid YAML"]),
        ("steps: !!timestamp now", ["not valid YAML"]),
        ("steps: " + "1" * 5000, ["not valid YAML"]),
        ("steps: -0x" + "f" * 5000, ["steps"]),
        ("? [a, b]\n: 1", ["not valid YAML"]),
        ("[" * 100_000, ["nested too deeply"]),
        (aliases(12), ["question", "string"]),
        (b"\xff\xfe\x00s", ["UTF-8"]),
        (b"steps: \x00", ["not valid YAML"]),
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
    assert find("transformer-small").settings_hash == DEFAULT_HASH
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


@pytest.mark.parametrize("text", ["steps", "steps=[", "steps=" + "[" * 100_000, "steps=0b_"])
def test_a_bad_override_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_override(text)
    message = str(caught.value)
    assert "--set" in message and "steps" in message and len(message.splitlines()) == 1
    assert len(message) < 1000
