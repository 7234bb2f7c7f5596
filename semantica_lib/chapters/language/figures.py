"""The figures of a language model: one function a figure, each from stored results alone."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.language import (
    BROKEN,
    HOLDS,
    TABLES,
    UNRELATED,
    Language,
    Words,
    kinds,
)
from semantica_lib.analysis.language_claims import NEARER
from semantica_lib.analysis.statistics import geometric_interval, mean_interval
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

Measure = Literal["distance", "ratio", "cosine"]
AXES = {
    "distance": "Euclidean distance",
    "ratio": "ratio to unrelated words",
    "cosine": "cosine",
}
PANELS = "tied", "untied input", "untied output"  # in which order tables are shown
LOOKS = {  # of a class: colour, marker, dashes
    HOLDS: (BLUE, "o", "-"),
    BROKEN: (ORANGE, "D", "--"),
    UNRELATED: (GREY, "^", "-."),
}
KEYS = {
    HOLDS: "synonyms, DH holds", BROKEN: "synonyms, DH broken", UNRELATED: "two unrelated words",
}  # fmt: skip
TIE_LOOKS = {True: (BLUE, "o"), False: (ORANGE, "s")}  # colour, marker


def distances(result: Result, measure: Measure = "distance") -> Figure:
    """How far apart the pairs of each class are over training, a panel a table.

    A line is a seed's mean over the pairs of a class; the thick one the mean over seeds, with its
    95% band (Student's t).

    Args:
        measure: ``distance``; ``ratio``, to the mean distance of unrelated words (1: as far apart
            as any two words); or ``cosine``.
    """
    measured = Language(result)
    shown = [*kinds(result.settings), *([UNRELATED] if measure != "ratio" else [])]
    figure, panels = _panels(len(PANELS), sharey=True)
    for axes, name in zip(panels, PANELS, strict=True):
        axes.set_title(name)
        tied, table = TABLES[name]
        trials = measured.trials[tied]
        if measure == "ratio":
            axes.axhline(1, color=BLACK, linewidth=1.1)
        for kind in shown if _some(axes, trials, tied) else []:
            colour, marker, dashes = LOOKS[kind]
            ratio = measure == "ratio"
            curves = trials.ratio(table, kind) if ratio else trials.means[table, kind, measure]
            if np.isfinite(curves).all():
                draw_seeds(axes, trials.steps, curves, "both", marker, color=colour,
                           linestyle=dashes)  # fmt: skip
    if measure != "cosine":
        panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel(AXES[measure])
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle=dashes, label=KEYS[kind])
        for kind, (colour, marker, dashes) in ((kind, LOOKS[kind]) for kind in shown)
    ]
    if measure == "ratio":
        keys.append(Line2D([], [], color=BLACK, linewidth=1.1, label="as far as unrelated words"))
    legend(figure, *keys, _seed_key())
    return figure


def losses(result: Result) -> Figure:
    """Loss and accuracy at masked places of the validation sample over training, two panels.

    The dashed line knows how often each piece occurs and no more (mean over seeds).
    """
    measured = Language(result)
    figure, panels = _panels(2, sharey=False)
    for axes, quantity, title in zip(
        panels, ("loss", "accuracy"), ("loss (nats)", "accuracy (share)"), strict=True
    ):
        axes.set_title(title)
        for tied, (colour, marker) in TIE_LOOKS.items():
            steps, curves = measured.trials[tied].measured("validation", quantity)
            curves = curves[np.isfinite(curves).all(1)]
            if curves.size:
                draw_seeds(axes, steps, curves, "both", marker, color=colour)
        axes.axhline(measured.unigram[quantity].mean(), color=BLACK, linestyle="--", linewidth=1.3)
    panels[1].set_ylim(bottom=0)
    ties = [
        Line2D([], [], color=colour, marker=marker, label=f"{tie_of(tied)}: mean, 95% band")
        for tied, (colour, marker) in TIE_LOOKS.items()
    ]
    known = Line2D([], [], color=BLACK, linestyle="--", label="knows frequencies only")
    legend(figure, *ties, _seed_key(), known)
    return figure


def variants(results: Mapping[str, Result]) -> Figure:
    """Where the synonyms for which DH holds end in each variant, and what it learned; a row each.

    Left their mean distance over the unrelated words', by table, with the margin dashed. Right the
    loss on the validation sample less that of the baseline that knows frequencies only: where it
    is 0, nothing was learned of any context. A dot is a seed, a bar the mean (of ratios the
    geometric one).

    Args:
        results: by label, of settings that have such synonyms.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.75 + 0.5 * max(1, len(results))), dpi=DOTS)
        ratios, learned = figure.subplots(1, 2, sharey=True, width_ratios=[1.7, 1])
    for row, result in enumerate(results.values()):
        measured = Language(result)
        if measured.window is None:
            ratios.text(0.5, row, "ends too early", va="center", ha="center", color=GREY,
                        transform=ratios.get_yaxis_transform())  # fmt: skip
        for place, name in enumerate(PANELS):
            tied, table = TABLES[name]
            values = measured.ratio(name, HOLDS)
            _dots(ratios, values, row + 0.24 * (place - 1), tied, table == "output", True)
        for tied, place in ((True, -0.12), (False, 0.12)):
            gain = measured.loss(tied, "validation") - measured.unigram.loss
            _dots(learned, gain.to_numpy(float), row + place, tied, False, False)
    if not any(HOLDS in kinds(result.settings) for result in results.values()):
        note(ratios, "no synonyms for which DH holds" if results else "nothing is stored")
    ratios.axvline(1, color=BLACK, linewidth=1.1)
    ratios.axvline(NEARER, color=BLACK, linestyle="--", linewidth=1.3)
    learned.axvline(0, color=BLACK, linewidth=1.1)
    ratios.set_xlim(0, max(1.1, ratios.get_xlim()[1]))
    ratios.set_ylim(max(1, len(results)) - 0.5, -0.5)
    ratios.set_yticks(range(len(results)), results)
    for axes, words, ticks in (
        (ratios, "distance, over unrelated words'", 5), (learned, "loss − baseline's (nats)", 3)
    ):  # fmt: skip
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(ticks))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlabel(words)
    looks = ("tied", True, "full"), ("untied; left: input table", False, "full")
    keys = [
        Line2D([], [], linestyle="none", color=TIE_LOOKS[tied][0], marker=TIE_LOOKS[tied][1],
               fillstyle=fill, label=label)
        for label, tied, fill in (*looks, ("untied output table", False, "none"))
    ]  # fmt: skip
    margin = Line2D([], [], color=BLACK, linestyle="--", label=f"margin: {NEARER:.2f}")
    legend(figure, *keys, margin)
    return figure


