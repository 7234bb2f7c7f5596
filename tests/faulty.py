"""Does pieces of work in children that meet with a fault, for test_faults.py.

Reads a JSON object a line: what is to be done, and what befalls it. Each is done in a fork of this
process, which has imported everything, and answered by a line: how it ended, and what it said.
"""

import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
MADE: dict[str, Any] = {}
WRITING = os.O_WRONLY | os.O_RDWR


def main() -> None:
    sys.path[:0] = [str(TESTS.parent), str(TESTS)]
    import torch
    from torch._inductor import codecache, cpu_vec_isa

    from semantica_lib.pages import book, notebooks
    from semantica_lib.running import publish
    from semantica_lib.store.provenance import provenance

    MADE.update(provenance())
    torch.set_num_threads(1)
    assert book and notebooks and publish and codecache
    cpu_vec_isa.pick_vec_isa()  # it asks the compiler ten times: once here, not in every child
    with tempfile.TemporaryDirectory() as folder:  # what is imported late is imported once, here
        own = {"experiment": "first", "bits": 3, "seeds": [1], "steps": 1, "device": "cpu"}
        places = {"runs": folder, "published": folder + "/published"}
        _work({"work": "train", "own": own, **places})
    for line in sys.stdin:
        told = json.loads(line)
        print(json.dumps(_in_a_child(told)), flush=True)


def _in_a_child(told: dict[str, Any]) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setsid()
        os._exit(_done(told, write))
    os.close(write)
    if "after" in told:
        time.sleep(told["after"])
        os.killpg(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "said": said}


def _done(told: dict[str, Any], write: int) -> int:
    """Do one piece of work with its fault: 0 well, 1 failed, 2 refused, 70 what must not be."""
    said = ""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    code = 70
    try:
        _befall(told)
        code, said = _work(told)
    except BaseException:
        said = traceback.format_exc()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    os.write(write, said.encode(errors="replace")[-4_000:])
    return code


def _befall(told: dict[str, Any]) -> None:
    """Set up what is to happen while the work is done."""
    if "bytes" in told:  # of any file: more is an error, or the end of the process
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["bytes"], resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if told.get("dies") else signal.SIG_IGN)
    if "event" in told:
        sys.addaudithook(
            _at(told["event"], told["within"], told.get("names", ""), told.get("away"))
        )
    if "clock" in told:
        now = time.time
        time.time = lambda: now() + told["clock"]
    if "user" in told:
        os.setgid(told["user"])
        os.setuid(told["user"])


def _at(number: int, within: str, names: str, away: str | None) -> Callable[[str, tuple], None]:
    """Before the n-th change of files of such names in a folder: ends the process, or takes away.

    Args:
        away: a folder that is gone from then on, moved aside.
    """
    count = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
        changes |= (
            event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & WRITING)
        )
        path = str(arguments[0]) if changes else ""
        if path.startswith(within) and re.search(names, Path(path).name):
            count += 1
            if count >= number and not away:
                os.kill(os.getpid(), signal.SIGKILL)
            if count == number:
                os.rename(away, f"{away}.away")

    return hook


def _compiling(told: dict[str, Any]) -> None:
    """Have each stack compiled by what stands for a compiler: it writes a file, and is slow never.

    At some call of what it compiled the folder of compiled code meets with a fault.
    """
    import torch

    from semantica_lib import files
    from semantica_lib.trainers import stacked

    folder, at, fault = Path(told["folder"]), told["step"], told["fault"]
    cache, calls = folder / "cache", 0
    files.ROOT = folder / "checkout"
    os.environ |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "home")}
    os.environ |= {files.COMPILED: str(cache), files.WHY: ""}
    stacked.EAGER_BELOW = 0

    def befall() -> None:
        if fault == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
            return
        shutil.rmtree(cache.resolve(), ignore_errors=True)  # of a link, what it points to
        if fault in ("blocked", "nowhere"):
            cache.unlink(missing_ok=True)
            cache.write_text("no folder")
        if fault == "nowhere":
            for path in (files.ROOT, folder / "home"):
                path.write_text("no folder")

    def compile_(step: Callable, **_: Any) -> Callable:
        def run(*tensors: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                befall()
            return step(*tensors)

        (Path(os.environ[files.COMPILED]) / f"{calls}.so").write_bytes(bytes(3_000_000))
        return run

    torch.compile = compile_


def _work(told: dict[str, Any]) -> tuple[int, str]:
    from stored import train_here

    from semantica_lib.running import collect, processes, publish
    from semantica_lib.settings.catalogue import settings
    from semantica_lib.store import results
    from semantica_lib.trainers import reporting
    from semantica_lib.trainers.compiling import Compiling

    train_here(pytest.MonkeyPatch())
    reporting.KEEP_SECONDS = 0.0  # a checkpoint at every step
    os.environ["SEMANTICA_RESULTS"] = told["runs"]
    results.PUBLISHED = Path(told["published"])
    for module in (collect, processes, publish):  # whatever the tree is that is tested
        module.provenance = lambda: MADE | {"commit": "c" * 40, "dirty": False}
    own = settings(told["own"]) if "own" in told else None
    if "compiling" in told:
        _compiling(told["compiling"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Compiling)
        code, said = _worked(told, own)
    words = [str(one.message) for one in caught if issubclass(one.category, Compiling)]
    return code, "\n".join([*([said] if said else []), *dict.fromkeys(words)])


def _worked(told: dict[str, Any], own: Any) -> tuple[int, str]:
    from semantica_lib.errors import RequestError, TrainingError
    from semantica_lib.pages import notebooks
    from semantica_lib.running import publish, run

    try:
        if told["work"] == "train":
            run.run(own, told.get("fresh", False))
        elif told["work"] == "publish":
            publish.publish([own])
        elif told["work"] == "notebook":
            file = Path(told["runs"]).with_name("own.yaml")
            file.write_text(json.dumps(told["own"]), encoding="utf-8")
            notebooks.tell(notebooks.page_of(str(file), [own]))
        else:
            _book(Path(told["book"]))
    except RequestError as error:
        return 2, str(error)
    except (TrainingError, RuntimeError, OSError) as error:
        return 1, str(error)
    return 0, ""


def _book(place: Path) -> None:
    """Build a book of one page that is executed."""
    from semantica_lib.pages import book, notebooks

    book.BOOK, book.EXECUTED = place, place / "experiments"
    page = notebooks.Page(place.parent / "page.ipynb", book.EXECUTED / "page.ipynb", {})
    book.pages = lambda: [page]
    book._execute_all = lambda wanted, _: [
        notebooks.execute(*one[:3], train=False, key=notebooks.key_of(one)) for one in wanted
    ]
    book.build_book(2)


if __name__ == "__main__":
    main()
