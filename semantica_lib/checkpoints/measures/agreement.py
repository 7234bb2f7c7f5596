"""Whether two tables agree, and whether pairs of one meaning are near each other in a table.

Each number stands beside what chance gives for rows of like frequency, without which most of them
say nothing where there are fewer rows than columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from semantica_lib.checkpoints.measures.rows import clean, cosines

NEIGHBOURS, WINDOW = 10, 20  # of a word; words next in frequency that stand in for it
SHUFFLINGS, FEW = 100, 10  # and of what takes long
MOST = 1_000  # words
PARTNERS = 20  # matched ones of a pair
MOST_PAIRS, LEAST_PAIRS = 800, 5


def agree(first: np.ndarray, second: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """How two tables of the same words agree, ``(word, feature)``, the commonest word first.

    Of more than 1,000 words the first are taken. The widths may differ. ``overlap`` is the share of
    a word's nearest ``k`` that it has in both tables; ``cka`` is unbiased (Song et al. 2012,
    Kornblith et al. 2019); ``procrustes`` is the share of the squared norm that no rotation of one
    table makes of the other's. ``null`` is of shufflings: [mean, 2.5%, 97.5%], within windows of
    frequency for the overlap.
    """
    rng, (first, second) = np.random.default_rng(seed), (clean(first[:MOST]), clean(second[:MOST]))
    count = len(first)
    k = max(1, min(NEIGHBOURS, count // 10))
    near = [_nearest(cosines(rows), k) for rows in (first, second)]
    grams = [_hollow(rows @ rows.T) for rows in (first, second)]
    within, scale = _hsic(*grams), [_hsic(one, one) for one in grams]
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    narrow = [np.linalg.qr(one.T, mode="r").T if one.shape[1] > count else one
              for one in (first, second)]  # fmt: skip

    def rest(order: np.ndarray) -> float:
        shared = np.linalg.svd(narrow[0].T @ narrow[1][order], compute_uv=False).sum()
        return float(1 - (shared / lengths) ** 2)

    same = np.arange(count)
    orders = [rng.permutation(count) for _ in range(SHUFFLINGS)]
    windows = [np.lexsort((rng.random(count), same // WINDOW)) for _ in orders]
    root = np.sqrt(max(scale[0] * scale[1], 1e-300))
    measured = {
        "overlap": (_overlap(near[0], near[1]),
                    [_overlap(near[0], near[1][np.ix_(o, o)]) for o in windows]),
        "cka": (within / root,
                [_hsic(grams[0], grams[1][np.ix_(o, o)]) / root for o in orders]),
        "procrustes": (rest(same), list(map(rest, orders[:FEW]))),
    }  # fmt: skip
    told: dict[str, Any] = {"words": count, "k": k}
    for name, (value, null) in measured.items():
        told[name] = float(value)
        told[f"{name} null"] = [float(np.mean(null)), *np.percentile(null, [2.5, 97.5]).tolist()]
    return told


def near_pairs(
    rows: np.ndarray, pairs: Sequence[tuple[int, int]], order: np.ndarray, seed: int = 0
) -> dict[str, Any] | None:
    """Centred cosines of pairs against partners of like frequency.

    Args:
        rows: ``(word, feature)``.
        pairs: places of rows; whoever is in one with a word is no matched partner of it.
        order: ``(word,)``, places of the words, commonest first.

    Returns:
        ``pair`` and ``matched`` mean cosines; ``auc`` [estimate, low, high], the share of matched
        partners that lie farther (0.5 by chance; 95% by a bootstrap over pairs). None of fewer
        than 5 pairs.
    """
    if len(pairs) < LEAST_PAIRS:
        return None
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(pairs))[:MOST_PAIRS]
    unit = clean(rows)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True).clip(1e-300)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    mates: dict[int, set[int]] = {}
    for one, other in pairs:
        mates.setdefault(one, {one}).add(other)
        mates.setdefault(other, {other}).add(one)
    nearness, others, above = [], [], []
    for first, second in np.array(pairs)[chosen].tolist():
        start = np.clip(rank[second] - WINDOW, 0, max(0, len(order) - 2 * WINDOW - 1))
        like = np.setdiff1d(order[start : start + 2 * WINDOW + 1], list(mates[first]))
        matched = unit[rng.permutation(like)[:PARTNERS]] @ unit[first]
        nearness.append(unit[first] @ unit[second])
        others.append(matched.mean())
        above.append(((matched < nearness[-1]) + (matched == nearness[-1]) / 2).mean())
    drawn = rng.choice(above, (1_000, len(above))).mean(1)
    return {
        "pairs": len(above), "pair": float(np.mean(nearness)), "matched": float(np.mean(others)),
        "auc": [float(np.mean(above)), *np.percentile(drawn, [2.5, 97.5]).tolist()],
    }  # fmt: skip


def _nearest(alike: np.ndarray, k: int) -> np.ndarray:
    """Which are the ``k`` nearest of each, ``(word, word)`` bool."""
    alike = alike - 9 * np.eye(len(alike))
    made = np.zeros(alike.shape, dtype=bool)
    np.put_along_axis(made, np.argpartition(-alike, k - 1, axis=1)[:, :k], True, axis=1)
    return made


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / first.sum())


def _hollow(gram: np.ndarray) -> np.ndarray:
    np.fill_diagonal(gram, 0)
    return gram


def _hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate of the Hilbert-Schmidt independence criterion, of hollow matrices."""
    n, a, b = len(first), first.sum(0), second.sum(0)
    inside = (first * second).sum() + a.sum() * b.sum() / (n - 1) / (n - 2) - 2 * a @ b / (n - 2)
    return float(inside / n / (n - 3))
