"""The ``semantica`` command: 0 done, 1 something ran and failed, 2 the request was wrong."""

import functools
import io
import json
import os
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from semantica_lib.checkpoints.jobs import JOBS, job, training
from semantica_lib.errors import RequestError, nearest
from semantica_lib.running.shards import shard
from semantica_lib.running.stopping import stopped_by
from semantica_lib.settings.added_points import asked_points
from semantica_lib.settings.catalogue import AnySettings, experiments, find, parse_override
from semantica_lib.settings.sweeps import file_of, read
from semantica_lib.store import results


class _Commands(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in self.commands:
            raise RequestError(f"unknown command {args[0]!r}{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors and warnings are one line each on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode shows "?" for "–"
    try:
        with warnings.catch_warnings(), stopped_by(signal.SIGTERM):
            warnings.showwarning = _warn
            command.main(arguments, prog_name="semantica", standalone_mode=False)
        return 0
    except (RequestError, click.UsageError) as error:
        message = error.format_message() if isinstance(error, click.UsageError) else str(error)
        return _fail(message, 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped; the same command goes on from here", 1)
    except BrokenPipeError:
        return 1
    except (RuntimeError, OSError) as error:  # training or a notebook failed, the disk is full
        return _fail(str(error) or repr(error), 1)


def _warn(message: Warning | str, *_: Any) -> None:
    print("semantica: warning: " + " ".join(str(message).split()), file=sys.stderr)


def _fail(message: str, code: int) -> int:
    print("semantica: error: " + " ".join(message.split()), file=sys.stderr)
    return code


@click.group(cls=_Commands, no_args_is_help=False)
def command() -> None:
    """Reproduce the experiments on tied embeddings: train, execute notebooks, build the book."""
    results.settle()


SETTING = "a setting; scheme=FILE.py:NAME runs that file, a way to tie of your own"
_names = click.argument("names", nargs=-1, required=True, metavar="NAME...")
_set = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=SETTING)
_json = click.option("--json", "as_json", is_flag=True, help="one JSON array on stdout")
Requests = dict[str, list[AnySettings]]  # what is wanted under each name


def _requests(
    names: Iterable[str], overrides: Sequence[str], device: str | None = None
) -> Requests:
    """The settings of each experiment that is named, and those of every point of each sweep."""
    changes = [parse_override(text) for text in overrides]
    changes += [("device", device)] if device else []
    requests = {}
    for name in names:
        path, make = (None, job) if name in JOBS else (file_of(name), find)
        found = asked_points(read(path), changes) if path else [(None, make(name, changes))]
        requests[name] = [own for _, own in found]
    return requests


def _training(function: Callable) -> Callable:
    """A command that trains: it is given requests and ``fresh``. Shards are done here."""

    @_names
    @_set
    @click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N")
    @click.option("--fresh", is_flag=True, help="discard what is trained here, begin again")
    @click.option("--shard", metavar="I/N", help="train the I-th of N shards only")
    @click.option("--dry-run", is_flag=True, help="only tell what there is to train, and how long")
    @functools.wraps(function)
    def asked(
        names: Sequence[str], overrides: Sequence[str], device: str | None, **others: Any
    ) -> None:
        requests = _requests(names, overrides, device)
        fresh, dry_run = (others.pop(name) for name in ("fresh", "dry_run"))
        part = shard(others.pop("shard"))
        if dry_run:
            from semantica_lib.running.dry_run import lines

            print("\n".join(lines(_once(requests), fresh, part)))
        elif part:
            _train_shard(requests, part, fresh)
        else:
            function(requests, fresh, **others)

    return asked


@command.command("list")
@_json
def list_(as_json: bool) -> None:
    """Experiments and the state of their results, here and published."""
    from semantica_lib.store import listing

    rows = listing.rows()
    print(json.dumps(rows, indent=1) if as_json else listing.text(rows))


@command.command()
@_training
def train(requests: Requests, fresh: bool) -> None:
    """Train each NAME (an experiment, a sweep or a FILE.yaml) here, without a notebook.

    With --shard, several machines that share a folder train together: each its own shard.
    """
    wanted = _once(requests)
    if len(wanted) > 1:  # one alone is refused by its own training
        _check(wanted, fresh)
    from semantica_lib.running.run import trained  # torch takes seconds: only where it is needed

    outcomes = trained(wanted, fresh)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if failures and len(wanted) == 1:
        raise failures[0]
    for own, outcome in zip(wanted, outcomes, strict=True):
        words = " ".join(str(outcome).split())
        print(f"{own.experiment}: failed: {words}" if outcome in failures else words)
    if failures:
        raise RuntimeError(
            f"not all of {', '.join(requests)} could be trained; the same command goes on from here"
        )


def _once(requests: Requests) -> list[AnySettings]:
    """Each result that is wanted, once."""
    wanted = (own for some in training(requests).values() for own in some)
    return list({results.folder(results.here(), own): own for own in wanted}.values())


def _check(wanted: Sequence[AnySettings], fresh: bool) -> None:
    """Refuse, before anything runs, what could not run."""
    from semantica_lib.running import distributed, plan

    if distributed.several():
        raise RequestError("several processes train together by `semantica train`, one experiment")
    for own in wanted:
        plan.check(own, fresh)


def _train_shard(requests: Requests, part: tuple[int, int], fresh: bool) -> None:
    from semantica_lib.running.run import run_shard

    if fresh:
        raise RequestError("leave out --fresh: with --shard others may have trained by now")
    wanted = _once(requests)
    _check(wanted, False)
    if failures := run_shard(wanted, part):
        raise RuntimeError("; ".join(failures))
    whole, names = shlex.join(["semantica", "run", *requests]), ", ".join(requests)
    print(f"{names}: shard {part[0]}/{part[1]} is trained; `{whole}` puts all shards together")


@command.command("run")
@_training
@click.option("--jobs", type=click.IntRange(1), default=1, help="experiments at a time")
@click.option(
    "--time-limit", "minutes", type=click.FloatRange(0, min_open=True), metavar="MINUTES",
    help="stop an experiment that takes longer, with a checkpoint",
)  # fmt: skip
def run_(requests: Requests, fresh: bool, jobs: int, minutes: float | None) -> None:
    """Train each NAME (experiment, sweep, FILE.yaml; models trains none), execute its notebook.

    Each has a process of its own. Finished work is kept.
    """
    _check([own for name in requests if name not in JOBS for own in requests[name]], fresh)
    from semantica_lib.running.batch import Request, run_batch, told

    started = time.monotonic()
    asked = [Request(name, wanted, fresh) for name, wanted in requests.items()]
    outcomes = run_batch(asked, jobs, minutes and 60 * minutes)
    print("\n".join(told(outcomes, time.monotonic() - started)))
    failed = [one.name for one in outcomes if one.kind == "failed"]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(outcomes)} failed: {', '.join(failed)}")


@command.command()
@_names
@click.option("--device", metavar="NAME", help="of the jobs: cpu (the default) or cuda")
@_set
@click.option("--jobs", type=click.IntRange(1), default=1, help="at least so many to train")
def workflow(names: Sequence[str], overrides: Sequence[str], device: str | None, jobs: int) -> None:
    """Print a Snakefile that trains each NAME, a job a stack of trials, and executes notebooks."""
    from semantica_lib.running.workflow import snakefile

    device = device or "cpu"  # the machines need not be alike, but what they train must be
    whole = (f"{n}={json.dumps(v, default=str)}" for n, v in map(parse_override, overrides))
    options = [*(word for text in whole for word in ("--set", text)), "--device", device]
    print(snakefile(training(_requests(names, overrides, device)), options, jobs), end="")


@command.command()
@_names
@_set
@click.option("--bare", is_flag=True, help="leave out the checkpoints of partial results")
@click.option("--records", type=click.IntRange(2), help="thin to so many, of the whole run")
def publish(
    names: Sequence[str], overrides: Sequence[str], bare: bool, records: int | None
) -> None:
    """Copy this machine's results of each NAME (experiment, sweep or FILE.yaml) into the book's."""
    from semantica_lib.running import publish

    wanted = [own for some in training(_requests(names, overrides)).values() for own in some]
    publish.refuse_nameless(wanted)
    for target in publish.publish(wanted, bare, records):
        print(f"published {target}")
    print(publish.told())


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_set
@_json
def verdicts(names: Sequence[str], overrides: Sequence[str], as_json: bool) -> None:
    """The verdict table of each NAME (or FILE.yaml), or of all finished experiments."""
    from semantica_lib.pages.verdicts import show

    changes = [parse_override(text) for text in overrides]
    wanted = {name: find(name, changes) for name in names or experiments()}
    show(wanted, overrides, bool(names), as_json)


@command.command("tables")
@click.argument("sources", nargs=-1, required=True, metavar="PATH|HUB_ID...")
@_json
def tables_(sources: Sequence[str], as_json: bool) -> None:
    """The input and output table of each checkpoint, and whether they are tied."""
    from semantica_lib.checkpoints.report import show

    show(sources, as_json)


@command.command()
@click.argument("name")
@_set
@click.option("--seed", type=int, help="of the trial; the first if none is named")
@click.option("--tie", type=click.Choice(["tied", "untied"]), help="of the trial")
@click.option("--to", metavar="FOLDER", help="a new folder; NAME-TIE-seed-SEED if none is named")
def export(name: str, overrides: Sequence[str], **trial: Any) -> None:
    """Write a language model that was trained here as a folder that other tools open."""
    from semantica_lib.running.export import export

    print(export(find(name, map(parse_override, overrides)), **trial))


@command.command()
@click.option("--train/--no-train", default=True, help="train the main experiment if need be")
def book(train: bool) -> None:
    """Build the book, training the main experiment first if that was not done here."""
    from semantica_lib.pages.book import build_book
    from semantica_lib.running.devices import cores

    if train:
        from semantica_lib.running.run import trained_main

        print(trained_main(), file=sys.stderr)
    print(build_book(cores()))


@command.command()
def readme() -> None:
    """Rewrite the results in README.md from the published ones."""
    os.environ.pop("MPLBACKEND", None)  # one that is not here stops matplotlib's import
    from semantica_lib.pages.readme import write

    write()


if __name__ == "__main__":
    sys.exit(main())
