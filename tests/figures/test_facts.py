"""What pages quote is what the analysis says, in words that a reader can take in."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from semantica_lib.analysis.distances import of_pairs
from semantica_lib.analysis.markdown import NONE
from semantica_lib.analysis.verdicts import verdicts
from semantica_lib.figures import facts
from semantica_lib.settings.catalogue import run_command, settings
from semantica_lib.settings.xor import Settings
from semantica_lib.store.results import Result

Make = Callable[..., Result]


def test_predictions_come_from_the_settings_alone() -> None:
    text = facts.predictions(Settings())
    assert "| untied input | 0 and 1 | fails | merge: under 0.10 |" in text
    assert "| tied | 0 and 1 | fails | stay apart: over 0.10 |" in text
    assert "Tying costs accuracy: untied minus tied is over 0.01." in text
    equal = facts.predictions(settings({"zero_dst": [0.5, 0.5]}))
    assert "fails" not in equal
    assert "Tying costs no accuracy: untied minus tied is under 0.01." in equal


def test_facts_are_the_analysis_s_numbers(make: Make) -> None:
    result = make(seeds=[1, 2, 3])
    frame = verdicts(result)
    found = facts.facts(result, frame)
    assert found["seeds"] == "1 to 3"
    assert found["duration"] == "1 h 1 min"
    assert found["source"] == "trained on this machine"
    assert found["ceiling"] == "0.700"
    assert found["accuracy_tied_exact"] == "0.350"
    assert (found["learned_tied"], found["trials_tied"]) == ("2", "3")  # the odd seeds
    inside = result.steps > result.steps[-1] - result.settings.schedule_period
    distance = of_pairs(result.input_embedding[result.tied][:, inside], [(0, 1)]).mean()
    assert found["tied_0_1_distance"] == f"{distance:.3g}"
    row = frame[frame.claim.str.startswith("claim 3, tied: 0 and 1")].iloc[0]
    assert found["tied_0_1_ratio"] == f"{row.estimate:.3g}"
    assert found["tied_0_1_verdict"] == row.verdict
    assert found["tied_0_1_distance"] in facts.ending(result, frame, True, "input")
    assert "2 of 3 tied" in facts.learning(result, frame)


def test_a_short_run_says_that_it_is_too_short(make: Make) -> None:
    result = make(steps=20, seeds=[1], ties=["tied"])
    frame = verdicts(result)
    assert facts.facts(result, frame)["learned_untied"] == NONE
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
        assert facts.ending(one, frame, True, "input").startswith(f"- **0 and 1** {words} ")
        assert f"tied trials {words} at" in facts.learning(one, frame)


def test_what_is_asked_is_told_of_any_model_and_task() -> None:
    own = settings({"experiment": "some", "question": "Why?", "zero_dst": [1, 0]})
    assert facts.asked(own) == (
        "**some.** Why? The model: transformer, 1 layer, d 4. A bit 0 is written as symbol 0, "
        "always, a bit 1 is written as symbol 2 or 3 (probabilities 0.5, 0.5)."
    )
    own = settings({"architecture": "lstm", "layers": 2, "zero_dst": [0.25, 0.25, 0.5]})
    assert "LSTM, 2 layers, d 4. A bit 0 is written as symbol 0 or 1 or 2 (" in facts.asked(own)


def test_tables_become_html_that_scrolls_by_itself() -> None:
    page = facts.html("| a | b |\n|---|---|\n| 1 | *2* |\n")
    assert page.count("<table") == page.count("</table></div>") == 1
    assert "<em>2</em>" in page
    assert np.char.count(facts.figure("<svg/>"), 'alt="Dot plot') == 1


def test_what_differs_from_the_defaults_is_told() -> None:
    assert facts.differing(Settings()) == "Its own values: none. All else is as usual."
    own = settings({"steps": 7, "architecture": "lstm", "heads": None})
    text = facts.differing(own)
    assert text.startswith("Its own values: `steps` = 7; `architecture` = ")
    assert "`hidden_size` = 8" in text and "heads" not in text and "null" not in text
