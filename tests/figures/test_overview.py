"""The overview and the heat map show what the stored arrays hold, and say what they lack."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from rendering import rendered

from semantica_lib.analysis.claims import MERGE_MARGIN
from semantica_lib.figures import overview
from semantica_lib.settings.catalogue import find
from semantica_lib.store.results import Result

Make = Callable[..., Result]
Fits = Callable[[Figure], bool]


def like(result: Result, status: str = "complete", steps: int = 100, **values: object) -> Result:
    """The same arrays under other settings, as if stored so."""
    settings = {**result.manifest["settings"], **values}
    about = {"settings": settings, "status": status, "steps_done": steps}
    return replace(result, manifest={**result.manifest, **about})


def gap(table: np.ndarray, a: int, b: int) -> np.ndarray:
    """Distance of two symbols, ``(trial, record)``."""
    return np.sqrt(((table[:, :, a].astype(float) - table[:, :, b]) ** 2).sum(-1))


def at_the_end(result: Result, curve: np.ndarray) -> np.ndarray:
    period = result.settings.schedule_period
    return curve[:, result.steps > result.steps[-1] - period].mean(1)


def share(result: Result, table: np.ndarray, a: int, b: int) -> np.ndarray:
    """A pair's distance over that of the control pairs of two symbols a bit, ``(trial,)``."""
    controls = [gap(table, one, other) for one in (0, 1) for other in (2, 3)]
    median = np.median(controls, axis=0)
    return at_the_end(result, gap(table, a, b)) / at_the_end(result, median)


def tables(result: Result) -> list[np.ndarray]:
    """Those of the three panels."""
    return [
        result.input_embedding[result.tied],
        result.input_embedding[~result.tied],
        result.output_embedding[~result.tied],
    ]


def points(axes: Axes) -> list[PathCollection]:
    return [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]


def rows(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def notes(axes: Axes) -> dict[int, str]:
    """The words in a panel, by row."""
    return {round(text.get_position()[1]): text.get_text() for text in axes.texts}


def cells(axes: Axes) -> np.ndarray:
    """The numbers written into a matrix, by the places where they stand."""
    written = {tuple(map(round, text.get_position())): text.get_text() for text in axes.texts}
    side = round(len(written) ** 0.5)
    return np.array([[written[column, row] for column in range(side)] for row in range(side)])


def test_every_seed_of_every_pair_is_a_point_at_its_share(make: Make, fits: Fits) -> None:
    first, second = make(), make("two", seeds=[1, 2], scale=3.0, experiment="other")
    figure = overview.overview([first, second])
    assert rows(figure) == ["made", "A and B", "C and D", "other", "A and B", "C and D"]
    assert [axes.get_title() for axes in figure.axes] == ["tied", "untied, input", "untied, output"]
    for number, axes in enumerate(figure.axes):
        assert axes.get_xscale() == "log"
        expected = [
            (row, share(one, tables(one)[number], *pair))
            for top, one in ((0, first), (3, second))
            for row, pair in ((top + 1, (0, 1)), (top + 2, (2, 3)))
        ]
        bars = [line for line in axes.lines if line.get_linestyle() == "-"]
        for drawn, bar, (row, shares) in zip(points(axes), bars, expected, strict=True):
            places = drawn.get_offsets()
            np.testing.assert_allclose(places[:, 0], shares, rtol=1e-6)
            assert np.abs(places[:, 1] - row).max() < 0.5
            assert len(set(places[:, 1])) == len(shares)
            np.testing.assert_allclose(bar.get_xdata(), np.exp(np.log(shares).mean()), rtol=1e-6)
            assert np.mean(bar.get_ydata()) == row
        margin = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in margin] == [MERGE_MARGIN]
        low, high = axes.get_xlim()
        assert all(low < x < high for drawn in points(axes) for x in drawn.get_offsets()[:, 0])
        assert low < MERGE_MARGIN < 1 < high
    assert fits(figure)


