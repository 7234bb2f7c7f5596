"""Ways to tie: predictions, verdicts, tables and figures on made-up points with known answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from made_schemes import SEEDS, TIES, random_tables, scheme_point
from plain import PlainModel
from scipy.spatial import procrustes
from scipy.stats import linregress

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.schemes import figures, measures, tables
from semantica_lib.chapters.schemes.claims import cost_claims, shaping_claims
from semantica_lib.datasets.xor import xor_task
from semantica_lib.files import ROOT
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.settings.ties import strength

LOOKUPS = {"lookup:0.1": 0.1, "lookup:0.3": 0.3, "tied": 1, "lookup:3": 3, "lookup:10": 10}
LOOKUPS |= {"lookup:30": 30}
SHARED = {"untied": 0.6, "soft:0.01": 0.55, "soft:0.1": 0.5, "soft:1": 0.4, "tied": 0.3}


def wobble(seed: int, tie: str) -> float:
    """Something small that differs among trials."""
    return 0.01 * ((seed * 7 + TIES.index(tie) * 3) % 5)


def as_predicted(seed: int, tie: str) -> float:
    others = {"tied-but-mask": 0.55, "mapped": 0.5, "scaled:0.02": 0.3} | SHARED
    share = others.get(tie, 0.4)
    if tie in LOOKUPS:
        share = 0.3 + 0.1 * np.log10(LOOKUPS[tie])
    return share + wobble(seed, tie)


def drawn_to_the_reader(seed: int, tie: str) -> tuple[np.ndarray, np.ndarray]:
    """The greater the look-up's gradient, the more of the common input table; A and B nearer."""
    reader, writer = np.random.default_rng(5).normal(size=(2, 7, 4))
    noise = 0.05 * random_tables(seed, tie)[0]
    if tie == "untied":
        return reader + noise, writer - noise
    share = (np.log10(LOOKUPS.get(tie, 1)) + 1) / 2.5
    table = share * reader + (1 - share) * writer
    table[1] = table[0] + 2 - share
    return table + noise, table + noise


def rows(found: list[Point], of=cost_claims):
    return judged("made", *of(found), [one.result for one in found])


def both(folder: Path, *about) -> list[Point]:
    return [scheme_point(folder, *about, expectation=loss) for loss in ("sampled", "exact")]


def judged_of(found: list[Point]) -> list[pd.DataFrame]:
    return [rows(found, of) for of in (cost_claims, shaping_claims)]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Point], list[pd.DataFrame]]:
    """Points that do as predicted, and their rows of either chapter."""
    found = both(tmp_path_factory.mktemp("met"), as_predicted, drawn_to_the_reader)
    return found, judged_of(found)


def test_the_sweep_has_the_ways_and_seeds_that_the_predictions_are_on() -> None:
    found = [own for _, own in points(read(sweeps()["schemes"]))]
    assert [own.expectation for own in found] == ["sampled", "exact"]
    for own in found:
        assert own.seeds == tuple(range(2000, 2060)) and set(own.ties) == set(TIES)


def test_a_tied_model_begins_by_predicting_the_mask_and_an_untied_one_does_not() -> None:
    """By plain PyTorch, at step 0 of half of the sweep's seeds, on strings at random."""
    own = next(own for _, own in points(read(sweeps()["schemes"])))
    task, strings = xor_task(own), torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (64, own.bits), generator=strings)
    rare = torch.rand(bits.shape, generator=strings) < torch.tensor([0.1, 0.5])[bits]
    tokens = torch.cat([2 * bits + ~rare, task.parity + bits.sum(1, keepdim=True) % 2], 1)
    tokens[:, 0] = task.mask
    found = {}
    for tied in (True, False):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            shares = []
            for seed in own.seeds[:30]:
                torch.manual_seed(seed)
                logits = PlainModel(own, task.vocabulary, tied).logits(tokens)[:, 0]
                shares.append(logits.softmax(-1)[:, task.mask].mean().item())
        found[tied] = np.mean(shares)
    words = (ROOT / "notebooks" / "schemes.ipynb").read_text()
    assert "about 0.4 at step 0 where an untied one has less than 0.2" in words
    assert 0.35 < found[True] < 0.45, found and 0.1 < found[False] < 0.2


