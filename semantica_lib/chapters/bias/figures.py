"""DH or frequency: figures, and tables as Markdown."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import SynonymPair, synonym_pairs, tie_of
from semantica_lib.analysis.markdown import NONE, counted, mean, number, table_of
from semantica_lib.analysis.second_round import HALF
from semantica_lib.analysis.statistics import Interval, mean_interval
from semantica_lib.analysis.sweep_points import OUTPUT, TIED, Place, Point, name_of
from semantica_lib.chapters.bias import measures
from semantica_lib.chapters.bias.measures import BIASES, ODDS, label
from semantica_lib.figures import style
from semantica_lib.figures.facts import made_from
from semantica_lib.figures.overview import LOOKS, pair_keys

FIXED = "35c1cc0dd6"  # the commit in which the predictions were fixed
ASIDE, REACH = 0.19, 0.15  # of a bias's place: where a pair stands, and how far its trials go
TIES = {False: (style.BLUE, "s", -0.08), True: (style.ORANGE, "o", 0.08)}


def at(found: Sequence[Point], bias: str, odds: str) -> Point | None:
    """The point of a bias and of odds, if it has a result."""
    asked = [point for point in found if point.result]
    own = (one for one in asked if (one.settings.output_bias, one.settings.odds) == (bias, odds))
    return next(own, None)


def ratios(measured: Measured, place: Place, pair: SynonymPair) -> np.ndarray:
    """A pair's distance at the end over the median control pair's, ``(trial,)``."""
    return measured.trials[place[0]].ratio(place[1], pair[:2])[0]


def apart(found: Sequence[Point]) -> Figure:
    """How near output rows of synonyms end: a row a table, a column for odds, every trial.

    At each bias the trials of a pair stand side by side, the nearest first, so that a step in the
    line of marks is a share of trials.
    """
    figure, grid = style.panels(2, len(ODDS), 5.2, sharex=True, sharey=True)
    for axes, odds in zip(grid.T, ODDS, strict=True):
        axes[0].set_title(ODDS[odds])
        for one, place in zip(axes, (OUTPUT, TIED), strict=True):
            one.axhline(MERGE_MARGIN, **style.MARGIN_LINE)
            _biases(one)
            if not any(at(found, bias, odds) for bias in BIASES):
                style.note(one, "not trained")
            for x, bias in enumerate(BIASES):
                if point := at(found, bias, odds):
                    _trials(one, x, Measured(point.result), place)
    for axes, place in zip(grid[:, 0], (OUTPUT, TIED), strict=True):
        axes.set_ylabel(f"{name_of(place)}\ndistance / control")
    grid[0, 0].set_yscale("log")
    grid[0, 0].yaxis.set_minor_locator(NullLocator())
    style.legend(figure, *pair_keys(), style.key("margin", **style.MARGIN_LINE), columns=3)
    return figure


def _biases(axes: Axes) -> None:
    axes.set_xticks(range(len(BIASES)), [words.replace(" ", "\n") for words in BIASES.values()])
    axes.set_xlim(-0.5, len(BIASES) - 0.5)


def _trials(axes: Axes, x: int, measured: Measured, place: Place) -> None:
    """The trials of both pairs at a bias, sorted."""
    for pair, aside in zip(synonym_pairs(measured.task), (-ASIDE, ASIDE), strict=False):
        colour, marker = LOOKS[pair.conditionally_equivalent]
        values = np.sort(ratios(measured, place, pair))
        across = x + aside + np.linspace(-REACH, REACH, len(values))
        axes.plot(across, values, marker, color=colour, markersize=2.2, alpha=0.7)


def learned(found: Sequence[Point]) -> Figure:
    """What share of the bit is known: a panel for odds, means over seeds with 95% intervals."""
    figure, (row,) = style.panels(1, len(ODDS), 3.0, sharey=True)
    for axes, odds in zip(row, ODDS, strict=True):
        axes.set_title(ODDS[odds])
        _biases(axes)
        there = {x: at(found, bias, odds) for x, bias in enumerate(BIASES)}
        for tied, (colour, marker, aside) in TIES.items():
            ends = {x + aside: _known(point, tied) for x, point in there.items() if point}
            look = {"color": colour, "marker": marker, "linestyle": "", "capsize": 2}
            if ends:
                style.bars(axes, list(ends), list(ends.values()), markersize=5, **look)
            else:
                style.note(axes, "not trained")
    row[0].set_ylabel("share of the bit\nthat is known")
    keys = [
        style.key(tie_of(tied), color=colour, marker=marker, linestyle="")
        for tied, (colour, marker, _) in TIES.items()
    ]
    style.legend(figure, *keys)
    return figure


def _known(point: Point, tied: bool) -> Interval:
    return mean_interval(measures.known(Measured(point.result))[tied])


def costs(found: Sequence[Point]) -> str:
    """What is known, and what tying costs of it, a row a point."""
    rows = []
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        known, untied = measures.known(measured), measures.just_one(measured)
        rows.append(
            {
                "point": label(point),
                **{f"known, {tie_of(tied)}": mean(known[tied]) for tied in BOTH},
                "untied minus tied": mean(measures.cost(measured)),
                **{f"over a half, {tie_of(tied)}": counted(known[tied] > HALF) for tied in BOTH},
                "of just one, untied": counted(untied),
            }
        )
    return table_of(rows)


def changes(found: list[Point]) -> str:
    """What a bias adds to what is known and to the cost, paired by seed, a row a point."""
    rows = []
    for point, before, after in measures.against_none(found):
        more = measures.known(after) - measures.known(before)
        rows.append(
            {
                "point": label(point),
                **{f"known more, {tie_of(tied)}": mean(more[tied]) for tied in BOTH},
                "tying costs more": mean(measures.cost(after) - measures.cost(before)),
            }
        )
    return table_of(rows)


def uses(found: Sequence[Point]) -> str:
    """Which odds the logits of 0 and 1 keep, whatever their rows do, a row a point and a tie."""
    rows = []
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        pair = synonym_pairs(measured.task)[0]
        for tied in BOTH:
            own, odds = measures.gaps(point, measured, tied, pair[:2])
            least, most = own.end[:, 1], own.end[:, 2]
            asked = number(odds[0]) if len(odds) == 1 else f"{number(odds[0])} to {number(odds[1])}"
            place = TIED if tied else OUTPUT
            merged = ratios(measured, place, pair) < MERGE_MARGIN
            rows.append(
                {
                    "point": f"{label(point)}, {tie_of(tied)}",
                    "log-odds": asked,
                    "least gap": mean(least),
                    "greatest gap": mean(most),
                    "rows merged": counted(merged),
                }
            )
    return table_of(rows)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    return made_from(sweep, {label(point): point.result for point in found})


def answer(found: Sequence[Point]) -> str:
    """What a bias does to the rows of 0 and 1 and to what tying costs, a sentence or two."""
    asked = [at(found, bias, odds) for bias in list(BIASES)[:2] for odds in ("constant", "turning")]
    if not all(asked):
        return f"Whether it is company or frequency is to come: {NONE}."
    plain, _, carried, company = (Measured(point.result) for point in asked)
    told = [
        " and ".join(
            counted(ratios(one, place, synonym_pairs(one.task)[0]) < MERGE_MARGIN)
            for place in (OUTPUT, TIED)
        )
        for one in (plain, carried, company)
    ]
    return (
        f"Without an output bias the rows of 0 and 1 merge in {told[0]} output and tied tables, "
        f"with a learned one in {told[1]}; where their odds turn with the context, which no bias "
        f"carries, in {told[2]}. Tying costs {mean(measures.cost(plain))} of the bit without the "
        f"bias, and {mean(measures.cost(carried))} with it."
    )
