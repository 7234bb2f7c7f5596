"""The chapters' claims on made-up courses whose answer is known in closed form."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from semantica_lib.analysis.log_odds import Source, odds_of
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.verdicts import judged
from semantica_lib.chapters.laws import measures as laws
from semantica_lib.chapters.laws.claims import clock_claims, decay_claims, odds_claims
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result
from semantica_lib.trainers.schedule import rate

STEPS, SEEDS = np.arange(0, 401, 20), (1, 2, 3, 4, 5, 6)
OWN = {"experiment": "made-up", "seeds": SEEDS, "steps": 400, "schedule_period": 200,
       "learning_rate": 0.05}  # fmt: skip
Make = Callable[..., Result]


def decayed(own: Settings, steps: np.ndarray) -> np.ndarray:
    """What PyTorch's AdamW leaves of a parameter without gradient, ``(record,)``."""
    parameter = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter], weight_decay=own.weight_decay)
    values = [1.0]
    for step in range(int(steps[-1])):
        optimizer.param_groups[0]["lr"] = rate(own, torch.tensor(step)).item()
        parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        values.append(parameter.item())
    return np.array(values)[steps]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A result with ``distance(seed, tied, table, pair)`` and ``gap(seed, tied, pair)``.

    The first is a number or ``(record,)``, the second mean, least and greatest over contexts.
    """

    def build(
        distance: Callable[..., Any] = lambda *_: 1.0,
        gap: Callable[..., Any] | None = None,
        steps: np.ndarray = STEPS,
        status: str = "complete",
        loss: Callable[[int], float] = lambda _: 0.0,
        **own: Any,
    ) -> Result:
        settings = Settings(**OWN | own)
        trials = [(seed, tied) for tied in (True, False) for seed in settings.seeds[::-1]]
        rows = {name: np.zeros((len(trials), len(steps), 7, 4)) for name in ("input", "output")}
        for index, (seed, tied) in enumerate(trials):
            for table, values in rows.items():
                for feature, pair in enumerate([(0, 1), (2, 3)]):
                    apart = distance(seed, tied, "input" if tied else table, pair)
                    values[index, :, pair[0], feature] = apart
        lines = [
            (seed, tied, step, split, 0.5, loss(seed))
            for seed, tied in trials
            for step in steps
            for split in ("train", "exact")
        ]
        gaps = None
        if gap is not None:
            gaps = np.array([[gap(*trial, pair) for pair in ((0, 1), (2, 3))] for trial in trials])
            late = (STEPS > 200)[:, None, None]
            gaps = np.where(late, gaps[:, None], 99.0)  # (trial, measurement, pair, 3)
        manifest = {"settings": settings.model_dump(mode="json"), "status": status}
        folder = tmp_path / f"result-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(manifest))
        seed, tied = (np.array(column) for column in zip(*trials, strict=True))
        columns = ["seed", "tied", "step", "split", "accuracy", "loss"]
        return Result(
            folder, manifest, steps, seed, tied, rows["input"].astype(np.float32),
            rows["output"].astype(np.float32), pd.DataFrame(lines, columns=columns), STEPS,
            np.ones((len(trials), len(STEPS), 2)), gaps,
        )  # fmt: skip

    return build


LEARNERS = "learned trials only"


def _frame(claims: tuple[list[Claim], list[Claim]], result: Result) -> pd.DataFrame:
    return judged("chapter", *claims, [result])


def _row(frame: pd.DataFrame, *words: str) -> pd.Series:
    rows = frame[[all(word in claim for word in words) for claim in frame.claim]]
    if LEARNERS not in words:
        rows = rows[~rows.claim.str.contains(LEARNERS)]
    assert len(rows) == 1, rows.claim.tolist()
    return rows.iloc[0]


def test_rows_under_torch_s_decay_alone_are_on_the_clock(make: Make) -> None:
    left = decayed(Settings(**OWN), STEPS)
    result = make(lambda seed, *_: (1 + seed) * left, loss=lambda seed: 9.0 if seed % 3 else 0.0)
    made = laws.courses([result])
    assert [one.where for one in made] == ["untied input"] * 2 + ["untied output"] * 2 + [
        "tied"
    ] * 2
    for one in made:
        np.testing.assert_allclose(one.ratio, 1, rtol=1e-6)
        np.testing.assert_allclose(one.largest, 1, rtol=1e-6)
        assert one.class_ == "on the clock"
    frame = _frame(clock_claims(made), result)
    assert _row(frame, "untied input: A and B", "clock or faster").verdict == "as predicted"
    each = frame[frame.claim.str.contains("each seed on the clock")]
    assert set(each.verdict) == {"as predicted"}
    assert len(each) == 6
    for one in made:
        pair = f"{one.where}: {one.words}"
        assert _row(frame, pair, LEARNERS).seeds == 2  # of six


@pytest.mark.parametrize(
    ("seed_spread", "judgement"), [(0.01, "as predicted"), (2.0, "inconclusive")]
)
def test_faster_and_slower_than_the_clock(make: Make, seed_spread: float, judgement: str) -> None:
    """Decays at the clock's rate times a power: the mean log has a closed form by the trapezium."""
    left = decayed(Settings(**OWN), STEPS)

    def power(seed: int, tied: bool, table: str, pair: tuple) -> float:
        own = 2.0 if pair == (2, 3) else 0.5
        return own + seed_spread * (seed - 3.5)

    made = laws.courses([make(lambda *trial: left ** power(*trial))])
    logs = np.log(left)
    mean = (logs[1:] + logs[:-1]).mean() / 2
    for one in made:
        powers = np.array([power(seed, one.tied, one.table, one.pair) for seed in SEEDS])
        np.testing.assert_allclose(one.ratio, np.exp((powers - 1) * mean), rtol=1e-5)
        np.testing.assert_allclose(one.largest, np.exp(np.abs((powers - 1) * logs[-1])), rtol=1e-4)
        assert one.holds == (one.pair == (2, 3))
        if seed_spread == 0.01:
            assert one.class_ == ("faster" if one.holds else "slower")
        else:
            assert one.class_ == "undecided"
    frame = _frame(clock_claims(made), make())
    for words in ("untied output: A and B", "tied: A and B", "untied output: C and D"):
        row = _row(frame[~frame.claim.str.startswith("exploratory")], f", {words}")
        assert (row.verdict, row.margin) == (judgement, 1)
    row = _row(frame, "untied input: A and B", "clock or faster")
    assert row.verdict == ("not as predicted" if seed_spread == 0.01 else "inconclusive")


