"""The controls of explore.ipynb: what each button does, without a browser."""

import re
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from IPython.display import HTML

from semantica_lib import cli
from semantica_lib.chapters.explore import controls as controls_
from semantica_lib.chapters.explore.controls import Controls, keep
from semantica_lib.chapters.explore.trial import Trial
from semantica_lib.errors import RequestError
from semantica_lib.figures.explorer import data, explorer, still
from semantica_lib.figures.style import png
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.kernel import serves
from semantica_lib.trainers.stacked import Stack
from semantica_lib.trainers.training import train

PNG = b"\x89PNG"
SHORT = {"steps": 2_000, "seeds": [7], "record_every": 100, "validate_every": 100}


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))


@pytest.fixture
def panel() -> Iterator[Controls]:
    made = Controls()
    yield made
    made.stop()


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that take no time, each another one, where what is drawn is not what is tested."""
    monkeypatch.setattr(controls_, "still", lambda _: None)
    monkeypatch.setattr(controls_, "png", lambda _: PNG + next(counter).to_bytes(4, "big"))
    monkeypatch.setattr(controls_, "explorer", lambda _: HTML("the figure"))
    monkeypatch.setattr(controls_, "DRAWN_SECONDS", 0)
    counter = count()


def straight(own: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """The parameters at the end and the recorded tables, as the library trains without a stop."""
    ties = [tie == "tied" for tie in own.ties]
    kept: list[dict[str, torch.Tensor]] = []
    stack = Stack([own] * len(ties), own.seeds * len(ties), ties)
    assert train(stack, own.steps, None, kept.append)
    return kept[-1]["flat"], kept[-1]["tables"]


@pytest.mark.parametrize(
    "more", [{}, {"ties": ["tied"], "steps": 130}], ids=["kernel", "general path"]
)
def test_a_trial_that_is_stopped_goes_on_bit_for_bit(more: dict[str, Any]) -> None:
    own, seen = settings(SHORT | more), []

    def halt(trial: Trial) -> None:
        seen.append(trial.step)
        if trial.step in (0, 4, 100, 200, 1024):
            trial.halt.set()

    trial = Trial(own, halt)
    rounds = 0
    while not trial.ended:
        before = trial.step
        trial.go_on()
        trial.thread.join()
        rounds += 1
        assert trial.step > before
    assert rounds == 1 + sum(one < own.steps for one in (4, 100, 200, 1024))
    flat, tables = straight(own)
    assert torch.equal(trial.state.flat, flat)
    result = trial.result()
    assert result.steps.tolist() == [*range(0, own.steps, 100), own.steps]
    for place, table in enumerate((result.input_embedding, result.output_embedding)):
        np.testing.assert_array_equal(table, tables[:, :, place].transpose(0, 1).numpy())


def wait(trial: Trial | None, until: Callable[[Trial], bool]) -> None:
    assert trial
    end = time.monotonic() + 120
    while not until(trial):
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.005)


def test_start_stop_and_go_on_as_a_person_presses_them(panel: Controls, sketched: None) -> None:
    buttons = panel.buttons
    assert buttons["Stop"].disabled and buttons["Go on"].disabled and not buttons["Start"].disabled
    panel.knobs["steps"].value, panel.knobs["seed"].value = 150_000, 7
    buttons["Start"].click()
    trial = panel.trial
    assert trial and bytes(panel.picture.value).startswith(PNG)  # of step 0: nothing has to compile
    assert not buttons["Stop"].disabled and buttons["Go on"].disabled
    wait(trial, lambda one: one.step > 2_000)
    first = bytes(panel.picture.value)
    wait(trial, lambda one: panel.picture.value != first)  # it is alive
    buttons["Stop"].click()
    step, flat = trial.step, trial.state.flat
    assert 2_000 < step < 150_000 and f"Step {step:,} of 150,000 (stopped)" in panel.said.value
    assert buttons["Stop"].disabled and not buttons["Go on"].disabled
    (output,) = panel.figure.outputs
    assert output["data"]["text/html"] == "the figure"
    time.sleep(0.1)
    assert trial.step == step and trial.state.flat is flat and not trial.thread.is_alive()
    buttons["Go on"].click()
    assert panel.trial is trial and panel.figure.outputs == ()
    wait(trial, lambda one: one.step > step)
    panel.knobs["steps"].value = 2_000
    buttons["Start"].click()  # another, before that one has ended
    assert not trial.thread.is_alive() and panel.trial is not trial
    wait(panel.trial, lambda one: one.ended and not one.thread.is_alive())
    assert "(ended)" in panel.said.value and buttons["Go on"].disabled
    assert torch.equal(panel.trial.state.flat, straight(panel.trial.own)[0])
    trial = panel.trial
    buttons["Go on"].click()  # as if it was not disabled
    assert trial.step == 2_000 and "(ended)" in panel.said.value


def test_what_is_shown_is_the_explorer_s_drawing_of_the_trial(panel: Controls) -> None:
    panel.knobs["steps"].value, panel.knobs["ties"].value = 2_000, ["tied"]
    panel.start()
    assert panel.trial
    panel.trial.thread.join()
    result = panel.trial.result()
    panel._draw(panel.trial)
    assert bytes(panel.picture.value) == png(still(data(result)))
    (output,) = panel.figure.outputs
    assert output["data"]["text/html"] == explorer(result).data
    assert data(result)["steps"][-1] == 2_000 and len(data(result)["trials"][0]["panels"]) == 1
    best, known = re.findall(r"0\.\d{3}", panel.said.value)
    assert float(best) == pytest.approx(0.7, abs=0.01) and 0 < float(known) <= float(best)


def test_the_sliders_begin_at_the_main_experiment_and_end_where_the_kernel_does(
    panel: Controls,
) -> None:
    own = panel.settings()
    assert own.identity == {} and own.seeds == (42,) and own.ties == ("tied", "untied")
    for knob in panel.knobs.values():
        usual = knob.value
        ends = [knob.min, knob.max] if hasattr(knob, "min") else [one for _, one in knob.options]
        for end in ends:
            knob.value = end
            own = panel.settings()
            assert own != Settings()
            assert serves(Stack(own, own.seeds, own.ties == ("tied",)))
        knob.value = usual
    panel.knobs["zero"].value = 7  # typed beside the slider
    assert panel.settings().zero_dst == (0.95, 0.05)


def test_what_is_kept_is_an_experiment_with_the_same_settings(
    panel: Controls, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"zero": 0.3, "decay": 1.0, "rate": 1e-4, "size": 5, "steps": 2_000}.items():
        panel.knobs[name].value = value
    panel.name.value = " my-own "
    panel.buttons["Keep"].click()
    (path,) = controls_.results.here().rglob("*.yaml")
    assert f"semantica run {path}" in panel.kept.value
    own = find(str(path))
    named = {"experiment": "my-own", "question": controls_.QUESTION}
    assert own == panel.settings().model_copy(update=named)
    assert own.zero_dst == (0.3, 0.7) and own.embedding_size == 5 and own.learning_rate == 1e-4
    assert cli.main(["run", str(path), "--dry-run"]) == 0
    assert "my-own" in capsys.readouterr().out
    panel.buttons["Keep"].click()  # the same again
    assert "semantica run" in panel.kept.value
    text = path.read_text()
    panel.knobs["zero"].value = 0.4
    panel.buttons["Keep"].click()
    assert "Not kept" in panel.kept.value and "holds other settings" in panel.kept.value
    assert path.read_text() == text


@pytest.mark.parametrize(
    "name", ["", "../up", "a b", "x" * 101, "<b>", "transformer-small", "lstm-small-round-2"]
)
def test_a_name_that_cannot_be_is_refused_in_a_sentence(panel: Controls, name: str) -> None:
    panel.name.value = name
    panel.buttons["Keep"].click()
    assert panel.kept.value.startswith("Not kept: ") and "<b>" not in panel.kept.value
    assert not controls_.results.here().exists()


def test_what_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "experiments").write_text("a file")
    with pytest.raises(RequestError, match=r"cannot write .*experiments/mine\.yaml"):
        keep(Settings(), "mine")


def test_a_training_that_cannot_start_is_told(
    panel: Controls, sketched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RequestError("no compiler <here>")

    monkeypatch.setattr("semantica_lib.chapters.explore.trial.engine", refuse)
    panel.start()
    assert panel.trial
    panel.trial.thread.join()
    assert panel.said.value == "Not trained: no compiler &lt;here&gt;"
    assert panel.buttons["Stop"].disabled and not panel.buttons["Start"].disabled


def test_trials_that_diverge_end_and_say_so(panel: Controls, sketched: None) -> None:
    panel.knobs["steps"].value = 20_000
    panel.start()
    panel.stop()
    assert panel.trial and not panel.trial.ended
    lost = panel.trial.state
    panel.trial.state = type(lost)(**vars(lost) | {"flat": lost.flat * float("nan")})
    panel.go_on()
    wait(panel.trial, lambda one: one.ended and not one.thread.is_alive())
    assert "(ended)" in panel.said.value
