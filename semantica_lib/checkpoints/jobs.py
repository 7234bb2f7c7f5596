"""Jobs of the third kind, beside experiments and sweeps: a notebook that trains nothing."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from semantica_lib.errors import RequestError
from semantica_lib.settings.schema import checked
from semantica_lib.settings.spelling import as_list, typed

Texts = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(as_list)]
Requests = TypeVar("Requests", bound=Mapping[str, Any])


class Models(BaseModel):
    """What the notebook on real models can be asked."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    checkpoints: Texts = ()
    """paths, or names on the hub: OWNER/NAME, or OWNER/NAME@REVISION"""
    text: str = ""
    """a file or folder of plain text to try them on; empty: the documentation corpus"""


JOBS = {"models": Models}  # the notebook of that name, and its parameters
QUESTIONS = {"models": "Do the tables of real models follow what comes before, or after?"}


def job(name: str, overrides: Iterable[tuple[str, Any]] = ()) -> Models:
    """A job's parameters; a path that is there is made whole.

    Raises:
        RequestError: one is unknown or wrong; there is no such text, or surely too little of it;
            or a device is named.
    """
    values = dict(overrides)
    if "device" in values:
        raise RequestError(_trains_nothing(name))
    own = checked(JOBS[name], values)
    paths = [(one, typed(one)) for one in own.checkpoints]
    whole = tuple(str(path) if path.exists() else one for one, path in paths)
    if own.text and not typed(own.text).exists():
        raise RequestError(f"text: {own.text}: no such file or folder")
    text = str(typed(own.text)) if own.text else ""
    if text:
        _refuse_short(text)
    return own.model_copy(update={"checkpoints": whole, "text": text})


def _refuse_short(text: str) -> None:
    """Of fewer characters no tokenizer makes the tokens that the measures need."""
    from semantica_lib.checkpoints.measures.sides import LEAST, LEAST_COUNT  # takes its time
    from semantica_lib.datasets.own_text import own_files, own_text

    files = own_files(Path(text), False).files
    found, least = sum(len(own_text(file)) for file in files), LEAST * LEAST_COUNT
    if found < least:
        raise RequestError(
            f"text: {text}: too short for the measures, {found} characters: {LEAST} tokens must "
            f"stand in it {LEAST_COUNT} times each; give a longer one, of some thousand sentences"
        )


def training(requests: Requests) -> Requests:
    """The same requests, of which none is a job.

    Raises:
        RequestError: one is.
    """
    if named := sorted(JOBS.keys() & requests.keys()):
        raise RequestError(_trains_nothing(named[0]))
    return requests


def _trains_nothing(name: str) -> str:
    return f"{name} trains nothing: write `semantica run {name}`, which executes its notebook"
