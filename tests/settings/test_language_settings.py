"""Settings of a language model: profiles, what applies, identity, and refusals in one line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_settings import refusal, values

from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.settings.language import PROFILES, MlmSettings
from semantica_lib.settings.xor import Settings

# For every setting that makes a trial what it is, a value that differs from its default.
OTHER: dict[str, Any] = {
    "corpus": "grammar",
    "profile": "paper",
    "vocabulary_size": 1000,
    "length": 20,
    "batch_size": 8,
    "synonyms": 3,
    "broken_synonyms": 0,
    "least_occurrences": 5,
    "labels": "shown",
    "masked_share": 0.2,
    "replacement": [1, 0, 0],
    "layers": 1,
    "embedding_size": 16,
    "heads": 8,
    "feedforward_size": 32,
    "norm": "after",
    "positions": False,
    "embedding_std": 1.0,
    "learning_rate": "5e-4",
    "warmup_steps": 0,
    "schedule_period": 9_000,
    "learning_rate_min": 1e-4,
    "weight_decay": 0.0,
    "betas": [0.8, 0.9],
    "eps": 1e-6,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpus": "gramar"}, ["corpus should be", "'gramar'", "did you mean 'grammar'"]),
        ({"corpus": "text:"}, ["corpus should be", "text:PATH", "'text:'"]),
        ({"corpus": None}, ["corpus", "string", "None"]),
        ({"profile": "papr"}, ["profile", "'papr'", "did you mean 'paper'"]),
        ({"profile": ["cpu"]}, ["profile", "'cpu'", "'paper'"]),
        ({"one_dst": [1]}, ["unknown setting 'one_dst'"]),
        ({"lenght": 5}, ["'lenght'", "did you mean 'length'"]),
        (
            {"corpus": "bookcorpus", "vocabulary_size": 9},
            ["vocabulary_size does not apply", "null"],
        ),
        ({"heads": 3}, ["heads must divide", "3", "64"]),
        ({"learning_rate_min": 1}, ["learning_rate_min must not exceed"]),
        ({"replacement": [0.8, 0.2]}, ["replacement should be 3 values, as [0.8, 0.1, 0.1]"]),
        ({"replacement": [0.5, 0.4, 0.2]}, ["replacement", "sum to 1", "[0.5, 0.4, 0.2]"]),
        ({"replacement": [1.5, -0.5, 0.0]}, ["replacement", "[1.5, -0.5, 0.0]"]),
        ({"synonyms": 0, "broken_synonyms": 0}, ["synonyms", "nothing to compare"]),
        ({"data_seed": 1}, ["data_seed does not apply to corpus documentation"]),
        ({"skip_unreadable": True}, ["skip_unreadable does not apply to corpus documentation"]),
        ({"length": 3}, ["length", "greater than or equal to 4", "3"]),
        ({"masked_share": 1}, ["masked_share", "less than 1", "1"]),
        ({"norm": "befor"}, ["norm", "did you mean 'before'"]),
        ({"labels": "seen"}, ["labels", "'drawn'", "'shown'"]),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_what_is_allowed(
    changes: dict, words: list[str]
) -> None:
    message = refusal({"corpus": "documentation"} | changes)
    for word in words:
        assert word in message


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_gives_what_is_not_set_and_nothing_else(profile: str) -> None:
    own = settings({"corpus": "grammar", "profile": profile})
    assert PROFILES[profile].items() <= own.model_dump().items()
    other = settings({"corpus": "grammar", "profile": profile, "layers": 7, "positions": False})
    changed = other.model_dump().items() - own.model_dump().items()
    assert dict(changed) == {"layers": 7} | ({"positions": False} if own.positions else {})
    assert settings(own.model_dump()) == own


def test_the_paper_s_profile_is_the_paper_s() -> None:
    own = settings({"corpus": "bookcorpus", "profile": "paper"})
    assert own.vocabulary_size is None  # bert-base-uncased's
    assert (own.layers, own.embedding_size, own.heads, own.feedforward_size) == (3, 128, 4, 512)
    assert (own.norm, own.positions, own.embedding_std) == ("after", False, 0.3)
    assert (own.learning_rate, own.weight_decay, own.schedule_period) == (1e-4, 0.01, 20_000)
    assert (own.length, own.batch_size, own.synonyms, own.labels) == (128, 128, 100, "shown")


def test_a_corpus_makes_it_a_language_model_and_cannot_be_put_on_another_experiment() -> None:
    assert isinstance(settings({"corpus": "grammar"}), MlmSettings)
    assert isinstance(settings({}), Settings)
    with pytest.raises(RequestError, match="unknown setting 'corpus'"):
        find("transformer-small", [("corpus", "grammar")])
    assert find("mlm", [("corpus", "grammar")]).corpus == "grammar"
    assert find("mlm").corpus == "documentation" and find("mlm-grammar").corpus == "grammar"


def test_every_setting_that_changes_a_trial_changes_the_identity() -> None:
    rest = {
        "experiment", "question", "steps", "seeds", "ties", "device", "record_every",
        "validate_every", "skip_unreadable", "data_seed",
    }  # fmt: skip
    assert OTHER.keys() | rest == MlmSettings.model_fields.keys()
    hashes = {
        name: settings({"corpus": "documentation", name: value}).settings_hash
        for name, value in OTHER.items()
    }
    hashes["data_seed"] = settings({"corpus": "grammar", "data_seed": 1}).settings_hash
    hashes["none"] = MlmSettings().settings_hash
    assert len(set(hashes.values())) == len(hashes)
    assert settings({"corpus": "documentation", "steps": 5}).settings_hash == hashes["none"]
    assert Settings().settings_hash not in hashes.values()


def test_places_predicted_and_tokens_of_a_step() -> None:
    own = settings({"corpus": "grammar", "length": 32, "masked_share": 0.15, "batch_size": 10})
    assert (own.masked, own.tokens_a_step) == (5, 320)  # of 31 places, the tag's is none
    assert settings({"corpus": "grammar", "length": 4, "masked_share": 0.01}).masked == 1


@given(st.dictionaries(st.sampled_from(sorted(MlmSettings.model_fields)), values, max_size=3))
def test_any_values_make_settings_or_one_line(given_values: dict[str, Any]) -> None:
    try:
        own = settings({"corpus": "grammar"} | given_values)
    except RequestError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert own == settings(own.model_dump())
