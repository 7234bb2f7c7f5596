"""What the sweep over symbols that almost mean the same claims.

The predictions follow from :mod:`semantica_lib.chapters.near.theory` and from the decay clock,
and were written down before any result of the sweep was looked at. Primary are few; of the points
at which less than 0.25 nats can be learned little is predicted, for there hardly anything is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import MERGE_MARGIN, STRONG, exploratory
from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, PLACES, TIED, Place, Point, name_of
from semantica_lib.chapters.near.measures import SMALL, Key, Near, words
from semantica_lib.chapters.near.theory import LIARS, MIRROR, NEAR, input_law, output_law

HALF_WAY = (0.25, 0.75)  # what counts as about half of the control's distance


def near_claims(found: Sequence[Point]) -> tuple[list[Claim], list[Claim]]:
    """The claims of the sweep, the primary ones and the exploratory ones; none without a result."""
    near = Near(found)
    if not near.measured:
        return [], []
    none, some, most = (STRONG, 0.0), (STRONG, max(SMALL)), (STRONG, 0.5)
    kept = (0.0, 0.0)
    primary = [
        _merge(near, none, INPUT, NEAR),
        _merge(near, none, OUTPUT, NEAR),
        _merge(near, kept, INPUT, NEAR, side="over"),
        _merge(near, some, INPUT, NEAR),
        _trend(near, STRONG, INPUT, NEAR, near.telling, "over"),
        _trend(near, STRONG, OUTPUT, NEAR, near.telling, "over"),
        _sooner(near, STRONG),
        _merge(near, most, INPUT, LIARS, learners=True),
        _merge(near, most, OUTPUT, LIARS, learners=True),
        _half_way(near, most, INPUT),
    ]
    return primary, exploratory(_others(near, none, some, kept, most))


def _others(near: Near, none: Key, some: Key, kept: Key, most: Key) -> list[Claim]:
    merges = [(none, INPUT, "under"), (none, OUTPUT, "under"), (some, INPUT, "under"),
              (kept, INPUT, "over"), (none, TIED, "under")]  # fmt: skip
    claims = [_merge(near, none, TIED, NEAR), _half_way(near, most, OUTPUT)]
    for key, place, side in merges:
        claims += [
            _merge(near, key, place, NEAR, side, learners=True),
            _merge(near, key, place, NEAR, side, usual=True),
            _merge(near, key, place, MIRROR, side),
        ]
    claims += [_merge(near, most, place, LIARS) for place in (INPUT, OUTPUT)]
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
    return claims


def _merge(
    near: Near, key: Key, place: Place, pair: Pair, side: str = "under", learners: bool = False,
    usual: bool = False,
) -> Claim:  # fmt: skip
    """That a pair is under the margin of a merge, or over it."""

    def found() -> pd.Series:
        ratio = near.ratio(key, place, pair, usual)
        return near.learners(key, place[0], ratio) if learners else ratio

    verb = "merge" if side == "under" else "stay apart"
    text = f"{words(*key)}: {name_of(place)}: {pair[0]} and {pair[1]} {verb}{_only(learners)}"
    text += ", the usual control pairs" * usual
    start = near.change(key, place, pair) if side == "under" and key in near.measured else None
    of = " of a control pair's distance" if usual else " of the distance of 0 and 2"
    claim = near.claim(text, "ratio", [key], place, found, side, MERGE_MARGIN, of)
    if start is None or usual:
        return claim
    chosen = near.learners(key, place[0], start) if learners else start
    return replace(claim, change=chosen.dropna().to_numpy())


def _trend(
    near: Near, decay: float, place: Place, pair: Pair, rates: Sequence[float], side: str = ""
) -> Claim:
    """That the distance grows with q: the rank correlation, a number a seed."""
    text = (
        f"decay {decay:g}: {name_of(place)}: {pair[0]} and {pair[1]} part as q grows, "
        f"q {', '.join(f'{q:g}' for q in rates)} (rank correlation)"
    )
    keys = [(decay, q) for q in rates]
    return near.claim(
        text, "difference", keys, place, lambda: near.trend(decay, place, pair, rates), side,
        0.0 if side else np.nan,
    )  # fmt: skip


def _sooner(near: Near, decay: float, learners: bool = False) -> Claim:
    text = f"decay {decay:g}: 0 and 1 part further in the untied output than in the input table"
    text += f", q {', '.join(f'{q:g}' for q in SMALL)}{_only(learners)}"
    keys = [(decay, q) for q in SMALL]
    found = lambda: near.sooner(decay, learners)  # noqa: E731
    return near.claim(text, "ratio", keys, INPUT, found, "over", 1.0, " times the input's share")


def _half_way(near: Near, key: Key, place: Place) -> Claim:
    """That symbol 1, which says nothing, is half as far from 0 as 2 is: of trials that learned."""
    low, high = HALF_WAY

    def found() -> np.ndarray:
        ratio = near.learners(key, place[0], near.ratio(key, place, NEAR)).dropna()
        return ((ratio > low) & (ratio < high)).to_numpy(bool)

    text = f"{words(*key)}: {name_of(place)}: 1 lies half way between 0 and 2{_only(True)}"
    what = f" of the seeds: 0 and 1 at {low:g} to {high:g} of the distance of 0 and 2"
    return near.claim(text, "share", [key], place, found, "over", 0.5, what)


def _to_law(near: Near, key: Key, place: Place) -> Claim:
    """The ratio measured over that of the law (a tied table's: the input's), of learners."""
    bits = near.points[key].settings.bits
    law = output_law(key[1], NEAR, bits) if place == OUTPUT else input_law(key[1], NEAR)
    text = f"{words(*key)}: {name_of(place)}: 0 and 1, distance over the law's {law:.3g} of that "
    text += f"of 0 and 2{_only(True)}"
    found = lambda: near.learners(key, place[0], near.ratio(key, place, NEAR)) / law  # noqa: E731
    return near.claim(text, "ratio", [key], place, found)


def _cost(near: Near, key: Key) -> Claim:
    text = f"{words(*key)}: what tying costs in accuracy (untied minus tied)"
    measured = near.measured.get(key)
    if measured is None:
        return near.claim(text, "difference", [key], TIED, lambda: ())
    return measured.claim(text, "difference", measured.untied_minus_tied("accuracy"), False, True)


def _only(learners: bool) -> str:
    return ", trials that learned only" * learners
