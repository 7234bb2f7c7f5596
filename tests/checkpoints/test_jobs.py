"""Jobs that train nothing: their parameters, and where they are refused."""

from pathlib import Path

import pytest

from semantica_lib import cli
from semantica_lib.checkpoints.jobs import JOBS, job, training
from semantica_lib.errors import RequestError
from semantica_lib.pages import notebooks
from semantica_lib.running import batch


def test_a_path_that_is_there_is_made_whole_and_a_hub_s_name_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "text.txt").write_text("word " * 80)
    monkeypatch.chdir(tmp_path)
    own = job("models", [("checkpoints", ["mine", "gpt2", "a/b@main"]), ("text", "text.txt")])
    assert own.checkpoints == (str(tmp_path / "mine"), "gpt2", "a/b@main")
    assert own.text == str(tmp_path / "text.txt")
    assert job("models", [("checkpoints", "gpt2")]).checkpoints == ("gpt2",)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([("text", "no-such-file")], "no-such-file: no such file or folder"),
        ([("checkpoint", "x")], "unknown setting 'checkpoint' .did you mean 'checkpoints'"),
        ([("checkpoints", 3)], "checkpoints"),
        ([("device", "cpu")], "models trains nothing"),
    ],
)
def test_what_is_wrong_is_one_line(values: list, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        job("models", values)


def test_a_text_too_short_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("word " * 79)
    assert cli.main(["run", "models", "--set", f"text={tmp_path}/text.txt"]) == 2
    assert "text.txt: too short for the measures, 39" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["train models", "workflow models", "publish models", "run models --dry-run",
             "run models --shard 1/2", "run models lstm-small --dry-run"],
)  # fmt: skip
def test_it_is_refused_where_there_is_something_to_train(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    assert "models trains nothing: write `semantica run models`" in capsys.readouterr().err


def test_all_else_goes_on() -> None:
    assert training({"lstm-small": 1}) == {"lstm-small": 1}


def test_it_executes_its_notebook_with_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path))
    seen: list = []
    monkeypatch.setattr(notebooks, "execute", lambda *page, train: seen.append((*page, train)))
    request = batch.Request("models", [job("models", [("checkpoints", "gpt2")])])
    kind, words = batch.work(request, lambda *_: None, 1)
    target = tmp_path / "models" / "models.ipynb"
    assert (kind, words) == ("done", f"notebook {target}")
    parameters = {"checkpoints": ["gpt2"], "text": ""}
    assert seen == [(notebooks.NOTEBOOKS / "models.ipynb", target, parameters, False)]
    assert notebooks.PARAMETERS["models"] == {"checkpoints": [], "text": ""}
    assert set(JOBS) <= notebooks.PARAMETERS.keys()
