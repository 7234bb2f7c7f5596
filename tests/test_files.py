"""Where compiled code is kept: a folder that works, chosen before torch is imported."""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from semantica_lib import files
from semantica_lib.files import COMPILED, NOWHERE, ROOT, WHY, code_folder, keep_compiled

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs to be root")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a checkout, a home and one for temporary files, which anybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="semantica-files-"))
    folder.chmod(0o755)
    for name, mode in (("checkout", 0o755), ("home", 0o755), ("tmp", 0o1777)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    monkeypatch.setattr(files, "ROOT", folder / "checkout")
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name in (COMPILED, WHY):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(folder)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)  # so that it can be removed
    shutil.rmtree(folder)


def test_the_first_choice_is_the_checkout_s_and_one_s_own(place: Path) -> None:
    path, why = code_folder("some")
    assert (path, why) == (place / "checkout" / ".cache" / "some", "")
    assert path.stat().st_mode & 0o777 == 0o700 and not list(path.iterdir())


@pytest.mark.parametrize("named", ["named", "~/named", "{place}/named", "{place}/link/named"])
def test_a_folder_that_is_named_means_what_it_means_in_a_shell(place: Path, named: str) -> None:
    """Also one behind a link whose target was purged: it is made anew."""
    (place / "link").symlink_to(place / "scratch")
    path, why = code_folder("some", named.format(place=place))
    wanted = {"~": place / "home" / "named"}.get(named[0], place / "named")
    assert path == (place / "scratch" / "named" if "link" in named else wanted)
    assert why == "" and path.is_dir()


def a_file(path: Path) -> None:
    path.write_text("")


def in_a_circle(path: Path) -> None:
    path.symlink_to(path)


def of_another_user(path: Path) -> None:
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)


def for_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


