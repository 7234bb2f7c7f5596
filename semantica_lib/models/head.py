"""The head of stacks that have a bias or a scheme of their own: what else it takes than two tables.

A stack of tied and untied trials without a bias needs none of this.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from semantica_lib.models.stack import BIAS, INPUT, OUTPUT, Layout
from semantica_lib.models.ties import FIXED, SCHEMES, Parameters, Tables, started
from semantica_lib.settings.schema import BOTH, family

RAREST = 1e-6  # share of a symbol that is never a target: the logarithm of 0 has no value
FIXED_BIAS = FIXED + BIAS


class Head:
    """That of the trials of one stack, whose ties are of one family: or tied and untied ones.

    Args:
        bias: as the setting ``output_bias``.
        ties: of the trials.
        mask: the mask's row.
        scheme: the setting of a scheme of one's own.

    Raises:
        ValueError: trials of several families do not make one stack.
    """

    def __init__(
        self, bias: str, ties: Sequence[str], mask: int, scheme: str | None = None
    ) -> None:
        families = {"" if tie in BOTH else family(tie) for tie in ties}
        if len(families) > 1:
            raise ValueError(f"one stack has ties of one family, not of {sorted(families)}")
        if scheme and "@" in min(families):
            from semantica_lib.models.own_scheme import load

            load(scheme)
        self.bias, self.mask, self.scheme = bias, mask, SCHEMES.get(families.pop())

    def start(self, named: Parameters, tie: str, shares: Tensor) -> Parameters:
        """A trial's parameters at the start.

        Args:
            named: as they are without this head, both tables as they were drawn.
            shares: of each symbol among the targets, ``(symbol,)``.
        """
        if self.scheme:
            drawn = Tables(named[INPUT], named[OUTPUT], 1.0, self.mask)
            rest = {name: one for name, one in named.items() if name not in (INPUT, OUTPUT)}
            named = started(tie, drawn) | rest
        if self.bias == "learned":
            named = named | {BIAS: torch.zeros(len(shares))}
        elif self.bias == "log-frequency":
            named = named | {FIXED_BIAS: shares.clamp(min=RAREST).log()}
        return named

    def views(self, own: Parameters) -> Parameters:
        """A stack's parameters with both tables and the bias among them, as they are used."""
        found = dict(own)
        if self.scheme:
            found[INPUT], found[OUTPUT] = self.scheme.tables(own, self.mask)
        if FIXED_BIAS in own:
            found[BIAS] = own[FIXED_BIAS]
        return found

    def whole(self, losses: Tensor, own: Parameters) -> Tensor:
        """What is differentiated: the sum of the trials' losses, and of their penalties."""
        penalty = self.scheme.penalty(own) if self.scheme else None
        return losses.sum() if penalty is None else (losses + penalty).sum()

    def held(self, layout: Layout, before: Tensor, after: Tensor) -> Tensor:
        """Parameters ``(trial, parameter)`` after a step, those that none changes as before it."""
        old, new = layout.views(before), layout.views(after)
        kept = (old if name.startswith(FIXED) else new for name in layout.names)
        pieces = zip(layout.names, kept, strict=True)
        return torch.cat([views[name].flatten(1) for name, views in pieces], 1)
