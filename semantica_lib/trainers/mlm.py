"""Training a masked language model: one trial, by one process or by several that share its steps.

Accelerate averages gradients over the processes that ``torchrun`` started. What a step sees is a
function of (seed, step, row), and its rate one of the step: so parameters, the optimizer's two
moments and the step are all there is to keep, and a resumed run ends with a straight one's bits.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import get_total_norm

from semantica_lib.datasets.corpora import corpus
from semantica_lib.datasets.hub import TOKENIZER
from semantica_lib.datasets.mlm import BROKEN, HOLDS, Batch, MlmTask
from semantica_lib.datasets.tokens import Tokens, kept_tokens, tokens
from semantica_lib.errors import RequestError
from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.models.language_ties import SchemedLanguageModel
from semantica_lib.settings.language import HUB, MlmSettings
from semantica_lib.settings.schema import BOTH
from semantica_lib.trainers.history import History
from semantica_lib.trainers.reporting import Report
from semantica_lib.trainers.schedule import warmed_cosine
from semantica_lib.trainers.stacked import NEVER

# What is measured, in the order of the stored values: the splits, and of the validation split the
# places whose word is of a class.
SPLITS = ("train", "validation", "test", "validation-holds", "validation-broken")
MEASURED_ROWS = 1_024  # of each split, the same throughout a trial's training
AT_ONCE = 64  # of those
AGREE_EVERY = 20  # steps after which several processes ask one another whether to stop
NAMES = {"first": "exp_avg", "second": "exp_avg_sq"}  # the optimizer's moments


def text_of(own: MlmSettings, cache: Path) -> Tokens:
    """The corpus of the settings as tokens, from the cache where it is there.

    Raises:
        RequestError: the corpus cannot be had, or is too small.
    """
    source = corpus(own.corpus, own.data_seed, cache, own.skip_unreadable)
    return tokens(source, *_sizes(own), cache)


def kept_text(own: MlmSettings, cache: Path, rows: str) -> Tokens | None:
    """Tokens of the settings by the sha256 of their rows, whatever the corpus is by now.

    Installed documentation is another text with every package, and a hub may not answer.
    """
    named = own.corpus, TOKENIZER if own.corpus == HUB else None
    return kept_tokens(rows, named, *_sizes(own), cache)


def _sizes(own: MlmSettings) -> tuple[int, int, int, int]:
    return own.words, own.least_occurrences, own.vocabulary_size or 0, own.length


def mlm_task(own: MlmSettings, text: Tokens, seed: int) -> MlmTask:
    """What one trial of the settings sees."""
    return MlmTask(text, seed, own.broken_synonyms, own.masked, own.replacement, own.labels)


def unigram(task: MlmTask) -> dict[str, float]:
    """Accuracy and loss (nats) on the validation sample of who knows the frequencies and no more.

    How often each id stands in the training text, a word's count shared with its synonym, plus one.
    """
    counts = torch.ones(task.vocabulary, dtype=torch.float64)
    counts[: task.base] += torch.from_numpy(task.tokens.counts.astype("float64"))
    counts[task.tracked] = counts[task.tracked.chunk(2)[0]].repeat(2) / 2
    targets = task.sample("validation", MEASURED_ROWS).targets
    loss = -(counts / counts.sum()).log()[targets].mean()
    return {"accuracy": float((targets == counts.argmax()).double().mean()), "loss": float(loss)}


class Trial:
    """A model in training: of one seed and one tie.

    Args:
        text: the corpus of the settings.
        device: cpu, cuda or cuda:N.

    Raises:
        RequestError: the processes cannot share the steps equally.
    """

    def __init__(self, own: MlmSettings, text: Tokens, seed: int, tie: str, device: str) -> None:
        if device.startswith("cuda:"):
            torch.cuda.set_device(device)
        self.accelerator = Accelerator(cpu=device == "cpu")
        if own.batch_size % self.accelerator.num_processes:
            raise RequestError(
                f"batch_size must be a multiple of the processes, and {own.batch_size} is none "
                f"of {self.accelerator.num_processes}"
            )
        self.own, self.task = own, mlm_task(own, text, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if tie in BOTH:
                self.model = MaskedLanguageModel(own, self.task.vocabulary, tie == "tied")
            else:
                self.model = SchemedLanguageModel(own, self.task.vocabulary, tie, text.mask)
        self.names = [name for name, _ in self.model.named_parameters()]
        optimizer = torch.optim.AdamW(
            self.model.parameters(), own.learning_rate, own.betas, own.eps, own.weight_decay
        )
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)

    def step(self, number: int) -> bool:
        """One step of the optimizer, on this process's share of the step's rows.

        Returns:
            Whether loss, parameters and moments are finite; if not, the step was taken back.
        """
        own, us = self.own, self.accelerator
        before = {name: value.detach().clone() for name, value in self.state().items()}
        batch = self.task.batch(number, own.batch_size, us.process_index, us.num_processes)
        rate = float(warmed_cosine(own, torch.tensor(number)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        logits, targets = self._predict(self.wrapped, batch)
        loss = functional.cross_entropy(logits, targets)
        penalty = self.model.penalty()
        us.backward(loss if penalty is None else loss + penalty)
        self.optimizer.step()
        self.optimizer.zero_grad()
        numbers = [us.reduce(loss.detach(), "mean"), *self.state().values()]
        finite = bool(get_total_norm(numbers, math.inf).isfinite())
        if not finite:
            self.restore({**before, "step": torch.tensor(number)})
        return finite

    def _predict(self, model: torch.nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits ``(place, vocabulary)`` and what was expected ``(place,)``."""
        tokens, places, targets = (own.to(self.accelerator.device) for own in batch)
        return model(tokens, places).flatten(0, 1), targets.flatten()

    def tables(self) -> Tensor:
        """Rows of the tracked words, input and output, ``(trial, table, word, feature)``."""
        rows = self.task.tracked
        return torch.stack([table.detach().cpu()[rows] for table in self.model.tables()])[None]

    @torch.no_grad()
    def measure(self) -> Tensor:
        """Accuracy and cross-entropy (nats) of ``SPLITS``, ``(split, quantity, trial)`` float64.

        A class that has no word has no value: nan.
        """
        samples = [self.task.sample(split, MEASURED_ROWS) for split in SPLITS[:3]]
        values = [self._scores(sample) for sample in samples]
        classes = self.task.class_of(samples[1].targets).flatten()
        values += [values[1][:, classes == kind] for kind in (HOLDS, BROKEN)]
        return torch.stack([value.mean(1) for value in values])[..., None]

    def _scores(self, sample: Batch) -> Tensor:
        """Whether the likeliest was right, and the loss, of each place, ``(2, place)`` float64."""
        scores = []
        for some in zip(*(own.split(AT_ONCE) for own in sample), strict=True):
            logits, targets = self._predict(self.model, Batch(*some))
            losses = functional.cross_entropy(logits.double(), targets, reduction="none")
            right = (logits.argmax(1) == targets).double().where(~losses.isnan(), math.nan)
            scores.append(torch.stack([right, losses]).cpu())
        return torch.cat(scores, 1)

    def state(self) -> dict[str, Tensor]:
        """Parameters and moments, by name."""
        found = {f"model.{name}": value.data for name, value in self.model.named_parameters()}
        for i, kept in self.optimizer.state_dict()["state"].items():
            found |= {f"{short}.{self.names[i]}": kept[name] for short, name in NAMES.items()}
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave, at its step."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
        state = {
            i: {"step": tensors["step"].float()}
            | {name: tensors[f"{short}.{own}"] for short, name in NAMES.items()}
            for i, own in enumerate(self.names)
            if f"first.{own}" in tensors  # not before the first step
        }
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def train(
    trial: Trial,
    steps: int,
    start: dict[str, Tensor] | None,
    keep: Callable[[dict[str, Tensor]], None],
    going_on: Callable[[int], bool] = lambda step: True,
) -> bool:
    """Train a trial to ``steps``, from a checkpoint's tensors or from the beginning.

    As :func:`semantica_lib.trainers.training.train`. Of several processes all call it alike; the
    first measures and keeps, and ``going_on`` answering False in any of them stops all. A trial
    that diverges stops as one of a :class:`semantica_lib.trainers.stacked.State` does.
    """
    own, us, step, history = trial.own, trial.accelerator, 0, History(start or {})
    stopped = NEVER
    if start is not None:
        trial.restore(start)
        step, stopped = int(start["step"]), int(start.get("stopped", NEVER))

    def checkpoint() -> None:
        if us.is_main_process:
            marks = {"seeds": [trial.task.seed], "stopped": [stopped], "step": step}
            marks = {name: torch.tensor(value) for name, value in marks.items()}
            keep({**marks, **trial.state(), **history.tensors()})

    def observe() -> None:
        if not us.is_main_process:
            return
        tables = "record_steps", own.record_every, "tables", trial.tables
        measured = "measured_steps", own.validate_every, "measured", trial.measure
        for series, every, name, made in (tables, measured):
            if history.due(series, step, every, steps):
                value = made() if stopped == NEVER else math.nan * history.series[name][-1]
                history.add(**{series: torch.tensor(step), name: value})

    def agreed(step: int, stop: bool) -> bool:
        if us.num_processes == 1:
            return stop
        now = step % AGREE_EVERY == 0
        return now and bool(us.reduce(torch.tensor(float(stop), device=us.device)))

    observe()
    report = Report(checkpoint, going_on, agreed)
    while step < steps:
        if stopped == NEVER and not trial.step(step):
            stopped = step
        step += 1
        observe()
        if report.stops(step):
            break
    report.end(step)
    return step >= steps
