"""The notebooks are clean, and their parameters are the settings' defaults."""

import ast
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import yaml

from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.analysis.distances import Trials, end_of
from semantica_lib.analysis.theory import paper_predictions
from semantica_lib.datasets.xor import xor_task
from semantica_lib.files import ROOT
from semantica_lib.pages import book, notebooks
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import CATALOGUE, catalogue, experiments, find, settings
from semantica_lib.settings.language import MlmSettings
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.building import COMPILERS

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCREEN = 25  # lines


@cache  # many tests look at each, and none changes it
def read(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / name, as_version=4)


def cells(name: str, kind: str = "code") -> list[Any]:
    return [cell for cell in read(name).cells if cell.cell_type == kind]


def parameters(name: str) -> dict[str, Any]:
    """Names and values of the cell that papermill takes for the parameters."""
    (cell,) = [cell for cell in cells(name) if "parameters" in cell.metadata.get("tags", [])]
    return {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(cell.source).body
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_have_no_outputs_stable_ids_and_short_cells(path: Any) -> None:
    notebook = read(path.name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in cells(path.name):
        assert cell.outputs == []
        assert cell.execution_count is None
        listing = "parameters" in cell.metadata.get("tags", [])
        assert listing or len(cell.source.splitlines()) <= SCREEN


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_cell_after_the_parameters_refuses_unknown_names(path: Any) -> None:
    first, second, *_ = cells(path.name)
    takes_some = "parameters" in first.metadata.get("tags", [])
    known = parameters(path.name) if takes_some else {}
    check = second if takes_some else first
    exec(check.source, dict(known))
    with pytest.raises(ValueError, match=r"unknown (setting|parameter) 'stepps'"):
        exec(check.source, known | {"stepps": 1})


def test_figures_have_captions_and_words_for_who_cannot_see_them() -> None:
    for path in NOTEBOOKS:
        draws = "show(", "plt.show(", "turned("
        last = {cell.id: cell.source.rstrip().split("\n")[-1] for cell in cells(path.name)}
        figures = [cell for cell in cells(path.name) if last[cell.id].startswith(draws)]
        # the one proves, and has tables only; the other is a figure that draws itself
        assert figures or path.name in ("theory.ipynb", "explore.ipynb")
        for cell in figures:
            assert cell.metadata.mystnb.figure.caption
            assert cell.metadata.mystnb.image.alt


@pytest.mark.parametrize(
    ("notebook", "main", "kind"),
    [("xor.ipynb", "transformer-small", Settings), ("mlm.ipynb", "mlm", MlmSettings)],
)
def test_the_experiments_notebook_lists_every_setting_with_its_default(
    notebook: str, main: str, kind: Any
) -> None:
    first = find(main)
    expected = kind(experiment=first.experiment, question=first.question)
    listed = parameters(notebook)
    assert list(listed) == list(kind.model_fields)
    assert settings(listed) == expected


SAVED = [  # what somebody tried and saved in a notebook's first cell
    {"weight_decay": 0.0, "steps": 7, "seeds": [1], "keep_every": 3, "device": "cuda:3"},
    {"architecture": "lstm", "hidden_size": 3, "heads": 2, "untie_at": 5, "batch_size": 4},
    {"profile": "paper", "labels": "shown", "vocabulary_size": 99, "data_seed": 3},
]


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("name", catalogue())
def test_every_setting_is_injected_whatever_the_notebook_s_cell_says(name: str, saved: Any) -> None:
    own = find(name)
    injected = notebooks.parameters_of(own)
    known = type(own).model_fields
    cell = parameters(notebooks.source_of(own).name)
    cell |= {key: value for key, value in saved.items() if key in known}
    assert settings(cell | injected) == own
    assert injected.keys() == known.keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_the_other_notebooks_are_injected_is_what_their_cells_say(path: Any) -> None:
    first, *_ = cells(path.name)
    takes_some = "parameters" in first.metadata.get("tags", [])
    if path.name not in ("xor.ipynb", "mlm.ipynb"):  # injected by experiment
        listed = parameters(path.name) if takes_some else {}
        assert notebooks.PARAMETERS.get(path.stem, {}) == listed


def test_the_pages_of_sweeps_are_injected_all_their_parameters(tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("base: transformer-small\nseeds: [1]\ngrid: [{bits: [3, 4]}]\n")
    page = notebooks.page_of(str(file), [])
    assert page.parameters == {"sweep": str(file), "x": "", "where": {}}
    assert notebooks.page_of("closing", []).parameters == {"sweep": "closing"}
    shown = {page.source.stem: page.parameters for page in book.pages()}
    assert shown["own"] == {"name": "three-synonyms"}
    assert shown["sweep"] == {"sweep": "closing", "x": "", "where": {}}


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
def test_the_lines_for_ten_seconds_show_what_merges_and_what_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: None
) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path))
    (told,) = [cell.source for cell in cells("xor.ipynb", "markdown") if cell.id == "settings-head"]
    (lines,) = re.findall(r"```python\n(.*?)```", told, re.DOTALL)
    changed: dict[str, Any] = {}
    exec(lines, {}, changed)
    assert changed["steps"] <= 100_000  # times ten trials: three seconds of a core here
    assert changed.pop("experiment") not in experiments()  # so nothing of it is taken for partial
    result = run(settings(parameters("xor.ipynb") | changed))
    stacks = result.manifest["stacks"]
    assert len(stacks) == 2 and all("kernel" in stack["engine"] for stack in stacks)
    for prediction in paper_predictions(xor_task(result.settings)):
        trials = Trials.of(result, prediction.tied, end_of(result))
        ratio, _ = trials.ratio(prediction.table, prediction.pair)
        middle = np.exp(np.log(ratio).mean())
        assert (middle < MERGE_MARGIN) == prediction.merges, (prediction, ratio)


