"""One list of versions everywhere, a Makefile that explains itself, and no trace of a machine."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from semantica_lib.files import ROOT
from semantica_lib.pages import book

# Told nothing by a make that runs these tests.
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
TARGETS = ("env", "book", "test", "test-long", "test-book", "paper", "bench", "readme", "clean")


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=OUTSIDE, capture_output=True, text=True, check=False
    )


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = requirements(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])
LOCK = {
    canonicalize_name(entry.name): entry
    for entry in requirements((ROOT / "constraints.txt").read_text().splitlines())
}


def test_lock_is_exact_and_holds_every_direct_dependency():
    loose = [
        str(entry)
        for entry in LOCK.values()
        if not re.fullmatch(r"==[^*+]+", str(entry.specifier)) or entry.url
    ]
    assert not loose
    assert not {canonicalize_name(entry.name) for entry in DIRECT} - set(LOCK)


def needed(direct: list[Requirement]) -> dict[str, Distribution | None]:
    """Every package that is needed here, however indirectly; None: it is not installed."""
    wanted, seen, found = list(direct), set(), {}
    while wanted:
        need = wanted.pop()
        key = canonicalize_name(need.name), frozenset(need.extras)
        if key in seen:
            continue
        seen.add(key)
        try:
            found[key[0]] = distribution(need.name)
        except PackageNotFoundError:
            found[key[0]] = None
            continue
        for line in found[key[0]].requires or []:
            further = Requirement(line)
            extras = ("", *need.extras)
            if not further.marker or any(further.marker.evaluate({"extra": e}) for e in extras):
                wanted.append(further)
    return found


def test_this_environment_is_the_lock():
    wrong = []
    for name, found in needed(DIRECT).items():
        lock = LOCK.get(name)
        if not (found and lock and lock.specifier.contains(found.version, prereleases=True)):
            wrong.append(f"{name} {found and found.version}, locked: {lock}")
    assert not wrong


def test_every_way_to_install_uses_the_lock():
    makefile, dockerfile = ((ROOT / name).read_text() for name in ("Makefile", "Dockerfile"))
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert "pip install -c constraints.txt -e '$(1)'" in makefile
    assert makefile.count("pip install") == 2 and "$(call install,.[dev],$@)" in makefile
    assert re.search(r"^RUN make env$", dockerfile, re.MULTILINE)
    assert "pip install" not in dockerfile
    assert environment["dependencies"][-1] == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    assert [line.split()[0] for line in environment["dependencies"][:-1]] == ["python", "pip"]
    assert PROJECT["requires-python"] == environment["dependencies"][0].removeprefix("python ")


def workflow(name: str) -> dict[Any, Any]:
    """A workflow whose actions are pinned to a major version and which by itself only reads."""
    found = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    assert found["permissions"] == {"contents": "read"}
    assert found[True]["push"] == {"branches": ["main"]}  # YAML takes the name `on` for true
    assert found["concurrency"].keys() == {"group", "cancel-in-progress"}
    for job in found["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest" and job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v1"))
    return found


def done_by(job: dict[str, Any]) -> list[str]:
    """What a job does, action by action and command by command, without versions."""
    return [step.get("run") or step["uses"].partition("@")[0] for step in job["steps"]]


def test_the_workflow_of_tests_runs_what_is_run_here_on_every_python():
    job = workflow("test")["jobs"]["test"]
    assert done_by(job) == ["actions/checkout", "actions/setup-python", ".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"
    versions = job["strategy"]["matrix"]["python"]
    assert job["steps"][1]["with"]["python-version"] == "${{ matrix.python }}"
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert versions == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed]


def test_the_workflow_of_the_book_publishes_what_make_book_builds():
    jobs = workflow("book")["jobs"]
    assert done_by(jobs["build"]) == [
        "actions/checkout", "actions/setup-python", "make book", "actions/upload-pages-artifact",
    ]  # fmt: skip
    python, built = (jobs["build"]["steps"][place]["with"] for place in (1, 3))
    assert python["python-version"] in SpecifierSet(PROJECT["requires-python"])
    assert Path(built["path"]) == (book.BOOK / "_build" / "html").relative_to(ROOT)
    assert done_by(jobs["publish"]) == ["actions/deploy-pages"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert jobs["publish"]["environment"]["name"] == "github-pages"


def test_make_alone_prints_every_target_a_line_each():
    done = run("make", "-s")
    for target in TARGETS:
        assert re.search(rf"^make {target} +\w.{{10,}}$", done.stdout, re.MULTILINE), target


def test_an_unfit_python_is_refused_in_one_line(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 'is 3.9'\n")
    old.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    done = run("make", "-s", "env", f"PYTHON={old}", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Python 3.11 to 3.13 is needed" in done.stderr and "is 3.9" in done.stderr
    assert not (tmp_path / ".venv").exists()


FAKE = """\
#!/bin/sh
case "$*" in
*sys.version_info*) echo ok ;;
"-m venv"*)
    rm -rf .venv; mkdir -p .venv/bin
    cp "$0" .venv/bin/python; cp "$0" .venv/bin/semantica; echo venv >> told ;;
