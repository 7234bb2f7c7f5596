"""Rows of a table as the measures take them: cleaned, and whether training has moved them."""

from typing import Literal

import numpy as np

Cleaning = Literal["centred", "raw", "two out"]
CLEANINGS: tuple[Cleaning, ...] = "centred", "raw", "two out"  # the first was fixed beforehand
MOVED = 0.2  # a table with less than this share beyond a random start was hardly moved


def clean(rows: np.ndarray, how: Cleaning = "centred") -> np.ndarray:
    """Rows ``(word, feature)`` as they are, less their mean, or less two more components."""
    rows = np.asarray(rows, dtype=np.float64)
    if how == "raw":
        return rows
    rows = rows - rows.mean(0)
    if how == "two out":
        directions = np.linalg.svd(rows, full_matrices=False)[2][:2]
        rows = rows - rows @ directions.T @ directions
    return rows


def cosines(rows: np.ndarray) -> np.ndarray:
    """Of every two rows, ``(word, word)``; of a row that is zero 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T


def beyond_start(rows: np.ndarray) -> float:
    """What share of the rows' squared norm no start by independent draws would have, 0 to 1.

    The start need not be known. A table of independent numbers of one variance, whichever, has no
    eigenvalue beyond an edge (Marchenko & Pastur 1967): that share is what lies beyond. The
    variance is that of what lies within. A table whose N(0, 1) start was never decayed stays near
    0, whatever its norm.
    """
    rows = np.asarray(rows, dtype=np.float64)
    count, width = rows.shape
    gram = rows @ rows.T if count < width else rows.T @ rows
    squares = np.linalg.eigvalsh(gram).clip(0)
    if not squares.sum():
        return 0.0
    reach = (count**0.5 + width**0.5) ** 2 / max(count, width)
    edge = np.inf
    while (within := squares <= edge).any() and squares[within].mean() * reach < edge:
        edge = squares[within].mean() * reach
    if not within.any():
        return 1.0
    return float((squares[~within] - squares[within].mean()).sum() / squares.sum())
