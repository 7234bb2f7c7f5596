"""Distances against scipy, and the relations of symbols against brute force over contexts."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from semantica_lib.analysis import distances
from semantica_lib.analysis.distances import Trials
from semantica_lib.datasets.xor import XorTask
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

MAIN = XorTask(3, (0.1, 0.9), (0.5, 0.5), 14)
YDH = XorTask(3, (1.0, 0.0), (0.5, 0.5), 14)
NDH = XorTask(3, (1.0, 0.0), (0.1, 0.9), 14)
MANY = XorTask(3, (0.2, 0.6, 0.2), (0.25, 0.25, 0.0, 0.5), 14)


def test_pairwise_is_scipys_and_symmetric() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 5, 7, 4)).astype(np.float32)
    ours = distances.pairwise(rows)
    assert ours.shape == (2, 5, 7, 7)
    np.testing.assert_allclose(ours[1, 3], cdist(rows[1, 3], rows[1, 3]), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(ours, ours.swapaxes(-1, -2))


def test_nearly_equal_long_rows_keep_their_distance() -> None:
    """Where ``|a|^2 + |b|^2 - 2 a.b`` in float32 would lose it; the diagonal is exactly 0."""
    rows = np.full((2, 4), 1000.0, dtype=np.float32)
    rows[1, 0] += 0.0009765625
    ours = distances.pairwise(rows)
    assert (np.diag(ours) == 0).all()
    assert ours[0, 1] == 0.0009765625


def test_named_pairs_are_entries_of_the_matrix() -> None:
    rows = np.random.default_rng(1).normal(size=(3, 4, 6, 2))
    named = distances.of_pairs(rows, [(0, 5), (2, 2), (4, 1)])
    assert named.shape == (3, 4, 3)
    np.testing.assert_array_equal(named, distances.pairwise(rows)[..., [0, 2, 4], [5, 2, 1]])
    assert distances.of_pairs(rows, []).shape == (3, 4, 0)


@pytest.mark.parametrize("pair", [(0, 7), (-1, 2)])
def test_a_pair_outside_the_vocabulary_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match=r"outside the vocabulary 0\.\.6"):
        distances.of_pairs(np.zeros((7, 4)), [(0, 1), pair])


def test_norms_and_the_median_control_pair() -> None:
    rows = np.zeros((7, 2))
    rows[2], rows[3], rows[1] = (3, 4), (6, 8), (0, 1)
    assert distances.row_norms(rows).tolist() == [0, 1, 5, 10, 0, 0, 0]
    by_hand = sorted([5, 10, np.hypot(3, 3), np.hypot(6, 7)])
    assert distances.control_distance(rows, MAIN) == pytest.approx((by_hand[1] + by_hand[2]) / 2)


@pytest.mark.parametrize(
    ("task", "synonyms", "controls"),
    [
        (MAIN, [(0, 1, False), (2, 3, True)], [(0, 2), (0, 3), (1, 2), (1, 3)]),
        (YDH, [(2, 3, True)], [(0, 2), (0, 3)]),
        (NDH, [(2, 3, False)], [(0, 2), (0, 3)]),
    ],
)
def test_pairs_of_the_papers_tasks(task: XorTask, synonyms: list, controls: list) -> None:
    assert distances.synonym_pairs(task) == synonyms
    assert distances.control_pairs(task) == controls
    assert distances.fourth_cell(task) == (4, 5)


def test_even_is_one_more_zero_and_odd_one_more_one() -> None:
    assert distances.parity_pairs(MAIN) == [(4, 0), (4, 1), (5, 2), (5, 3)]
    assert distances.parity_pairs(NDH) == [(4, 0), (5, 2), (5, 3)]
    assert distances.parity_pairs(MANY)[0] == (7, 0)


def _conditional(task: XorTask) -> dict[tuple[int, ...], np.ndarray]:
    """p(symbol | context) over all strings, by context with its symbols sorted."""
    cases = {}
    for tokens, joint in zip(task.population.tokens.T, task.population.joint[3].T, strict=True):
        if joint.sum() > 0:
            cases[tuple(sorted(tokens.tolist()))] = (joint / joint.sum()).numpy()
    return cases


def _semantically(a: int, b: int, cases: dict) -> bool:
    """Whether writing b for an a in a context never changes what is predicted there."""
    for context, predicted in cases.items():
        for here, there in ((a, b), (b, a)):
            if here in context:
                other = list(context)
                other[other.index(here)] = there
                swapped = cases.get(tuple(sorted(other)))
                if swapped is None or not np.allclose(swapped, predicted, atol=1e-12):
                    return False
    return True


@pytest.mark.parametrize("task", [MAIN, YDH, NDH, MANY])
def test_relations_are_those_found_by_brute_force(task: XorTask) -> None:
    cases = _conditional(task)
    occurring = [symbol for symbol, p in enumerate(task.probability) if p > 0]
    named = {(a, b): holds for a, b, holds in distances.synonym_pairs(task)}
    for a, b in combinations(occurring, 2):
        assert ((a, b) in named) == _semantically(a, b, cases)
        assert ((a, b) in distances.control_pairs(task)) == ((a, b) not in named)
    for (a, b), holds in named.items():
        assert holds == all(np.isclose(p[a], p[b], atol=1e-12) for p in cases.values())
    even, odd = distances.fourth_cell(task)
    assert all(p[even] == p[odd] == 0 for p in cases.values())
    assert not _semantically(even, odd, cases)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_every_two_occurring_bit_symbols_are_one_kind_of_pair(weights: list, ones: int) -> None:
    task = XorTask(2, tuple(w / sum(weights) for w in weights), (1 / ones,) * ones, 14)
    synonyms = [(a, b) for a, b, _ in distances.synonym_pairs(task)]
    pairs = synonyms + distances.control_pairs(task)
    occurring = [symbol for symbol, p in enumerate(task.probability) if p > 0]
    assert sorted(pairs) == list(combinations(occurring, 2))


def _result(first: int = 0) -> Result:
    """Untied seeds 7, 3, 5 (5 diverged), asked for 3, 4, 5, 7; the pair (0, 1) is 1, 2, 4, 6 apart.

    The control pairs are all 1, 1, 2, 4 apart, times the seed; the period is the last two records.
    """
    steps = first + np.array([0, 10, 20, 30])
    table = np.zeros((3, 4, 7, 3), dtype=np.float32)
    half = np.array([1.0, 2, 4, 6]) / 2
    control = np.array([4.0, 4, 8, 12])
    table[..., 0, 0], table[..., 1, 0] = half, -half
    table[..., 2:4, 1] = np.sqrt(control**2 - half**2)[:, None]
    table *= np.array([7, 3, 5])[:, None, None, None]
    diverged = table.copy()
    diverged[2, 1, 6, 0] = np.inf
    losses = pd.DataFrame(
        [
            (seed, tied, step, split, step + seed * 100 + (split == "exact"), 0.0)
            for seed in (7, 3, 5)
            for tied in (True, False)
            for step in range(0, first + 50, 5)
            for split in ("train", "exact")
        ],
        columns=["seed", "tied", "step", "split", "loss", "accuracy"],
    )
    losses.loc[losses.tied, "loss"] = -1
    own = Settings(seeds=(3, 4, 5, 7), ties=("untied",), schedule_period=20)
    manifest = {"settings": own.model_dump(mode="json")}
    return Result(
        Path(), manifest, steps, np.array([7, 3, 5]), np.zeros(3, bool), table, diverged, losses
    )


WINDOW = np.array([False, False, True, True])


def test_trials_by_seed_without_the_diverged_and_with_the_absent_named() -> None:
    trials = Trials.of(_result(), False, WINDOW)
    assert trials.seeds.tolist() == [3, 7]
    assert (trials.absent, trials.diverged, trials.failed) == ([4], [5], 2)
    np.testing.assert_allclose(trials.distance("input", (0, 1))[:, 0], [3, 7])
    np.testing.assert_allclose(trials.norm("input", (0, 1)), np.outer([3, 7], [0.5, 1, 2, 3]))
    other = Trials.of(_result(), True, WINDOW)
    assert (len(other.seeds), other.absent, other.diverged) == (0, [], [])


def test_the_ratio_is_that_of_the_means() -> None:
    end, start = Trials.of(_result(), False, WINDOW).ratio("output", (0, 1))
    np.testing.assert_allclose(end, [5 / 10] * 2, rtol=1e-6)
    np.testing.assert_allclose(start, [1 / 4] * 2, rtol=1e-6)
    uneven = Trials.of(_result(), False, np.array([True, False, True, True]))
    np.testing.assert_allclose(uneven.ratio("input", (0, 1))[0], [11 / 24] * 2, rtol=1e-6)


def test_without_a_window_or_a_first_record_the_ends_are_nan() -> None:
    end, start = Trials.of(_result(), False, None).ratio("input", (0, 1))
    assert np.isnan(end).all()
    assert np.isfinite(start).all()
    end, start = Trials.of(_result(first=10), False, WINDOW).ratio("input", (0, 1))
    assert np.isfinite(end).all()
    assert np.isnan(start).all()


def test_the_first_record_under_a_share_of_the_start() -> None:
    """1, 2, 4, 6 apart, then backwards: strictly under, the first time, inf for never."""
    result = _result()
    growing = Trials.of(result, False, WINDOW)
    assert growing.first_under("input", (0, 1), 0.5).tolist() == [np.inf] * 2
    assert growing.first_under("input", (0, 1), 1.5).tolist() == [0, 0]
    backwards = replace(result, input_embedding=result.input_embedding[:, ::-1])
    closing = Trials.of(backwards, False, WINDOW)
    assert closing.first_under("input", (0, 1), 0.5).tolist() == [20, 20]
    assert closing.first_under("input", (0, 1), 1 / 6).tolist() == [np.inf] * 2
    again = backwards.input_embedding.copy()
    again[:, 3] = again[:, 0]
    closing = Trials.of(replace(backwards, input_embedding=again), False, WINDOW)
    assert closing.first_under("input", (0, 1), 0.5).tolist() == [20, 20]
    assert np.isnan(Trials.of(backwards, False, None).first_under("input", (0, 1), 0.5)).all()
    later = Trials.of(_result(first=10), False, WINDOW)
    assert np.isnan(later.first_under("input", (0, 1), 1.5)).all()


def test_fluctuation_is_of_the_window_alone_and_has_no_unit() -> None:
    """4 and 6: mean 5, deviation 1, whatever the seed's scale."""
    trials = Trials.of(_result(), False, WINDOW)
    np.testing.assert_allclose(trials.fluctuation("input", (0, 1)), [0.2, 0.2], rtol=1e-6)
    constant = Trials.of(_result(), False, np.array([False, True, False, False]))
    assert constant.fluctuation("input", (0, 1)).tolist() == [distances.RESOLUTION] * 2
    assert np.isnan(Trials.of(_result(), False, None).fluctuation("input", (0, 1))).all()


