"""The symbols of one trial in the plane, from record to record: a figure that a reader can move.

The page's ``_static/explorer.js`` draws it from the data beside it. Where no script runs, as in
print or in a notebook, a still figure of the last record stands in its place.
"""

import base64
import io
import json
import re
from html import escape
from typing import Any

import numpy as np
from IPython.display import HTML
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semantica_lib.analysis.claims import MERGE_MARGIN, tie_of
from semantica_lib.analysis.distances import Trials, synonym_pairs
from semantica_lib.analysis.markdown import names, number
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED, Place
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.figures import style
from semantica_lib.figures.style import BLACK, DH, GREY
from semantica_lib.files import ROOT
from semantica_lib.store.results import PAPER_SEEDS, Result

PANELS = {"Tied": TIED, "Untied: input": INPUT, "Untied: output": OUTPUT}
FRAMES, TRIALS = 76, 5  # at most so many records and seeds: a page holds them all
UNIT = 1000  # places in the plane are whole numbers of 1 / UNIT
MARKS = {"zero": "s", "one": "o", "even": "^", "odd": "v", "mask": "D"}
ALT = (
    "The symbols of one trial in the plane at the last step, with the way that each has come, in "
    "the tied, the untied input and the untied output table; below, on a logarithmic scale, the "
    "distance of each pair of synonyms over the steps beside the control pairs' and the decay clock"
)
CLOSE_UP = (
    "Close-up: from the middle of the bits' symbols, scaled at every step so that a control pair's "
    "distance is 1."
)

# A notebook's names for the colours that a page of the book has, by the page's names.
THEME = (
    ".semantica-explorer{--pst-color-background:var(--jp-layout-color0,#fff);"
    "--pst-color-text-base:var(--jp-content-font-color1,#222);"
    "--pst-color-surface:var(--jp-layout-color2,#eee)}\n"
)


def explorer(result: Result) -> HTML:
    """The moving figure of a result, as HTML that holds its data and a still figure.

    Before a person in Jupyter, who has no page of the book round it, it brings its script too.
    """
    found = data(result)
    if not found["trials"]:
        return HTML("<p>No seed has a trial of every kind, so there is nothing to move.</p>")
    with rc_context({"svg.hashsalt": "explorer"}):  # the same data give the same bytes
        buffer = io.StringIO()
        still(found).savefig(buffer, format="svg", metadata={"Date": None})
    point = re.compile(r"^([LM] \S+\.\d)\d* (\S+\.\d)\d* $", re.MULTILINE)
    drawn = point.sub(r"\1 \2", buffer.getvalue())  # tenths of a point will do
    image = base64.b64encode(drawn.encode()).decode()
    packed = json.dumps(found, separators=(",", ":")).replace("<", "\\u003c")
    made = (
        '<div class="semantica-explorer"><div class="still">'
        f'<img src="data:image/svg+xml;base64,{image}" alt="{told(found)} {ALT}"></div>'
        f'<p>{"</p><p>".join(map(escape, _legend(found)))}</p><p class="live">{CLOSE_UP}</p>'
        f'<script type="application/json">{packed}</script></div>'
    )
    return HTML(_alive(made) if style.in_jupyter() else made)


