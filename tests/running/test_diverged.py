"""Trials that diverge, from training to what is said of them: states, manifest, page, verdicts."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import store
from pydantic import ValidationError

from semantica_lib import cli
from semantica_lib.analysis.language import Language
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.chapters.language import figures as language
from semantica_lib.chapters.language import tables as language_facts
from semantica_lib.chapters.original.measures import until
from semantica_lib.chapters.sweep.tables import endings
from semantica_lib.figures import curves, facts, pairs
from semantica_lib.figures.overview import heat_map, overview
from semantica_lib.running.run import run, run_all, run_shard
from semantica_lib.settings.catalogue import settings
from semantica_lib.store import contents, results
from semantica_lib.store.checkpoint import load_checkpoint, save_checkpoint
from semantica_lib.store.manifest import Manifest, of_point, of_sweep

pytestmark = pytest.mark.usefixtures("in_process")
SMALL = {
    "experiment": "small", "bits": 3, "steps": 20, "seeds": [1, 2], "schedule_period": 10,
    "record_every": 1, "validate_every": 1, "ties": ["tied", "untied"], "device": "cpu",
}  # fmt: skip
LOST = settings(SMALL | {"experiment": "lost", "learning_rate": 1e20})
ALL = (
    "4 of 4 trials diverged: seed 1, tied, from step 2; seed 1, untied, from step 2; "
    "seed 2, tied, from step 2; seed 2, untied, from step 2"
)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEMANTICA_TRAIN", raising=False)


def spoil(own: object, tie: str, seed: int, step: int) -> None:
    """Train to a step, and leave one trial with an infinite parameter in its checkpoint."""
    run(own.model_copy(update={"steps": step}))
    (path,) = (results.folder(results.here(), own) / "checkpoints").glob(f"{tie}-*")
    tensors, about = load_checkpoint(path)
    tensors["flat"][tensors["seeds"].tolist().index(seed), 5] = np.inf
    save_checkpoint(path, tensors, about)


def test_a_sound_result_says_nothing_of_it() -> None:
    result = run(settings(SMALL))
    assert "diverged" not in result.manifest and result.diverged == {} and not result.divergence
    assert "diverged" not in results.state(results.here(), result.settings)
    assert "diverged" not in facts.shown(result)


def test_all_trials_diverge(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 0; named with the step that none could do, in what every command tells."""
    file = tmp_path / "lost.yaml"
    file.write_text(json.dumps(LOST.model_dump(mode="json", exclude={"experiment"}) | {"heads": 1}))
    assert cli.main(["train", str(file)]) == 0
    assert f"lost: complete, 20 steps, 4 trials ({ALL})" in capsys.readouterr().out
    assert cli.main(["list"]) == 0 and ALL in capsys.readouterr().out
    result = run(LOST)
    trials = [
        {"seed": seed, "tied": tie == "tied", "tie": tie, "step": 2}
        for tie in ("tied", "untied")
        for seed in (1, 2)
    ]
    assert result.manifest["diverged"] == trials
    rows = result.metrics
    assert rows[rows.step == 0][["accuracy", "loss"]].notna().all(axis=None)
    assert rows[rows.step >= 2][["accuracy", "loss"]].isna().all(axis=None)
    assert np.isnan(result.output_embedding[:, 2:]).all()
    assert np.isfinite(result.output_embedding[:, :2]).all()
    assert cli.main(["verdicts", str(file)]) == 0
    told = capsys.readouterr().out
    assert ALL in told and " reproduced |" not in told.replace("not reproduced |", "")
    assert cli.main(["verdicts", str(file), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    (pair,) = (row for row in rows if row["claim"].startswith("claim 3, tied: 0 and 1"))
    assert (pair["failed"], pair["seeds"], pair["verdict"]) == (2, 0, "not reproduced")
    assert pair["deviation"] == "Fewer than two seeds have a value; diverged trials: 2."
    claims = [row for row in rows if row["claim"].startswith("claim")]
    assert {row["verdict"] for row in claims} == {"not reproduced"} and len(claims) == 7
    learns = [row for row in rows if row["claim"].startswith("the parity is learned")]
    assert [(row["seeds"], row["pass_share"]) for row in learns] == [(2, 0.0)] * 2


def test_more_steps_are_not_asked_for_where_all_diverged() -> None:
    """Of a run too short to judge by, which of others is said; of a partial one it still is."""
    short = settings(SMALL | {"ties": ["untied"], "schedule_period": 1_000})
    lost = short.model_copy(update={"learning_rate": 1e20})
    told = {own.learning_rate: verdicts(run(own)).iloc[0] for own in (short, lost)}
    assert "hold no full period" in told[short.learning_rate].deviation
    assert told[1e20].verdict == "not reproduced" and "full period" not in told[1e20].deviation
    result = run(lost)
    partial = replace(result, manifest={**result.manifest, "status": "partial"})
    row = verdicts(partial).iloc[0]
    assert row.verdict == "inconclusive" and row.deviation.endswith("; diverged trials: 2.")


def test_one_trial_diverges_and_the_others_are_as_without_it() -> None:
    """From a checkpoint on, in one of two groups; what is recorded before and of others stays."""
    own, other = settings(SMALL), settings(SMALL | {"experiment": "other", "eps": 1e-13})
    sound = run(own)
    changed = settings(SMALL | {"data_seed": 14, "experiment": "mixed"})
    assert changed.settings_hash == own.settings_hash
    spoil(changed, "untied", 2, 7)
    result = run(changed)
    assert result.diverged == {(2, "untied"): 8}
    assert result.divergence == "1 of 4 trials diverged: seed 2, untied, from step 8"
    lost = (result.seed == 2) & ~result.tied
    np.testing.assert_array_equal(result.input_embedding[~lost], sound.input_embedding[~lost])
    np.testing.assert_array_equal(result.input_embedding[lost, :8], sound.input_embedding[lost, :8])
    assert np.isnan(result.input_embedding[lost, 8:]).all()
    frame = verdicts(result)
    untied = frame[frame.claim.str.startswith(("claim 1, untied", "claim 2"))]
    assert set(untied.failed) == {1} and not set(untied.verdict) & {"reproduced"}
    assert set(frame[frame.claim.str.startswith("claim 3, tied: ")].failed) == {0}
    assert frame.failed[8] == 1 and other.settings_hash != own.settings_hash
    assert result.of_seeds([1]).diverged == {} and not result.of_seeds([1]).divergence
    assert result.of_seeds([2]).divergence.startswith("1 of 2 trials diverged: seed 2, untied")
    assert until(result, 7).diverged == {} and until(result, 8).diverged == {(2, "untied"): 8}
    assert f"**{result.divergence}.**" in facts.shown(result)
    assert f"; {result.divergence}" in facts.made_from("some", {"here": result})


def test_more_steps_leave_a_diverged_trial_where_it_is() -> None:
    run(LOST)
    result = run(LOST.model_copy(update={"steps": 30}))
    assert result.divergence == ALL and result.steps.tolist() == [*range(31)]
    more = run(LOST.model_copy(update={"steps": 30, "seeds": (1, 2, 3)}))
    assert len(more.diverged) == 6 and set(more.diverged.values()) == {2}
    assert more.divergence.endswith("; and 1 more")


def test_a_run_that_ends_where_the_loss_is_no_number_has_diverged() -> None:
    """At step 1 the parameters are finite; the step that would show it is not made."""
    result = run(LOST.model_copy(update={"steps": 1}))
    assert np.isfinite(result.input_embedding).all()
    assert set(result.diverged.values()) == {1} and len(result.diverged) == 4


def test_an_earlier_versions_checkpoint_of_numbers_that_are_none() -> None:
    """It does not say which trials had diverged: its measurements do."""
    run(LOST)
    for path in (results.folder(results.here(), LOST) / "checkpoints").glob("*"):
        tensors, about = load_checkpoint(path)
        del tensors["stopped"]
        save_checkpoint(path, tensors, about)
    result = run(LOST.model_copy(update={"seeds": (1, 2, 3)}))
    assert result.diverged[1, "tied"] == 1 and result.diverged[3, "tied"] == 2


def test_shards_of_a_sweep_whose_points_diverge_are_collected_as_one_run() -> None:
    """Points of one shape share stacks: those that diverge stand beside those that do not."""
    wanted = [
        settings(SMALL | {"experiment": "point", "learning_rate": rate, "ties": ["untied"]})
        for rate in (1e-3, 1e20, 2e-3)
    ]
    whole = run_all(wanted)
    folders = [one.folder for one in whole]
    for folder in folders:
        folder.rename(folder.with_name(folder.name + "-before"))
    assert run_shard(wanted, (1, 2)) == run_shard(wanted, (2, 2)) == []
    again = run_all(wanted)
    assert [len(one.diverged) for one in again] == [0, 2, 0]
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one.input_embedding, other.input_embedding)
        assert one.metrics.equals(other.metrics) and one.diverged == other.diverged
    points = [Point({}, own, one) for own, one in zip(wanted, again, strict=True)]
    cells = endings(points).splitlines()[3].split(" | ")  # of the second point
    assert f"; {again[1].divergence}" in cells[1] and "0 of 2" in cells  # none of it has learned
    manifests = {str(place): one.manifest for place, one in enumerate(again)}
    sweep = of_sweep("some", manifests, dict.fromkeys(manifests, "a label")) | {"files": {}}
    for key, manifest in manifests.items():
        assert of_point(sweep, key).get("diverged") == manifest.get("diverged")
    point = contents.read(again[1].folder)
    assert point.table().isna().any(axis=None)


def test_a_manifest_that_names_no_step_is_refused(tmp_path: Path) -> None:
    store(tmp_path)
    manifest = json.loads((tmp_path / results.MANIFEST).read_text())
    Manifest.model_validate(manifest | {"diverged": [{"seed": 42, "tied": True, "step": 3}]})
    with pytest.raises(ValidationError):
        Manifest.model_validate(manifest | {"diverged": [{"seed": 42, "tied": True}]})


@pytest.mark.parametrize("ties", [["tied", "untied"], ["untied"], ["tied"]])
@pytest.mark.parametrize("some", [True, False])
def test_what_a_page_draws_and_says_of_it_makes_no_warning(ties: list[str], some: bool) -> None:
    """Of all trials that diverge, and of one among others."""
    own = settings(SMALL | {"ties": ties, "seeds": [1, 2, 3]})
    if some:
        spoil(own, ties[0], 2, 7)
    result = run(own if some else own.model_copy(update={"learning_rate": 1e20}))
    assert len(result.diverged) == 1 if some else len(result.diverged) == len(result.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = verdicts(result)
        told = [facts.learning(result, frame)]
        for tied, table in ((True, "input"), (False, "input"), (False, "output")):
            curves.distances(result, tied, table)
            told.append(facts.ending(result, frame, tied, table))
        for figure in (curves.accuracies, heat_map):
            figure(result).draw_without_rendering()
        for figure in (curves.endings, overview):
            figure([result]).draw_without_rendering()
        assert "**" in facts.shown(result) and all(told)
    assert "nan" not in " ".join(told) and "inf" not in " ".join(told)
    if some:
        figure = pairs.accuracy(result)
        assert f"diverged: {ties[0]}, seed 2" in " ".join(
            " ".join(text.get_text().split()) for text in figure.legends[0].texts
        )


def test_a_language_model_that_diverges() -> None:
    own = settings({
        "experiment": "words", "corpus": "grammar", "steps": 4, "record_every": 2, "length": 12,
        "validate_every": 2, "batch_size": 8, "synonyms": 2, "broken_synonyms": 1, "layers": 1,
        "embedding_size": 8, "heads": 2, "feedforward_size": 8, "seeds": [5], "device": "cpu",
        "learning_rate": 1e20, "warmup_steps": 0, "schedule_period": 4,
    })  # fmt: skip
    result = run(own)
    assert len(result.diverged) == 2 and set(result.diverged.values()) <= {2, 3}
    assert "2 of 2 trials diverged: seed 5, tied, from step" in facts.shown(result)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = verdicts(result)
        for figure in (language.distances(result, "ratio"), language.losses(result)):
            figure.draw_without_rendering()
        language.variants({"as here": result}).draw_without_rendering()
        told = [language_facts.ending(result), language_facts.learning(result)]
        told += language_facts.facts(result, frame).values()
    assert all(told) and "nan" not in " ".join(told)
    assert language_facts.neighbours(result).splitlines()[-1].endswith("| – | – | – |")
    assert set(frame[frame.claim.str.startswith("claim")].verdict) == {"not reproduced"}
    assert Language(result).trials[True].diverged == [5]
