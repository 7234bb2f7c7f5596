"""What is claimed of who shapes a tied table.

The predictions were written down before any stored result's tables had been compared.
"""

from collections.abc import Sequence

import numpy as np

from semantica_lib.analysis.claims import BOTH, Measured, aim, exploratory
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping import measures
from semantica_lib.chapters.shaping.measures import EARLY, LATE, Nearness, pulls, ratios
from semantica_lib.chapters.shaping.procrustes import jackknifed
from semantica_lib.settings.catalogue import MlmSettings, run_command

TEXT = "the tied table is nearer to the untied output than to the untied input table"
NEARER = {"side": "under", "margin": 1.0, "prediction": "output over input residual under 1"}
WHOSE = {False: "of the same seed", True: "of other seeds"}
HALF = 0.5
OVER_HALF = aim("over", HALF)
WHEN = {"early": f"first {EARLY:,} steps", "late": f"after the first {LATE:.0%} of the steps"}
UNMEASURED = (
    "The result was stored before gradients were measured; `{command} --fresh` trains it anew."
)


def alignment_claims(found: Sequence[Nearness]) -> list[Claim]:
    """The primary claims: two an experiment of ``EXPERIMENTS``, whatever there is of it."""
    by, claims = {near.name: near for near in found}, []
    for name in measures.EXPERIMENTS:
        why = f"There is no complete result; `semantica run {name}` trains it."
        for others, whose in WHOSE.items():
            text = f"{name}: {TEXT}, {whose}"
            if name in by:
                claims.append(_nearer(by[name], text, ratios(by[name], others)))
            else:
                empty = np.empty(0)
                claims.append(Claim(text, measure="ratio", values=empty, obstacle=why, **NEARER))
    return claims


def alignment_others(found: Sequence[Nearness], few: Sequence[Nearness]) -> list[Claim]:
    """Exploratory: relative to chance; of fewer rows; of trials that learned."""
    claims = []
    for near, fewer in zip(found, few, strict=True):
        text = f"{near.name}: {TEXT}"
        same, other = (f"{text}, {whose}" for whose in WHOSE.values())
        what = "words alone" if isinstance(near.settings, MlmSettings) else "symbols of bits alone"
        for others, told in ((False, same), (True, other)):
            chance = ratios(near, others, per_chance=True)
            claims.append(_nearer(near, f"{told}, relative to chance", chance))
            claims.append(_nearer(fewer, f"{told}, {what}", ratios(fewer, others)))
        if near.class_of_row is not None:
            logs = np.log(near.of_one_class("output") / near.of_one_class("input"))
            added = f"{other}, words of one class in both seeds (added later)"
            claims.append(_nearer(near, added, np.exp(jackknifed(logs))))
        if not near.learned.all():
            values = ratios(near, False)[near.learned]
            claims.append(_nearer(near, f"{same}, learned trials only", values))
    return exploratory(claims)


def _nearer(near: Nearness, text: str, values: np.ndarray) -> Claim:
    return near.of.claim(text, "ratio", values, *BOTH, **NEARER)


def gradient_claims(found: Sequence[Point]) -> list[Claim]:
    """The primary claims, one for each of ``CHOSEN``, whatever is trained of it."""
    return [_over_half(p, point, True, "early") for p, point in measures.chosen(found).items()]


def gradient_others(found: Sequence[Point]) -> list[Claim]:
    """Exploratory: later, untied, of trials that learned; and whether the two uses agree.

    That is, whether the two gradients of a tied table point more the same way where the DH holds.
    """
    claims, cosines, points = [], {}, measures.chosen(found)
    for p, point in points.items():
        if got := pulls(point, True):
            cosines[p] = got.late(got.cosine)
            claims += [
                _over_half(p, point, True, "late"),
                _over_half(p, point, False, "early"),
                _over_half(p, point, False, "late"),
                _over_half(p, point, True, "early", learners=True),
                _over_half(p, point, True, "late", learners=True),
            ]
    holds, *fail = measures.CHOSEN
    for p in (p for p in fail if holds in cosines and p in cosines):
        text = f"cosine between the tied table's two gradients, late, p = {holds:g} minus {p:g}"
        values, of = cosines[holds] - cosines[p], Measured(points[p].result)
        claims.append(of.claim(text, "difference", values.to_numpy(), True, **aim("over", 0.0)))
    return exploratory(claims)


def _over_half(
    p: float, point: Point | None, tied: bool, when: str, learners: bool = False
) -> Claim:
    """That the output has more than half of the gradient.

    Args:
        when: ``early`` or ``late``, as :class:`semantica_lib.chapters.shaping.measures.Pulls` has
            them.
    """
    whose = "tied table's gradient" if tied else "untied tables' gradients"
    text = f"p = {p:g}: the output's share of the {whose}, {WHEN[when]}"
    text, values = text + ", learned trials only" * learners, np.empty(0)
    if point is None or point.result is None:
        why = "There is no result yet; `semantica run` with the sweep's name trains it."
        return Claim(text, measure="difference", values=values, obstacle=why, **OVER_HALF)
    of, got, why = Measured(point.result), pulls(point, tied), ""
    if got is None:
        own = f"{run_command(point.settings)} --set 'seeds={list(point.settings.seeds)}'"
        why = UNMEASURED.format(command=own)
    else:
        shares = getattr(got, when)(got.share)
        if learners:
            shares = shares[of.learned[tied].reindex(shares.index, fill_value=False)]
        values = shares.to_numpy()
    return of.claim(text, "difference", values, tied, obstacle=why, **OVER_HALF)
