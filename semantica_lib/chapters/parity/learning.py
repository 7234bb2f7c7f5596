"""Which trials learn the parity, and what makes the others fail: seed, tying, decay, noise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from semantica_lib.analysis.claims import BOTH, STRONG, Measured, exploratory, more_learn, tie_of
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import (
    NONE,
    counted,
    geometric,
    markdown_table,
    number,
    pair_name,
    share,
    with_interval,
)
from semantica_lib.analysis.statistics import Claim, Interval, finite
from semantica_lib.analysis.sweep_points import PLACES, Place, Point, name_of, pairs_of
from semantica_lib.figures import style
from semantica_lib.store.results import Result

PERMUTATIONS = 10_000
NOTHING = 0.05  # of the masked bit: a trial that knows less has learned frequencies only
LOOKS = {  # whether a trial learns: how it is drawn
    True: {"fillstyle": "full", "color": style.BLACK},
    False: {"fillstyle": "none", "color": style.GREY},
}
Named = Sequence[tuple[str, Result]]  # labels and results


class Row(NamedTuple):
    """Whether the trials of one tie of a result learn, by seed."""

    label: str
    tied: bool
    learned: pd.Series


def rows_of(named: Named) -> list[Row]:
    """The ties of results that are trained to a full period, those without trials left out."""
    found = []
    for label, result in named:
        learned = Measured(result).learned
        found += [Row(label, tied, learned[tied]) for tied in BOTH if len(learned[tied])]
    return found


def tying_claims(named: Named) -> list[Claim]:
    """Of the seeds of a result that learn in one tie only, most learn untied: nothing predicted."""
    claims = []
    for label, result in named:
        learned = Measured(result).learned
        if all(len(learned[tied]) for tied in BOTH):
            text = f"{label}: learned by more trials untied than tied"
            claims.append(more_learn(text, learned[True], learned[False]))
    return exploratory(claims)


def helping_claims(found: list[Point]) -> list[Claim]:
    """That more trials of AdamW learn without decay, and at the paper's decay with noise.

    Of each tie, and without decay of either loss. Predicted because decay pulls every weight
    towards the model that does not look at its input, and because noise moves a trial off a plateau
    on which it would stay.
    """
    adamw = [point for point in found if point.settings.optimizer == "adamw"]
    strong = [point for point in adamw if point.settings.weight_decay == STRONG]
    ways = [
        (f"AdamW, {before.settings.expectation} loss", "without decay", before, after)
        for before, after in pairs_of(adamw, "weight_decay", STRONG, 0.0)
    ]
    ways += [
        (f"AdamW, decay {STRONG:g}", "with noise", before, after)
        for before, after in pairs_of(strong, "expectation", "exact", "sampled")
    ]
    claims = []
    for way, what, *ends in ways:
        before, after = (Measured(point.result).learned for point in ends)
        for tied in BOTH:
            text = f"{way}, {tie_of(tied)}: learned by more trials {what}"
            claims.append(more_learn(text, before[tied], after[tied], "over"))
    return claims


def seed_matters(rows: Sequence[Row]) -> tuple[int, float]:
    """Whether the same seeds learn again and again: how many rows it is of, and p.

    A seed begins with the same weights in every row. Under the null hypothesis each row's outcomes
    fall on its seeds at random; the statistic is the variance over seeds of how many rows each
    learns in, and the permutations are within rows. Rows in which all or none learn say nothing.
    """
    table = pd.DataFrame({index: row.learned for index, row in enumerate(rows)}).dropna()
    outcomes = table.to_numpy(float)
    outcomes = outcomes[:, np.ptp(outcomes, axis=0) > 0] if len(outcomes) else outcomes
    if outcomes.shape[1] < 2:
        return outcomes.shape[1], np.nan
    rng = np.random.default_rng(0)
    measured, extreme = outcomes.sum(1).var(), 0
    for _ in range(PERMUTATIONS):
        extreme += rng.permuted(outcomes, axis=0).sum(1).var() >= measured
    return outcomes.shape[1], (1 + extreme) / (1 + PERMUTATIONS)


def merging(result: Result) -> dict[tuple[Place, tuple[int, int]], list[np.ndarray]]:
    """By table and pair, the ratios to a control pair of trials that learn, and of the others."""
    measured, found = Measured(result), {}
    for tied, table in PLACES:
        learns = measured.learners(tied)
        for a, b, _ in synonym_pairs(measured.task):
            ratio, _ = measured.trials[tied].ratio(table, (a, b))
            found[(tied, table), (a, b)] = [finite(ratio[learns]), finite(ratio[~learns])]
    return found


def matrix(rows: Sequence[Row]) -> Figure:
    """Which seeds learn where: a row a result and tie, a column a seed."""
    figure, ((axes,),) = style.panels(height=1.2 + 0.22 * max(3, len(rows)))
    if not rows:
        style.note(axes, "no results")
    for place, row in enumerate(rows):
        learned = row.learned.astype(bool)
        for learns, look in LOOKS.items():
            seeds = learned.index[learned == learns]
            axes.plot(seeds, [place] * len(seeds), "s", markersize=6, **look)
    axes.set_yticks(range(len(rows)), [f"{row.label}, {tie_of(row.tied)}" for row in rows])
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(11, integer=True))
    axes.set_xlabel("seed")
    axes.grid(False)
    words = {True: "learns", False: "does not"}
    keys = [style.key(words[is_], linestyle="", marker="s", **look) for is_, look in LOOKS.items()]
    style.legend(figure, *keys)
    return figure


def shares(rows: Sequence[Row]) -> str:
    """How many trials of each result and tie learn, with the exact interval of the share."""
    lines = [[r.label, tie_of(r.tied), counted(r.learned), share(r.learned)] for r in rows]
    return markdown_table(["result", "tie", "learn", "share"], lines)


def part_way(named: Named) -> str:
    """What trials that do not learn know of the masked bit: 0 knows frequencies only, 1 all."""
    lines = []
    for label, result in named:
        for tied, known in known_shares(result).items():
            if len(known):
                ends = "{:.2f} to {:.2f}".format(*(np.quantile(known, [0, 1]).round(2) + 0.0))
                nothing = counted(known < NOTHING)
                lines.append([label, tie_of(tied), str(len(known)), nothing, ends])
    heads = ["result", "tie", "do not learn", f"know nothing (under {NOTHING:g})", "share known"]
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def known_shares(result: Result) -> dict[bool, np.ndarray]:
    """Of trials that do not learn, ``1 - (loss - least) / log 2`` on the training strings."""
    measured, found = Measured(result), {}
    least = measured.task.ceiling("train")[1]
    for tied, learned in measured.learned.items():
        loss = measured.trials[tied].measured("train", "loss").reindex(learned.index)
        found[tied] = finite((1 - (loss - least) / np.log(2))[~learned.astype(bool)].to_numpy())
    return found


def farther(learn: np.ndarray, others: np.ndarray) -> Interval:
    """Geometric mean of the others' over that of those who learn; Welch's t of the logs, 95%."""
    logs = np.log(others), np.log(learn)
    found = stats.ttest_ind(*logs, equal_var=False)
    ends = found.confidence_interval()
    middle = logs[0].mean() - logs[1].mean()
    return Interval(*np.exp([middle, ends.low, ends.high]).tolist(), found.pvalue)


def by_learning(named: Named) -> str:
    """How near pairs end in trials that learn and in those that do not, where there are both."""
    lines = []
    for label, result in named:
        for (place, (a, b)), either in merging(result).items():
            if all(map(len, either)):
                middles = [geometric(v) if len(v) > 1 else number(v[0]) for v in either]
                cells = [f"{middle} ({len(v)})" for middle, v in zip(middles, either, strict=True)]
                some = min(map(len, either)) > 1 and min(np.ptp(v) for v in either) > 0
                over = with_interval(farther(*either)) if some else NONE
                lines.append([label, name_of(place), pair_name((a, b)), *cells, over])
    heads = ["result", "table", "pair", "learn", "do not", "do not, over learn"]
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def seeds_that_learn(rows: Sequence[Row]) -> str:
    """Whether the same seeds learn at all points, a line a tie."""
    lines = []
    for tied in BOTH:
        some = [row for row in rows if row.tied == tied]
        count, p = seed_matters(some)
        told = f"; p = {number(p)} ({PERMUTATIONS:,} permutations)" if count > 1 else ""
        lines.append(
            f"- {tie_of(tied)}: of {len(some)} points {count} have trials of either kind{told}."
        )
    return "\n".join(lines)
