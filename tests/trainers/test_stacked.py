"""A stack of trials against PyTorch's modules, optimizer and schedule, and against the original.

The bias of the attention's keys has no true gradient: it adds the same number to all scores of a
query, which the softmax takes out again. What a computer finds for its gradient is rounding noise,
and AdamW with an eps of 1e-12 makes steps of that. So wherever parameters are compared, the keys'
part of ``in_proj_bias`` (its middle third) is left out; it changes nothing that the model computes.
The same holds for one number of a mixer's layer: its ``fc1`` over places adds the same to all
features of the last place, which is never masked, so that the next norms take it out again. Of
another place it holds too until some string of a batch masks it, so mixers are compared on strings
enough for every place to be masked at the first step.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from plain import optimizer_and_schedule
from torch import Tensor, nn

from semantica_lib.datasets.xor import SPLITS, Batch, XorTask, xor_task
from semantica_lib.models import encoders
from semantica_lib.models.stack import plain_parameters
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.settings.xor import SIZES, Settings
from semantica_lib.trainers import launching, measuring, reporting, stacked
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.measuring import measure, table_gradient
from semantica_lib.trainers.stacked import NEVER, Stack, State
from semantica_lib.trainers.training import train

STEPS = 100
REAL = torch.float64
TIES = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
# Half a period of 30 steps: in 100 steps the rate goes down, up, down and some way up again.
MAIN = settings({"schedule_period": 60})
DEEP = settings(
    {
        "schedule_period": 60, "bits": 4, "zero_dst": [0.7, 0.2, 0.1], "layers": 2, "heads": 2,
        "embedding_size": 6, "feedforward_size": 5, "activation": "relu", "betas": [0.8, 0.99],
        "learning_rate": 1e-3, "weight_decay": 0.01, "eps": 1e-6,
    }
)  # fmt: skip
TINY = settings({"bits": 3})
LSTM = settings({"schedule_period": 60, "architecture": "lstm", "layers": 2, "bits": 4})
MIXER = settings({"schedule_period": 60, "architecture": "mixer", "layers": 2, "bits": 5})
ADAM = settings(
    {
        "optimizer": "adam", "schedule": "constant", "warmup_steps": 20, "eps": 1e-8,
        "batch_size": 50, "bits": 6,
    }
)  # fmt: skip
SGD = settings({"optimizer": "sgd", "schedule_period": 60, "learning_rate": 0.5, "bits": 5})
FLAT = settings({"schedule": "none", "bits": 5, "zero_dst": [0.25, 0.25, 0.5]})
# The medium sizes on short strings, which are all that makes them slow.
MEDIUM = [
    find(f"{name}-medium", [("schedule_period", 60), ("bits", bits)])
    for name, bits in (("transformer", 3), ("lstm", 3), ("mlp", 5))
]
SIZE_NAMES = [name for sizes in SIZES.values() for name in sizes]
ALL = [MAIN, DEEP, LSTM, MIXER, ADAM, SGD, FLAT, *MEDIUM]
NAMES = [
    "main", "deep", "lstm", "mixer", "adam", "sgd", "flat", *(own.experiment for own in MEDIUM),
]  # fmt: skip
Advance = Callable[[State], tuple[State, Tensor]]


class Run(NamedTuple):
    """Losses ``(step, trial)`` and the state after them."""

    losses: Tensor
    state: State


def advanced(stack: Stack, advance: Advance, steps: int = STEPS, start: State | None = None) -> Run:
    state, losses = start or stack.initial(), []
    for _ in range(steps):
        state, loss = advance(state)
        losses.append(loss)
    return Run(torch.stack(losses), state)


def uncompiled(stack: Stack, steps: int = STEPS) -> Run:
    return advanced(stack, stack.stepper(steps), steps)


def parameters(stack: Stack, state: State, trial: int) -> dict[str, Tensor]:
    return {name: value[trial] for name, value in stack.layout.views(state.flat).items()}


def assert_same_parameters(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], tolerance: float
) -> None:
    """All parameters but those that change nothing (see above)."""
    assert ours.keys() == theirs.keys()
    for name in ours:
        one, other = ours[name].detach(), theirs[name].detach()
        if name.endswith("self_attn.in_proj_bias"):
            one, other = (torch.cat(x.tensor_split(3)[::2]) for x in (one, other))
        if name.endswith("tokenwise_layer.fc1.bias"):
            one, other = one[:-1], other[:-1]
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance, msg=name)


class PlainTrial:
    """One trial of an experiment in PyTorch alone."""

    def __init__(
        self,
        plain_model: type[nn.Module],
        own: Settings,
        seed: int,
        tied: bool,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.mask = len(own.zero_dst) + len(own.one_dst) + 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = plain_model(own, self.mask + 1, tied)
        self.model.to(dtype)
        self.optimizer, self.scheduler = optimizer_and_schedule(own, self.model)

    def logits(self, tokens: Tensor) -> Tensor:
        """``(string, symbol)`` at the masked place of ``(string, place)`` tokens."""
        return self.model.logits(tokens)[tokens == self.mask]

    def step(self, tokens: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
        """A step on the mean over sequences, or on the sum of their losses times these weights."""
        loss = nn.functional.cross_entropy(self.logits(tokens), target, reduction="none")
        loss = loss.mean() if weight is None else (weight * loss).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def parameters(self) -> dict[str, Tensor]:
        model = self.model
        return plain_parameters(model.encoder, (model.input_embedding, model.output_embedding))


def batches(task: XorTask, seed: int, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """What a trial of this seed draws, as ``(string, place)`` tokens and their targets."""
    for step in torch.arange(STEPS):
        strings, seeds = task.splits["train"], torch.tensor([seed])
        if size:
            strings = task.shuffled(strings, size, seeds, step)
        batch = task.draw(strings, seeds, step)
        yield batch.tokens[0].T, batch.target[0]


# --- against PyTorch -------------------------------------------------------------------------


@TIES
@pytest.mark.parametrize("own", ALL, ids=NAMES)
def test_training_is_that_of_torch_to_float64(
    plain_model: type[nn.Module], own: Settings, tied: bool
) -> None:
    stack = Stack(own, [42, 7], tied, dtype=torch.float64)
    if own.architecture == "mixer":  # see above
        first = stack.task.draw(stack.task.splits["train"], stack.seeds, torch.tensor(0)).tokens
        assert (first == stack.task.mask)[:, :-1].any(2).all()
    run = uncompiled(stack)
    for trial, seed in enumerate([42, 7]):
        plain = PlainTrial(plain_model, own, seed, tied)
        losses = [plain.step(*batch) for batch in batches(stack.task, seed, own.batch_size)]
        assert run.losses[:, trial].tolist() == pytest.approx(losses, rel=0, abs=1e-9)
        assert_same_parameters(parameters(stack, run.state, trial), plain.parameters(), 1e-9)


@TIES
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("architecture", SIZES)
def test_exact_training_is_that_of_torch_on_all_masked_writings(
    plain_model: type[nn.Module],
    masked_writings: Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]],
    architecture: str,
    optimizer: str,
    tied: bool,
) -> None:
    """Of the training strings, one after the other as they are written, each by its weight."""
    own = settings(
        {"architecture": architecture, "optimizer": optimizer, "bits": 3, "expectation": "exact"}
    )
    stack = Stack(own, [42, 7], tied, dtype=REAL)
    columns = zip(*masked_writings(stack.task, "train"), strict=True)
    tokens, target, weight = (torch.from_numpy(np.array(column)) for column in columns)
    run = uncompiled(stack, 30)
    for trial, seed in enumerate([42, 7]):
        plain = PlainTrial(plain_model, own, seed, tied)
        losses = [plain.step(tokens, target, weight) for _ in range(30)]
        assert run.losses[:, trial].tolist() == pytest.approx(losses, rel=0, abs=1e-9)
        assert_same_parameters(parameters(stack, run.state, trial), plain.parameters(), 1e-9)


@TIES
@pytest.mark.parametrize("own", [MAIN, LSTM, MIXER], ids=["main", "lstm", "mixer"])
def test_losses_are_those_of_torch_in_float32(
    plain_model: type[nn.Module], own: Settings, tied: bool
) -> None:
    stack = Stack(own, [42], tied)
    plain = PlainTrial(plain_model, own, 42, tied, torch.float32)
    losses = [plain.step(*batch) for batch in batches(stack.task, 42)]
    assert uncompiled(stack).losses[:, 0].tolist() == pytest.approx(losses, rel=0, abs=1e-5)


@TIES
def test_the_bias_of_the_keys_has_no_true_gradient(
    plain_model: type[nn.Module], tied: bool
) -> None:
    """What the comparisons of parameters here leave out is noise, and only that."""
    plain = PlainTrial(plain_model, DEEP, 42, tied)
    for batch in batches(xor_task(DEEP), 42):
        plain.step(*batch)
    for layer in plain.model.encoder.layers:
        query, key, value = layer.self_attn.in_proj_bias.grad.abs().chunk(3)
        assert key.max() < 1e-14
        assert min(query.max(), value.max()) > 1e-6


@TIES
@pytest.mark.parametrize("own", ALL, ids=NAMES)
def test_initial_weights_are_those_of_torch_for_the_seed(
    plain_model: type[nn.Module], own: Settings, tied: bool
) -> None:
    before = torch.random.get_rng_state()
    stack = Stack(own, [7, 42], tied)
    state = stack.initial()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not state.first.any() and not state.second.any() and state.step == 0
    for trial, seed in enumerate([7, 42]):
        plain = PlainTrial(plain_model, own, seed, tied, torch.float32).parameters()
        ours = parameters(stack, state, trial)
        assert ours.keys() == plain.keys()
        assert all(torch.equal(ours[name], plain[name]) for name in plain)


@pytest.mark.parametrize("own", [MAIN, MIXER], ids=["main", "mixer"])
def test_tables_untied_on_the_way_train_as_torchs_tied_and_then_untied_model(
    plain_model: type[nn.Module], own: Settings
) -> None:
    """The untied PyTorch model takes over the tied one's weights and its optimizer's moments."""
    untied_at = 30
    stack = Stack(settings(own.model_dump() | {"untie_at": untied_at}), [42], True, dtype=REAL)
    plain, losses = PlainTrial(plain_model, own, 42, True), []
    for step, batch in enumerate(batches(stack.task, 42)):
        if step == untied_at:
            before, plain = plain, PlainTrial(plain_model, own, 42, False)
            take_over(plain, before)
        losses.append(plain.step(*batch))
    run = uncompiled(stack)
    assert run.losses[:, 0].tolist() == pytest.approx(losses, rel=0, abs=1e-9)
    assert_same_parameters(parameters(stack, run.state, 0), plain.parameters(), 1e-9)
    first, second = stack.tables(uncompiled(stack, untied_at).state)
    assert torch.equal(first, second)
    assert not torch.equal(*stack.tables(run.state))
    free = Stack(settings(own.model_dump() | {"untie_at": untied_at}), [42], False, dtype=REAL)
    same = Stack(own, [42], False, dtype=REAL)  # an untied trial has nothing to untie
    assert torch.equal(uncompiled(free, 5).state.flat, uncompiled(same, 5).state.flat)


def take_over(plain: PlainTrial, before: PlainTrial) -> None:
    """Give a plain trial the weights, moments and rate of a tied one."""
    own, tied = (dict(one.model.named_parameters()) for one in (plain, before))
    tied["output_embedding.weight"] = tied["input_embedding.weight"]
    for name, parameter in own.items():
        parameter.data.copy_(tied[name].data)
        moments = before.optimizer.state[tied[name]].items()
        plain.optimizer.state[parameter] = {key: value.clone() for key, value in moments}
    plain.optimizer.param_groups[0].update(lr=before.optimizer.param_groups[0]["lr"])
    plain.scheduler.load_state_dict(before.scheduler.state_dict())


def test_synonyms_can_start_with_equal_rows_and_nothing_else_changes() -> None:
    own = settings({"zero_dst": [0.2, 0.3, 0.5]})
    plain = Stack(own, [42, 7], False)
    equal = Stack(settings(own.model_dump() | {"equal_start": True}), [42, 7], False)
    for trial in range(2):
        before = parameters(plain, plain.initial(), trial)
        after = parameters(equal, equal.initial(), trial)
        for name in ("input_embedding.weight", "output_embedding.weight"):
            old, new = before.pop(name), after.pop(name)
            assert torch.equal(new, old[[0, 0, 0, 3, 3, 5, 6, 7]])
        assert all(torch.equal(after[name], value) for name, value in before.items())


# --- against the original --------------------------------------------------------------------


def of_the_original(run: dict[str, np.ndarray], moment: str) -> dict[str, Tensor]:
    """Its parameters at a moment, ``init`` or ``final``, under the names used here."""
    named = {}
    for key in (key for key in run if key.startswith(f"{moment}/")):
        name = key.partition("/")[2]
        own = name.startswith(("input_embedding", "output_embedding", "encoder."))
        named[name if own else f"encoder.{name}"] = torch.from_numpy(run[key])
    return named


SMALL = [f"{name}-small" for name in ("transformer", "lstm", "mlp")]
MEDIUM_RUNS = ["transformer-medium", "mlp-medium"]
MEDIUM_RUNS += [pytest.param("lstm-medium", marks=pytest.mark.long)]


def on_its_batches(stack: Stack, state: State, run: dict[str, np.ndarray]) -> Run:
    """A hundred steps on the batches of a stored run."""
    losses = []
    for tokens, targets in zip(run["tokens"], run["targets"], strict=True):
        batch = Batch(
            torch.from_numpy(tokens).long().T[None], torch.from_numpy(targets.max(1)).long()[None]
        )
        state, loss = stack.update(state, batch, stack.traits)
        losses.append(loss)
    return Run(torch.cat(losses), state)


@TIES
@pytest.mark.parametrize("name", SMALL)
def test_training_is_that_of_the_original(
    reference: Callable[[str], dict[str, np.ndarray]], name: str, tied: bool
) -> None:
    """Its stored 100 steps on its own batches: losses and parameters to 1e-5."""
    run = reference(f"{name}-{'tied' if tied else 'untied'}")
    stack = Stack(find(name), [42], tied)
    flat = stack.layout.flat(of_the_original(run, "init"))[None]
    losses, state = on_its_batches(stack, replace(stack.initial(), flat=flat), run)
    assert losses.tolist() == pytest.approx(run["losses"].tolist(), rel=0, abs=1e-5)
    final = of_the_original(run, "final")
    if tied:
        final["output_embedding.weight"] = final["input_embedding.weight"]
    assert_same_parameters(parameters(stack, state, 0), final, 1e-5)


@TIES
@pytest.mark.parametrize("name", MEDIUM_RUNS)
def test_training_at_the_larger_size_is_that_of_the_original(
    reference: Callable[[str], dict[str, np.ndarray]], name: str, tied: bool
) -> None:
    """Weights bit for bit, and 100 steps in float64, in which rounding does not blur them.

    Stored of the parameters are the tables, and every 16th row of the others.
    """
    run = reference(f"{name}-{'tied' if tied else 'untied'}")
    stack = Stack(find(name), [42], tied, dtype=REAL)
    start = stack.initial()
    losses, state = on_its_batches(stack, start, reference("transformer-small-untied"))
    assert losses.tolist() == pytest.approx(run["losses"].tolist(), rel=0, abs=1e-9)
    for moment, at in {"init": start, "final": state}.items():
        theirs, ours = of_the_original(run, moment), parameters(stack, at, 0)
        if tied:
            theirs["output_embedding.weight"] = theirs["input_embedding.weight"]
        kept = {key: x if "embedding" in key else x[::16] for key, x in ours.items()}
        kept = {key: x.float() for key, x in kept.items()}
        assert_same_parameters(kept, theirs, 0 if moment == "init" else 1e-6)


@TIES
def test_the_larger_lstm_begins_as_the_original(
    reference: Callable[[str], dict[str, np.ndarray]], tied: bool
) -> None:
    """Ten of the hundred steps, which take long."""
    run = reference(f"lstm-medium-{'tied' if tied else 'untied'}")
    stack = Stack(find("lstm-medium"), [42], tied, dtype=REAL)
    whole = reference("transformer-small-untied")
    batches = {name: whole[name][:10] for name in ("tokens", "targets")}
    losses, _ = on_its_batches(stack, stack.initial(), batches)
    assert losses.tolist() == pytest.approx(run["losses"][:10].tolist(), rel=0, abs=1e-9)


@TIES
@pytest.mark.parametrize("name", SMALL)
def test_a_seed_starts_with_the_weights_of_the_original(
    reference: Callable[[str], dict[str, np.ndarray]], name: str, tied: bool
) -> None:
    """Bit for bit."""
    stack = Stack(find(name), [42], tied)
    weights = parameters(stack, stack.initial(), 0)
    for key, value in of_the_original(
        reference(f"{name}-{'tied' if tied else 'untied'}"), "init"
    ).items():
        assert torch.equal(weights[key], value), key


@TIES
def test_a_seed_starts_as_far_apart_as_the_original(
    reference: Callable[[str], dict[str, np.ndarray]], tied: bool
) -> None:
    """All distances of step 0, bit for bit."""
    stack = Stack(settings({}), [42], tied)
    state = stack.initial()
    name = f"transformer-small-{'tied' if tied else 'untied'}"
    record = reference(f"original-{name}-seed42")
    first, second = torch.from_numpy(record["pairs"]).T
    for table, which in zip(stack.tables(state), ("input", "output"), strict=True):
        distance = (table[0, first] - table[0, second]).norm(dim=1)
        assert np.array_equal(distance, record[f"{which}_distance"][0])


# --- stacks and compiling --------------------------------------------------------------------


@TIES
def test_a_trial_trains_the_same_alone_and_in_a_stack(tied: bool) -> None:
    seeds = range(42, 52)
    stack = Stack(DEEP, seeds, tied, dtype=torch.float64)
    together = uncompiled(stack, 30)
    for trial, seed in enumerate(seeds):
        single = Stack(DEEP, [seed], tied, dtype=torch.float64)
        alone = uncompiled(single, 30)
        torch.testing.assert_close(
            alone.losses[:, 0], together.losses[:, trial], rtol=0, atol=1e-12
        )
        assert_same_parameters(
            parameters(single, alone.state, 0), parameters(stack, together.state, trial), 1e-10
        )


@TIES
@pytest.mark.parametrize("architecture", ["transformer", "lstm", "mixer"])
def test_a_stack_cut_into_chunks_trains_the_same(
    architecture: str, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of three of five trials, the last of which begins with one of the chunk before."""
    own = settings({"architecture": architecture, "bits": 4, "batch_size": 6})
    stack = Stack(own, range(42, 47), tied, dtype=torch.float64)
    whole = uncompiled(stack, 8)
    monkeypatch.setattr(stacked, "IN_CACHE", 3 * encoders.widest(own, stack.task.vocabulary, 6))
    trials, update = [], Stack.update

    def noted(self: Stack, state: State, *rest: Any) -> tuple[State, Tensor]:
        trials.append(state.seeds.tolist())
        return update(self, state, *rest)

    monkeypatch.setattr(Stack, "update", noted)
    chunks = uncompiled(stack, 8)
    assert trials == 8 * [[42, 43, 44], [44, 45, 46]]
    torch.testing.assert_close(chunks.losses, whole.losses, rtol=0, atol=1e-12)
    assert chunks.state.seeds.tolist() == [*range(42, 47)] and chunks.state.step == 8
    for trial in range(5):
        ours, theirs = (parameters(stack, run.state, trial) for run in (chunks, whole))
        assert_same_parameters(ours, theirs, 1e-10)


