"""Builds what the page "Train it here" loads beside its own scripts: `make trainer`.

``kernel.js`` holds the library's C++ kernel as WebAssembly, and the task and the schedule of the
main experiment; ``starts.js`` the library's own initial weights. Both are committed, so that the
book needs no clang. Both are classic scripts: a page opened as a file may load no other.
"""

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.settings.catalogue import find
from semantica_lib.trainers.building import SOURCES
from semantica_lib.trainers.kernel import shape
from semantica_lib.trainers.stacked import Stack

HERE = Path(__file__).parents[1] / "extra" / "trainer"
READ = ("page.cpp", "transformer.cpp", "job.h", "ties.h", "lanes.h")
# -Os: half as large as -O3 and as fast within a twentieth. Rules on what is not a number stay.
FLAGS = (
    "--target=wasm32", "-Os", "-std=c++17", "-msimd128", "-mbulk-memory", "-nostdlib",
    "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fno-trapping-math", "-w",
    "-Wl,--no-entry", "-Wl,--allow-undefined", "-Wl,--strip-all", "-Wl,-z,stack-size=262144",
    *(f"-Wl,--export={name}" for name in ("train", "logits", "drawn", "room", "__heap_base")),
)  # fmt: skip
SEEDS = range(100)


def stack(seeds: range = range(1)) -> Stack:
    """Untied trials of the main experiment: a tied one begins with its input table as both."""
    return Stack(find("transformer-small"), seeds, False)


def source() -> str:
    """The hash of all that the module is built from."""
    constants = shape(stack())
    parts = [(SOURCES / name).read_bytes() for name in READ]
    return hashlib.sha256(repr((FLAGS, constants, parts)).encode()).hexdigest()


def task() -> dict[str, Any]:
    """What the page has to know of the main experiment."""
    made = stack()
    own, places = made.settings, 2 ** torch.arange(made.settings.bits)
    kept = "bits", "betas", "eps", "learning_rate", "learning_rate_min", "schedule_period"
    return {
        **{name: getattr(own, name) for name in kept},
        "zero": own.zero_dst[0],
        "one": own.one_dst[0],
        "decay": own.weight_decay,
        "steps": own.steps,
        "margin": MERGE_MARGIN,
        "parameters": made.layout.size,
        "features": own.embedding_size,
        "strings": (made.strings @ places).tolist(),
    }


def module() -> bytes:
    """The kernel as WebAssembly."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "kernel.wasm"
        constants = [f"-D{name}={value}" for name, value in shape(stack()).items()]
        command = ["clang++", *FLAGS, *constants, str(SOURCES / READ[0]), "-o", str(built)]
        subprocess.run(command, check=True)
        return built.read_bytes()


def starts() -> bytes:
    """The initial weights of the seeds, float32 ``(seed, parameter)``."""
    return stack(SEEDS).initial().flat.numpy().astype("<f4").tobytes()


def script(name: str, value: dict[str, Any]) -> str:
    return f"var {name} = {json.dumps(value, separators=(',', ':'))};\n"


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def main() -> None:
    if missing := [name for name in ("clang++", "wasm-ld") if not shutil.which(name)]:
        sys.exit(f"{' and '.join(missing)} not found: install your system's clang and lld")
    packed = text(gzip.compress(module(), 9, mtime=0))
    kernel = {"source": source(), "task": task(), "module": packed}
    (HERE / "kernel.js").write_text(script("semanticaKernel", kernel))
    (HERE / "starts.js").write_text(
        script("semanticaStarts", {"first": SEEDS[0], "weights": text(starts())})
    )
    for path in sorted(HERE.iterdir()):
        print(f"{path.name:12} {path.stat().st_size:7,} bytes")


if __name__ == "__main__":
    main()