def test_the_task_s_notebook_has_defaults_too() -> None:
    assert settings(parameters("task.ipynb")) == Settings()


def test_the_main_experiment_is_the_paper_s() -> None:
    text = (CATALOGUE / "transformer-small.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) == {"experiment", "question", "validate_every"}
    own = find("transformer-small")
    assert own.identity == {}
    row = {
        "steps": 150_000, "seeds": (42, 43, 44, 45, 46), "ties": ("tied", "untied"),
        "zero_dst": (0.1, 0.9), "one_dst": (0.5, 0.5), "bits": 7, "architecture": "transformer",
        "layers": 1, "embedding_size": 4, "heads": 1, "feedforward_size": 4, "activation": "gelu",
        "learning_rate": 5e-4, "weight_decay": 0.1, "betas": (0.9, 0.999), "eps": 1e-12,
        "schedule_period": 20_000, "learning_rate_min": 1e-5, "data_seed": 14,
    }  # fmt: skip
    assert {name: getattr(own, name) for name in row} == row


@pytest.mark.parametrize(("name", "whole"), [("lstm-small", "transformer-small"),
                                             ("mlm-grammar", "mlm")])  # fmt: skip
def test_what_is_explained_stands_on_one_page(name: str, whole: str) -> None:
    source = notebooks.source_of(find(name))
    short, full = (
        notebooks._checking(source, notebooks.parameters_of(find(one))) for one in (name, whole)
    )
    explains = [cell for cell in full.cells if "explains" in cell.metadata.get("tags", [])]
    text = "\n".join(cell.source for cell in short.cells)
    assert len(explains) > 10 and len(full.cells) - 1 == len(nbformat.read(source, 4).cells)
    for cell in explains:
        body = cell.source.partition("\n")[2] if cell.source.startswith("#") else cell.source
        assert not body or body not in text
    assert f"({whole}.ipynb)" in short.cells[0].source
    kept = {cell.id for cell in short.cells if cell.cell_type == "code"}
    tagged = {cell.id for cell in explains}
    assert kept - {"check"} == {cell.id for cell in cells(source.name)} - tagged
    for cell, behind in zip(short.cells, short.cells[1:], strict=False):
        if cell.id in tagged:  # a heading that was left has something below it
            assert behind.cell_type == "code" and cell.source.count("\n") == 0
