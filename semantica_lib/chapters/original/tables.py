"""What the original's public code does otherwise, in tables and words: for the page about it.

All of it is Markdown.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import Trials, end_of, synonym_pairs
from semantica_lib.analysis.exploratory import HELD_OUT_MARGIN
from semantica_lib.analysis.markdown import NONE, number, pair_name, table_of, title
from semantica_lib.analysis.statistics import geometric_interval
from semantica_lib.analysis.sweep_points import PLACES, Point, name_of
from semantica_lib.analysis.theory import paper_predictions
from semantica_lib.chapters.original import measures
from semantica_lib.chapters.original.measures import PROTOCOLS
from semantica_lib.datasets.xor import xor_task
from semantica_lib.figures import tables
from semantica_lib.figures.facts import TIES, seeds_of
from semantica_lib.figures.overview import TABLES
from semantica_lib.figures.tables import titled
from semantica_lib.models.encoders import sees_order
from semantica_lib.store.results import Result

ROUNDING = 1e-5  # of an accuracy
CLOCK = {  # as tables.DECAY: heading of a column -> what the claims in it match
    f"{table} table": rf"claim \d, {table}: .* distance over the decay clock's"
    for table in ("untied input", "untied output", "tied")
}


def stored() -> list[Result]:
    """What there is of each of the paper's experiments."""
    return tables.stored([name for name in tables.named() if name in measures.DRAWN])


def endings(found: Sequence[Result]) -> str:
    """End-of-run accuracy by protocol: a row a tie and one for the ceilings."""
    splits = {f"{way}: {split} split": split for way, split in PROTOCOLS.items()}
    splits["all strings"], rows = "exact", []
    for result in found:
        about, ceiling = {"experiment": titled(result)}, xor_task(result.settings).ceiling
        for tied, tie in TIES:
            ends = {head: measures.end_accuracy(result, tied, s) for head, s in splits.items()}
            told = {"trials": f"{tie}, {len(ends['all strings'])} seeds"}
            rows.append(about | told | {head: markdown.mean(end) for head, end in ends.items()})
        best = {head: number(ceiling(split)[0]) for head, split in splits.items()}
        rows.append(about | {"trials": "*ceiling*"} | best)
    return table_of(rows)


def own_runs(found: Sequence[Result]) -> str:
    """Where pairs of the main experiment end in the public code's own run, beside those here.

    As shares of the median control pair's distance, means over the last period.
    """
    rows = []
    for result in (one for one in found if one.settings.experiment == measures.MAIN):
        task, end, seed = xor_task(result.settings), end_of(result), measures.OWN_SEED
        for tied, table in PLACES:
            trials = Trials.of(result, tied, end)
            for pair in synonym_pairs(task):
                ends = trials.ratio(table, pair[:2])[0]
                period = result.settings.period
                theirs = measures.own_ratio(task, tied, table, pair[:2], period)
                same = ends[trials.seeds == seed]
                rows.append(
                    {
                        "table": name_of((tied, table)),
                        "pair": pair_name(pair[:2]),
                        f"public code, seed {seed}": number(theirs),
                        f"here, seed {seed}": number(same[0]) if len(same) else NONE,
                        f"here, {len(ends)} seeds": markdown.geometric(ends),
                    }
                )
    return table_of(rows)


def new_contexts(found: Sequence[Result]) -> str:
    """How much of what held-out strings show is new to each encoder."""
    sees = {True: "the order of the symbols", False: "how many there are of each"}
    return table_of(
        {
            "experiment": titled(one),
            "its encoder sees": sees[sees_order(one.settings)],
            "contexts of held-out strings": f"{_contexts(one)[0]:,}",
            "new to it": f"{_contexts(one)[1]:,}",
        }
        for one in found
    )


def _contexts(result: Result) -> tuple[int, int]:
    """How many contexts the held-out strings show, and how many are new to the encoder."""
    own = result.settings
    return measures.contexts(xor_task(own), sees_order(own), "validation")


