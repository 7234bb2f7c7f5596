"""What symbols that almost mean the same show, in Markdown: theory, what trials attain, ends."""

from collections.abc import Sequence

import numpy as np

from semantica_lib.analysis.claims import BOTH, LEARNED_NATS, MERGE_MARGIN, tie_of
from semantica_lib.analysis.markdown import NONE, markdown_table, number, with_interval
from semantica_lib.analysis.statistics import geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import OUTPUT, PLACES, Point, name_of
from semantica_lib.chapters.near.figures import LAWS, tasks
from semantica_lib.chapters.near.measures import LEARNED, Key, Near, key_of, threshold, words
from semantica_lib.chapters.near.theory import (
    CONTROL,
    LIARS,
    MIRROR,
    NEAR,
    company,
    learnable,
    semantic_distance,
    trivial,
)
from semantica_lib.figures.facts import made_from
from semantica_lib.trainers.stacked import xor_task


def theory(found: Sequence[Point]) -> str:
    """By q, enumerated: distances of meanings, what outputs are asked for, what can be learned."""
    lines = []
    for q, task in sorted(tasks(found).items()):
        apart = semantic_distance(task, NEAR), semantic_distance(task, LIARS)
        kept, whole = company(task, NEAR), semantic_distance(task, CONTROL)
        lines.append([
            f"{q:g}",
            *(number(one) for d in (*apart, whole) for one in d),
            f"{_signed(kept.least)} to {_signed(kept.greatest)}",
            " / ".join(_signed(one) for one in kept.suggested),
            number(company(task, NEAR).variation),
        ])  # fmt: skip
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
        task = xor_task(near.points[key].settings)
        floor, rest = task.ceiling("train")[1], learnable(task)
        cells = [words(*key), number(trivial(task)), number(floor), number(rest),
                 "yes" if key[1] in near.telling else "no"]  # fmt: skip
        for tied in BOTH:
            cells += [_half(near, key, tied), _usual(near, key, tied)]
        lines.append(cells)
    heads = ["point", "loss without the context", "least loss", "difference",
             f"{LEARNED_NATS:g} nats tell"]  # fmt: skip
    for tied in BOTH:
        heads += [f"half learned, {tie_of(tied)}", f"within {LEARNED_NATS:g} nats, {tie_of(tied)}"]
    return markdown_table(heads, lines)


def _half(near: Near, key: Key, tied: bool) -> str:
    if key not in near.measured or not len(share := near.learned(key, tied).dropna()):
        return NONE
    return f"{int((share >= LEARNED).sum())} of {len(share)}"


def _usual(near: Near, key: Key, tied: bool) -> str:
    if key not in near.measured or not len(learned := near.measured[key].learned[tied]):
        return NONE
    return f"{int(learned.sum())} of {len(learned)}"


def endings(found: Sequence[Point]) -> str:
    """Where pairs end at every point and table, in numbers, beside the laws."""
    near, lines = Near(found), []
    for key in sorted(near.measured, key=lambda key: (-key[0], key[1])):
        for place in PLACES:
            law = LAWS["output's law" if place == OUTPUT else "input's law"][0]
            trials = near.measured[key].trials[place[0]]
            control = trials.end(trials.distance(place[1], CONTROL))
            cells = [words(*key), name_of(place), number(law(key[1], NEAR))]
            cells += [_geometric(near.ratio(key, place, pair)) for pair in (NEAR, MIRROR)]
            usual = near.ratio(key, place, NEAR, usual=True)
            cells += [_geometric(usual), number(law(key[1], LIARS))]
            cells.append(_geometric(near.ratio(key, place, LIARS)))
            where = near.position(key, place).dropna().to_numpy()
            cells += [with_interval(mean_interval(where)), _geometric(control)]
            lines.append(cells)
    heads = ["point", "table", "law of 0 and 1", "0 and 1", "2 and 3", "0 and 1, usual control",
             "law of 1 and 3", "1 and 3", "place of 1 from 0 to 2",
             "distance of 0 and 2"]  # fmt: skip
    return markdown_table(heads, lines) if lines else "Nothing is trained yet."


def _geometric(values: np.ndarray) -> str:
    values = np.asarray(values, dtype=float)
    return with_interval(geometric_interval(values[np.isfinite(values)]))


def thresholds(found: Sequence[Point]) -> str:
    """Where in q symbols 0 and 1 part: a row a weight decay and table, of what is trained."""
    near, lines = Near(found), []
    for decay in near.decays:
        for place in PLACES:
            where = threshold(near, decay, place)
            if any(key[0] == decay for key in near.measured):
                cells = [
                    f"{decay:g}",
                    name_of(place),
                    *(NONE if np.isnan(q) else f"{q:g}" for q in where),
                ]
                lines.append(cells)
    heads = ["decay", "table", f"under {MERGE_MARGIN:g} up to q", f"over {MERGE_MARGIN:g} from q",
             "further apart than at q = 0 from q"]  # fmt: skip
    return markdown_table(heads, lines) if lines else "Nothing is trained yet."


def crossings() -> str:
    """At which q each law comes to the margin of a merge, in words."""
    where = []
    for law, _ in LAWS.values():
        over = next(q for q in np.linspace(0, 0.5, 5001) if law(q, NEAR) > MERGE_MARGIN)
        where.append(f"{over:.2g}")
    return (
        f"By the laws 0 and 1 pass the margin of a merge at q = {where[0]} in an input table and "
        f"at q = {where[1]} in an output table."
    )


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    return made_from(sweep, {words(*key_of(point)): point.result for point in found})
