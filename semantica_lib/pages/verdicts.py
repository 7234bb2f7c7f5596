"""What `semantica verdicts` prints: a table an experiment, or rows of data; notes on the others."""

import json
import shlex
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from semantica_lib.analysis.verdicts import to_markdown, verdicts
from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import AnySettings, catalogue, first_of, parse_override
from semantica_lib.store import results


def show(
    wanted: dict[str, AnySettings], overrides: Sequence[str], named: bool, as_json: bool
) -> None:
    """Print the verdicts of finished results, and a note on each other one.

    Args:
        wanted: settings by the name that they were asked for.
        overrides: what of them was set, as the command line has it.
        named: whether they were asked for by name; then partial results are shown too.
        as_json: one JSON array instead of tables.

    Raises:
        RequestError: a result that was named is missing, or there is none to show.
    """
    found = {name: results.best(own) for name, own in wanted.items()}
    missing = [name for name, result in found.items() if result is None]
    partial = {name: result for name, result in found.items() if result and not result.complete}
    if named and missing:
        raise RequestError(
            f"there is no result, here or published, of {', '.join(missing)}; "
            f"`{_run_command(missing, overrides)}` trains what is missing"
        )
    if not named and len(missing) + len(partial) == len(found):
        raise RequestError("no experiment has a finished result; `semantica run NAME` makes one")
    for name in missing:
        _note(f"{name} has no result, here or published; `{_run_command([name])}` makes one")
    for name, result in partial.items():
        done, full = result.manifest["steps_done"], results.full_steps(wanted[name])
        command = _run_command([name], overrides)
        _note(f"{name} is partial, at step {done:,} of {full:,}; `{command}` completes it")
    frames = []
    for name, result in found.items():
        if result and (named or result.complete):
            folder = first_of(results.folder(results.PUBLISHED, wanted[name]).name)
            page = f"experiments/{folder}.ipynb" if folder in catalogue() else ""
            frames.append((name, verdicts(result, page), result.divergence))
    if not as_json:
        for name, frame, lost in frames:
            told = [name, *([f"{lost}."] if lost else []), to_markdown(frame)]
            print("\n\n".join(told) + "\n")
        return
    rows = pd.concat([frame for _, frame, _ in frames]).astype(object)
    rows = rows.replace([np.nan, np.inf, -np.inf], None)  # JSON has none of them: null
    print(json.dumps(rows.to_dict("records"), indent=1, allow_nan=False))


def _run_command(names: Sequence[str], overrides: Sequence[str] = ()) -> str:
    """The command that trains experiments to their end, whatever steps were asked for."""
    kept = [text for text in overrides if parse_override(text)[0] != "steps"]
    options = [f"--set {shlex.quote(text)}" for text in kept]
    return " ".join(["semantica run", *map(shlex.quote, names), *options])


def _note(message: str) -> None:
    print(f"semantica: note: {message}", file=sys.stderr)
