"""The LSTM's kernel against the definition: the stack's own step in PyTorch, uncompiled."""

import ctypes
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from test_kernel import QUICK, REAL, assert_same, made
from test_stacked import uncompiled
from torch import Tensor

from semantica_lib.settings.catalogue import find, settings
from semantica_lib.trainers import building, engines
from semantica_lib.trainers.kernel import Kernel, serves
from semantica_lib.trainers.stacked import EAGER_BELOW, NEVER, Stack

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
}


@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_are_those_of_the_definition(case: str) -> None:
    values, ties = CASES[case]
    stack = made({**LSTM, **values}, ties)
    assert serves(stack)
    state, losses = Kernel(stack, QUICK).advance(stack.initial(), 100)
    expected = uncompiled(stack)
    assert_same(stack, state, expected.state, 1e-9)
    torch.testing.assert_close(losses, expected.losses[-1], rtol=0, atol=1e-9)
    assert state.step == 100 and torch.equal(state.seeds, stack.seeds)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_gradient_is_that_of_the_definition(bidirectional: bool) -> None:
    """One step of SGD without decay at a rate of 1 takes away the gradient."""
    plain = {"optimizer": "sgd", "schedule": "none", "learning_rate": 1.0, "weight_decay": 0.0}
    stack = made({**LSTM, **plain, "bidirectional": bidirectional}, False)
    state = stack.initial()

    def total(flat: Tensor) -> Tensor:
        return stack.loss(stack.layout.views(flat), stack.batch(state, stack.traits)).sum()

    after, _ = Kernel(stack, QUICK).advance(state, 1)
    gradient = torch.func.grad(total)(state.flat)
    torch.testing.assert_close(state.flat - after.flat, gradient, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "steps"), [("lstm-small", 100), ("lstm-medium", 10)])
def test_as_it_trains_it_is_within_rounding_of_the_definition(name: str, steps: int) -> None:
    ties = [True, False]
    single, real = (Stack(find(name), range(2), ties, dtype=d) for d in (torch.float32, REAL))
    state, losses = Kernel(single).advance(single.initial(), steps)
    expected = uncompiled(real, steps)
    assert_same(single, state, expected.state, 1e-5)
    torch.testing.assert_close(losses.double(), expected.losses[-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("values", [{}, {"bits": 8}, CASES["other sizes"][0]])
def test_draws_are_those_of_the_task_bit_for_bit(values: dict[str, Any]) -> None:
    stack = made({**LSTM, **values}, False)
    kernel, (strings, bits) = Kernel(stack, QUICK), stack.strings.shape
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
    own = settings({**LSTM, "schedule_period": 60})
    many = Stack(own, range(5), False)
    whole, losses = Kernel(many).advance(many.initial(), 60)
    for trial in (0, 4):
        alone = Stack(own, [trial], False)
        kernel, state = Kernel(alone), alone.initial()
        for count in (1, 19, 40):
            state, loss = kernel.advance(state, count)
        for name in ("flat", "first", "second"):
            assert torch.equal(getattr(state, name)[0], getattr(whole, name)[trial]), name
        assert loss[0] == losses[trial]


def test_it_leaves_the_state_it_began_with_as_it_is() -> None:
    stack = made(LSTM, None, torch.float32)
    state = stack.initial()
    before = state.flat.clone()
    Kernel(stack).advance(state, 5)
    assert torch.equal(state.flat, before) and state.step == 0


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


@pytest.mark.parametrize(
    "flags", [("-march=x86-64-v3",), ("-march=x86-64", "-DLANES=4")], ids=["AVX2", "any"]
)
def test_other_instructions_compute_the_same(flags: tuple[str, ...]) -> None:
    if flags[0].endswith("v3") and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    stack = made(LSTM, None, torch.float32)
    kernel = Kernel(stack, flags)
    assert kernel.name == "kernel, " + ("AVX2" if "v3" in flags[0] else "no special instructions")
    state, _ = kernel.advance(stack.initial(), 100)
    assert_same(stack, state, uncompiled(made(LSTM, None)).state, 1e-5)


@pytest.mark.parametrize("values", [
    {"expectation": "exact", "bits": 3}, {"batch_size": 5}, {"hidden_size": 6},
    {"hidden_size": 36}, {"embedding_size": 33}, {"zero_dst": [1 / 3] * 3, "one_dst": [1 / 3] * 3},
    {"zero_dst": [1 - 2**-32, 2**-32]},
])  # fmt: skip
def test_what_it_has_no_shape_for_trains_by_the_general_path(values: dict[str, Any]) -> None:
    stack = Stack(settings({**LSTM, **values}), [42], False)
    assert not serves(stack)
    assert engines.engine(stack, EAGER_BELOW).name == engines.GENERAL


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
    def dst(most: int) -> Any:
        sizes = st.lists(st.integers(0, 5), min_size=1, max_size=most).filter(any)
        return sizes.map(lambda parts: [part / sum(parts) for part in parts])

    optimizer = data.draw(st.sampled_from(["adamw", "adam", "sgd"]))
    own = settings(
        {
            "architecture": "lstm", "bits": data.draw(st.integers(2, 6)),
            "zero_dst": data.draw(dst(3)), "one_dst": data.draw(dst(2)),
            "embedding_size": data.draw(st.integers(1, 9)),
            "hidden_size": data.draw(st.sampled_from([4, 8, 12, 20])),
            "layers": data.draw(st.integers(1, 3)), "bidirectional": data.draw(st.booleans()),
            "optimizer": optimizer, "learning_rate": data.draw(st.sampled_from([1e-4, 1e-2])),
            "schedule": data.draw(st.sampled_from(["cosine", "constant", "none"])),
        }
        | ({"eps": 1e-6} if optimizer != "sgd" else {})
    )  # fmt: skip
    stack = Stack(own, [1, 2**32 - 1], data.draw(st.sampled_from([True, False])), dtype=REAL)
    state, losses = Kernel(stack, QUICK).advance(stack.initial(), 10)
    expected = uncompiled(stack, 10)
    assert_same(stack, state, expected.state, 1e-7)
    torch.testing.assert_close(losses, expected.losses[-1], rtol=0, atol=1e-9)
