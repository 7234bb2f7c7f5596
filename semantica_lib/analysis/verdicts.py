"""A verdict on each claim about an experiment, judged by rules that were fixed beforehand.

*Fixed when?* The margins of a merge (0.10, 0.05) and of learning (0.25 nats) after one run of the
original, seed 42, was known, and that some runs never learn the parity; the margin of accuracy
(0.01), that of the share (0.5) and what counts as partly with this code, before any result was
judged by it. The rules under "Also exploratory" below, and that an encoder which sees positions
has no prediction for the parity symbols, were fixed after the main experiment's 20 seeds were known
and before any of the paper's seven other experiments was run: of the main experiment they are
descriptions, not predictions made beforehand.

*Values* are means over the last full period of the schedule. *Merge*: the pair's distance over the
median control pair's, a ratio a seed; its geometric mean lies under 0.10. *Stay apart*: over 0.10.
*Learned*: exact cross-entropy on the training strings within 0.25 nats of the least. All seeds
count, learned or not.

The interval decides (t of the log ratio, t of a paired difference, Clopper-Pearson of a share):

- ``reproduced``: it lies on the predicted side of the margin (for learning: and every trial
  learns); with five seeds or fewer ``consistent with the paper``;
- ``partly``, one of three: a merge misses its margin (the interval is over it), yet the pair came
  closer, relative to its control pairs, than it began (the 95% interval of that change is under 1);
  more than half of the trials learn (the interval is over 0.5) but not all; or the interval is on
  the predicted side but some trials diverged (became infinite, or no number);
- ``not reproduced``: it lies on the other side, or no value is left beside trials that diverged;
- ``inconclusive``: the margin is inside it, or values are missing (the deviation says which).

Primary rows are judged together: ``low`` and ``high`` are at Holm's step-down levels, so a margin
outside them is a rejection in Holm's procedure at 5%. A claim that lacks its values still counts
among them. All other rows begin with ``exploratory:`` and have plain 95% intervals.

Also exploratory, over seeds, paired where both ties enter, without trials that have no value:

- *Converges faster* (the author): for each pair whose DH holds, the first recorded step at which
  its distance is under 0.1 of its own at step 0, tied over untied; geometric mean under 1. Steps
  are known to within ``record_every``. A trial that never gets there counts as the run's last
  step, sooner than the truth: a tied one so speaks too much for the claim, an untied one too
  little. The row's text tells how many never did.
- *Fluctuates* (the author): for each pair whose DH fails, the distance's standard deviation over
  its mean, over the records of the last full period, tied over untied output; geometric mean over
  1. Both contain what the schedule itself does within a period.
- *Untied does better overall* (the author): tied minus untied cross-entropy over 0 where some
  pair's DH fails; elsewhere nothing is predicted.
- *Log-odds law*: for each pair (a, b) that is to stay apart, ``||o_b - o_a|| min ||h||``, the mean
  over the last period's steps at which both were stored, is over ``|log(p_b / p_a)|``; the least is
  over contexts whose masked bit is the pair's. The law is exact only without decay and for
  minimising sequences, and a trial that has not learned the parity need not obey it.
- *Share that decay explains*: the log of the decay clock's shrinking over the log of the pair's,
  of the seeds whose pair shrank; a plain mean, no prediction. Pairs that hardly shrank weigh most.
- *Held-out strings*: accuracy on the validation strings minus that on the training strings, each
  as a share of its split's ceiling, over -0.05. It tests generalisation only where contexts are
  new, which the text says, and a trial that learned neither passes it. ``as-published`` validation
  has no such row.

*Language models* (:mod:`semantica_lib.analysis.language_claims`) are judged in the same way, by
margins of their own: ratios of a class's mean distance to the unrelated words' (0.90), of broken
synonyms' to that of those for which DH holds (1.25), and tied minus untied loss at the places of a
class's words, paired by seed (0.01 nats). Values are means over the schedule's last full period,
or of the last record where a shorter run came to the rate's lowest point. *Partly*: a class misses
0.90, yet its ratio fell from that at step 0. *Fixed when?* The margins: after the single-seed
figures of a first trial were known (ratios 0.745 and 0.48, untied input and output, on
documentation; on a grammar 0.59 and 0.62 untied input, 0.20 and 0.50 untied output, 0.21 and 0.55
tied, of the two classes), before this code had run any seed. Sizes, steps and where the tag stands:
later, by trial runs of seed 42 on either text and of seeds 1 to 3 on the grammar, whose ratios and
losses were seen; so seed 42 is no fresh one. Of *mlm* the paper's five are not: they were run for
1,200 steps first, and for 1,800 when it was seen that some trials had not come to use the tag, on
the text of earlier rules of harvest both times; as 1,800 left claims open, five fresh seeds were
added, and all ten run on the text of the present rules. The exploratory rows predict nothing but
that the loss is under that of a baseline which knows frequencies only.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis import language_claims, second_round, statistics
from semantica_lib.analysis.claims import EXPLORATORY, Measured, primary_claims
from semantica_lib.analysis.exploratory import exploratory_claims
from semantica_lib.analysis.language import Language
from semantica_lib.analysis.markdown import NONE, PAIR, lettered, markdown_table, title
from semantica_lib.analysis.statistics import Claim, Interval
from semantica_lib.settings.catalogue import MlmSettings, first_of, round_of
from semantica_lib.store.results import Result

COLUMNS = (
    "experiment", "round", "claim", "prediction", "margin", "estimate", "low", "high", "seeds",
    "failed", "pass_share", "verdict", "deviation", "notebook", "manifest_sha256",
)  # fmt: skip
AS_TOLD = (
    statistics.REPRODUCED, statistics.CONSISTENT, statistics.NO_PREDICTION,
    second_round.OURS[0],
)  # fmt: skip
OWN_WORDS = {  # of the paper's claims -> of this book's predictions; in what is not, too
    statistics.REPRODUCED: second_round.OURS[0],
    statistics.CONSISTENT: f"{second_round.OURS[0]} (few seeds)",
}
TO_COME = "Nothing is trained yet, so what follows is the question and the predictions."
ORDER = (*OWN_WORDS.values(), second_round.OURS[1], *statistics.VERDICTS, second_round.UNDECIDED,
         second_round.CONSISTENT)  # fmt: skip


def verdicts(result: Result, notebook: str = "", first: bool = False) -> pd.DataFrame:
    """A row a claim, the primary ones first; columns as in ``COLUMNS``.

    ``margin`` is nan where nothing is predicted, ``estimate``, ``low`` and ``high`` where there are
    too few values. ``seeds`` have a value, ``failed`` trials have none; ``pass_share`` is the share
    of those seeds that meet the prediction by themselves.

    Args:
        result: one experiment's, stored.
        notebook: what the rows name as their notebook.
        first: judge a result of the second round, too, by the rules of the first.
    """
    with np.errstate(all="ignore"):  # what is not finite is left out, without a warning
        if isinstance(result.settings, MlmSettings):
            words = Language(result)
            primary = language_claims.primary_claims(words)
            others = language_claims.exploratory_claims(words)
        elif round_of(result.settings.experiment) == 2 and not first:
            primary, others = second_round.claims(result)
        else:
            measured = Measured(result)
            primary, others = primary_claims(measured), exploratory_claims(measured)
        return _judged(result.settings.experiment, primary, others, [result], notebook)


def judged(*of: Any) -> pd.DataFrame:
    """The rows of claims that are this book's own predictions: *as predicted*, or not.

    Args:
        of: the chapter's name, its primary claims, judged together by Holm's procedure, the others,
            judged singly, the results that they are made from, and the notebook, if any.
    """
    frame, told = _judged(*of), ["verdict", "deviation"]
    frame[told] = frame[told].replace(OWN_WORDS, regex=True)
    return frame


def _judged(
    name: str,
    primary: Sequence[Claim],
    others: Sequence[Claim],
    found: Sequence[Result],
    notebook: str = "",
) -> pd.DataFrame:
    """Of several results the digest is that of theirs."""
    with np.errstate(all="ignore"):
        levels = statistics.holm_levels([claim.interval().p for claim in primary])
        rows = [_row(claim, level, True) for claim, level in zip(primary, levels, strict=True)]
        rows += [_row(claim, 0.95, False) for claim in others]
    frame = pd.DataFrame(rows, columns=COLUMNS[2:-2])
    frame["experiment"], frame["round"] = first_of(name), round_of(name)
    frame["notebook"] = notebook
    digests = [one.digest for one in found]
    whole = sha256("".join(digests).encode()).hexdigest()
    frame["manifest_sha256"] = digests[0] if len(digests) == 1 else whole
    return frame[list(COLUMNS)]


def _row(claim: Claim, level: float, primary: bool) -> dict[str, Any]:
    interval = claim.interval(level)
    verdict = claim.judge(interval)
    deviation = _deviation(claim, interval, verdict)
    if primary and claim.measure == "ratio" and len(claim.values) >= statistics.LEAST_FOR_BCA:
        bca = statistics.bca_interval(claim.values, level)
        other = claim.judge(bca)
        if np.isfinite(bca.low) and other != verdict:
            deviation += f" By a BCa bootstrap, {_with_interval(bca)}, it is {other}."
    judged = claim.side and claim.seeds
    return {
        "claim": claim.text,
        "prediction": claim.prediction,
        "margin": claim.margin,
        **interval._asdict(),
        "seeds": claim.seeds,
        "failed": claim.failed,
        "pass_share": claim.passed.sum() / claim.seeds if judged else np.nan,
        "verdict": verdict,
        "deviation": deviation.strip(),
    }


def _with_interval(interval: Interval) -> str:
    return f"{interval.estimate:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def _deviation(claim: Claim, interval: Interval, verdict: str) -> str:
    """What differs from the prediction, in a sentence; empty if nothing does."""
    failed = f"; diverged trials: {claim.diverged}" if claim.diverged else ""
    if claim.failed and not claim.diverged and not claim.obstacle:
        failed = f"; failed trials: {claim.failed}"
    if claim.obstacle:
        return f"{claim.obstacle.removesuffix('.')}{failed}."
    if verdict in AS_TOLD:
        return ""
    if np.isnan(interval.low):
        return f"Fewer than two seeds have a value{failed}."
    measured = f"Measured {_with_interval(interval)}"
    if claim.all_pass and verdict == statistics.PARTLY:
        return f"{claim.passed.sum()} of {len(claim.passed)} trials learn{failed}."
    low, high = interval.low - claim.margin, interval.high - claim.margin
    place = "over" if low > 0 else "under" if high < 0 else "on both sides of"
    closer = ""
    if verdict == statistics.PARTLY and place != claim.side:
        change = statistics.geometric_interval(claim.change).estimate
        closer = f", but the ratio came to {change:.2g} of its value at step 0"
    return f"{measured}, {place} the margin {claim.margin:g}{closer}{failed}."


def summary(frame: pd.DataFrame) -> str:
    """One line on the primary rows of each experiment, in plain words."""
    lines = []
    for experiment, rows in primary_rows(frame).groupby("experiment", sort=False):
        counts = rows.verdict.value_counts()
        words = ", ".join(f"{counts[v]} {v}" for v in ORDER if v in counts)
        lines.append(f"{title(experiment).rstrip('?')}: of {len(rows)} primary claims {words}")
    return "; ".join(lines)


def _short(row: Any) -> str:
    """A verdict in a word or two; of a partial result, how far it is."""
    partial = re.match(r"The result is (partial, at step \d+);", row.deviation)
    return partial[1] if partial else row.verdict.removesuffix(" with the paper")


def across(frame: pd.DataFrame, short: Callable[[Any], str] = _short) -> str:
    """The primary verdicts of several experiments as a Markdown table: claims by experiments.

    A row is a kind of claim; where an experiment has several pairs of that kind, the cell names
    them. It is empty where the experiment has none (other pairs, or a DH that differs).

    Args:
        frame: the rows of all experiments, one below the other.
        short: what a cell tells of a row.
    """
    rows = primary_rows(frame)
    experiments = list(dict.fromkeys(rows.experiment))
    cells: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row, kind in zip(rows.itertuples(), kinds(rows), strict=True):
        pair = PAIR.search(row.claim)
        words = cells.setdefault((kind, row.experiment), {})
        words.setdefault(short(row), []).append(lettered(pair[0]) if pair else "")
    lines = [
        [kind, *(_cell(cells.get((kind, experiment), {})) for experiment in experiments)]
        for kind in sorted(set(kinds(rows)))
    ]
    return markdown_table(["claim", *map(title, experiments)], lines)


def kinds(rows: pd.DataFrame) -> pd.Series:
    """The claims of these rows without their pairs: those that say the same of synonyms agree."""
    return rows.claim.str.replace(PAIR, "synonyms", regex=True)


def _cell(pairs_of_word: dict[str, list[str]]) -> str:
    """One word if it is all, else each with its pairs."""
    if len(pairs_of_word) == 1:
        return next(iter(pairs_of_word))
    return "<br>".join(f"{word}: {', '.join(pairs)}" for word, pairs in pairs_of_word.items())


def primary_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the claims that are judged together."""
    return frame[~frame.claim.str.startswith(EXPLORATORY)]


