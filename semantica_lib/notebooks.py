"""Executing notebooks with papermill, and building the book from them."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
from papermill.exceptions import PapermillException

from semantica_lib import results
from semantica_lib.experiments import ROOT, AnySettings, MlmSettings, catalogue, find
from semantica_lib.sweeps import file_of, sweeps
from semantica_lib.trainers.checkpoint import write_whole

NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
EXECUTED = BOOK / "experiments"
MAIN = "transformer-small"
# Made from any results.
CHAPTERS = (
    "clock", "logodds", "closing", "coincidence", "parity", "phase", "untie", "shaping", "near",
    "sweep",
)  # fmt: skip


class NotebookError(RuntimeError):
    """A notebook or the book ran and failed: the command line answers with exit code 1."""


class Page(NamedTuple):
    """A page of the book that is an executed notebook.

    It is executed anew when a result of the experiments in ``shows`` changes (None: any result that
    there is), and cannot be executed without a result of the experiment ``needs``.
    """

    source: Path
    target: Path
    parameters: dict[str, Any]
    shows: tuple[str, ...] | None = ()
    needs: str = ""


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
        # what is stored is shown by several kernels side by side, one a core
        shown = {"SEMANTICA_TRAIN": "never", "OMP_NUM_THREADS": "1"}
        with _environment({} if train else shown):
            papermill.execute_notebook(
                str(source), str(part), parameters=dict(parameters), kernel_name="python3",
                cwd=str(ROOT), progress_bar=False, extra_arguments=["--log-level=ERROR"],
            )  # fmt: skip  # the kernel's own warning is of no use to who reads progress
        notebook = nbformat.read(part, as_version=4)
        notebook.metadata = {**notebook.metadata, "papermill": {}, "semantica_key": key}
        if "experiment" in parameters:
            head, *rest = notebook.cells[0].source.split("\n")
            head = _titled(parameters["experiment"], head)
            notebook.cells[0].source = "\n".join([head, *rest])
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


def _titled(experiment: str, heading: str) -> str:
    """A page's heading that begins with the experiment's name."""
    words = heading.removeprefix("# ")
    return f"# {experiment}: {words[:1].lower()}{words[1:]}"


def experiment_notebook(own: AnySettings) -> Path:
    """Execute the notebook of an experiment, training what is missing; it lies by its result."""
    target = results.folder(results.here(), own) / f"{own.experiment}.ipynb"
    execute(_source(own), target, _parameters(own))
    return target


def chapter(sweep: str) -> Path:
    """Execute the notebook that tells a sweep, on what is stored; it lies beside the results.

    That is its chapter if it has one, else the notebook that draws any sweep.

    Args:
        sweep: its name, or the path of its file.
    """
    path = (file_of(sweep) or Path(sweep)).resolve()
    target = results.here() / path.stem / f"{path.stem}.ipynb"
    own, named = NOTEBOOKS / f"{path.stem}.ipynb", sweeps().get(path.stem)
    if own.exists() and named and named.resolve() == path:  # not a file of yours of that name
        execute(own, target, {}, train=False)
    else:
        execute(NOTEBOOKS / "sweep.ipynb", target, {"sweep": str(path)}, train=False)
    return target


def _source(own: AnySettings) -> Path:
    """The notebook that an experiment is told by."""
    return NOTEBOOKS / ("mlm.ipynb" if isinstance(own, MlmSettings) else "xor.ipynb")


def _parameters(own: AnySettings) -> dict[str, Any]:
    """What to inject for these settings: those that differ from the notebook's own cell."""
    default = type(own)().model_dump(mode="json")
    mine = own.model_dump(mode="json")
    differing = {name: value for name, value in mine.items() if value not in (default[name], None)}
    return differing | {"experiment": own.experiment, "question": own.question}


def pages() -> list[Page]:
    """The book's notebooks: one an experiment, and those of the other pages that there are."""
    others = [
        _other("task"),
        _other("theory"),
        *(_other(name, None) for name in CHAPTERS),
        _other("tables", None),
        _other("original", None),
        _other("costs", None),
        _other("own", ("three-synonyms",), needs="three-synonyms"),
    ]
    return [page for page in others if page.source.exists()] + [
        Page(_source(own), EXECUTED / f"{name}.ipynb", _parameters(own), (name,), name)
        for name, own in ((name, find(name)) for name in catalogue())
    ]


