"""Several results at once: each as it is alone, however it was interrupted, and whoever fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stored import begin, train_here

from semantica_lib.errors import RequestError, TrainingError
from semantica_lib.running import processes
from semantica_lib.running import run as run_
from semantica_lib.running.groups import Group, groups_of
from semantica_lib.running.processes import train_stack
from semantica_lib.running.run import run, run_all
from semantica_lib.running.stacks import cut
from semantica_lib.settings.catalogue import Settings, settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint, save_checkpoint
from semantica_lib.store.results import Result

SMALL = {
    "bits": 4, "steps": 40, "seeds": [1, 2], "record_every": 10, "validate_every": 20,
    "keep_every": 20, "keep_best": True, "device": "cpu",
}  # fmt: skip
THREE = [
    settings(SMALL | {"experiment": "a"}),
    settings(SMALL | {"experiment": "b", "weight_decay": 0.0, "untie_at": 25}),
    settings(SMALL | {"experiment": "c", "zero_dst": [1.0, 0.0], "one_dst": [0.3, 0.7]}),
]
OTHER = settings(SMALL | {"experiment": "other", "bits": 3, "ties": ["tied"]})  # of another shape


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)


@pytest.fixture
def stacks_trained(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stacks train in this process, which starts sooner; gives each one's groups as they begin."""
    return train_here(monkeypatch)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Each experiment by itself, its ties in stacks of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTICA_RESULTS", str(tmp_path_factory.mktemp("alone")))
        for own in (*THREE, OTHER):
            begin(own, own.steps)
        patch.setattr(run_, "train_all", None)  # all is trained: it is only put together
        return {own.experiment: run(own) for own in (*THREE, OTHER)}


ARRAYS = (
    "steps", "seed", "tied", "input_embedding", "output_embedding", "measured_steps",
    "hidden_norm", "logit_gap", "gradient_steps", "table_gradient",
)  # fmt: skip


def assert_alike(result: Result | Exception, other: Result, tolerance: float) -> None:
    assert isinstance(result, Result), result
    for name in ARRAYS:
        one, its = getattr(result, name), getattr(other, name)
        assert one.shape == its.shape, name
        np.testing.assert_allclose(one, its, rtol=10 * tolerance, atol=tolerance, err_msg=name)
    keys = ["seed", "tied", "step", "split"]
    assert result.metrics[keys].equals(other.metrics[keys])
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose(result.metrics[name], other.metrics[name], atol=10 * tolerance)
    assert result.manifest["settings"] == other.manifest["settings"]
    assert result.manifest["status"] == other.manifest["status"]


def kept(result: Result) -> dict[tuple[int, bool], dict[str, torch.Tensor]]:
    """What a result's checkpoints hold of each trial's weights."""
    found = {}
    for name in results.checkpoints(result):
        tensors, about = load_checkpoint(result.folder / name)
        for trial, seed in enumerate(tensors["seeds"].tolist()):
            found[seed, about["tied"] == "true"] = {
                key: tensors[key].select(1 if key == "kept" else 0, trial)
                for key in ("flat", "kept", "best", "first", "second")
            }
    return found


def test_results_trained_together_are_those_trained_alone(alone: dict[str, Result]) -> None:
    """In processes of their own, as it is done; and again nothing is trained."""
    together = run_all(THREE)
    for own, result in zip(THREE, together, strict=True):
        assert_alike(result, alone[own.experiment], 1e-6)
        assert result.folder == results.folder(results.here(), own)
        assert_alike(results.load(result.folder), result, 0)
        mine, its = kept(result), kept(alone[own.experiment])  # in the layout of their own tie
        assert mine.keys() == its.keys()
        for trial, tensors in mine.items():
            for name, value in tensors.items():
                assert value.shape == its[trial][name].shape, (trial, name)
        took = [stack["seconds"] for stack in result.manifest["stacks"]]
        assert len(took) == 2 and min(took) > 0
    before = {path: path.stat().st_mtime_ns for path in results.here().rglob("*.safetensors")}
    assert len(before) == 6
    again = run_all(list(reversed(THREE)))
    for own, result in zip(reversed(THREE), again, strict=True):
        assert result.manifest["experiment"] == own.experiment
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_stack_is_of_many_results(stacks_trained: list, alone: dict[str, Result]) -> None:
    outcomes = run_all([OTHER, *THREE])
    for own, result in zip([OTHER, *THREE], outcomes, strict=True):
        assert_alike(result, alone[own.experiment], 1e-6)
    assert len(stacks_trained) == 3 and max(map(len, stacks_trained)) == 3
    assert sorted(name for stack in stacks_trained for name in stack) == [
        "a tied 0", "a untied 0", "b tied 0", "b untied 0", "c tied 0", "c untied 0",
        "other tied 0",
    ]  # fmt: skip


def test_stopped_together_they_end_bit_for_bit_as_if_they_had_not_been(
    stacks_trained: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("semantica_lib.trainers.reporting.TELL_SECONDS", 0)
    straight = run_all(THREE)
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "disturbed"))
    groups = []
    for own in THREE:
        folder = results.folder(results.here(), own)
        (folder / "checkpoints").mkdir(parents=True)
        groups += groups_of(folder, own)
    first, second = cut(groups, "cpu", 2)
    assert not train_stack(first, "cpu", True, lambda step: step < 13)
    assert not train_stack(second, "cpu", True, lambda step: step < 27)
    stacks_trained.clear()
    ended = run_all(THREE)
    steps = [[int(name.split()[-1]) for name in stack] for stack in stacks_trained]
    assert steps == [[13] * 3, [27] * 3]
    for result, other in zip(ended, straight, strict=True):
        assert_alike(result, other, 0)
        mine, its = kept(result), kept(other)
        assert mine.keys() == its.keys()
        for trial, tensors in mine.items():
            for name, value in tensors.items():
                assert torch.equal(value, its[trial][name]), (trial, name)


