"""A way to tie of one's own, from a file outside the library: trained, stored, resumed, found."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from semantica_lib import cli
from semantica_lib.analysis.sweep_points import added, stored
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.models.ties import SCHEMES
from semantica_lib.running import processes
from semantica_lib.running.plan import check
from semantica_lib.running.run import run
from semantica_lib.settings.added_points import asked_points
from semantica_lib.settings.catalogue import parse_override, settings
from semantica_lib.settings.sweeps import read
from semantica_lib.store import listing, results
from semantica_lib.store.weights import weights

pytestmark = pytest.mark.usefixtures("in_process")
SMALL = {
    "experiment": "owned", "bits": 3, "steps": 8, "seeds": [1, 2], "record_every": 4,
    "validate_every": 4, "device": "cpu",
}  # fmt: skip
SWEEP = {
    "base": "transformer-small", "seeds": [1, 2],
    "fixed": {"bits": 3, "record_every": 4, "validate_every": 4},
    "grid": [{"expectation": ["sampled", "exact"], "ties": [["tied", "untied", "mapped"]]}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    yield
    for word in [word for word in SCHEMES if "@" in word]:
        del SCHEMES[word]


@pytest.fixture
def file(tmp_path) -> Path:
    """The example of the page "Run it yourself", as it stands there."""
    page = (ROOT / "book" / "run.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(?=# mine\.py)(.*?)```", page, re.DOTALL)
    assert len(example.splitlines()) <= 12
    (tmp_path / "mine.py").write_text(example)
    return tmp_path / "mine.py"


def named(file: Path, **changes: object) -> dict[str, object]:
    return SMALL | changes | dict([parse_override(f"scheme={file}:Mine")])


def test_the_example_of_the_book_adds_a_row_to_a_sweep(tmp_path, file, capsys, monkeypatch) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    few = ["--set", "steps=8", "--device", "cpu"]
    asked = [str(path), "--set", f"scheme={file}:Mine", *few]
    assert cli.main(["train", *asked, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "2 stack(s), 4 trials" in told and "transformer-small Mine@" in told
    assert cli.main(["train", *asked]) == 0
    assert capsys.readouterr().out.count("/runs/transformer-small-Mine-") == 2
    assert cli.main(["train", *asked, "--dry-run"]) == 0
    assert capsys.readouterr().out == "nothing is left to train\n"
    assert cli.main(["train", str(path), *few]) == 0  # the others, apart

    changed = SWEEP | {"fixed": SWEEP["fixed"] | {"steps": 8}}
    path.write_text(yaml.safe_dump(changed))
    SCHEMES.pop(next(word for word in SCHEMES if "@" in word))
    file.unlink()  # what was made by it is read without it
    there, more = stored(str(path)), added(str(path))
    assert [one.varied["expectation"] for one in more] == ["sampled", "exact"]
    assert all(set(one.result.tie) == {"tied", "untied", "mapped"} for one in there)
    for one in more:
        (word,) = set(one.result.tie)
        assert word.startswith("Mine@") and one.varied["ties"] == [word]
        assert one.result.seed.tolist() == [1, 2] and one.result.covers(one.settings)
        assert set(one.result.metrics.tie) == {word} and not one.result.tied.any()
        same = next(o for o in there if o.varied["expectation"] == one.varied["expectation"])
        assert one.settings.identity == same.settings.identity | {"scheme": word}
        first = same.result.input_embedding[same.result.tie == "tied", 0]
        np.testing.assert_array_equal(one.result.input_embedding[:, 0], first)
    rows = [row for row in listing.rows() if "-Mine-" in row["name"]]
    assert len(rows) == 2 and all("scheme" in row["question"] for row in rows)
    assert not any("@" in word for word in SCHEMES)  # nobody has run the file


def test_it_resumes_and_ends_as_a_straight_run_does(file) -> None:
    own = settings(named(file, ties=["tied"]))
    straight = run(settings(named(file, ties=["tied"], experiment="straight")))
    run(own.model_copy(update={"steps": 4}))
    result = run(own)
    assert result.folder.name.startswith("owned-Mine-") and set(result.tie) == {*own.ties}
    np.testing.assert_array_equal(result.output_embedding, straight.output_embedding)
    last = weights(own, 2, own.ties[-1])["output_embedding.weight"].numpy()
    np.testing.assert_array_equal(result.output_embedding[-1, -1], last)


def test_a_file_that_changed_on_the_way_is_not_gone_on_with(file) -> None:
    own = settings(named(file))
    run(own.model_copy(update={"steps": 4}))
    folder = results.folder(results.here(), own)
    for name in (results.MANIFEST, results.TRAJECTORY, results.METRICS):
        (folder / name).unlink()  # as if it had been stopped
    file.write_text(file.read_text() + "# changed\n")
    changed = settings(named(file))
    with pytest.raises(RequestError, match=r"begun with another content .* or begin anew by --fr"):
        check(changed)
    check(changed, fresh=True)
    assert set(run(changed, fresh=True).tie) == {*changed.ties}
    check(changed)  # from then on it is that one
    with pytest.raises(RequestError, match=r"mine.py has changed since this began"):
        SCHEMES.pop(own.ties[-1])
        run(own)


def test_what_is_wrong_with_it_is_told_before_anything_runs(file, capsys) -> None:
    text = file.read_text()
    file.write_text(text.replace("def tables", "def table"))
    for command in (["train"], ["run"], ["train", "--dry-run"]):
        asked = [*command, "transformer-small", "--set", f"scheme={file}:Mine"]
        assert cli.main(asked) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "Mine.tables" in line and "NotImplementedError" in line
    assert cli.main(["train", "transformer-small", "--set", f"scheme={file}.py:Mine"]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert not [*results.here().glob("*/manifest.json")]


def test_what_fails_while_training_is_told_with_its_place(file) -> None:
    own = settings(named(file))
    path = str(file)
    code = compile("\n\nraise KeyError('later')", path, "exec")
    group = processes.Group(file, own, own.ties[-1], (1,))
    with pytest.raises(KeyError) as caught:
        exec(code)
    assert processes._said(caught.value, group) == f"{path}, line 3, in <module>: KeyError: 'later'"
    assert processes._said(KeyError("ours"), group) == "'ours'"


def test_a_sweep_takes_one_scheme_and_no_ties_beside_it(file, capsys) -> None:
    """Neither is passed over in silence."""
    for asked, words in (
        (["scheme=5"], "scheme: 5: write scheme=FILE.py:NAME"),
        ([f"scheme={file}:Mine", "ties=[tied]"], "leave ties out"),
    ):
        options = [part for one in asked for part in ("--set", one)]
        assert cli.main(["train", "near", "--dry-run", *options]) == 2
        assert words in capsys.readouterr().err


def test_it_cannot_be_published(file, capsys) -> None:
    assert cli.main(["publish", "schemes", "--set", f"scheme={file}:Mine"]) == 2
    assert "a scheme of one's own is not" in capsys.readouterr().err


def test_the_points_of_a_sweep_are_its_own_whatever_was_added(tmp_path, file) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    with_own = [parse_override(f"scheme={file}:Mine"), ("steps", 8)]
    for _, own in asked_points(read(path), with_own):
        run(own)
    assert [one.result for one in stored(str(path))] == [None, None]
