"""Verdicts on made-up results whose answer is known, each with a counterpart that must fail."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import manifest_of
from scipy import stats

from semantica_lib.analysis.theory import decay_factor
from semantica_lib.analysis.verdicts import COLUMNS, outcomes, summary, to_markdown, verdicts
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store import results
from semantica_lib.store.results import Result

PERIOD, STEPS = 200, np.arange(0, 401, 20)
PAIRS = {  # row of the frame: (tied, table, pair), for the main experiment
    0: (False, "input", (0, 1)),
    1: (False, "input", (2, 3)),
    2: (False, "output", (0, 1)),
    3: (False, "output", (2, 3)),
    4: (True, "input", (0, 1)),
    5: (True, "input", (2, 3)),
}
AS_PREDICTED = dict(zip(PAIRS.values(), (0.03, 0.04, 0.4, 0.015, 0.5, 0.023), strict=True))
LEARN_UNTIED, LEARN_TIED, ACCURACY = 6, 7, 8
Make = Callable[..., Result]


def _table(zeros: np.ndarray, ones: np.ndarray, cell: float, scale: np.ndarray) -> np.ndarray:
    """Rows ``(record, 7, 4)`` with these ratios ``(record,)``: every control pair is 1 long."""
    table = np.zeros((len(zeros), 7, 4))
    table[:, 0, 0], table[:, 1, 0] = zeros / 2, -zeros / 2
    table[:, 2:4, 1] = np.sqrt(1 - (zeros**2 + ones**2) / 4)[:, None]
    table[:, 2, 2], table[:, 3, 2] = ones / 2, -ones / 2
    table[:, 4, 3], table[:, 5, 3], table[:, 5, 1] = 0.02, 0.02, cell
    return table * scale[:, None, None]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Stores a result and reads it back.

    Ratios are geometric means over seeds (spread: the standard deviation of their logs); within
    the last period they swing by a fifth about their mean, highest at the last record.
    """

    def build(
        ratios: dict | None = None,
        seeds: Iterable[int] = range(42, 62),
        spread: float = 0.2,
        start: float = 0.9,
        unlearned: Iterable[tuple[int, bool]] = (),
        unlearned_ratio: float | None = None,
        accuracy: tuple[float, float] = (0.70, 0.60),
        cell: float = 0.02,
        diverged: Iterable[tuple[int, bool]] = (),
        absent: Iterable[tuple[int, bool]] = (),
        status: str = "complete",
        steps: np.ndarray = STEPS,
        period: int = PERIOD,
        **own: Any,
    ) -> Result:
        seeds, unlearned = list(seeds), set(unlearned)
        settings = Settings(
            experiment="made-up", seeds=seeds, steps=int(steps[-1]), schedule_period=period, **own
        )
        floor = xor_task(settings).ceiling("train")[1]
        ratios = AS_PREDICTED | (ratios or {})
        z = stats.norm.ppf((np.arange(len(seeds)) + 0.5) / len(seeds))
        z = dict(zip(seeds, z / z.std(ddof=1), strict=True))
        swing = np.where(steps > 0, 1 + 0.2 * np.cos(2 * np.pi * steps / PERIOD), 1.0)
        scale = 3 * (1 + 0.1 * np.sin(2 * np.pi * steps / PERIOD))

        def curve(seed: int, tied: bool, table: str, pair: tuple) -> np.ndarray:
            end = ratios[tied, "input" if tied else table, pair] * np.exp(spread * z[seed])
            if (seed, tied) in unlearned and unlearned_ratio is not None:
                end = unlearned_ratio
            return np.where(steps > 0, end, start) * swing

        trials = [(seed, tie == "tied") for tie in settings.ties for seed in seeds]
        trials = [trial for trial in trials if trial not in set(absent)][::-1]  # order is free
        tables = {
            table: np.array([
                _table(curve(*trial, table, (0, 1)), curve(*trial, table, (2, 3)),
                       1.0 if table == "input" else cell, np.ones_like(scale))
                for trial in trials
            ], dtype=np.float32)
            for table in ("input", "output")
        }  # fmt: skip
        for index, trial in enumerate(trials):
            for table in tables.values():
                table[index] *= scale[:, None, None] if trial[0] % 2 else 3.0
                if trial in diverged:
                    table[index, -1, 3] = np.nan
        rows = ["seed,tied,step,split,accuracy,loss"] + [
            f"{seed},{str(tied).lower()},{step},{split},"
            + (
                f"0.5,{floor + (0.26 if (seed, tied) in unlearned else 0.24) * swing[i]}"
                if split == "train"
                else f"{accuracy[tied]},{2.3 if tied else 2.0}"
            )
            for seed, tied in trials
            for i, step in enumerate(steps)
            for split in ("train", "exact")
            if (seed, tied) not in diverged
        ]
        about = {"status": status, "steps_done": int(steps[-1])}
        manifest = manifest_of(settings, trials, **about)
        trajectory = {
            "steps": steps, "seed": np.array([seed for seed, _ in trials]),
            "tied": np.array([tied for _, tied in trials]),
            "input_embedding": tables["input"], "output_embedding": tables["output"],
        }  # fmt: skip
        results.write(tmp_path, manifest, trajectory, "\n".join(rows) + "\n")
        result = results.load(tmp_path)
        assert result is not None
        return result

    return build


