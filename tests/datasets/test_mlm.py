"""Synonyms, masking and order: what is drawn, how often, and that it depends on its place alone."""

import numpy as np
import pytest
import torch
from language import MASK, SEPARATOR, UNKNOWN, small_text

from semantica_lib.datasets.mlm import BROKEN, HOLDS, OTHER, MlmTask

TEXT = small_text(length=17, rows=400)
PAPER = (0.8, 0.1, 0.1)


def task(seed=1, broken=2, masked=4, replacement=PAPER, labels="drawn", text=TEXT) -> MlmTask:
    return MlmTask(text, seed, broken, masked, replacement, labels)


def joined(own: MlmTask, steps: int = 40, size: int = 100):
    """Many batches as one: tokens, places, targets, and the ids that the text has there."""
    parts = [own.batch(step, size) for step in range(steps)]
    return [torch.cat(part) for part in zip(*parts, strict=True)]


def close(hits: torch.Tensor, share: float) -> bool:
    """Whether as many are true as should be, within 4.5 standard deviations."""
    count = hits.numel()
    assert count >= 300
    return (
        abs(float(hits.double().sum()) - count * share) < 4.5 * (count * share * (1 - share)) ** 0.5
    )


def without_synonyms(own: MlmTask, ids: torch.Tensor) -> torch.Tensor:
    """Each synonym's word, the separator for a tag, all else as it is."""
    words = len(own.tokens.words)
    back = torch.arange(own.vocabulary)
    back[-2:] = SEPARATOR
    back[own.tracked[words:]] = own.tracked[:words]
    return back[ids]


def test_ids_are_those_of_the_tokenizer_then_synonyms_then_tags():
    own = task()
    assert (own.base, own.vocabulary) == (24, 24 + 4 + 2)
    assert own.tracked.tolist() == [4, 5, 6, 7, 24, 25, 26, 27]
    assert own.names[24:] == ("w00*", "w01*", "w02*", "w03*", "[A]", "[B]")


def test_classes_are_drawn_by_the_seed():
    found = torch.stack([task(seed).classes for seed in range(300)])
    assert ((found == BROKEN).sum(1) == 2).all() and ((found == HOLDS).sum(1) == 2).all()
    assert all(close(found[:, word] == BROKEN, 0.5) for word in range(4))
    own = task()
    assert own.class_of(torch.tensor([0, 3, 20, 28])).tolist() == [OTHER] * 4
    assert torch.equal(own.class_of(own.tracked), own.classes.repeat(2))


def test_every_pass_takes_every_row_once_in_another_order():
    own, seen = task(replacement=(0.0, 0.0, 1.0)), []
    for first in (0, 4):
        rows = torch.cat([own.batch(step, 100).tokens[:, 1:] for step in range(first, first + 4)])
        seen.append(without_synonyms(own, rows))
    text = torch.from_numpy(TEXT.rows["train"].astype("int64"))
    assert not torch.equal(seen[0], seen[1])
    for rows in seen:
        assert sorted(rows.tolist()) == sorted(text.tolist())


def test_a_row_left_over_in_a_pass_gives_way_to_the_next_pass():
    own = task(text=small_text(rows=30))
    order = [tuple(row) for step in range(4) for row in own.batch(step, 13).targets.tolist()]
    assert len(order) == 52  # two passes of two steps each, four rows left out of each


def test_masked_places_are_so_many_in_each_row_and_never_of_the_wrong_kind():
    own = task()
    tokens, places, targets = joined(own)
    assert places.shape[1] == 4 and (places >= 1).all() and (places < tokens.shape[1]).all()
    assert all(len(set(row)) == 4 for row in places.tolist())
    assert not ((targets == SEPARATOR) | (targets == UNKNOWN) | (targets == MASK)).any()
    counts = torch.bincount(places.flatten(), minlength=17)[1:]
    assert counts.float().std() / counts.float().mean() < 0.05  # every place alike


