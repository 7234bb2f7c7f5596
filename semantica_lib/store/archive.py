"""The commit that an unpacked archive carries, and what that commit holds, without git.

``git archive``, and GitHub's download with it, writes its commit and that commit's tree into
:data:`CARRIED`. A tree's digest is of all its files, so those here are that commit's if they give
it. Their list is kept then: it proves itself by the same digest, and from then on notebooks and
published results may change, as they may in a clone.
"""

import hashlib
import os
import re
from collections import defaultdict
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from semantica_lib.files import write_whole

CARRIED = "semantica_lib/store/archive.txt"  # after its first line: what lies at the project's top
FORMAT = b"$Format:%H %T$"  # that line, as committed
KEPT = ".cache/archive"

Listing = dict[str, tuple[str, str]]  # files' names: mode and digest


def commit(root: Path) -> str | None:
    """The commit that an archive carries; None of any other tree, and if it has its own .git."""
    return _carried(root)[0]


def committed(root: Path) -> dict[str, str]:
    """The digests that an archive's commit has of its files, by name, without :data:`CARRIED`.

    Empty if the files are not that commit's, and were not when they were last looked at.
    """
    tree = _carried(root)[1]
    listing = _kept(root / KEPT)
    if _tree(listing, tree) != tree:
        listing = _here(root, tree)
        if _tree(listing, tree) != tree:
            return {}
        told = "".join(f"{mode} {blob} {name}\n" for name, (mode, blob) in listing.items())
        with suppress(OSError):  # then all files are looked at each time
            (root / KEPT).parent.mkdir(exist_ok=True)
            write_whole(root / KEPT, told.encode())
    return {name: blob for name, (_, blob) in listing.items() if name != CARRIED}


def digest(kind: str, data: bytes, like: str) -> str:
    """Git's digest of a blob or tree, in a repository that has a digest like this one."""
    found = hashlib.new("sha256" if len(like) == 64 else "sha1", usedforsecurity=False)
    found.update(b"%s %d\0" % (kind.encode(), len(data)) + data)
    return found.hexdigest()


def _carried(root: Path) -> tuple[str, str] | tuple[None, None]:
    """The commit and the tree."""
    with suppress(OSError, ValueError):
        told = (root / CARRIED).read_text(encoding="utf-8")
        found = re.match(r"([0-9a-f]{40,64}) ([0-9a-f]{40,64})\n", told)
        if found and not os.path.lexists(root / ".git"):
            return found[1], found[2]
    return None, None


def _kept(path: Path) -> Listing:
    """The list that was kept, or whatever is there."""
    with suppress(OSError, ValueError):
        lines = re.findall(r"^(\d+) ((?:[0-9a-f]{2})+) (.+)$", path.read_text("utf-8"), re.M)
        return {name: (mode, blob) for mode, blob, name in lines}
    return {}


def _here(root: Path, like: str) -> Listing:
    """The files as they are, without links (the project has none) and what .gitignore names."""
    found: Listing = {}
    with suppress(OSError, ValueError):  # what cannot be read makes it another tree
        ignored = [line.rstrip("/") for line in (root / ".gitignore").read_text("utf-8").split()]
        left = (root / CARRIED).read_text("utf-8").split()[2:]
        while left:
            name = left.pop()
            path = root / name
            words = name, path.name
            if path.is_symlink() or any(fnmatchcase(a, b) for a in words for b in ignored):
                continue
            if path.is_dir():
                left += [f"{name}/{one}" for one in os.listdir(path)]
            elif path.is_file():
                data = path.read_bytes()
                if name == CARRIED:
                    data = FORMAT + data[data.index(b"\n") :]
                mode = "100755" if path.stat().st_mode & 0o100 else "100644"
                found[name] = mode, digest("blob", data, like)
    return found


def _tree(listing: Listing, like: str) -> str:
    """The digest of the tree that has these files."""
    folders: dict[str, Listing] = defaultdict(dict)
    entries = {}
    for name, entry in listing.items():
        top, below, rest = name.partition("/")
        if below:
            folders[f"{top}/"][rest] = entry
        else:
            entries[top] = entry
    entries |= {name: ("40000", _tree(some, like)) for name, some in folders.items()}
    data = b"".join(
        os.fsencode(f"{mode} {name.rstrip('/')}\0") + bytes.fromhex(entry)
        for name, (mode, entry) in sorted(entries.items())  # a folder as if it ended in a slash
    )
    return digest("tree", data, like)
