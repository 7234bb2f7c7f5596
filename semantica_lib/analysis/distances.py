"""How far apart embeddings are, and which pairs of symbols the claims are about.

Distances are Euclidean and derived from the stored tables, never stored themselves. What a pair of
the XOR task *is* follows from the settings alone (Bertolotti & Cazzola 2024): two symbols of one
bit are semantically equivalent; they are conditionally equivalent too, so that the distributional
hypothesis (DH) holds for them, if they are equally likely. A symbol of probability 0 is never seen
and feels no gradient as an input, so it is in no pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from semantica_lib.analysis.statistics import last_period, mean_over
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.store.results import Result

EQUAL = 1e-9  # probabilities closer than this are equal: what settings allow in their sum
RESOLUTION = float(np.finfo(np.float32).eps)  # smaller distances of stored rows count as this
Table = Literal["input", "output"]
Pair = tuple[int, int]


class SynonymPair(NamedTuple):
    """Two symbols of one bit, and whether they are conditionally equivalent (DH holds)."""

    first: int
    second: int
    conditionally_equivalent: bool


def pairwise(embedding: np.ndarray) -> np.ndarray:
    """Distances of all rows: ``(..., vocabulary, feature)`` to ``(..., vocabulary, vocabulary)``.

    Computed from differences in float64: a row is exactly 0 from itself, the matrix is symmetric.
    """
    rows = np.asarray(embedding, dtype=np.float64)
    return np.stack(
        [np.linalg.norm(rows - rows[..., [row], :], axis=-1) for row in range(rows.shape[-2])], -1
    )


def of_pairs(embedding: np.ndarray, pairs: list[Pair]) -> np.ndarray:
    """Distances of named pairs: ``(..., vocabulary, feature)`` to ``(..., pair)``, float64.

    For a trajectory ``(trial, record, vocabulary, feature)`` that is ``(trial, record, pair)``.

    Raises:
        IndexError: a pair outside the vocabulary.
    """
    vocabulary = embedding.shape[-2]
    for pair in pairs:
        if not all(0 <= symbol < vocabulary for symbol in pair):
            raise IndexError(f"pair {pair} is outside the vocabulary 0..{vocabulary - 1}")
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    rows = np.asarray(embedding, dtype=np.float64)
    return np.linalg.norm(rows[..., first, :] - rows[..., second, :], axis=-1)


def row_norms(embedding: np.ndarray) -> np.ndarray:
    """Norms of the rows: ``(..., vocabulary, feature)`` to ``(..., vocabulary)``, float64."""
    return np.linalg.norm(np.asarray(embedding, dtype=np.float64), axis=-1)


def control_distance(embedding: np.ndarray, task: XorTask) -> np.ndarray:
    """The median control pair's distance, ``(..., vocabulary, feature)`` to ``(...)``."""
    return np.median(of_pairs(embedding, control_pairs(task)), axis=-1)


def synonym_pairs(task: XorTask) -> list[SynonymPair]:
    """All pairs of synonyms: semantically equivalent symbols that occur."""
    return [
        SynonymPair(a, b, all(abs(half[a] - half[b]) <= EQUAL for half in task.halves))
        for symbols in _symbols(task)
        for a, b in combinations(symbols, 2)
    ]


def control_pairs(task: XorTask) -> list[Pair]:
    """All pairs of one bit-0 and one bit-1 symbol that occur: neither relation holds."""
    zeros, ones = _symbols(task)
    return list(product(zeros, ones))


def fourth_cell(task: XorTask) -> Pair:
    """(even, odd): conditionally equivalent, since never predicted, but not semantically."""
    return task.parity, task.parity + 1


def parity_pairs(task: XorTask) -> list[Pair]:
    """(even, each bit-0 symbol), (odd, each bit-1 symbol).

    The masked bit is the XOR of all other tokens: to an encoder without positions even parity is
    one more 0 and odd parity one more 1.
    """
    zeros, ones = _symbols(task)
    even, odd = fourth_cell(task)
    return [*product([even], zeros), *product([odd], ones)]