def held_out(found: Sequence[Result], frame: pd.DataFrame) -> str:
    """What the verdicts on these results say on held-out strings, in a table and in words."""
    rows = frame[frame.claim.str.contains("held-out strings") & frame.low.notna()]
    new = {one.settings.experiment: _contexts(one)[1] > 0 for one in found if one.complete}
    words = [f"- Predicted: at most {HELD_OUT_MARGIN:g} less; under {ROUNDING:g} is rounding."]
    for is_new, head in ((False, "no held-out context is"), (True, "held-out contexts are")):
        cases = rows[rows.experiment.map(new) == is_new]
        under = cases[cases.high < -ROUNDING]
        lower = "; ".join(
            f"{title(row.experiment)}, {tie_of('untied' not in row.claim)}, by "
            f"{number(-row.estimate)} of the ceiling"
            for row in under.itertuples()
        )
        told = (
            f"accuracy on held-out strings is lower than on training strings, with the whole "
            f"interval under 0, in {len(under)} of {len(cases)} cases" + f" ({lower})" * bool(lower)
        )
        told = told if len(cases) else "there is no complete result yet"
        words.append(f"- Where {head} new to the encoder: {told}.")
    return f"{tables.beside(found, frame, tables.HELD_OUT)}\n" + "\n".join(words)


def drawn_lines(found: Sequence[Result]) -> str:
    """The paper's dashed line, what can be attained and where runs end."""
    rows = []
    for result in found:
        drawn = measures.DRAWN[result.settings.experiment]
        ends = {tie: measures.end_accuracy(result, tied, "exact") for tied, tie in TIES}
        over = np.concatenate([*ends.values()]) > drawn + 5e-4  # by a digit shown
        best = xor_task(result.settings).ceiling("exact")[0]
        row = {"experiment": titled(result), "drawn": f"{drawn:.2f}", "attainable": f"{best:.2f}"}
        row |= {tie: markdown.mean(end) for tie, end in ends.items()}
        rows.append(row | {"trials that end over the drawn line": f"{over.sum()} of {len(over)}"})
    return table_of(rows)


def swings(found: Sequence[Result]) -> str:
    """How much distances move within the last full period, a row a pair and a column a table."""
    rows = []
    for result in found:
        task = xor_task(result.settings)
        of = {(p.pair, p.tied, p.table): p for p in paper_predictions(task)}
        for *pair, holds in synonym_pairs(task):
            told = f"{pair_name(pair)}, DH {'holds' if holds else 'fails'}"
            row = {"experiment": titled(result), "pair": told}
            for head, place in TABLES.items():
                spread, ratio = measures.swing(result, of[tuple(pair), *place])
                mean = number(geometric_interval(ratio).estimate)
                row[head] = f"{np.median(spread):.0%}; {mean}" if len(spread) else NONE
            rows.append(row | {"by decay alone": number(measures.decay_swing(result))})
    return table_of(rows)


def varied(base: Result | None, points: Sequence[Point], sweep: str) -> str:
    """An experiment and points of a sweep of it side by side, on the same seeds.

    Of points without a result, or with a part of one, it is told how to get it.
    """
    columns, missing = {}, [] if points else ["No variant is asked for."]
    for point in points:
        label, result = ", ".join(f"{k}={v}" for k, v in point.varied.items()), point.result
        if result is not None:
            columns[f"{label}, {seeds_of(result)}"] = result
        if result is None or not result.covers(point.settings):
            state = "has no result yet" if result is None else "is not complete"
            missing.append(f"- `{label}` {state}; `semantica run {sweep}` trains it.")
    if columns and base:
        same = base.of_seeds(points[0].settings.seeds)
        columns = {f"as it is, {seeds_of(same)}": same} | columns
    return "\n".join([*missing, "", tables.compared(columns) if columns else ""])


def own_steps(found: Sequence[Result]) -> str:
    """The primary verdicts at the steps of the original's files beside those at the end."""
    told, by_name = [], {result.settings.experiment: result for result in found}
    for experiment, step in measures.OWN_STEPS.items():
        result = by_name.get(experiment)
        then = measures.until(result, step) if result else None
        if result is None:
            words = "there is no result yet."
        elif then is None:
            words = f"the result is not there yet ({tables.steps(result)})."
        else:
            at = {step: then, result.manifest["steps_done"]: result}
            heads = {f"at step {at:,}, {seeds_of(one)}": one for at, one in at.items()}
            words = f"\n\n{tables.compared(heads)}"
        told.append(f"**{title(experiment)}**, whose file stops at step {step:,}: {words}")
    return "\n\n".join(told)
