"""The paper's transformer encoder (post-norm, no positions), for a stack of trials.

Without positions, places that hold the same symbol hold the same vector at every depth. So instead
of over places, attention runs over the symbols of the vocabulary, each counted as often as it
occurs: its score gains the log of its count, which repeats its term in the softmax that many times.
This is exactly ``torch.nn.TransformerEncoder``, in any number of layers, and in the first layer
nothing but the counts depends on the sequence. Dropout tells equal symbols at different places
apart: with it the same layers run over places, each counted once.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semantica_lib.models.stack import INPUT, layer_norm, linear, looked_up, of_layer

Drop = Callable[[Tensor], Tensor]


def plain(
    layers: int, embedding_size: int, heads: int, feedforward_size: int, activation: str
) -> nn.Module:
    """PyTorch's own module of this encoder for one trial: it draws the initial weights."""
    layer = nn.TransformerEncoderLayer(
        embedding_size, heads, feedforward_size, 0.0, activation, batch_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def masked_hidden(
    parameters: dict[str, Tensor],
    tokens: Tensor,
    layers: int,
    heads: int,
    activation: str,
    drop: Drop | None = None,
) -> Tensor:
    """The encoder's output at the masked place.

    Args:
        parameters: named, each ``(trial, *shape)``; the mask is the last symbol.
        tokens: ``(trial or 1, token, batch)`` int64; each sequence holds one mask.
        drop: drops numbers of what it is given, where PyTorch's layer does while it trains.

    Returns:
        ``(trial, feature, batch)``.
    """
    table = parameters[INPUT].transpose(1, 2)  # (trial, feature, symbol)
    symbols = torch.arange(table.shape[2], device=tokens.device)
    if drop is None:
        counts = (tokens[:, None] == symbols[:, None, None]).sum(2)  # (trial, symbol, batch)
        log_counts = counts.to(table.dtype).log()  # absent: minus infinity
        hidden = table[..., None]  # (trial, feature, symbol, 1 or batch)
    else:
        log_counts = torch.zeros_like(tokens, dtype=table.dtype)
        hidden = looked_up(table, tokens)  # (trial, feature, place, batch)
    for index in range(layers):
        own = of_layer(parameters, index)
        only_mask = drop is None and index == layers - 1
        hidden = _layer(own, hidden, log_counts, heads, activation, only_mask, drop or _nothing)
    if drop is None:
        return hidden[:, :, 0]
    return (hidden * (tokens == symbols[-1]).to(hidden.dtype)[:, None]).sum(2)


def _layer(
    own: dict[str, Tensor],
    hidden: Tensor,
    log_counts: Tensor,
    heads: int,
    activation: str,
    only_mask: bool,
    drop: Drop,
) -> Tensor:
    """One post-norm layer, ``(trial, feature, symbol, batch)``; of the mask only, if asked."""
    asking = hidden[:, :, -1:] if only_mask else hidden
    weight = own["self_attn.in_proj_weight"].chunk(3, 1)
    bias = own["self_attn.in_proj_bias"].chunk(3, 1)
    query = linear(weight[0], bias[0], asking).unflatten(1, (heads, -1))
    key, value = (linear(weight[i], bias[i], hidden).unflatten(1, (heads, -1)) for i in (1, 2))
    # scores: (trial, head, asked symbol, symbol, batch)
    scores = (query[:, :, :, :, None] * key[:, :, :, None]).sum(2) / query.shape[2] ** 0.5
    attention = drop(torch.softmax(scores + log_counts[:, None, None], 3))
    mixed = (attention[:, :, None] * value[:, :, :, None]).sum(4).flatten(1, 2)
    mixed = linear(own["self_attn.out_proj.weight"], own["self_attn.out_proj.bias"], mixed)
    hidden = layer_norm(own["norm1.weight"], own["norm1.bias"], asking + drop(mixed))
    act = getattr(torch.nn.functional, activation)
    inner = drop(act(linear(own["linear1.weight"], own["linear1.bias"], hidden)))
    outer = drop(linear(own["linear2.weight"], own["linear2.bias"], inner))
    return layer_norm(own["norm2.weight"], own["norm2.bias"], hidden + outer)


def _nothing(x: Tensor) -> Tensor:
    return x