def _other(name: str, shows: tuple[str, ...] | None = (), needs: str = "") -> Page:
    return Page(NOTEBOOKS / f"{name}.ipynb", EXECUTED / f"{name}.ipynb", {}, shows, needs)


def build_book() -> Path:
    """Execute the book's notebooks on stored results and render it, warnings taken as errors.

    Notebooks whose sources and results are as they were at their last execution are not executed
    again. A page without a result says so, and how to get it.

    Raises:
        NotebookError: a notebook failed (the others were executed), or the book has warnings.
    """
    EXECUTED.mkdir(exist_ok=True)
    wanted = []
    for page in pages():
        if page.needs and results.best(find(page.needs)) is None:
            write_whole(page.target, nbformat.writes(_stub(page)).encode())
        elif not _has_key(page.target, _key(page)):
            wanted.append(page)
    if wanted:
        _execute_all(wanted)
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(BOOK), "--all"]
    done = subprocess.run([*command, "-W", "-n", "--keep-going"], check=False)
    if done.returncode:
        raise NotebookError("building the book failed: see the warnings above")
    return BOOK / "_build" / "html" / "index.html"


def _stub(page: Page) -> nbformat.NotebookNode:
    """The page of an experiment without a result, so that links to it lead somewhere."""
    name, first = page.needs, nbformat.read(page.source, as_version=4).cells[0]
    text = (
        f"{_titled(name, first.source.splitlines()[0])}\n\n{find(name).question}\n\n"
        f"There is no result of {name} yet, here or published. These commands train it, which "
        f"can take long, and write this page:\n\n"
        f"```sh\nsemantica run {name}\nsemantica book\n```\n"
    )
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="stub")])


def _execute_all(wanted: Sequence[Page]) -> None:
    """Execute pages side by side, one a core: in processes, papermill's ``cwd`` being global."""
    count = min(len(wanted), os.cpu_count() or 1)
    pool, failures = ProcessPoolExecutor(count, get_context("spawn")), []
    _tell(f"executing {len(wanted)} notebooks, {count} at a time")
    try:
        running = {
            pool.submit(execute, *page[:3], train=False, key=_key(page)): page for page in wanted
        }
        for number, done in enumerate(as_completed(running), 1):
            name, error = running[done].target.name, done.exception()
            _tell(f"{number} of {len(wanted)}: {name} {'failed' if error else 'executed'}")
            if error:
                failures.append(str(error))
    finally:  # stopped by Ctrl-C, none is begun any more
        pool.shutdown(cancel_futures=True)
    if failures:
        raise NotebookError("; ".join(failures))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _has_key(target: Path, key: str) -> bool:
    try:
        return json.loads(target.read_text(encoding="utf-8"))["metadata"]["semantica_key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _key(page: Page) -> str:
    """A digest of all that an executed notebook depends on."""
    digest = hashlib.sha256(json.dumps(page.parameters, sort_keys=True).encode())
    code = sorted((ROOT / "semantica_lib").rglob("*.py"))
    files = [page.source, ROOT / "constraints.txt", *code]
    places = results.here(), results.PUBLISHED
    if page.shows is None:
        files += [*catalogue().values(), *sweeps().values()]
        files += [results.PUBLISHED / name for name in ("bench.json", "bench-gpu.json")]
        files += [file for place in places for file in sorted(place.glob(f"*/{results.MANIFEST}"))]
    else:
        files += [catalogue()[name] for name in page.shows]
        own = [find(name) for name in page.shows]
        files += [results.folder(place, one) / results.MANIFEST for place in places for one in own]
        # with other settings: a page may set such results beside its own
        others = (f"{one.experiment}-????????/{results.MANIFEST}" for one in own)
        files += [file for glob in others for place in places for file in sorted(place.glob(glob))]
    for file in files:
        digest.update(str(file).encode() + (file.read_bytes() if file.exists() else b"absent"))
    return digest.hexdigest()
