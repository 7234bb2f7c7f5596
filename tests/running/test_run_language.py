"""Runs of a language model on one's own text: what is stored, and what is refused."""

import numpy as np
import pytest
import torch
from language import OWN, WORDS, written

from semantica_lib.cli import main
from semantica_lib.errors import RequestError
from semantica_lib.models import ties as ties_
from semantica_lib.running.plan import check
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)


def test_a_result_names_words_classes_and_neighbours_and_belongs_to_its_text(tmp_path):
    own = written(tmp_path / "text.txt")
    result = run(own)
    assert result.steps.tolist() == [0, 2, 4] and result.held == {(5, "tied"), (5, "untied")}
    words = result.words.tolist()
    assert words[3:] == [f"{word}*" for word in words[:3]] and set(words[:3]) <= set(WORDS)
    assert result.holds.shape == (2, 3) and result.holds.sum(1).tolist() == [2, 2]
    assert np.array_equal(result.holds[0], result.holds[1])  # a seed's classes, tied and untied
    assert set(result.metrics.split) == {
        "train", "validation", "test", "validation-holds", "validation-broken"
    }  # fmt: skip
    assert set(result.manifest["unigram"]) == {"5"}
    assert result.manifest["text"]["corpus"] == own.corpus

    for path in (result.folder / "checkpoints").glob("*.safetensors"):  # neighbours by hand
        tensors = load_checkpoint(path)[0]
        trial = int(np.flatnonzero(result.tied == path.name.startswith("tied"))[0])
        first = tensors["model.input_embedding.weight"]
        both = first, tensors.get("model.output_embedding.weight", first)
        stored = result.input_embedding[trial, -1], result.output_embedding[trial, -1]
        for rows, tracked, near in zip(both, stored, result.neighbours[trial], strict=True):
            unit = rows.double() / rows.double().norm(dim=1, keepdim=True)
            places = [rows.tolist().index(row) for row in tracked.tolist()]  # the words' own rows
            for place, names in zip(places, near.tolist(), strict=True):
                cosine = (unit @ unit[place]).tolist()
                order = sorted(set(range(len(rows))) - {place}, key=lambda r: -cosine[r])
                for rank, row in enumerate(order[:5]):
                    if row in places:
                        assert names[rank] == words[places.index(row)]
                    else:
                        assert names[rank] not in words

    assert run(own).manifest == result.manifest  # finished: not trained again
    written(tmp_path / "text.txt", seed=1)
    more = settings(own.model_dump() | {"steps": 6})
    with pytest.raises(RequestError, match="was trained on another text or tokenizer"):
        run(more)
    with pytest.raises(RequestError, match="was trained on another text or tokenizer"):
        check(more)
    assert results.load(result.folder).manifest == result.manifest
    assert run(more, fresh=True).manifest["steps_done"] == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no file or folder"),
        (b"caf\xe9", "is not UTF-8"),
        (b"the of and to in that it for with as. " * 40, "3 words are needed for synonyms, and"),
    ],
)
def test_a_text_that_does_not_serve_is_refused_in_a_line(text, words, tmp_path, capsys):
    if text is not None:
        (tmp_path / "text.txt").write_bytes(text)
    changes = OWN | {"corpus": f"text:{tmp_path / 'text.txt'}"}
    changes.pop("experiment")
    options = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    for command in ("train", "run"):
        assert main([command, "mlm", *options]) == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert told.startswith("semantica: error: ") and words in told


def test_a_language_models_trials_can_be_tied_in_other_ways(tmp_path):
    """Tables and neighbours are those that are used, not parameters; a resumed run is the same."""
    ties = ("untied", "pseudo-inverse", "soft:0.1", "lookup:3")
    own = written(tmp_path / "text.txt").model_copy(update={"ties": ties})
    run(own.model_copy(update={"steps": 2}))
    result = run(own)
    assert result.tie.tolist() == ["untied", "lookup:3", "pseudo-inverse", "soft:0.1"]
    assert result.tied.tolist() == [False, True, False, False] and result.covers(own)
    straight = run(own.model_copy(update={"experiment": "straight"}))
    np.testing.assert_array_equal(result.output_embedding, straight.output_embedding)
    np.testing.assert_array_equal(result.input_embedding[1], result.output_embedding[1])
    (path,) = (result.folder / "checkpoints").glob("pseudo-inverse-*")
    tensors = load_checkpoint(path)[0]
    own_ = {name.removeprefix("model."): x for name, x in tensors.items() if "model." in name}
    first, second = ties_.tables("pseudo-inverse", own_, 0)
    torch.testing.assert_close(torch.linalg.pinv(first).mT, second, rtol=1e-4, atol=1e-5)
    for table, stored in ((first, result.input_embedding), (second, result.output_embedding)):
        rows = table.tolist()
        assert all(row in rows for row in stored[2, -1].tolist())
    assert set(result.neighbours[2].ravel()) != set(result.neighbours[0].ravel())
