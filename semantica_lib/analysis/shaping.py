"""Who shapes a tied table, its use as the input table or as the output table.

Two things tell: which use sends it the larger gradient (:mod:`semantica_lib.analysis.pulls`), and
which of the untied tables it ends up like, which is measured here. Lopardo, Harish, Arnett & Gupta
(2026, arXiv 2603.26663) say in their abstract that tied tables are nearer to untied output tables
than to untied input ones, and that output gradients dominate early in training. Only these two
statements are compared: how they measure alignment was not known here; the measure is ours.

The predictions were written down before any stored result's tables had been compared.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from semantica_lib.analysis.claims import BOTH, Measured, claim_of
from semantica_lib.analysis.closing import exploratory
from semantica_lib.analysis.distances import Table
from semantica_lib.analysis.language import Language
from semantica_lib.analysis.statistics import Claim
from semantica_lib.experiments import MlmSettings
from semantica_lib.results import Result

# The paper's experiments but the one that is trained in part only, and two language models.
EXPERIMENTS = (
    "transformer-small", "transformer-small-ydh", "transformer-small-ndh", "lstm-small",
    "mlp-small", "transformer-medium", "mlp-medium", "mlm", "mlm-grammar",
)  # fmt: skip
TABLES: tuple[Table, Table] = ("output", "input")
PERMUTATIONS = 50
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


class Nearness:
    """How far a result's tied tables are from its untied ones, by :func:`residual`.

    Attributes:
        seeds: ``(seed,)``, those that have both trials, neither crashed.
        steps: ``(record,)``.
        window: ``(record,)`` bool, the records that the run's end is the mean of; None without any.
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
        tables = {True: result.input_embedding, "input": result.input_embedding,
                  "output": result.output_embedding}  # fmt: skip
        made = {
            kind: factor(_of_seeds(result, table, self.seeds, kind is True)[:, :, self.rows])
            for kind, table in tables.items()
        }
        self.apart = {table: _crossed(made[True], made[table]) for table in TABLES}
        self._last = {kind: one[:, -1:] for kind, one in made.items()}

    @cached_property
    def among(self) -> dict[str, np.ndarray]:
        return {
            "tied" if kind is True else kind: _crossed(one, one)[..., 0]
            for kind, one in self._last.items()
        }

    @cached_property
    def chance(self) -> dict[Table, np.ndarray]:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(len(self.rows)) for _ in range(PERMUTATIONS)]
        tied = self._last[True]
        return {
            table: np.mean([_crossed(tied, self._last[table][:, :, o]) for o in orders], 0)[..., 0]
            for table in TABLES
        }

    @property
    def name(self) -> str:
        return self.settings.experiment

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
        """Of ``(seed, seed, ...)`` the mean over the other seeds' tables, ``(seed, ...)``."""
        off, count = ~np.eye(len(self.seeds), dtype=bool), len(self.seeds)
        return values[off].reshape(count, max(0, count - 1), *values.shape[2:]).mean(1)

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


def _crossed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
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
        if not near.learned.all():
            values = ratios(near, False)[near.learned]
            claims.append(near.claim(f"{text}, {WHOSE[False]}, learned trials only", values,
                                     **SIDES))  # fmt: skip
    return exploratory(claims)
