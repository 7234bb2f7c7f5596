"""The measures of tables tried where the truth is known, before anything real.

``.venv/bin/python tests/benchmarks/table_measures.py`` writes its rows to
``book/results/tables-validation.json``. Every row is a state of tables, what is expected of a
number (``+``, ``0`` or ``-``), and what was measured, one value a seed. Takes a minute.
"""

import json
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from semantica_lib.analysis.language import ending
from semantica_lib.chapters.models.validation import FILE, Row
from semantica_lib.checkpoints.measures import agreement, rows, sides
from semantica_lib.checkpoints.measures.sides import Sides
from semantica_lib.datasets.grammar import sentences
from semantica_lib.files import write_whole
from semantica_lib.settings.catalogue import find
from semantica_lib.store import results
from semantica_lib.store.result import Result

SEEDS = range(10)
XOR = "transformer-small", "three-synonyms", "lstm-small", "mlp-small"
WIDTH, STEPS, RATE = 16, 300, 0.05  # of the models of neighbouring words
NEIGHBOURS = {  # what is expected of the contrast; steps, deviation at first, width
    "next word": ("+", STEPS, 0.1, WIDTH),
    "previous word": ("-", STEPS, 0.1, WIDTH),
    "both neighbours": ("0", STEPS, 0.1, WIDTH),
    "both neighbours, symmetric loss": ("0", STEPS, 0.1, WIDTH),
    "next word, untrained": ("0", 0, 0.1, WIDTH),
    "next word, hardly trained": ("0", 3, 1.0, 256),
}


def made() -> Iterator[Row]:
    """All rows, made anew."""
    for name in XOR:
        yield from _xor(name)
    yield from _neighbours()
    yield from _language("mlm-grammar")
    yield from _language("mlm")


def _contrast(tables: dict[str, np.ndarray], given: Sides, seed: int) -> float:
    cleaned = {name: rows.clean(one) for name, one in tables.items()}
    return sides.compare(cleaned, given, seed, draws=0)["contrast"][0]


def _shuffled(tables: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(one) for name, one in tables.items()}


def meanings(zero: tuple[float, ...], one: tuple[float, ...]) -> Sides:
    """The two sides of the XOR task's symbols, exactly; none of them has probability 0.

    What a symbol does is the bit that it stands for. Its company: in a context of its bit it is as
    likely as its probability says, in one of the other bit impossible; two symbols are as alike as
    the smaller probability over the larger.
    """
    chance = np.array([*zero, *one])
    bit = np.repeat([0, 1], [len(zero), len(one)])
    same = (bit[:, None] == bit).astype(float)
    ratio = chance[:, None] / chance
    return Sides(same * np.minimum(ratio, 1 / ratio), same, np.ones(len(chance)))


def _xor(name: str) -> Iterator[Row]:
    """An experiment's untied trials at their end, at their start, and with their rows shuffled."""
    result, own = _stored(name), find(name)
    given = meanings(own.zero_dst, own.one_dst)
    count, trials = len(given.frequency), np.flatnonzero(~result.tied)

    def tables(trial: int, record: int) -> dict[str, np.ndarray]:
        return {"input": result.input_embedding[trial, record, :count],
                "output": result.output_embedding[trial, record, :count]}  # fmt: skip

    states: dict[str, tuple[str, Callable[[int], dict[str, np.ndarray]]]] = {
        "untied, trained": ("+", lambda one: tables(one, -1)),
        "untied, at the start": ("0", lambda one: tables(one, 0)),
        "untied, rows shuffled": ("0", lambda one: _shuffled(tables(one, -1), one)),
    }
    for state, (expected, make) in states.items():
        values = [_contrast(make(one), given, int(one)) for one in trials]
        yield Row("sides", name, state, expected, values)


def bigrams() -> tuple[np.ndarray, list[np.ndarray], list[str]]:
    """How often a word of the grammar's text follows another, ``(word, word)``; the text as ids."""
    text = [line.split() for line in sentences(14)]
    words = sorted({word for line in text for word in line})
    place = {word: one for one, word in enumerate(words)}
    ids = [np.array([place[word] for word in line]) for line in text]
    counts = np.zeros((len(words), len(words)))
    for line in ids:
        np.add.at(counts, (line[:-1], line[1:]), 1)
    return counts, ids, words


