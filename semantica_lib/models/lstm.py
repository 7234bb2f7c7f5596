"""The paper's LSTM, in one direction or both, then a linear map, for a stack of trials.

Both directions of a layer run as one stack of twice the trials: the second reads the places from
the last to the first. What the first layer reads is a symbol, so its share of the gates is a table
over symbols, looked up.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semantica_lib.models.stack import INPUT, linear
from semantica_lib.settings.xor import Settings


def plain(own: Settings) -> nn.Module:
    """PyTorch's modules of one trial, in the order in which the original draws their weights."""
    encoder, size, hidden_size = nn.Module(), own.embedding_size, own.hidden_size
    encoder.feed_forward = nn.Linear((1 + own.bidirectional) * hidden_size, size)
    encoder.lstm = nn.LSTM(size, hidden_size, own.layers, bidirectional=own.bidirectional)
    return encoder


def widest(own: Settings, symbols: int, batch: int) -> int:
    """As :func:`semantica_lib.models.encoders.widest`: the gates."""
    return (1 + own.bidirectional) * 4 * own.hidden_size * (own.bits + 1) * batch


def masked_hidden(settings: Settings, parameters: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """As :func:`semantica_lib.models.encoders.masked_hidden`."""
    bidirectional = settings.bidirectional
    table = parameters[INPUT]  # (trial, symbol, feature)
    trials, size, _ = table.shape
    symbols = torch.arange(size, device=tokens.device)
    orders = [tokens, tokens.flip(1)][: 1 + bidirectional]
    read = torch.stack(orders).expand(-1, trials, -1, -1)  # (direction, trial, step, batch)
    shown = (read[:, :, :, None] == symbols[:, None]).to(table.dtype).flatten(0, 1)
    ways = ("", "_reverse")[: 1 + bidirectional]
    inputs = shown.unbind(1)  # of each step, (direction and trial, symbol, batch)
    for index in range(settings.layers):
        own = {
            name: torch.stack([parameters[f"encoder.lstm.{name}_l{index}{way}"] for way in ways])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }  # each (direction, trial, 4 gates x feature, ...)
        if index == 0:
            own["weight_ih"] = own["weight_ih"] @ table.transpose(1, 2)
        weight = torch.cat([own["weight_ih"], own["weight_hh"]], 3).flatten(0, 1)
        states = _recurrence(inputs, weight, (own["bias_ih"] + own["bias_hh"]).flatten(0, 1))
        outputs = _at_places(states) if bidirectional else [(state,) for state in states]
        inputs = [torch.cat(own) for own in outputs]
    masked = shown[:trials, :, -1:].unbind(1)
    last = sum(first * here for (first, *_), here in zip(outputs, masked, strict=True))
    feed_forward = (parameters[f"encoder.feed_forward.{name}"] for name in ("weight", "bias"))
    return linear(*feed_forward, last)


def _recurrence(inputs: Sequence[Tensor], weight: Tensor, bias: Tensor) -> list[Tensor]:
    """The state after each step, ``(direction and trial, feature, batch)``.

    Args:
        inputs: what each step reads, ``(direction and trial, feature, batch)``.
        weight: of the input and of the state, ``(direction and trial, 4 gates x feature, both)``.
        bias: ``(direction and trial, 4 gates x feature)``.
    """
    cell, states = None, []
    for own in inputs:
        both = torch.cat([own, states[-1]], 1) if states else own
        gates = torch.bmm(weight[..., : both.shape[1]], both) + bias[..., None]
        enter, keep, new, show = gates.chunk(4, 1)
        entering = torch.sigmoid(enter) * _tanh(new)
        cell = entering if cell is None else torch.sigmoid(keep) * cell + entering
        states.append(torch.sigmoid(show) * _tanh(cell))
    return states


def _at_places(states: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Both directions' states at the place of each step of the first direction and of the second.

    A step of the first direction and the opposite one of the second are at the same place.
    """
    outputs = []
    for own, opposite in zip(states, reversed(states), strict=True):
        first, second = own.chunk(2)
        opposite_first, opposite_second = opposite.chunk(2)
        reads = [first, opposite_second], [opposite_first, second]
        outputs.append(tuple(torch.cat(read, 1) for read in reads))
    return outputs


def _tanh(x: Tensor) -> Tensor:
    """By an exponential, which the compiler's vector code does several times as fast."""
    return 2 * torch.sigmoid(2 * x) - 1
