"""Trajectories stored when ``NUMERICS`` was last raised: 100 steps, drawn data included.

If this fails because training was meant to change, raise ``NUMERICS`` (older results are then shown
as stale) and store the trajectories anew: ``python tests/trainers/test_numerics.py``.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from semantica_lib.settings.catalogue import settings
from semantica_lib.store.provenance import NUMERICS
from semantica_lib.trainers.stacked import Stack

STORED = Path(__file__).parents[1] / "reference" / f"numerics-{NUMERICS}.npz"
STEPS, SEEDS = 100, (42, 43)


def trajectory(tied: bool) -> dict[str, np.ndarray]:
    """Losses ``(step, trial)`` and final tables, float64, uncompiled.

    Not all parameters: the attention's key bias has no true gradient, so that AdamW makes steps of
    the learning rate's size out of rounding, which differs between processors.
    """
    stack = Stack(settings({}), SEEDS, tied, dtype=torch.float64)
    state, step, losses = stack.initial(), stack.stepper(STEPS), []
    for _ in range(STEPS):
        state, loss = step(state)
        losses.append(loss.numpy())
    return {"losses": np.stack(losses), "tables": torch.stack(stack.tables(state)).numpy()}


@pytest.mark.parametrize("tied", [True, False])
def test_the_stored_trajectory_is_followed(tied):
    with np.load(STORED) as stored:
        for name, values in trajectory(tied).items():
            expected = stored[f"{name}-{'tied' if tied else 'untied'}"]
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9, err_msg=__doc__)


if __name__ == "__main__":
    arrays = {
        f"{name}-{'tied' if tied else 'untied'}": values
        for tied in (True, False)
        for name, values in trajectory(tied).items()
    }
    np.savez_compressed(STORED, **arrays)
