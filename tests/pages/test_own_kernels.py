"""The book's pages share a process that has imported all, and nothing else."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from semantica_lib.files import ROOT
from semantica_lib.pages import book, notebooks

TELL = """\
import sys

warm = "scipy.stats" in sys.modules  # before anything is imported here
import json, os, random, threading, warnings

import matplotlib, numpy as np, pandas as pd, scipy.stats, torch
from semantica_lib.figures import style
from semantica_lib.pages import notebooks  # papermill's warnings are no longer told

told = {
    "names": sorted(name for name in globals() if not name.startswith("_")),
    "environment": {name: os.environ.get(name) for name in ("OWN", "SEMANTICA_TRAIN", "MPLBACKEND",
        "OMP_NUM_THREADS", "PYTHONPATH", "PYTHONSAFEPATH", "JE_ARROW_MALLOC_CONF")},
    "cwd": os.getcwd(),
    "matplotlib": [matplotlib.get_backend(), matplotlib.rcParams["font.size"]],
    "filters": sorted(str(one[:1] + one[2:3]) for one in warnings.filters if one[0] != "default"),
    "threads": torch.get_num_threads(),
    "pandas": pd.get_option("display.max_rows"),
    "library": [style.GREY == "red", style.__file__],
    "session": os.getsid(0) == os.getpid(),
}
print(json.dumps([warm, [np.random.random(), random.random(), torch.rand(1).item()], told]))

mine = os.environ["OWN"] = "of another page"
os.chdir("/")
matplotlib.use("svg")
matplotlib.rcParams["font.size"] = 99
warnings.filterwarnings("error", "of another page")
np.random.seed(1), random.seed(1), torch.manual_seed(1), torch.set_num_threads(2)
pd.set_option("display.max_rows", 7)
style.GREY = "red"
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def page(folder: Path, name: str, *cells: str) -> notebooks.Page:
    source = folder / "source" / f"{name}.ipynb"
    source.parent.mkdir(exist_ok=True)
    made = [nbformat.v4.new_markdown_cell("# A page"), *map(nbformat.v4.new_code_cell, cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=made), source)
    return notebooks.Page(source, folder / f"{name}.ipynb", {})


def said(done: notebooks.Page) -> list:
    output = nbformat.read(done.target, 4).cells[1].outputs[0]
    return json.loads(output.text)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every kernel is an ordinary one")
def test_a_page_sees_nothing_of_another_and_all_that_an_ordinary_kernel_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    pages = [page(tmp_path, name, TELL) for name in ("one", "two", "ordinary")]
    book._execute_all(pages[:2], 1)
    notebooks.execute(*pages[2][:3], train=False)
    (warm, drawn, first), (warm_too, others, second), (cold, _, ordinary) = map(said, pages)
    assert (warm, warm_too, cold) == (True, True, False)
    assert first == second == ordinary
    assert not set(drawn) & set(others)
    assert ordinary["cwd"] == str(ROOT) and ordinary["session"]


def test_a_process_that_dies_is_told_and_the_other_pages_come(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dies = page(tmp_path, "dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    mark = tmp_path / "kernel"
    kills = page(
        tmp_path, "kills", "import os, signal, time\nfrom pathlib import Path\n"
        f"Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)",
    )  # fmt: skip
    raises, good = page(tmp_path, "raises", "1 / 0"), page(tmp_path, "good", "6 * 7")
    with pytest.raises(notebooks.NotebookError) as caught:
        book._execute_all([dies, kills, raises, good], 2)
    words = str(caught.value)
    assert "dies.ipynb failed: Kernel died" in words
    assert "kills.ipynb failed: BrokenProcessPool(" in words
    assert "raises.ipynb failed: ZeroDivisionError: division by zero" in words
    assert nbformat.read(good.target, 4).cells[1].outputs[0].data["text/plain"] == "42"
    progress = re.findall(r"^\d of 4: (.*)$", capfd.readouterr().err, re.MULTILINE)
    assert sorted(progress) == [
        "dies.ipynb failed", "good.ipynb executed", "kills.ipynb failed", "raises.ipynb failed",
    ]  # fmt: skip
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(mark.read_text())).wait(30)


BOOK = """\
import sys
from pathlib import Path
from semantica_lib import cli
from semantica_lib.pages import book, notebooks
from semantica_lib.running import devices
devices.cores = lambda: 2  # pages at a time
place = Path(sys.argv[1])
book.BOOK, book.EXECUTED = place, place / "experiments"
book.pages = lambda: [
    notebooks.Page(place / "source" / f"{name}.ipynb", book.EXECUTED / f"{name}.ipynb", {})
    for name in ("waits", "waits-too", "never")
]
if __name__ == "__main__":
    sys.exit(cli.main(["book", "--no-train"]))
"""


def test_ctrl_c_stops_the_book_and_leaves_no_process(tmp_path: Path) -> None:
    begun = [tmp_path / name for name in ("waits", "waits-too")]
    for mark in (*begun, tmp_path / "never"):
        waits = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
        page(tmp_path, mark.name, f"{waits}import time\ntime.sleep(600)")
    script = tmp_path / "book.py"
    script.write_text(BOOK)
    command = [sys.executable, str(script), str(tmp_path)]
    build = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        while not all(mark.exists() for mark in begun):
            assert build.poll() is None, build.stderr.read()
            time.sleep(0.1)
        started = psutil.Process(build.pid).children(recursive=True)
        assert len(started) >= 4  # two pages and their kernels
        os.killpg(build.pid, signal.SIGINT)
        _, words = build.communicate(timeout=60)
    finally:
        build.kill()
    assert build.returncode == 1
    assert "semantica: error: stopped; the same command goes on from here" in words
    assert not (tmp_path / "never").exists()
    assert not psutil.wait_procs(started, timeout=30)[1]
