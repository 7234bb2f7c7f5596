"""Figures look the same whatever the user's own settings of matplotlib are."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

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
