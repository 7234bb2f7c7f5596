"""What the original's public code does otherwise, drawn: for the page about it."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import Table, Trials, synonym_pairs
from semantica_lib.analysis.statistics import last_period
from semantica_lib.chapters.original import measures as protocols
from semantica_lib.chapters.original.measures import PROTOCOLS
from semantica_lib.chapters.original.tables import named
from semantica_lib.datasets.xor import XorTask
from semantica_lib.figures.curves import measured_accuracy
from semantica_lib.figures.overview import LOOKS, TABLES
from semantica_lib.figures.style import (
    BLACK,
    BLUE,
    DOTS,
    ORANGE,
    STYLE,
    WIDTH,
    draw_seeds,
    legend,
    note,
    step_axis,
)
from semantica_lib.store.results import Result
from semantica_lib.trainers.stacked import xor_task

TIES = (True, BLUE), (False, ORANGE)
WAYS = {"as published": ("-", "o", "full"), "held out": ("--", "s", "none")}


def accuracies(found: Sequence[Result]) -> Figure:
    """Accuracy over training as either protocol measures it, a panel an experiment.

    Of both protocols the mean over seeds with its 95% band (Student's t), tied and untied, and the
    ceiling of the strings that it measures on.
    """
    rows = max(1, -(-len(found) // 2))
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.1 + 2.3 * rows), dpi=DOTS)
        panels = figure.subplots(rows, 2, sharey=True, squeeze=False).ravel()
    for axes, result in zip(panels, found, strict=False):
        axes.set_title(named(result), fontsize=10)
        for way, split in PROTOCOLS.items():
            dash, marker, fill = WAYS[way]
            for tied, colour in TIES:
                steps, curves = measured_accuracy(result, tied, split)
                if curves.size:
                    draw_seeds(axes, steps, curves, "band", marker, color=colour, linestyle=dash,
                               fillstyle=fill)  # fmt: skip
            ceiling = xor_task(result.settings).ceiling(split)[0]
            axes.axhline(ceiling, color=BLACK, linestyle=dash, linewidth=1)
        step_axis(axes)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    if not found:
        note(panels[0], "no results")
    panels[0].set_ylim(0, 1)
    for axes in panels[::2]:
        axes.set_ylabel("accuracy (share)")
    keys = [
        Line2D([], [], color=colour, linestyle=dash, marker=marker, fillstyle=fill,
               label=f"{tie_of(tied)}, {way}")
        for tied, colour in TIES for way, (dash, marker, fill) in WAYS.items()
    ]  # fmt: skip
    ceilings = [
        Line2D([], [], color=BLACK, linestyle=dash, linewidth=1, label=f"ceiling, {way}")
        for way, (dash, *_) in WAYS.items()
    ]
    legend(figure, *keys, *ceilings, columns=3)
    return figure


def sampled(task: XorTask, splits: Sequence[str]) -> Figure:
    """What a perfect model's accuracy can be if each string of a split is sampled once.

    A panel a split, with the expectation, which is the split's ceiling. All bars of a panel add up
    to 1.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.9), dpi=DOTS)
        panels = figure.subplots(1, len(splits), sharex=True, squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        values, probability = protocols.sampled_accuracy(task, split)
        axes.bar(values, probability, width=0.8 / (len(values) - 1), color=BLUE)
        axes.axvline(task.ceiling(split)[0], color=BLACK, linestyle="--", linewidth=1.3)
        count = len(values) - 1
        axes.set_title(f"{split} split, {count} string{'s' * (count != 1)}")
        axes.set_xlabel("accuracy in one sample (share)")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0].set_xlim(0, 1.04)
    panels[0].set_ylabel("how often")
    legend(figure, Line2D([], [], color=BLACK, linestyle="--", label="expectation: the ceiling"))
    return figure


def swings(result: Result | None) -> Figure:
    """How each pair's distance moves within the schedule's last full period, a panel a table.

    Distances are shares of each seed's own mean over the period, so that their mean over seeds
    (thick, with the 95% band; thin: a seed each) shows the movement alone. Upright lines stand at
    the records with the highest and the lowest learning rate.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.3), dpi=DOTS)
        panels = figure.subplots(1, len(TABLES), sharex=True, sharey=True)
    for axes, (head, (tied, table)) in zip(panels, TABLES.items(), strict=True):
        axes.set_title(head)
        step_axis(axes)
        axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        if result is None:
            note(axes, "no result")
        else:
            _swing(axes, result, tied, table)
    panels[0].set_ylabel("distance, as a share of\nits mean over the period")
    keys = [
        Line2D([], [], color=colour, marker=marker, label=f"DH {'holds' if holds else 'fails'}")
        for holds, (colour, marker) in LOOKS.items()
    ]
    lines = [
        Line2D([], [], color=BLACK, linestyle=style, label=f"learning rate {words}")
        for style, words in (("--", "highest"), (":", "lowest"))
    ]
    legend(figure, *keys, *lines)
    return figure


def _swing(axes: Axes, result: Result, tied: bool, table: Table) -> None:
    window, turns = last_period(result.steps, result.settings.period), protocols.turns(result)
    trials = Trials.of(result, tied, window)
    if window is None or turns is None or not len(trials.seeds):
        note(axes, "no full period yet" if window is None else f"no {tie_of(tied)} trials")
        return
    for pair in synonym_pairs(trials.task):
        colour, marker = LOOKS[pair.conditionally_equivalent]
        curve = trials.distance(table, pair[:2])[:, window]
        shares = curve / curve.mean(1, keepdims=True)
        draw_seeds(axes, result.steps[window], shares, "both", marker, color=colour)
    for turn, style in zip(turns, (":", "--"), strict=True):
        axes.axvline(result.steps[turn], color=BLACK, linestyle=style, linewidth=1.4)
