"""Sources of BookCorpus: local files of the same form, and hubs that do not answer."""

from pathlib import Path
from types import SimpleNamespace

import datasets
import huggingface_hub
import pyarrow
import pytest
import tokenizers
from huggingface_hub import constants
from pyarrow import parquet

from semantica_lib.datasets import hub
from semantica_lib.datasets.hub import SOURCES, Source, first_that_answers, hub_tokenizer
from semantica_lib.errors import RequestError

ROWS = [
    "He went Home .",
    "",
    None,
    " = Heading = \n",
    "a = b",
    " = = Two = = ",
    "line\nbroken \u00c9",
]
LINES = ["he went home .", "a = b", "line broken \u00e9"]


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def stored(folder: Path, *parts: list, column: str = "text") -> Source:
    folder.mkdir()
    for number, rows in enumerate(parts):
        parquet.write_table(pyarrow.table({column: rows}), folder / f"train-{number:05}.parquet")
    return Source(str(folder))


def test_rows_become_sentences(tmp_path):
    source = first_that_answers([stored(tmp_path / "a", ROWS * 700, ["Last", "One"])])
    expected = LINES * 700 + ["last", "one"]
    assert list(source.sentences()) == expected == list(source.sentences())
    for start in (1, 1_000, len(expected) - 1, len(expected), len(expected) + 1):
        assert list(source.sentences(start)) == expected[start:]
    assert source.about["source"] == str(tmp_path / "a") and source.refused == ()


def test_the_next_one_is_asked(tmp_path):
    other = stored(tmp_path / "other", ["X"], column="sentence")
    (tmp_path / "empty").mkdir()
    good = stored(tmp_path / "good", ROWS)
    with pytest.warns(UserWarning, match=f"bookcorpus is {good.name}, for lack of {other.name} "):
        found = first_that_answers([other, Source(str(tmp_path / "empty")), good])
    assert found.name == good.name and list(found.sentences()) == LINES
    assert len(found.refused) == 2 == len(found.about["refused"])
    assert found.refused[0] == f"{other.name} (it has no column 'text')"
    assert found.refused[1].startswith(f"{tmp_path / 'empty'} (")


def offline(monkeypatch) -> str:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return "offline"


def unreachable(monkeypatch) -> str:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return "http://127.0.0.1:9"


@pytest.mark.parametrize("without", [offline, unreachable])
def test_without_a_network_all_that_was_tried_is_named(monkeypatch, without):
    def load(*args, **more):
        raise AssertionError("it would try again for minutes")

    monkeypatch.setattr(datasets, "load_dataset", load)
    reason = without(monkeypatch)
    with pytest.raises(RequestError) as caught:
        first_that_answers()
    told = str(caught.value)
    assert "\n" not in told and told.endswith("or use your own text (corpus=text:PATH)")
    for name in ("bookcorpus/bookcorpus at refs/convert/parquet", "rojagtap/bookcorpus"):
        assert f"{name} (no answer from " in told
    assert "Salesforce/wikitext wikitext-103-raw-v1 (no answer from " in told
    assert told.count(reason) >= 3
    with pytest.raises(RequestError, match=rf"tokenizer some/one cannot be had \(no .*{reason}"):
        hub_tokenizer("some/one")


def test_a_hub_is_read_at_its_present_commit(tmp_path, monkeypatch):
    local, opened, load = stored(tmp_path / "a", ROWS), [], datasets.load_dataset

    class Api:
        def dataset_info(self, name, revision, timeout):
            assert (name, revision) == ("some/corpus", "branch")
            return SimpleNamespace(sha="1a2b3c")

    def load_dataset(name, config, **more):
        opened.append((name, config, more))
        return load(local.name, **{**more, "revision": None})

    monkeypatch.setattr(hub, "no_answer", lambda: "")
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    source = first_that_answers([Source("some/corpus", "part", "branch")])
    assert source.words == "some/corpus part at 1a2b3c"
    assert list(source.sentences()) == LINES
    asked = {"revision": "1a2b3c", "streaming": True, "split": "train"}
    assert opened == [("some/corpus", "part", asked)] * 2


def test_a_stream_that_stops(tmp_path):
    source = stored(tmp_path / "a", ["one", "two"] * 1_000)
    (tmp_path / "a" / "train-00001.parquet").write_bytes(b"no parquet")
    seen = []
    with pytest.raises(RequestError, match=r"reading .* stopped \(.*; go online and run it again"):
        for line in source.sentences():
            seen.append(line)
    assert seen == ["one", "two"] * 1_000


def test_reasons_are_short():
    assert hub.gist(ValueError()) == "ValueError"
    assert hub.gist(ValueError("a\n b")) == "a b"
    assert len(hub.gist(ValueError("x" * 500))) == 100


def test_sources_in_their_order():
    assert [source.words for source in SOURCES] == [
        "bookcorpus/bookcorpus at refs/convert/parquet",
        "rojagtap/bookcorpus",
        "Salesforce/wikitext wikitext-103-raw-v1",
    ]


def test_tokenizer_of_a_hub(monkeypatch):
    def load(name):
        if name == "good":
            return "its tokenizer"
        raise OSError("404: no such\nrepository")

    monkeypatch.setattr(hub, "no_answer", lambda: "")
    monkeypatch.setattr(tokenizers, "Tokenizer", SimpleNamespace(from_pretrained=load))
    assert hub_tokenizer("good") == "its tokenizer"
    with pytest.raises(RequestError, match=r"bad cannot be had \(404: no such repository\)"):
        hub_tokenizer("bad")
