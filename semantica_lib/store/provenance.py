"""What made a result: commit, sources, versions, and the device that did the arithmetic."""

import contextlib
import hashlib
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semantica_lib.files import ROOT

# Raised when the stored 100-step reference trajectories change beyond tolerance: results of an
# older number are shown as stale.
NUMERICS = 1
SOURCES = "settings", "datasets", "models", "trainers"
RESULTS = ":(exclude)book/results"


def provenance() -> dict[str, Any]:
    """Commit, whether the tree differed from it, sources and versions.

    Published results are no part of what made another: restored or newly published ones, not yet
    committed, leave the tree as clean as it was.
    """
    packages = (
        "torch", "numpy", "pandas", "safetensors", "pydantic", "accelerate", "tokenizers",
    )  # fmt: skip
    return {
        "commit": commit(),
        "dirty": bool(_git("status", "--porcelain", "--", ".", RESULTS)),
        "source_sha256": _sources(),
        "numerics": NUMERICS,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def commit() -> str | None:
    """The commit; where there is no repository, as in a container, a variable may tell it."""
    return _git("rev-parse", "HEAD") or os.environ.get("SEMANTICA_COMMIT") or None


def device_name(device: str) -> str:
    """What does the arithmetic, in words: the GPU's or the processor's name."""
    if device.startswith("cuda"):
        import torch  # it takes a second

        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"cpu: {line.partition(':')[2].strip()}"
    return f"cpu: {platform.processor() or platform.machine()}"


def listed(*words: str) -> str:
    """Lists of commits or devices as one, ``abc, def``: in their order, none of them twice."""
    return ", ".join(dict.fromkeys(word for some in words for word in some.split(", ") if word))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _sources() -> str:
    """sha256 of the code that decides what a trial does."""
    digest = hashlib.sha256()
    base = ROOT / "semantica_lib"
    for source in SOURCES:
        for file in sorted((base / source).rglob("*.py")) or [base / source]:
            digest.update(file.relative_to(base).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
