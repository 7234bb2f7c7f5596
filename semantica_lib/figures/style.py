"""How figures look, and how they get into a notebook or a file.

What a look says is the same in every figure. Blue and orange: the DH holds for this pair, or fails.
Solid and black, dashed and grey: tied, untied. Tables have panels of their own; where two are drawn
in one panel the input's is green and the output's purple. Values of a setting have the colours of a
scale (:func:`scale`). What things are judged by, a margin or a ceiling, is dotted. All else is
black or grey, told apart by markers, dashes and hatches.

Every figure has an opaque white ground (so that it reads in a notebook on a dark page; the book's
own pages turn it dark), colours that colour-blind readers can tell apart, and line styles or
markers that survive a grey print.
"""

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import seaborn as sns
from IPython import get_ipython
from IPython.display import SVG, Image
from matplotlib import colormaps, rc_context, rcdefaults
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from semantica_lib.analysis.statistics import Interval, mean_interval
from semantica_lib.errors import RequestError, short
from semantica_lib.files import write_whole
from semantica_lib.settings.spelling import typed

rcdefaults()  # not those of a matplotlibrc of the user's own
HOLDS, FAILS, *_ = sns.color_palette("colorblind")
DH = {True: (HOLDS, "o"), False: (FAILS, "D")}  # whether it holds for a pair -> colour, marker
GREY, BLACK = "0.45", "0.1"
TIES: dict[bool, dict[str, str]] = {
    True: {"color": BLACK, "linestyle": "-", "marker": "o"},
    False: {"color": GREY, "linestyle": "--", "marker": "s"},
}
TABLES = {
    "input": {"color": "#009e73", "marker": "D"},
    "output": {"color": "#aa4499", "marker": "o"},
}
WIDTH, DOTS = 6.8, 100  # inches, and page pixels an inch; files have twice as many
MARGIN_LINE = {"color": BLACK, "linestyle": ":", "linewidth": 1.3}  # what decides a verdict
FEW = 80_000  # characters of a drawing that no picture in dots is worth trying for
SUFFIXES = "pdf", "png", "svg"
PLACES = re.compile(  # in an SVG, in points
    r'^[MLQC] .+$|(?<= d=")M .+$|(?<= [xy]=")[^"]+|translate\([^)]+', re.MULTILINE
)
Lines = Literal["seeds", "band", "both"]
STYLE = {
    **sns.axes_style("whitegrid"),
    "grid.color": "0.92",
    "axes.edgecolor": "0.6",
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}


