"""What symbols that almost mean the same show: figures, and tables as Markdown."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import BOTH, LEARNED_NATS, MERGE_MARGIN, tie_of
from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.markdown import NONE, UNTRAINED, number, pair_name, table_of
from semantica_lib.analysis.statistics import Interval, geometric_interval, mean_interval
from semantica_lib.analysis.sweep_points import OUTPUT, PLACES, TIED, Place, name_of
from semantica_lib.chapters.near import theory
from semantica_lib.chapters.near.measures import LEARNED, Near, threshold, words
from semantica_lib.chapters.near.theory import CONTROL, LAWS, LIARS, MIRROR, NEAR
from semantica_lib.datasets.xor import XorTask
from semantica_lib.figures import style
from semantica_lib.figures.facts import made_from
from semantica_lib.figures.style import BLACK, GREY, TIES, key, note, panels

PAIRS = style.scale(3)  # whether the DH holds for them changes with q
LOOKS = {
    NEAR: {"color": PAIRS[0], "marker": "o"},
    MIRROR: {"color": PAIRS[1], "marker": "s"},
    LIARS: {"color": PAIRS[2], "marker": "D"},
    CONTROL: {"color": BLACK, "marker": "^"},
}
ASIDE = {NEAR: 0.93, MIRROR: 1.0, LIARS: 1.07}  # where a pair stands beside its q, as a factor
TICKS = (0.0, 0.01, 0.05, 0.2, 0.5)
CURVE = np.concatenate([np.linspace(0, 0.01, 25), np.geomspace(0.01, 0.5, 150)[1:]])
LEAST, MOST = 3e-3, 5.0  # of the upright axis of distances
DASHES = (0, (4, 2))
OF_LAW = dict(zip(LAWS, ("-", DASHES), strict=True))


def meanings(near: Near) -> Figure:
    """What theory says before anything is trained, against q: three panels.

    How far meanings are apart (total variation; curves are the closed form, marks the enumeration);
    by how much the log-odds of B and A must move, given the bit that a context suggests; and both
    tables' laws, as shares of the control pair's.
    """
    figure, ((far, odds, laws),) = panels(1, 3, height=3.1)
    tasks = near.tasks
    for pair in (NEAR, LIARS, CONTROL):
        line = {"color": LOOKS[pair]["color"], "linewidth": 1.3}
        far.plot(CURVE, [theory.meaning(q, pair) for q in CURVE], **line)
        there = [theory.semantic_distance(task, pair).variation for task in tasks.values()]
        far.plot(list(tasks), there, markersize=4, linestyle="", **LOOKS[pair])
        for name, law in LAWS.items() if pair != CONTROL else ():
            laws.plot(CURVE, [law(q, pair) for q in CURVE], linestyle=OF_LAW[name], **line)
    told = [theory.company(task, NEAR).suggested for task in tasks.values()]
    full = {"color": BLACK, "marker": "o", "markersize": 4}
    hollow = full | {"marker": "s", "linestyle": DASHES, "fillstyle": "none"}
    for bit, look in enumerate((full, hollow)):
        values = [one[bit] for one in told]
        odds.plot(list(tasks), values, label=f"context suggests {bit}", **look)
    odds.axhline(0, color=BLACK, linewidth=0.8)
    odds.legend(frameon=False, fontsize=8, handlelength=2.6)
    odds.set_ylim(-0.12, 0.5)
    laws.axhline(MERGE_MARGIN, **style.MARGIN_LINE)
    titles = "meaning (total variation)", "log p(B)/p(A) (nats)", "share of the control's"
    for axes, title in zip((far, odds, laws), titles, strict=True):
        axes.set_title(title, fontsize=10)
        _rates(axes)
    style.legend(figure, *_keys(NEAR, LIARS, CONTROL), columns=3)
    return figure


def distances(near: Near) -> Figure:
    """Where pairs end against q: a row a weight decay, a column a table.

    The distance over that of A and C, every seed a dot, the geometric mean with its 95% interval;
    the laws as curves, in a tied table both.
    """
    decays = near.decays or [0.1]
    size = len(decays), len(PLACES), 1.3 + 2.5 * len(decays)
    figure, grid = panels(*size, sharex=True, sharey=True)
    for row, decay in zip(grid, decays, strict=True):
        for axes, place in zip(row, PLACES, strict=True):
            _laws_of(axes, place)
            for pair in ASIDE:
                _ends(axes, near, decay, place, pair)
            if not axes.containers:
                note(axes, "not trained")
            axes.axhline(MERGE_MARGIN, **style.MARGIN_LINE)
        row[0].set_ylabel(f"decay {decay:g}\ndistance / that of A and C")
    for axes, below, place in zip(grid[0], grid[-1], PLACES, strict=True):
        axes.set_title(name_of(place))
        _rates(below)
    grid[0, 0].set_yscale("log")
    grid[0, 0].set_ylim(LEAST, MOST)
    style.legend(figure, *_keys(NEAR, MIRROR, LIARS), columns=3)
    return figure


def _laws_of(axes: Axes, place: Place) -> None:
    """Curves of (0, 1) and of (1, 3), each of the table's own law; in a tied table of both."""
    for index, (name, law) in enumerate(LAWS.items()):
        if place == TIED or index == (place == OUTPUT):
            for pair in (NEAR, LIARS):
                shares = np.array([law(q, pair) for q in CURVE])
                shares = np.where(shares < LEAST, np.nan, shares)
                look = {"color": LOOKS[pair]["color"], "linestyle": OF_LAW[name]}
                axes.plot(CURVE, shares, linewidth=1, **look)


