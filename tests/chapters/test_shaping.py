"""Which table a tied one is like, and which pull is larger, on made-up results."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import made_language
import numpy as np
import pytest
from made import SEEDS, STEPS, made
from scipy.spatial import procrustes
from scipy.stats import ortho_group

from semantica_lib.analysis.claims import EXPLORATORY
from semantica_lib.analysis.markdown import title
from semantica_lib.analysis.procrustes import factor, jackknifed, residual
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.shaping.claims import (
    alignment_claims,
    alignment_others,
    gradient_claims,
    gradient_others,
)
from semantica_lib.chapters.shaping.measures import (
    EXPERIMENTS,
    Nearness,
    early,
    late,
    pulls,
    ratios,
    related,
)
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

NAME = "transformer-small"


def result(folder: Path, share: Any, heritage: float = 0.0, **own: Any) -> Result:
    """Tied tables that are so near to the output: ``share(seed)`` of its shape, else the input's.

    All seeds have one output and one input shape, but for a part of the input of their own, of
    which the tied table has ``heritage``; each table is turned and shifted at random.
    """
    rng = np.random.default_rng(0)
    output, inputs = rng.normal(size=(2, 7, 4))
    folder = folder / str(len(list(folder.iterdir())))
    folder.mkdir()
    base = made(folder, **({"experiment": NAME} | own))
    tables = {"input": np.empty((len(base.seed), len(STEPS), 7, 4)), "output": None}
    tables["output"] = tables["input"].copy()
    for trial, (seed, tied) in enumerate(zip(base.seed, base.tied, strict=True)):
        mine = np.random.default_rng(int(seed)).normal(size=(7, 4))
        both = share(seed) * output + (1 - share(seed)) * inputs + heritage * mine
        shapes = {"input": both, "output": both}
        if not tied:
            shapes = {"input": inputs + 2 * (heritage > 0) * mine, "output": output}
        turn = {name: ortho_group.rvs(4, random_state=rng) for name in shapes}
        for name, shape in shapes.items():
            kind = "input" if tied else name
            noise = 0.01 * rng.normal(size=(len(STEPS), 7, 4))
            tables[name][trial] = 3 * (shape + noise) @ turn[kind] + rng.normal(size=4)
    return replace(base, input_embedding=tables["input"].astype(np.float32),
                   output_embedding=tables["output"].astype(np.float32))  # fmt: skip


@pytest.mark.parametrize("size", [2, 4, 7, 32])
def test_the_residual_is_that_of_procrustes(size: int) -> None:
    rng = np.random.default_rng(size)
    one, other = rng.normal(size=(2, 3, 7, size)) + 5
    got = residual(factor(one), factor(other))
    expected = [procrustes(a, b)[2] for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    turned = -0.3 * one @ ortho_group.rvs(size, random_state=rng) + 2
    assert (residual(factor(one), factor(turned)) < 1e-7).all()
    np.testing.assert_array_equal(residual(factor(one), factor(np.ones_like(other))), 1)


def test_pseudo_values_are_those_of_leaving_a_seed_out() -> None:
    values = np.random.default_rng(0).normal(size=(5, 5)) + 1

    def mean(keep: list[int]) -> float:
        return float(np.mean([values[i, j] for i in keep for j in keep if i != j]))

    whole = mean([*range(5)])
    left = [mean([j for j in range(5) if j != i]) for i in range(5)]
    got = jackknifed(values)
    np.testing.assert_allclose(got, [5 * whole - 4 * one for one in left])
    assert got.mean() == pytest.approx(whole)
    assert jackknifed(np.ones((2, 2))).size == 0


@pytest.mark.parametrize(("share", "verdict"), [(0.8, "as predicted"), (0.2, "not as predicted")])
def test_the_nearer_table_is_told(share: float, verdict: str, tmp_path: Path) -> None:
    one = result(tmp_path, lambda _: share)
    near = Nearness(one)
    frame = primary_rows(judged("made", alignment_claims([near]), [], [one]))
    assert len(frame) == 2 * len(EXPERIMENTS)
    mine = frame.claim.str.startswith(f"{title(NAME)}: ")
    assert mine.sum() == 2 and set(frame[mine].verdict) == {verdict}
    assert set(frame[~mine].verdict) == {"inconclusive"}
    assert frame[~mine].deviation.str.startswith("There is no complete result; `semantica").all()


def test_a_common_beginning_is_told_from_a_common_task(tmp_path: Path) -> None:
    """What a tied table has of its own seed's input does not count against other seeds' tables."""
    near = Nearness(result(tmp_path, lambda _: 0.6, heritage=1.0))
    same, others = (ratios(near, others) for others in (False, True))
    assert (same > 1).all()
    assert np.exp(np.log(others).mean()) < 1
    logs = np.log(near.end("output") / near.end("input"))
    off = ~np.eye(len(SEEDS), dtype=bool)
    assert np.log(others).mean() == pytest.approx(logs[off].mean())


def test_residuals_at_the_end_are_means_over_the_last_period(tmp_path: Path) -> None:
    one = result(tmp_path, lambda _: 0.5)
    near = Nearness(one)
    tied = {seed: one.input_embedding[i] for i, seed in enumerate(one.seed) if one.tied[i]}
    other = {seed: one.output_embedding[i] for i, seed in enumerate(one.seed) if not one.tied[i]}
    for i, j in ((0, 0), (1, 4), (4, 1)):
        expected = [
            procrustes(tied[SEEDS[i]][record], other[SEEDS[j]][record])[2]
            for record in np.flatnonzero(STEPS > 200)
        ]
        assert near.end("output")[i, j] == pytest.approx(np.mean(expected), rel=1e-5)
    assert near.others(near.end("output"))[0] == pytest.approx(near.end("output")[0, 1:].mean())


def test_chance_is_that_of_all_orders(tmp_path: Path) -> None:
    one = result(tmp_path, lambda _: 0.7)
    near = Nearness(one, few=True)
    tied = one.input_embedding[one.tied & (one.seed == 2)][0, -1, :4]
    other = one.output_embedding[~one.tied & (one.seed == 5)][0, -1, :4]
    every = np.mean([procrustes(tied, other[list(order)])[2] for order in permutations(range(4))])
    assert near.chance["output"][1, 4] == pytest.approx(every, abs=0.06)
    assert near.end("output")[1, 4] < 0.5 * every


def test_symbols_that_never_occur_are_left_out(tmp_path: Path) -> None:
    usual, never = result(tmp_path, abs), result(tmp_path, abs, zero_dst=(1.0, 0.0))
    rows = [Nearness(one, few).rows.tolist() for one in (usual, never) for few in (False, True)]
    assert rows == [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3], [0, 2, 3, 4, 5, 6], [0, 2, 3]]


def test_a_language_model_s_tables_are_compared_at_its_last_record(tmp_path: Path) -> None:
    one = made_language.made(tmp_path / "one", experiment="mlm-grammar", seeds=[1, 2, 3])
    near, few = Nearness(one), Nearness(one, few=True)
    assert (len(near.rows), len(few.rows)) == (14, 7)
    assert near.window is not None and near.window.tolist() == [False] * 5 + [True]
    tied = one.input_embedding[one.tied & (one.seed == 1)][0, -1]
    other = one.input_embedding[~one.tied & (one.seed == 3)][0, -1]
    assert near.end("input")[0, 2] == pytest.approx(procrustes(tied, other)[2], rel=1e-5)
    mine, its = one.holds[one.tied & (one.seed == 1)][0], one.holds[one.tied & (one.seed == 3)][0]
    same = np.flatnonzero(np.concatenate([mine == its] * 2))
    assert 0 < len(same) < 14
    expected = procrustes(tied[same], other[same])[2]
    assert near.of_one_class("input")[0, 2] == pytest.approx(expected, rel=1e-5)
    claims = alignment_others([near], [few])
    assert all(claim.text.startswith(EXPLORATORY) and claim.seeds == 3 for claim in claims)
    assert sum("words alone" in claim.text for claim in claims) == 2


def test_diverged_and_missing_trials_are_left_out(tmp_path: Path) -> None:
    one = result(tmp_path, lambda _: 0.8)
    one.output_embedding[np.flatnonzero(~one.tied)[0], 3] = np.nan
    lone = replace(one, **{
        name: getattr(one, name)[one.tied]
        for name in ("seed", "tied", "tie", "input_embedding", "output_embedding")
    })  # fmt: skip
    near = Nearness(one)
    assert near.seeds.tolist() == list(SEEDS[1:])
    claims = alignment_claims([near])[:2]
    assert all(claim.failed == 1 for claim in claims)
    empty = Nearness(lone)
    rows = judged("made", alignment_claims([empty]), [], [lone])[:2]
    assert set(rows.verdict) == {"inconclusive"}
    assert rows.deviation.str.contains("untied trials of seeds 1, .* are missing").all()
    part = replace(one, manifest=one.manifest | {"status": "partial"})
    rows = judged("made", alignment_claims([Nearness(part)]), [], [part])[:2]
    assert rows.deviation.str.startswith("The result is partial").all()


def point(folder: Path, p: float, gradient: Any = None, share: Any = None, **own: Any) -> Point:
    """A point whose ``gradient(seed, tied, step)`` is input norm, output norm and cosine."""
    one = result(folder, share or (lambda _: 0.5), zero_dst=(1 - p, p), **own)
    if gradient:
        steps = np.array([0, *(2**k for k in range(14))])
        measured = np.array([
            [gradient(seed, tied, step) for step in steps]
            for seed, tied in zip(one.seed, one.tied, strict=True)
        ])  # fmt: skip
        one = replace(one, gradient_steps=steps, table_gradient=measured)
    return Point({"zero_dst": [1 - p, p]}, one.settings, one)


def test_the_share_is_of_the_norms_early_and_late(tmp_path: Path) -> None:
    """Up to step 1,000 the output has 3 of 4 parts if tied, 1 of 4 untied; from 1,024 on half."""

    def gradient(seed: int, tied: bool, step: int) -> tuple[float, float, float]:
        parts = (1.0, 3.0) if tied else (3.0, 1.0)
        return (*(parts if step <= 512 else (2.0, 2.0)), seed / 10)

    one = point(tmp_path, 0.85, gradient)
    for tied, first in ((True, 0.75), (False, 0.25)):
        got = pulls(one, tied)
        assert got.share.index.tolist() == list(SEEDS)
        np.testing.assert_allclose(early(got.share), first)
        np.testing.assert_allclose(late(got.share), 0.5)
        np.testing.assert_allclose(late(got.cosine), np.array(SEEDS) / 10)
    claims = gradient_claims([one])
    assert [claim.text[:8] for claim in claims] == ["p = 0.5:", "p = 0.85", "p = 0.99"]
    frame = primary_rows(judged("made", claims, [], [one.result]))
    assert frame.verdict.tolist() == ["inconclusive", "as predicted", "inconclusive"]
    assert frame.estimate[1] == pytest.approx(0.75)
    others = judged("made", [], gradient_others([one]), [one.result])
    assert others.claim.str.startswith(EXPLORATORY).all()
    untied = others[others.claim.str.contains("untied") & others.claim.str.contains("first 1,000")]
    assert untied.verdict.tolist() == ["not as predicted"]


def test_of_other_decays_and_results_without_gradients_nothing_is_claimed(tmp_path: Path) -> None:
    old = point(tmp_path, 0.5)
    other = point(tmp_path, 0.85, lambda *_: (1.0, 2.0, 0.0), weight_decay=0.03)
    missing = Point({}, Settings(zero_dst=(0.01, 0.99)), None)
    claims = gradient_claims([old, other, missing])
    assert "before gradients were measured" in claims[0].obstacle
    assert "--fresh" in claims[0].obstacle
    assert all("no result yet" in claim.obstacle for claim in claims[1:])
    assert gradient_others([old, other, missing]) == []
    assert related([old, other, missing]) == []


def test_no_gradient_has_no_share_and_a_diverged_trial_none_at_all(tmp_path: Path) -> None:
    one = point(tmp_path, 0.85, lambda s, t, step: (0.0, 0.0, np.nan) if step else (1.0, 1.0, 0.5))
    one.result.input_embedding[0] = np.nan
    got = pulls(one, True)
    assert got.share.index.tolist() == list(SEEDS[1:])
    np.testing.assert_allclose(early(got.share), 0.5)
    assert late(got.share).isna().all()


def test_agreement_is_paired_by_seed(tmp_path: Path) -> None:
    def gradient(by: float) -> Any:
        return lambda seed, *_: (1.0, 1.0, 0.1 * seed + by + 0.001 * seed**2 * (by > 0))

    found = [point(tmp_path, 0.5, gradient(0.2)), point(tmp_path, 0.85, gradient(0.0))]
    rows = judged("made", [], gradient_others(found), [])
    (row,) = rows[rows.claim.str.contains("cosine")].itertuples()
    assert row.verdict == "as predicted" and row.low > 0.19
    assert row.estimate == pytest.approx(0.2 + 0.001 * np.mean(np.square(SEEDS)))


def test_seeds_with_the_larger_share_are_nearer_to_the_output(tmp_path: Path) -> None:
    def of(seed: int) -> float:
        return 0.2 + 0.1 * seed

    one = point(tmp_path, 0.5, lambda seed, *_: (1 - of(seed), of(seed), 0.0), of)
    (row,) = related([one])
    assert (row.p, row.seeds) == (0.5, len(SEEDS)) and row.correlation == pytest.approx(-1)
