"""The validation of the tables' measures: what it takes for the truth, and what it has stored."""

import numpy as np
import pytest
import table_measures

from semantica_lib.chapters.models.validation import validated


def test_the_stored_validation_is_what_the_command_makes() -> None:
    made = list(table_measures._xor("three-synonyms"))
    stored = [one for one in validated() if one.model == "three-synonyms"]
    assert [one[:4] for one in made] == [one[:4] for one in stored]
    for one, other in zip(made, stored, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-6)


def test_the_sides_of_the_xor_task_are_its_meanings_and_likelihoods() -> None:
    given = table_measures.meanings((0.1, 0.9), (0.5, 0.5))
    assert given.after.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert given.before[0, 1] == pytest.approx(1 / 9)
    assert given.before[2, 3] == 1 and given.before[0, 2] == 0


def test_a_model_of_the_next_word_learns_the_frequencies_that_it_is_shown() -> None:
    counts = np.random.default_rng(0).integers(1, 9, (6, 6)).astype(float)
    made = table_measures.trained(counts, 0, 2_000, width=6)
    logits = made["input"] @ made["output"].T
    found = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found == pytest.approx(counts / counts.sum(1, keepdims=True), abs=0.01)
