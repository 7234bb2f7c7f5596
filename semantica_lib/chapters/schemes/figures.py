"""Ways to tie: what each costs, whose table a tied one is; figures, and tables as Markdown."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import NONE, counted, geometric, mean, number, table_of
from semantica_lib.analysis.procrustes import factor, jackknifed, residual
from semantica_lib.analysis.second_round import HALF
from semantica_lib.analysis.statistics import Interval, geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.schemes import measures
from semantica_lib.chapters.schemes.claims import LOSSES, MAPPED, MASK, cost_claims, shaping_claims
from semantica_lib.chapters.schemes.measures import EXACT, SAMPLED, TIED, UNTIED, Schemed
from semantica_lib.figures import style
from semantica_lib.figures.facts import made_from
from semantica_lib.settings.schema import family, one_table
from semantica_lib.settings.ties import strength

FIXED = "a4bc3af060"  # the commit in which the predictions were fixed
WAYS = {  # in the order in which they are told
    "untied": "two tables",
    "soft": "two tables, their squared difference added to the loss, times {s:g}",
    "tied-but-mask": "one table, but the mask has an output row of its own",
    "mapped": "the output table is the input's times a square map, at first the identity",
    "pseudo-inverse": "the output table is the pseudo-inverse of the input's",
    "scaled": "one table, begun with a standard deviation of {s:g}, its logits divided by 2",
    "lookup": "one table, the look-up's part of its gradient times {s:g}",
    "tied": "one table",
}
LOOKS = {
    loss: {"color": colour, "marker": marker, "linestyle": dash}
    for loss, colour, marker, dash in zip(
        LOSSES, style.scale(2), ("o", "D"), ("-", "--"), strict=True
    )
}
BESIDE = {SAMPLED: 0.96, EXACT: 1.04}  # of a dose's place
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def told(tie: str) -> str:
    """What a way to tie does, in words."""
    return WAYS[family(tie)].format(s=strength(tie))


def ordered(ties: Sequence[str]) -> list[str]:
    """Ways in the order in which they are told, those of one family by their strength."""
    names = list(WAYS)
    return sorted(ties, key=lambda tie: (names.index(family(tie)), strength(tie) or 0))


def listed(sweep: str, found: Sequence[Point]) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    whole = {f"{loss} loss": measures.at(found, loss) is not None for loss in LOSSES}
    asked = {f"{one.settings.expectation} loss": one.result for one in found}
    return made_from(sweep, {name: one if whole[name] else None for name, one in asked.items()})


def ways(found: Sequence[Point]) -> str:
    """The ways to tie that the sweep has, a row each."""
    ties = dict.fromkeys(tie for point in found for tie in point.settings.ties)
    return table_of({"way": f"`{tie}`", "what it is": told(tie)} for tie in ordered(list(ties)))


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
    ties = ordered(list(known))
    for at, tie in enumerate(ties):
        look = style.TIES[one_table(tie)] | {"linestyle": ""}
        axes.plot(known[tie], [at] * len(known), "|", color=look["color"], alpha=0.35, markersize=7)
        middle, low, high, _ = mean_interval(known[tie])
        axes.plot([low, high], [at, at], color=look["color"], linewidth=1.6)
        axes.plot(middle, at, markersize=6, **look)
        if tie in (TIED, UNTIED):
            line = style.TIES[one_table(tie)] | {"marker": ""}
            axes.axvline(middle, linewidth=1.2, zorder=0.5, **line)
    axes.axvspan(known[TIED].mean(), known[UNTIED].mean(), color="0.94", linewidth=0, zorder=0)
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
    return [geometric_interval(np.exp(own)) for own in _whose(measured, ties)]


def _apart(measured: Schemed, ties: list[str]) -> list[Interval]:
    logs = measures.distances(measured, ties)
    return [geometric_interval(np.exp(logs[tie])) for tie in ties]


def _whose(measured: Schemed, ties: list[str]) -> list[np.ndarray]:
    """The log of the output over the input residual of other seeds' tables, ``(seed,)`` a tie."""
    return [jackknifed(logs) for logs in measures.alignments(measured, ties)]


