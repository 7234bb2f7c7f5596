"""Closed forms against torch's own optimizer, enumeration, and the original's stored run."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import optimizer_and_schedule
from scipy import stats

from semantica_lib.analysis import theory
from semantica_lib.datasets.xor import XorTask
from semantica_lib.settings.catalogue import Settings


def _main(bits: int = 7) -> XorTask:
    return XorTask(bits, (0.1, 0.9), (0.5, 0.5), 14)


@pytest.mark.parametrize(
    "schedule",
    [
        {"learning_rate_min": 0.001, "schedule_period": 40},
        {"schedule": "constant", "warmup_steps": 60},
        {"schedule": "none"},
    ],
    ids=["cosine", "constant", "none"],
)
def test_the_clock_is_what_torchs_adamw_does_without_a_gradient(schedule: dict) -> None:
    own = Settings(learning_rate=0.05, **schedule)
    row = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    holder = torch.nn.ParameterList([row])
    optimizer, scheduler = optimizer_and_schedule(own, holder)
    seen = [row.item()]
    for _ in range(150):
        row.grad = torch.zeros_like(row)
        optimizer.step()
        scheduler.step()
        seen.append(row.item())
    np.testing.assert_allclose(theory.decay_factor(own, np.arange(151)), seen, rtol=1e-12)
    backwards = theory.decay_factor(own, np.array([150, 0, 7]))
    np.testing.assert_allclose(backwards, [seen[150], 1, seen[7]], rtol=1e-12)


def test_adam_has_no_clock_but_without_decay() -> None:
    steps = np.array([0, 10])
    assert np.isnan(theory.decay_factor(Settings(optimizer="adam"), steps)).all()
    free = Settings(optimizer="adam", weight_decay=0)
    np.testing.assert_array_equal(theory.decay_factor(free, steps), [1, 1])


@pytest.mark.parametrize(
    ("rate", "steps", "factor"),
    [(5e-4, 150_000, 0.0218), (5e-4, 500_000, 2.9e-6), (1e-4, 500_000, 0.0639)],
)
def test_the_clock_at_paper_scale(rate: float, steps: int, factor: float) -> None:
    own = Settings(learning_rate=rate)
    assert theory.decay_factor(own, np.array([steps]))[0] == pytest.approx(factor, rel=5e-3)


def test_the_exponential_form_is_larger_by_what_the_docstring_says() -> None:
    own = Settings()
    rate = 1e-5 + (5e-4 - 1e-5) * (1 + np.cos(np.arange(150_000) * np.pi / 10_000)) / 2
    excess = np.exp(-0.1 * rate.sum()) / theory.decay_factor(own, np.array([150_000]))[0] - 1
    assert excess == pytest.approx((0.01 * rate**2).sum() / 2, rel=1e-3)
    assert excess == pytest.approx(7e-5, rel=0.05)


def test_the_clock_of_several_distances() -> None:
    clock = theory.decay_clock(Settings(), np.array([0, 1]), np.array([[2.0], [4.0]]))
    assert clock.shape == (2, 1, 2)
    np.testing.assert_allclose(clock[:, 0, 1], [2 * (1 - 5e-5), 4 * (1 - 5e-5)], rtol=1e-14)


def test_the_clock_beside_the_originals_untied_input_pair(reference: Callable) -> None:
    """Seed 42 of the original itself: 3.179 at step 0; measured 0.071, the clock says 0.069."""
    run = reference("original-transformer-small-untied-seed42")
    distance = run["input_distance"][:, run["pairs"].tolist().index([0, 1])]
    clock = theory.decay_clock(Settings(), run["steps"], distance[0])
    assert distance[0] == pytest.approx(3.179, abs=5e-4)
    assert clock[-1] == pytest.approx(0.069, abs=5e-4)
    assert distance[-1] / clock[-1] == pytest.approx(1.02, abs=0.01)


def test_log_odds() -> None:
    assert theory.log_odds(0.9, 0.1) == pytest.approx(2.197, abs=5e-4)
    assert theory.log_odds(0.1, 0.9) == pytest.approx(-theory.log_odds(0.9, 0.1))
    assert theory.log_odds(0.5, 0.5) == 0
    with pytest.raises(ValueError, match="positive"):
        theory.log_odds(1.0, 0.0)


def test_the_log_odds_law_bounds_the_rows_that_minimise_cross_entropy() -> None:
    """Rows fitted to p = (.1, .9) in contexts h: the distance obeys the bound."""
    hidden = torch.tensor([[1.5, 0.2], [0.5, 1.0]], dtype=torch.float64)
    rows = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.1, 0.9], dtype=torch.float64)
    optimizer = torch.optim.LBFGS([rows], max_iter=200, tolerance_grad=1e-12)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -(target * (hidden @ rows.T).log_softmax(1)).sum()
        value.backward()
        return value

    optimizer.step(loss)
    gap = (rows[1] - rows[0]).detach()
    odds = theory.log_odds(0.9, 0.1)
    np.testing.assert_allclose((hidden @ gap).numpy(), odds, rtol=1e-5)
    least = theory.least_output_distance(odds, hidden.norm(dim=1).min().item())
    assert gap.norm().item() > least
    assert theory.least_output_distance(-odds, 2.0) == pytest.approx(odds / 2)


def ceilings(zero_dst: tuple[float, ...], one_dst: tuple[float, ...]) -> tuple[float, float]:
    """Best accuracy and least cross-entropy (nats) over all strings, in closed form.

    Over all strings a masked bit is 0 as often as 1 and the context tells which, so they are the
    means over the two bits of the likeliest synonym's probability and of the entropy.
    """
    dsts = (zero_dst, one_dst)
    return sum(map(max, dsts)) / 2, float(sum(stats.entropy(dst) for dst in dsts)) / 2


@pytest.mark.parametrize(
    ("zero", "one", "accuracy", "entropy"),
    [
        ((0.1, 0.9), (0.5, 0.5), 0.70, 0.509),
        ((1.0, 0.0), (0.5, 0.5), 0.75, 0.347),
        ((1.0, 0.0), (0.1, 0.9), 0.95, 0.163),
    ],
)
def test_ceilings_of_the_papers_tasks(
    zero: tuple, one: tuple, accuracy: float, entropy: float
) -> None:
    assert ceilings(zero, one) == pytest.approx((accuracy, entropy), abs=5e-4)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any), st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_ceilings_agree_with_enumeration_over_all_strings(weights: list, bits: int) -> None:
    zero = tuple(weight / sum(weights) for weight in weights)
    task = XorTask(bits, zero, (0.25, 0.75), 14)
    assert ceilings(zero, (0.25, 0.75)) == pytest.approx(task.ceiling("exact"), abs=1e-12)
    joint = task.population.joint[3]  # (symbol, context): a third way, context by context
    best = joint.max(0).values.sum().item()
    least = -(joint * (joint / joint.sum(0)).clamp_min(1e-300).log()).sum().item()
    assert ceilings(zero, (0.25, 0.75)) == pytest.approx((best, least), abs=1e-6)


def _merging(task: XorTask) -> dict[tuple, bool]:
    return {(p.tied, p.table, p.pair): p.merges for p in theory.paper_predictions(task)}


def test_predictions_of_the_main_experiment() -> None:
    assert _merging(_main()) == {
        (False, "input", (0, 1)): True,
        (False, "input", (2, 3)): True,
        (False, "output", (0, 1)): False,
        (False, "output", (2, 3)): True,
        (True, "input", (0, 1)): False,
        (True, "input", (2, 3)): True,
    }
    claims = [prediction.claim for prediction in theory.paper_predictions(_main())]
    assert claims[0] == "claim 1, untied input: 0 and 1 merge (DH fails)"
    assert claims[3] == "claim 2, untied output: 2 and 3 merge (DH holds)"


@pytest.mark.parametrize(("one", "merges"), [((0.5, 0.5), True), ((0.1, 0.9), False)])
def test_predictions_leave_out_what_never_occurs(one: tuple, merges: bool) -> None:
    assert _merging(XorTask(7, (1.0, 0.0), one, 14)) == {
        (False, "input", (2, 3)): True,
        (False, "output", (2, 3)): merges,
        (True, "input", (2, 3)): merges,
    }


@pytest.mark.parametrize(("sees_order", "merge"), [(False, True), (True, None)])
def test_further_predictions(sees_order: bool, merge: bool | None) -> None:
    """Whoever sees positions never takes the parity for a bit: no prediction, not "apart"."""
    further = theory.further_predictions(_main(), sees_order)
    assert [(p.table, p.pair, p.merges, p.tied) for p in further] == [
        ("output", (4, 5), True, False),
        ("input", (4, 5), False, False),
        *(("input", pair, merge, False) for pair in ((4, 0), (4, 1), (5, 2), (5, 3))),
    ]
    assert further[2].claim == "parity, untied input: 4 and 0" + " merge" * (not sees_order)


@pytest.mark.parametrize("sees_order", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@pytest.mark.parametrize("zero", [(0.1, 0.9), (1.0, 0.0)])
def test_new_contexts_by_brute_force(
    masked_writings: Callable, zero: tuple, bits: int, sees_order: bool
) -> None:
    task = XorTask(bits, zero, (0.5, 0.5), 14)

    def seen(split: str) -> set[tuple[int, ...]]:
        order = list if sees_order else sorted
        return {tuple(order(tokens)) for tokens, _, p in masked_writings(task, split) if p > 0}

    held_out = seen("validation")
    new = len(held_out - seen("train")) / len(held_out)
    assert theory.new_contexts(task, sees_order) == pytest.approx(new, abs=1e-12)
    if sees_order:
        assert new == 1


def test_held_out_strings_of_the_papers_task_are_new_only_to_who_sees_order() -> None:
    assert theory.new_contexts(_main(), sees_order=False) == 0
    assert theory.new_contexts(_main(), sees_order=True) == 1


def test_the_clock_of_no_records_is_empty() -> None:
    assert theory.decay_factor(Settings(), np.array([])).shape == (0,)