def _symbols(task: XorTask) -> tuple[list[int], list[int]]:
    """Symbols of bit 0 and of bit 1 that occur."""
    occurring = [symbol for symbol, p in enumerate(task.probability) if p > 0]
    first = len(task.zero_dst)
    return [s for s in occurring if s < first], [s for s in occurring if s >= first]


def tie_of(tied: bool | str) -> str:
    """The name of a tie in the settings; a name that is given stays."""
    return tied if isinstance(tied, str) else "tied" if tied else "untied"


def end_of(result: Result) -> np.ndarray | None:
    """Which records lie in the last full period of a result's schedule, ``(record,)``, if any."""
    return last_period(result.steps, result.settings.period)


@dataclass(frozen=True)
class OneTie:
    """The trials of one tie of a result that did not diverge, by seed.

    Attributes:
        index: ``(trial,)``, which trials of the result they are.
        seeds: ``(trial,)``.
        steps: ``(record,)``.
        tables: each ``(trial, record, vocabulary, feature)``.
        window: ``(record,)`` bool, the records that the run's end is the mean of; None without any.
        metrics: the result's rows of this tie.
        absent: seeds that the result's settings ask for and it has not.
        diverged: seeds of trials with numbers that are not finite.
    """

    index: np.ndarray
    seeds: np.ndarray
    steps: np.ndarray
    tables: dict[Table, np.ndarray]
    window: np.ndarray | None
    metrics: pd.DataFrame
    absent: list[int]
    diverged: list[int]

    @classmethod
    def of(cls, result: Result, tied: bool | str, window: np.ndarray | None) -> "OneTie":
        own, name = result.settings, tie_of(tied)  # not those of other ties with one table, or two
        present = result.tie == name
        tables = {"input": result.input_embedding, "output": result.output_embedding}
        lost = np.isin(result.seed, [seed for seed, tie in result.diverged if tie == name])
        index = np.flatnonzero(present & ~lost)
        index = index[np.argsort(result.seed[index])]
        asked = own.seeds if name in own.ties else ()
        return OneTie(
            index=index,
            seeds=result.seed[index],
            steps=result.steps,
            tables={name: table[index] for name, table in tables.items()},
            window=window,
            metrics=result.metrics[result.metrics.tie == name],
            absent=sorted(set(asked) - set(result.seed[present].tolist())),
            diverged=sorted(result.seed[present & lost].tolist()),
        )

    @property
    def failed(self) -> int:
        return len(self.absent) + len(self.diverged)

    def start(self, curve: np.ndarray) -> np.ndarray:
        """Value at step 0, ``(trial, record)`` to ``(trial,)``; nan if it is not recorded."""
        begun = self.steps.size and self.steps[0] == 0
        return curve[:, 0] if begun else np.full(len(curve), np.nan)


