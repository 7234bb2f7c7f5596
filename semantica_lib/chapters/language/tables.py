"""The words and numbers that a language model's page shows, as Markdown.

They are made from settings and stored results.
"""

import json
import shlex
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis import language, language_claims
from semantica_lib.analysis.claims import BOTH
from semantica_lib.analysis.distances import tie_of
from semantica_lib.analysis.language import BROKEN, HOLDS, TABLES, UNRELATED, Language
from semantica_lib.analysis.markdown import NONE, listed, markdown_table, number
from semantica_lib.analysis.statistics import finite, geometric_interval, mean_interval
from semantica_lib.analysis.verdicts import summary, verdicts
from semantica_lib.chapters.language.figures import PANELS
from semantica_lib.datasets.corpora import FORMAT
from semantica_lib.errors import RequestError, literal, nearest
from semantica_lib.figures.facts import TIES, facts_of_run, model, question
from semantica_lib.settings.catalogue import MlmSettings, run_command
from semantica_lib.store import results
from semantica_lib.store.results import Result

CORPORA = {
    "grammar": "sentences of a small generative grammar",
    "documentation": "the prose of the documentation that is installed beside this code",
    "bookcorpus": "the paper's corpus, or the first one in its place that answers",
}
SHOWN = 3  # words of each class
FIRST = {"mlm": {"schedule_period": 2_400}}  # what was otherwise when an experiment was first run
KEYS = {HOLDS: "holds", BROKEN: "broken"}  # in the names of facts
WHERE = {HOLDS: "the DH holds", BROKEN: "the DH is broken"}
SEEN = {kind: f"synonyms, {kind}" for kind in WHERE} | {UNRELATED: "unrelated words"}


def asked(own: MlmSettings) -> str:
    """What an experiment asks, and of which model, text and words, a paragraph."""
    source = CORPORA.get(own.corpus, "files of one's own")
    return (
        f"{question(own)} The model: {model(own)}. "
        f"The text: {source}. Words with a synonym: {own.synonyms} for which the DH holds, "
        f"{own.broken_synonyms} for which it is broken."
    )


def predictions(own: MlmSettings) -> str:
    """What is predicted of an experiment, with its margins; needs no result."""
    lines = [[one.claim, one.words] for one in language_claims.predictions(own)]
    return markdown_table(["claim", "predicted"], lines)


def ending(result: Result) -> str:
    """Where the classes of synonyms end in each table: what to take from the figures."""
    measured = Language(result)
    if measured.window is None:
        return measured.lacks((True, False)) or f"{result.divergence}."
    lines = [f"Synonyms {_end(result)} (geometric mean over seeds):\n"]
    for name in PANELS:
        told = [
            f"those for which {WHERE[kind]} {number(_ratio(measured, name, kind))}"
            for kind in language.kinds(result.settings)
        ]
        lines.append(f"- **{name}**: {', '.join(told)} times as far apart as unrelated words.")
    return "\n".join(lines)


def seen(result: Result, measure: str) -> str:
    """What a figure shows, as its caption begins (clearly: by 95% intervals); empty without ends.

    Args:
        measure: ``distance``, ``ratio`` (to unrelated words) or ``cosine``.
    """
    measured, kinds = Language(result), language.kinds(result.settings)
    if measured.window is None:
        return ""
    alike, found = measure == "cosine", []
    ends = {kind: _ends(measured, measure, kind) for kind in [*kinds, UNRELATED]}
    means = {k: [mean_interval(finite(of[n])).estimate for n in PANELS] for k, of in ends.items()}
    if not np.isfinite([*means.values()]).all():
        return ""
    for kind in kinds:
        more = {n: mean_interval(finite(ends[kind][n] - ends[UNRELATED][n])) for n in PANELS}
        near = [n for n, one in more.items() if (one.low > 0 if alike else one.high < 0)]
        where = f"the {listed(near)} one alone" if near else "no table"
        found.append(f"where {WHERE[kind]} in {'all tables' if near == [*PANELS] else where}")
    nearer = "clearly more alike" if alike else "clearly nearer"
    told = f"Synonyms {_end(result)} {nearer} than unrelated words: {', '.join(found)}."
    if measure == "ratio":  # the numbers stand below the figure
        return told
    parts = [f"{SEEN[kind]} at {', '.join(map(number, at))}" for kind, at in means.items()]
    return f"{told} {measure.capitalize()}s ({', '.join(PANELS)}): {'; '.join(parts)}."


