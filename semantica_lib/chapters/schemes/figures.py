"""Ways to tie: what each costs, whose table a tied one is; figures, and tables as Markdown."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from semantica_lib.analysis.language import BROKEN, HOLDS, PLACES
from semantica_lib.analysis.statistics import Interval, geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.schemes import measures
from semantica_lib.chapters.schemes.claims import LOSSES
from semantica_lib.chapters.schemes.language import ALL, WHERE, Spoken
from semantica_lib.chapters.schemes.measures import EXACT, SAMPLED, TIED, UNTIED, Schemed
from semantica_lib.figures import style
from semantica_lib.settings.schema import one_table
from semantica_lib.settings.ties import strength

LOOKS = {
    loss: {"color": colour, "marker": marker, "linestyle": dash}
    for loss, colour, marker, dash in zip(
        LOSSES, style.scale(2), ("o", "D"), ("-", "--"), strict=True
    )
}
PLACED = {  # by the split that holds the places
    ALL: {"color": style.BLACK, "marker": "s"},
    PLACES[HOLDS]: {"color": style.DH[True][0], "marker": "o"},
    PLACES[BROKEN]: {"color": style.DH[False][0], "marker": "D"},
}
BESIDE = {SAMPLED: 0.96, EXACT: 1.04}  # of a dose's place
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def instead(found: Sequence[Point]) -> Figure:
    """What is known of the bit by each way to tie: a panel a loss, a row a way.

    The mean over seeds with its 95% interval, and every seed. Between the means of tied and untied
    lies what tying costs.
    """
    figure, (row,) = style.panels(1, len(LOSSES), 6.2, sharex=True, sharey=True)
    for axes, loss in zip(row, LOSSES, strict=True):
        axes.set(title=f"{loss} loss", xlabel="share of the bit that is known")
        if measured := measures.at(found, loss):
            _ways(axes, measured)
        else:
            style.note(axes, "not trained")
    row[0].set_xlim(-0.1, 1.02)
    keys = [style.key("one table", linestyle="", color=style.BLACK, marker="o")]
    keys.append(style.key("two tables", linestyle="", color=style.GREY, marker="s"))
    lines = ((TIED, True), (UNTIED, False))
    keys += [style.key(f"mean of {tie}", **style.TIES[is_] | {"marker": ""}) for tie, is_ in lines]
    style.legend(figure, *keys)
    return figure


def _ways(axes: Axes, measured: Schemed) -> None:
    known = measured.known
    ties = measures.ordered(list(known))
    for at, tie in enumerate(ties):
        look = style.TIES[one_table(tie)] | {"linestyle": ""}
        axes.plot(known[tie], [at] * len(known), "|", color=look["color"], alpha=0.35, markersize=7)
        _bar(axes, at, known[tie], look)
        if tie in (TIED, UNTIED):
            line = style.TIES[one_table(tie)] | {"marker": ""}
            axes.axvline(known[tie].mean(), linewidth=1.2, zorder=0.5, **line)
    axes.axvspan(known[TIED].mean(), known[UNTIED].mean(), color="0.94", linewidth=0, zorder=0)
    _rows(axes, ties)


def _bar(axes: Axes, at: float, values: pd.Series, look: Mapping[str, str]) -> None:
    """The mean of some values with its 95% interval, lying in a row."""
    middle, low, high, _ = mean_interval(values)
    axes.plot([low, high], [at, at], color=look["color"], linewidth=1.6)
    axes.plot(middle, at, markersize=6, **look)


def _rows(axes: Axes, ties: Sequence[str]) -> None:
    """A row a way, the first on top."""
    axes.set_yticks(range(len(ties)), ties)
    axes.set_ylim(len(ties) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def doses(found: Sequence[Point]) -> Figure:
    """What ten times the look-up's gradient does: known, alignment, and the distance of A and B."""
    quantities: dict[str, Callable[[Schemed, list[str]], list[Interval]]] = {
        "share of the bit\nthat is known": _known,
        "output over input\nresidual": _aligned,
        "A and B:\ndistance / control": _apart,
    }
    figure, (row,) = style.panels(1, len(quantities), 3.3, sharex=True)
    there = {loss: one for loss in LOSSES if (one := measures.at(found, loss))}
    for axes, (name, of) in zip(row, quantities.items(), strict=True):
        axes.set(title=name, xlabel="look-up's gradient, times", xscale="log")
        axes.axvline(1, **style.MARGIN_LINE)
        for loss, measured in there.items():
            ties = list(measures.lookups(measured))
            at = [(strength(tie) or 1.0) * BESIDE[loss] for tie in ties]
            style.bars(axes, at, of(measured, ties), **LOOKS[loss] | {"markersize": 4})
        if of is not _known:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(FixedLocator(TICKS))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
        if not there:
            style.note(axes, "not trained")
    row[0].set_xlim(0.07, 43)
    row[0].xaxis.set_major_locator(FixedLocator([0.1, 1, 10]))
    row[0].xaxis.set_minor_locator(NullLocator())
    row[0].xaxis.set_major_formatter("{x:g}")
    keys = [style.key(f"{loss} loss", **look) for loss, look in LOOKS.items()]
    style.legend(figure, *keys, style.key("tied", **style.MARGIN_LINE), columns=3)
    return figure


def _known(measured: Schemed, ties: list[str]) -> list[Interval]:
    known = measured.known
    return [mean_interval(known[tie]) for tie in ties]


def _aligned(measured: Schemed, ties: list[str]) -> list[Interval]:
    return [geometric_interval(np.exp(own)) for own in measures.whose(measured, ties)]


def _apart(measured: Schemed, ties: list[str]) -> list[Interval]:
    logs = measures.distances(measured, ties)
    return [geometric_interval(np.exp(logs[tie])) for tie in ties]


def languages(all_: Mapping[str, Spoken | None]) -> Figure:
    """How much more loss than tied each way ends at in a language model, a panel a text.

    Means over seeds with their 95% intervals, nats: at all masked places, and at those of words for
    which the DH holds and is broken. Left of 0 a way does better than tied.

    Args:
        all_: what is measured, by the text's name.
    """
    figure, (row,) = style.panels(1, len(all_), 4.4, sharey=True)
    for axes, (name, measured) in zip(row, all_.items(), strict=True):
        axes.set(title=name, xlabel="loss minus tied (nats)")
        axes.axvline(0, **style.MARGIN_LINE)
        if not measured:
            style.note(axes, "not trained")
            continue
        for at, (split, look) in zip((-0.22, 0, 0.22), PLACED.items(), strict=True):
            for place, tie in enumerate(measured.others):
                _bar(axes, place + at, measured.more(tie, TIED, split), look | {"linestyle": ""})
        _rows(axes, measured.others)
    keys = [style.key(WHERE[split], linestyle="", **look) for split, look in PLACED.items()]
    style.legend(figure, *keys, style.key("as tied", **style.MARGIN_LINE))
    return figure
