"""Trials that diverge: when they stop, what is kept of them, and that the others do not feel it.

Compiled, ``test_stacked.py`` has it.
"""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from language import small_text
from plain import PlainModel
from test_stacked import PlainTrial, batches, uncompiled
from torch import Tensor
from torch.nn import functional

from semantica_lib.models import encoders
from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.settings.catalogue import settings
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers import launching, mlm, reporting, stacked
from semantica_lib.trainers.history import parted
from semantica_lib.trainers.schedule import warmed_cosine
from semantica_lib.trainers.stacked import NEVER, Stack, State
from semantica_lib.trainers.training import train

# In float64; by loss, parameters or moments. (What a transformer's keys add to all scores alike is
# noise that such rates make large: it diverges some steps sooner or later than PyTorch's.)
WAYS: list[dict[str, Any]] = [
    {"learning_rate": 1e20, "architecture": "mixer"},
    {"learning_rate": 1e36, "architecture": "lstm"},
    {"learning_rate": 1e4, "weight_decay": 100.0, "architecture": "mixer"},
    {"learning_rate": 1e5, "optimizer": "sgd", "architecture": "mixer"},
    {"learning_rate": 1e5, "optimizer": "sgd", "architecture": "lstm"},
    {"learning_rate": 1e160, "optimizer": "adam"},
]
SHORT = {"bits": 3, "record_every": 2, "validate_every": 3, "keep_every": 4, "keep_best": True}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_trial_stops_before_the_first_step_of_torch_that_is_not_finite(
    way: dict[str, Any], tied: bool
) -> None:
    """By loss, parameters and Adam's second moment; with the parameters that it then has."""
    own = settings({"bits": 3} | way)
    stack = Stack(own, [42], tied, dtype=torch.float64)
    plain, done, last = PlainTrial(PlainModel, own, 42, tied), 0, {}
    for batch in batches(stack.task, 42):
        before = {name: value.detach().clone() for name, value in plain.parameters().items()}
        loss = plain.step(*batch)
        moments = [s["exp_avg_sq"] for s in plain.optimizer.state.values() if "exp_avg_sq" in s]
        numbers = [torch.tensor(loss, dtype=torch.float64), *plain.parameters().values(), *moments]
        if not all(value.isfinite().all() for value in numbers):
            last = before
            break
        done += 1
    state = uncompiled(stack, 40).state
    assert last and 0 < done < 40
    assert state.stopped.tolist() == [done] and state.step == 40
    views = stack.layout.views(state.flat)
    for name, value in last.items():
        if "in_proj_bias" not in name and "tokenwise_layer.fc1.bias" not in name:  # see there
            size = value.abs().max().item()
            torch.testing.assert_close(views[name][0], value, rtol=0, atol=1e-6 * size, msg=name)


def test_any_one_number_that_is_not_finite_stops_its_trial_alone() -> None:
    """Of the loss, of the parameters, of either moment; and what has stopped stays so."""
    stack = Stack(settings(SHORT), range(6), False)
    before = replace(stack.initial(), step=torch.tensor(7))
    before.stopped[5] = 3
    losses, *made = torch.zeros(6), *(torch.ones_like(before.flat) for _ in range(3))
    losses[1], made[0][2, -1], made[2][3, 0] = math.inf, math.nan, math.inf
    made[0][4, 1] = -math.inf
    after = before.after(losses, *made)
    assert after.stopped.tolist() == [NEVER, 7, 7, 7, 7, 3] and after.step == 8
    for name, one in zip(("flat", "first", "second"), made, strict=True):
        assert torch.equal(getattr(after, name)[0], one[0])
        assert torch.equal(getattr(after, name)[1:], getattr(before, name)[1:])


def one_among(rate: float) -> list[Settings]:
    """Of five trials the third at this rate."""
    return [settings(SHORT | {"learning_rate": rate if at == 2 else 5e-4}) for at in range(5)]


TIES = [True, False, True, False, False]


