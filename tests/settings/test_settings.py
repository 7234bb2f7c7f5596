"""Settings: what is refused and how, and what makes up an identity."""

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from semantica_lib.datasets.xor import XorTask
from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import read_file, settings
from semantica_lib.settings.schema import one_table
from semantica_lib.settings.ties import WORDS
from semantica_lib.settings.xor import APPLY, Settings, training_strings

DEFAULT_HASH = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

# For every setting a value that differs from its default.
OTHER: dict[str, Any] = {
    "experiment": "another",
    "question": "why?",
    "steps": 7,
    "seeds": [1, 2],
    "ties": ["tied"],
    "untie_at": 5,
    "near_synonym": 0.1,
    "equal_start": True,
    "zero_dst": [0.7, 0.2, 0.1],
    "one_dst": [0.4, 0.6],
    "bits": 5,
    "batch_size": 20,
    "layers": 2,
    "embedding_size": 8,
    "output_bias": "learned",
    "heads": 2,
    "feedforward_size": 16,
    "activation": "relu",
    "dropout": 0.1,
    "optimizer": "adam",
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
    "keep_every": 10,
    "keep_best": True,
    "device": "cpu",
}
# Those of which another value needs another of these too, or of which there is none.
ELSEWHERE = {
    "expectation", "architecture", "hidden_size", "bidirectional", "token_feedforward_size",
    "channel_feedforward_size", "schedule", "warmup_steps", "loss", "odds",
    "scheme",
}  # fmt: skip
NOT_IDENTITY = {
    "experiment", "question", "steps", "seeds", "ties", "record_every", "validate_every",
    "keep_every", "keep_best", "device",
}  # fmt: skip
NUMBERS = {
    name
    for name, value in OTHER.items()
    if isinstance(value, int | float) and not isinstance(value, bool)
}
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
        ({"ties": "tide"}, ["ties[0]", "'tide'", "did you mean 'tied'"]),
        ({"ties": "soft"}, ["ties[0]", "strength", "write soft:0.1", "'soft'"]),
        ({"ties": "softer:1"}, ["ties[0]", "did you mean 'soft:0.1'"]),
        ({"ties": ["lookup:fast"]}, ["ties[0]", "strength", "write lookup:3"]),
        ({"ties": ["scaled:0"]}, ["ties[0]", "over 0", "write scaled:0.3"]),
        ({"ties": ["soft:-1"]}, ["ties[0]", "from 0", "write soft:0.1"]),
        ({"ties": ["lookup:nan"]}, ["ties[0]", "strength"]),
        ({"ties": ["mapped:2"]}, ["ties[0]", "no strength", "write mapped"]),
        ({"ties": ["soft:0.10", "soft:1e-1"]}, ["ties", "none twice"]),
        ({"ties": ["tied", "mapped"], "untie_at": 5}, ["untie_at does not apply to ties mapped"]),
        (
            {"ties": ["pseudo-inverse"], "embedding_size": 8},
            ["embedding_size must not exceed the 7 symbols", "pseudo-inverse", "8 does"],
        ),
        ({"odds": "turned"}, ["odds", "'turned'", "did you mean 'turning'"]),
        ({"odds": "both", "near_synonym": 0.1}, ["near_synonym does not apply to odds both"]),
        ({"output_bias": "learnt"}, ["output_bias", "did you mean 'learned'"]),
        ({"architecture": "transfomer"}, ["architecture", "did you mean 'transformer'"]),
        ({"architecture": "perceptron"}, ["architecture", "'perceptron'", "'transformer'"]),
        ({"activation": "tanh"}, ["activation", "'tanh'", "'gelu'", "'relu'"]),
        ({"validation": "heldout"}, ["validation", "'heldout'", "did you mean 'held-out'"]),
        ({"device": "cdua"}, ["device", "'cdua'", "did you mean 'cuda'"]),
        ({"device": "tpu"}, ["device", "'tpu'", "auto", "cpu", "cuda"]),
        ({"device": "cuda:x"}, ["device", "'cuda:x'", "cuda:N"]),
        ({"layers": 0, "architecture": "lstm"}, ["layers", "greater than or equal to 1", "0"]),
        (
            {"architecture": "lstm", "heads": 2},
            ["heads does not apply to architecture lstm", "hidden_size", "bidirectional", "null"],
        ),
        ({"hidden_size": 8}, ["hidden_size does not apply", "transformer", "heads"]),
        ({"architecture": "mixer", "dropout": 0.1}, ["dropout does not apply", "mixer"]),
        ({"architecture": "lstm", "bits": 16}, ["bits is too large", "16", "1,048,576"]),
        ({"schedule": "constant", "schedule_period": 9}, ["schedule_period does not", "warmup"]),
        ({"schedule": "none", "warmup_steps": 9}, ["warmup_steps does not", "has none such"]),
        ({"warmup_steps": 9}, ["warmup_steps does not apply to schedule cosine"]),
        ({"schedule": "cosin"}, ["schedule", "'cosin'", "did you mean 'cosine'"]),
        ({"schedule": 5}, ["schedule", "'cosine'", "5"]),
        ({"optimizer": "sgdw"}, ["optimizer", "'sgdw'", "'adamw'", "did you mean 'sgd'"]),
        ({"optimizer": "sgd", "eps": 1e-8}, ["eps does not apply to optimizer sgd", "none such"]),
        ({"expectation": "exac"}, ["expectation", "'exac'", "did you mean 'exact'"]),
        ({"expectation": "exact", "batch_size": 9}, ["batch_size does not apply", "exact"]),
        ({"expectation": "exact", "dropout": 0.1}, ["dropout does not apply", "exact"]),
        ({"loss": "mse"}, ["loss", "'mse'", "'cross-entropy'"]),
        ({"dropout": 1}, ["dropout", "less than 1", "1"]),
        ({"batch_size": 115}, ["batch_size", "115 exceeds 114", "7 bits"]),
        ({"batch_size": 0}, ["batch_size", "greater than or equal to 1", "0"]),
        ({"keep_every": 0}, ["keep_every", "greater than or equal to 1", "0"]),
        ({"keep_best": 1}, ["keep_best", "boolean", "1", "write true"]),
        ({"schedule": None}, ["schedule", "'cosine'", "None", "did you mean 'none'"]),
        ({"heads": 3}, ["heads", "must divide embedding_size", "3", "4"]),
        ({"learning_rate": 0}, ["learning_rate", "greater than 0", "0"]),
        ({"learning_rate": "fast"}, ["learning_rate", "number", "'fast'"]),
        ({"learning_rate": "1e999"}, ["learning_rate", "finite", "inf"]),
        ({"learning_rate_min": 0.5}, ["learning_rate_min", "exceed learning_rate", "0.5"]),
        ({"weight_decay": -1}, ["weight_decay", "greater than or equal to 0", "-1"]),
        ({"betas": [0.9]}, ["betas should be 2 values, as [0.9, 0.999], not [0.9]"]),
        ({"betas": 0.9}, ["betas should be 2 values, as [0.9, 0.999], not 0.9"]),
        ({"betas": [0.9, 0.99, 0.999]}, ["betas should be 2 values", "[0.9, 0.99, 0.999]"]),
        ({"betas": [0.9, 1.0]}, ["betas[1]", "less than 1", "1.0"]),
        ({"eps": 0}, ["eps", "greater than 0", "0"]),
        ({"device": "cuda:\u0663"}, ["device", "cuda:N"]),
        ({"schedule_period": 10**9 + 1}, ["schedule_period", "less than or equal to 1000000000"]),
        ({"schedule_period": 1}, ["schedule_period", "greater than or equal to 2", "1"]),
        ({"data_seed": -1}, ["data_seed", "greater than or equal to 0", "-1"]),
        ({"record_every": 0}, ["record_every", "greater than or equal to 1", "0"]),
        ({"experiment": "../elsewhere"}, ["experiment", "'../elsewhere'"]),
        ({"experiment": ""}, ["experiment", "''"]),
        ({"experiment": "my exp"}, ["experiment should be a name of letters", "'my exp'"]),
        ({"experiment": "a\n"}, ["experiment should be a name of letters", "at most 100"]),
        ({"question": "\x1b[31m"}, ["question should be text without control characters"]),
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