def _primary(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame.claim.str.startswith("exploratory: ")]


def _row(frame: pd.DataFrame, *words: str) -> pd.Series:
    """The only row whose claim has all these words."""
    chosen = np.logical_and.reduce([frame.claim.str.contains(w, regex=False) for w in words])
    assert chosen.sum() == 1, frame.claim[chosen].tolist()
    return frame[chosen].iloc[0]


def test_the_columns_are_the_fixed_ones(make: Make) -> None:
    result = make()
    frame = verdicts(result, "xor.ipynb")
    assert tuple(frame.columns) == COLUMNS
    assert (
        " ".join(COLUMNS)
        == "experiment round claim prediction margin estimate low high seeds failed "
        "pass_share verdict deviation notebook manifest_sha256"
    )
    assert all(frame[name].dtype == float for name in ("margin", "estimate", "low", "high"))
    assert set(frame.experiment) == {"made-up"}
    assert set(frame.notebook) == {"xor.ipynb"}
    digest = hashlib.sha256((result.folder / "manifest.json").read_bytes()).hexdigest()
    assert set(frame.manifest_sha256) == {digest}
    assert frame.claim.is_unique


def test_all_as_the_paper_predicts(make: Make) -> None:
    frame = verdicts(make())
    primary = _primary(frame)
    assert primary.index.tolist() == list(range(9))
    assert primary.verdict.tolist() == ["reproduced"] * 9
    assert primary.deviation.tolist() == [""] * 9
    assert primary.pass_share.tolist() == [1.0] * 9
    assert primary.seeds.tolist() == [20] * 9
    assert primary.estimate[:6].tolist() == pytest.approx(list(AS_PREDICTED.values()), rel=1e-5)
    assert primary.estimate[6:].tolist() == pytest.approx([1, 1, 0.1])
    assert summary(frame) == "made-up: of 9 primary claims 9 reproduced"


def test_five_seeds_are_consistent_at_most(make: Make) -> None:
    frame = verdicts(make(seeds=range(42, 47), spread=0.05))
    assert frame.verdict[:6].tolist() == ["consistent with the paper"] * 6
    assert "reproduced" not in set(frame.verdict)
    assert frame.verdict[LEARN_TIED] == "inconclusive"  # five of five: the lower bound is 0.33


@pytest.mark.parametrize("row", PAIRS)
def test_each_pair_claim_can_fail(make: Make, row: int) -> None:
    """The other side of the margin, with the pair no closer than it began: not reproduced."""
    wrong = 0.03 if AS_PREDICTED[PAIRS[row]] > 0.1 else 0.3
    frame = verdicts(make({PAIRS[row]: wrong}, start=0.25))
    assert frame.verdict[row] == "not reproduced"
    side = "under" if wrong < 0.1 else "over"
    assert f", {side} the margin 0.1." in frame.deviation[row]
    assert frame.pass_share[row] == 0
    assert frame.drop(index=row).verdict[:8].tolist() == ["reproduced"] * 8


@pytest.mark.parametrize("row", [0, 1, 3, 5])
def test_a_merge_that_stops_half_way_is_partly(make: Make, row: int) -> None:
    frame = verdicts(make({PAIRS[row]: 0.3}, start=0.9))
    assert frame.verdict[row] == "partly"
    assert "over the margin 0.1, but the ratio came to 0.33 of its value" in frame.deviation[row]