@pytest.mark.parametrize("chunks", [False, True])
def test_the_others_keep_their_bits(chunks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a checkpoint has of them: in one piece, and in chunks that share trials."""
    own = settings(SHORT)
    if chunks:
        monkeypatch.setattr(stacked, "IN_CACHE", 3 * encoders.widest(own, 7, 3))
    kept: list[dict[str, Tensor]] = []
    for rate in (5e-4, 1e20):
        train(Stack(one_among(rate), range(42, 47), TIES), 20, None, kept.append)
    sound, mixed = (parted(one, [1] * 5) for one in kept)
    assert [int(one["stopped"]) for one in mixed] == [NEVER, NEVER, 1, NEVER, NEVER]
    for trial in (0, 1, 3, 4):
        for name, value in sound[trial].items():
            assert torch.equal(mixed[trial][name], value), name


def test_what_is_recorded_of_a_trial_that_diverged_is_nan_from_there_on() -> None:
    kept: list[dict[str, Tensor]] = []
    train(Stack(one_among(1e20), range(42, 47), TIES), 20, None, kept.append)
    lost = parted(kept[-1], [1] * 5)[2]
    series = {"tables": "record", "measured": "measured", "norms": "measured"}
    series |= {"gaps": "measured", "kept": "kept", "gradients": "gradient"}
    for name, steps in series.items():
        for step, value in zip(lost[f"{steps}_steps"].tolist(), lost[name], strict=True):
            if step > 1:
                assert value.isnan().all(), (name, step)
            elif step == 0:
                assert value.isfinite().all(), (name, step)
    assert lost["flat"].isfinite().all() and lost["best_step"] == 0


@pytest.mark.parametrize("stop", [1, 7])
def test_training_goes_on_from_a_checkpoint_with_a_trial_that_diverged(
    stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before the step at which it does, and long after."""
    monkeypatch.setattr(reporting, "TELL_SECONDS", 0.0)
    stack, whole, parts = Stack(one_among(1e20), range(42, 47), TIES), [], []
    train(stack, 20, None, whole.append)
    train(stack, 20, None, parts.append, lambda step: step < stop)
    assert parts[-1]["step"] == stop
    train(stack, 20, parts[-1], parts.append)
    for name, value in whole[-1].items():
        torch.testing.assert_close(parts[-1][name], value, rtol=0, atol=0, equal_nan=True)


def test_an_earlier_versions_checkpoint_tells_of_no_trial_that_diverged() -> None:
    stack, kept = Stack(one_among(5e-4), range(42, 47), TIES), []
    train(stack, 10, None, kept.append)
    old = {name: value for name, value in kept[-1].items() if name != "stopped"}
    train(stack, 20, kept[-1], kept.append)
    train(stack, 20, old, kept.append)
    assert kept[-1].keys() == kept[-2].keys()
    for name, value in kept[-2].items():
        assert torch.equal(kept[-1][name], value)
    assert kept[-1]["stopped"].tolist() == [NEVER] * 5


@pytest.mark.parametrize("many", [1, 5])
def test_nothing_is_computed_once_all_trials_have_diverged(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at the next record; what is recorded is the same."""
    monkeypatch.setattr(launching, "steps_a_launch", lambda device: many)
    own, kept, steps = settings(SHORT | {"learning_rate": 1e20}), [], []
    update = Stack.update

    def noted(self: Stack, state: State, *rest: Any) -> tuple[State, Tensor]:
        steps.append(int(state.step))
        return update(self, state, *rest)

    monkeypatch.setattr(Stack, "update", noted)
    assert train(Stack(own, [42, 43], False), 20, None, kept.append)
    assert max(steps) < 8 and kept[-1]["step"] == 20
    assert kept[-1]["record_steps"].tolist() == [*range(0, 21, 2)]
    assert kept[-1]["measured_steps"].tolist() == [*range(0, 19, 3), 20]
    assert kept[-1]["gradient_steps"].tolist() == [0, 1, 2, 4, 8, 16]
    assert kept[-1]["stopped"].tolist() == [1, 1]


def test_a_model_that_predicts_no_number_has_no_accuracy() -> None:
    """At step 1 the parameters are finite yet, and the loss is not."""
    kept: list[dict[str, Tensor]] = []
    own = settings(SHORT | {"validate_every": 1, "learning_rate": 1e20})
    train(Stack(own, [42], False), 1, None, kept.append)
    accuracy, loss = kept[-1]["measured"][1, :, :, 0].T
    assert kept[-1]["flat"].isfinite().all() and kept[-1]["stopped"].tolist() == [NEVER]
    assert loss.isnan().any() and torch.equal(accuracy.isnan(), loss.isnan())
    assert not math.isnan(kept[-1]["measured"][0].sum())


# --- language models --------------------------------------------------------------------------


WORDS = settings({
    "corpus": "grammar", "length": 9, "batch_size": 30, "synonyms": 2, "broken_synonyms": 2,
    "masked_share": 0.25, "layers": 1, "embedding_size": 8, "heads": 2, "feedforward_size": 16,
    "steps": 12, "record_every": 4, "validate_every": 6, "warmup_steps": 0, "schedule_period": 24,
})  # fmt: skip
TEXT = small_text()


def language(rate: float, tied: bool = False) -> mlm.Trial:
    own, tie = WORDS.model_copy(update={"learning_rate": rate}), "tied" if tied else "untied"
    return mlm.Trial(own, TEXT, 7, tie, "cpu")


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("rate", [1e20, 1e37])
def test_a_language_model_stops_at_its_last_finite_step(rate: float, tied: bool) -> None:
    """It holds what plain PyTorch has before the first step at which not all is finite."""
    kept: dict[str, Tensor] = {}
    assert mlm.train(language(rate, tied), 12, None, kept.update)
    torch.manual_seed(7)
    model = MaskedLanguageModel(WORDS, 30, tied)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, eps=1e-8)
    task, done = mlm.mlm_task(WORDS, TEXT, 7), 0
    while True:
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        own = WORDS.model_copy(update={"learning_rate": rate})
        optimizer.param_groups[0]["lr"] = float(warmed_cosine(own, torch.tensor(done)))
        tokens, places, targets = task.batch(done, 30)
        loss = functional.cross_entropy(model(tokens, places).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        moments = [state["exp_avg_sq"] for state in optimizer.state.values()]
        if not all(value.isfinite().all() for value in (loss, *model.parameters(), *moments)):
            break
        done += 1
    assert kept["stopped"].tolist() == [done] and kept["step"] == 12 and done < 4
    for name, value in before.items():
        assert torch.equal(kept[f"model.{name}"], value), name
    finite = [value.isfinite().all() for value in kept["tables"]]
    assert finite == [True, False, False, False] and kept["tables"][1:].isnan().all()
    assert kept["measured"][0].isfinite().all() and kept["measured"][1:].isnan().all()


@pytest.mark.parametrize("stop", [1, 3])
def test_a_language_model_that_diverged_goes_on_as_such(
    stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "TELL_SECONDS", -1)
    whole: dict[str, Tensor] = {}
    part: dict[str, Tensor] = {}
    mlm.train(language(1e20), 12, None, whole.update)
    assert not mlm.train(language(1e20), 12, None, part.update, lambda step: step < stop)
    calls = []
    monkeypatch.setattr(mlm.Trial, "measure", lambda self: calls.append(self))
    rest: dict[str, Tensor] = {}
    mlm.train(language(1e20), 12, part, rest.update)
    assert rest.keys() == whole.keys() and not calls  # nothing is computed of it
    for name, value in whole.items():
        torch.testing.assert_close(rest[name], value, rtol=0, atol=0, equal_nan=True)


def test_a_language_model_may_diverge_at_its_first_step() -> None:
    """Then it has no moments, as it had none before."""
    one = language(1e20)
    with torch.no_grad():
        one.model.output_embedding.weight[3, 2] = math.inf
    before = {name: value.clone() for name, value in one.state().items()}
    kept: dict[str, Tensor] = {}
    mlm.train(one, 4, None, kept.update)
    assert kept["stopped"].tolist() == [0] and not any("first" in name for name in kept)
    assert all(torch.equal(kept[name], value) for name, value in before.items())
    mlm.train(language(1e20), 8, kept, kept.update)
    assert kept["stopped"].tolist() == [0] and kept["step"] == 8
