"""What the pages say of the second round is what its rows say."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from semantica_lib.analysis.markdown import lettered, title
from semantica_lib.analysis.statistics import FEW_SEEDS
from semantica_lib.analysis.verdicts import primary_rows, verdicts
from semantica_lib.figures import curves
from semantica_lib.figures import second_round as told
from semantica_lib.settings.catalogue import find, first_of, second_rounds, settings
from semantica_lib.store import results

PUBLISHED = [name for name in second_rounds() if (results.PUBLISHED / name).is_dir()]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path))


@cache
def rows_of(name: str) -> pd.DataFrame:
    return verdicts(told.of(find(name)))


def row(claim: str, verdict: str, share: float, **rest) -> dict:
    return {
        "experiment": "any", "claim": claim, "prediction": "in most trials", "margin": 0.5,
        "estimate": share, "low": share - 0.1, "high": share + 0.1, "seeds": 100,
        "pass_share": share, "verdict": verdict, "deviation": "",
    } | rest  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    cost = {"prediction": "on the mean", "margin": 0.1, "low": 0.05, "high": 0.25}
    return pd.DataFrame(
        [
            row("claim 1, untied input: 0 and 1 are not kept apart (DH fails)", "reproduced", 0.9),
            row("claim 1, untied input: 2 and 3 are not kept apart (DH holds)", "reproduced", 0.8),
            row("claim 1, untied input: 0 and 1 are pulled together", "not as predicted", 0.2),
            row(
                "claim 2, untied output: 0 and 1 keep their odds (DH fails)", "not reproduced", 0.1
            ),
            row("claim 3, tied: 2 and 3 merge (DH holds)", "undecided", 0.55, deviation="Close."),
            row("claim 3: tying costs no knowledge of the bit", "undecided", 0.15, **cost),
            row("claim 3: untied learns where tied does not", "reproduced", 0.75, seeds=40),
        ]
    )


def test_sentences_say_what_the_rows_say(frame: pd.DataFrame) -> None:
    result = results.load_of(results.PUBLISHED, find("transformer-small"))
    text = told.sentences(result, frame)
    for words in (
        "**In this task (The main experiment) of the paper's 6 claims 3 are reproduced, 1 is not "
        "reproduced and 2 are undecided, and of this book's 1 claim 1 is not as predicted**, by 20",
        "Untied, the input rows of A/B and C/D end within 1.25 times the distance that decay alone "
        "leaves (90 and 80 of 100 trials).",
        "By the loss itself the input rows of A/B do not end nearer than decay alone leaves them "
        "(20 of 100 trials).",
        "Untied, the output rows of A/B do not stay apart by the log of their odds (10 of 100",
        "Tied, the rows of C/D may or may not (undecided) merge (55 of 100 trials).",
        "Whether tying costs under a tenth of the bit is undecided: 0.150 [0.0500, 0.250].",
        "Of the 40 seeds of which just one trial learns it is the untied one in 30.",
    ):
        assert words in text, words
    assert told.cost([frame]).endswith("It does in *any* (0.150 [0.0500, 0.250]).")


def test_undecided_rows_are_named_with_the_seeds_that_they_would_take(frame: pd.DataFrame) -> None:
    merge, cost = told.undecided(frame).splitlines()
    assert merge.startswith("- any, claim 3, tied: C and D merge (DH holds): *undecided*. Close.")
    assert merge.endswith("it takes about 400 seeds to decide it.")  # 0.1 wide, 0.05 off
    assert "tying costs no knowledge" in cost and "about 400" in cost


def test_few_seeds_are_told_in_one_line(frame: pd.DataFrame) -> None:
    verdict = ["undecided (consistent)"] * 4 + ["undecided"] * 3
    text = told.undecided(frame.assign(seeds=5, verdict=verdict))
    words = "5 seeds or fewer decide nothing; 4 of its 7 claims are met by each of them."
    assert text == f"- any: *undecided*. By these rules {words}"


def test_the_table_that_fits_a_screen_counts_every_claim_once(
    frame: pd.DataFrame, published: None
) -> None:
    *_, line = told.grid([frame]).strip().splitlines()
    met, unmet, undecided = told.COLOURED
    cells = f"{met} 2 | {unmet} 1 | {undecided} 1 | {met} 1 {undecided} 1 | {unmet} 1"
    assert line == f"| any | {cells} |"
    frames = [rows_of(name) for name in PUBLISHED]
    lines = told.grid(frames).splitlines()[2:]
    for line, rows in zip(lines, map(primary_rows, frames), strict=True):
        trials = sum(map(int, re.findall(r"/(\d+)", line)))
        claims = sum(map(int, re.findall(r" (\d+)(?!/)\b", line)))
        assert claims + trials / rows.seeds.max() == len(rows)
        assert bool(trials) == (rows.seeds.max() <= FEW_SEEDS)


def test_of_few_seeds_the_trials_that_meet_a_claim_are_counted(frame: pd.DataFrame) -> None:
    shares = [1.0, 0.8, 0.0, 0.2, 1.0, np.nan, 0.6]
    few = frame.assign(seeds=5, verdict="undecided", pass_share=shares)
    *_, line = told.grid([few]).strip().splitlines()
    partial = few.assign(deviation="The result is partial, at step 10; it decides nothing.")
    assert "/5" not in told.grid([partial])
    cells = "🟨 9/10 | 🟨 1/5 | 🟨 5/5 | 🟨 2 | 🟨 0/5"
    assert line == f"| any | {cells} |"


def test_every_primary_row_is_decided_or_its_reason_is_told(published: None) -> None:
    text = told.whole()
    for name in PUBLISHED:
        rows = primary_rows(rows_of(name))
        if rows.seeds.max() <= FEW_SEEDS:
            assert f"- {title(name)}: *undecided*. By these rules" in text
            continue
        for row in rows.itertuples():
            about = f"{title(row.experiment)}, {lettered(row.claim)}"
            reason = f"- {about}: *{row.verdict}*. {row.deviation}"
            assert (reason in text) == (told.MARKS[row.verdict] == told.OPEN)
            assert row.deviation or told.MARKS[row.verdict] != told.OPEN


def test_a_tables_claims_are_told_with_how_many_trials_meet_them(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = find("transformer-small")
    monkeypatch.setattr(told, "_rows", lambda result: frame)
    assert told.about(main, False, "input").strip() == (
        "By the rules of the second round, in its trials: A and B are not kept apart (DH fails): "
        "90 of 100, *reproduced*; C and D are not kept apart (DH holds): 80 of 100, *reproduced*; "
        "A and B are pulled together: 20 of 100, *not as predicted*."
    )
    assert "C and D merge (DH holds): 55 of 100, *undecided*." in told.about(main, True, "input")
    assert told.about(settings({"experiment": "mine"}), True, "input") == ""


def test_why_a_cost_is_open_stands_below_the_table(frame: pd.DataFrame) -> None:
    assert "it costs 0.150 [0.0500, 0.250] of the bit, over 0" in told._why_open([frame])
    assert told._why_open([frame.assign(low=-0.1)]) == ""
    assert told._why_open([frame.assign(low=-0.1, seeds=5)]) == (
        "5 seeds or fewer decide nothing: there 9/10 says that nine of ten trials, five a claim, "
        "meet their claim."
    )


def test_a_part_of_the_table_has_the_claims_that_were_asked_for(published: None) -> None:
    rows = told.counts("untied input").partition("\n\n")[0].splitlines()[2:]
    assert rows and all(row.startswith("| claim 1, untied input") for row in rows)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_primary_row_is_coloured_and_in_its_table(name: str, published: None) -> None:
    own = find(name)
    result = told.of(own)
    assert set(result.seed.tolist()) == set(own.seeds) and result.complete and not result.dirty
    assert told.of(find(first_of(name))).digest == result.digest
    rows, text = primary_rows(rows_of(name)), told.told(own)
    table = [line for line in text.splitlines() if line.startswith("| claim")]
    marks = re.findall(f"[{told.MET}{told.UNMET}{told.OPEN}]", "".join(table))
    assert 0 < len(marks) <= len(rows)
    assert set(marks) == {told.MARKS[verdict] for verdict in rows.verdict}
    assert told.numbers([own]).count("\n| claim ") == len(rows) + 1
    assert told.RULES in text
    first = verdicts(results.load_of(results.PUBLISHED, find(first_of(name))))
    assert set(first["round"]) == {1} and set(first.experiment) == {first_of(name)}


def test_what_has_no_result_is_to_come(published: None) -> None:
    missing = [first_of(name) for name in second_rounds() if name not in PUBLISHED]
    named = ", ".join(f"*{title(name)}*" for name in missing)
    text = told.whole()
    assert not missing or f"To come, by the same rules: {named}." in text
    for name in missing:
        assert f"`semantica run {name}-round-2` trains it" in told.told(find(name))
    assert told.told(settings({"experiment": "mine"})).startswith("There is no second round of it.")


def test_a_row_without_values_has_a_colour_only(frame: pd.DataFrame) -> None:
    empty = frame.assign(estimate=np.nan, verdict="undecided").iloc[0]
    assert told.short(empty) == told.OPEN


@pytest.mark.parametrize("name", PUBLISHED[:1])
def test_the_staircase_counts_who_knows_half_of_the_bit(name: str) -> None:
    result = results.load_of(results.PUBLISHED, find(name))
    rows = verdicts(result).set_index("claim").estimate
    for line in curves.known(result).axes[0].lines[:2]:
        count = (np.asarray(line.get_xdata()) > 0.5).sum()
        tie = line.get_label()
        assert count / 100 == rows[f"exploratory: share of the bit that is known, {tie}, over 0.50"]
