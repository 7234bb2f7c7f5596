"""What `semantica list` tells: experiments and sweeps, and the state of their results."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantica_lib.checkpoints.jobs import QUESTIONS
from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import AnySettings, changes, experiments, find
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store import results


def rows() -> list[dict[str, Any]]:
    """A row for each experiment, sweep and job, and each result here that none of them asks for.

    Those are of other settings, as ``--set`` makes them, and of files of one's own.
    """
    named = {name: find(name) for name in experiments()}
    asked = [(name, own.question, _model(own), [own]) for name, own in named.items()]
    for name, path in sweeps().items():
        sweep = read(path)
        wanted = [own for _, own in points(sweep)]
        asked.append((name, sweep.question, f"{len(wanted)} variants of {sweep.base}", wanted))
    found, known = [], set()
    for name, question, model, wanted in asked:
        row = {"name": name, "question": question, "model": model}
        row |= {"trials": sum(len(own.seeds) * len(own.ties) for own in wanted)}
        row |= {"steps": wanted[0].steps}
        for key, place in (("here", results.here()), ("published", results.PUBLISHED)):
            row[key] = summary([results.state(place, own) for own in wanted])
        found.append(row)
        known |= {results.locate(results.here(), own) for own in wanted}
    for name, question in QUESTIONS.items():
        row = {"name": name, "question": question, "model": "trains nothing", "trials": 0}
        there = (results.here() / name / f"{name}.ipynb").exists()
        there = {"here": "executed" if there else "missing"}
        kept = (results.PUBLISHED / f"{name}.json").exists()
        there["published"] = "measured" if kept else "missing"
        found.append(row | {"steps": 0} | there)
    others = (address for address in results.addresses(results.here()) if address not in known)
    return [*found, *(_other(*address) for address in others)]


def _model(own: AnySettings) -> str:
    return f"{own.encoder}, {own.layers} layer(s), d {own.embedding_size}"


def summary(states: Sequence[str]) -> str:
    """A result's state; of several how many are complete, and what else there is to say of any."""
    if len(states) == 1:
        return states[0]
    complete = [state for state in states if state.startswith("complete")]
    others = dict.fromkeys(s for s in states if not s.startswith(("complete,", "missing")))
    notes = [s[s.index("(") :] for s in complete if "(" in s and s not in others]
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