def _alive(figure: str) -> str:
    """The same with its look and its script, which every page of the book has."""
    place = ROOT / "book" / "_static"
    look, code = ((place / f"explorer.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return f"<style>{THEME}{look}</style>{figure}<script>{code}</script>"


def data(result: Result) -> dict[str, Any]:
    """What the moving figure draws: of each seed each table's rows in a plane of its own.

    The plane is that of the first two principal axes of all rows at all records, whose shares of
    the variance are percentages; ``held`` is what the plane has of it at each record, and ``rows``
    ``[record][symbol x, y, ...]`` are places from the origin. Distances are those in all
    dimensions. ``clock`` is what decay alone leaves of a distance.
    """
    own, task = result.settings, xor_task(result.settings)
    places = {name: place for name, place in PANELS.items() if tie_of(place[0]) in own.ties}
    trials = {name: Trials.of(result, place[0], None) for name, place in places.items()}
    seeds = set.intersection(*(set(one.seeds.tolist()) for one in trials.values()))
    chosen = sorted(seeds & set(PAPER_SEEDS)) or sorted(seeds)
    wanted = np.linspace(result.steps[0], result.steps[-1], FRAMES)
    records = np.unique(np.abs(result.steps[:, None] - wanted).argmin(0))
    clock = decay_factor(own, result.steps[records])
    pairs = synonym_pairs(task)
    return {
        "steps": result.steps[records].tolist(),
        "symbols": _symbols(task),
        "pairs": [{"of": pair[:2], "holds": pair.conditionally_equivalent} for pair in pairs],
        "clock": _rounded(clock) if np.isfinite(clock).all() else None,
        "margin": MERGE_MARGIN,
        "unit": UNIT,
        "trials": [
            {
                "seed": seed,
                "panels": [
                    {"name": name} | _panel(trials[name], seed, place, records)
                    for name, place in places.items()
                ],
            }
            for seed in chosen[:TRIALS]
        ],
    }


def _symbols(task: XorTask) -> list[dict[str, str]]:
    """Each symbol's name, what it stands for, and what the DH does for it and a synonym, if any."""
    kinds = ["zero"] * len(task.zero_dst) + ["one"] * len(task.one_dst)
    holds: dict[int, bool] = {}
    for *pair, dh in synonym_pairs(task):
        holds |= {symbol: dh or holds.get(symbol, False) for symbol in pair}
    kinds += ["even", "odd", "mask"]
    return [
        {"name": name, "kind": kind, "dh": {True: "holds", False: "fails"}.get(holds.get(i), "")}
        for i, (name, kind) in enumerate(zip(names(task), kinds, strict=True))
    ]


def _panel(trials: Trials, seed: int, place: Place, records: np.ndarray) -> dict[str, Any]:
    trial, table = trials.seeds.tolist().index(seed), place[1]
    rows = trials.tables[table][trial][records].astype(np.float64)  # (record, symbol, feature)
    flat = rows.reshape(-1, rows.shape[-1])
    _, spread, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    plane = np.zeros((2, rows.shape[-1]))  # rows of one number have one axis only
    plane[: len(axes)] = axes[:2]
    plane *= np.sign(plane.sum(1, keepdims=True) + 1e-12)  # an axis has no direction of its own
    around = rows - rows.mean(1, keepdims=True)
    held = ((around @ plane.T) ** 2).sum((1, 2)) / (around**2).sum((1, 2)).clip(1e-30)
    pairs = [pair[:2] for pair in synonym_pairs(trials.task)]
    shares = spread[:2] ** 2 / (spread**2).sum().clip(1e-30)
    return {
        "shares": _whole(100 * shares),
        "held": _whole(100 * held),
        "rows": _whole(UNIT * (rows @ plane.T).reshape(len(rows), -1)),
        "distances": [_rounded(trials.distance(table, pair)[trial, records]) for pair in pairs],
        "control": _rounded(trials.control(table)[trial, records]),
    }


def told(found: dict[str, Any]) -> str:
    """Where the first seed's pairs end, of :func:`data`: what there is to be seen, in words."""
    trial, called, parts = found["trials"][0], [one["name"] for one in found["symbols"]], []
    for panel in trial["panels"]:
        shares = (distance[-1] / panel["control"][-1] for distance in panel["distances"])
        apart = (
            f"{' and '.join(called[one] for one in pair['of'])} at {number(share)}"
            for pair, share in zip(found["pairs"], shares, strict=True)
        )
        parts.append(f"{panel['name'].lower()}, {' and '.join(apart)}")
    end = f"Of a control pair's distance synonyms of seed {trial['seed']} are at the last step"
    return f"{end}: {'; '.join(parts)}."


def _whole(values: np.ndarray) -> list:
    return np.rint(values).astype(int).tolist()


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.3g}") for value in values]


def _legend(found: dict[str, Any]) -> tuple[str, str]:
    """What the marks mean, and what the lines."""
    names: dict[str, list[str]] = {}
    for symbol in found["symbols"]:
        names.setdefault(symbol["kind"], []).append(symbol["name"])
    return (
        f"Squares write bit 0: {', '.join(names['zero'])}; circles write bit 1: "
        f"{', '.join(names['one'])}; triangles are the two parities, the diamond is the mask. "
        "Blue: synonyms for which the DH holds; orange: those for which it fails.",
        "Curves: solid, the distance of two synonyms; dashed, the decay clock from the same start; "
        f"grey, the control pairs' median, and dotted {found['margin']:.2f} of it, under which a "
        "pair has merged.",
    )


def still(found: dict[str, Any]) -> Figure:
    """The first seed's last record, with the ways of the symbols, from :func:`data`."""
    panels = found["trials"][0]["panels"]
    figure, (upper, lower) = style.panels(2, len(panels), height=4.6)
    for axes, below, panel in zip(upper, lower, panels, strict=True):
        rows = np.array(panel["rows"]).reshape(len(found["steps"]), -1, 2) / found["unit"]
        _plane(axes, rows, found)
        axes.set_title(panel["name"])
        for label, share in zip("xy", panel["shares"], strict=False):
            axes.set(**{f"{label}label": f"axis {'xy'.index(label) + 1} ({share}%)"})
        _curves(below, panel, found)
    lower[0].set_ylabel("distance")
    figure.suptitle(f"Seed {found['trials'][0]['seed']}, step {found['steps'][-1]:,}", fontsize=11)
    return figure


def _plane(axes: Axes, rows: np.ndarray, found: dict[str, Any]) -> None:
    for i, (symbol, way) in enumerate(zip(found["symbols"], rows.swapaxes(0, 1), strict=True)):
        colour = DH[symbol["dh"] == "holds"][0] if symbol["dh"] else GREY
        axes.plot(*way.T, color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(*way[-1], MARKS[symbol["kind"]], color=colour, markersize=6)
        if symbol["kind"] in ("zero", "one"):
            side, aligned = ((-5, "right"), (5, "left"))[i % 2]  # of synonyms that have merged
            look = {"textcoords": "offset points", "fontsize": 9, "ha": aligned, "va": "center"}
            axes.annotate(symbol["name"], way[-1], (side, 0), **look)
    axes.set_aspect("equal", "datalim")


def _curves(axes: Axes, panel: dict[str, Any], found: dict[str, Any]) -> None:
    steps, control = found["steps"], np.array(panel["control"])
    for pair, distance in zip(found["pairs"], panel["distances"], strict=True):
        colour = DH[pair["holds"]][0]
        axes.plot(steps, distance, color=colour, linewidth=1.5)
        if found["clock"]:
            axes.plot(steps, distance[0] * np.array(found["clock"]), "--", color=colour, lw=0.9)
    axes.plot(steps, control, color=GREY, linestyle="-.", linewidth=1.3)
    axes.plot(steps, found["margin"] * control, color=BLACK, linestyle=":", linewidth=1)
    axes.set_yscale("log")
    style.step_axis(axes)
    axes.locator_params(axis="x", nbins=2)
