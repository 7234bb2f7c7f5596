"""The exploratory claims on hand-made trajectories whose answer is known, and on any result."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from made import SEEDS, STEPS, made, manifest_of
from scipy import stats

from semantica_lib.analysis.statistics import VERDICTS
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.analysis.verdicts import across, summary, to_markdown, verdicts
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store import results
from semantica_lib.store.results import Result

PERIOD = 200
INSIDE = STEPS > 200
Make = Callable[..., Result]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(made, tmp_path)


def _rows(frame: pd.DataFrame, *words: str) -> pd.DataFrame:
    """The rows whose claim has all these words."""
    return frame[[all(word in claim for word in words) for claim in frame.claim]]


def _row(frame: pd.DataFrame, *words: str) -> pd.Series:
    rows = _rows(frame, *words)
    assert len(rows) == 1, rows.claim.tolist()
    assert rows.claim.iloc[0].startswith("exploratory: ")
    return rows.iloc[0]


def _closing_at(step: float) -> np.ndarray:
    """2 apart, a tenth of it (to float32) before ``step``, clearly less from there on."""
    return np.where(STEPS == 0, 2.0, np.where(step > STEPS, 0.2001, 0.19))


@pytest.mark.parametrize(
    ("tied_steps", "verdict"),
    [((40, 60, 20, 80, 60, 100), "reproduced"), ((400, 380, 360, 400, 400, 380), "not reproduced")],
)
def test_tied_converges_faster(make: Make, tied_steps: tuple, verdict: str) -> None:
    """Untied output: 200 of every seed; untied input: 100, but seed 1 never gets there (400)."""

    def distance(seed: int, tied: bool, table: str, pair: tuple) -> np.ndarray:
        if tied:
            return _closing_at(tied_steps[seed - 1])
        return _closing_at({"output": 200, "input": 100 if seed > 1 else np.inf}[table])

    frame = verdicts(make(distance))
    output = _row(frame, "author: 2 and 3 converge faster tied", "untied output")
    ratios = np.array(tied_steps) / 200
    assert output.estimate == pytest.approx(stats.gmean(ratios))
    assert (output.verdict, output.margin, output.seeds) == (verdict, 1, 6)
    assert output.pass_share == (ratios < 1).mean()
    assert "(never: 0 of 6 untied, 0 of 6 tied)" in output.claim
    inputs = _row(frame, "author: 2 and 3 converge faster tied", "untied input")
    never = np.array([400, 100, 100, 100, 100, 100])
    assert inputs.estimate == pytest.approx(stats.gmean(np.array(tied_steps) / never))
    assert "(never: 1 of 6 untied, 0 of 6 tied)" in inputs.claim
    assert inputs.prediction == "under 1 (never counts as step 400)"
    assert _rows(frame, "0 and 1 converge").empty


def test_who_never_converges_counts_as_the_last_step(make: Make) -> None:
    row = _row(verdicts(make()), "converge faster", "untied output")
    assert (row.estimate, row.low, row.high, row.verdict) == (1, 1, 1, "inconclusive")
    assert "(never: 6 of 6 untied, 6 of 6 tied)" in row.claim
    late = verdicts(make(lambda *_: _closing_at(20)[1:], steps=STEPS[1:]))
    assert _row(late, "converge faster", "untied output").seeds == 0  # step 0 is not recorded


def test_ties_are_paired_by_seed(make: Make) -> None:
    """Tied trials in another order, one of them absent, one untied one diverged: four pairs."""
    result = make(lambda seed, tied, *_: _closing_at(seed * (20 if tied else 40)))
    order = np.r_[5, 3, 1, 0, 2, 7:12, 6]  # without the tied trial of seed 5
    mixed = {name: getattr(result, name)[order] for name in ("seed", "tied", "tie")}
    tables = {n: getattr(result, n)[order].copy() for n in ("input_embedding", "output_embedding")}
    tables["output_embedding"][mixed["seed"] == 1, 3] = np.nan
    frame = verdicts(replace(result, **mixed, **tables))
    row = _row(frame, "converge faster", "untied output")
    assert (row.estimate, row.low, row.high) == pytest.approx((0.5,) * 3)
    assert (row.seeds, row.failed, row.verdict) == (4, 3, "inconclusive")
    assert "seeds 5 are missing" in row.deviation


@pytest.mark.parametrize(
    ("tied", "untied", "verdict"), [(0.3, 0.1, "reproduced"), (0.1, 0.3, "not reproduced")]
)
def test_the_other_pair_fluctuates(make: Make, tied: float, untied: float, verdict: str) -> None:
    """Sines of these amplitudes relative to their means, which differ; wild before the window.

    Of a whole period's ten records the deviation is the amplitude over the root of two.
    """

    def distance(seed: int, is_tied: bool, table: str, pair: tuple) -> np.ndarray:
        mean, amplitude = (0.5, tied) if is_tied else (3.0, untied)
        if table == "output":
            amplitude *= np.exp(0.1 * np.sin(seed))
        swing = 1 + amplitude * np.sin(2 * np.pi * STEPS / PERIOD)
        return mean * np.where(INSIDE, swing, 10 + (STEPS % 60))

    row = _row(verdicts(make(distance)), "author: 0 and 1 fluctuate more tied", "untied output")
    by_seed = tied / untied / np.exp(0.1 * np.sin(SEEDS))
    assert row.estimate == pytest.approx(stats.gmean(by_seed), rel=1e-5)
    assert (row.verdict, row.margin, row.prediction) == (verdict, 1, "over 1")


def test_what_does_not_move_does_not_fluctuate_more(make: Make) -> None:
    row = _row(verdicts(make()), "fluctuate")
    assert (row.estimate, row.verdict) == (1, "inconclusive")
    still = verdicts(make(lambda seed, tied, *_: 1.0 if tied else 1 + 0.1 * (STEPS % 40)))
    assert _row(still, "fluctuate").verdict == "not reproduced"


@pytest.mark.parametrize(
    ("zero", "one", "faster", "fluctuating"),
    [
        ((0.1, 0.9), (0.5, 0.5), 2, 1),
        ((1.0, 0.0), (0.5, 0.5), 2, 0),
        ((1.0, 0.0), (0.1, 0.9), 0, 1),
        ((0.5, 0.5), (0.5, 0.5), 4, 0),
        ((1.0, 0.0), (0.0, 1.0), 0, 0),
    ],
)
def test_a_row_without_such_a_pair_is_not_there(
    make: Make, zero: tuple, one: tuple, faster: int, fluctuating: int
) -> None:
    frame = verdicts(make(zero_dst=zero, one_dst=one))
    assert len(_rows(frame, "author:", "converge")) == faster
    assert len(_rows(frame, "author:", "fluctuate")) == fluctuating
    assert len(_rows(frame, "log-odds law")) == 2 * fluctuating
    assert len(_rows(frame, "share of the shrinking")) == _merging(frame)


def _merging(frame: pd.DataFrame) -> int:
    primary = frame[~frame.claim.str.startswith("exploratory")]
    return primary.claim.str.contains(" merge ").sum()


@pytest.mark.parametrize(
    ("tied", "one", "verdict"),
    [
        (1.4, (0.5, 0.5), "reproduced"),
        (0.8, (0.5, 0.5), "not reproduced"),
        (1.4, None, "no prediction"),
    ],
)
def test_untied_does_better_overall(make: Make, tied: float, one: Any, verdict: str) -> None:
    """Predicted where some pair's DH fails; where all hold it only stands there."""

    def attained(seed: int, is_tied: bool, split: str) -> tuple[float, float]:
        assert split in ("train", "validation", "test", "exact")
        return 0.5, (tied if is_tied else 1.0) + 0.01 * seed * is_tied + 5 * (split != "exact")

    own = {"one_dst": one} if one else {"zero_dst": (0.5, 0.5)}
    row = _row(verdicts(make(attained=attained, **own)), "what tying costs in cross-entropy")
    assert row.estimate == pytest.approx(tied - 1 + 0.035)
    assert row.verdict == verdict
    assert np.isnan(row.margin) == (one is None)