def to_markdown(frame: pd.DataFrame) -> str:
    """The rows as a Markdown table: claim, verdict, prediction, measured, seeds that pass."""
    lines = []
    for row in frame.itertuples():
        interval = Interval(row.estimate, row.low, row.high)
        measured = NONE if np.isnan(row.estimate) else _with_interval(interval)
        passed = round(np.nan_to_num(row.pass_share) * row.seeds)
        share = NONE if np.isnan(row.pass_share) else f"{passed} of {row.seeds}"
        lines.append([lettered(row.claim), row.verdict, lettered(row.prediction), measured, share])
    return markdown_table(["claim", "verdict", "predicted", "measured", "seeds that pass"], lines)


def outcomes(frame: pd.DataFrame) -> str:
    """How many primary predictions of this book's own came out, and how many not."""
    found = primary_rows(frame).verdict
    words = {second_round.OURS[0]: "came out", second_round.OURS[1]: "did not"}
    alone = (found == second_round.UNDECIDED).sum() == 1
    words |= {second_round.UNDECIDED: "is undecided" if alone else "are undecided"}
    told = found.map(words).fillna("rest on too few trials").value_counts()
    order = [one for one in [*words.values(), "rest on too few trials"] if one in told]
    return ", ".join(f"{told[one]} {one}" for one in order)
