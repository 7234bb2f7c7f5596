"""What the sweeps over decay, optimizer and noise show: figures, and tables as Markdown."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from semantica_lib.analysis import second_round as rules
from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, STRONG, Measured
from semantica_lib.analysis.distances import Pair, Table, Trials, synonym_pairs
from semantica_lib.analysis.markdown import (
    NONE,
    counted,
    geometric,
    lettered,
    markdown_table,
    mean,
    pair_name,
    table_of,
    with_interval,
)
from semantica_lib.analysis.statistics import Interval, finite, geometric_interval
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, PLACES, Place, Point, name_of
from semantica_lib.analysis.verdicts import judged
from semantica_lib.chapters.closing.claims import KEPT_MARGIN, OPTIMIZERS, label
from semantica_lib.figures import style
from semantica_lib.figures.facts import listing
from semantica_lib.figures.overview import pair_keys
from semantica_lib.figures.second_round import short
from semantica_lib.figures.style import DH

WAYS = {"sampled": ("-", "full", -0.08), "exact": ("--", "none", 0.08)}
LEAST = 1e-7  # of the upright axis of distances that begin at 0


def decays(found: Sequence[Point]) -> Figure:
    """How near pairs end against weight decay: a row a table, a column an optimizer.

    The geometric mean over seeds of the distance as a share of the median control pair's, with its
    95% interval, for the sampled and the exact loss; the margin of a merge dotted. Without decay
    Adam is AdamW, whose points stand there.
    """
    values = sorted({point.settings.weight_decay for point in found})
    figure, grid = style.panels(len(PLACES), len(OPTIMIZERS), 6.6, sharex=True, sharey=True)
    for row, place in zip(grid, PLACES, strict=True):
        for axes, (name, words) in zip(row, OPTIMIZERS.items(), strict=True):
            ways = {loss: _by_decay(found, name, loss, place) for loss in WAYS}
            if not any(ways.values()):
                style.note(axes, "not trained")
            for loss, chosen in ways.items():
                _against_decay(axes, chosen, place, loss, values)
            axes.axhline(MERGE_MARGIN, **style.MARGIN_LINE)
            if axes in grid[0]:
                axes.set_title(words)
            if axes in grid[-1]:
                axes.set_xlabel("weight decay")
        row[0].set_ylabel(f"{name_of(place)}\ndistance / control")
    grid[0, 0].set_yscale("log")
    grid[0, 0].set_xticks(range(len(values)), [f"{value:g}" for value in values])
    grid[0, 0].set_xlim(-0.4, len(values) - 0.6)
    ways = [
        style.key(f"{loss} loss", linestyle=dash, marker="o", fillstyle=fill)
        for loss, (dash, fill, _) in WAYS.items()
    ]
    style.legend(figure, *pair_keys(), *ways, style.key("margin", **style.MARGIN_LINE), columns=5)
    return figure


def _by_decay(
    found: Sequence[Point], optimizer: str, loss: str, place: Place = INPUT
) -> list[Point]:
    """Points with a result of this optimizer, loss and table, by decay.

    Adam's without decay is AdamW's.
    """
    chosen = []
    for point in (point for point in found if point.result and place in point.places):
        own = point.settings
        same = own.optimizer == "adamw" and own.weight_decay == 0 and optimizer == "adam"
        if own.expectation == loss and (own.optimizer == optimizer or same):
            chosen.append(point)
    return sorted(chosen, key=lambda point: point.settings.weight_decay)


def _ends(measured: Measured, place: Place) -> list[tuple[Pair, bool, Interval]]:
    """Each pair of a table, whether its DH holds, and where it ends over the control pairs."""
    trials = measured.trials[place[0]]
    ratios = {pair: trials.ratio(place[1], pair[:2])[0] for pair in synonym_pairs(measured.task)}
    return [
        (pair[:2], pair.conditionally_equivalent, geometric_interval(finite(ratio)))
        for pair, ratio in ratios.items()
    ]


def _against_decay(
    axes: Axes, points: list[Point], place: Place, loss: str, values: list[float]
) -> None:
    dash, fill, aside = WAYS[loss]
    ends = {
        values.index(point.settings.weight_decay) + aside: _ends(Measured(point.result), place)
        for point in points
    }
    for holds, (colour, marker) in DH.items():
        drawn = [(x, end) for x, pairs in ends.items() for _, own, end in pairs if own == holds]
        if drawn:
            look = {"color": colour, "marker": marker, "linestyle": dash, "fillstyle": fill}
            size = {"linewidth": 1.3, "elinewidth": 1.3, "markersize": 5, "capsize": 2}
            style.bars(axes, *zip(*drawn, strict=True), **look, **size)


def parting(found: Sequence[Point]) -> Figure:
    """How pairs that begin with equal rows part: a row a table, a column an optimizer and loss.

    The distance as a share of the median control pair's over the steps, every seed; what is
    smaller than the lower edge is drawn there.
    """
    figure, grid = style.panels(2, max(1, len(found)), 4.9, sharex=True, sharey=True)
    for row, (tied, table) in zip(grid, (INPUT, OUTPUT), strict=True):
        for axes, point in zip(row, found, strict=False):
            if not point.result:
                style.note(axes, "not trained")
                continue
            trials = Trials.of(point.result, tied, None)
            for pair in synonym_pairs(trials.task):
                colour, marker = DH[pair.conditionally_equivalent]
                share = (trials.distance(table, pair[:2]) / trials.control(table)).clip(LEAST)
                axes.plot(trials.steps, share.T, color=colour, linewidth=0.7, alpha=0.5)
                middle = np.exp(np.log(share).mean(0)) if len(share) else share.sum(0)
                axes.plot(trials.steps, middle, color=colour, marker=marker, markevery=4)
            axes.axhline(KEPT_MARGIN, **style.MARGIN_LINE)
        row[0].set_ylabel(f"untied {table}\ndistance / control")
    for axes, point in zip(grid[0], found, strict=False):
        own = point.settings
        axes.set_title(f"{OPTIMIZERS[own.optimizer]},\n{own.expectation} loss", fontsize=10)
    grid[0, 0].set_yscale("log")
    grid[0, 0].yaxis.set_minor_locator(NullLocator())
    for axes in grid[-1]:
        style.step_axis(axes)
        axes.set_xticks([0, 100_000], ["0", "100,000"])
    style.legend(figure, *pair_keys(), style.key("margin", **style.MARGIN_LINE), columns=3)
    return figure


def endings(found: Sequence[Point]) -> str:
    """Where pairs end at every point, as shares of a control pair's distance; who learns."""
    lines, heads = [], []
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        ends = [(name_of(place), *end) for place in PLACES for end in _ends(measured, place)]
        heads = [f"{where}, {pair_name(pair)}" for where, pair, *_ in ends]
        learned = [counted(measured.learned[tied]) for tied in BOTH]
        lines.append([label(point), *(with_interval(interval) for *_, interval in ends), *learned])
    return markdown_table(["point", *heads, "learn, untied", "learn, tied"], lines)


