"""The bound's counts are what PyTorch sees the models do."""

from collections.abc import Callable
from typing import Any

import bound
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from semantica_lib.models import stack as models
from semantica_lib.models.dropout import Dropout
from semantica_lib.settings.catalogue import find, settings, xor_experiments
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.stacked import Stack

OTHERS = {
    "three layers, two heads": {"layers": 3, "heads": 2, "feedforward_size": 8},
    "one layer, four heads": {"heads": 4, "batch_size": 32},
    "dropout": {"layers": 2, "heads": 2, "dropout": 0.1},
    "one direction": {"architecture": "lstm", "layers": 2, "bidirectional": False},
    "one layer of an LSTM": {"architecture": "lstm", "zero_dst": [0.2, 0.4, 0.4], "bits": 4},
    "three layers of a mixer": {"architecture": "mixer", "layers": 3, "embedding_size": 6},
}
CASES = {name: find(name) for name in xor_experiments()} | {
    name: settings(values) for name, values in OTHERS.items()
}
all_cases = pytest.mark.parametrize("own", CASES.values(), ids=CASES.keys())


class Sums(TorchDispatchMode):
    """Counts the multiplications whose products are summed up over one of their dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds, self.products = 0, []

    def __torch_dispatch__(
        self, call: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = call(*args, **(kwargs or {}))
        if call is torch.ops.aten.mul.Tensor:
            self.products.append(result)
        if call is torch.ops.aten.sum.dim_IntList:
            self.multiply_adds += sum(args[0].numel() for one in self.products if one is args[0])
        return result


def forward(own: Settings) -> tuple[Tensor, Callable[[], Tensor]]:
    """Two trials' parameters, and what predicts from them as in a step of training."""
    stack = Stack(own, [0, 1], False)
    state = stack.initial()
    flat = state.flat.requires_grad_()
    strings = stack.task.splits["train"]
    if own.batch_size:
        strings = stack.task.shuffled(strings, own.batch_size, state.seeds, state.step)
    tokens = stack.task.draw(strings, state.seeds, state.step).tokens
    drop = None
    if own.dropout:
        drop = Dropout(own.dropout, state.seeds, state.step, stack.dropout_rows)
    return flat, lambda: stack.predict(stack.layout.views(flat), tokens, drop)[1]


@all_cases
def test_operations_are_those_that_a_step_does(own: Settings, monkeypatch: Any) -> None:
    """Those of the library's products both ways, those written as sums on the way forward: on the
    way back they cannot be told from the sums of other gradients."""
    monkeypatch.setattr(models, "FUSED", 0)  # the short products are the library's too
    _, predict = forward(own)
    products = list(bound.products(own))
    library = [one for one in products if not one.summed]
    with FlopCounterMode(display=False) as ahead, Sums() as sums:
        found = predict()
    with FlopCounterMode(display=False) as back:
        found.sum().backward()
    assert ahead.get_total_flops() == 2 * 2 * sum(one.multiply_adds for one in library)
    assert back.get_total_flops() == 2 * 2 * sum(
        one.gradients * one.multiply_adds for one in library
    )
    assert sums.multiply_adds == 2 * sum(one.multiply_adds for one in products if one.summed)
    both = sum(2 * one.multiply_adds * (1 + one.gradients) for one in products)
    assert bound.operations(own) == both


@all_cases
def test_no_more_is_kept_than_the_gradient_is_computed_from(own: Settings) -> None:
    flat, predict = forward(own)
    sizes = {}

    def note(kept: Tensor) -> Tensor:
        storage = kept.untyped_storage()
        if kept.is_floating_point() and storage.data_ptr() != flat.untyped_storage().data_ptr():
            sizes[storage.data_ptr()] = kept, storage.nbytes()  # held, so that no other is there
        return kept

    with saved_tensors_hooks(note, lambda kept: kept):
        predict()
    saved = sum(size for _, size in sizes.values())
    kept = bound.moved(own, 0) / 2  # once in, once out
    assert saved / 20 < 2 * kept <= saved


def test_the_main_experiment_s_bytes_are_these() -> None:
    """One layer over seven symbols, four features: by hand, of 114 strings and of the table."""
    own, strings = find("transformer-small"), 114
    attention, between, inner, end = 7, 4, 4, 4
    of_strings = strings * (attention + between + inner + end)
    of_table = 4 * 8 + 4 * 7 + 4 * 7  # queries and keys, values, and these after the last map
    parameters = 1000
    expected = 4 * (8 * parameters + 2 * (of_strings + of_table))
    assert bound.moved(own, parameters) == expected


def test_the_bound_is_the_slower_of_arithmetic_and_memory() -> None:
    assert bound.milliseconds(6e9, 1e9, 2e9, 1e9) == 3000
    assert bound.milliseconds(6e9, 8e9, 2e9, 1e9) == 8000
