"""The general plots draw the numbers of the stored arrays, and refuse in a line what they lack."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from rendering import rendered
from scipy import stats

from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import RequestError
from semantica_lib.figures import pairs
from semantica_lib.figures.style import DOTS
from semantica_lib.store.results import Result

Make = Callable[..., Result]
Fits = Callable[[Figure], bool]
CONTROL = [(0, 2), (0, 3), (1, 2), (1, 3)]
EVERY = [(a, b) for a in range(7) for b in range(a + 1, 7)]


def gap(table: np.ndarray, a: int, b: int) -> np.ndarray:
    """Distance of two symbols, ``(trial, record)``."""
    return np.sqrt(((table[:, :, a].astype(float) - table[:, :, b]) ** 2).sum(-1))


def curves(axes: Axes) -> list[np.ndarray]:
    return [line.get_ydata() for line in axes.lines]


def band(axes: Axes, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge of a band."""
    places = axes.collections[number].get_paths()[0].vertices
    edges = [sorted(places[places[:, 0] == step, 1]) for step in np.unique(places[:, 0])]
    return np.array([edge[0] for edge in edges]), np.array([edge[-1] for edge in edges])


def keys(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("table", ["input", "output"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [("synonyms", [(0, 1), (2, 3)]), ("control", CONTROL), ("all", EVERY), ([(6, 0)], [(6, 0)])],
)
def test_every_seed_of_every_pair_is_a_line(
    make: Make, table: str, tied: bool, asked: object, expected: list
) -> None:
    result = make()
    (axes,) = pairs.plot(result, table, tied, asked, lines="seeds").axes
    stored = {"input": result.input_embedding, "output": result.output_embedding}[table]
    wanted = [curve for pair in expected for curve in gap(stored[result.tied == tied], *pair)]
    np.testing.assert_allclose(curves(axes), wanted, rtol=1e-6)
    assert all(np.array_equal(line.get_xdata(), result.steps) for line in axes.lines)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("optimizer steps", "Euclidean distance")


def test_the_band_is_student_s_about_the_mean(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    (axes,) = pairs.plot(result, lines="band", pairs=[(0, 1)]).axes
    values = gap(result.input_embedding[~result.tied], 0, 1)
    (mean,) = curves(axes)
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-6)
    half = stats.t.ppf(0.975, 2) * values.std(0, ddof=1) / np.sqrt(3)
    low, high = band(axes)
    np.testing.assert_allclose(low, values.mean(0) - half, rtol=1e-6)
    np.testing.assert_allclose(high, values.mean(0) + half, rtol=1e-6)


def test_both_are_the_seeds_thin_and_the_mean_thick(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    figure = pairs.plot(result, pairs=[(0, 1)])
    (axes,) = figure.axes
    *seeds, mean = axes.lines
    assert len(seeds) == 3
    assert mean.get_linewidth() > 2 * max(line.get_linewidth() for line in seeds)
    np.testing.assert_allclose(mean.get_ydata(), np.mean(curves(axes)[:3], axis=0))
    assert len(axes.collections) == 1
    assert keys(figure) == ["A and B, DH fails", "thin: one seed", "thick: mean, 95% band"]


NAMES = "A", "B", "C", "D", "even", "odd", "mask"


def test_21_pairs_can_be_told_apart_without_colour_and_all_are_named(
    make: Make, fits: Fits
) -> None:
    figure = pairs.plot(make(seeds=[1, 2]), pairs="all", lines="band")
    names = [key.split(",")[0] for key in keys(figure)]
    assert names == [f"{NAMES[a]} and {NAMES[b]}" for a, b in EVERY] + ["thick: mean"]
    lines = figure.axes[0].lines
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == len(EVERY)
    handles = figure.legends[0].legend_handles
    for line, key in zip(lines, handles, strict=False):
        assert (line.get_marker(), line.get_color()) == (key.get_marker(), key.get_color())
    assert fits(figure)


def test_a_window_leaves_out_the_other_steps(make: Make) -> None:
    result = make()
    (axes,) = pairs.plot(result, pairs=[(0, 1)], lines="seeds", window=(30, 65)).axes
    inside = result.steps[3:7]
    values = gap(result.input_embedding[~result.tied], 0, 1)[:, 3:7]
    np.testing.assert_allclose(curves(axes), values, rtol=1e-6)
    assert all(line.get_xdata().tolist() == inside.tolist() for line in axes.lines)
    low, high = axes.get_xlim()
    assert 25 < low < 30 < 60 < high < 65


def test_a_window_of_one_record_shows_every_seed(make: Make) -> None:
    (axes,) = pairs.plot(make(), pairs=[(0, 1)], window=(50, 50)).axes
    assert len(axes.lines) == 6
    assert all(line.get_marker() == "o" for line in axes.lines)
    rendered(axes.figure)


@pytest.mark.parametrize(("scale", "top"), [(0.1, 4.0), (10.0, None)])
def test_the_y_axis_holds_all_or_is_as_asked(make: Make, scale: float, top: float | None) -> None:
    result = make(scale=scale)
    (axes,) = pairs.plot(result).axes
    highest = max(curve.max() for curve in curves(axes))
    assert axes.get_ylim() == (0, top or pytest.approx(1.05 * highest))
    for limits in ((-1, 2.5), [0, 1], np.array([0.5, 0.7])):
        assert pairs.plot(result, limits=limits).axes[0].get_ylim() == tuple(limits)


def test_palette_and_title_are_as_asked(make: Make) -> None:
    result = make(seeds=[1])
    one = pairs.plot(result, lines="band", palette="Set2").axes[0]
    assert to_rgb(one.lines[0].get_color()) == pytest.approx((0.4, 0.7607843, 0.6470588))
    assert one.get_title() == "made: untied, input table"
    assert pairs.plot(result, tied=True).axes[0].get_title() == "made: tied table"
    odd = pairs.plot(result, title="$\\frac{$ of\nmy own").axes[0]
    assert odd.get_title() == "$\\frac{$ of\nmy own"
    rendered(odd.figure)
    assert pairs.plot(result, title="").axes[0].get_title() == ""
    rendered(pairs.plot(result, title="\ud800 half a character"))


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "PNG"])
def test_a_file_is_written_whole(make: Make, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"mine.{suffix}"
    file.write_text("what was there before")
    figure = pairs.plot(make(seeds=[1]), file=file if suffix == "png" else str(file))
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix.lower()]
    assert file.read_bytes().startswith(start)
    if suffix == "png":
        assert imread(file).shape[1] == round(2 * DOTS * figure.get_figwidth())
    assert {path.name for path in tmp_path.iterdir()} == {"one", f"mine.{suffix}"}


def test_a_file_in_the_home_is_written_there(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make(seeds=[1])
    monkeypatch.setenv("HOME", str(tmp_path))
    pairs.plot(result, file="~/mine.png")
    assert (tmp_path / "mine.png").exists()
    with pytest.raises(RequestError, match=r"cannot write .* is no path"):
        pairs.plot(result, file="~nobody-of-that-name/mine.png")


def test_a_write_that_fails_leaves_the_old_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, result = tmp_path / "mine.png", make(seeds=[1])
    file.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RequestError, match=r"cannot write .*: No space left on device"):
        pairs.plot(result, file=file)
    assert file.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "mine.png"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"table": "inputs"}, "unknown table 'inputs' (did you mean 'input'?)"),
        ({"tied": "untied"}, "tied should be True or False, not 'untied'"),
        ({"pairs": "synonym"}, "unknown pairs 'synonym' (did you mean 'synonyms'?)"),
        ({"pairs": [(0, 1), (2, 7)]}, "pair [2, 7] is outside the vocabulary 0..6"),
        ({"pairs": [(-1, 2)]}, "pair [-1, 2] is outside the vocabulary 0..6"),
        ({"pairs": [(3, 3)]}, "pair (3, 3) is a symbol and itself: a pair needs two symbols"),
        ({"pairs": (0, 1)}, "pairs should be 'synonyms', 'control', 'all' or [(0, 1), ...], not"),
        ({"pairs": []}, "pairs should be"),
        ({"pairs": None}, "pairs should be"),
        ({"pairs": [(0.0, 1.0)]}, "pairs should be"),
        ({"pairs": [(0, 1, 2)]}, "pairs should be"),
        ({"lines": "seed"}, "unknown lines 'seed' (did you mean 'seeds'?)"),
        ({"lines": None}, "unknown lines None (allowed: band, both, seeds)"),
        ({"palette": "colourblind"}, "unknown palette 'colourblind' (did you mean 'colorblind'?)"),
        ({"palette": "jet"}, "unknown palette 'jet'"),
        ({"palette": "ch:q=1"}, "unknown palette 'ch:q=1'"),
        ({"window": (31, 39)}, "there is no record in the window [31, 39]; there are at steps: "),
        ({"window": (60, 40)}, "there are at steps: 0, 10, 20, ..., 100"),
        ({"window": 5}, "window should be two numbers, (first step, last step), not 5"),
        ({"window": ("0", "9")}, "window should be two numbers"),
        ({"limits": (2, 1)}, "limits should increase, and [2, 1] do not"),
        ({"limits": (1, 1)}, "limits should increase"),
        ({"limits": (0, float("nan"))}, "limits should be two numbers, (low, high), not"),
        ({"limits": (0, float("inf"))}, "limits should be two numbers"),
        ({"limits": (0, 1e308)}, "limits should be two numbers"),
        ({"limits": (0, 10**400)}, "limits should be two numbers"),
        ({"limits": [[0], [1, 2]]}, "limits should be two numbers"),
        ({"limits": (False, True)}, "limits should be two numbers"),
        ({"file": "mine.gif"}, "file should end in .pdf, .png, .svg, not 'mine.gif'"),
        ({"file": ""}, "file should end in"),
        ({"file": "/no/such/folder/a.png"}, "cannot write '/no/such/folder/a.png': No such file"),
        ({"file": "a\0.png"}, "cannot write 'a\\x00.png': embedded null byte"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make: Make, asked: dict, told: str) -> None:
    with pytest.raises(RequestError) as refused:
        pairs.plot(make(seeds=[1]), **asked)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    if asked.keys() <= {"lines", "palette", "window", "limits", "file"}:
        with pytest.raises(RequestError) as again:
            pairs.accuracy(make("two", seeds=[1]), **asked)
        assert told in str(again.value)


