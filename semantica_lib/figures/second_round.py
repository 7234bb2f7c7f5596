"""The second round of evidence as the pages tell it: sentences, a coloured table, the numbers.

All of it is Markdown, made from the rows of the verdicts.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis.distances import Table
from semantica_lib.analysis.markdown import (
    PAIR,
    letter,
    lettered,
    listed,
    markdown_table,
    title,
    with_interval,
)
from semantica_lib.analysis.second_round import CONSISTENT, OURS, PAPERS, UNDECIDED
from semantica_lib.analysis.statistics import FEW_SEEDS, Interval
from semantica_lib.analysis.sweep_points import name_of
from semantica_lib.analysis.verdicts import across, primary_rows, summary, to_markdown, verdicts
from semantica_lib.settings.catalogue import SECOND, AnySettings, find, first_of, second_rounds
from semantica_lib.store import results
from semantica_lib.store.results import Result

RULES = "c67c10ffad"  # the commit in which the rules were fixed
MET, UNMET, OPEN = COLOURED = "🟩", "🟥", "🟨"
MARKS = {PAPERS[0]: MET, OURS[0]: MET, PAPERS[1]: UNMET, OURS[1]: UNMET}
MARKS |= {UNDECIDED: OPEN, CONSISTENT: OPEN}
COLOURS = (
    f"{MET} *reproduced* (a claim of the paper) or *as predicted* (one of this book), {UNMET} "
    f"*not*, {OPEN} *undecided*."
)
LEGEND = (
    "Of a claim about a pair the number is how many trials meet it; the claim is that most do. Of "
    "the cost it is what untied trials know more of the bit than tied ones. In brackets: the "
    "interval that decides, wide enough that all rows of an experiment are judged together "
    "(Holm's procedure at 5%). In the main experiment the symbols A and B write a bit 0, C and D "
    "a bit 1. The DH *holds* for two that are equally likely."
)
GRID = {  # heads of the table that fits a screen: whose rows
    "1: inputs": "claim 1, .* not kept apart", "2: outputs": "claim 2", "3: tied": "claim 3, tied",
    "3: cost": "claim 3: ", "ours": "pulled together",
}  # fmt: skip
ODDS = "stay apart by the log of their odds"
CLAUSES = {  # of the claims about pairs, in their order: whose rows, and what they do if it is met
    "are not kept apart": (
        "untied, the input rows of {}", "end within 1.25 times the distance that decay alone leaves"
    ),
    "are pulled together": (
        "by the loss itself the input rows of {}", "end nearer than decay alone leaves them"
    ),
    "untied output: .* keep": ("untied, the output rows of {}", ODDS),
    "untied output: .* merge": ("untied, the output rows of {}", "merge"),
    " tied: .* keep": ("tied, the rows of {}", ODDS),
    " tied: .* merge": ("tied, the rows of {}", "merge"),
}  # fmt: skip
COSTS = {  # whether a cost is predicted, and whether that is met
    (True, MET): "tying costs {} of the bit, on the mean",
    (True, UNMET): "tying costs nothing of the bit: {}",
    (True, OPEN): "whether tying costs any of the bit is undecided: {}",
    (False, MET): "tying costs under a tenth of the bit: {}",
    (False, UNMET): "tying costs over a tenth of the bit: {}",
    (False, OPEN): "whether tying costs under a tenth of the bit is undecided: {}",
}
Load = Callable[[AnySettings], Result | None]
_FRAMES: dict[tuple, pd.DataFrame] = {}


def of(own: AnySettings, load: Load = results.best) -> Result | None:
    """The second round of an experiment, of either round's settings, if there is a result."""
    name = first_of(own.experiment) + SECOND
    return load(find(name)) if name in second_rounds() else None


def _rows(result: Result) -> pd.DataFrame:
    """Its verdicts, which take a second: a page asks for them several times."""
    key = result.digest, frozenset(result.held), result.complete
    if key not in _FRAMES:
        _FRAMES[key] = verdicts(result)
    return _FRAMES[key]


def told(own: AnySettings) -> str:
    """What the second round says of an experiment; that it is to come, or that it has none."""
    result, name = of(own), first_of(own.experiment)
    if result is None:
        to_come = f"is to come: `semantica run {name}{SECOND}` trains it. Below is the first."
        is_one = name + SECOND in second_rounds()
        words = f"The second round {to_come}" if is_one else "There is no second round of it."
        rows = verdicts(first, first=True) if (first := results.best(own)) else None
        return words if rows is None else f"{words} By the first round's rules: {summary(rows)}."
    frame = _rows(result)
    table = f"{across(frame, short)}\n\n{COLOURS} {LEGEND} {_fixed([result])}"
    return f"{sentences(result, frame)}\n\n{table}\n\n{undecided(frame)}"


