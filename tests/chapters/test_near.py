"""Symbols that almost mean the same: theory against brute force, claims on made-up results."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import SEEDS
from made_near import line, point, sweep

from semantica_lib.analysis.claims import EXPLORATORY
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED, Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.near import theory
from semantica_lib.chapters.near.claims import near_claims
from semantica_lib.chapters.near.measures import Near, threshold
from semantica_lib.datasets.xor import XorTask
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.sweeps import points as points_of
from semantica_lib.settings.sweeps import read, sweeps

BITS, EVEN = 4, (0.5, 0.5)
PAIRS = [(0, 1), (1, 3), (0, 2), (2, 3), (1, 2)]


def truth(q: float, bits: int = BITS) -> dict[tuple[int, ...], np.ndarray]:
    """``p(context, target)`` over all strings, places and symbols; place 0 is masked.

    The encoder sees no order and all places are alike, so masking one is masking any.
    """
    says = {0: (0.5, (1 - q) / 2, 0, q / 2), 1: (0, q / 2, 0.5, (1 - q) / 2)}
    found: dict[tuple[int, ...], np.ndarray] = {}
    for string in product((0, 1), repeat=bits):
        for written in product(range(4), repeat=bits):
            p = math.prod(says[bit][s] for bit, s in zip(string, written, strict=True)) / 2**bits
            context = (*written[1:], 4 + sum(string) % 2)  # in order: finer than needed
            found.setdefault(context, np.zeros(4))[written[0]] += p
    return found


@pytest.mark.parametrize("q", [0.0, 0.03, 0.2, 0.5])
@pytest.mark.parametrize("pair", PAIRS)
def test_meanings_are_as_far_apart_as_brute_force_says(q: float, pair: tuple[int, int]) -> None:
    """Over contexts in their order, b put where a stands, at the first place beside the mask."""
    joint, expected = truth(q), np.zeros(2)
    for context, cell in joint.items():
        if context[0] != pair[0]:
            continue
        swapped = joint[(pair[1], *context[1:])]
        share = (cell.sum() + swapped.sum()) / 2 / (1 / 4)  # each symbol stands in a quarter
        p, other = cell / cell.sum(), swapped / swapped.sum()
        middle = (p + other) / 2
        kl = [sum(x * math.log(x / m) for x, m in zip(one, middle, strict=True) if x)
              for one in (p, other)]  # fmt: skip
        expected += share * np.array([abs(p - other).sum() / 2, sum(kl) / 2])
    task = XorTask(BITS, EVEN, EVEN, 14, q)
    found = theory.semantic_distance(task, pair)
    assert found == pytest.approx(expected, abs=1e-12)
    assert theory.meaning(q, pair, BITS) == pytest.approx(found.variation, abs=1e-12)


@pytest.mark.parametrize("q", [0.0, 0.03, 0.2, 0.5])
@pytest.mark.parametrize("pair", PAIRS)
def test_company_is_what_brute_force_says(q: float, pair: tuple[int, int]) -> None:
    cells = np.array([cell[list(pair)] for cell in truth(q).values()])
    cells = cells[cells.sum(1) > 0]
    task = XorTask(BITS, EVEN, EVEN, 14, q)
    found = theory.company(task, pair)
    assert found.variation == pytest.approx(abs(np.diff(cells / cells.sum(0))).sum() / 2, abs=1e-12)
    with np.errstate(divide="ignore"):
        ratios = np.log(cells[:, 1]) - np.log(cells[:, 0])
    assert (found.least, found.greatest) == pytest.approx((ratios.min(), ratios.max()), abs=1e-12)
    # by the context's other symbols, taken at their word: a bit is suggested
    told = np.zeros((2, 2))
    for context, cell in truth(q).items():
        told[(sum(s >= 2 for s in context[:-1]) + context[-1] - 4) % 2] += cell[list(pair)]
    for bit in (0, 1):
        a, b = told[bit]
        if a and b:
            assert found.suggested[bit] == pytest.approx(math.log(b / a), abs=1e-12)
        else:
            assert not np.isfinite(found.suggested[bit])


def test_meaning_and_company_differ_alike_but_logarithms_do_not() -> None:
    """By q of the control's in both; outputs are asked for more, the more so the smaller q."""
    times = []
    for q in (0.01, 0.02, 0.05, 0.1, 0.3, 0.5):
        task = XorTask(7, EVEN, EVEN, 14, q)
        apart = [theory.semantic_distance(task, p).variation for p in ((0, 1), (0, 2), (1, 3))]
        kept = [theory.company(task, p).variation for p in ((0, 1), (0, 2), (1, 3))]
        assert apart == pytest.approx(kept, abs=1e-12)
        assert apart[0] / apart[1] == pytest.approx(q)
        assert apart[2] / apart[1] == pytest.approx(1 - 2 * q)
        moved = [abs(np.diff(theory.company(task, p).suggested))[0] for p in ((0, 1), (0, 2))]
        assert theory.output_law(q, (0, 1)) == pytest.approx(moved[0] / moved[1])
        times.append(theory.output_law(q, (0, 1)) / theory.input_law(q, (0, 1)))
    assert times == sorted(times, reverse=True) and times[0] > 4 and times[-1] == pytest.approx(1)
    assert theory.output_law(0.5, (1, 3)) == pytest.approx(0)
    assert theory.output_law(0, (0, 1)) == 0 and theory.output_law(0, (1, 3)) == 1
    # p(1)/p(0) = (1 - q) + q p(bit 1)/p(bit 0), greatest where it can be told at all
    assert theory.company(XorTask(7, EVEN, EVEN, 14, 0.1), (0, 1)).least == pytest.approx(
        math.log(0.9)
    )