def _with_norms(result: Result, zero: float, one: float, every: int = 20) -> Result:
    """The least ||h||, with a little scatter over seeds; far larger before the last period."""
    measured = np.arange(0, 401, every)
    norms = np.array([zero, one]) * np.exp(0.01 * result.seed)[:, None, None]
    norms = np.where(measured > 200, 1, 100)[:, None] * norms
    return replace(result, measured_steps=measured, hidden_norm=norms)


@pytest.mark.parametrize(
    ("own", "pair", "zero", "one", "verdict"),
    [
        ({}, "0 and 1", 1.0, 0.01, "reproduced"),  # 3 * 1.0 > log 9 = 2.197
        ({}, "0 and 1", 0.5, 100, "not reproduced"),
        ({"zero_dst": (1.0, 0.0), "one_dst": (0.1, 0.9)}, "2 and 3", 0.01, 1.0, "reproduced"),
        ({"zero_dst": (1.0, 0.0), "one_dst": (0.1, 0.9)}, "2 and 3", 100, 0.5, "not reproduced"),
        ({"zero_dst": (0.45, 0.55)}, "0 and 1", 0.1, 0.01, "reproduced"),  # 0.3 > 0.2007
    ],
)
@pytest.mark.parametrize("tie", ["claim 2, untied output", "claim 3, tied"])
def test_the_log_odds_law(
    make: Make, tie: str, own: dict, pair: str, zero: float, one: float, verdict: str
) -> None:
    result = _with_norms(make(lambda *_: 3.0, **own), zero, one)
    row = _row(verdicts(result), tie, pair, "log-odds law")
    least = one if pair == "2 and 3" else zero
    assert row.estimate == pytest.approx(3 * least * np.exp(0.035), rel=1e-5)
    p = own.get("one_dst" if pair == "2 and 3" else "zero_dst", (0.1, 0.9))
    assert row.margin == pytest.approx(np.log(p[1] / p[0]))
    assert row.prediction == f"at least log-odds {np.log(p[1] / p[0]):.3f}"
    assert row.verdict == verdict


