"""Measures of tables against closed forms, plain regressions, enumerations and planted truth."""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.stats import rankdata

from semantica_lib.checkpoints.measures import agreement, rows, sides
from semantica_lib.errors import RequestError

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(70, 256), (200, 100), (48, 64), (1500, 10)])
@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_a_random_start_has_nothing_beyond_it(shape: tuple[int, int], scale: float) -> None:
    for start in (RNG.normal(size=shape), RNG.uniform(-1, 1, shape)):
        assert rows.beyond_start(start * scale) < rows.MOVED / 2


def test_what_was_added_to_a_start_is_what_is_beyond_it() -> None:
    start = RNG.normal(size=(300, 200))
    for strength in (0.5, 2.0):
        learnt = strength * RNG.normal(size=(300, 3)) @ RNG.normal(size=(3, 200))
        share = (learnt**2).sum() / ((start + learnt) ** 2).sum()
        assert rows.beyond_start(start + learnt) == pytest.approx(share, abs=0.04)
    assert rows.beyond_start(np.zeros((5, 4))) == 0


def test_cleaning_takes_out_the_mean_and_two_directions() -> None:
    made = RNG.normal(size=(40, 6)) * [9, 5, 1, 1, 1, 1] + 4
    assert np.allclose(rows.clean(made).mean(0), 0)
    assert rows.clean(made, "raw").tolist() == made.tolist()
    assert np.linalg.matrix_rank(rows.clean(made, "two out")) == 4


def test_companies_are_counted_side_by_side_within_a_sentence() -> None:
    text = [np.array(one) for one in ([0, 1, 2, 0, 1], [1, 3], [2, 0, 3, 0], [], [3])]
    found = sides.sides(text, np.array([0, 1, 3]), 4)
    after: dict[int, list[float]] = {one: [0.0] * 4 for one in range(4)}
    before: dict[int, list[float]] = {one: [0.0] * 4 for one in range(4)}
    for line in text:
        for left, right in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
            after[left][right] += 1
            before[right][left] += 1
    for side, counts in (("after", after), ("before", before)):
        for i, a in enumerate((0, 1, 3)):
            for j, b in enumerate((0, 1, 3)):
                p, q = (np.array(counts[one]) / sum(counts[one]) for one in (a, b))
                assert getattr(found, side)[i, j] == pytest.approx(np.sqrt(p * q).sum())
    assert found.frequency.tolist() == [4, 3, 3]


def _given(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, sides.Sides]:
    """Features of what comes before and after, and how alike they make tokens."""
    rng = np.random.default_rng(seed)
    before, after = rng.normal(size=(2, count, 4))
    alike = rows.cosines(before), rows.cosines(after)
    return before, after, sides.Sides(*alike, rng.integers(20, 900, count).astype(float))


def test_the_partial_correlation_is_that_of_the_regressions_residuals() -> None:
    _, after, given = _given(30)
    table = after + RNG.normal(size=after.shape)
    told = sides.compare({"table": table}, given, draws=0)
    first, second = np.triu_indices(30, 1)
    log = np.log(given.frequency)
    cosine = rows.cosines(table)

    def rank(values: np.ndarray) -> np.ndarray:
        return rankdata(values.round(12))

    controls = [rank(log[first] + log[second]), rank(abs(log[first] - log[second]))]
    for side, other in (("before", "after"), ("after", "before")):
        fixed = np.stack(
            [np.ones(len(first)), *controls, rank(getattr(given, other)[first, second])], 1
        )
        left = []
        for values in (cosine, getattr(given, side)):
            ranked = rank(values[first, second])
            left.append(ranked - fixed @ np.linalg.lstsq(fixed, ranked, rcond=None)[0])
        expected = np.corrcoef(*left)[0, 1]
        assert told[f"table {side}"] == pytest.approx([expected] * 3, abs=1e-9)


def test_the_bootstrap_counts_a_token_as_often_as_it_is_drawn() -> None:
    """Moments with weights are those of a sample that holds the tokens so often."""
    _, after, given = _given(9)
    ranked = [sides._ranks(one) for one in (given.before, rows.cosines(after))]
    counts = np.array([0, 2, 1, 3, 1, 0, 1, 1, 0])
    drawn = np.repeat(np.arange(9), counts)
    pairs = [(a, b) for a, b in combinations(drawn, 2) if a != b]
    values = [[one[pair] for pair in pairs] for one in ranked]
    found = sides._correlations(ranked, counts[None].astype(float))[0, 0, 1]
    assert found == pytest.approx(np.corrcoef(values)[0, 1])