@pytest.mark.parametrize(
    ("named", "make", "reason"),
    [
        ("bad", a_file, "Not a directory"),
        ("bad/below", a_file, "Not a directory"),
        ("bad", in_a_circle, "link"),
        pytest.param("bad", of_another_user, "belongs to another user", marks=needs_root),
        ("bad", for_all, "others can write there: chmod go-w"),
        ("~no-such-user/bad", lambda path: None, "home directory"),
        ("two words", lambda path: None, "no space"),
        ("/proc/bad", lambda path: None, "No such file"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_with_the_reason(
    place: Path, named: str, make: Callable[[Path], None], reason: str
) -> None:
    make(place / "bad")
    path, why = code_folder("some", named)
    assert path == place / "checkout" / ".cache" / "some"
    assert why.startswith(f"compiled code cannot be kept in {named} (") and reason in why
    assert why.endswith(f"); it is kept in {path}") and "\n" not in why


def as_nobody(function: Callable) -> Callable:
    """Done without root's rights, whose modes bind nobody."""

    def done(*arguments: object) -> object:
        if not IS_ROOT:
            return function(*arguments)
        os.seteuid(NOBODY)
        try:
            return function(*arguments)
        finally:
            os.seteuid(0)

    return done


def test_where_nothing_can_be_written_the_next_place_is_taken(place: Path) -> None:
    """A read-only checkout; then a home of others; then no folder for temporary files either."""
    choose = as_nobody(code_folder)
    (place / "checkout").chmod(0o555)
    owner = NOBODY if IS_ROOT else os.geteuid()
    os.chown(place / "home", owner, owner if IS_ROOT else -1)
    path, why = choose("some")
    assert path == place / "home" / ".cache" / "semantica" / "some"
    assert f"{place}/checkout/.cache/some (Permission denied); it is kept in {path}" in why
    shutil.rmtree(place / "home" / ".cache")
    (place / "home").chmod(0o555)
    path, why = choose("some")
    assert path == place / "tmp" / f"semantica-{owner}-some" and why.count("denied") == 2
    shutil.rmtree(path)
    (place / "tmp").chmod(0o555)
    path, why = choose("some")
    assert path is None and why.count("denied") == 3


def test_a_full_disk_is_seen_by_writing(place: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        path, why = code_folder("some")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path is None and why.count("File too large") == 3
    assert not [file for file in place.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("free", "flags", "reason"), [(2**25, 0, "64 MB free"), (2**40, 8, "exec")]
)
def test_a_small_rest_and_a_disk_of_data_are_not_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch, free: int, flags: int, reason: str
) -> None:
    def statvfs(path: Path) -> SimpleNamespace:
        mine = {"f_bavail": free, "f_flag": flags} if path == place / "named" else {}
        whole = {"f_bavail": 2**40, "f_flag": 0, "f_frsize": 1, "f_blocks": 2**41}
        return SimpleNamespace(**whole | mine)

    monkeypatch.setattr(os, "ST_NOEXEC", 8, raising=False)
    monkeypatch.setattr(os, "statvfs", statvfs)
    path, why = code_folder("some", str(place / "named"))
    assert path == place / "checkout" / ".cache" / "some" and reason in why


def test_children_keep_the_folder_and_the_reason(place: Path) -> None:
    (place / "bad").write_text("")
    os.environ[COMPILED] = "bad"
    why = keep_compiled()
    assert os.environ[COMPILED] == str(place / "checkout" / ".cache" / "inductor")
    assert "Not a directory" in why and keep_compiled() == why  # as a child does that inherits it
    os.environ[COMPILED] = str(place / "mine")
    assert keep_compiled() == "" and os.environ[COMPILED] == str(place / "mine")


def test_where_there_is_none_each_process_looks_anew(place: Path) -> None:
    """And is given what PyTorch can look at; that root could write there misleads nobody."""
    for name in ("checkout", "home", "tmp"):
        shutil.rmtree(place / name)
        (place / name).write_text("")
    os.environ[COMPILED] = ""
    why = keep_compiled()
    assert os.environ[COMPILED] == NOWHERE and why.count("Not a directory") == 3
    assert keep_compiled() == why
    (place / "tmp").unlink()
    assert "it is kept in" in keep_compiled() and os.environ[COMPILED].startswith(
        str(place / "tmp")
    )


def test_it_is_chosen_before_torch_is_imported(tmp_path: Path) -> None:
    """Nor does the command start with pandas, which would take as long as the rest."""
    told = "import json, os, sys\nfrom semantica_lib import cli\n"
    told += "heavy = {'torch', 'pandas', 'matplotlib'} & sys.modules.keys()\n"
    told += f"print(json.dumps([os.environ[{COMPILED!r}], sorted(heavy)]))"
    done = subprocess.check_output(
        [sys.executable, "-c", told],
        env=os.environ | {COMPILED: "rel", "PYTHONPATH": str(ROOT)}, cwd=tmp_path, text=True,
    )  # fmt: skip
    assert json.loads(done) == [str(tmp_path / "rel"), []]


def bound_by_modes() -> None:
    """In a child: what it starts is bound by the modes of files, root too."""
    if IS_ROOT:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.skipif(sys.platform != "linux", reason="drops a right of root's as Linux does")
@pytest.mark.parametrize("home", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_in_a_read_only_checkout_what_goes_on_does_as_what_began(place: Path, home: bool) -> None:
    """Kept in the user's home, else nowhere: both runs say why, once, and get to their steps."""
    checkout = place / "checkout"
    shutil.copytree(ROOT / "semantica_lib", checkout / "semantica_lib")
    shutil.copytree(ROOT / "notebooks", checkout / "notebooks")
    if not home:
        for name in ("home", "tmp"):
            (place / name).rename(place / f"no-{name}")
            (place / name).write_text("no folder")
    for folder in (checkout, *(path for path in checkout.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "SEMANTICA_RESULTS": str(place / "runs"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop(COMPILED)
    command = [sys.executable, "-m", "semantica_lib.cli", "train", "mlp-small", "--device", "cpu"]
    for text in ("bits=3", "expectation=exact", "schedule=none", "seeds=[1]", "ties=[tied]"):
        command += ["--set", text]
    for steps in (320, 640):
        done = subprocess.run(
            [*command, "--set", f"steps={steps}"], env=environment, cwd=place,
            preexec_fn=bound_by_modes, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0 and f"{steps} of the experiment's" in done.stdout, done.stderr
        assert done.stderr.count("compiled code cannot be kept in") == 1
        assert f"{checkout}/.cache/inductor (Permission denied)" in done.stderr
        assert ("training uncompiled" in done.stderr) == (not home)
    if home:
        assert list((place / "home" / ".cache" / "semantica" / "inductor").glob("*/*.so"))
        assert not list((place / "tmp").glob("torchinductor*"))
