"""The words and numbers that the pages quote, made from settings and stored results."""

import base64
from datetime import datetime

import pandas as pd
from markdown_it import MarkdownIt

from semantica_lib import results
from semantica_lib.analysis.claims import (
    ACCURACY_MARGIN,
    EXPLORATORY,
    LEARNED_NATS,
    MERGE_MARGIN,
)
from semantica_lib.analysis.distances import Table, Trials, synonym_pairs
from semantica_lib.analysis.statistics import last_period, mean_interval
from semantica_lib.analysis.theory import Prediction, paper_predictions
from semantica_lib.analysis.verdicts import summary, to_markdown, verdicts
from semantica_lib.experiments import Settings
from semantica_lib.figures.curves import source
from semantica_lib.results import Result
from semantica_lib.trainers.stacked import xor_task

NONE = "–"  # stands for a number that there is not
TIES = (True, "tied"), (False, "untied")
ENDINGS = (
    "Dot plot: for each table and pair of synonyms the distance at the end of each seed, as a "
    "share of the control pairs' distance, on a logarithmic scale, with the margin of a merge"
)
NO_PERIOD = "The records hold no full period of the schedule, so nothing is said about the end."


def predictions(own: Settings) -> str:
    """What is predicted of an experiment, with its margins, as Markdown; needs no result."""
    task = xor_task(own)
    lines = ["| table | pair | DH | predicted |", "|---|---|---|---|"]
    holds = {pair[:2]: pair.conditionally_equivalent for pair in synonym_pairs(task)}
    for p in paper_predictions(task):
        words = "merge: under" if p.merges else "stay apart: over"
        dh = "holds" if holds[p.pair] else "fails"
        pair = f"{p.pair[0]} and {p.pair[1]}"
        lines.append(f"| {_table(p)} | {pair} | {dh} | {words} {MERGE_MARGIN:.2f} |")
    costs = not all(holds.values())
    lines += [
        "",
        f"Every trial learns the parity: its loss on the training strings ends within "
        f"{LEARNED_NATS:g} nats of the least attainable one. Tying costs "
        f"{'accuracy' if costs else 'no accuracy'}: untied minus tied is "
        f"{'over' if costs else 'under'} {ACCURACY_MARGIN:g}.",
    ]
    return "\n".join(lines)


def shown(result: Result) -> str:
    """Which result this is and what it took, as a sentence of Markdown."""
    made = facts_of_run(result)
    stale = f" It is stale: {result.stale}." if result.stale else ""
    return (
        f"**The result {made['source']}**: {made['steps']} steps, {made['ties']}, of "
        f"{made['seed_count']} seed{'s'[: made['seed_count'] != '1']} ({made['seeds']}), "
        f"trained on {made['device']} in "
        f"{made['duration']} of computing.{stale}"
    )


def provenance(result: Result) -> str:
    """Where a result comes from, a line of Markdown."""
    made, manifest = facts_of_run(result), result.manifest
    return (
        f"Commit {made['commit']}; sources {manifest['source_sha256'][:12]}; numerics "
        f"{manifest['numerics']}; {made['versions']}; {made['device']}, {manifest['threads']} "
        f"thread a stack; begun {made['started']}; {made['duration']} of computing; "
        f"trajectory sha256 {manifest['files']['trajectory.npz'][:12]}."
    )


def facts_of_run(result: Result) -> dict[str, str]:
    """How a result came about, by the key under which pages quote it."""
    manifest, own = result.manifest, result.settings
    dirty = " with uncommitted changes" if manifest["dirty"] else ""
    return {
        "source": _source(result),
        "experiment": own.experiment,
        "trials": str(len(result.seed)),
        "seed_count": str(len(set(result.seed.tolist()))),
        "seeds": _listed(sorted(set(result.seed.tolist()))),
        "ties": " and ".join(tie for tied, tie in TIES if tied in result.tied),
        "steps": f"{manifest['steps_done']:,}",
        "device": manifest["device"].removeprefix("cpu: "),
        "duration": _duration(manifest["duration_s"]),
        "started": datetime.fromisoformat(manifest["started"]).date().isoformat(),
        "commit": (manifest["commit"] or "unknown")[:10] + dirty,
        "versions": ", ".join(f"{name} {number}" for name, number in manifest["versions"].items()),
    }


def facts(result: Result, frame: pd.DataFrame) -> dict[str, str]:
    """Every number of a result that pages quote, by key.

    Args:
        frame: the result's verdicts.
    """
    task = xor_task(result.settings)
    window = last_period(result.steps, result.settings.schedule_period)
    found = facts_of_run(result) | {
        "ceiling": _number(task.ceiling("exact")[0]),
        "margin": f"{MERGE_MARGIN:.2f}",
        "learned_nats": f"{LEARNED_NATS:g}",
        "verdict_summary": summary(frame).partition(": ")[2],
    }
    for p in paper_predictions(task):
        key = "_".join([_table(p).replace(" ", "_"), *map(str, p.pair)])
        trials, row = Trials.of(result, p.tied, window), _row(frame, p.claim)
        curve = trials.distance(p.table, p.pair)
        found[f"{key}_distance"] = _number(mean_interval(trials.end(curve)).estimate)
        found[f"{key}_ratio"] = _number(row.estimate)
        found[f"{key}_interval"] = f"{_number(row.low)} to {_number(row.high)}"
        found[f"{key}_verdict"] = row.verdict
    for tied, tie in TIES:
        trials, row = Trials.of(result, tied, window), _row(frame, f"the parity is learned, {tie}")
        for split in ("exact", "validation"):
            found[f"accuracy_{tie}_{split}"] = _number(trials.measured(split, "accuracy").mean())
        counted = row.seeds and pd.notna(row.pass_share)
        found[f"learned_{tie}"] = f"{row.pass_share * row.seeds:.0f}" if counted else NONE
        found[f"trials_{tie}"] = str(row.seeds) if counted else NONE
    return found


