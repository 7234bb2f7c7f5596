"""What a progress line says: that it compiles, and no time left before there is a speed."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from semantica_lib.running.progress import Bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the bar takes it to be."""
    now = [1_000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def test_a_line_says_that_it_compiles_and_times_what_comes_after(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    bar, total, left = Bar("one"), 1_000_000, r"<([^,]*),"

    def line(done: int, seconds: float, *doing: str) -> str:
        clock[0] += seconds
        bar(done, total, "trial-steps", *doing)
        return re.split(r"[\r\n]+", capsys.readouterr().err)[-1]

    assert line(500, 0, "compiling").startswith("one: compiling:")
    assert "compiling" in str(bar.bar) and re.search(left, str(bar.bar))[1] == "?"
    first = line(520, 60)
    assert first.startswith("one: ") and "compiling" not in first
    assert re.search(left, first)[1] == "?"  # how fast it is, no one knows yet
    later = line(620, 1)  # 100 a second
    assert re.search(left, later)[1] == "2:46:33"
    assert "compiling" in line(620, 1, "compiling")  # another stack
    assert re.search(left, line(720, 60))[1] == "2:46:32"
    clock[0] += 1
    bar(820, total, "trial-steps")
    bar.close()
    assert ", 100 trial-steps/s]" in capsys.readouterr().err  # on the whole


@pytest.mark.parametrize("there", [True, False], ids=["a person", "papermill"])
def test_a_bar_in_a_notebook_stays_in_sight(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    classes: list[str] = []
    shown: list[Any] = []

    def made(**line: Any) -> SimpleNamespace:
        container = SimpleNamespace(add_class=classes.append)
        return SimpleNamespace(container=container, n=0, update=lambda _: None)

    monkeypatch.setattr("semantica_lib.running.progress.tqdm", made)
    monkeypatch.setattr("semantica_lib.figures.style.in_jupyter", lambda: there)
    monkeypatch.setattr("IPython.display.display", shown.append)
    Bar("one")(0, 10, "trial-steps")
    assert classes == ["semantica-bar"] * there
    assert [f".{name}:not" in one.data for one in shown for name in classes] == [True] * there
