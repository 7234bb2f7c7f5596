"""Training a stack of XOR trials step by step, with records, measurements and checkpoints."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from semantica_lib.trainers.engines import Engine, engine
from semantica_lib.trainers.history import History
from semantica_lib.trainers.measuring import record, until_due
from semantica_lib.trainers.reporting import Report
from semantica_lib.trainers.stacked import NEVER, Stack, State


def train(
    stack: Stack,
    steps: int,
    start: dict[str, Tensor] | None,
    keep: Callable[[dict[str, Tensor]], None],
    going_on: Callable[[int], bool] = lambda step: True,
    chosen: Engine | None = None,
) -> bool:
    """Train a stack to ``steps``, from a checkpoint's tensors or from the beginning.

    Args:
        keep: stores the tensors of a checkpoint: called once a minute and at the end.
        going_on: told the step now and then; answering False stops the training, with a checkpoint.
        chosen: what computes the steps; the fastest there is, if it is not said.

    Returns:
        Whether ``steps`` was reached.
    """
    state, history = stack.initial(), History(start or {})
    if start is not None:
        start = {"stopped": state.stopped, **start}  # one of an earlier version lacks it
        state = State(**{name: start[name].to(stack.device) for name in vars(state)})
        if "gaps" not in start:  # a checkpoint of an earlier version
            none = torch.full((len(stack.seeds), len(stack.task.synonyms), 3), math.nan)
            history.series["gaps"] = [none] * len(history.series["measured_steps"])
    step = int(state.step)
    record(stack, state, step, steps, history)
    chosen = chosen or engine(stack, steps)
    report = Report(lambda: keep({**vars(state), **history.tensors()}), going_on)
    going = True
    while step < steps:
        due = until_due(stack.settings, step, steps)
        count = min(chosen.most, due) if going else due
        # where all trials have diverged there is nothing left to do but to count
        state = chosen.advance(state, count) if going else replace(state, step=state.step + count)
        step += count
        if count == due:
            record(stack, state, step, steps, history)
            going = bool((state.stopped == NEVER).any())
        if report.stops(step):
            break
    report.end(step)
    return step >= steps