def test_the_mean_is_over_steps_and_not_over_records(make: Make) -> None:
    """Twice the clock in the last period only, where records stand ten times as densely."""
    steps = np.r_[0, 100, 200, np.arange(202, 401, 2)]
    left = decayed(Settings(**OWN), steps)
    one, *_ = laws.courses([make(lambda *_: left * np.where(steps > 200, 2, 1), steps=steps)])
    np.testing.assert_allclose(one.ratio, np.exp(np.log(2) * 199 / 400), rtol=1e-5)


def test_what_cannot_be_told_is_not(make: Make) -> None:
    partial = make(status="partial")
    frame = _frame(clock_claims(laws.courses([partial])), partial)
    assert set(frame.verdict) == {"inconclusive"}
    assert frame.deviation.str.startswith("The result is partial, at step 400").all()
    late = laws.courses([make(steps=STEPS[1:])])  # step 0 is not recorded
    assert np.isnan(late[0].ratio).all()
    assert late[0].class_ == "undecided"
    adam = laws.courses([make(optimizer="adam")])[0]
    assert np.isnan(adam.ratio).all()
    assert judged("chapter", *clock_claims([]), []).empty


def _gap(seed: int, tied: bool, pair: tuple) -> list[float]:
    """Short of the log-odds by 0.05 (untied) and 0.5 (tied) and a little by seed, for (0, 1)."""
    mean = (np.log(9) - (0.5 if tied else 0.05) if pair == (0, 1) else 0.0) + 0.001 * seed
    return [mean, mean - 0.2, mean + 0.3]