def test_where_hardly_anything_can_be_learned_a_quarter_nat_does_not_tell() -> None:
    honest = XorTask(7, EVEN, EVEN, 14)
    assert theory.learnable(honest, "exact") == pytest.approx(math.log(2))
    assert theory.trivial(honest, "exact") == pytest.approx(math.log(4))
    joint = np.array(list(truth(0.2).values()))
    share = joint / joint.sum(1, keepdims=True)
    loss = -sum(p * math.log(x) for p, x in zip(joint.flat, share.flat, strict=True) if p)
    task = XorTask(BITS, EVEN, EVEN, 14, 0.2)
    assert theory.learnable(task, "exact") == pytest.approx(math.log(4) - loss)
    found = [Point({}, own, None) for _, own in points_of(read(sweeps()["near"]))]
    assert len(found) == 18
    assert Near(found).telling == [0.0, 0.01, 0.02, 0.05]
    assert near_claims(Near(found)) == ([], [])


# --- claims ----------------------------------------------------------------------------------


def rows(found: list[Point]) -> Any:
    frame = judged("near", *near_claims(Near(found)), [one.result for one in found if one.result])
    return frame, primary_rows(frame)


def at_small_rates(*shares: float) -> dict:
    return {(0.1, q, "input"): s for q, s in zip((0, 0.01, 0.02, 0.05), shares, strict=True)}


