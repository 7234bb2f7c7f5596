"""What the sweeps over ways to tie in a language model claim, as claims and as a table.

*What is asked?* Whether a way to tie that helps on the XOR task helps in a language model too, and
whether it helps at the places of words for which the DH is broken rather than where it holds.

*Fixed when?* Before a trial of these two sweeps was trained, and before any language model was with
a way other than tied and untied, but by tests of a few steps. Known were: all results of the sweep
``schemes`` on the XOR task, of ``mlm`` and of ``mlm-grammar``. There tying costs 0.13 nats on the
grammar, no more where the DH is broken (0.06) than where it holds (0.18), and on text it gains
0.15. The seeds are new, and so are the grammar's text and the other text's vocabulary.

*Values* are losses on the validation sample at the end, nats, paired by seed; a trial that diverged
has none, and counts as failed. Claims are on the mean over seeds (Student's t), in the words *as
predicted*, *not as predicted*, *undecided*; the primary rows of each sweep together at Holm's
levels.

Primary, all by a way's loss minus the tied one's:

1. ``mapped``: under 0 on the grammar, where tying costs; over 0 on text, where it gains. What a tie
   costs is that one row must serve two uses, which a map between the two ends, with what it gains;
2. ``lookup:3``: under 0 on both. On the XOR task a table that the look-up shapes learns more;
3. ``pseudo-inverse``: over 0 on both, as on the XOR task, where it hardly learns;
4. ``soft:0.1``: under 0 on the grammar, over 0 on text: between tied and untied;
5. ``mapped`` again, the difference at words for which the DH is broken, minus that at words for
   which it holds: under 0 on the grammar. If the paper's reason for what tying costs were the
   reason here, a way that frees the output table would gain most where the DH is broken. No side is
   predicted on text.

Exploratory is all else: every way against tied and against untied, at all places and at those of
either class.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import pandas as pd

from semantica_lib.analysis.claims import aim, exploratory
from semantica_lib.analysis.language import BROKEN, HOLDS, PLACES, UNRELATED, Language, Words
from semantica_lib.analysis.markdown import NONE, UNTRAINED, geometric, listed, mean, table_of
from semantica_lib.analysis.second_round import Fresh, ours
from semantica_lib.analysis.statistics import Claim, mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, outcomes, primary_rows, to_markdown
from semantica_lib.chapters.schemes.measures import TIED, UNTIED, ordered, whole
from semantica_lib.figures.facts import shown
from semantica_lib.store.results import Result

ALL = "validation"
WHERE = {ALL: "all places"} | {split: f"where {kind}" for kind, split in PLACES.items()}
MAPPED, LOOKUP, INVERSE, SOFT = "mapped", "lookup:3", "pseudo-inverse", "soft:0.1"
GRAMMAR = {MAPPED: "under", LOOKUP: "under", INVERSE: "over", SOFT: "under"}
TEXT = {MAPPED: "over", LOOKUP: "under", INVERSE: "over", SOFT: "over"}


class Spoken(Language):
    """A language model's result, with the trials of all its ties, by their words."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result
        self.trials |= {tie: Words.of(result, tie, self.window) for tie in result.settings.ties}

    @property
    def others(self) -> list[str]:
        """The ways but tied, in the order in which they are told."""
        return [tie for tie in ordered(self.settings.ties) if tie != TIED]

    def more(self, tie: str, other: str, split: str = ALL) -> pd.Series:
        """A way's loss minus another's, nats, by seed."""
        return (self.loss(tie, split) - self.loss(other, split)).dropna()

    def contrast(self, tie: str, other: str) -> pd.Series:
        """The same where the DH is broken, less where it holds."""
        broken, holds = (self.more(tie, other, PLACES[kind]) for kind in (BROKEN, HOLDS))
        return (broken - holds).dropna()


