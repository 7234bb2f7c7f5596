"""What the original's public code does otherwise, in tables and words: for the page about it.

All of it is Markdown.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.exploratory import HELD_OUT_MARGIN
from semantica_lib.analysis.markdown import NONE, markdown_table, number, with_interval
from semantica_lib.analysis.statistics import INCONCLUSIVE, Interval, geometric_interval
from semantica_lib.analysis.theory import Prediction, paper_predictions
from semantica_lib.analysis.verdicts import COLUMNS, primary_rows, verdicts
from semantica_lib.chapters.original import measures
from semantica_lib.chapters.original.measures import PROTOCOLS, Variant
from semantica_lib.datasets.xor import xor_task
from semantica_lib.figures import tables
from semantica_lib.figures.facts import TIES, facts_of_run
from semantica_lib.figures.overview import TABLES
from semantica_lib.models.encoders import sees_order
from semantica_lib.running.run import run
from semantica_lib.store import results
from semantica_lib.store.results import Result

CLOCK = {  # as tables.DECAY: heading of a column -> what the claims in it match
    f"{table} table": rf"claim \d, {table}: .* distance over the decay clock's"
    for table in ("untied input", "untied output", "tied")
}


def stored() -> list[Result]:
    """What there is of each of the paper's experiments."""
    return [one for one in tables.stored() if one.settings.experiment in measures.DRAWN]


def judged(found: Sequence[Result]) -> pd.DataFrame:
    """The verdicts of all the results, one below the other; there may be none."""
    return tables.all_rows(found) if found else pd.DataFrame(columns=COLUMNS, dtype=object)


def obtained(variant: Variant) -> Result | None:
    """The variant's result, trained as far as it is missing; None where nothing may be trained.

    Raises:
        RequestError, TrainingError: as :func:`semantica_lib.running.run.run`.
    """
    if os.environ.get("SEMANTICA_TRAIN") == "never":
        return results.best(variant.settings)
    return run(variant.settings)


def named(result: Result) -> str:
    """The experiment, and how far it is where that is not the whole way."""
    name = result.settings.experiment
    return name if result.complete else f"{name} ({tables.steps(result)})"


def listed(found: Sequence[Result]) -> str:
    """Which results the page is made from, and what is missing."""
    lines = []
    for one in found:
        made = facts_of_run(one)
        seeds = f"{made['seed_count']} seeds ({made['seeds']}), {made['ties']}"
        lines.append(f"- {named(one)}: {seeds}, {made['steps']} steps, {made['source']}.")
    missing = set(measures.DRAWN) - {one.settings.experiment for one in found}
    lines += [f"- {name}: no result yet; `semantica run {name}` trains it." for name in missing]
    return "\n".join(sorted(lines))


def endings(found: Sequence[Result]) -> str:
    """End-of-run accuracy by protocol: a row a tie and one for the ceilings."""
    splits, lines = [*PROTOCOLS.values(), "exact"], []
    for result in found:
        for tied, tie in TIES:
            ends = [measures.end_accuracy(result, tied, split) for split in splits]
            told = f"{tie}, {len(ends[0])} seeds"
            lines.append([named(result), told, *map(markdown.mean, ends)])
        task = xor_task(result.settings)
        best = [number(task.ceiling(split)[0]) for split in splits]
        lines.append([named(result), "*ceiling*", *best])
    heads = [f"{way}: {split} split" for way, split in PROTOCOLS.items()]
    return markdown_table(["experiment", "trials", *heads, "all strings"], lines)


def new_contexts(found: Sequence[Result]) -> str:
    """How much of what held-out strings show is new to each encoder."""
    heads = "experiment", "its encoder sees", "contexts of held-out strings", "new to it"
    sees = {True: "the order of the symbols", False: "how many there are of each"}
    lines = [
        [
            one.settings.experiment,
            sees[sees_order(one.settings)],
            *map("{:,}".format, _contexts(one)),
        ]
        for one in found
    ]
    return markdown_table(heads, lines)


def held_out(found: Sequence[Result], frame: pd.DataFrame) -> str:
    """What :func:`judged` says on held-out strings, in a table and in words."""
    rows = frame[frame.claim.str.contains("held-out strings") & frame.low.notna()]
    new = {one.settings.experiment: _contexts(one)[1] > 0 for one in found if one.complete}
    words = [f"- Predicted: at most {HELD_OUT_MARGIN:g} less."]
    for is_new, head in ((False, "no held-out context is"), (True, "held-out contexts are")):
        cases = [row for row in rows.itertuples() if new.get(row.experiment) == is_new]
        lower = "; ".join(
            f"{row.experiment}, {tie_of('untied' not in row.claim)}, by {number(-row.estimate)} of "
            f"the ceiling"
            for row in cases
            if row.high < 0
        )
        told = (
            f"accuracy on held-out strings is lower than on training strings, with the whole "
            f"interval under 0, in {sum(row.high < 0 for row in cases)} of {len(cases)} cases"
        )
        told += f" ({lower})" if lower else ""
        told = told if cases else "there is no complete result yet"
        words.append(f"- Where {head} new to the encoder: {told}.")
    return f"{tables.beside(found, frame, tables.HELD_OUT)}\n" + "\n".join(words)


