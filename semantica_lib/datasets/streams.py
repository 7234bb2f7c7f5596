"""Random numbers by counter: each is a pure function of (seed, stream, step, place), no state.

So what a trial draws depends neither on the other trials of its stack, nor on resuming, nor on the
device. The function is Philox4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random
numbers: as easy as 1, 2, 3", SC 2011).
"""

import torch
from torch import Tensor

# Streams: one purpose each, never shared. Dropout has the rest, one for each place where it drops.
TRAINING, SHUFFLE, DROPOUT = range(3)

WORD = 2**32  # words are whole numbers in [0, WORD), held in int64
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counter: tuple[Tensor, ...], key: tuple[Tensor | int, ...]) -> tuple[Tensor, ...]:
    """Four random words for four counter words and two key words (int64, broadcast together).

    A multiplier less 2^32 keeps a product inside a signed 64-bit number; the word, added to the
    high half, puts the difference back. What is too high for a word is cut off before a product.
    """
    (a, b, c, d), (left, right) = counter, key
    for _ in range(_ROUNDS):
        one, other = a * (_MULTIPLIERS[0] - WORD), c * (_MULTIPLIERS[1] - WORD)
        high_a, high_c = (one >> 32) + a, (other >> 32) + c
        a, c = (high_c ^ b ^ left) & (WORD - 1), (high_a ^ d ^ right) & (WORD - 1)
        b, d = other, one
        left, right = left + _WEYL[0], right + _WEYL[1]
    return a, b & (WORD - 1), c, d & (WORD - 1)


def words(seeds: Tensor, stream: int, step: Tensor, rows: Tensor, columns: int) -> list[Tensor]:
    """Independent random words for every trial at one step.

    In a compiled function the rows must be data, not a ``torch.arange`` made there: where PyTorch
    2.13 multiplies the latter by a constant that fits a signed 32-bit int, as here, it multiplies
    its lanes as such ints, though they are int64. That is wrong, as measured, from a magnitude of
    2**28 on with AVX-512 (eight lanes), of 2**29 on with AVX2 (four).

    Args:
        seeds: ``(trial,)`` int64, each in ``[0, 2**32)``.
        stream: the purpose of the words, such as ``TRAINING``.
        step: 0-d int64.
        rows: ``(row,)`` int64, what tells the rows apart, each in ``[0, 2**32)``; or each trial's
            own, ``(trial, row)``.
        columns: how many words each row needs.

    Returns:
        ``columns`` tensors of shape ``(trial, row)``, int64, uniform on ``[0, 2**32)``.
    """
    zero = torch.zeros_like(rows)
    result: list[Tensor] = []
    for block in range(-(-columns // 4)):
        counter = (rows, zero + block, zero + (step & (WORD - 1)), zero + (step >> 32))
        result.extend(philox(counter, (seeds[:, None], stream)))
    return result[:columns]