def language_claims(measured: Spoken) -> tuple[list[Claim], list[Claim]]:
    """What a sweep on a language model claims: the primary claims, and the exploratory ones."""
    grammar = measured.settings.corpus == "grammar"
    primary = [_more(measured, *one) for one in (GRAMMAR if grammar else TEXT).items()]
    others = [*_each(measured)]
    (primary if grammar else others).append(_contrast(measured, MAPPED, "under" * grammar))
    return primary, exploratory(others)


def _more(measured: Spoken, tie: str, side: str) -> Fresh:
    about = aim(side, 0.0, told=f"{tie} minus tied loss {side} 0 nats, on the mean")
    text = f"{tie} ends at {'less' if side == 'under' else 'more'} loss than tied"
    return ours(measured, text, "difference", measured.more(tie, TIED), tie, TIED, **about)


def _contrast(measured: Spoken, tie: str, side: str) -> Fresh:
    about = aim(side, 0.0, told="where the DH is broken less where it holds, under 0 nats")
    about = about if side else {"margin": 0.0}
    text = f"{tie} gains more on tied where the DH is broken"
    return ours(measured, text, "difference", measured.contrast(tie, TIED), tie, TIED, **about)


def _each(measured: Spoken) -> Iterator[Claim]:
    """Every way against tied and untied, at all places and at those of either class."""
    for tie, other in product(measured.settings.ties, (TIED, UNTIED)):
        if tie in (other, TIED):  # tied minus untied is untied minus tied
            continue
        for split, where in WHERE.items():
            text = f"{tie} minus {other} loss, {where} (nats)"
            values = measured.more(tie, other, split)
            yield measured.claim(text, "difference", values, tie, other, margin=0.0)


def spoken(found: Sequence[Point]) -> Spoken | None:
    """What is measured at a sweep's one point, if its result has all its ties."""
    return Spoken(result) if (result := whole(*found)) else None


def run(sweep: str, found: Sequence[Point]) -> str:
    """Which result of a sweep there is, or how to get it."""
    result = found[0].result
    return shown(result) if result else f"No result yet; `semantica train {sweep}` makes one."


def testbed(measured: Spoken | None) -> str:
    """Every way: its loss, how much more than tied, and how near its synonyms are, a row each."""
    ties = ordered(measured.settings.ties) if measured else ()
    return table_of([_row(measured, tie) for tie in ties], UNTRAINED)


def _row(measured: Spoken, tie: str) -> dict[str, str]:
    trials = measured.trials[tie]
    row = {"way": f"`{tie}`", "loss, nats": mean(measured.loss(tie, ALL))}
    for split, where in WHERE.items():
        row[f"minus tied, {where}"] = NONE if tie == TIED else mean(measured.more(tie, TIED, split))
    for table, kind in product(("input", "output"), PLACES):
        near = trials.end(table, kind) / trials.end(table, UNRELATED)
        row[f"{table}: synonyms, {kind} / unrelated"] = geometric(near)
    return row


def verdict(sweep: str, measured: Spoken | None) -> str:
    """The primary rows of a sweep as a table, and what came out of them in words."""
    if not measured:
        return "So no prediction is judged."
    rows = primary_rows(judged(sweep, *language_claims(measured), [measured.result]))
    return f"{to_markdown(rows)}\nOf {len(rows)} predictions {outcomes(rows)}."


def seen(all_: Mapping[str, Spoken | None]) -> str:
    """What the figure shows, as its caption begins with it.

    Args:
        all_: what is measured, by the text's name.
    """
    told = []
    for name, measured in all_.items():
        if measured:
            more = {tie: mean_interval(measured.more(tie, TIED)) for tie in measured.others}
            less = [f"`{tie}`" for tie, one in more.items() if one.high < 0]
            most = [f"`{tie}`" for tie, one in more.items() if one.low > 0]
            which = (listed(ways) or "no other way" for ways in (less, most))
            told.append("On {} {} ended at less loss than tied; at more, {}.".format(name, *which))
    return " ".join(told)
