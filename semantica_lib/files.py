"""Where the project lies, files that are whole or absent, and folders for compiled code."""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
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
    """Write somewhere: an :class:`OSError` names a link to what is gone, as a disk may be."""
    try:
        yield
    except OSError as error:
        for link in (path, *path.parents):
            if link.is_symlink() and not link.exists():
                told = f"{link} is a link to {os.readlink(link)}, which is not there"
                raise FileNotFoundError(errno.ENOENT, told) from error
        raise


def digest(files: Iterable[Path], of: str = "") -> str:
    """A sha256 of files, their paths and whether they are there, and of a text."""
    found = hashlib.sha256(of.encode())
    for file in files:
        found.update(str(file).encode() + (file.read_bytes() if file.exists() else b"absent"))
    return found.hexdigest()


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
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    temporary = os.environ.get("TMPDIR") or "/tmp"
    own = f"{cache}/semantica/{name}", f"{temporary}/semantica-{os.geteuid()}-{name}"
    why = ""
    for place in filter(None, dict.fromkeys((named, f"{ROOT}/.cache/{name}", *own))):
        try:
            path = _tried(Path(place))
            return path, why and f"{why}; it is kept in {path}"
        except (OSError, RuntimeError) as error:  # RuntimeError: of links in a circle, of ~nobody
            why += ", " if why else "compiled code cannot be kept in "
            why += f"{place} ({getattr(error, 'strerror', None) or error})"
    return None, why


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
    if why := not_own(path):
        raise PermissionError(why)
    disk = os.statvfs(path)
    if disk.f_flag & getattr(os, "ST_NOEXEC", 0):
        raise PermissionError("it is mounted noexec")
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < ROOM:
        raise OSError(f"less than {ROOM >> 20} MB free")
    with NamedTemporaryFile(dir=path) as file:
        file.write(TRIAL)
    return path


def not_own(path: Path) -> str:
    """Why others could have put what is there; empty if they could not."""
    about = path.stat()
    if about.st_uid != os.geteuid():
        return "it belongs to another user"
    return f"others can write there: chmod go-w {path}" if about.st_mode & 0o022 else ""


def keep_compiled() -> str:
    """Have PyTorch keep compiled code in a folder that works, in this process and its children.

    Called before PyTorch's compilers are imported: they make their folder then, or fail for good.

    Returns:
        Why it is not the first choice, in children as well; empty if it is. The folder is
        :data:`NOWHERE` where none works: then nothing must be compiled.
    """
    named, before = os.environ.get(COMPILED, ""), os.environ.get(WHY, "")
    path, why = code_folder("inductor", "" if named == NOWHERE else named)
    os.environ[COMPILED] = str(path or NOWHERE)
    os.environ[WHY] = why or (before if before.endswith(f" in {path}") else "")
    return os.environ[WHY]
