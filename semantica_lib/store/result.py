"""A stored result, as all that is measured and drawn is made from it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semantica_lib.settings.catalogue import AnySettings, experiment_file, find, settings
from semantica_lib.settings.schema import BOTH, NOT_IDENTITY
from semantica_lib.store.folders import MANIFEST
from semantica_lib.store.manifest import tie_in
from semantica_lib.store.provenance import NUMERICS

if TYPE_CHECKING:
    import pandas as pd


def asked(own: AnySettings) -> set[tuple[int, str]]:
    """The trials that settings ask for: (seed, tie)."""
    return {(seed, tie) for seed in own.seeds for tie in own.ties}


@dataclass(frozen=True)
class Result:
    """A stored result.

    ``steps`` is ``(record,)``; ``seed``, ``tie`` (the word of the settings) and ``tied`` (whether
    one table serves both) are ``(trial,)``; the embeddings are ``(trial, record, vocabulary,
    feature)`` float32, as they are looked up and as ``h @ O.T`` takes them; ``metrics`` has the
    columns seed, tied, tie, step, split, accuracy and loss (nats), expectations over each split's
    strings, symbols and places.
    ``hidden_norm`` is ``(trial, measurement, bit)`` at ``measured_steps`` ``(measurement,)``: the
    least norm of the encoder's output over all contexts whose masked bit is 0, and is 1.
    ``logit_gap`` is ``(trial, measurement, pair, 3)``: for every two synonyms ``a < b``, by how
    much b's logit exceeds a's, mean, least and greatest over the contexts of their bit.
    ``table_gradient`` is ``(trial, measurement, 3)`` at ``gradient_steps`` ``(measurement,)``, 0
    and the powers of 2: of the loss of the step to come, the norm of the gradient that reaches the
    embedding table by the input, that by the output, and the cosine between them. ``uses`` is
    ``(trial, use, swap, 2)`` at ``use_steps`` ``(use,)``, those whose weights were kept: swap
    divergence and curvature of every two symbols of bits (:mod:`semantica_lib.trainers.uses`).
    Results of an older version lack some of these. Of a trial that has diverged all is nan from
    then on.

    Of a language model the vocabulary is the words that have a synonym, then their synonyms,
    ``words`` ``(word,)``; ``holds`` ``(trial, pair)`` is whether the DH holds for a word and its
    synonym; ``neighbours`` ``(trial, table, word, rank)`` are the pieces nearest to each of
    ``words`` at the end.

    ``point`` is its key in the sweep's folder that it lies in, empty if it has a folder of its own;
    ``published`` is whether it is the result that the book ships, not one of this machine.
    """

    folder: Path
    manifest: dict[str, Any]
    steps: np.ndarray
    seed: np.ndarray
    tied: np.ndarray
    input_embedding: np.ndarray
    output_embedding: np.ndarray
    metrics: "pd.DataFrame"
    measured_steps: np.ndarray | None = None
    hidden_norm: np.ndarray | None = None
    logit_gap: np.ndarray | None = None
    gradient_steps: np.ndarray | None = None
    table_gradient: np.ndarray | None = None
    use_steps: np.ndarray | None = None
    uses: np.ndarray | None = None
    words: np.ndarray | None = None
    holds: np.ndarray | None = None
    neighbours: np.ndarray | None = None
    tie: np.ndarray | None = None
    point: str = ""
    published: bool = False

    def __post_init__(self) -> None:
        """What an earlier version lacks of the words for ties, it had two alone."""
        if self.tie is None:
            object.__setattr__(self, "tie", np.where(self.tied, *BOTH))
        if self.metrics is not None and "tie" not in self.metrics:
            words = np.where(self.metrics.tied, *BOTH)
            object.__setattr__(self, "metrics", self.metrics.assign(tie=words))

    @cached_property
    def settings(self) -> AnySettings:
        return settings(self.manifest["settings"], str(self.folder / MANIFEST))

    @property
    def address(self) -> tuple[Path, str]:
        """Where it lies: its folder, and its key if that is a sweep's."""
        return self.folder, self.point

    @property
    def name(self) -> str:
        """The experiment's, with a hash for settings not its own."""
        experiment = self.manifest["experiment"]
        return f"{experiment}-{self.point}" if self.point else self.folder.name

    @property
    def digest(self) -> str:
        """sha256 of its manifest, of a point together with its key."""
        return sha256((self.folder / MANIFEST).read_bytes() + self.point.encode()).hexdigest()

    @property
    def complete(self) -> bool:
        """Whether its trials are at the end of the experiment, not somewhere on the way."""
        return self.manifest.get("status") == "complete"

    @property
    def dirty(self) -> bool | None:
        """Whether its tree had uncommitted changes; None where git could not tell."""
        # an earlier version took a tree of which git told nothing for a clean one
        return self.manifest["dirty"] if self.manifest["commit"] else self.manifest["dirty"] or None

    @property
    def held(self) -> set[tuple[int, str]]:
        """Its trials: (seed, tie)."""
        return set(zip(self.seed.tolist(), self.tie.tolist(), strict=True))

    @property
    def diverged(self) -> dict[tuple[int, str], int]:
        """Trials that diverged, (seed, tie), with the step from which on they are not finite.

        Those that the manifest names, and those with a table that is not finite.
        """
        finite = np.isfinite(self.input_embedding) & np.isfinite(self.output_embedding)
        trials = zip(self.seed.tolist(), self.tie.tolist(), finite.all((2, 3)), strict=True)
        found = {(s, t): int(self.steps[row.argmin()]) for s, t, row in trials if not row.all()}
        named = self.manifest.get("diverged", ())
        return found | {(one["seed"], tie_in(one)): one["step"] for one in named}

    @property
    def divergence(self) -> str:
        """How many trials diverged, which, and when; empty if none did."""
        each = [
            f"seed {seed}, {tie}, from step {step:,}"
            for (seed, tie), step in sorted(self.diverged.items())
        ]
        told = each[:5] + [f"and {len(each) - 5} more"] * (len(each) > 5)
        return f"{len(each)} of {len(self.seed)} trials diverged: {'; '.join(told)}" * bool(each)

    def covers(self, own: AnySettings) -> bool:
        """Whether it has every trial that the settings ask for, at their number of steps."""
        return asked(own) <= self.held and self.manifest["steps_done"] >= own.steps

    def of_seeds(self, seeds: Sequence[int], ties: Sequence[str] | None = None) -> "Result":
        """The same result with the trials of these seeds, and of these ties if given, only."""
        words = self.tie if ties is None else ties
        keep = np.isin(self.seed, seeds) & np.isin(self.tie, words)
        asked = {"seeds": list(seeds)} | ({} if ties is None else {"ties": list(ties)})
        changes = {"settings": {**self.manifest["settings"], **asked}}
        changes["seeds"] = sorted(set(self.seed[keep].tolist()))
        for name in {"trials", "diverged"} & self.manifest.keys():
            there = self.manifest[name]
            changes[name] = [o for o in there if o["seed"] in seeds and tie_in(o) in words]
        a_trial = ("seed", "tied", "tie", "input_embedding", "output_embedding")
        a_trial += ("hidden_norm", "logit_gap", "table_gradient", "uses", "holds", "neighbours")
        arrays = {name: getattr(self, name) for name in a_trial}
        return replace(
            self,
            manifest={**self.manifest, **changes},
            metrics=self.metrics[self.metrics.seed.isin(seeds) & self.metrics.tie.isin(words)],
            **{name: None if one is None else one[keep] for name, one in arrays.items()},
        )

    @property
    def stale(self) -> str:
        """Why it no longer stands for the code and the settings here; empty if it does."""
        reasons = []
        if experiment_file(self.folder.name):  # that of other settings has their hash in its name
            differing = self.differs_from(find(self.folder.name))
            reasons += [f"made by other settings: {differing}"] if differing else []
        if self.manifest["numerics"] < NUMERICS:
            reasons.append(f"numerics {self.manifest['numerics']}, the code's are {NUMERICS}")
        return "; ".join(reasons)

    def differs_from(self, own: AnySettings) -> str:
        """In which settings of its trials it differs, as ``weight_decay 0.1, now 0.0``."""
        if self.manifest["settings_hash"] == own.settings_hash:
            return ""
        mine, now = (one.model_dump(mode="json") for one in (self.settings, own))
        names = [name for name in {**mine, **now} if name not in NOT_IDENTITY]
        return ", ".join(
            f"{name} {json.dumps(mine.get(name))}, now {json.dumps(now.get(name))}"
            for name in names
            if mine.get(name) != now.get(name)
        )
