"""The masked language model by other ways to tie, against plain modules with autograd."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.models.language_ties import SchemedLanguageModel
from semantica_lib.settings.catalogue import settings

OWN = settings(
    {
        "corpus": "grammar", "length": 7, "layers": 1, "embedding_size": 8, "heads": 2,
        "feedforward_size": 12, "embedding_std": 0.5,
    }
)  # fmt: skip
VOCABULARY, MASK, SIZE = 11, 4, 8
TIES = ["tied-but-mask", "mapped", "pseudo-inverse", "soft:0.1", "scaled:0.3", "lookup:3"]


class Plain(MaskedLanguageModel):
    """By products with h, and no output table."""

    def __init__(self, tie: str) -> None:
        super().__init__(OWN, VOCABULARY, False)
        self.kind, _, text = tie.partition(":")
        self.much = float(text or "nan")
        if self.kind == "scaled":
            self.input_embedding.weight.data *= self.much / 0.5
        self.row = nn.Parameter(self.output_embedding.weight[MASK].detach().clone())
        self.square = nn.Parameter(torch.eye(SIZE))

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        table, other = self.input_embedding.weight, self.output_embedding.weight
        if self.kind == "pseudo-inverse":
            upper = torch.linalg.cholesky(table.T @ table).T
            lower = self.square.tril()
            table = table @ torch.linalg.inv(upper) @ torch.linalg.inv(lower @ lower.T)
        shown = functional.embedding(tokens, table)
        if self.kind == "lookup":
            shown.register_hook(lambda gradient: self.much * gradient)
        hidden = self.encoder(shown + self.positions)
        hidden = torch.stack([row[at] for row, at in zip(hidden, places, strict=True)])
        logits = hidden @ table.T
        if self.kind == "tied-but-mask":
            mask = torch.arange(VOCABULARY) == MASK
            logits = torch.where(mask, (hidden @ self.row)[..., None], logits)
        return {
            "mapped": lambda: (hidden @ self.square.T) @ table.T,
            "pseudo-inverse": lambda: hidden @ torch.linalg.pinv(table),
            "soft": lambda: hidden @ other.T,
            "scaled": lambda: logits / SIZE**0.5,
        }.get(self.kind, lambda: logits)()

    def penalty(self) -> Tensor:
        apart = torch.dist(self.input_embedding.weight, self.output_embedding.weight)
        return self.much * apart**2 if self.kind == "soft" else torch.zeros(())


def losses(model: nn.Module) -> list[float]:
    tokens = torch.randint(VOCABULARY, (5, 7), generator=torch.Generator().manual_seed(3))
    places = torch.tensor([[1, 4], [2, 6], [3, 5], [6, 1], [4, 2]])
    optimizer = torch.optim.AdamW(model.double().parameters(), 0.01, weight_decay=0.1)
    found = []
    for _ in range(20):
        loss = functional.cross_entropy(
            model(tokens, places).flatten(0, 1), tokens[:, :2].flatten()
        )
        penalty = model.penalty()
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("tie", TIES)
def test_it_trains_as_plain_modules_do(tie: str) -> None:
    torch.manual_seed(1)
    ours = SchemedLanguageModel(OWN, VOCABULARY, tie, MASK)
    torch.manual_seed(1)
    plain = Plain(tie)
    assert losses(ours) == pytest.approx(losses(plain), rel=0, abs=1e-9)
    first, second = ours.tables()
    assert first.shape == second.shape == (VOCABULARY, SIZE)
    assert len([*ours.parameters()]) < len([*plain.parameters()])
