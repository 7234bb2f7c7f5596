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


def _multiply(multiplier: int, word: Tensor) -> tuple[Tensor, Tensor]:
    """High and low half of the 64-bit product of two 32-bit words.

    The multiplier less 2^32 keeps the product inside a signed 64-bit number; the word itself,
    added to the high half, puts the difference back.
    """
    product = word * (multiplier - WORD)
    return (product >> 32) + word, product & (WORD - 1)


def philox(counter: tuple[Tensor, ...], key: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Four random words for four counter words and two key words (int64, broadcast together)."""
    a, b, c, d = counter
    left, right = key
    for _ in range(_ROUNDS):
        high_a, low_a = _multiply(_MULTIPLIERS[0], a)
        high_c, low_c = _multiply(_MULTIPLIERS[1], c)
        a, b, c, d = high_c ^ b ^ left, low_c, high_a ^ d ^ right, low_a
        left, right = (left + _WEYL[0]) & (WORD - 1), (right + _WEYL[1]) & (WORD - 1)
    return a, b, c, d


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
    key = (seeds[:, None], torch.full_like(seeds, stream)[:, None])
    result: list[Tensor] = []
    for block in range(-(-columns // 4)):
        counter = (rows, zero + block, zero + (step & (WORD - 1)), zero + (step >> 32))
        result.extend(philox(counter, key))
    return result[:columns]
