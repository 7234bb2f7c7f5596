"""What is said of a language model's result, against plain loops, each with what must fail."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_language import USUAL, made
from scipy import stats

from semantica_lib.analysis import language_claims
from semantica_lib.analysis.language import (
    BROKEN,
    HOLDS,
    UNRELATED,
    Language,
    class_means,
    ending,
    variants,
)
from semantica_lib.analysis.verdicts import COLUMNS, across, kinds, primary_rows, summary, verdicts
from semantica_lib.settings.catalogue import run_command, settings
from semantica_lib.store.results import Result

Make = Callable[..., Result]
TWENTY = list(range(42, 62))
# Rows of the frame: the table (tied, name), and whether the DH holds for the near and the far pair;
# None: unrelated words.
RATIOS = {
    0: (False, "input", True, None), 1: (False, "input", False, None),
    2: (False, "input", False, True), 3: (False, "output", True, None),
    4: (False, "output", False, True), 5: (True, "input", True, None),
    6: (True, "input", False, True),
}  # fmt: skip
COST_BROKEN, COST_HOLDS = 7, 8


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda *args, **values: made(tmp_path, *args, **values)


def plain(rows: np.ndarray, holds: np.ndarray, of: bool | None, cosine: bool = False) -> float:
    """Mean distance (or cosine) over the pairs of a class in one table ``(word, feature)``."""
    count = len(holds)
    if of is None:
        pairs = list(combinations(range(count), 2))
    else:
        pairs = [(i, count + i) for i in range(count) if holds[i] == of]
    found = []
    for i, j in pairs:
        a, b = rows[i].astype(float), rows[j].astype(float)
        length = (a @ a) ** 0.5 * (b @ b) ** 0.5
        found.append(a @ b / length if cosine else ((a - b) @ (a - b)) ** 0.5)
    return sum(found) / len(found)


def random(result: Result) -> Result:
    """The same result with tables that move from record to record."""
    rng = np.random.default_rng(5)
    shape = result.input_embedding.shape
    inputs, outputs = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    outputs[result.tied] = inputs[result.tied]
    return replace(result, input_embedding=inputs, output_embedding=outputs)


def ratios(result: Result, row: int, records: list[int]) -> list[float]:
    """The values of a primary ratio, by seed: of means over records."""
    tied, name, near, far = RATIOS[row]
    table = getattr(result, f"{name}_embedding")
    found = []
    for trial in np.argsort(result.seed):
        if result.tied[trial] == tied:
            rows, holds = table[trial], result.holds[trial]
            means = [np.mean([plain(rows[r], holds, of) for r in records]) for of in (near, far)]
            found.append(means[0] / means[1])
    return found


def row_of(frame: pd.DataFrame, *words: str) -> pd.Series:
    """The only row whose claim has all these words."""
    chosen = np.logical_and.reduce([frame.claim.str.contains(w, regex=False) for w in words])
    assert chosen.sum() == 1, frame.claim[chosen].tolist()
    return frame[chosen].iloc[0]


def test_means_of_the_classes_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(1)
    rows, holds = rng.normal(size=(3, 14, 5)), np.array([1, 0, 1, 1, 0, 0, 1], dtype=bool)
    found = class_means(rows, holds)
    for kind, of in ((HOLDS, True), (BROKEN, False), (UNRELATED, None)):
        for name, cosine in (("distance", False), ("cosine", True)):
            expected = [plain(table, holds, of, cosine) for table in rows]
            np.testing.assert_allclose(found[kind, name], expected, rtol=1e-12)


def test_close_pairs_are_under_the_fifth_percentile_of_unrelated_ones() -> None:
    rng = np.random.default_rng(2)
    words = rng.normal(size=(30, 3))
    apart = sorted(np.linalg.norm(a - b) for a, b in combinations(words, 2))
    border = np.quantile(apart, 0.05)
    shares = np.linspace(0.5, 1.45, 30)  # each synonym so many borders away: 16 of 30 are closer
    away = np.eye(3)[0] * border * shares[:, None]
    holds = np.arange(30) < 20
    found = class_means(np.concatenate([words, words + away])[None], holds)
    assert found[HOLDS, "close"] == pytest.approx((shares[:20] < 1).mean())
    assert found[BROKEN, "close"] == pytest.approx((shares[20:] < 1).mean())
    assert found[UNRELATED, "close"] == pytest.approx(0.05, abs=0.003)


def test_a_class_without_a_pair_has_no_mean() -> None:
    rows = np.random.default_rng(3).normal(size=(2, 2, 4))
    found = class_means(rows, np.array([True]))
    assert np.isfinite([found[HOLDS, "distance"], found[HOLDS, "cosine"]]).all()
    assert np.isnan(found[HOLDS, "close"]).all()  # there is no percentile of no pair
    assert np.isnan([found[kind, "distance"] for kind in (BROKEN, UNRELATED)]).all()


@pytest.mark.parametrize(
    ("steps", "period", "expected"),
    [
        ([0, 20, 40, 60, 80], 40, [False, False, False, True, True]),
        ([0, 20, 40, 60, 80], 100, [False, False, False, False, True]),
        ([0, 20, 40, 60, 80], 160, [False, False, False, False, True]),
        ([0, 20, 40, 60, 80], 162, None),
        ([0, 80], 80, [False, True]),  # a period with a single record is no mean
        ([], 40, None),
    ],
)
def test_the_end_is_a_period_or_the_lowest_point_of_the_rate(
    steps: list[int], period: int, expected: list[bool] | None
) -> None:
    found = ending(np.array(steps, dtype=int), period)
    assert (found if found is None else found.tolist()) == expected


@pytest.mark.parametrize("period", [60, 200])
def test_ratios_are_means_over_seeds_of_plain_ratios(make: Make, period: int) -> None:
    result = random(make(seeds=TWENTY, schedule_period=period))
    records = [3, 4, 5] if period == 60 else [5]  # steps 60, 80, 100; or 100
    frame = verdicts(result)
    for row in RATIOS:
        logs = np.log(ratios(result, row, records))
        assert frame.estimate[row] == pytest.approx(np.exp(logs.mean()), rel=1e-9)
        p = stats.ttest_1samp(logs, np.log(frame.margin[row])).pvalue
        assert (frame.low[row] <= frame.margin[row] <= frame.high[row]) or p < 0.05


def test_costs_are_paired_by_seed_at_the_end(make: Make) -> None:
    result = make(seeds=TWENTY)
    rng, metrics = np.random.default_rng(0), result.metrics.copy()
    metrics["loss"] = rng.uniform(1, 9, len(metrics))
    result = replace(result, metrics=metrics)
    frame = verdicts(result)
    everywhere = row_of(frame, "what tying costs in").name
    for row, split in (
        (COST_BROKEN, "validation-broken"), (COST_HOLDS, "validation-holds"),
        (everywhere, "validation"),
    ):  # fmt: skip
        last = metrics[(metrics.split == split) & (metrics.step == 100)]
        loss = {(one.seed, one.tied): one.loss for one in last.itertuples()}
        costs = [loss[seed, True] - loss[seed, False] for seed in TWENTY]
        assert frame.estimate[row] == pytest.approx(np.mean(costs))
        low, high = stats.ttest_1samp(costs, 0).confidence_interval(0.95)
        if row == everywhere:
            assert (frame.low[row], frame.high[row]) == pytest.approx((low, high))
        else:  # one of two that are not decided: Holm's interval is wider than the plain one
            assert frame.low[row] < low < high < frame.high[row]


def test_costs_of_a_whole_period_are_means_over_it(make: Make) -> None:
    result = make(schedule_period=60, costs=(0.0, 0.3))
    metrics = result.metrics.copy()
    chosen = (metrics.step == 60) & metrics.tied & (metrics.split == "validation-broken")
    metrics.loc[chosen, "loss"] += 0.3  # one of the three measurements in the period
    frame = verdicts(replace(result, metrics=metrics))
    assert frame.estimate[COST_BROKEN] == pytest.approx(0.4)


def test_all_as_predicted(make: Make) -> None:
    result = make(seeds=TWENTY)
    frame = verdicts(result, "mlm.ipynb")
    assert tuple(frame.columns) == COLUMNS
    primary = primary_rows(frame)
    assert primary.index.tolist() == list(range(9))
    assert primary.verdict.tolist() == ["reproduced"] * 9
    assert primary.deviation.tolist() == [""] * 9
    assert primary.pass_share.tolist() == [1.0] * 9
    assert primary.margin.tolist() == [0.9, 0.9, 1.25, 0.9, 1.25, 0.9, 1.25, 0.01, 0.01]
    expected = [0.5, 0.55, 1.1, 0.4, 2.0, 0.45, 2.0, 0.05, 0.0]
    assert primary.estimate.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert frame.claim.is_unique
    assert summary(frame) == "made: of 9 primary claims 9 reproduced"
    assert verdicts(make()).verdict[0] == "consistent with the paper"  # five seeds


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        (0, {(False, "input", True): 0.95}),
        (1, {(False, "input", False): 0.95}),
        (2, {(False, "input", False): 0.8}),
        (3, {(False, "output", True): 0.95}),
        (4, {(False, "output", False): 0.45}),
        (5, {(True, "input", True): 0.95}),
        (6, {(True, "input", False): 0.5}),
    ],
)
def test_each_ratio_can_fail(make: Make, row: int, changed: dict) -> None:
    frame = verdicts(make(changed, seeds=TWENTY, start=0.9, spread=0.02))
    assert frame.verdict[row] == "not reproduced"
    side = "under" if "over" in frame.prediction[row] else "over"
    assert f", {side} the margin {frame.margin[row]:g}." in frame.deviation[row]
    assert frame.pass_share[row] == 0
    ((key, _),) = changed.items()
    other = [r for r, (*table, near, far) in RATIOS.items() if (*table, near) != key]
    other = [r for r in other if (*RATIOS[r][:2], RATIOS[r][3]) != key]
    assert frame.verdict[other].tolist() == ["reproduced"] * len(other)


def test_nearer_than_at_the_start_but_not_near_enough_is_partly(make: Make) -> None:
    frame = verdicts(make({(False, "input", True): 0.95}, seeds=TWENTY, start=1.0, spread=0.02))
    assert frame.verdict[0] == "partly"
    assert "the ratio came to 0.95 of its value at step 0" in frame.deviation[0]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ((0.0, 0.05), ["reproduced", "reproduced"]),
        ((0.05, 0.0), ["not reproduced", "not reproduced"]),
        ((0.01, 0.01), ["inconclusive", "inconclusive"]),
    ],
)
def test_what_tying_costs(make: Make, costs: tuple[float, float], expected: list[str]) -> None:
    frame = verdicts(make(seeds=TWENTY, costs=costs))
    assert frame.verdict[[COST_BROKEN, COST_HOLDS]].tolist() == expected


@pytest.mark.parametrize(
    ("counts", "left", "words"),
    [
        ({"broken_synonyms": 0}, [0, 3, 5, 8], "broken"),
        ({"synonyms": 0}, [1, 7], "holds"),
    ],
)
def test_claims_of_a_class_that_is_not_there_are_left_out(
    make: Make, counts: dict, left: list[int], words: str
) -> None:
    usual = [one.claim for one in language_claims.predictions(settings(USUAL))]
    frame = verdicts(make(seeds=TWENTY, **counts))
    assert primary_rows(frame).claim.tolist() == [usual[row] for row in left]
    assert primary_rows(frame).verdict.tolist() == ["reproduced"] * len(left)
    assert not frame.claim.str.contains(words).any()
    assert len(frame) == len(left) + 9 + 3


def test_exploratory_rows_are_plain_means(make: Make) -> None:
    result = random(make())
    frame = verdicts(result)
    for tied, name, words in (
        (True, "input", "exploratory: tied, "), (False, "output", "untied output")
    ):  # fmt: skip
        trials = [t for t in range(len(result.seed)) if result.tied[t] == tied]
        tables, holds = getattr(result, f"{name}_embedding"), result.holds
        for kind, of in (("DH holds", True), ("DH broken", False)):
            row = row_of(frame, words, kind, "cosine")
            more = [
                plain(tables[t, -1], holds[t], of, True)
                - plain(tables[t, -1], holds[t], None, True)
                for t in trials
            ]
            assert row.estimate == pytest.approx(np.mean(more))
            low, high = stats.ttest_1samp(more, 0).confidence_interval(0.95)
            assert (row.low, row.high) == pytest.approx((low, high))
            row = row_of(frame, words, kind, "at step 0")
            first = [
                plain(tables[t, 0], holds[t], of) / plain(tables[t, 0], holds[t], None)
                for t in trials
            ]
            assert row.estimate == pytest.approx(stats.gmean(first))
            assert row.verdict == "no prediction"
    assert (frame[9:].prediction != "none").sum() == 2


def test_synonyms_begin_as_far_apart_as_any_words(make: Make) -> None:
    frame = verdicts(make(start=1.0))
    assert frame.estimate[frame.claim.str.contains("at step 0")].tolist() == pytest.approx([1] * 6)
    assert row_of(frame, "tied, synonyms, DH holds", "percentile").estimate > 0.9


@pytest.mark.parametrize(("gain", "verdict"), [(1.0, "reproduced"), (-1.0, "not reproduced")])
def test_loss_is_set_beside_that_of_the_frequencies(make: Make, gain: float, verdict: str) -> None:
    frame = verdicts(make(gain=gain, seeds=TWENTY))
    untied, tied = (row_of(frame, "than frequencies", f", {tie} (") for tie in ("untied", "tied"))
    assert (untied.estimate, tied.estimate) == pytest.approx((gain, gain - 0.02))
    assert {untied.verdict, tied.verdict} == {verdict}
    assert row_of(frame, "what tying costs").estimate == pytest.approx(0.02)


def test_trials_that_diverged_are_left_out_and_told(make: Make) -> None:
    frame = verdicts(make(seeds=TWENTY, diverged=[(42, False), (45, True)]))
    assert frame.seeds[[0, 5, 7]].tolist() == [19, 19, 18]
    assert frame.failed[[0, 5, 7]].tolist() == [1, 1, 2]
    assert frame.verdict[0] == "partly"
    assert "diverged trials: 1" in frame.deviation[0]


def test_what_is_missing_is_told_with_the_command_to_get_it(make: Make) -> None:
    result = make(absent=[(43, True), (44, True)])
    frame = verdicts(result)
    command = run_command(result.settings)
    text = f"The tied trials of seeds 43, 44 are missing; `{command}` trains them."
    assert frame.deviation[[5, 7]].tolist() == [text, text]
    assert (frame.verdict[0], frame.verdict[5]) == ("consistent with the paper", "inconclusive")
    frame = verdicts(make(ties=["untied"]))
    assert "There are no tied trials; " in frame.deviation[5]
    assert "--set 'ties=[tied, untied]'" in frame.deviation[5]
    assert frame.verdict[:5].tolist() == ["consistent with the paper"] * 5
    assert frame.verdict[5:9].tolist() == ["inconclusive"] * 4


def test_a_partial_result_decides_nothing(make: Make) -> None:
    frame = verdicts(make(status="partial"))
    assert set(frame.verdict) == {"inconclusive"}
    assert frame.deviation[0].startswith("The result is partial, at step 100; `semantica run")


def test_a_run_that_ends_before_the_lowest_rate_decides_nothing(make: Make) -> None:
    frame = verdicts(make(schedule_period=202))
    assert set(frame.verdict) == {"inconclusive"}
    assert "before the rate's lowest point, step 101; `semantica run" in frame.deviation[0]
    assert "--set steps=101`" in frame.deviation[0]
    assert frame.seeds.max() == 5 and frame.seeds[:9].max() == 0  # only what was at step 0


def test_one_seed_and_one_word_can_be_judged(make: Make) -> None:
    frame = verdicts(make(seeds=[7], synonyms=1, broken_synonyms=0))
    assert set(primary_rows(frame).verdict) == {"inconclusive"}
    assert set(primary_rows(frame).deviation) == {"Fewer than two seeds have a value."}


def test_trials_are_in_the_order_of_their_seeds(make: Make) -> None:
    result = make(seeds=[5, 3, 9])
    assert result.seed.tolist() != sorted(result.seed.tolist())
    measured = Language(result)
    assert measured.trials[True].seeds.tolist() == [3, 5, 9]
    steps, loss = measured.trials[True].measured("validation", "loss")
    assert steps.tolist() == [0, 20, 40, 60, 80, 100]
    for seed, curve in zip([3, 5, 9], loss, strict=True):
        rows = result.metrics.query(f"seed == {seed} and tied and split == 'validation'")
        assert curve.tolist() == rows.sort_values("step").loss.tolist()
    fewer = ~((result.metrics.seed == 9) & (result.metrics.step == 40))
    measured = Language(replace(result, metrics=result.metrics[fewer]))
    assert measured.trials[True].measured("validation", "loss")[0].tolist() == [0, 20, 60, 80, 100]


def test_verdicts_of_both_kinds_of_experiments_stand_in_one_table(make: Make) -> None:
    frame = verdicts(make(seeds=TWENTY))
    xor = frame.iloc[[0, 1]].assign(
        experiment="small",
        claim=["claim 3, tied: 0 and 1 stay apart (DH fails)", "the parity is learned, tied"],
    )
    both = pd.concat([xor, frame], ignore_index=True)
    assert kinds(primary_rows(frame)).tolist() == primary_rows(frame).claim.tolist()
    lines = across(both).splitlines()
    assert lines[0] == "| claim | small | made |"
    assert len(lines) == 2 + 2 + 9
    assert "| claim 3, tied: synonyms stay apart (DH fails) | reproduced |  |" in lines
    assert "| claim 3: tying costs none where DH holds |  | reproduced |" in lines


def test_variants_are_the_paper_s_values_one_at_a_time_and_all() -> None:
    own, paper = settings(USUAL), settings(USUAL | {"profile": "paper"})
    found = variants(own)
    names = ("norm", "positions", "embedding_std", "learning_rate")
    for label, one in found.items():
        differing = [name for name in names if getattr(own, name) != getattr(one, name)]
        assert len(differing) == (4 if label == "all four" else 1)
        assert all(getattr(one, name) == getattr(paper, name) for name in differing)
    assert len(found) == 5
    assert set(variants(found["norm after"])) == set(found) - {"norm after"}
