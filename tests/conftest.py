"""What all tests share: one thread, the same examples at every run, and PyTorch's own model."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from semantica_lib.datasets.xor import XorTask
from semantica_lib.experiments import Settings

torch.set_num_threads(1)
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")


class PlainMixer(nn.Module):
    """The paper's MLP-Mixer for one trial: ``(string, place, feature)`` in and out."""

    def __init__(self, own: Settings) -> None:
        super().__init__()

        def part(size: int, hidden: int) -> nn.ModuleDict:
            return nn.ModuleDict({"fc0": nn.Linear(size, hidden), "fc1": nn.Linear(hidden, size)})

        self.activation = {"relu": nn.ReLU(), "gelu": nn.GELU()}[own.activation]
        self.layers = nn.ModuleList()
        for _ in range(own.layers):
            layer = nn.ModuleDict()
            layer["tokenwise_layer"] = part(own.bits + 1, own.token_feedforward_size)
            layer["channelwise_layer"] = part(own.embedding_size, own.channel_feedforward_size)
            layer["pre_norm"] = nn.LayerNorm(own.embedding_size)
            layer["post_norm"] = nn.LayerNorm(own.embedding_size)
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            tokenwise, channelwise = layer["tokenwise_layer"], layer["channelwise_layer"]
            turned = layer["pre_norm"](x).transpose(1, 2)
            turned = tokenwise["fc1"](self.activation(tokenwise["fc0"](turned)))
            x = x + turned.transpose(1, 2)
            inner = self.activation(channelwise["fc0"](layer["post_norm"](x)))
            x = x + channelwise["fc1"](inner)
        return x


class PlainLSTM(nn.Module):
    """The paper's LSTM for one trial: ``(string, place, feature)`` in and out."""

    def __init__(self, own: Settings) -> None:
        super().__init__()
        width = own.hidden_size * (2 if own.bidirectional else 1)
        self.feed_forward = nn.Linear(width, own.embedding_size)  # drawn first in the original
        self.lstm = nn.LSTM(
            own.embedding_size, own.hidden_size, own.layers,
            batch_first=True, bidirectional=own.bidirectional,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.feed_forward(self.lstm(x)[0])


class PlainModel(nn.Module):
    """One trial of an experiment as one would write it in PyTorch."""

    def __init__(self, own: Settings, vocabulary: int, tied: bool = False) -> None:
        super().__init__()
        size = own.embedding_size
        self.input_embedding = nn.Embedding(vocabulary, size)
        self.output_embedding = nn.Embedding(vocabulary, size)
        if own.architecture == "transformer":
            layer = nn.TransformerEncoderLayer(
                size, own.heads, own.feedforward_size, 0.0, own.activation, batch_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, own.layers, enable_nested_tensor=False)
        else:
            self.encoder = {"lstm": PlainLSTM, "mixer": PlainMixer}[own.architecture](own)
        if tied:
            self.output_embedding.weight = self.input_embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden vectors ``(string, place, feature)`` of ``(string, place)`` symbols."""
        return self.encoder(self.input_embedding(tokens))

    def logits(self, tokens: Tensor) -> Tensor:
        """Scores of every symbol at every place, ``(string, place, symbol)``."""
        return self(tokens) @ self.output_embedding.weight.T


@pytest.fixture(scope="session")
def plain_model() -> type[PlainModel]:
    return PlainModel


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a stored run of the original code by its name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(Path(__file__).parent / "reference" / f"{name}.npz") as file:
            return dict(file)

    return read


def enumerate_masked_writings(task: XorTask, split: str) -> Iterator[tuple[list[int], int, float]]:
    """Tokens, hidden symbol and probability of every masked writing of every string of a split."""
    strings = task.splits[split].tolist()
    synonyms = list(enumerate(task.zero_dst)), list(enumerate(task.one_dst, len(task.zero_dst)))
    for string in strings:
        for writing in product(*(synonyms[bit] for bit in string)):
            probability = math.prod(p for _, p in writing) / len(strings) / task.bits
            for place in range(task.bits):
                tokens = [symbol for symbol, _ in writing]
                target, tokens[place] = tokens[place], task.mask
                yield [*tokens, task.parity + sum(string) % 2], target, probability


@pytest.fixture(scope="session")
def masked_writings() -> Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]]:
    return enumerate_masked_writings