def _dots(axes: Axes, values: np.ndarray, y: float, tied: bool, hollow: bool, ratio: bool) -> None:
    """A dot a seed, and their mean as a bar."""
    values, (colour, marker) = values[np.isfinite(values)], TIE_LOOKS[tied]
    if not len(values):
        return
    axes.scatter(values, np.full(len(values), y), s=24, marker=marker, edgecolor=colour,
                 facecolor="white" if hollow else colour, alpha=0.75, zorder=3)  # fmt: skip
    mean = (geometric_interval if ratio else mean_interval)(values).estimate
    axes.plot([mean, mean], [y - 0.11, y + 0.11], color=BLACK, linewidth=2, zorder=4)


def _panels(count: int, sharey: bool) -> tuple[Figure, list[Axes]]:
    """Panels over training steps, side by side."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4), dpi=DOTS)
        panels = list(figure.subplots(1, count, sharex=True, sharey=sharey))
    for axes in panels:
        step_axis(axes)
    return figure, panels


def _some(axes: Axes, trials: Words, tied: bool) -> bool:
    if not len(trials.seeds):
        note(axes, f"no {tie_of(tied)} trials")
    return bool(len(trials.seeds))


def _seed_key() -> Line2D:
    return Line2D([], [], color=GREY, linewidth=0.7, label="one seed")
