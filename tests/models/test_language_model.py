"""The masked language model against its mathematics, written out in float64."""

import math

import pytest
import torch
from torch import Tensor

from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.settings.catalogue import settings

SMALL = {
    "corpus": "grammar", "length": 7, "layers": 2, "embedding_size": 8, "heads": 2,
    "feedforward_size": 12,
}  # fmt: skip
VOCABULARY = 11


def model(tied=False, seed=0, **changes) -> MaskedLanguageModel:
    torch.manual_seed(seed)
    return MaskedLanguageModel(settings(SMALL | changes), VOCABULARY, tied).double()


def batch():
    tokens = torch.randint(VOCABULARY, (5, 7), generator=torch.Generator().manual_seed(3))
    return tokens, torch.tensor([[1, 4], [2, 6], [3, 5], [6, 1], [4, 2]])


def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def by_hand(own: MaskedLanguageModel, tokens: Tensor, places: Tensor, before: bool) -> Tensor:
    """The encoder of Vaswani et al. (2017), the norm before or after each part."""
    p = dict(own.named_parameters())
    x = p["input_embedding.weight"][tokens]
    if own.positions is not None:
        x = x + p["positions"]
    for layer in range(2):
        q = {
            name[17:]: value
            for name, value in p.items()
            if name.startswith(f"encoder.layers.{layer}.")
        }

        def attention(y, q=q):
            maps = y @ q["self_attn.in_proj_weight"].T + q["self_attn.in_proj_bias"]
            heads = []
            for head in range(2):
                query, key, value = (
                    part[..., 4 * head : 4 * head + 4] for part in maps.split(8, -1)
                )
                score = (query @ key.mT / math.sqrt(4)).softmax(-1)
                heads.append(score @ value)
            return (
                torch.cat(heads, -1) @ q["self_attn.out_proj.weight"].T
                + q["self_attn.out_proj.bias"]
            )

        def forward(y, q=q):
            wide = y @ q["linear1.weight"].T + q["linear1.bias"]
            wide = wide * (1 + torch.erf(wide / math.sqrt(2))) / 2
            return wide @ q["linear2.weight"].T + q["linear2.bias"]

        def normed(y, number, q=q):
            return norm(y, q[f"norm{number}.weight"], q[f"norm{number}.bias"])

        if before:
            x = x + attention(normed(x, 1))
            x = x + forward(normed(x, 2))
        else:
            x = normed(x + attention(x), 1)
            x = normed(x + forward(x), 2)
    if before:
        x = norm(x, p["encoder.norm.weight"], p["encoder.norm.bias"])
    table = p.get("output_embedding.weight", p["input_embedding.weight"])
    rows = torch.arange(len(tokens))[:, None]
    return (x @ table.T)[rows, places]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("where", ["before", "after"])
def test_logits_and_gradients_are_those_written_out(where, tied):
    own = model(tied, norm=where, embedding_std=0.5)
    with torch.no_grad():  # no parameter at its special initial value
        for parameter in own.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    got = own(*batch())
    got.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in own.parameters()]
    own.zero_grad()
    expected = by_hand(own, *batch(), before=where == "before")
    expected.square().sum().backward()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)
    for gradient, parameter in zip(gradients, own.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-9)


def test_without_positions_only_the_company_counts():
    tokens, places = batch()
    turned, where = tokens.roll(2, 1), (places + 2) % 7
    same = model(positions=False)
    torch.testing.assert_close(same(tokens, places), same(turned, where), rtol=0, atol=1e-12)
    other = model(positions=True)
    assert (other(tokens, places) - other(turned, where)).abs().max() > 1e-4


def test_tied_and_untied_of_a_seed_begin_alike():
    tied, untied = (dict(model(tied).named_parameters()) for tied in (True, False))
    assert untied.keys() - tied.keys() == {"output_embedding.weight"}
    assert all(torch.equal(tied[name], untied[name]) for name in tied)
    other = dict(model(seed=1).named_parameters())
    assert not torch.equal(other["input_embedding.weight"], untied["input_embedding.weight"])


def test_the_tables_begin_as_wide_as_asked():
    torch.manual_seed(0)
    own = MaskedLanguageModel(settings(SMALL | {"embedding_std": 0.3}), 5000, False)
    for table in (own.input_embedding, own.output_embedding):
        assert abs(float(table.weight.detach().std()) - 0.3) < 0.005
