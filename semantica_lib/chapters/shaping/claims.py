"""What is claimed of who shapes a tied table.

The predictions were written down before any stored result's tables had been compared.
"""

from collections.abc import Sequence

import numpy as np

from semantica_lib.analysis.claims import BOTH, Measured, aim, claim_of, exploratory
from semantica_lib.analysis.markdown import title
from semantica_lib.analysis.procrustes import jackknifed
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping import measures
from semantica_lib.chapters.shaping.measures import EARLY, LATE, Nearness, pulls, ratios
from semantica_lib.settings.catalogue import MlmSettings, run_command

TEXT = "the tied table is nearer to the untied output than to the untied input table"
NEARER = aim("under", 1.0, told="output over input residual under 1")
WHOSE = {False: "of the same seed", True: "of other seeds"}
WHEN = {
    measures.early: f"first {EARLY:,} steps",
    measures.late: f"after the first {LATE:.0%} of the steps",
}
UNMEASURED = (
    "The result was stored before gradients were measured; `{command} --fresh` trains it anew."
)
NO_RESULT = "There is no result yet; `semantica run` with the sweep's name trains it."


def alignment_claims(found: Sequence[Nearness]) -> list[Claim]:
    """The primary claims: two an experiment of ``EXPERIMENTS``, whatever there is of it."""
    by = {near.name: near for near in found}
    return [
        _nearer(by.get(name), name, whose, ratios(by[name], others) if name in by else ())
        for name in measures.EXPERIMENTS
        for others, whose in WHOSE.items()
    ]


def alignment_others(found: Sequence[Nearness], few: Sequence[Nearness]) -> list[Claim]:
    """Exploratory: relative to chance; of fewer rows; of trials that learned."""
    claims = []
    for near, fewer in zip(found, few, strict=True):
        what = "words alone" if isinstance(near.settings, MlmSettings) else "symbols of bits alone"
        about = {}
        for others, whose in WHOSE.items():
            about[f"{whose}, relative to chance"] = ratios(near, others, per_chance=True)
            about[f"{whose}, {what}"] = ratios(fewer, others)
        if near.class_of_row is not None:
            logs = np.log(near.of_one_class("output") / near.of_one_class("input"))
            added = f"{WHOSE[True]}, words of one class in both seeds (added later)"
            about[added] = np.exp(jackknifed(logs))
        if not near.learned.all():
            about[f"{WHOSE[False]}, learned trials only"] = ratios(near, False)[near.learned]
        claims += [_nearer(near, near.name, words, values) for words, values in about.items()]
    return exploratory(claims)


def _nearer(near: Nearness | None, name: str, words: str, values: np.ndarray) -> Claim:
    of, text = near.of if near else None, f"{title(name)}: {TEXT}, {words}"
    absent = f"There is no complete result; `semantica run {name}` trains it."
    return claim_of([(of, BOTH)], text, "ratio", values, absent, **NEARER)


def gradient_claims(found: Sequence[Point]) -> list[Claim]:
    """The primary claims, one for each of ``CHOSEN``, whatever is trained of it."""
    points = measures.chosen(found)
    return [_over_half(p, point, True, measures.early) for p, point in points.items()]


def gradient_others(found: Sequence[Point]) -> list[Claim]:
    """Exploratory: later, untied, of trials that learned; and whether the two uses agree.

    That is, whether the two gradients of a tied table point more the same way where the DH holds.
    """
    claims, cosines, points = [], {}, measures.chosen(found)
    for p, point in points.items():
        if got := pulls(point, True):
            cosines[p] = measures.late(got.cosine)
            claims += [
                _over_half(p, point, True, measures.late),
                _over_half(p, point, False, measures.early),
                _over_half(p, point, False, measures.late),
                _over_half(p, point, True, measures.early, learners=True),
                _over_half(p, point, True, measures.late, learners=True),
            ]
    holds, *fail = measures.CHOSEN
    for p in (p for p in fail if holds in cosines and p in cosines):
        text = f"cosine between the tied table's two gradients, late, p = {holds:g} minus {p:g}"
        values, of = cosines[holds] - cosines[p], Measured(points[p].result)
        claims.append(of.claim(text, "difference", values, True, **aim("over", 0.0)))
    return exploratory(claims)


def _over_half(
    p: float, point: Point | None, tied: bool, when: measures.When, learners: bool = False
) -> Claim:
    """That the output has more than half of the gradient."""
    whose = "tied table's gradient" if tied else "untied tables' gradients"
    text = f"p = {p:g}: the output's share of the {whose}, {WHEN[when]}"
    text += ", learned trials only" * learners
    of = Measured(point.result) if point and point.result else None
    values, why, got = (), "", pulls(point, tied)
    if got:
        values = when(got.share)
        if learners:
            values = values[of.learned[tied].reindex(values.index, fill_value=False)]
    elif of:
        own = f"{run_command(point.settings)} --set 'seeds={list(point.settings.seeds)}'"
        why = UNMEASURED.format(command=own)
    half = aim("over", 0.5)
    return claim_of([(of, (tied,))], text, "difference", values, NO_RESULT, why, **half)
