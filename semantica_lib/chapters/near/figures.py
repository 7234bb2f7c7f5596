"""What symbols that almost mean the same show, drawn; tables are in :mod:`near_tables`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, tie_of
from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.statistics import Interval, geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import OUTPUT, PLACES, TIED, Place, Point, name_of
from semantica_lib.chapters.near.measures import (
    Near,
    key_of,
)
from semantica_lib.chapters.near.theory import (
    CONTROL,
    LIARS,
    MIRROR,
    NEAR,
    company,
    input_law,
    meaning,
    output_law,
    semantic_distance,
    trivial,
)
from semantica_lib.datasets.xor import XorTask
from semantica_lib.figures.style import (
    BLACK,
    BLUE,
    DOTS,
    GREEN,
    GREY,
    ORANGE,
    STYLE,
    WIDTH,
    legend,
    note,
)
from semantica_lib.trainers.stacked import xor_task

LOOKS = {NEAR: (BLUE, "o"), MIRROR: (GREEN, "s"), LIARS: (ORANGE, "D"), CONTROL: (BLACK, "^")}
TIES = {False: (BLUE, "o"), True: (ORANGE, "D")}
TICKS = (0.0, 0.01, 0.05, 0.2, 0.5)
CURVE = np.concatenate([np.linspace(0, 0.01, 25), np.geomspace(0.01, 0.5, 150)[1:]])
LEAST, MOST = 3e-3, 5.0  # of the upright axis of distances
DASHES, DOTTED = (0, (4, 2)), (0, (1, 1.5))
LAWS: dict[str, tuple[Callable[..., float], str | tuple]] = {
    "input's law": (input_law, "-"), "output's law": (output_law, DASHES),
}  # fmt: skip


def tasks(found: Sequence[Point]) -> dict[float, XorTask]:
    """The task at each q."""
    return {q: xor_task(one.settings) for one in found for _, q in [key_of(one)]}


def meanings(found: Sequence[Point]) -> Figure:
    """What theory says before anything is trained, against q: three panels.

    How far meanings are apart (total variation; curves are the closed form, marks the enumeration);
    by how much the log-odds of 1 and 0 must move, given the bit that a context suggests; and both
    tables' laws, as shares of the control pair's.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.1), dpi=DOTS)
        far, odds, laws = figure.subplots(1, 3)
    by_rate = tasks(found)
    for pair in (NEAR, LIARS, CONTROL):
        colour, marker = LOOKS[pair]
        far.plot(CURVE, [meaning(q, pair) for q in CURVE], color=colour, linewidth=1.3)
        there = [semantic_distance(task, pair).variation for task in by_rate.values()]
        far.plot(list(by_rate), there, color=colour, marker=marker, markersize=4, linestyle="")
        for law, dash in LAWS.values():
            if pair != CONTROL:
                shares = [law(q, pair) for q in CURVE]
                laws.plot(CURVE, shares, color=colour, linestyle=dash, linewidth=1.3)
    told = np.array([company(task, NEAR).suggested for task in by_rate.values()]).reshape(-1, 2)
    for bit, (marker, dash) in enumerate((("o", "-"), ("s", DASHES))):
        odds.plot(list(by_rate), told[:, bit], color=BLUE, marker=marker, markersize=4,
                  linestyle=dash, fillstyle=("full", "none")[bit],
                  label=f"context suggests {bit}")  # fmt: skip
    odds.axhline(0, color=BLACK, linewidth=0.8)
    odds.legend(frameon=False, fontsize=8, handlelength=2.6)
    odds.set_ylim(-0.12, 0.5)
    laws.axhline(MERGE_MARGIN, color=BLACK, linestyle=DOTTED, linewidth=1)
    for axes, title in ((far, "meaning (total variation)"), (odds, "log p(1)/p(0) (nats)"),
                        (laws, "share of the control's")):  # fmt: skip
        axes.set_title(title, fontsize=10)
        _rates(axes)
    legend(figure, *_pairs(NEAR, LIARS, CONTROL), *_laws(), _margin(DOTTED), columns=3)
    return figure


def distances(found: Sequence[Point]) -> Figure:
    """Where pairs end against q: a row a weight decay, a column a table.

    The distance over that of 0 and 2, every seed a dot, the geometric mean with its 95% interval;
    the laws as curves, in a tied table both.
    """
    near = Near(found)
    decays = near.decays or [0.1]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.3 + 2.5 * len(decays)), dpi=DOTS)
        panels = figure.subplots(len(decays), len(PLACES), sharex=True, sharey=True, squeeze=False)
    for row, decay in zip(panels, decays, strict=True):
        for axes, place in zip(row, PLACES, strict=True):
            _laws_of(axes, place)
            drawn = [_ends(axes, near, decay, place, pair) for pair in (NEAR, MIRROR, LIARS)]
            if not any(drawn):
                note(axes, "not trained")
            axes.axhline(MERGE_MARGIN, color=BLACK, linestyle=DOTTED, linewidth=1)
            if axes in panels[0]:
                axes.set_title(name_of(place))
            if axes in panels[-1]:
                _rates(axes)
        row[0].set_ylabel(f"decay {decay:g}\ndistance / that of 0 and 2")
    panels[0, 0].set_yscale("log")
    panels[0, 0].set_ylim(LEAST, MOST)
    _rates(panels[0, 0], labelled=False)
    legend(figure, *_pairs(NEAR, MIRROR, LIARS), *_laws(), _margin(DOTTED), columns=3)
    return figure


