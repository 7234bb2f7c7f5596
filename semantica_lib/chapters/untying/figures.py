"""What the sweep over the step of untying shows, drawn."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from semantica_lib.analysis.distances import Table, synonym_pairs
from semantica_lib.analysis.statistics import mean_interval, share_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.chapters.untying.measures import (
    Way,
    final,
    ways_of,
)
from semantica_lib.figures.style import (
    BLACK,
    BLUE,
    DOTS,
    GREEN,
    GREY,
    ORANGE,
    STYLE,
    WIDTH,
    draw_seeds,
    legend,
    note,
    step_axis,
)

NEVER, ALWAYS = "always untied", "always tied"
LOOKS = {NEVER: (BLUE, "s", "-"), ALWAYS: (ORANGE, "D", "--"), "late": (GREEN, "o", "-.")}
ROWS: dict[Table, tuple[str, str, str]] = {"input": (BLUE, "o", "-"), "output": (ORANGE, "D", "--")}
ASIDE = 4.0  # how far beside the steps of untying the two ends stand, as a factor


def _look(way: Way) -> tuple[str, str, str]:
    """Its colour, marker and line."""
    return LOOKS.get(way.label, LOOKS["late"])


def by_step(found: Sequence[Point]) -> Figure:
    """How well it ends against the step of untying: share that learns, accuracy, cross-entropy.

    On a logarithmic axis, always untied to the left of it and always tied to the right. The mean
    over seeds with its 95% interval (of the share Clopper and Pearson's); every seed a small mark,
    full if it learned; the attainable accuracy and the least cross-entropy dotted.
    """
    ways = ways_of(found)
    untied_at = sorted(own.untie_at for _, own, _ in found if own.untie_at) or [1]
    places = {0: untied_at[0] / ASIDE, np.inf: untied_at[-1] * ASIDE}
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 7.0), dpi=DOTS)
        panels = figure.subplots(3, 1, sharex=True)
    for axes, quantity in zip(panels, ("share", "accuracy", "loss"), strict=True):
        for way in ways:
            _ending(axes, way, quantity, places.get(way.until, way.until))
        if not ways:
            note(axes, "not trained")
    panels[0].set_ylim(-0.05, 1.05)
    panels[0].set_ylabel("share of trials that\nlearn the parity")
    panels[1].set_ylabel("accuracy over all strings")
    panels[2].set_ylabel("cross-entropy over all\nstrings (nats)")
    for axes in panels:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(
            [places[0], *untied_at, places[np.inf]],
            ["always\nuntied", *(f"{step / 1000:g}" for step in untied_at), "always\ntied"],
        )
        axes.set_xlim(places[0] / 1.5, places[np.inf] * 1.9)
    panels[-1].set_xlabel("tied until this step, untied from there on (thousands)")
    keys = [
        Line2D([], [], color=BLACK, marker="o", linestyle="", label="mean, 95% interval"),
        Line2D([], [], color=GREY, marker="o", markersize=4, linestyle="", label="seed, learned"),
        Line2D([], [], color=GREY, marker="o", markersize=4, linestyle="", fillstyle="none",
               label="seed, did not"),
        Line2D([], [], color=BLACK, linestyle=":", label="best attainable"),
    ]  # fmt: skip
    legend(figure, *keys, columns=4)
    return figure


def _ending(axes: Axes, way: Way, quantity: str, place: float) -> None:
    colour, marker, line = _look(way)
    if quantity == "share":
        middle, low, high, _ = share_interval(way.learned.to_numpy(bool))
    else:
        values = final(way, quantity)
        learned = way.learned.reindex(values.index, fill_value=False).to_numpy(bool)
        aside = place * np.geomspace(1.15, 1.6, len(values))  # to the right of the mean
        for chosen, fill in ((learned, "full"), (~learned, "none")):
            axes.plot(aside[chosen], values[chosen], linestyle="", marker=marker, markersize=3,
                      markeredgewidth=0.6, fillstyle=fill, color=colour, alpha=0.7)  # fmt: skip
        middle, low, high, _ = mean_interval(values[np.isfinite(values)])
        best = way.measured.task.ceiling("exact")[quantity == "loss"]
        axes.axhline(best, color=BLACK, linestyle=":", linewidth=1)
    if np.isnan(middle):
        return
    if np.isfinite(low):
        axes.plot([place, place], [low, high], color=colour, linewidth=1.5)
        if way.label in LOOKS:  # the two that are compared with run across
            axes.axhline(middle, color=colour, linestyle=line, linewidth=1, alpha=0.6)
    axes.plot(place, middle, marker=marker, color=colour, markersize=7)


def _panels(found: Sequence[Point]) -> tuple[Figure, list[tuple[Axes, Way | None]]]:
    """A panel a step of untying, with the trials that were untied then."""
    ways = {way.until: way for way in ways_of(found)}
    untied_at = sorted(own.untie_at for _, own, _ in found if own.untie_at) or [0]
    rows = -(-len(untied_at) // 2)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8 + 2.1 * rows), dpi=DOTS)
        panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(untied_at) :]:
        axes.set_axis_off()
    chosen = []
    for axes, until in zip(panels.flat, untied_at, strict=False):
        axes.set_title(f"tied until {until:,}")
        if until in ways:
            axes.axvline(until, color=BLACK, linestyle=":", linewidth=1.2)
        else:
            note(axes, "not trained")
        chosen.append((axes, ways.get(until)))
    for axes in panels[-1]:
        step_axis(axes)
    return figure, chosen


def curves(found: Sequence[Point]) -> Figure:
    """Cross-entropy over the steps, a panel a step of untying (dotted).

    The mean over seeds with its 95% band, each seed of the late untied thin; the means of always
    untied and of always tied in every panel. What is worse than guessing is cut off.
    """
    figure, panels = _panels(found)
    ends = [way for way in ways_of(found) if way.label in LOOKS]
    for axes, late in panels:
        for way in [*ends, late] if late else []:
            colour, marker, line = _look(way)
            values = way.values("exact", "loss").dropna()
            if len(values):
                steps = values.columns.to_numpy()
                if way is late:
                    axes.plot(steps, values.to_numpy().T, color=colour, linewidth=0.5, alpha=0.4)
                draw_seeds(axes, steps, values.to_numpy(), "band", marker, color=colour,
                           linestyle=line)  # fmt: skip
    for axes, _ in panels[::2]:
        axes.set_ylabel("cross-entropy (nats)")
    if ways := ways_of(found):  # from the least attainable to that of guessing among all symbols
        task = ways[0].measured.task
        panels[0][0].set_ylim(task.ceiling("exact")[1] - 0.05, np.log(task.symbols) + 0.05)
    names = {NEVER: NEVER, ALWAYS: ALWAYS, "late": "tied, then untied"}
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, label=names[name])
        for name, (colour, marker, line) in LOOKS.items()
    ]
    legend(figure, *keys, Line2D([], [], color=BLACK, linestyle=":", label="untied"), columns=4)
    return figure


def gaps(found: Sequence[Point]) -> Figure:
    """The pair for which the DH fails, over the steps: its distance in both tables, and the clock.

    Each over its own at the step of untying (dotted): until then the two tables are one. Every seed
    thin, the geometric mean thick; the decay clock, counted from that step, in black.
    """
    figure, panels = _panels(found)
    for axes, way in panels:
        at = np.flatnonzero(way.trials.steps == way.since) if way else np.empty(0)
        if not way or not at.size:
            if way:
                note(axes, "the step of untying is not recorded")
            continue
        (pair, *_) = [(a, b) for a, b, dh in synonym_pairs(way.measured.task) if not dh] or [(0, 1)]
        steps = way.trials.steps
        for table, (colour, marker, line) in ROWS.items():
            curve = way.trials.distance(table, pair)
            share = curve / curve[:, at]
            axes.plot(steps, share.T, color=colour, linewidth=0.5, alpha=0.35)
            if len(share):
                axes.plot(steps, np.exp(np.log(share).mean(0)), color=colour, linestyle=line,
                          linewidth=1.8, marker=marker, markersize=4,
                          markevery=max(1, len(steps) // 7))  # fmt: skip
        factor = decay_factor(way.measured.settings, steps)
        axes.plot(steps[at[0] :], (factor / factor[at])[at[0] :], color=BLACK, linewidth=1.4)
    for axes, _ in panels[::2]:
        axes.set_ylabel("distance over\nthat when untied")
    panels[0][0].set_yscale("log")
    panels[0][0].yaxis.set_minor_locator(NullLocator())
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, label=f"{table} rows")
        for table, (colour, marker, line) in ROWS.items()
    ]
    keys += [
        Line2D([], [], color=BLACK, label="decay clock"),
        Line2D([], [], color=BLACK, linestyle=":", label="untied"),
    ]
    legend(figure, *keys, columns=4)
    return figure
