"""Commit and changes are this project's own, or not known, whatever surrounds the tree."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from semantica_lib.store import provenance

FILES = (
    "semantica_lib/__init__.py", "semantica_lib/models/stack.py", "semantica_lib/run.template",
    "notebooks/experiments/one.yaml", "notebooks/sweeps/two.yaml", "notebooks/xor.ipynb",
    "constraints.txt", "pyproject.toml", "book/results/one/manifest.json", "book/run.md",
)  # fmt: skip


def git(folder: Path, *words: str) -> str:
    """What git answers, whatever the surroundings say to it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    command = ["git", *who, "-C", str(folder), *words]
    return subprocess.run(command, env=clean, check=True, capture_output=True, text=True).stdout


def commit_all(folder: Path) -> str:
    """The commit of all that is in a folder, a repository from now on."""
    git(folder, "init", "-q")
    git(folder, "add", "-A", "--force")
    git(folder, "commit", "-qm", "all")
    return git(folder, "rev-parse", "HEAD").strip()


def unpacked(folder: Path) -> Path:
    """The project's files in a folder, as an archive has them."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name + "\n")
    return folder


def other(folder: Path) -> Path:
    """A repository of somebody's, without the project."""
    folder.mkdir(parents=True)
    (folder / "theirs").write_text("")
    commit_all(folder)
    return folder


def told(monkeypatch: pytest.MonkeyPatch, root: Path) -> tuple[str | None, bool | None]:
    """Commit and changes, were the project there."""
    monkeypatch.setattr(provenance, "ROOT", root.resolve())
    monkeypatch.setattr(provenance, "_sources", str)
    made = provenance.provenance()
    assert provenance.commit() == made["commit"]
    return made["commit"], made["dirty"]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMANTICA_COMMIT", raising=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout of the project, as committed."""
    commit_all(unpacked(tmp_path / "project"))
    return tmp_path / "project"


def head(tree: Path) -> str:
    return git(tree, "rev-parse", "HEAD").strip()


def test_a_commit_is_clean_and_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, tree) == (head(tree), False)
    assert provenance.why_unknown() == ""


