"""The plane of p by weight decay on made-up results whose answers are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import SEEDS
from made_plane import DECAYS, NORM, START, P, point, whole, without

from semantica_lib.analysis import log_odds
from semantica_lib.analysis.claims import EXPLORATORY, Measured
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED, Point, stored
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.phase import measures as phase
from semantica_lib.chapters.phase.claims import phase_claims
from semantica_lib.chapters.phase.measures import MARGINS, NEVER, Spot, onset
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings

ASIDE = 1 + 0.01 * (np.array(SEEDS) - 3.5)


def only(folder: Path, *args: float, **own: object) -> Spot:
    (spot,) = phase.plane([point(folder, *args, **own)])
    return spot


def rows(found: list[Point]) -> pd.DataFrame:
    claims = phase_claims(phase.plane(found), "phase")
    return judged("phase", *claims, [one.result for one in found if one.result])


@pytest.mark.parametrize("decay", [0.0, 0.03, 0.1])
def test_the_laws_have_no_free_parameter(decay: float, tmp_path: Path) -> None:
    """The clock: a power of what a step leaves, the mean at the last period's two records."""
    spot = only(tmp_path, 0.8, decay)
    left = np.mean([(1 - decay * 38.25 / 400) ** step for step in (300, 400)])
    assert spot.ends(INPUT).law.to_numpy() == pytest.approx(START * left * ASIDE, rel=1e-5)
    assert spot.ends(INPUT).distance.to_numpy() == pytest.approx(
        spot.ends(INPUT).law.to_numpy(), rel=1e-5
    )
    for place in (OUTPUT, TIED):
        assert spot.ends(place).law.to_numpy() == pytest.approx(np.log(4) / NORM)
        assert spot.ends(place).distance.to_numpy() == pytest.approx(
            (np.log(4) / NORM + 0.05) * ASIDE, rel=1e-5
        )
    ends = (np.log(4) / NORM + 0.05) * ASIDE, 0.05 * ASIDE  # of (0, 1) and (2, 3)
    control = np.sqrt((ends[0] / 2) ** 2 + (ends[1] / 2) ** 2 + 4)
    assert spot.ends(TIED).law_ratio.to_numpy() == pytest.approx(
        np.log(4) / NORM / control, rel=1e-5
    )
    assert spot.ends(TIED).ratio.to_numpy() == pytest.approx(ends[0] / control, rel=1e-5)
    assert spot.gap(True) == pytest.approx(np.full(6, np.log(4)))
    assert only(tmp_path, 0.5, decay).ends(OUTPUT).law.tolist() == [0] * 6


def test_each_result_is_gone_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(log_odds, "Measured", lambda one: seen.append(one) or Measured(one))
    found = whole(tmp_path, (0.5, 0.9), (0.0, 0.1))
    spots = phase.plane([*found[::-1], *map(without, whole(tmp_path / "b", (0.8,), (0.0,)))])
    assert len(seen) == 4
    assert [(s.decay, s.p) for s in spots] == [(0, 0.5), (0, 0.8), (0, 0.9), (0.1, 0.5), (0.1, 0.9)]
    assert [s.measured is None for s in spots] == [False, True, False, False, False]


def test_a_plane_that_follows_the_laws_and_costs_late_is_reproduced(tmp_path: Path) -> None:
    found = whole(tmp_path, cost=lambda seed, p: 0.1 + 0.01 * seed if p > 0.85 else 0.0)
    frame = rows(found)
    primary = primary_rows(frame)
    assert len(primary) == 27 and set(primary.verdict) == {"as predicted"}
    assert not primary.claim.str.contains("p 0.9,").any()  # known beforehand
    others = frame.drop(primary.index)
    assert others.claim.str.startswith(EXPLORATORY).all()
    assert set(others.verdict) == {"as predicted", "no prediction"}
    cost = primary.set_index("claim").filter(like="what tying costs", axis=0)
    assert cost.estimate.to_numpy() == pytest.approx([0, 0.135])


