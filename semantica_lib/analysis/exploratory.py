"""All claims about an XOR experiment beside the primary ones, each judged by itself.

Their rules, and when they were fixed, are told in :mod:`semantica_lib.analysis.verdicts`.
"""

import math

import numpy as np
import pandas as pd

from semantica_lib.analysis import statistics, theory
from semantica_lib.analysis.claims import BOTH, LEARNED_SHARE, Measured, aim, exploratory, tie_of
from semantica_lib.analysis.distances import Pair, Table, synonym_pairs
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.theory import Prediction, paper_predictions
from semantica_lib.models.encoders import sees_order

STRICTER_MARGIN = 0.05  # of the median control pair's distance
CLOSE = 0.1  # of a pair's own distance at step 0
HELD_OUT_MARGIN = 0.05  # of the attainable accuracy


def exploratory_claims(measured: Measured) -> list[Claim]:
    task, own = measured.task, measured.settings
    paper = paper_predictions(task)
    synonyms = synonym_pairs(task)
    holds, fails = ([(a, b) for a, b, dh in synonyms if dh == wanted] for wanted in (True, False))
    claims = [
        *(measured.pair(p) for p in theory.further_predictions(task, sees_order(own))),
        *(measured.pair(p, ", learned trials only", learners=True) for p in paper),
        *(measured.pair(p, ", stricter margin", STRICTER_MARGIN) for p in paper if p.merges),
        *(claim for p in paper for claim in beside(measured, p)),
        *(log_odds_law(measured, p) for p in paper if not p.merges),
        paired_learning(measured),
        loss(measured),
        *(faster(measured, pair, table) for pair in holds for table in ("output", "input")),
        *(fluctuates(measured, pair) for pair in fails),
        *held_out(measured),
    ]
    return exploratory(claims)


def beside(measured: Measured, p: Prediction) -> list[Claim]:
    """What stands beside a merge: is it closer than it began, what did decay do, the norms.

    Over the decay clock, 1 says that decay alone closed the gap, less that gradients did too,
    more that they resisted.
    """
    trials = measured.trials[p.tied]
    ratio, ratio_at_0 = trials.ratio(p.table, p.pair)
    distance, norm = trials.distance(p.table, p.pair), trials.norm(p.table, p.pair)
    start, end = trials.start(distance), trials.end(distance)
    clock = trials.end(start[:, None] * measured.factor)
    closer = aim("under", 1.0) if p.merges else {}
    about = [
        ("ratio to the control pairs over that at step 0", "ratio", ratio / ratio_at_0, closer),
        ("distance over the decay clock's", "ratio", end / clock, {}),
        ("mean norm of its rows", "ratio", trials.end(norm), {}),
    ]
    if p.merges:
        share = (np.log(start / clock) / np.log(start / end))[end < start]
        about.append(("share of the shrinking that decay alone explains", "difference", share, {}))
    return [
        measured.claim(f"{p.claim}, {what}", measure, values, p.tied, **rest)
        for what, measure, values, rest in about
    ]


def log_odds_law(measured: Measured, p: Prediction) -> Claim:
    """Only the distance, without a prediction, where ``||h||`` was not stored.

    Where odds turn the bound is that of the parity whose odds are the less.
    """
    (a, b), odds = p.pair, theory.log_odds_by_parity(measured.task, p.pair)
    trials, least = measured.trials[p.tied], min(map(abs, filter(math.isfinite, odds)), default=0.0)
    text = f"{p.claim}, log-odds law for ||o_{b} - o_{a}||"
    if trials.hidden_norm is None:
        why = "The encoder's output h is not stored: only the distance is reported."
        about = {"prediction": f"at least {least:.3f} / min ||h||", "obstacle": why}
        distance = trials.end(trials.distance("output", p.pair))
        return measured.claim(text, "ratio", distance, p.tied, **about)
    about = aim("over", least, told=f"at least log-odds {least:.3f}")
    return measured.claim(f"{text} min ||h||", "ratio", trials.logit_reach(p.pair), p.tied, **about)


def paired_learning(measured: Measured) -> Claim:
    untied, tied = pd.DataFrame(measured.learned).dropna().to_numpy(bool).T
    p, differ = statistics.paired_exact_test(untied, tied), untied[untied != tied]
    text = f"untied learns where tied does not (exact paired p {p:.2g})"
    about = aim("over", LEARNED_SHARE, " of the seeds that differ") | {"pairs": len(untied)}
    return measured.claim(text, "share", differ, *BOTH, **about)


def loss(measured: Measured) -> Claim:
    """The author's "untied does better overall", where tying is predicted to cost."""
    text = "claim 3: what tying costs in cross-entropy, nats (over all strings)"
    cost = -measured.untied_minus_tied("loss")
    about = aim("over", 0.0, told="tied minus untied over 0") if measured.costs else {}
    return measured.claim(text, "difference", cost, *BOTH, **about)


def faster(measured: Measured, pair: Pair, table: Table) -> Claim:
    """The author's "tied converges faster": steps to a tenth of the start, tied over untied."""
    tables, last = {True: "input", False: table}, measured.last
    first = {tied: measured.trials[tied].first_under(tables[tied], pair, CLOSE) for tied in BOTH}
    never = ", ".join(f"{np.isinf(first[t]).sum()} of {len(first[t])} {tie_of(t)}" for t in BOTH)
    counted = {tied: np.minimum(steps, last) for tied, steps in first.items()}
    text = (
        f"author: {pair[0]} and {pair[1]} converge faster tied than in the untied {table} table, "
        f"first step under {CLOSE:g} of the start (never: {never})"
    )
    about = aim("under", 1.0, f" (never counts as step {last})")
    return measured.claim(text, "ratio", _tied_over_untied(measured, counted), *BOTH, **about)


def fluctuates(measured: Measured, pair: Pair) -> Claim:
    """The author's "the other pair fluctuates", against the untied output table."""
    tables = {True: "input", False: "output"}
    swings = {tied: measured.trials[tied].fluctuation(tables[tied], pair) for tied in BOTH}
    text = (
        f"author: {pair[0]} and {pair[1]} fluctuate more tied than in the untied output table, "
        "standard deviation over mean of the distance"
    )
    ratio = _tied_over_untied(measured, swings)
    return measured.claim(text, "ratio", ratio, *BOTH, **aim("over", 1.0))


def held_out(measured: Measured) -> list[Claim]:
    """Accuracy on held-out strings beside that on training strings; none as published."""
    task, own = measured.task, measured.settings
    if own.validation == "as-published":
        return []
    share = theory.new_contexts(task, sees_order(own))
    new = {0.0: "none", 1.0: "all"}.get(share, f"{share:.1%}")

    words = f"at most {HELD_OUT_MARGIN:g} less, each as a share of its ceiling"
    about, claims = aim("over", -HELD_OUT_MARGIN, told=words), []
    for tied, trials in measured.trials.items():
        held, train = (
            trials.measured(split, "accuracy") / task.ceiling(split)[0]
            for split in ("validation", "train")
        )
        text = f"held-out strings are done as well as training strings, {tie_of(tied)}"
        text += f" (contexts new to it: {new})"
        claims.append(measured.claim(text, "difference", held - train, tied, **about))
    return claims


def _tied_over_untied(measured: Measured, values: dict[bool, np.ndarray]) -> pd.Series:
    """Ratios paired by seed; nan where one of the two has no value."""
    by_seed = {tied: pd.Series(values[tied], measured.trials[tied].seeds) for tied in BOTH}
    return by_seed[True] / by_seed[False]
