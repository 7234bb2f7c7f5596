"""The ``semantica`` command: 0 done, 1 something ran and failed, 2 the request was wrong."""

import io
import json
import math
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import click

from semantica_lib.errors import RequestError, nearest
from semantica_lib.running.stopping import stopped_by
from semantica_lib.settings.catalogue import AnySettings, catalogue, find, parse_override
from semantica_lib.settings.sweeps import file_of, points, read
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


_set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="a setting"
)
_json_option = click.option("--json", "as_json", is_flag=True, help="one JSON array on stdout")


def _experiment_options(function: Callable) -> Callable:
    for decorate in (
        click.option("--fresh", is_flag=True, help="discard what is trained here, begin again"),
        click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N"),
        _set_option,
    ):
        function = decorate(function)
    return function


def _settings(name: str, overrides: Sequence[str], device: str | None = None) -> AnySettings:
    return find(name, _changes(overrides, device))


def _changes(overrides: Sequence[str], device: str | None) -> list[tuple[str, Any]]:
    """What ``--set`` and ``--device`` ask for."""
    pairs = [parse_override(text) for text in overrides]
    return pairs + ([("device", device)] if device else [])


def _wanted(name: str, overrides: Sequence[str], device: str | None = None) -> list[AnySettings]:
    """The settings of an experiment, or those of every point of a sweep."""
    path = file_of(name)
    if path is None:
        return [_settings(name, overrides, device)]
    return [own for _, own in points(read(path), _changes(overrides, device))]


@command.command("list")
@_json_option
def list_(as_json: bool) -> None:
    """Experiments and the state of their results, here and published."""
    from semantica_lib.store.listing import rows as rows_of

    rows = rows_of()
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['name']}: {row['question']}")
        print(f"    {row['model']}; {row['trials']} trials of {row['steps']:,} steps")
        print(f"    here: {row['here']}; published: {row['published']}")


_share_option = click.option(
    "--shard", "share", metavar="I/N", help="train the I-th of N shares of the stacks only"
)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_experiment_options
@_share_option
def train(
    names: Sequence[str],
    overrides: Sequence[str],
    device: str | None,
    fresh: bool,
    share: str | None,
) -> None:
    """Train each NAME (an experiment, a sweep or a FILE.yaml) here, without a notebook.

    With --shard, several machines that share a folder train together: each its own part.
    """
    wanted = _all_wanted(names, overrides, device)
    if share:
        _train_share(names, wanted, share, fresh)
        return
    if len(wanted) > 1:  # one alone is refused by its own training
        _check(wanted, fresh)
    outcomes = _outcomes(wanted, fresh)
    if len(wanted) == 1 and isinstance(outcomes[0], Exception):
        raise outcomes[0]
    for own, outcome in zip(wanted, outcomes, strict=True):
        failed = isinstance(outcome, Exception)
        words = " ".join(str(outcome).split())
        print(f"{own.experiment}: failed: {words}" if failed else words)
    if any(isinstance(outcome, Exception) for outcome in outcomes):
        raise RuntimeError(
            f"not all of {', '.join(names)} could be trained; the same command goes on from here"
        )


def _all_wanted(
    names: Sequence[str], overrides: Sequence[str], device: str | None
) -> list[AnySettings]:
    """The settings of each result that is named, once."""
    wanted = [own for name in names for own in _wanted(name, overrides, device)]
    return list({results.folder(results.here(), own): own for own in wanted}.values())


def _train_share(
    names: Sequence[str], wanted: Sequence[AnySettings], share: str, fresh: bool
) -> None:
    from semantica_lib.running.run import run_share

    number, of = _share(share)
    if fresh:
        raise RequestError("--fresh does not go with --shard: others may have trained by now")
    _check(wanted, False)
    failures = run_share(wanted, number, of)
    if failures:
        raise RuntimeError("; ".join(failures))
    command = shlex.join(["semantica", "run", *names])
    print(f"{', '.join(names)}: share {share} is trained; `{command}` puts all shares together")


def _share(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 100_000):
        raise RequestError(f"--shard takes I/N, the I-th of N shares, as in 2/4, not {text!r}")
    return int(number), int(of)


def _outcomes(wanted: Sequence[AnySettings], fresh: bool) -> list[str | Exception]:
    """Train them together: what became of each in words, or the error that ended it."""
    from semantica_lib.running.run import (
        run_all,  # torch takes seconds to import: only where it is needed
    )

    started = time.monotonic()
    before = [results.state(results.here(), own) for own in wanted]
    outcomes = run_all(wanted, fresh)
    seconds = time.monotonic() - started
    for place, (own, state) in enumerate(zip(wanted, before, strict=True)):
        if not isinstance(outcomes[place], Exception):
            after = results.state(results.here(), own)
            same = state == after and not fresh
            word = "finished before" if same else f"trained in {seconds:.0f} s"
            folder = outcomes[place].folder
            outcomes[place] = f"{own.experiment}: {after}, {word}, in {folder}"
    return outcomes


