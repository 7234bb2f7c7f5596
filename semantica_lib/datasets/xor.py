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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from semantica_lib.datasets import streams
from semantica_lib.settings.xor import training_strings

SPLITS = ("train", "validation", "test", "exact")  # exact: all strings


@dataclass(frozen=True)
class Batch:
    """Masked sequences: ``tokens`` ``(trial, token, batch)`` and ``target`` ``(trial, batch)``."""

    tokens: Tensor
    target: Tensor


@dataclass(frozen=True)
class Population:
    """Every context that an encoder can tell from the others, with its exact probability.

    ``tokens`` is ``(token, case)``; ``joint`` is ``(split, symbol, case)``: the probability that a
    masked string of that split shows this context and hides this symbol.
    """

    tokens: Tensor
    joint: Tensor

    def expectation(self, split: str) -> "Expectation":
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


@dataclass(frozen=True)
class Expectation:
    """A whole split in the place of a batch: ``tokens`` ``(1, token, case)``, each context once,
    and ``joint`` ``(symbol, case)``, how probable it is that it is shown and hides this symbol; or
    ``(trial, symbol, case)``, where trials have distributions of their own."""

    tokens: Tensor
    joint: Tensor

    def to(self, device: str, dtype: torch.dtype) -> "Expectation":
        return Expectation(self.tokens.to(device), self.joint.to(device, dtype))


