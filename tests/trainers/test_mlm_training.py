"""Training of a language model against plain PyTorch, counting by hand, and itself resumed."""

import math

import numpy as np
import pytest
import torch
from language import small_text
from torch.nn import functional

from semantica_lib.datasets.mlm import BROKEN, HOLDS
from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.settings.catalogue import settings
from semantica_lib.store.checkpoint import load_checkpoint, save_checkpoint
from semantica_lib.trainers import mlm, reporting
from semantica_lib.trainers.schedule import warmed_cosine

TEXT = small_text()
OWN = settings({
    "corpus": "grammar", "length": 9, "batch_size": 30, "synonyms": 2, "broken_synonyms": 2,
    "masked_share": 0.25, "layers": 1, "embedding_size": 8, "heads": 2, "feedforward_size": 16,
    "steps": 12, "record_every": 4, "validate_every": 6, "warmup_steps": 5, "schedule_period": 24,
})  # fmt: skip


def trial(tied=False, seed=7, own=OWN) -> mlm.Trial:
    return mlm.Trial(own, TEXT, seed, "tied" if tied else "untied", "cpu")


def trained(tied=False, steps=12, start=None, going_on=lambda step: True, own=OWN):
    kept = {}
    reached = mlm.train(trial(tied, own=own), steps, start, kept.update, going_on)
    return kept, reached


def test_the_rate_rises_then_falls_as_torchs_schedules_do():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], OWN.learning_rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12, OWN.learning_rate_min)
    for step in range(30):
        expected = optimizer.param_groups[0]["lr"] * min(1, (step + 1) / 5)
        got = float(warmed_cosine(OWN, torch.tensor(step)))
        assert math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-12)
        optimizer.step()
        cosine.step()


@pytest.mark.parametrize("tied", [True, False])
def test_training_is_that_of_plain_pytorch(tied):
    """All positions scored, the masked ones picked afterwards; torch's own optimizer."""
    kept, reached = trained(tied)
    assert reached and int(kept["step"]) == 12
    torch.manual_seed(7)
    model = MaskedLanguageModel(OWN, 30, tied)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, eps=1e-8)
    task = mlm.mlm_task(OWN, TEXT, 7)
    for step in range(12):
        optimizer.param_groups[0]["lr"] = float(warmed_cosine(OWN, torch.tensor(step)))
        tokens, places, targets = task.batch(step, 30)
        everywhere = torch.arange(9).expand(len(tokens), -1)
        labels = torch.full(tokens.shape, -100).scatter(1, places, targets)
        loss = functional.cross_entropy(model(tokens, everywhere).flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        got, expected = kept[f"model.{name}"], parameter.detach()
        if name.endswith("in_proj_bias"):  # the keys' part has no gradient but for rounding
            got, expected = (torch.cat([one[:8], one[16:]]) for one in (got, expected))
        torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)


def test_stopped_and_resumed_is_bit_for_bit_the_straight_run(monkeypatch, tmp_path):
    monkeypatch.setattr(reporting, "TELL_SECONDS", -1)
    straight, _ = trained()
    for stop_at in (1, 4, 11):
        stopped, reached = trained(going_on=lambda step, stop_at=stop_at: step < stop_at)
        assert not reached and int(stopped["step"]) == stop_at
        save_checkpoint(tmp_path / "one", stopped, {})
        resumed, reached = trained(start=load_checkpoint(tmp_path / "one")[0])
        assert reached and resumed.keys() == straight.keys()
        for name in straight:
            assert torch.equal(resumed[name], straight[name]), name


def test_what_is_recorded_and_when():
    kept, _ = trained(tied=True)
    assert kept["record_steps"].tolist() == [0, 4, 8, 12]
    assert kept["measured_steps"].tolist() == [0, 6, 12]
    assert kept["tables"].shape == (4, 1, 2, 8, 8)  # (record, trial, table, word, feature)
    assert torch.equal(kept["tables"][:, :, 0], kept["tables"][:, :, 1])  # tied
    rows = [4, 5, 6, 7, 24, 25, 26, 27]
    assert torch.equal(kept["tables"][-1, 0, 0], kept["model.input_embedding.weight"][rows])
    untied, _ = trained()
    assert torch.equal(kept["tables"][0, 0, 0], untied["tables"][0, 0, 0])
    assert torch.equal(untied["tables"][-1, 0, 1], untied["model.output_embedding.weight"][rows])
    assert kept["measured"].shape == (3, len(mlm.SPLITS), 2, 1)


def test_measurements_are_means_over_the_places_of_a_split():
    one = trial()
    measured = one.measure()[..., 0].numpy()
    task = one.task
    for number, split in enumerate(("train", "validation", "test")):
        batch = task.sample(split, 1024)
        logits = one.model(batch.tokens, batch.places).detach().double().numpy()
        targets = batch.targets.numpy()
        chosen = np.take_along_axis(logits, targets[..., None], 2)[..., 0]
        losses = np.log(np.exp(logits).sum(2)) - chosen
        right = logits.argmax(2) == targets
        np.testing.assert_allclose(measured[number], [right.mean(), losses.mean()], rtol=1e-6)
        if split == "validation":
            kinds = task.class_of(batch.targets).numpy()
            for place, kind in ((3, HOLDS), (4, BROKEN)):
                wanted = [right[kinds == kind].mean(), losses[kinds == kind].mean()]
                np.testing.assert_allclose(measured[place], wanted, rtol=1e-6)


def test_the_unigram_baseline_by_counting():
    task = mlm.mlm_task(OWN, TEXT, 7)
    counts = {row: 1.0 for row in range(30)}
    for row in TEXT.rows["train"].ravel().tolist():
        if row in (4, 5, 6, 7):
            counts[row] += 0.5
            counts[row + 20] += 0.5
        else:
            counts[row] += 1
    # a word's single extra count is shared with its synonym, too
    counts = {
        row: n - 0.5 if row in (4, 5, 6, 7, 24, 25, 26, 27) else n for row, n in counts.items()
    }
    targets = task.sample("validation", 1024).targets.flatten().tolist()
    whole = sum(counts.values())
    found = mlm.unigram(task)
    losses = [-math.log(counts[row] / whole) for row in targets]
    assert math.isclose(found["loss"], sum(losses) / len(losses), rel_tol=1e-9)
    best = max(counts, key=counts.get)
    assert math.isclose(found["accuracy"], targets.count(best) / len(targets))


def test_a_model_learns_more_than_frequencies():
    """Of a text in which each token tells the next."""
    rng = np.random.default_rng(0)
    start = rng.integers(20, size=(600, 1))
    rows = ((start + np.arange(8)) % 20 + 4).astype(np.uint16)
    text = small_text()
    text = type(text)(**{**vars(text), "rows": {name: rows for name in text.rows},
                         "counts": np.bincount(rows.ravel(), minlength=24)})  # fmt: skip
    own = settings({**OWN.model_dump(), "steps": 250, "learning_rate": 1e-2, "embedding_size": 16,
                    "schedule_period": 500, "validate_every": 250, "batch_size": 60})  # fmt: skip
    one = mlm.Trial(own, text, 1, "untied", "cpu")
    mlm.train(one, 250, None, lambda tensors: None)
    assert float(one.measure()[1, 1, 0]) < mlm.unigram(one.task)["loss"] / 2
