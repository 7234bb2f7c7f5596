"""Compiling a training step where that is possible."""

import os
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from semantica_lib.experiments import ROOT

UNCOMPILED = (
    "training uncompiled, which is slower: compiling failed ({}); "
    "it needs a C++ compiler and Python's headers"
)


class Uncompiled(UserWarning):
    """Training goes on without a compiler."""


def compiled(step: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """The same function compiled at its first call; as it is, with a warning, if that fails."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(ROOT / ".cache" / "inductor"))
    run: Callable[..., tuple[Tensor, ...]] | None = None

    def call(*arguments: Tensor) -> tuple[Tensor, ...]:
        nonlocal run
        if run is None:
            try:
                # isolated, or the ninth stack of a process would be one recompilation too many
                fast = torch.compile(step, fullgraph=True, dynamic=False, isolate_recompiles=True)
                result, run = fast(*arguments), fast
                return result
            except Exception as error:  # whatever is missing, the plain function does the same
                reason = " ".join(str(error).split())[:200] or repr(error)
                warnings.warn(UNCOMPILED.format(reason), Uncompiled, stacklevel=2)
                run = step
        return run(*arguments)

    return call
