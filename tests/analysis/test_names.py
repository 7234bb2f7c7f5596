"""What pages call symbols, claims and experiments, and how they write numbers."""

import math

import pytest

from semantica_lib.analysis.markdown import lettered, names, number, pair_name, title
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.catalogue import find, second_rounds
from semantica_lib.store import results

CLAIMS = {
    "claim 1, untied input: 0 and 1 merge (DH fails)":
        "claim 1, untied input: A and B merge (DH fails)",
    "fourth cell, untied output: 4 and 5 merge": "fourth cell, untied output: even and odd merge",
    "exploratory: parity, untied input: 5 and 3 merge":
        "exploratory: parity, untied input: its parity and D merge",
    "log-odds law for ||o_1 - o_0||": "log-odds law for ||o_B - o_A||",
    "q 0.5: untied input: 1 lies half way between 0 and 2":
        "q 0.5: untied input: B lies half way between A and C",
    "decay 0 and 0.1: both": "decay 0 and 0.1: both",
    "over 0.5 of the seeds: 0 and 1 at 0.25 to 0.75":
        "over 0.5 of the seeds: A and B at 0.25 to 0.75",
    "untied learns where tied does not (exact paired p 1)":
        "untied learns where tied does not (exact paired p 1)",
    "0 and 1: learned by more (5 and 3 of 20; paired exact test, p = 0.4)":
        "A and B: learned by more (5 and 3 of 20; paired exact test, p = 0.4)",
    "first step of 2 and 3 (never: 4 and 0)": "first step of C and D (never: 4 and 0)",
}  # fmt: skip


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_is_told_in_letters_and_loses_no_other_number(claim: str) -> None:
    assert lettered(claim) == CLAIMS[claim]


def test_every_stored_claim_stays_one_of_its_kind() -> None:
    for name in ("transformer-small", "three-synonyms", "transformer-small-ydh"):
        claims = verdicts(results.load_of(results.PUBLISHED, find(name))).claim
        assert claims.map(lettered).is_unique
        assert not claims.map(lettered).str.contains(r"\b[0-9] and [0-9]\b").any()


def test_symbols_are_letters_whatever_the_task() -> None:
    assert names(xor_task(find("transformer-small"))) == (*"ABCD", "even", "odd", "mask")
    assert names(xor_task(find("three-synonyms"))) == (*"ABCDE", "even", "odd", "mask")
    assert pair_name((2, 3)) == "C and D" and pair_name((0, 26)) == "A and S26"


def test_an_experiment_is_called_as_in_the_book_s_contents() -> None:
    assert title("transformer-small") == title("transformer-small-round-2")
    assert title("lstm-small") == "An LSTM" and title("mine") == "mine"
    assert all(title(name) != name for name in second_rounds())


def test_numbers_below_a_million_have_no_power_of_ten() -> None:
    values = [0.00123, 12.34, 999.4, 999.6, -2549.0, 123_456, 2e6, math.nan]
    told = ["0.00123", "12.3", "999", "1,000", "-2,550", "123,000", "2.00e+06", "–"]
    assert [number(value) for value in values] == told
