"""Weights: what is read back computes what was measured, and loads into PyTorch's own modules."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from stored import train_here
from torch import nn

from semantica_lib.analysis.distances import tie_of
from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.store import results
from semantica_lib.store.weights import weights

OWN = settings(
    {
        "experiment": "small", "bits": 3, "steps": 12, "seeds": [1, 2], "record_every": 4,
        "validate_every": 2, "keep_every": 4, "keep_best": True, "learning_rate": 0.05,
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTICA_RESULTS", str(path))
        train_here(patch)
        run(OWN)
    return path


@pytest.fixture(autouse=True)
def _own_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(place))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("at", ["last", "best", 4])
def test_a_plain_model_with_the_weights_has_the_loss_that_was_measured(
    plain_model: type[nn.Module], masked_writings, tied: bool, at: int | str
) -> None:
    result, task = results.load(results.folder(results.here(), OWN)), xor_task(OWN)
    rows = result.metrics[(result.metrics.tied == tied) & (result.metrics.seed == 2)]
    by_step = rows[rows.split == "validation"].set_index("step").loss
    step = {"last": 12, "best": by_step.idxmin()}.get(at, at)
    model = plain_model(OWN, task.vocabulary, tied)
    model.load_state_dict(weights(OWN, 2, tie_of(tied), at))
    columns = zip(*masked_writings(task, "validation"), strict=True)
    tokens, target, probability = (torch.from_numpy(np.array(column)) for column in columns)
    with torch.no_grad():
        logits = model.logits(tokens)[tokens == task.mask]
    loss = nn.functional.cross_entropy(logits, target, reduction="none").double()
    assert (probability * loss).sum().item() == pytest.approx(by_step[step], rel=1e-5)


def test_weights_that_were_not_kept_are_told_with_those_that_were() -> None:
    with pytest.raises(RequestError, match=r"not kept at 5 \(kept: 'last' \(step 12\), 'best', 0,"):
        weights(OWN, 2, "tied", 5)
    with pytest.raises(RequestError, match=r"seed 3 of small here; `semantica train small --set"):
        weights(OWN, 3, "tied")


@pytest.mark.usefixtures("in_process")
def test_the_books_example_runs() -> None:
    """The code block of the page on one's own experiment, on a short run."""
    run(find("three-synonyms", [("steps", 4), ("seeds", [42]), ("keep_best", True)]))
    notebook = nbformat.read(ROOT / "notebooks" / "own.ipynb", as_version=4)
    (code,) = [
        block
        for cell in notebook.cells
        for block in re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL)
    ]
    names: dict = {}
    exec(code, names)
    assert names["scores"].shape == (8,) and names["scores"].isfinite().all()
