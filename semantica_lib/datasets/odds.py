"""Odds of synonyms that turn with the parity of the string, a feature that every context shows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from semantica_lib.datasets.contexts import SPLITS, Population

Task = TypeVar("Task", bound=Any)  # an XorTask, which imports this


def turned(dst: tuple[float, ...], odds: str) -> tuple[float, ...]:
    """The distribution of a bit's synonyms in strings of odd parity, of one in those of even.

    Args:
        odds: ``turning``, the other way round: of two synonyms both are as frequent over all
            strings, and their log-odds are as large in every context, but of either sign;
            ``both``, even: their log-odds are half a constant and half what turns.
    """
    return dst[::-1] if odds == "turning" else (1 / len(dst),) * len(dst)


def by_parity(task: Task, contexts: Callable[[Task, dict[str, Tensor]], Population]) -> Population:
    """All contexts of a task whose odds turn: those of even strings, then those of odd ones.

    In each half the odds are constant, and no context is in both, since it shows the parity.

    Args:
        contexts: of a task with constant odds and strings ``(string, bit)`` by split.
    """
    tokens, joint = [], []
    for parity in (0, 1):
        zero, one = task.dsts[2 * parity : 2 * parity + 2]
        constant = replace(task, odds="constant", zero_dst=zero, one_dst=one)
        own = {name: some[some.sum(1) % 2 == parity] for name, some in task.splits.items()}
        sizes = [[len(some[name]) for name in SPLITS] for some in (own, task.splits)]
        share, whole = torch.tensor(sizes, dtype=torch.float64)
        half = contexts(constant, own)
        shown = half.tokens[-1] == task.parity + parity
        tokens.append(half.tokens[:, shown])
        joint.append(half.joint[..., shown] * (share / whole)[:, None, None])
    return Population(torch.cat(tokens, 1), torch.cat(joint, 2))
