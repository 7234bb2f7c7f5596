"""Bad input, shown by trying: whatever is given, it is taken or refused in one line.

Each property is tried on a few cases every day, and on many in the long tests.
"""

import gzip
import inspect
import io
import json
import shutil
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hypothesis
import junk
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from made import manifest_of
from markdown_it import MarkdownIt
from stored import finish

from semantica_lib import cli
from semantica_lib.chapters.language import tables as language_facts
from semantica_lib.chapters.sweep import tables as sweep_tables
from semantica_lib.errors import RequestError, TrainingError
from semantica_lib.figures import facts
from semantica_lib.running.groups import groups_of
from semantica_lib.running.plan import look
from semantica_lib.settings.catalogue import find, parse_override, read_file, settings
from semantica_lib.settings.sweeps import file_of, points, read
from semantica_lib.settings.xor import Settings
from semantica_lib.store import contents, folders, results
from semantica_lib.store.results import Result
from semantica_lib.trainers.stacked import Stack
from semantica_lib.trainers.training import train

LONGEST = 1000  # characters of a message


def tried(few: int, many: int, **strategies: st.SearchStrategy) -> Callable:
    """A property as a test: of few cases, and marked as long of many."""

    def test_of(property_: Callable) -> Callable:
        fixtures = [
            name
            for name in inspect.signature(property_).parameters
            if name not in (*strategies, "place")
        ]

        @pytest.mark.parametrize("cases", [few, pytest.param(many, marks=pytest.mark.long)])
        def test(cases: int, place: Path, request: pytest.FixtureRequest) -> None:
            known = {name: st.just(request.getfixturevalue(name)) for name in fixtures}
            drawn = given(place=st.just(place), **known, **strategies)(property_)
            slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
            hypothesis.settings(max_examples=cases, suppress_health_check=slow)(drawn)()

        test.__doc__, test.__name__ = property_.__doc__, property_.__name__
        return test

    return test_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that everything is written to."""
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(function: Callable, *arguments: Any) -> str:
    """The line by which something is refused; empty if it is not."""
    try:
        function(*arguments)
    except RequestError as error:
        line = str(error)
        assert line and len(line.splitlines()) == 1 and len(line) <= LONGEST, line[:2000]
        return line
    return ""


# --- settings --------------------------------------------------------------------------------


def comes_back(own: Any) -> None:
    """Settings survive JSON, and are known by the same hash."""
    again = settings(json.loads(json.dumps(own.model_dump(mode="json"))))
    assert again == own
    assert again.identity == own.identity and again.settings_hash == own.settings_hash


@tried(
    60,
    400,
    values=junk.nearly(junk.small_settings())
    | st.dictionaries(junk.keys, junk.anything, max_size=2),
)
def test_values_make_settings_or_one_line_that_names_the_setting(
    place: Path, values: dict[Any, Any]
) -> None:
    line = refused(settings, values)
    if line:
        assert (
            any(str(name) in line for name in values if isinstance(name, str)) or "setting" in line
        )
    else:
        comes_back(settings(values))


@tried(20, 150, values=junk.small_settings())
def test_settings_that_are_accepted_train(place: Path, values: dict[str, Any]) -> None:
    own = settings(values)
    comes_back(own)
    for tie in own.ties:
        kept: dict[str, torch.Tensor] = {}
        assert train(Stack(own, own.seeds, tie == "tied"), own.steps, None, kept.update)
        assert int(kept["step"]) == own.steps
        assert kept["tables"].shape[1:3] == (len(own.seeds), 2)


# --- files of settings and of sweeps ---------------------------------------------------------


def read_either(path: Path) -> None:
    """A file as the commands read it: as a sweep if it says that it is one."""
    if file_of(str(path)):
        for _, own in points(read(path)):
            comes_back(own)
    else:
        comes_back(find(str(path)))


@tried(
    60,
    400,
    content=(
        st.binary(max_size=60)
        | junk.yaml_like
        | junk.mutated_yaml()
        | junk.mutated_text(junk.FILES)
    ),
)
def test_a_file_is_taken_or_refused_in_one_line_and_nothing_runs(
    place: Path, content: str | bytes
) -> None:
    path = place / "some.yaml"
    text = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    path.write_bytes(text)
    refused(read_either, path)
    refused(read_file, path)
    refused(lambda: points(read(path)))
    if isinstance(content, str):
        (
            refused(parse_override, content),
            refused(lambda: find("lstm-small", [parse_override(f"steps={content}")])),
        )
    assert [one.name for one in place.iterdir()] == ["some.yaml"]


# --- stored results --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small result, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTICA_RESULTS", str(tmp_path_factory.mktemp("sound")))
        folder = finish(settings(SMALL), 4).folder
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


SMALL = {"experiment": "small", "bits": 3, "seeds": [1, 2], "steps": 4, "record_every": 2}
ARRAYS = [
    "steps", "seed", "tied", "input_embedding", "output_embedding", "measured_steps",
    "hidden_norm", "logit_gap", "gradient_steps", "table_gradient",
]  # fmt: skip


def laid_out(place: Path, files: Mapping[str, bytes]) -> Settings:
    """The files as the stored result of settings, beside nothing else."""
    own = settings(SMALL)
    folder = results.folder(results.here(), own)
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return own


def survives(own: Settings, changed: str) -> None:
    """A result is read whole, or told to be damaged in one line; nothing else happens."""
    folder = results.folder(results.here(), own)
    checkpoint = changed.endswith(".safetensors")
    line = refused(groups_of, folder, own) if checkpoint else refused(results.load, folder)
    assert not line or "damaged" in line or "other settings" in line
    state = results.state(results.here(), own)
    assert len(state.splitlines()) == 1 and len(state) <= LONGEST
    if not line:
        refused(look, own, folder)
        if not checkpoint:
            assert results.load(folder).input_embedding.ndim == 4


@tried(40, 250, drawn=st.data())
def test_a_damaged_file_of_a_result_is_named_or_it_was_not_damaged(
    place: Path, drawn: st.DataObject, sound: dict[str, bytes]
) -> None:
    name = drawn.draw(st.sampled_from(sorted(sound)))
    data = drawn.draw(junk.damaged(sound[name]))
    own = laid_out(place, sound | {name: data})
    survives(own, name)
    if data != sound[name] and name != results.MANIFEST:
        folder = results.folder(results.here(), own)
        assert refused(groups_of, folder, own) or refused(results.load, folder)


@tried(20, 100, drawn=st.data())
def test_a_manifest_of_other_values_is_read_or_refused(
    place: Path, drawn: st.DataObject, sound: dict[str, bytes]
) -> None:
    manifest = drawn.draw(junk.mutated(json.loads(sound[results.MANIFEST]), junk.jsonable))
    text = json.dumps(manifest).encode(errors="surrogatepass")
    survives(laid_out(place, sound | {results.MANIFEST: text}), results.MANIFEST)


CHANGES = ["gone", "shape", "cut", "text", "complex", "half", "object", "columns", "name", "more"]


@tried(25, 100, name=st.sampled_from(ARRAYS), change=st.sampled_from(CHANGES))
def test_sound_digests_of_nonsense_do_not_help(
    place: Path, sound: dict[str, bytes], name: str, change: str
) -> None:
    """Arrays of other shapes and kinds, some of objects, and another table of metrics."""
    with np.load(io.BytesIO(sound[results.TRAJECTORY])) as file:
        arrays = dict(file)
    array, metrics = arrays[name], gzip.decompress(sound[results.METRICS])
    if change == "gone":
        del arrays[name]
    arrays |= {
        "shape": {name: array[..., None]}, "cut": {name: array[:1]},
        "text": {name: array.astype("U8")}, "complex": {name: array.astype("c8")},
        "half": {name: array.astype("f2")}, "more": {"further": array},
        "object": {name: np.array([Armed(place / "ran")], dtype=object)},
    }.get(change, {})  # fmt: skip
    metrics = {"columns": b"a,b\n1,2\n", "name": metrics.replace(b"loss", b"lss")}.get(
        change, metrics
    )
    files = {results.TRAJECTORY: contents.packed_arrays(arrays)}
    files[results.METRICS] = contents.packed_metrics(metrics.decode())
    packed = folders.pack(json.loads(sound[results.MANIFEST]), files)
    own = laid_out(place, sound | packed)
    survives(own, results.TRAJECTORY)
    sound_still = change == "half" or (change == "gone" and name not in contents.ALWAYS)
    refusal = refused(results.load, results.folder(results.here(), own))
    assert refusal or sound_still or (change == "cut" and len(array) == 1), (name, change)
    assert not (place / "ran").exists()


class Armed:
    """What writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.write_text, (self.path, "")


