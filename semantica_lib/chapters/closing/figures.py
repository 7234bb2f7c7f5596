"""What the sweeps over decay, optimizer and noise show: figures, and tables as Markdown."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from semantica_lib.analysis.claims import MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import (
    RESOLUTION,
    Table,
    Trials,
    control_distance,
    synonym_pairs,
)
from semantica_lib.analysis.markdown import NONE, markdown_table, with_interval
from semantica_lib.analysis.statistics import geometric_interval
from semantica_lib.analysis.sweep_points import PLACES, Point, name_of
from semantica_lib.chapters.closing.measures import KEPT_MARGIN, OPTIMIZERS, label
from semantica_lib.figures.facts import made_from
from semantica_lib.figures.overview import LOOKS
from semantica_lib.figures.style import BLACK, DOTS, STYLE, WIDTH, legend, note, step_axis

WAYS = {"sampled": ("-", "full", -0.08), "exact": ("--", "none", 0.08)}
LEAST = 1e-7  # of the upright axis of distances that begin at 0


def decays(found: Sequence[Point]) -> Figure:
    """How near pairs end against weight decay: a row a table, a column an optimizer.

    The geometric mean over seeds of the distance as a share of the median control pair's, with its
    95% interval, for the sampled and the exact loss; the margin of a merge dashed. Without decay
    Adam is AdamW, whose points stand there.
    """
    there = [point for point in found if point.result]
    values = sorted({point.settings.weight_decay for point in found})
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 6.6), dpi=DOTS)
        panels = figure.subplots(len(PLACES), len(OPTIMIZERS), sharex=True, sharey=True)
    for row, (tied, table) in zip(panels, PLACES, strict=True):
        for axes, (name, words) in zip(row, OPTIMIZERS.items(), strict=True):
            chosen = [
                point
                for point in there
                if (tied, table) in point.places
                and (point.settings.optimizer == name or _is_adam(point, name))
            ]
            if not chosen:
                note(axes, "not trained")
            _against_decay(axes, chosen, values, tied, table)
            axes.axhline(MERGE_MARGIN, color=BLACK, linestyle=(0, (4, 2)), linewidth=1)
            if axes in panels[0]:
                axes.set_title(words)
        row[0].set_ylabel(f"{name_of((tied, table))}\ndistance / control")
    panels[0, 0].set_yscale("log")
    panels[0, 0].set_xticks(range(len(values)), [f"{value:g}" for value in values])
    panels[0, 0].set_xlim(-0.4, len(values) - 0.6)
    for axes in panels[-1]:
        axes.set_xlabel("weight decay")
    _legend(figure)
    return figure


def _is_adam(point: Point, name: str) -> bool:
    own = point.settings
    return name == "adam" and own.optimizer == "adamw" and own.weight_decay == 0


def _against_decay(
    axes: Axes, points: Sequence[Point], values: Sequence[float], tied: bool, table: Table
) -> None:
    for loss, (dash, fill, aside) in WAYS.items():
        chosen = sorted(
            (point for point in points if point.settings.expectation == loss),
            key=lambda point: point.settings.weight_decay,
        )
        ends: dict[bool, list[tuple[float, ...]]] = {True: [], False: []}
        for point in chosen:
            measured = Measured(point.result)
            place = values.index(point.settings.weight_decay) + aside
            for pair in synonym_pairs(measured.task):
                ratio, _ = measured.trials[tied].ratio(table, pair[:2])
                interval = geometric_interval(ratio[np.isfinite(ratio)])
                ends[pair.conditionally_equivalent].append((place, *interval[:3]))
        for holds, (colour, marker) in LOOKS.items():
            if ends[holds]:
                x, middle, low, high = np.array(ends[holds]).T
                axes.errorbar(
                    x, middle, [middle - low, high - middle], color=colour, marker=marker,
                    linestyle=dash, fillstyle=fill, linewidth=1.3, markersize=5, capsize=2,
                )  # fmt: skip


def parting(found: Sequence[Point]) -> Figure:
    """How pairs that begin with equal rows part: a row a table, a column an optimizer and loss.

    The distance as a share of the median control pair's over the steps, every seed; what is
    smaller than the lower edge is drawn there.
    """
    places = [place for place in PLACES if not place[0]]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.9), dpi=DOTS)
        panels = figure.subplots(
            len(places), max(1, len(found)), sharex=True, sharey=True, squeeze=False
        )
    for row, (tied, table) in zip(panels, places, strict=True):
        for axes, point in zip(row, found, strict=False):
            if axes in panels[0]:
                own = point.settings
                axes.set_title(f"{OPTIMIZERS[own.optimizer]},\n{own.expectation} loss", fontsize=10)
            if not point.result:
                note(axes, "not trained")
                continue
            trials = Trials.of(point.result, tied, None)
            control = control_distance(trials.tables[table], trials.task).clip(RESOLUTION)
            for pair in synonym_pairs(trials.task):
                colour, marker = LOOKS[pair.conditionally_equivalent]
                share = (trials.distance(table, pair[:2]) / control).clip(LEAST)
                axes.plot(trials.steps, share.T, color=colour, linewidth=0.7, alpha=0.5)
                middle = np.exp(np.log(share).mean(0)) if len(share) else share.sum(0)
                axes.plot(trials.steps, middle, color=colour, marker=marker, markevery=4)
            axes.axhline(KEPT_MARGIN, color=BLACK, linestyle=(0, (4, 2)), linewidth=1)
        row[0].set_ylabel(f"untied {table}\ndistance / control")
    panels[0, 0].set_yscale("log")
    panels[0, 0].yaxis.set_minor_locator(NullLocator())
    for axes in panels[-1]:
        step_axis(axes)
        axes.set_xticks([0, 100_000], ["0", "100,000"])
    legend(
        figure, *_pairs(), Line2D([], [], color=BLACK, linestyle="--", label="margin"), columns=3
    )
    return figure


def _pairs() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, label=f"DH {'holds' if holds else 'fails'}")
        for holds, (colour, marker) in LOOKS.items()
    ]


def _legend(figure: Figure) -> None:
    ways = [
        Line2D(
            [], [], color=BLACK, linestyle=dash, marker="o", fillstyle=fill, label=f"{loss} loss"
        )
        for loss, (dash, fill, _) in WAYS.items()
    ]
    margin = Line2D([], [], color=BLACK, linestyle=(0, (4, 2)), linewidth=1, label="margin")
    legend(figure, *_pairs(), *ways, margin, columns=5)


def endings(found: Sequence[Point]) -> str:
    """Where pairs end at every point, as shares of a control pair's distance; who learns."""
    there, lines, heads = [point for point in found if point.result], [], []
    for point in there:
        measured = Measured(point.result)
        pairs = [pair[:2] for pair in synonym_pairs(measured.task)]
        heads = [f"{name_of(place)}, {a} and {b}" for place in PLACES for a, b in pairs]
        cells = []
        for tied, table in PLACES:
            for pair in pairs:
                ratio, _ = measured.trials[tied].ratio(table, pair)
                cells.append(with_interval(geometric_interval(ratio[np.isfinite(ratio)])))
        learned = [
            f"{int(learns.sum())} of {len(learns)}" if len(learns) else NONE
            for learns in (measured.learned[False], measured.learned[True])
        ]
        lines.append([label(point), *cells, *learned])
    return markdown_table(["point", *heads, "learn, untied", "learn, tied"], lines)


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of a sweep the page is made from, and how to get the others."""
    return made_from(sweep, {label(point): point.result for point in found})


def answer(found: Sequence[Point]) -> str:
    """What becomes of each untied pair without decay and with the strongest, a line each."""
    lines = []
    for optimizer, words in OPTIMIZERS.items():
        for loss in WAYS:
            chosen = [
                point
                for point in found
                if point.result
                and point.settings.expectation == loss
                and (point.settings.optimizer == optimizer or _is_adam(point, optimizer))
            ]
            chosen.sort(key=lambda point: point.settings.weight_decay)
            if chosen:
                ends = [chosen[0], *chosen[-1:]] if len(chosen) > 1 else chosen
                told = "; ".join(f"at decay {p.settings.weight_decay:g} {_told(p)}" for p in ends)
                lines.append(f"- **{words}, {loss} loss**: {told}.")
    return "\n".join(lines)


def _told(point: Point) -> str:
    measured, parts = Measured(point.result), []
    for tied, table in PLACES[:2]:
        for a, b, holds in synonym_pairs(measured.task):
            ratio, _ = measured.trials[tied].ratio(table, (a, b))
            low, high = geometric_interval(ratio[np.isfinite(ratio)])[1:3]
            word = "merged" if high < MERGE_MARGIN else "apart" if low > MERGE_MARGIN else "open"
            parts.append(f"{table} rows {a} and {b} (DH {'holds' if holds else 'fails'}) {word}")
    return ", ".join(parts)
