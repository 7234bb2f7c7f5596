"""The learning rate, and AdamW's factors, at every step."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def cosine(steps: Sequence[int] | Tensor, high: float, low: float, period: int) -> Tensor:
    """Learning rate at each step, float64: ``high`` at 0, ``low`` half a period on, and so forth.

    PyTorch's ``CosineAnnealingLR(T_max=period / 2)`` stepped past its end, in closed form.
    """
    step = torch.as_tensor(steps, dtype=torch.float64)
    return low + (high - low) * (1 + torch.cos(2 * math.pi * step / period)) / 2


def adamw_factors(rate: Tensor, weight_decay: float, betas: tuple[float, float]) -> Tensor:
    """What AdamW multiplies with at steps 0, 1, ...: ``(step, 3)`` float64.

    The columns: what decay leaves of a parameter; the rate over the first moment's bias
    correction; one over the root of the second's (Loshchilov & Hutter 2019, algorithm 2).
    """
    done = torch.arange(1, len(rate) + 1, dtype=torch.float64)
    first, second = (1 - torch.tensor(beta, dtype=torch.float64) ** done for beta in betas)
    return torch.stack([1 - rate * weight_decay, rate / first, second.rsqrt()], 1)