def test_the_law_joins_records_and_measurements_by_step(make: Make) -> None:
    """Measured at 260, 390 and so on: only 260 is a record within the last period."""
    result = make(lambda *_: np.where(STEPS == 260, 3.0, 50.0))
    row = _row(verdicts(_with_norms(result, 1, 1, every=130)), "untied output", "log-odds")
    assert row.estimate == pytest.approx(3 * np.exp(0.035), rel=1e-5)
    never = _row(verdicts(_with_norms(result, 1, 1, every=390)), "untied output", "log-odds")
    assert (never.seeds, never.verdict) == (0, "inconclusive")


def test_an_older_result_has_the_distance_only(make: Make) -> None:
    row = _row(verdicts(make(lambda *_: 3.0)), "untied output", "log-odds")
    assert (row.verdict, row.prediction) == ("inconclusive", "at least 2.197 / min ||h||")
    assert "not stored" in row.deviation
    assert row.estimate == pytest.approx(3)


@given(st.integers(0, 2**32 - 1))
@profile(max_examples=20)
def test_no_logits_differ_by_more_than_the_reach_where_h_is_least(seed: int) -> None:
    """A table that has the log-odds in every context obeys the law: h and its least norm drawn."""
    rng = np.random.default_rng(seed)
    gap, hidden = rng.normal(size=4), rng.normal(size=(50, 4))
    odds = np.log(9)
    hidden += np.outer((odds - hidden @ gap) / (gap @ gap), gap)  # so that <gap, h> is log 9
    with TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "manifest.json").write_text("{}")
        own = Settings(seeds=(1, 2), steps=20, schedule_period=20)
        table = np.tile(rng.normal(size=(7, 4)), (4, 3, 1, 1))
        table[:, :, 1] = table[:, :, 0] + gap
        norm = np.linalg.norm(hidden, axis=1).min() * np.ones((4, 3, 2))
        nothing = pd.DataFrame(columns=["seed", "tied", "step", "split", "accuracy", "loss"])
        result = Result(
            path, {"settings": own.model_dump(mode="json"), "status": "complete"},
            np.array([0, 10, 20]), np.array([1, 2, 1, 2]), np.array([True, True, False, False]),
            table, table, nothing, np.array([0, 10, 20]), norm,
        )  # fmt: skip
        row = _row(verdicts(result), "untied output", "log-odds")
    assert row.estimate >= row.margin * (1 - 1e-6)


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5, 4.0])
def test_the_share_of_the_shrinking_that_decay_explains(make: Make, power: float) -> None:
    """The pair ends where the clock's mean factor to this power would bring it."""
    own = {"learning_rate": 5e-2}
    factor = decay_factor(Settings(schedule_period=PERIOD, **own), STEPS)
    level = factor[INSIDE].mean() ** power

    def distance(seed: int, *_: Any) -> np.ndarray:
        return seed * np.where(INSIDE, level, 1.0)

    frame = verdicts(make(distance, **own))
    for words in ("claim 1, untied input: 0 and 1", "claim 2, untied output: 2 and 3"):
        row = _row(frame, words, "share of the shrinking that decay alone explains")
        assert row.estimate == pytest.approx(1 / power, rel=1e-5)
        assert (row.verdict, row.prediction) == ("no prediction", "none")
    assert _rows(frame, "0 and 1 stay apart", "share of the shrinking").empty