@pytest.fixture(scope="module")
def compiled_run() -> Callable[[Settings, Iterable[int], bool], Run]:
    """The steps of a stack, compiled; a shape is compiled once."""
    kept: dict[tuple, tuple[Stack, Advance]] = {}

    def run(own: Settings, seeds: Iterable[int], tied: bool, start: State | None = None) -> Run:
        key = own, tuple(seeds), tied
        if key not in kept:
            stack = Stack(own, key[1], tied)
            kept[key] = stack, stack.stepper(stacked.EAGER_BELOW)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Uncompiled)
            return advanced(*kept[key], start=start)

    return run


TEN, ONE = range(42, 52), range(45, 46)  # the one is the fourth of the ten


@pytest.mark.parametrize("seeds", [TEN, ONE], ids=["ten", "one"])
def test_compiled_training_is_uncompiled_training(
    compiled_run: Callable[..., Run], seeds: range
) -> None:
    """In float32, over 100 steps, to 1e-5."""
    assert_compiling_changes_nothing(compiled_run, TINY, seeds, tied=False)


def assert_compiling_changes_nothing(
    compiled_run: Callable[..., Run], own: Settings, seeds: range, tied: bool
) -> None:
    stack = Stack(own, seeds, tied)
    fast, slow = compiled_run(own, seeds, tied), uncompiled(stack)
    torch.testing.assert_close(fast.losses, slow.losses, rtol=0, atol=1e-5)
    assert fast.state.step == slow.state.step == STEPS
    for trial in range(len(seeds)):
        ours, theirs = (parameters(stack, run.state, trial) for run in (fast, slow))
        assert_same_parameters(ours, theirs, 1e-5)