@dataclass(frozen=True)
class Trials(OneTie):
    """Those of the XOR task; of the metrics only rows in the window, ``(last - period, last]``.

    Attributes:
        measured_steps, hidden_norm: ``(measurement,)`` and ``(trial, measurement, 2)``, the least
            norm of the encoder's output over contexts whose masked bit is 0 and is 1; None in a
            result stored before it was measured.
    """

    task: XorTask
    measured_steps: np.ndarray | None
    hidden_norm: np.ndarray | None
    _means: dict[tuple[str, str], pd.Series] = field(init=False, default_factory=dict)

    @classmethod
    def of(cls, result: Result, tied: bool | str, window: np.ndarray | None) -> "Trials":
        found, own, norm = OneTie.of(result, tied, window), result.settings, result.hidden_norm
        last, rows = result.steps.max(initial=0), found.metrics
        after = last - own.period if window is not None else last
        return cls(
            **vars(found) | {"metrics": rows[(rows.step > after) & (rows.step <= last)]},
            task=xor_task(own),
            measured_steps=result.measured_steps,
            hidden_norm=None if norm is None else norm[found.index],
        )

    def end(self, curve: np.ndarray) -> np.ndarray:
        """Mean over the window, ``(trial, record)`` to ``(trial,)``; nan without one."""
        return mean_over(self.window, curve)

    def distance(self, table: Table, pair: Pair) -> np.ndarray:
        """Distance of a pair, ``(trial, record)``, at least what float32 resolves."""
        return of_pairs(self.tables[table], [pair])[..., 0].clip(RESOLUTION)

    def control(self, table: Table) -> np.ndarray:
        """The median control pair's distance, ``(trial, record)``, likewise."""
        return control_distance(self.tables[table], self.task).clip(RESOLUTION)

    def norm(self, table: Table, pair: Pair) -> np.ndarray:
        """Mean norm of a pair's two rows, ``(trial, record)``, likewise."""
        return row_norms(self.tables[table][..., list(pair), :]).mean(-1).clip(RESOLUTION)

    def ended(self, table: Table, pair: Pair | None = None) -> np.ndarray:
        """A pair's distance at the end over that at step 0; without a pair the control pairs'."""
        curve = self.distance(table, pair) if pair else self.control(table)
        return self.end(curve) / self.start(curve)

    def ratio(
        self, table: Table, pair: Pair, over: Pair | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A pair's distance over the median control pair's, or another's, at the end and step 0."""
        distance = self.distance(table, pair)
        control = self.control(table) if over is None else self.distance(table, over)
        return self.end(distance) / self.end(control), self.start(distance) / self.start(control)

    def first_under(
        self, table: Table, pair: Pair, share: float, steps: Sequence[int] | None = None
    ) -> np.ndarray:
        """First recorded step at which a pair is under this share of its distance at step 0.

        ``(trial,)``; inf for a trial that never is, nan without a window or a record of step 0.

        Args:
            steps: those to look at; all recorded ones if not given.
        """
        curve = self.distance(table, pair)
        start = self.start(curve)
        if self.window is None:
            return np.full(len(curve), np.nan)
        looked = np.isin(self.steps, self.steps if steps is None else steps)
        under = (curve < share * start[:, None]) & looked
        first = np.where(under.any(1), self.steps[under.argmax(1)], np.inf)
        return np.where(np.isnan(start), np.nan, first)

    def fluctuation(self, table: Table, pair: Pair) -> np.ndarray:
        """Standard deviation over mean of a pair's distance over the window, ``(trial,)``.

        At least what float32 resolves; nan without a window.
        """
        curve = self.distance(table, pair)
        mean = self.end(curve)
        return (np.sqrt(self.end((curve - mean[:, None]) ** 2)) / mean).clip(RESOLUTION)

    def logit_reach(self, pair: Pair) -> np.ndarray:
        """Mean of ``||o_b - o_a|| min ||h||`` over the window's steps that were measured too.

        No context in which ``||h||`` is least can set the two logits further apart. The least is
        over the contexts whose masked bit the pair writes. ``(trial,)``; nan without such a step.
        """
        bit, distance = int(pair[0] >= len(self.task.zero_dst)), self.distance("output", pair)
        if self.window is None or self.hidden_norm is None or self.measured_steps is None:
            return np.full(len(distance), np.nan)
        inside = self.steps[self.window]
        steps, record, measured = np.intersect1d(inside, self.measured_steps, return_indices=True)
        if not steps.size:
            return np.full(len(distance), np.nan)
        norm = self.hidden_norm[:, measured, bit].astype(np.float64).clip(RESOLUTION)
        return (distance[:, self.window][:, record] * norm).mean(1)

    def measured(self, split: str, quantity: str) -> pd.Series:
        """A metric's mean over the window, by seed; nan for a trial that failed."""
        if (key := (split, quantity)) not in self._means:
            rows = self.metrics[self.metrics.split == split]
            self._means[key] = rows.groupby("seed")[quantity].mean().reindex(self.seeds)
        every = sorted([*self.seeds.tolist(), *self.absent, *self.diverged])
        return self._means[key].reindex(every)