def unaided(found: Sequence[Point]) -> str:
    """What gradients add to the decay of untied pairs, of AdamW without decay and with the paper's.

    The distance at the end over the decay clock's; in how many trials the pair is merged; and where
    it is not, which share of the square of the rows' difference lies along the vector of ones,
    which the encoder's last layer norm takes off its output (by chance one over the features).
    """
    lines = []
    for point in (point for point in found if point.result):
        own, measured = point.settings, Measured(point.result)
        if own.optimizer != "adamw" or own.weight_decay not in (0, STRONG):
            continue
        trials = measured.trials[False]
        clock = trials.end(measured.factor[None])
        for (_, table), pair in product((INPUT, OUTPUT), synonym_pairs(measured.task)):
            ratio = trials.ratio(table, pair[:2])[0]
            apart = along_ones(trials, table, pair[:2])[~(ratio < MERGE_MARGIN)]
            lines.append(
                {
                    "point": label(point),
                    "untied rows": f"{table}, {pair_name(pair[:2])}",
                    "distance over the clock's": geometric(trials.ended(table, pair[:2]) / clock),
                    "a control pair's": geometric(trials.ended(table) / clock),
                    "merged": counted(ratio < MERGE_MARGIN),
                    "of the others, along ones": mean(apart),
                }
            )
    return table_of(lines)


def anew(found: Sequence[Point]) -> str:
    """Pairs by the rules of the second round: a row a point of AdamW, how many meet a claim."""
    lines = []
    for point in (one for one in found if one.result and one.settings.optimizer == "adamw"):
        primary = [one for one in rules.claims(point.result)[0] if "(DH" in one.text]
        rows = judged(label(point), primary, [], [point.result])
        told = {lettered(row.claim): short(row) if row.seeds else NONE for row in rows.itertuples()}
        lines.append({"point": label(point)} | told)
    return table_of(lines)


def along_ones(trials: Trials, table: Table, pair: Pair) -> np.ndarray:
    """Share of a difference's square along the vector of ones, ``(trial,)``, at the last record."""
    rows = trials.tables[table][:, -1].astype(float)
    difference = rows[:, pair[0]] - rows[:, pair[1]]
    with np.errstate(invalid="ignore"):  # rows that are equal to the last digit have no direction
        return difference.sum(1) ** 2 / (difference**2).sum(1) / difference.shape[1]


listed = listing(label)


def answer(found: Sequence[Point]) -> str:
    """In how many trials untied pairs merge without decay and with the strongest, as a table."""
    lines = []
    for (optimizer, words), loss in product(OPTIMIZERS.items(), WAYS):
        chosen = _by_decay(found, optimizer, loss)
        ends = [_merged(point) for point in (*chosen[:1], *chosen[1:][-1:])]
        if any(ends):
            counts = {head: " → ".join(of[head] for of in ends) for head in ends[0]}
            lines.append({"optimizer, loss": f"{words}, {loss}"} | counts)
    return table_of(lines)


def _merged(point: Point) -> dict[str, str]:
    """How many untied trials did, by table and pair."""
    measured, counts = Measured(point.result), {}
    for (_, table), (*pair, holds) in product((INPUT, OUTPUT), synonym_pairs(measured.task)):
        head = f"{table}, {pair_name(pair)} (DH {'holds' if holds else 'fails'})"
        counts[head] = counted(measured.trials[False].ratio(table, tuple(pair))[0] < MERGE_MARGIN)
    return counts
