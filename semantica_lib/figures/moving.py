"""The moving figure as a picture that plays by itself, for pages without scripts, as a README is.

An SVG whose movement is CSS: where that does not run, or is not wanted, it shows the last record.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from semantica_lib.figures.style import DH

SIDE, GAP, TOP, LOW, LEFT = 236, 26, 30, 108, 40  # page pixels: of a panel, and round it
SECONDS, REST, EVERY = 9, 0.2, 2  # one turn; the share of it that shows the end; records a frame
SHAPES = {
    "zero": '<path d="M-5-5h10v10h-10z"/>', "one": '<circle r="5.5"/>',
    "even": '<path d="M0-6L5 4H-5z"/>', "odd": '<path d="M0 6L5-4H-5z"/>',
    "mask": '<path d="M0-6L6 0L0 6L-6 0z"/>',
}  # fmt: skip
LOOK = (
    "text{font:13px sans-serif;fill:#222}.n{font:bold 12px sans-serif}.f{fill:none}"
    ".m{animation-duration:%gs;animation-iteration-count:infinite;animation-timing-function:linear}"
    "@media(prefers-reduced-motion:reduce){.m{animation:none}}"
)


def moving(found: dict[str, Any]) -> str:
    """The first seed's tables in the plane, and its distances, as an SVG that plays.

    Args:
        found: of :func:`semantica_lib.figures.explorer.data`.
    """
    panels, frames = found["trials"][0]["panels"], range(0, len(found["steps"]), EVERY)
    width = LEFT + len(panels) * (SIDE + GAP)
    height = TOP + SIDE + LOW + 56
    kept = [*frames[:-1], len(found["steps"]) - 1]
    at = np.linspace(0, 100 * (1 - REST), len(kept))
    rules, drawn = [LOOK % SECONDS], []
    distances = [np.array([*panel["distances"], panel["control"]]) for panel in panels]
    ends = [np.log(values.clip(1e-3)) for values in distances]
    low, high = min(one.min() for one in ends), max(one.max() for one in ends)
    for index, panel in enumerate(panels):
        left = LEFT + index * (SIDE + GAP)
        drawn.append(f'<text x="{left}" y="18" class="n">{panel["name"]}</text>')
        drawn.append(_box(left, TOP, SIDE, SIDE) + _box(left, TOP + SIDE + 14, SIDE, LOW))
        rows = np.array(panel["rows"]).reshape(len(found["steps"]), -1, 2)
        middle = (rows.max((0, 1)) + rows.min((0, 1))) / 2
        scale = 0.88 * SIDE / np.ptp(rows, (0, 1)).max()
        places = np.array([left, TOP]) + SIDE / 2 + (rows - middle) * scale * (1, -1)
        for symbol, way in zip(found["symbols"], places.swapaxes(0, 1), strict=True):
            name = f"s{len(rules)}"
            rules.append(_frames(name, at, way[kept]))
            drawn.append(_symbol(name, symbol, way))
        base = TOP + SIDE + 14 + LOW
        steps = left + SIDE * np.array(found["steps"]) / found["steps"][-1]
        for values, colour in zip(
            (*panel["distances"], panel["control"]),
            (*(_colour(pair["holds"]) for pair in found["pairs"]), "#737373"), strict=True,
        ):  # fmt: skip
            up = (np.log(np.clip(values, 1e-3, None)) - low) / (high - low)
            drawn.append(_line(np.stack([steps, base - 6 - (LOW - 12) * up], 1), colour, 1.8))
        name = f"s{len(rules)}"
        across = np.stack([steps[kept], np.full(len(kept), base - LOW)], 1)
        rules.append(_frames(name, at, across))
        marker = f'<path d="M0 0V{LOW}" stroke="#222"/>'
        drawn.append(f'<g class="m" style="{_moved(name, across[-1])}">{marker}</g>')
        drawn.append(f'<text x="{left}" y="{base + 16}">step 0</text>')
        last = f"{found['steps'][-1]:,}"
        drawn.append(f'<text x="{left + SIDE}" y="{base + 16}" text-anchor="end">{last}</text>')
    turned = f'transform="rotate(-90 16 {base - LOW / 2:g})" text-anchor="middle"'
    drawn.append(f'<text x="16" y="{base - LOW / 2:g}" {turned}>distance (log)</text>')
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{"".join(rules)}</style>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *drawn,
        "</svg>\n",
    ]
    return "\n".join(lines)


def _colour(holds: bool) -> str:
    return to_hex(DH[holds][0])


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" class="f" stroke="#ccc"/>'


def _line(places: np.ndarray, colour: str, width: float, opacity: float = 1) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    look = f'stroke="{colour}" stroke-width="{width:g}" stroke-opacity="{opacity:g}"'
    return f'<polyline class="f" points="{points}" {look}/>'


def _moved(name: str, end: Sequence[float]) -> str:
    return f"animation-name:{name};transform:translate({end[0]:.1f}px,{end[1]:.1f}px)"


def _frames(name: str, at: np.ndarray, places: np.ndarray) -> str:
    """The rule that moves what has this name; at the end it is as the element itself has it."""
    moved = (
        f"{part:.1f}%{{transform:translate({x:.1f}px,{y:.1f}px)}}"
        for part, (x, y) in zip(at, places, strict=True)
    )
    return f"@keyframes {name}{{{''.join(moved)}}}"


def _symbol(name: str, symbol: dict[str, str], way: np.ndarray) -> str:
    colour = _colour(symbol["dh"] == "holds") if symbol["dh"] else "#737373"
    shown = f'<g fill="{colour}">{SHAPES[symbol["kind"]]}</g>'
    if symbol["kind"] in ("zero", "one"):
        left = (ord(symbol["name"][0]) - ord("A")) % 2 == 0  # of synonyms that have merged
        anchor = ' text-anchor="end"' if left else ""
        shown += f'<text x="{-8 if left else 8}" y="4" class="n"{anchor}>{symbol["name"]}</text>'
    trail = _line(way, colour, 0.7, 0.45)
    return f'{trail}<g class="m" style="{_moved(name, way[-1])}">{shown}</g>'
