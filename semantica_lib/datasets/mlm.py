"""The masked-language-model task: synonyms, masking and order, each a function of where it stands.

Each chosen word gets an artificial synonym, an id of its own (Bertolotti & Cazzola 2024, the
language-model experiment). Which of the two *stands* in the text is drawn by a fair coin at each
occurrence, so the two mean the same, whatever else. Which of the two is *expected* at a masked
place depends on the word's class, drawn for each trial:

- DH holds: a fair coin again. Equally likely in every context, so conditionally equivalent;
- DH broken: the sequence's tag decides, which stands in front of it and at the end of each of its
  sentences and is never masked. Same meaning, other company (the original's "DH no" pairs are two
  different words).

So what is expected is drawn apart from what is shown. In the original the two are one, which
leaks: where a place is to be predicted but shows what stood there, one synonym points to itself,
and the two do not quite mean the same (``labels="shown"``; it concerns the first class only).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from semantica_lib.datasets.streams import SHUFFLE, TRAINING, WORD, words
from semantica_lib.datasets.tokens import Tokens

CLASSES, MEASURING = range(WORD - 2, WORD)  # streams, beside those of every task
TAG_ROWS = 2**31  # where the tags' random words begin, beyond those of all tokens of a step
OTHER, HOLDS, BROKEN = range(3)  # classes of words


class Batch(NamedTuple):
    """Sequences ``(row, token)``, the places to predict ``(row, masked)`` and what is expected."""

    tokens: Tensor
    places: Tensor
    targets: Tensor


@dataclass(frozen=True)
class MlmTask:
    """What one trial sees.

    Ids: the tokenizer's, then a synonym of each word in the words' order, then the two tags.
    """

    tokens: Tokens
    seed: int
    broken: int  # how many of the words are of the class for which DH is broken
    masked: int  # places predicted in each sequence
    replacement: tuple[float, float, float]  # shares of those: the mask, a random token, as it was
    labels: str  # drawn or shown, see above

    @property
    def base(self) -> int:
        """The first synonym's id: how many ids the tokenizer has."""
        return len(self.tokens.vocabulary)

    @property
    def vocabulary(self) -> int:
        """Rows that the embedding tables need."""
        return self.base + len(self.tokens.words) + 2

    @property
    def names(self) -> tuple[str, ...]:
        """Of all rows: the pieces, the synonyms (``the*`` is that of ``the``), the two tags."""
        synonyms = (f"{word}*" for word in self.tokens.words)
        return (*self.tokens.vocabulary, *synonyms, "[A]", "[B]")

    @property
    def tracked(self) -> Tensor:
        """Ids of the words, then of their synonyms in the same order, ``(2 word,)``."""
        own = torch.from_numpy(self.tokens.word_ids.astype("int64"))
        return torch.cat([own, self.base + torch.arange(len(own))])

    @property
    def classes(self) -> Tensor:
        """``HOLDS`` or ``BROKEN`` of each word, ``(word,)``: which ones is drawn by the seed."""
        count = len(self.tokens.words)
        order = self._words(CLASSES, 0, torch.arange(count), 1)[0].argsort(stable=True)
        classes = torch.full((count,), HOLDS)
        classes[order[: self.broken]] = BROKEN
        return classes

    def class_of(self, targets: Tensor) -> Tensor:
        """``OTHER``, ``HOLDS`` or ``BROKEN`` of each id."""
        table = torch.full((self.vocabulary,), OTHER)
        table[self.tracked] = self.classes.repeat(2)
        return table[targets]

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """A process's share of a step's training batch: every ``ranks``-th row from ``rank`` on.

        Args:
            size: rows of all processes together; ``ranks`` divides it.
        """
        rows = self.tokens.rows["train"]
        epoch, place = divmod(step, len(rows) // size)
        index = torch.arange(rank, size, ranks)
        chosen = _order(self.seed, len(rows), epoch)[place * size + index]
        return self._draw(rows[chosen.numpy()], TRAINING, step, index)

    def sample(self, split: str, count: int) -> Batch:
        """The first ``count`` rows of a split, masked in one way throughout a trial's training."""
        rows = self.tokens.rows[split][:count]
        return self._draw(rows, MEASURING, 0, torch.arange(len(rows)))

    def _draw(self, rows, stream: int, step: int, index: Tensor) -> Batch:
        """Rows of ids ``(row, token)`` as sequences, ``index`` telling the rows of a step apart."""
        tokens, words_ = self.tokens, len(self.tokens.words)
        ids = torch.from_numpy(rows.astype("int64"))
        count, length = ids.shape
        cells = (index[:, None] * length + torch.arange(length)).flatten()
        drawn = self._words(stream, step, cells, 4)
        coins, order, kind, other = (word.view(count, length) for word in drawn)
        tag = (self._words(stream, step, TAG_ROWS + index, 1)[0] & 1)[:, None]
        if not self.broken:
            tag = torch.zeros_like(tag)  # there is nothing to tell by it

        number = torch.full((self.base,), -1)
        number[self.tracked[:words_]] = torch.arange(words_)
        number = number[ids]  # of the word, -1 for all else
        synonym = self.base + number
        shown = torch.where((number >= 0) & (coins & 1 == 1), synonym, ids)
        broken = (self.classes == BROKEN)[number.clamp(min=0)]
        side = torch.where(broken, tag, coins >> (1 if self.labels == "drawn" else 0) & 1)
        expected = torch.where((number >= 0) & (side == 1), synonym, ids)

        fixed = (ids == tokens.separator) | (ids == tokens.unknown)  # never predicted
        places = order.masked_fill(fixed, WORD).argsort(dim=1, stable=True)[:, : self.masked]
        share = kind.gather(1, places).double() / WORD
        random = other.gather(1, places) % (self.base + words_)
        mask, replaced, _ = self.replacement
        visible = torch.where(share < mask + replaced, random, shown.gather(1, places))
        visible = visible.masked_fill(share < mask, tokens.mask)
        ends = self.base + words_ + tag
        shown = torch.where((ids == tokens.separator) & (self.broken > 0), ends, shown)
        sequence = torch.cat([ends, shown.scatter(1, places, visible)], 1)
        return Batch(sequence, places + 1, expected.gather(1, places))

    def _words(self, stream: int, step: int, rows: Tensor, columns: int) -> list[Tensor]:
        seeds = torch.tensor([self.seed])
        drawn = words(seeds, stream, torch.tensor(step), rows, columns)
        return [word[0] for word in drawn]


@lru_cache(maxsize=2)
def _order(seed: int, rows: int, epoch: int) -> Tensor:
    """In which order a pass takes the rows, ``(row,)``."""
    seeds = torch.tensor([seed])
    drawn = words(seeds, SHUFFLE, torch.tensor(epoch), torch.arange(rows), 1)[0][0]
    return drawn.argsort(stable=True)
