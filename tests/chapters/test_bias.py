"""DH or frequency: predictions, verdicts and tables on made-up results whose answers are known."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import SEEDS, STEPS, made, manifest_of
from rendering import rendered

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.bias import figures, measures
from semantica_lib.chapters.bias.claims import bias_claims
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings

BIASES, ODDS = ("none", "learned", "log-frequency"), ("constant", "turning", "both")
ALL = list(product(BIASES, ODDS))


def as_predicted(bias: str, odds: str) -> Any:
    """Rows that do what the predictions say; inputs are still."""

    def distance(seed: int, tied: bool, table: str, pair: tuple[int, int]) -> float:
        apart = pair == (0, 1) and (odds != "constant" or bias == "none")
        return 1.0 if apart or (table == "input" and not tied) else 0.01

    return distance


def point(
    folder: Path, bias: str, odds: str, distance: Any = None, known: Any = None, **own: Any
) -> Point:
    """A point whose trials know what ``known(seed, tied)`` says of the bit."""
    varied = {"output_bias": bias, "odds": odds}
    least = xor_task(Settings(**varied)).ceiling("exact")[1]

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        share = 0.9 - 0.5 * tied + 0.01 * seed if known is None else known(seed, tied)
        return 0.5, least + (1 - share) * np.log(2)

    folder = folder / f"{bias}-{odds}"
    folder.mkdir(parents=True)
    own = {"weight_decay": 0.0, "seeds": (*SEEDS, 7, 8, 9, 10, *range(20, 36))} | own
    result = made(folder, distance or as_predicted(bias, odds), attained, **varied, **own)
    trials = zip(result.seed, result.tie == "tied", strict=True)
    result = replace(result, manifest=manifest_of(result.settings, trials))
    return Point(varied, result.settings, result)


def rows(found: list[Point]) -> pd.DataFrame:
    return judged("made", *bias_claims(found), [one.result for one in found if one.result])


def test_rows_are_to_merge_where_a_bias_carries_all_that_tells_them_apart(tmp_path: Path) -> None:
    frame = rows([point(tmp_path, *one) for one in ALL])
    primary = primary_rows(frame)
    assert len(primary) == 8 * 4
    asked = set(primary.claim)
    for bias, odds in ALL[1:]:
        words = f"{measures.BIASES[bias]}, {measures.ODDS[odds]}"
        verb = "merge" if odds == "constant" else "stay apart"
        assert {
            f"{words}: untied output, 0 and 1 {verb}", f"{words}: tied, 0 and 1 {verb}",
            f"{words}: untied input, 0 and 1 are not kept apart",
            f"{words}: tying costs knowledge of the bit",
        } <= asked  # fmt: skip
    known_before = primary.claim.str.startswith("no bias, constant odds")
    assert not known_before.any() and not primary.claim.str.contains("2 and 3").any()
    assert set(primary.verdict) == {"as predicted"}


def test_what_is_not_as_predicted_is_told(tmp_path: Path) -> None:
    """All rows apart, inputs twice as far as the clock leaves, and tied trials know more."""

    def distance(seed: int, tied: bool, table: str, pair: tuple[int, int]) -> Any:
        return np.where(STEPS == 0, 0.5, 1.0)

    found = [
        point(tmp_path, "learned", "constant", distance, lambda seed, tied: 0.4 + 0.1 * tied),
        point(tmp_path, "learned", "turning", lambda *_: 0.01, lambda seed, tied: seed % 2),
    ]
    told = dict(zip(*primary_rows(rows(found))[["claim", "verdict"]].to_numpy().T, strict=True))
    assert {claim.partition(": ")[2]: verdict for claim, verdict in list(told.items())[:4]} == {
        "untied input, 0 and 1 are not kept apart": "not as predicted",
        "untied output, 0 and 1 merge": "not as predicted",
        "tied, 0 and 1 merge": "not as predicted",
        "tying costs knowledge of the bit": "not as predicted",
    }
    assert told["learned bias, turning odds: tied, 0 and 1 stay apart"] == "not as predicted"
    assert told["learned bias, turning odds: tying costs knowledge of the bit"] == "undecided"


def test_what_is_known_and_the_cost_are_paired_by_seed(tmp_path: Path) -> None:
    before = point(tmp_path, "none", "constant", known=lambda seed, tied: 0.9 - 0.6 * tied)
    after = point(tmp_path, "learned", "constant", known=lambda seed, tied: 0.9 - 0.2 * tied)
    ((one, *both),) = measures.against_none([before, after])
    assert one is after
    assert measures.cost(both[0]).to_numpy() == pytest.approx(0.6)
    assert measures.known(both[1])[True].to_numpy() == pytest.approx(0.7)
    assert measures.just_one(both[0]).all() and not len(measures.just_one(both[1]))
    line = figures.changes([before, after]).splitlines()[2]
    assert "learned bias, constant odds" in line and "-0.400" in line and "0.400" in line
    assert "0.600" in figures.costs([before])


def test_a_trial_that_diverged_speaks_against_the_cost(tmp_path: Path) -> None:
    one = point(tmp_path, "learned", "turning")
    manifest = one.result.manifest | {"diverged": [{"seed": 1, "tied": True, "step": 5}]}
    measured = Measured(replace(one.result, manifest=manifest))
    assert measures.cost(measured)[1] == -1 and measures.known(measured)[True][1] == 0


def test_logits_are_shown_beside_the_odds_of_either_parity(tmp_path: Path) -> None:
    one = point(tmp_path, "learned", "turning")
    trials = len(one.result.seed)
    gap = np.tile(np.array([0.0, -2.0, 2.5]), (trials, len(STEPS), 2, 1))
    one = one._replace(result=replace(one.result, measured_steps=STEPS, logit_gap=gap))
    own, odds = measures.gaps(one, Measured(one.result), False, (0, 1))
    assert odds == pytest.approx([-np.log(9), np.log(9)])
    assert own.end[0].tolist() == [0.0, -2.0, 2.5]
    line = figures.uses([one]).splitlines()[2]
    assert "-2.20 to 2.20" in line and "-2.00 [-2.00" in line and "0 of 26" in line


def test_the_figure_shows_every_trial_sorted(tmp_path: Path) -> None:
    def distance(seed: int, tied: bool, table: str, pair: tuple[int, int]) -> float:
        return (0.01 * seed) if pair == (0, 1) else 1.0

    one = point(tmp_path, "learned", "turning", distance)
    axes = figures.apart([one]).axes[1]  # untied output, turning odds
    assert axes.get_title() == "turning odds"
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 26]
    assert len(drawn) == 2
    values = drawn[0].get_ydata()
    assert (np.diff(values) > 0).all()
    expected = figures.ratios(Measured(one.result), (False, "output"), (0, 1, False))
    assert sorted(expected) == pytest.approx(values)
    assert abs(drawn[0].get_xdata() - 1).max() < 0.5


def test_the_answer_counts_merged_trials_and_tells_the_cost(tmp_path: Path) -> None:
    found = [point(tmp_path, *one) for one in ALL]
    told = figures.answer(found)
    lines = told.splitlines()[2:]
    assert [line.split(" | ")[1:3] for line in lines] == [["0 of 26"] * 2, *[["26 of 26"] * 2] * 2]
    assert all(line.endswith("| 0.500 [0.500, 0.500] | 0 of 52 |") for line in lines)


def test_the_page_stands_with_any_part_missing(tmp_path: Path) -> None:
    found = [point(tmp_path, *one) for one in ALL[3:5]]
    none = [one._replace(result=None) for one in found]
    for some in ([], none, found[:1], [found[0], none[1]]):
        assert rendered(figures.apart(some)) and rendered(figures.learned(some))
        for table in (figures.costs, figures.changes, figures.uses):
            assert isinstance(table(some), str)
        assert "to come" in figures.answer(some)
        assert "semantica run made" in figures.listed("made", some)
        rows(some)
