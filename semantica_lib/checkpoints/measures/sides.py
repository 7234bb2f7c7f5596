"""Before or after: which company of a token its rows follow.

An output row is asked for by what comes *before* its token; an input row acts on what comes
*after*. So where the two tables are trained apart from left to right, cosines of input rows should
rank pairs of tokens as their following contexts do, and those of output rows as the preceding ones
do. The contrast is (after - before in the input) - (after - before in the output). It is 0 where
window and loss are symmetric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from semantica_lib.checkpoints.measures.rows import cosines
from semantica_lib.errors import RequestError

LEAST, LEAST_COUNT, MOST = 20, 20, 300  # tokens; times that one occurs; tokens that are compared
ALIKE = 0.99  # rank correlation from which on two sides cannot be told apart
DRAWS = 1_000  # of the bootstrap; a fifth as many shufflings
# A contrast must be beyond it to be called one. Fixed by the validation: where a softmax is asked
# for both neighbours alike, so that there is no side, the contrast's interval reaches to -0.17.
MARGIN = 0.2


@dataclass(frozen=True)
class Sides:
    """How alike the companies of every two tokens are on each side, ``(token, token)``.

    ``frequency`` is ``(token,)``, equal for all where it is none of the matter.
    """

    before: np.ndarray
    after: np.ndarray
    frequency: np.ndarray


def frequent(sequences: Sequence[np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each id stands in a text, ``(id,)``, and the ids to compare, commonest first.

    Raises:
        RequestError: the text is too short.
    """
    counts = np.bincount(np.concatenate([[], *sequences]).astype(np.int64), minlength=rows)
    order = np.argsort(-counts, kind="stable")[:MOST]
    chosen = order[counts[order] >= LEAST_COUNT]
    if len(chosen) < LEAST:
        raise RequestError(
            f"the text is too short: {len(chosen)} tokens stand in it {LEAST_COUNT} times or more, "
            f"and {LEAST} are needed; give a longer one"
        )
    return counts, chosen


