"""What compiling does to the process that trains."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from semantica_lib.trainers.compiling import keep_memory
if {kept}:
    keep_memory()
def step():
    for _ in range(20):
        torch.zeros(10_000_000)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library")
def test_memory_is_kept_from_step_to_step() -> None:
    """Pages that a second pass has to take anew: thousands a tensor without it, none with it."""
    without, with_ = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(kept=kept)]))
        for kept in (False, True)
    )
    assert without > 1000 and with_ < without / 100