def drawn_lines(found: Sequence[Result]) -> str:
    """The paper's dashed line, what can be attained and where runs end."""
    lines = []
    for result in found:
        drawn = measures.DRAWN[result.settings.experiment]
        ends = [measures.end_accuracy(result, tied, "exact") for tied, _ in TIES]
        best = xor_task(result.settings).ceiling("exact")[0]
        over = np.concatenate(ends) > drawn + 5e-4  # by a digit shown
        line = [named(result), f"{drawn:.2f}", f"{best:.2f}", *map(markdown.mean, ends)]
        lines.append([*line, f"{over.sum()} of {len(over)}"])
    heads = "drawn", "attainable", "tied", "untied", "trials that end over the drawn line"
    return markdown_table(["experiment", *heads], lines)


def swings(found: Sequence[Result]) -> str:
    """How much distances move within the last full period, a row a pair and a column a table."""
    lines = []
    for result in found:
        task, alone = xor_task(result.settings), number(measures.decay_swing(result))
        of = {(p.pair, p.tied, p.table): p for p in paper_predictions(task)}
        for first, second, holds in synonym_pairs(task):
            pair = f"{first} and {second}, DH {'holds' if holds else 'fails'}"
            cells = [_swing(result, of[(first, second), *where]) for where in TABLES.values()]
            lines.append([named(result), pair, *cells, alone])
    return markdown_table(["experiment", "pair", *TABLES, "by decay alone"], lines)


def _swing(result: Result, p: Prediction) -> str:
    spread, ratio = measures.swing(result, p)
    if not len(spread):
        return NONE
    return f"{np.median(spread):.0%}; {number(geometric_interval(ratio).estimate)}"


def compared(columns: Mapping[str, Result]) -> str:
    """The primary verdicts of several results, a column each, and why any cannot be judged."""
    lines: dict[str, dict[str, str]] = {}
    heads, reasons = [], []
    for name, result in columns.items():
        frame, count = primary_rows(verdicts(result)), len(set(result.seed.tolist()))
        heads.append(f"{name}, {count} seed{'s'[: count != 1]}")
        for row in frame.itertuples():
            interval = with_interval(Interval(row.estimate, row.low, row.high))
            lines.setdefault(row.claim, {})[name] = f"**{row.verdict}**: {interval}"
        lacks = frame[(frame.verdict == INCONCLUSIVE) & ~frame.deviation.str.startswith("Measured")]
        told = dict.fromkeys(text.partition(";")[0] for text in lacks.deviation)  # no command
        reasons += [f"\n{heads[-1]}: {reason.rstrip('.')}." for reason in told]
    rows = [[claim, *(of.get(name, "") for name in columns)] for claim, of in lines.items()]
    return markdown_table(["claim", *heads], rows) + "\n".join(reasons)


def varied(base: Result | None, seeds: Sequence[int], variants: Sequence[Variant]) -> str:
    """An experiment and its variants side by side, on the same seeds.

    Of a variant without a result, or with a part of one, it is told how to get it.
    """
    columns = {"as it is": base.of_seeds(seeds)} if base else {}
    missing = [] if variants else ["No variant is asked for."]
    for variant in variants:
        result = obtained(variant)
        if result is not None:
            columns[variant.label] = result.of_seeds(seeds)
        if result is None or not result.covers(variant.settings):
            state = "has no result yet" if result is None else "is not complete"
            command = f"  ```sh\n  {variant.command}\n  ```\n"
            missing.append(f"- `{variant.label}` {state}. This trains it:\n\n{command}")
    some = len(columns) > bool(base)
    return "\n".join([*missing, "", compared(columns) if some else ""])


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
            end = f"at step {result.manifest['steps_done']:,}"
            words = f"\n\n{compared({f'at step {step:,}': then, end: result})}"
        told.append(f"**{experiment}**, whose file stops at step {step:,}: {words}")
    return "\n\n".join(told)


def _contexts(result: Result) -> tuple[int, int]:
    """How many contexts the held-out strings show, and how many are new to the encoder."""
    own = result.settings
    return measures.contexts(xor_task(own), sees_order(own), "validation")
