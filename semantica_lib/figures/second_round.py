"""The second round of evidence as the pages tell it: a sentence, a coloured table, the numbers.

All of it is made from the rows of the verdicts, as Markdown.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis.markdown import markdown_table, with_interval
from semantica_lib.analysis.second_round import (
    AS_PREDICTED,
    CONSISTENT,
    NOT_AS_PREDICTED,
    UNDECIDED,
)
from semantica_lib.analysis.statistics import NOT_REPRODUCED, REPRODUCED, Interval
from semantica_lib.analysis.verdicts import PAIR, kinds, primary_rows, to_markdown, verdicts
from semantica_lib.settings.catalogue import SECOND, AnySettings, find, first_of, second_rounds
from semantica_lib.store import results
from semantica_lib.store.results import Result

RULES = "c67c10ffad"  # the commit in which the rules were fixed
MARKS = {
    REPRODUCED: "🟩", AS_PREDICTED: "🟩", NOT_REPRODUCED: "🟥", NOT_AS_PREDICTED: "🟥",
    UNDECIDED: "🟨", CONSISTENT: "🟨",
}  # fmt: skip
LEGEND = (
    "🟩 *reproduced* (a claim of the paper) or *as predicted* (one of ours), 🟥 *not*, "
    "🟨 *undecided*. Of a claim about a pair the number is how many of all trials meet it; "
    "the claim is that most do. Of the cost it is what untied trials know more of the bit than "
    "tied ones. In brackets: the interval that decides, wide enough that all rows of an "
    "experiment are judged together (Holm's procedure at 5%)."
)
# Of each claim about pairs: whose rows, what they do if it is met, what if not. In their order.
CLAUSES = {
    "are not kept apart": (
        "untied, the input rows of {}",
        "end no farther apart than decay alone leaves them",
        "end farther apart than decay alone leaves them",
    ),
    "are pulled together": (
        "the input rows of {}",
        "end nearer than that: the loss itself pulls them together",
        "do not end nearer than that",
    ),
    "untied output: .* keep their odds": (
        "untied, the output rows of {}", "stay apart by the log of their odds",
        "do not stay apart by the log of their odds",
    ),
    "untied output: .* merge": ("untied, the output rows of {}", "merge", "do not merge"),
    "tied: .* keep their odds": (
        "tied, the rows of {}", "stay apart by the log of their odds",
        "do not stay apart by the log of their odds",
    ),
    "tied: .* merge": ("tied, the rows of {}", "merge", "do not merge"),
}  # fmt: skip


def of(own: AnySettings, load: Callable[[AnySettings], Result | None] = results.best):
    """The result of the second round of an experiment, of either round's settings, if any."""
    name = first_of(own.experiment) + SECOND
    return load(find(name)) if name in second_rounds() else None


def told(own: AnySettings) -> str:
    """What the second round says of an experiment; that it is to come, or that it has none."""
    result = of(own)
    if result is None:
        name = first_of(own.experiment) + SECOND
        if name not in second_rounds():
            return f"There is no second round of {own.experiment}."
        return (
            f"The second round of {first_of(own.experiment)} is to come: of fresh seeds, judged by "
            f"rules that stand already. `semantica run {name}` trains it."
        )
    frame = verdicts(result)
    return "\n\n".join(
        [sentence(result, frame), coloured(frame), LEGEND, fixed([result]), open_rows(frame)]
    ).strip()


def fixed(found: Sequence[Result]) -> str:
    """When the rules were fixed, and at which commits the seeds were trained."""
    commits = dict.fromkeys((one.manifest["commit"] or "unknown")[:10] for one in found)
    return (
        f"The rules were committed in {RULES}, before any of these seeds was trained (at commit "
        f"{', '.join(commits)}), and stand in `semantica_lib/analysis/second_round.py`. No seed is "
        "left out, and none is pooled with those of the first round."
    )


def sentence(result: Result, frame: pd.DataFrame) -> str:
    """What came out in this task, in words made from the rows."""
    rows, seeds = primary_rows(frame), sorted(set(result.seed.tolist()))
    parts = []
    for pattern, (subject, met, unmet) in CLAUSES.items():
        some = rows[rows.claim.str.contains(rf"(?:, |^).*{pattern}")]
        for words, group in (
            (met, _with(some, "🟩")), (unmet, _with(some, "🟥")),
            (f"{met} in most trials or not is undecided", _with(some, "🟨")),
        ):  # fmt: skip
            if len(group):
                pairs = _listed(_pair(row).replace(" and ", "/") for row in group.itertuples())
                counts = _listed(f"{_met(row)}" for row in group.itertuples())
                counts += f" of {group.seeds.iloc[0]} trials"
                parts.append(f"{subject.format(pairs)} {words} ({counts})")
    parts += [_cost(row) for row in rows[rows.claim.str.contains("tying costs")].itertuples()]
    parts += [_who(row) for row in rows[rows.claim.str.contains("untied learns")].itertuples()]
    name = first_of(result.settings.experiment)
    return (
        f"**In this task ({name}) {decided(frame)}**, by {len(seeds)} fresh seeds, {seeds[0]} to "
        f"{seeds[-1]}. {' '.join(part[0].upper() + part[1:] + '.' for part in parts)}"
    )


