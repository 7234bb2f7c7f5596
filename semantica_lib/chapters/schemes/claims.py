"""What the sweep over ways to tie claims: why tying costs learning, and who shapes the tied table.

*What is asked?* Three reasons why a tied model knows less of the bit are told apart by ways to tie:

- *The start.* A tied residual model begins by predicting the mask, whose row it reads (probability
  about 0.4 at step 0, untied 0.16). A table that starts small (``scaled:0.02``) is still one, and
  begins by predicting nothing in particular. ``soft:1`` begins as untied and is then drawn into
  one.
- *The shared row.* What is read must also be what is written. The mask above all: it stands in
  every string and is never a target. ``tied-but-mask`` frees that row alone; ``mapped`` and
  ``pseudo-inverse`` begin exactly as a tied model does, mask and all, and let the tables differ by
  a linear map; ``soft:s`` holds two tables alike the more, the greater s.
- *Who shapes the table.* The output's gradient is the larger one early. ``lookup:s`` multiplies the
  look-up's by s, and the forward pass stays that of tied (s = 1).

*Fixed when?* Before a trial of any of these fourteen ways was trained, on these data or any other,
but by tests of a few steps. Known were: all results of both rounds; that on the data of this sweep,
sampled loss, tied and untied, these sixty seeds and forty others know 0.479 and 0.624, the first
twenty 0.455 and 0.592 (the difference 0.14 [-0.08, 0.35]), since the sweep on biases holds that
point; that a learned output bias ends this cost (0.695 and 0.696); that with the exact loss, on
other data, tying cost nothing that 20 seeds could show; that tables freed at step 1,000 to 20,000
end nearer to untied than to tied; and that, among seeds, a tied table whose output keeps the larger
gradient is nearer to the output table, and learns less.

*Predicted* is that it is the shared row, above all the mask's, and not the start: the two tables'
likeness costs, by its dose; and that a table which the look-up shapes learns more.

*What sixty seeds can settle.* The sweep was cut from a hundred seeds to sixty for want of
computing, before any of its results was looked at (twenty were begun first, and stopped unread when
the kernel had learned these ways to tie). A difference of what is known has a standard deviation of
about 0.4 over seeds, so that a cost of 0.14 is found by about three in four such sweeps, by fewer
at Holm's levels: *undecided* is not *no*. No prediction is dropped for that, and no seed is added
once these are seen, but as a further sweep of its own.

*Values* are means over the last full period; what is known is as in the second round, and a trial
that diverged knows nothing, 0. Claims are on the mean over seeds, paired by seed (Student's t), in
the words *as predicted*, *not as predicted*, *undecided*. The two chapters are judged apart, the
primary rows of each together at Holm's levels.

Primary of *why does tying cost learning?*, sampled loss:

1. ``tied-but-mask`` knows more than tied (over 0);
2. ``tied-but-mask`` knows more than ``scaled:0.02`` (over 0): the row, not the start;
3. ``mapped`` knows more than tied (over 0): it, too, begins by predicting the mask;
4. likeness costs: the slope of what is known over untied, the soft ties from the weakest, tied, a
   step each, is under 0.

Primary of *who shapes the tied table?*, each by the slope over the tenfolds of s, from 0.1 to 30,
tied among them as 1, told as a factor for ten times s:

1. and 2., sampled and exact loss: *alignment*. The residual of the table from untied output tables
   over that from untied input tables, of other seeds, rises (over 1): the table becomes a reader's;
3. and 4., sampled and exact loss: *merging*. The distance of 0 and 1 in the table over a control
   pair's falls (under 1): to a reader they mean the same;
5. sampled loss: *learning*. What is known rises (over 0).

Exploratory is all else: every way against tied and untied, either loss, with how many seeds know
over half of the bit; whether a gain is larger with the sampled loss; the start's dose in
``scaled:s``; alignment with tables of the same seed; the slope of what is known, exact loss.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import aim, claim_of, exploratory
from semantica_lib.analysis.procrustes import jackknifed
from semantica_lib.analysis.second_round import HALF, Fresh, ours
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.schemes import measures
from semantica_lib.chapters.schemes.measures import EXACT, SAMPLED, TIED, UNTIED, Doses, Schemed

MASK, SMALL, MAPPED = "tied-but-mask", "scaled:0.02", "mapped"
MORE = (MASK, TIED), (MASK, SMALL), (MAPPED, TIED)  # the first is to know more than the second
LOSSES = SAMPLED, EXACT


def cost_claims(found: Sequence[Point]) -> tuple[list[Claim], list[Claim]]:
    """Why tying costs learning: the primary claims, and the exploratory ones."""
    primary, others, by = [], [], {loss: measures.at(found, loss) for loss in LOSSES}
    for loss, measured in by.items():
        if measured is None:
            continue
        judged = [_more(measured, *pair) for pair in MORE]
        judged.append(_likeness(measured))
        (primary if loss == SAMPLED else others).extend(judged)
        others += _each(measured)
        start = measures.strengths(measured, "scaled")
        tenfolds = {tie: np.log10(of) for tie, of in start.items()}
        text = f"{loss} loss: known more, by ten times the standard deviation of a scaled start"
        values = measures.trend(measured, tenfolds)
        others.append(measured.claim(text, "difference", values, *start, margin=0.0))
    if all(by.values()):
        others += _gains(by[SAMPLED], by[EXACT])
    return primary, exploratory(others)


def shaping_claims(found: Sequence[Point]) -> tuple[list[Claim], list[Claim]]:
    """Who shapes the tied table: the primary claims, and the exploratory ones."""
    primary, others = [], []
    for loss in LOSSES:
        if measured := measures.at(found, loss):
            doses = measures.lookups(measured)
            pairs = measures.slopes(doses, measures.alignments(measured, list(doses)))
            primary.append(_aligned(measured, jackknifed(pairs), "of other seeds"))
            others.append(_aligned(measured, np.diagonal(pairs), "of the same seed"))
            primary.append(_merging(measured))
            (primary if loss == SAMPLED else others).append(_learning(measured))
    return primary, exploratory(others)


def _aimed(measured: Schemed, side: str, told: str) -> dict[str, Any]:
    """The side of 0 that is predicted with the sampled loss; with the exact one none is."""
    sampled = measured.settings.expectation == SAMPLED
    return aim(side, 0.0, told=told) if sampled else {"margin": 0.0}


def _more(measured: Schemed, one: str, other: str) -> Fresh:
    """That trials of one tie know more than those of another."""
    known, loss = measured.known, measured.settings.expectation
    about = _aimed(measured, "over", f"{one} minus {other} over 0, on the mean")
    text = f"{loss} loss: {one} knows more of the bit than {other}"
    return ours(measured, text, "difference", known[one] - known[other], one, other, **about)


def _likeness(measured: Schemed) -> Fresh:
    about = _aimed(measured, "under", "slope from untied to tied under 0, on the mean")
    text = "the more alike the two tables are held, the less is known"
    return _known_by(measured, measures.likeness(measured), text, about)


def _learning(measured: Schemed) -> Fresh:
    about = _aimed(measured, "over", "known more, over 0, on the mean")
    text = "ten times the look-up's gradient lets more of the bit be known"
    return _known_by(measured, measures.lookups(measured), text, about)


def _known_by(measured: Schemed, doses: Doses, text: str, about: dict[str, Any]) -> Fresh:
    """How much more is known a unit of the dose."""
    values = measures.trend(measured, doses)
    text = f"{measured.settings.expectation} loss: {text}"
    return ours(measured, text, "difference", values, *doses, **about)


def _aligned(measured: Schemed, logs: np.ndarray, whose: str) -> Fresh:
    """That a table which the look-up shapes is nearer to an untied input table."""
    doses, loss = measures.lookups(measured), measured.settings.expectation
    text = f"{loss} loss: ten times the look-up's gradient brings the table nearer to untied input"
    about = aim("over", 1.0, told="output over input residual, times over 1")
    ties = *doses, UNTIED
    return ours(measured, f"{text} tables, {whose}", "ratio", np.exp(logs), *ties, **about)


def _merging(measured: Schemed) -> Fresh:
    doses, loss = measures.lookups(measured), measured.settings.expectation
    logs = measures.slopes(doses, measures.distances(measured, list(doses)).to_numpy().T)
    about = aim("under", 1.0, told="distance over a control pair's, times under 1")
    text = f"{loss} loss: ten times the look-up's gradient brings 0 and 1 nearer in the table"
    return ours(measured, text, "ratio", np.exp(logs), *doses, **about)


def _each(measured: Schemed) -> Iterator[Claim]:
    """What each way knows, against tied and against untied."""
    known, loss = measured.known, measured.settings.expectation
    for tie in measured.settings.ties:
        over = known[tie] > HALF
        text = f"{loss} loss: {tie}, share of the bit that is known"
        yield measured.claim(f"{text}, mean", "difference", known[tie], tie)
        yield measured.claim(f"{text}, over a half", "share", over, tie, margin=HALF)
        for other in (other for other in (TIED, UNTIED) if other != tie):
            text, more = f"{loss} loss: {tie} knows more than {other}", known[tie] - known[other]
            yield measured.claim(text, "difference", more, tie, other, margin=0.0)


def _gains(sampled: Schemed, exact: Schemed) -> Iterator[Claim]:
    """Whether a way gains more on tied with the sampled loss than with the exact one."""
    known = [one.known for one in (sampled, exact)]
    for tie in (MASK, MAPPED, SMALL, UNTIED):
        more = (known[0][tie] - known[0][TIED]) - (known[1][tie] - known[1][TIED])
        of = [(one, (tie, TIED)) for one in (sampled, exact)]
        text = f"{tie} gains more on tied with the sampled loss than with the exact one"
        yield claim_of(of, text, "difference", pd.Series(more).dropna(), margin=0.0)
