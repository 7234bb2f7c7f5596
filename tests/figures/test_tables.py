"""What is set side by side is what each result says, and open results decide nothing."""

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semantica_lib.analysis.markdown import lettered, title
from semantica_lib.analysis.verdicts import COLUMNS, verdicts
from semantica_lib.figures import facts, tables
from semantica_lib.settings.catalogue import find, xor_experiments
from semantica_lib.store import results
from semantica_lib.store.results import Result

Make = Callable[..., Result]
KINDS = tables.AUTHOR, tables.PARITIES, tables.DECAY, tables.HELD_OUT


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its heads."""
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in table.strip().splitlines()]
    assert len({len(row) for row in rows}) == 1
    return rows[2:]


def partial(result: Result) -> Result:
    return replace(result, manifest={**result.manifest, "status": "partial"})


@pytest.fixture
def three(make: Make) -> list[Result]:
    """Made-up results of three experiments, the last one partial."""
    return [
        make("here", experiment="transformer-small", seeds=[1, 2]),
        make("here", experiment="lstm-small", architecture="lstm", seeds=[1, 2]),
        partial(make("here", experiment="mlp-medium", architecture="mixer", seeds=[1, 2])),
    ]


def test_both_sources_stand_side_by_side(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = make("here", seeds=[1, 2])
    own = mine.settings
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "here"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(results, "folder", lambda place, _: place / "made")
    assert "There is no published result" in tables.other(mine)
    assert "| claim | this machine, 2 seeds |" in tables.compared(tables.by_source(own))
    theirs = make("published", seeds=[1, 2, 3])
    assert [one.folder for one in tables.sources(own)] == [mine.folder, theirs.folder]
    heads = "| claim | this machine, 2 seeds | published, 3 seeds |"
    assert heads in tables.compared(tables.by_source(own))
    assert tables.other(mine).startswith("**The result published with this book**")
    assert tables.differences(own).startswith("Of the result published with this book:")


def test_experiments_come_in_reading_order_wherever_they_are_stored(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "here"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    assert sorted(tables.named()) == sorted(xor_experiments())
    sizes = [find(name).embedding_size for name in tables.named()]
    assert (tables.named()[0], sizes) == ("transformer-small", sorted(sizes))
    make("here", experiment="mlp-medium")
    make("published", experiment="lstm-small")
    make("published", experiment="transformer-small")
    mine = make("here", experiment="transformer-small")
    found = tables.stored()
    names = [one.settings.experiment for one in found]
    assert names == ["transformer-small", "lstm-small", "mlp-medium"]
    assert found[0].folder == mine.folder
    assert tables.all_rows(found).experiment.unique().tolist() == names
    text = tables.overviewed(found)
    assert (
        "- An MLP-Mixer has no result, here or published; `semantica run mlp-small` makes" in text
    )
    assert text.count("has no result") == len(xor_experiments()) - 3


def test_the_list_of_results_tells_source_commit_and_what_is_partial(
    three: list[Result],
) -> None:
    published = [replace(one, published=True) for one in three]
    rows = cells(tables.overviewed(published).partition("\n\n")[0].partition("\n- ")[0])
    assert [row[0].partition("]")[0] for row in rows] == [
        "[The main experiment", "[An LSTM", "[A larger MLP-Mixer",
    ]  # fmt: skip
    stale = "published, stale: made by other settings: schedule\\_period 40, now 20000"
    assert rows[0][2:6] == ["1, 2", "100", stale, "c" * 10]
    assert rows[2][3] == "partial: 100 of 500,000"


def test_a_trial_that_did_not_learn_refutes_that_every_one_does() -> None:
    rows = pd.DataFrame(
        [
            row("any", "the parity is learned, tied", "inconclusive") | {"pass_share": 0.6},
            row("any", "the parity is learned, untied", "reproduced") | {"pass_share": 1.0},
            row("any", "claim 1: 0 and 1 merge", "inconclusive") | {"pass_share": 0.2},
            row("any", "exploratory: 0 and 1 merge", "inconclusive") | {"pass_share": 0.2},
        ]
    ).assign(seeds=20)
    told = tables.left_open(rows)
    assert told.startswith("Of 3 primary rows 2 are inconclusive. Of the 2 that say *by every")
    assert "every trial* 1 have a trial that did not learn" in told


def row(experiment: str, claim: str, verdict: str) -> dict[str, object]:
    numbers = {"estimate": 1.0, "low": 0.5, "high": 2.0, "prediction": "under 1", "deviation": ""}
    return {"experiment": experiment, "claim": claim, "verdict": verdict, **numbers}


def test_side_by_side_each_cell_holds_its_experiment_s_rows(three: list[Result]) -> None:
    frame = pd.DataFrame(
        [
            row("transformer-small", "exploratory: seen: 2 and 3 come (never: 1 of 2)", "partly"),
            row("transformer-small", "exploratory: seen: 0 and 1 come (never: 0 of 2)", "partly"),
            row("mlp-medium", "exploratory: seen: 0 and 1 come (never: 2 of 2)", "inconclusive"),
            row("lstm-small", "seen: 0 and 1 come (never: 2 of 2)", "partly"),
            row("lstm-small", "exploratory: other: 4 and 5", "no prediction")
            | {"prediction": "none", "low": np.nan},
        ]
    )
    columns = {"come": r"seen: .* \((never: .*)\)", "other": "other"}
    assert cells(tables.beside(three, frame, columns)) == [
        [
            "The main experiment",
            "C and D: 1.00 [0.500, 2.00], *partly*; never: 1 of 2<br>"
            "A and B: 1.00 [0.500, 2.00], *partly*; never: 0 of 2",
            "–",
        ],
        ["An LSTM", "–", "E and F: 1.00 [–, 2.00]"],
        [
            "A larger MLP-Mixer (partial: 100 of 500,000)",
            "A and B: 1.00 [0.500, 2.00], *open*; never: 2 of 2",
            "–",
        ],
    ]


def test_each_column_finds_rows_among_the_claims_that_there_are(make: Make) -> None:
    result = make(seeds=[1, 2])
    norms = np.ones((len(result.seed), len(result.steps), 2))
    claims = verdicts(replace(result, measured_steps=result.steps, hidden_norm=norms)).claim
    taken = [claims[claims.str.match(f"exploratory: {pattern}")] for pattern in patterns()]
    assert min(map(len, taken)) > 0
    assert not pd.concat(taken).index.has_duplicates


def patterns() -> Iterator[str]:
    for columns in KINDS:
        yield from columns.values()


def test_every_row_is_there_with_every_column(three: list[Result]) -> None:
    frame = tables.all_rows(three)
    assert frame.claim.str.contains("||", regex=False).any()  # what could break a table
    parts = tables.everything(frame).split("\n\n")
    for one, head, table in zip(three, parts[::2], parts[1::2], strict=True):
        rows = frame[frame.experiment == one.settings.experiment]
        assert head.strip().startswith(f"**{title(one.settings.experiment)}** (`")
        assert rows.manifest_sha256.iloc[0][:12] in head
        assert len(cells(table)) == len(rows)
        shown = re.findall(r"<tr>(.*?)</tr>", facts.html(table), re.DOTALL)[1:]
        text = [re.findall(r"<td>(.*?)</td>", row)[0] for row in shown]
        assert [html.unescape(claim) for claim in text] == [*map(lettered, rows.claim)]
        assert cells(table)[0][-2:] == [rows.verdict.iloc[0], rows.deviation.iloc[0]]
        heads = table.splitlines()[0][2:-2].split(" | ")
        assert heads == [c for c in COLUMNS if c in heads]
        assert {"failed", "pass_share", "deviation", "margin"} <= set(heads)


def test_of_two_results_the_complete_one_of_more_trials_is_shown(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seeds that were trained here do not stand in for twenty published ones."""
    mine, theirs = (make(where, seeds=s) for where, s in (("here", [1, 2]), ("there", [1, 2, 3])))
    for found, shown in (
        ([mine, theirs], theirs),
        ([theirs, mine], theirs),
        ([mine, partial(theirs)], mine),
        ([mine, replace(mine)], mine),
        ([], None),
    ):
        monkeypatch.setattr(tables, "sources", lambda own, found=found: found)
        assert tables.stored(["transformer-small"]) == ([shown] if shown else [])
