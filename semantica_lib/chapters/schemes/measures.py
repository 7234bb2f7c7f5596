"""What is measured of the sweep over ways to tie: what is known, and whose table a tied one is."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.distances import Trials, synonym_pairs
from semantica_lib.analysis.procrustes import crossed, factor, jackknifed
from semantica_lib.analysis.second_round import share_known
from semantica_lib.analysis.statistics import mean_over
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.settings.schema import family
from semantica_lib.settings.ties import strength
from semantica_lib.store.results import Result

TIED, UNTIED, SAMPLED, EXACT = "tied", "untied", "sampled", "exact"
FAMILIES = (  # in the order in which they are told
    "untied", "soft", "tied-but-mask", "mapped", "pseudo-inverse", "scaled", "lookup", "tied",
)  # fmt: skip
Doses = Mapping[str, float]  # ties in their order, each with where it stands on a scale


class Schemed(Measured):
    """A result, with the trials of all its ties, by their words."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.trials |= {tie: Trials.of(result, tie, self.window) for tie in result.settings.ties}

    @cached_property
    def known(self) -> pd.DataFrame:
        """Share of the bit that each trial knows, a row a seed, a column a tie; 0 if it diverged.

        Seeds that lack a tie's trial are left out.
        """
        found = pd.DataFrame({tie: share_known(self, tie) for tie in self.settings.ties})
        return found.dropna().replace(-np.inf, 0.0)


def at(found: Sequence[Point], expectation: str) -> Schemed | None:
    """What is measured with the sampled or with the exact loss, if a result has all its ties."""
    asked = (one for one in found if one.settings.expectation == expectation)
    return next((Schemed(result) for one in asked if (result := whole(one))), None)


def whole(point: Point) -> Result | None:
    """A point's result, if it has all its ties."""
    result = point.result
    return result if result and {*point.settings.ties} <= {*result.tie} else None


def ordered(ties: Iterable[str]) -> list[str]:
    """Ways in the order in which they are told, those of one family by their strength.

    Between the first and the last, tied, stand those of one's own.
    """
    place = {name: at for at, name in enumerate(FAMILIES)}
    own = place[TIED] - 0.5
    return sorted(ties, key=lambda tie: (place.get(family(tie), own), strength(tie) or 0))


def strengths(measured: Measured, name: str) -> dict[str, float]:
    """The ties of a family by their strength, the least first."""
    words = [tie for tie in measured.settings.ties if family(tie) == name]
    return dict(sorted(((tie, strength(tie)) for tie in words), key=lambda one: one[1]))


def lookups(measured: Measured) -> dict[str, float]:
    """By what the look-up's part of the gradient is multiplied: tenfolds, tied at 0."""
    found = strengths(measured, "lookup") | {TIED: 1.0}
    return {tie: float(np.log10(of)) for tie, of in sorted(found.items(), key=lambda one: one[1])}


def likeness(measured: Measured) -> dict[str, float]:
    """How strongly the two tables are held alike: untied, the soft ties, tied, a step each."""
    return {tie: at for at, tie in enumerate([UNTIED, *strengths(measured, "soft"), TIED])}


def slopes(doses: Doses, values: np.ndarray) -> np.ndarray:
    """The least-squares slope over doses, ``(dose, ...)`` to ``(...)``."""
    x = np.array(list(doses.values()), dtype=float)
    x -= x.mean()
    return np.tensordot(x / (x @ x), values, 1)


def trend(measured: Schemed, doses: Doses) -> pd.Series:
    """How much more of the bit each seed's trials know, a unit of the dose."""
    found = measured.known
    return pd.Series(slopes(doses, found[list(doses)].to_numpy().T), found.index)


def alignments(measured: Schemed, ties: Sequence[str]) -> np.ndarray:
    """Whose table those of these ties are like, ``(tie, seed, seed)``.

    The log of the residual from the untied output table over that from the untied input table (of
    the second seed), as :mod:`semantica_lib.analysis.procrustes` measures them, over all symbols
    that occur; over 0 is nearer to the input table. Mean over the window; of seeds that have every
    trial.
    """
    task, window = measured.task, measured.window
    all_ = [*ties, UNTIED]
    seeds = set.intersection(*(set(measured.trials[tie].seeds.tolist()) for tie in all_))
    rows = [row for row in range(task.mask + 1) if row >= task.symbols or task.probability[row] > 0]
    made = {}
    for tie in all_:
        trials = measured.trials[tie]
        keep = np.isin(trials.seeds, sorted(seeds))
        for table in ("input", "output"):
            made[tie, table] = factor(trials.tables[table][keep][:, :, rows])
    apart = {
        (tie, table): mean_over(window, crossed(made[tie, "input"], made[UNTIED, table]))
        for tie in ties
        for table in ("input", "output")
    }
    return np.array([np.log(apart[tie, "output"] / apart[tie, "input"]) for tie in ties])


def whose(measured: Schemed, ties: Sequence[str]) -> list[np.ndarray]:
    """The log of the output over the input residual of other seeds' tables, ``(seed,)`` a tie."""
    return [jackknifed(logs) for logs in alignments(measured, ties)]


def distances(measured: Schemed, ties: Sequence[str]) -> pd.DataFrame:
    """The log of the distance of 0 and 1, whose odds differ, over a control pair's in the table.

    A row a seed that has every trial, a column a tie.
    """
    pair = synonym_pairs(measured.task)[0][:2]
    found = {}
    for tie in ties:
        trials = measured.trials[tie]
        found[tie] = pd.Series(np.log(trials.ratio("input", pair)[0]), trials.seeds)
    return pd.DataFrame(found).dropna()
