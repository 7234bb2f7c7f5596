"""What the original's public code does otherwise, drawn: for the page about it."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import Table, Trials, end_of, synonym_pairs
from semantica_lib.chapters.original import measures
from semantica_lib.chapters.original.tables import named
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.figures import style
from semantica_lib.figures.curves import measured_accuracy
from semantica_lib.figures.overview import LOOKS, TABLES
from semantica_lib.figures.style import BLACK, BLUE, ORANGE, key
from semantica_lib.store.results import Result

TIES = (True, BLUE), (False, ORANGE)
WAYS = {
    "as published": {"linestyle": "-", "marker": "o", "fillstyle": "full"},
    "held out": {"linestyle": "--", "marker": "s", "fillstyle": "none"},
}
TURNS = {"highest": "--", "lowest": ":"}  # learning rate -> dashes of its line


def accuracies(found: Sequence[Result]) -> Figure:
    """Accuracy over training as either protocol measures it, a panel an experiment.

    Of both protocols the mean over seeds with its 95% band (Student's t), tied and untied, and the
    ceiling of the strings that it measures on.
    """
    rows = max(1, -(-len(found) // 2))
    figure, grid = style.panels(rows, 2, height=1.1 + 2.3 * rows, sharey=True)
    panels = grid.ravel()
    for axes, result in zip(panels, found, strict=False):
        axes.set_title(named(result), fontsize=10)
        for way, split in measures.PROTOCOLS.items():
            for tied, colour in TIES:
                steps, curves = measured_accuracy(result, tied, split)
                if curves.size:
                    style.draw_seeds(axes, steps, curves, "band", color=colour, **WAYS[way])
            ceiling, dashes = xor_task(result.settings).ceiling(split)[0], WAYS[way]["linestyle"]
            axes.axhline(ceiling, color=BLACK, linestyle=dashes, linewidth=1)
        style.step_axis(axes)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    if not found:
        style.note(panels[0], "no results")
    panels[0].set_ylim(0, 1)
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy (share)")
    keys = [
        key(f"{tie_of(tied)}, {way}", color=colour, **look)
        for tied, colour in TIES
        for way, look in WAYS.items()
    ]
    for way, look in WAYS.items():
        keys.append(key(f"ceiling, {way}", linestyle=look["linestyle"], linewidth=1))
    style.legend(figure, *keys, columns=3)
    return figure


def sampled(task: XorTask, splits: Sequence[str]) -> Figure:
    """What a perfect model's accuracy can be if each string of a split is sampled once.

    A panel a split, with the expectation, which is the split's ceiling. All bars of a panel add up
    to 1.
    """
    figure, (panels,) = style.panels(1, len(splits), height=2.9, sharex=True)
    for axes, split in zip(panels, splits, strict=True):
        values, probability = measures.sampled_accuracy(task, split)
        count = len(values) - 1
        axes.bar(values, probability, width=0.8 / count, color=BLUE)
        axes.axvline(task.ceiling(split)[0], color=BLACK, linestyle="--", linewidth=1.3)
        axes.set_title(f"{split} split, {count} string{'s' * (count != 1)}")
        axes.set_xlabel("accuracy in one sample (share)")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0].set_xlim(0, 1.04)
    panels[0].set_ylabel("how often")
    style.legend(figure, key("expectation: the ceiling", linestyle="--"))
    return figure


def swings(result: Result | None) -> Figure:
    """How each pair's distance moves within the schedule's last full period, a panel a table.

    Distances are shares of each seed's own mean over the period, so that their mean over seeds
    (thick, with the 95% band; thin: a seed each) shows the movement alone. Upright lines stand at
    the records with the highest and the lowest learning rate.
    """
    figure, (panels,) = style.panels(1, len(TABLES), height=3.3, sharex=True, sharey=True)
    for axes, (head, (tied, table)) in zip(panels, TABLES.items(), strict=True):
        axes.set_title(head)
        style.step_axis(axes)
        axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        if result is None:
            style.note(axes, "no result")
        else:
            _swing(axes, result, tied, table)
    panels[0].set_ylabel("distance, as a share of\nits mean over the period")
    keys = [
        key(f"DH {'holds' if holds else 'fails'}", color=colour, marker=marker)
        for holds, (colour, marker) in LOOKS.items()
    ]
    keys += [key(f"learning rate {words}", linestyle=dash) for words, dash in TURNS.items()]
    style.legend(figure, *keys)
    return figure


def _swing(axes: Axes, result: Result, tied: bool, table: Table) -> None:
    window, turns = end_of(result), measures.turns(result)
    trials = Trials.of(result, tied, window)
    if window is None or turns is None or not len(trials.seeds):
        style.note(axes, "no full period yet" if window is None else f"no {tie_of(tied)} trials")
        return
    for pair in synonym_pairs(trials.task):
        colour, marker = LOOKS[pair.conditionally_equivalent]
        curve = trials.distance(table, pair[:2])[:, window]
        shares = curve / curve.mean(1, keepdims=True)
        style.draw_seeds(axes, result.steps[window], shares, "both", marker, color=colour)
    for turn, words in zip(turns, ("lowest", "highest"), strict=True):
        axes.axvline(result.steps[turn], color=BLACK, linestyle=TURNS[words], linewidth=1.4)
