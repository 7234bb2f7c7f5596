"""The decay clock and the log-odds law against every stored XOR result: for the chapters on them.

Both laws are told in :mod:`semantica_lib.analysis.theory`. What is predicted and by which margins
was fixed before the chapters' figures were drawn; the original's run and this project's results,
with their distances at the end over the clock's, were known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.integrate import trapezoid

from semantica_lib.analysis.claims import BOTH, EXPLORATORY, ON_CLOCK, ON_LAW, Measured, tie_of
from semantica_lib.analysis.distances import Pair, Table, synonym_pairs
from semantica_lib.analysis.exploratory import log_odds_law
from semantica_lib.analysis.log_odds import Odds, Source, odds_of
from semantica_lib.analysis.statistics import Claim, geometric_interval
from semantica_lib.analysis.sweep_points import stored
from semantica_lib.analysis.theory import paper_predictions
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

ON, FASTER, SLOWER, UNDECIDED = "on the clock", "faster", "slower", "undecided"
CLASSES = (ON, FASTER, SLOWER, UNDECIDED)
SWEEP = "closing"  # of the main experiment's weight decay
OLDER = "stored before the gap of logits was measured"


@dataclass(frozen=True)
class Course:
    """One pair of synonyms in one table over training, beside the decay clock.

    Attributes:
        factor: ``(record,)``, what decay alone would leave of the distance; nan where it has no
            closed form.
        shrunk: ``(trial, record)``, what was left: the distance over that at step 0; nan if that
            is not recorded.
    """

    measured: Measured
    tied: bool
    table: Table
    pair: Pair
    holds: bool
    steps: np.ndarray
    factor: np.ndarray
    shrunk: np.ndarray

    @property
    def name(self) -> str:
        return self.measured.settings.experiment

    @property
    def where(self) -> str:
        return "tied" if self.tied else f"untied {self.table}"

    @property
    def logs(self) -> np.ndarray:
        """Log of the measured distance over the clock's, ``(trial, record)``: 0 at step 0."""
        return np.log(self.shrunk / self.factor)

    @property
    def ratio(self) -> np.ndarray:
        """Measured over the clock's, geometric mean over all steps, ``(trial,)``; nan without any.

        Over steps and not over records: published results keep more records of their last period.
        """
        steps = self.steps
        if len(steps) < 2 or steps[0] != 0:
            return np.full(len(self.shrunk), np.nan)
        return np.exp(trapezoid(self.logs, steps, axis=1) / (steps[-1] - steps[0]))

    @property
    def learned(self) -> np.ndarray:
        """Which trials learned the parity, ``(trial,)``."""
        return self.measured.learners(self.tied)

    @property
    def largest(self) -> np.ndarray:
        """The largest factor between the two, either way, at any record, ``(trial,)``."""
        return np.exp(np.abs(self.logs).max(1, initial=0))

    @property
    def class_(self) -> str:
        """Where the 95% interval of the ratio lies, against the margin and one over it."""
        low, high = geometric_interval(self.ratio[np.isfinite(self.ratio)])[1:3]
        if low > 1 / ON_CLOCK and high < ON_CLOCK:
            return ON
        return FASTER if high < 1 / ON_CLOCK else SLOWER if low > ON_CLOCK else UNDECIDED


def courses(found: Sequence[Result]) -> list[Course]:
    """Every pair of every result in every table: untied input, untied output, tied."""
    made = []
    for result in found:
        measured = Measured(result)
        holds = {pair[:2]: pair.conditionally_equivalent for pair in synonym_pairs(measured.task)}
        for p in paper_predictions(measured.task):
            trials = measured.trials[p.tied]
            distance = trials.distance(p.table, p.pair)
            shrunk = distance / trials.start(distance)[:, None]
            made.append(Course(measured, p.tied, p.table, p.pair, holds[p.pair], result.steps,
                               measured.factor, shrunk))  # fmt: skip
    return made


def clock_claims(made: Sequence[Course]) -> tuple[list[Claim], list[Claim]]:
    """What is predicted of each pair, and what else stands beside it (exploratory)."""
    primary, others = [], []
    for one in made:
        holds = "holds" if one.holds else "fails"
        text = f"{one.name}, {one.where}: {one.pair[0]} and {one.pair[1]} (DH {holds})"
        words, side, margin = expected(one.tied, one.table, one.holds)
        claim = one.measured.claim
        primary.append(
            claim(f"{text}, {words}", "ratio", one.ratio, one.tied, side=side, margin=margin,
                  prediction=f"measured over the clock's {side} {margin:g}")
        )  # fmt: skip
        others += [
            claim(f"{EXPLORATORY}{text}, {words}, learned trials only", "ratio",
                  one.ratio[one.learned], one.tied, side=side, margin=margin,
                  prediction=f"measured over the clock's {side} {margin:g}"),
            claim(f"{EXPLORATORY}{text}, each seed on the clock", "ratio",
                  np.exp(np.abs(np.log(one.ratio))), one.tied, side="under", margin=ON_CLOCK,
                  prediction=f"within a factor of {ON_CLOCK:g} either way"),
            claim(f"{EXPLORATORY}{text}, largest factor from the clock, either way", "ratio",
                  one.largest, one.tied),
        ]  # fmt: skip
    return primary, others


