"""Rows or uses: predictions, verdicts, tables and figures on made-up results with known answers."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import STEPS, made, manifest_of
from test_prose import captioned

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.distances import control_pairs
from semantica_lib.analysis.sweep_points import Point, stored
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.uses import figures, measures, tables
from semantica_lib.chapters.uses.claims import uses_claims
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import Settings
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store import results

SEEDS, CONTROL = tuple(range(1, 21)), 2.0
PAPERS, FAILS = {}, {"zero_dst": (1.0, 0.0), "one_dst": (0.1, 0.9)}
Effects = Callable[[int, bool, tuple[int, int]], tuple[float, float]]


def as_predicted(seed: int, tied: bool, pair: tuple[int, int]) -> tuple[float, float]:
    return (0.02 if tied else 0.01) * (1 + 0.01 * seed), -0.02


def point(
    folder: Path, task: dict, effects: Effects = as_predicted, known: float = 0.9, **own: object
) -> Point:
    """A point whose synonyms have these effects at the end; before, a hundred times them.

    The seeds over 15 do not know the bit, and in them all swaps have an effect of 5.
    """
    least = xor_task(Settings(**task)).ceiling("exact")[1]

    def attained(seed: int, tied: bool, split: str) -> tuple[float, float]:
        return 0.5, least + (1 - (known if seed <= 15 else 0.1)) * np.log(2)

    folder.mkdir(parents=True)
    own = {"weight_decay": 0.0, "seeds": SEEDS} | own
    result = made(folder, lambda *_: 1.0, attained, **task, **own)
    swaps, steps = list(combinations(range(4), 2)), STEPS[::2]
    uses = np.full((len(result.seed), len(steps), len(swaps), 2), CONTROL, np.float32)
    for trial, (seed, tie) in enumerate(zip(result.seed, result.tie, strict=True)):
        for swap, pair in enumerate(swaps):
            if pair in ((0, 1), (2, 3)):
                late = effects(int(seed), tie == "tied", pair) if seed <= 15 else (5.0, 5.0)
                uses[trial, :, swap] = late
                uses[trial, steps <= 200, swap] *= 100
    result = replace(result, uses=uses, use_steps=steps, manifest=manifest_of(
        result.settings, zip(result.seed, result.tie == "tied", strict=True)
    ))  # fmt: skip
    return Point(task, result.settings, result)


def rows(found: list[Point]) -> pd.DataFrame:
    return judged("made", *uses_claims(found), [one.result for one in found if one.result])


def both(folder: Path, *about: object) -> list[Point]:
    return [point(folder / "papers", PAPERS, *about), point(folder / "fails", FAILS, *about)]


def test_the_sweep_is_that_which_the_predictions_are_on() -> None:
    found = [own for _, own in points(read(sweeps()["uses"]))]
    assert [(own.zero_dst, own.one_dst) for own in found] == [
        ((0.1, 0.9), (0.5, 0.5)),
        ((1.0, 0.0), (0.1, 0.9)),
    ]
    assert all(own.seeds == tuple(range(3000, 3020)) and own.keep_every for own in found)


def test_what_is_predicted_is_judged_of_trials_that_know_the_bit(tmp_path: Path) -> None:
    frame = rows(both(tmp_path))
    primary = primary_rows(frame)
    alike, between, less = (
        primary[primary.claim.str.endswith(words)].claim.str.partition(": ")[2].tolist()
        for words in tables.KINDS
    )
    assert len(alike) == 6 and len(between) == 5 and len(less) == 2
    assert "tied, 2 and 3 have nothing between them" in between  # of the task in which the DH fails
    assert between.count("tied, 2 and 3 have nothing between them") == 1
    assert less == [
        f"{pair} are used less alike tied than untied" for pair in ("0 and 1", "2 and 3")
    ]
    assert set(primary.verdict) == {"as predicted"} and set(primary.seeds) == {15}
    rest = frame[~frame.claim.isin(primary.claim)]  # of these nothing was predicted
    assert len(rest) and set(rest.verdict) == {"no prediction"}
    told = tables.says(frame)
    assert "not as predicted" not in told and "tied, A and B" in told and len(told.split("\n")) == 3
    ratio = primary[primary.claim.str.contains("less alike")].estimate
    assert ratio.to_numpy() == pytest.approx(2, rel=1e-6)


def test_what_is_not_as_predicted_is_told(tmp_path: Path) -> None:
    """Synonyms are used as differently as control pairs, with a wall between, untied more so."""
    found = both(tmp_path, lambda seed, tied, pair: (1.0 if tied else 1.5, -1.0))
    frame = rows(found)
    assert set(primary_rows(frame).verdict) == {"not as predicted"}
    assert tables.says(frame).count("**not as predicted**") == 3
    assert "13 did not" in tables.answer(found, frame)
    assert "0 of 30 untied trials use them alike" in tables.answer(found, frame)


def test_values_are_means_of_the_last_period_and_ratios_to_control_pairs(tmp_path: Path) -> None:
    one = point(tmp_path / "papers", PAPERS)
    measured = Measured(one.result)
    alike = measures.over_control(one, measured, True, (0, 1))
    assert alike[3] == pytest.approx(0.02 * 1.03 / CONTROL) and alike[16] == pytest.approx(2.5)
    assert measures.between(one, measured, False, (2, 3))[1] == pytest.approx(0.01)
    assert list(measures.knowing(measured, True)) == list(range(1, 16))
    assert measures.distance(measured, True, (0, 1))[1] == pytest.approx(
        measured.trials[True].ratio("input", (0, 1))[0][0]
    )
    assert "15 of 15" in tables.quarters([one]) and "15 of 20" in tables.ends([one])


def test_a_page_without_results_says_so() -> None:
    none = [Point({}, Settings(), None)]
    frame = rows(none)
    assert not len(frame)
    assert "Nothing is trained" in tables.says(frame)
    assert "to come" in tables.answer(none, frame) and "no result yet" in tables.listed(
        "uses", none
    )
    for figure in (figures.rows_and_uses(none), figures.on_the_way(none)):
        assert "not trained" in [text.get_text() for axes in figure.axes for text in axes.texts]


def test_figures_show_every_trial_that_knows_the_bit(tmp_path: Path, fits) -> None:
    found = both(tmp_path)
    figure = figures.rows_and_uses(found)
    marks = [len(line.get_xdata()) for axes in figure.axes for line in axes.lines]
    assert marks.count(15) == 6
    way = figures.on_the_way(found)
    assert all(
        len(axes.lines) == 2 * (1 + pairs) for axes, pairs in zip(way.axes, (2, 1), strict=True)
    )
    for one in (figure, way):
        assert fits(one)


def test_what_the_page_says_in_words_is_so(monkeypatch, tmp_path: Path) -> None:
    """In what is published rows and uses come apart in tied tables; few seeds learn both ways."""
    monkeypatch.setattr(results, "here", lambda: tmp_path)
    captioned(
        "uses", "uses-rows", "Tied rows of synonyms for which the DH fails stay apart, and nearly"
    )
    captioned(
        "uses", "uses-way", "Synonyms come to be used alike; symbols of different bits come to"
    )
    found = stored("uses")
    assert len(found) == 2 and all(point.result.published for point in found)
    for point, measured, pair in figures.there(found):
        seeds = measures.knowing(measured, True)
        near = measures.distance(measured, True, pair[:2])[seeds] < 0.1
        alike = measures.over_control(point, measured, True, pair[:2])[seeds] < 0.1
        assert near.all() if pair.conditionally_equivalent else not near.any()
        assert alike.mean() > 0.8
        for tied in (True, False):
            seeds = measures.knowing(measured, tied)
            use = measures.divergence(point, measured, tied, pair[:2])[seeds]
            assert (use < 1e-3).sum() >= len(use) - 1
            for other in control_pairs(measured.task):
                apart = measures.divergence(point, measured, tied, other)[seeds]
                assert apart.median() > 100 * use.median()
        assert len(measures.against_untied(point, measured, pair[:2])) < 10
