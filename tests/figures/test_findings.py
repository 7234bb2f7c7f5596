"""What captions begin with is counted here again, from the stored arrays; it reaches pages."""

import re
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure

from semantica_lib.analysis.markdown import listed
from semantica_lib.datasets.xor import xor_task
from semantica_lib.figures import explorer, findings, style
from semantica_lib.figures.moving import moving
from semantica_lib.pages import captions, readme
from semantica_lib.store import results
from semantica_lib.store.results import Result

NAMES = "A", "B", "C", "D", "even", "odd", "mask"


@pytest.fixture(scope="module")
def main() -> Result:
    result = results.load(results.PUBLISHED / "transformer-small")
    assert result and result.settings.period == 20_000
    return result


def ends(result: Result, tie: str, table: str) -> np.ndarray:
    """Distances of all rows over the last period, ``(trial, record, symbol, symbol)``."""
    rows = getattr(result, f"{table}_embedding")[result.tie == tie].astype(float)
    rows = rows[:, result.steps > result.steps[-1] - result.settings.period]
    return np.linalg.norm(rows[:, :, :, None] - rows[:, :, None], axis=-1)


def test_merged_pairs_are_counted(main: Result) -> None:
    for tie, table, where in (
        ("tied", "input", "tied"),
        ("untied", "input", "untied input"),
        ("untied", "output", "untied output"),
    ):
        apart = ends(main, tie, table)
        control = np.median([apart[..., a, b] for a in (0, 1) for b in (2, 3)], 0).mean(1)
        apart = apart.mean(1)
        counts = [(apart[:, a, a + 1] < 0.1 * control).sum() for a in (0, 2)]
        told = f"of 20 trials ({where}) A and B in {counts[0]}, C and D in {counts[1]}"
        assert findings.merged(main, (tie == "tied", table)) == f"Merged at the end: {told}."
        assert told in findings.merged(main)
        nearest = apart.mean(0) + np.diag([np.inf] * 7)
        pair = np.unravel_index(nearest.argmin(), nearest.shape)
        told = (
            f"In every table {NAMES[min(pair)]} and {NAMES[max(pair)]} end nearest to each other."
        )
        assert findings.nearest(main) == told


def test_who_learned_and_knows_is_counted(main: Result) -> None:
    rows = main.metrics[(main.metrics.step > main.steps[-1] - 20_000)]
    loss = rows[rows.split == "train"].groupby(["tie", "seed"]).loss.mean()
    learned = (loss <= xor_task(main.settings).ceiling("train")[1] + 0.25).groupby("tie").sum()
    told = findings.learned(main)
    assert told.startswith("The parity is learned by ")
    assert re.findall(r"(\d+) of 20 (\w+) trials", told) == [
        (str(learned["tied"]), "tied"), (str(learned["untied"]), "untied"),
    ]  # fmt: skip
    loss = rows[rows.split == "exact"].groupby(["tie", "seed"]).loss.mean()
    over = xor_task(main.settings).ceiling("exact")[1] + np.log(2) / 2
    tied, untied = ((loss[tie] < over).sum() for tie in ("tied", "untied"))
    counts = f"{tied} of 20 tied trials and {untied} of 20 untied trials"
    assert findings.known(main) == f"Over half of the bit is known at the end by {counts}."


def test_nothing_is_said_without_an_end(main: Result) -> None:
    early = replace(
        main, steps=main.steps[:1], input_embedding=main.input_embedding[:, :1],
        output_embedding=main.output_embedding[:, :1],
    )  # fmt: skip
    for told in (findings.merged, findings.learned, findings.known, findings.nearest):
        assert told(early) == ""


def test_what_was_found_begins_the_caption_and_the_text_of_a_page() -> None:
    shown = style.show(Figure(), "It *is* `so`.")
    data, metadata = shown._repr_svg_()
    about = {"figure": {"name": "fig-a", "caption": "Lines."}, "image": {"alt": "A plot."}}
    output = nbformat.v4.new_output(
        "display_data", {"image/svg+xml": data}, metadata={"image/svg+xml": metadata}
    )
    cells = [
        nbformat.v4.new_code_cell("x", metadata={"mystnb": about}, outputs=[output]),
        nbformat.v4.new_code_cell("y", metadata={"mystnb": {"figure": {"name": "fig-b"}}}),
        nbformat.v4.new_markdown_cell("z"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    captions.complete(notebook, "page")
    own, other, _ = (cell.metadata.get("mystnb") for cell in notebook.cells)
    assert own == {
        "figure": {"name": "fig-a-page", "caption": "It *is* `so`. Lines."},
        "image": {"alt": "It is so. A plot."},
    }
    assert other == {"figure": {"name": "fig-b-page"}}


def test_the_moving_picture_is_current_and_ends_where_the_trial_does(main: Result) -> None:
    found = explorer.data(main)
    text, stored = moving(found), readme.MOVING.read_text("utf-8")
    number = r"-?\d+\.?\d*"
    assert re.sub(number, "0", text) == re.sub(number, "0", stored), "run `make readme`"
    places = [np.array(re.findall(number, one), float) for one in (text, stored)]
    np.testing.assert_allclose(*places, atol=0.5)  # parts of a pixel, of another processor
    assert len(stored) < 100_000 and "prefers-reduced-motion:reduce" in stored
    marks = re.findall(r'class="m" style="animation-name:(\w+);transform:(\S+)"', stored)
    assert len(marks) == 3 * (len(NAMES) + 1)  # and the step's line below each panel
    for name, end in marks:  # what does not move shows the end
        frames = re.search(rf"@keyframes {name}\{{(.*?}})\}}", stored)[1].split("}")[:-1]
        assert len(frames) > 30 and frames[0].startswith("0.0%")
        assert frames[-1].partition("%{transform:")[2] == end
    places = np.array([re.findall(number, end) for _, end in marks], float)
    for index, panel in enumerate(found["trials"][0]["panels"]):
        drawn = places[8 * index : 8 * index + 7]
        rows = np.array(panel["rows"][-1]).reshape(-1, 2) * (1, -1)
        across = np.linalg.norm(drawn[0] - drawn[2]) / np.linalg.norm(rows[0] - rows[2])
        for a, b in ((0, 1), (1, 3), (4, 6)):
            moved = across * (rows[b] - rows[a])
            np.testing.assert_allclose(drawn[b] - drawn[a], moved, atol=0.5)


def test_words_are_listed() -> None:
    assert [listed("a"), listed("abc"), listed("ab", ";")] == ["a", "a, b and c", "a and b"]
