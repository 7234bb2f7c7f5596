"""Who shapes a tied table, its use as the input table or as the output table.

Two things tell: which use sends it the larger gradient
(:mod:`semantica_lib.chapters.shaping.claims`), and which of the untied tables it ends up like, which
is measured here. Lopardo, Harish, Arnett & Gupta (2026, arXiv 2603.26663) say in their abstract
that tied tables are nearer to untied output tables than to untied input ones, and that output
gradients dominate early in training. Only these two statements are compared: how they measure
alignment was not known here; the measure is ours.

The predictions were written down before any stored result's tables had been compared.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from semantica_lib.analysis.claims import BOTH, Measured, claim_of, exploratory
from semantica_lib.analysis.distances import Table
from semantica_lib.analysis.language import Language
from semantica_lib.analysis.statistics import Claim
from semantica_lib.chapters.shaping.procrustes import crossed, factor, jackknifed, residual
from semantica_lib.settings.catalogue import MlmSettings
from semantica_lib.store.results import Result

# The paper's experiments but the one that is trained in part only, and two language models.
EXPERIMENTS = (
    "transformer-small", "transformer-small-ydh", "transformer-small-ndh", "lstm-small",
    "mlp-small", "transformer-medium", "mlp-medium", "mlm", "mlm-grammar",
)  # fmt: skip
TABLES: tuple[Table, Table] = ("output", "input")
PERMUTATIONS = 50


class Nearness:
    """How far a result's tied tables are from its untied ones, by :func:`residual`.

    Attributes:
        seeds: ``(seed,)``, those that have both trials, neither crashed.
        steps: ``(record,)``.
        window: ``(record,)`` bool, the records that the run's end is the mean of; None without any.
        rows: ``(row,)``, the symbols or words that are compared, by their place in the table.
        class_of_row: ``(seed, row)`` bool, whether the DH holds for a word; None on the XOR task.
        learned: ``(seed,)`` bool, whether both trials learned the parity; a language model's all.
        apart: by table, ``(seed, seed, record)``: of the first seed's tied trial from the untied
            input or output table of the second seed.
        among: by kind of table (``tied``, ``output``, ``input``), ``(seed, seed)``: of two seeds,
            at the last record.
        chance: by table, ``(seed, seed)``: as ``apart`` at the last record, with the untied table's
            rows in random order; mean over ``PERMUTATIONS``.
    """

    def __init__(self, result: Result, few: bool = False) -> None:
        """Measure a result.

        Args:
            few: only of the symbols of bits that occur; of a language model, of words without their
                synonyms. Else of all symbols that occur, or all words that are tracked.
        """
        own = self.settings = result.settings
        self._of = Language(result) if isinstance(own, MlmSettings) else Measured(result)
        self.steps, self.window = result.steps, self._of.window
        both = [set(self._of.trials[tied].seeds.tolist()) for tied in BOTH]
        self.seeds = np.array(sorted(both[0] & both[1]), dtype=int)
        self.learned = np.ones(len(self.seeds), bool)
        if isinstance(self._of, Measured):
            for learned in self._of.learned.values():
                self.learned &= learned.reindex(self.seeds, fill_value=False).to_numpy(bool)
        self.rows = _rows(self._of, result.input_embedding.shape[2], few)
        self.class_of_row = None
        if result.holds is not None:
            holds = _of_seeds(result, result.holds, self.seeds, True)
            self.class_of_row = np.tile(holds, 2)[:, self.rows]
        tables = {True: result.input_embedding, "input": result.input_embedding,
                  "output": result.output_embedding}  # fmt: skip
        made = {
            kind: factor(_of_seeds(result, table, self.seeds, kind is True)[:, :, self.rows])
            for kind, table in tables.items()
        }
        self.apart = {table: crossed(made[True], made[table]) for table in TABLES}
        self._last = {kind: one[:, -1:] for kind, one in made.items()}

    @cached_property
    def among(self) -> dict[str, np.ndarray]:
        return {
            "tied" if kind is True else kind: crossed(one, one)[..., 0]
            for kind, one in self._last.items()
        }

    @cached_property
    def chance(self) -> dict[Table, np.ndarray]:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(len(self.rows)) for _ in range(PERMUTATIONS)]
        tied = self._last[True]
        return {
            table: np.mean([crossed(tied, self._last[table][:, :, o]) for o in orders], 0)[..., 0]
            for table in TABLES
        }

    @property
    def name(self) -> str:
        return self.settings.experiment

    def of_one_class(self, table: Table) -> np.ndarray:
        """As :meth:`end`, of the words for whose synonym the DH holds in both seeds or in neither.

        Which words these are is drawn anew for every seed of a language model. ``(seed, seed)``,
        of its last record; nan for a seed itself, and for other models all.
        """
        count = len(self.seeds)
        found = np.full((count, count), np.nan)
        tied, other = self._last[True][:, 0], self._last[table][:, 0]
        for i, j in permutations(range(count if self.class_of_row is not None else 0), 2):
            rows = self.class_of_row[i] == self.class_of_row[j]
            if rows.any():
                found[i, j] = residual(factor(tied[i][rows]), factor(other[j][rows]))
        return found

    def end(self, table: Table) -> np.ndarray:
        """Mean over the window, ``(seed, seed)``; nan without one."""
        apart = self.apart[table]
        if self.window is None:
            return np.full(apart.shape[:2], np.nan)
        return apart[..., self.window].mean(-1)

    def same(self, values: np.ndarray) -> np.ndarray:
        """Of ``(seed, seed, ...)`` those of one seed, ``(seed, ...)``."""
        return values[np.arange(len(self.seeds)), np.arange(len(self.seeds))]

    def others(self, values: np.ndarray) -> np.ndarray:
        """Of ``(seed, seed, ...)`` the mean over other seeds' tables, ``(seed, ...)``.

        nan of a lone seed.
        """
        off, count = ~np.eye(len(self.seeds), dtype=bool), len(self.seeds)
        if count < 2:
            return np.full((count, *values.shape[2:]), np.nan)
        return values[off].reshape(count, count - 1, *values.shape[2:]).mean(1)

    def claim(self, text: str, values: np.ndarray, *, obstacle: str = "", **rest: Any) -> Claim:
        """A claim about a ratio of both ties."""
        if isinstance(self._of, Measured):
            return self._of.claim(text, "ratio", values, *BOTH, obstacle=obstacle, **rest)
        why = self._of.lacks(BOTH) or obstacle
        return claim_of(self._of.trials, why, text, "ratio", values, *BOTH, **rest)


def _rows(of: Measured | Language, count: int, few: bool) -> np.ndarray:
    if isinstance(of, Language):
        return np.arange(count // 2 if few else count)
    probability = of.task.probability
    return np.array([
        symbol for symbol in range(count)
        if (probability[symbol] > 0 if symbol < len(probability) else not few)
    ])  # fmt: skip


def _of_seeds(result: Result, table: np.ndarray, seeds: np.ndarray, tied: bool) -> np.ndarray:
    """A table's trials of one tie in the order of the seeds."""
    place = {
        seed: trial
        for trial, (seed, tie) in enumerate(zip(result.seed.tolist(), result.tied, strict=True))
        if tie == tied
    }
    return table[[place[seed] for seed in seeds.tolist()]]


