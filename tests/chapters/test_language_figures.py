"""A language model's figures and words show the numbers of its result, for any settings."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from made_language import AS_PREDICTED, made
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from semantica_lib.analysis.markdown import NONE
from semantica_lib.analysis.verdicts import summary, verdicts
from semantica_lib.chapters.language import figures as language
from semantica_lib.chapters.language import tables as language_facts
from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import run_command
from semantica_lib.store import results
from semantica_lib.store.results import Result

Make = Callable[..., Result]
PANELS = {
    "tied": (True, "input"),
    "untied input": (False, "input"),
    "untied output": (False, "output"),
}


@pytest.fixture
def make_one(tmp_path: Path) -> Make:
    return lambda *args, folder="one", **values: made(tmp_path / folder, *args, **values)


def words(figure: Figure) -> list[str]:
    """All text inside the axes."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def keys(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def plain(result: Result, tied: bool, table: str, of: bool | None) -> np.ndarray:
    """Mean distances of a class (None: unrelated words), ``(trial, record)``, by seed."""
    rows = getattr(result, f"{table}_embedding").astype(float)
    count, curves = result.holds.shape[1], []
    for trial in np.argsort(result.seed):
        if result.tied[trial] != tied:
            continue
        pairs = [(i, i + count) for i in range(count) if result.holds[trial, i] == of]
        if of is None:
            pairs = list(combinations(range(count), 2))
        apart = [np.sqrt(((rows[trial, :, i] - rows[trial, :, j]) ** 2).sum(1)) for i, j in pairs]
        curves.append(np.mean(apart, 0))
    return np.array(curves)


def thick(axes: Axes) -> list[np.ndarray]:
    """The heights of the mean curves, in the order in which they were drawn."""
    return [line.get_ydata() for line in axes.lines if line.get_linewidth() == 2.2]


def thin(axes: Axes) -> list[np.ndarray]:
    return [line.get_ydata() for line in axes.lines if line.get_linewidth() == 0.8]


def test_distances_draw_every_seed_and_the_mean_of_each_class(make_one: Make) -> None:
    result = make_one()
    figure = language.distances(result)
    assert [axes.get_title() for axes in figure.axes] == list(PANELS)
    for axes, (tied, table) in zip(figure.axes, PANELS.values(), strict=True):
        expected = [plain(result, tied, table, of) for of in (True, False, None)]
        np.testing.assert_allclose(thin(axes), np.concatenate(expected), rtol=1e-9)
        np.testing.assert_allclose(thick(axes), [curves.mean(0) for curves in expected], rtol=1e-9)
        assert axes.lines[0].get_xdata().tolist() == result.steps.tolist()
        band = axes.collections[0].get_paths()[0].vertices
        low, high = stats.t.interval(
            0.95, 4, expected[0][:, -1].mean(), stats.sem(expected[0][:, -1])
        )
        at_end = band[band[:, 0] == result.steps[-1], 1]
        assert (at_end.min(), at_end.max()) == pytest.approx((low, high))
        assert axes.get_ylim()[0] == 0
    means = [line for line in figure.axes[0].lines if line.get_linewidth() == 2.2]
    assert len({line.get_marker() for line in means}) == 3  # told apart without colour
    assert keys(figure) == [
        "synonyms, DH holds", "synonyms, DH broken", "two unrelated words", "one seed",
    ]  # fmt: skip


def test_ratios_are_of_means_and_have_a_line_at_1(make_one: Make) -> None:
    result = make_one()
    figure = language.distances(result, "ratio")
    for axes, (tied, table) in zip(figure.axes, PANELS.values(), strict=True):
        unrelated = plain(result, tied, table, None)
        expected = [(plain(result, tied, table, of) / unrelated).mean(0) for of in (True, False)]
        np.testing.assert_allclose(thick(axes), expected, rtol=1e-9)
        assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[1, 1], [0.9, 0.9]]
    assert "as far as unrelated words" in keys(figure)


