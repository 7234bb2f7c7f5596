"""Dropout: its numbers, and that it drops where PyTorch's own layer drops."""

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from semantica_lib.models.dropout import Dropout
from semantica_lib.models.stack import plain_parameters
from semantica_lib.models.transformer import masked_hidden
from semantica_lib.settings.catalogue import settings

SEEDS, ROWS = torch.tensor([42, 43]), torch.arange(20_000)
OWN = settings(
    {"layers": 2, "embedding_size": 6, "heads": 2, "feedforward_size": 5, "dropout": 0.3}
)
EXACT = {"rtol": 1e-11, "atol": 1e-11}


def dropped(share: float, seeds: Tensor = SEEDS, step: int = 0, calls: int = 1) -> list[Tensor]:
    """What several calls of one step leave of ones, each ``(trial, 70,000)``."""
    drop = Dropout(share, seeds, torch.tensor(step), ROWS)
    return [drop(torch.ones(len(seeds), 7, 10_000)).flatten(1) for _ in range(calls)]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_rest_makes_up_for_it(share: float) -> None:
    (left,) = dropped(share)
    for trial in left:
        kept = trial != 0
        assert stats.binomtest(int(kept.sum()), len(trial), 1 - share).pvalue > 1e-4
        assert torch.equal(trial[kept], torch.full((int(kept.sum()),), 1 / (1 - share)))


def test_trials_steps_calls_and_neighbours_are_independent() -> None:
    first, second = dropped(0.5, calls=2)
    (later,) = dropped(0.5, step=1)
    pairs = [(first[0], first[1]), (first[0], second[0]), (first[0], later[0])]
    pairs += [(first[0, lag:], first[0, :-lag]) for lag in (1, 2, 4, 7)]
    for one, other in pairs:
        agree = int((one == other).sum())
        assert stats.binomtest(agree, len(one), 0.5).pvalue > 1e-4


def test_a_trial_drops_the_same_in_any_stack() -> None:
    together = dropped(0.3, calls=3)
    alone = dropped(0.3, SEEDS[1:], calls=3)
    assert all(torch.equal(one[1], other[0]) for one, other in zip(together, alone, strict=True))


class Model:
    """A plain encoder with random weights, a stack of it, and sequences."""

    def __init__(self, plain_model: type[nn.Module]) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.plain = plain_model(OWN, vocabulary=7).double()
            for parameter in self.plain.parameters():
                nn.init.normal_(parameter)
            self.tokens, self.place = torch.randint(6, (9, 8)), torch.randint(8, (9, 1))
        self.tokens.scatter_(1, self.place, 6)  # the mask
        tables = self.plain.input_embedding, self.plain.output_embedding
        named = plain_parameters(self.plain.encoder, tables)
        self.parameters = {name: value.detach()[None] for name, value in named.items()}

    def ours(self, drop: Callable[[Tensor], Tensor]) -> Tensor:
        """``(feature, batch)``."""
        return masked_hidden(OWN, self.parameters, self.tokens.T[None], drop)[0]

    def theirs(self) -> Tensor:
        hidden = self.plain.encoder(self.plain.input_embedding(self.tokens))
        return hidden[torch.arange(9), self.place[:, 0]].T


def test_over_places_the_encoder_is_what_it_is_over_symbols(plain_model: type[nn.Module]) -> None:
    model = Model(plain_model)
    over_symbols = masked_hidden(OWN, model.parameters, model.tokens.T[None])[0]
    torch.testing.assert_close(model.ours(lambda x: x), over_symbols, **EXACT)


def test_what_is_dropped_is_what_torchs_layer_drops(
    plain_model: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's layer with its random numbers replaced by those that ours drew, in its order."""
    model, masks = Model(plain_model), []
    drop = Dropout(OWN.dropout, SEEDS[:1], torch.tensor(3), ROWS)

    def noted(x: Tensor) -> Tensor:
        masks.append(drop(torch.ones_like(x))[0])
        return x * masks[-1]

    ours = model.ours(noted)
    assert len(masks) == 4 * OWN.layers and (masks[0] == 0).any()
    waiting = iter(masks)

    def attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Tensor:
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        mask = next(waiting).permute(3, 0, 1, 2)  # (head, asked, place, batch) before
        return (scores.softmax(-1) * mask) @ value

    class Replaced(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * next(waiting).permute(2, 1, 0)  # (feature, place, batch) before

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", attention)
    for layer in model.plain.encoder.layers:
        layer.dropout1 = layer.dropout = layer.dropout2 = Replaced()
    torch.testing.assert_close(ours, model.theirs(), **EXACT)
    assert next(waiting, None) is None
    assert not torch.allclose(ours, model.ours(lambda x: x))