def test_a_plane_that_does_the_opposite_is_not(tmp_path: Path) -> None:
    """Unequal outputs merge, equal ones not; gaps half a nat off, inputs twice over the clock."""
    found = whole(
        tmp_path, (0.5, 0.7, 0.8, 0.94, 0.97, 0.99), cost=lambda seed, p: 0.3 * (p == 0.5)
    )
    turned = []
    for one in found:
        p, result = one.settings.zero_dst[1], one.result
        output = result.output_embedding.copy()
        merged = 2.0 if p == 0.5 else 0.01
        output[:, 1:, :2, 0] = np.array([1, -1]) * merged / 2
        entry = result.input_embedding.copy()
        entry[:, 1:, :2] *= np.where(result.tied, 1.0, 2.0)[:, None, None, None]
        if one.settings.weight_decay == 0.03:
            entry[~result.tied, 1:, :2] *= 0.01
        entry[result.tied] = output[result.tied]
        changed = {"input_embedding": entry, "output_embedding": output}
        turned.append(
            one._replace(result=replace(result, logit_gap=result.logit_gap + 0.5, **changed))
        )
    primary = primary_rows(rows(turned)).set_index("claim")
    good = primary[primary.verdict == "as predicted"].index
    # what merges at 0.03 is nearer than the clock, which was predicted
    assert list(good) == [name for name in primary.index if name.startswith("decay 0.03, mean")]
    assert set(primary.verdict) <= {"as predicted", "partly", "not as predicted"}
    partly = primary[primary.verdict == "partly"]
    assert partly.empty or partly.index.str.contains("merge").all()


def test_the_primary_claims_do_not_depend_on_what_is_there(tmp_path: Path) -> None:
    found = whole(tmp_path)
    there, nothing = primary_rows(rows(found)), primary_rows(rows(list(map(without, found))))
    assert there.claim.tolist() == nothing.claim.tolist()
    assert there.prediction.tolist() == nothing.prediction.tolist()
    assert set(nothing.verdict) == {"inconclusive"}
    assert nothing.deviation.str.contains("semantica run phase").all()
    asked = [point._replace(result=None) for point in stored("phase")]
    assert primary_rows(rows(asked)).claim.tolist() == there.claim.tolist()
    assert rows([]).empty or set(rows([]).verdict) == {"inconclusive"}


def test_no_primary_claim_needs_what_was_known_beforehand(tmp_path: Path) -> None:
    found = whole(tmp_path, cost=lambda seed, p: 0.1 * (p > 0.85))
    known = [without(one) if one.settings.zero_dst[1] == 0.9 else one for one in found]
    assert sum(one.result is None for one in known) == len(DECAYS)
    assert set(primary_rows(rows(known)).verdict) == {"as predicted"}


def test_a_partial_result_counts_as_none_and_one_missing_point_is_said(tmp_path: Path) -> None:
    found = whole(tmp_path, (0.5,))
    one = found[2]
    one.result.manifest["status"] = "partial"
    frame = rows(found).set_index("claim")
    row = frame.loc["p 0.5, mean over the decays: what tying costs in cross-entropy"]
    assert row.verdict == "inconclusive" and row.deviation.startswith("1 of 5 points")
    assert (
        frame.loc["p 0.5, decay 0.1: tied: 0 and 1, predicted to merge"].verdict == "as predicted"
    )


def test_older_results_and_single_ties_and_diverged_trials_are_told_apart(tmp_path: Path) -> None:
    old = point(tmp_path, 0.8, 0.0)
    lacks = {"logit_gap": None, "hidden_norm": None, "measured_steps": None}
    old = old._replace(result=replace(old.result, **lacks))
    (spot,) = phase.plane([old])
    assert np.isnan(spot.gap(True)).all() and np.isnan(spot.ends(OUTPUT).law).all()
    assert np.isfinite(spot.ends(INPUT).law).all()
    law = rows([old]).set_index("claim").filter(like="gap from the log-odds", axis=0)
    assert set(law.verdict) == {"inconclusive"}
    untied = point(tmp_path / "b", 0.8, 0.0)
    (cut,) = phase.plane([untied._replace(result=_of_tie(untied, False))])
    assert cut.cost("loss").isna().all() and cut.ends(TIED).ratio.size == 0
    diverged = point(tmp_path / "c", 0.8, 0.0)
    diverged.result.output_embedding[0] = np.nan  # the tied trial of seed 1
    (spot,) = phase.plane([diverged])
    assert spot.cost("loss").isna().tolist() == [True] + [False] * 5