def sides(sequences: Sequence[np.ndarray], chosen: np.ndarray, rows: int) -> Sides:
    """The companies of chosen ids in sequences of ids, by Bhattacharyya's coefficient.

    A token's company on a side is the distribution of the token that stands next to it there.
    """
    place = np.full(rows + 1, -1)
    place[chosen] = np.arange(len(chosen))
    ends = [np.append(one, rows) for one in sequences]
    ids = np.concatenate(ends).astype(np.int64)
    joined = (ids[:-1] < rows) & (ids[1:] < rows)
    left, right = ids[:-1][joined], ids[1:][joined]

    def alike(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        known = place[own] >= 0
        cells = np.ones(known.sum()), (place[own[known]], other[known])
        counts = csr_matrix(cells, shape=(len(chosen), rows))
        total = np.maximum(np.asarray(counts.sum(1)), 1)
        root = counts.multiply(1 / total).sqrt()
        return (root @ root.T).toarray()

    frequency = np.bincount(ids, minlength=rows)[chosen].astype(float)
    return Sides(alike(right, left), alike(left, right), frequency)


def compare(
    tables: Mapping[str, np.ndarray], given: Sides, seed: int = 0, draws: int = DRAWS
) -> dict[str, Any]:
    """The partial rank correlations of each table ``(token, feature)`` with both sides.

    Partial on the other side and on log frequency (sum and difference of a pair). Each is
    [estimate, low, high], 95% by a bootstrap over tokens. With both ``input`` and ``output`` there
    is the ``contrast``, and as its ``null`` the 95% of shufflings of both tables' rows.

    Raises:
        RequestError: the sides are too much alike to tell them apart.
    """
    rng, names = np.random.default_rng(seed), list(tables)
    count, log = len(given.frequency), np.log(given.frequency)
    frequency = [log[:, None] + log, abs(log[:, None] - log)] if np.ptp(log) > 0 else []
    ranked = [_ranks(one) for one in (given.before, given.after, *frequency)]
    own = [_ranks(cosines(rows)) for rows in tables.values()]
    whole = np.ones((1, count))
    both = _correlations(ranked, whole)[0, 0, 1]
    if not abs(both) < ALIKE:
        raise RequestError("what comes before and what comes after are too much alike to be told")

    def partial(tables: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
        """Of each table with what comes before and after, ``(table, side, draw)``."""
        found = _correlations([*tables, *ranked], weights)
        size = len(tables)
        return np.array([[_partial(found, t, size + s, size) for s in (0, 1)]
                         for t in range(size)])  # fmt: skip

    def contrast(found: np.ndarray) -> np.ndarray:
        apart = found[:, 1] - found[:, 0]
        return apart[names.index("input")] - apart[names.index("output")]

    drawn = rng.multinomial(count, np.full(count, 1 / count), draws).astype(float)
    drawn = drawn if draws else whole
    estimate, spread = partial(own, whole), partial(own, drawn)
    told: dict[str, Any] = {"tokens": count, "before~after": float(both)}
    for index, name in enumerate(names):
        for side, word in enumerate(("before", "after")):
            told[f"{name} {word}"] = _interval(estimate[index, side], spread[index, side])
    if {"input", "output"} <= tables.keys():
        told["contrast"] = _interval(contrast(estimate), contrast(spread))
        shuffled = []
        for _ in range(draws // 5):
            orders = [rng.permutation(count) for _ in own]
            moved = [one[np.ix_(order, order)] for one, order in zip(own, orders, strict=True)]
            shuffled.append(float(contrast(partial(moved, whole))[0]))
        if shuffled:
            told["null"] = np.percentile(shuffled, [2.5, 97.5]).tolist()
    return told


def verdict(told: Mapping[str, Any]) -> str:
    """What a comparison says of two tables that training has moved."""
    (_, low, high), null = told["contrast"], told["null"]
    if low > max(MARGIN, null[1]):
        return "the input follows what comes after, the output what comes before"
    if high < min(-MARGIN, null[0]):
        return "the reverse: the input follows what comes before, the output what comes after"
    return "no side" if max(-low, high) < MARGIN else "undecided"


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of every two tokens' value, of mean 0 and variance 1; 0 of a token with itself."""
    first, second = np.triu_indices(len(values), 1)
    ranks = rankdata(values[first, second].round(12))
    ranks = (ranks - ranks.mean()) / max(ranks.std(), 1e-12)
    made = np.zeros_like(values, dtype=np.float64)
    made[first, second] = made[second, first] = ranks
    return made


def _correlations(ranked: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Of all pairs of matrices, ``(draw, matrix, matrix)``, where token i counts ``weights[:, i]``
    times, and no token is compared with itself."""

    def sums(matrix: np.ndarray) -> np.ndarray:
        return ((weights @ matrix) * weights).sum(1)

    size = len(ranked)
    total = sums(1 - np.eye(weights.shape[1])).clip(1)
    mean = np.array([sums(one) / total for one in ranked])
    cov = np.empty((len(weights), size, size))
    for i in range(size):
        for j in range(i, size):
            cov[:, i, j] = sums(ranked[i] * ranked[j]) / total - mean[i] * mean[j]
            cov[:, j, i] = cov[:, i, j]
    spread = np.sqrt(np.maximum(np.diagonal(cov, axis1=1, axis2=2), 1e-12))
    return cov / spread[:, :, None] / spread[:, None, :]


def _partial(correlations: np.ndarray, table: int, side: int, tables: int) -> np.ndarray:
    """Of a table with a side, the rest of what is no table held fixed, ``(draw,)``."""
    rest = [one for one in range(tables, correlations.shape[1]) if one != side]
    wanted = np.ix_(range(len(correlations)), [table, side, *rest], [table, side, *rest])
    inverse = np.linalg.pinv(correlations[wanted], hermitian=True)
    return -inverse[:, 0, 1] / np.sqrt(np.maximum(inverse[:, 0, 0] * inverse[:, 1, 1], 1e-24))


def _interval(estimate: np.ndarray, spread: np.ndarray) -> list[float]:
    return [float(estimate[0]), *np.percentile(spread, [2.5, 97.5]).tolist()]
