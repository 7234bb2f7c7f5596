"""Which encoder the settings choose."""

import torch
from torch import Tensor, nn

from semantica_lib.models import lstm, mixer, transformer
from semantica_lib.models.dropout import Dropout
from semantica_lib.models.stack import INPUT, OUTPUT, plain_parameters
from semantica_lib.settings.xor import Settings


def plain(own: Settings) -> nn.Module:
    """PyTorch's modules of one trial's encoder: they draw its initial weights."""
    if own.architecture == "lstm":
        return lstm.plain(own.layers, own.embedding_size, own.hidden_size, own.bidirectional)
    if own.architecture == "mixer":
        sizes = own.token_feedforward_size, own.channel_feedforward_size
        return mixer.plain(own.layers, own.embedding_size, own.bits + 1, *sizes)
    sizes = own.heads, own.feedforward_size
    return transformer.plain(own.layers, own.embedding_size, *sizes, own.activation)


def initial(own: Settings, vocabulary: int, seed: int) -> dict[str, Tensor]:
    """Initial parameters of one trial by name, drawn by PyTorch's modules as the original does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tables = [nn.Embedding(vocabulary, own.embedding_size) for _ in range(2)]
        named = plain_parameters(plain(own), tables)
    if own.equal_start:
        bounds = len(own.zero_dst), len(own.zero_dst) + len(own.one_dst)
        for table in (INPUT, OUTPUT):
            *bits, rest = named[table].detach().tensor_split(bounds)
            named[table] = torch.cat([*(rows[:1].expand_as(rows) for rows in bits), rest])
    return named


def masked_hidden(
    own: Settings, parameters: dict[str, Tensor], tokens: Tensor, drop: Dropout | None = None
) -> Tensor:
    """The encoder's output at the masked place, ``(trial, feature, batch)``.

    Args:
        parameters: named, each ``(trial, *shape)``; the mask is the last symbol.
        tokens: ``(trial or 1, token, batch)`` int64; each sequence holds one mask.
        drop: a step's dropout, of encoders that have any.
    """
    if own.architecture == "lstm":
        return lstm.masked_hidden(parameters, tokens, own.layers, own.bidirectional)
    if own.architecture == "mixer":
        return mixer.masked_hidden(parameters, tokens, own.layers, own.activation)
    sizes = own.layers, own.heads, own.activation
    return transformer.masked_hidden(parameters, tokens, *sizes, drop)


def widest(own: Settings, symbols: int, batch: int) -> int:
    """Of how many numbers the largest tensor is that the encoder makes for a trial.

    Args:
        symbols: of the vocabulary.
        batch: sequences of a trial at a step.
    """
    if own.architecture == "lstm":  # the gates
        return (1 + own.bidirectional) * 4 * own.hidden_size * (own.bits + 1) * batch
    if own.architecture == "mixer":
        places = max(own.bits + 1, own.token_feedforward_size)
        return batch * max(
            own.embedding_size * places, (own.bits + 1) * own.channel_feedforward_size
        )
    return batch * symbols * max(own.embedding_size, own.feedforward_size, own.heads * symbols)


def most_dropped(own: Settings, batch: int) -> int:
    """Of how many numbers of a trial the encoder drops some at once, at most."""
    places = own.bits + 1
    return places * batch * max(own.heads * places, own.embedding_size, own.feedforward_size)


def sees_order(own: Settings) -> bool:
    """Whether the places of symbols matter to the encoder, or only how many there are of each."""
    return own.architecture != "transformer"
