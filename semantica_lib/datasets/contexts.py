"""All contexts of the XOR task with their exact probabilities: whole splits, where none is drawn.

A context is what an encoder sees of a masked string: the other symbols, the mask and the parity.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SPLITS = ("train", "validation", "test", "exact")  # exact: all strings


@dataclass(frozen=True)
class Expectation:
    """A whole split in the place of a batch: each context once, and how probable it is that it is
    shown and hides a symbol."""

    tokens: Tensor  # (1, token, case)
    joint: Tensor  # (symbol, case); (trial, symbol, case) where trials have their own distributions

    def to(self, device: str, dtype: torch.dtype) -> "Expectation":
        return Expectation(self.tokens.to(device), self.joint.to(device, dtype))


@dataclass(frozen=True)
class Population:
    """Every context that an encoder can tell from the others, and the probability that a masked
    string of a split shows it and hides a symbol."""

    tokens: Tensor  # (token, case)
    joint: Tensor  # (split, symbol, case)

    def to(self, device: str) -> "Population":
        return Population(self.tokens.to(device), self.joint.to(device))

    def expectation(self, split: str) -> Expectation:
        """The contexts that occur in a split."""
        joint = self.joint[SPLITS.index(split)]
        occur = joint.sum(0) > 0
        return Expectation(self.tokens[None, :, occur], joint[:, occur])

    @classmethod
    def of_all(cls, populations: Sequence["Population"]) -> "Population":
        """The contexts of any of them; ``joint`` is ``(population, split, symbol, case)``."""
        first, *others = populations
        if all(torch.equal(one.tokens, first.tokens) for one in others):
            return cls(first.tokens, torch.stack([one.joint for one in populations]))
        tokens, place = torch.cat([one.tokens for one in populations], 1).unique(
            dim=1, return_inverse=True
        )
        joint = first.joint.new_zeros(len(populations), *first.joint.shape[:2], tokens.shape[1])
        places = place.split([one.tokens.shape[1] for one in populations])
        for own, one, where in zip(joint, populations, places, strict=True):
            own[:, :, where] = one.joint
        return cls(tokens, joint)


def without_order(splits: Mapping[str, Tensor], written: Sequence[Sequence[float]]) -> Population:
    """The contexts of an encoder that sees how many of each symbol there are, not their order.

    Args:
        splits: strings ``(string, bit)`` by the names in ``SPLITS``.
        written: probability of every bit symbol where the bit is 0, and where it is 1.
    """
    symbols, given = len(written[0]), torch.tensor(written, dtype=torch.float64)
    joint: dict[tuple[int, ...], Tensor] = {}
    for index, split in enumerate(SPLITS):
        kinds = _kinds(splits[split])
        total = sum(kinds.values())
        for (zeros, ones, bit), times in kinds.items():
            parity = symbols + (ones + bit) % 2
            for low, p in _multisets(zeros, written[0]):
                for high, q in _multisets(ones, written[1]):
                    context = (*sorted(low + high), symbols + 2, parity)
                    none = torch.zeros(len(SPLITS), symbols + 3, dtype=torch.float64)
                    cell = joint.setdefault(context, none)
                    cell[index, :symbols] += times / total * (p * q) * given[bit]
    cases = sorted(joint)
    return Population(
        torch.tensor(cases).T.contiguous(), torch.stack([joint[case] for case in cases], 2)
    )


def _kinds(strings: Tensor) -> Counter[tuple[int, int, int]]:
    """How many masked strings have so many zeros and ones beside the mask, and this bit there."""
    bits, kinds = strings.shape[1], Counter[tuple[int, int, int]]()
    for ones, times in Counter(strings.sum(1).tolist()).items():
        kinds[bits - ones - 1, ones, 0] += times * (bits - ones)
        kinds[bits - ones, ones - 1, 1] += times * ones
    return +kinds  # without those that there are none of


def _multisets(draws: int, dst: Sequence[float]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every outcome of ``draws`` draws regardless of order, with its multinomial probability."""
    if len(dst) == 1:
        yield (0,) * draws, dst[0] ** draws
        return
    for first in range(draws + 1):
        share = math.comb(draws, first) * dst[0] ** first
        for rest, probability in _multisets(draws - first, dst[1:]):
            if share * probability > 0:
                yield (0,) * first + tuple(symbol + 1 for symbol in rest), share * probability


def in_order(splits: Mapping[str, Tensor], *dsts: Sequence[float]) -> Population:
    """The contexts of an encoder that sees the order of its tokens.

    A context (the other symbols, the masked place, the parity) belongs to one string, since the
    others and the parity fix the masked bit: those of held-out strings occur in no other.

    Args:
        splits: strings ``(string, bit)`` by the names in ``SPLITS``.
        dsts: probabilities of the synonyms of bit 0 and of bit 1, of which none lies.
    """
    bits, zeros, symbols = splits["exact"].shape[1], len(dsts[0]), sum(map(len, dsts))
    hidden = torch.zeros(2, symbols + 3, dtype=torch.float64)  # symbols, given the bit
    hidden[0, :zeros], hidden[1, zeros:symbols] = map(hidden.new_tensor, dsts)
    probability = hidden.sum(0)
    beside = torch.cartesian_prod(*[probability.nonzero()[:, 0]] * (bits - 1))
    beside = beside.reshape(-1, bits - 1)
    bit = (beside >= zeros).long()
    written = probability[beside].prod(1)
    power = 2 ** torch.arange(bits - 1, -1, -1)
    share = torch.zeros(len(SPLITS), 2**bits, dtype=torch.float64)  # of each string
    for row, split in zip(share, SPLITS, strict=True):
        row[splits[split] @ power] = 1 / max(1, len(splits[split]))
    tokens, joint = [], []
    for place in range(bits):
        for parity in (0, 1):
            masked = (bit.sum(1) + parity) % 2
            string = torch.cat([bit[:, :place], masked[:, None], bit[:, place:]], 1) @ power
            weight = share[:, string] * written / bits  # (split, case)
            joint.append(weight[:, None] * hidden[masked].T)
            mask, last = (torch.full_like(string, s) for s in (symbols + 2, symbols + parity))
            tokens.append(torch.stack([*beside[:, :place].T, mask, *beside[:, place:].T, last]))
    return Population(torch.cat(tokens, 1), torch.cat(joint, 2))
