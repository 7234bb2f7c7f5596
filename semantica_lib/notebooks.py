"""Executing notebooks with papermill, and building the book from them."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillException

from semantica_lib import results
from semantica_lib.experiments import ROOT, Settings, catalogue, find

NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
EXECUTED = BOOK / "experiments"
MAIN = "transformer-small"


class NotebookError(RuntimeError):
    """A notebook or the book ran and failed: the command line answers with exit code 1."""


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], train: bool = True, key: str = ""
) -> None:
    """Run a notebook; ``target`` appears only when all its cells succeeded.

    Args:
        train: whether the notebook may train; otherwise it shows what is stored.
        key: stored in the notebook's metadata, for :func:`current`.

    Raises:
        NotebookError: a cell failed or the kernel died; the notebook is kept beside the target
            under the name ``NAME.failed.ipynb``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.{os.getpid()}.ipynb")
    failed = target.with_suffix(".failed.ipynb")
    try:
        with _environment({} if train else {"SEMANTICA_TRAIN": "never"}):
            papermill.execute_notebook(
                str(source), str(part), parameters=dict(parameters), kernel_name="python3",
                cwd=str(ROOT), progress_bar=False,
            )  # fmt: skip
        notebook = nbformat.read(part, as_version=4)
        notebook.metadata = {**notebook.metadata, "papermill": {}, "semantica_key": key}
        for cell in notebook.cells:  # figure names are of the whole book
            if figure := cell.metadata.get("mystnb", {}).get("figure"):
                figure["name"] = f"{figure['name']}-{target.stem}"
        nbformat.write(notebook, part)
        os.replace(part, target)
        failed.unlink(missing_ok=True)
    except (PapermillException, RuntimeError) as error:  # RuntimeError: the kernel died
        if part.exists():
            os.replace(part, failed)
        told = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        raise NotebookError(f"{source.name} failed: {told[-1]} (kept as {failed})") from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables set for a while (kernels inherit them)."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def experiment_notebook(own: Settings) -> Path:
    """Execute the notebook of an experiment, training what is missing; it lies by its result."""
    target = results.folder(results.here(), own) / f"{own.experiment}.ipynb"
    execute(NOTEBOOKS / "xor.ipynb", target, _parameters(own))
    return target


def _parameters(own: Settings) -> dict[str, Any]:
    """What to inject for these settings: those that differ from the notebook's own cell."""
    named = {"experiment": own.experiment, "question": own.question}
    return own.model_dump(mode="json", exclude_defaults=True) | named


def build_book() -> Path:
    """Execute the book's notebooks on stored results and render it, warnings taken as errors.

    Notebooks whose sources and results are as they were at their last execution are not executed
    again.

    Raises:
        NotebookError: a notebook failed, or the book has warnings.
    """
    _page(NOTEBOOKS / "task.ipynb", EXECUTED / "task.ipynb", {})
    for name in catalogue():
        own = find(name)
        if results.best(own) is not None:
            _page(NOTEBOOKS / "xor.ipynb", EXECUTED / f"{name}.ipynb", _parameters(own))
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(BOOK), "--all"]
    done = subprocess.run([*command, "-W", "-n", "--keep-going"], check=False)
    if done.returncode:
        raise NotebookError("building the book failed: see the warnings above")
    return BOOK / "_build" / "html" / "index.html"


def _page(source: Path, target: Path, parameters: Mapping[str, Any]) -> None:
    key = _key(source, parameters)
    if not _has_key(target, key):
        print(f"executing {source.name} as {target.name}", file=sys.stderr, flush=True)
        execute(source, target, parameters, train=False, key=key)


def _has_key(target: Path, key: str) -> bool:
    try:
        return json.loads(target.read_text(encoding="utf-8"))["metadata"]["semantica_key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _key(source: Path, parameters: Mapping[str, Any]) -> str:
    """A digest of all that an executed notebook depends on."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    files = [source, ROOT / "constraints.txt", *sorted((ROOT / "semantica_lib").rglob("*.py"))]
    if "experiment" in parameters:
        for place in (results.here(), results.PUBLISHED):
            files.append(results.folder(place, find(parameters["experiment"])) / results.MANIFEST)
    for file in files:
        digest.update(str(file).encode() + (file.read_bytes() if file.exists() else b"absent"))
    return digest.hexdigest()
