"""How alike two tables of embeddings are in shape, and means over pairs of seeds."""

import numpy as np

LEAST = 1e-9  # a smaller residual counts as this: float32 resolves no better


def factor(table: np.ndarray) -> np.ndarray:
    """Rows with their mean at the origin and a size of 1, ``(..., row, feature)``, float64.

    The size is the root of the sum of squares; a table whose rows are all the same stays 0. Where
    there are more features than rows it has as many features as rows, and the same inner products.
    """
    rows = np.asarray(table, dtype=np.float64)
    rows = rows - rows.mean(-2, keepdims=True)
    if rows.shape[-2] < rows.shape[-1]:
        left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
        rows = left * sizes[..., None, :]
    size = np.linalg.norm(rows, axis=(-2, -1), keepdims=True)
    return np.where(size > LEAST, rows / size.clip(LEAST), 0.0)


def residual(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What of a table is left when another is moved, turned, mirrored and scaled to fit it best.

    Orthogonal Procrustes (Schönemann 1966), as ``scipy.spatial.procrustes`` has it: one minus the
    square of the sum of the singular values of the product of the two; 0 is the same shape, 1
    nothing in common. A shift is free because one of all output rows changes no probability; the
    turn because the encoder between two tables may turn what it passes on.

    Args:
        one, other: made by :func:`factor`, of the same rows, ``(..., row, feature)`` each.

    Returns:
        ``(...)``, in [0, 1].
    """
    common = np.linalg.svd(np.swapaxes(one, -2, -1) @ other, compute_uv=False).sum(-1)
    return (1 - common**2).clip(LEAST, 1)


def crossed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Residuals of every trial of one from every trial of the other, a trial at a time."""
    shape = (len(one), len(other), one.shape[1])
    return np.array([residual(trial, other) for trial in one]).reshape(shape)


def jackknifed(values: np.ndarray) -> np.ndarray:
    """Pseudo-values ``(seed,)`` of the mean over all pairs of different seeds.

    A seed's trials enter many pairs, so pairs are no independent values; what the mean loses when a
    seed is left out on either side is (Arvesen 1969). Their mean is the mean over the pairs. Empty
    with fewer than three seeds.

    Args:
        values: ``(seed, seed)``; the diagonal is not looked at.
    """
    count = len(values)
    if count < 3:
        return np.empty(0)
    off = np.where(np.eye(count, dtype=bool), 0.0, values)
    total, own = off.sum(), off.sum(0) + off.sum(1)
    left = (total - own) / ((count - 1) * (count - 2))
    return count * total / (count * (count - 1)) - (count - 1) * left
