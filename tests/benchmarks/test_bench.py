"""The plain loop of the benches does the work that the trainer is measured at."""

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bench
import bound
import gpu
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from semantica_lib.settings.catalogue import find, settings, xor_experiments
from semantica_lib.settings.xor import Settings
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
    unmeasured = {
        f"{name}_{trials}_trials"
        for name in ("ms_a_step", "ratio", "trial_steps_a_second")
        for trials in (100, 1000)
    }
    others = {"compiled_ms_a_step"}
    assert {name for name, value in found.items() if value is None} == unmeasured | others
    more = bench.figures(ms | {"100 tied": 10.0, "100 untied": 10.0})
    assert (more["ratio_100_trials"], more["trial_steps_a_second_100_trials"]) == (50, 10_000)
    assert more.keys() == found.keys() and more["ratio"] == 25
    took = {"compiled": 6.0, "avx2": 5.0, "avx2_compiled": 20.0}
    engines = {f"{kind} {n} {tie}": one for kind, one in took.items() for n in (10, 100)
               for tie in bench.TIES}  # fmt: skip
    told = bench.figures(ms | {"100 tied": 3.0, "100 untied": 3.0} | engines)
    told |= {f"{kind}_ms_a_step": bench.by_trials(engines, kind) for kind in took}
    assert bench.lines("some", told) == [
        "some 2.00 ms 25x", "some/compiled 6.00 ms 3.0x", "some/avx2 5.00 ms 4.0x",
        "some/compiled-100 6.00 ms 2.0x", "some/avx2-100 5.00 ms 4.0x",
    ]  # fmt: skip
    elsewhere = told | {"avx2_ms_a_step": None, "avx2_compiled_ms_a_step": None}
    assert bench.lines("some", elsewhere) == [
        "some 2.00 ms 25x", "some/compiled 6.00 ms 3.0x", "some/compiled-100 6.00 ms 2.0x",
    ]  # fmt: skip


def test_what_is_measured_apart_meets_its_own_environment_alone() -> None:
    first = bench.apart({"SEMANTICA_APART": "1"}, os.getenv, "SEMANTICA_APART")
    assert (first, bench.apart({}, os.getenv, "SEMANTICA_APART")) == ("1", None)
    assert "SEMANTICA_APART" not in os.environ and bench.apart({}, os.getpid) != os.getpid()


def test_on_avx2_pytorch_compiles_for_no_more_than_that() -> None:
    flags = bench.apart(bench.ON_AVX2, torch._inductor.cpp_builder._get_optimization_cflags, "g++")
    assert "march=x86-64-v3" in flags[0] and not any("native" in flag for flag in flags[0])


def test_avx2_is_not_measured_where_pytorch_would_take_other_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with pytest.raises(RuntimeError, match="with AVX512, not AVX2"):
        bench.measure_on_avx2("transformer-small", [10])


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


def test_all_of_the_plain_loop_is_on_the_device_that_it_is_given(taken: list[Step]) -> None:
    """The meta device computes nothing, and refuses what lies elsewhere."""
    bench.plain_loop(settings({"bits": 4}), True, "meta")(2)
    bench.plain_loop(settings({"bits": 4, "architecture": "lstm"}), False, "meta")(1)
    assert len(taken) == 3


def test_each_loop_has_its_turn_of_the_time_that_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"fast": [], "slow": []}
    loops = {name: taken[name].append for name in taken}
    per_step = {loops["fast"]: 0.01, loops["slow"]: 0.04}
    monkeypatch.setattr(
        bench, "seconds", lambda advance, steps: (advance(steps), steps * per_step[advance])[1]
    )
    monkeypatch.setattr(bench, "ROUNDS", 3)
    assert bench.by_turns(loops, 0.2) == pytest.approx({"fast": 10, "slow": 40})
    assert {name: steps[2:] for name, steps in taken.items()} == {
        "fast": [20] * 3, "slow": [5] * 3,
    }  # fmt: skip