@pytest.mark.parametrize(
    ("kind", "chosen"), [(kind, chosen) for kind, choices in APPLY.items() for chosen in choices]
)
def test_what_applies_has_its_value_and_the_rest_is_null(kind: str, chosen: str) -> None:
    own = settings({kind: chosen})
    for names in APPLY[kind].values():
        for name, value in names.items():
            if name in APPLY[kind][chosen]:
                assert getattr(own, name) == APPLY[kind][chosen][name]
            else:
                assert getattr(own, name) is None
                with pytest.raises(RequestError, match=f"^{name} does not apply to {kind} "):
                    settings({kind: chosen, name: value})
    assert settings(own.model_dump()) == own
    assert settings(own.model_dump()).settings_hash == own.settings_hash


@pytest.mark.parametrize("bits", [2, 3, 7, 10])
def test_the_training_strings_counted_are_those_of_the_task(bits: int) -> None:
    train = XorTask(bits, (1.0,), (1.0,), 14).splits["train"]
    assert training_strings(bits) == len(train)
    assert settings({"bits": bits, "batch_size": len(train)}).batch_size == len(train)


@pytest.mark.parametrize(
    ("values", "period"),
    [
        ({"schedule_period": 6_000}, 6_000),
        ({"schedule_period": 6_000, "steps": 3_001}, 6_000),
        ({"schedule_period": 300_000, "steps": 150_000}, 20_000),  # falls once, never rises
        ({"schedule": "constant"}, 20_000),
        ({"schedule": "none"}, 20_000),
    ],
)
def test_a_runs_end_is_a_period_of_its_schedule_or_of_the_papers(values: dict, period: int) -> None:
    assert settings(values).period == period