def test_a_sweep_as_predicted_is_reproduced(tmp_path: Path) -> None:
    """Rows on a line as the laws have them, of trials that have learned."""
    frame, primary = rows(sweep(tmp_path, whole=True))
    assert len(primary) == 10
    assert set(primary.verdict) == {"as predicted"}
    others = frame.drop(primary.index)
    assert others.claim.str.startswith(EXPLORATORY).all()
    law = others[others.claim.str.contains("over the law's")]
    assert len(law) == 16 * 3
    untied = law[~law.claim.str.contains(": tied:") & law.claim.str.contains("decay 0.1")]
    assert untied.estimate.to_numpy() == pytest.approx(np.ones(16), rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({"spread": {(0.1, 0.0, "input"): 0.5}}, ["q 0, decay 0.1: untied input: 0 and 1 merge"]),
        ({"spread": {(0.1, 0.0, "output"): 0.5}}, ["q 0, decay 0.1: untied output: 0 and 1 merge"]),
        ({"spread": {(0.0, 0.0, "input"): 0.0}},
         ["q 0, decay 0: untied input: 0 and 1 stay apart"]),
        ({"swap": True}, ["0 and 1 part further in the untied output than in the input table"]),
        ({"spread": {(0.1, 0.5, "output"): 0.3}},
         ["q 0.5, decay 0.1: untied output: 1 and 3 merge"]),
        ({"spread": {(0.1, 0.5, "input"): 0.1}},
         ["q 0.5, decay 0.1: untied input: 1 and 3 merge", "1 lies half way between 0 and 2"]),
    ],
)  # fmt: skip
def test_each_primary_claim_fails_by_itself(
    changes: dict, fails: list[str], tmp_path: Path
) -> None:
    _, primary = rows(sweep(tmp_path, **changes))
    bad = primary[primary.verdict != "as predicted"].claim
    for words in fails:
        assert bad.str.contains(words, regex=False).sum() == 1, words
    trends = bad.str.contains("part as q grows")
    assert (~trends).sum() == len(fails)


@pytest.mark.parametrize(("share", "inside"), [(0.2, 0), (0.3, 1), (0.7, 1), (0.8, 0)])
def test_half_way_has_two_ends(share: float, inside: int, tmp_path: Path) -> None:
    one = point(tmp_path, 0.5, 0.1, lambda *_: line([1, 1 - 2 * share, -1, 0]))
    _, primary = rows([one])
    (estimate,) = primary[primary.claim.str.contains("half way")].estimate
    assert estimate == inside  # share of the seeds


def test_a_trend_turned_round_is_not_reproduced(tmp_path: Path) -> None:
    turned = at_small_rates(0.09, 0.06, 0.05, 0.03)
    _, primary = rows(sweep(tmp_path, spread=turned, exact=True))
    trend = primary[primary.claim.str.contains("input: 0 and 1 part as q grows")].iloc[0]
    assert trend.verdict == "not as predicted" and trend.estimate == pytest.approx(-1)


def test_the_trend_is_spearmans(tmp_path: Path) -> None:
    """Of four points in the order 0 2 1 3 the rank correlation is 0.8."""
    spread = at_small_rates(0.01, 0.03, 0.02, 0.04)
    measured = Near(sweep(tmp_path, spread=spread, exact=True))
    trend = measured.trend(0.1, INPUT, (0, 1), measured.telling)
    assert trend == pytest.approx([0.8] * len(SEEDS))


def test_the_control_is_the_honest_pair_and_the_place_is_signed(tmp_path: Path) -> None:
    values = [1.0, 0.5, -1.0, -0.2]

    def rows_of(seed: int, tied: bool, table: str) -> np.ndarray:
        return line(values, sideways=0.3)

    one = point(tmp_path, 0.1, 0.1, rows_of)
    measured, key = Near([one]), (0.1, 0.1)
    for place in (INPUT, OUTPUT, TIED):
        far = math.hypot(0.5, 0.3)  # 1 lies aside of the line
        assert measured.ends(key, place, (0, 1)).ratio.to_numpy() == pytest.approx([far / 2] * 6)
        usual = np.median([2, 1.2, math.hypot(1.5, 0.3), math.hypot(0.7, 0.3)])
        assert measured.ends(key, place, (0, 1), usual=True).ratio.to_numpy() == pytest.approx(
            [far / usual] * 6
        )
        assert measured.position(key, place).to_numpy() == pytest.approx([0.25] * 6)
        assert measured.position(key, place, 3).to_numpy() == pytest.approx([0.6] * 6)


