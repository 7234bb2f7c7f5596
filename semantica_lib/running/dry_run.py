"""What a run would train and how long that would take, before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass

from semantica_lib.running import estimate
from semantica_lib.running.devices import cores, spread
from semantica_lib.running.groups import Part, title
from semantica_lib.running.plan import plan
from semantica_lib.settings.catalogue import AnySettings


@dataclass(frozen=True)
class Planned:
    """A stack that is to be trained: so many trials for so many steps, seconds and megabytes."""

    stack: list[Part]
    device: str

    @property
    def own(self) -> AnySettings:
        return self.stack[0].own

    @property
    def trials(self) -> int:
        return sum(len(part.seeds) for part in self.stack)

    @property
    def steps(self) -> int:
        return self.own.steps - self.stack[0].step

    @property
    def seconds(self) -> float:
        return estimate.seconds(self.own, self.trials, self.steps, self.device)

    @property
    def memory_mb(self) -> float:
        return estimate.memory_mb(self.own, self.trials)


def planned(
    wanted: Sequence[AnySettings], fresh: bool = False, share: tuple[int, int] | None = None
) -> list[Planned]:
    """The stacks that a run, or one of so many shares of it, would train.

    Raises:
        RequestError: as :func:`semantica_lib.running.plan.plan`.
    """
    shards, (number, of) = plan(wanted, fresh, share[1] if share else 0), share or (1, 1)
    mine = [
        one
        for device in dict.fromkeys(device for device, *_ in shards)
        for one in [shard for shard in shards if shard[0] == device][number - 1 :: of]
    ]
    return [Planned(stack, device) for device, _, left in mine for stack in left]


def lines(
    wanted: Sequence[AnySettings], fresh: bool = False, share: tuple[int, int] | None = None
) -> list[str]:
    """A line for each stack that is to be trained, and one of the whole.

    Args:
        fresh: as if nothing was trained.
        share: number and count, if only one of so many shares is to be trained.
    """
    jobs = planned(wanted, fresh, share)
    if not jobs:
        return ["nothing is left to train"]
    told = [
        f"{title(job.stack)}: {job.steps:,} of {job.own.steps:,} steps on {job.device}, "
        f"{estimate.duration(job.seconds)}, {job.memory_mb:,.0f} MB"
        for job in jobs
    ]
    work, (time, at_once) = sum(job.seconds for job in jobs), _time(jobs)
    trials = sum(job.trials for job in jobs)
    told.append(
        f"{len(jobs)} job(s), {trials:,} trials: {estimate.duration(work)} of computing, "
        f"{estimate.duration(time)} with {at_once} at a time, and the notebooks"
    )
    bases = dict.fromkeys(estimate.basis(job.own, job.device) for job in jobs)
    return [*told, f"expected from: {'; '.join(bases)}"]


def _time(jobs: Sequence[Planned]) -> tuple[float, int]:
    """Seconds until the last of them has ended, each begun in turn; and how many run at a time."""
    most = max(cores(), *(len(spread(job.device)) for job in jobs))
    free = [0.0] * min(most, len(jobs))
    for job in jobs:
        free[free.index(min(free))] += job.seconds
    return max(free), len(free)
