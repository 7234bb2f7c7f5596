"""One trial as one would write it in PyTorch: what the stack of trials is compared with."""

import torch
from torch import Tensor, nn

from semantica_lib.settings.xor import Settings


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
                size, own.heads, own.feedforward_size, own.dropout, own.activation,
                batch_first=True,
            )  # fmt: skip
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


def optimizer_and_schedule(
    own: Settings, model: nn.Module
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """PyTorch's own, as the settings choose them."""
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    moments = {} if own.optimizer == "sgd" else {"betas": own.betas, "eps": own.eps}
    optimizer = kinds[own.optimizer](
        model.parameters(), own.learning_rate, weight_decay=own.weight_decay, **moments
    )
    if own.schedule == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, own.schedule_period // 2, own.learning_rate_min
        )
    rise = own.warmup_steps or 0
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: step / rise if step < rise else 1.0
    )