def test_decay_alone_explains_all_of_a_clock_and_nothing_without_decay(make: Make) -> None:
    factor = decay_factor(Settings(schedule_period=PERIOD, learning_rate=5e-2), STEPS)
    frame = verdicts(make(lambda *_: factor, learning_rate=5e-2))
    row = _row(frame, "untied input: 0 and 1 merge", "share of the shrinking")
    assert row.estimate == pytest.approx(1, rel=1e-5)
    frame = verdicts(make(lambda *_: factor, weight_decay=0.0))
    row = _row(frame, "untied input: 0 and 1 merge", "share of the shrinking")
    assert str(row.estimate) == "0.0"


def test_seeds_that_did_not_shrink_have_no_share(make: Make) -> None:
    ends = {1: 0.5, 2: 1.0, 3: 2.0, 4: 0.25, 5: 1.5, 6: 1.0}
    frame = verdicts(make(lambda seed, *_: np.where(STEPS > 0, ends[seed], 1.0)))
    row = _row(frame, "untied input: 0 and 1 merge", "share of the shrinking")
    clock = decay_factor(Settings(schedule_period=PERIOD), STEPS)[INSIDE].mean()
    by_hand = np.log(clock) / np.log([0.5, 0.25])
    assert row.seeds == 2
    assert row.estimate == pytest.approx(by_hand.mean(), rel=1e-4)
    (interval,) = [stats.t.interval(0.95, 1, by_hand.mean(), stats.sem(by_hand))]
    assert (row.low, row.high) == pytest.approx(interval, rel=1e-4)


@pytest.mark.parametrize(
    ("architecture", "new"), [("transformer", "none"), ("lstm", "all"), ("mixer", "all")]
)
@pytest.mark.parametrize(
    ("less", "verdict"), [(0.02, "reproduced"), (0.2, "not reproduced"), (-0.3, "reproduced")]
)
def test_held_out_strings(
    make: Make, architecture: str, new: str, less: float, verdict: str
) -> None:
    """Accuracies of 0.9 of the ceiling in training and so much less on held-out strings.

    With unequal ceilings: 1 for a masked 0 and 0.5 for a masked 1.
    """
    own = {"architecture": architecture, "zero_dst": (1.0, 0.0)}
    task = xor_task(Settings(**own))
    assert abs(task.ceiling("train")[0] - task.ceiling("validation")[0]) > 1e-3

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        share = 0.9 + 0.001 * seed
        if split == "validation":
            share -= less + 0.002 * seed if not tied else 0.0
        return share * task.ceiling(split)[0], 1.0

    frame = verdicts(make(attained=attained, **own))
    row = _row(frame, "held-out strings", "untied", f"(contexts new to it: {new})")
    assert row.estimate == pytest.approx(-less - 0.002 * 3.5)
    assert (row.verdict, row.margin) == (verdict, -0.05)
    tied = _row(frame, "held-out strings", " tied", f"(contexts new to it: {new})")
    assert (tied.estimate, tied.verdict) == (pytest.approx(0, abs=1e-12), "reproduced")


def test_without_held_out_strings_there_is_no_such_row(make: Make) -> None:
    assert _rows(verdicts(make(validation="as-published")), "held-out").empty
    some = verdicts(make(data_seed=6))  # the string of zeros is held out: no other looks like it
    assert len(_rows(some, "held-out", "(contexts new to it: 4.9%)")) == 2


