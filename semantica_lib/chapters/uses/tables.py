"""Rows and uses: tables, and what came out in words by the verdicts, as Markdown."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import SynonymPair, tie_of
from semantica_lib.analysis.markdown import (
    NONE,
    UNTRAINED,
    counted,
    geometric,
    lettered,
    mean,
    pair_name,
    table_of,
)
from semantica_lib.analysis.second_round import OURS, UNDECIDED
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import outcomes, primary_rows
from semantica_lib.chapters.uses import measures
from semantica_lib.chapters.uses.claims import ALIKE
from semantica_lib.chapters.uses.figures import there
from semantica_lib.chapters.uses.measures import label
from semantica_lib.figures.facts import listing, whose

FIXED = "4f0acb3047"  # the commit in which the predictions were fixed
# The kinds of primary claims by the words that they end with, and what each says.
KINDS = {
    "are used alike": "Synonyms are used alike",
    "have nothing between them": "Nothing lies between two synonyms' rows",
    "are used less alike tied than untied": "Tying costs likeness where the DH fails",
}


def _name(point: Point, pair: SynonymPair, tied: bool) -> str:
    return f"{label(point)}, {tie_of(tied)}, {pair_name(pair[:2])}"


def _where(
    point: Point, measured: Measured, pair: SynonymPair, tied: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Of trials that know the bit whether a pair has one row, and whether it has one use."""
    seeds = measures.knowing(measured, tied)
    near = measures.distance(measured, tied, pair[:2])[seeds] < MERGE_MARGIN
    return near, measures.over_control(point, measured, tied, pair[:2])[seeds] < ALIKE


def ends(found: Sequence[Point]) -> str:
    """How near two rows are and how alike they are used at the end, a row a pair and a tie."""
    rows = [
        {
            "pair": _name(point, pair, tied),
            "DH": "holds" if pair.conditionally_equivalent else "fails",
            "know the bit": f"{len(seeds)} of {len(about[0].trials[tied].seeds)}",
            "row: over clock": geometric(measures.over_clock(*about)[seeds]),
            "row: over control": geometric(measures.distance(*about)[seeds]),
            "use, nats": geometric(measures.divergence(point, *about)[seeds]),
            "use: over control": geometric(measures.over_control(point, *about)[seeds]),
            "half way costs, nats": mean(measures.between(point, *about)[seeds]),
        }
        for point, measured, pair in there(found)
        for tied in BOTH
        for about, seeds in [((measured, tied, pair[:2]), measures.knowing(measured, tied))]
    ]
    return table_of(rows, UNTRAINED)


def quarters(found: Sequence[Point]) -> str:
    """How many trials that know the bit have one row or two, one use or two, a row a pair."""
    rows = [
        {
            "pair": _name(point, pair, tied),
            "one row, one use": counted(near & alike),
            "two rows, one use": counted(~near & alike),
            "one row, two uses": counted(near & ~alike),
            "two rows, two uses": counted(~near & ~alike),
        }
        for point, measured, pair in there(found)
        for tied in BOTH
        for near, alike in [_where(point, measured, pair, tied)]
    ]
    return table_of(rows, UNTRAINED)


listed = listing(label)


def says(frame: pd.DataFrame) -> str:
    """What came out of every kind of prediction, a line each, by the verdicts."""
    primary = primary_rows(frame)
    lines, bold = [], {OURS[1]: "**not as predicted**"}
    for words, meaning in KINDS.items():
        rows = primary[primary.claim.str.endswith(words)]
        parts = []
        for verdict in (*OURS, UNDECIDED):
            claims = rows.claim[rows.verdict == verdict].str.removesuffix(f" {words}")
            told = f"{bold.get(verdict, verdict)}: {'; '.join(map(lettered, claims))}"
            parts += [told] if len(claims) else []
        others = len(rows) - rows.verdict.isin([*OURS, UNDECIDED]).sum()
        parts += [f"{others} of too few trials for a verdict"] if others else []
        lines += [f"- **{meaning}**: {', and '.join(parts)}."] if len(rows) else []
    return "\n".join(lines) or UNTRAINED


def answer(found: Sequence[Point], frame: pd.DataFrame) -> str:
    """Whether the claim is about rows or about uses, and what came out."""
    if not (source := next((point.result for point in found if point.result), None)):
        return f"Whether claim 1 is about rows or about uses is to come: {NONE}."
    told = f"Of {len(primary_rows(frame))} predictions {outcomes(frame)}."
    return f"In the results {whose(source)}, {_alike(found)} {told}"


def _alike(found: Sequence[Point]) -> str:
    """In how many trials a pair for which the DH fails is used alike, and has merged."""
    told = []
    for tied in BOTH:
        fails = (one for one in there(found) if not one[2].conditionally_equivalent)
        where = [np.zeros((2, 0), bool), *(np.array(_where(*one, tied)) for one in fails)]
        near, alike = np.concatenate(where, 1)
        told.append(
            f"{counted(alike)} {tie_of(tied)} trials use them alike, and {counted(near)} have one "
            "row for both"
        )
    which = "of the trials, in whichever task, that know over half of the bit"
    return f"where the DH fails for two synonyms, {'; '.join(told)} ({which})."
