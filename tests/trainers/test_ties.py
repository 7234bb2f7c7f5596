"""Ways to tie, and output biases, against plain PyTorch modules with autograd."""

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from plain import optimizer_and_schedule
from plain_ties import PlainTied
from torch import Tensor, nn

from semantica_lib.datasets.xor import SPLITS, XorTask, xor_task
from semantica_lib.models.ties import SCHEMES
from semantica_lib.settings.catalogue import settings
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers import stacked
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.kernel import serves
from semantica_lib.trainers.measuring import measure, table_gradient
from semantica_lib.trainers.stacked import Stack, State

REAL, STEPS, SEEDS = torch.float64, 40, [42, 7]
SCHEMED = ["tied-but-mask", "mapped", "pseudo-inverse", "soft:0.1", "scaled:0.3", "lookup:3"]
WORDS = ["untied", "tied", *SCHEMED]
MAIN = {"schedule_period": 30, "bits": 4}
OTHERS = {
    "lstm": {"architecture": "lstm", "bits": 3},
    "mixer": {"architecture": "mixer", "bits": 3, "expectation": "exact"},
    "adam": {"optimizer": "adam", "eps": 1e-8, "batch_size": 8, "bits": 4},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1, "bits": 4, "schedule_period": 60},
}
Writings = Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]]


def shares_of(task: XorTask, writings: Writings) -> Tensor:
    """How often each symbol is the target on the training strings, by counting."""
    shares = torch.zeros(task.vocabulary, dtype=REAL)
    for _, target, probability in writings(task, "train"):
        shares[target] += probability
    return shares


class PlainTrial:
    """One trial in PyTorch alone."""

    def __init__(self, own: Settings, seed: int, tie: str, shares: Tensor) -> None:
        self.task = xor_task(own)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = PlainTied(own, self.task.vocabulary, tie, shares)
        self.model.to(REAL)
        self.optimizer, self.scheduler = optimizer_and_schedule(own, self.model)

    def loss(self, tokens: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        logits = self.model.logits(tokens)[tokens == self.task.mask]
        loss = nn.functional.cross_entropy(logits, target, reduction="none")
        return loss.mean() if weight is None else (weight * loss).sum()

    def step(self, *batch: Tensor) -> float:
        loss = self.loss(*batch)
        self.optimizer.zero_grad()
        (loss + self.model.penalty()).backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()


def columns(writings: Iterator[tuple[list[int], int, float]]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.array(column)) for column in zip(*writings, strict=True))


def batches(stack: Stack, seed: int, writings: Writings) -> Iterator[tuple[Tensor, ...]]:
    own, task = stack.settings, stack.task
    whole = columns(writings(task, "train")) if own.expectation == "exact" else None
    for step in torch.arange(STEPS):
        strings, seeds = task.splits["train"], torch.tensor([seed])
        if own.batch_size:
            strings = task.shuffled(strings, own.batch_size, seeds, step)
        batch = task.draw(strings, seeds, step)
        yield whole or (batch.tokens[0].T, batch.target[0])


def trained(stack: Stack, steps: int = STEPS) -> tuple[Tensor, State]:
    state, losses, advance = stack.initial(), [], stack.stepper(steps)
    for _ in range(steps):
        state, loss = advance(state)
        losses.append(loss)
    return torch.stack(losses), state


def assert_is_torchs(own: Settings, tie: str, writings: Writings) -> None:
    stack = Stack(own, SEEDS, tie, dtype=REAL)
    assert serves(stack)
    losses, state = trained(stack)
    shares = shares_of(stack.task, writings)
    for trial, seed in enumerate(SEEDS):
        plain = PlainTrial(own, seed, tie, shares)
        theirs = [plain.step(*batch) for batch in batches(stack, seed, writings)]
        assert losses[:, trial].tolist() == pytest.approx(theirs, rel=0, abs=1e-9)
        views = stack.layout.views(state.flat)
        ours = {name: one[trial] for name, one in views.items() if not name.startswith("fixed_")}
        named = plain.model.named()
        if tie == "tied":
            ours.pop("output_embedding.weight")
        assert ours.keys() == named.keys()
        for name, value in named.items():
            one, other = ours[name].view(value.shape), value.detach()
            if name.endswith("self_attn.in_proj_bias"):  # see test_stacked.py
                one, other = (torch.cat(x.tensor_split(3)[::2]) for x in (one, other))
            if name.endswith("tokenwise_layer.fc1.bias"):
                one, other = one[:-1], other[:-1]
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9, msg=name)
        tokens, target, weight = columns(writings(stack.task, "exact"))
        exact = measure(stack, state)[0][SPLITS.index("exact"), 1, trial].item()
        assert exact == pytest.approx(plain.loss(tokens, target, weight).item(), rel=0, abs=1e-9)


