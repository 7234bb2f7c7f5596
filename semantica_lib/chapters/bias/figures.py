"""DH or frequency: figures, and tables as Markdown."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import SynonymPair, synonym_pairs, tie_of
from semantica_lib.analysis.markdown import NONE, counted, geometric, mean, number, table_of
from semantica_lib.analysis.second_round import HALF
from semantica_lib.analysis.statistics import mean_interval
from semantica_lib.analysis.sweep_points import OUTPUT, TIED, Place, Point, name_of
from semantica_lib.chapters.bias import measures
from semantica_lib.chapters.bias.measures import BIASES, ODDS, label
from semantica_lib.figures import style
from semantica_lib.figures.facts import listing
from semantica_lib.figures.overview import pair_keys

FIXED = "35c1cc0dd6"  # the commit in which the predictions were fixed
ROWS = OUTPUT, TIED  # tables that a bias is to relieve
ASIDE, REACH = 0.19, 0.15  # of a bias's place: where a pair stands, and how far its trials go
TIES = {False: -0.08, True: 0.08}  # how far beside a bias's place a tie stands


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
        for one, place in zip(axes, ROWS, strict=True):
            one.axhline(MERGE_MARGIN, **style.MARGIN_LINE)
            _biases(one)
            if not any(at(found, bias, odds) for bias in BIASES):
                style.note(one, "not trained")
            for x, bias in enumerate(BIASES):
                if point := at(found, bias, odds):
                    _trials(one, x, Measured(point.result), place)
    for axes, place in zip(grid[:, 0], ROWS, strict=True):
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
        colour, marker = style.DH[pair.conditionally_equivalent]
        values = np.sort(ratios(measured, place, pair))
        across = x + aside + np.linspace(-REACH, REACH, len(values))
        axes.plot(across, values, marker, color=colour, markersize=2.2, alpha=0.7)


def learned(found: Sequence[Point]) -> Figure:
    """What share of the bit is known: a panel for odds, means over seeds with 95% intervals."""
    figure, (row,) = style.panels(1, len(ODDS), 3.0, sharey=True)
    for axes, odds in zip(row, ODDS, strict=True):
        axes.set_title(ODDS[odds])
        _biases(axes)
        points = ((x, at(found, bias, odds)) for x, bias in enumerate(BIASES))
        there = {x: measures.known(Measured(point.result)) for x, point in points if point}
        for tied, aside in TIES.items():
            ends = {x + aside: mean_interval(known[tied]) for x, known in there.items()}
            look = style.TIES[tied] | {"linestyle": "", "capsize": 2}
            if ends:
                style.bars(axes, list(ends), list(ends.values()), markersize=5, **look)
            else:
                style.note(axes, "not trained")
    row[0].set_ylabel("share of the bit\nthat is known")
    keys = [style.key(tie_of(tied), **style.TIES[tied] | {"linestyle": ""}) for tied in TIES]
    style.legend(figure, *keys)
    return figure


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
    """What a bias adds to what is known and to the cost, paired by seed, a row a point.

    And how many times as far the rows of A and B are apart with it, over a control pair.
    """
    rows = []
    for point, before, after in measures.against_none(found):
        more, pair = measures.known(after) - measures.known(before), synonym_pairs(after.task)[0]
        farther = {}
        for place in ROWS:
            ends = [
                pd.Series(ratios(one, place, pair), one.trials[place[0]].seeds)
                for one in (before, after)
            ]
            farther[f"A and B, {name_of(place)}: times as far"] = geometric(ends[1] / ends[0])
        rows.append(
            {
                "point": label(point),
                **farther,
                **{f"known more, {tie_of(tied)}": mean(more[tied]) for tied in BOTH},
                "tying costs more": mean(measures.cost(after) - measures.cost(before)),
            }
        )
    return table_of(rows)


def uses(found: Sequence[Point]) -> str:
    """Which odds the logits of A and B keep, whatever their rows do, a row a point and a tie."""
    rows = []
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        pair = synonym_pairs(measured.task)[0]
        for tied in BOTH:
            own, odds = measures.gaps(point, measured, tied, pair[:2])
            least, most = own.end[:, 1], own.end[:, 2]
            asked = number(odds[0]) if len(odds) == 1 else f"{number(odds[0])} to {number(odds[1])}"
            place = TIED if tied else OUTPUT
            ends = ratios(measured, place, pair)
            rows.append(
                {
                    "point": f"{label(point)}, {tie_of(tied)}",
                    "log-odds": asked,
                    "least gap": mean(least),
                    "greatest gap": mean(most),
                    "distance / control": geometric(ends),
                    "merged": counted(ends < MERGE_MARGIN),
                }
            )
    return table_of(rows)


listed = listing(label)


def answer(found: Sequence[Point]) -> str:
    """What biases do to the rows of A and B and to what tying costs, in Markdown."""
    ends = {odds: [at(found, bias, odds) for bias in BIASES] for odds in ("constant", "turning")}
    if not all(map(all, ends.values())):
        return f"Whether it is company or frequency is to come: {NONE}."
    constant, turning = ([Measured(one.result) for one in own] for own in ends.values())
    return table_of(
        {
            "output bias": bias,
            **{f"A and B merge, {name_of(place)}": counted(_merged(one, place)) for place in ROWS},
            "tying costs, of the bit": mean(measures.cost(one)),
            "odds that turn: A and B merge, either table": counted(
                np.concatenate([_merged(other, place) for place in ROWS])
            ),
        }
        for bias, one, other in zip(BIASES, constant, turning, strict=True)
    )


def _merged(measured: Measured, place: Place) -> np.ndarray:
    """Whether the rows of A and B did, ``(trial,)``."""
    return ratios(measured, place, synonym_pairs(measured.task)[0]) < MERGE_MARGIN
