"""The paper's MLP-Mixer (pre-norm, no final norm), for a stack of trials.

Each layer mixes the places of a sequence, feature by feature, then the features, place by place
(Tolstikhin et al. 2021). Two shortcuts change nothing in the result: the first norm sees nothing
but symbols, so it is taken of the table and looked up; and of the last layer only the masked place
is computed.
"""

import torch
from torch import Tensor, nn

from semantica_lib.models.stack import INPUT, layer_norm, linear, looked_up, of_layer
from semantica_lib.settings.xor import Settings


class _Part(nn.Module):
    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__()
        self.fc0 = nn.Linear(size, hidden_size)
        self.fc1 = nn.Linear(hidden_size, size)


class _Layer(nn.Module):
    def __init__(self, own: Settings) -> None:
        super().__init__()
        self.tokenwise_layer = _Part(own.bits + 1, own.token_feedforward_size)
        self.channelwise_layer = _Part(own.embedding_size, own.channel_feedforward_size)
        self.pre_norm = nn.LayerNorm(own.embedding_size)
        self.post_norm = nn.LayerNorm(own.embedding_size)


def plain(own: Settings) -> nn.Module:
    """PyTorch's modules of one trial, in the order in which the original draws their weights."""
    encoder = nn.Module()
    encoder.layers = nn.ModuleList(_Layer(own) for _ in range(own.layers))
    return encoder


def widest(own: Settings, symbols: int, batch: int) -> int:
    """As :func:`semantica_lib.models.encoders.widest`: what mixes places, or features."""
    places = own.bits + 1
    inner = own.embedding_size * max(places, own.token_feedforward_size)
    return batch * max(inner, places * own.channel_feedforward_size)


def masked_hidden(settings: Settings, parameters: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """As :func:`semantica_lib.models.encoders.masked_hidden`."""
    table = parameters[INPUT].transpose(1, 2)  # (trial, feature, symbol)
    masked = (tokens == table.shape[2] - 1).to(table.dtype)  # (trial or 1, place, batch)
    act = getattr(torch.nn.functional, settings.activation)
    layers, hidden = settings.layers, None  # (trial, feature, place, batch)
    for index in range(layers):
        own = of_layer(parameters, index)
        norm = _of(own, "pre_norm")
        if index == 0:
            normed = looked_up(layer_norm(*norm, table), tokens)
        else:
            normed = layer_norm(*norm, hidden)
        inner = act(linear(*_of(own, "tokenwise_layer.fc0"), normed.transpose(1, 2)))
        weight, bias = _of(own, "tokenwise_layer.fc1")
        if index < layers - 1:
            if hidden is None:
                hidden = looked_up(table, tokens)
            hidden = hidden + linear(weight, bias, inner).transpose(1, 2)
        else:  # the masked place's row of the map, and its vector
            row = (weight[..., None] * masked[:, :, None]).sum(1)  # (trial, inner, batch)
            mixed = (row[:, :, None] * inner).sum(1) + (bias[..., None] * masked).sum(1)[:, None]
            own_place = table[:, :, -1:] if hidden is None else (hidden * masked[:, None]).sum(2)
            hidden = own_place + mixed
        normed = layer_norm(*_of(own, "post_norm"), hidden)
        inner = act(linear(*_of(own, "channelwise_layer.fc0"), normed))
        hidden = hidden + linear(*_of(own, "channelwise_layer.fc1"), inner)
    return hidden


def _of(own: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return own[f"{name}.weight"], own[f"{name}.bias"]