@command.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_experiment_options
@click.option("--jobs", type=click.IntRange(1), default=1, help="experiments at a time")
@click.option(
    "--time-limit", "minutes", type=click.FloatRange(0, min_open=True), metavar="MINUTES",
    help="stop an experiment that takes longer, with a checkpoint",
)  # fmt: skip
@_share_option
@click.option("--dry-run", is_flag=True, help="only tell what there is to train, and how long")
def run_(
    names: Sequence[str],
    overrides: Sequence[str],
    device: str | None,
    fresh: bool,
    jobs: int,
    minutes: float | None,
    share: str | None,
    dry_run: bool,
) -> None:
    """Train each NAME (an experiment, a sweep or a FILE.yaml) and execute its notebook.

    Each has a process of its own. Finished work is kept.
    """
    names = list(dict.fromkeys(names))
    if share and not dry_run:
        _train_share(names, _all_wanted(names, overrides, device), share, fresh)
        return
    if dry_run:
        wanted = _all_wanted(names, overrides, device)
        from semantica_lib.running.dry_run import lines as planned

        print("\n".join(planned(wanted, fresh, _share(share) if share else None)))
        return
    wanted = [_wanted(name, overrides, device) for name in names]
    _check([own for some in wanted for own in some], fresh)
    from semantica_lib.running.batch import Request, lines, run_batch

    started = time.monotonic()
    requests = [Request(*one, fresh) for one in zip(names, wanted, strict=True)]
    outcomes = run_batch(requests, jobs, minutes and 60 * minutes)
    for line in lines(outcomes, time.monotonic() - started):
        print(line)
    failed = [one.name for one in outcomes if one.kind == "failed"]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(outcomes)} failed: {', '.join(failed)}")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--device", metavar="NAME", help="of the jobs: cpu (the default) or cuda")
@_set_option
@click.option("--jobs", type=click.IntRange(1), default=1, help="at least so many to train")
def workflow(names: Sequence[str], overrides: Sequence[str], device: str | None, jobs: int) -> None:
    """Print a Snakefile that trains each NAME, a job a stack of trials, and executes notebooks."""
    from semantica_lib.running.workflow import snakefile

    device = device or "cpu"  # the machines need not be alike, but what they train must be
    requests = {name: _wanted(name, overrides, device) for name in names}
    options = [*(word for text in overrides for word in ("--set", text)), "--device", device]
    print(snakefile(requests, options, jobs), end="")


def _check(wanted: Sequence[AnySettings], fresh: bool) -> None:
    """Refuse, before anything runs, what could not run."""
    from semantica_lib.running import distributed as together
    from semantica_lib.running.plan import check

    if together.several():
        raise RequestError("several processes train together by `semantica train`, one experiment")
    for own in wanted:
        check(own, fresh)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_set_option
@click.option("--bare", is_flag=True, help="leave out the checkpoints of partial results")
@click.option("--records", type=click.IntRange(4), help="thin to so many, of the whole run")
def publish(
    names: Sequence[str], overrides: Sequence[str], bare: bool, records: int | None
) -> None:
    """Copy this machine's results of each NAME (experiment, sweep or FILE.yaml) into the book's."""
    from semantica_lib.running.publish import publish as copy
    from semantica_lib.running.publish import told

    wanted = [own for name in names for own in _wanted(name, overrides)]
    for target in copy(wanted, bare, records):
        print(f"published {target}")
    print(told())


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_set_option
@_json_option
def verdicts(names: Sequence[str], overrides: Sequence[str], as_json: bool) -> None:
    """The verdict table of each NAME (or FILE.yaml), or of all finished experiments."""
    from semantica_lib.analysis.verdicts import to_markdown
    from semantica_lib.analysis.verdicts import verdicts as judge

    wanted = {name: _settings(name, overrides) for name in names or catalogue()}
    found = {name: results.best(own) for name, own in wanted.items()}
    missing = [name for name, result in found.items() if result is None]
    if names and missing:
        raise RequestError(
            f"there is no result, here or published, of {', '.join(missing)}; "
            f"`{_run_command(missing, overrides)}` trains what is missing"
        )
    partial = [name for name in found if found[name] and not found[name].complete]
    if not names and len(missing) + len(partial) == len(found):
        raise RequestError("no experiment has a finished result; `semantica run NAME` makes one")
    for name in missing:
        _note(f"{name} has no result, here or published; `{_run_command([name])}` makes one")
    for name in partial:
        done, full = found[name].manifest["steps_done"], results.full_steps(wanted[name])
        _note(
            f"{name} is partial, at step {done:,} of {full:,}; "
            f"`{_run_command([name], overrides)}` completes it"
        )
    frames = []
    for name, result in found.items():
        if result and (names or result.complete):
            folder = results.folder(results.PUBLISHED, wanted[name]).name
            page = f"experiments/{folder}.ipynb" if folder in catalogue() else ""
            frames.append(judge(result, page))
    if as_json:
        rows = [row for frame in frames for row in frame.to_dict("records")]
        print(json.dumps([_plain(row) for row in rows], indent=1, allow_nan=False))
        return
    for frame in frames:
        print(f"{frame['experiment'][0]}\n\n{to_markdown(frame)}\n")


def _run_command(names: Sequence[str], overrides: Sequence[str] = ()) -> str:
    """The command that trains experiments to their end, whatever steps were asked for."""
    kept = [text for text in overrides if parse_override(text)[0] != "steps"]
    options = [f"--set {shlex.quote(text)}" for text in kept]
    return " ".join(["semantica run", *map(shlex.quote, names), *options])


def _note(message: str) -> None:
    print(f"semantica: note: {message}", file=sys.stderr)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON has it, where there is neither NaN nor infinity: null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


@command.command()
@click.option("--train/--no-train", default=True, help="train the main experiment if need be")
def book(train: bool) -> None:
    """Build the book, training the main experiment first if that was not done here."""
    from semantica_lib.pages.book import MAIN, build_book

    if train:
        (outcome,) = _outcomes([find(MAIN)], False)
        if isinstance(outcome, Exception):
            raise outcome
        print(outcome, file=sys.stderr)
    print(build_book())


@command.command()
def readme() -> None:
    """Rewrite the results in README.md from the published ones."""
    from semantica_lib.pages.readme import write

    write()


if __name__ == "__main__":
    sys.exit(main())
