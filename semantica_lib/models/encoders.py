"""Which encoder the settings choose."""

from torch import Tensor, nn

from semantica_lib.experiments import Settings
from semantica_lib.models import lstm, mixer, transformer


def plain(own: Settings) -> nn.Module:
    """PyTorch's modules of one trial's encoder: they draw its initial weights."""
    if own.architecture == "lstm":
        return lstm.plain(own.layers, own.embedding_size, own.hidden_size, own.bidirectional)
    if own.architecture == "mixer":
        sizes = own.token_feedforward_size, own.channel_feedforward_size
        return mixer.plain(own.layers, own.embedding_size, own.bits + 1, *sizes)
    sizes = own.heads, own.feedforward_size
    return transformer.plain(own.layers, own.embedding_size, *sizes, own.activation)


def masked_hidden(own: Settings, parameters: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """The encoder's output at the masked place, ``(trial, feature, batch)``.

    Args:
        parameters: named, each ``(trial, *shape)``; the mask is the last symbol.
        tokens: ``(trial or 1, token, batch)`` int64; each sequence holds one mask.
    """
    if own.architecture == "lstm":
        return lstm.masked_hidden(parameters, tokens, own.layers, own.bidirectional)
    if own.architecture == "mixer":
        return mixer.masked_hidden(parameters, tokens, own.layers, own.activation)
    return transformer.masked_hidden(parameters, tokens, own.layers, own.heads, own.activation)


def sees_order(own: Settings) -> bool:
    """Whether the places of symbols matter to the encoder, or only how many there are of each."""
    return own.architecture != "transformer"