# --- command lines ---------------------------------------------------------------------------

COMMANDS = [*cli.command.commands, "trian", "", "--help", "--verbose"]
OPTIONS = [
    "--set", "--device", "--jobs", "--fresh", "--json", "--shard", "--time-limit", "--dry-run",
    "--bare", "--records", "--no-train", "--stpes", "-h", "--", "-", "--set=", "--help",
]  # fmt: skip
VALUES = [
    "transformer-small", "lstm-small", "closing", "transformer-smal", "steps=3", "stpes=3",
    "seeds=[1]", "seeds=[", "device=gpu", "cpu", "cuda:99", "cuda", "1", "0", "-1", "1e9",
    "nan", "2/4", "5/4",
    "absent.yaml", "some.yaml", "folder.yaml", ".", "/", "\x00", "a\nb", "é", "question=<b>",
]  # fmt: skip
lines_of = st.lists(
    st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | st.text(max_size=6), max_size=6
)


@tried(60, 300, first=st.sampled_from(COMMANDS), rest=lines_of)
def test_a_command_line_is_done_or_refused_in_one_line(
    place: Path, first: str, rest: list[str], capsys: pytest.CaptureFixture, ran: list
) -> None:
    (place / "some.yaml").write_text("bits: 3\nsteps: 3\nseeds: [1]\n")
    (place / "folder.yaml").mkdir(exist_ok=True)
    ran.clear()
    code = cli.main([first, *rest])
    out, err = capsys.readouterr()
    assert code in (0, 1, 2)
    if code == 2:
        assert not ran and out == ""
        assert err.startswith("semantica: error: ") and len(err.splitlines()) == 1, err
    assert "Traceback" not in err


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list:
    """What would train, execute or write is noted only."""
    noted: list[Any] = []

    def note(kind: str, gives: Any) -> Callable:
        return lambda *what, **how: noted.append(kind) or gives

    failed = TrainingError("not here")
    monkeypatch.setattr(
        "semantica_lib.running.run.run_all", lambda wanted, *_: [failed] * len(wanted)
    )
    monkeypatch.setattr("semantica_lib.running.run.run_shard", note("shard", []))
    monkeypatch.setattr("semantica_lib.running.batch.run_batch", note("batch", []))
    monkeypatch.setattr("semantica_lib.pages.book.build_book", note("book", Path("book")))
    monkeypatch.setattr("semantica_lib.pages.readme.write", note("readme", None))
    monkeypatch.setattr("semantica_lib.running.publish.publish", note("publish", []))
    return noted


