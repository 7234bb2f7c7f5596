"""Stacks: which trials train together as one program, those of one result or of many.

Trials of one shape can. So a sweep's points share stacks, and each keeps files of its own.
"""

from collections.abc import Sequence

from semantica_lib.running.estimate import numbers
from semantica_lib.running.groups import Group, trials_in
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.schema import BOTH, family, order

MOST_SECONDS = 1200.0  # of a stack, where it has more groups than one
# Seconds that a processor's core takes for a number of the encoder's widest tensors, forward and
# back: 3 to 8 billionths by `make bench`.
SECONDS_A_NUMBER = 8e-9
MOST_TRIALS = 100  # in a processor's stack: more are no faster each


def seconds(own: Settings) -> float:
    """How long a trial takes on one core of a processor, roughly and rather too long."""
    return SECONDS_A_NUMBER * numbers(own) * own.steps


def cut(groups: Sequence[Group], device: str, least: int) -> list[list[Group]]:
    """All groups, finished ones too, as stacks: each of one shape, in the groups' order.

    Tied and untied trials share stacks; of other ties those that differ in strength alone do.

    The same groups are cut alike whatever is done of them, so that what goes on does so in the
    stacks in which it began. On a processor none has more than MOST_SECONDS of work.

    Args:
        least: of one shape so many stacks, if there are groups enough: one a core or a GPU.
    """
    by_shape: dict[str, list[Group]] = {}
    for number, group in enumerate(sorted(groups, key=lambda group: order(group.tie))):
        shape = group.own.shape if isinstance(group.own, Settings) else f"{number}"  # alone
        shape += "" if group.tie in BOTH else family(group.tie)
        by_shape.setdefault(shape, []).append(group)
    stacks = []
    for alike in by_shape.values():
        most = _most(alike, device, least)
        stack: list[Group] = []
        for group in alike:
            if stack and trials_in(stack) + len(group.seeds) > most:
                stacks.append(stack)
                stack = []
            stack.append(group)
        stacks.append(stack)
    return stacks


def _most(alike: Sequence[Group], device: str, least: int) -> float:
    """How many trials of these groups a stack may have."""
    own, each = alike[0].own, -(-trials_in(alike) // least)
    if device != "cpu" or not isinstance(own, Settings):
        return each
    return min(each, MOST_TRIALS, MOST_SECONDS / seconds(own))


def remaining(stack: Sequence[Group]) -> list[list[Group]]:
    """What is left to train of a stack: stacks of groups that are as far and recorded the same."""
    alike: dict[tuple, list[Group]] = {}
    for group in stack:
        if not group.finished and group.step < group.own.steps:
            alike.setdefault(group.progress, []).append(group)
    return list(alike.values())
