"""What the sweep over symbols that almost mean the same claims.

The predictions follow from :mod:`semantica_lib.chapters.near.theory` and from the decay clock, and
were written down before any result of the sweep was looked at. Primary are few; of the points at
which less than 0.25 nats can be learned little is predicted, for there hardly anything is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from semantica_lib.analysis.claims import MERGE_MARGIN, STRONG, Side, aim, claim_of, exploratory
from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.statistics import Claim, finite
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, PLACES, TIED, Place, Point, name_of
from semantica_lib.chapters.near.measures import SMALL, Key, Near, words
from semantica_lib.chapters.near.theory import LIARS, MIRROR, NEAR, input_law, output_law

HALF_WAY = (0.25, 0.75)  # what counts as about half of the control's distance
NONE, SOME, MOST = (STRONG, 0.0), (STRONG, max(SMALL)), (STRONG, 0.5)  # decay and q
KEPT = (0.0, 0.0)
MERGES = (
    (NONE, INPUT, "under"),
    (NONE, OUTPUT, "under"),
    (SOME, INPUT, "under"),
    (KEPT, INPUT, "over"),
    (NONE, TIED, "under"),
)


def near_claims(found: Sequence[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep, the primary ones and the exploratory ones; none without a result."""
    near = Near(found)
    if not near.measured:
        return [], []
    primary = [
        _merge(near, NONE, INPUT, NEAR),
        _merge(near, NONE, OUTPUT, NEAR),
        _merge(near, KEPT, INPUT, NEAR, side="over"),
        _merge(near, SOME, INPUT, NEAR),
        _trend(near, STRONG, INPUT, NEAR, near.telling, **aim("over", 0.0)),
        _trend(near, STRONG, OUTPUT, NEAR, near.telling, **aim("over", 0.0)),
        _sooner(near, STRONG),
        _merge(near, MOST, INPUT, LIARS, learners=True),
        _merge(near, MOST, OUTPUT, LIARS, learners=True),
        _half_way(near, MOST, INPUT),
    ]
    claims = [_merge(near, NONE, TIED, NEAR), _half_way(near, MOST, OUTPUT)]
    for key, place, side in MERGES:
        claims += [
            _merge(near, key, place, NEAR, side, learners=True),
            _merge(near, key, place, NEAR, side, usual=True),
            _merge(near, key, place, MIRROR, side),
        ]
    claims += [_merge(near, MOST, place, LIARS) for place in (INPUT, OUTPUT)]
    claims.append(_sooner(near, STRONG, learners=True))
    claims += [
        _trend(near, decay, place, pair, rates)
        for decay in near.decays
        for place in PLACES
        for pair in (NEAR, MIRROR, LIARS)
        for rates in (near.telling, near.rates)
    ]
    for key in near.points:
        claims += [_to_law(near, key, place) for place in PLACES if key[1] > 0]
        claims.append(_cost(near, key))
    return primary, exploratory(claims)


def _claim(
    near: Near, text: str, measure: str, keys: Sequence[Key], tied: bool, values: Any, **about: Any
) -> Claim:
    """A claim about these points: without values unless all have a result."""
    absent = [words(*key) for key in keys if key not in near.measured]
    trials = {key: near.measured[key].trials[tied] for key in keys if not absent}
    lacks = [near.measured[key].lacks((tied,)) for key in trials]
    if not trials:
        lacks = [f"No result yet of: {'; '.join(absent)}." if keys else "No point tells of it."]
    values = finite(values if trials else ()).astype(bool if measure == "share" else float)
    return claim_of(trials, next(filter(None, lacks), ""), text, measure, values, *trials, **about)


def _merge(
    near: Near,
    key: Key,
    place: Place,
    pair: Pair,
    side: Side = "under",
    learners: bool = False,
    usual: bool = False,
) -> Claim:
    """That a pair is under the margin of a merge, or over it."""
    verb = "merge" if side == "under" else "stay apart"
    text = f"{_about(key, place)}: {pair[0]} and {pair[1]} {verb}{_only(learners)}"
    text += ", the usual control pairs" * usual
    of = "a control pair's distance" if usual else "the distance of 0 and 2"
    predicted = aim(side, MERGE_MARGIN, f" of {of}")
    ratio = near.ratio(key, place, pair, usual, learners)
    claim = _claim(near, text, "ratio", [key], place[0], ratio, **predicted)
    if side == "over" or usual:
        return claim
    return replace(claim, change=near.change(key, place, pair, learners).dropna().to_numpy())


def _trend(
    near: Near, decay: float, place: Place, pair: Pair, rates: Sequence[float], **about: Any
) -> Claim:
    """That the distance grows with q: the rank correlation, a number a seed."""
    text = f"decay {decay:g}: {name_of(place)}: {pair[0]} and {pair[1]} part as q grows, "
    text += f"q {', '.join(f'{q:g}' for q in rates)} (rank correlation)"
    keys, trend = [(decay, q) for q in rates], near.trend(decay, place, pair, rates)
    return _claim(near, text, "difference", keys, place[0], trend, **about)


def _sooner(near: Near, decay: float, learners: bool = False) -> Claim:
    text = f"decay {decay:g}: 0 and 1 part further in the untied output than in the input table"
    text += f", q {', '.join(f'{q:g}' for q in SMALL)}{_only(learners)}"
    keys, times = [(decay, q) for q in SMALL], near.sooner(decay, learners)
    predicted = aim("over", 1.0, " times the input's share")
    return _claim(near, text, "ratio", keys, False, times, **predicted)


def _half_way(near: Near, key: Key, place: Place) -> Claim:
    """That symbol 1, which says nothing, is half as far from 0 as 2 is: of trials that learned."""
    low, high = HALF_WAY
    ratio = near.ratio(key, place, NEAR, learners=True).dropna()
    inside = ratio.between(low, high, inclusive="neither")
    text = f"{_about(key, place)}: 1 lies half way between 0 and 2{_only(True)}"
    of = f" of the seeds: 0 and 1 at {low:g} to {high:g} of the distance of 0 and 2"
    return _claim(near, text, "share", [key], place[0], inside, **aim("over", 0.5, of))


def _to_law(near: Near, key: Key, place: Place) -> Claim:
    """The ratio measured over that of the law (a tied table's: the input's), of learners."""
    bits = near.points[key].settings.bits
    law = output_law(key[1], NEAR, bits) if place == OUTPUT else input_law(key[1], NEAR)
    text = f"{_about(key, place)}: 0 and 1, distance over the law's {law:.3g} of that of 0 and 2"
    ratio = near.ratio(key, place, NEAR, learners=True) / law
    return _claim(near, text + _only(True), "ratio", [key], place[0], ratio)


def _cost(near: Near, key: Key) -> Claim:
    text = f"{words(*key)}: what tying costs in accuracy (untied minus tied)"
    measured = near.measured.get(key)
    if measured is None:
        return _claim(near, text, "difference", [key], True, ())
    return measured.claim(text, "difference", measured.untied_minus_tied("accuracy"), False, True)


def _about(key: Key, place: Place) -> str:
    return f"{words(*key)}: {name_of(place)}"


def _only(learners: bool) -> str:
    return ", trials that learned only" * learners