@pytest.mark.parametrize("row", PAIRS)
def test_a_margin_inside_the_interval_is_inconclusive(make: Make, row: int) -> None:
    frame = verdicts(make({PAIRS[row]: 0.1}, spread=0.6))
    assert frame.verdict[row] == "inconclusive"
    assert "on both sides of the margin 0.1" in frame.deviation[row]
    assert frame.pass_share[row] == pytest.approx(0.5)


def test_the_interval_is_holms(make: Make) -> None:
    """The widest scatter is last in Holm's order; recomputed here by scipy's own t test."""
    frame = verdicts(make(spread=0.5))
    z = stats.norm.ppf((np.arange(20) + 0.5) / 20)
    logs = {row: np.log(r) + z / z.std(ddof=1) / 2 for row, r in enumerate(AS_PREDICTED.values())}
    p = {row: stats.ttest_1samp(logs[row], np.log(0.1)).pvalue for row in logs}
    share = stats.binomtest(20, 20).pvalue
    smaller = {row: sum(q < p[row] for q in [*p.values(), share, share, 0.0]) for row in p}
    for row in p:
        assert p[row] < 0.05 / (9 - smaller[row])  # so that each is rejected at its own level
        bounds = stats.ttest_1samp(logs[row], 0).confidence_interval(1 - 0.05 / (9 - smaller[row]))
        assert np.log([frame.low[row], frame.high[row]]) == pytest.approx(list(bounds), abs=1e-4)
    assert sorted(smaller.values()) != [0] * 6


def test_holm_makes_a_bare_success_inconclusive(make: Make) -> None:
    """Plain 95% would pass (the exploratory row does, on the same values); the primary does not.

    Two others are undecided, so this one is held to a third of 5%.
    """
    close = {PAIRS[0]: 0.087, PAIRS[1]: 0.1, PAIRS[3]: 0.1}
    frame = verdicts(make(close, spread=0.27))
    assert frame.verdict[0] == "inconclusive"
    alone = _row(frame, "untied input: 0 and 1 merge", "learned trials only")
    assert alone.verdict == "reproduced"
    assert alone.high < 0.1 < frame.high[0]
    assert alone.estimate == frame.estimate[0]


def test_only_values_count_not_how_the_table_is_scaled(make: Make) -> None:
    result = make()
    bigger = Result(**{**vars(result), "input_embedding": 7 * result.input_embedding})
    assert verdicts(bigger).estimate[:6].tolist() == pytest.approx(
        verdicts(result).estimate[:6].tolist(), rel=1e-5
    )


def test_all_seeds_are_primary_and_learners_secondary(make: Make) -> None:
    slow = [(seed, tied) for seed in range(42, 52) for tied in (False, True)]
    frame = verdicts(make(spread=0, unlearned=slow, unlearned_ratio=0.48))
    assert frame.estimate[0] == pytest.approx(np.sqrt(0.03 * 0.48), rel=1e-4)
    assert frame.seeds[0] == 20
    assert frame.pass_share[0] == 0.5
    learners = _row(frame, "untied input: 0 and 1 merge", "learned trials only")
    assert learners.estimate == pytest.approx(0.03, rel=1e-4)
    assert (learners.seeds, learners.verdict) == (10, "reproduced")
    assert frame.estimate[LEARN_UNTIED] == frame.estimate[LEARN_TIED] == 0.5


@pytest.mark.parametrize(
    ("slow", "verdict", "deviation"),
    [
        (0, "reproduced", ""),
        (1, "partly", "19 of 20 trials learn."),
        (8, "inconclusive", "both sides of the margin 0.5"),
        (19, "not reproduced", "under the margin 0.5"),
    ],
)
def test_learning_by_tie(make: Make, slow: int, verdict: str, deviation: str) -> None:
    frame = verdicts(make(unlearned=[(seed, True) for seed in range(42, 42 + slow)]))
    assert frame.verdict[LEARN_TIED] == verdict
    assert deviation in frame.deviation[LEARN_TIED]
    assert frame.verdict[LEARN_UNTIED] == "reproduced"
    low, high = frame.low[LEARN_TIED], frame.high[LEARN_TIED]
    assert low <= stats.binomtest(20 - slow, 20).proportion_ci().low
    assert high >= stats.binomtest(20 - slow, 20).proportion_ci().high


