"""Results set beside one another: one experiment's from two sources, and those of all experiments.

All of it is Markdown, made from the rows of the verdicts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

import pandas as pd

from semantica_lib.analysis import verdicts
from semantica_lib.analysis.claims import EXPLORATORY
from semantica_lib.analysis.markdown import (
    NONE,
    PAIR,
    lettered,
    markdown_table,
    number,
    table_of,
    title,
    with_interval,
)
from semantica_lib.analysis.statistics import INCONCLUSIVE, Interval
from semantica_lib.analysis.verdicts import primary_rows
from semantica_lib.errors import literal
from semantica_lib.figures.curves import source
from semantica_lib.figures.facts import facts_of_run, model, seeds_of, shown, whose
from semantica_lib.settings.catalogue import Settings, catalogue, find, first_of, xor_experiments
from semantica_lib.store import results
from semantica_lib.store.results import Result, sources

# Tables of exploratory rows: heading of a column -> what the claims in it match. A group in the
# pattern is told in the cell, behind the pair and its values.
AUTHOR = {
    "converges faster tied than in the untied output table (steps, tied over untied: under 1)":
        r"author: .* untied output table, first step .*\((never: .*)\)",
    "converges faster tied than in the untied input table (steps, tied over untied: under 1)":
        r"author: .* untied input table, first step .*\((never: .*)\)",
    "fluctuates more tied than in the untied output table (tied over untied: over 1)":
        r"author: .* fluctuate more tied",
    "untied does better overall (cross-entropy, tied minus untied, nats: over 0)":
        r"claim 3: what tying costs in cross-entropy",
}  # fmt: skip
PARITIES = {
    "output rows of the two parities merge": r"fourth cell, untied output",
    "input rows of the two parities stay apart": r"fourth cell, untied input",
    "input rows of a parity and of the bit that it acts as merge": r"parity, untied input",
}
DECAY = {
    f"{table} table": rf"claim \d, {table}: .* share of the shrinking"
    for table in ("untied input", "untied output", "tied")
}
HELD_OUT = {
    tie: rf"held-out strings .*, {tie} \((contexts new to it: .*)\)" for tie in ("untied", "tied")
}


def other(result: Result) -> str:
    """What the other source's result is, and its primary verdicts."""
    others = [one for one in sources(result.settings) if one.address != result.address]
    if not others:
        kind = "result of this machine" if result.published else "published result"
        return f"There is no {kind} of these settings to set beside it."
    frame = primary_rows(verdicts.verdicts(others[0]))
    told = f"{verdicts.to_markdown(frame)}\n{verdicts.summary(frame)}."
    return f"{shown(others[0])}\n\n{told}"


def by_source(own: Settings) -> dict[str, Result]:
    """The results of these settings that there are, by whose they are and how many seeds.

    Of one with more seeds than the paper's five, these five are there too.
    """
    found = {}
    for one in sources(own):
        found[f"{source(one)}, {seeds_of(one)}"] = one
        if set(results.PAPER_SEEDS) < set(one.seed.tolist()):
            head = f"{source(one)}, the paper's {len(results.PAPER_SEEDS)} of them"
            found[head] = one.of_seeds(results.PAPER_SEEDS)
    return found


def compared(columns: Mapping[str, Result]) -> str:
    """The primary verdicts of several results, a column each, and why any cannot be judged."""
    lines: dict[str, dict[str, str]] = {}
    reasons = []
    for head, result in columns.items():
        frame = primary_rows(verdicts.verdicts(result))
        for row in frame.itertuples():
            cells = lines.setdefault(
                row.claim, {"claim": lettered(row.claim)} | dict.fromkeys(columns, "")
            )
            cells[head] = f"**{row.verdict}**: {_measured(row)}"
        lacks = frame[(frame.verdict == INCONCLUSIVE) & ~frame.deviation.str.startswith("Measured")]
        told = dict.fromkeys(text.partition(";")[0] for text in lacks.deviation)  # no command
        reasons += [f"\n{head}: {reason.rstrip('.')}." for reason in told]
    return table_of(lines.values()) + "\n".join(reasons)


def differences(own: Settings) -> str:
    """The primary claims that were not reproduced, and why, of the source with the most seeds."""
    best = max(sources(own), key=lambda one: (one.complete, len(set(one.seed.tolist()))))
    rows = primary_rows(verdicts.verdicts(best))
    rows = rows[rows.deviation != ""]
    if rows.empty:
        return f"Nothing differs from the predictions in the result {whose(best)}."
    lines = [f"- {row.claim}: *{row.verdict}*. {row.deviation}" for row in rows.itertuples()]
    return f"Of the result {whose(best)}:\n\n" + "\n".join(lines)


def named() -> list[str]:
    """All XOR experiments: the main one first, then smaller models before larger ones."""
    architectures = get_args(Settings.model_fields["architecture"].annotation)

    def place(name: str) -> tuple:
        own = find(name)
        kind = architectures.index(own.architecture)
        return own.identity != {}, own.embedding_size, kind, name

    return sorted(xor_experiments(), key=place)


