"""How a trained model uses two symbols: what it predicts when one stands in the other's place."""

from itertools import combinations

import torch
from torch import Tensor

from semantica_lib.datasets.contexts import SPLITS
from semantica_lib.models.encoders import sees_order
from semantica_lib.models.stack import INPUT
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.stacked import Stack


def measured(own: Settings) -> bool:
    """Whether uses are measured: of kept weights, and of encoders whose contexts are few."""
    return own.keep_every is not None and not sees_order(own)


@torch.no_grad()
def uses(stack: Stack, flat: Tensor) -> Tensor:
    """Swap divergence and curvature of every two symbols of bits, nats, ``(trial, swap, 2)``.

    A context shows a symbol at some place beside the mask; each such occurrence counts as often as
    it occurs over all strings. There the input row of a is moved in a straight line to that of b.

    - *Swap divergence*: KL of the predictions with b from those with a, the mean over the
      occurrences of a; and the same from b to a; the mean of both directions.
    - *Curvature along the pair*: the loss with a, minus twice that with the row half way, plus that
      with b. The loss is the mean cross-entropy of what is hidden in the context that shows a. Of
      both directions the mean. Where both ends serve alike it is minus twice what the half way
      costs.

    Swaps are all pairs ``a < b`` in order; nan where one never occurs.

    Args:
        stack: trials of one task, whose encoder does not see the order of symbols.
        flat: their parameters, ``(trial, parameter)``.
    """
    views, symbols = stack.views(flat), stack.task.symbols
    shown = [_showing(stack, symbol) for symbol in range(symbols)]
    rows = views[INPUT]
    found = []
    for a, b in combinations(range(symbols), 2):
        ways = [
            _moved(stack, views, *shown[c], rows[:, c], rows[:, d]) for c, d in ((a, b), (b, a))
        ]
        found.append(sum(ways) / 2)
    return torch.stack(found, 1)


def _showing(stack: Stack, symbol: int) -> tuple[Tensor, Tensor]:
    """Contexts with an occurrence of a symbol, and how probable they are with each target.

    Returns:
        ``(token, case)``, in which the occurrence is written as the mask's number and the mask as
        the next; ``(symbol, case)``, which sums to 1 (to nan, of no case, where it never occurs).
    """
    contexts, mask = stack.contexts, stack.task.mask
    tokens, joint = contexts.tokens, contexts.joint[0, SPLITS.index("exact")]
    times = (tokens == symbol).sum(0)
    seen = (times > 0) & (joint.sum(0) > 0)
    tokens, joint = tokens[:, seen].clone(), (joint * times)[:, seen]
    first = (tokens == symbol).long().argmax(0)  # occurrences of a context are alike: no order
    tokens[tokens == mask] = mask + 1
    tokens[first, torch.arange(tokens.shape[1])] = mask
    return tokens, joint / joint.sum()


def _moved(
    stack: Stack,
    views: dict[str, Tensor],
    tokens: Tensor,
    joint: Tensor,
    one: Tensor,
    other: Tensor,
) -> Tensor:
    """Divergence and curvature of one direction, ``(trial, 2)``.

    Args:
        tokens, joint: as :func:`_showing` gives them.
        one, other: the rows between which the occurrence is moved, ``(trial, feature)``.
    """
    if not tokens.shape[1]:
        return torch.full((len(one), 2), torch.nan, dtype=torch.float64)
    ends = []
    for row in (one, (one + other) / 2, other):
        table, mask = views[INPUT], stack.task.mask
        with_row = torch.cat([table[:, :mask], row[:, None], table[:, mask:]], 1)
        ends.append(stack.predict(views | {INPUT: with_row}, tokens[None])[1].double())
    first, _, last = ends
    apart = (first.exp() * (first - last)).sum(1)  # (trial, case)
    loss = [-(joint * log_probability).sum((1, 2)) for log_probability in ends]
    curvature = loss[0] - 2 * loss[1] + loss[2]
    return torch.stack([(joint.sum(0) * apart).sum(1), curvature], 1)
