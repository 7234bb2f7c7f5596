"""What the page on costs shows of a step's parts is what the profile's file holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from semantica_lib.chapters.costs import kernels as kernel_costs
from semantica_lib.errors import RequestError
from semantica_lib.store import results

MACHINE = {
    "processor": "Abacus", "cores": 3, "threads_used": 1, "python": "3.12.1", "torch": "2.13.0",
}  # fmt: skip


def row(**ms: float) -> dict[str, Any]:
    parts = {"products": 1.0, "fused": 2.0, "optimizer": 0.5, "between": 0.5} | ms
    return {"ms": parts, "machine": MACHINE, "date": "2026-01-02"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    return tmp_path


def test_each_device_has_a_file_and_it_is_read_in_the_experiments_order(place: Path) -> None:
    assert kernel_costs.profiled() == kernel_costs.profiled("cuda") == {}
    rows = {name: row() for name in ("another", "lstm-small", "transformer-small")}
    (place / "profile.json").write_text(json.dumps(rows))
    assert list(kernel_costs.profiled()) == ["transformer-small", "lstm-small", "another"]
    assert kernel_costs.profiled("cuda") == {}


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"one": {}}', '{"one": {"ms": {"products": 1}}}',
        json.dumps({"one": row(products=0, fused=0, optimizer=0, between=-1)}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line_that_says_what_to_do(place: Path, text: str) -> None:
    (place / "profile.json").write_text(text)
    with pytest.raises(RequestError, match=r"^profile\.json is damaged.*kernels\.py"):
        kernel_costs.profiled()


def test_bars_are_shares_of_the_step_and_noise_below_zero_is_none() -> None:
    found = {"upper": row(), "second": row(between=-0.5)}
    axes = kernel_costs.shares(found).axes[0]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars[:4] == [(0, 25), (25, 50), (75, 12.5), (87.5, 12.5)]
    assert [width for _, width in bars[4:]] == pytest.approx([100 / 3.5, 200 / 3.5, 50 / 3.5, 0])
    assert [text.get_text() for text in axes.texts] == ["4.00 ms", "3.00 ms"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["upper", "second"]


def test_the_table_has_every_part_and_says_where_it_was_measured() -> None:
    table, said = kernel_costs.table({"upper": row(), "second": row(between=-0.25)}).split("\n\n")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]
    assert rows == [
        ["upper", "4.00", "1.00", "2.00", "0.500", "0.500"],
        ["second", "3.25", "1.00", "2.00", "0.500", "–0.250"],
    ]
    assert said.startswith("Measured on: Abacus, 3 cores, of which 1 used; python 3.12.1")


@pytest.mark.parametrize(("device", "command"), [("cpu", "kernels.py`"), ("cuda", "--device cuda")])
def test_what_was_not_measured_is_said(device: str, command: str) -> None:
    said = kernel_costs.table({}, device)
    assert "unmeasured" in said and command in said
    (text,) = kernel_costs.shares({}).axes[0].texts
    assert text.get_text() == "not measured yet"
