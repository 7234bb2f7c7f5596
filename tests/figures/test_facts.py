"""What pages quote is what the analysis says, in words that a reader can take in."""

from collections.abc import Callable
from dataclasses import replace

from semantica_lib.analysis.distances import of_pairs
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.figures import facts
from semantica_lib.settings.catalogue import run_command, settings
from semantica_lib.settings.xor import Settings
from semantica_lib.store.results import Result

Make = Callable[..., Result]


def test_facts_are_the_analysis_s_numbers(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    frame = verdicts(result)
    found = facts.facts_of_run(result)
    assert found["seeds"] == "1 to 3"
    made_of = facts.facts_of_run(make(folder="apart", seeds=[1, 2, 4, 5, 6, 9]))
    assert made_of["seeds"] == "1, 2, 4 to 6, 9"
    assert found["duration"] == "1 h 1 min"
    assert found["source"] == "trained on this machine"
    both = replace(result, manifest=result.manifest | {"device": "cpu: Abacus, cpu: Quipu"})
    assert facts.facts_of_run(both)["device"] == "Abacus, Quipu"
    told = facts.learning(result, frame)
    assert "tied trials end at 0.350 on average, and 2 of 3 learned" in told  # the odd seeds
    assert told.endswith("0.700 can be attained.")
    inside = result.steps > result.steps[-1] - result.settings.schedule_period
    distance = of_pairs(result.input_embedding[result.tied][:, inside], [(0, 1)]).mean()
    row = frame[frame.claim.str.startswith("claim 3, tied: 0 and 1")].iloc[0]
    ends = f"{distance:.3g} apart, {row.estimate:.3g} of a control pair's distance"
    told = facts.ending(result, frame, True, "input")
    assert f"- **A and B** end {ends}" in told and f"*{row.verdict}*" in told


def test_where_all_trials_are_at_the_ceiling_no_cost_can_show(make: Make) -> None:
    result = make(seeds=[1, 2])
    words = "All trials attain it: no cost of tying could show."
    assert words not in facts.learning(result, verdicts(result))
    whole = replace(result, metrics=result.metrics.assign(accuracy=0.7))
    assert words in facts.learning(whole, verdicts(whole))


def test_a_short_run_says_that_it_is_too_short(make: Make) -> None:
    result = make(steps=20, seeds=[1], ties=["tied"])
    frame = verdicts(result)
    assert facts.ending(result, frame, True, "input") == facts.NO_PERIOD
    assert facts.learning(result, frame) == facts.NO_PERIOD
    assert "20 steps, tied, of 1 seed (1)" in facts.shown(result)


def test_a_partial_result_says_so_and_how_to_complete_it(make: Make) -> None:
    result = make(experiment="mlp-medium", seeds=[1, 2], architecture="mixer")
    partial = replace(result, manifest={**result.manifest, "status": "partial"})
    text = facts.shown(partial)
    told = "**It is partial**: complete as asked, its trials are at step 100 of 500,000."
    assert told in text
    begun = {**partial.manifest, "settings": {**result.manifest["settings"], "steps": 200}}
    assert told.replace(" complete as asked,", "") in facts.shown(replace(partial, manifest=begun))
    assert f"`{run_command(partial.settings)}` goes on" in text
    assert "partial" not in facts.shown(result)
    for one, words in ((partial, "are so far"), (result, "end")):
        frame = verdicts(one)
        assert facts.ending(one, frame, True, "input").startswith(f"- **A and B** {words} ")
        assert f"tied trials {words} at" in facts.learning(one, frame)


def test_what_is_asked_is_told_of_any_model_and_task() -> None:
    own = settings({"experiment": "some", "question": "Why?", "zero_dst": [1, 0]})
    assert facts.asked(own) == (
        "**Why?** (`some`) The model: transformer, 1 layer, d 4. A bit 0 is written as symbol A, "
        "always, a bit 1 is written as symbol C or D (probabilities 0.5, 0.5)."
    )
    own = settings({"architecture": "lstm", "layers": 2, "zero_dst": [0.25, 0.25, 0.5]})
    assert "LSTM, 2 layers, d 4. A bit 0 is written as symbol A or B or C (" in facts.asked(own)


def test_tables_become_html_that_scrolls_by_itself() -> None:
    page = facts.html("| a | b |\n|---|---|\n| 1 | *2* |\n")
    assert page.count("<table") == page.count("</table></div>") == 1
    assert "<em>2</em>" in page


def test_what_differs_from_the_defaults_is_told() -> None:
    assert facts.differing(Settings()) == "Its own values: none. All else is as usual."
    own = settings({"steps": 7, "architecture": "lstm", "heads": None})
    text = facts.differing(own)
    assert text.startswith("Its own values: `steps` = 7; `architecture` = ")
    assert "`hidden_size` = 8" in text and "heads" not in text and "null" not in text
