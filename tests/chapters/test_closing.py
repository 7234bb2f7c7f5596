"""The sweeps' claims on made-up results whose answers are known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import SEEDS, made, manifest_of
from rendering import rendered
from scipy import stats

from semantica_lib.analysis import sweep_points as points
from semantica_lib.analysis.claims import EXPLORATORY, Measured, more_learn
from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.markdown import number
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.closing import claims as closing
from semantica_lib.chapters.closing import figures as drawn
from semantica_lib.chapters.parity import learning as parity
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store import results

FAST = {"learning_rate": 0.05, "learning_rate_min": 0.05}  # 400 steps: decay 0.1 leaves 0.13


def point(folder: Path, distance: Any = lambda *_: 1.0, attained: Any = None, **own: Any) -> Point:
    """A point with a made-up result of its own folder."""
    folder = folder / "-".join(f"{name}={value}" for name, value in own.items())
    folder.mkdir(parents=True)
    more = {} if attained is None else {"attained": attained}
    result = made(folder, distance, **more, **(FAST | own))
    return Point(own, result.settings, result)


def rows(primary: list, others: list, found: list[Point]) -> pd.DataFrame:
    return judged("made", primary, others, [one.result for one in found if one.result])


@pytest.mark.parametrize(
    ("own", "merges"),
    [
        ({"weight_decay": 0.0}, False),
        ({"weight_decay": 0.1}, False),  # exp(-400 * 0.05 * 0.1) = 0.135
        ({"weight_decay": 0.2}, True),  # 0.018
        ({"weight_decay": 0.2, "optimizer": "sgd"}, True),
        ({"weight_decay": 0.2, "optimizer": "adam"}, False),  # no clock
    ],
)
def test_untied_inputs_are_predicted_by_the_clock_alone(own: dict, merges: bool) -> None:
    settings = Settings(steps=400, schedule_period=200, **FAST, **own)
    one = Point(own, settings, None)
    fails, holds = synonym_pairs(xor_task(settings))
    for pair in (fails, holds):
        assert closing.predict(one, pair, False, "input").merges == merges
    for tied, table in ((False, "output"), (True, "input")):
        assert closing.predict(one, holds, tied, table).merges
        assert not closing.predict(one, fails, tied, table).merges


def test_the_primary_claims_are_those_of_adamw_and_of_sgd_without_decay(tmp_path: Path) -> None:
    found = [
        point(tmp_path, weight_decay=decay, optimizer=optimizer, expectation=loss)
        for optimizer in ("adamw", "adam", "sgd")
        for loss in ("sampled", "exact")
        for decay in (0.0, 0.01, 0.1)
        if (optimizer, decay) != ("adam", 0.0)
    ]
    primary, others = closing.closing_claims(found)
    labels = {claim.text.partition(": ")[0] for claim in primary}
    assert labels == {
        f"{optimizer}, {loss} loss, decay {decay}"
        for loss in ("sampled", "exact")
        for optimizer, decay in (("AdamW", "0"), ("AdamW", "0.1"), ("SGD", "0"))
    }
    assert len(primary) == 6 * 4 and all(claim.side for claim in primary)
    known = [point(tmp_path / "main", weight_decay=0.1, learning_rate=5e-4, learning_rate_min=1e-5)]
    known = [known[0]._replace(settings=Settings())]  # the main experiment, whatever its result
    assert closing.closing_claims(known)[0] == []
    assert not any("tied table" in claim.text or ": tied:" in claim.text for claim in primary)
    assert all(claim.text.startswith(EXPLORATORY) for claim in others)
    assert not any(claim.side for claim in others if "Adam, " in claim.text)
    assert len(others) == len(found) * 12 - len(primary)


def test_verdicts_of_the_sweep_are_those_of_the_distances(tmp_path: Path) -> None:
    """Inputs stay 1.0 apart of about 2; outputs of the pair for which the DH holds merge."""

    def distance(seed: int, tied: bool, table: str, pair: tuple) -> float:
        return 0.01 + 0.001 * seed if (table, pair) == ("output", (2, 3)) else 1 + 0.01 * seed

    found = [point(tmp_path, distance, weight_decay=0.0), Point({}, Settings(), None)]
    frame = rows(*closing.closing_claims(found), found)
    primary = primary_rows(frame)
    assert len(primary) == 4 and set(primary.verdict) == {"as predicted"}
    still = [point(tmp_path, lambda *_: 1.0, weight_decay=0.0, optimizer="sgd")]
    primary = primary_rows(rows(*closing.closing_claims(still), still)).set_index("claim")
    merges = primary.loc["SGD, sampled loss, decay 0: untied output: 2 and 3, predicted to merge"]
    assert merges.verdict == "not as predicted" and (primary.verdict == "as predicted").sum() == 3


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ({"optimizer": "adamw", "expectation": "exact"}, {"input 0", "input 2", "output 2"}),
        ({"optimizer": "sgd", "expectation": "exact"}, {"input 2", "output 2"}),
        ({"optimizer": "adamw", "expectation": "sampled"}, set()),
        ({"optimizer": "sgd", "expectation": "sampled"}, set()),
    ],
)
def test_what_theory_keeps_equal_is_judged_by_a_hundredth(
    own: dict, kept: set, tmp_path: Path
) -> None:
    def distance(seed: int, tied: bool, table: str, pair: tuple) -> float:
        return 0.001 if f"{table} {pair[0]}" in kept else 1.0

    found = [point(tmp_path, distance, **own)]
    frame = rows(*closing.coincidence_claims(found), found)
    primary = primary_rows(frame)
    assert len(primary) == 4 and set(primary.verdict) == {"as predicted"}
    assert primary.claim.str.contains("stay equal").sum() == len(kept)
    assert set(primary.margin) == {0.01}
    turned = [point(tmp_path / "turned", lambda *a: 1.001 - distance(*a), **own)]
    verdicts = primary_rows(rows(*closing.coincidence_claims(turned), turned)).verdict
    assert set(verdicts) == {"not as predicted"}


def test_noise_is_compared_by_seed(tmp_path: Path) -> None:
    """Twice as far apart without noise; of seeds 1 to 6 the first three learn with it, four not."""

    def learns(to: int) -> Any:
        return lambda seed, tied, split: (0.7, 0.5 if seed <= to else 1.2)

    found = [
        point(tmp_path, lambda seed, *_, by=by: by * seed / 10, learns(to), expectation=loss)
        for loss, by, to in (("sampled", 1, 3), ("exact", 2, 4))
    ]
    frame = rows([], closing.noise_claims(found), found)
    shares = frame.claim.str.contains("learned")
    assert shares.sum() == 2 and (frame[~shares].estimate.round(6) > 1.5).all()
    assert frame[shares].claim.str.contains(r"4 and 3 of 6; paired exact test, p = 1\)").all()
    assert closing.noise_claims(found[:1]) == []


def test_who_learns_more_is_mcnemars_question() -> None:
    before = pd.Series([True] * 8 + [False] * 4, range(12))
    after = pd.Series([True] * 5 + [False] * 3 + [True, False, False, False], range(12))
    claim = more_learn("made", before, after, "over")
    p = stats.binomtest(1, 4).pvalue
    assert f"(6 and 8 of 12; paired exact test, p = {p:.2g})" in claim.text
    assert sorted(claim.values) == [False, False, False, True]
    assert claim.interval().estimate == 0.25 and claim.seeds == 12
    assert more_learn("made", before[:0], after).pairs == 0


def test_seeds_that_learn_again_and_again_are_found_and_chance_is_not() -> None:
    def table(outcomes: np.ndarray) -> list[parity.Row]:
        return [parity.Row("made", False, pd.Series(row, range(20))) for row in outcomes]

    always = np.tile(np.arange(20) < 10, (6, 1))
    assert parity.seed_matters(table(always)) == (6, 1 / (1 + parity.PERMUTATIONS))
    rng, p = np.random.default_rng(1), []
    for _ in range(5):
        p.append(parity.seed_matters(table(rng.permuted(always, axis=1)))[1])
    assert min(p) > 0.01 and max(p) > 0.2
    assert parity.seed_matters(table(np.ones((4, 20), bool)))[0] == 0
    assert parity.seed_matters([])[0] == 0


def test_learners_and_others_are_measured_apart(tmp_path: Path) -> None:
    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        return (0.7, 0.5) if seed % 2 else (0.3, 1.2)

    one = point(tmp_path, lambda seed, *_: 0.2 if seed % 2 else 2.0, attained, weight_decay=0.0)
    (row, _) = parity.rows_of([("made", one.result)])
    assert row.learned.to_dict() == {seed: bool(seed % 2) for seed in SEEDS}
    for learn, fail in parity.merging(one.result).values():
        assert len(learn) == len(fail) == 3 and (fail > 5 * learn).all()
    assert parity.by_learning([("made", one.result)]).count("(3)") == 12
    least = xor_task(one.settings).ceiling("train")[1]
    for known in parity.known_shares(one.result).values():
        np.testing.assert_allclose(known, [1 - (1.2 - least) / np.log(2)] * 3, atol=1e-12)
    assert parity.part_way([("made", one.result)]).count("| 3 | 3 of 3 |") == 2
    assert "3 of 6" in parity.shares([row])


def test_how_much_farther_the_others_end_is_welch_s_interval() -> None:
    rng = np.random.default_rng(3)
    learn, others = np.exp(rng.normal(0, 1, 12)), np.exp(rng.normal(1, 2, 7))
    means = [np.log(v).mean() for v in (others, learn)]
    errors = [np.log(v).var(ddof=1) / len(v) for v in (others, learn)]
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 6 + errors[1] ** 2 / 11)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(errors))
    expected = np.exp(means[0] - means[1] + np.array([0, -half, half]))
    np.testing.assert_allclose(parity.farther(learn, others)[:3], expected)


def test_what_gradients_add_to_the_clock_and_where_the_rest_lies(tmp_path: Path) -> None:
    one = point(tmp_path, lambda *_: 0.7, weight_decay=0.1)
    measured = Measured(one.result)
    trials = measured.trials[False]
    clock = trials.end(measured.factor[None])
    table = drawn.unaided([one, Point({}, Settings(optimizer="sgd"), None)])
    first = [cell.strip() for cell in table.splitlines()[2].split("|")]
    ended = trials.distance("input", (0, 1))
    over = ended[:, 1:].mean(1) / ended[:, 0] / clock
    assert first[2] == "input, A and B" and first[3].startswith(number(np.exp(np.log(over).mean())))
    rows = np.zeros((1, 1, 3, 4))
    rows[0, 0, 1], rows[0, 0, 2] = [1, 1, 1, 1], [1, -1, 0, 0]
    made_up = replace(trials, tables={"input": rows})
    shares = [drawn.along_ones(made_up, "input", pair)[0] for pair in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(shares, [1, 0, 16 / 4 / 6])


def _decays(found: list[Point]) -> Mapping[str, Any]:
    return {"figure": drawn.decays(found), "table": drawn.endings(found)}


def test_pages_stand_with_any_part_of_the_sweeps(tmp_path: Path) -> None:
    """None, one, several, points untied only, seeds whose numbers are not finite."""
    missing = [Point({}, own, None) for own in (Settings(weight_decay=0.0), Settings())]
    some = [
        point(tmp_path, weight_decay=0.0),
        point(tmp_path, lambda seed, *_: np.nan if seed == 1 else 1.0, weight_decay=0.1),
        point(tmp_path, weight_decay=0.1, optimizer="sgd", ties=["untied"]),
    ]
    for found in ([], missing, some[:1], missing + some):
        assert rendered(_decays(found)["figure"]) and rendered(drawn.parting(found))
        assert isinstance(drawn.answer(found), str)
        assert drawn.listed("closing", missing).count("no result yet") == 2
        rows_ = parity.rows_of([(closing.label(one), one.result) for one in found if one.result])
        assert rendered(parity.matrix(rows_))
        frame = rows(*closing.closing_claims(found), found)
        assert frame.empty == (not any(one.result for one in found))
    ratio = Measured(some[0].result).trials[False].ratio("input", (0, 1))[0]
    count = f"{(ratio < 0.1).sum()} of {len(ratio)}"
    table = [line.split(" | ") for line in drawn.answer(some).splitlines()]
    where = table[0].index("input, A and B (DH fails)")
    ends = {line[0].strip("| "): line[where] for line in table[2:]}
    assert ends["AdamW, sampled"].split(" → ")[0] == count and "SGD, sampled" in ends


def test_most_trials_decide_by_the_rules_of_the_second_round(tmp_path: Path) -> None:
    """Seven of ten merge, so little that the geometric mean is far under the margin of it."""
    few = {1, 2, 3}

    def ends(seed: int, tied: bool, table: str, pair: tuple[int, int]) -> float:
        return (0.5 if seed in few else 1e-6) if (table, pair) == ("output", (2, 3)) else 1.0

    found = [point(tmp_path, ends, weight_decay=0.0)]
    (row,) = [line for line in drawn.anew(found).splitlines() if line.startswith("| AdamW")]
    assert f"🟨 {len(SEEDS) - len(few)} of {len(SEEDS)}" in row


def test_the_result_with_the_points_seeds_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's where it has them, else the published one; of either the point's seeds."""
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    own = Settings(seeds=(1, 2), ties=("untied",), steps=400)
    assert points._result(own) is None

    def store(place: Path, seeds: list[int]) -> None:
        folder = results.folder(place, own)
        folder.mkdir(parents=True)
        one = made(folder, seeds=seeds, experiment="custom", ties=["untied"])
        arrays = {
            name: getattr(one, name)
            for name in ("steps", "seed", "tied", "input_embedding", "output_embedding")
        }
        manifest = manifest_of(one.settings, zip(one.seed, one.tied, strict=True))
        results.write(folder, manifest, arrays, one.metrics.to_csv(index=False))

    store(results.PUBLISHED, [1, 2, 3])
    assert points._result(own).seed.tolist() == [1, 2]
    store(results.here(), [1])
    assert points._result(own).published
    results.here().rename(tmp_path / "old")
    store(results.here(), [2, 1])
    assert not points._result(own).published
