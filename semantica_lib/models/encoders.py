"""The encoders that settings can choose: a module each, with the same three functions.

``plain`` gives PyTorch's modules, which draw a trial's initial weights; ``masked_hidden`` computes
for a stack of trials what they would for each; ``widest`` tells how large its tensors are.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from semantica_lib.models.stack import INPUT, OUTPUT, plain_parameters
from semantica_lib.settings.xor import Settings

if TYPE_CHECKING:
    from semantica_lib.models.dropout import Dropout

LOADED: dict[str, ModuleType] = {}  # by architecture; others are not imported


def _module(own: Settings) -> ModuleType:
    """Of the encoder that the settings choose, named as its architecture."""
    if own.architecture not in LOADED:  # never in a compiled step: drawing weights comes first
        LOADED[own.architecture] = import_module(f"semantica_lib.models.{own.architecture}")
    return LOADED[own.architecture]


def initial(own: Settings, vocabulary: int, seed: int) -> dict[str, Tensor]:
    """Initial parameters of one trial by name, drawn by PyTorch's modules as the original does."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # leaves the GPUs' as they are
        tables = [nn.Embedding(vocabulary, own.embedding_size) for _ in range(2)]
        named = plain_parameters(_module(own).plain(own), tables)
    if own.equal_start:
        bounds = len(own.zero_dst), len(own.zero_dst) + len(own.one_dst)
        for table in (INPUT, OUTPUT):
            *bits, rest = named[table].detach().tensor_split(bounds)
            named[table] = torch.cat([*(rows[:1].expand_as(rows) for rows in bits), rest])
    return named


def masked_hidden(
    own: Settings, parameters: dict[str, Tensor], tokens: Tensor, drop: "Dropout | None" = None
) -> Tensor:
    """The encoder's output at the masked place, ``(trial, feature, batch)``.

    Args:
        parameters: named, each ``(trial, *shape)``; the mask is the last symbol.
        tokens: ``(trial or 1, token, batch)`` int64; each sequence holds one mask.
        drop: a step's dropout, of encoders that have any.
    """
    dropout = () if drop is None else (drop,)
    return _module(own).masked_hidden(own, parameters, tokens, *dropout)


def widest(own: Settings, symbols: int, batch: int) -> int:
    """Of how many numbers the largest tensor is that the encoder makes for a trial.

    Args:
        symbols: of the vocabulary.
        batch: sequences of a trial at a step.
    """
    return _module(own).widest(own, symbols, batch)


def dropping(own: Settings, batch: int) -> "tuple[type[Dropout], int]":
    """What drops numbers, and of how many of a trial the encoder drops some at once, at most."""
    from semantica_lib.models.dropout import Dropout  # most need none

    places = own.bits + 1
    return Dropout, places * batch * max(
        own.heads * places, own.embedding_size, own.feedforward_size
    )


def sees_order(own: Settings) -> bool:
    """Whether the places of symbols matter to the encoder, or only how many there are of each."""
    return own.architecture != "transformer"
