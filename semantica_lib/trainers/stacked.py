"""Training a stack of XOR trials: one pure function a step, data included, compiled as a whole."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from semantica_lib.datasets.xor import SPLITS, Batch, Expectation, Population, XorTask
from semantica_lib.models import encoders
from semantica_lib.models.dropout import Dropout
from semantica_lib.models.stack import INPUT, OUTPUT, Layout, plain_parameters, product
from semantica_lib.settings import Settings
from semantica_lib.trainers import schedule
from semantica_lib.trainers.compiling import compiled
from semantica_lib.trainers.history import History
from semantica_lib.trainers.launching import in_parts, launched, steps_a_launch

EAGER_BELOW = 300  # runs of fewer steps end sooner than the compiler does
IN_CACHE = 600_000  # numbers of a tensor that a processor's level-2 cache holds beside others
AT_ONCE = 10_000  # sequences of all trials that are measured together: more leave the cache
KEEP_SECONDS, TELL_SECONDS = 50.0, 0.2  # between checkpoints, and between words about progress


@dataclass(frozen=True)
class State:
    """A stack of trials with these seeds ``(trial,)`` after ``step`` steps.

    Parameters and AdamW's moments are ``(trial, parameter)`` each.
    """

    seeds: Tensor
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
        # Tables that are untied on the way are two from the start, and move as one until then.
        self.untie_at = settings.untie_at if tied else None
        shapes = {name: tuple(value.shape) for name, value in self._plain(0).items()}
        self.layout = Layout(shapes, tied and not self.untie_at)
        self.batch_size = settings.batch_size or len(self.task.splits["train"])
        # As data: the step is compiled once for all values of them.
        scales = settings.learning_rate, settings.learning_rate_min or 0.0, settings.weight_decay
        self.scales = torch.tensor(scales, dtype=torch.float64, device=device)
        self.whole: Expectation | None = None  # what each step trains on, in the place of a batch
        if settings.expectation == "exact":
            self.whole = self.population.expectation("train").to(device, dtype)
            self.batch_size = self.whole.tokens.shape[2]
        if settings.dropout:
            count = encoders.most_dropped(settings, self.batch_size)
            self.dropout_rows = torch.arange(-(-count // 4), device=device)

    def _plain(self, seed: int) -> dict[str, Tensor]:
        """Initial parameters of one trial, drawn by PyTorch's modules in the original's order."""
        own = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tables = [
                torch.nn.Embedding(self.task.vocabulary, own.embedding_size) for _ in range(2)
            ]
            encoder = encoders.plain(own)
        named = plain_parameters(encoder, tables)
        if own.equal_start:
            first = len(own.zero_dst)
            for table in (INPUT, OUTPUT):
                zeros, ones, rest = named[table].detach().tensor_split((first, self.task.symbols))
                rows = [of_bit[:1].expand_as(of_bit) for of_bit in (zeros, ones)]
                named[table] = torch.cat([*rows, rest])
        if self.untie_at:
            named[OUTPUT] = named[INPUT]
        return named

    @property
    def population(self) -> Population:
        """The contexts that this encoder can tell apart."""
        see_order = encoders.sees_order(self.settings)
        return self.task.contexts if see_order else self.task.population

    def initial(self) -> State:
        """The state before the first step."""
        rows = [self.layout.flat(self._plain(seed)) for seed in self.seeds.tolist()]
        flat = torch.stack(rows).to(self.device, self.dtype)
        zero = torch.zeros_like(flat)
        return State(self.seeds, flat, zero, zero.clone(), torch.tensor(0, device=self.device))

    def tables(self, state: State) -> tuple[Tensor, Tensor]:
        """Input and output embeddings, each ``(trial, symbol, feature)``."""
        views = self.layout.views(state.flat)
        return views[INPUT], views[OUTPUT]

    def predict(
        self, flat: Tensor, tokens: Tensor, drop: Dropout | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the model makes of masked sequences, ``(trial or 1, token, batch)``.

        Args:
            drop: a step's dropout; none while measuring.

        Returns:
            The encoder's output at the masked place, ``(trial, feature, batch)``, and the
            log-probability of each symbol there, ``(trial, symbol, batch)``: the logits are
            ``h @ O.T`` without a bias.
        """
        views = self.layout.views(flat)
        hidden = encoders.masked_hidden(self.settings, views, tokens, drop)
        return hidden, product(views[OUTPUT], hidden).log_softmax(1)

    def loss(self, flat: Tensor, batch: Batch | Expectation, drop: Dropout | None = None) -> Tensor:
        """Cross-entropy at the masked place of each trial, nats, ``(trial,)``."""
        _, log_probability = self.predict(flat, batch.tokens, drop)
        if isinstance(batch, Expectation):
            return -(batch.joint * log_probability).sum((1, 2))
        symbols = torch.arange(log_probability.shape[1], device=flat.device)
        hit = batch.target[:, None] == symbols[:, None]
        return -torch.where(hit, log_probability, 0).sum(1).mean(1)

    def update(
        self, state: State, batch: Batch | Expectation, factors: Tensor
    ) -> tuple[State, Tensor]:
        """One step of the optimizer on a given batch; the losses are those before the step."""
        own, drop = self.settings, None
        if own.dropout:
            drop = Dropout(own.dropout, state.seeds, state.step, self.dropout_rows)

        def total(flat: Tensor) -> tuple[Tensor, Tensor]:
            losses = self.loss(flat, batch, drop)
            return losses.sum(), losses  # trials share no parameter: each gets its own gradient

        gradient, losses = torch.func.grad(total, has_aux=True)(state.flat)
        if self.untie_at:
            gradient = torch.where(state.step < self.untie_at, self._as_one(gradient), gradient)
        if own.optimizer == "adam":
            gradient = gradient + self.scales[2].to(self.dtype) * state.flat
        kept, rate, scale = factors.unbind()
        if own.optimizer == "sgd":
            flat = kept * state.flat - rate * gradient
            return State(state.seeds, flat, state.first, state.second, state.step + 1), losses
        beta1, beta2 = own.betas
        first = torch.lerp(state.first, gradient, 1 - beta1)
        second = beta2 * state.second + (1 - beta2) * gradient * gradient
        flat = kept * state.flat - rate * first / (second.sqrt() * scale + own.eps)
        return State(state.seeds, flat, first, second, state.step + 1), losses

    def _as_one(self, gradient: Tensor) -> Tensor:
        """The gradient of two tables that are to move as one."""
        views = self.layout.views(gradient)
        views[INPUT] = views[OUTPUT] = views[INPUT] + views[OUTPUT]
        return torch.cat([views[name].flatten(1) for name in self.layout.names], 1)

    def factors(self, step: Tensor) -> Tensor:
        """The optimizer's factors at this step under the schedule, ``(3,)``."""
        own, (*ends, decay) = self.settings, self.scales.unbind()
        rate = schedule.rate(own, step, torch.stack(ends))
        decay = 0 * decay if own.optimizer == "adam" else decay
        betas = own.betas or (0.0, 0.0)  # sgd corrects nothing
        return schedule.adamw_factors(step, rate, decay, betas).to(self.dtype)

    def stepper(self, steps: int) -> Callable[[State], tuple[State, Tensor]]:
        """The whole step, drawing its batch included, compiled where that is possible and pays.

        On a processor a stack is cut into smaller ones that pass through its cache one by one.

        Args:
            steps: how long the run will be in all; it decides whether compiling pays.
        """
        own, strings = self.settings, self.task.splits["train"].to(self.device)

        def step(*parts: Tensor) -> tuple[Tensor, ...]:
            state, chosen, batch = State(*parts), strings, self.whole
            if own.batch_size:
                chosen = self.task.shuffled(strings, own.batch_size, state.seeds, state.step)
            if batch is None:
                batch = self.task.draw(chosen, state.seeds, state.step)
            state, losses = self.update(state, batch, self.factors(state.step))
            return losses, state.flat, state.first, state.second, state.step

        run = compiled(step, self.device) if steps >= EAGER_BELOW else step
        if self.device == "cpu":
            widest = encoders.widest(own, self.task.vocabulary, self.batch_size)
            run = in_parts(run, len(self.seeds), max(1, IN_CACHE // widest))

        def call(state: State) -> tuple[State, Tensor]:
            losses, *parts = run(*vars(state).values())
            return State(state.seeds, *parts), losses

        return call

    @torch.no_grad()
    def measure(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Exact expectations over the strings of each split, masked places and synonyms.

        Returns:
            Accuracy and cross-entropy (nats), ``(split, quantity, trial)``; ``(trial, bit)``, the
            least norm of the encoder's output over all contexts whose masked bit is 0, is 1; and
            ``(trial, pair, 3)``, of each pair of synonyms mean, least and greatest over the
            contexts of their bit of ``<o_b - o_a, h>``, by how much b's logit exceeds a's.
        """
        task, own, population = self.task, self.settings, self.population
        chunk = max(1, AT_ONCE // len(self.seeds))
        first, second = torch.tensor(task.synonyms, dtype=torch.long).reshape(-1, 2).T
        values, norms, weights, sums, extremes = 0, [], 0, 0, []
        for tokens, joint in zip(
            population.tokens.split(chunk, 1), population.joint.split(chunk, 2), strict=True
        ):
            tokens, joint = tokens.to(self.device)[None], joint.to(self.device)
            hidden, log_probability = self.predict(state.flat, tokens)
            case = torch.arange(joint.shape[2], device=self.device)
            accuracy = joint[:, log_probability.argmax(1), case].sum(2)  # (split, trial)
            loss = -torch.einsum("psc,tsc->pt", joint, log_probability.double())
            values = values + torch.stack([accuracy, loss], 1)
            of_bit = joint[-1, : task.symbols].split([len(task.zero_dst), len(task.one_dst)])
            weight = torch.stack([part.sum(0) for part in of_bit])  # (bit, case)
            norm = hidden.double().norm(dim=1)[:, None]  # (trial, 1, case)
            norms.append(norm.where(weight > 0, math.inf).amin(2))
            weight = weight[(first >= len(task.zero_dst)).long()]  # (pair, case)
            gap = (log_probability[:, second] - log_probability[:, first]).double()
            weights, sums = weights + weight.sum(1), sums + (weight * gap).sum(2)
            least, greatest = (gap.where(weight > 0, end) for end in (math.inf, -math.inf))
            extremes.append(torch.stack([least.amin(2), -greatest.amax(2)]))
        if own.validation == "as-published":
            values[SPLITS.index("validation")] = values[SPLITS.index("train")]
        least, greatest = torch.stack(extremes).amin(0)
        gaps = torch.stack([sums / weights, least, -greatest], 2)
        return values, torch.stack(norms).amin(0), gaps


def train(
    stack: Stack,
    steps: int,
    start: dict[str, Tensor] | None,
    keep: Callable[[dict[str, Tensor]], None],
    going_on: Callable[[int], bool] = lambda step: True,
) -> bool:
    """Train a stack to ``steps``, from a checkpoint's tensors or from the beginning.

    Args:
        keep: stores the tensors of a checkpoint: called once a minute and at the end.
        going_on: told the step now and then; answering False stops the training, with a checkpoint.

    Returns:
        Whether ``steps`` was reached.
    """
    own, state, history = stack.settings, stack.initial(), History(start or {})
    if start is not None:
        state = State(**{name: start[name].to(stack.device) for name in vars(state)})
        if "gaps" not in start:  # a checkpoint of an earlier version
            none = torch.full((len(stack.seeds), len(stack.task.synonyms), 3), math.nan)
            history.series["gaps"] = [none] * len(history.series["measured_steps"])
    step = int(state.step)

    def checkpoint() -> None:
        keep({**vars(state), **history.tensors()})

    def due(every: int | None, series: str) -> bool:
        seen = history.series[series]
        now = every and (step % every == 0 or step == steps)
        return bool(now and (not seen or seen[-1] < step))

    def observe() -> None:
        if due(own.record_every, "record_steps"):
            tables = torch.stack(stack.tables(state), 1).float()
            history.add(record_steps=state.step, tables=tables)
        if due(own.validate_every, "measured_steps"):
            measured, norms, gaps = stack.measure(state)
            history.add(
                measured_steps=state.step, measured=measured, norms=norms.float(),
                gaps=gaps.float(),
            )  # fmt: skip
            if own.keep_best:
                loss = measured[SPLITS.index("validation"), 1]
                history.improve(loss, state.flat, state.step)
        if due(own.keep_every, "kept_steps"):
            history.add(kept_steps=state.step, kept=state.flat)

    def until_due() -> int:
        every = own.record_every, own.validate_every, own.keep_every, steps
        return min(some - step % some for some in every if some)

    observe()
    advance = stack.stepper(steps)
    many = steps_a_launch(stack.device)
    launch = launched(lambda state: advance(state)[0], many, stack.device)
    told = kept = time.monotonic()
    while step < steps:
        if until_due() < many:
            (state, _), step = advance(state), step + 1
        else:
            state, step = launch(state), step + many
        observe()
        now = time.monotonic()
        if now - told > TELL_SECONDS:
            told = now
            if not going_on(step):
                break
        if now - kept > KEEP_SECONDS:
            checkpoint()
            kept = time.monotonic()
    checkpoint()
    going_on(step)
    return step >= steps


def xor_task(settings: Settings) -> XorTask:
    """The data that the settings describe."""
    return XorTask(
        settings.bits, settings.zero_dst, settings.one_dst, settings.data_seed,
        settings.near_synonym or 0.0,
    )  # fmt: skip
