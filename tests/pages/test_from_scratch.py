"""The hundred lines of plain PyTorch train as the library does, from the same start and draws."""

import ast
import shutil
from typing import Any

import nbformat
import pytest
import torch

from semantica_lib.datasets.xor import xor_task
from semantica_lib.files import ROOT
from semantica_lib.models import encoders
from semantica_lib.settings.catalogue import find
from semantica_lib.trainers import building
from semantica_lib.trainers.kernel import Kernel
from semantica_lib.trainers.stacked import Stack

STEPS, SEED = 1_000, 43
HOUSE = {"only", "library", "published"}  # the cells that are no part of the lesson
MADE = {"imports", "task", "weights", "encoder", "loss", "step"}  # which say how, and train nothing


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    notebook = nbformat.read(ROOT / "notebooks" / "from-scratch.ipynb", as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture
def made(sources: dict[str, str]) -> dict[str, Any]:
    """What the cells of the lesson define."""
    names: dict[str, Any] = {"steps": STEPS, "seed": SEED}
    for name, source in sources.items():
        if name in MADE:
            exec(source, names)
    return names


def test_the_lesson_is_short_and_uses_nothing_of_the_library(sources: dict[str, str]) -> None:
    lesson = "\n".join(source for name, source in sources.items() if name not in HOUSE)
    nodes = list(ast.walk(ast.parse(lesson)))
    froms = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    plain = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    assert froms | plain == {
        "math", "os", "random", "matplotlib.pyplot", "torch", "torch.nn.functional",
    }  # fmt: skip
    assert sum(bool(line.strip()) for line in lesson.splitlines()) <= 115


def caption(figure: str) -> str:
    notebook = nbformat.read(ROOT / "notebooks" / "from-scratch.ipynb", as_version=4)
    about = (cell.metadata.get("mystnb", {}).get("figure", {}) for cell in notebook.cells)
    (found,) = [one["caption"] for one in about if one.get("name") == f"fig-{figure}"]
    return found


@pytest.mark.skipif(not any(map(shutil.which, building.COMPILERS)), reason="no C++ compiler")
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_thousand_steps_are_the_library_s_to_four_digits(
    made: dict[str, Any], tied: bool
) -> None:
    stack = Stack(find("transformer-small"), [SEED], tied)
    state, losses, drawn, kernel = stack.initial(), [], [], Kernel(stack)
    for _ in range(STEPS):
        batch = stack.batch(state, stack.traits)
        drawn.append((batch.tokens[0].T, batch.target[0]))
        state, loss = kernel.advance(state, 1)
        losses.append(loss.item())
    drew = encoders.initial(stack.settings, stack.task.vocabulary, SEED)
    start = {
        name.removeprefix("encoder.layers.0.").removesuffix("_embedding.weight"): value
        for name, value in drew.items()
    }
    ours, tables = made["train"](start, iter(drawn), tied, STEPS)
    torch.testing.assert_close(ours, torch.tensor(losses), rtol=5e-5, atol=0)
    theirs = torch.cat(stack.tables(state))
    torch.testing.assert_close(tables[-1], theirs, rtol=5e-5, atol=5e-5)
    assert (tables[-1] - tables[0]).abs().min() > 0  # it has moved
    assert "In the first steps, which the book trains, nothing has merged" in caption(
        "from-scratch"
    )
    for one, other in ((0, 1), (2, 3)):
        apart = (tables[:, :, one] - tables[:, :, other]).norm(dim=-1)
        assert (apart[-1] / apart[0] > 0.5).all() and (apart[-1] / apart[0] < 1.5).all()


def test_its_own_start_is_the_library_s_and_its_draws_have_the_odds(made: dict[str, Any]) -> None:
    own = find("transformer-small")
    task = xor_task(own)
    theirs = encoders.initial(own, task.vocabulary, SEED)
    mine = made["initial_weights"](SEED)
    for (name, value), other in zip(theirs.items(), mine.values(), strict=True):
        assert torch.equal(value, other), name
    assert torch.equal(made["STRINGS"], task.splits["train"])
    draws, counts, places = made["batches"](SEED), torch.zeros(7), torch.zeros(7)
    for _ in range(300):
        tokens, target = next(draws)
        assert ((tokens[:, :-1] == 6).sum(1) == 1).all()
        hidden, bits = tokens[:, :-1] == 6, tokens[:, :-1] // 2
        bits[hidden] = target // 2
        assert torch.equal(bits, made["STRINGS"])
        assert torch.equal(tokens[:, -1] - 4, bits.sum(1) % 2)
        counts += torch.bincount(target, minlength=7)
        places += hidden.sum(0)
    shares = counts[:4].unflatten(0, (2, 2)) / counts[:4].unflatten(0, (2, 2)).sum(1, keepdim=True)
    expected = torch.tensor([task.zero_dst, task.one_dst])
    torch.testing.assert_close(shares, expected, atol=0.015, rtol=0)
    torch.testing.assert_close(places / places.sum(), torch.full((7,), 1 / 7), atol=0.01, rtol=0)
