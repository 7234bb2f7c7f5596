"""What theory says beforehand: the decay clock, the log-odds law, who merges.

None has a free parameter. The decay clock and the log-odds law are this project's; which pairs
merge follows from the task and the paper's claims (Bertolotti & Cazzola 2024).
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from semantica_lib.analysis.distances import Pair, Table, fourth_cell, parity_pairs, synonym_pairs
from semantica_lib.datasets.xor import SPLITS, XorTask
from semantica_lib.settings.catalogue import Settings
from semantica_lib.trainers import schedule


def decay_factor(settings: Settings, steps: np.ndarray) -> np.ndarray:
    """What weight decay alone leaves of a parameter after so many steps, ``(record,)``.

    AdamW and plain SGD multiply every parameter by ``1 - rate_k * weight_decay`` at step k
    (Loshchilov & Hutter 2019), so the factor after t steps is the product over k < t. The
    exponential form ``exp(-weight_decay * sum of rates)`` is larger by ``exp(sum((rate_k *
    weight_decay)^2) / 2)`` to leading order: 7 parts in 100,000 at the 150,000 steps of the main
    experiment, where both are 0.0218. Adam's weight decay passes through its moments and has no
    such form: nan, if any.

    Args:
        steps: optimizer steps done, in any order, none negative.
    """
    steps = np.asarray(steps, dtype=int)
    if settings.optimizer == "adam" and settings.weight_decay:
        return np.full(steps.shape, np.nan)
    rate = schedule.rate(settings, torch.arange(int(steps.max(initial=0))))
    logs = np.log1p(-settings.weight_decay * rate.numpy())
    return np.exp(np.concatenate([[0.0], np.cumsum(logs)])[steps])


def decay_clock(settings: Settings, steps: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Distance of two rows that feel no gradient: ``initial`` ``(...)`` to ``(..., record)``.

    Every row shrinks by the same factor, so their difference does.

    Args:
        steps: ``(record,)``, optimizer steps done.
        initial: distances at step 0.
    """
    return np.asarray(initial)[..., None] * decay_factor(settings, steps)


def log_odds(p1: float, p0: float) -> float:
    """``log(p1 / p0)``: what ``<o_1 - o_0, h>`` tends to in every context whose bit they write.

    Minimising cross-entropy makes the logits differ by the log-odds; exact without decay only, and
    the rows' own matter only in a head without a bias, which could carry the odds.

    Raises:
        ValueError: a probability is not positive (the logit then has no finite limit).
    """
    if not (p1 > 0 and p0 > 0):
        raise ValueError(f"log-odds need positive probabilities, not {p1} and {p0}")
    return math.log(p1 / p0)


def log_odds_by_parity(task: XorTask, pair: Pair) -> tuple[float, ...]:
    """:func:`log_odds` of a pair of synonyms; where odds turn in even strings, then in odd ones.

    Infinite where one of the two never occurs.
    """
    a, b = pair
    return tuple(
        log_odds(half[b], half[a])
        if half[a] and half[b]
        else math.copysign(math.inf, half[b] - half[a])
        for half in task.halves
    )


def least_output_distance(odds: float, hidden_norm: float) -> float:
    """The least ``||o_1 - o_0||`` with ``<o_1 - o_0, h> = odds`` (Cauchy-Schwarz).

    Args:
        odds: log-odds, nats.
        hidden_norm: ``||h||`` at the masked place; the smallest over contexts gives the bound.
    """
    return abs(odds) / hidden_norm


class Prediction(NamedTuple):
    """That a pair of rows merges in a table or stays apart; ``merges`` is None for neither."""

    claim: str
    tied: bool
    table: Table
    pair: Pair
    merges: bool | None


def paper_predictions(task: XorTask) -> list[Prediction]:
    """The paper's claims about every pair of synonyms.

    1. Semantically equivalent symbols merge in an untied input table; 2. only conditionally
    equivalent ones merge in an untied output table; 3. a tied table is both, so only pairs that
    are both merge in it.
    """
    found = []
    for where, tied, table, both in (
        ("claim 1, untied input", False, "input", True),
        ("claim 2, untied output", False, "output", False),
        ("claim 3, tied", True, "input", False),
    ):
        for a, b, holds in synonym_pairs(task):
            words = f"{_words(where, (a, b), holds or both)} (DH {'holds' if holds else 'fails'})"
            found.append(Prediction(words, tied, table, (a, b), holds or both))
    return found


def further_predictions(task: XorTask, sees_order: bool) -> list[Prediction]:
    """What the same reasoning says of the parity symbols, which the paper does not draw.

    (even, odd) is conditionally but not semantically equivalent. To an encoder that does not see
    positions even parity is one more 0 and odd parity one more 1. One that does always finds the
    parity at a place of its own, where no bit ever stands: nothing is predicted of these pairs.
    """
    cell, merges = fourth_cell(task), None if sees_order else True
    about = [("fourth cell, untied output", "output", cell, True)]
    about += [("fourth cell, untied input", "input", cell, False)]
    about += [("parity, untied input", "input", pair, merges) for pair in parity_pairs(task)]
    return [Prediction(_words(where, *rest), False, table, *rest) for where, table, *rest in about]


def new_contexts(task: XorTask, sees_order: bool) -> float:
    """Share of the contexts of held-out strings that no training string shows to the encoder."""
    population = task.contexts if sees_order else task.population
    occur = population.joint.sum(1) > 0  # (split, case)
    train, held_out = (occur[SPLITS.index(split)] for split in ("train", "validation"))
    return (~train[held_out]).double().mean().item()


def _words(where: str, pair: Pair, merges: bool | None) -> str:
    verb = {True: " merge", False: " stay apart", None: ""}[merges]
    return f"{where}: {pair[0]} and {pair[1]}{verb}"