def _of_tie(one: Point, tied: bool) -> object:
    result = one.result
    keep = result.tied == tied
    arrays = (
        "seed",
        "tied",
        "tie",
        "input_embedding",
        "output_embedding",
        "hidden_norm",
        "logit_gap",
    )
    return replace(
        result,
        manifest={**result.manifest, "settings": {**result.manifest["settings"],
                                                  "ties": ["tied" if tied else "untied"]}},
        metrics=result.metrics[result.metrics.tied == tied],
        **{name: getattr(result, name)[keep] for name in arrays},
    )  # fmt: skip


def test_what_tying_costs_is_paired_by_seed_and_learners_are_those_of_both(tmp_path: Path) -> None:
    spot = only(tmp_path, 0.9, 0.0, cost=lambda seed, p: seed / 100,
                fails=lambda seed, tied: seed == 1 or (seed, tied) == (2, True))  # fmt: skip
    assert spot.cost("loss").to_dict() == pytest.approx(
        {1: 0.01, 2: 0.02 + np.log(2), 3: 0.03, 4: 0.04, 5: 0.05, 6: 0.06}
    )
    assert spot.cost("accuracy")[2] == pytest.approx(0.02 / 3 + 0.25)
    assert spot.cost("loss", learners=True).index.tolist() == [3, 4, 5, 6]
    assert spot.learned(True).tolist() == [False, False] + [True] * 4


def test_costs_are_averaged_over_decays_and_thin_points_of_learners_left_out(
    tmp_path: Path,
) -> None:
    def fails(seed: int, tied: bool) -> bool:
        return tied and seed > 2

    spots = phase.plane(
        [*whole(tmp_path, (0.5, 0.9), (0.0,), cost=lambda seed, p: p),
         *whole(tmp_path, (0.5, 0.9), (0.1,), cost=lambda seed, p: 3 * p),
         *whole(tmp_path, (0.99,), (0.0,), fails=fails)]
    )  # fmt: skip
    costs = phase.costs_of(spots[:2] + spots[3:], "loss")
    assert costs.columns.tolist() == [0.5, 0.9] and costs.index.tolist() == list(SEEDS)
    assert costs.to_numpy() == pytest.approx(np.tile([1.0, 1.8], (6, 1)))
    assert phase.costs_of(spots, "loss").columns.tolist() == [0.5, 0.9, 0.99]
    learners = phase.costs_of([s for s in spots if s.decay == 0], "loss", learners=True)
    assert 0.99 not in learners.columns  # 2 seeds


def test_the_margins_are_one_share_of_what_learning_is_worth() -> None:
    for p in P:
        accuracy, loss = xor_task(Settings(zero_dst=(1 - p, p))).ceiling("exact")
        guess = np.array([1 - p, p, 0.5, 0.5]) / 2
        assert accuracy - guess.max() == pytest.approx(0.25)
        assert -(guess * np.log(guess)).sum() - loss == pytest.approx(np.log(2))
    assert MARGINS["loss"] / np.log(2) == pytest.approx(MARGINS["accuracy"] / 0.25, rel=0.02)


def frame_of(values: object, p: object = (0.5, 0.6, 0.7, 0.8)) -> pd.DataFrame:
    return pd.DataFrame(np.atleast_2d(values), columns=list(p))


def test_where_the_rising_fit_passes_the_margin() -> None:
    def at(*means: float) -> float:
        return onset(frame_of(np.tile(means, (3, 1))), 0.03).p

    assert at(0.0, 0.01, 0.02, 0.04) == pytest.approx(0.75)
    assert at(0.0, 0.04, 0.0, 0.1) == pytest.approx(0.7 + 0.1 * (0.03 - 0.02) / (0.1 - 0.02))
    assert at(0.05, 0.06, 0.07, 0.08) == phase.START
    assert at(0.0, 0.0, 0.0, 0.03) == NEVER  # not over it
    assert at(0.2, 0.0, 0.0, 0.0) == phase.START  # pooled: 0.05 everywhere
    assert at(-1.0, 1.0, 0.0, 0.0) == pytest.approx(0.5 + 0.1 * 1.03 / (1 + 1 / 3))
    counted = frame_of([[0.0, 0.0, np.nan, 0.1], [0.0, 0.06, 0.0, 0.1], [0.0, 0.06, np.nan, 0.1]])
    # 0.04 of three seeds and 0 of one are 0.03
    assert onset(counted, 0.03).p == pytest.approx(0.7)
    assert onset(counted, 0.03)[3:] == (1, 3)
    for nothing in (frame_of(np.empty((0, 4))), frame_of([[0.0, 1, 1, 1]]), frame_of([[1.0]], [1])):
        assert np.isnan(onset(nothing, 0.03).p)


