"""Who shapes a tied table, as Markdown: what the page is made from, and tables."""

from collections.abc import Sequence

import pandas as pd

from semantica_lib.analysis import markdown
from semantica_lib.analysis.markdown import markdown_table, number
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping.measures import EXPERIMENTS, TABLES, Nearness, pulls, related
from semantica_lib.figures.facts import facts_of_run
from semantica_lib.store.results import Result


def listed(sweep: str, found: Sequence[Point], named: Sequence[Result]) -> str:
    """What the page is made from, and how to get the rest."""
    by, lines = {one.settings.experiment: facts_of_run(one) for one in named}, []
    for name in EXPERIMENTS:
        told = f"- {name}: no complete result; `semantica run {name}` trains it."
        if made := by.get(name):
            told = f"- {name}: {made['seed_count']} seeds, {made['ties']}, {made['steps']} steps, "
            told += f"{made['source']}; commit {made['commit']}."
        lines.append(told)
    trained = [point for point in found if point.result]
    measured = [point for point in trained if pulls(point, True)]
    return "\n".join(lines) + (
        f"\n- The sweep {sweep}: {len(trained)} of {len(found)} points have a result, "
        f"{len(measured)} with measured gradients (results of an older version have none). "
        f"`semantica run {sweep}` trains what is missing."
        "\n\nlstm-medium, which is trained in part only, is left out."
    )


def residuals(found: Sequence[Nearness]) -> str:
    """The residuals at the end beside what chance gives, a row an experiment and table."""
    lines = []
    for near in found:
        size = f"{len(near.rows)} in {near.settings.embedding_size}"
        begun = len(near.steps) and near.steps[0] == 0
        for table in TABLES:
            end, apart, chance = near.end(table), near.apart[table], near.chance[table]
            cells = [near.same(end), near.others(end)]
            cells += [near.others(apart[..., 0]) if begun else (), near.others(chance)]
            lines.append([near.name, size, f"untied {table}", *map(markdown.mean, cells)])
    heads = ["experiment", "rows in dimensions", "from", "same seed, end", "other seeds, end"]
    return markdown_table([*heads, "other seeds, begin", "random order, end"], lines)


def among(found: Sequence[Nearness]) -> str:
    """Mean residual between tables of one kind of two seeds, a row an experiment."""
    lines = []
    for near in found:
        apart = (near.others(near.among[kind]) for kind in ("tied", *TABLES))
        lines.append([near.name, *(number(one.mean() if one.size else None) for one in apart)])
    return markdown_table(["experiment", "tied", "untied output", "untied input"], lines)


def open_rows(frame: pd.DataFrame) -> str:
    """The rows whose verdict differs from the prediction, each with the reason."""
    rows = frame[frame.deviation != ""]
    lines = [f"- {row.claim}: *{row.verdict}*. {row.deviation}" for row in rows.itertuples()]
    return "\n".join(lines) or "There is none."


def related_rows(found: Sequence[Point]) -> str:
    """The rank correlation of share and residual over seeds, a row a chosen point."""
    lines = [
        [f"{row.p:g}", str(row.seeds), number(row.correlation), number(row.chance)]
        for row in related(found)
    ]
    if not lines:
        return "No point has both measured gradients and trials of either tie yet."
    return markdown_table(["p", "seeds", "rank correlation (negative: yes)", "p-value"], lines)
