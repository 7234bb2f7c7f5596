"""Rows and uses: figures."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import SynonymPair, control_pairs, synonym_pairs, tie_of
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.uses import measures
from semantica_lib.chapters.uses.claims import ALIKE
from semantica_lib.chapters.uses.measures import label
from semantica_lib.figures import style
from semantica_lib.figures.overview import pair_keys

BEYOND = 1.6  # times: how far axes go beyond the last mark


def there(found: Sequence[Point]) -> Iterator[tuple[Point, Measured, SynonymPair]]:
    """Every pair of synonyms of every point that has a result."""
    for point in (point for point in found if point.result):
        measured = Measured(point.result)
        for pair in synonym_pairs(measured.task):
            yield point, measured, pair


def rows_and_uses(found: Sequence[Point]) -> Figure:
    """How near two rows are against how alike they are used, every trial that knows the bit.

    A panel a tie. Left of the upright margin rows have merged, below the level one they are used
    alike.
    """
    figure, (row,) = style.panels(1, len(BOTH), 3.8, sharex=True, sharey=True)
    drawn = []
    for axes, tied in zip(row, BOTH, strict=True):
        axes.set(title=tie_of(tied), xlabel="input rows: distance / control")
        axes.axvline(MERGE_MARGIN, **style.MARGIN_LINE)
        axes.axhline(ALIKE, **style.MARGIN_LINE)
        marks = [mark for one in there(found) for mark in _trials(axes, *one, tied)]
        if not marks:
            style.note(axes, "no trial that knows the bit" if any(there(found)) else "not trained")
        drawn += marks
    across, up = zip(*drawn, (MERGE_MARGIN, ALIKE), (1.0, 1.0), strict=True)
    row[0].set(xscale="log", yscale="log", ylabel="use: swap divergence / control")
    row[0].set_xlim(min(across) / BEYOND, max(across) * BEYOND)
    row[0].set_ylim(min(up) / BEYOND, max(up) * BEYOND)
    keys = *pair_keys(linestyle=""), style.key("margins", **style.MARGIN_LINE)
    style.legend(figure, *keys, columns=3)
    return figure


def _trials(
    axes: Axes, point: Point, measured: Measured, pair: SynonymPair, tied: bool
) -> list[tuple[float, float]]:
    """Draw the trials of a pair; where each of them is."""
    colour, marker = style.DH[pair.conditionally_equivalent]
    seeds = measures.knowing(measured, tied)
    near = measures.distance(measured, tied, pair[:2])[seeds]
    alike = measures.over_control(point, measured, tied, pair[:2])[seeds]
    hollow = {"fillstyle": "none"} if 0 in point.settings.zero_dst else {}
    look = {"color": colour, "markersize": 5, "alpha": 0.8, "linestyle": ""}
    axes.plot(near, alike, marker=marker, **look | hollow)
    return list(zip(near, alike, strict=True))


def on_the_way(found: Sequence[Point]) -> Figure:
    """Swap divergence over training, medians over trials that come to know the bit, a panel a task.

    Of each pair of synonyms, and of the control pairs (their median).
    """
    asked = [point for point in found if point.result]
    figure, panels = style.over_steps(
        [label(point) for point in asked] or [""], 2, 3.6, sharey=True
    )
    for axes, point in zip(panels, asked, strict=False):
        measured = Measured(point.result)
        for tied in BOTH:
            dash = style.TIES[tied]["linestyle"]
            keep = np.isin(measured.trials[tied].seeds, measures.knowing(measured, tied))
            if not keep.any():
                continue
            pairs = [(pair[:2], style.DH[pair.conditionally_equivalent][0])
                     for pair in synonym_pairs(measured.task)]  # fmt: skip
            for pair, colour in pairs:
                curve = _curve(point, measured, tied, [pair])[keep]
                _line(axes, point, curve, color=colour, linestyle=dash)
            control = _curve(point, measured, tied, control_pairs(measured.task))[keep]
            _line(axes, point, control, color=style.GREY, linestyle=dash)
        axes.set_yscale("log")
    panels[0].set_ylabel("swap divergence, nats")
    if not asked:
        style.note(panels[0], "not trained")
    keys = [*pair_keys(), style.key("control pairs", color=style.GREY)]
    keys += [style.key(tie_of(tied), linestyle=style.TIES[tied]["linestyle"]) for tied in BOTH]
    style.legend(figure, *keys, columns=3)
    return figure


def _curve(point: Point, measured: Measured, tied: bool, pairs: Sequence[tuple]) -> np.ndarray:
    """The median of pairs' swap divergences, ``(trial, use)``."""
    each = [measures.curve(point, measured, tied, one, measures.DIVERGENCE) for one in pairs]
    return np.median(each, axis=0).clip(measures.LEAST)


def _line(axes: Axes, point: Point, curve: np.ndarray, **look: str) -> None:
    axes.plot(point.result.use_steps, np.median(curve, 0), linewidth=1.5, **look)