def expected(tied: bool, table: Table, holds: bool) -> tuple[str, str, float]:
    """What is predicted of a pair's ratio to the clock: in words, the side, and of which margin."""
    if not tied and table == "input":
        return "on the clock or faster", "under", ON_CLOCK
    return ("faster", "under", 1.0) if holds else ("slower", "over", 1.0)


def sweep_points() -> list[tuple[Settings, Result | None]]:
    """The main experiment under AdamW with other weight decays, sampled loss and exact."""
    found = [(point.settings, point.result) for point in stored(SWEEP)]
    return [(own, result) for own, result in found if own.optimizer == "adamw"]


def labelled(
    found: Sequence[Result], swept: Sequence[tuple[Settings, Result | None]]
) -> list[Source]:
    """The named experiments by their names, then the sweep's points that they are not."""
    named = [Source(result.settings.experiment, result) for result in found]
    folders = [result.folder for result in found]
    return named + [
        Source(f"decay {own.weight_decay:g}, {own.expectation} loss", result)
        for own, result in swept
        if result is not None and result.folder not in folders
    ]


def odds_claims(
    made: Sequence[Odds], swept: Sequence[tuple[Settings, Result | None]]
) -> tuple[list[Claim], list[Claim]]:
    """What is predicted of each gap, and what else stands beside it (exploratory)."""
    primary, others = [], []
    for one in (one for one in made if one.gaps is not None):  # of the others only the bound
        text = f"{one.label}, {tie_of(one.tied)}: {one.pair[1]} over {one.pair[0]}"
        law = {"side": "under", "margin": ON_LAW,
               "prediction": f"within {ON_LAW:g} nats of log-odds {one.odds:.3f}"}  # fmt: skip
        claim, off = one.measured.claim, np.abs(one.shortfall)
        primary.append(
            claim(f"{text}, distance of the gap from the log-odds", "difference", off, one.tied,
                  **law)
        )  # fmt: skip
        others += [
            claim(f"{EXPLORATORY}{text}, the same of trials that learned", "difference",
                  off[one.learned], one.tied, **law),
            claim(f"{EXPLORATORY}{text}, log-odds minus gap", "difference", one.shortfall,
                  one.tied),
            claim(f"{EXPLORATORY}{text}, greatest minus least gap over contexts", "difference",
                  one.spread, one.tied),
        ]  # fmt: skip
    first = {one.label: one.measured for one in reversed(made)}
    for label, measured in reversed(first.items()):
        bounds = [
            log_odds_law(measured, p) for p in paper_predictions(measured.task) if not p.merges
        ]
        others += [replace(c, text=f"{EXPLORATORY}{label}, {c.text}") for c in bounds]
    return primary + decay_claims(swept), others


def decay_claims(swept: Sequence[tuple[Settings, Result | None]]) -> list[Claim]:
    """Without decay the gap ends nearer to the log-odds than under the highest decay, by seed."""
    claims = []
    for expectation in dict.fromkeys(own.expectation for own, _ in swept):
        points_of = [point for point in swept if point[0].expectation == expectation]
        ends = [pick(points_of, key=lambda point: point[0].weight_decay) for pick in (min, max)]
        low, high = (f"{own.weight_decay:g}" for own, _ in ends)
        obstacle = " ".join(
            f"The gaps at weight decay {own.weight_decay:g} are not stored, or not to the end; "
            f"`semantica run {SWEEP}` trains them."
            for own, result in ends
            if result is None or result.logit_gap is None or not result.complete
        )
        for tied in BOTH:
            near, far = (_off(result, tied) for _, result in ends)
            gain = (far - near).to_numpy()
            text = f"{expectation} loss, {tie_of(tied)}: nearer to the log-odds at decay {low}"
            claims.append(
                Claim(f"{text} than at {high}", f"distance at {high} minus that at {low} over 0",
                      "difference", gain[np.isfinite(gain)], side="over", margin=0.0,
                      failed=int(np.isnan(gain).sum()), obstacle=obstacle)
            )  # fmt: skip
    return claims


def _off(result: Result | None, tied: bool) -> pd.Series:
    """How far the gap ends from the log-odds, of the first pair of unequal odds, by seed."""
    for one in odds_of([Source("", result)] if result else []):
        if one.tied == tied and one.odds > 0:
            return pd.Series(np.abs(one.shortfall), one.measured.trials[tied].seeds, dtype=float)
    return pd.Series(dtype=float)
