"""Stacks whose trials differ in more than their seeds, against a stack of each trial alone.

That a stack of one trial trains and measures as PyTorch does, ``test_stacked.py`` shows.
"""

from typing import Any

import pytest
import torch
from test_stacked import Run, assert_same_parameters, parameters, uncompiled
from torch import Tensor

from semantica_lib.models.stack import INPUT, OUTPUT, Layout
from semantica_lib.settings.catalogue import settings
from semantica_lib.settings.xor import MAY_DIFFER, Settings
from semantica_lib.trainers import reporting, stacked
from semantica_lib.trainers.history import History, joined, parted, relaid
from semantica_lib.trainers.measuring import measure, table_gradient
from semantica_lib.trainers.stacked import Stack
from semantica_lib.trainers.training import train

REAL = torch.float64
SHORT = {"schedule_period": 60, "bits": 4}
STEPS = 30
# One trial each, of this seed, tied or not.
TRIALS: list[tuple[dict[str, Any], int, bool]] = [
    ({}, 42, True),
    ({}, 42, False),
    ({"zero_dst": [1.0, 0.0]}, 42, False),
    ({"one_dst": [0.3, 0.7], "weight_decay": 0.0}, 7, True),
    ({"near_synonym": 0.2}, 7, False),
    ({"near_synonym": 1.0, "zero_dst": [0.5, 0.5]}, 7, True),
    ({"learning_rate": 2e-3, "experiment": "other", "question": "Why?"}, 42, False),
    ({"learning_rate_min": 3e-4, "seeds": [1], "ties": ["tied"], "device": "cpu"}, 42, True),
    ({"untie_at": 10}, 42, True),
    ({"untie_at": 10}, 42, False),
    ({"equal_start": True, "weight_decay": 1.0}, 42, True),
]
SHAPES = {
    "transformer": SHORT,
    "transformer, exact": SHORT | {"expectation": "exact"},
    "lstm": SHORT | {"architecture": "lstm"},
    "lstm, exact": SHORT | {"architecture": "lstm", "bits": 3, "expectation": "exact"},
    "adam": {
        "bits": 4, "optimizer": "adam", "schedule": "constant", "warmup_steps": 20,
        "batch_size": 5,
    },
    "sgd": SHORT | {"optimizer": "sgd", "learning_rate": 0.3},
}  # fmt: skip


def trials_of(shape: dict[str, Any]) -> list[tuple[Settings, int, bool]]:
    """Those of the trials above that there can be."""
    foreign = set()
    if shape.get("architecture"):
        foreign |= {"near_synonym"}
    if shape.get("schedule"):
        foreign |= {"learning_rate_min"}
    return [
        (settings(shape | values), seed, tied)
        for values, seed, tied in TRIALS
        if not foreign & set(values)
    ]


def mixed(trials: list[tuple[Settings, int, bool]], dtype: torch.dtype = REAL) -> Stack:
    return Stack(*(list(column) for column in zip(*trials, strict=True)), dtype=dtype)


def test_the_trials_here_differ_in_all_that_they_may() -> None:
    assert {name for values, _, _ in TRIALS for name in values} == MAY_DIFFER
    assert {tied for _, _, tied in TRIALS} == {True, False}


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def runs(request: pytest.FixtureRequest) -> tuple[Stack, Run, list[tuple[Stack, Run]]]:
    """A mixed stack and what it came to; and the same of each of its trials alone."""
    trials = trials_of(request.param)
    stack = mixed(trials)
    alone = [Stack(own, [seed], tied, dtype=REAL) for own, seed, tied in trials]
    return stack, uncompiled(stack, STEPS), [(one, uncompiled(one, STEPS)) for one in alone]


Runs = tuple[Stack, Run, list[tuple[Stack, Run]]]


def test_a_trial_of_a_mixed_stack_trains_as_it_does_alone(runs: Runs) -> None:
    stack, together, alone = runs
    ends = []
    for trial, (one, run) in enumerate(alone):
        torch.testing.assert_close(run.losses[:, 0], together.losses[:, trial], rtol=0, atol=1e-9)
        ours, theirs = parameters(stack, together.state, trial), parameters(one, run.state, 0)
        assert_same_parameters(ours, theirs, 1e-9)
        ends.append(torch.cat([ours[INPUT], ours[OUTPUT]]))
        own, tied = stack.each[trial], stack.ties[trial] == "tied"
        assert torch.equal(ours[INPUT], ours[OUTPUT]) == (tied and not own.untie_at)
    # ... and the trials of one seed end apart, but for untied ones that nothing tells apart
    seeds = stack.seeds.tolist()
    same = [
        (a, b)
        for a in range(len(ends))
        for b in range(a)
        if seeds[a] == seeds[b] and torch.allclose(ends[a], ends[b], rtol=0, atol=1e-5)
    ]
    assert [
        sorted((stack.each[a].untie_at or 0, stack.each[b].untie_at or 0)) for a, b in same
    ] == [[0, 10]]