def test_primary_rows_are_four_and_five_and_met_by_what_was_predicted(met) -> None:
    costs, shaping = map(primary_rows, met[1])
    assert costs.claim.str.startswith("sampled loss").all()
    assert [words.partition(": ")[2] for words in costs.claim] == [
        "tied-but-mask knows more of the bit than tied",
        "tied-but-mask knows more of the bit than scaled:0.02",
        "mapped knows more of the bit than tied",
        "the more alike the two tables are held, the less is known",
    ]
    losses = shaping.claim.str.partition(" loss")[0]
    assert losses.tolist() == ["sampled"] * 3 + ["exact"] * 2
    assert set(costs.verdict) == set(shaping.verdict) == {"as predicted"}


def test_what_is_contrary_or_open_is_told(tmp_path: Path) -> None:
    def contrary(seed: int, tie: str) -> float:
        return 0.9 - as_predicted(seed, tie)

    def away(seed: int, tie: str) -> tuple[np.ndarray, np.ndarray]:
        return drawn_to_the_reader(seed, _other_end(tie))

    found = [scheme_point(tmp_path, contrary, away)]
    told = [set(primary_rows(rows(found, of)).verdict) for of in (cost_claims, shaping_claims)]
    assert told == [{"not as predicted"}] * 2
    chance = [scheme_point(tmp_path / "chance", lambda seed, tie: 0.4 + wobble(seed, tie))]
    assert set(primary_rows(rows(chance)).verdict) == {"undecided"}


def _other_end(tie: str) -> str:
    order = list(LOOKUPS)
    return order[-1 - order.index(tie)] if tie in LOOKUPS else tie


def test_slopes_are_those_of_a_regression(tmp_path: Path) -> None:
    found = measures.at([scheme_point(tmp_path, as_predicted)], "sampled")
    known, doses = found.known, measures.lookups(found)
    assert list(doses) == list(LOOKUPS)
    x = np.log10(list(LOOKUPS.values()))
    for seed, slope in measures.trend(found, doses).items():
        assert slope == pytest.approx(linregress(x, known.loc[seed, list(LOOKUPS)]).slope)
    alike = measures.likeness(found)
    assert alike == {tie: at for at, tie in enumerate(SHARED)}
    for seed, slope in measures.trend(found, alike).items():
        assert slope == pytest.approx(linregress(range(5), known.loc[seed, list(SHARED)]).slope)


def test_alignment_is_that_of_scipys_procrustes(tmp_path: Path) -> None:
    found = measures.at([scheme_point(tmp_path)], "sampled")
    ties = ["lookup:3", "mapped"]
    got = measures.alignments(found, ties)
    for at, tie in enumerate(ties):
        for i, seed in enumerate(SEEDS[:3]):
            for j, other in enumerate(SEEDS[:3]):
                own, untied = random_tables(seed, tie)[0], random_tables(other, "untied")
                reader, writer = (procrustes(own, one)[2] for one in untied)
                assert got[at, i, j] == pytest.approx(np.log(writer / reader), rel=1e-4)


def test_a_trial_that_diverged_knows_nothing_and_a_missing_one_keeps_all_open(
    tmp_path: Path,
) -> None:
    one = scheme_point(tmp_path, as_predicted)
    lost = {"seed": 3, "tied": False, "tie": "mapped", "step": 5}
    gone = replace(one.result, manifest=one.result.manifest | {"diverged": [lost]})
    found = [one._replace(result=gone)]
    assert measures.at(found, "sampled").known["mapped"][3] == 0
    keep = ~((gone.seed == 3) & (gone.tie == "mapped"))
    fewer = {
        name: getattr(one.result, name)[keep]
        for name in ("seed", "tied", "tie", "input_embedding", "output_embedding")
    }
    metrics = one.result.metrics[~one.result.metrics.eval("seed == 3 and tie == 'mapped'")]
    found = [one._replace(result=replace(one.result, metrics=metrics, **fewer))]
    primary = primary_rows(rows(found)).set_index("claim")
    row = primary.loc["sampled loss: mapped knows more of the bit than tied"]
    assert row.verdict == "undecided" and "mapped trials of seeds 3 are missing" in row.deviation


