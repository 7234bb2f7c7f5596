"""The XOR task: which symbol stood at the masked place of a bit string?

A string of ``bits`` bits is followed by its parity. Each bit is written as one of its synonyms,
drawn anew at every step; one bit's place is masked; the target is the *symbol* that stood there.
With two synonyms a bit (ids 0, 1 mean bit 0; 2, 3 mean bit 1; 4, 5 parity even, odd; 6 the mask)::

    bits      1 0 0 1 1 0 1      parity even
    written   2 1 1 3 2 0 3  4
    masked    2 1 6 3 2 0 3  4   target 1

The other bits and the parity fix the masked bit, so its meaning is certain and only the choice of
synonym is not (Bertolotti & Cazzola 2024, the XOR experiments).
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import torch
from torch import Tensor

from semantica_lib.datasets import streams
from semantica_lib.datasets.contexts import SPLITS, Population, in_order, without_order
from semantica_lib.settings.xor import Settings, training_strings


@dataclass(frozen=True)
class Batch:
    """Masked sequences: ``tokens`` ``(trial, token, batch)`` and ``target`` ``(trial, batch)``."""

    tokens: Tensor
    target: Tensor


@dataclass(frozen=True)
class XorTask:
    """Strings, splits and sampling of one XOR problem.

    With probability ``near_synonym`` the last symbol of each bit lies: it is written as the last
    one of the other bit.
    """

    bits: int  # length of the strings
    zero_dst: tuple[float, ...]  # probabilities of the synonyms of bit 0
    one_dst: tuple[float, ...]  # and of bit 1
    data_seed: int  # chooses the split, nothing else
    near_synonym: float = 0.0
    odds: str = "constant"  # or what becomes of them in strings of odd parity, where no symbol lies

    @property
    def symbols(self) -> int:
        """How many symbols stand for bits; they have the lowest ids, those of bit 0 first."""
        return len(self.zero_dst) + len(self.one_dst)

    @property
    def parity(self) -> int:
        """Id of the symbol for even parity; odd is the next."""
        return self.symbols

    @property
    def mask(self) -> int:
        return self.symbols + 2

    @property
    def vocabulary(self) -> int:
        return self.symbols + 3

    @property
    def probability(self) -> tuple[float, ...]:
        """Probability of each bit symbol, given its bit, over all strings."""
        return tuple(sum(own) / len(own) for own in zip(*self.halves, strict=True))

    @property
    def halves(self) -> tuple[tuple[float, ...], ...]:
        """The same; where odds turn in strings of even parity, then in those of odd parity."""
        pairs = zip(self.dsts[::2], self.dsts[1::2], strict=True)
        return tuple(zero + one for zero, one in pairs)

    @property
    def dsts(self) -> tuple[tuple[float, ...], ...]:
        """Distributions of bit 0 and bit 1; where odds turn, then those in strings of odd parity.

        Any other feature that a context shows would do: the parity all encoders see, and of the
        strings with a certain bit at a certain place half have each, so that over all of them
        turned odds leave equal shares.
        """
        own = self.zero_dst, self.one_dst
        if self.odds == "constant":
            return own
        from semantica_lib.datasets.odds import turned  # most tasks need none

        return own + tuple(turned(dst, self.odds) for dst in own)

    @property
    def written(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Probability of every bit symbol where the bit is 0, and where it is 1."""
        zero = [*self.zero_dst, *(0.0 for _ in self.one_dst)]
        one = [*(0.0 for _ in self.zero_dst), *self.one_dst]
        lies, last_zero, last_one = self.near_synonym, len(self.zero_dst) - 1, self.symbols - 1
        for row, own, other in ((zero, last_zero, last_one), (one, last_one, last_zero)):
            row[own], row[other] = row[own] * (1 - lies), row[own] * lies
        return tuple(zero), tuple(one)

    def thresholds(self, lying: bool) -> list[list[int]]:
        """Where a uniform 32-bit word passes from symbol to symbol, ``[distribution][threshold]``.

        A word chooses the symbol whose number is how many thresholds it reaches, counted from the
        first of all symbols; where none is ``lying``, from the first of the bit's own, of which
        there are fewer.
        """
        if lying:
            return [_thresholds(dst) for dst in self.written]
        rows = [_thresholds(dst) for dst in self.dsts]
        most = max(map(len, rows))
        return [row + [streams.WORD] * (most - len(row)) for row in rows]  # which none reaches

    @property
    def synonyms(self) -> list[tuple[int, int]]:
        """Every two symbols of one bit, also those that never occur."""
        first = len(self.zero_dst)
        of_bit = range(first), range(first, self.symbols)
        return [pair for symbols in of_bit for pair in combinations(symbols, 2)]

    @cached_property
    def splits(self) -> dict[str, Tensor]:
        """Disjoint sets of strings, ``(string, bit)`` int64; ``exact`` holds all of them.

        The original shuffles all strings but the one of ones, which it leaves out, by Python's
        ``random`` and takes nine tenths, one tenth and the rest. The same is done here, so that
        training and validation have the original's strings, and the one left out joins the test.
        """
        shuffled = list(range(2**self.bits - 1))
        random.Random(self.data_seed).shuffle(shuffled)
        train, validation = training_strings(self.bits), max(1, len(shuffled) // 10)
        number = torch.tensor([*shuffled, 2**self.bits - 1])
        strings = (number[:, None] >> torch.arange(self.bits - 1, -1, -1)) & 1
        parts = strings.tensor_split((train, train + validation))
        return dict(zip(SPLITS, (*parts, strings), strict=True))

    def shuffled(self, strings: Tensor, size: int, seeds: Tensor, step: Tensor) -> Tensor:
        """The strings of each trial's batch at this step, ``(trial, size, bit)``.

        Every trial goes through the strings in an order of its own, anew in each pass; those that
        fill no batch at a pass's end are left out of it.

        Args:
            strings: ``(string, bit)`` int64.
            seeds: ``(trial,)`` int64.
            step: 0-d int64.
        """
        batches = len(strings) // size
        (word,) = streams.words(seeds, streams.SHUFFLE, step // batches, _numbers(strings), 1)
        first = step % batches * size
        chosen = word.argsort(1).gather(
            1, (first + torch.arange(size, device=word.device)).expand(len(word), -1)
        )
        return strings[chosen]

    def draw(
        self, strings: Tensor, seeds: Tensor, step: Tensor, thresholds: Tensor | None = None
    ) -> Batch:
        """One masked writing of each string for each trial at this step.

        A pure function of seed, step and string: the other strings of the batch do not matter.

        Args:
            strings: ``(batch, bit)`` int64, or ``(trial, batch, bit)``: each trial's own.
            seeds, step: as in :meth:`shuffled`.
            thresholds: ``(trial, distribution, threshold)``, where trials have their own.
        """
        if thresholds is None:  # numbers are faster than tensors
            limits = list(zip(*self.thresholds(self.near_synonym > 0), strict=True))
        else:
            limits = [limit.unbind(1) for limit in thresholds[..., None].unbind(2)]
        odd = strings.sum(-1) & 1
        if self.odds != "constant":
            limits = [
                [torch.where(odd == 0, *two) for two in (own[::2], own[1::2])] for own in limits
            ]
        first = 0 if len(limits) == self.symbols - 1 else len(self.zero_dst)
        number = _numbers(strings)
        *drawn, place = streams.words(seeds, streams.TRAINING, step, number, self.bits + 1)
        masked = (place * self.bits) >> 32  # uniform on the places, exact to 2^-32
        parity = odd + self.parity
        tokens, target = [], torch.zeros_like(masked)
        for place_, word in enumerate(drawn):
            bit = strings[..., place_]
            symbol = (first * bit).expand_as(word)
            for zero, one in limits:
                symbol = symbol + (word >= torch.where(bit == 0, zero, one)).long()
            hidden = masked == place_
            target = torch.where(hidden, symbol, target)
            tokens.append(torch.where(hidden, self.mask, symbol))
        tokens.append(parity.expand_as(masked))
        return Batch(torch.stack(tokens, 1), target)

    def ceiling(self, split: str) -> tuple[float, float]:
        """Best attainable accuracy and least cross-entropy (nats) on a split, by enumeration.

        Where no symbol lies and no odds turn the masked bit is certain, so the best guess is its
        likelier synonym and the least loss is the entropy of its distribution. Otherwise they are
        those of a model that sees how many of each symbol there are, not their order.
        """
        if self.near_synonym or self.odds != "constant":
            joint = self.population.joint[SPLITS.index(split)]  # (symbol, case)
            share = joint / joint.sum(0)
            return joint.amax(0).sum().item(), -torch.xlogy(joint, share).nansum().item()
        ones = self.splits[split].double().mean().item()
        weights = ((1 - ones, self.zero_dst), (ones, self.one_dst))
        accuracy = sum(weight * max(dst) for weight, dst in weights)
        entropy = sum(-w * p * math.log(p) for w, dst in weights for p in dst if p > 0)
        return accuracy, entropy

    @cached_property
    def population(self) -> Population:
        """The contexts of an encoder that does not see the order of its tokens."""
        return self._whole(lambda one, splits: without_order(splits, one.written))

    @cached_property
    def contexts(self) -> Population:
        """The contexts of an encoder that sees the order of its tokens; no symbol lies in them."""
        return self._whole(lambda one, splits: in_order(splits, *one.dsts))

    def _whole(self, contexts: "Callable[[XorTask, dict[str, Tensor]], Population]") -> Population:
        """All contexts, by a function that gives those of strings in which odds are constant."""
        if self.odds == "constant":
            return contexts(self, self.splits)
        from semantica_lib.datasets.odds import by_parity  # most tasks need none

        return by_parity(self, contexts)


def _numbers(strings: Tensor) -> Tensor:
    """Each string's number, ``(..., bit)`` to ``(...)``."""
    return sum(bit << power for power, bit in enumerate(strings.unbind(-1)))


def _thresholds(dst: tuple[float, ...]) -> list[int]:
    """Where a uniform 32-bit word passes from one synonym to the next."""
    total, result = 0.0, []
    for probability in dst[:-1]:
        total += probability
        result.append(round(total / sum(dst) * streams.WORD))
    return result


@lru_cache  # with what was enumerated of it
def xor_task(own: Settings) -> XorTask:
    """The task that the settings describe."""
    near = own.near_synonym or 0.0
    return XorTask(own.bits, own.zero_dst, own.one_dst, own.data_seed, near, own.odds)
