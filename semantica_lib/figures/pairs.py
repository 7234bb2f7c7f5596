"""The general plots of one's own experiment: any pairs of symbols, any part of the run."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import index
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from semantica_lib.analysis import markdown
from semantica_lib.analysis.claims import tie_of
from semantica_lib.analysis.distances import Pair, Table, Trials, control_pairs, synonym_pairs
from semantica_lib.analysis.markdown import listed, names
from semantica_lib.datasets.xor import SPLITS, XorTask, xor_task
from semantica_lib.errors import RequestError, nearest, short
from semantica_lib.figures import style
from semantica_lib.figures.curves import TOP, measured_accuracy
from semantica_lib.figures.style import DH, GREY, TIES, key
from semantica_lib.store.results import Result

Kind = Literal["synonyms", "control", "all"]
PALETTES = "colorblind", "deep", "muted", "bright", "dark", "husl", "tab10", "viridis", "rocket"
MARKERS, DASHES = "osD^v<>pP*X", ("-", "--", "-.", ":")
LARGEST = 1e30  # of what axes can hold


class Curves(NamedTuple):
    """What is drawn in one colour: ``values`` ``(trial, record)`` over ``steps`` ``(record,)``."""

    label: str
    colour: Any
    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Look:
    """What both plots let one choose, checked.

    Attributes:
        lines: ``seeds`` (a line a seed), ``band`` (their mean with its 95% band, Student's t) or
            ``both``.
        window: first and last step to draw.
        limits: lower and upper end of the y axis.
        palette: the name of any of seaborn's palettes; without one colours have the book's meaning.
        file: where to write the figure, ending in .pdf, .png or .svg.
    """

    lines: style.Lines = "both"
    window: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    palette: str | None = None
    title: str | None = None
    file: str | Path | None = None

    def __post_init__(self) -> None:
        _word("lines", self.lines, get_args(style.Lines))
        _two("window", self.window, "(first step, last step)")
        _two("limits", self.limits, "(low, high)")
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise RequestError(f"limits should increase, and {short(self.limits)} do not")
        self.colours([GREY])
        if self.file is not None:
            style.suffix_of(Path(str(self.file)))

    def colours(self, meant: Sequence) -> list:
        """The colours of curves for which these are meant."""
        if self.palette is None:
            return list(meant)
        try:
            return list(sns.color_palette(str(self.palette), len(meant)))
        except (ValueError, TypeError):
            hint = nearest(str(self.palette), PALETTES)
            raise RequestError(f"unknown palette {short(self.palette)}{hint}") from None

    def inside(self, curves: Curves) -> Curves:
        """The part of the curves that lies in the window."""
        first, last = (-np.inf, np.inf) if self.window is None else self.window
        keep = (curves.steps >= first) & (curves.steps <= last)
        if not keep.any():
            steps = [str(step) for step in curves.steps]
            some = steps if len(steps) < 6 else [*steps[:3], "...", steps[-1]]
            where = "" if self.window is None else f" in the window {short(self.window)}"
            raise RequestError(
                f"there is no record{where}; there are at steps: {', '.join(some) or 'none'}"
            )
        return curves._replace(steps=curves.steps[keep], values=curves.values[:, keep])


def plot(
    result: Result,
    table: Table = "input",
    tied: bool = False,
    pairs: Kind | Sequence[Pair] = "synonyms",
    lines: style.Lines = "both",
    window: tuple[int, int] | None = None,
    limits: tuple[float, float] | None = None,
    palette: str | None = None,
    title: str | None = None,
    file: str | Path | None = None,
) -> Figure:
    """How far apart pairs of symbols are over training, all in one panel; Euclidean distances.

    Args:
        table: of which table (tied trials have but one).
        tied: which of the result's trials.
        pairs: ``synonyms``, ``control`` (a symbol of bit 0 and one of bit 1), ``all``, or a list
            such as ``[(0, 1), (2, 6)]``.
        lines, window, limits, palette, title, file: see :class:`Look`.

    Raises:
        RequestError: something asked for is not there or not allowed, or the file cannot be
            written.
    """
    look = Look(lines, window, limits, palette, title, file)
    _word("table", table, get_args(Table))
    if not isinstance(tied, bool | np.bool_):
        raise RequestError(f"tied should be True or False, not {short(tied)}")
    own, tie, trials = result.settings, tie_of(tied), Trials.of(result, bool(tied), None)
    asked = _chosen(xor_task(own), pairs)
    if trials.diverged and not len(trials.seeds):
        raise RequestError(f"nothing can be drawn: all {tie} trials of {own.experiment} diverged")
    if not len(trials.seeds):
        there = listed(sorted({*result.tie.tolist()})) or "none"
        raise RequestError(f"{own.experiment} has no {tie} trials (there are: {there})")
    drawn = [
        Curves(*_meant(pair, trials.task), trials.steps, trials.distance(table, pair))
        for pair in asked
    ]
    diverged = [f"{tie}, seed {seed}" for seed in trials.diverged]
    heading = f"{markdown.title(own.experiment)}: {'tied' if tied else f'untied, {table}'} table"
    return _figure(look, drawn, heading, "Euclidean distance", TOP, diverged)


def accuracy(
    result: Result,
    split: str = "validation",
    lines: style.Lines = "both",
    window: tuple[int, int] | None = None,
    limits: tuple[float, float] | None = None,
    palette: str | None = None,
    title: str | None = None,
    file: str | Path | None = None,
) -> Figure:
    """Accuracy of the tied and the untied trials over training, under the attainable ceiling.

    Args:
        split: ``train``, ``validation``, ``test``, or ``exact``: all strings.
        lines, window, limits, palette, title, file: as in :func:`plot`.

    Raises:
        RequestError: as :func:`plot`.
    """
    look = Look(lines, window, limits, palette, title, file)
    _word("split", split, SPLITS)
    own, drawn, diverged = result.settings, [], []
    for tied in (True, False):
        steps, curves, lost = measured_accuracy(result, tied, split)
        diverged += [f"{tie_of(tied)}, seed {seed}" for seed in lost]
        if curves.size:
            drawn.append(Curves(tie_of(tied), TIES[tied]["color"], steps, curves))
    if not drawn:
        raise RequestError(f"{own.experiment} has no accuracy to draw on the {split} split")
    task, published = xor_task(own), split == "validation" and own.validation == "as-published"
    measured = "train" if published else split
    count = len(task.splits[measured])
    where = "all strings" if measured == "exact" else f"{measured} split"
    heading = f"{markdown.title(own.experiment)}: {where}, {count} string{'s' * (count != 1)}"
    best = task.ceiling(measured)[0]
    return _figure(look, drawn, heading, "accuracy (share)", 1, diverged, best)


def _figure(
    look: Look,
    drawn: list[Curves],
    heading: str,
    unit: str,
    top: float,
    diverged: list[str],
    ceiling: float | None = None,
) -> Figure:
    """One panel of curves; its y axis ends at ``top`` where that holds them all."""
    drawn = [look.inside(curves) for curves in drawn]
    columns = 2 if len(drawn) < 5 else 3
    figure, ((axes,),) = style.panels(height=3.9 + 0.21 * -(-(len(drawn) + 3) // columns))
    keys = []
    for number, (curves, colour) in enumerate(
        zip(drawn, look.colours([one.colour for one in drawn]), strict=True)
    ):
        marker = MARKERS[number % len(MARKERS)]
        line = {"color": colour, "linestyle": DASHES[number // len(MARKERS) % len(DASHES)]}
        style.draw_seeds(axes, curves.steps, curves.values, look.lines, marker, **line)
        keys.append(key(curves.label, marker=marker, markersize=5, **line))
    if look.lines != "band":
        keys.append(key("thin: one seed", color=GREY, linewidth=0.8))
    if look.lines != "seeds":
        keys.append(key("thick: mean, 95% band", color=GREY, linewidth=2.2))
    if ceiling is not None:
        axes.axhline(ceiling, **style.MARGIN_LINE)
        keys.append(key("attainable ceiling", **style.MARGIN_LINE))
    if diverged:
        words = textwrap.fill(f"not drawn, diverged: {'; '.join(diverged)}", 30)
        keys.append(key(words, linestyle="none"))
    highest = max(curves.values.max() for curves in drawn)
    usual = 0, top if highest <= top else 1.05 * highest
    axes.set_ylim(usual if look.limits is None else tuple(look.limits))
    axes.set_ylabel(unit)
    style.step_axis(axes)
    title = heading if look.title is None else str(look.title)
    title = title.encode(errors="replace").decode()  # half a character cannot be drawn
    title = "\n".join(textwrap.fill(line, 75) for line in title.splitlines())
    axes.set_title(title).set_parse_math(False)
    style.legend(figure, *keys, columns=columns)
    if look.file is not None:
        style.save(figure, Path(str(look.file)))
    return figure


def _chosen(task: XorTask, pairs: Kind | Sequence[Pair]) -> list[Pair]:
    """The pairs asked for."""
    if isinstance(pairs, str):
        _word("pairs", pairs, get_args(Kind))
        known = {
            "synonyms": [pair[:2] for pair in synonym_pairs(task)],
            "control": control_pairs(task),
            "all": list(combinations(range(task.vocabulary), 2)),
        }[pairs]
        if not known:
            raise RequestError(f"there are no pairs {pairs!r}: each bit has one symbol that occurs")
        return known
    try:
        chosen = [(index(first), index(second)) for first, second in pairs]
    except (TypeError, ValueError):
        chosen = []
    if not chosen:
        words = ", ".join(map(repr, get_args(Kind)))
        raise RequestError(f"pairs should be {words} or [(0, 1), ...], not {short(pairs)}")
    for pair in chosen:
        if not all(0 <= symbol < task.vocabulary for symbol in pair):
            allowed = f"0..{task.vocabulary - 1}"
            raise RequestError(f"pair {short(pair)} is outside the vocabulary {allowed}")
        if pair[0] == pair[1]:
            raise RequestError(f"pair {pair} is a symbol and itself: a pair needs two symbols")
    return chosen


def _meant(pair: Pair, task: XorTask) -> tuple[str, Any]:
    """What a pair's curve is called, and its colour."""
    holds = {one[:2]: one.conditionally_equivalent for one in synonym_pairs(task)}
    dh = holds.get((min(pair), max(pair)))
    words = {True: ", DH holds", False: ", DH fails", None: ""}[dh]
    name = listed(names(task)[one] for one in pair)
    return f"{name}{words}", GREY if dh is None else DH[dh][0]


def _word(name: str, value: object, allowed: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise RequestError(f"unknown {name} {short(value)}{nearest(str(value), allowed)}")


def _two(name: str, value: Any, words: str) -> None:
    """Refuse what is not two numbers that an axis can hold."""
    if value is None:
        return
    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        numbers = np.empty(0)
    good = numbers.shape == (2,) and numbers.dtype.kind in "iuf"
    if not good or not (np.abs(numbers) <= LARGEST).all():
        raise RequestError(f"{name} should be two numbers, {words}, not {short(value)}")