def test_a_seed_is_drawn_with_its_costs_at_all_p() -> None:
    """Costs p - 0.75 plus what is the seed's own pass where the mean of these has moved it to."""
    own = np.random.default_rng(3).normal(0, 0.02, 17)
    p = np.linspace(0.5, 0.99, 12)
    found = onset(frame_of(p - 0.75 + own[:, None], p), 0.03)
    means = np.random.default_rng(4).choice(own, (20_000, 17)).mean(1)
    expected = 0.78 - np.quantile(means, [0.975, 0.025])
    assert found.p == pytest.approx(0.78 - own.mean())
    assert [found.low, found.high] == pytest.approx(expected, abs=0.001)
    assert found == onset(frame_of(p - 0.75 + own[:, None], p), 0.03)  # always the same


def test_bounds_can_lie_beyond_what_was_tried() -> None:
    own = np.random.default_rng(3).normal(0, 1.0, 17)
    found = onset(frame_of(np.array(P) - 0.7 + own[:, None], P), 0.0)
    assert (found.low, found.high) == (phase.START, NEVER)


def test_the_interval_has_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phase, "RESAMPLES", 200)
    rng, p, hits = np.random.default_rng(5), np.array(P), 0
    true = np.clip(p - 0.65, 0, None)
    for _ in range(60):
        noise = rng.normal(0, 0.1, (17, 1)) + rng.normal(0, 0.15, (17, 12))
        found = onset(frame_of(true + noise, p), 0.028)
        hits += found.low <= 0.678 <= found.high
    assert hits >= 52


def test_onsets_are_told_of_every_decay_and_of_their_mean(tmp_path: Path) -> None:
    by = {0.0: 1.0, 0.1: 2.0}
    found = [
        one
        for decay, times in by.items()
        for one in whole(tmp_path, P, (decay,), cost=lambda seed, p, t=times: t * (p - 0.5) / 10)
    ]
    made = phase.onsets_of(phase.plane(found))
    assert len(made) == 3 * 2 * 2
    for decay, times in [*by.items(), (None, 1.5)]:
        expected = 0.5 + 10 * MARGINS["loss"] / times
        assert made[decay, "loss", False].p == pytest.approx(expected)
        assert made[decay, "accuracy", True].p == pytest.approx(0.5 + 30 * 0.01 / times)
    assert made[None, "loss", True].fewest == 6


def test_margins_are_those_that_were_fixed(tmp_path: Path) -> None:
    """By what is claimed: the side and the margin, with a result and without, and in words."""
    found = whole(tmp_path, (0.5, 0.8, 0.94, 0.97, 0.99), (0.0, 0.01, 0.1))
    fixed = {
        "distance over the clock's": ("under", 1.25),
        "distance of the logits' gap from the log-odds": ("under", 0.1),
        "predicted to merge": ("under", 0.10),
        "predicted to stay apart": ("over", 0.10),
        "p 0.5, mean over the decays: what tying costs in cross-entropy": ("under", 0.028),
        "p 0.94, 0.97, 0.99, mean over the decays: what tying costs in cross": ("over", 0.028),
    }
    for points in (found, list(map(without, found))):
        primary, _ = phase_claims(phase.plane(points), "phase")
        seen = set()
        for claim in primary:
            (words,) = [words for words in fixed if words in claim.text]
            assert (claim.side, claim.margin) == fixed[words], claim.text
            told = f"{claim.margin:g}"
            assert told in claim.prediction or f"{claim.margin:.2f}" in claim.prediction
            seen.add(words)
        assert seen == set(fixed)
