"""What is expected of a training, against what was measured, and how it grows."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantica_lib.running import dry_run, estimate
from semantica_lib.settings.catalogue import catalogue, find, settings, xor_experiments
from semantica_lib.store import results
from semantica_lib.trainers import engines
from semantica_lib.trainers.stacked import Stack

BENCH = json.loads((results.PUBLISHED / "bench.json").read_text())


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))


@pytest.mark.parametrize("name", BENCH)
def test_what_the_bench_measured_is_expected_of_its_own_experiments(name: str) -> None:
    own, steps, one = find(name), 10_000, BENCH[name]
    long, short = (estimate.seconds(own, 10, most, "cpu") for most in (steps + 300, 300))
    assert long - short == pytest.approx(one["ms_a_step"]["mean"] * steps / 1_000, rel=0.02)
    for trials in (100, 1000):
        if one[f"ms_a_step_{trials}_trials"]:
            ms = one[f"ms_a_step_{trials}_trials"]["mean"]
            long, short = (
                estimate.seconds(own, trials, most, "cpu") for most in (steps + 300, 300)
            )
            assert long - short == pytest.approx(ms * steps / 1_000, rel=0.02)


def test_a_stack_that_no_kernel_serves_is_expected_to_take_the_general_path() -> None:
    own, one = settings({"dropout": 0.1}), BENCH["transformer-small"]
    long, short = (estimate.seconds(own, 10, most, "cpu") for most in (10_300, 300))
    assert long - short == pytest.approx(10 * one["compiled_ms_a_step"]["10"]["mean"], rel=0.02)
    assert estimate.memory_mb(own, 20) == one["compiled_peak_memory_mb"]
    assert estimate.memory_mb(settings({}), 1000) < one["peak_memory_mb_1000_trials"] + 10


@pytest.mark.parametrize(
    ("changes", "served"),
    [
        ({}, True), ({"layers": 2}, False), ({"dropout": 0.1}, False), ({"batch_size": 8}, False),
        ({"bits": 9}, False), ({"architecture": "mixer"}, False), ({"expectation": "exact"}, True),
        ({"architecture": "lstm"}, True), ({"weight_decay": 0.0}, True),
        ({"output_bias": "learned"}, True), ({"odds": "turning"}, True),
        ({"architecture": "lstm", "output_bias": "learned"}, False),
    ],
)  # fmt: skip
def test_the_engine_expected_is_the_one_that_would_train(
    changes: dict[str, object], served: bool
) -> None:
    own = settings(changes)
    assert engines.serves(Stack(own, [0], False)) == served
    assert (engines.kind(own, "cpu", 300) == "kernel") == served
    for device, steps in (("cpu", 299), ("cuda", 300)):
        assert engines.kind(own, device, steps) == engines.GENERAL


@given(
    name=st.sampled_from(xor_experiments()), trials=st.integers(1, 500), steps=st.integers(1, 10**6)
)
def test_more_takes_longer(name: str, trials: int, steps: int) -> None:
    own = find(name)
    took = estimate.seconds(own, trials, steps, "cpu")
    assert 0 < took < math.inf
    assert estimate.seconds(own, trials + 1, steps, "cpu") >= took
    assert estimate.seconds(own, trials, steps + 1, "cpu") > took
    assert estimate.memory_mb(own, trials) > 100
    larger = own.model_copy(update={"layers": own.layers + 1})
    assert estimate.numbers(larger) > estimate.numbers(own)


def test_a_larger_model_is_compared_with_the_nearest_that_was_measured() -> None:
    small, wide = (
        settings({}),
        settings({"embedding_size": 32, "layers": 2, "feedforward_size": 64}),
    )
    assert "of transformer-small" in estimate.basis(small, "cpu")
    assert "of transformer-medium on" in estimate.basis(wide, "cpu")
    nine = settings({"bits": 9})
    assert estimate.seconds(nine, 10, 10**5, "cpu") > 2 * estimate.seconds(small, 10, 10**5, "cpu")


@pytest.mark.parametrize("changes", [{}, {"layers": 2}])
def test_short_runs_are_not_compiled(changes: dict[str, object]) -> None:
    own = settings(changes)
    steps = [estimate.seconds(own, 1, steps, "cpu") for steps in (298, 299, 300, 301)]
    compiling = steps[2] - 300 * (steps[3] - steps[2])
    rates = estimate._rates(engines.kind(own, "cpu", 300))
    assert any(rate.compile_s == pytest.approx(compiling, abs=0.01) for rate in rates)
    assert steps[1] - steps[0] < 0.01 < 0.5 < compiling


def test_a_gpu_has_rates_of_its_own_or_none() -> None:
    own, words = find("transformer-small"), find("mlm-grammar")
    assert "NVIDIA" in estimate.basis(own, "cuda:1")
    assert estimate.seconds(own, 1000, 150_000, "cuda") < 60
    lstm = find("lstm-small")
    if "of lstm" not in estimate.basis(lstm, "cuda"):
        assert math.isnan(estimate.seconds(lstm, 10, 1000, "cuda"))
        assert estimate.basis(lstm, "cuda") == "nothing measured"
    assert math.isnan(estimate.seconds(words, 1, 1000, "cuda"))
    assert estimate.duration(math.nan) == "unknown"


def test_what_this_machine_took_corrects_what_is_expected() -> None:
    own = find("transformer-small")
    usual = estimate.seconds(own, 20, 150_000, "cpu")
    folder = results.here() / "transformer-small"
    folder.mkdir(parents=True)
    manifest = json.loads((results.PUBLISHED / "transformer-small" / results.MANIFEST).read_text())
    stacks = [{"seeds": list(range(20)), "engine": "general path; kernel, AVX2 from step 9"}] * 2
    told = {"duration_s": 6 * usual, "device": "cpu: slow", "stacks": stacks}
    (folder / results.MANIFEST).write_text(json.dumps(manifest | told))
    (results.here() / "broken").mkdir()
    (results.here() / "broken" / results.MANIFEST).write_text("{")
    estimate._found.cache_clear()
    assert estimate.seconds(own, 20, 150_000, "cpu") == pytest.approx(3 * usual)
    assert estimate.basis(own, "cpu").endswith("adjusted by results here")
    assert estimate.seconds(find("lstm-small"), 1, 9, "cpu") > 0  # of another architecture: as ever
    assert "adjusted" not in estimate.basis(find("lstm-small"), "cpu")


def test_words_are_expected_from_stored_results() -> None:
    manifest = json.loads((results.PUBLISHED / "mlm-grammar" / results.MANIFEST).read_text())
    own = find("mlm-grammar")
    assert dry_run.lines([own], fresh=True)[0].endswith(", memory unknown")
    each = manifest["duration_s"] / len(manifest["trials"]) / manifest["steps_done"]
    expected = estimate.seconds(own, 1, 1, "cpu")
    assert each / 5 < expected < each * 5  # the median over language models of several sizes
    assert estimate.basis(own, "cpu") == "published results"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5_399, "90 min"), (5_400, "1.5 h")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert estimate.duration(seconds) == words


def test_every_experiment_has_an_estimate() -> None:
    for name in catalogue():
        assert estimate.seconds(find(name), 1, 1000, "cpu") > 0, name
