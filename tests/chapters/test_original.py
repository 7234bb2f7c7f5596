"""The page on the original: its figures, tables and words show what the stored arrays hold."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest

from semantica_lib.analysis.markdown import lettered
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.sweep_points import stored as stored_points
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.chapters.original import figures as protocols
from semantica_lib.chapters.original import measures as analysis
from semantica_lib.chapters.original import tables as original
from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import RequestError
from semantica_lib.figures.tables import all_rows, overviewed, titled
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import find
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.store import results
from semantica_lib.store.results import Result

Make = Callable[..., Result]
Fits = Callable[..., bool]


def measuring(result: Result, **accuracy: float) -> Result:
    """The same result with these accuracies by split, higher by 0.01 for each seed after the first.

    Those of the last period (40 steps) are as told; all before are 0.
    """
    rows = result.metrics.copy()
    later = rows.step > result.steps[-1] - 40
    values = rows.split.map(accuracy) + 0.01 * (rows.seed - rows.seed.min())
    rows["accuracy"] = np.where(later, values, 0.0)
    return replace(result, metrics=rows)


def cells(table: str, *starts: str) -> list[str]:
    """The cells of the one line of a Markdown table that begins so."""
    (line,) = [x for x in table.splitlines() if x.startswith("| " + " | ".join(starts))]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_accuracies_are_drawn_by_protocol_under_their_ceilings(make: Make, fits: Fits) -> None:
    first = measuring(make(seeds=[1, 2]), train=0.6, validation=0.3, test=0, exact=0.5)
    second = make("two", experiment="other", seeds=[1], zero_dst=[1, 0])
    figure = protocols.accuracies([first, second])
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["made", "other"]
    for axes, result in zip(panels, (first, second), strict=True):
        rows = result.metrics
        curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
        expected = [
            rows[(rows.split == split) & (rows.tied == tied)].groupby("step").accuracy.mean()
            for split in ("train", "validation")
            for tied in (True, False)
        ]
        for line, mean in zip(curves, expected, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), mean.index)
            np.testing.assert_allclose(line.get_ydata(), mean)
        ceilings = [line for line in axes.lines if line.get_linestyle() == ":"]
        for line, split in zip(ceilings, ("train", "validation"), strict=True):
            assert line.get_ydata()[0] == xor_task(result.settings).ceiling(split)[0]
        assert [line.get_linestyle() for line in curves] == ["-", "--", "-", "--"]
        assert [line.get_fillstyle() for line in curves] == ["full", "full", "none", "none"]
        assert curves[0].get_color() == curves[2].get_color() != curves[1].get_color()
    assert fits(figure)


def test_without_results_the_figures_say_so(fits: Fits) -> None:
    for figure in (protocols.accuracies([]), protocols.swings(None)):
        assert figure.axes[0].texts[0].get_text().startswith("no result")
        assert fits(figure)


def test_bars_are_the_distribution_of_a_sample(make: Make, fits: Fits) -> None:
    task = xor_task(make().settings)
    figure = protocols.sampled(task, ["validation", "train"])
    for axes, split in zip(figure.axes, ("validation", "train"), strict=True):
        middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
        heights = [bar.get_height() for bar in axes.patches]
        assert sum(heights) == pytest.approx(1)
        (line,) = axes.lines
        assert line.get_xdata()[0] == pytest.approx(np.dot(middles, heights))
        assert axes.get_title() == f"{split} split, {len(task.splits[split])} strings"
        low, high = axes.get_xlim()
        assert all(low <= middle <= high for middle in middles)
    assert fits(figure)


def test_swings_are_shares_of_each_seed_s_mean_over_the_period(make: Make, fits: Fits) -> None:
    result = make(seeds=[1, 2, 3])
    figure = protocols.swings(result)
    tables = result.input_embedding[result.tied], result.input_embedding[~result.tied]
    for axes, table in zip(figure.axes, tables, strict=False):
        for at, (a, b) in ((0, (0, 1)), (4, (2, 3))):
            gap = np.linalg.norm(table[:, -4:, a].astype(float) - table[:, -4:, b], axis=-1)
            shares = gap / gap.mean(1, keepdims=True)
            seeds, mean = axes.lines[at : at + 3], axes.lines[at + 3]
            for line, share in zip(seeds, shares, strict=True):
                np.testing.assert_allclose(line.get_ydata(), share, rtol=1e-6)
            np.testing.assert_allclose(mean.get_ydata(), shares.mean(0), rtol=1e-6)
            np.testing.assert_array_equal(mean.get_xdata(), [70, 80, 90, 100])
        trough, peak = axes.lines[8:]
        assert (trough.get_linestyle(), peak.get_linestyle()) == (":", "--")
        assert (trough.get_xdata()[0], peak.get_xdata()[0]) == (100, 80)  # the period is 40
    assert fits(figure)


def test_one_tie_or_a_short_run_is_said(make: Make) -> None:
    tied = protocols.swings(make(ties=["tied"]))
    assert [text.get_text() for axes in tied.axes for text in axes.texts] == [
        "no untied trials"
    ] * 2
    short = protocols.swings(make("short", steps=20))
    assert {text.get_text() for axes in short.axes for text in axes.texts} == {"no full period yet"}


def test_ends_are_told_by_protocol_with_their_ceilings(make: Make) -> None:
    result = measuring(make(seeds=[1, 2, 3]), train=0.6, validation=0.3, test=0, exact=0.5)
    table = original.endings([result])
    told = cells(table, "made", "tied")
    assert told[1] == "tied, 3 seeds"
    assert [cell.split()[0] for cell in told[2:]] == ["0.610", "0.310", "0.510"]
    assert told[2] == "0.610 [0.585, 0.635]"  # 0.01 * t(0.975, 2) / sqrt(3) = 0.0248
    best = [f"{xor_task(result.settings).ceiling(split)[0]:.3f}" for split in
            ("train", "validation", "exact")]  # fmt: skip
    assert cells(table, "made", "*ceiling*")[2:] == best
    short = original.endings([make("short", steps=20)])
    assert cells(short, "made", "tied")[2:] == ["–"] * 3


def test_new_contexts_are_told_by_what_the_encoder_sees(make: Make) -> None:
    blind = make(experiment="blind", bits=3)
    seeing = make("two", experiment="seeing", bits=3, architecture="mixer")
    table = original.new_contexts([blind, seeing])
    shown, new = analysis.contexts(xor_task(blind.settings), False, "validation")
    assert cells(table, "blind")[2:] == [str(shown), str(new)]
    sees, everything, all_new = cells(table, "seeing")[1:]
    assert (sees, everything) == ("the order of the symbols", all_new)


def test_words_count_where_held_out_strings_are_done_worse(make: Make) -> None:
    blind = make(experiment="blind", seeds=[1, 2, 3])
    seeing = make("two", experiment="seeing", seeds=[1, 2, 3], architecture="mixer")
    worse = measuring(seeing, train=0.6, validation=0.55, test=0, exact=0.5)
    rows = worse.metrics
    same = rows.tied & (rows.split == "validation")  # lower by far less than seeds differ
    bests = [xor_task(seeing.settings).ceiling(split)[0] for split in ("validation", "train")]
    train = rows[rows.tied & (rows.split == "train")].accuracy.to_numpy()
    noise = rows.seed[same].map({1: -0.02, 2: 0.01, 3: 0.0})
    rows.loc[same, "accuracy"] = train * bests[0] / bests[1] + noise
    text = original.held_out([blind, worse], all_rows([blind, worse]))
    first, second, third = [line for line in text.splitlines() if line.startswith("- ")]
    assert first == "- Predicted: at most 0.05 less; under 1e-05 is rounding."
    assert second.startswith("- Where no held-out context is new to the encoder: accuracy on")
    assert second.endswith("in 0 of 2 cases.")
    less = 0.61 / bests[1] - 0.56 / bests[0]
    assert third.endswith(f"in 1 of 2 cases (seeing, untied, by {less:#.3g} of the ceiling).")
    assert "contexts new to it: all" in cells(text, "seeing")[1]
    partial = replace(worse, manifest={**worse.manifest, "status": "partial"})
    text = original.held_out([partial], all_rows([partial]))
    assert text.count("there is no complete result yet") == 2


def test_trials_over_the_drawn_line_are_counted(make: Make) -> None:
    own = {"experiment": "transformer-small-ydh", "zero_dst": [1, 0], "seeds": [1, 2, 3]}
    result = measuring(make(**own), train=0, validation=0, test=0, exact=0.695)
    told = cells(original.drawn_lines([result]), "The DH holds for all synonyms")
    assert told[1:3] == ["0.70", "0.75"]
    assert told[3].startswith("0.705 [")
    assert told[5] == "4 of 6"  # 0.695, 0.705, 0.715, tied and untied


def test_swings_are_told_by_pair_and_table(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    told = cells(original.swings([result]), "made", "C and D, DH holds")
    table = result.output_embedding[~result.tied][:, -4:].astype(float)
    gap = np.linalg.norm(table[:, :, 2] - table[:, :, 3], axis=-1)
    spread = np.median((gap.max(1) - gap.min(1)) / gap.mean(1))
    ratio = np.exp(np.log(gap[:, 3] / gap[:, 1]).mean())  # steps 100 and 80
    assert told[4] == f"{spread:.0%}; {ratio:#.3g}"
    assert told[5] == f"{analysis.decay_swing(result):#.3g}".rstrip(".")
    assert cells(original.swings([make("short", steps=20)]), "made", "C and D")[2:] == ["–"] * 4


def test_decay_is_told_of_every_pair(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    told = cells(original.tables.beside([result], all_rows([result]), original.CLOCK), "made")
    frame = verdicts(result)
    for cell, tie in zip(told[1:], ("untied input", "untied output", "tied"), strict=True):
        for pair, ids in (("A and B", "0 and 1"), ("C and D", "2 and 3")):
            (row,) = frame[
                frame.claim.str.contains(f"{tie}: {ids}") & frame.claim.str.contains("clock's")
            ].itertuples()
            assert f"{pair}: {row.estimate:#.3g}".rstrip(".") in cell


@pytest.fixture
def stored(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results of this machine, and no published ones; nothing is trained."""
    place = tmp_path / "runs"
    monkeypatch.setenv("SEMANTICA_RESULTS", str(place))
    monkeypatch.setenv("SEMANTICA_TRAIN", "never")
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    return place