# --- against PyTorch -------------------------------------------------------------------------


@pytest.mark.parametrize("tie", SCHEMED)
def test_each_scheme_trains_as_torch_does(masked_writings: Writings, tie: str) -> None:
    """Losses, parameters, and what is measured at the end, of two seeds, to 1e-9."""
    assert_is_torchs(settings(MAIN), tie, masked_writings)


@pytest.mark.parametrize(
    ("tie", "other"),
    [("mapped", "lstm"), ("pseudo-inverse", "mixer"), ("soft:2", "adam"), ("lookup:0.3", "sgd")],
)
def test_schemes_train_as_torch_does_by_other_encoders_and_optimizers(
    masked_writings: Writings, tie: str, other: str
) -> None:
    assert_is_torchs(settings(OTHERS[other]), tie, masked_writings)


@pytest.mark.parametrize(
    ("tie", "odds", "bias"),
    [
        ("untied", "constant", "learned"), ("tied", "turning", "log-frequency"),
        ("tied-but-mask", "both", "log-frequency"), ("tied", "both", "learned"),
    ],
)  # fmt: skip
def test_a_bias_trains_as_torch_does(
    masked_writings: Writings, tie: str, odds: str, bias: str
) -> None:
    assert_is_torchs(settings(MAIN | {"output_bias": bias, "odds": odds}), tie, masked_writings)


@pytest.mark.parametrize("expectation", ["sampled", "exact"])
@pytest.mark.parametrize("tie", ["untied", "tied"])
def test_turning_odds_train_as_torch_does(
    masked_writings: Writings, tie: str, expectation: str
) -> None:
    own = settings(MAIN | {"odds": "turning", "expectation": expectation, "weight_decay": 0.01})
    stack = Stack(own, SEEDS, tie, dtype=REAL)
    losses, _ = trained(stack)
    for trial, seed in enumerate(SEEDS):
        plain = PlainTrial(own, seed, tie, torch.ones(7))
        theirs = [plain.step(*batch) for batch in batches(stack, seed, masked_writings)]
        assert losses[:, trial].tolist() == pytest.approx(theirs, rel=0, abs=1e-9)


# --- what a scheme is ------------------------------------------------------------------------


def test_every_scheme_is_tried_here() -> None:
    assert {tie.partition(":")[0] for tie in SCHEMED} == set(SCHEMES)


def tables(tie: str, **values: object) -> tuple[Stack, Tensor, Tensor]:
    stack = Stack(settings(MAIN | values), SEEDS, tie, dtype=REAL)
    return stack, *stack.tables(stack.initial())


def test_all_begin_from_the_tables_that_their_seed_draws() -> None:
    _, drawn, other = tables("untied")
    for tie in ("tied", "mapped", "lookup:3"):
        _, first, second = tables(tie)
        assert torch.equal(first, drawn) and torch.equal(second, drawn)
    _, first, second = tables("soft:1")
    assert torch.equal(first, drawn) and torch.equal(second, other)
    _, first, second = tables("tied-but-mask")
    assert torch.equal(first, drawn) and torch.equal(second[:, :-1], drawn[:, :-1])
    assert torch.equal(second[:, -1], other[:, -1])
    _, first, second = tables("scaled:0.02")
    torch.testing.assert_close(first, 0.02 * drawn)
    torch.testing.assert_close(second, 0.02 * drawn / 2)
    _, first, second = tables("pseudo-inverse")
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first.mT @ first, torch.eye(4, dtype=REAL).expand(2, -1, -1))
    assert (drawn * first).sum(1).min() > 0  # each column on the side on which it was drawn


def test_the_pseudo_inverse_stays_one_and_other_relations_stay() -> None:
    stack, *_ = tables("pseudo-inverse", learning_rate=0.05)
    first, second = stack.tables(trained(stack)[1])
    torch.testing.assert_close(torch.linalg.pinv(first).mT, second)
    assert not torch.allclose(first, second, atol=0.1)
    stack, *_ = tables("tied-but-mask", learning_rate=0.05)
    first, second = stack.tables(trained(stack)[1])
    assert torch.equal(first[:, :-1], second[:, :-1])
    assert not torch.allclose(first[:, -1], second[:, -1], atol=0.1)


def test_a_soft_tie_lies_between_untied_and_tied() -> None:
    """Of the strength 0 it is untied, to the bit; a strong one brings the tables together."""
    stacks = [tables(tie, learning_rate=0.01)[0] for tie in ("untied", "soft:0", "soft:10")]
    (_, free), (_, none), (_, strong) = (trained(stack) for stack in stacks)
    assert torch.equal(stacks[0].tables(free)[1], stacks[1].tables(none)[1])

    def apart(stack: Stack, state: State) -> float:
        first, second = stack.tables(state)
        return (first - second).norm().item()

    assert apart(stacks[2], strong) < 0.8 * apart(stacks[0], free)


