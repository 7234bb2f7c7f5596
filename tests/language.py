"""A small text, as rows of ids or as a file, for the tests of the language model."""

from pathlib import Path
from typing import Any

import numpy as np

from semantica_lib.datasets.tokens import Tokens
from semantica_lib.settings.catalogue import settings
from semantica_lib.settings.language import MlmSettings

PIECES = ("[PAD]", "[UNK]", "[MASK]", "[SEP]", *(f"w{number:02}" for number in range(20)))
UNKNOWN, MASK, SEPARATOR = 1, 2, 3


def small_text(length: int = 9, words: int = 4, rows: int = 300, seed: int = 0) -> Tokens:
    """Random rows of ids: the ``words`` commonest get a synonym; separators and unknowns occur."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 21)
    weights /= weights.sum()

    def some(count: int) -> np.ndarray:
        ids = rng.choice(np.arange(4, 24), (count, length - 1), p=weights)
        ids[rng.random(ids.shape) < 0.1] = SEPARATOR
        ids[rng.random(ids.shape) < 0.03] = UNKNOWN
        return ids.astype(np.uint16)

    splits = {"train": some(rows), "validation": some(rows // 3), "test": some(rows // 3)}
    return Tokens(
        vocabulary=PIECES, unknown=UNKNOWN, mask=MASK, separator=SEPARATOR,
        words=PIECES[4 : 4 + words], word_ids=np.arange(4, 4 + words), rows=splits,
        counts=np.bincount(splits["train"].ravel(), minlength=len(PIECES)),
        about={"rows_sha256": "0" * 64},
    )  # fmt: skip


OWN: dict[str, Any] = {
    "experiment": "own", "steps": 4, "record_every": 2, "validate_every": 4, "length": 8,
    "batch_size": 8, "synonyms": 2, "broken_synonyms": 1, "least_occurrences": 50, "layers": 1,
    "embedding_size": 8, "heads": 2, "feedforward_size": 8, "vocabulary_size": 60, "seeds": [5],
}  # fmt: skip
WORDS = ["the", "of", "and", "to", "in", "that", "it", "for", "with", "as"]


def written(path: Path, seed: int = 0, **changes: Any) -> MlmSettings:
    """Write a text of 900 sentences; gives the settings of a small experiment on it."""
    rng = np.random.default_rng(seed)
    lines = [f"{' '.join(rng.choice(WORDS, 9))} end." for _ in range(900)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return settings(OWN | {"corpus": f"text:{path}"} | changes)
