"""Who shapes a tied table, its use as the input table or as the output table.

Two things tell: which of the untied tables it ends up like (:class:`Nearness`), and which use sends
it the larger gradient (:class:`Pulls`). Lopardo, Harish, Arnett & Gupta (2026, arXiv 2603.26663)
say in their abstract that tied tables are nearer to untied output tables than to untied input ones,
and that output gradients dominate early in training. Only these two statements are compared: how
they measure alignment was not known here; the measure is ours.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.distances import OneTie, Table
from semantica_lib.analysis.language import Language
from semantica_lib.analysis.procrustes import crossed, factor, jackknifed, residual
from semantica_lib.analysis.statistics import mean_over
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED, Point
from semantica_lib.settings.catalogue import AnySettings, MlmSettings
from semantica_lib.store.results import Result

# Those of the paper that were complete when the claims were fixed, and two language models.
EXPERIMENTS = (
    "transformer-small", "transformer-small-ydh", "transformer-small-ndh", "lstm-small",
    "mlp-small", "transformer-medium", "mlp-medium", "mlm", "mlm-grammar",
)  # fmt: skip
TABLES: tuple[Table, Table] = ("output", "input")
KINDS = {"tied": TIED, "output": OUTPUT, "input": INPUT}  # of tables: whose trials', and which
PERMUTATIONS = 50
DECAY, CHOSEN = 0.1, (0.5, 0.85, 0.99)  # of the sweep: weight decay, the likelier synonym's share
EARLY, LATE = 1_000, 0.1  # up to this step; over this part of the run


class Nearness:
    """How far a result's tied tables are from its untied ones, by :func:`residual`.

    Attributes:
        of: what judges claims on the result.
        seeds: ``(seed,)``, those that have both trials, neither diverged.
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
        self.of = Language(result) if isinstance(own, MlmSettings) else Measured(result)
        self.name, self.steps, self.window = own.experiment, result.steps, self.of.window
        trials = self.of.trials
        self.seeds = np.intersect1d(*(one.seeds for one in trials.values()))
        both = {tied: np.isin(one.seeds, self.seeds) for tied, one in trials.items()}
        self.learned = np.ones(len(self.seeds), bool)
        self.rows, self.class_of_row = np.arange(result.input_embedding.shape[2]), None
        if isinstance(self.of, Measured):
            learned = self.of.learned.values()
            self.learned = np.all([one.reindex(self.seeds, fill_value=False) for one in learned], 0)
            p, others = self.of.task.probability, 0.0 if few else 1.0
            occur = [p[row] if row < len(p) else others for row in self.rows]
            self.rows = np.flatnonzero(occur)
        elif few:
            self.rows = self.rows[: len(self.rows) // 2]
        if result.holds is not None:
            holds = result.holds[trials[True].index[both[True]]]
            self.class_of_row = np.tile(holds, 2)[:, self.rows]
        made = {
            kind: factor(trials[tied].tables[table][both[tied]][:, :, self.rows])
            for kind, (tied, table) in KINDS.items()
        }
        self.apart = {table: crossed(made["tied"], made[table]) for table in TABLES}
        self._last = {kind: one[:, -1:] for kind, one in made.items()}

    @cached_property
    def among(self) -> dict[str, np.ndarray]:
        return {kind: crossed(one, one)[..., 0] for kind, one in self._last.items()}

    @cached_property
    def chance(self) -> dict[Table, np.ndarray]:
        rng, last = np.random.default_rng(0), self._last
        orders = [rng.permutation(len(self.rows)) for _ in range(PERMUTATIONS)]
        return {
            table: np.mean([crossed(last["tied"], last[table][:, :, o]) for o in orders], 0)[..., 0]
            for table in TABLES
        }

    def of_one_class(self, table: Table) -> np.ndarray:
        """As :meth:`end`, of the words for whose synonym the DH holds in both seeds or in neither.

        Which words these are is drawn anew for every seed of a language model. ``(seed, seed)``,
        of its last record; nan for a seed itself, and for other models all.
        """
        count = len(self.seeds)
        found = np.full((count, count), np.nan)
        tied, other = self._last["tied"][:, 0], self._last[table][:, 0]
        for i, j in permutations(range(count if self.class_of_row is not None else 0), 2):
            rows = self.class_of_row[i] == self.class_of_row[j]
            if rows.any():
                found[i, j] = residual(factor(tied[i][rows]), factor(other[j][rows]))
        return found

    def end(self, table: Table) -> np.ndarray:
        """Mean over the window, ``(seed, seed)``; nan without one."""
        return mean_over(self.window, self.apart[table])

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


class Pulls(NamedTuple):
    """The gradients of the trials of one tie, those that diverged left out: ``(seed, step)`` each.

    Measured while training (:class:`semantica_lib.store.results.Result`), at step 0 and the powers
    of 2. Of untied trials the same numbers are those of the two tables' own gradients. The
    optimizer divides each number's gradient by its usual size, so shares of the gradient are not
    shares of the movement.

    Attributes:
        share: the output's share of the gradient, its norm over the sum of both norms; nan where
            there is none.
        cosine: between the gradients through the two uses.
    """

    share: pd.DataFrame
    cosine: pd.DataFrame


When = Callable[[pd.DataFrame], pd.Series]


def early(of: pd.DataFrame) -> pd.Series:
    """Mean over the measurements of the first ``EARLY`` steps, by seed."""
    return of.loc[:, of.columns <= EARLY].mean(axis=1)


def late(of: pd.DataFrame) -> pd.Series:
    """Mean over those after the first tenth of the run, by seed."""
    return of.loc[:, of.columns > LATE * of.columns.max()].mean(axis=1)


def pulls(point: Point | None, tied: bool) -> Pulls | None:
    """What was measured of a point's trials of one tie; None where nothing was."""
    result = point.result if point else None
    if result is None or result.table_gradient is None or result.gradient_steps is None:
        return None
    trials = OneTie.of(result, tied, None)
    through_input, through_output, cosine = np.moveaxis(result.table_gradient[trials.index], -1, 0)
    with np.errstate(all="ignore"):  # no gradient at all has no share
        share = through_output / (through_input + through_output)
    return Pulls(*(pd.DataFrame(of, trials.seeds, result.gradient_steps) for of in (share, cosine)))


def likelier(own: AnySettings) -> float:
    """The probability of the likelier synonym of bit 0."""
    return max(own.zero_dst)


def chosen(found: Sequence[Point]) -> dict[float, Point | None]:
    """The points that the claims are about, by the likelier synonym's probability."""
    main = [one for one in found if np.isclose(one.settings.weight_decay, DECAY)]
    return {
        p: next((one for one in main if np.isclose(likelier(one.settings), p)), None)
        for p in CHOSEN
    }


class Related(NamedTuple):
    """Spearman's rank correlation over seeds, with its p.

    Both are nan with fewer than three seeds or no differences among them.
    """

    p: float
    seeds: int
    correlation: float
    chance: float


def related(found: Sequence[Point]) -> list[Related]:
    """Whether seeds with a larger late share of the output end nearer to the output table.

    Of the share with the residual from the output table over that from the input table, same seed:
    negative where they do.
    """
    rows = []
    for p, point in chosen(found).items():
        got = pulls(point, True)
        if got is None or set(point.settings.ties) != {"tied", "untied"}:
            continue
        near = Nearness(point.result)
        ratio = pd.Series(ratios(near, False), near.seeds)
        both = pd.DataFrame({"share": late(got.share), "ratio": ratio}).dropna()
        enough = len(both) > 2 and both.nunique().min() > 1
        rho, chance = stats.spearmanr(both.share, both.ratio) if enough else (np.nan, np.nan)
        rows.append(Related(p, len(both), float(rho), float(chance)))
    return rows