def test_a_lookup_of_strength_1_is_tied_and_of_0_hears_nothing_of_the_lookup() -> None:
    one, tied, deaf = (tables(tie)[0] for tie in ("lookup:1", "tied", "lookup:0"))
    states = [trained(stack, 5)[1] for stack in (one, tied)]
    assert torch.equal(states[0].flat[:, : states[1].flat.shape[1]][:, :28], states[1].flat[:, :28])
    state = deaf.initial()
    by_input, by_output, _ = table_gradient(deaf, state)[0].tolist()
    assert by_input > 0.01 and by_output > 0.01  # as it reaches the tables, before it is scaled
    gradients = []
    for stack in (deaf, tied):
        flat = stack.initial().flat.requires_grad_()
        batch = stack.batch(stack.initial(), stack.traits)
        loss = stack.loss(stack.views(flat), batch)
        (gradient,) = torch.autograd.grad(loss.sum(), flat)
        gradients.append(gradient[:, :28].norm(dim=1))
    assert gradients[0][0].item() == pytest.approx(by_output, rel=1e-9)
    assert abs(gradients[1][0].item() - by_output) > 0.01


def test_a_fixed_bias_does_not_move_and_a_learned_one_starts_at_0(
    masked_writings: Writings,
) -> None:
    own = settings(MAIN | {"output_bias": "log-frequency", "weight_decay": 1.0})
    stack = Stack(own, SEEDS, "tied", dtype=REAL)
    shares = shares_of(stack.task, masked_writings)
    for state in (stack.initial(), trained(stack, 20)[1]):
        bias = stack.views(state.flat)["output_bias"]
        assert bias[0, :4].tolist() == pytest.approx(shares[:4].log().tolist(), rel=1e-12)
        assert bias[0, 4:].tolist() == pytest.approx([math.log(1e-6)] * 3, rel=1e-6)
    free = Stack(settings(MAIN | {"output_bias": "learned"}), SEEDS, "tied", dtype=REAL)
    assert not free.views(free.initial().flat)["output_bias"].any()
    assert free.views(trained(free, 20)[1].flat)["output_bias"].abs().min() > 1e-4


# --- stacks ----------------------------------------------------------------------------------


def test_trials_that_differ_in_strength_train_in_one_stack_as_alone() -> None:
    own = settings(MAIN)
    ties = ["soft:0.1", "soft:2", "soft:0"]
    together = Stack(own, [42, 7, 42], ties, dtype=REAL)
    losses, state = trained(together, 20)
    for trial, (seed, tie) in enumerate(zip([42, 7, 42], ties, strict=True)):
        alone = Stack(own, [seed], tie, dtype=REAL)
        once, after = trained(alone, 20)
        torch.testing.assert_close(losses[:, trial], once[:, 0], rtol=0, atol=1e-12)
        torch.testing.assert_close(
            together.tables(state)[1][trial], alone.tables(after)[1][0], rtol=0, atol=1e-12
        )
    with pytest.raises(ValueError, match="one family"):
        Stack(own, [1, 2], ["soft:1", "mapped"])
    with pytest.raises(ValueError, match="one family"):
        Stack(own, [1, 2], ["soft:1", "tied"])


def test_tied_and_untied_trials_share_a_stack_with_a_bias() -> None:
    values = MAIN | {"output_bias": "log-frequency"}
    one, other = (settings(values | {"zero_dst": dst}) for dst in ([0.1, 0.9], [0.5, 0.5]))
    each, ties = [one, other, one], [True, False, True]
    losses, _ = trained(Stack(each, [1, 2, 3], ties, dtype=REAL), 20)
    for trial, (own, tie) in enumerate(zip(each, ties, strict=True)):
        alone, _ = trained(Stack(own, [trial + 1], tie, dtype=REAL), 20)
        torch.testing.assert_close(losses[:, trial], alone[:, 0], rtol=0, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("tie", SCHEMED)
def test_compiled_schemes_are_uncompiled_ones(tie: str) -> None:
    """In float32, over 100 steps, with a bias and turning odds."""
    own = settings({"bits": 3, "output_bias": "learned", "odds": "turning"})
    fast, slow = Stack(own, range(42, 52), tie), Stack(own, range(42, 52), tie)
    step = fast.stepper(stacked.EAGER_BELOW)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Uncompiled)
        state, losses = fast.initial(), []
        for _ in range(100):
            state, loss = step(state)
            losses.append(loss)
    torch.testing.assert_close(torch.stack(losses), trained(slow, 100)[0], rtol=0, atol=1e-4)
