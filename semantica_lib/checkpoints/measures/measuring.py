"""All that is measured of one checkpoint, as JSON values; its tables are read in parts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from semantica_lib.checkpoints import vocabulary
from semantica_lib.checkpoints.measures import agreement, rows, sides
from semantica_lib.checkpoints.reading import Checkpoint
from semantica_lib.checkpoints.report import row
from semantica_lib.checkpoints.status import Table
from semantica_lib.checkpoints.vocabulary import SPECIAL, Vocabulary
from semantica_lib.errors import RequestError

SEED = 0
MOST_WORDS = 2_000  # whose rows are read for the start, agreement and pairs
LEAST_SEEN = 3  # times that such a word stands in the text
Pairs = dict[str, list[tuple[str, str]]]
BOTH = "untied", "tied in part"  # else one table is measured


def read_rows(table: Table, ids: np.ndarray) -> np.ndarray:
    """Some rows of a table, ``(id, feature)`` float32; a part of it is held at a time."""
    if table.transposed:
        return table.array()[ids]
    made = np.empty((len(ids), table.width), np.float32)
    order = np.argsort(ids, kind="stable")
    at_once = table.tensor.at_once
    for start in np.unique(ids // at_once) * at_once:
        stop = min(table.words, start + at_once)
        inside = order[(ids[order] >= start) & (ids[order] < stop)]
        made[inside] = table.rows(int(start), int(stop))[ids[inside] - start]
    return made


def measure(
    found: Checkpoint,
    text: Iterable[str] | None = None,
    words: Vocabulary | None = None,
    pairs: Callable[[Vocabulary], Pairs] = lambda _: {},
) -> dict[str, Any]:
    """Measures of a checkpoint's tables.

    Args:
        text: sentences; without any, nothing is said of sides, and the ids' order stands for that
            of frequency.
        words: its vocabulary, if it is not to be looked for beside the tables.
        pairs: of a vocabulary, further pairs of one meaning by kind.

    Raises:
        RequestError: a table cannot be read, or holds what is no number.

    Returns:
        What the reader says of it, and where they can be taken ``start``, ``sides``, ``pairs`` and
        ``agreement``; ``left out`` says what cannot, and why.
    """
    told: dict[str, Any] = row(found) | {"left out": []}
    tables = {"input": found.input, "output": found.output}
    if found.status not in BOTH:
        tables = {"table": found.input or found.output}
    given = {name: one for name, one in tables.items() if one}
    if not given or "not tables" in found.status:
        told["left out"].append(f"all measures: {found.status}")
        return told
    try:
        assert found.place
        words = words or vocabulary.of(found.place)
    except RequestError as error:
        told["left out"].append(f"pairs and sides: {error}")
    names = list(words.names) if words else []
    size = min(one.words for one in given.values())
    size = min(size, len(names)) if words else size
    names = names[:size]
    sequences: list[np.ndarray] = []
    if text is not None and words and words.encode:
        sequences = [np.array([one for one in words.encode(line) if one < size], dtype=np.int64)
                     for line in text]  # fmt: skip
    counts, chosen = np.zeros(size), None
    if sequences:
        try:
            counts, chosen = sides.frequent(sequences, size)
        except RequestError as error:
            told["left out"].append(f"sides: {error}")
    elif words:
        why = "no text" if text is None else "its tokenizer cannot be used on a text"
        told["left out"].append(f"sides: {why}")
    among = _in_use(names, counts, size)
    if len(among) < sides.LEAST:
        told["left out"].append(f"all measures: {len(among)} words to compare, too few")
        return told
    arrays = {name: _array(one, among, words if name != "output" else None)
              for name, one in given.items()}  # fmt: skip
    told["start"] = {name: _start(one) for name, one in arrays.items()}
    moved = all(one["beyond"] >= rows.MOVED for one in told["start"].values())
    if chosen is not None:
        places = {int(one): place for place, one in enumerate(among)}
        own = [places[int(one)] for one in chosen]
        told["sides"] = _sides(arrays, own, sides.sides(sequences, chosen, size), moved)
    told["pairs"] = _pairs(arrays, among, names, pairs(words) if words else {})
    if len(arrays) == 2:
        told["agreement"] = agreement.agree(*arrays.values(), seed=SEED)
    return told


def _in_use(names: Sequence[str], counts: np.ndarray, size: int) -> np.ndarray:
    """The ids to measure, commonest first: those of the text, else all that are no special ones.

    Of more than ``MOST_WORDS`` the commonest half of that many, and as many drawn of the others.
    """
    ids = np.arange(size)
    if counts.any():
        order = np.argsort(-counts, kind="stable")
        ids = order[counts[order] >= LEAST_SEEN]
    elif names:
        ids = np.array([one for one in ids if not SPECIAL.fullmatch(names[one])])
    if len(ids) > MOST_WORDS:
        half = MOST_WORDS // 2
        others = np.random.default_rng(SEED).permutation(np.arange(half, len(ids)))[:half]
        ids = ids[np.append(np.arange(half), np.sort(others))]
    return ids


def _array(table: Table, ids: np.ndarray, words: Vocabulary | None) -> np.ndarray:
    composed = words and words.compose
    array = composed(table.array())[ids] if composed else read_rows(table, ids)
    if not np.isfinite(array).all():
        raise RequestError(f"{table.name} has values that are no numbers; fetch the file anew")
    return array


def _start(array: np.ndarray) -> dict[str, float]:
    """``beyond`` a random start, and the norm as a share of that of N(0, 1) rows."""
    norm = np.sqrt((array.astype(np.float64) ** 2).mean())
    return {"beyond": rows.beyond_start(array), "norm over N(0, 1)'s": float(norm)}


def _sides(
    arrays: dict[str, np.ndarray], own: list[int], given: sides.Sides, moved: bool
) -> dict[str, Any]:
    """By cleaning, and the verdict by the one fixed beforehand."""
    told: dict[str, Any] = {}
    try:
        for how in rows.CLEANINGS:
            cleaned = {name: rows.clean(one[own], how) for name, one in arrays.items()}
            told[how] = sides.compare(cleaned, given, SEED)
    except RequestError as error:
        return {"verdict": f"undecided: {error}"}
    told["verdict"] = "one table: no contrast"
    if len(arrays) == 2:
        told["verdict"] = sides.verdict(told[rows.CLEANINGS[0]])
    if not moved:
        told["verdict"] = "a table has hardly moved from its start: no verdict"
    return told


def _pairs(
    arrays: dict[str, np.ndarray],
    among: np.ndarray,
    names: Sequence[str],
    further: Pairs,
) -> dict[str, Any]:
    """By kind and table."""
    if not names:
        return {}
    places = {int(one): place for place, one in enumerate(among)}
    kinds = vocabulary.pairs(names, list(places))
    ids = {names[one]: one for one in places}
    for kind, some in further.items():
        kinds[kind] = [(ids[a], ids[b]) for a, b in some if a in ids and b in ids]
    told = {}
    for kind, some in kinds.items():
        own = [(places[a], places[b]) for a, b in some]
        for name, array in arrays.items():
            if measured := agreement.near_pairs(array, own, np.arange(len(among)), SEED):
                told.setdefault(kind, {})[name] = measured
    return told
