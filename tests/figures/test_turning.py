"""What a person turns in Jupyter is drawn by the same code; elsewhere the figure stands alone."""

from collections.abc import Callable
from types import SimpleNamespace

import ipywidgets
import pytest
from IPython.display import SVG

from semantica_lib.figures import curves, explorer, pairs, style
from semantica_lib.figures.turning import Turning, turned
from semantica_lib.store.results import Result

Make = Callable[..., Result]


@pytest.mark.parametrize(
    ("told", "names", "expected"),
    [
        ("", {}, False),
        ("notebooks/xor.ipynb", {}, True),
        ("", {"__vsc_ipynb_file__": "xor.ipynb"}, True),
        ("notebooks/xor.ipynb", None, False),  # a script that a notebook starts
    ],
)
def test_a_person_is_there_where_jupyter_or_vs_code_says_so(
    monkeypatch: pytest.MonkeyPatch, told: str, names: dict | None, expected: bool
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", told)
    shell = None if names is None else SimpleNamespace(user_ns=names)
    monkeypatch.setattr(style, "get_ipython", lambda: shell)
    assert style.in_jupyter() == expected


def test_a_figure_is_turned_where_a_person_is_and_else_as_it_was(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make()
    figure = curves.distances(result, tied=False, table="output")
    still = turned(result, tied=False, table="output")
    assert isinstance(still, SVG) and still.data == style.show(figure).data
    assert "<script>" not in explorer.explorer(result).data
    monkeypatch.setattr(style, "in_jupyter", lambda: True)
    view = turned(result, tied=False, table="output")
    assert isinstance(view, ipywidgets.VBox)
    # a figure of its own: another drawing of one moves it by parts of a dot
    assert view.children[1].value == style.png(curves.distances(result, False, "output"))
    html = explorer.explorer(result).data
    assert "semantica-explorer:not(.ready)" in html and "<style>" in html
    assert html.count("</script>") == 2  # its data and its code: neither ends before its end


def test_other_pairs_tables_and_seeds_are_drawn(make: Make) -> None:
    result = make()
    turning = Turning(result, True, "input")
    assert [name for name, _ in turning.table.options] == [
        "tied", "untied: input", "untied: output",
    ]  # fmt: skip
    turning.seeds.value = (42, 44)
    some = result.of_seeds([42, 44])
    assert turning.picture.value == style.png(curves.distances(some, True, "input"))
    turning.table.value = (False, "output")
    assert turning.picture.value == style.png(curves.distances(some, False, "output"))
    turning.pairs.value = dict(turning.pairs.options)["B and C"]
    expected = style.png(pairs.plot(some, "output", False, [(1, 2)]))
    assert turning.picture.value == expected and turning.said.value == ""
    turning.seeds.value = ()
    assert turning.picture.value == expected and "seeds" in turning.said.value
    turning.seeds.value = (43,)
    assert turning.picture.value != expected and turning.said.value == ""


def test_only_tables_that_there_are_can_be_chosen(make: Make) -> None:
    turning = Turning(make(ties=["untied"]), True, "input")
    assert [name for name, _ in turning.table.options] == ["untied: input", "untied: output"]
    assert bytes(turning.picture.value).startswith(b"\x89PNG")