def test_colour_and_marker_tell_where_the_hypothesis_holds(make: Make) -> None:
    fails, holds, *_ = points(overview.overview([make()]).axes[0])
    assert not np.array_equal(fails.get_facecolor(), holds.get_facecolor())
    shapes = [drawn.get_paths()[0].vertices for drawn in (fails, holds)]
    assert not np.array_equal(*shapes)
    (again,) = points(overview.overview([make("ydh", zero_dst=[1, 0])]).axes[0])
    np.testing.assert_array_equal(again.get_facecolor(), holds.get_facecolor())


def test_a_partial_result_is_hollow_and_says_how_far_it_is(make: Make) -> None:
    whole, begun = make(), like(make("two"), "partial", 80, experiment="transformer-medium")
    figure = overview.overview([whole, begun])
    wanted = find("transformer-medium").steps
    assert rows(figure)[3:5] == ["A larger transformer", f"partial, 80 of {wanted:,} steps"]
    for axes in figure.axes:
        faces = [len(drawn.get_facecolor()) for drawn in points(axes)]
        assert faces == [1, 1, 0, 0]
        assert np.round(points(axes)[2].get_offsets()[:, 1]).tolist() == [5] * 5
    assert any("hollow" in text.get_text() for text in figure.legends[0].get_texts())
    alone = overview.overview([whole])
    assert not any("hollow" in text.get_text() for text in alone.legends[0].get_texts())
    assert rows(overview.overview([like(whole, "partial", 80)]))[1] == "partial, 80 of 100 steps"


def test_what_cannot_be_drawn_is_named(make: Make) -> None:
    short = make("short", steps=20, experiment="short")
    single = make("single", zero_dst=[1.0], one_dst=[1.0], experiment="single")
    seeds = {"experiment": "seeds", "seeds": [42, 43, 44, 45, 46, 47, 48]}
    spoilt = like(make("seeds"), **seeds)
    spoilt.input_embedding[5, 3] = np.nan  # the first untied trial
    figure = overview.overview([short, single, spoilt])
    assert rows(figure) == ["short", "A and B", "C and D", "single", "seeds", "A and B", "C and D"]
    tied, *untied = figure.axes
    general = {0: "no full period yet", 3: "no pair of synonyms"}
    assert notes(tied) == general | {4: "2 missing"}
    assert [len(drawn.get_offsets()) for drawn in points(tied)] == [5, 5]
    for axes in untied:
        assert notes(axes) == general | {4: "1 diverged, 2 missing"}
        assert [len(drawn.get_offsets()) for drawn in points(axes)] == [4, 4]
    rendered(figure)


@pytest.mark.parametrize("tie", ["tied", "untied"])
def test_one_seed_of_one_tie_is_drawn(make: Make, tie: str) -> None:
    result = make(ties=[tie], seeds=[7])
    figure, heat = overview.overview([result]), overview.heat_map(result)
    for name, axes, matrix in zip(
        overview.TABLES, figure.axes, [heat.axes[0], *heat.axes[2:]], strict=False
    ):
        there = name.partition(",")[0] == tie
        assert len(points(axes)) == 2 * there
        other = name.partition(",")[0]
        assert notes(axes) == ({} if there else {0: f"no {other} trials"})
        assert matrix.get_title() == (f"{name}: 1 seed" if there else name)
        words = [text.get_text() for text in matrix.texts]
        assert len(words) == 49 if there else words == [f"nothing measured of {other} trials"]
    rendered(figure), rendered(heat)


def test_results_of_one_name_say_whose_they_are(make: Make) -> None:
    figure = overview.overview([make(), make("two")])
    assert rows(figure)[::3] == ["made, this machine"] * 2


def test_a_result_without_a_record_is_named(make: Make) -> None:
    result = make()
    empty = replace(
        result,
        steps=result.steps[:0],
        input_embedding=result.input_embedding[:, :0],
        output_embedding=result.output_embedding[:, :0],
    )
    assert notes(overview.overview([empty]).axes[0]) == {0: "no full period yet"}
    figure = overview.heat_map(empty)
    assert [text.get_text() for text in figure.axes[0].texts] == ["nothing measured of tied trials"]
    rendered(figure)


