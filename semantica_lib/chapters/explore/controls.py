"""The controls of ``notebooks/explore.ipynb``: each button is a method, tried without a browser."""

import shlex
import time
from html import escape
from pathlib import Path
from threading import Lock
from typing import Any

import ipywidgets as widgets

from semantica_lib.chapters.explore.trial import Trial
from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import RequestError, short
from semantica_lib.figures.explorer import data, explorer, still
from semantica_lib.figures.style import png
from semantica_lib.files import write_whole
from semantica_lib.settings.catalogue import experiments, settings
from semantica_lib.settings.schema import NAMES, is_name
from semantica_lib.settings.writing import file_text
from semantica_lib.settings.xor import Settings
from semantica_lib.store import results

RATES = 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2
DECAYS = 0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0
STEPS = 2_000, 6_000, 20_000, 60_000, 150_000
TIES = {"tied and untied": ["tied", "untied"], "tied": ["tied"], "untied": ["untied"]}
RECORDS = 75  # of the tables over a run
WIDE, LONG, TWO = {"description_width": "11em"}, {"width": "25em"}, "repeat(2, 26em)"
DRAWN_SECONDS = 0.5  # from one picture to the next
QUESTION = "Which synonyms merge, in which table, with the settings tried in explore.ipynb?"


def keep(own: Settings, name: str) -> Path:
    """Write settings under a name as an experiment's file, among this machine's results.

    Raises:
        RequestError: it is no name, or another experiment's, or cannot be written.
    """
    if not is_name(name):
        raise RequestError(f"an experiment cannot be called {short(name)}: write {NAMES}")
    if name in experiments():
        raise RequestError(f"{name} is an experiment of the book: choose another name")
    named = own.model_copy(update={"experiment": name, "question": QUESTION})
    path, text = results.here() / "experiments" / f"{name}.yaml", file_text(named)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise RequestError(f"{path} holds other settings: choose another name")
        write_whole(path, text.encode())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"cannot write {path}: {reason}") from None
    return path


