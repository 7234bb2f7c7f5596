"""Rows and uses: tables, and what came out in words by the verdicts, as Markdown."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN
from semantica_lib.analysis.distances import tie_of
from semantica_lib.analysis.markdown import (
    NONE,
    counted,
    geometric,
    lettered,
    mean,
    pair_name,
    table_of,
)
from semantica_lib.analysis.second_round import OURS, UNDECIDED
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import primary_rows
from semantica_lib.chapters.uses import measures
from semantica_lib.chapters.uses.claims import ALIKE
from semantica_lib.chapters.uses.figures import there
from semantica_lib.chapters.uses.measures import label
from semantica_lib.figures.facts import made_from, whose

FIXED = "4f0acb3047"  # the commit in which the predictions were fixed
# The kinds of primary claims by the words that they end with, and what each says.
KINDS = {
    "are used alike": "Synonyms are used alike",
    "have nothing between them": "Nothing lies between two synonyms' rows",
    "are used less alike tied than untied": "Tying costs likeness where the DH fails",
}


def ends(found: Sequence[Point]) -> str:
    """How near two rows are and how alike they are used at the end, a row a pair and a tie."""
    rows = []
    for point, measured, pair in there(found):
        for tied in BOTH:
            about, seeds = (point, measured, tied, pair[:2]), measures.knowing(measured, tied)
            rows.append(
                {
                    "pair": f"{label(point)}, {tie_of(tied)}, {pair_name(pair[:2])}",
                    "DH": "holds" if pair.conditionally_equivalent else "fails",
                    "know the bit": f"{len(seeds)} of {len(measured.trials[tied].seeds)}",
                    "row: over clock": geometric(measures.over_clock(*about[1:])[seeds]),
                    "row: over control": geometric(measures.distance(*about[1:])[seeds]),
                    "use, nats": geometric(measures.divergence(*about)[seeds]),
                    "use: over control": geometric(measures.over_control(*about)[seeds]),
                    "half way costs, nats": mean(measures.between(*about)[seeds]),
                }
            )
    return table_of(rows, "Nothing is trained yet.")


def quarters(found: Sequence[Point]) -> str:
    """How many trials that know the bit have one row or two, one use or two, a row a pair."""
    rows = []
    for point, measured, pair in there(found):
        for tied in BOTH:
            seeds = measures.knowing(measured, tied)
            near = measures.distance(measured, tied, pair[:2])[seeds] < MERGE_MARGIN
            alike = measures.over_control(point, measured, tied, pair[:2])[seeds] < ALIKE
            rows.append(
                {
                    "pair": f"{label(point)}, {tie_of(tied)}, {pair_name(pair[:2])}",
                    "one row, one use": counted(near & alike),
                    "two rows, one use": counted(~near & alike),
                    "one row, two uses": counted(near & ~alike),
                    "two rows, two uses": counted(~near & ~alike),
                }
            )
    return table_of(rows, "Nothing is trained yet.")


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    return made_from(sweep, {label(point): point.result for point in found})


def says(frame: pd.DataFrame) -> str:
    """What came out of every kind of prediction, a line each, by the verdicts."""
    primary = primary_rows(frame)
    lines = []
    for words, meaning in KINDS.items():
        rows = primary[primary.claim.str.endswith(words)]
        parts = [
            f"{told}: {'; '.join(lettered(claim.removesuffix(' ' + words)) for claim in claims)}"
            for verdict, told in (
                (OURS[0], "as predicted"), (OURS[1], "**not as predicted**"),
                (UNDECIDED, "undecided"),
            )
            if len(claims := rows.claim[rows.verdict == verdict])
        ]  # fmt: skip
        others = len(rows) - rows.verdict.isin([*OURS, UNDECIDED]).sum()
        parts += [f"{others} of too few trials for a verdict"] if others else []
        lines += [f"- **{meaning}**: {', and '.join(parts)}."] if len(rows) else []
    return "\n".join(lines) or "Nothing is trained yet."


def opening(found: Sequence[Point], frame: pd.DataFrame) -> str:
    """What the page shows, in two sentences."""
    if not (source := next((point.result for point in found if point.result), None)):
        return "Nothing is trained yet, so what follows is the question and the predictions."
    return f"In the results {whose(source)} {_alike(found)} {_counts(frame)}"


def answer(found: Sequence[Point], frame: pd.DataFrame) -> str:
    """Whether the claim is about rows or about uses."""
    if not any(point.result for point in found):
        return f"Whether claim 1 is about rows or about uses is to come: {NONE}."
    return f"{_alike(found)[:1].upper()}{_alike(found)[1:]} {_counts(frame)}"


def _alike(found: Sequence[Point]) -> str:
    """In how many trials a pair for which the DH fails is used alike, and has merged."""
    told = []
    for tied in BOTH:
        alike, near = [], []
        for point, measured, pair in there(found):
            if not pair.conditionally_equivalent:
                seeds = measures.knowing(measured, tied)
                use = measures.over_control(point, measured, tied, pair[:2])[seeds]
                alike += (use < ALIKE).tolist()
                near += (measures.distance(measured, tied, pair[:2])[seeds] < MERGE_MARGIN).tolist()
        told.append(
            f"{counted(np.array(alike))} {tie_of(tied)} trials use two synonyms for which the DH "
            f"fails alike, and {counted(np.array(near))} have one row for both"
        )
    return f"{'; '.join(told)} (of trials that know over half of the bit)."


def _counts(frame: pd.DataFrame) -> str:
    verdicts = primary_rows(frame).verdict
    words = {OURS[0]: "came out", OURS[1]: "did not", UNDECIDED: "are undecided"}
    counts = {told: int((verdicts == one).sum()) for one, told in words.items()}
    others = len(verdicts) - sum(counts.values())
    told = [f"{count} {words}" for words, count in counts.items() if count]
    told += [f"{others} rest on too few trials"] if others else []
    return f"Of {len(verdicts)} predictions {', '.join(told)}."
