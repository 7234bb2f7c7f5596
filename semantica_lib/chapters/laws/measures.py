"""Stored XOR results beside the decay clock, and which results the chapters are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.integrate import trapezoid

from semantica_lib.analysis.claims import ON_CLOCK, Measured
from semantica_lib.analysis.distances import Pair, Table, synonym_pairs
from semantica_lib.analysis.log_odds import Source
from semantica_lib.analysis.markdown import pair_name, title
from semantica_lib.analysis.statistics import finite, geometric_interval
from semantica_lib.analysis.sweep_points import PLACES, name_of, stored
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

ON, FASTER, SLOWER, UNDECIDED = CLASSES = ("on the clock", "faster", "slower", "undecided")
SWEEP = "closing"  # of the main experiment's weight decay
Swept = tuple[Settings, Result | None]


@dataclass(frozen=True)
class Course:
    """One pair of synonyms in one table over training, beside the decay clock."""

    measured: Measured
    tied: bool
    table: Table
    pair: Pair
    holds: bool

    @property
    def name(self) -> str:
        return title(self.measured.settings.experiment)

    @property
    def where(self) -> str:
        return name_of((self.tied, self.table))

    @property
    def words(self) -> str:
        return pair_name(self.pair)

    @property
    def dh(self) -> str:
        return f"DH {'holds' if self.holds else 'fails'}"

    @cached_property
    def shrunk(self) -> np.ndarray:
        """The distance over that at step 0, ``(trial, record)``; nan if that is not recorded."""
        trials = self.measured.trials[self.tied]
        distance = trials.distance(self.table, self.pair)
        return distance / trials.start(distance)[:, None]

    @property
    def logs(self) -> np.ndarray:
        """Log of the measured distance over the clock's, ``(trial, record)``: 0 at step 0."""
        return np.log(self.shrunk / self.measured.factor)

    @property
    def ratio(self) -> np.ndarray:
        """Measured over the clock's, geometric mean over all steps, ``(trial,)``; nan without any.

        Over steps and not over records: published results keep more records of their last period.
        """
        steps = self.measured.trials[self.tied].steps
        if len(steps) < 2 or steps[0] != 0:
            return np.full(len(self.shrunk), np.nan)
        return np.exp(trapezoid(self.logs, steps, axis=1) / (steps[-1] - steps[0]))

    @property
    def largest(self) -> np.ndarray:
        """The largest factor between the two, either way, at any record, ``(trial,)``."""
        return np.exp(np.abs(self.logs).max(1, initial=0))

    @property
    def class_(self) -> str:
        """Where the 95% interval of the ratio lies, against the margin and one over it."""
        _, low, high, _ = geometric_interval(finite(self.ratio))
        if low > 1 / ON_CLOCK and high < ON_CLOCK:
            return ON
        return FASTER if high < 1 / ON_CLOCK else SLOWER if low > ON_CLOCK else UNDECIDED


def courses(found: Sequence[Result]) -> list[Course]:
    """Every pair of every result in every table: untied input, untied output, tied."""
    return [
        Course(measured, tied, table, (a, b), holds)
        for measured in map(Measured, found)
        for tied, table in PLACES
        for a, b, holds in synonym_pairs(measured.task)
    ]


def sweep_points() -> list[Swept]:
    """The main experiment under AdamW with other weight decays, sampled loss and exact."""
    found = [(point.settings, point.result) for point in stored(SWEEP)]
    return [(own, result) for own, result in found if own.optimizer == "adamw"]


def labelled(found: Sequence[Result], swept: Sequence[Swept]) -> list[Source]:
    """The named experiments by their titles, then the sweep's points that they are not."""
    by = {result.address: Source(title(result.settings.experiment), result) for result in found}
    for own, result in swept:
        if result is not None:
            by.setdefault(result.address, Source(point_of(own), result))
    return list(by.values())


def point_of(own: Settings) -> str:
    """A point of the sweep in words."""
    return f"decay {own.weight_decay:g}, {own.expectation} loss"