def _ends(measured: Language, measure: str, kind: str) -> dict[str, np.ndarray]:
    """Where a class's pairs end in each table, by seed; a ratio as the distances that make it."""
    of = "distance" if measure == "ratio" else measure
    return {n: measured.trials[tied].end(table, kind, of) for n, (tied, table) in TABLES.items()}


def attained(result: Result) -> str:
    """What the figure of losses shows; empty without an end of both ties."""
    measured = Language(result)
    if measured.window is None or not len(costs := finite(measured.cost("validation"))):
        return ""
    found, (less, more) = _losses(measured), ("tied", "untied")
    if costs.mean() > 0:
        less, more = more, less
    return (
        f"{less.capitalize()} trials {_end(result)} at less loss than {more} ones, "
        f"{found[f'loss_{less}']} against {found[f'loss_{more}']} nats; knowing frequencies "
        f"only has {found['loss_frequencies']}."
    )


def varied(found: Mapping[str, Result]) -> str:
    """What the figure of variants shows: which of them learned something of contexts."""
    learn = []
    for label, measured in ((label, Language(one)) for label, one in found.items()):
        gains = [finite(measured.loss(tied, "validation") - measured.unigram.loss) for tied in BOTH]
        if all(len(gain) and gain.mean() < 0 for gain in gains):
            learn.append(f"*{label}*")
    some = f"{listed(learn)} {'are' if len(learn) > 1 else 'is'}" if learn else "none is"
    better = f"{some} better than the baseline, tied and untied, by the mean over seeds"
    return f"{better[0].upper()}{better[1:]}, of {len(found)} settings that have a result."


def learning(result: Result) -> str:
    """What tying costs, a sentence."""
    measured = Language(result)
    if measured.window is None:
        return measured.lacks((True, False)) or f"{result.divergence}."
    found, kinds = _losses(measured), language.kinds(result.settings)
    costs = [f"{found[f'cost_{KEYS[kind]}']} where {WHERE[kind]}" for kind in kinds]
    return (
        "Tied minus untied loss on the validation sample, at the places of words with a synonym: "
        f"{', '.join(costs)} (nats, mean over seeds)."
    )


def facts(result: Result, frame: pd.DataFrame) -> dict[str, str]:
    """Every number of a result that pages quote, by key.

    Args:
        frame: the result's verdicts.
    """
    measured = Language(result)
    found = facts_of_run(result) | _losses(measured)
    found["verdict_summary"] = summary(frame).partition(": ")[2]
    for name, (tied, table) in TABLES.items():
        for kind in language.kinds(result.settings):
            key = f"{name.replace(' ', '_')}_{KEYS[kind]}"
            found[f"{key}_distance"] = _mean(measured.trials[tied].end(table, kind))
            found[f"{key}_ratio"] = number(_ratio(measured, name, kind))
    return found


def _end(result: Result) -> str:
    return "end" if result.complete else "are so far"


def _losses(measured: Language) -> dict[str, str]:
    found = {f"loss_{tie}": measured.loss(tied, "validation") for tied, tie in TIES}
    found["loss_frequencies"] = measured.unigram.loss
    for kind in language.kinds(measured.settings):
        found[f"cost_{KEYS[kind]}"] = measured.cost(language.PLACES[kind])
    return {key: _mean(values) for key, values in found.items()}


def _mean(values: np.ndarray | pd.Series) -> str:
    return number(mean_interval(finite(values)).estimate)


def _ratio(measured: Language, name: str, kind: str) -> float:
    return geometric_interval(finite(measured.ratio(name, kind))).estimate


def stored_variants(result: Result) -> tuple[dict[str, Result], str]:
    """The result and what is stored of its variants, by label; and what is not, as Markdown.

    Raises:
        RequestError: one is damaged.
    """
    own, found, lines = result.settings, {"as here": result}, []
    for label, changed in language.variants(own).items():
        if one := results.best(changed):
            found[label] = one
            continue
        changes = language.VARIANTS[label].items()
        words = [
            word for name, value in changes for word in ("--set", f"{name}={json.dumps(value)}")
        ]
        command = f"{run_command(own)} {shlex.join(words)}"
        lines.append(f"- *{label}* is not trained yet; `{command}` does.")
    return found, "\n".join(lines)