class Controls:
    """Sliders, buttons and what they show; ``view`` is the widget of all.

    A slider goes no further than the kernel does, so none of its values has to be refused.
    """

    def __init__(self) -> None:
        self.knobs, usual = {}, Settings()
        odds = {"min": 0.05, "max": 0.95, "step": 0.05}
        self._knob("zero", widgets.FloatSlider, "A's share of the 0s", 0.1, **odds)
        self._knob("one", widgets.FloatSlider, "C's share of the 1s", 0.5, **odds)
        self._choice("decay", "weight decay", usual.weight_decay, DECAYS)
        self._choice("rate", "learning rate", usual.learning_rate, RATES)
        self._knob("size", widgets.IntSlider, "features of a row", 4, min=1, max=16)
        ties = list(TIES.items())
        self._knob("ties", widgets.Dropdown, "trained", ties[0][1], options=ties)
        self._choice("steps", "steps", usual.steps, STEPS)
        self._knob("seed", widgets.BoundedIntText, "seed", 42, min=0, max=2**32 - 1)
        does = {"Start": self.start, "Stop": self.stop, "Go on": self.go_on, "Keep": self.keep}
        self.buttons = {words: widgets.Button(description=words) for words in does}
        for words, act in does.items():
            self.buttons[words].on_click(lambda _, act=act: act())
        self.name = widgets.Text("mine", description="as experiment", style=WIDE)
        self.said, self.kept = widgets.HTML(), widgets.HTML()
        self.one_at_a_time = Lock()
        self.picture = widgets.Image(format="png", width=680)
        self.figure = widgets.Output()  # which runs a script, as no other widget does
        self.trial: Trial | None = None
        self.drawn = 0.0
        knobs = widgets.GridBox(list(self.knobs.values()), layout={"grid_template_columns": TWO})
        *training, keeping = self.buttons.values()
        below = widgets.HBox([keeping, self.name])
        shown = [widgets.HBox(training), self.said, self.picture, self.figure]
        self.view = widgets.VBox([knobs, *shown, below, self.kept])
        self._show("Move the sliders, then press Start.")

    def _knob(self, name: str, kind: type, words: str, value: Any, **rest: Any) -> None:
        self.knobs[name] = kind(description=words, value=value, style=WIDE, layout=LONG, **rest)

    def _choice(self, name: str, words: str, value: float, values: tuple[float, ...]) -> None:
        options = [(f"{one:,}" if one >= 1 else f"{one:g}", one) for one in values]
        self._knob(name, widgets.SelectionSlider, words, value, options=options)

    def settings(self) -> Settings:
        """What the sliders say."""
        told = {name: knob.value for name, knob in self.knobs.items()}
        zero, one, steps = round(told["zero"], 2), round(told["one"], 2), told["steps"]
        values = {"zero_dst": [zero, round(1 - zero, 2)], "one_dst": [one, round(1 - one, 2)]}
        values |= {"weight_decay": told["decay"], "learning_rate": told["rate"]}
        values |= {"embedding_size": told["size"], "ties": told["ties"]}
        values |= {"steps": steps, "seeds": [told["seed"]], "experiment": "explored"}
        every = max(1, steps // RECORDS)
        return settings(values | {"record_every": every, "validate_every": every})

    def start(self) -> None:
        """Train anew with what the sliders say; the picture of step 0 is there at once."""
        self.stop()
        self.trial, self.figure.outputs = Trial(self.settings(), self.told), ()
        self._draw(self.trial)
        self.go_on()

    def stop(self) -> None:
        """Stop, and show what came of it as the moving figure."""
        if self.trial:
            self.trial.stop()

    def go_on(self) -> None:
        """Train on from where it was stopped."""
        if self.trial:
            self.figure.outputs = ()
            self.trial.go_on()
            with self.one_at_a_time:  # its thread may be telling that it failed
                self._show(self._words(self.trial))

    def keep(self) -> None:
        """Write what is shown, or else what the sliders say, as an experiment's file."""
        try:
            own = self.trial.own if self.trial else self.settings()
            command = shlex.join(["semantica", "run", str(keep(own, self.name.value.strip()))])
            self.kept.value = f"Kept. This trains it: <code>{escape(command)}</code>"
        except RequestError as error:
            self.kept.value = f"Not kept: {escape(str(error))}"

    def told(self, trial: Trial) -> None:
        """Show where a trial is, in its own thread: now and then, and always where it stands."""
        if trial.runs and time.monotonic() - self.drawn < DRAWN_SECONDS:
            return
        if trial.runs:
            self._draw(trial)
        with self.one_at_a_time:
            self._show(self._words(trial))
        if not trial.runs:
            html = explorer(trial.result()).data
            output = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
            self.figure.outputs = (output,)

    def _draw(self, trial: Trial) -> None:
        found = data(trial.result())
        if found["trials"]:  # none is where one has diverged
            self.picture.value = png(still(found))
        self.drawn = time.monotonic()

    def _words(self, trial: Trial) -> str:
        if trial.failure:
            return f"Not trained: {trial.failure}"
        best = xor_task(trial.own).ceiling("exact")[0]
        learned = [f"{tie} {value:.3f}" for tie, value in trial.accuracy().items()]
        doing = "training" if trial.runs else "ended" if trial.ended else "stopped"
        doing = doing if trial.engine or not trial.runs else "getting ready, which takes seconds"
        where = f"Step {trial.step:,} of {trial.own.steps:,} ({doing})."
        return f"{where} Accuracy, at best {best:.3f}: {', '.join(learned)}."

    def _show(self, words: str) -> None:
        """Say it, show what there is to see, and enable what can be pressed."""
        trial, runs = self.trial, bool(self.trial and self.trial.runs)
        self.said.value = escape(words)
        self.picture.layout.display = None if runs else "none"
        self.buttons["Stop"].disabled = not runs
        self.buttons["Go on"].disabled = runs or not trial or trial.ended
