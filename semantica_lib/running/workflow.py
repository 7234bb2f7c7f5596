"""A Snakefile of experiments and sweeps: a job for each stack of trials, then the notebooks.

Snakemake (https://snakemake.readthedocs.io) runs it on this machine, on Slurm or on Kubernetes. A
job is one share of the work (``semantica train --shard``), whose checkpoints are Semantica's own
business: what a job leaves for Snakemake is an empty file that says that it is done.
"""

import hashlib
import json
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from semantica_lib.running.dry_run import Planned
from semantica_lib.running.plan import folder_of, plan
from semantica_lib.settings.catalogue import AnySettings
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
    shares, planned = 0, plan(wanted, least=jobs)
    while len(planned) > shares:  # more shares can make smaller stacks, and so more of them
        shares = max(jobs, len(planned))
        planned = plan(wanted, least=shares)
    train, needs = {}, {name: [] for name in requests}
    for number, (device, shard, left) in enumerate(planned, 1):
        if left:
            asked = [_asks(Planned(stack, device)) for stack in left]
            train[number] = sum(one[0] for one in asked), max(one[1] for one in asked)
            folders = {folder_of(part.own) for part in shard}
            for name, some in requests.items():
                if folders & {folder_of(own) for own in some}:
                    needs[name].append(number)
    names = [str(Path(n).resolve()) if n.endswith((".yaml", ".yml")) else n for n in requests]
    whole = [*names, *options, str(shares), str(results.here().resolve())]
    mark = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]
    return TEMPLATE.format(
        command=shlex.join(["semantica", "workflow", *requests, *options]),
        results=json.dumps(str(results.here().resolve())),
        semantica=json.dumps(shlex.join([sys.executable, "-m", "semantica_lib.cli"])),
        mark=mark,
        names=_rows(map(json.dumps, names)),
        options=json.dumps(list(options)),
        shares=shares,
        train=_rows(f"{number}: {asked}" for number, asked in train.items()),
        needs=_rows(needs.values()),
        gpu=GPU if any(device != "cpu" for device, *_ in planned) else "",
        memory=LEAST_MB,
    )


def _asks(job: Planned) -> tuple[int, int]:
    """Minutes and megabytes that a job asks for."""
    seconds = job.seconds
    known = not math.isnan(seconds)
    minutes = math.ceil(SPARE * seconds / 60) + SPARE_MINUTES if known else UNKNOWN_MINUTES
    memory = job.memory_mb
    return minutes, max(LEAST_MB, 0 if math.isnan(memory) else math.ceil(SPARE * memory))


def _rows(values: Iterable[object]) -> str:
    return "".join(f"    {value},\n" for value in values)


TEMPLATE = """\
# Made by `{command}`.
# On this machine: snakemake --cores 2. On a cluster: see the page "Running it at scale".
RESULTS = config.get("results", {results})  # the folder that all machines share
SEMANTICA = config.get("semantica", {semantica})  # how a job calls it
NAMES = [
{names}]
OPTIONS = {options}
SHARES = {shares}
# Of each share that has something to train: minutes and megabytes that it asks for.
TRAIN = {{
{train}}}
# Of each name: the shares in which its trials are.
NEEDS = [
{needs}]
DONE = config.get("marks", RESULTS + "/.workflow/{mark}")  # what says that a job is done


wildcard_constraints:
    share=r"\\d+",
    place=r"\\d+",


rule all:
    input:
        expand(DONE + "/notebook-{{place}}", place=range(len(NAMES))),


rule train:
    output:
        touch(DONE + "/share-{{share}}"),
    threads: 1
    resources:
        runtime=lambda wildcards: TRAIN[int(wildcards.share)][0],
        mem_mb=lambda wildcards: TRAIN[int(wildcards.share)][1],
{gpu}    params:
        results=RESULTS,
        names=NAMES,
        options=OPTIONS,
    shell:
        "SEMANTICA_RESULTS={{params.results:q}} {{SEMANTICA}} train {{params.names:q}}"
        " --shard {{wildcards.share}}/{{SHARES}} {{params.options:q}}"


rule notebook:
    input:
        lambda wildcards: [f"{{DONE}}/share-{{share}}" for share in NEEDS[int(wildcards.place)]],
    output:
        touch(DONE + "/notebook-{{place}}"),
    threads: 1
    resources:
        runtime=60,
        mem_mb={memory},
    params:
        results=RESULTS,
        name=lambda wildcards: NAMES[int(wildcards.place)],
        options=OPTIONS,
    shell:
        "SEMANTICA_RESULTS={{params.results:q}} {{SEMANTICA}} run {{params.name:q}}"
        " {{params.options:q}}"
"""