def test_a_planted_side_is_found_and_nothing_where_nothing_is() -> None:
    before, after, given = _given(60)

    def told(first: np.ndarray, last: np.ndarray) -> dict:
        noise = RNG.normal(size=(2, 60, 4)) / 2
        return sides.compare({"input": first + noise[0], "output": last + noise[1]}, given, 1, 200)

    assert sides.verdict(told(after, before)).startswith("the input follows what comes after")
    assert sides.verdict(told(before, after)).startswith("the reverse")
    both = np.hstack([before, after])
    noise = RNG.normal(size=(2, 60, 8)) / 2
    same = sides.compare({"input": both + noise[0], "output": both + noise[1]}, given, 1, 200)
    low, high = same["contrast"][1:]
    assert low < 0 < high
    shuffled = told(RNG.permutation(after), RNG.permutation(before))
    assert shuffled["null"][0] < shuffled["contrast"][0] < shuffled["null"][1]
    assert sides.verdict(shuffled) in ("no side", "undecided")


def test_what_cannot_be_told_is_one_line() -> None:
    with pytest.raises(RequestError, match="text is too short: 2 tokens stand in it 20 times"):
        sides.frequent([np.array([0, 1] * 30)], 5)
    _, after, given = _given(12)
    alike = sides.Sides(given.after, given.after, given.frequency)
    with pytest.raises(RequestError, match="too much alike"):
        sides.compare({"table": after}, alike)


def test_one_table_turned_agrees_with_itself_in_all() -> None:
    first = RNG.normal(size=(60, 8))
    turned = np.hstack([first, np.zeros((60, 3))]) @ np.linalg.qr(RNG.normal(size=(11, 11)))[0]
    told = agreement.agree(first, turned * 3)
    assert told["overlap"] == pytest.approx(1)
    assert told["cka"] == pytest.approx(1)
    assert told["procrustes"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [(60, 8), (40, 90)])
def test_tables_that_have_nothing_in_common_agree_as_shuffled_ones_do(
    shape: tuple[int, int],
) -> None:
    told = agreement.agree(RNG.normal(size=shape), RNG.normal(size=shape))
    for name in ("overlap", "cka", "procrustes"):
        mean, low, high = told[f"{name} null"]
        assert abs(told[name] - mean) <= 2 * (high - low)


def test_hsic_is_the_mean_over_all_quadruples() -> None:
    """Its definition as a U-statistic (Song et al. 2012)."""
    first, second = (one @ one.T for one in RNG.normal(size=(2, 6, 3)))
    values = [
        first[i, j] * (second[i, j] + second[q, r] - 2 * second[i, q])
        for i, j, q, r in permutations(range(6), 4)
    ]
    hollow = [one * (1 - np.eye(6)) for one in (first, second)]
    assert agreement._hsic(*hollow) == pytest.approx(np.mean(values))


def test_pairs_are_set_against_words_of_like_frequency_that_are_no_partners() -> None:
    made = RNG.normal(size=(100, 20))
    made[50:60] = made[:10] + RNG.normal(size=(10, 20)) / 10
    pairs = [(one, one + 50) for one in range(10)]
    order = RNG.permutation(100)
    told = agreement.near_pairs(made, pairs, order)
    assert told["pairs"] == 10
    assert told["auc"][0] == 1 and told["pair"] > 0.9 and abs(told["matched"]) < 0.2
    random = agreement.near_pairs(made, [(one, one + 30) for one in range(10, 20)], order)
    assert 0.2 < random["auc"][0] < 0.8
    clique = [*combinations(range(3), 2), (3, 4), (5, 6)]
    made[:3] = 5 * RNG.normal(size=20)
    told = agreement.near_pairs(made, clique, np.arange(100))
    assert told["matched"] < 0.3  # 0, 1 and 2 stand next to each other, and are no matched ones
    assert agreement.near_pairs(made, pairs[:4], order) is None