def test_three_synonyms_are_three_rows_and_no_result_is_a_note(make: Make) -> None:
    result = make(zero_dst=[0.2, 0.4, 0.4])
    assert rows(overview.overview([result])) == ["made", "A and B", "A and C", "B and C", "D and E"]
    assert cells(overview.heat_map(result).axes[0]).shape == (8, 8)
    empty = overview.overview([])
    assert [notes(axes).popitem()[1] for axes in empty.axes] == ["no results"] * 3
    rendered(empty)


def test_a_heat_map_writes_every_distance_of_every_table(make: Make, fits: Fits) -> None:
    result = make()
    result.input_embedding[:, :, 3] = result.input_embedding[:, :, 2] + 0.001
    figure = overview.heat_map(result)
    assert "last full period" in figure.get_suptitle()
    assert "70 to 100" in figure.get_suptitle()
    panels, drawn = [figure.axes[0], *figure.axes[2:4]], []
    for axes, table, name in zip(panels, tables(result), overview.TABLES, strict=True):
        assert axes.get_title() == f"{name}: 5 seeds"
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels[:4] == ["A (bit 0)", "B (bit 0)", "C (bit 1)", "D (bit 1)"]
        assert labels[4:] == ["even", "odd", "mask"]
        expected = np.array(
            [[at_the_end(result, gap(table, a, b)).mean() for b in range(7)] for a in range(7)]
        )
        (image,) = axes.images
        np.testing.assert_allclose(image.get_array(), expected, rtol=1e-6)
        drawn.append((image.cmap.name, image.norm.vmin, image.norm.vmax))
        text = cells(axes)
        assert set(np.diag(text)) == {"0"}
        close = (expected > 0) & (expected < 0.005)
        assert set(text[close]) == ({"<0.01"} if close.any() else set())
        far = expected >= 0.005
        np.testing.assert_allclose(text[far].astype(float), expected[far], atol=0.00501)
    assert len(set(drawn)) == 1
    assert drawn[0][2] == max(axes.images[0].get_array().max() for axes in panels)
    (bar,) = figure.axes[1].child_axes
    assert bar.get_xlabel() == "Euclidean distance"
    np.testing.assert_allclose(bar.get_xlim(), drawn[0][1:])
    assert fits(figure)


def test_numbers_can_be_read_on_their_colour(make: Make) -> None:
    def light(colour: object) -> float:
        """Relative luminance, as WCAG 2 has it."""
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    result = make(zero_dst=[0.1] * 10)
    for table in (result.input_embedding, result.output_embedding):
        table[:] = (np.arange(15.0) ** 2)[:, None]  # distances of every size
    axes = overview.heat_map(result).axes[0]
    (image,) = axes.images
    for text in axes.texts:
        column, row = map(round, text.get_position())
        ground = light(image.cmap(image.norm(image.get_array()[row, column]))[:3])
        high, low = sorted([ground, light(to_rgb(text.get_color()))], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_heat_map_marks_symbols_never_shown_and_trials_that_diverged(make: Make) -> None:
    result = make(zero_dst=[1, 0])
    result.output_embedding[5, 0] = np.inf  # the first untied trial
    figure = overview.heat_map(result)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label for label in labels if "never shown" in label] == ["B (bit 0)\nnever shown"]
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[1:] == [f"untied, {table}: 4 seeds, 1 diverged" for table in ("input", "output")]
    kept = tables(result)[1][1:]
    expected = at_the_end(result, gap(kept, 0, 1)).mean()
    assert figure.axes[2].images[0].get_array()[0, 1] == pytest.approx(expected)


def test_a_heat_map_without_a_period_is_of_the_last_record(make: Make) -> None:
    result = make(steps=30)
    figure = overview.heat_map(result)
    assert "no full period" in figure.get_suptitle()
    assert "last record (step 30)" in figure.get_suptitle()
    expected = gap(tables(result)[0], 0, 1)[:, -1].mean()
    assert figure.axes[0].images[0].get_array()[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-6, 40.0, 3000.0])
def test_cells_hold_numbers_of_any_size(make: Make, scale: float) -> None:
    text = cells(overview.heat_map(make(scale=scale)).axes[0])
    assert all(len(number) <= 5 for number in text.ravel())
