"""How two symbols are used, against an enumeration of all writings in plain PyTorch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from stored import train_here
from torch import Tensor, nn

from semantica_lib.analysis.distances import tie_of
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import settings
from semantica_lib.settings.xor import Settings
from semantica_lib.store import results
from semantica_lib.store.contents import thinned
from semantica_lib.store.weights import weights

SMALL = {
    "bits": 3, "steps": 12, "seeds": [1, 2], "record_every": 4, "validate_every": 4,
    "keep_every": 4, "learning_rate": 0.1, "schedule_period": 4, "device": "cpu",
}  # fmt: skip
OWN = {
    "constant": settings(SMALL | {"experiment": "constant"}),
    "turning": settings(SMALL | {"experiment": "turning", "odds": "turning"}),
    "never": settings(SMALL | {"experiment": "never", "zero_dst": [1, 0]}),
}
SWAPS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTICA_RESULTS", str(tmp_path_factory.mktemp("runs")))
        train_here(patch)
        for own in OWN.values():
            run(own)
        yield


def result_of(own: Settings) -> results.Result:
    return results.load(results.folder(results.here(), own))


def one_way(
    model: nn.Module, task: XorTask, writings: list[tuple[list[int], int, float]], a: int, b: int
) -> tuple[float, float]:
    """Divergence and curvature from a to b, each occurrence of a in each writing one by one.

    A writing's other symbols and its parity are the context; all writings with that context say
    how probable each target is in it, in whatever order they stand.
    """
    joint: dict[tuple[int, ...], Tensor] = {}
    for tokens, target, probability in writings:
        joint.setdefault(tuple(sorted(tokens)), torch.zeros(7).double())[target] += probability
    table = model.input_embedding.weight.detach()
    kinds = [table[a], (table[a] + table[b]) / 2, table[b]]
    apart, curved, whole = 0.0, 0.0, 0.0
    for tokens, _, probability in writings:
        for place in [place for place, symbol in enumerate(tokens) if symbol == a]:
            vectors = table[tokens].repeat(3, 1, 1)
            vectors[:, place] = torch.stack(kinds)
            hidden = model.encoder(vectors)[:, tokens.index(task.mask)]
            log = (hidden @ model.output_embedding.weight.T).double().log_softmax(1)
            share = joint[tuple(sorted(tokens))]
            loss = -(log @ (share / share.sum()))
            apart += probability * float((log[0].exp() * (log[0] - log[2])).sum())
            curved += probability * float(loss[0] - 2 * loss[1] + loss[2])
            whole += probability
    return apart / whole, curved / whole


@pytest.mark.parametrize(("name", "tied"), [("constant", True), ("turning", False)])
def test_uses_are_those_of_an_enumeration(plain_model, masked_writings, name, tied) -> None:
    own = OWN[name]
    result, task = result_of(own), xor_task(own)
    trial = [*zip(result.seed.tolist(), result.tie.tolist(), strict=True)].index((2, tie_of(tied)))
    model = plain_model(own, task.vocabulary, tied)
    model.load_state_dict(weights(own, 2, tie_of(tied), 8))
    writings = [one for one in masked_writings(task, "exact") if one[2]]
    with torch.no_grad():
        for swap, (a, b) in enumerate(SWAPS):
            ways = [one_way(model, task, writings, *pair) for pair in ((a, b), (b, a))]
            found = result.uses[trial, result.use_steps.tolist().index(8), swap]
            np.testing.assert_allclose(found, np.mean(ways, 0), rtol=2e-3, atol=2e-5)


def test_a_symbol_that_never_occurs_has_no_uses() -> None:
    result = result_of(OWN["never"])
    assert result.uses.shape == (4, 4, 6, 2) and result.use_steps.tolist() == [0, 4, 8, 12]
    never = [1 in pair for pair in SWAPS]
    assert np.isnan(result.uses[:, :, never]).all()
    assert np.isfinite(result.uses[:, :, np.logical_not(never)]).all()


def test_none_are_stored_where_no_weights_are_kept_or_order_is_seen() -> None:
    few = {"steps": 4, "seeds": [1], "ties": ["tied"]}
    for changes in ({"keep_every": None}, {"architecture": "mixer", "experiment": "mixer"}):
        result = run(settings(SMALL | {"experiment": "none"} | few | changes))
        assert result.uses is None and result.use_steps is None


def test_uses_are_thinned_with_the_records_and_chosen_by_seed() -> None:
    result = result_of(OWN["constant"])
    found = thinned(results.contents_of(result.folder), 2).arrays
    assert found["use_steps"].tolist() == [0, 8, 12]
    np.testing.assert_array_equal(found["uses"], result.uses[:, [0, 2, 3]])
    assert result.of_seeds([2]).uses.shape == (2, 4, 6, 2)


def test_a_result_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    one = results.contents_of(result_of(OWN["constant"]).folder)
    old = {name: array for name, array in one.arrays.items() if not name.startswith("use")}
    results.write(tmp_path / "constant", one.manifest, old, one.metrics)
    assert results.load(tmp_path / "constant").uses is None
