"""Figures look the same whatever the user's own settings of matplotlib are."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from semantica_lib.figures import style
from semantica_lib.files import ROOT

DRAWN = """
import sys
from matplotlib.figure import Figure
from semantica_lib.figures.style import draw_seeds, key, legend, note, np, panels, png, step_axis

figure, ((axes,),) = panels()
axes.plot([0, 1], [1, 0])
draw_seeds(axes, np.arange(3), np.eye(3), "both", "o", color="0.5")
step_axis(axes)
note(axes, "nothing $x^2$")
legend(figure, key("one"))
sys.stdout.buffer.write(png(figure))
"""
OTHER = (
    "text.usetex: True\nsavefig.dpi: 30\nsavefig.bbox: tight\nfont.size: 20\nlines.linewidth: 9\n"
    "axes.prop_cycle: cycler('color', ['r'])\nmathtext.fontset: stix\nbackend: TkAgg\n"
    "svg.hashsalt: x\npath.simplify: False\nthis is no line\nno.such.key: 3\n"
)


def drawn(folder: Path) -> str:
    told = {**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", DRAWN], cwd=folder, env=told, capture_output=True)
    assert done.stdout.startswith(b"\x89PNG"), done.stderr.decode()[-300:]
    return hashlib.sha256(done.stdout).hexdigest()


def test_a_matplotlibrc_changes_no_figure(tmp_path: Path) -> None:
    before = drawn(tmp_path)
    (tmp_path / "matplotlibrc").write_text(OTHER)
    assert drawn(tmp_path) == before


def test_blue_and_orange_are_of_the_hypothesis_alone() -> None:
    others = [look["color"] for look in (*style.TIES.values(), *style.TABLES.values())]
    others += [style.MARGIN_LINE["color"], style.GREY, *style.scale(6)]
    for colour in map(to_rgb, others):
        for dh in (style.HOLDS, style.FAILS):
            assert np.abs(np.subtract(colour, dh)).max() > 0.15
    rooms = [ROOT / "semantica_lib" / name for name in ("figures", "chapters")]
    code = {file: file.read_text() for room in rooms for file in room.rglob("*.py")}
    words = r"\b(BLUE|ORANGE|tab:|C[0-9]\b)|\"(blue|orange)\"|color_palette"
    own = {"style.py", "pairs.py"}  # whose palettes a person names
    assert not [f.name for f, text in code.items() if f.name not in own and re.search(words, text)]


def test_ties_and_tables_are_told_apart_in_grey_print_too() -> None:
    for looks in (style.TIES, style.TABLES):
        first, second = looks.values()
        assert first["marker"] != second["marker"]
    assert style.TIES[True]["linestyle"] != style.TIES[False]["linestyle"]