def panels(
    rows: int = 1,
    columns: int = 1,
    height: float = 3.5,
    width: float = WIDTH,
    grid: bool = True,
    **shared: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure in the style of all, and its panels ``(row, column)``.

    Args:
        height, width: inches.
        grid: whether lines lead from the ticks.
        shared: which axes the panels share, as :meth:`Figure.subplots` takes it.
    """
    with rc_context(STYLE | {"axes.grid": grid}):
        figure = Figure(figsize=(width, height), dpi=DOTS)
        return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def over_steps(
    titles: Sequence[str], columns: int, height: float, **rest: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of panels over training steps, one a title; the places that are left are empty.

    Args:
        rest: as of :func:`panels`.
    """
    count = max(1, len(titles))
    figure, grid = panels(-(-count // columns), columns, height, **rest)
    for axes, title in zip(grid.flat, titles, strict=False):
        axes.set_title(title)
        step_axis(axes)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return figure, grid.ravel()[:count].tolist()


def key(label: str, **look: Any) -> Line2D:
    """An entry of a legend: what is drawn in this look, black if no colour is given."""
    return Line2D([], [], label=label, **{"color": BLACK, **look})


def bars(axes: Axes, x: Sequence[float], intervals: Sequence[Interval], **look: Any) -> None:
    """Estimates at their places with their intervals; those that are not finite are left out."""
    middle, low, high = np.array([interval[:3] for interval in intervals]).reshape(-1, 3).T
    keep = np.isfinite(middle)
    reach = np.nan_to_num([middle - low, high - middle])[:, keep].clip(0)
    look = {"linewidth": 1.1, "markersize": 3.5, "elinewidth": 0.8} | look
    axes.errorbar(np.array(x)[keep], middle[keep], reach, **look)


def in_jupyter() -> bool:
    """Whether a person has this notebook open, in Jupyter or VS Code; else nobody can turn a thing.

    Jupyter's server tells its kernels, VS Code its notebooks; papermill and the book do not.
    """
    shell = get_ipython()
    return shell is not None and bool(
        os.environ.get("JPY_SESSION_NAME") or "__vsc_ipynb_file__" in shell.user_ns
    )


def scale(count: int) -> list[tuple[float, ...]]:
    """Colours of so many values of a setting, from the least to the greatest.

    None is so light or so dark that it would be lost on a light or a dark page.
    """
    return [*map(tuple, colormaps["magma"](np.linspace(0.15, 0.62, max(1, count))))]


def svg(figure: Figure) -> str:
    """The figure as an SVG of its size in page pixels; the same figure gives the same text."""
    buffer = io.StringIO()
    for line in figure.findobj(Line2D):
        line.get_path().simplify_threshold = 0.2  # points: so light that it looks the same
    with rc_context({"svg.hashsalt": "semantica"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(inches * DOTS) for inches in figure.get_size_inches())
    text = re.sub(r'width="\S+pt" height="\S+pt"', f'width="{width}" height="{height}"',
                  buffer.getvalue(), count=1)  # fmt: skip
    text = PLACES.sub(lambda place: re.sub(r"(\.\d)\d+", r"\1", place[0]), text)
    return re.sub(r"^ +| +$", "", text, flags=re.MULTILINE)


def png(figure: Figure) -> bytes:
    """The figure as a PNG of twice the page's resolution."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=2 * DOTS)
    return buffer.getvalue()


def show(figure: Figure, found: str = "") -> Image | SVG:
    """The figure as a notebook's output, at its size in page pixels.

    It is drawn in lines, sharp at any size, unless it has so many that dots are less to load.

    Args:
        found: what is to be seen in it, with which its caption on a page begins.
    """
    lines, about = svg(figure), {"found": found} if found else None
    figure.set_layout_engine("none")  # all is in its place by now
    if len(lines) < FEW or len(lines) < len(dots := png(figure)):
        return SVG(lines, metadata=about)
    return Image(dots, width=round(figure.get_figwidth() * DOTS), metadata=about)


def suffix_of(file: Path) -> str:
    """The kind of picture that a file's name asks for.

    Raises:
        RequestError: it is not one that figures are written in.
    """
    suffix = file.suffix[1:].lower()
    if suffix not in SUFFIXES:
        raise RequestError(f"file should end in .{', .'.join(SUFFIXES)}, not {short(str(file))}")
    return suffix


def save(figure: Figure, file: Path) -> None:
    """Write a figure, whole or not at all.

    Raises:
        RequestError: as :func:`suffix_of`, or the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix_of(file), dpi=2 * DOTS)
    try:
        write_whole(typed(file), buffer.getvalue())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"cannot write {short(str(file))}: {reason}") from None


def draw_seeds(
    axes: Axes, steps: np.ndarray, curves: np.ndarray, lines: Lines, marker: str, **style: Any
) -> None:
    """Curves ``(trial, record)``: every one thin, or their mean thick with its 95% band, or both.

    Markers stand on the mean; on the thin ones where there is no mean or no line to see.
    """
    sparse = {"marker": marker, "markevery": max(1, len(steps) // 6)}
    if lines != "band":
        marked = {**sparse, "markersize": 3.5} if lines == "seeds" or len(steps) == 1 else {}
        axes.plot(steps, curves.T, linewidth=0.8, alpha=0.6, **style, **marked)
    if lines != "seeds":
        mean, low, high = np.array([mean_interval(values)[:3] for values in curves.T]).T
        axes.plot(steps, mean, linewidth=2.2, markersize=5, **style, **sparse)
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)


def step_axis(axes: Axes) -> None:
    """Have optimizer steps along the lower edge."""
    axes.set_xlabel("optimizer steps")
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def note(axes: Axes, text: str) -> None:
    """Say in the middle of a panel why nothing is drawn there."""
    ground = {"facecolor": "white", "linewidth": 0, "pad": 2}
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, bbox=ground
    )


def legend(figure: Figure, *keys: Line2D, columns: int = 2) -> None:
    """Explain what is drawn, below the panels."""
    figure.legend(handles=keys, loc="outside lower center", ncols=columns, frameon=False)
