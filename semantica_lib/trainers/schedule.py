"""The learning rate, and the optimizer's factors, at any step."""

import math

import torch
from torch import Tensor

from semantica_lib.settings.language import MlmSettings
from semantica_lib.settings.xor import Settings


def rate(own: Settings, step: Tensor, ends: Tensor | None = None) -> Tensor:
    """Learning rate at each step (counted from 0) under the settings' schedule, float64.

    Args:
        ends: highest and lowest rate of each trial, ``(trial, 2)``, instead of the settings'.
    """
    high, low = (own.learning_rate, own.learning_rate_min) if ends is None else ends.unbind(-1)
    warmup = own.warmup_steps or 0
    if own.schedule == "cosine":
        return cosine(step, high, low, own.schedule_period)
    risen = step.double() / warmup if warmup else torch.ones_like(step, dtype=torch.float64)
    return high * risen.clamp(max=1)


def cosine(step: Tensor, high: float | Tensor, low: float | Tensor, period: int) -> Tensor:
    """Learning rate at each step, float64: ``high`` at 0, ``low`` half a period on, and so forth.

    PyTorch's ``CosineAnnealingLR(T_max=period / 2)`` stepped past its end, in closed form.
    """
    return low + (high - low) * (1 + torch.cos(step.double() * (2 * math.pi / period))) / 2


def warmed_cosine(own: MlmSettings, step: Tensor) -> Tensor:
    """Learning rate of a language model at each step, float64: the cosine, after a linear rise."""
    risen = (step.double() + 1) / own.warmup_steps if own.warmup_steps else torch.ones(())
    whole = cosine(step, own.learning_rate, own.learning_rate_min, own.schedule_period)
    return whole * risen.clamp(max=1)


def adamw_factors(
    step: Tensor, rate: Tensor, weight_decay: float | Tensor, betas: tuple[float, float]
) -> Tensor:
    """What AdamW multiplies with at a step (counted from 0): ``(..., 3)`` float64.

    The columns: what decay leaves of a parameter; the rate over the first moment's bias
    correction; one over the root of the second's (Loshchilov & Hutter 2019, algorithm 2).
    """
    logs = (math.log(beta) if beta else -math.inf for beta in betas)
    first, second = (1 - torch.exp((step + 1).double() * log) for log in logs)
    columns = 1 - rate * weight_decay, rate / first, second.rsqrt()
    return torch.stack(torch.broadcast_tensors(*columns), -1)