def test_who_learned_is_measured_by_what_can_be_learned(tmp_path: Path) -> None:
    """At q = 0.5 every trial is within a quarter nat; three have learned more than half."""
    task = XorTask(7, EVEN, EVEN, 14, 0.5)
    floor, without = task.ceiling("train")[1], theory.trivial(task)

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        share = 0.9 if seed <= 3 else 0.3
        return 0.25, without - share * (without - floor)

    one = point(tmp_path, 0.5, 0.1, attained=attained)
    measured, key = Near([one]), (0.1, 0.5)
    assert measured.measured[key].learned[False].all()
    assert measured.learned(key, False).to_numpy() == pytest.approx([0.9] * 3 + [0.3] * 3)
    assert measured.ends(key, INPUT, (1, 3), learners=True).index.tolist() == [1, 2, 3]
    _, primary = rows([one])
    merges = primary[primary.claim.str.contains("1 and 3 merge")]
    assert (merges.seeds == 3).all()


def test_thresholds_are_those_of_the_intervals(tmp_path: Path) -> None:
    measured = Near(sweep(tmp_path, whole=True))
    found = threshold(measured, 0.1, INPUT)
    assert found == pytest.approx((0.05, 0.1, 0.01))  # at q = 0.1 a little over
    assert threshold(measured, 0.1, OUTPUT)[:2] == pytest.approx((0.05, 0.1))

    def wide(seed: int, tied: bool, table: str) -> np.ndarray:
        far = 2 * (0.02 if seed % 2 else 0.3)  # geometric mean 0.077, an interval about 0.1
        return line([1, 1 - far, -1, far - 1])

    unsure = [point(tmp_path / "wide", q, 0.1, wide) for q in (0.0, 0.05)]
    assert np.isnan(threshold(Near(unsure), 0.1, INPUT)).all()
    none = threshold(Near([]), 0.1, INPUT)
    assert np.isnan(none).all()


def test_missing_points_keep_their_claims_and_say_so(tmp_path: Path) -> None:
    """The family of primary claims does not depend on what is trained."""
    whole = sweep(tmp_path)
    some = [one if one.settings.near_synonym in (0.0, 0.01) else one._replace(result=None)
            for one in whole]  # fmt: skip
    _, primary = rows(some)
    assert len(primary) == 10 and set(primary.verdict) == {"as predicted", "inconclusive"}
    lacking = primary[primary.verdict == "inconclusive"]
    assert lacking.deviation.str.contains("No result yet of: ").all() and len(lacking) == 7
    assert rows([one._replace(result=None) for one in whole])[0].empty


def test_odd_results_give_no_verdict_and_no_traceback(tmp_path: Path) -> None:
    """Untied trials only, one seed that is not finite, no full period, a partial result."""

    def rows_of(seed: int, tied: bool, table: str) -> np.ndarray:
        return line([1, np.nan if seed == 1 else 0.9, -1, -0.9])

    odd = [
        point(tmp_path / "a", 0.0, 0.1, ties=["untied"]),
        point(tmp_path / "b", 0.05, 0.1, rows_of),
        point(tmp_path / "c", 0.01, 0.1, status="partial"),
        point(tmp_path / "d", 0.0, 0.0, schedule_period=4000),
        point(tmp_path / "e", 0.5, 0.1, lambda *_: np.zeros((7, 4))),
    ]
    _, primary = rows(odd)
    assert len(primary) == 10
    by = primary.set_index("claim")
    assert by.loc["q 0.05, decay 0.1: untied input: 0 and 1 merge"].failed == 1
    assert "no full period" in by.loc["q 0, decay 0: untied input: 0 and 1 stay apart"].deviation
    for one in odd:
        assert len(rows([one])[1]) == 10
    bare = replace(odd[0].result, hidden_norm=None, logit_gap=None)
    assert (
        len(rows([odd[0]._replace(result=bare), Point({}, Settings(near_synonym=0.2), None)])[1])
        == 10
    )