def test_a_compiled_trial_trains_the_same_alone_and_in_a_stack(
    compiled_run: Callable[..., Run],
) -> None:
    together, alone = compiled_run(TINY, TEN, False), compiled_run(TINY, ONE, False)
    trial = TEN.index(ONE[0])
    torch.testing.assert_close(alone.losses[:, 0], together.losses[:, trial], rtol=0, atol=1e-5)
    layout = Stack(TINY, ONE, False)
    one = parameters(layout, alone.state, 0)
    assert_same_parameters(one, parameters(layout, together.state, trial), 1e-5)


def test_compiled_training_is_the_same_bit_for_bit_a_second_time(
    compiled_run: Callable[..., Run],
) -> None:
    for seeds in (TEN, ONE):
        first, second = compiled_run(TINY, seeds, False), compiled_run(TINY, seeds, False)
        assert torch.equal(first.losses, second.losses)
        for one, other in zip(vars(first.state).values(), vars(second.state).values(), strict=True):
            assert torch.equal(one, other)


def test_compiled_training_stops_a_trial_that_diverges_and_leaves_the_others_alone(
    compiled_run: Callable[..., Run],
) -> None:
    """Whatever the compiler takes for granted of numbers; the others to the bit."""
    sound, begun = compiled_run(TINY, TEN, False), Stack(TINY, TEN, False).initial()
    start = replace(begun, flat=begun.flat.clone(), second=begun.second.clone())
    start.flat[2] = 1e30  # finite, but the loss is not
    start.flat[5, 7], start.second[8, 3] = math.nan, math.inf
    run = compiled_run(TINY, TEN, False, start)
    lost = torch.isin(torch.arange(10), torch.tensor([2, 5, 8]))
    assert run.state.stopped.tolist() == [0 if one else NEVER for one in lost]
    for name in ("flat", "first", "second"):
        value, before = getattr(run.state, name), getattr(start, name)
        assert torch.equal(value[~lost], getattr(sound.state, name)[~lost])
        torch.testing.assert_close(value[lost], before[lost], rtol=0, atol=0, equal_nan=True)


