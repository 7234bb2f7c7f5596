"""Cutting work into shards: stacks that are trained together, of one result's trials or of many.

A part is the trials of one tie of one result, with a checkpoint of its own; a shard is parts whose
trials have one shape. So a sweep's points share stacks, and each keeps files of its own.
"""

from collections.abc import Sequence

from semantica_lib.models import encoders
from semantica_lib.running.groups import Part
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.xor import training_strings

MOST_SECONDS = 1200.0  # of a shard, where it has more parts than one
# Seconds that a processor's core takes for a number of the encoder's widest tensors, forward and
# back: 3 to 8 billionths by `make bench`.
SECONDS_A_NUMBER = 8e-9
MOST_TRIALS = 100  # in a processor's stack: more are no faster each


def seconds(own: Settings) -> float:
    """How long a trial takes on one core of a processor, roughly and rather too long."""
    symbols = len(own.zero_dst) + len(own.one_dst) + 3
    batch = own.batch_size or training_strings(own.bits)
    numbers = own.layers * encoders.widest(own, symbols, batch)
    return SECONDS_A_NUMBER * numbers * own.steps


def cut(parts: Sequence[Part], device: str, least: int) -> list[list[Part]]:
    """All parts, those that are finished too, as shards: each of one shape, in the parts' order.

    The same parts are cut alike whatever is done of them, so that what goes on does so in the
    stacks in which it began. On a processor none has more than MOST_SECONDS of work.

    Args:
        least: of one shape so many shards, if there are parts enough: one a core or a GPU.
    """
    by_shape: dict[str, list[Part]] = {}
    for number, part in enumerate(sorted(parts, key=lambda part: not part.tied)):
        alone = not isinstance(part.own, Settings)
        by_shape.setdefault(f"{number}" if alone else part.own.shape, []).append(part)
    shards = []
    for alike in by_shape.values():
        most = _most(alike, device, least)
        shard: list[Part] = []
        for part in alike:
            if shard and _count(shard) + len(part.seeds) > most:
                shards.append(shard)
                shard = []
            shard.append(part)
        shards.append(shard)
    return shards


def _most(alike: Sequence[Part], device: str, least: int) -> float:
    """How many trials of these parts a shard may have."""
    own, each = alike[0].own, -(-_count(alike) // least)
    if device != "cpu" or not isinstance(own, Settings):
        return each
    return min(each, MOST_TRIALS, MOST_SECONDS / seconds(own))


def _count(parts: Sequence[Part]) -> int:
    return sum(len(part.seeds) for part in parts)


def stacks(shard: Sequence[Part]) -> list[list[Part]]:
    """What is left to train of a shard: its parts by how far they are, and what they recorded."""
    alike: dict[tuple, list[Part]] = {}
    for part in shard:
        if part.step < part.own.steps:
            alike.setdefault(part.progress, []).append(part)
    return list(alike.values())