def ratios(near: Nearness, others: bool, per_chance: bool = False) -> np.ndarray:
    """The residual from the output table over that from the input table, ``(seed,)``.

    Args:
        others: of other seeds' untied tables, :func:`jackknifed`; else of the same seed's.
        per_chance: each residual as a share of what rows in random order leave.
    """
    logs = np.log(near.end("output")) - np.log(near.end("input"))
    if per_chance:
        logs -= np.log(near.chance["output"]) - np.log(near.chance["input"])
    return np.exp(jackknifed(logs) if others else near.same(logs))


TEXT = "the tied table is nearer to the untied output than to the untied input table"
SIDES = {"side": "under", "margin": 1.0, "prediction": "output over input residual under 1"}
WHOSE = {False: "of the same seed", True: "of other seeds"}


def alignment_claims(found: Sequence[Nearness]) -> list[Claim]:
    """The primary claims: two an experiment of ``EXPERIMENTS``, whatever there is of it."""
    by, claims = {near.name: near for near in found}, []
    for name in EXPERIMENTS:
        for others, whose in WHOSE.items():
            text = f"{name}: {TEXT}, {whose}"
            if name in by:
                claims.append(by[name].claim(text, ratios(by[name], others), **SIDES))
            else:
                why = f"There is no complete result; `semantica run {name}` trains it."
                claims.append(Claim(text, SIDES["prediction"], "ratio", np.empty(0), side="under",
                                    margin=1.0, obstacle=why))  # fmt: skip
    return claims


def alignment_others(found: Sequence[Nearness], few: Sequence[Nearness]) -> list[Claim]:
    """Exploratory: relative to chance; of fewer rows; of trials that learned."""
    claims = []
    for near, fewer in zip(found, few, strict=True):
        text = f"{near.name}: {TEXT}"
        what = "words alone" if isinstance(near.settings, MlmSettings) else "symbols of bits alone"
        for others, whose in WHOSE.items():
            values = ratios(near, others, per_chance=True)
            claims.append(near.claim(f"{text}, {whose}, relative to chance", values, **SIDES))
            values = ratios(fewer, others)
            claims.append(fewer.claim(f"{text}, {whose}, {what}", values, **SIDES))
        if near.class_of_row is not None:
            logs = np.log(near.of_one_class("output") / near.of_one_class("input"))
            values = np.exp(jackknifed(logs))
            added = f"{text}, {WHOSE[True]}, words of one class in both seeds (added later)"
            claims.append(near.claim(added, values, **SIDES))
        if not near.learned.all():
            values = ratios(near, False)[near.learned]
            claims.append(near.claim(f"{text}, {WHOSE[False]}, learned trials only", values,
                                     **SIDES))  # fmt: skip
    return exploratory(claims)