@pytest.mark.parametrize("architecture", ["lstm", "mixer"])
def test_nothing_is_predicted_of_the_parity_where_places_are_seen(
    make: Make, architecture: str
) -> None:
    seen = _rows(verdicts(make(architecture=architecture)), "parity, untied input")
    unseen = _rows(verdicts(make()), "parity, untied input")
    assert set(seen.verdict) == {"no prediction"}
    assert set(seen.prediction) == {"none"}
    assert seen[["margin", "pass_share"]].isna().to_numpy().all()
    assert seen.estimate.tolist() == unseen.estimate.tolist()
    assert "no prediction" not in set(unseen.verdict)
    assert unseen.claim.str.endswith(" merge").all()
    cell = _rows(verdicts(make(architecture=architecture)), "fourth cell")
    assert cell.verdict.tolist() == ["not reproduced", "reproduced"]


def test_a_partial_result_with_a_full_period_has_estimates(make: Make) -> None:
    result = _with_norms(make(lambda *_: _closing_at(60)), 1, 1)
    partial = replace(result, manifest={**result.manifest, "status": "partial"})
    whole, frame = verdicts(result), verdicts(partial)
    columns = ["claim", "prediction", "margin", "estimate", "seeds", "pass_share"]
    pd.testing.assert_frame_equal(frame[columns], whole[columns])
    assert set(frame.verdict) == {"inconclusive"}
    assert frame.low.notna().sum() == whole.low.notna().sum()
    assert set(frame.deviation) == {
        "The result is partial, at step 400; `semantica run made-up.yaml` completes it."
    }


def test_across_experiments(make: Make) -> None:
    main = verdicts(make(lambda *_: 0.1))
    ydh = verdicts(make(zero_dst=(1.0, 0.0), experiment="ydh"))
    half = verdicts(make(status="partial", experiment="half"))
    lines = across(pd.concat([main, half, ydh], ignore_index=True)).splitlines()
    assert lines[:2] == ["| claim | made-up | half | ydh |", "| --- | --- | --- | --- |"]
    cells = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in lines[2:]}
    assert list(cells) == sorted(cells)
    assert cells["claim 1, untied input: synonyms merge (DH fails)"] == [
        "reproduced", "partial, at step 400", " |",
    ]  # fmt: skip
    assert cells["claim 1, untied input: synonyms merge (DH holds)"][0] == "reproduced"
    assert cells["claim 1, untied input: synonyms merge (DH holds)"][2] == "not reproduced |"
    assert cells["claim 3: tying costs no accuracy (over all strings)"][:2] == ["", ""]
    assert len(cells) == 10  # nine of the main experiment and one that only ydh has
    assert all(line.count("|") == 5 for line in lines)
    few = verdicts(make(lambda *_: 0.1, seeds=(1, 2, 3)))
    assert "| consistent |" in across(few)
    assert across(few[:0]) == "| claim |\n| --- |\n"


def test_across_experiments_names_pairs_where_they_differ(make: Make) -> None:
    three = verdicts(make(lambda *_: 0.1, zero_dst=(0.25, 0.25, 0.5)))
    held = three.claim == "claim 1, untied input: 1 and 2 merge (DH fails)"
    assert held.sum() == 1
    three.loc[held, "verdict"] = "partly"
    (line,) = [line for line in across(three).splitlines() if "input: synonyms merge (DH f" in line]
    other = three.verdict[three.claim == "claim 1, untied input: 0 and 2 merge (DH fails)"].item()
    assert other != "partly"
    assert line.split(" | ")[1] == f"{other}: A and C<br>partly: B and C |"


TABLES = ("normal", "zero", "tiny", "huge", "diverged", "coincide", "constant")


