"""Executing notebooks with papermill."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
from papermill.exceptions import PapermillException

from semantica_lib.analysis.markdown import title
from semantica_lib.checkpoints.jobs import JOBS
from semantica_lib.errors import literal
from semantica_lib.files import ROOT, digest, write_whole
from semantica_lib.pages import captions
from semantica_lib.pages.kernels import KERNEL, SHOWN, own_kernel
from semantica_lib.settings.catalogue import (
    MAIN,
    SECOND,
    AnySettings,
    MlmSettings,
    catalogue,
    experiment_file,
    find,
    first_of,
)
from semantica_lib.settings.spelling import typed
from semantica_lib.settings.sweeps import file_of, read, sweeps
from semantica_lib.store import results

NOTEBOOKS = ROOT / "notebooks"
EXPLAINS = "explains"  # tag of cells that stand on one page only: that of the notebook's experiment
EXPLAINED = {"xor": MAIN, "mlm": "mlm"}
CHECK = "check"  # of the cell that is put behind a notebook's own
# What the notebooks that are not of one experiment show: their own cells say the same, which are
# there to be changed by hand.
PARAMETERS: dict[str, dict[str, Any]] = {
    **{name: {"sweep": name} for name in sweeps() if (NOTEBOOKS / f"{name}.ipynb").exists()},
    "causal": {"sweep": "schemes"},
    "clock": {"experiments": []},
    "coincidence": {"sweep": "coincidence", "other": "closing"},
    "from-scratch": {"steps": 6_000, "seed": 42},
    "models": {"checkpoints": [], "text": ""},
    "logodds": {"base": "transformer-small"},
    "own": {"name": "three-synonyms"},
    "parity": {"sweep": "closing"},
    "shaping": {"sweep": "phase"},
    "sweep": {"sweep": "closing", "x": "", "where": {}},
    "task": {"zero_dst": [0.1, 0.9], "one_dst": [0.5, 0.5], "bits": 7, "data_seed": 14},
    "theory": {
        "zero_dst": [0.1, 0.9], "one_dst": [0.5, 0.5], "bits": 7, "seeds": [42, 43, 44],
        "steps": 100,
    },
}  # fmt: skip


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
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
    train: bool = True,
    key: str = "",
    fork: bool = False,
) -> None:
    """Run a notebook; ``target`` appears only when all its cells succeeded.

    Args:
        train: whether the notebook may train; otherwise it shows what is stored.
        key: stored in the notebook's metadata, for :func:`current`.
        fork: whether the kernel may be forked from this process.

    Raises:
        NotebookError: a cell failed, the kernel died, or what is shown is another result than that
            of the parameters; the notebook is kept beside the target under the name
            ``NAME.failed.ipynb``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.{os.getpid()}.ipynb")
    failed = target.with_suffix(".failed.ipynb")
    for left in _parts(target):
        left.unlink()
    begun = _checking(source, parameters)
    how = {"progress_bar": False, "extra_arguments": ["--log-level=ERROR"], "kernel_name": KERNEL}
    how |= {"request_save_on_cell_execute": train}  # what is soon executed again is written once
    try:
        with own_kernel({} if train else SHOWN, fork):
            notebook = papermill.execute_notebook(begun, part, dict(parameters), cwd=ROOT, **how)
        notebook.cells = [cell for cell in notebook.cells if cell.id != CHECK]
        notebook.metadata = {**notebook.metadata, "papermill": {}, "semantica_key": key}
        if "experiment" in parameters:
            head, *rest = notebook.cells[0].source.split("\n")
            head = titled(parameters["experiment"], head)
            notebook.cells[0].source = "\n".join([head, *rest])
        captions.complete(notebook, target.stem)
        for cell in notebook.cells:
            if "injected-parameters" in cell.metadata.get("tags", []):  # all of them: a long list
                cell.metadata.tags.append("remove-input")
        nbformat.write(notebook, part)
        os.replace(part, target)
        failed.unlink(missing_ok=True)
    except (PapermillException, RuntimeError) as error:  # RuntimeError: the kernel died
        if not part.exists():  # the kernel died, and nothing had been written
            nbformat.write(begun, part)
        os.replace(part, failed)
        words = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        raise NotebookError(f"{source.name} failed: {words[-1]} (kept as {failed})") from None
    finally:
        part.unlink(missing_ok=True)


def _checking(source: Path, parameters: Mapping[str, Any]) -> nbformat.NotebookNode:
    """A notebook that ends with a check of the result that it shows, if it shows one.

    That of an experiment has its explanations only on the page of the one that they are about.
    """
    notebook, asked = nbformat.read(source, as_version=4), None
    if "experiment" in parameters:
        asked, whole = dict(parameters), EXPLAINED[source.stem]
        if parameters["experiment"] not in (whole, whole + SECOND):
            _shorten(notebook, whole)
    elif "name" in parameters:
        asked = parameters_of(find(parameters["name"]))
    if asked:
        code = f"from semantica_lib.pages.asked import check\n\ncheck(result, {asked!r})"
        notebook.cells.append(nbformat.v4.new_code_cell(code, id=CHECK))
    return notebook