@dataclass(frozen=True)
class XorTask:
    """Strings, splits and sampling of one XOR problem.

    Args:
        bits: length of the strings.
        zero_dst, one_dst: probabilities of the synonyms of bit 0 and of bit 1.
        data_seed: chooses the split, nothing else.
        near_synonym: how often the last symbol of each bit lies: with this probability it is
            written as the last symbol of the other bit.
    """

    bits: int
    zero_dst: tuple[float, ...]
    one_dst: tuple[float, ...]
    data_seed: int
    near_synonym: float = 0.0

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
        """Probability of each bit symbol, given its bit."""
        return self.zero_dst + self.one_dst

    @property
    def written(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Probability of every bit symbol where the bit is 0, and where it is 1."""
        zero = [*self.zero_dst, *(0.0 for _ in self.one_dst)]
        one = [*(0.0 for _ in self.zero_dst), *self.one_dst]
        last = len(self.zero_dst) - 1, self.symbols - 1
        for row, own, other in ((zero, *last), (one, *reversed(last))):
            row[own], row[other] = (
                row[own] * (1 - self.near_synonym), row[own] * self.near_synonym,
            )  # fmt: skip
        return tuple(zero), tuple(one)

    def thresholds(self, lying: bool) -> list[list[int]]:
        """Where a uniform 32-bit word passes from symbol to symbol, ``[bit][threshold]``.

        A word chooses the symbol whose number is how many thresholds it reaches, counted from the
        first of all symbols; where none is ``lying``, from the first of the bit's own, of which
        there are fewer.
        """
        if lying:
            return [_thresholds(dst) for dst in self.written]
        most, rows = max(len(self.zero_dst), len(self.one_dst)) - 1, []
        for dst in (self.zero_dst, self.one_dst):
            own = _thresholds(dst)
            rows.append(own + [streams.WORD] * (most - len(own)))  # which no word reaches
        return rows

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
        return {
            "train": strings[:train],
            "validation": strings[train : train + validation],
            "test": strings[train + validation :],
            "exact": strings,
        }

    def shuffled(self, strings: Tensor, size: int, seeds: Tensor, step: Tensor) -> Tensor:
        """The strings of each trial's batch at this step, ``(trial, size, bit)``.

        Every trial goes through the strings in an order of its own, anew in each pass; those that
        fill no batch at a pass's end are left out of it.

        Args:
            strings: ``(string, bit)`` int64.
            size: strings a batch.
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
            seeds: ``(trial,)`` int64.
            step: 0-d int64.
            thresholds: ``(trial, bit, threshold)``, where trials have distributions of their own.
        """
        if thresholds is None:  # numbers are faster than tensors
            limits = list(zip(*self.thresholds(self.near_synonym > 0), strict=True))
        else:
            limits = [limit.unbind(1) for limit in thresholds[..., None].unbind(2)]
        first = 0 if len(limits) == self.symbols - 1 else len(self.zero_dst)
        number = _numbers(strings)
        *drawn, place = streams.words(seeds, streams.TRAINING, step, number, self.bits + 1)
        masked = (place * self.bits) >> 32  # uniform on the places, exact to 2^-32
        parity = (strings.sum(-1) & 1) + self.parity
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

        Where no symbol lies the masked bit is certain, so the best guess is its likelier synonym
        and the least loss is the entropy of its distribution. Otherwise they are those of a model
        that sees how many of each symbol there are, not their order.
        """
        if self.near_synonym:
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
        """The enumerated contexts of an encoder that does not see the order of its tokens."""
        joint: dict[tuple[int, ...], Tensor] = {}
        written = torch.tensor(self.written, dtype=torch.float64)
        for split_index, split in enumerate(SPLITS):
            strings = self.splits[split]
            kinds = Counter()  # (zeros beside the mask, ones beside it, masked bit) -> how often
            for ones, times in Counter(strings.sum(1).tolist()).items():
                kinds[self.bits - ones - 1, ones, 0] += times * (self.bits - ones)
                kinds[self.bits - ones, ones - 1, 1] += times * ones
            total = sum(kinds.values())
            for (zeros, ones, bit), times in kinds.items():
                if not times:
                    continue
                parity = self.parity + (ones + bit) % 2
                for symbols, probability in self._writings(zeros, ones):
                    context = (*symbols, self.mask, parity)
                    cell = joint.setdefault(
                        context, torch.zeros(len(SPLITS), self.vocabulary, dtype=torch.float64)
                    )
                    cell[split_index, : self.symbols] += times / total * probability * written[bit]
        tokens = torch.tensor(sorted(joint)).T.contiguous()
        return Population(tokens, torch.stack([joint[case] for case in sorted(joint)], 2))

    @cached_property
    def contexts(self) -> Population:
        """The enumerated contexts of an encoder that sees the order of its tokens.

        A context (the other symbols, the masked place, the parity) belongs to one string, since the
        others and the parity fix the masked bit: those of held-out strings occur in no other. Of
        symbols that lie there are none here, for then they fix nothing.
        """
        occurring = torch.tensor([s for s, p in enumerate(self.probability) if p > 0])
        beside = torch.cartesian_prod(*[occurring] * (self.bits - 1)).reshape(-1, self.bits - 1)
        bit = (beside >= len(self.zero_dst)).long()
        written = torch.tensor(self.probability, dtype=torch.float64)[beside].prod(1)
        share = torch.zeros(len(SPLITS), 2**self.bits, dtype=torch.float64)  # of each string
        power = 2 ** torch.arange(self.bits - 1, -1, -1)
        for row, split in zip(share, SPLITS, strict=True):
            row[self.splits[split] @ power] = 1 / len(self.splits[split])
        hidden = torch.zeros(2, self.vocabulary, dtype=torch.float64)  # symbols, given the bit
        for row, start, dst in zip(
            hidden, (0, len(self.zero_dst)), (self.zero_dst, self.one_dst), strict=True
        ):
            row[start : start + len(dst)] = torch.tensor(dst, dtype=torch.float64)
        tokens, joint = [], []
        for place in range(self.bits):
            for parity in (0, 1):
                masked = (bit.sum(1) + parity) % 2
                string = torch.cat([bit[:, :place], masked[:, None], bit[:, place:]], 1) @ power
                weight = share[:, string] * written / self.bits  # (split, case)
                joint.append(weight[:, None] * hidden[masked].T)
                mask, last = (torch.full_like(string, s) for s in (self.mask, self.parity + parity))
                own = [*beside[:, :place].T, mask, *beside[:, place:].T, last]
                tokens.append(torch.stack(own))
        return Population(torch.cat(tokens, 1), torch.cat(joint, 2))

    def _writings(self, zeros: int, ones: int) -> Iterator[tuple[tuple[int, ...], float]]:
        """Sorted symbols of so many zeros and ones, each with its probability."""
        zero, one = self.written
        for low, p in _multisets(zeros, zero):
            for high, q in _multisets(ones, one):
                yield tuple(sorted(low + high)), p * q


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


def _multisets(draws: int, dst: tuple[float, ...]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every outcome of ``draws`` draws regardless of order, with its multinomial probability."""
    if len(dst) == 1:
        yield (0,) * draws, dst[0] ** draws
        return
    for first in range(draws + 1):
        share = math.comb(draws, first) * dst[0] ** first
        for rest, probability in _multisets(draws - first, dst[1:]):
            if share * probability > 0:
                yield (0,) * first + tuple(symbol + 1 for symbol in rest), share * probability
