"""What the original's public code does otherwise, drawn: for the page about it."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import Table, Trials, end_of, synonym_pairs
from semantica_lib.chapters.original import measures
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.figures import style
from semantica_lib.figures.curves import measured_accuracy
from semantica_lib.figures.overview import TABLES, pair_keys
from semantica_lib.figures.style import BLACK, DH, GREY, TIES, key
from semantica_lib.figures.tables import titled
from semantica_lib.store.results import Result

WAYS = {
    "as published": {"fillstyle": "full"},
    "held out": {"fillstyle": "none"},
}
CEILINGS = {
    "as published": {"linestyle": ":", "linewidth": 2},
    "held out": {"linestyle": ":", "linewidth": 1},
}
TURNS = {"highest": "--", "lowest": ":"}  # learning rate -> dashes of its line


def accuracies(found: Sequence[Result]) -> Figure:
    """Accuracy over training as either protocol measures it, a panel an experiment.

    Of both protocols the mean over seeds with its 95% band (Student's t), tied and untied, and the
    ceiling of the strings that it measures on.
    """
    height = 1.1 + 2.3 * max(1, -(-len(found) // 2))
    figure, panels = style.over_steps([*map(titled, found)], 2, height, sharey=True)
    for axes, result in zip(panels, found, strict=False):
        axes.title.set_fontsize(10)
        for way, split in measures.PROTOCOLS.items():
            for tied, look in TIES.items():
                steps, curves, _ = measured_accuracy(result, tied, split)
                if curves.size:
                    style.draw_seeds(axes, steps, curves, "band", **look, **WAYS[way])
            ceiling = xor_task(result.settings).ceiling(split)[0]
            axes.axhline(ceiling, color=BLACK, **CEILINGS[way])
    if not found:
        style.note(panels[0], "no results")
    panels[0].set_ylim(0, 1)
    for axes in panels[::2]:
        axes.set_ylabel("accuracy (share)")
    keys = [
        key(f"{tie_of(tied)}, {way}", **look, **fill)
        for tied, look in TIES.items()
        for way, fill in WAYS.items()
    ]
    keys += [key(f"ceiling, {way}", **look) for way, look in CEILINGS.items()]
    style.legend(figure, *keys, columns=3)
    return figure


def sampled(task: XorTask, splits: Sequence[str]) -> Figure:
    """What a perfect model's accuracy can be if each string of a split is sampled once.

    A panel a split, with the expectation, which is the split's ceiling. All bars of a panel add up
    to 1.
    """
    figure, (panels,) = style.panels(1, len(splits), height=2.9, sharex=True)
    for axes, split in zip(panels, splits, strict=True):
        sample, count = measures.sampled_accuracy(task, split), len(task.splits[split])
        axes.bar(sample.xk, sample.pk, width=0.8 / count, color=GREY)
        axes.axvline(task.ceiling(split)[0], **style.MARGIN_LINE)
        axes.set_title(f"{split} split, {count} string{'s' * (count != 1)}")
        axes.set_xlabel("accuracy in one sample (share)")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0].set_xlim(0, 1.04)
    panels[0].set_ylabel("how often")
    style.legend(figure, key("expectation: the ceiling", **style.MARGIN_LINE))
    return figure


def swings(result: Result | None) -> Figure:
    """How each pair's distance moves within the schedule's last full period, a panel a table.

    Distances are shares of each seed's own mean over the period, so that their mean over seeds
    (thick, with the 95% band; thin: a seed each) shows the movement alone. Upright lines stand at
    the records with the highest and the lowest learning rate.
    """
    figure, panels = style.over_steps([*TABLES], len(TABLES), 3.3, sharex=True, sharey=True)
    for axes, (tied, table) in zip(panels, TABLES.values(), strict=True):
        axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        if result is None:
            style.note(axes, "no result")
        else:
            _swing(axes, result, tied, table)
    panels[0].set_ylabel("distance, as a share of\nits mean over the period")
    keys = [key(f"learning rate {words}", linestyle=dash) for words, dash in TURNS.items()]
    style.legend(figure, *pair_keys(), *keys)
    return figure


def _swing(axes: Axes, result: Result, tied: bool, table: Table) -> None:
    window, turns = end_of(result), measures.turns(result)
    trials = Trials.of(result, tied, window)
    if window is None or turns is None or not len(trials.seeds):
        style.note(axes, "no full period yet" if window is None else f"no {tie_of(tied)} trials")
        return
    for pair in synonym_pairs(trials.task):
        colour, marker = DH[pair.conditionally_equivalent]
        curve = trials.distance(table, pair[:2])[:, window]
        shares = curve / curve.mean(1, keepdims=True)
        style.draw_seeds(axes, result.steps[window], shares, "both", marker, color=colour)
    for turn, words in zip(turns, ("lowest", "highest"), strict=True):
        axes.axvline(result.steps[turn], color=BLACK, linestyle=TURNS[words], linewidth=1.4)
