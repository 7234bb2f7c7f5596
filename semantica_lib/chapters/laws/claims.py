"""What the decay clock and the log-odds law claim of every stored XOR result.

Both laws are told in :mod:`semantica_lib.analysis.theory`. What is predicted and by which margins
was fixed before the chapters' figures were drawn; the original's run and this project's results,
with their distances at the end over the clock's, were known.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, ON_CLOCK, ON_LAW, aim, exploratory, tie_of
from semantica_lib.analysis.distances import Table
from semantica_lib.analysis.exploratory import log_odds_law
from semantica_lib.analysis.log_odds import Odds, Source, odds_of
from semantica_lib.analysis.statistics import Claim, finite
from semantica_lib.analysis.theory import paper_predictions
from semantica_lib.chapters.laws.measures import SWEEP, Course, Swept
from semantica_lib.store.results import Result


def clock_claims(made: Sequence[Course]) -> tuple[list[Claim], list[Claim]]:
    """What is predicted of each pair, and what else stands beside it (exploratory)."""
    primary, others = [], []
    either_way = aim("under", ON_CLOCK, told=f"within a factor of {ON_CLOCK:g} either way")
    for one in made:
        words, side, margin = expected(one.tied, one.table, one.holds)
        predicted = aim(side, margin, told=f"measured over the clock's {side} {margin:g}")
        learned, far = one.measured.learners(one.tied), np.exp(np.abs(np.log(one.ratio)))
        about = {
            words: (one.ratio, predicted),
            f"{words}, learned trials only": (one.ratio[learned], predicted),
            "each seed on the clock": (far, either_way),
            "largest factor from the clock, either way": (one.largest, {}),
        }
        text = f"{one.name}, {one.where}: {one.words} ({one.dh})"
        first, *rest = _claims(one, text, "ratio", about)
        primary.append(first)
        others += rest
    return primary, exploratory(others)


def _claims(one: Course | Odds, text: str, measure: str, about: dict[str, tuple]) -> list[Claim]:
    """By what stands behind the text: the values, and what is predicted."""
    return [
        one.measured.claim(f"{text}, {what}", measure, values, one.tied, **predicted)
        for what, (values, predicted) in about.items()
    ]


def expected(tied: bool, table: Table, holds: bool) -> tuple[str, str, float]:
    """What is predicted of a pair's ratio to the clock: in words, the side, and of which margin."""
    if not tied and table == "input":
        return "on the clock or faster", "under", ON_CLOCK
    return ("faster", "under", 1.0) if holds else ("slower", "over", 1.0)


def odds_claims(made: Sequence[Odds], swept: Sequence[Swept]) -> tuple[list[Claim], list[Claim]]:
    """What is predicted of each gap, and what else stands beside it (exploratory)."""
    primary, others = [], []
    for one in (one for one in made if one.gaps is not None):  # of the others only the bound
        law = aim("under", ON_LAW, told=f"within {ON_LAW:g} nats of log-odds {one.odds:.3f}")
        off = np.abs(one.shortfall)
        about = {
            "distance of the gap from the log-odds": (off, law),
            "the same of trials that learned": (off[one.learned], law),
            "log-odds minus gap": (one.shortfall, {}),
            "greatest minus least gap over contexts": (one.spread, {}),
        }
        text = f"{one.label}, {tie_of(one.tied)}: {one.words}"
        first, *rest = _claims(one, text, "difference", about)
        primary.append(first)
        others += rest
    for label, measured in {one.label: one.measured for one in made}.items():
        apart = [p for p in paper_predictions(measured.task) if not p.merges]
        bounds = [log_odds_law(measured, p) for p in apart]
        others += [replace(claim, text=f"{label}, {claim.text}") for claim in bounds]
    return primary + decay_claims(swept), exploratory(others)


def decay_claims(swept: Sequence[Swept]) -> list[Claim]:
    """Without decay the gap ends nearer to the log-odds than under the highest decay, by seed."""
    claims = []
    for expectation in dict.fromkeys(own.expectation for own, _ in swept):
        points = [point for point in swept if point[0].expectation == expectation]
        ends = [pick(points, key=lambda point: point[0].weight_decay) for pick in (min, max)]
        low, high = (f"{own.weight_decay:g}" for own, _ in ends)
        obstacle = " ".join(
            f"The gaps at weight decay {own.weight_decay:g} are not stored, or not to the end; "
            f"`semantica run {SWEEP}` trains them."
            for own, result in ends
            if result is None or result.logit_gap is None or not result.complete
        )
        about = aim("over", 0.0, told=f"distance at {high} minus that at {low} over 0")
        for tied in BOTH:
            near, far = (_off(result, tied) for _, result in ends)
            gain = (far - near).to_numpy()
            text = f"{expectation} loss, {tie_of(tied)}: nearer to the log-odds at decay {low}"
            about |= {"failed": int(np.isnan(gain).sum()), "obstacle": obstacle}
            text += f" than at {high}"
            claims.append(Claim(text, measure="difference", values=finite(gain), **about))
    return claims


def _off(result: Result | None, tied: bool) -> pd.Series:
    """How far the gap ends from the log-odds, of the first pair of unequal odds, by seed."""
    for one in odds_of([Source("", result)] if result else []):
        if one.tied == tied and one.odds > 0:
            return pd.Series(np.abs(one.shortfall), one.measured.trials[tied].seeds, dtype=float)
    return pd.Series(dtype=float)
