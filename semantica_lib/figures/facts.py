"""The words and numbers that the pages quote, made from settings and stored results."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

import pandas as pd
from markdown_it import MarkdownIt

from semantica_lib.analysis.claims import LEARNED_NATS, MERGE_MARGIN
from semantica_lib.analysis.distances import Table, Trials, end_of
from semantica_lib.analysis.markdown import NONE, letter, listed, number, pair_name
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.theory import paper_predictions
from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import literal
from semantica_lib.settings.catalogue import AnySettings, Settings, run_command
from semantica_lib.store import results
from semantica_lib.store.provenance import UNSURE
from semantica_lib.store.results import Result

TIES = (True, "tied"), (False, "untied")
MODELS = {"transformer": "transformer", "lstm": "LSTM", "mixer": "MLP-Mixer"}
ODDS = {
    "constant": "",
    "turning": "; in strings of odd parity with these probabilities the other way round",
    "both": "; in strings of odd parity as any of its symbols, each as often",
}
BIASES = {
    "none": "",
    "learned": " Each symbol's logit has a bias, which is learned.",
    "log-frequency": " Each symbol's logit has a fixed bias, the logarithm of how frequent it is.",
}
SHAPES = {  # marks of verdicts that need no font of coloured signs
    mark: f'<span class="{name}">{shape}</span>'
    for mark, name, shape in (("🟩", "met", "■"), ("🟥", "unmet", "▲"), ("🟨", "undecided", "◆"))
}
NO_PERIOD = "The records hold no full period of the schedule, so nothing is said about the end."


def question(own: AnySettings) -> str:
    """What an experiment asks, and its name."""
    bold = f"**{literal(own.question)}** " if literal(own.question) else ""
    return f"{bold}(`{own.experiment}`)"


def asked(own: Settings) -> str:
    """What an experiment asks, and of which model and task, a paragraph of Markdown."""
    return (
        f"{question(own)} The model: {model(own)}. "
        f"A bit 0 is written {_written(own.zero_dst, 0)}, a bit 1 is written "
        f"{_written(own.one_dst, len(own.zero_dst))}{ODDS[own.odds]}.{BIASES[own.output_bias]}"
    )


def differing(own: AnySettings) -> str:
    """In which settings an experiment differs from the defaults, as Markdown."""
    usual, mine = (one.model_dump(mode="json") for one in (type(own)(), own))
    words = [
        f"`{name}` = {literal(json.dumps(value))}"
        for name, value in mine.items()
        if name not in ("experiment", "question") and value not in (usual[name], None)
    ]
    return f"Its own values: {'; '.join(words) or 'none'}. All else is as usual."


def _written(dst: tuple[float, ...], first: int) -> str:
    shares = {letter(symbol): f"{share:.3g}" for symbol, share in enumerate(dst, first) if share}
    if len(shares) == 1:
        return f"as symbol {' '.join(shares)}, always"
    return f"as symbol {' or '.join(shares)} (probabilities {', '.join(shares.values())})"


def model(own: AnySettings) -> str:
    """The encoder in a few words: what it is, its layers, and how many numbers a symbol has."""
    layers = f"{own.layers} layer{'s' * (own.layers != 1)}"
    kind = MODELS[own.architecture] if isinstance(own, Settings) else own.encoder
    return f"{kind}, {layers}, d {own.embedding_size}"


def shown(result: Result) -> str:
    """Which result this is and what it took, as Markdown; that it is partial, where it is."""
    made = facts_of_run(result)
    stale = f" It is stale: {literal(result.stale)}." if result.stale else ""
    lost = f" **{result.divergence}.** Figures leave them out; they count against every prediction."
    lost *= bool(result.divergence)
    return (
        f"**The result {made['source']}**: {made['steps']} steps, {made['ties']}, of "
        f"{seeds_of(result)} ({made['seeds']}), "
        f"trained on {made['device']} in "
        f"{made['duration']} of computing.{lost}{stale}{_unfinished(result)}"
    )


def _unfinished(result: Result) -> str:
    if result.complete:
        return ""
    own, done = result.settings, result.manifest["steps_done"]
    there = not result.published or results.checkpoints(result)  # a published one may be without
    on = "goes on from there and completes it." if there else "trains one anew."
    asked = " complete as asked," * (own.steps <= done)  # by `--set steps=N`
    return (
        f" **It is partial**:{asked} its trials are at step {done:,} of "
        f"{results.full_steps(own):,}. No claim is decided yet: for that reason alone all verdicts "
        f"are *inconclusive*. "
        f"`{run_command(own)}` {on}"
    )


def provenance(result: Result) -> str:
    """Where a result comes from, a line of Markdown."""
    made, manifest = facts_of_run(result), result.manifest
    return (
        f"Commit {made['commit']}; sources {literal(manifest['source_sha256'][:12])}; numerics "
        f"{manifest['numerics']}; {made['versions']}; {made['device']}, {manifest['threads']} "
        f"thread a stack; begun {made['started']}; {made['duration']} of computing; "
        f"trajectory sha256 {literal(manifest['files']['trajectory.npz'][:12])}."
    )


def facts_of_run(result: Result) -> dict[str, str]:
    """How a result came about, by the key under which pages quote it."""
    manifest, seeds = result.manifest, sorted(set(result.seed.tolist()))
    return {
        "source": whose(result),
        "trials": str(len(result.seed)),
        "seed_count": str(len(seeds)),
        "seeds": _listed(seeds),
        "ties": listed(dict.fromkeys(result.tie.tolist())),
        "steps": f"{manifest['steps_done']:,}",
        "device": literal(manifest["device"].replace("cpu: ", "")),
        "duration": _duration(manifest["duration_s"]),
        "started": datetime.fromisoformat(manifest["started"]).date().isoformat(),
        "commit": literal((manifest["commit"] or "unknown")[:10]) + UNSURE[result.dirty],
        "versions": literal(", ".join(map(" ".join, manifest["versions"].items()))),
    }


def _row(frame: pd.DataFrame, claim: str) -> pd.Series:
    return frame[frame.claim == claim].iloc[0]


def ending(result: Result, frame: pd.DataFrame, tied: bool, table: Table) -> str:
    """Where the pairs of one table end, as Markdown: what a reader should take from its figure."""
    if end_of(result) is None:
        return NO_PERIOD
    lines, words = [], "end" if result.complete else "are so far"
    trials = Trials.of(result, tied, end_of(result))
    for p in paper_predictions(xor_task(result.settings)):
        if (p.tied, p.table) == (tied, table):
            row, side = _row(frame, p.claim), "under" if p.merges else "over"
            ends = trials.end(trials.distance(table, p.pair))
            end = number(ends.mean() if ends.size else None)
            lines.append(
                f"- **{pair_name(p.pair)}** {words} {end} apart, "
                f"{number(row.estimate)} of a control pair's distance (interval {number(row.low)} "
                f"to {number(row.high)}; predicted {side} {MERGE_MARGIN:.2f}): *{row.verdict}*."
            )
    return "\n".join(lines)


def learning(result: Result, frame: pd.DataFrame) -> str:
    """What tied and untied trials attain, in sentences of Markdown."""
    if end_of(result) is None:
        return NO_PERIOD
    best, lines, least = xor_task(result.settings).ceiling("exact")[0], [], []
    end = "end" if result.complete else "are so far"
    for tied, tie in TIES:
        row = _row(frame, f"the parity is learned, {tie}")
        accuracy = Trials.of(result, tied, end_of(result)).measured("exact", "accuracy")
        share = row.pass_share * row.seeds
        learned = f"{share:.0f} of {row.seeds}" if row.seeds and pd.notna(share) else NONE
        told = f"{end} at {number(accuracy.mean())} on average, and {learned} learned the parity"
        lines.append(f"{tie} trials {told}")
        least.append(accuracy.min())
    all_ = number(min(least)) == number(best)
    return (
        f"Over all strings, {'; '.join(lines)} (to within {LEARNED_NATS:g} nats of the least "
        f"loss). {number(best)} can be attained."
        + " All trials attain it: no cost of tying could show."
        * all_
    )


def in_short(result: Result) -> str:
    """``5 seeds, tied and untied, 150,000 steps, published with this book; commit 0123456789``."""
    told = "{seed_count} seeds, {ties}, {steps} steps, {source}; commit {commit}"
    return told.format(**facts_of_run(result))


def made_from(sweep: str, found: Mapping[str, Result | None]) -> str:
    """Which points of a sweep a page is made from, and how to get the others, as Markdown.

    Args:
        found: the points' results, by what the page calls them.
    """
    lines = []
    for label, result in found.items():
        told = "no result yet"
        if result:
            told = in_short(result)
            told += f"; {result.divergence}" * bool(result.divergence)
            told += "" if result.complete else "; partial, so no claim is judged by it"
        lines.append(f"- {label}: {told}.")
    lines.append(f"\n`semantica run {sweep}` trains what is missing and executes this page.")
    return "\n".join(lines)


def listing(label: Callable[[Point], str]) -> Callable[[str, Sequence[Point]], str]:
    """What tells of a sweep as :func:`made_from` does, by what the page calls its points."""
    return lambda sweep, found: made_from(sweep, {label(one): one.result for one in found})


def html(markdown: str) -> str:
    """Markdown as HTML, for pages that show another page's table."""
    page = MarkdownIt().enable("table").render(markdown)
    for mark, shown in SHAPES.items():
        page = page.replace(mark, shown)
    table = '<div class="pst-scrollable-table-container"><table class="table">'
    return page.replace("<table>", table).replace("</table>", "</table></div>")


def seeds_of(result: Result) -> str:
    """How many seeds a result has, in words."""
    count = len(set(result.seed.tolist()))
    return f"{count} seed{'s' * (count != 1)}"


def whose(result: Result) -> str:
    """Where a result comes from, behind "the result"."""
    return "published with this book" if result.published else "trained on this machine"


def _listed(numbers: list[int]) -> str:
    """``42 to 46, 62``: three or more in a row by the first and the last."""
    told = []
    for _, some in groupby(enumerate(numbers), key=lambda one: one[1] - one[0]):
        first, *rest = (number for _, number in some)
        told += [f"{first} to {rest[-1]}"] if len(rest) > 1 else map(str, [first, *rest])
    return ", ".join(told)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
