"""Trials and steps that are done together."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semantica_lib.settings.catalogue import settings
from semantica_lib.trainers.launching import in_chunks, launched, steps_a_launch
from semantica_lib.trainers.measuring import measure, table_gradient
from semantica_lib.trainers.stacked import Stack


@given(trials=st.integers(1, 40), most=st.integers(1, 45))
def test_chunks_have_one_size_and_give_every_trial_once(trials: int, most: int) -> None:
    taken = []

    def step(own: Tensor, done: Tensor) -> tuple[Tensor, ...]:
        taken.append(own.tolist())
        return own * 10, own + done, done + 1

    own = torch.arange(trials)
    losses, after, done = in_chunks(step, trials, most)(own, torch.tensor(3))
    assert torch.equal(losses, own * 10) and torch.equal(after, own + 3) and done == 4
    (size,) = {len(chunk) for chunk in taken}
    assert size <= most
    assert sum(map(len, taken)) < trials + size  # less than a chunk is done twice
    assert 2 * size >= min(most, trials)


def test_steps_launched_together_are_these_steps() -> None:
    assert steps_a_launch("cpu") == 1
    assert launched(lambda state: 3 * state + 1, 4, "cpu")(2) == 3**4 * 2 + 27 + 9 + 3 + 1


# Distributions, rates and ties of their own; one trial is untied within the second launch.
MIXED = [
    ({}, True), ({"zero_dst": [1.0, 0.0], "weight_decay": 1.0}, False),
    ({"near_synonym": 0.3, "learning_rate": 2e-3}, False), ({"untie_at": 15}, True),
]  # fmt: skip


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("expectation", ["sampled", "exact"])
@pytest.mark.parametrize("trials", [[({}, False)] * 2, MIXED], ids=["alike", "mixed"])
def test_a_graph_of_steps_trains_as_the_processor_does(
    trials: list[tuple[dict[str, Any], bool]], expectation: str
) -> None:
    """Two launches, single steps between them, and what is left: the first 25 steps."""
    each = [settings({"bits": 4, "expectation": expectation, **values}) for values, _ in trials]
    seeds, losses, measured = range(42, 42 + len(trials)), {}, {}
    for device in ("cpu", "cuda"):
        stack = Stack(each, seeds, [tied for _, tied in trials], device)
        advance = stack.stepper(25)
        launch = launched(lambda state, advance=advance: advance(state)[0], 10, device)
        state, _ = advance(launch(stack.initial()))
        state, _ = advance(launch(state))
        for _ in range(3):
            state, losses[device] = advance(state)
        assert state.step == 25
        measured[device] = [*measure(stack, state), table_gradient(stack, state)]
    torch.testing.assert_close(losses["cuda"].cpu(), losses["cpu"], rtol=0, atol=1e-5)
    for ours, theirs in zip(measured["cuda"], measured["cpu"], strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=0, atol=1e-3, equal_nan=True)
