"""The figures of an XOR experiment: one function a figure, each from stored results alone."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from semantica_lib.analysis import statistics
from semantica_lib.analysis.claims import MERGE_MARGIN, tie_of
from semantica_lib.analysis.distances import Table, Trials, control_distance, synonym_pairs
from semantica_lib.analysis.theory import Prediction, decay_clock, paper_predictions
from semantica_lib.figures.style import (
    BLACK,
    BLUE,
    DOTS,
    GREY,
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

TOP = 4.0  # distances are drawn from 0 to here, as in the paper, where that holds them all


def distances(result: Result, tied: bool, table: Table) -> Figure:
    """How far apart each pair of synonyms is over training, a panel a pair.

    Each seed is a thin line, their mean a thick one with its 95% band (Student's t). Beside them
    stand the control pairs' median (mean over seeds) and the decay clock: where weight decay alone
    would bring the mean initial distance. Distances are Euclidean.

    Args:
        tied: which of the result's trials.
        table: of which table.
    """
    own, trials = result.settings, Trials.of(result, tied, None)
    pairs = synonym_pairs(trials.task)
    figure, panels = _panels(len(pairs))
    highest = 0.0
    if not pairs:
        note(panels[0], "no pair of synonyms")
    for axes, pair, colour in zip(panels, pairs, _colours(len(pairs)), strict=False):
        holds = "holds" if pair.conditionally_equivalent else "fails"
        axes.set_title(f"{pair.first} and {pair.second}: DH {holds}")
        if not _some(axes, trials, tied):
            continue
        curves = trials.distance(table, (pair.first, pair.second))
        control = control_distance(trials.tables[table], trials.task).mean(0)
        clock = decay_clock(own, result.steps, curves[:, 0].mean())
        draw_seeds(axes, result.steps, curves, "both", "", color=colour)
        axes.plot(result.steps, control, color=GREY, linestyle="-.", linewidth=1.6)
        axes.plot(result.steps, clock, color=BLACK, linestyle="--", linewidth=1.3)
        highest = max(highest, curves.max(), control.max())
    for axes in panels:
        axes.set_ylim(0, TOP if highest <= TOP else 1.05 * highest)
    panels[0].set_ylabel("Euclidean distance")
    legend(
        figure,
        *_seed_keys(GREY if len(pairs) != 1 else BLUE),
        Line2D([], [], color=GREY, linestyle="-.", label="control pairs' median"),
        Line2D([], [], color=BLACK, linestyle="--", label="decay clock"),
    )
    return figure


def accuracies(result: Result) -> Figure:
    """Accuracy of tied and untied trials over training, with the attainable ceiling, two panels.

    Expectations over the strings of the validation split and over all strings, not samples.
    """
    own = result.settings
    task = xor_task(own)
    measured = "validation" if own.validation == "held-out" else "train"  # train: as published
    figure, panels = _panels(2)
    for axes, split, strings in zip(
        panels, ("validation", "exact"), (measured, "exact"), strict=True
    ):
        count = len(task.splits[strings])
        words = (
            f"all {count} strings" if strings == "exact" else f"{strings} split, {count} strings"
        )
        axes.set_title(words)
        for tied, colour, marker in ((True, BLUE, "o"), (False, ORANGE, "s")):
            steps, curves = measured_accuracy(result, tied, split)
            if len(curves):
                draw_seeds(axes, steps, curves, "both", marker, color=colour)
        axes.axhline(task.ceiling(strings)[0], color=BLACK, linestyle="--", linewidth=1.3)
        axes.set_ylim(0, 1)
    panels[0].set_ylabel("accuracy (share)")
    legend(
        figure,
        Line2D([], [], color=BLUE, marker="o", label="tied: mean, 95% band"),
        Line2D([], [], color=ORANGE, marker="s", label="untied: mean, 95% band"),
        Line2D([], [], color=GREY, linewidth=0.7, label="one seed"),
        Line2D([], [], color=BLACK, linestyle="--", label="attainable ceiling"),
    )
    return figure


def endings(results: Sequence[Result]) -> Figure:
    """Where each pair ends, as a share of the control pairs' distance: a row a claim, logarithmic.

    Each seed is a dot, their geometric mean a bar with its 95% interval (t of the logs). Values are
    means over the schedule's last full period; the dashed line is the margin of a merge.

    Args:
        results: of the same settings, at most two: the second is drawn below the first, hollow.
    """
    task = xor_task(results[0].settings)
    predictions = paper_predictions(task)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.3 + 0.55 * max(1, len(predictions))), dpi=DOTS)
        axes = figure.subplots()
    drawn = [
        _ending(axes, result, prediction, row + 0.3 * (index - (len(results) - 1) / 2), index)
        for row, prediction in enumerate(predictions)
        for index, result in enumerate(results)
    ]
    if not any(drawn):
        note(axes, "no full period of the schedule yet")
    axes.axvline(MERGE_MARGIN, color=BLACK, linestyle="--", linewidth=1.3)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, MERGE_MARGIN / 4), max(high, 2))
    axes.set_ylim(max(1, len(predictions)) - 0.5, -0.5)
    axes.set_yticks(range(len(predictions)), [_where(p) for p in predictions])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("distance at the end, as a share of the control pairs' median")
    legend(
        figure,
        *(
            Line2D([], [], color=BLACK, marker="od"[index], linestyle="none",
                   fillstyle=("full", "none")[index], label=f"{source(result)}: a seed each")
            for index, result in enumerate(results)
        ),
        Line2D([], [], color=BLACK, linestyle="--", label=f"margin of a merge: {MERGE_MARGIN:.2f}"),
        *(Line2D([], [], color=colour, linewidth=2, marker="|", markersize=11, markeredgewidth=2,
                 markeredgecolor=BLACK, label=f"mean, 95% interval; predicted to {words}")
          for colour, words in ((BLUE, "merge"), (ORANGE, "stay apart"))),
    )  # fmt: skip
    return figure


def source(result: Result) -> str:
    """Whose result it is, in two words."""
    return "published" if result.published else "this machine"


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Panels over training steps that share their axes, two a row."""
    columns, rows = min(2, max(1, count)), (max(1, count) + 1) // 2
    width = WIDTH if columns == 2 else 0.75 * WIDTH
    with rc_context(STYLE):
        figure = Figure(figsize=(width, 0.8 + 2.6 * rows), dpi=DOTS)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[:count]:
        step_axis(axes)
    for axes in grid[max(1, count) :]:
        axes.set_axis_off()
    return figure, list(grid[:count]) or list(grid)


def _colours(count: int) -> list:
    return sns.color_palette("colorblind", count)


def _seed_keys(colour: object) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, linewidth=0.7, label="one seed"),
        Line2D([], [], color=colour, linewidth=2.2, label="mean over seeds, 95% band"),
    ]