def test_a_mixed_stack_is_measured_trial_by_trial(runs: Runs) -> None:
    stack, together, alone = runs
    measured = measure(stack, together.state)
    for trial, (one, run) in enumerate(alone):
        values, norms, gaps = measure(one, run.state)
        ours = measured[0][:, :, trial], measured[1][trial], measured[2][trial]
        for mine, its in zip(ours, (values[:, :, 0], norms[0], gaps[0]), strict=True):
            torch.testing.assert_close(mine, its, rtol=0, atol=1e-8, equal_nan=True)


def test_gradients_of_a_mixed_stack_are_those_of_each_trial(runs: Runs) -> None:
    stack, together, alone = runs
    pulls = table_gradient(stack, together.state)
    for trial, (one, run) in enumerate(alone):
        its = table_gradient(one, run.state)[0]
        torch.testing.assert_close(pulls[trial], its, rtol=1e-6, atol=1e-9)


def test_a_mixed_stack_cut_for_the_cache_trains_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traits go with their trials."""
    stack = mixed(trials_of(SHORT))
    whole = uncompiled(stack, 15)
    monkeypatch.setattr(stacked, "IN_CACHE", 1)
    torch.testing.assert_close(uncompiled(stack, 15).losses, whole.losses, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "other",
    [
        {"bits": 5}, {"steps": 7}, {"batch_size": 3}, {"expectation": "exact"}, {"layers": 2},
        {"schedule_period": 40}, {"data_seed": 3}, {"record_every": 7}, {"optimizer": "adam"},
        {"betas": [0.8, 0.9]}, {"dropout": 0.1}, {"zero_dst": [0.2, 0.3, 0.5]},
        {"zero_dst": [1.0]}, {"keep_best": True},
    ],
    ids=str,
)  # fmt: skip
def test_trials_of_different_shape_are_no_stack(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        Stack([settings(SHORT), settings(SHORT | other)], [1, 2], True)


def test_every_trial_has_settings_and_a_tie() -> None:
    own = settings(SHORT)
    for each, ties in (([own], [True, True]), ([own, own], [True]), ([own] * 3, True)):
        with pytest.raises(ValueError, match="settings and a tie each"):
            Stack(each, [1, 2], ties)


# --- checkpoints -----------------------------------------------------------------------------

PARAMETERS = {"flat", "first", "second", "kept", "best"}  # ... and moments, as they are laid out
KEPT = {"record_every": 4, "validate_every": 3, "keep_every": 5, "keep_best": True, "steps": 20}


def ended(
    trials: list[tuple[Settings, int, bool]],
    start: dict[str, Tensor] | None = None,
    stop: int = 20,
) -> dict[str, Tensor]:
    """The checkpoint of a stack of these trials after 20 steps, or stopped before."""
    kept: dict[str, Tensor] = {}
    train(mixed(trials), 20, start, kept.update, lambda step: step < stop)
    assert kept["step"] == stop
    return kept


@pytest.fixture(scope="module")
def trials() -> list[tuple[Settings, int, bool]]:
    return trials_of(SHORT | KEPT)[:6]


@pytest.fixture(scope="module")
def checkpoint(trials: list[tuple[Settings, int, bool]]) -> dict[str, Tensor]:
    """Of a mixed stack, with everything that a checkpoint can hold."""
    kept = ended(trials)
    state = {"seeds", "flat", "first", "second", "stopped", "step"}
    assert kept.keys() == state | {*History.SERIES, "best", "best_step", "best_loss"}
    return kept


def test_parts_of_a_checkpoint_join_to_it(checkpoint: dict[str, Tensor]) -> None:
    parts = parted(checkpoint, [1, 3, 2])
    assert [len(part["seeds"]) for part in parts] == [1, 3, 2]
    for part in parts:
        assert part.keys() == checkpoint.keys()
    whole = joined(parts)
    assert whole.keys() == checkpoint.keys()
    for name, value in checkpoint.items():
        assert torch.equal(whole[name], value), name


def test_a_part_holds_what_is_of_its_trials(
    checkpoint: dict[str, Tensor], trials: list[tuple[Settings, int, bool]]
) -> None:
    """Each as it would be had it trained alone."""
    stack = mixed(trials)
    for part, own in zip(parted(checkpoint, [2, 4]), (trials[:2], trials[2:]), strict=True):
        alone = relaid(ended(own), mixed(own).layout, stack.layout)
        assert part.keys() == alone.keys()
        for name, value in part.items():
            if name in PARAMETERS:  # but for noise in the bias of the keys, see test_stacked
                continue
            assert value.shape == alone[name].shape, name
            torch.testing.assert_close(value, alone[name], rtol=1e-5, atol=1e-6, msg=name)
        flats = [(part["flat"], alone["flat"]), (part["best"], alone["best"])]
        for mine, its in [*flats, *zip(part["kept"], alone["kept"], strict=True)]:
            for trial in range(len(own)):
                one, other = (
                    {name: view[trial] for name, view in stack.layout.views(flat).items()}
                    for flat in (mine, its)
                )
                assert_same_parameters(one, other, 1e-9)


def test_parts_go_on_in_another_stack(
    trials: list[tuple[Settings, int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other trials, in another order, some of them no longer there."""
    monkeypatch.setattr(reporting, "TELL_SECONDS", 0.0)
    straight = ended(trials)
    parts = parted(ended(trials, stop=7), [2, 1, 2, 1])
    order, places = [3, 1], [5, 2]
    after = ended([trials[place] for place in places], joined([parts[n] for n in order]))
    for mine, trial in enumerate(places):
        assert after["seeds"][mine] == straight["seeds"][trial]
        for name, axis in (("tables", 1), ("norms", 1), ("gaps", 1), ("measured", 3)):
            one, other = after[name].select(axis, mine), straight[name].select(axis, trial)
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6, msg=name)
        for name in ("best_step", "best_loss"):
            torch.testing.assert_close(after[name][mine], straight[name][trial])
    for name in (name for name in straight if name.endswith("steps")):
        assert torch.equal(after[name], straight[name])


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_a_tied_checkpoint_is_relaid_to_two_tables_and_back(architecture: str) -> None:
    own = settings(SHORT | KEPT | {"architecture": architecture})
    tied, untied = (Stack(own, [1, 2], tie).layout for tie in (True, False))
    kept: dict[str, Tensor] = {}
    train(Stack(own, [1, 2], True), 20, None, kept.update)
    two = relaid(kept, tied, untied)
    assert two.keys() == kept.keys() and kept.keys() >= PARAMETERS
    for name, value in kept.items():
        if name not in PARAMETERS:
            assert two[name] is value
            continue
        assert two[name].shape == (*value.shape[:-1], untied.size)
        for mine, its in zip(  # of every moment that is kept
            two[name].reshape(-1, 2, untied.size), value.reshape(-1, 2, tied.size), strict=True
        ):
            before, after = tied.views(its), untied.views(mine)
            assert before.keys() == after.keys()
            for view in before:
                assert torch.equal(after[view], before[view]), (name, view)
            assert torch.equal(after[OUTPUT], before[INPUT])
    back = relaid(two, untied, tied)
    for name, value in kept.items():
        assert torch.equal(back[name], value), name
    assert relaid(kept, tied, tied) == kept


@pytest.mark.parametrize("leading", [(3,), (5, 3), (2, 5, 3)], ids=str)
def test_every_named_view_is_kept_in_another_layout(leading: tuple[int, ...]) -> None:
    """Whatever order the other layout has its parameters in."""
    shapes = {INPUT: (3, 2), "encoder.a": (4,), OUTPUT: (3, 2), "encoder.b": (2, 2)}
    one = Layout(shapes, tied=False)
    for tied in (True, False):
        other = Layout(dict(reversed(shapes.items())), tied)
        assert one.names != other.names
        flat = torch.arange(float(torch.tensor(leading).prod()) * one.size)
        flat = flat.reshape(*leading, one.size)
        moved = one.into(other, flat)
        assert moved.shape == (*leading, other.size)
        before = one.views(flat.reshape(-1, one.size))
        after = other.views(moved.reshape(-1, other.size))
        for name in other.names:
            assert torch.equal(after[name], before[name]), name
        if not tied:
            assert torch.equal(other.into(one, moved), flat)
