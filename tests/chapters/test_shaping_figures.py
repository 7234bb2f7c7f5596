"""The figures and tables on who shapes a tied table show what the made-up results hold."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from semantica_lib.analysis.markdown import title
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping import figures
from semantica_lib.chapters.shaping.measures import EXPERIMENTS, Nearness, ratios
from semantica_lib.settings.catalogue import Settings
from semantica_lib.store.results import Result

Make = Callable[..., Result]
Fits = Callable[[Figure], bool]
STEPS = np.array([0, *(2**k for k in range(15))])


def point(make: Make, p: float, decay: float = 0.1, share: float = 0.8, **own: Any) -> Point:
    """Whose output has about this share of the gradient if tied, a half if untied."""
    one = make(f"{p}-{decay}", zero_dst=[1 - p, p], weight_decay=decay, **own)
    wave = 0.1 * np.sin(np.arange(len(STEPS)) + one.seed[:, None])
    output = np.where(one.tied[:, None], share, 0.5) + wave
    measured = np.stack([1 - output, output, wave - 0.3], -1)
    return Point(
        {"p": p}, one.settings, replace(one, gradient_steps=STEPS, table_gradient=measured)
    )


def test_the_pulls_are_drawn_over_steps_with_step_0_to_the_left(make: Make, fits: Fits) -> None:
    found = [point(make, 0.5, seeds=[1, 2, 3]), Point({}, Settings(zero_dst=(0.15, 0.85)), None)]
    figure = figures.over_steps(found)
    share, _, _, cosine, missing, _ = figure.axes
    assert share.get_title() == "p = 0.5: DH holds"
    assert figure.axes[1].get_title() == "p = 0.85: DH fails"
    by = found[0].result.table_gradient[found[0].result.tied]
    mean = share.lines[1 + 3]
    assert mean.get_xdata()[:3].tolist() == [0.5, 1, 2]
    np.testing.assert_allclose(mean.get_ydata(), by[..., 1].mean(0))
    np.testing.assert_allclose(cosine.lines[1 + 3].get_ydata(), by[..., 2].mean(0))
    assert missing.texts[0].get_text() == "not trained"
    assert fits(figure)


def test_every_point_stands_at_its_probability(make: Make, fits: Fits) -> None:
    found = [
        point(make, p, decay, share, seeds=[1, 2])
        for p, decay, share in ((0.9, 0.0, 0.7), (0.5, 0.0, 0.6), (0.5, 0.1, 0.8))
    ]
    figure = figures.over_points(found)
    early = figure.axes[0]
    (none, _, _), (some, _, _) = (one.lines for one in early.containers)
    np.testing.assert_allclose(none.get_xdata(), [0.5, 0.9], atol=0.01)
    np.testing.assert_allclose(none.get_ydata(), [0.6, 0.7], atol=0.03)
    np.testing.assert_allclose(some.get_ydata(), [0.8], atol=0.03)
    assert fits(figure)


@pytest.fixture
def near(make: Make) -> list[Nearness]:
    return [
        Nearness(make(name, experiment=name, seeds=[1, 2, 3, 4])) for name in EXPERIMENTS[1::3][:2]
    ]


def test_the_ratio_stands_in_its_experiment_s_row(near: list[Nearness], fits: Fits) -> None:
    figure = figures.alignment(near)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [*map(title, EXPERIMENTS)]
    seeds = left.lines[0]
    np.testing.assert_allclose(seeds.get_xdata(), ratios(near[0], False))
    assert np.allclose(seeds.get_ydata(), 1 - 0.17)
    np.testing.assert_allclose(right.lines[0].get_xdata(), near[0].others(near[0].end("output")))
    assert [one.get_text() for one in left.texts] == ["no result"] * (len(EXPERIMENTS) - 2)
    assert fits(figure)


def test_residuals_are_drawn_and_told_over_training(near: list[Nearness], fits: Fits) -> None:
    figure = figures.alignment_over_steps(near)
    axes = figure.axes[1]
    same = near[0].same(near[0].apart["output"])
    np.testing.assert_allclose(axes.lines[4].get_ydata(), same.mean(0))
    assert figure.axes[0].texts[0].get_text() == "no result"
    assert fits(figure)
    table = figures.residuals(near).splitlines()
    assert len(table) == 2 + 2 * len(near)
    assert f"{near[0].same(near[0].end('output')).mean():#.3g}" in table[2]
    assert "7 in 4" in table[2] and "untied input" in table[3]
    assert len(figures.among(near).splitlines()) == 2 + len(near)


def test_every_part_says_what_is_missing(make: Make, fits: Fits) -> None:
    missing = [Point({}, Settings(zero_dst=(0.5, 0.5)), None)]
    old = [Point({}, make("old", zero_dst=[0.5, 0.5]).settings, make("older", zero_dst=[0.5, 0.5]))]
    for found in ([], missing, old):
        for figure in (figures.over_steps(found), figures.over_points(found)):
            assert fits(figure)
            assert figure.axes[0].texts[0].get_text() in ("not trained", "not measured")
        assert "No point" in figures.related_rows(found)
    short = Nearness(make("short", experiment="lstm-small", steps=20))
    lone = Nearness(make("lone", experiment="lstm-small", ties=["tied"]))
    single = Nearness(make("single", experiment="lstm-small", seeds=[1]))
    for near in ([], [short], [lone], [single]):
        for figure in (figures.alignment(near), figures.alignment_over_steps(near)):
            assert fits(figure)
        assert figures.residuals(near) and figures.among(near)
    told = figures.listed("phase", old, [])
    assert "1 of 1 points have a result, 0 with measured gradients" in told
    assert "`semantica run mlm` trains it" in told
    assert figures.open_rows(pd.DataFrame({"deviation": []})) == "There is none."


def test_the_correlation_is_told_by_point(make: Make) -> None:
    table = figures.related_rows([point(make, 0.5, seeds=[1, 2, 3, 4])]).splitlines()
    assert len(table) == 3 and table[2].startswith("| 0.5 | 4 | ")