def about(own: AnySettings, tied: bool, table: Table) -> str:
    """What it says of the pairs in a table, behind the first round's; empty without a result."""
    if (result := of(own)) is None:
        return ""
    rows = primary_rows(_rows(result))
    parts = [
        f"{lettered(row.claim).partition(': ')[2]}: {_met(row)} of {row.seeds}, *{row.verdict}*"
        for row in rows[rows.claim.str.contains(f", {name_of((tied, table))}:")].itertuples()
    ]
    return f"\n\nBy the rules of the second round, in its trials: {'; '.join(parts)}."


def in_short(own: AnySettings | None = None) -> str:
    """What came out of the claims about one experiment or all; empty if none has a second round."""
    there = [of(own)] if own else _there(results.best)
    frames = [_rows(result) for result in there if result]
    if not frames:
        return ""
    marks = pd.concat(map(primary_rows, frames)).verdict.map(MARKS).value_counts()
    words = {MET: "came out as stated", UNMET: "did not", OPEN: "undecided"}
    told = listed(f"{marks[mark]} {words[mark]}" for mark in COLOURED if mark in marks)
    return f"Of {marks.sum()} claims of the second round {told}. {cost(frames)}"


def whole(load: Load = results.best) -> str:
    """The second rounds of all experiments: sentences, a table that fits a screen, what is open."""
    there = _there(load)
    if not there:
        return coloured(load)
    frames = [_rows(result) for result in there]
    lines = [f"- {headline(*one)}" for one in zip(there, frames, strict=True)]
    says = sentences(there[0], frames[0]), "\n".join(lines[1:]), cost(frames), coloured(load)
    return "\n\n".join(filter(None, (*says, _fixed(there), *map(undecided, frames))))


def coloured(load: Load = results.best) -> str:
    """The table that fits a screen, what its colours mean, and which experiments are to come."""
    there = _there(load)
    have = [one.settings.experiment for one in there]
    missing = ", ".join(f"*{title(name)}*" for name in second_rounds() if name not in have)
    parts = [f"To come, by the same rules: {missing}."] if missing else []
    if there:
        frames = [_rows(result) for result in there]
        ours = "*Ours*: that the loss itself brings input rows nearer. A number counts claims."
        parts = [grid(frames), f"{COLOURS} {ours} {_why_open(frames)}".strip(), *parts]
    return "\n\n".join(parts)


def _why_open(frames: Sequence[pd.DataFrame]) -> str:
    """Why experiments of few seeds are undecided, and what a cost is where none is predicted."""
    told, rows = [], primary_rows(pd.concat(frames))
    if any(primary_rows(frame).seeds.max() <= FEW_SEEDS for frame in frames):
        told.append(
            f"{FEW_SEEDS} seeds or fewer decide nothing: there 9/10 says that nine of ten trials, "
            "five a claim, meet their claim."
        )
    few = rows.claim.str.contains("tying costs") & (rows.margin > 0) & (rows.low > 0)
    for row in rows[few & (rows.verdict == UNDECIDED)].itertuples():
        told.append(
            f"In *{title(row.experiment)}* the paper has it that tying costs nothing: it costs "
            f"{short(row).partition(' ')[2]} of the bit, over 0; over a tenth or not is open."
        )
    return " ".join(told)


def _there(load: Load) -> list[Result]:
    """The second rounds that have a result, the main experiment's first."""
    return [one for one in (of(find(name), load) for name in second_rounds()) if one]


def grid(frames: Sequence[pd.DataFrame]) -> str:
    """How many claims came out how, of few seeds how many trials meet each; narrow columns."""
    lines = []
    for rows in map(primary_rows, frames):
        lines.append([title(rows.experiment.iloc[0])])
        for some in (rows[rows.claim.str.contains(pattern)] for pattern in GRID.values()):
            counts = some.verdict.map(MARKS).value_counts()
            cell = [f"{mark} {counts[mark]}" for mark in COLOURED if mark in counts]
            few = some.seeds.max() <= FEW_SEEDS and some.prediction.str.contains("most").all()
            if few and not some.deviation.str.startswith("The result is partial").any():
                cell = [OPEN, f"{sum(map(_met, some.itertuples()))}/{some.seeds.sum()}"]
            lines[-1].append(" ".join(cell))
    return markdown_table(["", *GRID], lines)


def counts(claims: str = "", load: Load = results.best) -> str:
    """Those primary rows of all experiments whose claim matches, in colours, with their numbers."""
    frames = [frame[frame.claim.str.contains(claims)] for frame in map(_rows, _there(load))]
    return f"{across(pd.concat(frames), short)}\n\n{LEGEND}" if frames else ""


def cost(frames: Sequence[pd.DataFrame]) -> str:
    """In which tasks tying costs knowledge of the bit, whatever was predicted of them."""
    rows = pd.concat([frame[frame.claim.str.contains("tying costs")] for frame in frames])
    rows = rows[rows.low > 0]
    some = [
        f"*{title(row.experiment)}* ({short(row).partition(' ')[2]})" for row in rows.itertuples()
    ]
    return f"Does tying cost knowledge of the bit? It does in {listed(some) or 'no task so far'}."


