"""What the original's public code does otherwise than this project, and what that changes.

Measured from stored results, which hold what either way of validating would have shown, or by
enumeration. The page on the original (``notebooks/original.ipynb``) tells what each is about.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import product
from operator import add

import numpy as np
import torch
from scipy import stats

from semantica_lib.analysis.distances import Pair, Table, Trials, control_pairs, end_of, tie_of
from semantica_lib.analysis.theory import Prediction, decay_factor
from semantica_lib.datasets.xor import SPLITS, XorTask
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import settings
from semantica_lib.store.results import Result
from semantica_lib.trainers import schedule

PROTOCOLS = {"as published": "train", "held out": "validation"}  # and the split each measures on
MAIN, OWN_SEED = "transformer-small", 42  # of the run of that code itself
# The dashed accuracy lines of the paper's experiments, as its public code draws them.
DRAWN = {
    "transformer-small": 0.7,
    "transformer-medium": 0.7,
    "transformer-small-ydh": 0.7,
    "transformer-small-ndh": 0.95,
    "lstm-small": 0.7,
    "lstm-medium": 0.7,
    "mlp-small": 0.7,
    "mlp-medium": 0.7,
}
# Steps at which the files of that code stop by default, where that is not the paper scale here.
OWN_STEPS = {"transformer-medium": 300_000, "mlp-medium": 300_000, "lstm-medium": 150_000}


def end_accuracy(result: Result, tied: bool, split: str) -> np.ndarray:
    """Accuracy of the trials of one tie, ``(seed,)``: means over the schedule's last full period.

    Trials that failed are left out; all are where there is no full period yet.
    """
    trials = Trials.of(result, tied, end_of(result))
    return trials.measured(split, "accuracy").dropna().to_numpy()


def contexts(task: XorTask, sees_order: bool, split: str) -> tuple[int, int]:
    """How many contexts a split shows to the encoder, and how many of them no training string."""
    population = task.contexts if sees_order else task.population
    occur = population.joint.sum(1) > 0  # (split, case)
    shown, trained = (occur[SPLITS.index(name)] for name in (split, "train"))
    return int(shown.sum()), int((shown & ~trained).sum())


def without_ones(task: XorTask) -> XorTask:
    """The same problem on the original's strings: all but the one of nothing but ones."""
    fewer = replace(task)
    splits = {name: strings[~strings.bool().all(1)] for name, strings in task.splits.items()}
    vars(fewer)["splits"] = splits  # in the place of those that it would compute
    return fewer


def sampled_accuracy(task: XorTask, split: str) -> stats.rv_discrete:
    """How the accuracy of a perfect model is distributed when each string is sampled once.

    One place and one writing a string. The perfect model knows the bit and names its likelier
    symbol, so it is right with the probability of that one, and strings are independent: the hits
    are a sum of independent, unequal trials, whose distribution is convolved here.
    """
    ones = task.splits[split].double().mean(1).numpy()
    hit = (1 - ones) * max(task.zero_dst) + ones * max(task.one_dst)
    probability = reduce(np.convolve, ([1 - p, p] for p in hit), np.ones(1))
    return stats.rv_discrete(values=(np.arange(len(hit) + 1) / len(hit), probability))


def distributions(parts: int) -> list[tuple[float, float, float]]:
    """All distributions over three synonyms in steps of ``1 / parts``, in every order."""
    return [
        (first / parts, second / parts, (parts - first - second) / parts)
        for first, second in product(range(parts + 1), repeat=2)
        if first + second <= parts
    ]


def plain_sum(dst: Sequence[float]) -> float:
    """The sum from left to right, rounded after each addition: Python's ``sum`` up to 3.11."""
    return reduce(add, dst, 0.0)


def accepted(dst: Sequence[float]) -> bool:
    """Whether this project's settings take the distribution."""
    try:
        settings({"zero_dst": list(dst)})
    except RequestError:
        return False
    return True


def own_ratio(task: XorTask, tied: bool, table: Table, pair: Pair, period: int) -> float:
    """A pair's distance over the median control pair's in the public code's own stored run.

    Of the main experiment, seed 42; means over the last period.
    """
    run = np.load(ROOT / f"tests/reference/original-{MAIN}-{tie_of(tied)}-seed{OWN_SEED}.npz")
    place = {(a, b): index for index, (a, b) in enumerate(run["pairs"].tolist())}
    distance = run[f"{table}_distance"][run["steps"] > run["steps"][-1] - period]
    control = np.median(distance[:, [place[one] for one in control_pairs(task)]], 1)
    return float(distance[:, place[pair]].mean() / control.mean())


def turns(result: Result) -> tuple[int, int] | None:
    """Which record of the last full period has the lowest rate, and which the highest."""
    window = end_of(result)
    if window is None:
        return None
    rate = schedule.rate(result.settings, torch.from_numpy(result.steps)).numpy()
    inside = np.flatnonzero(window)
    return inside[rate[inside].argmin()], inside[rate[inside].argmax()]


def swing(result: Result, p: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """How a pair's distance moves within the schedule's last full period, two numbers a trial.

    Its range (largest less smallest record) as a share of its mean; and its value at the record
    with the lowest rate over that at the one with the highest. Both are empty without a period.
    """
    window, found = end_of(result), turns(result)
    if window is None or found is None:
        return np.empty(0), np.empty(0)
    curve = Trials.of(result, p.tied, window).distance(p.table, p.pair)
    trough, peak = curve[:, found].T
    return np.ptp(curve[:, window], axis=1) / curve[:, window].mean(1), trough / peak


def decay_swing(result: Result) -> float:
    """The second number of :func:`swing`, were decay all that moves a distance; nan without."""
    found = turns(result)
    if found is None:
        return np.nan
    trough, peak = decay_factor(result.settings, result.steps[list(found)])
    return float(trough / peak)


def until(result: Result, step: int) -> Result | None:
    """The result as it was at an earlier step, as if trained no further; None if it is not there.

    A trajectory does not depend on where its run ends, so this is the shorter run.
    """
    if step not in result.steps:
        return None
    keep, manifest = result.steps <= step, result.manifest
    then = {"settings": {**manifest["settings"], "steps": step}, "steps_done": step}
    then["diverged"] = [one for one in manifest.get("diverged", ()) if one["step"] <= step]
    measured = None if result.measured_steps is None else result.measured_steps <= step
    return replace(
        result,
        manifest={**manifest, **then, "status": "complete"},
        steps=result.steps[keep],
        input_embedding=result.input_embedding[:, keep],
        output_embedding=result.output_embedding[:, keep],
        metrics=result.metrics[result.metrics.step <= step],
        measured_steps=None if measured is None else result.measured_steps[measured],
        hidden_norm=None if measured is None else result.hidden_norm[:, measured],
        logit_gap=None if result.logit_gap is None else result.logit_gap[:, measured],
    )
