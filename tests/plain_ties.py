"""One trial with a tie or a bias of its own, as one would write it in PyTorch."""

import torch
from plain import PlainModel
from torch import Tensor, nn
from torch.nn import functional

from semantica_lib.settings.xor import Settings


class PlainTied(nn.Module):
    """By autograd alone: no formula of a gradient, and no table where a product will do."""

    def __init__(self, own: Settings, vocabulary: int, tie: str, shares: Tensor) -> None:
        super().__init__()
        plain = PlainModel(own, vocabulary, tie == "tied")
        self.encoder, self.own, self.vocabulary = plain.encoder, own, vocabulary
        self.table = plain.input_embedding.weight
        self.tie, _, text = tie.partition(":")
        self.strength = float(text or "nan")
        size = own.embedding_size
        if self.tie in ("untied", "soft"):
            self.other = plain.output_embedding.weight
        elif self.tie == "tied-but-mask":
            self.row = nn.Parameter(plain.output_embedding.weight[-1].detach().clone())
        elif self.tie == "mapped":
            self.map = nn.Parameter(torch.eye(size))
        elif self.tie == "pseudo-inverse":
            self.factor = nn.Parameter(torch.eye(size))
        elif self.tie == "scaled":
            self.table.data *= self.strength
        if own.output_bias == "learned":
            self.bias = nn.Parameter(torch.zeros(vocabulary))
        elif own.output_bias == "log-frequency":
            self.register_buffer("bias", shares.clamp(min=1e-6).log())

    def input(self) -> Tensor:
        """The input table."""
        if self.tie != "pseudo-inverse":
            return self.table
        upper = torch.linalg.cholesky(self.table.T @ self.table).T
        lower = self.factor.tril()
        return self.table @ torch.linalg.inv(upper) @ torch.linalg.inv(lower @ lower.T)

    def logits(self, tokens: Tensor) -> Tensor:
        """Scores of every symbol at every place, ``(string, place, symbol)``."""
        table = self.input()
        shown = functional.embedding(tokens, table)
        if self.tie == "lookup":
            shown.register_hook(lambda gradient: self.strength * gradient)
        hidden = self.encoder(shown)
        if self.tie in ("untied", "soft"):
            found = hidden @ self.other.T
        elif self.tie == "tied-but-mask":
            found = torch.cat([hidden @ table[:-1].T, (hidden @ self.row)[..., None]], -1)
        elif self.tie == "mapped":
            found = (hidden @ self.map.T) @ table.T
        elif self.tie == "pseudo-inverse":
            found = hidden @ torch.linalg.pinv(table)
        elif self.tie == "scaled":
            found = hidden @ table.T / self.own.embedding_size**0.5
        else:
            found = hidden @ table.T
        return found + self.bias if self.own.output_bias != "none" else found

    def penalty(self) -> Tensor:
        """What is added to the loss."""
        if self.tie != "soft":
            return torch.zeros(())
        return self.strength * torch.dist(self.other, self.table) ** 2

    def named(self) -> dict[str, Tensor]:
        """Its parameters by the library's names."""
        names = {
            "table": "input_embedding.weight", "other": "output_embedding.weight",
            "row": "tie_mask", "map": "tie_map", "factor": "tie_factor", "bias": "output_bias",
        }  # fmt: skip
        found = dict(self.named_parameters())
        return {names.get(name, name): value for name, value in found.items()}