def test_variants_stand_beside_the_experiment_or_are_asked_for(make: Make, stored: Path) -> None:
    base = make(seeds=[1, 2, 3])
    sweep = stored / "mine.yaml"
    stored.mkdir()

    def points(seeds: list[int], values: list[int]) -> list[Point]:
        grid = f"base: transformer-small\nseeds: {seeds}\ngrid: [{{data_seed: {values}}}]\n"
        sweep.write_text(grid)
        return stored_points(str(sweep))

    (there,) = points([1, 2], [0])
    assert there.result is None
    only = original.varied(base, [there], "mine")
    assert "`data_seed=0` has no result yet; `semantica run mine` trains it." in only
    assert "claim" not in only  # nothing to set beside
    folder = results.folder(stored, there.settings)
    make("variant", seeds=[3, 1, 2], data_seed=0).folder.rename(folder)  # other tables a seed
    there, absent = points([1, 2], [0, 1])
    result = there.result
    text = original.varied(base, [there, absent], "mine")
    assert "| claim | as it is, 2 seeds | data_seed=0, 2 seeds |" in text
    assert "`data_seed=1` has no result yet" in text
    assert "`data_seed=0` has no result yet" not in text
    for head, one in ((1, base), (2, result)):
        for row in verdicts(one.of_seeds([1, 2])).head(9).itertuples():
            estimate = f"{row.estimate:#.3g}".rstrip(".")
            assert cells(text, lettered(row.claim))[head].startswith(
                f"**{row.verdict}**: {estimate} ["
            )
    more = original.varied(None, points([1, 9], [0]), "mine")
    assert "`data_seed=0` is not complete; `semantica run mine` trains it." in more
    assert "\ndata_seed=0, 1 seed: The tied trials of seeds 9 are missing." in more
    assert original.varied(None, [], "mine") == "No variant is asked for.\n\n"


