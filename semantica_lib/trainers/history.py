"""What a stack has recorded so far: the part of its checkpoint that results are made of."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


class History:
    """Series by name, as they stand in a checkpoint; ``best`` holds each trial's best weights.

    ``tables`` holds ``(trial, table, symbol, feature)`` with the input table first, ``measured``,
    ``norms`` and ``gaps`` what ``Stack.measure`` returns, ``kept`` parameters
    ``(trial, parameter)``, ``gradients`` what ``Stack.table_gradient`` returns.

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
