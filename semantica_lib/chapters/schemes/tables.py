"""Ways to tie: the testbed's table and what came out, in words by the verdicts, as Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import (
    NONE,
    UNTRAINED,
    counted,
    geometric,
    mean,
    table_of,
    with_interval,
)
from semantica_lib.analysis.procrustes import factor, residual
from semantica_lib.analysis.second_round import HALF, OURS
from semantica_lib.analysis.statistics import Interval, mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import TO_COME, outcomes, primary_rows
from semantica_lib.chapters.schemes import measures
from semantica_lib.chapters.schemes.claims import LOSSES
from semantica_lib.chapters.schemes.measures import TIED, UNTIED, Schemed
from semantica_lib.figures.facts import made_from, whose
from semantica_lib.settings.schema import family, one_table

FIXED = (  # before a result was looked at
    "The code that holds it is of commit `a4bc3af060`, the number of seeds of `98b1edd77f`."
)
WAYS = {
    "untied": "two tables",
    "soft": "two tables, their squared difference added to the loss, times {s}",
    "tied-but-mask": "one table, but the mask has an output row of its own",
    "mapped": "the output table is the input's times a square map, at first the identity",
    "pseudo-inverse": "the output table is the pseudo-inverse of the input's",
    "scaled": "one table, begun with a standard deviation of {s}, its logits divided by 2",
    "lookup": "one table, the look-up's part of its gradient times {s}",
    "tied": "one table",
}
WHY = (  # what each primary row says, if it is as was predicted
    "a row of its own for the mask lets a model know more than a tied one",
    "a row of its own for the mask does more than a small start, which predicts no mask either",
    "a square map between the tables lets a model know more than a tied one",
    "the more alike two tables are held, from untied to tied, the less is known on average",
)
TENFOLD = "a tenfold of the look-up's gradient, on average from 0.1 to 30 times,"
NEARER = f"{TENFOLD} makes a tied table more like an untied input table"
CLOSER = f"{TENFOLD} brings A and B nearer in a tied table"
LEARNED = f"{TENFOLD} lets more be known"
OTHERWISE = {  # the words that turn one round
    "more than": "less than", "less is": "more is", "input table": "output table",
    "brings A and B nearer": "drives A and B apart", "lets more": "lets less",
}  # fmt: skip
WHO = NEARER, CLOSER, LEARNED, NEARER, CLOSER


def told(*ties: str) -> str:
    """What ways to tie of one family do, in words."""
    strengths = ", ".join(tie.partition(":")[2] for tie in ties)
    return WAYS.get(family(ties[0]), "a way of one's own").format(s=strengths)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    whole = {f"{loss} loss": measures.at(found, loss) is not None for loss in LOSSES}
    asked = {f"{one.settings.expectation} loss": one.result for one in found}
    return made_from(sweep, {name: one if whole[name] else None for name, one in asked.items()})


def ways(found: Sequence[Point]) -> str:
    """The ways to tie that the sweep has, a row each."""
    ties = dict.fromkeys(tie for point in found for tie in point.settings.ties)
    return table_of({"way": f"`{tie}`", "what it is": told(tie)} for tie in measures.ordered(ties))


def testbed(found: Sequence[Point], loss: str, added: Sequence[Point] = ()) -> str:
    """Every way with a loss: its loss, what is known, cost, merges and alignment, a row each.

    Args:
        added: points of schemes of one's own, which stand below.
    """
    measured = measures.at(found, loss)
    if not measured:
        return f"Nothing is trained with the {loss} loss."
    own = [Schemed(one.result) for one in added if one.settings.expectation == loss]
    return table_of([*_rows(measured), *(_own_row(measured, one) for one in own)])


def _rows(measured: Schemed) -> Iterator[dict[str, str]]:
    ties = measures.ordered(measured.settings.ties)
    for tie, logs in zip(ties, measures.whose(measured, ties), strict=True):
        cost = measured.known[UNTIED] - measured.known[tie]
        cost = mean(cost) if tie != UNTIED else NONE
        yield _row(measured, tie, cost, geometric(np.exp(logs)))


def _own_row(measured: Schemed, own: Schemed) -> dict[str, str]:
    """That of a result of one's own scheme, whose cost is against the others' untied trials."""
    (tie,) = own.settings.ties
    return _row(own, tie, mean((measured.known[UNTIED] - own.known[tie]).dropna()), NONE)


def _row(measured: Schemed, tie: str, cost: str, aligned: str) -> dict[str, str]:
    fails, holds = (pair[:2] for pair in synonym_pairs(measured.task)[:2])
    trials, known = measured.trials[tie], measured.known[tie]
    ratio = {pair: trials.ratio("output", pair)[0] for pair in (fails, holds)}
    own = (factor(trials.tables[table][:, -1]) for table in ("input", "output"))
    return {
        "way": f"`{tie}`",
        "loss, nats": mean(trials.measured("exact", "loss")),
        "known, share of the bit": mean(known),
        "over half of it": counted(known > HALF),
        "cost: untied minus it": cost,
        "C and D merge, output": counted(ratio[holds] < MERGE_MARGIN),
        "A and B merge, output": counted(ratio[fails] < MERGE_MARGIN),
        "A and B, input: distance / control": geometric(trials.ratio("input", fails)[0]),
        "its tables' unlikeness, 0 to 1": "0" if one_table(tie) else mean(residual(*own)),
        "unlikeness to untied output over that to untied input": aligned,
    }


def says(costs: pd.DataFrame, shaping: pd.DataFrame) -> str:
    """What came out of every prediction, a line each; the rows are those judged."""
    lines = [
        f"- {_sentence(*one)}"
        for frame, all_ in ((costs, WHY), (shaping, WHO))
        for one in zip(_primary(frame), all_, strict=False)
    ]
    return "\n".join(lines) or UNTRAINED


def _primary(frame: pd.DataFrame) -> list[pd.Series]:
    return [row for _, row in primary_rows(frame).iterrows()]


def _sentence(row: pd.Series, predicted: str) -> str:
    loss, contrary = row.claim.partition(":")[0], predicted
    for word, other in OTHERWISE.items():
        contrary = contrary.replace(word, other)
    much = with_interval(Interval(row.estimate, row.low, row.high))
    much += " times" if row.margin == 1 else " of the bit"
    if row.verdict == OURS[0]:
        return f"With the {loss} **{predicted}**, as predicted ({much})."
    if row.verdict == OURS[1]:
        return f"With the {loss} **{contrary}** ({much}). The contrary was predicted."
    return f"Undecided with the {loss} is whether {predicted} ({much})."


def opening(found: Sequence[Point], costs: pd.DataFrame, shaping: pd.DataFrame) -> str:
    """What the page shows, in three sentences."""
    if not (both := _both(found)):
        return TO_COME
    source = whose(next(point.result for point in found if point.result))
    return (
        f"In the results {source} an untied model knows {_told_cost(both[0])} more of the bit than "
        f"a tied one with the sampled loss, and {_told_cost(both[1])} with the exact one. "
        f"Of the predictions on why, {outcomes(costs)}; of those on who shapes the tied table, "
        f"{outcomes(shaping)}. Instead of tying: {_better(both[0])}"
    )


def answer(found: Sequence[Point], shaping: pd.DataFrame) -> str:
    """What one assumes by tying, what that costs, and what to do instead: three lines."""
    if not (both := _both(found)):
        return f"What to do instead of tying is to come: {NONE}."
    assumed, _, learned = map(_sentence, _primary(shaping)[:3], WHO[:3])
    return (
        f"- **What tying assumes**: that one row can be read and written with. {assumed}\n"
        f"- **What it costs**: {_told_cost(both[0])} of the bit with the sampled loss, "
        f"{_told_cost(both[1])} with the exact one. {learned}\n"
        f"- **What to do instead**: {_better(both[0])}"
    )


def _both(found: Sequence[Point]) -> list[Schemed]:
    """What is measured with either loss; empty if one is not trained."""
    both = [measures.at(found, loss) for loss in LOSSES]
    return [] if None in both else both


def _told_cost(measured: Schemed) -> str:
    """What untied trials know more than tied ones; and whether these seeds show that they do."""
    cost = measured.known[UNTIED] - measured.known[TIED]
    return mean(cost) + " (not shown by these seeds)" * (not mean_interval(cost).low > 0)


def _better(measured: Schemed) -> str:
    """Which ways know more than tied by a 95% interval of their own, and which most."""
    known = measured.known
    more = {tie: known[tie] - known[TIED] for tie in known if tie not in (TIED, UNTIED)}
    shown = [tie for tie in measures.ordered(more) if mean_interval(more[tie]).low > 0]
    best = max(more, key=lambda tie: more[tie].mean())
    ways = "; ".join(told(*ties) for _, ties in groupby(shown, family)) or "none that is shown"
    return (
        f"these know more than tied: {ways} (sampled loss, {len(known)} seeds, a plain interval "
        f"each of {len(more)} ways, so exploratory). By the mean the best is: {told(best)}, by "
        f"{mean(more[best])}."
    )
