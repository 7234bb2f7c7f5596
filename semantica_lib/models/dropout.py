"""Dropout by counter: which numbers are dropped is a function of trial, step and place alone."""

import torch
from torch import Tensor

from semantica_lib.datasets import streams


class Dropout:
    """The dropout of one step: each call is another place of the model where it drops.

    Args:
        share: of the numbers that are dropped; the others grow to make up for it.
        seeds: ``(trial,)`` int64.
        step: 0-d int64.
        rows: ``(row,)``, 0, 1, ..., one for every four numbers of a trial that one call may drop
            from (in a compiled function they must be data, see :func:`streams.words`).
    """

    def __init__(self, share: float, seeds: Tensor, step: Tensor, rows: Tensor) -> None:
        self.share, self.seeds, self.step, self.rows = share, seeds, step, rows
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        """``(trial, ...)`` with some of its numbers dropped."""
        rows = self.rows[: -(-x[0].numel() // 4)]
        words = streams.words(self.seeds, streams.DROPOUT + self.calls, self.step, rows, 4)
        self.calls += 1
        word = torch.stack(words, 2).flatten(1)[:, : x[0].numel()].view(x.shape)
        return torch.where(word >= round(self.share * streams.WORD), x / (1 - self.share), 0)