def spoken() -> list[str]:
    """All experiments on language models."""
    return [name for name in catalogue() if name not in xor_experiments()]


def stored(names: Sequence[str] | None = None) -> list[Result]:
    """What there is of each experiment: of two results the complete one, and that of more trials.

    This machine's where they are alike. (``make book`` trains five seeds; most are published with
    more, and what a page says of them is not to be set under a table of fewer.)

    Args:
        names: of the experiments; else those on the XOR task.
    """
    found = (sources(find(name)) for name in names or named())
    return [results.fullest(of) for of in found if of]


def all_rows(found: Iterable[Result]) -> pd.DataFrame:
    """The verdicts of all results, one below the other."""
    none = pd.DataFrame(columns=verdicts.COLUMNS, dtype=object)
    pages = [(one, f"experiments/{first_of(one.settings.experiment)}.ipynb") for one in found]
    frames = [verdicts.verdicts(*page) for page in pages]
    return pd.concat(frames, ignore_index=True) if frames else none


def left_open(frame: pd.DataFrame) -> str:
    """How many primary rows decide nothing, and which of those on learning one failure refutes."""
    rows = primary_rows(frame)
    learn = rows[rows.claim.str.contains("is learned") & (rows.seeds > 0)]
    failed, open_ = (learn.pass_share < 1).sum(), (rows.verdict == INCONCLUSIVE).sum()
    return (
        f"Of {len(rows)} primary rows {open_} are inconclusive. Of the {len(learn)} that say *by "
        f"every trial* {failed} have a trial that did not learn, which refutes them as they stand; "
        "what their verdict is about is whether most trials do."
    )


def overviewed(found: Sequence[Result], names: Sequence[str] | None = None) -> str:
    """Which results these are and where they come from, a row each; and what has none.

    Args:
        names: of the experiments that should be there; else those on the XOR task.
    """
    rows, there = [], {one.settings.experiment: facts_of_run(one) for one in found}
    for one, (name, made) in zip(found, there.items(), strict=True):
        about = {"experiment": f"[{title(name)}]({name}.ipynb)", "model": model(one.settings)}
        about |= {"seeds": made["seeds"], "steps": steps(one)}
        about["result"] = source(one) + (f", stale: {literal(one.stale)}" if one.stale else "")
        about |= {"commit": made["commit"], "computing": made["duration"]}
        rows.append(about | {"trained on": made["device"]})
    missing = [
        f"- {title(name)} has no result, here or published; `semantica run {name}` makes one."
        for name in names or named()
        if name not in there
    ]
    return "\n".join([table_of(rows), *missing])


def titled(result: Result) -> str:
    """The experiment, and how far its result is where that is not the whole way."""
    name = title(result.settings.experiment)
    return name if result.complete else f"{name} ({steps(result)})"


def steps(result: Result) -> str:
    """How far a result is; of a partial one, of how many steps."""
    done, full = result.manifest["steps_done"], results.full_steps(result.settings)
    return f"{done:,}" if result.complete else f"partial: {done:,} of {full:,}"


def beside(found: Sequence[Result], frame: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """Exploratory rows of all experiments: a row an experiment, a column a kind of claim.

    Args:
        columns: heading -> pattern of the claims in it, such as ``AUTHOR``.
    """
    rows = []
    for one in found:
        own, cells = frame[frame.experiment == one.settings.experiment], {"experiment": titled(one)}
        for head, pattern in columns.items():
            cells[head] = "<br>".join(_told(own, pattern, one.complete)) or NONE
        rows.append(cells)
    return table_of(rows)


def _told(rows: pd.DataFrame, pattern: str, complete: bool) -> Iterator[str]:
    """Pair, values and verdict of each row whose claim matches."""
    for row in rows.itertuples():
        match = re.match(EXPLORATORY + pattern, row.claim)
        if not match:
            continue
        pair, verdict = PAIR.search(row.claim), row.verdict if complete else "open"
        which = lettered(row.claim[: pair.end()]).rpartition(": ")[2] + ": " if pair else ""
        judged = f", *{verdict}*" if row.prediction != "none" else ""
        yield "; ".join([which + _measured(row) + judged, *match.groups()])


def everything(frame: pd.DataFrame) -> str:
    """Every row with all its columns, a table an experiment."""
    parts = []
    for (experiment, sha), rows in frame.groupby(["experiment", "manifest_sha256"], sort=False):
        rows = rows.drop(columns=["experiment", "round", "notebook", "manifest_sha256"])
        for name in ("claim", "prediction"):
            rows[name] = rows[name].map(lettered)
        rows = rows.map(lambda value: number(value) if isinstance(value, float) else str(value))
        lines = rows.to_numpy().tolist()
        parts += [
            f"**{title(experiment)}** (`{experiment}`, manifest sha256 {sha[:12]})",
            markdown_table(rows, lines),
        ]
    return "\n\n".join(parts)


def _measured(row: Any) -> str:
    return with_interval(Interval(row.estimate, row.low, row.high))
