"""The plain loop of `make bench` does the work that the trainer is measured at."""

import math
from collections.abc import Callable, Iterator

import bench
import bound
import pytest
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from semantica_lib.experiments import find, xor_experiments
from semantica_lib.settings import Settings, settings
from semantica_lib.trainers.stacked import Stack, xor_task

Step = tuple[str, int, float]


@pytest.fixture
def taken() -> Iterator[list[Step]]:
    """Of every step of any optimizer: its kind, how many numbers it trains, learning rate."""
    steps = []

    def note(optimizer: Optimizer, *_: object) -> None:
        (group,) = optimizer.param_groups
        size = sum(parameter.numel() for parameter in group["params"])
        steps.append((type(optimizer).__name__, size, group["lr"]))

    handle = register_optimizer_step_post_hook(note)
    yield steps
    handle.remove()


@pytest.mark.parametrize("tie", bench.TIES)
@pytest.mark.parametrize("name", xor_experiments())
def test_a_plain_loop_trains_what_the_stack_trains(name: str, tie: str, taken: list[Step]) -> None:
    own, tied = find(name), bench.TIES[tie]
    advance = bench.plain_loop(own, tied)
    advance(1)
    advance(2)
    kinds, sizes, _ = zip(*taken, strict=True)
    assert [kind.lower() for kind in kinds] == [own.optimizer] * 3
    assert set(sizes) == {Stack(own, [0], tied).initial().flat.shape[1]}


def test_batches_and_rates_are_those_of_the_settings(
    taken: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is one of the optimizer, whichever part of a pass through the strings it takes."""
    batches = []

    def noted(logits: Tensor, target: Tensor) -> Tensor:
        batches.append(tuple(logits.shape))
        return cross_entropy(logits, target)

    monkeypatch.setattr(bench, "cross_entropy", noted)
    common = {"bits": 4, "batch_size": 4, "learning_rate": 0.1}  # 13 strings, one left out a pass
    low = {"schedule_period": 8, "learning_rate_min": 0.02}
    bench.plain_loop(settings(common | low), False)(6)
    bench.plain_loop(
        settings(common | {"optimizer": "adam", "schedule": "constant", "warmup_steps": 4}), False
    )(6)
    bench.plain_loop(settings(common | {"schedule": "none"}), False)(1)
    cosine = [0.06 + 0.04 * math.cos(math.pi * step / 4) for step in range(6)]
    expected = [*cosine, 0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.1]
    assert [rate for *_, rate in taken] == pytest.approx(expected, abs=1e-12)
    assert [kind for kind, *_ in taken] == ["AdamW"] * 6 + ["Adam"] * 6 + ["AdamW"]
    assert batches == [(4, 7)] * 13


def test_plain_strings_are_written_and_masked_as_the_task_says() -> None:
    task = xor_task(settings({"zero_dst": [0.5, 0, 0.5], "one_dst": [1]}))
    strings = bench.Strings(task)
    places = set()
    for index, bits in enumerate(task.splits["train"].tolist()):
        written, place, target = strings[index]
        *tokens, parity = written.tolist()
        assert tokens[place] == task.mask and task.mask not in tokens[:place] + tokens[place + 1 :]
        tokens[place] = target
        assert all(token in ((0, 2), (3,))[bit] for token, bit in zip(tokens, bits, strict=True))
        assert parity == task.parity + sum(bits) % 2
        places.add(place)
    assert len(strings) == len(task.splits["train"]) and places == set(range(task.bits))


def test_ratios_are_of_as_many_plain_runs_and_null_where_not_measured() -> None:
    ms = {"10 tied": 1.0, "10 untied": 3.0, "plain tied": 4.0, "plain untied": 6.0}
    found = bench.figures(ms)
    assert found["ms_a_step"] == {"tied": 1, "untied": 3, "mean": 2}
    assert (found["ratio"], found["trial_steps_a_second"]) == (25, 5000)
    assert {name for name, value in found.items() if value is None} == {
        "ms_a_step_100_trials", "ratio_100_trials", "trial_steps_a_second_100_trials",
    }  # fmt: skip
    more = bench.figures(ms | {"100 tied": 10.0, "100 untied": 10.0})
    assert (more["ratio_100_trials"], more["trial_steps_a_second_100_trials"]) == (50, 10_000)
    assert more.keys() == found.keys() and more["ratio"] == 25


def test_peaks_and_shares_are_positive_and_of_ten_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIDE", 64)
    monkeypatch.setattr(bench, "COPIED", 2**16)
    own, peaks = find("transformer-small"), bench.peaks()
    found = bench.bounded(own, 2.0, peaks)
    assert all(0 < value < math.inf for value in found.values())
    assert found["share"] == pytest.approx(found["bound_ms"] / 2, rel=1e-3)
    twice = bench.bounded(own, 2.0, {name: 2 * value for name, value in peaks.items()})
    assert twice["bound_ms"] == pytest.approx(found["bound_ms"] / 2, rel=1e-3)
    sizes = [Stack(own, [0], tied).initial().flat.shape[1] for tied in (True, False)]
    moved = [bound.moved(own, size) for size in sizes]
    assert found["bytes"] == pytest.approx(10 * sum(moved) / 2, rel=1e-3)
    assert found["operations"] == pytest.approx(10 * bound.operations(own), rel=1e-3)


def test_peaks_are_work_over_the_least_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIDE", 10)
    monkeypatch.setattr(bench, "COPIED", 4000)
    times = iter([0.5, 0.25, 0.75, 4.0, 3.0, 2.0])
    monkeypatch.setattr(bench, "ROUNDS", 3)
    monkeypatch.setattr(bench, "seconds", lambda work, steps: (work(steps), next(times))[1])
    assert bench.peaks() == {"operations_a_second": 8000, "bytes_a_second": 4000}


def test_a_warm_start_is_that_of_the_stack_that_was_compiled_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def loop(own: Settings, tied: bool, trials: int) -> Callable[[int], None]:
        asked.append((own.experiment, tied, trials))
        return asked.append

    monkeypatch.setattr(bench, "our_loop", loop)
    assert bench.warm("lstm-small") >= 0
    first = next(iter(bench.TIES.values()))
    assert asked == [("lstm-small", first, 10), 1]
