"""Building the project's own C++ for this processor, once: what is built is kept for later."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from semantica_lib.files import COMPILED, NOWHERE, keep_compiled, not_own
from semantica_lib.trainers.compiling import Compiling

SOURCES = Path(__file__).with_name("native")
HERE = ("-march=native",) if platform.machine() in ("x86_64", "AMD64") else ("-mcpu=native",)
# No errno and no traps, but every rule on what is not a number: divergence has to be seen.
FLAGS = (
    "-O3", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-fno-exceptions", "-fno-rtti",
    "-w", "-shared", "-fPIC",
)  # fmt: skip
COMPILERS = ("c++", "g++", "clang++")


class NotBuilt(Exception):
    """There is no compiler, or it could not build this."""


def library(source: str, shape: Mapping[str, int], flags: Sequence[str] = HERE) -> ctypes.CDLL:
    """A source of ``trainers/native``, compiled for a shape, kept for this processor, and loaded.

    Args:
        shape: the constants that it is compiled with.
        flags: what processor it is for.

    Raises:
        NotBuilt: with the reason.
    """
    asked = [*FLAGS, *flags, *(f"-D{name}={value}" for name, value in shape.items())]
    sources = [path.read_bytes() for path in sorted(SOURCES.iterdir())]
    key = hashlib.sha256(repr((source, asked, sources, _processor())).encode()).hexdigest()[:16]
    name = f"{Path(source).stem}-{key}.so"
    kept = _folder()
    if kept and (kept / name).exists() and not not_own(kept / name):
        return ctypes.CDLL(str(kept / name))
    with tempfile.TemporaryDirectory(dir=kept) as aside:  # only this user can write there
        built = Path(aside) / name
        _compile([*asked, str(SOURCES / source), "-o", str(built)])
        if kept:
            built = built.replace(kept / name)
        return ctypes.CDLL(str(built))


def compiler() -> str:
    """The C++ compiler here. Raises NotBuilt without one."""
    named = [os.environ["CXX"]] if os.environ.get("CXX") else COMPILERS
    if found := next(filter(None, map(shutil.which, named)), None):
        return found
    raise NotBuilt(f"no C++ compiler ({', '.join(named)})")


def _compile(arguments: Sequence[str]) -> None:
    found = compiler()
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotBuilt(" ".join(done.stderr.split())[:200] or f"{found} ended {done.returncode}")


def _folder() -> Path | None:
    """Where what is built is kept, with what PyTorch compiles; None if nothing can be kept."""
    if why := keep_compiled():
        warnings.warn(why, Compiling, stacklevel=3)
    if os.environ[COMPILED] == NOWHERE:
        return None
    folder = Path(os.environ[COMPILED], "kernels")
    folder.mkdir(0o700, exist_ok=True)
    return None if not_own(folder) else folder


def _processor() -> str:
    """What tells processors apart for which the compiler makes different code."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    known = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return f"{platform.machine()} {sorted(known) or platform.processor()}"