def first_run(result: Result) -> str:
    """What a first run of the named experiment came to, of fewer steps; empty if none is stored."""
    own = result.settings
    changed = own.model_copy(update=FIRST.get(own.experiment, {}))
    before = None if changed.identity == own.identity else results.best(changed)
    if before is None:
        return ""
    seeds, steps = len(set(before.seed.tolist())), before.manifest["steps_done"]
    return (
        f"**A first run** of {seeds} seeds had {steps:,} steps, the rate at its lowest at their "
        f"end. Not all trials had come to use the tag by then, as the "
        f"loss at the places of the words for which the DH is broken told, and so the steps were "
        f"raised: what is judged above was run knowing these figures.\n\n{ending(before)}\n\n"
        f"{learning(before)}\n\n{summary(verdicts(before))}."
    )


def paper_seeds(result: Result) -> str:
    """What the paper's five seeds say alone, where there are others that were added to them."""
    seeds = set(result.seed.tolist())
    if not set(results.PAPER_SEEDS) < seeds:
        return ""
    told = summary(verdicts(result.of_seeds(results.PAPER_SEEDS)))
    return (
        f"**The paper's five seeds alone**: {told}. The other {len(seeds) - 5} were added when "
        f"these were known."
    )


def neighbours(result: Result, words: Sequence[str] | None = None) -> str:
    """The five pieces nearest by cosine to some words, in each table; a synonym is bold.

    Of the first seed, at the end.

    Args:
        words: which; else the three commonest of each class.

    Raises:
        RequestError: a word that has no synonym in this result.
    """
    names, seed = result.words.tolist(), int(result.seed.min())
    first = np.flatnonzero(result.seed == seed)
    count, holds, lines = len(names) // 2, result.holds[first[0]], []
    if words is None:
        words = [names[i] for kind in (holds, ~holds) for i in np.flatnonzero(kind)[:SHOWN]]
    for word in words:
        if word not in names:
            raise RequestError(f"{word!r} has no synonym here{nearest(word, names)}")
        place = names.index(word)
        synonym = names[(place + count) % (2 * count)]
        line = [_code(word), "holds" if holds[place % count] else "broken"]
        for tied, table in (TABLES[name] for name in PANELS):
            tie = tie_of(tied)
            trial = first[(result.tie[first] == tie) & ((seed, tie) not in result.diverged)]
            near = result.neighbours[trial, int(table == "output"), place].ravel().tolist()
            told = [f"**{_code(one)}**" if one == synonym else _code(one) for one in near]
            line.append(" ".join(told) or NONE)
        lines.append(line)
    return markdown_table(["word", "DH", *PANELS], lines)


def _code(piece: str) -> str:
    """A piece as it is, whatever Markdown would make of its signs."""
    return f"`` {piece} ``" if "`" in piece else f"`{piece}`"


def text(result: Result) -> str:
    """What a result's models were trained on: the text, its pieces, its rows."""
    own, about = result.settings, result.manifest["text"]
    told = [f"{about[name]:,} {name}" for name in ("sentences", "words") if name in about]
    told = ", ".join(
        [literal(about["source"]), *told, f"sha256 {literal(about['text_sha256'][:12])}"]
    )
    told += "."
    if "versions" in about:
        python, others = literal(about["versions"]["python"]), len(about["versions"]) - 1
        told += f" It is of Python {python} and {others} packages; the manifest has the versions."
    if about.get("format", FORMAT) != FORMAT:
        told += " It was gathered by earlier rules: the present code would gather another text."
    size = own.vocabulary_size
    pieces = f"a tokenizer of at most {size:,} pieces" if size else "the hub's tokenizer"
    splits = ("train", "validation", "test")
    rows = ", ".join(f"{about['rows'][split]:,} ({split})" for split in splits)
    return (
        f"**The text**: {told} Cut by {pieces} ({100 * about['unknown_share']:.2g}% unknown) into "
        f"rows of {own.length - 1}: {rows}."
    )