def test_one_that_is_further_goes_on_by_itself(
    stacks_trained: list, alone: dict[str, Result]
) -> None:
    begin(THREE[1], 20)
    begin(THREE[2], 40)
    outcomes = run_all(THREE)
    for own, result in zip(THREE, outcomes, strict=True):
        assert_alike(result, alone[own.experiment], 1e-6)
    assert stacks_trained == [["a tied 0"], ["b tied 20"], ["a untied 0"], ["b untied 20"]]


def test_a_result_is_stored_as_soon_as_its_last_trial_has_ended(
    stacks_trained: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends first is there although the next is stopped by Ctrl-C."""
    train_here = run_.train_all

    def and_stop(stacks: list[list[Group]], *further: Any) -> None:
        train_here(stacks[:1], *further)
        raise KeyboardInterrupt

    monkeypatch.setattr(run_, "train_all", and_stop)
    wanted = [OTHER, THREE[0]]
    with pytest.raises(KeyboardInterrupt):
        run_all(wanted)
    (first,) = stacks_trained
    for own in wanted:
        there = results.load(results.folder(results.here(), own))
        assert (there is not None) == (first == [f"{own.experiment} tied 0"] and own is OTHER)


def test_one_that_cannot_begin_is_told_and_the_others_stand(
    stacks_trained: list, alone: dict[str, Result]
) -> None:
    begin(THREE[0], 10)
    (damaged, *_) = results.folder(results.here(), THREE[0]).rglob("*.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    nowhere = settings(SMALL | {"experiment": "nowhere", "device": "cuda:99", "seeds": [3]})
    outcomes = run_all([THREE[0], nowhere, THREE[1]])
    assert isinstance(outcomes[0], RequestError) and "is damaged" in str(outcomes[0])
    assert isinstance(outcomes[1], RequestError) and "'cuda:99' is not there" in str(outcomes[1])
    assert_alike(outcomes[2], alone["b"], 1e-6)
    with pytest.raises(RequestError, match="is damaged"):
        run(THREE[0])


def test_one_that_fails_on_the_way_is_told_and_the_others_stand(alone: dict[str, Result]) -> None:
    """In a process of its own: a checkpoint of another size than the model's."""
    begin(OTHER, 10)
    (path,) = results.folder(results.here(), OTHER).rglob("*.safetensors")
    tensors, about = load_checkpoint(path)
    save_checkpoint(path, tensors | {"flat": tensors["flat"][:, :-1]}, about)
    failed, result = run_all([OTHER, THREE[0].model_copy(update={"ties": ("untied",)})])
    assert isinstance(failed, TrainingError)
    assert str(failed).startswith("training other failed: other tied, 2 seeds: ")
    log = path.parents[1] / "error.log"
    assert str(log) in str(failed) and "Traceback" in log.read_text()
    assert results.load(path.parents[1]) is None
    whole = alone["a"]
    assert isinstance(result, Result) and result.manifest["steps_done"] == 40
    for name in ("input_embedding", "output_embedding", "table_gradient"):
        expected = getattr(whole, name)[~whole.tied]
        np.testing.assert_allclose(getattr(result, name), expected, rtol=1e-5, atol=1e-6)


def test_a_failure_is_that_of_all_results_of_the_stack(
    stacks_trained: list, monkeypatch: pytest.MonkeyPatch, alone: dict[str, Result]
) -> None:
    """What it had trained stays, and goes on the next time."""
    whole = processes.training.train

    def fail(stack: object, *rest: object) -> bool:
        if len(stack.seeds) > 2 and {*stack.ties} == {"tied"}:
            raise RuntimeError("no memory")
        return whole(stack, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(processes.training, "train", fail)
        outcomes = run_all([*THREE, OTHER])
    for own, outcome in zip(THREE, outcomes, strict=False):
        assert isinstance(outcome, TrainingError)
        words = "a, 6 trials of 3 results: no memory"
        assert str(outcome) == f"training {own.experiment} failed: {words}"
        assert results.load(results.folder(results.here(), own)) is None
    assert_alike(outcomes[3], alone["other"], 1e-6)
    stacks_trained.clear()
    for own, result in zip(THREE, run_all(THREE), strict=True):
        assert_alike(result, alone[own.experiment], 1e-6)
    assert stacks_trained == [["a tied 0", "b tied 0", "c tied 0"]]


def test_where_nothing_may_be_trained_each_result_is_looked_for(
    stacks_trained: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = run_all([OTHER])[0]
    stacks_trained.clear()
    monkeypatch.setenv("SEMANTICA_TRAIN", "never")
    missing, there = run_all([THREE[0], OTHER])
    assert isinstance(missing, RequestError) and "semantica run a" in str(missing)
    assert_alike(there, stored, 0)
    assert not stacks_trained


def test_begun_afresh_together(stacks_trained: list, alone: dict[str, Result]) -> None:
    own: list[Settings] = THREE[:2]
    begin(own[0], 20)
    for one, result in zip(own, run_all(own, fresh=True), strict=True):
        assert_alike(result, alone[one.experiment], 1e-6)
    assert all(name.endswith(" 0") for stack in stacks_trained for name in stack)


def test_where_nothing_is_wanted_nothing_is_done() -> None:
    """As a sweep's notebook asks, when all its points are there."""
    assert run_all([]) == []
