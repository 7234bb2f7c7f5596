"""The figures show the numbers that the analysis computes, for any settings, without warnings."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from rendering import rendered

from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.analysis.distances import control_distance, of_pairs
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.chapters.task.figures import sequence
from semantica_lib.datasets.xor import xor_task
from semantica_lib.figures import curves
from semantica_lib.figures.style import DOTS, panels, png, show
from semantica_lib.store.results import Result

Make = Callable[..., Result]


def words(figure: Figure) -> list[str]:
    """All text inside the axes."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_distances_draws_every_seed_the_mean_the_control_pairs_and_the_clock(make: Make) -> None:
    result = make()
    figure = curves.distances(result, tied=False, table="output")
    assert [axes.get_title() for axes in figure.axes] == ["A and B: DH fails", "C and D: DH holds"]
    tables = result.output_embedding[~result.tied]
    for axes, pair in zip(figure.axes, [(0, 1), (2, 3)], strict=True):
        expected = of_pairs(tables, [pair])[..., 0]
        *seeds, mean, control, margin, clock = (line.get_ydata() for line in axes.lines)
        np.testing.assert_allclose(seeds, expected)
        np.testing.assert_allclose(mean, expected.mean(0))
        medians = control_distance(tables, xor_task(result.settings))
        np.testing.assert_allclose(control, medians.mean(0))
        np.testing.assert_allclose(margin, MERGE_MARGIN * medians.mean(0))
        alone = expected[:, 0].mean() * decay_factor(result.settings, result.steps)
        np.testing.assert_allclose(clock, alone)
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), result.steps)


@pytest.mark.parametrize(("scale", "top"), [(0.1, 4.0), (10.0, None)])
def test_distances_begin_at_0_and_end_at_4_where_that_holds_all(
    make: Make, scale: float, top: float | None
) -> None:
    figure = curves.distances(make(scale=scale), tied=True, table="input")
    low, high = figure.axes[0].get_ylim()
    assert low == 0
    assert high == top or max(line.get_ydata().max() for line in figure.axes[0].lines) < high


@pytest.mark.parametrize(
    ("values", "titles"),
    [
        ({"zero_dst": [1, 0]}, ["C and D: DH holds"]),
        ({"zero_dst": [1.0], "one_dst": [0.1, 0.9]}, ["B and C: DH fails"]),
        ({"one_dst": [0.2, 0.4, 0.4]}, ["A and B", "C and D", "C and E", "D and E: DH holds"]),
        ({"zero_dst": [1.0], "one_dst": [1.0]}, []),
    ],
)
def test_the_pairs_follow_from_the_distributions(
    make: Make, values: dict, titles: list[str]
) -> None:
    result = make(**values)
    figure = curves.distances(result, tied=True, table="input")
    drawn = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(drawn) == len(titles)
    assert all(a.startswith(b) for a, b in zip(drawn, titles, strict=True))
    for one in (figure, curves.endings([result]), curves.accuracies(result)):
        rendered(one)


def test_a_short_run_of_one_tied_seed_can_be_drawn(make: Make) -> None:
    result = make(steps=20, seeds=[7], ties=["tied"])
    assert not words(curves.distances(result, tied=True, table="input"))
    figure = curves.distances(result, tied=False, table="input")
    assert words(figure) == ["no untied trials"] * 2
    endings = curves.endings([result])
    assert words(endings) == ["no full period of the schedule yet"]
    for one in (figure, endings, curves.accuracies(result)):
        rendered(one)


@pytest.mark.parametrize(
    ("validation", "split"), [("held-out", "validation"), ("as-published", "train")]
)
def test_accuracies_stand_under_the_ceiling_of_what_they_measure(
    make: Make, validation: str, split: str
) -> None:
    result = make(validation=validation)
    task = xor_task(result.settings)
    for axes, strings in zip(curves.accuracies(result).axes, (split, "exact"), strict=True):
        *drawn, ceiling = axes.lines
        assert ceiling.get_ydata()[0] == pytest.approx(task.ceiling(strings)[0])
        assert str(len(task.splits[strings])) in axes.get_title()
        assert len(drawn) == 2 * (len(result.settings.seeds) + 1)
        assert axes.get_ylim() == (0, 1)


def test_endings_are_ratios_of_means_over_the_last_period(make: Make) -> None:
    result = make()
    axes = curves.endings([result, make("two", seeds=[1, 2])]).axes[0]
    assert len(axes.collections) == 2 * 6  # two results, six claims
    first, second, *_ = axes.collections
    inside = result.steps > result.steps[-1] - result.settings.schedule_period
    tables = result.input_embedding[~result.tied][:, inside]
    pair = of_pairs(tables, [(0, 1)])[..., 0].mean(1)
    control = control_distance(tables, xor_task(result.settings)).mean(1)
    np.testing.assert_allclose(first.get_offsets()[:, 0], pair / control)
    assert len(second.get_offsets()) == 2
    assert axes.get_xscale() == "log"
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    left = decay_factor(result.settings, result.steps)[inside].mean()
    start = of_pairs(result.input_embedding[~result.tied][:, 0], [(0, 1)])[..., 0]
    alone = np.exp(np.log(left * start / control).mean())
    assert crosses[0].get_xdata() == pytest.approx([alone])
    assert len(crosses) == 2 * 6


def test_the_sequence_shows_bits_symbols_and_what_the_mask_leaves(make: Make) -> None:
    task = xor_task(make().settings)
    figure = sequence(task, [1, 0, 0, 1, 1, 0, 1], [2, 1, task.mask, 3, 2, 0, 3, 4], target=1)
    bits, written, seen = np.array(
        [text for text in words(figure) if not text.startswith(("as ", "bits"))]
    ).reshape(3, 8)
    assert list(bits) == [*"1001101", "even"]
    assert list(written) == [*"CBBDCAD", "even"]
    assert list(seen) == [*"CB?DCAD", "even"]


def test_pictures_are_opaque_white_and_of_twice_the_page_s_resolution(make: Make) -> None:
    result = make()
    figure = curves.accuracies(result)
    picture = imread(io.BytesIO(png(figure)))
    assert picture.shape[1] == round(2 * DOTS * figure.get_figwidth())
    assert (picture[0, 0] == 1).all()
    assert (picture[..., 3] == 1).all()
    shown = show(curves.accuracies(result)).data
    assert f'width="{picture.shape[1] // 2}" height="{picture.shape[0] // 2}"' in shown
    assert "fill: #ffffff" in shown.partition('<g id="patch_2">')[0]
    assert show(curves.accuracies(result)).data == shown


def test_what_is_drawn_in_many_marks_is_shown_in_dots() -> None:
    figure, ((axes,),) = panels(height=2.0)
    axes.scatter(*np.random.default_rng(0).random((2, 30_000)), s=1)
    assert show(figure).data.startswith(b"\x89PNG")
    assert show(figure).width == round(DOTS * figure.get_figwidth())
