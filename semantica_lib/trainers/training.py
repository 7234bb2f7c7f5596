"""Training a stack of XOR trials step by step, with records, measurements and checkpoints."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from semantica_lib.datasets.xor import SPLITS
from semantica_lib.trainers.history import History
from semantica_lib.trainers.launching import launched, steps_a_launch
from semantica_lib.trainers.stacked import Stack, State

KEEP_SECONDS, TELL_SECONDS = 50.0, 0.2  # between checkpoints, and between words about progress


def train(
    stack: Stack,
    steps: int,
    start: dict[str, Tensor] | None,
    keep: Callable[[dict[str, Tensor]], None],
    going_on: Callable[[int], bool] = lambda step: True,
) -> bool:
    """Train a stack to ``steps``, from a checkpoint's tensors or from the beginning.

    Args:
        keep: stores the tensors of a checkpoint: called once a minute and at the end.
        going_on: told the step now and then; answering False stops the training, with a checkpoint.

    Returns:
        Whether ``steps`` was reached.
    """
    own, state, history = stack.settings, stack.initial(), History(start or {})
    if start is not None:
        state = State(**{name: start[name].to(stack.device) for name in vars(state)})
        if "gaps" not in start:  # a checkpoint of an earlier version
            none = torch.full((len(stack.seeds), len(stack.task.synonyms), 3), math.nan)
            history.series["gaps"] = [none] * len(history.series["measured_steps"])
    step = int(state.step)

    def checkpoint() -> None:
        keep({**vars(state), **history.tensors()})

    def due(every: int | None, series: str) -> bool:
        seen = history.series[series]
        now = every and (step % every == 0 or step == steps)
        return bool(now and (not seen or seen[-1] < step))

    def observe() -> None:
        if due(own.record_every, "record_steps"):
            tables = torch.stack(stack.tables(state), 1).float()
            history.add(record_steps=state.step, tables=tables)
        if due(own.validate_every, "measured_steps"):
            measured, norms, gaps = stack.measure(state)
            history.add(
                measured_steps=state.step, measured=measured, norms=norms.float(),
                gaps=gaps.float(),
            )  # fmt: skip
            if own.keep_best:
                loss = measured[SPLITS.index("validation"), 1]
                history.improve(loss, state.flat, state.step)
        if due(own.keep_every, "kept_steps"):
            history.add(kept_steps=state.step, kept=state.flat)
        seen = history.series["gradient_steps"]
        if step & (step - 1) == 0 and (not seen or seen[-1] < step):  # 0 or a power of 2
            pulls = stack.table_gradient(state).float()
            history.add(gradient_steps=state.step, gradients=pulls)

    def until_due() -> int:
        every = own.record_every, own.validate_every, own.keep_every, steps
        return min(2 ** step.bit_length() - step, *(e - step % e for e in every if e))

    observe()
    advance = stack.stepper(steps)
    many = steps_a_launch(stack.device)
    launch = launched(lambda state: advance(state)[0], many, stack.device)
    told = kept = time.monotonic()
    while step < steps:
        if until_due() < many:
            (state, _), step = advance(state), step + 1
        else:
            state, step = launch(state), step + many
        observe()
        now = time.monotonic()
        if now - told > TELL_SECONDS:
            told = now
            if not going_on(step):
                break
        if now - kept > KEEP_SECONDS:
            checkpoint()
            kept = time.monotonic()
    checkpoint()
    going_on(step)
    return step >= steps