def test_a_result_without_all_ways_is_none(tmp_path: Path) -> None:
    """As where the sweep on biases has trained tied and untied of the same point."""
    one = scheme_point(tmp_path, ties=("tied", "untied"))
    found = [one._replace(settings=one.settings.model_copy(update={"ties": TIES}))]
    assert measures.at(found, "sampled") is None
    assert rows(found).empty and "no result yet" in tables.listed("schemes", found)
    assert "to come" in tables.answer(found, judged_of(found)[1]) and "Nothing" in tables.testbed(
        found, "sampled"
    )
    assert [axes.texts[0].get_text() for axes in figures.instead(found).axes] == ["not trained"] * 2
    assert len(figures.doses(found).axes) == 3


def test_the_testbed_has_a_row_a_way_with_its_cost(tmp_path: Path) -> None:
    found = both(tmp_path, lambda seed, tie: SHARED.get(tie, 0.5), drawn_to_the_reader)
    lines = tables.testbed(found, "exact").splitlines()
    assert len(lines) == 2 + len(TIES)
    heads, *cells = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    by = {row[0]: dict(zip(heads, row, strict=True)) for row in cells[1:]}
    assert next(iter(by)) == "`untied`" and [*by][-1] == "`tied`"
    assert by["`soft:1`"]["cost: untied minus it"].startswith("0.200 [0.200")
    assert (
        by["`tied`"]["over half of it"] == "0 of 8"
        and by["`untied`"]["over half of it"] == "8 of 8"
    )
    assert by["`lookup:30`"]["its tables' unlikeness, 0 to 1"] == "0"
    assert {f"`{tie}`" for tie in TIES} == by.keys()


def test_the_figure_shows_every_seed_of_every_way_in_order(tmp_path: Path) -> None:
    axes, _ = figures.instead([scheme_point(tmp_path, as_predicted)]).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == measures.ordered(TIES)
    assert measures.ordered(["tied", "mine", "lookup:3", "untied"])[2:] == ["mine", "tied"]
    assert "own" in tables.told("mine")
    assert tables.told("lookup:3", "lookup:10").endswith("gradient times 3, 10")
    assert [strength(tie) for tie in names if tie.startswith("lookup")] == [0.1, 0.3, 3, 10, 30]
    for at, tie in enumerate(names):
        drawn = [line for line in axes.lines if list(line.get_ydata()) == [at] * len(SEEDS)]
        expected = sorted(as_predicted(seed, tie) for seed in SEEDS)
        assert sorted(drawn[0].get_xdata()) == pytest.approx(expected)


def test_what_came_out_is_told_by_the_verdicts(met, tmp_path: Path) -> None:
    found, (costs, shaping) = met
    lines = tables.says(costs, shaping).splitlines()
    assert len(lines) == 4 + 5 and all("as predicted" in line for line in lines)
    told = tables.answer(found, shaping)
    assert told.count("as predicted") == 2 and told.count("\n- **") == 2
    assert tables.told("tied-but-mask") in told.partition("What to do instead")[2]
    opened = tables.opening(found, costs, shaping)
    assert "4 came out; " in opened and "5 came out. Instead of tying: these know more" in opened
    assert "8 seeds, a plain interval each" in opened
    alike = "the more alike two tables are held, from untied to tied, the "
    for verdict, words in {
        "as predicted": f"With the sampled loss **{alike}less is known on average**, as predicted",
        "not as predicted": f"With the sampled loss **{alike}more is known on average** (",
        "undecided": f"Undecided with the sampled loss is whether {alike}less is known on average",
    }.items():
        line = tables.says(costs.assign(verdict=verdict), shaping).splitlines()[3]
        assert words in line and ("contrary was predicted" in line) == (verdict[:3] == "not")


def test_a_scheme_of_ones_own_has_a_row_below_with_its_cost_against_untied(tmp_path: Path) -> None:
    found = [scheme_point(tmp_path / "ours", lambda seed, tie: 0.5)]
    word = "Mine@0123456789ab"
    about = {"ties": (word,), "scheme": word}
    own = scheme_point(tmp_path / "own", lambda seed, tie: 0.7, **about)
    elsewhere = scheme_point(tmp_path / "own", expectation="exact", **about)
    before = tables.testbed(found, "sampled").splitlines()
    *same, line = tables.testbed(found, "sampled", [elsewhere, own]).splitlines()
    assert same == before and line.startswith(f"| `{word}` |")
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2].startswith("0.700") and cells[4].startswith("-0.200")
    assert tables.testbed([], "sampled", [own]) == tables.testbed([], "sampled")
