"""The learning rate and AdamW's factors against PyTorch's schedule and optimizer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semantica_lib.settings.catalogue import settings as checked
from semantica_lib.trainers.schedule import adamw_factors, cosine, rate


@pytest.mark.parametrize("t_max", [1, 2, 7, 50, 10_000])
def test_cosine_is_torchs_schedule_stepped_past_its_end(t_max: int) -> None:
    """For two and a half periods. PyTorch computes each rate from the last, we from the step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, t_max, eta_min=1e-5)
    expected = []
    for _ in range(5 * t_max + 1):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ours = cosine(torch.arange(len(expected)), 5e-4, 1e-5, period=2 * t_max)
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)


def test_a_rate_is_the_same_whether_asked_alone_or_with_others() -> None:
    steps = torch.arange(0, 150_000, 997)
    together = cosine(steps, 5e-4, 1e-5, 20_000)
    assert together.tolist() == [cosine(step, 5e-4, 1e-5, 20_000).item() for step in steps]


def test_the_rate_is_that_of_the_schedule_which_the_settings_name() -> None:
    steps = torch.arange(0, 100_000, 991)
    own = checked({"learning_rate": 1e-2, "schedule_period": 6_000, "learning_rate_min": 1e-3})
    assert torch.equal(rate(own, steps), cosine(steps, 1e-2, 1e-3, 6_000))
    flat = torch.full((len(steps),), 5e-4, dtype=torch.float64)
    assert torch.equal(rate(checked({"schedule": "none"}), steps), flat)
    assert torch.equal(rate(checked({"schedule": "constant", "warmup_steps": 0}), steps), flat)


@pytest.mark.parametrize("warmup", [1, 2, 7, 100])
def test_the_constant_rate_is_torchs_after_a_linear_rise(warmup: int) -> None:
    """PyTorch's own rise begins at a positive factor: at 1 / warmup, which is a step later."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=5e-4)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, 1, warmup - 1)
    expected = [0.0]
    for _ in range(3 * warmup):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ours = rate(
        checked({"schedule": "constant", "warmup_steps": warmup}), torch.arange(len(expected))
    )
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)


beta = st.just(0.0) | st.floats(0.01, 0.9999)


@settings(max_examples=40)
@given(
    rates=st.lists(st.floats(1e-6, 0.1), min_size=1, max_size=12),
    weight_decay=st.floats(0, 2),
    betas=st.tuples(beta, beta),
    eps=st.floats(1e-12, 1e-2),
    seed=st.integers(0, 2**32 - 1),
)
def test_factors_make_the_steps_of_torchs_adamw(
    rates: list[float], weight_decay: float, betas: tuple[float, float], eps: float, seed: int
) -> None:
    """The update written with the factors, on the same gradients at changing rates."""
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(len(rates), 5, generator=generator).double()
    start = torch.randn(5, generator=generator).double()
    plain = nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([plain], 1.0, betas, eps, weight_decay)
    ours, first, second = start, torch.zeros(5).double(), torch.zeros(5).double()
    for step, (high, gradient) in enumerate(zip(rates, gradients, strict=True)):
        optimizer.param_groups[0]["lr"] = high
        plain.grad = gradient.clone()
        optimizer.step()
        kept, scaled_rate, scale = adamw_factors(
            torch.tensor(step), torch.tensor(high, dtype=torch.float64), weight_decay, betas
        )
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        ours = kept * ours - scaled_rate * first / (second.sqrt() * scale + eps)
        torch.testing.assert_close(ours, plain.detach(), rtol=1e-9, atol=1e-11)
