"""Made-up results of language models: tables whose ratios of distances are chosen, stored."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from made import manifest_of

from semantica_lib.settings.catalogue import settings
from semantica_lib.store import results
from semantica_lib.store.results import Result

WORDS = ("the", "of", "to", "and", "in", "is", "it", "for", "that", "as")
SPLITS = ("train", "validation", "test", "validation-holds", "validation-broken")
# Mean distance at the end over that of unrelated words: (tied, table, whether the DH holds).
AS_PREDICTED = {
    (False, "input", True): 0.5, (False, "input", False): 0.55,
    (False, "output", True): 0.4, (False, "output", False): 0.8,
    (True, "input", True): 0.45, (True, "input", False): 0.9,
}  # fmt: skip
USUAL = {
    "experiment": "made", "corpus": "grammar", "steps": 100, "schedule_period": 200,
    "record_every": 20, "validate_every": 20, "synonyms": 4, "broken_synonyms": 3,
    "embedding_size": 8, "heads": 2, "warmup_steps": 10,
}  # fmt: skip


def _table(rng: np.random.Generator, holds: np.ndarray, ratio: Mapping[bool, float]) -> np.ndarray:
    """Rows ``(word, 8)``: each synonym is its class's share of the words' mean distance away."""
    words = rng.normal(size=(len(holds), 8))
    first, second = np.triu_indices(len(holds), 1)
    apart = np.linalg.norm(words[first] - words[second], axis=1)
    mean = apart.mean() if len(apart) else 1.0
    away = rng.normal(size=words.shape)
    away *= mean / np.linalg.norm(away, axis=1, keepdims=True)
    share = np.array([ratio[bool(one)] for one in holds])
    return np.concatenate([words, words + share[:, None] * away])


def made(
    place: Path,
    ratios: Mapping[tuple, float] | None = None,
    spread: float = 0.05,
    start: float = 1.0,
    costs: tuple[float, float] = (0.0, 0.05),
    gain: float = 1.0,
    absent: Iterable[tuple[int, bool]] = (),
    diverged: Iterable[tuple[int, bool]] = (),
    status: str = "complete",
    **values: Any,
) -> Result:
    """Store a result in a folder and read it back.

    Ratios are geometric means over seeds and reached at the first record after step 0; then they
    stay.

    Args:
        spread: standard deviation of their logs, in a seed as in any other of its tie.
        costs: of tying at the places where the DH holds, and where it is broken, nats.
        gain: how much less the loss is than the baseline's at the end.
    """
    own = settings(USUAL | values)
    ratios, count = AS_PREDICTED | dict(ratios or {}), own.synonyms + own.broken_synonyms
    rng, steps = np.random.default_rng(0), np.arange(0, own.steps + 1, own.record_every)
    z = np.linspace(-1, 1, len(own.seeds)) if len(own.seeds) > 1 else np.zeros(1)
    z = dict(zip(own.seeds, spread * z / (z.std(ddof=1) if len(z) > 1 else 1), strict=True))
    holds = {seed: rng.permutation(count) < own.synonyms for seed in own.seeds}
    trials = [(seed, tie == "tied") for tie in own.ties for seed in own.seeds]
    trials = [trial for trial in trials if trial not in set(absent)][::-1]  # the order is free

    def rows(seed: int, tied: bool, table: str) -> np.ndarray:
        own_rng = np.random.default_rng([seed, tied, table == "output"])
        ends = {
            dh: ratios[tied, table, dh] * np.exp(z[seed] * (1.0 if dh else 0.5))
            for dh in (True, False)
        }
        return np.stack([
            _table(own_rng, holds[seed], ends if step else {True: start, False: start})
            for step in steps
        ])  # fmt: skip

    inputs = np.stack([rows(seed, tied, "input") for seed, tied in trials])
    outputs = np.stack([
        inputs[i] if tied else rows(seed, tied, "output") for i, (seed, tied) in enumerate(trials)
    ])  # fmt: skip
    for index, trial in enumerate(trials):
        if trial in set(diverged):
            inputs[index, -1, 0, 0] = np.nan
    names = np.array([*WORDS[:count], *(f"{word}*" for word in WORDS[:count])])
    near = np.array([[*names[-1:], "##s", "|", "[MASK]", "`"]] * len(names))
    near[:, 0] = np.roll(names, -count)  # the synonym comes first
    trajectory = {
        "steps": steps, "seed": np.array([seed for seed, _ in trials]),
        "tied": np.array([tied for _, tied in trials]),
        "input_embedding": inputs.astype(np.float32),
        "output_embedding": outputs.astype(np.float32), "words": names,
        "holds": np.stack([holds[seed] for seed, _ in trials]),
        "neighbours": np.stack([np.stack([near, near])] * len(trials)),
    }  # fmt: skip
    extra = {"validation-holds": costs[0], "validation-broken": costs[1]}
    there = {"validation-holds": own.synonyms, "validation-broken": own.broken_synonyms}

    def loss(seed: int, tied: bool, step: int, split: str) -> float:
        cost = tied * (extra.get(split, 0.02) + 0.05 * z[seed])
        return 6 - gain * step / own.steps + 0.1 * z[seed] + cost if there.get(split, 1) else np.nan

    metrics = pd.DataFrame(
        [
            (
                seed, str(tied).lower(), step, split, 0.1 + 0.002 * step / own.steps,
                loss(seed, tied, step, split),
            )
            for seed, tied in trials
            for step in range(0, own.steps + 1, own.validate_every)
            for split in SPLITS
        ],
        columns=["seed", "tied", "step", "split", "accuracy", "loss"],
    )  # fmt: skip
    manifest = manifest_of(own, trials, status=status) | {
        "unigram": {str(seed): {"accuracy": 0.05, "loss": 6.0} for seed in own.seeds},
        "text": {
            "source": "some text", "text_sha256": "a1b2" * 16, "sentences": 40_000,
            "words": 380_000, "versions": {"python": "3.11", "one": "1", "two": "2"},
            "rows": {"train": 9_000, "validation": 1_000, "test": 2_000}, "unknown_share": 0.0123,
        },
    }  # fmt: skip
    place.mkdir(parents=True, exist_ok=True)
    results.write(place, manifest, trajectory, metrics.to_csv(index=False))
    result = results.load(place)
    assert result is not None
    return result