def test_cosines_may_be_below_0(make_one: Make) -> None:
    result = make_one()
    opposite = -result.input_embedding[:, :, :7]
    rows = np.concatenate([result.input_embedding[:, :, :7], opposite], axis=2)
    axes = language.distances(replace(result, input_embedding=rows), "cosine").axes[1]
    np.testing.assert_allclose(thick(axes)[:2], -1)
    assert axes.get_ylim()[0] < -1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, []),
        ({"seeds": [7]}, []),
        ({"ties": ["tied"]}, ["no untied trials"] * 2),
        ({"ties": ["untied"], "broken_synonyms": 0}, ["no tied trials"]),
        ({"synonyms": 0}, []),
        ({"steps": 20, "schedule_period": 1000}, []),
        ({"synonyms": 1, "broken_synonyms": 0}, []),
        ({"diverged": [(42, True), (43, False)]}, []),
    ],
)
def test_any_result_can_be_drawn(
    make_one: Make, fits: Callable[[Figure], bool], values: dict, told: list[str]
) -> None:
    result = make_one(**values)
    for measure in ("distance", "ratio", "cosine"):
        assert words(language.distances(result, measure)) == told
    ratio = language.distances(result, "ratio")
    for figure in (ratio, language.losses(result), language.variants({"as here": result})):
        assert fits(figure)
    assert language_facts.ending(result)
    assert language_facts.learning(result)
    assert language_facts.facts(result, verdicts(result))


def test_losses_stand_beside_the_frequencies(make_one: Make) -> None:
    result = make_one()
    unigram = {str(seed): {"accuracy": seed / 100, "loss": float(seed)} for seed in range(42, 50)}
    result = replace(result, manifest={**result.manifest, "unigram": unigram})
    figure = language.losses(result)
    rows = result.metrics[result.metrics.split == "validation"]
    for axes, quantity, baseline in zip(
        figure.axes, ("loss", "accuracy"), (44.0, 0.44), strict=True
    ):  # the mean over the five seeds that it has
        expected = [
            rows[rows.tied == tied].groupby("step")[quantity].mean() for tied in (True, False)
        ]
        np.testing.assert_allclose(thick(axes), expected)
        assert axes.lines[-1].get_ydata()[0] == pytest.approx(baseline)
        assert axes.lines[-1].get_linestyle() == ":"
    assert keys(figure)[:2] == ["tied: mean, 95% band", "untied: mean, 95% band"]


def test_variants_draw_a_dot_a_seed_and_the_mean(make_one: Make) -> None:
    found = {
        "as here": make_one(seeds=[1, 2, 3]),
        "alone": make_one({(False, "output", True): 0.9}, folder="two", seeds=[1], gain=-1.0),
        "short": make_one(folder="three", seeds=[1, 2], schedule_period=1000),
    }
    figure = language.variants(found)
    ratios, learned = figure.axes
    assert [text.get_text() for text in ratios.get_yticklabels()] == list(found)
    assert words(figure) == ["ends too early"]
    dots = [one.get_offsets() for one in ratios.collections]
    assert [len(some) for some in dots] == [3, 3, 3, 1, 1, 1]
    for index, (tied, table) in enumerate(PANELS.values()):
        for row, result in enumerate(list(found.values())[:2]):
            unrelated = plain(result, tied, table, None)[:, -1]
            expected = plain(result, tied, table, True)[:, -1] / unrelated
            np.testing.assert_allclose(dots[3 * row + index][:, 0], expected)
            mean = ratios.lines[3 * row + index].get_xdata()[0]
            assert mean == pytest.approx(stats.gmean(expected))
            assert abs(dots[3 * row + index][0, 1] - row) < 0.5
    assert ratios.get_xlim() == (0, 1.1)
    gains = [one.get_offsets()[:, 0].mean() for one in learned.collections]
    assert gains == pytest.approx([-0.98, -1, 1.02, 1])
    assert words(language.variants({})) == ["nothing is stored"]
    no_such = make_one(folder="four", synonyms=0)
    assert words(language.variants({"a": no_such})) == ["no synonyms for which DH holds"]


