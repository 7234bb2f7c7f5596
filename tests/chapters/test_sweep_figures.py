"""Any sweep drawn: the values are those of made-up results, whatever is varied or missing."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import made
from matplotlib.axes import Axes
from rendering import rendered

from semantica_lib.analysis.claims import Measured
from semantica_lib.analysis.markdown import with_interval
from semantica_lib.analysis.statistics import geometric_interval, mean_interval, share_interval
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.sweep import figures as drawn
from semantica_lib.chapters.sweep import tables
from semantica_lib.chapters.sweep.measures import attained, axis, chosen, ends, lines, varied, words
from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.settings.xor import Settings
from semantica_lib.store import results

SEEDS = 1, 2, 3
MANIFEST = {"steps_done": 400, "numerics": 99}


def points(tmp_path: Path, missing: tuple[int, ...] = (), **grid: list[Any]) -> list[Point]:
    """A block's points; pair (0, 1) of point i is seed * (i + 1) / 10 apart, learned by seeds <= i.

    The controls' distances follow from ``made``'s rows, which differ by what is made.
    """
    found = []
    for index, values in enumerate(product(*grid.values())):
        changed = dict(zip(grid, values, strict=True))
        own = settings({"seeds": SEEDS, "steps": 400, "schedule_period": 200, **changed})
        (folder := tmp_path / f"{index}").mkdir()
        result = made(
            folder,
            lambda seed, tied, table, pair, i=index: seed * (i + 1) / (10 if pair[0] else 100),
            lambda seed, tied, split, i=index: (seed / 10 + tied / 100, 0.0 if seed <= i else 9.0),
            **own.model_dump(exclude={"steps"}),
        )
        result.manifest.update(MANIFEST)
        found.append(Point(changed, own, None if index in missing else result))
    return found


def marks(axes: Axes) -> dict[float, float]:
    """Where means stand: place -> value."""
    found = {}
    for line in axes.lines:
        x, y = line.get_data()
        if line.get_marker() in set(drawn.MARKS) and np.size(x) == 1:
            found[round(float(np.ravel(x)[0]), 6)] = float(np.ravel(y)[0])
    return found


def crosses(axes: Axes) -> list[float]:
    return [round(float(one.get_xdata()[0]), 6) for one in axes.lines if one.get_marker() == "x"]


def hollow(axes: Axes) -> list[bool]:
    """Of each mean, whether its mark is hollow."""
    means = [line for line in axes.lines if line.get_marker() == "o"]
    return [line.get_markerfacecolor() == "white" for line in means]


def by_hand(point: Point, tied: bool, table: str, pair: tuple[int, int]) -> np.ndarray:
    """The pair's distance over the median control pair's, of rows that do not move."""
    result = point.result
    rows = (result.input_embedding if table == "input" else result.output_embedding)[:, -1]
    rows = rows[result.tied == tied].astype(float)
    control = np.median(
        [np.linalg.norm(rows[:, a] - rows[:, b], axis=1) for a in (0, 1) for b in (2, 3)], axis=0
    )
    return np.linalg.norm(rows[:, pair[0]] - rows[:, pair[1]], axis=1) / control


def test_one_setting_in_the_order_of_its_values(tmp_path: Path) -> None:
    found = points(tmp_path, weight_decay=[0.1, 0.0, 0.01])
    assert varied(found) == {"weight_decay": [0.0, 0.01, 0.1]}
    figure = drawn.distances(found)
    panels = np.array(figure.axes).reshape(3, 2)
    for row, (tied, table) in zip(panels, drawn.PLACES, strict=True):
        for axes, pair in zip(row, [(0, 1), (2, 3)], strict=True):
            order = [found[index] for index in (1, 2, 0)]
            means = [geometric_interval(by_hand(p, tied, table, pair)).estimate for p in order]
            assert marks(axes) == pytest.approx(dict(enumerate(means)), rel=1e-6)
            assert crosses(axes) == []
            assert hollow(axes) == [pair == (0, 1)] * 3  # the DH fails for it
    assert [text.get_text() for text in panels[-1, 0].get_xticklabels()] == ["0", "0.01", "0.1"]
    assert panels[-1, 0].get_xlabel() == "weight decay"
    assert rendered(figure)


def test_shares_and_accuracy_are_those_of_the_trials(tmp_path: Path) -> None:
    found = points(tmp_path, weight_decay=[0.0, 0.01, 0.1])
    untied_share, tied_share, untied, tied = drawn.attainment(found).axes
    for axes in (untied_share, tied_share):
        assert marks(axes) == pytest.approx({0: 0, 1: 1 / 3, 2: 2 / 3})
    assert marks(untied) == pytest.approx({place: 0.2 for place in range(3)})
    assert marks(tied) == pytest.approx({place: 0.21 for place in range(3)})
    bars = [tuple(one.get_ydata()) for one in untied_share.lines if np.ptp(one.get_xdata()) == 0]
    expected = [share_interval(np.array([True] * n + [False] * (3 - n)))[1:3] for n in range(3)]
    assert [bar for bar in bars if len(bar) == 2] == expected
    frame = attained(found)
    for index, point in enumerate(found):
        for tied_, learned in Measured(point.result).learned.items():
            own = frame[(frame.point == index) & (frame.tied == tied_)]
            assert own.learned.tolist() == learned.tolist()


def test_two_settings_are_an_axis_and_lines_and_a_missing_point_is_a_cross(tmp_path: Path) -> None:
    found = points(tmp_path, (3,), expectation=["sampled", "exact"], weight_decay=[0.0, 0.01, 0.1])
    assert axis(found) == "weight_decay"
    assert [line.label for line in lines(found, "weight_decay")] == [
        "expectation sampled",
        "expectation exact",
    ]
    figure = drawn.distances(found)
    for axes, (tied, table) in zip(figure.axes[::2], drawn.PLACES, strict=True):
        expected = {
            place + side: geometric_interval(by_hand(found[index], tied, table, (0, 1))).estimate
            for side, own in ((-0.125, (0, 1, 2)), (0.125, (None, 4, 5)))
            for place, index in enumerate(own)
            if index is not None
        }
        assert marks(axes) == pytest.approx(expected, rel=1e-6)
        assert crosses(axes) == [0.125]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["expectation sampled", "expectation exact"] and "no result" in labels
    across = drawn.attainment(found, "expectation")
    assert across.axes[2].get_xlabel() == across.axes[3].get_xlabel() == "expectation"
    assert crosses(across.axes[0]) == [1 + round(-0.25 + 0.25 / 3, 6)]
    assert "missing" in tables.endings(found).splitlines()[5]


def test_lists_and_null_are_values_in_the_order_of_the_file(tmp_path: Path) -> None:
    dst = [[0.5, 0.5], [0.1, 0.9], [0.3, 0.7]]
    found = points(tmp_path, zero_dst=dst)
    assert varied(found) == {"zero_dst": [(0.5, 0.5), (0.1, 0.9), (0.3, 0.7)]}
    figure = drawn.distances(found)
    ticks = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert ticks == ["0.5, 0.5", "0.1, 0.9", "0.3, 0.7"]
    assert hollow(figure.axes[0]) == [False, True, True]  # the DH holds of equally likely ones
    assert chosen(found, {"zero_dst": [0.1, 0.9]}) == found[1:2]
    (folder := tmp_path / "null").mkdir()
    untied = points(folder, untie_at=[None, 100, 20], ties=[["tied"]])
    assert varied(untied) == {"untie_at": [None, 100, 20]}
    figure = drawn.distances(untied)
    assert len(figure.axes) == 2  # the tied table alone
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["null", "100", "20"]


def test_a_setting_that_follows_from_another_is_in_no_label() -> None:
    values = [("adamw", 5e-4), ("sgd", 0.3)]
    found = [
        Point(
            {"optimizer": optimizer, "learning_rate": rate, "weight_decay": decay},
            settings({"optimizer": optimizer, "learning_rate": rate, "weight_decay": decay}),
            None,
        )
        for optimizer, rate in values
        for decay in (0.0, 0.1, 0.2)
    ]
    told = lines(found, axis(found))
    assert [line.label for line in told] == ["optimizer adamw", "optimizer sgd"]
    assert [line.places for line in told] == [{0: 0, 1: 1, 2: 2}, {3: 0, 4: 1, 5: 2}]
    assert lines(found, "optimizer")[0].label == "weight decay 0"


def test_more_lines_than_a_panel_holds_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    decays = [n / 100 for n in range(8)]
    found = [
        Point({"weight_decay": d, "data_seed": s}, Settings(weight_decay=d, data_seed=s), None)
        for s in range(9)
        for d in decays
    ]
    figure = drawn.distances(found)
    assert figure.get_suptitle() == "2 of 8 lines are left out: see the table"
    assert len(tables.endings(found).splitlines()) == 2 + 72


def test_nothing_stored_and_no_points_at_all_are_said(tmp_path: Path) -> None:
    found = [point._replace(result=None) for point in points(tmp_path, weight_decay=[0.0, 0.1])]
    for some in (found, []):
        for make in (drawn.distances, drawn.attainment):
            figure = make(some)
            assert any(t.get_text() == drawn.NOTHING for axes in figure.axes for t in axes.texts)
            assert rendered(figure)
    assert len(ends(found)) == len(attained(found)) == 0
    told = tables.endings(found, {1: "no\nluck"})
    assert "| missing |" in told and "| missing: no luck |" in told
    assert tables.endings([]) == "No point of the sweep is chosen."


def test_a_run_without_a_full_period_is_told_by_its_last_record(tmp_path: Path) -> None:
    tmp_path.joinpath("a").mkdir()
    curve = np.linspace(1, 0.1, 21)
    result = made(tmp_path / "a", lambda *_: curve, schedule_period=None, seeds=SEEDS)
    assert Measured(result).window is None
    result.manifest.update(MANIFEST)
    own = result.settings
    found = [Point({"weight_decay": 0.1}, own, result)]
    frame = ends(found)
    own_ratio = frame[(frame.pair == "A and B") & ~frame.tied & (frame.table == "input")].ratio
    assert own_ratio.tolist() == pytest.approx(by_hand(found[0], False, "input", (0, 1)).tolist())
    assert attained(found).accuracy.tolist() == pytest.approx([0.5] * 6)
    assert axis(found) == ""
    assert rendered(drawn.distances(found)) and rendered(drawn.attainment(found))
    assert "no full period" in tables.endings(found)


def test_the_table_has_every_number(tmp_path: Path) -> None:
    found = points(tmp_path, weight_decay=[0.0, 0.1])
    head, _, _, row = tables.endings(found).splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["| point"] == "| weight decay 0.1"
    ratio = geometric_interval(by_hand(found[1], False, "output", (2, 3)))
    assert cells["untied output, C and D"] == with_interval(ratio)
    assert cells["learn, tied"] == "1 of 3"
    accuracy = mean_interval(np.array([0.1, 0.2, 0.3]))
    assert cells["accuracy, untied"] == with_interval(accuracy)


def test_language_models_are_listed_and_not_drawn() -> None:
    own = find("mlm")
    found = [Point({"seeds": own.seeds}, own, results.load(results.PUBLISHED / "mlm"))]
    assert found[0].result is not None
    assert ends(found).empty and attained(found).empty
    assert "published with this book" in tables.endings(found)
    assert rendered(drawn.distances(found)) and rendered(drawn.attainment(found))


def test_a_wrong_setting_of_axis_or_choice_is_refused(tmp_path: Path) -> None:
    found = points(tmp_path, weight_decay=[0.0, 0.1], expectation=["exact"])
    for wrong in ("weight_decai", "expectation"):  # the second has one value only
        with pytest.raises(RequestError, match=f"x: '{wrong}' is no setting"):
            axis(found, wrong)
    with pytest.raises(RequestError, match="did you mean 'weight_decay'"):
        chosen(found, {"weight_decai": 0})
    assert chosen(found, {"weight_decay": 0}) == found[:1]


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "null"), (True, "true"), (1000, "1,000"), (0.1, "0.1"), (0.0, "0"),
     ((1, 0.5), "1, 0.5"), ("adamw", "adamw"), (0.12345678, "0.12345678")],
)  # fmt: skip
def test_values_in_words(value: Any, told: str) -> None:
    assert words(value) == told