@pytest.mark.parametrize("own", [{}, {"bits": 4, "zero_dst": (1.0, 0.0)}])
def test_learning_is_judged_by_the_mean_loss_of_the_last_period(make: Make, own: dict) -> None:
    """Learned: 0.19 to 0.29 over the floor, 0.24 in the mean; unlearned: 0.21 to 0.31, 0.26.

    In the second task the floor of all strings is 0.013 nats above that of the training strings.
    """
    frame = verdicts(make(unlearned=[(seed, False) for seed in range(42, 62)], **own))
    assert _row(_primary(frame), "is learned, untied").estimate == 0
    assert _row(_primary(frame), "is learned, tied").estimate == 1


@pytest.mark.parametrize(
    ("tied", "verdict"), [(0.60, "reproduced"), (0.695, "not reproduced"), (0.8, "not reproduced")]
)
def test_what_tying_costs(make: Make, tied: float, verdict: str) -> None:
    frame = verdicts(make(accuracy=(0.70, tied)))
    assert frame.verdict[ACCURACY] == verdict
    assert frame.estimate[ACCURACY] == pytest.approx(0.70 - tied)


@pytest.mark.parametrize(("tied", "verdict"), [(0.70, "reproduced"), (0.6, "not reproduced")])
def test_tying_costs_nothing_where_the_hypothesis_holds(
    make: Make, tied: float, verdict: str
) -> None:
    frame = verdicts(make(accuracy=(0.70, tied), zero_dst=(1.0, 0.0)))
    row = _row(_primary(frame), "tying costs no accuracy")
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("one", "merges"), [((0.5, 0.5), "merge (DH holds)"), ((0.1, 0.9), "stay apart (DH fails)")]
)
def test_rows_follow_from_the_settings(make: Make, one: tuple, merges: str) -> None:
    """A symbol that never occurs (1) is in no row, and no log-odds are asked of it."""
    claims = verdicts(make(zero_dst=(1.0, 0.0), one_dst=one)).claim
    assert claims[:5].tolist() == [
        "claim 1, untied input: 2 and 3 merge (DH " + merges.split("DH ")[1],
        f"claim 2, untied output: 2 and 3 {merges}",
        f"claim 3, tied: 2 and 3 {merges}",
        "the parity is learned, untied",
        "the parity is learned, tied",
    ]
    assert not claims.str.contains("[01] and|and [1]", regex=True).any()
    assert claims.str.contains("log-odds law").sum() == 2 * (one == (0.1, 0.9))


def test_the_unseen_symbol_is_no_control(make: Make) -> None:
    result = make(zero_dst=(1.0, 0.0))
    tables = {n: getattr(result, n).copy() for n in ("input_embedding", "output_embedding")}
    for table in tables.values():
        table[:, :, 1] = 1000
    far = verdicts(Result(**{**vars(result), **tables}))
    assert far.estimate[:3].tolist() == verdicts(result).estimate[:3].tolist()


def test_exploratory_rows(make: Make) -> None:
    ratios = {PAIRS[0]: 0.07}
    result = make(ratios, spread=0.1)
    frame = verdicts(result)
    pair = "untied input: 0 and 1 merge"
    strict = _row(frame, pair, "stricter margin")
    assert (frame.verdict[0], strict.verdict, strict.margin) == ("reproduced", "partly", 0.05)
    change = _row(frame, pair, "over that at step 0")
    assert change.estimate == pytest.approx(0.07 / 0.9, rel=1e-4)
    assert change.verdict == "reproduced"
    inside = STEPS > 200
    clock = decay_factor(result.settings, STEPS)[inside].mean()
    ratio = _row(frame, pair, "decay clock")
    assert ratio.verdict == "no prediction"
    assert ratio.estimate == pytest.approx(0.07 / (0.9 * clock), rel=0.02)
    norm = _row(frame, pair, "mean norm")
    assert norm.estimate == pytest.approx(3 * 0.035, rel=0.02)
    law = _row(frame, "untied output: 0 and 1", "log-odds")
    assert law.prediction == "at least 2.197 / min ||h||"
    assert law.estimate == pytest.approx(3 * 0.4, rel=0.02)
    assert "not stored" in law.deviation
    assert _row(frame, "cross-entropy").estimate == pytest.approx(0.3)


def test_the_change_from_the_beginning_can_fail(make: Make) -> None:
    frame = verdicts(make({PAIRS[1]: 0.08}, start=0.05))
    change = _row(frame, "untied input: 2 and 3 merge", "over that at step 0")
    assert change.verdict == "not reproduced"
    assert change.estimate == pytest.approx(1.6, rel=1e-4)