def _with_norms(measured_steps: list[int]) -> Result:
    """The least norm is 10 times the seed for bit 0, 1,000 times it for bit 1, plus the step."""
    result = _result()
    norms = np.array([10, 1000]) * result.seed[:, None, None]
    norms = norms + np.array(measured_steps)[:, None]
    return replace(result, measured_steps=np.array(measured_steps), hidden_norm=norms)


@pytest.mark.parametrize(("bit", "pair"), [(0, (0, 1)), (1, (2, 6))])
def test_the_logits_reach_at_steps_that_are_recorded_and_measured(bit: int, pair: tuple) -> None:
    """Records at 20 and 30 are in the window; measured are 15, 20 and 30, or fewer."""
    for measured, common in (
        ([0, 15, 20, 30], [20, 30]), ([10, 15, 30], [30]), ([30, 20], [20, 30]),
    ):  # fmt: skip
        trials = Trials.of(_with_norms(measured), False, WINDOW)
        by_hand = [
            np.mean([
                np.linalg.norm(trials.tables["output"][row, step // 10, pair[0]]
                               - trials.tables["output"][row, step // 10, pair[1]])
                * (seed * (10, 1000)[bit] + step)
                for step in common
            ])
            for row, seed in enumerate((3, 7))
        ]  # fmt: skip
        np.testing.assert_allclose(trials.logit_reach(pair), by_hand, rtol=1e-6)
    for result, window in (
        (_with_norms([0, 15, 25]), WINDOW), (_with_norms([20]), None), (_result(), WINDOW),
    ):  # fmt: skip
        assert np.isnan(Trials.of(result, False, window).logit_reach(pair)).all()


def test_metrics_are_means_over_the_last_period_of_one_split() -> None:
    """Steps 15, 20, 25, 30 of (10, 30]: mean 22.5; seed 5 diverged and seed 4 never ran."""
    trials = Trials.of(_result(), False, WINDOW)
    loss = trials.measured("exact", "loss")
    assert loss.index.tolist() == [3, 4, 5, 7]
    np.testing.assert_allclose(loss.to_numpy(), [323.5, np.nan, np.nan, 723.5])
    np.testing.assert_allclose(trials.measured("train", "loss")[3], 322.5)
    assert trials.measured("train", "accuracy")[7] == 0
    assert Trials.of(_result(), False, None).measured("exact", "loss").isna().all()
