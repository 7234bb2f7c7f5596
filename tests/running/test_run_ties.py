"""Results whose trials are tied in other ways: trained, resumed, told apart, published."""

import gzip
import json
from collections.abc import Iterator

import numpy as np
import pytest
from stored import finish

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.running import publish as publishing
from semantica_lib.running.groups import title
from semantica_lib.running.plan import plan
from semantica_lib.running.run import run
from semantica_lib.settings.catalogue import settings
from semantica_lib.store import contents, results
from semantica_lib.store.weights import weights

pytestmark = pytest.mark.usefixtures("in_process")
TIES = ["untied", "tied", "mapped", "soft:0.1", "soft:2", "lookup:3"]
SMALL = {
    "experiment": "schemed", "bits": 3, "steps": 8, "seeds": [1, 2], "record_every": 4,
    "validate_every": 4,
}  # fmt: skip
IN_ORDER = ["tied", "untied", "lookup:3", "mapped", "soft:0.1", "soft:2"]


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)
    yield


def test_a_result_names_the_tie_of_each_trial_and_grows_by_ties() -> None:
    first = run(settings(SMALL))
    own = settings(SMALL | {"ties": TIES})
    stacks = [{group.tie for group in one.groups} for one in plan([own], least=1)]
    assert stacks == [{"lookup:3"}, {"mapped"}, {"soft:0.1", "soft:2"}]
    result = run(own)
    assert result.folder == first.folder
    pairs = list(zip(result.seed.tolist(), result.tie.tolist(), strict=True))
    assert pairs == [(seed, tie) for tie in IN_ORDER for seed in (1, 2)]
    assert result.tied.tolist() == [tie in ("tied", "lookup:3") for _, tie in pairs]
    assert result.held == results.asked(own) and result.covers(own)
    np.testing.assert_array_equal(result.input_embedding[:4], first.input_embedding)
    with np.load(result.folder / results.TRAJECTORY) as file:
        assert file["tie"].dtype.kind == "U" and file["tie"].tolist() == [tie for _, tie in pairs]
    assert set(result.metrics.tie) == set(TIES)
    assert result.metrics[result.metrics.tie == "mapped"].tied.sum() == 0
    untied, soft = (result.metrics[result.metrics.tie == tie] for tie in ("untied", "soft:2"))
    assert not np.allclose(untied.loss, soft.loss)
    stamp = (result.folder / results.MANIFEST).stat().st_mtime_ns
    run(settings(SMALL | {"ties": ["soft:2", "tied"]}))
    assert (result.folder / results.MANIFEST).stat().st_mtime_ns == stamp


def test_what_is_said_of_tied_and_untied_trials_is_so_whatever_other_ties_there_are() -> None:
    alone = run(settings(SMALL))
    before = verdicts(alone), {tie: one.index for tie, one in Measured(alone).trials.items()}
    more = run(settings(SMALL | {"ties": TIES}))
    measured = Measured(more)
    for tied, index in before[1].items():
        trials = measured.trials[tied]
        assert trials.seeds.tolist() == [1, 2] and trials.index.tolist() == index.tolist()
    same = [name for name in before[0] if name != "manifest_sha256"]
    assert verdicts(more)[same].equals(before[0][same])


def test_an_interrupted_training_goes_on_from_the_groups_that_it_has(monkeypatch) -> None:
    own = settings(SMALL | {"ties": ["soft:0.1", "mapped"], "experiment": "cut"})
    straight = run(settings(own.model_dump() | {"experiment": "straight"}))
    run(own.model_copy(update={"steps": 4}))
    groups = [group for one in plan([own]) for group in one.groups]
    assert {(group.tie, group.step) for group in groups} == {("soft:0.1", 4), ("mapped", 4)}
    assert {title([group]) for group in groups} == {"cut soft:0.1, 2 seeds", "cut mapped, 2 seeds"}
    result = run(own)
    np.testing.assert_array_equal(result.output_embedding, straight.output_embedding)
    names = {path.name[:9] for path in (result.folder / "checkpoints").iterdir()}
    assert names == {"soft-0.1-", "mapped-1-"}
    assert weights(own, 2, "mapped")["tie_map"].shape == (4, 4)
    last = weights(own, 2, "soft:0.1")["output_embedding.weight"].numpy()
    trial = [*zip(result.seed.tolist(), result.tie.tolist(), strict=True)].index((2, "soft:0.1"))
    np.testing.assert_array_equal(result.output_embedding[trial, -1], last)


def test_a_result_of_an_earlier_version_reads_as_tied_and_untied() -> None:
    result = run(settings(SMALL))
    manifest = json.loads((result.folder / results.MANIFEST).read_text())
    manifest["trials"] = [{"seed": t["seed"], "tied": t["tied"]} for t in manifest["trials"]]
    with np.load(result.folder / results.TRAJECTORY) as file:
        arrays = {name: file[name] for name in file.files if name != "tie"}
    old = result.metrics.drop(columns="tie").assign(
        tied=result.metrics.tied.astype(str).str.lower()
    )
    results.write(result.folder, manifest, arrays, old.to_csv(index=False))
    again = results.load(result.folder)
    assert again.tie.tolist() == ["tied", "tied", "untied", "untied"]
    assert again.metrics[result.metrics.columns].equals(result.metrics)
    assert again.covers(settings(SMALL))


def test_points_of_earlier_versions_and_of_this_one_are_published_in_one_folder() -> None:
    """The metrics of all get the column."""
    one = run(settings(SMALL | {"ties": ["untied", "soft:0.1"]}))
    found = results.contents_of(one.folder)
    lines = [line.split(",") for line in found.metrics.splitlines()]
    kept = [line for line in lines if line[2] in ("tie", "untied")]
    old = "\n".join([*(",".join(line[:2] + line[3:]) for line in kept), ""])
    files = contents.packed_points({}, {"a": found, "b": found._replace(metrics=old)})
    head, *rows = gzip.decompress(files["metrics.csv.gz"]).decode().splitlines()
    assert head == "point,seed,tied,tie,step,split,accuracy,loss"
    assert {row.split(",")[3] for row in rows if row.startswith("a")} == {"untied", "soft:0.1"}
    assert {row.split(",")[3] for row in rows if row.startswith("b")} == {"untied"}


def test_a_partial_result_is_published_with_its_checkpoints_and_goes_on(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "book")
    (tmp_path / "book").mkdir()
    monkeypatch.setattr(publishing, "_refuse_tree", lambda dirty: None)
    own = settings(SMALL | {"experiment": "transformer-small", "ties": ["mapped", "soft:2"]})
    finish(own, 4)
    (folder,) = publishing.publish([own])
    published = results.load(folder)
    assert published.tie.tolist() == ["mapped", "mapped", "soft:2", "soft:2"]
    assert published.published and len(results.checkpoints(published)) == 2
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "elsewhere"))
    longer = run(own)
    assert longer.steps.tolist() == [0, 4, 8]
    np.testing.assert_array_equal(longer.input_embedding[:, :2], published.input_embedding)