@pytest.mark.long
@TIES
@pytest.mark.parametrize("own", [settings({}), DEEP], ids=["main", "deep"])
def test_compiled_training_is_uncompiled_training_at_full_size(
    compiled_run: Callable[..., Run], own: Settings, tied: bool
) -> None:
    assert_compiling_changes_nothing(compiled_run, own, TEN, tied)


def test_a_batch_of_all_strings_is_the_full_batch_in_another_order() -> None:
    whole = Stack(MAIN, [42, 43], False, dtype=torch.float64)
    count = len(whole.task.splits["train"])
    shuffled = settings(MAIN.model_dump() | {"batch_size": count})
    losses = uncompiled(Stack(shuffled, [42, 43], False, dtype=torch.float64)).losses
    torch.testing.assert_close(losses, uncompiled(whole).losses, rtol=0, atol=1e-9)


def test_compiled_training_is_uncompiled_training_with_all_else_that_can_be_chosen(
    compiled_run: Callable[..., Run],
) -> None:
    own = settings(ADAM.model_dump() | {"dropout": 0.2, "batch_size": 9, "bits": 4, "untie_at": 50})
    assert_compiling_changes_nothing(compiled_run, own, ONE, tied=True)


def test_dropout_changes_training_and_not_what_is_measured() -> None:
    without, with_ = (settings({"bits": 4, "dropout": share}) for share in (0.0, 0.5))
    stacks = [Stack(own, [42], False, dtype=torch.float64) for own in (without, with_)]
    first, second = (uncompiled(stack, 3) for stack in stacks)
    assert not torch.allclose(first.losses, second.losses)
    for one, other in zip(*(measure(stack, first.state) for stack in stacks), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(uncompiled(stacks[1], 3).losses, second.losses)  # by the step alone


def refuse(*_: object, **__: object) -> None:
    raise RuntimeError("no\ncompiler")


@pytest.mark.parametrize(
    "compile_", [refuse, lambda *_, **__: refuse], ids=["when asked", "at the first step"]
)
def test_without_a_compiler_training_goes_on_and_says_so_once(
    compile_: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", compile_)
    stack = Stack(TINY, [42, 43], True)
    with pytest.warns(Uncompiled) as told:
        run = advanced(stack, stack.stepper(stacked.EAGER_BELOW), 20)
    assert len(told) == 1
    message = str(told[0].message)
    assert "no compiler" in message and "\n" not in message
    expected = uncompiled(stack, 20)
    assert torch.equal(run.losses, expected.losses)
    assert torch.equal(run.state.flat, expected.state.flat)


# --- what is measured ------------------------------------------------------------------------


@TIES
@pytest.mark.parametrize("at_once", [10, 10_000])
@pytest.mark.parametrize(
    "own",
    [TINY, DEEP, *(settings({"architecture": name, "bits": 3}) for name in ("lstm", "mixer"))],
    ids=["tiny", "deep", "lstm", "mixer"],
)
def test_measured_are_the_expectations_over_all_masked_writings(
    plain_model: type[nn.Module],
    masked_writings: Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]],
    monkeypatch: pytest.MonkeyPatch,
    own: Settings,
    tied: bool,
    at_once: int,
) -> None:
    """Of PyTorch's model, one sequence at a time as it is written, on every split."""
    monkeypatch.setattr(measuring, "AT_ONCE", {True: at_once})
    seeds = [42, 43, 44]
    stack = Stack(own, seeds, tied, dtype=torch.float64)
    measured, norms, gaps = measure(stack, stack.initial())
    for split, values in zip(SPLITS, measured, strict=True):
        columns = zip(*masked_writings(stack.task, split), strict=True)
        tokens, target, probability = (torch.from_numpy(np.array(column)) for column in columns)
        for trial, seed in enumerate(seeds):
            plain = PlainTrial(plain_model, own, seed, tied)
            logits = plain.logits(tokens)
            loss = nn.functional.cross_entropy(logits, target, reduction="none")
            hit = logits.argmax(1) == target
            theirs = [(probability * x).sum().item() for x in (hit, loss)]
            assert values[:, trial].tolist() == pytest.approx(theirs, abs=1e-12)
            if split == "exact":
                norm = plain.model(tokens)[tokens == plain.mask].norm(dim=1)
                of_one = target >= len(own.zero_dst)
                least = [norm[~of_one].min().item(), norm[of_one].min().item()]
                assert norms[trial].tolist() == pytest.approx(least, abs=1e-12)
                for pair, gap in zip(stack.task.synonyms, gaps[trial].tolist(), strict=True):
                    inside = of_one if pair[0] >= len(own.zero_dst) else ~of_one
                    theirs = (logits[:, pair[1]] - logits[:, pair[0]])[inside].detach()
                    mean = (theirs * probability[inside]).sum() / probability[inside].sum()
                    extremes = [theirs.min().item(), theirs.max().item()]
                    assert gap == pytest.approx([mean.item(), *extremes], abs=1e-12)


