"""The paper's LSTM, in one direction or both, then a linear map, for a stack of trials.

Both directions of a layer run as one stack of twice the trials: the second reads the places from
the last to the first. What the first layer reads is a symbol, so its share of the gates is a table
over symbols, looked up.
"""

import torch
from torch import Tensor, nn

from semantica_lib.models.stack import INPUT, linear, looked_up


def plain(layers: int, embedding_size: int, hidden_size: int, bidirectional: bool) -> nn.Module:
    """PyTorch's own modules of this encoder for one trial: they draw the initial weights,
    in the original's order."""
    encoder = nn.Module()
    encoder.feed_forward = nn.Linear((1 + bidirectional) * hidden_size, embedding_size)
    encoder.lstm = nn.LSTM(
        embedding_size, hidden_size, layers, batch_first=True, bidirectional=bidirectional
    )
    return encoder


def masked_hidden(
    parameters: dict[str, Tensor], tokens: Tensor, layers: int, bidirectional: bool
) -> Tensor:
    """The encoder's output at the masked place.

    Args:
        parameters: named, each ``(trial, *shape)``; the mask is the last symbol.
        tokens: ``(trial or 1, token, batch)`` int64; each sequence holds one mask.

    Returns:
        ``(trial, feature, batch)``.
    """
    table = parameters[INPUT].transpose(1, 2)  # (trial, feature, symbol)
    masked = (tokens == table.shape[2] - 1).to(table.dtype)
    outputs = None  # (trial, direction and feature, place, batch)
    for index in range(layers):
        own = {
            name: torch.stack(
                [
                    parameters[f"encoder.lstm.{name}_l{index}{suffix}"]
                    for suffix in ("", "_reverse")[: 1 + bidirectional]
                ],
                1,
            )  # (trial, direction, 4 gates x feature, ...)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        weight = own["weight_ih"].flatten(1, 2)
        bias = (own["bias_ih"] + own["bias_hh"]).flatten(1, 2)
        if index == 0:
            read = looked_up(linear(weight, bias, table), tokens)
        else:
            read = linear(weight, bias, outputs)
        outputs = _recurrence(read.unflatten(1, own["bias_ih"].shape[1:]), own["weight_hh"])
    last = (outputs * masked[:, None]).sum(2)
    feed_forward = (parameters[f"encoder.feed_forward.{name}"] for name in ("weight", "bias"))
    return linear(*feed_forward, last)


def _recurrence(read: Tensor, weight: Tensor) -> Tensor:
    """Outputs of a layer, ``(trial, direction and feature, place, batch)``.

    Args:
        read: the input's share of the gates, ``(trial, direction, gate, place, batch)``.
        weight: of the state's share, ``(trial, direction, gate, feature)``.
    """
    trials, directions = read.shape[:2]
    orders = [own.unbind(2)[:: 1 - 2 * d] for d, own in enumerate(read.unbind(1))]
    weight, state, cell, outputs = weight.flatten(0, 1), None, None, []
    for own_place in zip(*orders, strict=True):  # one of each direction, (trial, gate, batch)
        gates = torch.stack(own_place, 1).flatten(0, 1)
        if state is not None:
            gates = gates + torch.bmm(weight, state)
        enter, keep, new, show = gates.chunk(4, 1)
        entering = torch.sigmoid(enter) * _tanh(new)
        cell = entering if cell is None else torch.sigmoid(keep) * cell + entering
        state = torch.sigmoid(show) * _tanh(cell)
        outputs.append(state.unflatten(0, (trials, directions)).unbind(1))
    return torch.cat(
        [torch.stack(own[:: 1 - 2 * d], 2) for d, own in enumerate(zip(*outputs, strict=True))], 1
    )


def _tanh(x: Tensor) -> Tensor:
    """By an exponential, which the compiler's vector code does several times as fast."""
    return 2 * torch.sigmoid(2 * x) - 1