def test_a_wrong_file_name_is_refused_before_anything_is_drawn(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "Figure", None)
    with pytest.raises(RequestError, match="file should end in"):
        pairs.plot(make(seeds=[1]), file="mine.gif")


@pytest.mark.parametrize(("there", "other"), [("tied", "untied"), ("untied", "tied")])
def test_one_seed_of_one_tie_is_drawn_and_the_other_refused(
    make: Make, there: str, other: str
) -> None:
    result = make(ties=[there], seeds=[7], steps=20)
    rendered(pairs.plot(result, tied=there == "tied"))
    with pytest.raises(RequestError, match=rf"made has no {other} trials \(there are: {there}\)"):
        pairs.plot(result, tied=other == "tied")
    figure = pairs.accuracy(result)
    assert keys(figure)[0] == there
    assert other not in keys(figure)
    rendered(figure)


def test_pairs_follow_from_the_distributions(make: Make) -> None:
    three = pairs.plot(make(seeds=[1], zero_dst=[0.2, 0.4, 0.4]), lines="band")
    names = ["A and B, DH fails", "A and C, DH fails", "B and C, DH holds", "D and E, DH holds"]
    assert keys(three)[:4] == names
    single = make("single", seeds=[1], zero_dst=[1.0], one_dst=[1.0])
    with pytest.raises(RequestError, match="no pairs 'synonyms': each bit has one symbol"):
        pairs.plot(single)
    assert keys(pairs.plot(single, pairs="control"))[0] == "A and B"