def test_without_a_record_of_step_0_nothing_is_said_of_change(make: Make) -> None:
    frame = verdicts(make({PAIRS[0]: 0.3}, steps=STEPS[1:]))
    assert frame.verdict[0] == "not reproduced"
    for words in ("over that at step 0", "decay clock"):
        row = _row(frame, "untied input: 0 and 1 merge", words)
        assert (row.seeds, np.isnan(row.estimate)) == (0, True)


@pytest.mark.parametrize(("cell", "verdict"), [(0.02, "reproduced"), (0.5, "not reproduced")])
def test_the_fourth_cell_and_the_parity_symbols(make: Make, cell: float, verdict: str) -> None:
    frame = verdicts(make(cell=cell))
    row = _row(frame, "fourth cell, untied output: 4 and 5 merge")
    assert row.verdict.replace("partly", "not reproduced") == verdict
    assert _row(frame, "fourth cell, untied input: 4 and 5 stay apart").verdict == "reproduced"
    for pair in ("4 and 0", "4 and 1", "5 and 2", "5 and 3"):
        assert _row(frame, f"parity, untied input: {pair} merge").verdict == "reproduced"


def test_who_learns_where_the_ties_differ(make: Make) -> None:
    slow = [(seed, True) for seed in range(42, 49)] + [(49, False)]
    frame = verdicts(make(unlearned=slow))
    row = _row(frame, "untied learns where tied does not")
    assert f"exact paired p {stats.binomtest(1, 8).pvalue:.2g}" in row.claim
    assert row.estimate == 7 / 8
    assert (row.seeds, row.pass_share) == (20, 7 / 20)
    assert row.verdict == "inconclusive"
    slow = [(seed, True) for seed in range(42, 51)]
    row = _row(verdicts(make(unlearned=slow)), "untied learns where tied does not")
    assert row.verdict == "reproduced"


def test_a_bootstrap_that_disagrees_is_told(make: Make) -> None:
    """Three of twenty far off: the t interval is under the margin, the bootstrap's holds it."""
    far = [(seed, False) for seed in (42, 43, 44)]
    ratios = {PAIRS[0]: 0.02, PAIRS[1]: 0.1, PAIRS[3]: 0.1}
    frame = verdicts(make(ratios, unlearned=far, unlearned_ratio=1.0, spread=0.3))
    assert frame.verdict[0] == "reproduced"
    assert frame.deviation[0].startswith("By a BCa bootstrap, 0.03")
    assert frame.deviation[0].endswith("], it is inconclusive.")
    told = frame[frame.deviation.str.contains("BCa")]
    assert set(told.index) <= set(PAIRS)
    assert all(f"it is {row.verdict}" not in row.deviation for row in told.itertuples())


def test_rows_that_coincide_have_merged(make: Make) -> None:
    result = make()
    table = result.input_embedding.copy()
    table[:, 1:, 1] = table[:, 1:, 0]
    frame = verdicts(Result(**{**vars(result), "input_embedding": table}))
    assert frame.verdict[0] == "reproduced"
    assert 0 < frame.estimate[0] < 1e-6
    assert frame.verdict[4] == "not reproduced"  # the same rows in the tied table


@pytest.mark.parametrize(
    ("made", "deviation"),
    [
        ({"status": "partial"}, "The result is partial, at step 400; `semantica run made-up.yaml"),
        (
            {"steps": np.arange(0, 181, 20)},
            "The records, to step 180, hold no full period of the schedule (200 steps); "
            "`semantica run made-up.yaml --set steps=200` trains one.",
        ),
        ({"steps": np.array([0, 200, 400])}, "`semantica run made-up.yaml` trains one."),
    ],
)
def test_a_result_that_is_not_whole_is_inconclusive(
    make: Make, made: dict[str, Any], deviation: str
) -> None:
    frame = verdicts(make(**made))
    assert len(frame) == len(verdicts(make()))
    assert set(frame.verdict) == {"inconclusive"}
    assert frame.deviation.str.contains(deviation, regex=False).all()
    measured = "status" in made
    assert frame.estimate[:9].notna().all() == measured
    assert summary(frame) == "made-up: of 9 primary claims 9 inconclusive"
    assert to_markdown(frame).count("\n") == len(frame) + 2


