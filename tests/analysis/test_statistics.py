"""Intervals against tables, scipy's tests and simulation; Holm against a hand's arithmetic."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from semantica_lib.analysis import statistics
from semantica_lib.analysis.statistics import Claim, Interval

FIVE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def test_t_interval_by_hand() -> None:
    """Mean 3, standard error sqrt(2.5 / 5), t(4) at 95%: 2.7764."""
    half = 2.776445 * np.sqrt(0.5)
    assert statistics.mean_interval(FIVE)[:3] == pytest.approx((3, 3 - half, 3 + half), rel=1e-6)
    wider = statistics.mean_interval(FIVE, 0.99)
    assert wider.low < 3 - half < 3 + half < wider.high


def test_geometric_interval_by_hand() -> None:
    half = 2.776445 * np.sqrt(0.5)
    interval = statistics.geometric_interval(np.exp(FIVE))
    assert interval[:3] == pytest.approx(np.exp([3, 3 - half, 3 + half]), rel=1e-6)


def test_p_is_scipys() -> None:
    assert statistics.mean_interval(FIVE, at=1.0).p == pytest.approx(
        stats.ttest_1samp(FIVE, 1.0).pvalue
    )
    assert statistics.geometric_interval(FIVE, at=1.3).p == pytest.approx(
        stats.ttest_1samp(np.log(FIVE), np.log(1.3)).pvalue
    )


@given(
    st.lists(st.floats(0.1, 10), min_size=2, max_size=8, unique=True),
    st.floats(0.2, 5),
    st.floats(0.5, 0.999),
)
@settings(max_examples=60, deadline=None)
def test_p_and_interval_decide_alike(values: list[float], at: float, level: float) -> None:
    interval = statistics.geometric_interval(np.array(values), level, at)
    if abs(interval.p - (1 - level)) > 1e-9:
        assert (interval.p < 1 - level) == (not interval.low <= at <= interval.high)


def test_too_few_or_equal_values() -> None:
    for interval in (statistics.mean_interval, statistics.geometric_interval):
        assert np.isnan(interval(np.array([]))[:3]).all()
        assert interval(np.array([])).p == 1
        assert interval(np.array([3.0])).estimate == pytest.approx(3)
        assert np.isnan(interval(np.array([3.0]))[1:3]).all()
    assert statistics.mean_interval(np.full(4, 2.0), at=1.0) == (2, 2, 2, 0)
    assert statistics.mean_interval(np.full(4, 2.0), at=2.0).p == 1
    assert statistics.bca_interval(np.full(20, 2.0))[:3] == pytest.approx((2, 2, 2))


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan])
def test_a_geometric_mean_refuses_what_has_no_logarithm(wrong: float) -> None:
    values = np.array([1.0] * 19 + [wrong])
    for interval in (statistics.geometric_interval, statistics.bca_interval):
        with pytest.raises(ValueError, match="positive finite"):
            interval(values)


def test_a_bound_too_large_for_a_float_is_infinite() -> None:
    interval = statistics.geometric_interval(np.array([1e-300, 1e300]))
    assert interval[:3] == pytest.approx((1, 0, np.inf))


@pytest.mark.parametrize(("seeds", "level"), [(5, 0.95), (20, 0.95), (20, 0.99)])
def test_coverage_by_simulation(seeds: int, level: float) -> None:
    """Of 1,000 lognormal samples the interval holds the true geometric mean in its share."""
    samples = np.random.default_rng(7).lognormal(np.log(0.08), 1.2, size=(1000, seeds))
    intervals = [statistics.geometric_interval(sample, level, 0.08) for sample in samples]
    held = sum(interval.low <= 0.08 <= interval.high for interval in intervals)
    assert stats.binomtest(held, 1000, level).pvalue > 0.01
    assert sum(interval.p >= 1 - level for interval in intervals) == held


def test_bca_needs_20_values_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(3).lognormal(size=20)
    with pytest.raises(ValueError, match="needs 20 values, not 19"):
        statistics.bca_interval(values[1:])
    first = statistics.bca_interval(values)
    assert first[:3] == statistics.bca_interval(values)[:3]
    t = statistics.geometric_interval(values)
    assert first.estimate == pytest.approx(t.estimate)
    np.testing.assert_allclose(np.log(first[1:3]), np.log(t[1:3]), atol=0.15)
    skewed = np.exp(np.r_[np.zeros(17), 5, 6, 7])
    bca, t = statistics.bca_interval(skewed), statistics.geometric_interval(skewed)
    assert bca.low > t.low
    assert bca.high > t.high


@pytest.mark.parametrize(
    ("passed", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (14, 20, 0.4572, 0.8811), (5, 5, 0.4782, 1.0)],
)
def test_clopper_pearson_against_tables(passed: int, of: int, low: float, high: float) -> None:
    interval = statistics.share_interval(np.arange(of) < passed)
    assert interval[:3] == pytest.approx((passed / of, low, high), abs=5e-5)


@given(st.integers(1, 25), st.data(), st.floats(0.6, 0.999))
@settings(max_examples=60, deadline=None)
def test_share_p_and_interval_decide_alike(of: int, data: Any, level: float) -> None:
    passed = np.arange(of) < data.draw(st.integers(0, of))
    interval = statistics.share_interval(passed, level)
    if abs(interval.p - (1 - level)) > 1e-9:
        assert (interval.p < 1 - level) == (not interval.low <= 0.5 <= interval.high)


def test_mcnemar_counts_only_pairs_that_differ() -> None:
    first = np.array([True] * 6 + [False] * 1 + [True] * 8 + [False] * 5)
    second = np.array([False] * 6 + [True] * 1 + [True] * 8 + [False] * 5)
    assert statistics.paired_exact_test(first, second) == pytest.approx(2 * (1 + 7) / 2**7)
    assert statistics.paired_exact_test(second, first) == pytest.approx(0.125)
    assert statistics.paired_exact_test(first, first) == 1
    five = np.ones(5, dtype=bool)
    assert statistics.paired_exact_test(five, ~five) == pytest.approx(0.0625)
    with pytest.raises(ValueError, match="equal lengths"):
        statistics.paired_exact_test(five, five[:4])


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjusted p-values (1979), in the order given."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1)
    return adjusted


def test_holm_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    # Two are rejected (0.005 at 0.05/4, 0.01 at 0.05/3); the other two are held to 0.05/2.
    levels = statistics.holm_levels(p)
    np.testing.assert_allclose(1 - levels, [0.05 / 3, 0.025, 0.025, 0.0125])
    np.testing.assert_allclose(1 - statistics.holm_levels([0.001, 0.001]), [0.025, 0.05])
    assert holm([]).size == statistics.holm_levels([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_holms_levels_reject_what_its_adjusted_p_does(p: list[float]) -> None:
    adjusted, levels = holm(p), statistics.holm_levels(p)
    clear = np.abs(adjusted - 0.05) > 1e-9
    assert ((adjusted < 0.05) == (np.array(p) < 1 - levels))[clear].all()


def test_the_last_period_is_open_at_its_beginning() -> None:
    inside = statistics.last_period(np.arange(0, 150_001, 1000), 20_000)
    assert inside is not None
    assert np.arange(0, 150_001, 1000)[inside].tolist() == list(range(131_000, 150_001, 1000))
    assert statistics.last_period(np.array([0, 50, 100]), 100).tolist() == [False, True, True]


@pytest.mark.parametrize("steps", [[], [0], [0, 50, 99], [0, 100], [0, 100, 200]])
def test_no_last_period_in_a_run_too_short_or_too_sparse(steps: list[int]) -> None:
    assert statistics.last_period(np.array(steps), 100) is None


def _verdict(low: float, high: float, seeds: int = 20, **rest: Any) -> str:
    values = np.full(seeds, 0.5)
    claim = Claim("c", "p", "ratio", values, **{"side": "under", "margin": 0.1, **rest})
    return claim.judge(Interval((low * high) ** 0.5, low, high))


CLOSER, FARTHER = np.array([0.5, 0.51, 0.52]), np.array([0.5, 1.0, 1.8])


@pytest.mark.parametrize(
    ("verdict", "low", "high", "rest"),
    [
        ("reproduced", 0.01, 0.09, {}),
        ("consistent with the paper", 0.01, 0.09, {"seeds": 5}),
        ("reproduced", 0.01, 0.09, {"seeds": 6}),
        ("inconclusive", 0.01, 0.11, {}),
        ("inconclusive", 0.01, 0.11, {"change": CLOSER}),
        ("not reproduced", 0.11, 0.2, {}),
        ("not reproduced", 0.11, 0.2, {"seeds": 5}),
        ("not reproduced", 0.11, 0.2, {"change": FARTHER}),
        ("partly", 0.11, 0.2, {"change": CLOSER}),
        ("partly", 0.01, 0.09, {"failed": 1}),
        ("not reproduced", 0.11, 0.2, {"failed": 1}),
        ("reproduced", 0.11, 0.2, {"side": "over"}),
        ("not reproduced", 0.01, 0.09, {"side": "over"}),
        ("inconclusive", 0.01, 0.11, {"side": "over"}),
        ("no prediction", 0.01, 0.09, {"side": ""}),
        ("inconclusive", 0.01, 0.09, {"obstacle": "partial"}),
        ("inconclusive", 0.01, 0.09, {"obstacle": "partial", "side": ""}),
        ("inconclusive", np.nan, np.nan, {"seeds": 1}),
    ],
)
def test_the_interval_decides(verdict: str, low: float, high: float, rest: dict) -> None:
    assert _verdict(low, high, **rest) == verdict


@pytest.mark.parametrize(
    ("learn", "of", "verdict"),
    [
        (20, 20, "reproduced"),
        (5, 5, "inconclusive"),  # Clopper-Pearson's lower bound is 0.48
        (18, 20, "partly"),
        (14, 20, "inconclusive"),
        (3, 20, "not reproduced"),
    ],
)
def test_a_share_that_all_must_meet(learn: int, of: int, verdict: str) -> None:
    values = np.arange(of) < learn
    claim = Claim("c", "p", "share", values, side="over", margin=0.5, all_pass=True)
    assert claim.judge(claim.interval()) == verdict
    assert claim.passed.mean() == learn / of