*) echo "$*" >> told; [ ! -e broken ] || case "$*" in *dev*) exit 1 ;; esac ;;
esac
"""


def test_the_book_needs_less_than_the_tests_and_each_is_installed_once(tmp_path):
    python = tmp_path / "python"
    python.write_text(FAKE)
    python.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / name).touch()

    def told(target: str, code: int = 0) -> list[str]:
        (tmp_path / "told").write_text("")
        done = run("make", "-s", target, f"PYTHON={python}", cwd=tmp_path)
        assert done.returncode == code, done.stderr
        lines = (tmp_path / "told").read_text().splitlines()
        return [line.removeprefix("-m pip install -c constraints.txt ") for line in lines]

    less, more = ["-e .", "-m pip check"], ["-e .[dev]", "-m pip check"]
    assert told("book") == ["venv", *less, "book"]
    assert told("book") == ["book"]
    assert told("env") == more
    assert told("env") == []
    assert told("book") == ["book"]
    (tmp_path / "constraints.txt").touch()  # another lock
    assert told("book") == [*less, "book"]
    (tmp_path / "broken").touch()
    assert told("env", 2) == ["-e .[dev]"]
    (tmp_path / "broken").unlink()
    assert told("book") == ["venv", *less, "book"]  # what is half made is begun anew
    assert told("env") == more


def test_the_library_and_the_notebooks_import_what_the_book_has():
    """What is imported at all comes with the book's packages, not with those of the tests."""
    has = needed(requirements(PROJECT["dependencies"])).keys()
    code = [path.read_text() for path in (ROOT / "semantica_lib").rglob("*.py")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    imported = set()
    for node in ast.walk(ast.parse("\n".join(code))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    of = packages_distributions()
    third = imported - sys.stdlib_module_names - {"semantica_lib"}
    assert {"jupyter_client", "myst_nb", "torch"} <= third
    assert not {name for name in third if not has & set(map(canonicalize_name, of[name]))}


def test_citation_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    (paper,) = citation["references"]
    assert paper["title"].startswith("By Tying Embeddings You Are Assuming")
    assert [author["family-names"] for author in paper["authors"]] == ["Bertolotti", "Cazzola"]
    assert (paper["volume"], paper["start"], paper["end"]) == (235, "3584", "3610")


def test_no_tracked_file_names_a_machine():
    """No absolute path of somebody's machine, no package registry's host."""
    listed = run("git", "ls-files", "-z")
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = r"(?<![\w.~}])/(?:work|root|home)/\w"
    domains = "py pi|python hosted|ana conda|npm js|download. pytorch|deb. debian"
    names = domains.replace(" ", "").split("|")  # this file would name them otherwise
    hosts = rf"\b(?:{'|'.join(map(re.escape, names))})\.(?:org|com)\b"
    pattern = re.compile(f"{paths}|{hosts}".encode())
    found = [
        f"{name}: {match.group().decode()}"
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).is_file()
        for match in pattern.finditer((ROOT / name).read_bytes())
    ]
    assert not found