def test_neighbours_of_each_class_are_those_of_the_first_seed(make_one: Make) -> None:
    result = make_one(seeds=[8, 7])
    near = result.neighbours.copy()
    near[result.seed == 8] = "other"
    near[(result.seed == 7) & ~result.tied, 1, :, 0] = "first"  # the untied output table
    table = language_facts.neighbours(replace(result, neighbours=near))
    assert "other" not in table
    rows = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in table.splitlines()[2:]]
    holds = result.holds[result.seed == 7][0]
    names = result.words[:7]
    chosen = [*names[holds][:3], *names[~holds][:3]]
    assert [row[0] for row in rows] == [f"`{name}`" for name in chosen]
    assert [row[1] for row in rows] == ["holds"] * 3 + ["broken"] * 3
    for row, name in zip(rows, chosen, strict=True):
        rest = " `##s` `\\|` `[MASK]` `` ` ``"
        assert row[2:] == [f"**`{name}*`**{rest}"] * 2 + [f"`first`{rest}"]


def test_neighbours_of_words_that_one_asks_for(make_one: Make) -> None:
    result = make_one(ties=["untied"])
    (line,) = language_facts.neighbours(result, ["of*"]).splitlines()[2:]
    assert line.startswith("| `of*` | ")
    assert f"| {NONE} | **`of`** `##s`" in line  # no tied trials; the word is its synonym
    with pytest.raises(RequestError, match=r"^'off' has no synonym here \(did you mean 'of'\?\)$"):
        language_facts.neighbours(result, ["off"])


def test_facts_are_the_analysis_s_numbers(make_one: Make) -> None:
    result = make_one(costs=(0.004, 0.05))
    frame = verdicts(result)
    found = language_facts.facts(result, frame)
    assert found["tied_holds_ratio"] == "0.450"
    assert found["untied_output_holds_ratio"] == "0.400"
    assert found["untied_input_broken_ratio"] == "0.550"
    distance = plain(result, False, "output", False)[:, -1].mean()
    assert found["untied_output_broken_distance"] == f"{distance:.3g}"
    assert (found["cost_holds"], found["cost_broken"]) == ("0.00400", "0.0500")
    assert (found["loss_tied"], found["loss_untied"]) == ("5.02", "5.00")
    assert found["loss_frequencies"] == "6.00"
    assert found["verdict_summary"] == "of 9 primary claims 9 consistent with the paper"
    text = language_facts.ending(result)
    line = "the DH holds 0.450, those for which the DH is broken 0.900 times"
    assert f"- **tied**: those for which {line} as far apart" in text
    assert "0.00400 where the DH holds, 0.0500 where the DH is broken" in (
        language_facts.learning(result)
    )