CHANGES = [
    "semantica_lib/models/stack.py", "semantica_lib/new.py", "semantica_lib/models.abi3.so",
    "semantica_lib/run.template", "notebooks/experiments/one.yaml", "notebooks/sweeps/new.yaml",
    "constraints.txt", "pyproject.toml",
]  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("how", ["", "staged", "hidden", "ignored"])
def test_what_makes_a_result_and_is_not_as_committed_makes_a_tree_dirty(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    """However it is kept from git's own list of changes."""
    if how == "hidden" and name in FILES:
        git(tree, "update-index", "--assume-unchanged", name)
    if how == "ignored":
        (tree / ".git" / "info" / "exclude").write_text("*\n")
        git(tree, "config", "status.showUntrackedFiles", "no")
    (tree / name).write_text("after")
    if how == "staged":
        git(tree, "add", name)
    assert told(monkeypatch, tree) == (head(tree), True)


def test_a_file_that_is_gone_makes_a_tree_dirty(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "semantica_lib/models/stack.py").unlink()
    assert told(monkeypatch, tree) == (head(tree), True)


OUTPUTS = [
    "slurm-4711.out", ".snakemake/log/1.log", "out.ipynb", "notebooks/out.ipynb", "Snakefile",
    "notebooks/xor.ipynb", "book/run.md", "book/results/one/manifest.json", "mine.yaml",
    "book/results/one/checkpoints/new", "semantica_lib/__pycache__/new.cpython-311.pyc",
    "semantica_lib/models/.ipynb_checkpoints/stack-checkpoint.py", "semantica_lib/._stack.py",
    "semantica_lib/nohup.out", "notebooks/experiments/.one.yaml.swp",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("staged", [False, True])
def test_outputs_and_pages_do_not(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, staged: bool
) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text("after")
    if staged:
        git(tree, "add", "--force", name)
    assert told(monkeypatch, tree) == (head(tree), False)


@pytest.mark.parametrize("name", ["runs", ".venv", ".snakemake", "semantica_lib/.#stack.py"])
def test_links_do_not(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """An editor's lock is a link to nowhere."""
    (tree / name).symlink_to(tmp_path if "stack" not in name else "me@here.1")
    assert told(monkeypatch, tree) == (head(tree), False)


@pytest.mark.parametrize("name", ["runs", ".venv"])
def test_a_link_to_where_there_is_room_is_ignored(tree: Path, tmp_path: Path, name: str) -> None:
    ignored = Path(__file__).parents[2] / ".gitignore"
    (tree / ".gitignore").write_text(ignored.read_text(encoding="utf-8"))
    (tree / name).symlink_to(tmp_path)
    assert name not in git(tree, "status", "--porcelain")


def inside(tmp_path: Path, how: str) -> Path:
    """The project where a repository that is not its own would answer for it."""
    outer = other(tmp_path / "outer")
    if how == "worktree":
        git(outer, "worktree", "add", "-q", str(tmp_path / "beside"))
        outer = tmp_path / "beside"
    elif how == "superproject":
        git(outer, "submodule", "add", "-q", str(other(tmp_path / "third")), "sub")
        outer = outer / "sub"
    elif how == "over it":
        return unpacked(outer)
    root = unpacked(outer / "project")
    if how in ("committed", "worktree"):
        git(outer, "add", "-A")
        git(outer, "commit", "-qm", "with the project")
    elif how == "empty .git":
        (root / ".git").mkdir()
    elif how == "a link":
        (tmp_path / "link").symlink_to(root)
        return tmp_path / "link"
    return root


INSIDE = ["", "committed", "worktree", "superproject", "over it", "empty .git", "a link"]


@pytest.mark.parametrize("how", INSIDE)
def test_another_s_repository_does_not_answer_for_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    assert told(monkeypatch, inside(tmp_path, how)) == (None, None)
    assert "\n" not in provenance.why_unknown() != ""


def own(tmp_path: Path, tree: Path, how: str) -> Path:
    """The project's own repository where it is more than a folder with ``.git`` in it."""
    place = tmp_path / "own"
    if how == "submodule":
        git(other(place), "submodule", "add", "-q", str(tree), "project")
        return place / "project"
    if how == "worktree":
        git(tree, "worktree", "add", "-q", str(place))
    elif how == "shallow":
        git(tree, "commit", "-q", "--allow-empty", "-m", "more")
        git(tmp_path, "clone", "-q", "--depth=1", tree.as_uri(), str(place))
    elif how == "inside another":
        shutil.copytree(tree, other(place) / "project")
        return place / "project"
    elif how == "a link":
        place.symlink_to(tree)
    elif how == "other ends of lines":
        config = "--config=core.autocrlf=true"
        git(tmp_path, "clone", "-q", config, tree.as_uri(), str(place))
        assert b"\r\n" in (place / "constraints.txt").read_bytes()
    elif how == "sha256":
        shutil.rmtree(tree / ".git")
        git(tree, "init", "-q", "--object-format=sha256")
        commit_all(tree)
        return tree
    return place


OWN = [
    "submodule", "worktree", "shallow", "inside another", "a link", "other ends of lines", "sha256",
]  # fmt: skip


@pytest.mark.parametrize("how", OWN)
def test_its_own_repository_does_wherever_it_is_kept(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    root = own(tmp_path, tree, how)
    assert told(monkeypatch, root) == (head(tree), False)
    (root / "semantica_lib/new.py").write_text("")
    assert told(monkeypatch, root) == (head(tree), True)


VARIABLES = [
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_CEILING_DIRECTORIES", "GIT_NAMESPACE", "GIT_CONFIG_COUNT", "GIT_TRACE",
]  # fmt: skip


@pytest.mark.parametrize("name", [*VARIABLES, "GIT_DIR and GIT_WORK_TREE"])
@pytest.mark.parametrize("place", ["tree", "archive"])
def test_variables_of_git_change_nothing(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    """As a hook sets them, or who keeps a repository of settings in the home folder."""
    theirs = other(tmp_path / "theirs")
    root = tree if place == "tree" else unpacked(tmp_path / "archive")
    values = {
        "GIT_DIR": theirs / ".git", "GIT_WORK_TREE": theirs, "GIT_COMMON_DIR": theirs / ".git",
        "GIT_INDEX_FILE": theirs / ".git" / "index", "GIT_CEILING_DIRECTORIES": tmp_path,
        "GIT_OBJECT_DIRECTORY": theirs / ".git" / "objects", "GIT_NAMESPACE": "a",
        "GIT_CONFIG_COUNT": "x", "GIT_TRACE": "1",
    }  # fmt: skip
    if " and " in name:
        values["GIT_WORK_TREE"] = root
    for one in name.split(" and "):
        monkeypatch.setenv(one, str(values[one]))
    assert told(monkeypatch, root) == ((head(tree), False) if root == tree else (None, None))


def no_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tree / "nowhere"))


def another_owner(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid():
        pytest.skip("only root can give a folder to somebody else")
    for path in (tree, tree / ".git"):
        os.chown(path, 12_345, 12_345)
    monkeypatch.setenv("HOME", str(tree.parent))  # whose configuration trusts nobody
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def archive(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tree / ".git")


def moved(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worktree without the repository that it belongs to, as copied into a container."""
    shutil.rmtree(tree / ".git")
    (tree / ".git").write_text("gitdir: /nowhere/.git/worktrees/project\n")


def unborn(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tree / ".git")
    git(tree, "init", "-q")


def broken(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tree / ".git" / "objects")


WITHOUT = {
    no_git: "git", another_owner: "dubious ownership", archive: "not a git repository",
    moved: "not a git repository", unborn: "HEAD", broken: "not a git repository",
}  # fmt: skip


@pytest.mark.parametrize("without", WITHOUT, ids=lambda one: one.__name__)
@pytest.mark.parametrize("changed", [False, True])
def test_where_git_tells_nothing_nothing_is_known_not_that_it_is_clean(
    tree: Path, monkeypatch: pytest.MonkeyPatch, without, changed: bool
) -> None:
    if changed:
        (tree / "semantica_lib/models/stack.py").write_text("after")
    without(tree, monkeypatch)
    assert told(monkeypatch, tree) == (None, None)
    assert WITHOUT[without] in provenance.why_unknown()
    assert "\n" not in provenance.why_unknown()


def test_a_variable_may_name_the_commit_where_git_does_not_but_says_nothing_of_changes(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTICA_COMMIT", "0123456789abcdef")
    assert told(monkeypatch, tree) == (head(tree), False)
    assert told(monkeypatch, inside(tmp_path, "committed")) == ("0123456789abcdef", None)
    monkeypatch.setenv("SEMANTICA_COMMIT", "main, or so")
    assert told(monkeypatch, tmp_path / "outer" / "project") == (None, None)


def test_what_an_editor_keeps_beside_a_source_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sources' hash is of the code alone."""
    monkeypatch.setattr(provenance, "ROOT", unpacked(tmp_path))
    monkeypatch.setattr(provenance, "SOURCES", ("models",))
    before = provenance._sources()
    (tmp_path / "semantica_lib/models/.#stack.py").symlink_to("me@here.1")
    (tmp_path / "semantica_lib/models/._stack.py").write_bytes(b"\0")
    assert provenance._sources() == before
    (tmp_path / "semantica_lib/models/stack.py").write_text("after")
    assert provenance._sources() != before


@pytest.mark.parametrize(
    ("dirty", "commit", "was"),
    [
        ("true", "a", True), ("false", "a, b", False), ("unknown", "a", None),
        ("false", "unknown", None), ("false", "a, unknown", None), ("true", "unknown", True),
    ],
)  # fmt: skip
def test_a_checkpoint_of_a_tree_that_was_not_known_is_not_of_a_clean_one(
    dirty: str, commit: str, was: bool | None
) -> None:
    """An earlier version wrote ``false`` where git told nothing."""
    assert provenance.was_dirty({"dirty": dirty, "commit": commit}) is was


def test_one_tree_with_changes_is_enough_and_one_not_known() -> None:
    assert provenance.any_dirty(False, False) is False
    assert provenance.any_dirty(False, None) is None
    assert provenance.any_dirty(None, True, False) is True