def _ends(axes: Axes, near: Near, decay: float, place: Place, pair: Pair) -> None:
    """Dots of seeds and means of one pair."""
    for q in near.rates:
        ratio = near.ends((decay, q), place, pair).ratio.dropna().to_numpy()
        if len(ratio):
            x = q * ASIDE[pair] if q else (ASIDE[pair] - 1) * 0.01
            _marks(axes, x, ratio.clip(LEAST, MOST), geometric_interval(ratio), LOOKS[pair])


def losses(near: Near) -> Figure:
    """What trials attain against q: loss above, accuracy below, a column a weight decay.

    Every trial is a dot, their mean a mark with its 95% interval; drawn beside them the best that
    can be had and what a predictor has that does not look at the context. On grey ground less than
    0.25 nats can be learned, so that this margin cannot tell who learned.
    """
    decays, rates, tasks = near.decays or [0.1], list(near.tasks), near.tasks.values()
    figure, grid = panels(2, len(decays), height=5.0, sharex=True, sharey="row")
    blind = [q for q in near.rates if q not in near.telling]
    metrics = ("train", "loss", "loss (nats)"), ("exact", "accuracy", "accuracy")
    for row, (split, quantity, label) in zip(grid, metrics, strict=True):
        for axes, decay in zip(row, decays, strict=True):
            if blind:
                axes.axvspan(0.85 * min(blind), 0.6, color="0.93", zorder=0)
            best = [task.ceiling(split)[quantity == "loss"] for task in tasks]
            axes.plot(rates, best, color=BLACK, linewidth=1.2)
            plain = [_plain(task, split, quantity) for task in tasks]
            axes.plot(rates, plain, color=GREY, linestyle=DASHES, linewidth=1.2)
            for tied in BOTH:
                _attained(axes, near, decay, tied, split, quantity)
            if not axes.containers:
                note(axes, "not trained")
        row[0].set_ylabel(label)
    for axes, below, decay in zip(*grid, decays, strict=True):
        axes.set_title(f"decay {decay:g}")
        _rates(below)
    keys = [key(tie_of(tied), **look | {"linestyle": ""}) for tied, look in TIES.items()]
    keys.append(key("best attainable"))
    keys.append(key("without the context", color=GREY, linestyle=DASHES))
    style.legend(figure, *keys, columns=4)
    return figure


def _plain(task: XorTask, split: str, quantity: str) -> float:
    """What a predictor attains that does not look at the context."""
    if quantity == "loss":
        return theory.trivial(task, split)
    return task.population.expectation(split).joint.sum(1).max().item()


def _attained(axes: Axes, near: Near, decay: float, tied: bool, split: str, quantity: str) -> None:
    for (at, q), measured in near.measured.items():
        seen = measured.trials[tied].measured(split, quantity).dropna().to_numpy()
        if at == decay and measured.window is not None and len(seen):
            x = q * (1.05 if tied else 0.95) if q else 6e-4 * (1 if tied else -1)
            _marks(axes, x, seen, mean_interval(seen), TIES[tied])


def _rates(axes: Axes) -> None:
    """Have q along the lower edge: linear up to 0.01, then logarithmic."""
    axes.set_xscale("symlog", linthresh=0.01, linscale=0.6)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda q, _: f"{q:g}".removeprefix("0") or "0")
    axes.set_xlim(-0.002, 0.62)
    axes.tick_params(axis="x", labelsize=9)
    axes.set_xlabel("q, how often B and D lie")


def _keys(*pairs: Pair) -> list[Line2D]:
    """Of pairs, the laws and the margin."""
    keys = [key(pair_name(pair), **LOOKS[pair]) for pair in pairs]
    for name, dash in OF_LAW.items():
        keys.append(key(name, color=GREY, linestyle=dash, linewidth=1.2))
    return [*keys, key("margin of a merge", **style.MARGIN_LINE)]


