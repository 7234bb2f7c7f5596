"""What a training has recorded so far, in its checkpoint: what results are made of."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from semantica_lib.models.stack import Layout

# Where the trials of a checkpoint's tensors lie; what is of all trials has none of its own.
TRIALS = {"tables": 1, "measured": 3, "norms": 1, "gaps": 1, "kept": 1, "gradients": 1}
PARAMETERS = ("flat", "first", "second", "kept", "best")


def _of_all(name: str) -> bool:
    return name == "step" or name.endswith("_steps")


def parted(tensors: Mapping[str, Tensor], sizes: Sequence[int]) -> list[dict[str, Tensor]]:
    """The checkpoints of so many trials each, from that of their stack."""
    pieces = {
        name: [value] * len(sizes) if _of_all(name) else value.split(sizes, TRIALS.get(name, 0))
        for name, value in tensors.items()
    }
    return [{name: own[index] for name, own in pieces.items()} for index in range(len(sizes))]


def joined(checkpoints: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The checkpoint of a stack of all their trials, from checkpoints of the same step."""

    def whole(name: str) -> Tensor:
        own = [one[name] for one in checkpoints]
        return own[0] if _of_all(name) else torch.cat(own, TRIALS.get(name, 0))

    return {name: whole(name) for name in checkpoints[0]}


def relaid(tensors: Mapping[str, Tensor], layout: Layout, other: Layout) -> dict[str, Tensor]:
    """The same checkpoint with its parameters in another layout."""
    return {
        name: layout.into(other, value) if name in PARAMETERS and layout != other else value
        for name, value in tensors.items()
    }


class History:
    """Series by name, as they stand in a checkpoint; ``best`` holds each trial's best weights.

    ``tables`` holds ``(trial, table, symbol, feature)``, input first; ``kept`` parameters ``(trial,
    parameter)``; ``measured, norms, gaps`` and ``gradients`` what ``trainers.measuring`` returns.

    Args:
        tensors: of the checkpoint to go on from; empty at the beginning.
    """

    SERIES = (
        "record_steps", "tables", "measured_steps", "measured", "norms", "gaps", "kept_steps",
        "kept", "gradient_steps", "gradients",
    )  # fmt: skip

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.series = {name: list(tensors.get(name, ())) for name in self.SERIES}
        self.best = {name: value for name, value in tensors.items() if name.startswith("best")}

    def tensors(self) -> dict[str, Tensor]:
        """All of it for a checkpoint."""
        return {name: torch.stack(all_) for name, all_ in self.series.items() if all_} | self.best

    def due(self, series: str, step: int, every: int | None, last: int) -> bool:
        """Whether a series of every so many steps, and of the last, takes this step up next."""
        seen = self.series[series]
        now = every and (step % every == 0 or step == last)
        return bool(now and (not seen or seen[-1] < step))

    def add(self, **values: Tensor) -> None:
        """Another entry of the series named."""
        for name, value in values.items():
            self.series[name].append(value.cpu())

    def improve(self, loss: Tensor, flat: Tensor, step: Tensor) -> None:
        """Keep the parameters ``(trial, parameter)`` of trials whose loss is their least yet."""
        loss = loss.cpu()
        now = {"best": flat.cpu(), "best_step": step.cpu().expand(len(loss)), "best_loss": loss}
        better = loss < self.best.get("best_loss", math.inf)
        for name, value in now.items():
            chosen = better[:, None] if name == "best" else better
            self.best[name] = torch.where(chosen, value, self.best.get(name, value))
