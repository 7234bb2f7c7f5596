"""How much of a training the machine does at a time: so many trials of a stack, so many steps."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

S = TypeVar("S")  # a state: a dataclass of tensors


def in_chunks(
    step: Callable[..., tuple[Tensor, ...]], trials: int, most: int
) -> Callable[..., tuple[Tensor, ...]]:
    """The same step of a stack, done chunk by chunk: for so many of its trials at a time.

    Args:
        step: takes and returns tensors with a leading trial dimension, and the step's number last.
        trials: of the whole stack.
        most: trials of a chunk. All chunks have the same size, since each size is compiled anew:
            the last may begin with trials of the one before, which are left out of its results.
    """
    if trials <= most:
        return step
    size = min(range(most, (most - 1) // 2, -1), key=lambda size: -(-trials // size) * size)
    starts = [*range(0, trials - size, size), trials - size]
    rest = trials - size * (len(starts) - 1)

    def call(*arguments: Tensor) -> tuple[Tensor, ...]:
        *each, done = arguments
        results = [step(*(own[start : start + size] for own in each), done) for start in starts]
        *columns, numbers = zip(*results, strict=True)
        return *(torch.cat([*some, last[-rest:]]) for *some, last in columns), numbers[0]

    return call


def steps_a_launch(device: str) -> int:
    """How many steps are one launch where nothing is recorded between them."""
    return 1 if device == "cpu" else 100


def launched(step: Callable[[S], S], steps: int, device: str) -> Callable[[S], S]:
    """So many steps as one call.

    On a GPU they are captured at the first call as a graph of kernels, which the device runs
    through without being told of each. The next call overwrites the state that is returned.

    Args:
        step: one step of a state, a dataclass of tensors; on a GPU it must not wait for the device.
    """
    if not device.startswith("cuda"):

        def repeated(state: S) -> S:
            for _ in range(steps):
                state = step(state)
            return state

        return repeated

    graph, held = torch.cuda.CUDAGraph(), None

    def replayed(state: S) -> S:
        nonlocal held
        if held is None:
            held = type(state)(*(value.clone() for value in vars(state).values()))
            _capture(graph, step, held, steps)
        _copy(held, state)
        graph.replay()
        return held

    return replayed


def _capture(graph: "torch.cuda.CUDAGraph", step: Callable[[S], S], held: S, steps: int) -> None:
    """Record the kernels of so many steps of ``held``, which end in ``held`` itself."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):  # compiling and first allocations are no part of the graph
            step(held)
    torch.cuda.current_stream().wait_stream(aside)
    with torch.cuda.graph(graph):
        state = held
        for _ in range(steps):
            state = step(state)
        _copy(held, state)


def _copy(target: S, source: S) -> None:
    for own, given in zip(vars(target).values(), vars(source).values(), strict=True):
        if own is not given:
            own.copy_(given)