def _marks(axes: Axes, x: float, values: np.ndarray, interval: Interval, look: dict) -> None:
    """Every seed's value as a small dot, and their mean with its interval."""
    dot = {"marker": ".", "markersize": 3, "linestyle": "", "alpha": 0.35}
    axes.plot([x] * len(values), values, **look | dot)
    mark = {"markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
    style.bars(axes, [x], [interval], capsize=2, linewidth=1.2, elinewidth=1.2, **look, **mark)


def enumerated(near: Near) -> str:
    """By q, enumerated: distances of meanings, what outputs are asked for, what can be learned."""
    rows, pairs = [], (NEAR, LIARS, CONTROL)
    for q, task in sorted(near.tasks.items()):
        row, kept = {"q": f"{q:g}"}, theory.company(task, NEAR)
        for a, b in pairs:
            apart = theory.semantic_distance(task, (a, b))
            row[f"{pair_name((a, b))}: TV"], row[f"{pair_name((a, b))}: JS"] = map(number, apart)
        least, greatest, *told = map(_signed, (kept.least, kept.greatest, *kept.suggested))
        row["log p(B)/p(A), least to greatest"] = f"{least} to {greatest}"
        row["if bit 0 / 1 is suggested"] = " / ".join(told)
        rows.append(row | {"company of A and B: TV": number(kept.variation)})
    return table_of(rows)


def _signed(value: float) -> str:
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return number(value).replace("-", "−")


def attainable(near: Near) -> str:
    """By point: the best that can be had of the training strings, and how much of it is learned."""
    rows, nats = [], f"{LEARNED_NATS:g} nats"
    for at in sorted(near.points, key=lambda at: (-at[0], at[1])):
        task, measured = near.tasks[at[1]], near.measured.get(at)
        row = {
            "point": words(*at),
            "loss without the context": number(theory.trivial(task)),
            "least loss": number(task.ceiling("train")[1]),
            "difference": number(theory.learnable(task)),
            f"{nats} tell": "yes" if at[1] in near.telling else "no",
        }
        for tied in BOTH:
            known = near.learned(at, tied).dropna() if measured else np.empty(0)
            usual = measured.learned[tied] if measured else ()
            row[f"learned, {tie_of(tied)}"] = number(known.mean()) if len(known) else NONE
            row[f"half learned, {tie_of(tied)}"] = markdown.counted(known >= LEARNED)
            row[f"within {nats}, {tie_of(tied)}"] = markdown.counted(usual)
        rows.append(row)
    return table_of(rows)


def endings(near: Near) -> str:
    """Where pairs end at every point and table, in numbers, beside the laws."""
    rows = []
    for at in sorted(near.measured, key=lambda at: (-at[0], at[1])):
        for place in PLACES:
            law = LAWS["output's law" if place == OUTPUT else "input's law"]
            trials = near.measured[at].trials[place[0]]
            usual = near.ends(at, place, NEAR, usual=True).ratio
            near_by, mirror, liars = (
                markdown.geometric(near.ends(at, place, one).ratio) for one in (NEAR, MIRROR, LIARS)
            )
            control = trials.end(trials.distance(place[1], CONTROL))
            rows.append(
                {
                    "point": words(*at),
                    "table": name_of(place),
                    "law of A and B": number(law(at[1], NEAR)),
                    "A and B": near_by,
                    "C and D": mirror,
                    "A and B, usual control": markdown.geometric(usual),
                    "law of B and D": number(law(at[1], LIARS)),
                    "B and D": liars,
                    "place of B from A to C": markdown.mean(near.position(at, place)),
                    "distance of A and C": markdown.geometric(control),
                }
            )
    return table_of(rows, UNTRAINED)


def thresholds(near: Near) -> str:
    """Where in q symbols A and B part: a row a weight decay and table, of what is trained."""
    heads = (
        f"under {MERGE_MARGIN:g} up to q",
        f"over {MERGE_MARGIN:g} from q",
        "further apart than at q = 0 from q",
    )
    rows = []
    for decay in sorted({decay for decay, _ in near.measured}, reverse=True):
        for place in PLACES:
            where = (NONE if np.isnan(q) else f"{q:g}" for q in threshold(near, decay, place))
            told = dict(zip(heads, where, strict=True))
            rows.append({"decay": f"{decay:g}", "table": name_of(place)} | told)
    return table_of(rows, UNTRAINED)


def crossings() -> str:
    """At which q each law comes to the margin of a merge, in words."""
    inputs, outputs = (
        next(q for q in np.linspace(0, 0.5, 5001) if law(q, NEAR) > MERGE_MARGIN)
        for law in LAWS.values()
    )
    return (
        f"By the laws A and B pass the margin of a merge at q = {inputs:.2g} in an input table and "
        f"at q = {outputs:.2g} in an output table."
    )


def listed(sweep: str, near: Near) -> str:
    """Which points of the sweep the page is made from, and how to get the others."""
    return made_from(sweep, {words(*at): point.result for at, point in near.points.items()})