def test_a_context_of_probability_zero_has_no_part_in_the_least_norm() -> None:
    """A symbol that is never written may have a row of any length."""
    own = settings({"zero_dst": [1, 0], "one_dst": [0, 1], "bits": 3})
    for architecture in ("transformer", "lstm", "mixer"):
        changed = settings(own.model_dump(exclude=set(SIZE_NAMES)) | {"architecture": architecture})
        stack = Stack(changed, [42], False)
        state = stack.initial()
        _, *before = measure(stack, state)
        stack.layout.views(state.flat)["input_embedding.weight"][:, [1, 2]] = 1e3
        _, *after = measure(stack, state)
        assert all(map(torch.equal, before, after))


def test_validation_as_published_measures_on_the_training_strings() -> None:
    held_out = Stack(MAIN, [42, 43], False)
    published = Stack(settings({"validation": "as-published"}), [42, 43], False)
    state = held_out.initial()
    train_, validation = (SPLITS.index(name) for name in ("train", "validation"))
    ours, other = measure(published, state)[0], measure(held_out, state)[0]
    assert torch.equal(ours[validation], ours[train_])
    assert not torch.equal(ours[validation], other[validation])
    assert torch.equal(ours[train_], other[train_])


@TIES
@pytest.mark.parametrize("expectation", ["sampled", "exact"])
@pytest.mark.parametrize("architecture", SIZES)
def test_the_gradient_of_the_tables_is_that_of_torchs_untied_model(
    plain_model: type[nn.Module],
    masked_writings: Callable[[XorTask, str], Iterator[tuple[list[int], int, float]]],
    architecture: str,
    expectation: str,
    tied: bool,
) -> None:
    """A tied trial's too: an untied model with its weights tells input and output apart."""
    own = settings({"architecture": architecture, "bits": 3, "expectation": expectation})
    stack = Stack(own, [42, 7], tied, dtype=REAL)
    state = uncompiled(stack, 5).state  # the next batch is that of step 5
    if expectation == "exact":
        columns = zip(*masked_writings(stack.task, "train"), strict=True)
        tokens, target, weight = (torch.from_numpy(np.array(column)) for column in columns)
    for trial, pulls in enumerate(table_gradient(stack, state)):
        plain = PlainTrial(plain_model, own, stack.seeds[trial].item(), False)
        plain.model.load_state_dict(parameters(stack, state, trial))
        if expectation == "sampled":
            tokens, target = list(batches(stack.task, stack.seeds[trial].item()))[5]
            weight = torch.full((len(target),), 1 / len(target), dtype=REAL)
        loss = nn.functional.cross_entropy(plain.logits(tokens), target, reduction="none")
        (weight * loss).sum().backward()
        tables = plain.model.input_embedding.weight, plain.model.output_embedding.weight
        one, other = (table.grad.flatten() for table in tables)
        cosine = (one @ other / one.norm() / other.norm()).item()
        expected = [one.norm().item(), other.norm().item(), cosine]
        assert pulls.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert abs(one.norm() - other.norm()) > 1e-3 * one.norm()  # the order is seen
        if tied:  # and their sum is the gradient of the tied model
            model = PlainTrial(plain_model, own, 42, True)
            model.model.load_state_dict(parameters(stack, state, trial))
            loss = nn.functional.cross_entropy(model.logits(tokens), target, reduction="none")
            (weight * loss).sum().backward()
            size = model.model.input_embedding.weight.grad.norm().item()
            a, b, c = pulls.tolist()
            assert size**2 == pytest.approx(a**2 + b**2 + 2 * a * b * c, rel=1e-9)


