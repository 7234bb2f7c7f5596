"""Tie first, untie later: the ways to train that the sweep over the step of untying compares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import LEARNED_NATS, MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import Pair, Table, Trials, tie_of
from semantica_lib.analysis.exploratory import CLOSE
from semantica_lib.analysis.statistics import last_period
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

UNDECIDED = 1.25  # a clock this near to the margin, as a factor, predicts nothing
TABLES: tuple[Table, ...] = ("input", "output")
NEVER, ALWAYS = "always untied", "always tied"


class Judged(Measured):
    """A result of the sweep; trials that are untied on the way are judged as what they then are."""

    def unfit(self, ties: tuple[bool, ...]) -> str:
        return super().unfit((False,))


@dataclass(frozen=True)
class Way:
    """One way to train: always untied, tied until a step, or always tied.

    Attributes:
        until: the step of untying; 0 of always untied, inf of always tied.
    """

    until: float
    measured: Judged
    result: Result

    @property
    def label(self) -> str:
        return {0: NEVER, np.inf: ALWAYS}.get(self.until, f"tied until {self.until:,}")

    @property
    def late(self) -> bool:
        """Whether its tables are untied on the way."""
        return 0 < self.until < np.inf

    @property
    def tied(self) -> bool:
        """Which tie its trials have in the result."""
        return self.until > 0

    @property
    def trials(self) -> Trials:
        return self.measured.trials[self.tied]

    @property
    def learned(self) -> pd.Series:
        """Whether each trial learned, by seed."""
        return self.measured.learned[self.tied]

    @property
    def since(self) -> int:
        """The step from which the tables are what they are at the end, one or two."""
        return int(self.until) if self.late else 0

    @property
    def clock(self) -> float:
        """What decay alone leaves of a distance since that step, at this result's records."""
        return clock(self.measured.settings, self.trials.steps)

    def values(self, split: str, quantity: str) -> pd.DataFrame:
        """A metric of the trials that did not diverge, ``(seed, step)`` under these labels."""
        rows = self.result.metrics
        rows = rows[(rows.tie == tie_of(self.tied)) & (rows.split == split)]
        return rows.pivot(index="seed", columns="step", values=quantity).loc[self.trials.seeds]


def ways_of(found: Sequence[Point]) -> list[Way]:
    """The ways that have trials, from always untied over untied ever later to always tied."""
    ways = []
    for _, own, result in found:
        if result:
            measured = Judged(result)
            untils = [own.untie_at] if own.untie_at else [0, np.inf]
            ways += [Way(until, measured, result) for until in untils]
    there = [way for way in ways if len(way.trials.seeds) + len(way.trials.diverged)]
    return sorted(there, key=lambda way: way.until)


def untied_at(found: Sequence[Point]) -> list[int]:
    """The steps of untying that the sweep asks for, whatever is trained, in order."""
    return sorted(own.untie_at for _, own, _ in found if own.untie_at)


def clock(own: Settings, steps: np.ndarray | None = None) -> float:
    """What decay alone leaves, at the run's end, of a distance at the step of untying.

    The mean over the last full period's records; nan without one, or if the optimizer has no clock.

    Args:
        steps: ``(record,)``, those of a result; the settings' own if not given.
    """
    steps = np.arange(0, own.steps + 1, own.record_every) if steps is None else steps
    window = last_period(steps, own.period)
    if window is None:
        return np.nan
    kept = decay_factor(own, steps[window]).mean()
    return float(kept / decay_factor(own, np.array([own.untie_at or 0]))[0])


def merges(own: Settings) -> bool | None:
    """Whether inputs that tying held apart merge after it, by the clock; None if it is too close.

    To merge is here to come under a tenth of the distance at the step of untying.
    """
    left = clock(own)
    if not abs(np.log(left / MERGE_MARGIN)) > np.log(UNDECIDED):  # nor if it is nan
        return None
    return left < MERGE_MARGIN


def left_of(way: Way, table: Table, pair: Pair) -> np.ndarray:
    """A pair's distance at the end over its own at the step of untying, ``(trial,)``.

    Of a way that never unties: over that at step 0. nan where that step is not recorded.
    """
    curve = way.trials.distance(table, pair)
    at = np.flatnonzero(way.trials.steps == way.since)
    return way.trials.end(curve) / (curve[:, at[0]] if at.size else np.nan)


def begins_as(way: Way, tied: Way) -> float:
    """How far tables are from always tied ones when they are untied: 0 if all has been the same.

    The Frobenius norm of the difference over that of the tied tables, at the last step until then
    that both recorded, over the seeds that both have; nan without any. The two ways ask for the
    same numbers until then, but round them differently.
    """
    steps = np.intersect1d(way.trials.steps, tied.trials.steps)
    steps, seeds = steps[steps <= way.until], np.intersect1d(way.trials.seeds, tied.trials.seeds)
    if not steps.size or not seeds.size:
        return np.nan
    one, other = (
        trials.tables["input"][np.isin(trials.seeds, seeds)][:, trials.steps == steps[-1]]
        for trials in (way.trials, tied.trials)
    )
    return float(np.linalg.norm(one.astype(np.float64) - other) / np.linalg.norm(other))


def apart(way: Way) -> np.ndarray:
    """How far the two tables are from each other, ``(trial, record)``, 0 while they are one.

    The Frobenius norm of their difference over the root mean square of their own norms: the square
    root of 2 where they have nothing in common.
    """
    one, other = (way.trials.tables[table].astype(np.float64) for table in TABLES)
    size = np.sqrt(((one**2).sum((2, 3)) + (other**2).sum((2, 3))) / 2)
    return np.sqrt(((one - other) ** 2).sum((2, 3))) / np.maximum(size, np.finfo(float).tiny)


def final(way: Way, quantity: str, *others: Way) -> pd.Series:
    """A metric over all strings by seed, mean of the last period's steps that these ways share."""
    steps = set.intersection(*(set(one.trials.metrics.step) for one in (way, *others)))
    values = way.values("exact", quantity)
    return values[sorted(steps & set(values.columns))].mean(axis=1)


def difference(way: Way, base: Way, quantity: str) -> pd.Series:
    """How much more of a metric a way ends with than another, by seed."""
    return final(way, quantity, base) - final(base, quantity, way)


def first_learned(way: Way, steps: Sequence[int] | None = None) -> pd.Series:
    """First measured step at which a trial's loss on the training strings is that of a learner.

    Within 0.25 nats of the least; inf for a trial whose mean over the last period is not. By seed.

    Args:
        steps: those to look at; all measured ones if not given.
    """
    values = way.values("train", "loss")
    if steps is not None:
        values = values[values.columns.intersection(steps)]
    under = values - way.measured.task.ceiling("train")[1] <= LEARNED_NATS
    under &= way.learned.reindex(values.index, fill_value=False).to_numpy(bool)[:, None]
    first = {seed: row.index[row].min() if row.any() else np.inf for seed, row in under.iterrows()}
    return pd.Series(first, dtype=float)


def first_close(way: Way, pair: Pair, steps: Sequence[int] | None = None) -> pd.Series:
    """First recorded step at which output rows are under a tenth of their distance at step 0.

    By seed; inf for a trial that never is, nan without a record of step 0.
    """
    return pd.Series(way.trials.first_under("output", pair, CLOSE, steps), way.trials.seeds)
