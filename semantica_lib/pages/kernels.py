"""The kernels that batches and the book execute notebooks in: this Python, nobody's own start-up.

What stands in the user's IPython profile is for the user's own sessions, and a kernel of the same
name can be of another Python: neither may break or change what is shown here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from ipykernel.kernelspec import write_kernel_spec

KERNEL = "python3"  # as the notebooks name it
# The last word: it is read after the configuration of the machine and of the environment.
CONFIGURATION = """\
for of in (c.InteractiveShellApp, c.IPKernelApp):
    of.exec_lines, of.exec_files, of.extensions = [], [], []
    of.exec_PYTHONSTARTUP = False
c.StoreMagics.autorestore = False
"""


@contextmanager
def own_kernel(variables: dict[str, str]) -> Iterator[None]:
    """In this context the kernel of that name is this interpreter, with an empty profile.

    Args:
        variables: of the kernel's environment, beside those of this process.
    """
    with TemporaryDirectory(prefix="semantica-kernel-", ignore_cleanup_errors=True) as place:
        profile = Path(place, "ipython", "profile_default")
        profile.mkdir(parents=True)
        (profile / "ipython_kernel_config.py").write_text(CONFIGURATION)
        write_kernel_spec(Path(place, "kernels", KERNEL))
        paths = [place, *filter(None, [os.environ.get("JUPYTER_PATH")])]
        own = {"IPYTHONDIR": str(profile.parent), "JUPYTER_PATH": os.pathsep.join(paths)}
        with patch.dict(os.environ, own | variables):  # which kernels inherit
            yield
