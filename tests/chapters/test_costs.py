"""What the page on costs shows is what the bench's file and the manifests hold."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rendering import rendered

from semantica_lib.analysis.markdown import title
from semantica_lib.chapters.costs import processor as costs
from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import MAIN
from semantica_lib.store import results
from semantica_lib.store.results import Result

ROW = {
    "ms_a_step": {"tied": 1.0, "untied": 3.0, "mean": 2.0},
    "plain_ms_a_step": {"tied": 4.0, "untied": 6.0, "mean": 5.0},
    "ratio": 25.0,
    "trial_steps_a_second": 5000.0,
    "ms_a_step_100_trials": None,
    "ratio_100_trials": None,
    "trial_steps_a_second_100_trials": None,
    "compile_s": {"tied": 20.0, "untied": 30.0},
    "peak_memory_mb": 480,
    "compiled": True,
    "date": "2026-01-02",
    "machine": {
        "processor": "Abacus", "cores": 8, "threads_used": 1, "python": "3.11.7", "torch": "2.13.0",
    },
}  # fmt: skip
BOUND = {
    "operations": 4e6, "bytes": 1e6, "operations_a_second": 8e9, "bytes_a_second": 1e10,
    "bound_ms": 0.5, "share": 0.25,
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of published results."""
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    return tmp_path


def row(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(ROW), **changes}


def cells(table: str) -> list[dict[str, str]]:
    """The rows of a Markdown table, by the heads of their columns."""
    heads, _, *rows = [
        [cell.strip() for cell in line[1:-1].split("|")] for line in table.strip().splitlines()
    ]
    return [dict(zip(heads, cells, strict=True)) for cells in rows]


def points(axes: Axes, marker: str) -> dict[float, float]:
    """Row -> milliseconds of all that is drawn with a marker."""
    found = [line for line in axes.lines if line.get_marker() == marker]
    return {line.get_ydata()[0]: line.get_xdata()[0] for line in found}


def test_the_bench_is_read_in_the_experiments_order_and_may_be_missing(place: Path) -> None:
    assert costs.bench() == {}
    names = "another", "lstm-medium", "transformer-small", "lstm-small"
    (place / "bench.json").write_text(json.dumps({name: row() for name in names}))
    found = costs.bench()
    assert list(found) == ["transformer-small", "lstm-small", "lstm-medium", "another"]
    assert found["another"] == ROW


