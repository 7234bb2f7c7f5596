"""A Snakefile of experiments and sweeps: a job for each stack of trials, then the notebooks.

Snakemake (https://snakemake.readthedocs.io) runs it on this machine, on Slurm or on Kubernetes. A
job is one shard of the work (``semantica train --shard``), whose checkpoints are Semantica's own
business: what a job leaves for Snakemake is an empty file that says that it is done.
"""

import hashlib
import json
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from string import Template

from semantica_lib.running.plan import Planned, folder_of, plan
from semantica_lib.settings.catalogue import AnySettings
from semantica_lib.settings.spelling import typed
from semantica_lib.store import results

SPARE, SPARE_MINUTES = 2, 10  # time asked for: so many times what is expected, and this to begin
UNKNOWN_MINUTES = 24 * 60  # asked for where nothing was measured
GPU = '        gpu=1,\n        gpu_manufacturer="nvidia",\n'  # Kubernetes wants to know whose
LEAST_MB = 2_000  # of memory; an experiment's notebook takes no more


def snakefile(
    requests: Mapping[str, Sequence[AnySettings]], options: Sequence[str] = (), jobs: int = 1
) -> str:
    """The text of a Snakefile.

    Args:
        requests: names (or files), and what is wanted under each.
        options: of the command line, that every job is given.
        jobs: so many training jobs at least, where there are trials enough.

    All of what is wanted is for one device.

    Raises:
        RequestError: as :func:`semantica_lib.running.plan.plan`.
    """
    wanted = list({folder_of(own): own for some in requests.values() for own in some}.values())
    shards, planned = jobs, plan(wanted, least=jobs)
    while planned and planned[-1].number > shards:  # more shards can make smaller stacks: more
        shards = planned[-1].number
        planned = plan(wanted, least=shards)
    train: dict[int, tuple[int, int]] = {}
    needs: dict[str, list[int]] = {name: [] for name in requests}
    speaks_of: dict[str, set[Path]] = {
        f"notebook-{place}": set(map(folder_of, some))
        for place, some in enumerate(requests.values())
    }
    for number, of_number in groupby(planned, lambda stack: stack.number):
        stacks = list(of_number)
        minutes, megabytes = zip(*map(_asks, stacks), strict=True)
        train[number] = sum(minutes), max(megabytes)
        folders = {folder_of(group.own) for stack in stacks for group in stack.groups}
        speaks_of[f"shard-{number}"] = folders
        for name, some in requests.items():
            if folders & {folder_of(own) for own in some}:
                needs[name].append(number)
    names = [str(typed(n)) if n.endswith((".yaml", ".yml")) else n for n in requests]
    asked = [own.model_dump(mode="json") for own in wanted]  # a file may change under its name
    whole = [*names, *options, str(shards), str(results.here()), asked]
    mark = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]
    template = Path(__file__).with_name("Snakefile.template").read_text(encoding="utf-8")
    return Template(template).substitute(
        command=shlex.join(["semantica", "workflow", *requests, *options]),
        results=json.dumps(str(results.here())),
        semantica=json.dumps(shlex.join([sys.executable, "-m", "semantica_lib.cli"])),
        mark=mark,
        names=_rows(map(json.dumps, names)),
        options=json.dumps(list(options)),
        shards=shards,
        train=_rows(f"{number}: {asked}" for number, asked in train.items()),
        needs=_rows(needs.values()),
        speaks_of=_rows(
            f"{json.dumps(mark)}: {json.dumps(sorted(folder.name for folder in folders))}"
            for mark, folders in speaks_of.items()
        ),
        gpu=GPU if any(stack.device != "cpu" for stack in planned) else "",
        memory=LEAST_MB,
    )


def _asks(stack: Planned) -> tuple[int, int]:
    """Minutes and megabytes that a stack asks for."""
    seconds, memory = stack.seconds, stack.memory_mb
    known = not math.isnan(seconds)
    minutes = math.ceil(SPARE * seconds / 60) + SPARE_MINUTES if known else UNKNOWN_MINUTES
    return minutes, max(LEAST_MB, 0 if math.isnan(memory) else math.ceil(SPARE * memory))


def _rows(values: Iterable[object]) -> str:
    return "".join(f"    {value},\n" for value in values)
