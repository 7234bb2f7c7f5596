"""What symbols that almost mean the same show, in Markdown: theory, what trials attain, ends."""

from collections.abc import Sequence

import numpy as np

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import BOTH, LEARNED_NATS, MERGE_MARGIN, tie_of
from semantica_lib.analysis.markdown import NONE, markdown_table, number
from semantica_lib.analysis.sweep_points import OUTPUT, PLACES, Point, name_of
from semantica_lib.chapters.near import theory
from semantica_lib.chapters.near.measures import LEARNED, Near, key_of, threshold, words
from semantica_lib.chapters.near.theory import CONTROL, LAWS, LIARS, MIRROR, NEAR
from semantica_lib.figures.facts import made_from


def enumerated(found: Sequence[Point]) -> str:
    """By q, enumerated: distances of meanings, what outputs are asked for, what can be learned."""
    lines = []
    for q, task in sorted(Near(found).tasks.items()):
        apart = [theory.semantic_distance(task, pair) for pair in (NEAR, LIARS, CONTROL)]
        kept = theory.company(task, NEAR)
        cells = [f"{q:g}", *(number(one) for distance in apart for one in distance)]
        cells.append(f"{_signed(kept.least)} to {_signed(kept.greatest)}")
        cells.append(" / ".join(map(_signed, kept.suggested)))
        lines.append([*cells, number(kept.variation)])
    heads = [f"{a} and {b}: {what}" for a, b in (NEAR, LIARS, CONTROL) for what in ("TV", "JS")]
    heads += ["log p(1)/p(0), least to greatest", "if 0 / 1 is suggested", "company of 0 and 1: TV"]
    return markdown_table(["q", *heads], lines)


def _signed(value: float) -> str:
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return number(value).replace("-", "−")


def attainable(found: Sequence[Point]) -> str:
    """By q: the best that can be had of the training strings, and who learned it, by point."""
    near, lines = Near(found), []
    for key in sorted(near.points, key=lambda key: (-key[0], key[1])):
        task, measured = near.tasks[key[1]], near.measured.get(key)
        losses = theory.trivial(task), task.ceiling("train")[1], theory.learnable(task)
        cells = [words(*key), *map(number, losses), "yes" if key[1] in near.telling else "no"]
        for tied in BOTH:
            half = near.learned(key, tied).dropna() >= LEARNED if measured else ()
            usual = measured.learned[tied] if measured else ()
            cells += [markdown.counted(half), markdown.counted(usual)]
        lines.append(cells)
    nats = f"{LEARNED_NATS:g} nats"
    heads = ["point", "loss without the context", "least loss", "difference", f"{nats} tell"]
    for tied in BOTH:
        heads += [f"half learned, {tie_of(tied)}", f"within {nats}, {tie_of(tied)}"]
    return markdown_table(heads, lines)


def endings(found: Sequence[Point]) -> str:
    """Where pairs end at every point and table, in numbers, beside the laws."""
    near, rows = Near(found), []
    for key in sorted(near.measured, key=lambda key: (-key[0], key[1])):
        for place in PLACES:
            law = LAWS["output's law" if place == OUTPUT else "input's law"]
            trials = near.measured[key].trials[place[0]]
            control = trials.end(trials.distance(place[1], CONTROL))
            usual = near.ratio(key, place, NEAR, usual=True)
            near_by, mirror, liars = (near.ratio(key, place, one) for one in (NEAR, MIRROR, LIARS))
            rows.append(
                {
                    "point": words(*key),
                    "table": name_of(place),
                    "law of 0 and 1": number(law(key[1], NEAR)),
                    "0 and 1": markdown.geometric(near_by),
                    "2 and 3": markdown.geometric(mirror),
                    "0 and 1, usual control": markdown.geometric(usual),
                    "law of 1 and 3": number(law(key[1], LIARS)),
                    "1 and 3": markdown.geometric(liars),
                    "place of 1 from 0 to 2": markdown.mean(near.position(key, place)),
                    "distance of 0 and 2": markdown.geometric(control),
                }
            )
    return _table(rows)


def _table(rows: Sequence[dict[str, str]]) -> str:
    if not rows:
        return "Nothing is trained yet."
    return markdown_table(rows[0], [list(row.values()) for row in rows])


def thresholds(found: Sequence[Point]) -> str:
    """Where in q symbols 0 and 1 part: a row a weight decay and table, of what is trained."""
    near, rows = Near(found), []
    heads = (
        f"under {MERGE_MARGIN:g} up to q",
        f"over {MERGE_MARGIN:g} from q",
        "further apart than at q = 0 from q",
    )
    for decay in (one for one in near.decays if any(one == key[0] for key in near.measured)):
        for place in PLACES:
            where = (NONE if np.isnan(q) else f"{q:g}" for q in threshold(near, decay, place))
            told = dict(zip(heads, where, strict=True))
            rows.append({"decay": f"{decay:g}", "table": name_of(place)} | told)
    return _table(rows)


def crossings() -> str:
    """At which q each law comes to the margin of a merge, in words."""
    inputs, outputs = (
        next(q for q in np.linspace(0, 0.5, 5001) if law(q, NEAR) > MERGE_MARGIN)
        for law in LAWS.values()
    )
    return (
        f"By the laws 0 and 1 pass the margin of a merge at q = {inputs:.2g} in an input table and "
        f"at q = {outputs:.2g} in an output table."
    )


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    return made_from(sweep, {words(*key_of(point)): point.result for point in found})