# --- identity --------------------------------------------------------------------------------


def test_the_table_of_other_values_is_complete() -> None:
    assert OTHER.keys() | ELSEWHERE == Settings.model_fields.keys()
    assert not OTHER.keys() & ELSEWHERE


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


def test_the_exact_loss_is_another_experiment() -> None:
    assert settings({"expectation": "exact"}).identity == {"expectation": "exact"}
    sgd = settings({"optimizer": "sgd"})  # its lack of moments is no difference of its own
    assert sgd.identity == {"optimizer": "sgd"}


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


def test_the_published_results_keep_their_hashes() -> None:
    """New settings leave them alone."""
    lstm = settings({"architecture": "lstm", "layers": 2, "hidden_size": 8})
    assert lstm.identity == {
        "architecture": "lstm", "bidirectional": True, "hidden_size": 8, "layers": 2
    }  # fmt: skip
    assert lstm.settings_hash.startswith("963e7ce4")


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


# --- ways to tie -----------------------------------------------------------------------------


def test_a_tie_is_stored_in_one_spelling() -> None:
    words = ["tied", "mapped", "soft:1e-1", "scaled:.3", "lookup:3.0", "soft:0"]
    own = settings({"ties": words})
    assert own.ties == ("tied", "mapped", "soft:0.1", "scaled:0.3", "lookup:3", "soft:0")
    assert settings({"ties": "lookup:0.3"}).ties == ("lookup:0.3",)
    assert own.settings_hash == DEFAULT_HASH
    assert settings({"odds": "turning"}).identity == {"odds": "turning"}


def test_only_what_is_one_table_is_told_to_be_tied() -> None:
    ones = [tie for tie in (*WORDS, "soft:1", "scaled:1", "lookup:1") if one_table(tie)]
    assert ones == ["tied", "scaled", "lookup", "scaled:1", "lookup:1"]
