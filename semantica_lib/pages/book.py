"""The book: which notebooks it has, and building it from them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import nbformat

from semantica_lib.errors import RequestError, literal
from semantica_lib.files import ROOT, digest, write_whole
from semantica_lib.pages.kernels import become, server
from semantica_lib.pages.notebooks import (
    NOTEBOOKS,
    PARAMETERS,
    NotebookError,
    Page,
    current,
    execute,
    key_of,
    parameters_of,
    source_of,
    titled,
)
from semantica_lib.settings.catalogue import catalogue, find
from semantica_lib.store import results

BOOK = ROOT / "book"
EXECUTED = BOOK / "experiments"
ANY = {"xor", "mlm"}  # notebooks of any experiment, executed for each
LIVE = {"explore"}  # of sliders and buttons alone, which a page that is read offline cannot show
# Of which experiments a notebook shows the results, where that is not all there are.
SHOWS = {
    "task": (), "theory": (), "own": ("three-synonyms",), "from-scratch": ("transformer-small",),
}  # fmt: skip


def pages() -> list[Page]:
    """The book's notebooks: one an experiment, and those of the other pages."""
    found = []
    for source in sorted(NOTEBOOKS.glob("*.ipynb")):
        if source.stem not in ANY | LIVE:
            shows = SHOWS.get(source.stem)
            needs = shows[0] if shows else ""
            told = PARAMETERS.get(source.stem, {})
            found.append(Page(source, EXECUTED / source.name, told, shows, needs))
    for name, own in ((name, find(name)) for name in catalogue()):
        target = EXECUTED / f"{name}.ipynb"
        found.append(Page(source_of(own), target, parameters_of(own), (name,), name))
    return found


def build_book(at_once: int) -> Path:
    """Execute the book's notebooks on stored results and render it, warnings taken as errors.

    Notebooks whose sources and results are as they were at their last execution are not executed
    again, and what is rendered of them as they are is not rendered again. A page without a result
    says so, and how to get it.

    Args:
        at_once: notebooks at a time.

    Raises:
        RequestError: the book's folder cannot be written.
        NotebookError: a notebook failed (the others were executed), or the book has warnings.
    """
    try:
        EXECUTED.mkdir(exist_ok=True)
        write_whole(EXECUTED / ".writable", b"")
        (EXECUTED / ".writable").unlink()
    except OSError as error:
        raise RequestError(
            f"cannot write the book to {BOOK} ({error.strerror}); build it in a checkout that you "
            "may write to, and set SEMANTICA_RESULTS to the results of this one"
        ) from None
    wanted = []
    for page in pages():
        if page.needs and results.best(find(page.needs)) is None:
            write_whole(page.target, nbformat.writes(_stub(page)).encode())
        elif not current(page):
            wanted.append(page)
    if wanted:
        _execute_all(wanted, at_once)
    build = BOOK / "_build"
    sources = (path for path in sorted(BOOK.rglob("*")) if build not in path.parents)
    files = [path for path in sources if path.is_file()]
    index, mark = build / "html" / "index.html", build / "rendered"
    rendered = digest([ROOT / "constraints.txt", *files])
    if index.exists() and mark.exists() and mark.read_text() == rendered:
        return index
    mark.unlink(missing_ok=True)  # should this be stopped
    shutil.rmtree(index.parent, ignore_errors=True)  # figures and pages that are no more stay there
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(BOOK), "--all"]
    done = subprocess.run([*command, "-W", "-n", "--keep-going"], check=False)
    if done.returncode:
        raise NotebookError("building the book failed: see the warnings above")
    write_whole(mark, rendered.encode())
    return index


def _stub(page: Page) -> nbformat.NotebookNode:
    """The page of an experiment without a result, so that links to it lead somewhere."""
    name, first = page.needs, nbformat.read(page.source, as_version=4).cells[0]
    text = (
        f"{titled(name, first.source.splitlines()[0])}\n\n"
        f"**{name}.** {literal(find(name).question)}\n\n"
        f"There is no result of {name} yet, here or published. These commands train it, which "
        f"can take long, and write this page:\n\n"
        f"```sh\nsemantica run {name}\nsemantica book\n```\n"
    )
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="stub")])


def _execute_all(wanted: Sequence[Page], at_once: int) -> None:
    """Execute pages side by side, each in a process of its own: if it dies, the others go on."""
    count, failures = min(len(wanted), at_once), []
    context, fork = server(page.source for page in wanted)
    environment = dict(os.environ)
    tell = partial(print, file=sys.stderr, flush=True)
    tell(f"executing {len(wanted)} notebooks, {count} at a time")

    def executed(page: Page) -> None:
        with ProcessPoolExecutor(1, context, become, (environment,)) as process:
            process.submit(execute, *page[:3], False, key_of(page), fork).result()

    pool = ThreadPoolExecutor(count)
    try:
        running = {pool.submit(executed, page): page for page in wanted}
        for number, done in enumerate(as_completed(running), 1):
            name, error = running[done].target.name, done.exception()
            tell(f"{number} of {len(wanted)}: {name} {'failed' if error else 'executed'}")
            if error:
                known = isinstance(error, NotebookError)
                failures.append(str(error) if known else f"{name} failed: {error!r}")
    finally:  # stopped by Ctrl-C, none is begun any more
        pool.shutdown(cancel_futures=True)
    if failures:
        raise NotebookError("; ".join(failures))
