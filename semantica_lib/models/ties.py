"""Ways to tie the output table to the input table, beside tied and untied: a class each.

A scheme says which parameters a trial has in the place of two tables, how the tables come of them,
and what is added to its loss. All its parameters train as any other: the optimizer's steps and the
settings' weight decay are theirs too. A head computes logits as ``h @ O.T``, whatever the scheme.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from semantica_lib.models.stack import INPUT, OUTPUT, product
from semantica_lib.settings.schema import family
from semantica_lib.settings.ties import strength

FIXED = "fixed_"  # begins the names of parameters that no step changes
STRENGTH = FIXED + "strength"  # of each trial, (1, 1)
Parameters = dict[str, Tensor]


class Tables(NamedTuple):
    """What a trial starts from: both tables ``(symbol, feature)`` as its seed draws them."""

    input: Tensor
    output: Tensor
    std: float  # with which their values were drawn
    mask: int  # the mask's row


class Scheme:
    """One table and nothing else: what a scheme does where it does not say otherwise."""

    def start(self, drawn: Tables, strength: float | None) -> Parameters:
        """Its parameters by name at the start of one trial."""
        return {INPUT: drawn.input}

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        """Input and output table, each ``(trial, symbol, feature)``, of a stack's parameters."""
        raise NotImplementedError

    def penalty(self, own: Parameters) -> Tensor | None:
        """What is added to each trial's loss, ``(trial,)``; None adds nothing."""
        return None


class TiedButMask(Scheme):
    """One table, but the mask has an output row of its own, that which an untied table has."""

    def start(self, drawn: Tables, strength: float | None) -> Parameters:
        return {INPUT: drawn.input, "tie_mask": drawn.output[drawn.mask, None]}

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        table = own[INPUT]
        return table, torch.cat([table[:, :mask], own["tie_mask"], table[:, mask + 1 :]], 1)


class Mapped(Scheme):
    """``O = E W``, by a square map W that starts as the identity: as tied."""

    def start(self, drawn: Tables, strength: float | None) -> Parameters:
        return {INPUT: drawn.input, "tie_map": torch.eye(drawn.input.shape[1])}

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        return own[INPUT], product(own[INPUT], own["tie_map"])


class PseudoInverse(Scheme):
    """``O.T`` is the pseudo-inverse of E, always (Gu et al. 2026, as far as their abstract tells).

    Theirs: a memory Z with orthonormal columns, shared by both tables, and a symmetric positive
    definite map ``T = L L.T`` by its Cholesky factor L; ``O = Z T``, ``E = Z T^-1``, by triangular
    solves. Ours, of which the abstract says nothing: Z are the columns of a free table, that which
    the seed draws, made orthonormal one after the other (as Gram and Schmidt did); L is any lower
    triangular matrix, and starts as the identity.
    """

    def start(self, drawn: Tables, strength: float | None) -> Parameters:
        return {INPUT: drawn.input, "tie_factor": torch.eye(drawn.input.shape[1])}

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        lower = own["tie_factor"].tril()
        memory, upper = torch.linalg.qr(own[INPUT])
        memory = memory * upper.diagonal(dim1=1, dim2=2).sign()[:, None]  # as Gram and Schmidt's
        table = torch.linalg.solve_triangular(lower.mT, memory, upper=True, left=False)
        table = torch.linalg.solve_triangular(lower, table, upper=False, left=False)
        return table, product(product(memory, lower), lower.mT)


class Soft(Scheme):
    """Two free tables and a penalty of strength times the sum of ``(O - E)^2`` over all numbers.

    That is the square of the Frobenius norm, not its mean. It is part of the loss that is
    differentiated, not of the loss that is reported.
    """

    def start(self, drawn: Tables, strength: float | None) -> Parameters:
        return {INPUT: drawn.input, OUTPUT: drawn.output}

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        return own[INPUT], own[OUTPUT]

    def penalty(self, own: Parameters) -> Tensor:
        return (own[STRENGTH] * (own[OUTPUT] - own[INPUT]).square()).sum((1, 2))


class Scaled(Scheme):
    """One table, the logits divided by the root of its width; strength is its standard deviation.

    So ``O = E / sqrt(width)``, and the table starts as the seed's, times strength over its own.
    """

    def start(self, drawn: Tables, strength: float | None) -> Parameters:
        return {INPUT: drawn.input * (strength / drawn.std)}

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        return own[INPUT], own[INPUT] / own[INPUT].shape[2] ** 0.5


class Lookup(Scheme):
    """One table; of its gradient the part that comes by the look-up is multiplied by strength."""

    def tables(self, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
        table = own[INPUT]
        nothing = table - table.detach()  # zero, with the gradient of the table
        return table + (own[STRENGTH] - 1) * nothing, table


SCHEMES: dict[str, Scheme] = {
    "tied-but-mask": TiedButMask(),
    "mapped": Mapped(),
    "pseudo-inverse": PseudoInverse(),
    "soft": Soft(),
    "scaled": Scaled(),
    "lookup": Lookup(),
}


def started(tie: str, drawn: Tables) -> Parameters:
    """What a trial of a scheme has in the place of its tables at the start, by name."""
    return SCHEMES[family(tie)].start(drawn, strength(tie)) | _fixed(tie)


def tables(tie: str, own: Parameters, mask: int) -> tuple[Tensor, Tensor]:
    """Input and output table of one trial, ``(symbol, feature)``, of its parameters by name."""
    first, second = SCHEMES[family(tie)].tables(_as_stack(tie, own), mask)
    return first[0], second[0]


def penalty(tie: str, own: Parameters) -> Tensor | None:
    """What is added to the loss of one trial; None adds nothing."""
    found = SCHEMES[family(tie)].penalty(_as_stack(tie, own))
    return None if found is None else found[0]


def _fixed(tie: str) -> Parameters:
    much = strength(tie)
    return {} if much is None else {STRENGTH: torch.tensor([[much]], dtype=torch.float64)}


def _as_stack(tie: str, own: Parameters) -> Parameters:
    """One trial's parameters as those of a stack of one."""
    fixed = {name: value.to(own[INPUT]) for name, value in _fixed(tie).items()}
    return {name: value[None] for name, value in (own | fixed).items()}