def _some(axes: Axes, trials: Trials, tied: bool) -> bool:
    if not len(trials.seeds):
        note(axes, f"no {tie_of(tied)} trials")
    return bool(len(trials.seeds))


def measured_accuracy(result: Result, tied: bool, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps ``(measurement,)`` and accuracies ``(trial, measurement)``, of trials without nan."""
    rows = result.metrics[(result.metrics.tied == tied) & (result.metrics.split == split)]
    wide = rows.pivot(index="seed", columns="step", values="accuracy").dropna()
    return wide.columns.to_numpy(), wide.to_numpy()


def _ending(axes: Axes, result: Result, prediction: Prediction, y: float, index: int) -> bool:
    """Draw one claim of one result; whether there was anything to draw."""
    window = statistics.last_period(result.steps, result.settings.period)
    ratio, _ = Trials.of(result, prediction.tied, window).ratio(prediction.table, prediction.pair)
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio):
        return False
    colour = BLUE if prediction.merges else ORANGE
    face = colour if index == 0 else "white"
    axes.scatter(ratio, np.full(len(ratio), y), s=26, marker="od"[index], facecolor=face,
                 edgecolor=colour, alpha=0.75, zorder=3)  # fmt: skip
    mean, low, high, _ = statistics.geometric_interval(ratio)
    axes.plot([low, high], [y, y], color=colour, linewidth=2)
    axes.plot([mean, mean], [y - 0.14, y + 0.14], color=BLACK, linewidth=2, zorder=4)
    return True


def _where(prediction: Prediction) -> str:
    table = "tied" if prediction.tied else f"untied {prediction.table}"
    return f"{table}, {prediction.pair[0]} and {prediction.pair[1]}"