def test_trials_that_diverged_are_left_out_and_named(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    result.input_embedding[4, 3] = np.nan  # untied, seed 2
    result.metrics.loc[(result.metrics.seed == 3) & result.metrics.tied, "loss"] = np.nan
    figure = pairs.plot(result, pairs=[(0, 1)], lines="seeds")
    stored = result.input_embedding[[3, 5]]
    np.testing.assert_allclose(curves(figure.axes[0]), gap(stored, 0, 1), rtol=1e-6)
    words = " ".join(keys(figure)[-1].split())
    assert words == "not drawn, diverged: untied, seed 2"
    figure = pairs.accuracy(result, lines="seeds")
    assert len(figure.axes[0].lines) == 2 + 3 + 1
    assert "diverged: tied, seed 3" in " ".join(keys(figure)[-1].split())
    result.input_embedding[3:] = np.nan
    with pytest.raises(RequestError, match="all untied trials of made diverged"):
        pairs.plot(result)


@pytest.mark.parametrize("split", ["train", "validation", "test", "exact"])
def test_accuracy_draws_every_seed_under_the_split_s_ceiling(make: Make, split: str) -> None:
    result = make(seeds=[1, 2, 3])
    rng = np.random.default_rng(1)
    result.metrics["accuracy"] = rng.random(len(result.metrics))
    figure = pairs.accuracy(result, split)
    (axes,) = figure.axes
    found = result.metrics[result.metrics.split == split]
    wanted = [
        found[(found.tied == tied) & (found.seed == seed)].sort_values("step").accuracy
        for tied in (True, False)
        for seed in (1, 2, 3)
    ]
    *lines, ceiling = axes.lines
    drawn = [line.get_ydata() for line in lines]
    np.testing.assert_allclose(drawn[:3] + drawn[4:7], wanted)
    np.testing.assert_allclose(drawn[3], np.mean(wanted[:3], axis=0))
    np.testing.assert_allclose(drawn[7], np.mean(wanted[3:], axis=0))
    task = xor_task(result.settings)
    ones = task.splits[split].double().mean().item()  # 0.9 and 0.5: the likelier synonyms
    assert ceiling.get_ydata()[0] == pytest.approx((1 - ones) * 0.9 + ones * 0.5)
    assert ceiling.get_linestyle() == ":"
    assert str(len(task.splits[split])) in axes.get_title()
    assert axes.get_ylim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("optimizer steps", "accuracy (share)")
    assert keys(figure) == ["tied", "untied", "thin: one seed", "thick: mean, 95% band",
                            "attainable ceiling"]  # fmt: skip


def test_accuracy_as_published_stands_under_the_ceiling_of_the_training_strings(make: Make) -> None:
    result = make(seeds=[1], validation="as-published")
    (axes,) = pairs.accuracy(result).axes
    train = xor_task(result.settings).splits["train"]
    ones = train.double().mean().item()
    assert axes.lines[-1].get_ydata()[0] == pytest.approx((1 - ones) * 0.9 + ones * 0.5)
    assert axes.get_title() == f"made: train split, {len(train)} strings"


def test_accuracy_takes_the_same_choices(make: Make, tmp_path: Path) -> None:
    result = make(seeds=[1, 2])
    file = tmp_path / "mine.png"
    figure = pairs.accuracy(result, "exact", "seeds", (20, 40), (0.2, 0.9), "Set2", "My own", file)
    (axes,) = figure.axes
    assert [line.get_xdata().tolist() for line in axes.lines[:-1]] == [[20, 30, 40]] * 4
    assert axes.get_ylim() == (0.2, 0.9)
    assert to_rgb(axes.lines[0].get_color()) == pytest.approx((0.4, 0.7607843, 0.6470588))
    assert axes.get_title() == "My own"
    assert file.exists()


def test_accuracy_of_seeds_measured_at_other_steps_is_drawn_where_all_were(make: Make) -> None:
    result = make(seeds=[1, 2])
    rare = ~((result.metrics.seed == 2) & (result.metrics.step % 20 > 0))
    result = replace(result, metrics=result.metrics[rare])
    (axes,) = pairs.accuracy(result, lines="seeds").axes
    assert len(axes.lines) == 5
    assert axes.lines[0].get_xdata().tolist() == [0, 20, 40, 60, 80, 100]


def test_accuracy_refuses_an_unknown_split_and_a_result_without_it(make: Make) -> None:
    result = make(seeds=[1])
    with pytest.raises(
        RequestError, match=r"unknown split 'valid' \(did you mean 'validation'\?\)"
    ):
        pairs.accuracy(result, "valid")
    none = replace(result, metrics=result.metrics[:0])
    with pytest.raises(RequestError, match="made has no accuracy to draw on the train split"):
        pairs.accuracy(none, "train")


def test_a_result_without_a_record_is_refused(make: Make) -> None:
    result = make(seeds=[1])
    empty = replace(
        result,
        steps=result.steps[:0],
        input_embedding=result.input_embedding[:, :0],
        output_embedding=result.output_embedding[:, :0],
    )
    with pytest.raises(RequestError, match="there is no record; there are at steps: none"):
        pairs.plot(empty)