def test_a_damaged_variant_is_an_error(stored: Path) -> None:
    (_, own), *_ = points(read(sweeps()["original"]))
    folder = results.folder(stored, own)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(RequestError, match="damaged"):
        stored_points("original")


@pytest.mark.parametrize("tied", [True, False])
def test_the_codes_own_run_ends_where_its_records_say(reference: Callable, tied: bool) -> None:
    """By hand from the stored distances: records after step 129,999, pair over median control."""
    run = reference(f"original-transformer-small-{'tied' if tied else 'untied'}-seed42")
    task = xor_task(find("transformer-small"))
    for table, pair in (("input", (0, 1)), ("output", (2, 3))):
        near, far = [], []
        for step, record in zip(run["steps"], run[f"{table}_distance"], strict=True):
            of = dict(zip(map(tuple, run["pairs"].tolist()), record.tolist(), strict=True))
            if step > 129_999:
                near.append(of[pair])
                far.append(np.median([of[0, 2], of[0, 3], of[1, 2], of[1, 3]]))
        ratio = analysis.own_ratio(task, tied, table, pair, 20_000)
        assert ratio == pytest.approx(np.mean(near) / np.mean(far), rel=1e-6)


def test_only_the_paper_s_experiments_are_shown(make: Make, stored: Path) -> None:
    stored.mkdir()
    assert original.stored() == []
    assert all_rows([]).empty and "claim" in all_rows([])
    for name in ("lstm-small", "three-synonyms"):
        values = find(name).model_dump(mode="json", exclude_defaults=True)
        result = make(name, **{**values, "steps": 100, "seeds": [1, 2], "record_every": 10})
        result.folder.rename(stored / name)
    (one,) = original.stored()
    assert titled(one) == "An LSTM"
    listed = [line for line in overviewed([one], analysis.DRAWN).splitlines()[2:] if line]
    assert len(listed) == len(analysis.DRAWN)
    assert sum("has no result, here or published" in line for line in listed) == len(listed) - 1


