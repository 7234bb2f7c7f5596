"""What the sweep over the step of untying shows, as Markdown: what was run, and tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import statistics
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import NONE, markdown_table, number, with_interval
from semantica_lib.analysis.statistics import geometric_interval, mean_interval, share_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.untying.figures import ALWAYS, NEVER
from semantica_lib.chapters.untying.measures import (
    TABLES,
    apart,
    begins_as,
    clock,
    final,
    first_close,
    first_learned,
    left_of,
    merges,
    ways_of,
)
from semantica_lib.figures.facts import made_from
from semantica_lib.settings.catalogue import Settings


def predicted(found: Sequence[Point]) -> str:
    """What the clock leaves from each step of untying on, and what follows; needs no result."""
    words = {True: "merge", False: "stay apart", None: "too near to say"}
    lines = [
        [f"{own.untie_at:,}", number(clock(own)), words[merges(own)]]
        for _, own, _ in found
        if own.untie_at
    ]
    return markdown_table(["tied until step", "decay leaves", "input rows, DH fails"], lines)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    return made_from(sweep, {_words(own): result for _, own, result in found})


def _words(own: Settings) -> str:
    until = own.untie_at
    return f"tied until step {until:,}, untied from there on" if until else f"{ALWAYS}, and {NEVER}"


def endings(found: Sequence[Point]) -> str:
    """How each way ends: who learns, accuracy and loss, and loss minus the two ends', by seed."""
    ways, lines = ways_of(found), []
    for way in ways:
        learned = way.learned.to_numpy(bool)
        share = with_interval(share_interval(learned))
        cells = [f"{int(learned.sum())} of {len(learned)}" if len(learned) else NONE, share]
        for name in (NEVER, ALWAYS):
            base = next((one for one in ways if one.label == name and one is not way), None)
            cells.append(f"{_paired_p(base.learned, way.learned):.2g}" if base else NONE)
        cells += [_mean(final(way, quantity)) for quantity in ("accuracy", "loss")]
        for name in (NEVER, ALWAYS):
            base = next((one for one in ways if one.label == name and one is not way), None)
            loss = final(way, "loss", base) - final(base, "loss", way) if base else None
            cells.append(NONE if loss is None else _mean(loss))
        lines.append([way.label, *cells])
    heads = ["", "learn", "share", "p, against untied", "p, against tied", "accuracy", "loss",
             "loss minus untied's", "loss minus tied's"]  # fmt: skip
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def _paired_p(before: pd.Series, after: pd.Series) -> float:
    both = pd.DataFrame({"before": before, "after": after}).dropna().astype(bool)
    return statistics.paired_exact_test(both.before, both.after)


def _mean(values: pd.Series) -> str:
    numbers = values.to_numpy(float)
    return with_interval(mean_interval(numbers[np.isfinite(numbers)]))


def _geometric(values: np.ndarray) -> str:
    return with_interval(geometric_interval(values[np.isfinite(values)]))


def tables_end(found: Sequence[Point]) -> str:
    """Where the tables end: ratios to the control pairs, against the clock, and from each other."""
    ways, lines, heads = ways_of(found), [], []
    tied = next((way for way in ways if way.label == ALWAYS), None)
    for way in ways:
        pairs = [pair[:2] for pair in synonym_pairs(way.measured.task)]
        heads = [f"{table} {a} and {b}" for table in TABLES for a, b in pairs]
        cells = [_geometric(way.trials.ratio(table, pair)[0]) for table in TABLES for pair in pairs]
        heads += [f"input {a} and {b}, over the clock" for a, b in pairs]
        untied = way.label != ALWAYS  # a tied table has gradients of both kinds, and no clock
        cells += [
            _geometric(left_of(way, "input", pair) / way.clock) if untied else NONE
            for pair in pairs
        ]
        cells.append(_mean(pd.Series(way.trials.end(apart(way)))))
        late = tied and 0 < way.until < np.inf
        cells.append(number(begins_as(way, tied)) if late else NONE)
        lines.append([way.label, *cells])
    heads = ["", *heads, "tables from each other", "from always tied, when untied"]
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def speeds(found: Sequence[Point]) -> str:
    """How soon each way learns the parity and brings equally likely output rows together.

    The median step of those trials that get there, and how many do.
    """
    lines, heads = [], ["", "parity learned, step"]
    for way in ways_of(found):
        pairs = [pair[:2] for pair in synonym_pairs(way.measured.task) if pair[2]]
        heads = heads[:2] + [f"output {a} and {b} close, step" for a, b in pairs]
        firsts = [first_learned(way), *(first_close(way, pair) for pair in pairs)]
        lines.append([way.label, *map(_median, firsts)])
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def _median(first: pd.Series) -> str:
    there = first[np.isfinite(first)]
    return f"{there.median():,.0f} ({len(there)} of {len(first)})" if len(there) else NONE