def test_one_tie_leaves_the_others_rows_inconclusive(make: Make) -> None:
    frame = verdicts(make(ties=["untied"]))
    assert frame.verdict[[4, 5, LEARN_TIED, ACCURACY]].tolist() == ["inconclusive"] * 4
    assert frame.deviation[4] == (
        "There are no tied trials; `semantica run made-up.yaml --set 'ties=[tied, untied]'` trains "
        "them."
    )
    assert frame.verdict[[0, 1, 2, 3, LEARN_UNTIED]].tolist() == ["reproduced"] * 5
    assert frame.seeds[[0, 4]].tolist() == [20, 0]


def test_tables_that_were_untied_on_the_way_are_no_tied_ones(make: Make) -> None:
    frame = verdicts(make(untie_at=100))
    for row in (*(row for row, (tied, *_) in PAIRS.items() if tied), LEARN_TIED, ACCURACY):
        assert frame.verdict[row] == "inconclusive"
        assert frame.deviation[row].startswith("The tied tables were untied at step 100")
    for row in (*(row for row, (tied, *_) in PAIRS.items() if not tied), LEARN_UNTIED):
        assert frame.verdict[row] == "reproduced"


def test_trials_that_are_absent_are_failed_and_named(make: Make) -> None:
    frame = verdicts(make(absent=[(42, False), (50, False)]))
    assert frame.failed[[0, 4, ACCURACY]].tolist() == [2, 0, 2]
    assert frame.seeds[[0, 4, ACCURACY]].tolist() == [18, 20, 18]
    assert frame.verdict[0] == "inconclusive"
    assert frame.deviation[0] == (
        "The untied trials of seeds 42, 50 are missing; `semantica run made-up.yaml` trains them."
    )
    assert frame.verdict[4] == "reproduced"


def test_a_diverged_trial_forbids_reproduced_and_is_no_learning(make: Make) -> None:
    frame = verdicts(make(diverged=[(43, True)]))
    assert frame.failed[[0, 4, 5, LEARN_TIED, ACCURACY]].tolist() == [0, 1, 1, 1, 1]
    assert frame.verdict[[4, 5, LEARN_TIED, ACCURACY]].tolist() == ["partly"] * 4
    assert frame.deviation[5].endswith("under the margin 0.1; diverged trials: 1.")
    assert frame.deviation[LEARN_TIED] == "19 of 20 trials learn; diverged trials: 1."
    assert frame.seeds[[5, LEARN_TIED]].tolist() == [19, 20]
    assert frame.verdict[0] == "reproduced"


def test_summary_counts_primary_rows_by_experiment(make: Make) -> None:
    one = verdicts(make({PAIRS[1]: 0.3, PAIRS[2]: 0.1, PAIRS[4]: 0.02}))
    other = verdicts(make()).assign(experiment="other")
    assert summary(pd.concat([one, other])) == (
        "made-up: of 9 primary claims 6 reproduced, 1 partly, 1 not reproduced, 1 inconclusive; "
        "other: of 9 primary claims 9 reproduced"
    )


def test_markdown(make: Make) -> None:
    frame = verdicts(make(unlearned=[(42, True)]))
    lines = to_markdown(frame[:9]).splitlines()
    assert lines[:2] == [
        "| claim | verdict | predicted | measured | seeds that pass |",
        "| --- | --- | --- | --- | --- |",
    ]
    assert len(lines) == 11
    claim = "| claim 1, untied input: A and B merge (DH fails) | reproduced | under 0.10 of"
    assert lines[2].startswith(claim)
    assert "| 0.03 [0.02" in lines[2]
    assert lines[2].endswith("| 20 of 20 |")
    assert "| partly |" in lines[9] and lines[9].endswith("| 19 of 20 |")
    law = _row(frame, "untied output: 0 and 1", "log-odds")
    (line,) = to_markdown(law.to_frame().T).splitlines()[2:]
    assert line.replace("\\|", "").count("|") == 6


@pytest.mark.parametrize(("count", "words"), [(1, "1 is undecided"), (2, "2 are undecided")])
def test_undecided_predictions_are_counted_in_words(count: int, words: str) -> None:
    all_ = ["as predicted", *["undecided"] * count]
    frame = pd.DataFrame({"claim": "any", "verdict": all_})
    assert outcomes(frame) == f"1 came out, {words}"
