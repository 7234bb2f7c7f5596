"""Where the project lies, files that are whole or absent, and folders for compiled code."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

ROOT = Path(__file__).resolve().parents[1]  # of the checkout, from wherever it is used
COMPILED, WHY = "TORCHINDUCTOR_CACHE_DIR", "SEMANTICA_COMPILED_WHY"  # in the environment
NOWHERE = os.sep  # what PyTorch is told where it can keep nothing: a folder that is always there
ROOM = 2**26  # bytes that must be free: some dozens of compiled steps
TRIAL = bytes(2**20)  # what is written to try a folder, as quotas show only then


@contextmanager
def naming_links(path: Path) -> Iterator[None]:
    """Write somewhere; where a link leads nowhere, as to a disk that is gone, the error says so.

    Raises:
        OSError: what is there can't be written.
    """
    try:
        yield
    except OSError as error:
        for link in (path, *path.parents):
            if link.is_symlink() and not link.exists():
                told = f"{link} is a link to {os.readlink(link)}, which is not there"
                raise FileNotFoundError(errno.ENOENT, told) from error
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside, make it durable, then give it its name in one move."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with naming_links(path):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def code_folder(name: str, named: str = "") -> tuple[Path | None, str]:
    """A folder in which compiled code can be kept: one's own, where nobody else can write.

    The first of these that works, tried by writing there: the one that the user named, if any;
    ``ROOT/.cache/NAME``; one in the user's cache; one beside other temporary files.

    Returns:
        The folder, or None if none works; why it is not the first of them, in words.
    """
    cache, temporary = os.environ.get("XDG_CACHE_HOME"), os.environ.get("TMPDIR")
    places = (
        named,
        str(ROOT / ".cache" / name),
        f"{cache or '~/.cache'}/semantica/{name}",
        f"{temporary or '/tmp'}/semantica-{os.geteuid()}-{name}",
    )
    refused = []
    for place in filter(None, dict.fromkeys(places)):
        try:
            path = _tried(Path(place))
        except (OSError, RuntimeError) as error:  # RuntimeError: of links in a circle, of ~nobody
            refused.append(f"{place} ({getattr(error, 'strerror', None) or error})")
        else:
            return path, f"{_refusal(refused)}; it is kept in {path}" if refused else ""
    return None, _refusal(refused)


def _refusal(refused: list[str]) -> str:
    return f"compiled code cannot be kept in {', '.join(refused)}"


def _tried(path: Path) -> Path:
    """A folder, made where it is missing (also where a link points to), after writing there.

    Raises:
        OSError, RuntimeError: why it can't be used.
    """
    path = path.expanduser().absolute().resolve()
    if re.search(r"[\s'\"\\]", str(path)):
        raise OSError("a compiler's command takes no space, quote or backslash in a name")
    with suppress(FileExistsError):  # a file: writing in it fails with a better reason
        path.mkdir(0o700, parents=True, exist_ok=True)
    about = path.stat()
    if about.st_uid != os.geteuid():
        raise PermissionError("it belongs to another user")
    if about.st_mode & 0o022:
        raise PermissionError(f"others can write there: chmod go-w {path}")
    disk = os.statvfs(path)
    if disk.f_flag & getattr(os, "ST_NOEXEC", 0):
        raise PermissionError("it is mounted noexec")
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < ROOM:
        raise OSError(f"less than {ROOM >> 20} MB free")
    with NamedTemporaryFile(dir=path) as file:
        file.write(TRIAL)
    return path


def keep_compiled() -> str:
    """Have PyTorch keep compiled code in a folder that works, in this process and its children.

    To be called before any part of PyTorch that compiles is imported: it makes its folder then,
    and where it cannot, computes nothing at all.

    Returns:
        Why it is not the folder of first choice, which children tell as well; empty if it is.
        Where none works, PyTorch is given :data:`NOWHERE`, and nothing must be compiled.
    """
    named, before = os.environ.get(COMPILED, ""), os.environ.get(WHY, "")
    path, why = code_folder("inductor", "" if named == NOWHERE else named)
    os.environ[COMPILED] = str(path or NOWHERE)
    os.environ[WHY] = why or (before if before.endswith(f" in {path}") else "")
    return os.environ[WHY]
