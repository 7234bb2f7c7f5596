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
from semantica_lib.markdown import literal
from semantica_lib.sweeps import file_of, sweeps
from semantica_lib.trainers.checkpoint import write_whole

NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
EXECUTED = BOOK / "experiments"
MAIN = "transformer-small"
MEASURED = ("bench.json", "bench-gpu.json", "scaling.json")  # beside the published results
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
    there is) or one of ``files``, and cannot be executed without a result of the experiment
    ``needs``.
    """

    source: Path
    target: Path
    parameters: dict[str, Any]
    shows: tuple[str, ...] | None = ()
    needs: str = ""
    files: tuple[Path, ...] = ()


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
    for left in _parts(target):
        left.unlink()
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


def page_of(name: str, wanted: Sequence[AnySettings]) -> Page:
    """The notebook that tells an experiment or a sweep, beside its result.

    A sweep's is its chapter if it has one, else the notebook that draws any sweep; it shows what is
    stored.

    Args:
        name: of an experiment or a sweep, or the path of its file.
        wanted: the experiment's settings, or those of the sweep's points.
    """
    file = file_of(name)
    if file is None:
        own = wanted[0]
        folder = results.folder(results.here(), own)
        files = [*folder.parent.glob(_others(own)), *results.PUBLISHED.glob(_others(own))]
        files += [results.folder(place, own) / results.MANIFEST for place in _places()]
        target = folder / f"{own.experiment}.ipynb"
        return Page(_source(own), target, _parameters(own), files=tuple(files))
    path = file.resolve()
    target = results.here() / path.stem / f"{path.stem}.ipynb"
    own_chapter, named = NOTEBOOKS / f"{path.stem}.ipynb", sweeps().get(path.stem)
    if own_chapter.exists() and named and named.resolve() == path:  # not your file of that name
        return Page(own_chapter, target, {}, None)
    return Page(NOTEBOOKS / "sweep.ipynb", target, {"sweep": str(path)}, None, files=(path,))


def tell(page: Page) -> bool:
    """Execute a page if it is not as it would be; whether that was so.

    Raises:
        NotebookError: as :func:`execute`.
    """
    key = _key(page)
    if _has_key(page.target, key):
        return False
    # an experiment's own page may train, should its result be gone by now
    execute(*page[:3], train=page.shows is not None, key=key)
    return True


def keep_failed(page: Page, reason: str) -> Path:
    """Keep the notebook of what failed otherwise than in one of its cells, and say why.

    It is as far as its cells were executed, or as it would have been executed: who opens it can go
    on by hand.

    Returns:
        ``NAME.failed.ipynb``, beside the target.
    """
    page.target.parent.mkdir(parents=True, exist_ok=True)
    failed, begun = page.target.with_suffix(".failed.ipynb"), _parts(page.target)
    try:
        notebook = nbformat.read(max(begun, key=lambda part: part.stat().st_mtime), as_version=4)
    except ValueError:  # none was begun, or its writing was
        notebook = papermill.execute_notebook(
            str(page.source), None, page.parameters, kernel_name="python3", prepare_only=True
        )
    words = f"**This run failed:** {literal(reason)}"
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(words, id="failed"))
    write_whole(failed, nbformat.writes(notebook).encode())
    for part in begun:
        part.unlink()
    return failed


def _parts(target: Path) -> list[Path]:
    """What processes that are gone left of a notebook that they were executing."""
    found = target.parent.glob(f".{target.stem}.*.ipynb")
    return [part for part in found if not _alive(part.suffixes[-2].lstrip("."))]


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:  # another user's
        return True
    return True


def _places() -> tuple[Path, Path]:
    return results.here(), results.PUBLISHED


def _others(own: AnySettings) -> str:
    """Results of an experiment with other settings: a page may set them beside its own."""
    return f"{own.experiment}-????????/{results.MANIFEST}"


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
        _other("scale", None),
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
        f"{_titled(name, first.source.splitlines()[0])}\n\n"
        f"**{name}.** {literal(find(name).question)}\n\n"
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
    files = [page.source, ROOT / "constraints.txt", *code, *sorted(page.files)]
    if page.shows is None:
        files += [*catalogue().values(), *sweeps().values()]
        files += [results.PUBLISHED / name for name in MEASURED]
        files += [m for place in _places() for m in sorted(place.glob(f"*/{results.MANIFEST}"))]
    for own in map(find, page.shows or ()):
        files += [catalogue()[own.experiment]]
        files += [results.folder(place, own) / results.MANIFEST for place in _places()]
        files += [other for place in _places() for other in sorted(place.glob(_others(own)))]
    for file in files:
        digest.update(str(file).encode() + (file.read_bytes() if file.exists() else b"absent"))
    return digest.hexdigest()
