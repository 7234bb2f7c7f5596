"""The gap of two synonyms' logits beside the log of their odds, of stored results.

The law is told in :mod:`semantica_lib.analysis.theory`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.distances import Pair, synonym_pairs
from semantica_lib.analysis.markdown import letter
from semantica_lib.analysis.theory import log_odds
from semantica_lib.store.results import Result


class Source(NamedTuple):
    """A result and what the chapter on the log-odds calls it."""

    label: str
    result: Result


@dataclass(frozen=True)
class Odds:
    """By how much one synonym's logit exceeds the other's, beside the log of their odds.

    The pair is ordered so that its second symbol is the likelier one: ``odds`` is not negative.

    Attributes:
        steps: ``(measurement,)``.
        gaps: ``(trial, measurement, 3)``: mean, least and greatest over the contexts of the pair's
            bit; None in a result stored before it was measured.
    """

    label: str
    measured: Measured
    tied: bool
    pair: Pair
    odds: float
    steps: np.ndarray | None
    gaps: np.ndarray | None

    def at_end(self, values: np.ndarray | None, *rest: int) -> np.ndarray:
        """Mean over the measurements in the schedule's last full period.

        ``(trial, measurement, *rest)`` to ``(trial, *rest)``; nan if nothing was measured in one.
        """
        own, inside = self.measured, np.zeros(0, bool)
        if values is not None and self.steps is not None and own.window is not None:
            inside = (self.steps > own.last - own.settings.period) & (self.steps <= own.last)
        if not inside.any():
            return np.full((len(own.trials[self.tied].seeds), *rest), np.nan)
        return values[:, inside].mean(1, dtype=np.float64)

    @property
    def words(self) -> str:
        return f"{letter(self.pair[1])} over {letter(self.pair[0])}"

    @property
    def end(self) -> np.ndarray:
        """The gaps at the end, ``(trial, 3)``."""
        return self.at_end(self.gaps, 3)

    @property
    def shortfall(self) -> np.ndarray:
        """Log-odds minus the mean gap at the end, ``(trial,)``."""
        return self.odds - self.end[:, 0]

    @property
    def spread(self) -> np.ndarray:
        """Greatest minus least gap of any context, ``(trial,)``: 0 by the law."""
        return self.end[:, 2] - self.end[:, 1]

    @property
    def learned(self) -> np.ndarray:
        """Which trials learned the parity, ``(trial,)``."""
        return self.measured.learners(self.tied)


def odds_of(sources: Sequence[Source]) -> list[Odds]:
    """Every pair of synonyms of every source whose odds do not turn, untied and tied."""
    made = []
    for label, result in sources:
        measured = Measured(result)
        task = measured.task
        for tied, trials in measured.trials.items():
            for a, b, _ in synonym_pairs(task) if task.odds == "constant" else ():
                gaps, odds = None, log_odds(task.probability[b], task.probability[a])
                if result.logit_gap is not None:
                    gaps = result.logit_gap[trials.index][:, :, task.synonyms.index((a, b))]
                if odds < 0:  # turned round, the least becomes the greatest
                    a, b, odds = b, a, -odds
                    gaps = None if gaps is None else -gaps[..., [0, 2, 1]]
                made.append(Odds(label, measured, tied, (a, b), odds, result.measured_steps, gaps))
    return made
