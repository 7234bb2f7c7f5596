"""The parameters of a stack of trials, in one flat ``(trial, parameter)`` buffer with named views.

The optimizer works on the buffer, the model on the views. Below: what encoders are made of.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

INPUT, OUTPUT = "input_embedding.weight", "output_embedding.weight"
BIAS = "output_bias"  # where a head has one
FUSED = 4  # contractions of so few are fused with their neighbours, longer ones left to the library


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in the flat buffer. Tied: the output table is the input table."""

    shapes: dict[str, tuple[int, ...]]
    tied: bool

    @property
    def names(self) -> list[str]:
        """Parameters of their own, in the buffer's order."""
        return [name for name in self.shapes if not (self.tied and name == OUTPUT)]

    @property
    def size(self) -> int:
        return sum(prod(self.shapes[name]) for name in self.names)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Named views ``(trial, *shape)`` of a buffer ``(trial, parameter)``."""
        pieces = flat.split([prod(self.shapes[name]) for name in self.names], dim=1)
        named = zip(self.names, pieces, strict=True)
        views = {name: piece.unflatten(1, self.shapes[name]) for name, piece in named}
        return views | {OUTPUT: views[INPUT]} if self.tied else views

    def into(self, other: "Layout", flat: Tensor) -> Tensor:
        """The same parameters ``(..., parameter)`` in the other layout's order."""
        views = self.views(flat.flatten(0, -2))
        moved = torch.cat([views[name].flatten(1) for name in other.names], 1)
        return moved.unflatten(0, flat.shape[:-1])

    def flat(self, parameters: dict[str, Tensor]) -> Tensor:
        """The buffer of one trial, ``(parameter,)``, from parameters of a plain module."""
        return torch.cat([parameters[name].detach().flatten() for name in self.names])


def gradient(function: Callable[[Tensor], tuple[Tensor, Tensor]], flat: Tensor) -> list[Tensor]:
    """That of the first of two tensors that a function makes of a buffer; and the second.

    In compiled code by ``torch.func``; else by autograd, to its bits, sooner and importing less.
    """
    if torch.compiler.is_compiling():
        return list(torch.func.grad(function, has_aux=True)(flat))
    with torch.enable_grad():
        total, rest = function(point := flat.detach().requires_grad_())
        return [*torch.autograd.grad(total, point), rest.detach()]


def plain_parameters(encoder: nn.Module, tables: Iterable[nn.Embedding]) -> dict[str, Tensor]:
    """Parameters of one trial's plain modules under the names used here."""
    named = {name: table.weight for name, table in zip((INPUT, OUTPUT), tables, strict=True)}
    return named | {f"encoder.{name}": value for name, value in encoder.named_parameters()}


def of_layer(parameters: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    """The parameters of one of the encoder's layers, under the names that they have within it."""
    prefix = f"encoder.layers.{index}."
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def looked_up(table: Tensor, tokens: Tensor) -> Tensor:
    """Each place's column of a table over symbols, ``(trial, feature, place, batch)``.

    As a product with ones and zeros, whose gradient is a product too and faster than sums of rows.

    Args:
        table: ``(trial, feature, symbol)``.
        tokens: ``(trial or 1, token, batch)`` int64.
    """
    symbols = torch.arange(table.shape[2], device=tokens.device)
    shown = (tokens[:, None] == symbols[:, None, None]).to(table.dtype)
    return product(table, shown.expand(len(table), -1, -1, -1))


def linear(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """``weight @ x + bias`` for ``(trial, out, in)`` and ``(trial, in, ...)``."""
    return product(weight, x) + bias.unflatten(1, (-1, *(1,) * (x.dim() - 2)))


def product(weight: Tensor, x: Tensor) -> Tensor:
    """``weight @ x`` for ``(trial, out, in)`` and ``(trial, in, ...)``.

    Of few features as a product and a sum: one pass, compiled with what comes before and after.
    """
    if weight.shape[2] > FUSED:
        return torch.bmm(weight, x.flatten(2)).unflatten(2, x.shape[2:])
    return (weight.unflatten(2, (-1, *(1,) * (x.dim() - 2))) * x[:, None]).sum(2)


def layer_norm(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Normalise ``(trial, feature, ...)`` over its features (PyTorch's default eps)."""
    ones = (1,) * (x.dim() - 2)
    centred = x - x.mean(1, keepdim=True)
    variance = (centred * centred).mean(1, keepdim=True)
    scaled = centred * torch.rsqrt(variance + 1e-5)
    return scaled * weight.unflatten(1, (-1, *ones)) + bias.unflatten(1, (-1, *ones))
