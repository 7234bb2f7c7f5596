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
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis import claims
from semantica_lib.analysis.claims import ON_CLOCK, ON_LAW, STRONG, Side, aim, claim_of, merging
from semantica_lib.analysis.distances import tie_of
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED, Place, name_of
from semantica_lib.analysis.theory import Prediction
from semantica_lib.chapters.phase.measures import MARGINS, PAIR, Quantity, Spot, by_decay

EQUAL, FORBIDDEN, UNEQUAL = 0.5, 0.8, 0.99  # the p that are judged
KNOWN = 0.9
LEARNED = ", learned trials only"
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
    decays = by_decay(spots)
    beside = max((decay for decay in decays if decay < STRONG), default=None)
    for own in decays.values():
        primary.append(_clock(own, sweep))
        others.append(_clock(own, sweep, learners=True))
    for spot in spots:
        if spot.p in (EQUAL, UNEQUAL):
            merges = False if spot.decay < STRONG else None
            (primary if spot.decay == beside else others).append(_apart(spot, INPUT, sweep, merges))
        for place in (OUTPUT, TIED):
            if spot.p == FORBIDDEN or (spot.p == EQUAL and spot.decay == STRONG):
                merges = spot.p == EQUAL
                primary.append(_apart(spot, place, sweep, merges))
                others.append(_apart(spot, place, sweep, merges, learners=True))
            elif spot.p in (EQUAL, UNEQUAL):
                others.append(_apart(spot, place, sweep, None))
            if spot.p in (EQUAL, FORBIDDEN, UNEQUAL):
                (others if spot.decay else primary).append(_law(spot, place[0], sweep))
    for side, at in (("under", (EQUAL,)), ("over", COSTLY)):
        primary.append(_cost(spots, at, side, sweep, "loss"))
        others.append(_cost(spots, at, side, sweep, "accuracy"))
        for own in decays.values():
            others += [_cost(own, at, side, sweep, quantity) for quantity in MARGINS]
    return primary, claims.exploratory(others + _learning(decays))


def _claim(spot: Spot, sweep: str, text: str, values: Any, tied: bool, **rest: Any) -> Claim:
    absent = f"There is no complete result; `semantica run {sweep}` trains it."
    of = [(spot.measured, (tied,))]
    return claim_of(of, f"{spot.label}: {text}", values=values, absent=absent, **rest)


def _on_means(own: Sequence[Spot], sweep: str, means: pd.Series, text: str, **rest: Any) -> Claim:
    """On the means over these points, by seed."""
    lacks = sum(spot.measured is None for spot in own)
    words = f"{lacks} of {len(own)} points have no complete result; `semantica run {sweep}`"
    obstacle = f"{words} trains them." if lacks else ""
    values, failed = means.dropna().to_numpy(float), int(means.isna().sum())
    return Claim(text, values=values, failed=failed, obstacle=obstacle, **rest)


def _clock(spots: Sequence[Spot], sweep: str, learners: bool = False) -> Claim:
    """The distance over the clock's at one decay, each seed's geometric mean over the p.

    Single seeds stray from the clock; of learners the mean is over the p at which a seed learns.
    """
    own, logs = [spot for spot in spots if spot.p != KNOWN], {}
    for spot in (spot for spot in own if spot.measured is not None):
        ends, learned = spot.ends(INPUT), spot.measured.learned[False]
        seeds = learned.index[learned] if learners else learned.index
        logs[spot.label] = np.log(ends.distance / ends.law).reindex(seeds)
    means = np.exp(pd.DataFrame(logs).mean(axis=1, skipna=learners))
    text = f"decay {own[0].decay:g}, mean over all p but {KNOWN:g}: untied input: 0 and 1, distance"
    text += " over the clock's" + LEARNED * learners
    return _on_means(own, sweep, means, text, measure="ratio", **aim("under", ON_CLOCK))


def _apart(
    spot: Spot, place: Place, sweep: str, merges: bool | None, learners: bool = False
) -> Claim:
    verb = {True: ", predicted to merge", False: ", predicted to stay apart", None: ""}[merges]
    text, note = f"{name_of(place)}: 0 and 1{verb}", LEARNED * learners
    if spot.measured is not None:
        p = Prediction(f"{spot.label}: {text}", *place, PAIR, merges)
        return spot.measured.pair(p, note, learners=learners)
    return _claim(spot, sweep, text + note, (), place[0], measure="ratio", **merging(merges))


def _law(spot: Spot, tied: bool, sweep: str) -> Claim:
    """As the chapter on the law judges it: the mean of each seed's distance from the log-odds."""
    text = f"{tie_of(tied)}: distance of the logits' gap from the log-odds"
    law = aim("under", ON_LAW, told=f"within {ON_LAW:g} nats of {spot.log_odds:.3f}")
    off = np.abs(spot.gap(tied) - spot.log_odds)
    return _claim(spot, sweep, text, off, tied, measure="difference", **law)


def _cost(
    spots: Sequence[Spot], at: Sequence[float], side: Side, sweep: str, quantity: Quantity
) -> Claim:
    """What tying costs at these p, each seed's mean over them and over the decays."""
    own, margin = [spot for spot in spots if spot.p in at], MARGINS[quantity]
    costs = {spot.label: spot.cost(quantity) for spot in own if spot.measured is not None}
    means = pd.DataFrame(costs).mean(axis=1, skipna=False)
    decays = {spot.decay for spot in own}
    where = f"decay {decays.pop():g}" if len(decays) == 1 else "mean over the decays"
    what, unit = ("cross-entropy", " nats") if quantity == "loss" else (quantity, "")
    text = f"p {', '.join(f'{p:g}' for p in at)}, {where}: what tying costs in {what}"
    law = aim(side, margin, unit)
    return _on_means(own, sweep, means, text, measure="difference", **law)


def _learning(decays: dict[float, list[Spot]]) -> list[Claim]:
    """Whether more trials learn of equals than of the least equal: nothing is predicted."""
    made = []
    for decay, own in decays.items():
        by = {spot.p: spot.measured.learned for spot in own if spot.measured is not None}
        for tied in claims.BOTH if {EQUAL, UNEQUAL} <= set(by) else ():
            more = f"learned by more trials at p {UNEQUAL:g} than at {EQUAL:g}"
            text = f"decay {decay:g}, {tie_of(tied)}: {more}"
            made.append(claims.more_learn(text, by[EQUAL][tied], by[UNEQUAL][tied]))
    return made
