"""What the original does otherwise: against brute force, simulation and plain arithmetic."""

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from semantica_lib.analysis.theory import new_contexts, paper_predictions
from semantica_lib.chapters.original import measures as protocols
from semantica_lib.datasets.xor import SPLITS, XorTask, xor_task
from semantica_lib.settings.catalogue import Settings, catalogue, find
from semantica_lib.store.results import Result

STEPS = np.arange(0, 401, 20)


def task(bits: int = 7, data_seed: int = 14, zero: tuple[float, ...] = (0.1, 0.9)) -> XorTask:
    return XorTask(bits, zero, (0.5, 0.5), data_seed)


def made(gap: Any = 1.0, accuracy: Callable[[int, int, str], float] = lambda *_: 0.5) -> Result:
    """Two seeds, each tie: symbols 0 and 1 are ``gap`` apart at each record, 2 and 3 twice that.

    ``accuracy`` is of (seed, step, split).
    """
    own = Settings(experiment="made-up", seeds=(1, 2), steps=400, schedule_period=200)
    trials = [(seed, tied) for tied in (True, False) for seed in own.seeds]
    table = np.zeros((4, len(STEPS), 7, 4), dtype=np.float32)
    table[:, :, 1, 0], table[:, :, 3, 1] = gap, 2 * np.asarray(gap)
    rows = [
        (seed, tied, step, split, accuracy(seed, step, split), 1.0)
        for seed, tied in trials
        for step in STEPS
        for split in SPLITS
    ]
    columns = ["seed", "tied", "step", "split", "accuracy", "loss"]
    manifest = {
        "settings": own.model_dump(mode="json"), "status": "partial", "steps_done": 400,
    }  # fmt: skip
    seed, tied = (np.array(column) for column in zip(*trials, strict=True))
    metrics, norm = pd.DataFrame(rows, columns=columns), np.ones((4, len(STEPS), 2))
    return Result(Path(), manifest, STEPS, seed, tied, table, table, metrics, STEPS, norm)


def test_the_original_s_strings_are_all_but_the_one_of_ones() -> None:
    there = protocols.without_ones(task())
    shuffled = list(range(2**7 - 1))
    random.Random(14).shuffle(shuffled)
    numbers = {name: (strings @ 2 ** torch.arange(6, -1, -1)).tolist()
               for name, strings in there.splits.items()}  # fmt: skip
    assert numbers["train"] + numbers["validation"] + numbers["test"] == shuffled
    assert [len(numbers[split]) for split in SPLITS] == [114, 12, 1, 127]
    ones = sum(number.bit_count() for number in range(127)) / 127 / 7
    assert there.ceiling("exact")[0] == pytest.approx(0.9 * (1 - ones) + 0.5 * ones)
    assert len(task().splits["exact"]) == 128  # as it was


@pytest.mark.parametrize(("bits", "data_seed"), [(3, 0), (3, 14), (4, 1), (4, 14)])
@pytest.mark.parametrize("order", [False, True])
def test_new_contexts_are_those_that_no_training_string_shows(
    masked_writings: Callable, bits: int, data_seed: int, order: bool
) -> None:
    own = task(bits, data_seed)
    shown = {
        split: {
            tuple(tokens) if order else tuple(sorted(tokens))
            for tokens, _, _ in masked_writings(own, split)
        }
        for split in SPLITS
    }
    for split in SPLITS:
        expected = len(shown[split]), len(shown[split] - shown["train"])
        assert protocols.contexts(own, order, split) == expected
    held_out, new = protocols.contexts(own, order, "validation")
    assert new / held_out == pytest.approx(new_contexts(own, order))


def test_the_string_of_ones_shows_a_transformer_what_nothing_else_does() -> None:
    with_ones, without = task(), protocols.without_ones(task())
    shown, new = protocols.contexts(with_ones, False, "test")
    fewer, fewer_new = protocols.contexts(without, False, "test")
    assert (shown - fewer, new - fewer_new) == (7, 7)  # six ones, two synonyms: 0 to 6 of one


def test_a_sampled_accuracy_is_distributed_as_all_outcomes_say() -> None:
    own = task(4)
    strings = own.splits["validation"].tolist() + own.splits["train"].tolist()[:3]
    own.splits["validation"] = torch.tensor(strings)
    hit = [sum(0.5 if bit else 0.9 for bit in string) / 4 for string in strings]
    expected = np.zeros(len(strings) + 1)
    for outcome in product((0, 1), repeat=len(strings)):
        expected[sum(outcome)] += prod(
            p if right else 1 - p for p, right in zip(hit, outcome, strict=True)
        )
    sample = protocols.sampled_accuracy(own, "validation")
    np.testing.assert_allclose(sample.pk, expected, atol=1e-12)
    np.testing.assert_allclose(sample.xk, np.arange(len(strings) + 1) / len(strings))


def test_a_perfect_model_s_sampled_accuracy_varies_as_told() -> None:
    """Drawn by the code that draws the training data, read by a model that knows the bit."""
    own, steps = task(), 3000
    sample = protocols.sampled_accuracy(own, "validation")
    strings = own.splits["validation"]
    hits = []
    for step in range(steps):
        target = own.draw(strings, torch.tensor([42]), torch.tensor(step)).target[0]
        guess = torch.where(target < 2, 1, 3)  # of 0 the likelier, of 1 either
        hits.append((guess == target).double().mean().item())
    spread = sample.std()
    assert np.mean(hits) == pytest.approx(own.ceiling("validation")[0], abs=5 * spread / steps**0.5)
    assert np.std(hits) == pytest.approx(spread, rel=0.07)  # 5 standard errors
    low, high = sample.interval(0.95)
    inside = [low - 1e-9 <= hit <= high + 1e-9 for hit in hits]
    assert np.mean(inside) > 0.95


