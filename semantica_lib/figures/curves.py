"""The figures of an XOR experiment: one function a figure, each from stored results alone."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from semantica_lib.analysis.claims import MERGE_MARGIN, Measured, tie_of
from semantica_lib.analysis.distances import Table, Trials, control_distance, end_of, synonym_pairs
from semantica_lib.analysis.markdown import pair_name
from semantica_lib.analysis.second_round import HALF, KNOWN_MOST, share_known
from semantica_lib.analysis.statistics import finite, geometric_interval
from semantica_lib.analysis.sweep_points import name_of
from semantica_lib.analysis.theory import Prediction, decay_clock, decay_factor, paper_predictions
from semantica_lib.datasets.xor import xor_task
from semantica_lib.figures import style
from semantica_lib.figures.style import BLACK, DH, GREY, TIES, key
from semantica_lib.store.results import Result

TOP = 4.0  # distances are drawn from 0 to here, as in the paper, where that holds them all
MARKERS = "od"  # of the first result and of the second
CLOCK = {"marker": "x", "markersize": 6, "markeredgewidth": 1.4, "linestyle": "none"}


def distances(result: Result, tied: bool, table: Table) -> Figure:
    """How far apart each pair of synonyms is over training, a panel a pair.

    Each seed is a thin line, their mean a thick one with its 95% band (Student's t). Beside them
    stand the control pairs' median (mean over seeds), the margin of a merge (a share of it, dotted)
    and the decay clock: where weight decay alone would bring the mean initial distance. Distances
    are Euclidean, and the colour says whether the DH holds.

    Args:
        tied: which of the result's trials.
        table: of which table.
    """
    own, trials = result.settings, Trials.of(result, tied, None)
    pairs = synonym_pairs(trials.task)
    figure, panels = _panels(
        [f"{pair_name(pair)}: DH {'holds' if dh else 'fails'}" for *pair, dh in pairs]
    )
    highest = 0.0
    if not pairs:
        style.note(panels[0], "no pair of synonyms")
    for axes, (*pair, holds) in zip(panels, pairs, strict=False):
        if not len(trials.seeds):
            style.note(axes, f"no {tie_of(tied)} trials" + ", all diverged" * bool(trials.diverged))
            continue
        curves = trials.distance(table, tuple(pair))
        control = control_distance(trials.tables[table], trials.task).mean(0)
        clock = decay_clock(own, result.steps, curves[:, 0].mean())
        style.draw_seeds(axes, result.steps, curves, "both", "", color=DH[holds][0])
        axes.plot(result.steps, control, color=GREY, linestyle="-.", linewidth=1.6)
        axes.plot(result.steps, MERGE_MARGIN * control, **style.MARGIN_LINE)
        axes.plot(result.steps, clock, color=BLACK, linestyle="--", linewidth=1.3)
        highest = max(highest, curves.max(), control.max())
    for axes in panels:
        axes.set_ylim(0, TOP if highest <= TOP else 1.05 * highest)
    panels[0].set_ylabel("Euclidean distance")
    holding = {holds for *_, holds in pairs}
    seeds = GREY if len(holding) != 1 else DH[holding.pop()][0]
    style.legend(
        figure,
        key("one seed", color=seeds, linewidth=0.7),
        key("mean over seeds, 95% band", color=seeds, linewidth=2.2),
        key("control pairs' median", color=GREY, linestyle="-."),
        key("decay clock", linestyle="--"),
        key(f"margin of a merge: {MERGE_MARGIN:g} of theirs", **style.MARGIN_LINE),
    )
    return figure


def accuracies(result: Result) -> Figure:
    """Accuracy of tied and untied trials over training, with the attainable ceiling, two panels.

    Expectations over the strings of the validation split and over all strings, not samples.
    """
    task, own = xor_task(result.settings), result.settings
    strings = "validation" if own.validation == "held-out" else "train"  # as published
    counts = {split: len(task.splits[split]) for split in (strings, "exact")}
    titles = f"{strings} split, {counts[strings]} strings", f"all {counts['exact']} strings"
    figure, panels = _panels(titles)
    for axes, split, measured in zip(panels, ("validation", "exact"), counts, strict=True):
        for tied, look in TIES.items():
            steps, curves, _ = measured_accuracy(result, tied, split)
            if curves.size:
                style.draw_seeds(axes, steps, curves, "both", **look)
        axes.axhline(task.ceiling(measured)[0], **style.MARGIN_LINE)
    panels[0].set(ylim=(0, 1), ylabel="accuracy (share)")
    style.legend(
        figure,
        *(key(f"{tie_of(tied)}: mean, 95% band", **look) for tied, look in TIES.items()),
        key("one seed", color=GREY, linewidth=0.7),
        key("attainable ceiling", **style.MARGIN_LINE),
    )
    return figure


def known(result: Result) -> Figure:
    """How many trials know at least so much of the bit at the end, tied and untied.

    A diverged trial knows nothing. Dotted: the two cuts at which trials are counted.
    """
    figure, ((axes,),) = style.panels(height=2.8)
    measured = Measured(result)
    for tied, look in TIES.items():
        shares = np.sort(share_known(measured, tied).dropna().clip(lower=0.0))[::-1]
        steps = np.arange(1, len(shares) + 1)
        axes.step(shares, steps, where="post", label=tie_of(tied), **look | {"marker": ""})
    for cut in (HALF, KNOWN_MOST):
        axes.axvline(cut, **style.MARGIN_LINE)
    axes.set_xlabel("share of the bit that is known, at least")
    axes.set_ylabel("trials")
    axes.legend()
    return figure


def endings(results: Sequence[Result]) -> Figure:
    """Where each pair ends, as a share of the control pairs' distance: a row a claim, logarithmic.

    Each seed is a dot, their geometric mean a bar with its 95% interval (t of the logs). Values are
    means over the schedule's last full period; the dotted line is the margin of a merge. A cross is
    where decay alone would have brought the pair. The colour says whether the DH holds.

    Args:
        results: of the same settings, at most two: the second is drawn below the first, hollow.
    """
    predictions = paper_predictions(xor_task(results[0].settings))
    rows = max(1, len(predictions))
    figure, ((axes,),) = style.panels(height=1.3 + 0.55 * rows)
    drawn = [
        _ending(axes, result, prediction, row + 0.3 * (index - (len(results) - 1) / 2), index)
        for row, prediction in enumerate(predictions)
        for index, result in enumerate(results)
    ]
    if not any(drawn):
        style.note(axes, "no full period of the schedule yet")
    axes.axvline(MERGE_MARGIN, **style.MARGIN_LINE)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    low, high = axes.get_xlim()
    axes.set(xlim=(min(low, MERGE_MARGIN / 4), max(high, 2)), ylim=(rows - 0.5, -0.5))
    where = [
        f"{name_of((p.tied, p.table))}, {pair_name(p.pair)}:\n"
        f"predicted to {'merge' if p.merges else 'stay apart'}"
        for p in predictions
    ]
    axes.set_yticks(range(len(predictions)), where)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("distance at the end, as a share of the control pairs' median")
    seeds = [
        key(f"{source(result)}: a seed each", marker=marker, linestyle="none", fillstyle=fill)
        for result, marker, fill in zip(results, MARKERS, ("full", "none"), strict=False)
    ]
    bar = {"linewidth": 2, "marker": "|", "markersize": 11, "markeredgewidth": 2}
    ends = [
        key(f"DH {verb}: mean, 95% interval", color=DH[holds][0], markeredgecolor=BLACK, **bar)
        for holds, verb in ((True, "holds"), (False, "fails"))
    ]
    margin = key(f"margin of a merge: {MERGE_MARGIN:.2f}", **style.MARGIN_LINE)
    style.legend(figure, *seeds, *ends, margin, key("decay alone", **CLOCK))
    return figure


def source(result: Result) -> str:
    """Whose result it is, in two words."""
    return "published" if result.published else "this machine"


def _panels(titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Panels over training steps that share their axes, two a row."""
    height = 0.8 + 2.6 * max(1, -(-len(titles) // 2))
    shared = {"sharex": True, "sharey": True}
    if len(titles) > 1:
        return style.over_steps(titles, 2, height, **shared)
    return style.over_steps(titles, 1, height, width=0.75 * style.WIDTH, **shared)


def measured_accuracy(
    result: Result, tied: bool, split: str
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Accuracy of the trials that did not crash, and the seeds of those that did.

    Returns:
        Steps ``(measurement,)`` at which all were measured, ``(trial, measurement)``, and seeds.
    """
    rows = result.metrics[(result.metrics.tie == tie_of(tied)) & (result.metrics.split == split)]
    diverged = rows.seed[~np.isfinite(rows[["accuracy", "loss"]]).all(axis=1)].unique()
    rows = rows[~rows.seed.isin(diverged)]
    wide = rows.pivot(index="seed", columns="step", values="accuracy").dropna(axis="columns")
    return wide.columns.to_numpy(), wide.to_numpy(), sorted(diverged)


def _ending(axes: Axes, result: Result, prediction: Prediction, y: float, index: int) -> bool:
    """Draw one claim of one result; whether there was anything to draw."""
    trials = Trials.of(result, prediction.tied, end_of(result))
    ratio = finite(trials.ratio(prediction.table, prediction.pair)[0])
    if not len(ratio):
        return False
    holds = {pair[:2]: pair.conditionally_equivalent for pair in synonym_pairs(trials.task)}
    colour = DH[holds[prediction.pair]][0]
    look = {"facecolor": "white" if index else colour, "edgecolor": colour, "alpha": 0.75}
    axes.scatter(ratio, np.full(len(ratio), y), s=26, marker=MARKERS[index], zorder=3, **look)
    mean, low, high, _ = geometric_interval(ratio)
    axes.plot([low, high], [y, y], color=colour, linewidth=2)
    axes.plot([mean, mean], [y - 0.14, y + 0.14], color=BLACK, linewidth=2, zorder=4)
    factor = decay_factor(result.settings, result.steps)[trials.window].mean()
    start = trials.start(trials.distance(prediction.table, prediction.pair))
    clock = finite(factor * start / trials.end(trials.control(prediction.table)))
    if len(clock):
        axes.plot(geometric_interval(clock).estimate, y, color=BLACK, zorder=5, **CLOCK)
    return True
