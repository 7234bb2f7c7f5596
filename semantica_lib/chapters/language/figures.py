"""The figures of a language model: one function a figure, each from stored results alone."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from semantica_lib.analysis import language
from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.language import BROKEN, HOLDS, TABLES, UNRELATED, Language
from semantica_lib.analysis.language_claims import NEARER
from semantica_lib.analysis.statistics import finite, geometric_interval, mean_interval
from semantica_lib.figures import style
from semantica_lib.figures.style import (
    BLACK,
    DH,
    GREY,
    MARGIN_LINE,
    TIES,
    draw_seeds,
    key,
    legend,
    note,
)
from semantica_lib.store.results import Result

Measure = Literal["distance", "ratio", "cosine"]
AXES = {"distance": "Euclidean distance", "ratio": "ratio to unrelated words", "cosine": "cosine"}
PANELS = "tied", "untied input", "untied output"  # in which order tables are shown
LOOKS = {  # of a class
    HOLDS: ("synonyms, DH holds", {"color": DH[True][0], "marker": "o", "linestyle": "-"}),
    BROKEN: ("synonyms, DH broken", {"color": DH[False][0], "marker": "D", "linestyle": "-"}),
    UNRELATED: ("two unrelated words", {"color": GREY, "marker": "^", "linestyle": "-."}),
}
ONE = {"linewidth": 1.1}  # of black lines
SEED = key("one seed", color=GREY, linewidth=0.7)


def distances(result: Result, measure: Measure = "distance") -> Figure:
    """How far apart the pairs of each class are over training, a panel a table.

    A line is a seed's mean over the pairs of a class; the thick one the mean over seeds, with its
    95% band (Student's t).

    Args:
        measure: ``distance``; ``ratio``, to the mean distance of unrelated words (1: as far apart
            as any two words); or ``cosine``.
    """
    measured, ratio = Language(result), measure == "ratio"
    looks = {kind: LOOKS[kind] for kind in language.kinds(result.settings)}
    looks |= {} if ratio else {UNRELATED: LOOKS[UNRELATED]}
    figure, row = style.over_steps(PANELS, len(PANELS), 3.4, sharex=True, sharey=True)
    for axes, (tied, table) in zip(row, (TABLES[name] for name in PANELS), strict=True):
        trials = measured.trials[tied]
        if ratio:
            axes.axhline(1, color=BLACK, **ONE)
            axes.axhline(NEARER, **MARGIN_LINE)
        if not len(trials.seeds):
            note(axes, f"no {tie_of(tied)} trials" + ", all diverged" * bool(trials.diverged))
            continue
        for kind, (_, look) in looks.items():
            curves = trials.ratio(table, kind) if ratio else trials.means[table, kind, measure]
            if np.isfinite(curves).all():
                draw_seeds(axes, trials.steps, curves, "both", **look)
    if measure != "cosine":
        row[0].set_ylim(bottom=0)
    row[0].set_ylabel(AXES[measure])
    keys = [key(label, **look) for label, look in looks.values()]
    if ratio:
        keys += [key("as far as unrelated words", **ONE)]
        keys += [key(f"margin of nearer: {NEARER:.2f}", **MARGIN_LINE)]
    legend(figure, *keys, SEED)
    return figure


def losses(result: Result) -> Figure:
    """Loss and accuracy at masked places of the validation sample over training, two panels.

    The dotted line knows how often each piece occurs and no more (mean over seeds).
    """
    measured = Language(result)
    titles = "loss (nats)", "accuracy (share)"
    figure, row = style.over_steps(titles, 2, 3.4, sharex=True)
    for axes, quantity in zip(row, ("loss", "accuracy"), strict=True):
        for tied, look in TIES.items():
            steps, curves = measured.trials[tied].measured("validation", quantity)
            curves = curves[np.isfinite(curves).all(1)]
            if curves.size:
                draw_seeds(axes, steps, curves, "both", **look)
        axes.axhline(measured.unigram[quantity].mean(), **MARGIN_LINE)
    row[1].set_ylim(bottom=0)
    ties = [key(f"{tie_of(tied)}: mean, 95% band", **look) for tied, look in TIES.items()]
    legend(figure, *ties, SEED, key("knows frequencies only", **MARGIN_LINE))
    return figure


def variants(results: Mapping[str, Result]) -> Figure:
    """Where the synonyms for which DH holds end in each variant, and what it learned; a row each.

    Left their mean distance over the unrelated words', by table, with the margin dotted. Right the
    loss on the validation sample less that of the baseline that knows frequencies only: where it
    is 0, nothing was learned of any context. A dot is a seed, a bar the mean (of ratios the
    geometric one).

    Args:
        results: by label, of settings that have such synonyms.
    """
    rows = max(1, len(results))
    shared = {"sharey": True, "width_ratios": [1.7, 1]}
    figure, ((ratios, learned),) = style.panels(1, 2, height=1.75 + 0.5 * rows, **shared)
    for row, result in enumerate(results.values()):
        measured = Language(result)
        if measured.window is None:
            inside = {"transform": ratios.get_yaxis_transform(), "va": "center", "ha": "center"}
            ratios.text(0.5, row, "ends too early", color=GREY, **inside)
        for place, name in enumerate(PANELS):
            tied, table = TABLES[name]
            values = finite(measured.ratio(name, HOLDS))
            mean, fill = geometric_interval(values).estimate, "white" if table == "output" else ""
            _dots(ratios, values, mean, row + 0.24 * (place - 1), tied, fill)
        for tied, place in ((True, -0.12), (False, 0.12)):
            gain = finite(measured.loss(tied, "validation") - measured.unigram.loss)
            _dots(learned, gain, mean_interval(gain).estimate, row + place, tied)
    if not any(HOLDS in language.kinds(result.settings) for result in results.values()):
        note(ratios, "no synonyms for which DH holds" if results else "nothing is stored")
    ratios.axvline(1, color=BLACK, **ONE)
    ratios.axvline(NEARER, **MARGIN_LINE)
    learned.axvline(0, color=BLACK, **ONE)
    ratios.set(xlim=(0, max(1.1, ratios.get_xlim()[1])), ylim=(rows - 0.5, -0.5))
    ratios.set_yticks(range(len(results)), results)
    ratios.set_xlabel("distance, over unrelated words'")
    learned.set_xlabel("loss − baseline's (nats)")
    for axes, ticks in ((ratios, 5), (learned, 3)):
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(ticks))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    untied = TIES[False] | {"linestyle": "none"}
    legend(
        figure,
        key("tied", **TIES[True] | {"linestyle": "none"}),
        key("untied; left: input table", **untied),
        key("untied output table", fillstyle="none", **untied),
        key(f"margin: {NEARER:.2f}", **MARGIN_LINE),
    )
    return figure


def _dots(
    axes: Axes, values: np.ndarray, mean: float, y: float, tied: bool, fill: str = ""
) -> None:
    """A dot a seed, and their mean as a bar; nothing without values."""
    if not len(values):
        return
    colour, marker = TIES[tied]["color"], TIES[tied]["marker"]
    look = {"edgecolor": colour, "facecolor": fill or colour, "marker": marker}
    axes.scatter(values, np.full(len(values), y), s=24, alpha=0.75, zorder=3, **look)
    axes.plot([mean, mean], [y - 0.11, y + 0.11], color=BLACK, linewidth=2, zorder=4)