def test_a_stack_on_a_gpu_is_measured_by_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the processor, in launches of three steps, too few in all to compile."""
    own, done = settings({"bits": 4, "steps": 100}), []

    def turns(loops: dict[str, Callable[[int], None]], _: float) -> dict[str, float]:
        before = len(done)
        loops["launch"](2)
        assert done[before:] == [3, 3]
        loops["plain"](1)
        return {"launch": 6.0, "plain": 5.0}

    def launched(step: Callable, steps: int, device: str) -> Callable:
        return lambda state: (done.append(steps), step(state))[1]

    monkeypatch.setattr(gpu, "find", lambda name: own)
    monkeypatch.setattr(gpu, "steps_a_launch", lambda device: 3)
    monkeypatch.setattr(gpu, "launched", launched)
    monkeypatch.setattr(gpu, "by_turns", turns)
    monkeypatch.setattr(gpu, "commit", lambda: "abc")
    found = gpu.measure("made-up", 4, "cpu")
    assert done == [3, 3, 3] and found["first_launch_s"] > 0
    expected = {
        "experiment": "made-up", "trials": 4, "ms_a_step": 2, "plain_ms_a_step": 5, "ratio": 10,
        "trial_steps_a_second": 2000, "steps_a_launch": 3, "compiled": True, "tied": False,
        "peak_memory_mb": None, "commit": "abc",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["machine"].keys() == {"device", "python", "torch"}


def test_on_a_gpu_a_turn_ends_when_the_device_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU that is made up: what is asked of it, in which order."""
    asked: list[str] = []
    answers = {"memory_allocated": 3 * 2**20, "max_memory_allocated": 10 * 2**20}
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats", *answers):
        answer = answers.get(name)
        monkeypatch.setattr(
            gpu.torch.cuda, name, lambda name=name, answer=answer: (asked.append(name), answer)[1]
        )

    def turns(loops: dict[str, Callable[[int], None]], _: float) -> dict[str, float]:
        for advance in loops.values():
            advance(7)
        return {"launch": 50.0, "plain": 5.0}

    def loop(kind: str) -> Callable[..., Callable[[int], None]]:
        def made(*arguments: object) -> Callable[[int], None]:
            assert arguments[-1] == "cuda"
            return lambda steps: asked.append(f"{kind} {steps}")

        return made

    monkeypatch.setattr(gpu, "our_launches", loop("ours"))
    monkeypatch.setattr(gpu, "plain_loop", loop("plain"))
    monkeypatch.setattr(gpu, "by_turns", turns)
    monkeypatch.setattr(gpu, "device_name", lambda device: "Abacus")
    found = gpu.measure("lstm-small", 10, "cuda")
    assert (found["peak_memory_mb"], found["machine"]["device"]) == (7, "Abacus")
    assert (found["steps_a_launch"], found["ms_a_step"], found["ratio"]) == (100, 0.5, 100)
    assert asked == [
        "empty_cache", "reset_peak_memory_stats", "memory_allocated", "synchronize",
        "ours 1", "synchronize", "max_memory_allocated",
        "ours 7", "synchronize", "plain 7", "synchronize",
    ]  # fmt: skip


def test_a_processor_is_not_published_as_a_gpu(clock: list[tuple[str, int]]) -> None:
    with pytest.raises(SystemExit) as caught:
        gpu.main(["--device", "cpu"])
    assert caught.value.code == 2 and not clock


def test_a_stack_that_is_not_compiled_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no compiler")

    monkeypatch.setattr(gpu.torch, "compile", fails)
    monkeypatch.setattr(gpu, "find", lambda name: settings({"bits": 4, "steps": 1000}))
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(gpu, "TURN_SECONDS", 0.01)
    found = gpu.measure("made-up", 2, "cpu")
    assert not found["compiled"] and found["ratio"] > 0
    assert "compiling failed (no compiler)" in capsys.readouterr().err


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Stacks that are measured by a clock of its own: so many seconds as a tenth of the trials."""
    begun, now = [], [1000.0]

    def measure(name: str, trials: int, device: str) -> dict[str, Any]:
        begun.append((name, trials))
        now[0] += trials / 10
        if name == "mlp-small":
            raise RuntimeError("out of memory")
        return {"first_launch_s": 1.0, "peak_memory_mb": None, **gpu.figures(trials, 2.0, 5.0)}

    monkeypatch.setattr(gpu, "monotonic", lambda: now[0])
    monkeypatch.setattr(gpu, "measure", measure)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    return begun


def test_none_is_begun_when_the_time_is_used_up_or_kept_back_by_another_s_failure(
    clock: list[tuple[str, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "out.json"
    arguments = ["--device", "cpu", "--out", str(file), "--seconds"]
    assert gpu.main([*arguments, "101"]) == 0
    assert clock == [("transformer-small", 10), ("transformer-small", 1000)]  # 1 s, then 100 s
    assert set(json.loads(file.read_text())) == {"transformer-small 10", "transformer-small 1000"}
    clock.clear()
    assert gpu.main([*arguments, "1e9"]) == 1
    assert clock == gpu.STACKS
    whole = json.loads(file.read_text())
    assert set(whole) == {f"{name} {n}" for name, n in gpu.STACKS if name != "mlp-small"}
    assert whole["transformer-small 40"]["ratio"] == 100
    told = capsys.readouterr()
    assert "out of memory" in told.err and "mlp-small 10: failed" in told.out
    assert told.out.count("left out") == len(gpu.STACKS) - 2
    clock.clear()
    assert gpu.main([*arguments, "9", "lstm-small:7"]) == 0  # beside what there is
    assert clock == [("lstm-small", 7)]
    assert set(json.loads(file.read_text())) == {*whole, "lstm-small 7"}


def test_figures_are_written_before_the_next_stack_is_begun(
    clock: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, measure = tmp_path / "out.json", gpu.measure

    def stopped(name: str, trials: int, device: str) -> dict[str, Any]:
        if clock:
            raise KeyboardInterrupt
        return measure(name, trials, device)

    monkeypatch.setattr(gpu, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        gpu.main(["--device", "cpu", "--out", str(file)])
    assert set(json.loads(file.read_text())) == {"transformer-small 10"}


def test_all_stacks_are_of_named_experiments() -> None:
    assert len(set(gpu.STACKS)) == len(gpu.STACKS) == 9
    assert all(gpu.stack_of(f"{name}:{trials}") == (name, trials) for name, trials in gpu.STACKS)


@pytest.mark.parametrize(
    "text", ["transformer-smal:3", "lstm-small", "lstm-small:0", "lstm-small:x"]
)
def test_a_stack_that_is_not_one_is_refused(
    text: str, clock: list[tuple[str, int]], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        gpu.main([text, "--device", "cpu", "--out", str(tmp_path / "out.json")])
    assert caught.value.code == 2 and not clock
