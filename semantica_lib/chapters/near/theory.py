"""How near symbols that almost mean the same are, by theory: in meaning, and in company.

With probability q (the setting ``near_synonym``) symbol 1 is written for 3 and 3 for 1; 0 and 2 are
honest. Give each symbol its *value*, the mean of (-1)^bit where it stands: 1, 1 - 2q, -1 and
-(1 - 2q) for 0, 1, 2 and 3. Over all strings of ``bits`` bits, with equally likely synonyms:

- A context with k liars (1 or 3) beside the mask makes the masked bit's mean ``x = ±(1 - 2q)^k``,
  and hides symbol s with probability ``(1 + value_s x) / 4``.
- So all that a symbol does to what its context predicts is to multiply x by its value: meaning is
  a point on a line, in the order 0 1 3 2, and two meanings differ as their values do.
- So do the contexts that two symbols keep (total variation). But outputs follow *logarithms*, and
  these are curved: see :func:`output_law`.

The closed forms are this project's own; :func:`semantic_distance` and :func:`company` enumerate.
"""

from collections import Counter
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

from semantica_lib.analysis.distances import Pair
from semantica_lib.datasets.xor import SPLITS, XorTask

NEAR, MIRROR, LIARS = (0, 1), (2, 3), (1, 3)
CONTROL = (0, 2)  # honest at every q; the other control pairs change their meaning with q


def values_of(q: float) -> np.ndarray:
    """Mean of (-1)^bit where each symbol stands, ``(symbol,)``: 1 is bit 0, -1 bit 1."""
    return np.array([1.0, 1 - 2 * q, -1.0, 2 * q - 1])


def input_law(q: float, pair: Pair) -> float:
    """How far apart two symbols' meanings are, as a share of the control pair's; of any context."""
    a, b = values_of(q)[list(pair)]
    return float(abs(a - b) / 2)


def output_law(q: float, pair: Pair, bits: int = 7) -> float:
    """How far apart output rows are that know only which bit the context suggests, likewise.

    Take every liar at its word: the context then suggests a bit, with mean ``±(1 - q)^(bits - 1)``
    = ±r. Between the two suggestions the log-odds of a and b must move by ``2 |artanh(value_a r) -
    artanh(value_b r)|``, and the least rows that do so are in this proportion. It is the limit
    where q is 0.
    """
    reliable = min((1 - q) ** (bits - 1), 1 - 1e-12)
    a, b = np.arctanh(values_of(q)[list(pair)] * reliable)
    return float(abs(a - b) / (2 * np.arctanh(reliable)))


def meaning(q: float, pair: Pair, bits: int = 7) -> float:
    """Closed form of :func:`semantic_distance` in total variation, for q up to a half."""
    return input_law(q, pair) * (1 - q) ** (bits - 1)


LAWS = {"input's law": input_law, "output's law": output_law}


class Distance(NamedTuple):
    """Of two distributions, mean over contexts: total variation, Jensen-Shannon (nats)."""

    variation: float
    divergence: float


@cache
def semantic_distance(task: XorTask, pair: Pair) -> Distance:
    """How much the prediction changes if b stands in a's place, by enumeration of all strings.

    The mean over contexts (the other symbols and the parity; those that a keeps and those that b
    keeps, in equal shares) of the distance between ``p(target | context with a)`` and with b.
    """
    population, index = task.population, SPLITS.index("exact")
    cells = zip(population.tokens.T.tolist(), population.joint[index].T.numpy(), strict=True)
    joint = {tuple(sorted(tokens)): cell for tokens, cell in cells}
    rests: tuple[Counter, Counter] = Counter(), Counter()
    for tokens, cell in joint.items():
        for rest, symbol in zip(rests, pair, strict=True):
            if symbol in tokens:  # one of so many places holds it
                at = tokens.index(symbol)
                rest[tokens[:at] + tokens[at + 1 :]] += cell.sum() * tokens.count(symbol)
    total, result = [rest.total() for rest in rests], np.zeros(2)
    for rest in rests[0]:
        first, second = (joint[tuple(sorted((*rest, symbol)))] for symbol in pair)
        weight = sum(one[rest] / whole for one, whole in zip(rests, total, strict=True)) / 2
        result += weight * np.array(_apart(first / first.sum(), second / second.sum()))
    return Distance(*result.tolist())


class Company(NamedTuple):
    """How differently two symbols are expected in contexts.

    ``variation`` is the total variation between the contexts that each keeps. ``least`` and
    ``greatest`` are of ``log p(b | context) / p(a | context)`` over contexts, infinite where only
    one can stand; ``suggested`` its value given which bit a context suggests, 0 and 1; nan where
    neither can stand.
    """

    variation: float
    least: float
    greatest: float
    suggested: tuple[float, float]


@cache
def company(task: XorTask, pair: Pair) -> Company:
    """The distance of two symbols as targets, by enumeration of all strings."""
    population, first = task.population, len(task.zero_dst)
    joint = population.joint[SPLITS.index("exact")][list(pair)].numpy()  # (a and b, case)
    tokens = population.tokens
    ones = ((tokens >= first) & (tokens < task.symbols)).sum(0) + (tokens == task.parity + 1).sum(0)
    told = [joint[:, (ones % 2 == bit).numpy()].sum(1) for bit in (0, 1)]
    both = joint[:, joint.sum(0) > 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(both[1]) - np.log(both[0])
        suggested = tuple(float(np.log(b) - np.log(a)) for a, b in told)
    variation = _apart(*(both / both.sum(1, keepdims=True)))[0]
    return Company(variation, float(ratios.min()), float(ratios.max()), suggested)


def _apart(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Total variation, and Jensen-Shannon divergence in nats."""
    middle = (p + q) / 2
    divergence = sum(stats.entropy(one, middle) for one in (p, q)) / 2
    return float(abs(p - q).sum() / 2), float(divergence)


@cache
def trivial(task: XorTask, split: str = "train") -> float:
    """Least cross-entropy, in nats, of a predictor that does not look at the context."""
    marginal = task.population.joint[SPLITS.index(split)].sum(1)
    return -torch.xlogy(marginal, marginal).sum().item()


@cache
def learnable(task: XorTask, split: str = "train") -> float:
    """By how many nats the best predictor betters one that does not look at the context."""
    return trivial(task, split) - task.ceiling(split)[1]