class Shown(HTMLParser):
    """What a reader of HTML gets: its words, its tags, and the addresses that it would follow."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags, self.followed = "", [], []
        self.feed(page)
        self.words = "".join(self.words.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        plain = tag == "a" and (attributes[0][1] or "").startswith(("http://", "mailto:"))
        if not plain:  # an address that is written out may become a link
            self.tags.append(tag)
            self.followed += attributes

    def handle_data(self, data: str) -> None:
        self.words += data


def page(question: str, device: str) -> str:
    """All that the book says in words that are not its own, as Markdown."""
    own = settings(SMALL | {"question": question})
    manifest = manifest_of(own, [(1, True)], device=device, versions={"torch": device}) | {
        "source_sha256": device, "commit": device, "files": {"trajectory.npz": device},
    }  # fmt: skip
    rows = np.zeros((1, 1, 7, 4), np.float32)
    one = Result(
        Path("one"), manifest, np.array([0]), np.array([1]), np.array([True]), rows, rows, None
    )
    file = Path("sweep.yaml")
    grid = {"base": "transformer-small", "seeds": [1], "grid": [{"weight_decay": [0.1]}]}
    file.write_text(yaml.safe_dump(grid | {"question": question}))
    told = facts.asked(own), facts.shown(one), facts.provenance(one)
    words = language_facts.asked(settings({"corpus": "grammar", "question": question}))
    return "\n\n".join([*told, words, sweep_tables.asked("sweep", file, [])])


prose = st.lists(
    st.sampled_from(junk.MARKUP) | st.text(st.characters(codec="utf-8"), max_size=5), max_size=6
)


@tried(15, 150, question=prose.map("".join), device=prose.map("".join))
def test_text_from_a_file_is_shown_and_does_nothing(
    place: Path, question: str, device: str
) -> None:
    """In a page's HTML it is the text that it was, and makes no tag, link or picture."""
    if line := refused(settings, SMALL | {"question": question}):
        assert "question" in line
        question = "None"
    for render in (facts.html, MarkdownIt("gfm-like").render):
        same = ("x" if question.split() else "", "")  # an empty question is left out
        plain, found = (Shown(render(page(*one))) for one in [same, (question, device)])
        assert found.tags == plain.tags and found.followed == plain.followed
        for text in (question, device[:10]):
            assert "".join(text.split()).replace("\0", "\ufffd") in found.words