# --- running ---------------------------------------------------------------------------------


def test_training_records_at_its_steps_and_at_the_last() -> None:
    own = settings({"bits": 3, "record_every": 4, "validate_every": 6})
    stack, kept = Stack(own, [42, 43], False), []
    assert train(stack, 10, None, kept.append)
    (checkpoint,) = kept
    recorded, measured = (checkpoint[f"{what}_steps"].tolist() for what in ("record", "measured"))
    assert recorded == [0, 4, 8, 10]
    assert measured == [0, 6, 10]
    states, advance = [stack.initial()], stack.stepper(10)
    for _ in range(10):
        states.append(advance(states[-1])[0])
    for step, tables in zip(recorded, checkpoint["tables"], strict=True):
        assert torch.equal(tables, torch.stack(stack.tables(states[step]), 1))
    series = (checkpoint[name] for name in ("measured", "norms", "gaps"))
    for step, *stored in zip(measured, *series, strict=True):
        for one, expected in zip(stored, measure(stack, states[step]), strict=True):
            assert torch.equal(one, expected.to(one.dtype))
    assert torch.equal(checkpoint["flat"], states[10].flat)
    pulled = checkpoint["gradient_steps"].tolist()
    assert pulled == [0, 1, 2, 4, 8]
    assert checkpoint["gradients"].shape == (5, 2, 3)
    for step, pulls in zip(pulled, checkpoint["gradients"], strict=True):
        assert torch.equal(pulls, table_gradient(stack, states[step]).float())


