"""What `semantica list` tells: experiments and sweeps, and the state of their results."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import AnySettings, catalogue, changes, find
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store import results


def rows() -> list[dict[str, Any]]:
    """A row for each experiment, each sweep, and each other result that lies here.

    The last are results of other settings than any of those has, as ``--set`` makes them, and of
    files of one's own.
    """
    found, known = [], set()
    for name in catalogue():
        own = find(name)
        trials = len(own.seeds) * len(own.ties)
        found.append(_row(name, own.question, _model(own), trials, own.steps, [own]))
        known |= _addresses([own])
    for name, path in sweeps().items():
        sweep = read(path)
        wanted = [own for _, own in points(sweep)]
        model = f"{len(wanted)} variants of {sweep.base}"
        trials = sum(len(own.seeds) * len(own.ties) for own in wanted)
        found.append(_row(name, sweep.question, model, trials, wanted[0].steps, wanted))
        known |= _addresses(wanted)
    others = (address for address in results.addresses(results.here()) if address not in known)
    return found + [_other(*address) for address in others]


def _model(own: AnySettings) -> str:
    return f"{own.encoder}, {own.layers} layer(s), d {own.embedding_size}"


def _row(
    name: str, question: str, model: str, trials: int, steps: int, wanted: Sequence[AnySettings]
) -> dict[str, Any]:
    places = {"here": results.here(), "published": results.PUBLISHED}
    states = {key: summary([results.state(p, own) for own in wanted]) for key, p in places.items()}
    about = {"name": name, "question": question, "model": model, "trials": trials, "steps": steps}
    return about | states


def summary(states: Sequence[str]) -> str:
    """A result's state; of several how many are complete, and what else there is to say of any."""
    if len(states) == 1:
        return states[0]
    complete = [state for state in states if state.startswith("complete")]
    others = dict.fromkeys(s for s in states if not s.startswith(("complete", "missing")))
    notes = [state[state.index("(") :] for state in complete if "(" in state]
    counts = [f"{notes.count(note)} {note}" for note in dict.fromkeys(notes)]
    return "; ".join([f"{len(complete)} of {len(states)} complete", *others, *counts])


def text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as people read them, three lines each."""
    return "\n".join(
        f"{row['name']}: {row['question']}\n"
        f"    {row['model']}; {row['trials']} trials of {row['steps']:,} steps\n"
        f"    here: {row['here']}; published: {row['published']}"
        for row in rows
    )


def _addresses(wanted: Iterable[AnySettings]) -> set[tuple[Path, str]]:
    return {results.locate(results.here(), own) for own in wanted}


def _other(path: Path, point: str) -> dict[str, Any]:
    """A row of a result of other settings: in which it differs, and its state."""
    name = path.name + f"/{point}" * bool(point)
    row = {"name": name, "question": "", "model": "", "trials": 0, "steps": 0}
    try:
        result = results.load(path, point)
        own = result.settings
        own_values = [f"{name}={json.dumps(value)}" for name, value in own.identity.items()]
        what = f"{own.experiment} with {', '.join(changes(own) or own_values)}"
        row |= {"question": what, "model": _model(own), "trials": len(result.seed)}
        row |= {"steps": result.manifest["steps_done"], "here": results.state(path.parent, own)}
    except RequestError as error:
        row["here"] = f"damaged: {error}"
    return row | {"published": "missing"}