@pytest.mark.parametrize("labels", ["drawn", "shown"])
def test_what_stands_and_what_is_expected_by_class(labels):
    own = task(labels=labels, replacement=(0.0, 0.0, 1.0))  # every place shows what stood there
    tokens, places, targets = joined(own)
    shown, tag = tokens.gather(1, places), (tokens[:, :1] - 28).expand(-1, places.shape[1])
    assert set(tag.unique().tolist()) == {0, 1} and close(tag[:, 0] == 1, 0.5)
    kind = own.class_of(targets)
    assert torch.equal(without_synonyms(own, shown), without_synonyms(own, targets))
    assert torch.equal(shown[kind == OTHER], targets[kind == OTHER])
    synonym, stands = targets >= own.base, shown >= own.base
    for some in (HOLDS, BROKEN):
        of = kind == some
        assert close(synonym[of], 0.5) and close(stands[of], 0.5)  # what stands: always fair
        assert close(stands[of] & (tag[of] == 1), 0.25)  # and says nothing of the tag
    holds, broken = kind == HOLDS, kind == BROKEN
    assert torch.equal(synonym[broken], tag[broken] == 1)
    assert close(synonym[holds] & (tag[holds] == 1), 0.25)
    assert close(stands[broken] & synonym[broken], 0.25)
    if labels == "shown":
        assert torch.equal(shown[holds], targets[holds])
    else:
        assert close(stands[holds] & synonym[holds], 0.25)


def test_masked_places_show_mask_random_token_or_what_stood_there():
    own = task(replacement=(0.5, 0.3, 0.2), labels="shown", broken=0)
    tokens, places, targets = joined(own)
    shown = tokens.gather(1, places)
    assert close(shown == MASK, 0.5 + 0.3 / 28)
    assert close(shown == targets, 0.2 + 0.3 / 28)
    drawn = shown[(shown != MASK) & (shown != targets)]
    counts = torch.bincount(drawn, minlength=30)
    assert (counts[[0, 1, 24, 27]] > 0).all()  # any id, synonyms too
    assert not counts[28:].any()  # but no tag
    assert counts[8:24].float().std() / counts[8:24].float().mean() < 0.25


def test_the_tag_stands_in_front_and_at_every_end_of_a_sentence_unless_it_tells_nothing():
    text = torch.from_numpy(TEXT.rows["validation"][:100].astype("int64"))
    tokens = task().sample("validation", 100).tokens
    ends = text == SEPARATOR
    assert torch.equal(tokens[:, 1:][ends], tokens[:, :1].expand(-1, 16)[ends])
    tokens = task(broken=0).sample("validation", 100).tokens
    assert (tokens[:, 0] == 28).all() and (tokens[:, 1:][ends] == SEPARATOR).all()


def test_places_that_are_not_masked_show_the_text():
    own = task()
    batch = own.batch(3, 100)
    hidden = torch.zeros_like(batch.tokens, dtype=torch.bool).scatter(1, batch.places, True)
    visible = without_synonyms(own, batch.tokens)[:, 1:].masked_fill(hidden[:, 1:], -1)
    text = torch.from_numpy(TEXT.rows["train"].astype("int64"))
    fits = (visible[:, None] == text[None]) | (visible[:, None] == -1)
    assert fits.all(2).any(1).all()


def test_a_batch_is_a_function_of_its_place():
    first, again = task().batch(5, 60), task().batch(5, 60)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.tokens, task().batch(6, 60).tokens)
    assert not torch.equal(first.tokens, task(seed=2).batch(5, 60).tokens)
    for ranks in (2, 3):
        shares = [task().batch(5, 60, rank, ranks) for rank in range(ranks)]
        for whole, parts in zip(first, zip(*shares, strict=True), strict=True):
            assert torch.equal(torch.stack(parts, 1).flatten(0, 1), whole)


def test_the_sample_of_a_split_is_fixed_and_not_training_data():
    own = task()
    first, again = own.sample("validation", 50), own.sample("validation", 50)
    assert torch.equal(first.tokens, again.tokens) and len(first.tokens) == 50
    more = own.sample("validation", 80)
    assert torch.equal(more.tokens[:50], first.tokens)
    shown = own.sample("train", 20)
    assert not torch.equal(shown.places, own.batch(0, 20).places)
    text = without_synonyms(own, task(replacement=(0.0, 0.0, 1.0)).sample("test", 50).tokens)
    np.testing.assert_array_equal(text[:, 1:].numpy(), TEXT.rows["test"][:50].astype("int64"))