def trained(counts: np.ndarray, seed: int, steps: int = STEPS, deviation: float = 0.1,
            width: int = WIDTH, tied: bool = False, symmetric: bool = False,
            ) -> dict[str, np.ndarray]:  # fmt: skip
    """The tables of a model whose logits are inner products of input and output rows.

    It is fitted to ``counts[i, j]``, how often i is shown where j is asked for: all there is to
    know, so nothing is drawn but the start. Its loss is the softmax's cross entropy, or, symmetric
    in the two tables, that of skip-grams with as many negative samples as positive ones. A tied
    table has a matrix between, without which the next word could not be told from the previous.
    """
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(len(counts), width, generator=generator) * deviation
            for _ in range(1 if tied else 2)]  # fmt: skip
    target = torch.from_numpy(counts / counts.sum()).float()
    between = torch.eye(width)
    for one in (*made, between):
        one.requires_grad_()
    optimizer = torch.optim.Adam([*made, between] if tied else made, RATE)
    for _ in range(steps):
        logits = made[0] @ between @ made[-1].T
        loss = -(target * logits.log_softmax(1)).sum()
        if symmetric:
            noise = target.sum(1, keepdim=True) * target.sum(0)
            loss = -(target * logsigmoid(logits) + noise * logsigmoid(-logits)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    first, last = made[0].detach().numpy(), made[-1].detach().numpy()
    return {"input": first, "output": last}


def _neighbours() -> Iterator[Row]:
    """Models of the grammar's neighbouring words: what comes before and after is known exactly."""
    counts, ids, words = bigrams()
    _, chosen = sides.frequent(ids, len(words))
    given = sides.sides(ids, chosen, len(words))
    for name, (expected, steps, deviation, width) in NEIGHBOURS.items():
        shown = counts.T if name == "previous word" else counts
        shown = counts + counts.T if name.startswith("both") else shown
        found = [trained(shown, seed, steps, deviation, width, symmetric="loss" in name)
                 for seed in SEEDS]  # fmt: skip
        own = [{key: one[chosen] for key, one in tables.items()} for tables in found]
        values = [_contrast(one, given, seed) for seed, one in enumerate(own)]
        yield Row("sides", name, "untied", expected, values, margin=sides.MARGIN)
        beyond = [rows.beyond_start(one["input"]) for one in found]
        still = "-" if "trained" in name else "+"
        yield Row("start", name, "input", still, beyond, rows.MOVED)
        agreed = [agreement.agree(one["input"], one["output"], seed)
                  for seed, one in enumerate(own[:3])]  # fmt: skip
        same = "+" if name.startswith("both") else "0" if still == "-" else ""
        if same:
            values = [one["overlap"] - one["overlap null"][0] for one in agreed]
            yield Row("agreement", name, "overlap beyond its null", same, values)
        if name == "next word":
            values = [_contrast(_shuffled(one, seed), given, seed) for seed, one in enumerate(own)]
            yield Row("sides", name, "untied, rows shuffled", "0", values, margin=sides.MARGIN)
    tied = [trained(counts, seed, tied=True)["input"][chosen] for seed in SEEDS]
    told = [sides.compare({"table": rows.clean(one)}, given, draws=0) for one in tied]
    for side in ("before", "after"):
        values = [one[f"table {side}"][0] for one in told]
        yield Row("sides", "next word", f"tied, {side}", "+", values)


def _language(name: str) -> Iterator[Row]:
    """A masked model, which sees both sides; its synonyms are pairs whose truth is known."""
    result = _stored(name)
    window = ending(result.steps, result.settings.schedule_period)
    last = int(np.flatnonzero(window)[-1])
    order = np.arange(result.input_embedding.shape[2])
    half = len(order) // 2
    broken = {}
    for tied in (False, True):
        for place in ("input", "output")[: 2 - tied]:
            table = getattr(result, f"{place}_embedding")
            for kind, holds in (("DH holds", True), ("DH broken", False)):
                label = "tied" if tied else place
                for record, state in ((last, "trained"), (0, "at the start")):
                    near = "+" if record and (holds or (place == "input" and not tied)) else "0"
                    values = []
                    for trial in np.flatnonzero(result.tied == tied):
                        words = np.flatnonzero(result.holds[trial] == holds).tolist()
                        pairs = [(one, one + half) for one in words]
                        told = agreement.near_pairs(table[trial, record], pairs, order, int(trial))
                        values.append(told["auc"][0])
                    if record and not holds:
                        broken[label] = np.array(values)
                    if near == "+" or record == 0:
                        yield Row("pairs", name, f"{label}, {kind}, {state}", near, values, 0.5)
    apart = (broken["input"] - broken["output"]).tolist()
    yield Row("pairs", name, "input less output, DH broken, trained", "+", apart)
    if name == "mlm-grammar":
        yield _masked(result, last, half)


def _masked(result: Result, last: int, half: int) -> Row:
    """The contrast of a masked model's words in the grammar's text: it is to be 0."""
    _, ids, words = bigrams()
    chosen = np.array([words.index(str(one)) for one in result.words[:half]])
    given = sides.sides(ids, chosen, len(words))
    values = []
    for trial in np.flatnonzero(~result.tied):
        tables = {"input": result.input_embedding[trial, last, :half],
                  "output": result.output_embedding[trial, last, :half]}  # fmt: skip
        values.append(_contrast(tables, given, int(trial)))
    return Row("sides", "mlm-grammar", "untied, trained", "0", values, margin=sides.MARGIN)


def _stored(name: str) -> Result:
    result = results.load(results.PUBLISHED / name)
    assert result, f"{name} is published"
    return result


def main() -> None:
    found = list(made())
    for one in found:
        print("ok  " if one.passed else "MISS", one.measure, one.model, one.state, one.expected,
              *(f"{value:.3f}" for value in one.interval))  # fmt: skip
    data = {
        "command": "tests/benchmarks/table_measures.py",
        "rows": [one._asdict() for one in found],
    }
    write_whole(FILE, (json.dumps(data, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
