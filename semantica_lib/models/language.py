"""The encoder of the masked language model, of PyTorch's own modules."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from semantica_lib.settings.language import MlmSettings


class MaskedLanguageModel(nn.Module):
    """Reads tokens by one table, encodes them, and writes masked places by another, or the same.

    With ``norm="after"`` and without positions it is the paper's: no norm at the end, no dropout.
    The tables are drawn first, both even if tied, so that a seed's tied and untied model begin with
    the same input table and encoder.

    Args:
        vocabulary: rows of the tables.
        tied: whether the output table is the input table.
    """

    def __init__(self, own: MlmSettings, vocabulary: int, tied: bool) -> None:
        super().__init__()
        size, before = own.embedding_size, own.norm == "before"
        tables = [nn.Embedding(vocabulary, size) for _ in range(2)]
        for table in tables:
            nn.init.normal_(table.weight, std=own.embedding_std)
        self.input_embedding = tables[0]
        self.output_embedding = tables[0] if tied else tables[1]
        layer = nn.TransformerEncoderLayer(
            size, own.heads, own.feedforward_size, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=before,
        )  # fmt: skip
        last = nn.LayerNorm(size) if before else None
        self.encoder = nn.TransformerEncoder(layer, own.layers, last, enable_nested_tensor=False)
        self.positions = None
        if own.positions:
            places = torch.empty(own.length, size).normal_(std=own.embedding_std)
            self.positions = nn.Parameter(places)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Logits at the places asked for only: a small part of all.

        Args:
            tokens: ``(row, token)`` ids.
            places: ``(row, masked)``.

        Returns:
            ``(row, masked, vocabulary)``: ``h @ O.T``, without a bias.
        """
        first, last = self.tables()
        embedded = functional.embedding(tokens, first)
        if self.positions is not None:
            embedded = embedded + self.positions
        hidden = self.encoder(embedded)
        picked = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[2]))
        return functional.linear(picked, last)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Input and output table, ``(symbol, feature)``."""
        return self.input_embedding.weight, self.output_embedding.weight

    def penalty(self) -> Tensor | None:
        """What is added to the loss that is differentiated; None adds nothing."""
        return None
