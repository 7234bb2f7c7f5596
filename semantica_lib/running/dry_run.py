"""A dry run: what would be trained and how long that would take, in words, before it begins."""

import math
from collections.abc import Sequence

from semantica_lib.running import estimate
from semantica_lib.running.devices import cores, spread
from semantica_lib.running.groups import title
from semantica_lib.running.plan import Planned, Shard, plan
from semantica_lib.settings.catalogue import AnySettings


def lines(
    wanted: Sequence[AnySettings], fresh: bool = False, shard: Shard | None = None
) -> list[str]:
    """A line for each stack that is to be trained, and one of the whole.

    Args:
        fresh: as if nothing was trained.
        shard: only its stacks.
    """
    stacks = plan(wanted, fresh, shard)
    if not stacks:
        return ["nothing is left to train"]
    told = [
        f"{title(one.groups)}: {one.steps:,} of {one.own.steps:,} steps on {one.device}, "
        f"{estimate.duration(one.seconds)}, "
        + ("memory unknown" if math.isnan(one.memory_mb) else f"{one.memory_mb:,.0f} MB")
        for one in stacks
    ]
    work, (time, at_once) = sum(one.seconds for one in stacks), _time(stacks)
    trials = sum(one.trials for one in stacks)
    told.append(
        f"{len(stacks)} stack(s), {trials:,} trials: {estimate.duration(work)} of computing, "
        f"{estimate.duration(time)} with {at_once} at a time, without notebooks"
    )
    bases = dict.fromkeys(estimate.basis(one.own, one.device) for one in stacks)
    return [*told, f"expected from: {'; '.join(bases)}"]


def _time(stacks: Sequence[Planned]) -> tuple[float, int]:
    """Seconds until the last of them has ended, each begun in turn; and how many run at a time."""
    most = max(cores(), *(len(spread(one.device)) for one in stacks))
    free = [0.0] * min(most, len(stacks))
    for one in stacks:
        free[free.index(min(free))] += one.seconds
    return max(free), len(free)
