"""What the original's public code does otherwise, in tables and words: for the page about it.

All of it is Markdown.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.exploratory import HELD_OUT_MARGIN
from semantica_lib.analysis.markdown import NONE, number, with_interval
from semantica_lib.analysis.statistics import (
    INCONCLUSIVE,
    Interval,
    geometric_interval,
    mean_interval,
)
from semantica_lib.analysis.theory import Prediction, paper_predictions
from semantica_lib.analysis.verdicts import COLUMNS, primary_rows, verdicts
from semantica_lib.chapters.original import measures as protocols
from semantica_lib.chapters.original.measures import PROTOCOLS, Variant
from semantica_lib.figures import tables
from semantica_lib.figures.facts import TIES, facts_of_run
from semantica_lib.figures.overview import TABLES
from semantica_lib.models.encoders import sees_order
from semantica_lib.running.run import run
from semantica_lib.store import results
from semantica_lib.store.results import Result
from semantica_lib.trainers.stacked import xor_task

CLOCK = {  # as tables.DECAY: heading of a column -> what the claims in it match
    f"{table} table": rf"claim \d, {table}: .* distance over the decay clock's"
    for table in ("untied input", "untied output", "tied")
}


def stored() -> list[Result]:
    """What there is of each of the paper's experiments."""
    return [one for one in tables.stored() if one.settings.experiment in protocols.DRAWN]


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
    missing = set(protocols.DRAWN) - {one.settings.experiment for one in found}
    lines += [f"- {name}: no result yet; `semantica run {name}` trains it." for name in missing]
    return "\n".join(sorted(lines))


def endings(found: Sequence[Result]) -> str:
    """End-of-run accuracy by protocol: a row a tie and one for the ceilings."""
    splits = [*PROTOCOLS.values(), "exact"]
    heads = [f"{way}: {split} split" for way, split in PROTOCOLS.items()]
    lines = _head("experiment", "trials", *heads, "all strings")
    for result in found:
        for tied, tie in TIES:
            ends = [protocols.end_accuracy(result, tied, split) for split in splits]
            cells = [with_interval(mean_interval(values)) for values in ends]
            lines.append(_line(named(result), f"{tie}, {len(ends[0])} seeds", *cells))
        task = xor_task(result.settings)
        best = [number(task.ceiling(split)[0]) for split in splits]
        lines.append(_line(named(result), "*ceiling*", *best))
    return "\n".join(lines)


def new_contexts(found: Sequence[Result]) -> str:
    """How much of what held-out strings show is new to each encoder."""
    lines = _head("experiment", "its encoder sees", "contexts of held-out strings", "new to it")
    for result in found:
        shown, new = _contexts(result)
        order = sees_order(result.settings)
        sees = "the order of the symbols" if order else "how many there are of each"
        lines.append(_line(result.settings.experiment, sees, f"{shown:,}", f"{new:,}"))
    return "\n".join(lines)


def held_out(found: Sequence[Result], frame: pd.DataFrame) -> str:
    """What :func:`judged` says on held-out strings, in a table and in words."""
    rows = frame[frame.claim.str.contains("held-out strings") & frame.low.notna()]
    new = {one.settings.experiment: _contexts(one)[1] > 0 for one in found if one.complete}
    words = [f"- Predicted: at most {HELD_OUT_MARGIN:g} less."]
    for is_new, head in ((False, "no held-out context is"), (True, "held-out contexts are")):
        cases = [row for row in rows.itertuples() if new.get(row.experiment) == is_new]
        lower = [
            f"{row.experiment}, {tie_of('untied' not in row.claim)}, by "
            f"{number(-row.estimate)} of the ceiling"
            for row in cases
            if row.high < 0
        ]
        told = (
            f"accuracy on held-out strings is lower than on training strings, with the whole "
            f"interval under 0, in {len(lower)} of {len(cases)} cases"
        )
        told += f" ({'; '.join(lower)})" if lower else ""
        told = told if cases else "there is no complete result yet"
        words.append(f"- Where {head} new to the encoder: {told}.")
    return f"{tables.beside(found, frame, tables.HELD_OUT)}\n" + "\n".join(words)