def test_weights_are_kept_at_the_steps_asked_for_and_where_each_trial_was_best() -> None:
    own = settings(
        {"bits": 3, "validate_every": 2, "keep_every": 4, "keep_best": True, "learning_rate": 0.3}
    )
    stack, kept = Stack(own, [42, 43, 44, 45], False), []
    assert train(stack, 10, None, kept.append)
    (checkpoint,) = kept
    states, advance = [stack.initial()], stack.stepper(10)
    for _ in range(10):
        states.append(advance(states[-1])[0])
    assert checkpoint["kept_steps"].tolist() == [0, 4, 8, 10]
    for step, flat in zip([0, 4, 8, 10], checkpoint["kept"], strict=True):
        assert torch.equal(flat, states[step].flat)
    measured = [measure(stack, states[step])[0] for step in range(0, 11, 2)]
    loss = torch.stack(measured)[:, SPLITS.index("validation"), 1]  # (measurement, trial)
    best = (2 * loss.argmin(0)).tolist()
    assert checkpoint["best_step"].tolist() == best and len(set(best)) > 1 and set(best) != {10}
    for trial, step in enumerate(best):
        assert torch.equal(checkpoint["best"][trial], states[step].flat[trial])


@pytest.mark.parametrize("many", [2, 5, 100])
def test_steps_launched_together_train_and_record_the_same(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings({"bits": 3, "record_every": 4, "validate_every": 6, "keep_every": 7})
    stack, one, other = Stack(own, [42, 43], False), [], []
    train(stack, 30, None, one.append)
    monkeypatch.setattr(launching, "steps_a_launch", lambda device: many)
    train(stack, 30, None, other.append)
    assert one[-1].keys() == other[-1].keys()
    for name, value in one[-1].items():
        assert torch.equal(other[-1][name], value)


@TIES
@pytest.mark.parametrize("stop", [8, 9])  # at the 8th step something has just been recorded
def test_stopped_training_goes_on_bit_for_bit(
    stop: int, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "TELL_SECONDS", 0.0)
    own = settings(
        {"bits": 3, "record_every": 4, "validate_every": 6, "keep_every": 5, "keep_best": True}
        | {"batch_size": 2, "dropout": 0.1}
    )  # fmt: skip
    stack, whole, parts = Stack(own, [42, 43], tied), [], []
    assert train(stack, 20, None, whole.append)
    assert not train(stack, 20, None, parts.append, lambda step: step < stop)
    assert parts[-1]["step"] == stop
    assert parts[-1]["gradient_steps"].tolist() == [0, 1, 2, 4, 8]
    assert whole[-1]["gradient_steps"].tolist() == [0, 1, 2, 4, 8, 16]
    assert train(stack, 20, parts[-1], parts.append)
    assert parts[-1].keys() == whole[-1].keys()
    for name, value in whole[-1].items():
        assert torch.equal(parts[-1][name], value)