def numbers(wanted: Iterable[AnySettings] = ()) -> str:
    """Every primary row of the second round of some experiments, else of all, a table each."""
    found = (of(own) for own in wanted or map(find, second_rounds()))
    tables = {title(one.name): to_markdown(primary_rows(_rows(one))) for one in found if one}
    return "\n\n".join(f"**{name}**\n\n{table}" for name, table in tables.items())


def sentences(result: Result, frame: pd.DataFrame) -> str:
    """What came out in this task, in words made from the rows."""
    rows, parts = primary_rows(frame), []
    rows = rows.assign(mark=rows.verdict.map(MARKS))
    for pattern, (subject, verb) in CLAUSES.items():
        for mark, some in rows[rows.claim.str.contains(pattern)].groupby("mark"):
            does = {MET: "", UNMET: "do not ", OPEN: "may or may not (undecided) "}[mark] + verb
            told = (PAIR.search(claim).groups() for claim in some.claim)
            pairs = listed("/".join(map(letter, map(int, pair))) for pair in told)
            counts = listed(f"{_met(row)}" for row in some.itertuples())
            parts.append(f"{subject.format(pairs)} {does} ({counts} of {some.seeds.max()} trials)")
    for row in rows[rows.claim.str.contains("tying costs")].itertuples():
        parts.append(COSTS[row.margin == 0, row.mark].format(short(row).partition(" ")[2]))
    for row in rows[rows.claim.str.contains("untied learns")].itertuples():
        text = f"of the {row.seeds} seeds of which just one trial learns it is the untied one in "
        parts.append(f"{text}{_met(row)}" + " (undecided)" * (row.mark == OPEN))
    return " ".join([headline(result, frame), *(f"{p[0].upper()}{p[1:]}." for p in parts)])


def headline(result: Result, frame: pd.DataFrame) -> str:
    """How many claims about this task came out how."""
    rows, seeds, told = primary_rows(frame), sorted(set(result.seed.tolist())), []
    ours = rows.claim.str.contains("pulled together")
    for whose, some in (("the paper's", rows[~ours]), ("this book's", rows[ours])):
        counts = some.verdict.value_counts()
        each = [(counts[word], word) for word in MARKS if word in counts]
        words = listed(f"{count} {'is' if count == 1 else 'are'} {word}" for count, word in each)
        told.append(f"of {whose} {len(some)} claim{'s' * (len(some) != 1)} {words}")
    return (
        f"**In this task ({title(result.settings.experiment)}) {', and '.join(told)}**, by "
        f"{len(seeds)} fresh seeds, {seeds[0]} to {seeds[-1]}."
    )


def _fixed(found: Sequence[Result]) -> str:
    """When the rules were fixed."""
    commits = dict.fromkeys((one.manifest["commit"] or "unknown")[:10] for one in found)
    cut = any(first_of(one.settings.experiment) == "lstm-small" for one in found)
    shorter = (
        "The small LSTM's hundred seeds were cut to forty for what they cost, after the rules and "
        "before any of them was trained. "
    )
    return (
        f"The rules were committed in {RULES}, before any of these seeds was trained (at commit "
        f"{', '.join(commits)}), and stand in `semantica_lib/analysis/second_round.py`. "
        f"{shorter * cut}No seed is left out, and none is pooled with those of the first round."
    )


def short(row: Any) -> str:
    """The colour, and how many trials meet it or what the difference is, of a row."""
    if np.isnan(row.estimate):
        return MARKS[row.verdict]
    measured = with_interval(Interval(row.estimate, row.low, row.high))
    counted = "most" in row.prediction
    return f"{MARKS[row.verdict]} {f'{_met(row)} of {row.seeds}' if counted else measured}"


def undecided(frame: pd.DataFrame) -> str:
    """Of each undecided primary claim why, and about how many seeds would decide it.

    Of an experiment with so few seeds that nothing can be decided a line tells it.
    """
    lines, rows = [], primary_rows(frame)
    if rows.seeds.max() <= FEW_SEEDS:
        met = f"{(rows.verdict == CONSISTENT).sum()} of its {len(rows)} claims are met by each"
        few = f"{FEW_SEEDS} seeds or fewer decide nothing; {met} of them"
        return f"- {title(rows.experiment.iloc[0])}: *undecided*. By these rules {few}."
    for row in rows[rows.verdict.map(MARKS) == OPEN].itertuples():
        lines.append(
            f"- {title(row.experiment)}, {lettered(row.claim)}: *{row.verdict}*. {row.deviation}"
        )
        reach, off = (row.high - row.low) / 2, abs(row.estimate - row.margin)
        if reach > off > 0:
            count = row.seeds * (reach / off) ** 2
            many = f"about {count:,.0f}" if count < 10_000 else "over 10,000"
            which = " of which just one trial learns" * ("just one" in row.prediction)
            lines[-1] += f" If it stays as measured, it takes {many} seeds{which} to decide it."
    return "\n".join(lines)


def _met(row: Any) -> int:
    return round(np.nan_to_num(row.pass_share) * row.seeds)
