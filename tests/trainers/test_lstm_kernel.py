"""The LSTM's kernel against the definition: the stack's own step in PyTorch, uncompiled."""

import ctypes
import shutil
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from test_kernel import (
    OTHERS,
    REAL,
    assert_definition,
    assert_general_path,
    assert_gradient,
    assert_other_instructions,
    assert_same,
    assert_same_bits,
    assert_state_untouched,
    drawn,
    made,
    quick,
)
from test_stacked import uncompiled

from semantica_lib.settings.catalogue import find, settings
from semantica_lib.trainers import building
from semantica_lib.trainers.kernel import Kernel, serves
from semantica_lib.trainers.stacked import NEVER, Stack

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, building.COMPILERS)), reason="no C++ compiler"
)
LSTM = {"architecture": "lstm", "layers": 2, "hidden_size": 4, "embedding_size": 3, "bits": 4}
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "mixed": ({}, None),
    "one way": ({"bidirectional": False, "layers": 3}, [True, False]),
    "one layer": ({"layers": 1, "optimizer": "sgd", "learning_rate": 0.5}, True),
    "adam": (
        {"optimizer": "adam", "schedule": "constant", "warmup_steps": 20, "eps": 1e-8},
        False,
    ),
    "other sizes": (
        {"zero_dst": [0.5, 0.2, 0.3], "bits": 2, "hidden_size": 12, "embedding_size": 6},
        [False, True],
    ),
    "turning odds": (
        {"zero_dst": [0.5, 0.2, 0.3], "bits": 3, "odds": "turning", "layers": 1},
        [False, True],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_are_those_of_the_definition(case: str) -> None:
    values, ties = CASES[case]
    stack = made({**LSTM, **values}, ties)
    assert serves(stack)
    assert_definition(stack, 100, 1e-9)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_gradient_is_that_of_the_definition(bidirectional: bool) -> None:
    assert_gradient({**LSTM, "bidirectional": bidirectional})


@pytest.mark.parametrize(("name", "steps"), [("lstm-small", 100), ("lstm-medium", 10)])
def test_as_it_trains_it_is_within_rounding_of_the_definition(name: str, steps: int) -> None:
    ties = [True, False]
    single, real = (Stack(find(name), range(2), ties, dtype=d) for d in (torch.float32, REAL))
    state, losses = Kernel(single).advance(single.initial(), steps)
    expected = uncompiled(real, steps)
    assert_same(single, state, expected.state, 1e-5)
    torch.testing.assert_close(losses.double(), expected.losses[-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "values", [{}, {"bits": 8}, CASES["other sizes"][0], CASES["turning odds"][0]]
)
def test_draws_are_those_of_the_task_bit_for_bit(values: dict[str, Any]) -> None:
    stack = made({**LSTM, **values}, False)
    kernel, (strings, bits) = Kernel(stack, quick()), stack.strings.shape
    for step in (0, 1, 2**32 + 5):
        state = replace(stack.initial(), step=torch.tensor(step))
        batch = stack.batch(state, stack.traits)
        rows = torch.cat([batch.tokens[0], batch.target[:1]]).T
        found = torch.zeros(strings, bits + 2, dtype=torch.uint32)
        unused = dict.fromkeys(("flat", "first", "second", "stopped", "losses"), torch.zeros(1))
        job = kernel._job(step, 1, **unused)
        kernel.library.drawn(ctypes.byref(job), ctypes.c_void_p(found.data_ptr()))
        assert Counter(map(tuple, found.tolist())) == Counter(map(tuple, rows.tolist()))
        places = (found == stack.task.mask).long().argmax(1)
        assert torch.equal(places, places.sort().values)  # or more would be computed than need be


def test_a_trial_has_the_same_bits_alone_and_among_many_and_in_any_calls() -> None:
    assert_same_bits(settings({**LSTM, "schedule_period": 60}), 5, [0, 4])


def test_it_leaves_the_state_it_began_with_as_it_is() -> None:
    assert_state_untouched(made(LSTM, None, torch.float32))


def test_a_trial_that_becomes_infinite_stops_before_and_the_others_go_on() -> None:
    own = {**LSTM, "optimizer": "sgd", "schedule": "none", "weight_decay": 0.0}
    rates = (0.5, 1e38, 0.5)
    each = [settings({**own, "learning_rate": rate}) for rate in rates]
    stack, calm = (Stack(all_, range(3), True) for all_ in (each, each[:1] * 3))
    state, losses = Kernel(stack).advance(stack.initial(), 20)
    expected, calm_losses = Kernel(calm).advance(calm.initial(), 20)
    for trial in (0, 2):
        assert torch.equal(state.flat[trial], expected.flat[trial])
        assert losses[trial] == calm_losses[trial]
    assert state.flat.isfinite().all() and state.flat[1].abs().max() > 1e30
    assert torch.equal(state.stopped, uncompiled(stack, 20).state.stopped)
    assert (state.stopped < NEVER).tolist() == [False, True, False]


@OTHERS
def test_other_instructions_compute_the_same(flags: tuple[str, ...]) -> None:
    assert_other_instructions(LSTM, flags)


@pytest.mark.parametrize("values", [
    {"expectation": "exact", "bits": 3}, {"batch_size": 5}, {"hidden_size": 6},
    {"output_bias": "learned"},
    {"hidden_size": 36}, {"embedding_size": 33}, {"zero_dst": [1 / 3] * 3, "one_dst": [1 / 3] * 3},
    {"zero_dst": [1 - 2**-32, 2**-32]},
])  # fmt: skip
def test_what_it_has_no_shape_for_trains_by_the_general_path(values: dict[str, Any]) -> None:
    assert_general_path({**LSTM, **values})


def test_a_call_takes_about_a_second_at_most() -> None:
    """Or a run would long not hear that it is to stop."""
    small, medium = (
        Kernel(Stack(find(f"lstm-{size}"), range(10), False)) for size in ("small", "medium")
    )
    assert 1 < medium.most < small.most < 1000
    assert Kernel(Stack(find("transformer-small"), range(10), False)).most == 2500


@examples(max_examples=3)
@given(st.data())
def test_any_shape_and_settings_that_it_serves(data: st.DataObject) -> None:
    shapes = {"architecture": st.just("lstm"), "bits": st.integers(2, 6)}
    shapes |= {"embedding_size": st.integers(1, 9), "hidden_size": st.sampled_from([4, 8, 12, 20])}
    shapes |= {"layers": st.integers(1, 3), "bidirectional": st.booleans()}
    assert_definition(drawn(data, 3, 2, shapes), 10, 1e-7)
