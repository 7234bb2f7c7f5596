"""Compiling a training step where that is possible."""

import contextlib
import ctypes
import inspect
import os
import re
import warnings
from collections.abc import Callable
from shutil import disk_usage

import torch
from torch import Tensor

from semantica_lib.errors import RequestError
from semantica_lib.files import COMPILED, NOWHERE, keep_compiled

UNCOMPILED = (
    "training uncompiled, which is slower: compiling failed ({}); "
    "it needs a C++ compiler, Python's headers and room on the disk"
)
UNKEPT = "training uncompiled, which is slower: {}"
RECOMPILE_LIMIT = 64  # at least so many stacks of a process, where each counts against one limit
HEADERS = 2**29  # bytes: where more are free, compiled C++ headers are kept too, half as large
Step = Callable[..., tuple[Tensor, ...]]
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's malloc.h


class Compiling(UserWarning):
    """What is to be told of compiling, once."""


class Uncompiled(Compiling):
    """Training goes on without a compiler."""


def compiled(step: Step, device: str) -> Step:
    """The same function compiled at its first call; as it is, with a warning, if that fails.

    Raises what :func:`check_variables` does.

    Args:
        step: to be called with tensors of the same shapes, kinds and device each time, under the
            same settings of PyTorch (whether it keeps gradients, say): no call asks again.
        device: where the tensors are.
    """
    keep_memory()
    why = keep_compiled()  # anew: what was there at the start may be gone
    if os.environ[COMPILED] == NOWHERE:
        warnings.warn(UNKEPT.format(why), Uncompiled, stacklevel=2)
        return step
    check_variables()
    if why:
        warnings.warn(why, Compiling, stacklevel=2)
    on_processor = device == "cpu"  # there what calls the kernels is compiled too, apart from them
    options = {"cpp_wrapper": on_processor, "cpp_wrapper_build_separate": on_processor}
    if disk_usage(os.environ[COMPILED]).free < HEADERS:
        options["cpp_cache_precompile_headers"] = False
    if apart := _for_many_stacks():  # it serves this function alone: what it assumed needs no guard
        options["guard_filter_fn"] = torch.compiler.skip_all_guards_unsafe
    run: Step | None = None

    def call(*arguments: Tensor) -> tuple[Tensor, ...]:
        nonlocal run
        if run is None:
            try:
                from torch._inductor import codecache, cpp_builder, cpu_vec_isa

                # compiled C++ headers lie with the rest, not in a folder that all users share
                codecache._HEADER_DIR = f"{os.environ[COMPILED]}/headers"
                codecache._HEADER_LOCK_DIR = f"{codecache._HEADER_DIR}/locks"
                if on_processor:  # else it fails late, or takes what is of another width of vectors
                    cpp_builder.get_cpp_compiler()
                    options["cpp.simdlen"] = cpu_vec_isa.pick_vec_isa().bit_width()
                fast = torch.compile(step, fullgraph=True, dynamic=False, options=options, **apart)
                result, run = fast(*arguments), fast
                return result
            except Exception as error:  # whatever is missing, the plain function does the same
                warnings.warn(UNCOMPILED.format(_reason(error)), Uncompiled, stacklevel=2)
                run = step
        return run(*arguments)

    return call


def check_variables() -> None:
    """Refuse variables with which PyTorch cannot import its compilers, as its optimizers do, too.

    Raises:
        RequestError: it cannot, nor again.
    """
    try:
        import torch._inductor.config  # noqa: F401
    except Exception as error:
        told = ", ".join(sorted(f"{n}={text}" for n, text in os.environ.items() if "TORCH" in n))
        raise RequestError(
            f"PyTorch does not start ({_reason(error)}); unset what it cannot read of {told}"
        ) from None


def _reason(error: Exception) -> str:
    """Why compiling failed, in some 200 letters; of what a compiler said, what tells of errors."""
    said = str(error).split("Output:\n")[-1]
    telling = [line for line in said.splitlines() if re.search("rror|failed|No space", line)]
    return " ".join(" ".join(telling or [said]).split())[:200] or repr(error)


def _for_many_stacks() -> dict[str, bool]:
    """What lets a process compile more than eight stacks: an argument of ``torch.compile`` that
    isolates each, or, before PyTorch had it, a higher limit for all."""
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters:
        return {"isolate_recompiles": True}
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, RECOMPILE_LIMIT)
    return {}


def keep_memory() -> None:
    """Have the GNU C library keep for the next step what is freed.

    By default it returns large pieces to the system and takes them anew, page by page.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
