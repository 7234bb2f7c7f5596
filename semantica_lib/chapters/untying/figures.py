"""What the sweep over the step of untying shows: figures, and tables as Markdown."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from semantica_lib.analysis import markdown, statistics
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import NONE, markdown_table, number, pair_name
from semantica_lib.analysis.statistics import finite, mean_interval, share_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.chapters.untying import measures
from semantica_lib.chapters.untying.measures import ALWAYS, NEVER, TABLES, Way, untied_at, ways_of
from semantica_lib.figures import style
from semantica_lib.figures.facts import listing
from semantica_lib.figures.style import BLACK, GREY, TIES, key, note, panels

LATE = "tied, then untied"
LOOKS = {
    NEVER: TIES[False],
    ALWAYS: TIES[True],
    LATE: {"color": style.scale(2)[1], "marker": "D", "linestyle": "-."},
}
ASIDE = 4.0  # how far beside the steps of untying the two ends stand, as a factor
QUANTITIES = {
    "share": "share of trials that\nlearn the parity",
    "accuracy": "accuracy over all strings",
    "loss": "cross-entropy over all\nstrings (nats)",
}


def by_step(found: Sequence[Point]) -> Figure:
    """How well it ends against the step of untying: share that learns, accuracy, cross-entropy.

    On a logarithmic axis, always untied to the left of it and always tied to the right. The mean
    over seeds with its 95% interval (of the share Clopper and Pearson's); every seed a small mark,
    full if it learned; the attainable accuracy and the least cross-entropy dotted.
    """
    ways, steps = ways_of(found), untied_at(found) or [1]
    first, last = steps[0] / ASIDE, steps[-1] * ASIDE
    figure, column = panels(3, height=7.0, sharex=True)
    for axes, (quantity, label) in zip(column[:, 0], QUANTITIES.items(), strict=True):
        for way in ways:
            _ending(axes, way, quantity, np.clip(way.until, first, last))
        if not ways:
            note(axes, "not trained")
        axes.set(ylabel=label, xscale="log")
        axes.xaxis.set_minor_locator(NullLocator())
        names = [NEVER.replace(" ", "\n"), *(f"{step / 1000:g}" for step in steps)]
        axes.set_xticks([first, *steps, last], [*names, ALWAYS.replace(" ", "\n")])
        axes.set_xlim(first / 1.5, last * 1.9)
    column[0, 0].set_ylim(-0.05, 1.05)
    axes.set_xlabel("tied until this step, untied from there on (thousands)")
    seed = {"color": GREY, "marker": "o", "markersize": 4, "linestyle": ""}
    keys = [
        key("mean, 95% interval", marker="o", linestyle=""),
        key("seed, learned", **seed),
        key("seed, did not", fillstyle="none", **seed),
        key("best attainable", linestyle=":"),
    ]
    style.legend(figure, *keys, columns=4)
    return figure


def _ending(axes: Axes, way: Way, quantity: str, place: float) -> None:
    look = LOOKS.get(way.label, LOOKS[LATE])
    if quantity == "share":
        middle, low, high, _ = share_interval(way.learned.to_numpy(bool))
    else:
        values = measures.final(way, quantity)
        learned = way.learned.reindex(values.index, fill_value=False).to_numpy(bool)
        aside = place * np.geomspace(1.15, 1.6, len(values))  # to the right of the mean
        small = look | {"linestyle": "", "markersize": 3, "markeredgewidth": 0.6, "alpha": 0.7}
        for chosen, fill in ((learned, "full"), (~learned, "none")):
            axes.plot(aside[chosen], values[chosen], fillstyle=fill, **small)
        middle, low, high, _ = mean_interval(finite(values))
        best = way.measured.task.ceiling("exact")[quantity == "loss"]
        axes.axhline(best, color=BLACK, linestyle=":", linewidth=1)
    if np.isnan(middle):
        return
    if np.isfinite(low):
        axes.plot([place, place], [low, high], color=look["color"], linewidth=1.5)
        if not way.late:  # the two that are compared with run across
            axes.axhline(middle, **look | {"marker": ""}, linewidth=1, alpha=0.6)
    axes.plot(place, middle, markersize=7, **look)


def _panels(found: Sequence[Point], label: str) -> tuple[Figure, list[tuple[Axes, Way | None]]]:
    """A panel a step of untying, with the trials that were untied then."""
    ways, steps = {way.until: way for way in ways_of(found)}, untied_at(found) or [0]
    rows = -(-len(steps) // 2)
    figure, grid = panels(rows, 2, height=0.8 + 2.1 * rows, sharex=True, sharey=True)
    for axes in grid.flat[len(steps) :]:
        axes.set_axis_off()
    chosen = [(axes, ways.get(until)) for axes, until in zip(grid.flat, steps, strict=False)]
    for (axes, way), until in zip(chosen, steps, strict=True):
        axes.set_title(f"tied until {until:,}")
        if way:
            axes.axvline(until, color=BLACK, linestyle=":", linewidth=1.2)
        else:
            note(axes, "not trained")
    for axes in grid[-1]:
        style.step_axis(axes)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    return figure, chosen


def curves(found: Sequence[Point]) -> Figure:
    """Cross-entropy over the steps, a panel a step of untying (dotted).

    The mean over seeds with its 95% band, each seed of the late untied thin; the means of always
    untied and of always tied in every panel. What is worse than guessing is cut off.
    """
    figure, chosen = _panels(found, "cross-entropy (nats)")
    ways = ways_of(found)
    for axes, late in chosen:
        for way in [*(way for way in ways if not way.late), late] if late else []:
            look = LOOKS.get(way.label, LOOKS[LATE])
            values = way.values("exact", "loss").dropna()
            steps, values = values.columns.to_numpy(), values.to_numpy()
            if way is late:
                axes.plot(steps, values.T, color=look["color"], linewidth=0.5, alpha=0.4)
            if len(values):
                style.draw_seeds(axes, steps, values, "band", **look)
    if ways:  # from the least attainable to that of guessing among all symbols
        task = ways[0].measured.task
        low, high = task.ceiling("exact")[1], np.log(task.symbols)
        chosen[0][0].set_ylim(low - 0.05, high + 0.05)
    keys = [key(name, **look) for name, look in LOOKS.items()]
    style.legend(figure, *keys, key("untied", linestyle=":"), columns=4)
    return figure


def gaps(found: Sequence[Point]) -> Figure:
    """The pair for which the DH fails, over the steps: its distance in both tables, and the clock.

    Each over its own at the step of untying (dotted): until then the two tables are one. Every seed
    thin, the geometric mean thick; the decay clock, counted from that step, in black.
    """
    figure, chosen = _panels(found, "distance over\nthat when untied")
    for axes, way in ((axes, way) for axes, way in chosen if way):
        steps = way.trials.steps
        at = np.flatnonzero(steps == way.since)
        if not at.size:
            note(axes, "the step of untying is not recorded")
            continue
        (pair, *_) = [(a, b) for a, b, dh in synonym_pairs(way.measured.task) if not dh] or [(0, 1)]
        for table, look in style.TABLES.items():
            curve = way.trials.distance(table, pair)
            share = curve / curve[:, at]
            axes.plot(steps, share.T, color=look["color"], linewidth=0.5, alpha=0.35)
            if len(share):
                marks = {"markersize": 4, "markevery": max(1, len(steps) // 7)}
                axes.plot(steps, np.exp(np.log(share).mean(0)), linewidth=1.8, **look, **marks)
        factor = decay_factor(way.measured.settings, steps)
        axes.plot(steps[at[0] :], (factor / factor[at])[at[0] :], color=BLACK, linewidth=1.4)
    chosen[0][0].set_yscale("log")
    chosen[0][0].yaxis.set_minor_locator(NullLocator())
    keys = [key(f"{table} rows", **look) for table, look in style.TABLES.items()]
    style.legend(figure, *keys, key("decay clock"), key("untied", linestyle=":"), columns=4)
    return figure


def predicted(found: Sequence[Point]) -> str:
    """What the clock leaves from each step of untying on, and what follows; needs no result."""
    words = {True: "merge", False: "stay apart", None: "too near to say"}
    lines = [
        [f"{own.untie_at:,}", number(measures.clock(own)), words[measures.merges(own)]]
        for _, own, _ in found
        if own.untie_at
    ]
    return markdown_table(["tied until step", "decay leaves", "input rows, DH fails"], lines)


def _label(point: Point) -> str:
    until = point.settings.untie_at
    return f"tied until step {until:,}, untied from there on" if until else f"{ALWAYS}, and {NEVER}"


listed = listing(_label)


def endings(found: Sequence[Point]) -> str:
    """How each way ends: who learns, accuracy and loss, and loss minus the two ends', by seed."""
    ways, lines = {way.label: way for way in ways_of(found)}, []
    for label, way in ways.items():
        bases = [ways.get(name) if name != label else None for name in (NEVER, ALWAYS)]
        cells = [markdown.counted(way.learned), markdown.share(way.learned)]
        cells += [_paired_p(base, way) if base else NONE for base in bases]
        cells += [markdown.mean(measures.final(way, of)) for of in ("accuracy", "loss")]
        differ = [measures.difference(way, base, "loss") if base else () for base in bases]
        lines.append([label, *cells, *map(markdown.mean, differ)])
    heads = ["", "learn", "share", "p, against untied", "p, against tied", "accuracy", "loss"]
    return _table([*heads, "loss minus untied's", "loss minus tied's"], lines)


def _paired_p(base: Way, way: Way) -> str:
    both = pd.DataFrame({"before": base.learned, "after": way.learned}).dropna().astype(bool)
    return f"{statistics.paired_exact_test(both.before, both.after):.2g}"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """With a row of dashes where nothing is trained."""
    return markdown_table(heads, lines or [[NONE] * len(heads)])


def tables_end(found: Sequence[Point]) -> str:
    """Where the tables end: ratios to the control pairs, against the clock, and from each other."""
    ways, lines, heads = ways_of(found), [], []
    always = next((way for way in ways if way.label == ALWAYS), None)
    for way in ways:
        pairs = [pair[:2] for pair in synonym_pairs(way.measured.task)]
        places = [(table, pair) for table in TABLES for pair in pairs]
        heads = [f"{table} {pair_name(pair)}" for table, pair in places]
        heads += [f"input {pair_name(pair)}, over the clock" for pair in pairs]
        cells = [markdown.geometric(way.trials.ratio(*place)[0]) for place in places]
        for pair in pairs:  # a tied table has gradients of both kinds, and no clock
            left = measures.left_of(way, "input", pair) / way.clock
            cells.append(NONE if way is always else markdown.geometric(left))
        cells.append(markdown.mean(way.trials.end(measures.apart(way))))
        begun = measures.begins_as(way, always) if always and way.late else None
        lines.append([way.label, *cells, number(begun)])
    return _table(["", *heads, "tables from each other", "from always tied, when untied"], lines)


def speeds(found: Sequence[Point]) -> str:
    """How soon each way learns the parity and brings equally likely output rows together.

    The median step of those trials that get there, and how many do.
    """
    lines, heads = [], []
    for way in ways_of(found):
        pairs = [pair[:2] for pair in synonym_pairs(way.measured.task) if pair[2]]
        heads = [f"output {pair_name(pair)} close, step" for pair in pairs]
        firsts = [measures.first_close(way, pair) for pair in pairs]
        lines.append([way.label, *map(_median, [measures.first_learned(way), *firsts])])
    return _table(["", "parity learned, step", *heads], lines)


def _median(first: pd.Series) -> str:
    there = first[np.isfinite(first)]
    return f"{there.median():,.0f} ({len(there)} of {len(first)})" if len(there) else NONE