def decided(frame: pd.DataFrame) -> str:
    """How many of the paper's claims and of ours came out how, in words."""
    rows = primary_rows(frame)
    ours = rows.claim.str.contains("pulled together")
    told = []
    for whose, some in (("the paper's", rows[~ours]), ("our own", rows[ours])):
        counts = some.verdict.value_counts()
        words = _listed(f"{counts[word]} are {word}" for word in MARKS if word in counts)
        head = "all" if len(counts) == 1 else "of"  # all 8 are, of 8 6 are and 2 are
        words = words.removeprefix(f"{len(some)} ") if len(counts) == 1 else words
        told += [f"{head} {len(some)} of {whose} claims {words}"] if len(some) else []
    text = ", and ".join(told).replace(" 1 are ", " 1 is ")
    return text.replace("all 1 of our own claims are", "our own one is")


def coloured(frame: pd.DataFrame) -> str:
    """A row a primary claim: its colour and verdict, and how many trials meet it."""
    rows = primary_rows(frame)
    lines = [
        [f"{MARKS[row.verdict]} {row.verdict}", row.claim, _short(row)] for row in rows.itertuples()
    ]
    return markdown_table(["verdict", "claim", "met by"], lines)


def across(frames: Sequence[pd.DataFrame]) -> str:
    """The primary verdicts of several experiments: kinds of claims by experiments."""
    rows = pd.concat([primary_rows(frame) for frame in frames])
    rows = rows.assign(kind=kinds(rows))
    names = list(dict.fromkeys(rows.experiment))
    lines = []
    for kind, group in sorted(rows.groupby("kind"), key=lambda one: one[0]):
        line = [kind]
        for name in names:
            own = group[group.experiment == name]
            cells = [
                f"{MARKS[row.verdict]} {_short(row)}" + f": {_pair(row)}" * (len(own) > 1)
                for row in own.itertuples()
            ]
            line.append("<br>".join(cells))
        lines.append(line)
    return markdown_table(["claim", *names], lines)


def open_rows(frame: pd.DataFrame) -> str:
    """Of each undecided primary claim why, and about how many seeds would decide it."""
    lines = []
    for row in _with(primary_rows(frame), "🟨").itertuples():
        reach, off = (row.high - row.low) / 2, abs(row.estimate - row.margin)
        lines.append(f"- {row.claim}: {row.deviation}")
        if np.isfinite(reach) and off > 0 and row.deviation.startswith("Measured"):
            count = row.seeds * (reach / off) ** 2
            about = f"about {count:,.0f}" if count < 10_000 else "over 10,000"
            lines[-1] += f" If it stays as measured, it takes {about} to decide it."
    return "\n".join(["Undecided:\n", *lines]) if lines else ""


def whole(load: Callable[[AnySettings], Result | None] = results.best) -> str:
    """The second rounds of all experiments: sentences, the coloured table, what is to come."""
    found = {name: of(find(name), load) for name in second_rounds()}
    there = {name: result for name, result in found.items() if result}
    missing = [first_of(name) for name, result in found.items() if not result]
    frames = [verdicts(result) for result in there.values()]
    parts = [f"- {sentence(*one)}" for one in zip(there.values(), frames, strict=True)]
    parts = ["\n".join(parts)] if parts else []
    if frames:
        parts += [across(frames), LEGEND, fixed(list(there.values()))]
    if missing:
        parts.append(f"To come, by the same rules: {', '.join(missing)}.")
    return "\n\n".join(parts)


def numbers(own: AnySettings, load: Callable[[AnySettings], Result | None] = results.best) -> str:
    """Every primary row of the second round of an experiment; nothing if it has no result."""
    result = of(own, load)
    return to_markdown(primary_rows(verdicts(result))) if result else "None yet."


def all_numbers() -> str:
    """The same of every experiment that has a result."""
    wanted = [find(name) for name in second_rounds()]
    parts = [f"**{first_of(own.experiment)}**\n\n{numbers(own)}" for own in wanted if of(own)]
    return "\n\n".join(parts)


def _with(rows: pd.DataFrame, mark: str) -> pd.DataFrame:
    return rows[rows.verdict.map(MARKS) == mark]


def _pair(row: Any) -> str:
    found = re.search(PAIR, row.claim)
    return found[0] if found else ""


def _met(row: Any) -> int:
    return round(np.nan_to_num(row.pass_share) * row.seeds)


def _short(row: Any) -> str:
    """``93 of 100``, or a difference with its interval."""
    if "most" in row.prediction:
        return f"{_met(row)} of {row.seeds}"
    return with_interval(Interval(row.estimate, row.low, row.high))


def _cost(row: Any) -> str:
    measured = with_interval(Interval(row.estimate, row.low, row.high))
    if row.margin == 0:
        words = {
            "🟩": "tying costs {} of the bit that is to be known, on the mean",
            "🟥": "tying costs nothing, it gains: untied minus tied known is {}",
            "🟨": "whether tying costs any of the bit that is to be known is undecided ({})",
        }
    else:
        words = {
            "🟩": "tying costs under a tenth of the bit that is to be known ({})",
            "🟥": "tying costs over a tenth of the bit, {}, though the DH holds for all synonyms",
            "🟨": "whether tying costs a tenth of the bit that is to be known is undecided ({})",
        }
    return words[MARKS[row.verdict]].format(measured)


def _who(row: Any) -> str:
    left = " (undecided)" * (MARKS[row.verdict] == "🟨")
    seeds = f"the {row.seeds} seeds of which just one trial learns"
    return f"of {seeds} it is the untied one in {_met(row)}{left}"


def _listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last