def test_the_central_values_cut_off_less_than_allowed_at_either_end() -> None:
    own = task(4)
    own.splits["validation"] = torch.tensor([[1, 1, 1, 1]] * 6)  # six fair coins
    sample = protocols.sampled_accuracy(own, "validation")
    assert sample.interval(0.95) == (pytest.approx(1 / 6), pytest.approx(5 / 6))  # 1/64 < 0.025
    assert sample.std() == pytest.approx(6**-0.5 / 2)


@pytest.mark.parametrize("parts", [10, 20])
def test_all_distributions_sum_to_one_and_some_only_nearly(parts: int) -> None:
    found = protocols.distributions(parts)
    exact = {tuple(Fraction(p).limit_denominator(parts) for p in dst) for dst in found}
    assert len(exact) == len(found) == (parts + 1) * (parts + 2) // 2
    assert {sum(dst) for dst in exact} == {1}
    refused = [dst for dst in found if protocols.plain_sum(dst) != 1]
    assert (0.7, 0.2, 0.1) in refused
    assert (0.1, 0.2, 0.7) not in refused
    assert all((a + b) + c != 1 for a, b, c in refused)
    assert all(map(protocols.accepted, found))
    assert not protocols.accepted((0.7, 0.2, 0.1 + 1e-6))


def test_a_swing_is_seen_in_the_last_period_only() -> None:
    """The rate is lowest at step 300 and highest at 400, both within the last 200 steps."""
    gap = np.where(STEPS <= 200, 50.0, 2.0)
    gap[STEPS == 300], gap[STEPS == 400] = 1.0, 4.0
    result = made(gap)
    for p in paper_predictions(xor_task(result.settings)):
        spread, ratio = protocols.swing(result, p)
        np.testing.assert_allclose(spread, [3 / 2.1] * 2, rtol=1e-6)  # mean (8 * 2 + 1 + 4) / 10
        np.testing.assert_allclose(ratio, [0.25] * 2, rtol=1e-6)
    trough, peak = protocols.turns(result)
    assert (STEPS[trough], STEPS[peak]) == (300, 400)
    middle, half = (5e-4 + 1e-5) / 2, (5e-4 - 1e-5) / 2
    rates = [middle + half * np.cos(2 * np.pi * step / 200) for step in range(300, 400)]
    left = prod(1 - 0.1 * rate for rate in rates)
    assert protocols.decay_swing(result) == pytest.approx(1 / left, rel=1e-12)


def test_without_a_full_period_nothing_is_said() -> None:
    result = made()
    short = protocols.until(result, 180)
    assert protocols.turns(short) is None
    assert np.isnan(protocols.decay_swing(short))
    for p in paper_predictions(xor_task(short.settings)):
        assert [len(part) for part in protocols.swing(short, p)] == [0, 0]
    assert not len(protocols.end_accuracy(short, True, "train"))


def test_accuracy_at_the_end_is_the_mean_over_the_last_period() -> None:
    result = made(accuracy=lambda seed, step, split: seed * step / 1e4 + SPLITS.index(split))
    mean = np.mean([220, 240, 260, 280, 300, 320, 340, 360, 380, 400]) / 1e4
    for split in SPLITS:
        expected = [mean + SPLITS.index(split), 2 * mean + SPLITS.index(split)]
        np.testing.assert_allclose(protocols.end_accuracy(result, False, split), expected)
    rows = result.metrics
    lost = rows[~((rows.seed == 1) & ~rows.tied)]
    assert len(protocols.end_accuracy(replace(result, metrics=lost), False, "train")) == 1


def test_a_result_as_it_was_is_the_shorter_run() -> None:
    result = made(np.linspace(4, 1, len(STEPS)))
    then = protocols.until(result, 300)
    assert then.settings.steps == then.manifest["steps_done"] == then.steps[-1] == 300
    assert then.complete
    assert then.metrics.step.max() == then.measured_steps[-1] == 300
    assert then.input_embedding.shape[1] == then.hidden_norm.shape[1] == len(then.steps) == 16
    np.testing.assert_array_equal(then.output_embedding, result.output_embedding[:, :16])
    assert protocols.until(result, 310) is None
    assert protocols.until(result, 500) is None
    old = protocols.until(replace(result, measured_steps=None, hidden_norm=None), 300)
    assert old.measured_steps is old.hidden_norm is None
    assert not result.complete  # as it was


def test_the_line_of_one_experiment_alone_is_not_what_can_be_attained() -> None:
    assert set(protocols.OWN_STEPS) < set(protocols.DRAWN) <= set(catalogue())
    wrong = {
        name: round(xor_task(find(name)).ceiling("exact")[0], 9)
        for name, drawn in protocols.DRAWN.items()
        if xor_task(find(name)).ceiling("exact")[0] != pytest.approx(drawn)
    }
    assert wrong == {"transformer-small-ydh": 0.75}
    for name, step in protocols.OWN_STEPS.items():
        assert step < find(name).steps
        assert step % find(name).record_every == 0
