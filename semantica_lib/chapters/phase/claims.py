"""What is claimed of the plane of the sweep *phase*.

The predictions follow from the decay clock and the log-odds law (the chapter on theory). Of the
plane four points were known when they were written down, those of ``p = 0.9`` at the decays 0,
0.001, 0.01 and 0.1, from the sweep *closing* and the main experiment: they are in no primary claim,
but told how long ``h`` is and how far apart control pairs end, and so from which p on the law
forbids a merge; that single seeds stray from the clock, so that the mean over many p is judged; and
that at decay 0.1 the clock leaves about a tenth of a control pair's distance, since that shrinks
too, so that nothing is predicted of that margin there.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import (
    BOTH,
    MERGE_MARGIN,
    ON_CLOCK,
    ON_LAW,
    STRONG,
    exploratory,
    more_learn,
    tie_of,
)
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED, Place, name_of
from semantica_lib.analysis.theory import Prediction
from semantica_lib.chapters.phase.measures import (
    MARGINS,
    PAIR,
    Quantity,
    Spot,
    decays_of,
)

EQUAL, FORBIDDEN, UNEQUAL = 0.5, 0.8, 0.99  # the p that are judged
KNOWN = 0.9
COSTLY = (0.94, 0.97, 0.99)  # over 0.9, and not known before


def phase_claims(spots: Sequence[Spot], sweep: str) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep, the primary ones and the exploratory ones.

    A region of the plane is judged at its edges. Primary are of untied inputs the clock at every
    decay, and that they stay apart at the highest decay under the paper's; of outputs, untied and
    tied, the merge of equals at the paper's decay and staying apart at the least p at which the
    law forbids a merge at every decay; the log-odds law without decay; and what tying costs, the
    mean over the decays, of equals and of the least equal.
    """
    primary, others = [], []
    decays = decays_of(spots)
    for decay in decays:
        own = [spot for spot in spots if spot.decay == decay]
        primary.append(_clock(own, sweep))
        others.append(_clock(own, sweep, learners=True))
    for spot in spots:
        if spot.p in (EQUAL, UNEQUAL):
            beside = spot.decay == max((d for d in decays if d < STRONG), default=None)
            claims = primary if beside else others
            claims.append(_apart(spot, INPUT, sweep, False if spot.decay < STRONG else None))
        for place in (OUTPUT, TIED):
            if spot.p == FORBIDDEN or (spot.p == EQUAL and spot.decay == STRONG):
                merges = spot.p == EQUAL
                primary.append(_apart(spot, place, sweep, merges))
                others.append(_apart(spot, place, sweep, merges, learners=True))
            elif spot.p in (EQUAL, UNEQUAL):
                others.append(_apart(spot, place, sweep, None))
            if spot.p in (EQUAL, FORBIDDEN, UNEQUAL):
                claims = others if spot.decay else primary
                claims.append(_law(spot, place[0], sweep))
    primary += [_cost(spots, (EQUAL,), "under", sweep), _cost(spots, COSTLY, "over", sweep)]
    for side, at in (("under", (EQUAL,)), ("over", COSTLY)):
        others.append(_cost(spots, at, side, sweep, "accuracy"))
        for decay in decays:
            own = [spot for spot in spots if spot.decay == decay]
            others += [_cost(own, at, side, sweep, quantity) for quantity in MARGINS]
    return primary, exploratory(others + _learning(spots))


def _claim(spot: Spot, sweep: str, text: str, measure: Any, values: np.ndarray, tied: bool,
           **rest: Any) -> Claim:  # fmt: skip
    text = f"{spot.label}: {text}"
    if spot.measured is None:
        obstacle = f"There is no complete result; `semantica run {sweep}` trains it."
        return Claim(text, measure=measure, values=np.empty(0), obstacle=obstacle, **rest)
    return spot.measured.claim(text, measure, values, tied, **rest)


