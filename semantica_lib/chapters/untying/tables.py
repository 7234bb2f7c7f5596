"""What the sweep over the step of untying shows, as Markdown: what was run, and tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import NONE, markdown_table, number
from semantica_lib.analysis.statistics import paired_exact_test
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.untying import measures
from semantica_lib.chapters.untying.measures import ALWAYS, NEVER, TABLES, Way, ways_of
from semantica_lib.figures.facts import made_from


def predicted(found: Sequence[Point]) -> str:
    """What the clock leaves from each step of untying on, and what follows; needs no result."""
    words = {True: "merge", False: "stay apart", None: "too near to say"}
    lines = [
        [f"{own.untie_at:,}", number(measures.clock(own)), words[measures.merges(own)]]
        for _, own, _ in found
        if own.untie_at
    ]
    return markdown_table(["tied until step", "decay leaves", "input rows, DH fails"], lines)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    late = "tied until step {:,}, untied from there on"
    ends = f"{ALWAYS}, and {NEVER}"
    return made_from(
        sweep,
        {late.format(own.untie_at) if own.untie_at else ends: result for _, own, result in found},
    )


def endings(found: Sequence[Point]) -> str:
    """How each way ends: who learns, accuracy and loss, and loss minus the two ends', by seed."""
    ways, lines = ways_of(found), []
    for way in ways:
        bases = [
            next((one for one in ways if one.label == name and one is not way), None)
            for name in (NEVER, ALWAYS)
        ]
        cells = [markdown.counted(way.learned), markdown.share(way.learned)]
        cells += [_paired_p(base, way) if base else NONE for base in bases]
        cells += [markdown.mean(measures.final(way, of)) for of in ("accuracy", "loss")]
        differ = [measures.difference(way, base, "loss") if base else () for base in bases]
        lines.append([way.label, *cells, *map(markdown.mean, differ)])
    heads = ["", "learn", "share", "p, against untied", "p, against tied", "accuracy", "loss"]
    return _table([*heads, "loss minus untied's", "loss minus tied's"], lines)


def _paired_p(base: Way, way: Way) -> str:
    both = pd.DataFrame({"before": base.learned, "after": way.learned}).dropna().astype(bool)
    return f"{paired_exact_test(both.before, both.after):.2g}"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """With a row of dashes where nothing is trained."""
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def tables_end(found: Sequence[Point]) -> str:
    """Where the tables end: ratios to the control pairs, against the clock, and from each other."""
    ways, lines, heads = ways_of(found), [], []
    always = next((way for way in ways if way.label == ALWAYS), None)
    for way in ways:
        pairs = [pair[:2] for pair in synonym_pairs(way.measured.task)]
        places = [(table, pair) for table in TABLES for pair in pairs]
        heads = [f"{table} {a} and {b}" for table, (a, b) in places]
        heads += [f"input {a} and {b}, over the clock" for a, b in pairs]
        cells = [markdown.geometric(way.trials.ratio(*place)[0]) for place in places]
        for pair in pairs:  # a tied table has gradients of both kinds, and no clock
            left = measures.left_of(way, "input", pair) / way.clock
            cells.append(NONE if way is always else markdown.geometric(left))
        cells.append(markdown.mean(way.trials.end(measures.apart(way))))
        begun = measures.begins_as(way, always) if always and way.late else None
        lines.append([way.label, *cells, number(begun)])
    return _table(["", *heads, "tables from each other", "from always tied, when untied"], lines)


def speeds(found: Sequence[Point]) -> str:
    """How soon each way learns the parity and brings equally likely output rows together.

    The median step of those trials that get there, and how many do.
    """
    lines, heads = [], []
    for way in ways_of(found):
        pairs = [pair[:2] for pair in synonym_pairs(way.measured.task) if pair[2]]
        heads = [f"output {a} and {b} close, step" for a, b in pairs]
        firsts = [measures.first_close(way, pair) for pair in pairs]
        lines.append([way.label, *map(_median, [measures.first_learned(way), *firsts])])
    return _table(["", "parity learned, step", *heads], lines)


def _median(first: pd.Series) -> str:
    there = first[np.isfinite(first)]
    return f"{there.median():,.0f} ({len(there)} of {len(first)})" if len(there) else NONE
