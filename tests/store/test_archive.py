"""An unpacked archive is known by the commit that it carries, and what is changed in it shows."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from test_provenance import CHANGES, commit_all, git, head, other, told, unpacked

from semantica_lib.files import ROOT
from semantica_lib.store import archive, provenance

# As git sorts them: a folder counts as if its name ended in a slash.
SORTED = "notebooks-old", "notebooks.txt", "notebooks/sweeps.md", "notebooks/sweeps/a b.md"
OWN_FILES = ".gitattributes", ".gitignore"


def project(folder: Path) -> Path:
    """A repository of the project: its own rules for archives and ignored files, a few others."""
    unpacked(folder)
    for name in SORTED:
        (folder / name).write_text(name)
    for name in OWN_FILES:
        shutil.copy(ROOT / name, folder)
    (folder / "constraints.txt").chmod(0o755)
    (folder / archive.CARRIED).parent.mkdir()
    top = sorted(path.name for path in folder.iterdir())
    (folder / archive.CARRIED).write_text("\n".join([archive.FORMAT.decode(), *top, ""]))
    commit_all(folder)
    return folder


def unpack(tree: Path, place: Path, kind: str = "tar", of: str = "HEAD") -> Path:
    """An archive of a repository, in a folder."""
    packed = place.parent / f"packed.{kind}"
    git(tree, "archive", f"--format={kind}", "--output", str(packed), of)
    place.mkdir(parents=True, exist_ok=True)
    if kind == "tar":
        subprocess.run(["tar", "-xf", packed, "-C", place], check=True)
    else:
        shutil.unpack_archive(packed, place)
        (place / "constraints.txt").chmod(0o755)  # which Python's unpacking leaves out
    return place


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMANTICA_COMMIT", raising=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return project(tmp_path / "project")


@pytest.fixture
def place(tmp_path: Path, tree: Path) -> Path:
    """An archive of the project, unpacked where there is no repository."""
    return unpack(tree, tmp_path / "unpacked")


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("digests", ["sha1", "sha256"])
def test_its_commit_is_known_and_clean(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, kind: str, digests: str
) -> None:
    shutil.rmtree(tree / ".git")
    git(tree, "init", "-q", f"--object-format={digests}")
    commit_all(tree)
    place = unpack(tree, tmp_path / "unpacked", kind)
    assert told(monkeypatch, tree) == (head(tree), False)
    for _ in range(2):  # when first looked at, and from the list that is kept
        assert told(monkeypatch, place) == (head(tree), False)
        assert provenance.why_unknown() == ""
        assert (place / archive.KEPT).is_file()


def test_this_project_s_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it tracks: names, links, executable files, what lies at its top."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    place = unpack(ROOT, tmp_path / "unpacked")
    assert told(monkeypatch, place) == (head(ROOT), False)
    top = git(ROOT, "ls-tree", "--name-only", "HEAD").split()
    assert (ROOT / archive.CARRIED).read_text().split("\n") == [archive.FORMAT.decode(), *top, ""]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("looked", [False, True])
def test_what_makes_a_result_and_was_changed_shows(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch, name: str, looked: bool
) -> None:
    if looked:
        assert told(monkeypatch, place) == (head(tree), False)
    (place / name).write_text("after")
    assert told(monkeypatch, place) == (head(tree), True)
    assert told(monkeypatch, place) == (head(tree), True)


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("name", ["semantica_lib/models/stack.py", "constraints.txt"])
def test_so_does_what_is_gone_or_elsewhere(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch, name: str, looked: bool
) -> None:
    if looked:
        told(monkeypatch, place)
    (place / name).rename(place / "elsewhere")
    assert told(monkeypatch, place) == (head(tree), True)
    (place / "elsewhere").write_text("after")
    (place / name).symlink_to(place / "elsewhere")
    assert told(monkeypatch, place) == (head(tree), True)


BESIDE = [
    ".venv/lib/a.py", "runs/one/manifest.json", "book/_build/a.html", "book/experiments/a.ipynb",
    "semantica_lib/__pycache__/a.pyc", "notebooks/.ipynb_checkpoints/a.ipynb",
    "notebooks/out.ipynb", "mine.yaml", "data/book.txt", "slurm-4711.out", ".snakemake/log/1.log", 
    "semantica.egg-info/a", "semantica_lib/slurm-1.out", ".cache/inductor/a.py",
]  # fmt: skip


def test_what_is_beside_it_does_not(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do links; all together, and when first looked at."""
    for name in BESIDE:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("")
    for name in ("data/more", "semantica_lib/.#stack.py", "book/data"):
        (place / name).symlink_to(tree)
    assert told(monkeypatch, place) == (head(tree), False)