def _clock(spots: Sequence[Spot], sweep: str, learners: bool = False) -> Claim:
    """The distance over the clock's at one decay, each seed's geometric mean over the p.

    Single seeds stray from the clock; of learners the mean is over the p at which a seed learns.
    """
    own = [spot for spot in spots if spot.p != KNOWN]
    logs = pd.DataFrame({s.label: _over_clock(s, learners) for s in own if s.measured is not None})
    means = logs.mean(axis=1, skipna=learners)
    return Claim(
        f"decay {own[0].decay:g}, mean over all p but {KNOWN:g}: untied input: 0 and 1, distance "
        "over the clock's"
        + ", learned trials only" * learners,
        f"under {ON_CLOCK:g}", "ratio", np.exp(means.dropna().to_numpy(float)), "under", ON_CLOCK,
        int(means.isna().sum()), _lacks(own, sweep),
    )  # fmt: skip


def _over_clock(spot: Spot, learners: bool) -> pd.Series:
    seeds, learned = spot.measured.trials[False].seeds, spot.measured.learned[False]
    logs = pd.Series(np.log(spot.distance(INPUT) / spot.law(INPUT)), seeds, dtype=float)
    return logs.reindex(learned.index[learned] if learners else learned.index)


def _lacks(own: Sequence[Spot], sweep: str) -> str:
    """Which part of these points has no result; empty if none."""
    lacks = sum(spot.measured is None for spot in own)
    words = f"{lacks} of {len(own)} points have no complete result; `semantica run {sweep}`"
    return f"{words} trains them." if lacks else ""


def _apart(
    spot: Spot, place: Place, sweep: str, merges: bool | None, learners: bool = False
) -> Claim:
    side = {True: "under", False: "over", None: ""}[merges]
    verb = {True: ", predicted to merge", False: ", predicted to stay apart", None: ""}[merges]
    text = f"{name_of(place)}: 0 and 1{verb}"
    if spot.measured is not None:
        p = Prediction(f"{spot.label}: {text}", *place, PAIR, merges)
        return spot.measured.pair(p, ", learned trials only" * learners, learners=learners)
    predicted = f"{side} {MERGE_MARGIN:.2f} of a control pair's distance" if side else "none"
    return _claim(
        spot, sweep, text + ", learned trials only" * learners, "ratio", np.empty(0), place[0],
        side=side, margin=MERGE_MARGIN if side else np.nan, prediction=predicted,
    )  # fmt: skip


def _law(spot: Spot, tied: bool, sweep: str) -> Claim:
    """As the chapter on the law judges it: the mean of each seed's distance from the log-odds."""
    return _claim(
        spot, sweep, f"{tie_of(tied)}: distance of the logits' gap from the log-odds", "difference",
        np.abs(spot.gap(tied) - spot.log_odds), tied, side="under", margin=ON_LAW,
        prediction=f"within {ON_LAW:g} nats of {spot.log_odds:.3f}",
    )  # fmt: skip


def _cost(
    spots: Sequence[Spot], at: Sequence[float], side: Literal["under", "over"], sweep: str,
    quantity: Quantity = "loss",
) -> Claim:  # fmt: skip
    """What tying costs at these p, each seed's mean over them and over the decays."""
    own = [spot for spot in spots if spot.p in at]
    decays, there = {spot.decay for spot in own}, [s for s in own if s.measured is not None]
    costs = pd.DataFrame({spot.label: spot.cost(quantity) for spot in there}).mean(
        axis=1, skipna=False
    )
    words = f"decay {decays.pop():g}" if len(decays) == 1 else "mean over the decays"
    unit = " nats" if quantity == "loss" else ""
    what = "cross-entropy" if quantity == "loss" else quantity
    return Claim(
        f"p {', '.join(f'{p:g}' for p in at)}, {words}: what tying costs in {what}",
        f"{side} {MARGINS[quantity]:g}{unit}", "difference", costs.dropna().to_numpy(float), side,
        MARGINS[quantity], int(costs.isna().sum()), _lacks(own, sweep),
    )  # fmt: skip


def _learning(spots: Sequence[Spot]) -> list[Claim]:
    """Whether more trials learn of equals than of the least equal: nothing is predicted."""
    by, claims = {(s.decay, s.p): s.measured for s in spots if s.measured is not None}, []
    for decay in decays_of(spots):
        ends = by.get((decay, EQUAL)), by.get((decay, UNEQUAL))
        for tied in BOTH if all(ends) else ():
            text = f"decay {decay:g}, {tie_of(tied)}: learned by more trials at p {UNEQUAL:g} than"
            learned = (measured.learned[tied] for measured in ends)
            claims.append(more_learn(f"{text} at {EQUAL:g}", *learned))
    return claims
