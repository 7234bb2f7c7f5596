"""Training a stack of XOR trials: one pure function a step, data included, compiled as a whole."""

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from semantica_lib.datasets.xor import SPLITS, Batch, XorTask
from semantica_lib.experiments import ROOT, Settings
from semantica_lib.models import transformer
from semantica_lib.models.stack import INPUT, OUTPUT, Layout, linear, plain_parameters
from semantica_lib.trainers import schedule

EAGER_BELOW = 300  # runs of fewer steps end sooner than the compiler does


@dataclass(frozen=True)
class State:
    """A stack after ``step`` steps: parameters and AdamW's moments, each ``(trial, parameter)``."""

    flat: Tensor
    first: Tensor
    second: Tensor
    step: Tensor


class Stack:
    """Trials that differ in their seeds, as functions of their state.

    Args:
        settings: the experiment.
        seeds: one trial each.
        tied: whether the output table is the input table.
        device, dtype: where and in what precision to compute.
    """

    def __init__(
        self,
        settings: Settings,
        seeds: Iterable[int],
        tied: bool,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.settings, self.tied, self.device, self.dtype = settings, tied, device, dtype
        self.seeds = torch.tensor(list(seeds), device=device)
        self.task = xor_task(settings)
        self.layout = Layout(
            {name: tuple(value.shape) for name, value in self._plain(0).items()}, tied
        )

    def _plain(self, seed: int) -> dict[str, Tensor]:
        """Initial parameters of one trial, drawn by PyTorch's modules in the original's order."""
        own = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tables = [
                torch.nn.Embedding(self.task.vocabulary, own.embedding_size) for _ in range(2)
            ]
            encoder = transformer.plain(
                own.layers, own.embedding_size, own.heads, own.feedforward_size, own.activation
            )
        return plain_parameters(encoder, tables)

    def initial(self) -> State:
        """The state before the first step."""
        rows = [self.layout.flat(self._plain(seed)) for seed in self.seeds.tolist()]
        flat = torch.stack(rows).to(self.device, self.dtype)
        zero = torch.zeros_like(flat)
        return State(flat, zero, zero.clone(), torch.tensor(0, device=self.device))

    def tables(self, state: State) -> tuple[Tensor, Tensor]:
        """Input and output embeddings, each ``(trial, symbol, feature)``."""
        views = self.layout.views(state.flat)
        return views[INPUT], views[OUTPUT]

    def log_probability(self, flat: Tensor, tokens: Tensor) -> Tensor:
        """Log-probability of each symbol at the masked place, ``(trial, symbol, batch)``.

        ``tokens`` is ``(trial or 1, token, batch)``; the logits are ``h @ O.T`` without a bias.
        """
        views, own = self.layout.views(flat), self.settings
        hidden = transformer.masked_hidden(views, tokens, own.layers, own.heads, own.activation)
        no_bias = torch.zeros_like(views[OUTPUT][:, :, 0])
        return linear(views[OUTPUT], no_bias, hidden).log_softmax(1)

    def loss(self, flat: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy at the masked place of each trial, nats, ``(trial,)``."""
        log_probability = self.log_probability(flat, batch.tokens)
        symbols = torch.arange(log_probability.shape[1], device=flat.device)
        hit = batch.target[:, None] == symbols[:, None]
        return -torch.where(hit, log_probability, 0).sum(1).mean(1)

    def update(self, state: State, batch: Batch, factors: Tensor) -> tuple[State, Tensor]:
        """One step of AdamW on a given batch; the losses are those before the step."""

        def total(flat: Tensor) -> tuple[Tensor, Tensor]:
            losses = self.loss(flat, batch)
            return losses.sum(), losses  # trials share no parameter: each gets its own gradient

        gradient, losses = torch.func.grad(total, has_aux=True)(state.flat)
        (beta1, beta2), (kept, rate, scale) = self.settings.betas, factors.unbind()
        first = torch.lerp(state.first, gradient, 1 - beta1)
        second = beta2 * state.second + (1 - beta2) * gradient * gradient
        flat = kept * state.flat - rate * first / (second.sqrt() * scale + self.settings.eps)
        return State(flat, first, second, state.step + 1), losses

    def stepper(self, steps: int) -> Callable[[State], tuple[State, Tensor]]:
        """The whole step, drawing its batch included, compiled where that is possible and pays.

        Args:
            steps: how long the run will be in all: AdamW's factors are tabled up to there.
        """
        own = self.settings
        rate = schedule.cosine(
            range(steps), own.learning_rate, own.learning_rate_min, own.schedule_period
        )
        table = schedule.adamw_factors(rate, own.weight_decay, own.betas)
        table = table.to(self.device, self.dtype)
        strings = self.task.splits["train"].to(self.device)

        def step(
            flat: Tensor, first: Tensor, second: Tensor, step: Tensor, table: Tensor
        ) -> tuple[Tensor, ...]:
            batch = self.task.draw(strings, self.seeds, step)
            state, losses = self.update(State(flat, first, second, step), batch, table.index_select(0, step[None])[0])
            return state.flat, state.first, state.second, state.step, losses

        run = step
        if steps >= EAGER_BELOW and compiler_works():
            run = torch.compile(step, fullgraph=True, dynamic=False)

        def call(state: State) -> tuple[State, Tensor]:
            *parts, losses = run(state.flat, state.first, state.second, state.step, table)
            return State(*parts), losses

        return call

    @torch.no_grad()
    def measure(self, state: State) -> dict[str, tuple[Tensor, Tensor]]:
        """Exact expectation of accuracy and cross-entropy on each split, each ``(trial,)``.

        The expectation is over all strings of the split, masked places and choices of synonyms.
        """
        population = self.task.population
        tokens = population.tokens.to(self.device)[None]
        joint = population.joint.to(self.device)
        log_probability = self.log_probability(state.flat, tokens).double()
        guess = log_probability.argmax(1)  # (trial, case)
        result = {}
        for split, table in zip(SPLITS, joint, strict=True):
            if table.sum() == 0:  # a split with no strings
                continue
            loss = -(table * log_probability).sum((1, 2))
            accuracy = table.T.expand(len(guess), -1, -1).gather(2, guess[..., None]).sum((1, 2))
            result[split] = accuracy, loss
        if self.settings.validation == "as-published":
            result["validation"] = result["train"]
        return result


def xor_task(settings: Settings) -> XorTask:
    """The data that the settings describe."""
    return XorTask(settings.bits, settings.zero_dst, settings.one_dst, settings.data_seed)


@cache
def compiler_works() -> bool:
    """Whether functions can be compiled here; if not, it is said once and all runs uncompiled."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(ROOT / ".cache" / "inductor"))
    try:
        torch.compile(lambda x: x + 1, fullgraph=True)(torch.zeros(8))
    except Exception as error:  # whatever the compiler lacks, the uncompiled step does the same
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        warnings.warn(
            f"training uncompiled, which is slower: the compiler failed ({reason[:120]}); "
            "it needs a C++ compiler and Python's headers",
            stacklevel=2,
        )
        return False
    return True
