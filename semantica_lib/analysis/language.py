"""What a language model's result holds: distances by class of pair, and losses, at its end.

Three classes of pairs (:mod:`semantica_lib.datasets.mlm`):

- *DH holds*: a word and its synonym, each expected by a fair coin;
- *DH broken*: a word and its synonym of the same meaning, but the tag of the sequence tells which
  one is expected: other company;
- *unrelated*: any two of the words, without their synonyms. They differ in both respects.

Distances are Euclidean. The claims about them are in
:mod:`semantica_lib.analysis.language_claims`.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from semantica_lib.analysis import statistics, sweep_points
from semantica_lib.analysis.claims import Evidence
from semantica_lib.analysis.distances import RESOLUTION, OneTie, Table, pairwise
from semantica_lib.settings.catalogue import MlmSettings, run_command
from semantica_lib.store.results import Result

HOLDS, BROKEN, UNRELATED = CLASSES = "DH holds", "DH broken", "unrelated"
PLACES = {HOLDS: "validation-holds", BROKEN: "validation-broken"}  # splits: a class's words
MEASURES = "distance", "cosine", "close"
TABLES = {sweep_points.name_of(place): place for place in sweep_points.PLACES}
PERCENTILE = 5  # of unrelated pairs' distances: what is under it is close
# In what the paper's model differs from the usual one here: one at a time, then all of it.
VARIANTS: dict[str, dict[str, Any]] = {
    "norm after": {"norm": "after"},
    "no positions": {"positions": False},
    "std 0.3": {"embedding_std": 0.3},
    "rate 1e-4": {"learning_rate": 1e-4},
}
VARIANTS["all four"] = {name: value for one in VARIANTS.values() for name, value in one.items()}


def kinds(own: MlmSettings) -> list[str]:
    """The classes of synonyms that the settings have: ``HOLDS``, ``BROKEN`` or both."""
    counts = {HOLDS: own.synonyms, BROKEN: own.broken_synonyms}
    return [kind for kind, count in counts.items() if count]


def variants(own: MlmSettings) -> dict[str, MlmSettings]:
    """The settings with each of ``VARIANTS`` that makes a difference to them, by its label."""
    found = {label: own.model_copy(update=changes) for label, changes in VARIANTS.items()}
    return {label: one for label, one in found.items() if one.identity != own.identity}


def ending(steps: np.ndarray, period: int) -> np.ndarray | None:
    """Which records a run's end is the mean of, ``(record,)`` bool.

    Those of the schedule's last full period; of a shorter run that came to the rate's lowest
    point, half a period on, the last one; None of one that did not.

    Args:
        steps: ``(record,)``, ascending.
    """
    window = statistics.last_period(steps, period)
    if window is None and steps.size and steps[-1] >= period // 2:
        return np.arange(len(steps)) == len(steps) - 1
    return window


def class_means(rows: np.ndarray, holds: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """What the pairs of each class measure in a table, as means over the pairs.

    Args:
        rows: ``(record, word, feature)``, the words, then their synonyms in the same order.
        holds: ``(pair,)`` bool, whether the DH holds for a word and its synonym.

    Returns:
        ``(record,)`` float64 by class and measure: ``distance``; ``cosine``; ``close``, the share
        of the pairs under the 5th percentile of unrelated pairs' distances. nan without a pair.
    """
    rows, count = np.asarray(rows, dtype=np.float64), len(holds)
    unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(RESOLUTION)
    first, second = np.triu_indices(count, 1)
    apart = np.linalg.norm(rows[:, :count] - rows[:, count:], axis=-1)
    others = pairwise(rows[:, :count])[:, first, second]
    cosine = (unit[:, :count] * unit[:, count:]).sum(-1)
    other_cosine = (unit[:, :count] @ unit[:, :count].swapaxes(1, 2))[:, first, second]
    border = np.full((len(rows), 1), np.nan)
    if len(first):
        border[:, 0] = np.percentile(others, PERCENTILE, axis=1)
    close, other_close = (np.where(np.isnan(border), border, d < border) for d in (apart, others))
    measured = {
        "distance": (apart.clip(RESOLUTION), others.clip(RESOLUTION)),
        "cosine": (cosine, other_cosine),
        "close": (close, other_close),
    }
    return {
        (kind, name): values.mean(1) if values.shape[1] else np.full(len(rows), np.nan)
        for name, (synonyms, unrelated) in measured.items()
        for kind, values in (
            (HOLDS, synonyms[:, holds]), (BROKEN, synonyms[:, ~holds]), (UNRELATED, unrelated)
        )
    }  # fmt: skip


@dataclass(frozen=True)
class Words(OneTie):
    """Those of a language model.

    Attributes:
        means: by table, class and measure, ``(trial, record)``, as :func:`class_means` has them.
    """

    means: dict[tuple[Table, str, str], np.ndarray]

    @classmethod
    def of(cls, result: Result, tied: bool, window: np.ndarray | None) -> "Words":
        found, means = OneTie.of(result, tied, window), {}
        for name, tables in found.tables.items():
            trials = [
                class_means(rows, holds)
                for rows, holds in zip(tables, result.holds[found.index], strict=True)
            ]
            for key in product(CLASSES, MEASURES):
                curves = np.array([trial[key] for trial in trials])
                means[name, *key] = curves.reshape(len(trials), len(result.steps))
        return cls(**vars(found), means=means)

    def ratio(self, table: Table, kind: str, over: str = UNRELATED) -> np.ndarray:
        """A class's mean distance over another one's, ``(trial, record)``."""
        return self.means[table, kind, "distance"] / self.means[table, over, "distance"]

    def end(self, table: Table, kind: str, measure: str = "distance") -> np.ndarray:
        """A class's mean over the window, ``(trial,)``; nan without one."""
        return statistics.mean_over(self.window, self.means[table, kind, measure])

    def measured(self, split: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps ``(measurement,)`` and a metric at them, ``(trial, measurement)``.

        Of steps at which all trials were measured: seeds that came later may have fewer.
        """
        rows = self.metrics[self.metrics.split == split]
        rows = rows[rows.groupby("step").seed.transform("nunique") == rows.seed.nunique()]
        wide = rows.pivot(index="seed", columns="step", values=quantity).reindex(self.seeds)
        return wide.columns.to_numpy(), wide.to_numpy(float)


class Language(Evidence):
    """A language model's result: its trials by tie, and what they come to at its end.

    ``unigram`` has ``accuracy`` and ``loss`` (nats), by seed, of the baseline that knows the
    frequencies and no more.
    """

    def __init__(self, result: Result) -> None:
        window = ending(result.steps, result.settings.schedule_period)
        super().__init__(result, window, Words)
        known = {seed: result.manifest["unigram"][str(seed)] for seed in np.unique(result.seed)}
        self.unigram = pd.DataFrame.from_dict(known, orient="index")

    def ratio(self, name: str, kind: str, over: str = UNRELATED) -> np.ndarray:
        """A class's mean distance over another one's at the end, ``(trial,)``.

        Args:
            name: of ``TABLES``.
        """
        tied, table = TABLES[name]
        return self.trials[tied].end(table, kind) / self.trials[tied].end(table, over)

    def start(self, name: str, kind: str, over: str = UNRELATED) -> np.ndarray:
        """The same at step 0; nan if it is not recorded."""
        tied, table = TABLES[name]
        return self.trials[tied].start(self.trials[tied].ratio(table, kind, over))

    def loss(self, tied: bool, split: str) -> pd.Series:
        """Loss at the end, nats, by seed: a mean as that of distances; empty without an end."""
        trials, period = self.trials[tied], self.settings.schedule_period
        if self.window is None:
            return pd.Series(dtype=float)
        after = self.last - (period if self.window.sum() > 1 else 1)
        rows = trials.metrics[(trials.metrics.split == split) & (trials.metrics.step > after)]
        return rows.groupby("seed").loss.mean().reindex(trials.seeds)

    def cost(self, split: str) -> np.ndarray:
        """What tying costs: tied minus untied loss, nats, ``(seed,)``; nan where one is missing."""
        return (self.loss(True, split) - self.loss(False, split)).to_numpy(float)

    def unfit(self, ties: tuple[bool, ...]) -> str:
        half = self.settings.schedule_period // 2
        why = (
            f"The run, to step {self.last}, ends before the rate's lowest point, step {half}; "
            f"`{run_command(self.settings)} --set steps={half}` trains one that does not."
        )
        return why if self.window is None and not self.lost(ties) else ""
