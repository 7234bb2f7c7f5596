"""What the page on costs shows of a GPU is what the bench's file holds."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from semantica_lib.chapters.costs import gpu as gpu_costs
from semantica_lib.errors import RequestError
from semantica_lib.figures.facts import html
from semantica_lib.store import results

ROW = {
    "experiment": "transformer-small",
    "trials": 1000,
    "ms_a_step": 0.25,
    "trial_steps_a_second": 4_000_000.0,
    "plain_ms_a_step": 5.0,
    "ratio": 20_000.0,
    "first_launch_s": 24.04,
    "peak_memory_mb": 340.2,
    "steps_a_launch": 100,
    "tied": False,
    "compiled": True,
    "machine": {"device": "Abacus 9000", "python": "3.12.1", "torch": "2.11.0+cu130"},
    "date": "2026-01-02",
    "commit": "0123456789abcdef",
}
LINE = "Abacus 9000; python 3.12.1, torch 2.11.0+cu130; 2026-01-02; commit 0123456789"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the bench's file would lie."""
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    return tmp_path / "bench-gpu.json"


def row(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(ROW), **changes}


def test_the_bench_is_read_in_the_experiments_order_and_may_be_missing(file: Path) -> None:
    assert gpu_costs.gpu() == {}
    stacks = [
        ("another", 1), ("transformer-medium", 10), ("transformer-small", 1000),
        ("transformer-small", 40), ("lstm-small", 10),
    ]  # fmt: skip
    rows = {f"{name} {trials}": row(experiment=name, trials=trials) for name, trials in stacks}
    file.write_text(json.dumps(rows))
    found = gpu_costs.gpu()
    assert list(found) == [
        "transformer-small 40", "transformer-small 1000", "lstm-small 10", "transformer-medium 10",
        "another 1",
    ]  # fmt: skip
    assert found["transformer-small 1000"] == ROW


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"one": {}}', '{"one": 3}', "\x80",
        json.dumps({"one": row(ratio=None)}),
        json.dumps({"one": row(experiment=3), "two": row()}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line_that_says_what_to_do(file: Path, text: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(RequestError, match=r"^bench-gpu\.json is damaged.*gpu\.py") as caught:
        gpu_costs.gpu()
    assert "\n" not in str(caught.value)


def test_without_a_measurement_it_says_so() -> None:
    assert gpu_costs.gpu_table({}) == gpu_costs.UNMEASURED
    assert "unmeasured" in gpu_costs.UNMEASURED and "|" not in gpu_costs.UNMEASURED


def test_the_table_holds_all_of_a_row_and_a_dash_for_what_it_lacks() -> None:
    lacking = row(experiment="short", trials=2, ratio=3.456, peak_memory_mb=None, compiled=False)
    del lacking["trial_steps_a_second"]
    text = gpu_costs.gpu_table({"whole": row(), "short": lacking})
    table, said = text.split("\n\n")
    heads, _, *rows = [
        [cell.strip() for cell in line[1:-1].split("|")] for line in table.split("\n")
    ]
    assert rows == [
        ["The main experiment", "1,000", "0.250", "4,000,000", "5.00", "20,000×", "24.0", "340"],
        ["short (uncompiled)", "2", "0.250", "–", "5.00", "3.46×", "24.0", "–"],
    ]
    assert len(heads) == 8
    assert said == f"Measured on: {LINE}."
    assert f"<p>Measured on: {LINE}.</p>" in html(text)


def test_where_it_was_measured_is_told_of_each_that_differs() -> None:
    other = row(commit=None, date="2026-02-03", machine={"device": "Other"})
    text = gpu_costs.gpu_table({"one": row(), "two": row(), "three": other}).split("\n\n")[1]
    assert text.splitlines() == [
        f"- one, two, measured on: {LINE}.",
        "- three, measured on: Other; python unknown, torch unknown; 2026-02-03; commit unknown.",
    ]


def test_experiments_without_a_stack_are_named() -> None:
    found = {"one": row(), "two": row(experiment="lstm-small")}
    every = ["transformer-small", "mlp-small", "lstm-small", "lstm-medium"]
    said = gpu_costs.missing(found, every)
    assert said == "No stack was measured of *An MLP-Mixer*, *A larger LSTM*."
    assert gpu_costs.missing(found, every[:1]) == gpu_costs.missing({}, every) == ""