def test_pages_and_published_results_count_until_all_agreed_once(
    tmp_path: Path, tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notebooks/xor.ipynb", "book/results/one/manifest.json", "book/results/two/new"):
        shutil.rmtree(place)
        unpack(tree, place)
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("after")
        assert told(monkeypatch, place) == (head(tree), True)
        unpack(tree, place)  # over it
        (place / "book/results/two/new").unlink(missing_ok=True)
        assert told(monkeypatch, place) == (head(tree), False)
        (place / name).write_text("after")
        assert told(monkeypatch, place) == (head(tree), False)


@pytest.mark.parametrize("without", ["git", "repository", "own"])
def test_it_is_known_whatever_surrounds_it(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    outer = other(tmp_path / "outer")
    place, commit = unpack(tree, outer / "project"), head(tree)
    commit_all(outer)
    if without == "git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif without == "repository":
        monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    assert told(monkeypatch, place) == (commit, False)
    (place / "semantica_lib/models/stack.py").write_text("after")
    if without == "own":
        commit_all(outer)
    assert told(monkeypatch, place) == (commit, True)


def test_its_own_repository_goes_before(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "semantica_lib/models/stack.py").write_text("after")
    own = commit_all(place)
    assert told(monkeypatch, place) == (own, False)
    shutil.rmtree(place / ".git" / "objects")
    assert told(monkeypatch, place) == (None, None)


@pytest.mark.parametrize("of", ["HEAD", "HEAD:project"])
def test_an_archive_of_another_repository_carries_no_commit_of_the_project(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """Into which the project was copied: its commit is not the project's."""
    outer = other(tmp_path / "outer")
    shutil.copytree(tree, outer / "project", ignore=shutil.ignore_patterns(".git"))
    commit_all(outer)
    place = unpack(outer, tmp_path / "unpacked", of=of)
    assert told(monkeypatch, place / "project" if of == "HEAD" else place) == (None, None)


def edited(tree: Path, place: Path) -> None:
    """The list names an edited file's own digest."""
    kept, file = place / archive.KEPT, place / "semantica_lib/models/stack.py"
    digests = [git(tree, "hash-object", str(file)).strip()]
    file.write_text("after")
    digests.append(git(tree, "hash-object", str(file)).strip())
    text = kept.read_text()
    assert text.count(digests[0]) == 1
    kept.write_text(text.replace(*digests))


def of_another(tree: Path, place: Path) -> None:
    """It is of another commit, which was unpacked there before."""
    (tree / "semantica_lib/models/stack.py").write_text("after")
    git(tree, "commit", "-qam", "more")
    unpack(tree, place)
    (place / "semantica_lib/models/stack.py").write_text("semantica_lib/models/stack.py\n")


@pytest.mark.parametrize("fault", [edited, of_another], ids=lambda one: one.__name__)
def test_a_list_that_is_not_the_commit_s_is_not_believed(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch, fault
) -> None:
    assert told(monkeypatch, place) == (head(tree), False)
    fault(tree, place)
    assert told(monkeypatch, place) == (head(tree), True)


@pytest.mark.parametrize(
    "junk", [b"", b"\xff\0", b"100644 abc constraints.txt\n", b"1 ab a/\n", None]
)
def test_without_a_list_all_files_are_looked_at(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch, junk: bytes | None
) -> None:
    kept = place / archive.KEPT
    if junk is None:
        kept.parent.write_bytes(b"")  # so that no list can be kept
    else:
        kept.parent.mkdir()
        kept.write_bytes(junk)
    assert told(monkeypatch, place) == (head(tree), False)
    (place / "semantica_lib/models/stack.py").write_text("after")
    assert told(monkeypatch, place) == (head(tree), True)


def test_what_cannot_be_read_is_no_error(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "book/\udcff").write_text("")  # a name that is no text
    assert told(monkeypatch, place) == (head(tree), True)
    (place / ".gitignore").unlink()
    assert told(monkeypatch, place) == (head(tree), True)
    for junk in (b"\xff", b"", b"a b", b"a" * 40):
        (place / archive.CARRIED).write_bytes(junk)
        assert told(monkeypatch, place) == (None, None)


def test_a_file_that_became_executable_is_another(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place / "book/run.md"
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    assert told(monkeypatch, place) == (head(tree), True)