@pytest.mark.parametrize("text", ["{", "[]", '{"one": {}}', '{"one": {"ms_a_step": 3}}', "\x80"])
def test_a_damaged_file_is_one_line_that_says_what_to_do(place: Path, text: str) -> None:
    (place / "bench.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RequestError, match=r"^bench\.json is damaged.*make bench") as caught:
        costs.bench()
    assert "\n" not in str(caught.value)


def test_the_figure_draws_what_was_measured(fits: Callable[[Figure], bool]) -> None:
    slow = row(ratio=1.5, ms_a_step={"mean": 100.0}, plain_ms_a_step={"mean": 15.0})
    figure = costs.times({MAIN: row(bound=BOUND), "slow": slow})
    (axes,) = figure.axes
    assert points(axes, "o") == {0: 2, 1: 100}
    assert points(axes, "D") == {0: 50, 1: 150}  # ten runs
    assert points(axes, "|") == {0: 0.5}
    assert [label.get_text() for label in axes.get_yticklabels()] == [title(MAIN), "slow"]
    beside = {text.get_position()[1]: text.get_text() for text in axes.texts}
    assert beside == {0: "25.0×", 1: "1.50×"}
    assert axes.get_xscale() == "log" and "milliseconds" in axes.get_xlabel()
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row at the top
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(keys) == 3 and "bound" in keys[2]
    assert fits(figure)


def test_without_a_bound_none_is_drawn_or_explained() -> None:
    figure = costs.times({"one": row()})
    assert points(figure.axes[0], "|") == {}
    assert not any("bound" in text.get_text() for text in figure.legends[0].get_texts())


def test_without_a_measurement_all_parts_say_so() -> None:
    assert {costs.summary({}), costs.speeds({}), costs.measured({})} == {costs.UNMEASURED}
    figure = costs.times({})
    assert [text.get_text() for text in figure.axes[0].texts] == ["not measured yet"]
    rendered(figure)


def test_the_table_holds_all_of_a_row_and_a_dash_for_what_it_lacks() -> None:
    whole = row(bound=BOUND, warm_s=6.4321, trial_steps_a_second_100_trials=51290.0)
    found, short = cells(costs.speeds({"whole": whole, "short": row(compiled=False)}))
    assert list(found.values()) == [
        "whole", "2.00", "50.0", "25.0×", "5,000", "51,300", "0.500", "arithmetic", "25.0%", "30.0",
        "6.43", "480",
    ]  # fmt: skip
    assert list(short.values()) == [
        "short (uncompiled)", "2.00", "50.0", "25.0×", "5,000", "–", "–", "–", "–", "30.0", "–",
        "480",
    ]  # fmt: skip
    other = BOUND | {"bytes": 5e6 + 1}
    (found,) = cells(costs.speeds({"one": row(bound=other)}))
    assert found["set by"] == "memory"


def test_engines_stand_side_by_side_and_what_was_not_measured_is_a_dash() -> None:
    compiled = {"10": {"mean": 3.0}, "100": {"mean": 8.0}}
    avx2 = {"10": {"mean": 1.0}, "100": {"mean": 2.0}}
    served = row(
        engine="kernel, AVX-512", ms_a_step={"mean": 0.5}, ms_a_step_100_trials={"mean": 4.0},
        compiled_ms_a_step=compiled, avx2_ms_a_step=avx2, avx2_compiled_ms_a_step=compiled,
    )  # fmt: skip
    older = {name: value for name, value in served.items() if name != "avx2_compiled_ms_a_step"}
    elsewhere = older | {"avx2_ms_a_step": None}  # on a processor without AVX2
    told = cells(costs.engines({MAIN: served, "older": older, "arm": elsewhere, "slow": row()}))
    assert [(one["experiment"], one["trials"]) for one in told] == [
        (name, trials) for name in (title(MAIN), "older", "arm") for trials in ("10", "100")
    ]
    assert [one["ratio"] for one in told] == ["6.00×", "2.00×"] * 3
    assert [one["AVX2: ratio"] for one in told] == ["3.00×", "4.00×", "–", "–", "–", "–"]
    assert [one["AVX2: kernel, ms"] for one in told[2:]] == ["1.00", "2.00", "–", "–"]


def test_a_measurement_beside_jax_is_a_row_and_may_be_missing(place: Path) -> None:
    assert costs.beside_jax() == "Not measured beside JAX."
    one = {"jax": "1.2", "trials": 10, "kernel_ms": 0.25, "jax_ms": 3.0, "ratio": 12.0}
    (place / "bench-jax.json").write_text(json.dumps({"transformer-small": one}))
    rows, measured = costs.beside_jax().split("\n\n")
    (found,) = cells(rows)
    assert measured.startswith("Measured on: ")
    assert list(found) == ["experiment", "trials", "kernel, ms a step", "JAX 1.2, ms", "ratio"]
    assert list(found.values()) == [title(MAIN), "10", "0.250", "3.00", "12.0×"]
    (place / "bench-jax.json").write_text("[]")
    with pytest.raises(RequestError, match=r"^bench-jax\.json is damaged"):
        costs.beside_jax()


def test_the_sentence_names_the_ends_of_the_ratios() -> None:
    found = {"upper": row(), "slow": row(ratio=1.684), "fast": row(ratio=130.2)}
    text = costs.summary(found)
    assert "*upper* takes 2.00 ms here; 10 plain runs take 25.0 times as long" in text
    assert "1.68 times (*slow*) to 130 times (*fast*)" in text


def test_where_it_was_measured_is_told_of_each_that_differs() -> None:
    line = "Abacus, 8 cores, of which 1 used; python 3.11.7, torch 2.13.0; 2026-01-02"
    assert costs.measured({"one": row(), "two": row()}) == f"Measured on: {line}."
    faster = BOUND | {"operations_a_second": 123e9}
    later = row(date="2026-02-03", bound=faster)
    first, second, _, peaks = costs.measured({"one": row(bound=BOUND), "two": later}).splitlines()
    assert first == f"- one, measured on: {line}."
    assert second.startswith("- two,") and second.endswith("2026-02-03.")
    assert "8.00 to 123 billion operations" in peaks and " 10.0 GB a second" in peaks


def plain(told: str) -> float:
    """A number as a table writes it."""
    return float(told.replace(",", ""))


def test_what_a_result_took_is_its_manifest_s(
    make: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "there")
    assert costs.published() == [] and costs.total([]) == ""
    assert "|" not in costs.spent([])
    make("there", experiment="transformer-small", seeds=[1, 2, 3])
    make("there", experiment="lstm-small", architecture="lstm", ties=["tied"], seeds=[1])
    other = make("there", experiment="mlp-small", architecture="mixer", data_seed=3, seeds=[1])
    own = other.settings
    other.folder.rename(results.folder(results.PUBLISHED, own))
    found = costs.published()
    rows = cells(costs.spent(found))
    assert [one["result"].partition(" (")[0] for one in rows] == [
        title(one.settings.experiment) for one in found
    ]
    by_name = {one.settings.experiment: row for one, row in zip(found, rows, strict=True)}
    small = by_name[MAIN]
    assert small["trials"] == "3 tied, 3 untied" and by_name["lstm-small"]["trials"] == "1 tied"
    assert small["computing time"] == "1 h 1 min" and small["begun"] == "2026-01-02"
    key = "core-seconds a trial of 1,000 steps"  # 3,700 s for six trials and one, of 100 steps
    assert plain(small[key]) == pytest.approx(3700 / 6 * 10, rel=5e-3)
    assert plain(by_name["lstm-small"][key]) == pytest.approx(37000, rel=5e-3)
    assert re.search(r"data_seed=3", by_name["mlp-small"]["result"])
    assert "9 trials in 3.08 core-hours" in costs.total(found)
    again = make("again", experiment="transformer-small-round-2", seeds=[1000])
    (row_again,) = cells(costs.spent([again]))
    assert row_again["result"].startswith(f"{title(MAIN)}, second round (")
    two = replace(found[0], manifest={**found[0].manifest, "threads": 2})
    ((wide,), one) = cells(costs.spent([two])), rows[0]
    assert plain(wide[key]) == pytest.approx(2 * plain(one[key]), rel=1e-2)