def _shorten(notebook: nbformat.NotebookNode, whole: str) -> None:
    """Leave what explains to the page of ``whole``; of a text before code the heading stays."""
    first, kept = notebook.cells[0], []
    explains = [EXPLAINS in cell.metadata.get("tags", []) for cell in notebook.cells]
    for i, cell in enumerate(notebook.cells):
        if explains[i]:
            behind, head = notebook.cells[i + 1], cell.source.partition("\n")[0]
            leads = behind.cell_type == "code" and not explains[i + 1]
            if cell.cell_type == "code" or not (leads and head.startswith("#")):
                continue
            cell.source = head
        kept.append(cell)
    notebook.cells = kept
    about = f"What the figures show and how to read them is on the page of [{title(whole)}]"
    first.source = f"{first.source.partition(chr(10))[0]}\n\n{about}({whole}.ipynb)."


def titled(experiment: str, heading: str) -> str:
    """A page's heading that begins with what the book's contents call the experiment."""
    words = heading.removeprefix("# ")
    return f"# {title(experiment)}: {words[:1].lower()}{words[1:]}"


def page_of(name: str, wanted: Sequence[AnySettings]) -> Page:
    """The notebook that tells an experiment or a sweep, beside its result; or that a job is.

    A sweep's is its chapter if it has one, else the notebook that draws any sweep; it shows what is
    stored.

    Args:
        name: of an experiment or a sweep, or the path of its file.
        wanted: the experiment's settings, or those of the sweep's points.
    """
    if name in JOBS:
        source, target = NOTEBOOKS / f"{name}.ipynb", results.here() / name / f"{name}.ipynb"
        return Page(source, target, wanted[0].model_dump(mode="json"), None)
    file = file_of(name)
    if file is None:
        own = wanted[0]
        target = results.folder(results.here(), own) / f"{own.experiment}.ipynb"
        return Page(source_of(own), target, parameters_of(own), files=tuple(_manifests(own)))
    path = typed(file)
    target = results.here() / path.stem / f"{path.stem}.ipynb"
    own_chapter, named = NOTEBOOKS / f"{path.stem}.ipynb", sweeps().get(path.stem)
    if own_chapter.exists() and named and named.samefile(path):  # not your file of that name
        return Page(own_chapter, target, PARAMETERS.get(path.stem, {}), None)
    told = PARAMETERS["sweep"] | {"sweep": str(path)}
    return Page(NOTEBOOKS / "sweep.ipynb", target, told, None, files=(path,))


def tell(page: Page) -> bool:
    """Execute a page if it is not as it would be; whether that was so.

    Raises:
        NotebookError: as :func:`execute`.
    """
    if current(page):
        return False
    # an experiment's own page may train, should its result be gone by now
    execute(*page[:3], train=page.shows is not None, key=key_of(page))
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
            page.source, None, page.parameters, kernel_name=KERNEL, prepare_only=True
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
    except (ValueError, OSError) as error:
        return isinstance(error, PermissionError)  # another user's
    return True


def _manifests(own: AnySettings) -> list[Path]:
    """Manifests of an experiment's results, here and published.

    Those of other settings too, by themselves or in a sweep: a page may set them beside its own.
    """
    swept = [name for name, file in sweeps().items() if read(file).base == own.experiment]
    found = []
    for place in (results.here(), results.PUBLISHED):
        others = sorted(place.glob(f"{own.experiment}-????????"))
        folders = [results.folder(place, own), *others, *(place / name for name in swept)]
        folders.append(place / f"{first_of(own.experiment)}{SECOND}")
        found += [folder / results.MANIFEST for folder in folders]
    return found


def source_of(own: AnySettings) -> Path:
    """The notebook that an experiment is told by."""
    return NOTEBOOKS / ("mlm.ipynb" if isinstance(own, MlmSettings) else "xor.ipynb")


def parameters_of(own: AnySettings) -> dict[str, Any]:
    """What to inject for these settings: all of them, whatever the notebook's own cell says."""
    return own.model_dump(mode="json")


def current(page: Page) -> bool:
    """Whether a page is as it would be if it was executed now."""
    try:
        metadata = json.loads(page.target.read_text(encoding="utf-8"))["metadata"]
        return metadata["semantica_key"] == key_of(page)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def key_of(page: Page) -> str:
    """A digest of all that an executed notebook depends on."""
    code = sorted((ROOT / "semantica_lib").rglob("*.py"))
    files = [page.source, ROOT / "constraints.txt", *code, *sorted(page.files)]
    if page.shows is None:
        files += [*catalogue().values(), *sweeps().values()]
        files += sorted(results.PUBLISHED.glob("*.json"))  # what the benches measured
        for place in (results.here(), results.PUBLISHED):
            files += sorted(place.glob(f"*/{results.MANIFEST}"))
    for own in map(find, page.shows or ()):
        files += [experiment_file(own.experiment), *_manifests(own)]
    return digest(files, json.dumps(page.parameters, sort_keys=True))