def testbed(found: Sequence[Point], loss: str) -> str:
    """Every way with a loss: its loss, what is known, cost, merges and alignment, a row each."""
    measured = measures.at(found, loss)
    return table_of(_rows(measured)) if measured else f"Nothing is trained with the {loss} loss."


def _rows(measured: Schemed) -> Iterator[dict[str, str]]:
    known, ties = measured.known, ordered(measured.settings.ties)
    fails, holds = (pair[:2] for pair in synonym_pairs(measured.task)[:2])
    for tie, whose in zip(ties, _whose(measured, ties), strict=True):
        trials = measured.trials[tie]
        ratio = {pair: trials.ratio("output", pair)[0] for pair in (fails, holds)}
        own = (factor(trials.tables[table][:, -1]) for table in ("input", "output"))
        yield {
            "way": f"`{tie}`",
            "loss, nats": mean(trials.measured("exact", "loss")),
            "known": mean(known[tie]),
            "over a half": counted(known[tie] > HALF),
            "cost: untied minus it": mean(known[UNTIED] - known[tie]) if tie != UNTIED else NONE,
            "C and D merge, output": counted(ratio[holds] < MERGE_MARGIN),
            "A and B merge, output": counted(ratio[fails] < MERGE_MARGIN),
            "A and B, input: distance / control": geometric(trials.ratio("input", fails)[0]),
            "its two tables apart": "0" if one_table(tie) else mean(residual(*own)),
            "input table: output over input residual": geometric(np.exp(whose)),
        }


def answer(found: Sequence[Point]) -> str:
    """What one assumes by tying, what that costs, and what to do instead, in Markdown."""
    sampled, exact = (measures.at(found, loss) for loss in LOSSES)
    if sampled is None or exact is None:
        return f"What to do instead of tying is to come: {NONE}."
    rows = _primary(found)
    aligned, merging = rows["untied input tables"], rows["0 and 1 nearer"]
    cost = [mean(known[UNTIED] - known[TIED]) for known in (sampled.known, exact.known)]
    freed, mapped = rows[f"{MASK} knows more of the bit than {TIED}"], rows[MAPPED]
    return (
        "- **What it assumes**: that one row can be read and written with. Which of the two makes "
        f"the table can be chosen: ten times the look-up's gradient, and its residual from the "
        f"output over that from the input is {_times(aligned)}, the distance of A and B "
        f"{_times(merging)}.\n"
        f"- **What it costs**: {cost[0]} of the bit with the sampled loss, {cost[1]} with the "
        f"exact one. A row of its own for the mask gives {_gives(freed)}, a square map "
        f"{_gives(mapped)}.\n"
        f"- **What to do instead**: {_better(sampled)}"
    )


def _primary(found: Sequence[Point]) -> dict[str, pd.Series]:
    """The judged primary rows of the sampled loss by what their claim says."""
    results = [point.result for point in found if point.result]
    both = (judged("schemes", *of(found), results) for of in (cost_claims, shaping_claims))
    frame = pd.concat(map(primary_rows, both))
    asked = ("untied input tables", "0 and 1 nearer", f"{MASK} knows more of the bit than {TIED}")
    own = {MAPPED: f"{MAPPED} knows more of the bit than {TIED}"} | {one: one for one in asked}
    sampled = frame[frame.claim.str.startswith(f"{SAMPLED} loss")]
    return {
        key: next(row for _, row in sampled.iterrows() if words in row.claim)
        for key, words in own.items()
    }


def _times(row: pd.Series) -> str:
    return f"{number(row.estimate)} times as large ({row.verdict})"


def _gives(row: pd.Series) -> str:
    return f"{number(row.estimate)} back ({row.verdict})"


def _better(measured: Schemed) -> str:
    """Which ways know more than tied by a 95% interval of their own, and which most."""
    known = measured.known
    more = {tie: known[tie] - known[TIED] for tie in known if tie not in (TIED, UNTIED)}
    shown = [f"`{tie}`" for tie in ordered(list(more)) if mean_interval(more[tie]).low > 0]
    best = max(more, key=lambda tie: more[tie].mean())
    seeds = len(known)
    told = f"{', '.join(shown)} know more than tied" if shown else "no way is shown to know more"
    return (
        f"by {seeds} seeds each, and one interval each, {told}; by the mean `{best}` does best, by "
        f"{mean(more[best])}."
    )