def _laws_of(axes: Axes, place: Place) -> None:
    """Curves of (0, 1) and of (1, 3), each of the table's own law; in a tied table of both."""
    for index, (law, dash) in enumerate(LAWS.values()):
        if place == TIED or index == (place == OUTPUT):
            for pair in (NEAR, LIARS):
                shares = np.array([law(q, pair) for q in CURVE])
                shares = np.where(shares < LEAST, np.nan, shares)
                axes.plot(CURVE, shares, color=LOOKS[pair][0], linestyle=dash, linewidth=1)


def _ends(axes: Axes, near: Near, decay: float, place: Place, pair: Pair) -> bool:
    """Dots of seeds and means of one pair; whether there are any."""
    colour, marker = LOOKS[pair]
    aside = {NEAR: 0.93, MIRROR: 1.0, LIARS: 1.07}[pair]
    drawn = False
    for q in near.rates:
        if (decay, q) not in near.measured:
            continue
        ratio = near.ratio((decay, q), place, pair).dropna().to_numpy()
        if not len(ratio):
            continue
        x = q * aside if q else (aside - 1) * 0.01
        _marks(axes, x, ratio.clip(LEAST, MOST), geometric_interval(ratio), colour, marker)
        drawn = True
    return drawn


def losses(found: Sequence[Point]) -> Figure:
    """What trials attain against q: loss above, accuracy below, a column a weight decay.

    Every trial is a dot, their mean a mark with its 95% interval; drawn beside them the best that
    can be had and what a predictor has that does not look at the context. On grey ground less than
    0.25 nats can be learned, so that this margin cannot tell who learned.
    """
    near, by_rate = Near(found), tasks(found)
    decays = near.decays or [0.1]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 5.0), dpi=DOTS)
        panels = figure.subplots(2, len(decays), sharex=True, sharey="row", squeeze=False)
    blind = [q for q in near.rates if q not in near.telling]
    for row, split, quantity in zip(panels, ("train", "exact"), ("loss", "accuracy"), strict=True):
        for axes, decay in zip(row, decays, strict=True):
            if blind:
                axes.axvspan(0.85 * min(blind), 0.6, color="0.93", zorder=0)
            best = [task.ceiling(split)[quantity == "loss"] for task in by_rate.values()]
            plain = [_plain(task, split, quantity) for task in by_rate.values()]
            axes.plot(list(by_rate), best, color=BLACK, linewidth=1.2)
            axes.plot(list(by_rate), plain, color=GREY, linestyle=DASHES, linewidth=1.2)
            drawn = [_attained(axes, near, decay, tied, split, quantity) for tied in BOTH]
            if not any(drawn):
                note(axes, "not trained")
        row[0].set_ylabel({"loss": "loss (nats)", "accuracy": "accuracy"}[quantity])
    for axes, decay in zip(panels[0], decays, strict=True):
        axes.set_title(f"decay {decay:g}")
    for axes in panels[-1]:
        _rates(axes)
    keys = [Line2D([], [], color=c, marker=m, linestyle="", label=tie_of(tied))
            for tied, (c, m) in TIES.items()]  # fmt: skip
    keys += [Line2D([], [], color=BLACK, label="best attainable"),
             Line2D([], [], color=GREY, linestyle=DASHES, label="without the context")]  # fmt: skip
    legend(figure, *keys, columns=4)
    return figure


def _plain(task: XorTask, split: str, quantity: str) -> float:
    """What a predictor attains that does not look at the context."""
    if quantity == "loss":
        return trivial(task, split)
    expectation = task.population.expectation(split)
    return expectation.joint.sum(1).max().item()


def _attained(axes: Axes, near: Near, decay: float, tied: bool, split: str, quantity: str) -> bool:
    colour, marker = TIES[tied]
    drawn = False
    for key, measured in near.measured.items():
        seen = measured.trials[tied].measured(split, quantity).dropna().to_numpy()
        if key[0] != decay or measured.window is None or not len(seen):
            continue
        x = key[1] * (1.05 if tied else 0.95) if key[1] else 6e-4 * (1 if tied else -1)
        _marks(axes, x, seen, mean_interval(seen), colour, marker)
        drawn = True
    return drawn


def _rates(axes: Axes, labelled: bool = True) -> None:
    """Have q along the lower edge: linear up to 0.01, then logarithmic."""
    axes.set_xscale("symlog", linthresh=0.01, linscale=0.6)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda q, _: f"{q:g}".removeprefix("0") or "0")
    axes.set_xlim(-0.002, 0.62)
    axes.tick_params(axis="x", labelsize=9)
    if labelled:
        axes.set_xlabel("q, how often 1 and 3 lie")


def _pairs(*pairs: Pair) -> list[Line2D]:
    return [
        Line2D(
            [], [], color=LOOKS[pair][0], marker=LOOKS[pair][1], label=f"{pair[0]} and {pair[1]}"
        )
        for pair in pairs
    ]


def _laws() -> list[Line2D]:
    return [
        Line2D([], [], color=GREY, linestyle=dash, linewidth=1.2, label=name)
        for name, (_, dash) in LAWS.items()
    ]


def _margin(dash: str | tuple) -> Line2D:
    return Line2D([], [], color=BLACK, linestyle=dash, linewidth=1, label="margin of a merge")


def _marks(
    axes: Axes, x: float, values: np.ndarray, interval: Interval, colour: Any, marker: str
) -> None:
    """Every seed's value as a small dot, and their mean with its interval."""
    axes.plot([x] * len(values), values, color=colour, marker=".", markersize=3, linestyle="",
              alpha=0.35)  # fmt: skip
    middle, low, high, _ = interval
    errors = np.nan_to_num([[middle - low], [high - middle]])
    axes.errorbar([x], [middle], errors, color=colour, marker=marker, markersize=4.5, capsize=2,
                  linewidth=1.2, markeredgecolor="white", markeredgewidth=0.5)  # fmt: skip