@st.composite
def _stored(draw: st.DrawFn, folder: Path) -> Result:
    """Any result that could lie in a folder: few records, odd numbers, missing trials or norms."""
    pick = lambda *choices: draw(st.sampled_from(choices))  # noqa: E731
    records, every = draw(st.integers(1, 9)), pick(1, 10)
    steps = every * (np.arange(records) + pick(0, 0, 1))
    seeds = tuple(range(pick(1, 2, 5, 20)))
    own = Settings(
        experiment="any", seeds=seeds, bits=pick(2, 3, 4), schedule_period=pick(2, 20, 40),
        architecture=pick("transformer", "lstm", "mixer"),
        zero_dst=pick((0.1, 0.9), (0.5, 0.5), (1.0, 0.0), (1.0,), (1e-12, 1 - 1e-12)),
        one_dst=pick((0.5, 0.5), (0.1, 0.9), (1.0,), (0.2, 0.3, 0.5)),
        ties=pick(("tied", "untied"), ("untied",), ("tied",)), steps=pick(20, 80),
        weight_decay=pick(0.1, 0.0, 50.0), learning_rate=pick(5e-4, 0.05, 2.0),
        validation=pick("held-out", "as-published"),
    )  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    trials = [(seed, tied) for seed in seeds for tied in (True, False)]
    present = pick(1.0, 0.5)
    trials = trials[:1] + [trial for trial in trials[1:] if rng.random() < present]
    task = xor_task(own)
    shape = len(trials), records, task.vocabulary, 4
    table = {
        "normal": rng.normal(size=shape), "zero": np.zeros(shape), "tiny": np.full(shape, 1e-42),
        "huge": 1e38 * rng.normal(size=shape).clip(-3, 3), "coincide": np.ones(shape),
        "diverged": np.where(rng.random(shape) < 0.02, pick(np.nan, np.inf), 1.0),
        "constant": np.broadcast_to(rng.normal(size=shape[2:]), shape),
    }  # fmt: skip
    splits = pick(("exact",), ("train",), ("train", "validation", "test", "exact"))
    rows = [
        (seed, str(tied).lower(), step, split, *rng.choice([0.5, 1.0, np.nan, 1e300], 2))
        for seed, tied in trials
        for step in steps
        for split in splits
    ]
    metrics = pd.DataFrame(rows, columns=["seed", "tied", "step", "split", "accuracy", "loss"])
    trajectory = {
        "steps": steps,
        "seed": np.array([seed for seed, _ in trials], dtype=int),
        "tied": np.array([tied for _, tied in trials], dtype=bool),
        "input_embedding": table[pick(*TABLES)].astype(np.float32),
        "output_embedding": table[pick(*TABLES)].astype(np.float32),
    }
    if pick(True, True, False):
        measured = steps[:: pick(1, 2)] + pick(0, 0, 1)
        norms = pick(rng.random, np.zeros, lambda size: np.full(size, np.nan))
        trajectory |= {
            "measured_steps": measured, "hidden_norm": norms((len(trials), len(measured), 2)),
        }  # fmt: skip
    status, steps_done = pick("complete", "complete", "partial"), int(steps.max(initial=0))
    manifest = manifest_of(own, trials, status=status, steps_done=steps_done)
    results.write(folder, manifest, trajectory, metrics.to_csv(index=False))
    result = results.load(folder)
    assert result is not None
    return result


@given(st.data())
@profile(max_examples=100)
def test_any_stored_result_has_its_verdicts(data: st.DataObject) -> None:
    """No traceback and no warning; rows, intervals and words that make sense."""
    with TemporaryDirectory() as folder:
        result = data.draw(_stored(Path(folder)))
        frame = verdicts(result)
        order = np.random.default_rng(0).permutation(len(result.seed))
        names = ["seed", "tied", "tie", "input_embedding", "output_embedding"]
        names += ["hidden_norm"] * (result.hidden_norm is not None)
        shuffled = replace(result, **{name: getattr(result, name)[order] for name in names})
        pd.testing.assert_frame_equal(verdicts(shuffled), frame)
    assert frame.claim.is_unique
    assert set(frame.verdict) <= set(VERDICTS)
    assert np.isfinite(frame.margin[~frame.verdict.isin(["no prediction", "inconclusive"])]).all()
    some = frame[frame.low.notna()]
    assert some[~(some.low <= some.estimate * (1 + 1e-12) + 1e-12)].to_dict("records") == []
    assert (some.high >= some.estimate * (1 - 1e-12) - 1e-12).all()
    pairs = frame.claim.str.contains("exact paired")  # failed trials are among them: not learned
    assert (frame.seeds[pairs] <= 20).all() and (frame.failed <= 2 * 20).all()
    assert (frame.seeds + frame.failed <= 2 * 20)[~pairs].all()
    assert not frame[frame.verdict == "inconclusive"].deviation.eq("").any()
    if result.manifest["status"] == "partial":
        assert frame.deviation.str.contains("`semantica run any.yaml` completes it.").all()
        assert "partial, at step" in across(frame)
    assert summary(frame).startswith("any: of ")
    assert to_markdown(frame).count("\n") == len(frame) + 2
