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
from semantica_lib.settings.xor import Settings

Drop = Callable[[Tensor], Tensor]
Parameters = dict[str, Tensor]


def _nothing(x: Tensor) -> Tensor:
    return x


def plain(own: Settings) -> nn.Module:
    """PyTorch's module of one trial, which draws its initial weights."""
    sizes = own.embedding_size, own.heads, own.feedforward_size
    layer = nn.TransformerEncoderLayer(*sizes, activation=own.activation, batch_first=True)
    return nn.TransformerEncoder(layer, own.layers, enable_nested_tensor=False)


def widest(own: Settings, symbols: int, batch: int) -> int:
    """As :func:`semantica_lib.models.encoders.widest`: features or scores of all symbols."""
    return batch * symbols * max(own.embedding_size, own.feedforward_size, own.heads * symbols)


def masked_hidden(
    settings: Settings, parameters: Parameters, tokens: Tensor, drop: Drop | None = None
) -> Tensor:
    """As :func:`semantica_lib.models.encoders.masked_hidden`.

    Args:
        drop: drops numbers of what it is given, where PyTorch's layer does while it trains.
    """
    layers, heads, activation = settings.layers, settings.heads, settings.activation
    table = parameters[INPUT].transpose(1, 2)  # (trial, feature, symbol)
    symbols = torch.arange(table.shape[2], device=tokens.device)
    if drop is not None:
        hidden = looked_up(table, tokens)  # (trial, feature, place, batch)
        once = torch.zeros_like(tokens, dtype=table.dtype)
        for index in range(layers):
            own = of_layer(parameters, index)
            hidden = _rest(own, hidden, _attend(own, hidden, once, heads, drop), activation, drop)
        return (hidden * (tokens == symbols[-1]).to(hidden.dtype)[:, None]).sum(2)
    counts = (tokens[:, None] == symbols[:, None, None]).sum(2)  # (trial, symbol, batch)
    log_counts = counts.to(table.dtype).log()  # absent: minus infinity
    hidden = table  # then (trial, feature, symbol, batch), of the mask (trial, feature, batch)
    for index in range(layers):
        own, last = of_layer(parameters, index), index == layers - 1
        if index == 0:
            mixed = _attend_to_table(own, hidden, log_counts, heads, last)
            hidden = hidden[..., None]
        elif last:
            mixed = _attend_from_mask(own, hidden, log_counts, heads)
        else:
            mixed = _attend(own, hidden, log_counts, heads)
        asking = hidden[:, :, -1] if last else hidden
        hidden = _rest(own, asking, mixed, activation)
    return hidden


def _attend(
    own: Parameters, hidden: Tensor, log_counts: Tensor, heads: int, drop: Drop = _nothing
) -> Tensor:
    """What each symbol gets from all, ``(trial, feature, symbol, batch)``, before the residual."""
    query, key, value = (_projected(own, index, hidden, heads) for index in range(3))
    # (trial, head, asked symbol, symbol, batch)
    scores = (query[:, :, :, :, None] * key[:, :, :, None]).sum(2) / query.shape[2] ** 0.5
    attention = drop(torch.softmax(scores + log_counts[:, None, None], 3))
    mixed = (attention[:, :, None] * value[:, :, :, None]).sum(4).flatten(1, 2)
    return linear(own["self_attn.out_proj.weight"], own["self_attn.out_proj.bias"], mixed)


def _attend_to_table(
    own: Parameters, table: Tensor, log_counts: Tensor, heads: int, only_mask: bool
) -> Tensor:
    """The same in the first layer, where only the counts depend on the sequence.

    The last map is linear, so it is taken of the table's values before they are mixed.

    Returns:
        ``(trial, feature, symbol, batch)``, or that of the mask, ``(trial, feature, batch)``.
    """
    query, key, value = (_projected(own, index, table, heads) for index in range(3))
    if only_mask:
        query = query[..., -1:]
    # (trial, head, symbol, asked symbol), then with the batch
    scores = (key[..., None] * query[:, :, :, None]).sum(2) / query.shape[2] ** 0.5
    attention = torch.softmax(scores[..., None] + log_counts[:, None, :, None], 2)
    out = own["self_attn.out_proj.weight"].unflatten(2, (heads, -1))
    given = (out[..., None] * value[:, None]).sum(3).flatten(2)  # (trial, feature, head x symbol)
    mixed = linear(given, own["self_attn.out_proj.bias"], attention.flatten(1, 2))
    return mixed[:, :, 0] if only_mask else mixed


def _attend_from_mask(own: Parameters, hidden: Tensor, log_counts: Tensor, heads: int) -> Tensor:
    """What the mask alone gets from all, ``(trial, feature, batch)``.

    The maps to keys and to values are taken of the one that asks instead of all that are asked:
    ``q @ (K x) = (K.T q) @ x``, and the mean of ``V x + b`` is ``V`` times the mean of ``x``, plus
    ``b``. The bias of the keys adds the same to all scores, which the softmax does not see.
    """
    query = _projected(own, 0, hidden[:, :, -1], heads)  # (trial, head, feature of a head, batch)
    size = query.shape[2]
    _, key, value = (
        part.unflatten(1, (heads, -1)).flatten(0, 1)
        for part in own["self_attn.in_proj_weight"].chunk(3, 1)
    )  # (trial and head, feature of a head, feature)
    asks = torch.bmm(key.transpose(1, 2), query.flatten(0, 1)).unflatten(0, (-1, heads))
    scores = (asks[:, :, :, None] * hidden[:, None]).sum(2) / size**0.5
    attention = torch.softmax(scores + log_counts[:, None], 2)  # (trial, head, symbol, batch)
    seen = (attention[:, :, None] * hidden[:, None]).sum(3)  # (trial, head, feature, batch)
    mixed = torch.bmm(value, seen.flatten(0, 1)).unflatten(0, (-1, heads)).flatten(1, 2)
    mixed = mixed + own["self_attn.in_proj_bias"].chunk(3, 1)[2][..., None]
    return linear(own["self_attn.out_proj.weight"], own["self_attn.out_proj.bias"], mixed)


def _projected(own: Parameters, index: int, x: Tensor, heads: int) -> Tensor:
    """Queries (0), keys (1) or values (2) of ``(trial, feature, ...)``: ``(trial, head, ...)``."""
    weight, bias = own["self_attn.in_proj_weight"], own["self_attn.in_proj_bias"]
    return linear(weight.chunk(3, 1)[index], bias.chunk(3, 1)[index], x).unflatten(1, (heads, -1))


def _rest(
    own: Parameters, asking: Tensor, mixed: Tensor, activation: str, drop: Drop = _nothing
) -> Tensor:
    """The layer behind its attention: residuals, norms and the two maps between them."""
    hidden = layer_norm(own["norm1.weight"], own["norm1.bias"], asking + drop(mixed))
    act = getattr(torch.nn.functional, activation)
    inner = drop(act(linear(own["linear1.weight"], own["linear1.bias"], hidden)))
    outer = drop(linear(own["linear2.weight"], own["linear2.bias"], inner))
    return layer_norm(own["norm2.weight"], own["norm2.bias"], hidden + outer)