def test_a_longer_run_is_judged_where_the_original_s_file_stops(make: Make) -> None:
    longer = make(
        experiment="mlp-medium", steps=500_000, record_every=100_000, schedule_period=200_000,
        seeds=[1, 2, 3],
    )  # fmt: skip
    text = original.own_steps([longer])
    assert "| claim | at step 300,000, 3 seeds | at step 500,000, 3 seeds |" in text
    then = verdicts(analysis.until(longer, 300_000)).iloc[0]
    now = verdicts(longer).iloc[0]
    told = cells(text, lettered(now.claim))
    for cell, row in zip(told[1:], (then, now), strict=True):
        assert f"**{row.verdict}**: {row.estimate:#.3g}".rstrip(".") in cell
    assert then.estimate != now.estimate
    assert "A larger LSTM**, whose file stops at step 150,000: there is no result yet." in text
    partial = {**make("two", experiment="transformer-medium").manifest, "status": "partial"}
    short = replace(make("three", experiment="transformer-medium"), manifest=partial)
    assert "is not there yet (partial: 100 of 500,000)" in original.own_steps([short])


def test_the_page_refuses_a_parameter_that_it_has_not() -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "original.ipynb", as_version=4)
    first, second, *_ = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert first.metadata.tags == ["parameters"]
    scope = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(first.source).body
    }
    exec(second.source, dict(scope))
    for name in ("seed", "steps"):
        with pytest.raises(RequestError, match=f"unknown parameter '{name}'"):
            exec(second.source, scope | {name: 1})
