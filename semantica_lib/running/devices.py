"""Where the arithmetic is done: a device by its setting, the GPUs there are, the cores."""

import os

from semantica_lib.errors import RequestError


def cores() -> int:
    """How many processor cores this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return here or 1


def resolve_device(name: str) -> str:
    """``cpu``, ``cuda`` or ``cuda:N`` for a device setting.

    Raises:
        RequestError: the device is not there.
    """
    if name == "cpu":
        return name
    import torch  # it takes two seconds

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    index = int(name.partition(":")[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise RequestError(
            f"device {name!r} is not there: this machine has {count} CUDA devices "
            "(allowed: auto, cpu)"
        )
    return name


def spread(device: str) -> list[str]:
    """The devices over which stacks are spread: every GPU that is visible, if none was named."""
    if device != "cuda":
        return [device]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