def test_a_caption_begins_with_which_tables_bring_synonyms_together(
    make_one: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_one({(True, "input", False): 1.3, (False, "output", False): 1.2})
    for measure in ("ratio", "distance"):
        assert language_facts.seen(result, measure).startswith(
            "Synonyms end clearly nearer than unrelated words: where the DH holds in all tables, "
            "where the DH is broken in the untied input one alone."
        )
    alike = language_facts.seen(result, "cosine")  # a synonym's row is its word's, and more
    assert (
        alike.startswith("Synonyms end clearly more alike than")
        and "broken in all tables. " in alike
    )
    apart = make_one({(tied, table, False): 1.5 for tied, table, _ in AS_PREDICTED})
    assert "broken in no table." in language_facts.seen(apart, "ratio")
    one = make_one(ties=["tied"])  # says nothing of what was not trained
    assert language_facts.attained(one) == language_facts.seen(one, "ratio") == ""
    first = "Untied trials end at less loss than tied ones, 5.00 against 5.02 nats; "
    assert language_facts.attained(result).startswith(first)
    monkeypatch.setattr(language_facts.Language, "cost", lambda *_: np.array([-0.1, 0.02]))
    assert "Tied trials end at less loss than untied ones, 5.02 " in language_facts.attained(result)


def test_an_unfinished_result_says_so(make_one: Make) -> None:
    partial = make_one(status="partial")
    assert language_facts.ending(partial).startswith("Synonyms are so far")
    assert "trials are so far at less loss" in language_facts.attained(partial)
    short = make_one(schedule_period=1000)
    assert "before the rate's lowest point" in language_facts.ending(short)
    assert "before the rate's lowest point" in language_facts.learning(short)


def test_what_is_asked_and_predicted_needs_no_result(make_one: Make) -> None:
    own = make_one(question="Why?").settings
    assert language_facts.asked(own) == (
        "**Why?** (`made`) The model: masked language model (grammar), 2 layers, d 8. The text: "
        "sentences of a small generative grammar. Words with a synonym: 4 for which the DH holds, "
        "3 for which it is broken."
    )
    lines = language_facts.predictions(own).splitlines()[2:]
    frame = verdicts(make_one())
    expected = zip(frame.claim[:9], frame.prediction[:9], strict=True)
    assert lines == [f"| {claim} | {words} |" for claim, words in expected]


def test_variants_that_are_not_stored_are_named_with_their_command(
    make_one: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "here"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    result = make_one(learning_rate=2e-3)
    stored = make_one(learning_rate=2e-3, norm="after", seeds=[1])
    made(
        results.folder(results.here(), stored.settings), learning_rate=2e-3, norm="after",
        seeds=[1],
    )  # fmt: skip
    found, missing = language_facts.stored_variants(result)
    assert list(found) == ["as here", "norm after"]
    assert found["norm after"].settings.norm == "after"
    assert found["as here"] is result
    lines = missing.splitlines()
    assert len(lines) == 4
    command = f"{run_command(result.settings)} --set positions=false"
    assert lines[0] == f"- *no positions* is not trained yet; `{command}` does."
    for change in ('norm="after"', "positions=false", "embedding_std=0.3", "learning_rate=0.0001"):
        assert change in lines[-1]


def test_the_text_is_told_by_its_digest(make_one: Make) -> None:
    result = make_one()
    assert language_facts.text(result) == (
        "**The text**: some text, 40,000 sentences, 380,000 words, sha256 a1b2a1b2a1b2. It is of "
        "Python 3.11 and 2 packages; the manifest has the versions. Cut by a tokenizer of at most "
        "4,096 pieces (1.2% unknown) into rows of 15: 9,000 (train), 1,000 (validation), 2,000 "
        "(test)."
    )
    # a hub's text, streamed: nobody has counted it
    about = {name: result.manifest["text"][name] for name in ("rows", "text_sha256")}
    about |= {"source": "a hub", "unknown_share": 0.0}
    own = {**result.manifest["settings"], "corpus": "bookcorpus", "vocabulary_size": None}
    hub = replace(result, manifest={**result.manifest, "text": about, "settings": own})
    assert language_facts.text(hub).startswith(
        "**The text**: a hub, sha256 a1b2a1b2a1b2. Cut by the hub's tokenizer (0% unknown) into"
    )


def test_a_first_run_is_told_where_it_is_stored_and_another_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(language_facts, "FIRST", {"made": {"schedule_period": 160}})
    now = made(tmp_path / "now")
    assert language_facts.first_run(now) == ""
    own = now.settings.model_copy(update={"schedule_period": 160})
    folder = results.folder(results.PUBLISHED, own)
    before = made(folder, schedule_period=160, steps=80)
    told = language_facts.first_run(now)
    assert "had 80 steps" in told and language_facts.ending(before) in told
    assert language_facts.first_run(before) == ""
    assert language_facts.first_run(made(tmp_path / "other", experiment="other")) == ""


def test_the_papers_seeds_are_told_apart_where_others_were_added(make_one: Make) -> None:
    few, many = make_one(), make_one(folder="many", seeds=list(range(42, 49)))
    assert set(few.seed.tolist()) == set(results.PAPER_SEEDS)
    assert language_facts.paper_seeds(few) == ""
    told = language_facts.paper_seeds(many)
    five = verdicts(many.of_seeds(results.PAPER_SEEDS))
    assert summary(five) in told and "The other 2 were added" in told
    assert summary(verdicts(many)) not in told


def test_a_text_that_cannot_be_gathered_again_says_so(make_one: Make) -> None:
    result = make_one()
    assert "earlier rules" not in language_facts.text(result)
    text = {**result.manifest["text"], "format": 1}
    old = replace(result, manifest={**result.manifest, "text": text})
    assert "gathered by earlier rules" in language_facts.text(old)