def test_gaps_beside_the_log_odds(make: Make) -> None:
    result = make(gap=_gap, loss=lambda seed: 9.0 if seed == 6 else 0.0)
    made = odds_of(laws.labelled([result], []))
    for one in made:
        short = (0.5 if one.tied else 0.05) if one.pair == (0, 1) else 0
        np.testing.assert_allclose(one.shortfall, short - 0.001 * np.array(SEEDS), atol=1e-9)
        np.testing.assert_allclose(one.spread, 0.5)
        assert one.learned.tolist() == [True] * 5 + [False]
    frame = _frame(odds_claims(made, []), result)
    untied, tied = (
        _row(frame, f"made-up, {tie}: B over A, distance") for tie in ("untied", "tied")
    )
    assert (untied.verdict, tied.verdict) == ("as predicted", "not as predicted")
    assert untied.estimate == pytest.approx(0.05 - 0.0035)
    assert _row(frame, "made-up, tied: D over C, distance").verdict == "as predicted"
    assert _row(frame, "made-up, untied: B over A, the same of trials that learned").seeds == 5
    bound = frame[frame.claim.str.contains("log-odds law for")]
    assert bound.margin.tolist() == pytest.approx([np.log(9)] * 2)
    assert bound.estimate.tolist() == pytest.approx([1, 1])  # distance 1, least norm 1


def test_a_pair_is_turned_so_that_its_odds_are_positive(make: Make) -> None:
    turned = make(gap=lambda *trial: [-_gap(*trial)[i] for i in (0, 2, 1)], zero_dst=(0.9, 0.1))
    straight = make(gap=_gap)
    made = (odds_of([Source("", result)]) for result in (turned, straight))
    for one, other in zip(*made, strict=True):
        if one.odds > 0:
            assert (one.pair, other.pair) == ((1, 0), (0, 1))
            assert one.odds == pytest.approx(np.log(9))
            np.testing.assert_allclose(one.end, other.end)


def test_an_older_result_has_only_the_bound(make: Make) -> None:
    result = make()
    made = odds_of(laws.labelled([result], []))
    assert all(np.isnan(one.end).all() for one in made)
    frame = _frame(odds_claims(made, []), result)
    bound = frame.claim.str.contains("log-odds law for")
    assert bound.all() and frame.seeds.tolist() == [6, 6]


def test_decays_are_compared_by_seed(make: Make) -> None:
    """Nearer by 0.3 a seed without decay, one seed of which is absent."""
    far = make(gap=lambda seed, *_: [1.0 + seed] * 3, weight_decay=0.1)
    near = make(gap=lambda seed, *_: [1.3 + seed + 0.001 * seed] * 3, weight_decay=0.0)
    odds = np.log(9)
    gain = [abs(1 + s - odds) - abs(1.3 + 1.001 * s - odds) for s in SEEDS[1:]]
    swept = [(one.settings, one) for one in (far, near)]
    (untied, tied) = decay_claims(swept)
    assert untied.text == "sampled loss, untied: nearer to the log-odds at decay 0 than at 0.1"
    np.testing.assert_allclose(untied.values[1:], gain, rtol=1e-6)
    keep = near.seed != 1
    fewer = replace(near, **{name: getattr(near, name)[keep] for name in
                             ("seed", "tied", "tie", "input_embedding", "output_embedding",
                              "hidden_norm", "logit_gap")})  # fmt: skip
    untied, tied = decay_claims([(far.settings, far), (fewer.settings, fewer)])
    np.testing.assert_allclose(tied.values, gain, rtol=1e-6)
    assert untied.failed == 1
    missing = decay_claims([(far.settings, far), (near.settings, None)])
    assert all("`semantica run closing` trains them" in claim.obstacle for claim in missing)
    assert not missing[0].values.size


def test_t_intervals_are_of_seeds(make: Make) -> None:
    left = decayed(Settings(**OWN), STEPS)
    result = make(lambda seed, *_: left * np.where(STEPS, np.exp(0.1 * seed), 1))
    frame = _frame(clock_claims(laws.courses([result])), result)
    row = _row(frame, "exploratory", ", tied: A and B", "largest")
    logs = 0.1 * np.array(SEEDS)
    low, high = stats.t.interval(0.95, 5, logs.mean(), stats.sem(logs))
    assert (row.low, row.high) == pytest.approx((np.exp(low), np.exp(high)), rel=1e-5)
