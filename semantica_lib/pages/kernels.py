"""The kernels that batches and the book execute notebooks in: this Python, nobody's own start-up.

What stands in the user's IPython profile or matplotlibrc is for the user's own sessions, and a
kernel of the same name can be of another Python: none may break or change what is shown here.

Most of what a page of the book takes is to start a kernel and to import. So its kernel may be
forked from a server that has imported all; what the page then does is seen by no other.
"""

import ast
import os
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from multiprocessing import Pipe, forkserver, get_context
from multiprocessing.context import BaseContext, ForkProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import nbformat
import numpy as np
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelspec import write_kernel_spec
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

from semantica_lib.files import ROOT

KERNEL = "python3"  # as the notebooks name it
# The last word: it is read after the configuration of the machine and of the environment.
CONFIGURATION = """\
import logging

logging.getLogger("matplotlib").setLevel("ERROR")  # a wrong line of a matplotlibrc in its folder
# jupyter_client interrupts every kernel before it ends it, on a busy machine in its last reply.
logging.getLogger("IPKernelApp").addFilter(lambda line: "KeyboardInterrupt" not in str(line.msg))
for of in (c.InteractiveShellApp, c.IPKernelApp):
    of.exec_lines, of.exec_files, of.extensions = [], [], []
    of.exec_PYTHONSTARTUP = False
c.StoreMagics.autorestore = False
"""
# Of kernels that show what is stored: several are side by side, one a core.
SHOWN = {"SEMANTICA_TRAIN": "never", "OMP_NUM_THREADS": "1"}
# Of the server: it imports this library, without a thread, and takes matplotlib for a kernel's.
WARM = SHOWN | {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MATPLOTLIBRC": os.devnull,
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONPATH": str(ROOT),
    "PYTHONSAFEPATH": "1",
}


@contextmanager
def own_kernel(variables: dict[str, str], fork: bool = False) -> Iterator[None]:
    """In this context the kernel of that name is this interpreter, with an empty profile.

    Args:
        variables: of the kernel's environment, beside those of this process.
        fork: whether the kernel is forked from this process, if neither it nor its parent has
            started a thread.
    """
    with TemporaryDirectory(prefix="semantica-kernel-", ignore_cleanup_errors=True) as place:
        profile = Path(place, "ipython", "profile_default")
        profile.mkdir(parents=True)
        (profile / "ipython_kernel_config.py").write_text(CONFIGURATION)
        paths = [place, *filter(None, [os.environ.get("JUPYTER_PATH")])]
        own = {"IPYTHONDIR": str(profile.parent), "JUPYTER_PATH": os.pathsep.join(paths)}
        own |= {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": ""}  # empty: the kernel's own
        own |= {"JPY_SESSION_NAME": ""}  # a person's, whose notebook started this
        fork = fork and _single("self") and _single(str(os.getppid()))
        spec = {"metadata": {"kernel_provisioner": {"provisioner_name": _NAME}}} if fork else None
        write_kernel_spec(Path(place, "kernels", KERNEL), spec)
        if fork:  # before there is a notebook, a socket or a loop
            Forked.waiting = _Kernel()
        try:
            with patch.dict(os.environ, own | variables):  # which kernels inherit
                yield
        finally:
            if fork:
                Forked.waiting.kill()
                Forked.waiting.join()


def server(notebooks: Iterable[Path]) -> tuple[BaseContext, bool]:
    """How to start processes that execute notebooks, and whether their kernels may be forked.

    If so, all that the notebooks import is imported once. Not with a GPU, which no process that is
    forked may have touched, nor on macOS, whose own libraries start threads.
    """
    import torch  # takes seconds: only where it is needed

    if sys.platform != "linux":
        return get_context("spawn"), False
    fork, context = not torch.cuda.is_available(), get_context("forkserver")
    inside = sorted(_imported(notebooks)) if fork else []
    context.set_forkserver_preload(["semantica_lib.pages.book", *inside])
    with patch.dict(os.environ, WARM):
        forkserver.ensure_running()
    return context, fork


def become(environment: Mapping[str, str]) -> None:
    """Give this process another environment than that of the server that it was forked from."""
    os.environ.clear()
    os.environ.update(environment)


def _imported(notebooks: Iterable[Path]) -> set[str]:
    """What is imported in notebooks; some are names in modules, which the server passes over."""
    found = set()
    for path in notebooks:
        cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        for node in ast.walk(ast.parse("\n".join(cells))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _single(process: str) -> bool:
    return len(os.listdir(f"/proc/{process}/task")) == 1


class _Kernel(ForkProcess):
    """A forked process that becomes a kernel when it is told how; it is asked as a Popen is."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        super().__init__()
        self.told, self.tell = Pipe(duplex=False)
        self.start()

    def run(self) -> None:
        import torch

        self.tell.close()
        os.setsid()  # Ctrl-C is for the process that executes the notebook
        try:
            arguments, environment, cwd = self.told.recv()
        except EOFError:  # that process is gone
            return
        os.chdir(cwd)
        become(environment)
        for generator in (random, np.random, torch.default_generator):
            generator.seed()  # else every kernel draws the same
        IPKernelApp.launch_instance(arguments)

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self) -> int | None:
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class Forked(LocalProvisioner):
    """Gives the kernel that waits, in the place of starting one."""

    waiting: _Kernel

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        self.process, self.pid = self.waiting, self.waiting.pid
        self.pgid = self.pid  # it begins a session
        mine = f"--IPKernelApp.parent_handle={os.getpid()}"  # it ends when this process does
        arguments = [*cmd[cmd.index("-f") :], mine]
        self.waiting.tell.send((arguments, kwargs["env"], kwargs.get("cwd", os.getcwd())))
        return self.connection_info


_NAME = "semantica-forked"
KernelProvisionerFactory.provisioners[_NAME] = EntryPoint(
    _NAME, f"{__name__}:{Forked.__name__}", KernelProvisionerFactory.GROUP_NAME
)