def ending(result: Result, frame: pd.DataFrame, tied: bool, table: Table) -> str:
    """Where the pairs of one table end, as Markdown: what a reader should take from its figure."""
    found, lines = facts(result, frame), []
    if last_period(result.steps, result.settings.schedule_period) is None:
        return NO_PERIOD
    for p in paper_predictions(xor_task(result.settings)):
        if (p.tied, p.table) != (tied, table):
            continue
        key = "_".join([_table(p).replace(" ", "_"), *map(str, p.pair)])
        lines.append(
            f"- **{p.pair[0]} and {p.pair[1]}** end {found[key + '_distance']} apart, "
            f"{found[key + '_ratio']} of a control pair's distance (interval "
            f"{found[key + '_interval']}; predicted {'under' if p.merges else 'over'} "
            f"{MERGE_MARGIN:.2f}): *{found[key + '_verdict']}*."
        )
    return "\n".join(lines)


def learning(result: Result, frame: pd.DataFrame) -> str:
    """What tied and untied trials attain, as a sentence of Markdown."""
    if last_period(result.steps, result.settings.schedule_period) is None:
        return NO_PERIOD
    found = facts(result, frame)
    return (
        f"Over all strings, tied trials end at {found['accuracy_tied_exact']} on average and "
        f"untied ones at {found['accuracy_untied_exact']}; {found['ceiling']} can be attained. "
        f"The parity was learned (to within {LEARNED_NATS:g} nats of the least loss) by "
        f"{found['learned_tied']} of {found['trials_tied']} tied and {found['learned_untied']} of "
        f"{found['trials_untied']} untied trials."
    )


def sources(own: Settings) -> list[Result]:
    """The results of these settings that there are: this machine's, then the published one."""
    places = (results.here(), results.PUBLISHED)
    found = [results.load(results.folder(place, own)) for place in places]
    return [result for result in found if result is not None]


def other(result: Result) -> str:
    """What the other source's result is, and its primary verdicts, as Markdown."""
    others = [one for one in sources(result.settings) if one.folder != result.folder]
    if not others:
        kind = "result of this machine" if result.published else "published result"
        return f"There is no {kind} of these settings to set beside it."
    frame = verdicts(others[0])
    return f"{shown(others[0])}\n\n{to_markdown(primary(frame))}\n{summary(frame)}."


def primary(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the claims that are judged together."""
    return frame[~frame.claim.str.startswith(EXPLORATORY)]


def compared(own: Settings) -> str:
    """The primary verdicts of every source, a column each, as Markdown.

    Of a source with more seeds than the paper's five, these five have a column too.
    """
    found, heads = [], []
    for one in sources(own):
        found.append(one)
        heads.append(f"{source(one)}, {facts_of_run(one)['seed_count']} seeds")
        if set(results.PAPER_SEEDS) < set(one.seed.tolist()):
            found.append(one.of_seeds(results.PAPER_SEEDS))
            heads.append(f"{source(one)}, the paper's {len(results.PAPER_SEEDS)} of them")
    columns = [primary(verdicts(one)) for one in found]
    lines = [f"| claim | {' | '.join(heads)} |", "|---" * (1 + len(found)) + "|"]
    for rows in zip(*(column.itertuples() for column in columns), strict=True):
        cells = [
            f"**{row.verdict}**: {_number(row.estimate)} [{_number(row.low)}, {_number(row.high)}]"
            for row in rows
        ]
        lines.append(f"| {rows[0].claim} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(own: Settings) -> str:
    """The primary claims that were not reproduced, and why, of the source with the most seeds."""
    best = max(sources(own), key=lambda one: len(set(one.seed.tolist())))
    rows = primary(verdicts(best))
    rows = rows[rows.deviation != ""]
    if rows.empty:
        return f"Nothing differs from the predictions in the result {_source(best)}."
    lines = [f"- {row.claim}: *{row.verdict}*. {row.deviation}" for row in rows.itertuples()]
    return f"Of the result {_source(best)}:\n\n" + "\n".join(lines)


def html(markdown: str) -> str:
    """Markdown as HTML, for pages that show another page's table."""
    page = MarkdownIt().enable("table").render(markdown)
    table = '<div class="pst-scrollable-table-container"><table class="table">'
    return page.replace("<table>", table).replace("</table>", "</table></div>")


def figure(data: bytes, width: int) -> str:
    """A PNG as HTML that holds it, for pages that show another page's figure."""
    image = base64.b64encode(data).decode()
    return f'<img src="data:image/png;base64,{image}" width="{width}" alt="{ENDINGS}">'


def _source(result: Result) -> str:
    return "published with this book" if result.published else "trained on this machine"


def _row(frame: pd.DataFrame, claim: str) -> pd.Series:
    return frame[frame.claim == claim].iloc[0]


def _table(p: Prediction) -> str:
    return "tied" if p.tied else f"untied {p.table}"


def _number(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if pd.notna(value) else NONE


def _listed(numbers: list[int]) -> str:
    """``42 to 46``, or each by itself where some between are missing."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
