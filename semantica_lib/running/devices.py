"""Where the arithmetic is done: a device by its setting, the GPUs there are, the cores."""

import math
import os
from pathlib import Path, PurePosixPath

from semantica_lib.errors import RequestError

GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # of Linux


def cores() -> int:
    """How many processor cores this process may use: those it is bound to, or its group's share."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(here or 1, _quota())))


def _quota() -> float:
    """How many cores' time the process's control group may take, infinite without a limit.

    A container or a job of a cluster often sees all of a node's cores and may use the time of few.
    The limits of all groups above count too. Both versions of control groups are read: ``cpu.max``
    of the second, ``cpu.cfs_quota_us`` of the first.
    """
    least = math.inf
    try:
        groups = [line.split(":", 2) for line in OWN_GROUP.read_text().splitlines()]
    except OSError:
        return least
    for _, kinds, name in groups:
        if kinds and "cpu" not in kinds.split(","):
            continue
        path = PurePosixPath(name)
        for group in (path, *path.parents):
            folder = GROUPS / kinds / group.relative_to("/")
            quota, period = _limit(folder, bool(kinds))
            least = min(least, quota / period if quota > 0 else math.inf)
    return least


def _limit(folder: Path, first_version: bool) -> tuple[float, float]:
    """Microseconds of a processor that a group may take in a period of so many; 0 if no limit."""
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if first_version else ("cpu.max",)
    try:
        words = " ".join((folder / name).read_text() for name in names).split()
        return (0.0, 1.0) if words[0] == "max" else (float(words[0]), float(words[1]))
    except (OSError, ValueError, IndexError):
        return 0.0, 1.0


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