def drawn_lines(found: Sequence[Result]) -> str:
    """The paper's dashed line, what can be attained and where runs end."""
    heads = "drawn", "attainable", "tied", "untied", "trials that end over the drawn line"
    lines = _head("experiment", *heads)
    for result in found:
        drawn = protocols.DRAWN[result.settings.experiment]
        ends = [protocols.end_accuracy(result, tied, "exact") for tied, _ in TIES]
        best = xor_task(result.settings).ceiling("exact")[0]
        over = sum(int((values > drawn + 5e-4).sum()) for values in ends)  # by a digit shown
        cells = [with_interval(mean_interval(values)) for values in ends]
        count = f"{over} of {sum(map(len, ends))}"
        lines.append(_line(named(result), f"{drawn:.2f}", f"{best:.2f}", *cells, count))
    return "\n".join(lines)


def swings(found: Sequence[Result]) -> str:
    """How much distances move within the last full period, a row a pair and a column a table."""
    lines = _head("experiment", "pair", *TABLES, "by decay alone")
    for result in found:
        task, alone = xor_task(result.settings), protocols.decay_swing(result)
        of = {(p.pair, p.tied, p.table): p for p in paper_predictions(task)}
        for first, second, holds in synonym_pairs(task):
            pair = f"{first} and {second}, DH {'holds' if holds else 'fails'}"
            cells = [_swing(result, of[(first, second), *where]) for where in TABLES.values()]
            lines.append(_line(named(result), pair, *cells, number(alone)))
    return "\n".join(lines)


def _swing(result: Result, p: Prediction) -> str:
    spread, ratio = protocols.swing(result, p)
    if not len(spread):
        return NONE
    return f"{np.median(spread):.0%}; {number(geometric_interval(ratio).estimate)}"


def compared(columns: Mapping[str, Result]) -> str:
    """The primary verdicts of several results, a column each, and why any cannot be judged."""
    frames = [primary_rows(verdicts(result)) for result in columns.values()]
    counts = [len(set(result.seed.tolist())) for result in columns.values()]
    heads = [f"{head}, {n} seed{'s'[: n != 1]}" for head, n in zip(columns, counts, strict=True)]
    cells = {
        (row.claim, index): f"**{row.verdict}**: "
        + with_interval(Interval(row.estimate, row.low, row.high))
        for index, frame in enumerate(frames)
        for row in frame.itertuples()
    }
    lines = _head("claim", *heads)
    for claim in dict.fromkeys(claim for claim, _ in cells):
        lines.append(_line(claim, *(cells.get((claim, index), "") for index in range(len(heads)))))
    for head, frame in zip(heads, frames, strict=True):
        lacks = frame[(frame.verdict == INCONCLUSIVE) & ~frame.deviation.str.startswith("Measured")]
        reasons = dict.fromkeys(text.partition(";")[0] for text in lacks.deviation)  # no command
        lines += [f"\n{head}: {reason.rstrip('.')}." for reason in reasons]
    return "\n".join(lines)


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
            words = f"- `{variant.label}` {state}. This trains it:"
            missing.append(f"{words}\n\n  ```sh\n  {variant.command}\n  ```\n")
    some = len(columns) > bool(base)
    return "\n".join([*missing, "", compared(columns) if some else ""])


def own_steps(found: Sequence[Result]) -> str:
    """The primary verdicts at the steps of the original's files beside those at the end."""
    parts, by_name = [], {result.settings.experiment: result for result in found}
    for experiment, step in protocols.OWN_STEPS.items():
        result = by_name.get(experiment)
        then = protocols.until(result, step) if result else None
        text = f"**{experiment}**, whose file stops at step {step:,}: "
        if result is None:
            parts.append(text + "there is no result yet.")
        elif then is None:
            parts.append(text + f"the result is not there yet ({tables.steps(result)}).")
        else:
            end = f"at step {result.manifest['steps_done']:,}"
            parts.append(f"{text}\n\n{compared({f'at step {step:,}': then, end: result})}")
    return "\n\n".join(parts)


def _contexts(result: Result) -> tuple[int, int]:
    """How many contexts the held-out strings show, and how many are new to the encoder."""
    own = result.settings
    return protocols.contexts(xor_task(own), sees_order(own), "validation")


def _head(*cells: str) -> list[str]:
    return [_line(*cells), "|---" * len(cells) + "|"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
