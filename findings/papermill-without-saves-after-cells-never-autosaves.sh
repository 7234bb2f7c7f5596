#!/bin/sh
# papermill 2.7.0: where it does not save after every cell, it does not autosave either.
#
# papermill writes the whole notebook when a cell begins and again when it has ended, so what it
# writes grows with the square of the number of cells that draw. `request_save_on_cell_execute=False`
# leaves that out, and `autosave_cell_every=N` is said to save every N seconds within a long cell.
# Expected: with both, a save every N seconds. Happens: none. The engine is then not told the
# output's path, so a save by the clock writes nothing and says nothing: the file comes at the end,
# and what hours of cells have shown is in memory alone until then.
#
# Seen (Python 3.11; ten cells of 20 kB, then one that talks for three seconds):
#   papermill 2.7.0
#   saves after cells: written 25 times, 3030 kB for 214 kB; there in the long cell
#   saves after cells, and every second: written 28 times, 3669 kB for 214 kB; there in the long cell
#   saves every second alone: written 1 time, 214 kB for 214 kB; not there in the long cell
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q papermill==2.7.0 nbclient==0.11.0 nbformat==5.10.4 ipykernel==7.4.0

cd "$place"
JUPYTER_PLATFORM_DIRS=1 PYTHONWARNINGS=ignore "$place/venv/bin/python" - <<'PY'
import os
from pathlib import Path

import nbformat
import papermill
from papermill import iorw

OUT, SEEN = Path("out.ipynb"), Path("seen")
OUTPUTS = ["print('x' * 20_000)"] * 10
TALKS = f"""
import time
from pathlib import Path
for _ in range(30):
    time.sleep(0.1)
    print(".", end="", flush=True)
Path({str(SEEN)!r}).write_text(str(Path({str(OUT)!r}).exists()))
"""

writes, whole = [], iorw.LocalHandler.write


def write(self, text, path):
    writes.append(len(text))
    return whole(self, text, path)


iorw.LocalHandler.write = write


def run(each, autosave):
    """Executes the cells: how often the file was written, how much, its size, if it was early."""
    OUT.unlink(missing_ok=True)
    writes.clear()
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in [*OUTPUTS, TALKS]]
    papermill.execute_notebook(
        notebook, str(OUT), kernel_name="python3", progress_bar=False,
        request_save_on_cell_execute=each, autosave_cell_every=autosave,
    )
    return len(writes), sum(writes), OUT.stat().st_size, SEEN.read_text() == "True"


def told(name, found):
    count, written, size, early = found
    times = f"{count} time{'s' * (count != 1)}"
    there = "there" if early else "not there"
    print(f"{name}: written {times}, {written // 1000} kB for {size // 1000} kB; {there} in the long cell")


os.environ["PATH"] = f"{Path(os.sys.executable).parent}:{os.environ['PATH']}"
print("papermill", papermill.__version__)
cells, both, alone = run(True, 0), run(True, 1), run(False, 1)
told("saves after cells", cells)
told("saves after cells, and every second", both)
told("saves every second alone", alone)
raise SystemExit(not (cells[0] > 20 and both[0] > cells[0] and both[3] and alone[0] == 1 and not alone[3]))
PY
