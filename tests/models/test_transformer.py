"""Counting symbols instead of places is PyTorch's encoder, at any depth, with any heads."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from semantica_lib.models.stack import plain_parameters
from semantica_lib.models.transformer import masked_hidden

EXACT = {"rtol": 1e-12, "atol": 1e-12}  # float64, for values of about 1

shapes = st.fixed_dictionaries(
    {
        "vocabulary": st.integers(2, 9),
        "layers": st.integers(1, 3),
        "heads": st.sampled_from([1, 2, 4]),
        "head_size": st.integers(1, 3),
        "feedforward_size": st.integers(1, 9),
        "activation": st.sampled_from(["gelu", "relu"]),
    }
)


class Case:
    """Trials with random weights, as plain modules and as a stack, and random sequences."""

    def __init__(
        self,
        plain_model: type[nn.Module],
        shape: dict,
        length: int,
        batch: int,
        seed: int,
        trials: int = 1,
        shared: bool = False,
    ) -> None:
        shape = dict(shape)
        shape["embedding_size"] = shape.pop("head_size") * shape["heads"]
        self.how = {name: shape[name] for name in ("layers", "heads", "activation")}
        self.mask = shape["vocabulary"] - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.models = [plain_model(**shape).double() for _ in range(trials)]
            for model in self.models:
                for parameter in model.parameters():
                    nn.init.normal_(parameter)
            sequences = 1 if shared else trials
            tokens = torch.randint(self.mask, (sequences, length, batch))
            self.place = torch.randint(length, (sequences, 1, batch))
            self.tokens = tokens.scatter(1, self.place, self.mask)
            self.weight = torch.randn(trials, shape["embedding_size"], batch).double()
        named = [
            plain_parameters(model.encoder, (model.input_embedding, model.output_embedding))
            for model in self.models
        ]
        self.parameters = {
            name: torch.stack([trial[name].detach() for trial in named]).requires_grad_()
            for name in named[0]
        }

    def ours(self) -> Tensor:
        return masked_hidden(self.parameters, self.tokens, **self.how)

    def theirs(self) -> Tensor:
        """PyTorch's own output at every place, of which the masked one is taken."""
        hidden = []
        for index, model in enumerate(self.models):
            sequence = index % len(self.tokens)
            everywhere = model(self.tokens[sequence].T)  # (batch, place, feature)
            place = self.place[sequence, 0]
            hidden.append(everywhere[torch.arange(len(place)), place].T)
        return torch.stack(hidden)


@settings(max_examples=60)
@given(
    shape=shapes,
    length=st.integers(1, 12),
    batch=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_hidden_and_gradient_are_those_of_torchs_encoder(
    plain_model: type[nn.Module], shape: dict, length: int, batch: int, seed: int
) -> None:
    case = Case(plain_model, shape, length, batch, seed)
    ours, theirs = case.ours(), case.theirs()
    torch.testing.assert_close(ours, theirs, **EXACT)
    (ours * case.weight).sum().backward()
    (theirs * case.weight).sum().backward()
    (model,) = case.models
    expected = plain_parameters(model.encoder, (model.input_embedding, model.output_embedding))
    del expected["output_embedding.weight"]  # takes no part in the encoder
    largest = max(parameter.grad.abs().max() for parameter in expected.values())
    for name, parameter in expected.items():
        torch.testing.assert_close(
            case.parameters[name].grad[0] / largest, parameter.grad / largest, **EXACT, msg=name
        )


@settings(max_examples=20)
@given(shape=shapes, shared=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_a_stack_of_trials_is_each_trial_alone(
    plain_model: type[nn.Module], shape: dict, shared: bool, seed: int
) -> None:
    """Whether every trial has sequences of its own or all see the same ones."""
    case = Case(plain_model, shape, length=6, batch=4, seed=seed, trials=3, shared=shared)
    together = case.ours()
    torch.testing.assert_close(together, case.theirs(), **EXACT)
    for trial in range(3):
        own = {name: value[trial : trial + 1] for name, value in case.parameters.items()}
        tokens = case.tokens if shared else case.tokens[trial : trial + 1]
        alone = masked_hidden(own, tokens, **case.how)
        torch.testing.assert_close(together[trial : trial + 1], alone, **EXACT)
