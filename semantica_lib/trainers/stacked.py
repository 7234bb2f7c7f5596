"""A stack: XOR trials that train together as one program, compiled, their data included."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semantica_lib.datasets.contexts import SPLITS, Expectation, Population
from semantica_lib.datasets.xor import Batch, xor_task
from semantica_lib.models import encoders
from semantica_lib.models.stack import BIAS, INPUT, OUTPUT, Layout, gradient, product
from semantica_lib.settings.schema import BOTH
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers import schedule
from semantica_lib.trainers.compiling import compiled

if TYPE_CHECKING:
    from semantica_lib.models.dropout import Dropout

EAGER_BELOW = 300  # runs of fewer steps end sooner than the compiler does
IN_CACHE = 600_000  # numbers of a tensor that a processor's level-2 cache holds beside others
NEVER = 2**62  # the step of what does not happen


@dataclass(frozen=True)
class State:
    """A stack of trials between two steps.

    A trial diverges at its first step whose loss (of the batch, before the update), parameters or
    moments are not all finite. That step is not done, nor any after it: ``stopped`` is how many
    were, and the parameters and moments are as they left them. The others feel nothing of it.
    """

    seeds: Tensor  # (trial,)
    flat: Tensor  # (trial, parameter): the parameters
    first: Tensor  # (trial, parameter), and second: AdamW's moments
    second: Tensor
    stopped: Tensor  # (trial,) int64: the steps done by a trial that diverged; else NEVER
    step: Tensor  # 0-d: how many are done

    def after(self, losses: Tensor, *made: Tensor) -> "State":
        """The state that a step leaves which made these parameters and moments."""
        flat, _, second = made  # of an infinite first moment the parameter is not finite, either
        finite = losses.isfinite() & (flat.isfinite() & second.isfinite()).all(1)
        stopped = torch.where(finite, self.stopped, self.stopped.minimum(self.step))
        going, before = (stopped == NEVER)[:, None], (self.flat, self.first, self.second)
        kept = (torch.where(going, *pair) for pair in zip(made, before, strict=True))
        return State(self.seeds, *kept, stopped, self.step + 1)


@dataclass(frozen=True)
class Traits:
    """What the trials of a stack differ in beside their seeds, as data to one compiled step."""

    scales: Tensor  # (trial, 3) float64: highest and lowest rate, weight decay
    thresholds: Tensor  # (trial, bit, threshold): the distributions that are drawn from
    joint: Tensor  # (trial, symbol, case): the expectation that is trained on; else no cases
    untie_at: Tensor  # (trial,): the step up to which two tables move as one


class Stack:
    """Trials of one shape, as functions of their state.

    Args:
        settings: the experiment; or that of each trial, which agree in their ``shape``.
        seeds: one trial each.
        ties: the word for how the output table comes of the input table, or of each trial's; True
            and False are tied and untied.
        device, dtype: where and in what precision to compute.
    """

    def __init__(
        self,
        settings: Settings | Sequence[Settings],
        seeds: Iterable[int],
        ties: bool | str | Sequence[bool | str],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.seeds = torch.tensor(list(seeds), device=device)
        count = len(self.seeds)
        self.each = [settings] * count if isinstance(settings, Settings) else list(settings)
        ties = [ties] * count if isinstance(ties, bool | str) else ties
        self.ties = [{True: BOTH[0], False: BOTH[1]}.get(tie, tie) for tie in ties]
        if len({own.shape for own in self.each}) > 1 or {count} != {len(self.each), len(self.ties)}:
            raise ValueError("the trials of a stack have one shape, and settings and a tie each")
        own = self.settings = self.each[0]
        self.device, self.dtype = device, dtype
        tasks = [xor_task(one) for one in self.each]
        self.task = tasks[0]
        self.strings = self.task.splits["train"].to(device)
        self.batch_size = own.batch_size or len(self.strings)
        kinds = list(dict.fromkeys(tasks))
        self.kind = torch.tensor([kinds.index(task) for task in tasks], device=device)
        ordered = encoders.sees_order(own)
        populations = [task.contexts if ordered else task.population for task in kinds]
        self.contexts = Population.of_all(populations).to(device)
        self.whole: Expectation | None = None  # what each step trains on, in the place of a batch
        joint = torch.zeros(count, 0, 0, dtype=dtype, device=device)
        if own.expectation == "exact":
            self.whole = _whole(self.contexts, self.kind).to(device, dtype)
            self.batch_size = self.whole.tokens.shape[2]
            joint = self.whole.joint.expand(count, -1, -1)
        # Tables that are untied on the way are two from the start, and move as one until then; so
        # are all of a stack in which some are tied and some are not.
        pairs = zip(self.each, self.ties, strict=True)
        apart = [(one.untie_at or NEVER) * (tie == BOTH[0]) for one, tie in pairs]
        self.head = None
        if own.output_bias != "none" or not {*self.ties} <= {*BOTH}:
            from semantica_lib.models.head import Head  # most need none

            self.head = Head(own.output_bias, self.ties, self.task.mask, own.scheme)
        shapes = {name: tuple(value.shape) for name, value in self._weights(0).items()}
        self.layout = Layout(shapes, tied=set(apart) == {NEVER})
        self.as_one = any(apart) and not self.layout.tied
        scales = [
            (one.learning_rate, one.learning_rate_min or 0.0, one.weight_decay) for one in self.each
        ]
        lying = any(task.near_synonym for task in tasks)
        self.traits = Traits(
            scales=torch.tensor(scales, dtype=torch.float64, device=device),
            thresholds=torch.tensor([task.thresholds(lying) for task in tasks], device=device),
            joint=joint,
            untie_at=torch.tensor(apart, device=device),
        )
        if own.dropout:
            self.dropped, most = encoders.dropping(own, self.batch_size)
            self.dropout_rows = torch.arange(-(-most // 4), device=device)

    def _weights(self, trial: int) -> dict[str, Tensor]:
        """Initial parameters of a trial by name."""
        seed, tie = int(self.seeds[trial]), self.ties[trial]
        named = encoders.initial(self.each[trial], self.task.vocabulary, seed)
        named |= {OUTPUT: named[INPUT]} if tie == BOTH[0] else {}
        if self.head:
            joint = self.contexts.joint[self.kind[trial], SPLITS.index("train")]
            named = self.head.start(named, tie, joint.sum(1).cpu())
        return named

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters ``(trial, *shape)`` by name, among them both tables as they are used."""
        views = self.layout.views(flat)
        return self.head.views(views) if self.head else views

    def initial(self) -> State:
        """The state before the first step."""
        rows = [self.layout.flat(self._weights(trial)) for trial in range(len(self.seeds))]
        flat = torch.stack(rows).to(self.device, self.dtype)
        zero = torch.zeros_like(flat)
        never, step = torch.full_like(self.seeds, NEVER), torch.tensor(0, device=self.device)
        return State(self.seeds, flat, zero, zero.clone(), never, step)

    def tables(self, state: State) -> tuple[Tensor, Tensor]:
        """Input and output embeddings, each ``(trial, symbol, feature)``."""
        views = self.views(state.flat)
        return views[INPUT], views[OUTPUT]

    def predict(
        self, views: dict[str, Tensor], tokens: Tensor, drop: "Dropout | None" = None
    ) -> tuple[Tensor, Tensor]:
        """The encoder's output ``h`` at the masked place, ``(trial, feature, batch)``, and the
        log-probability of each symbol there, ``(trial, symbol, batch)``, by ``h @ O.T``, plus the
        bias where there is one.

        Args:
            views: the parameters by name, each ``(trial, *shape)``.
            tokens: ``(trial or 1, token, batch)``.
            drop: a step's dropout; none while measuring.
        """
        hidden = encoders.masked_hidden(self.settings, views, tokens, drop)
        logits = product(views[OUTPUT], hidden)
        if BIAS in views:
            logits = logits + views[BIAS][..., None]
        return hidden, logits.log_softmax(1)

    def loss(
        self, views: dict[str, Tensor], batch: Batch | Expectation, drop: "Dropout | None" = None
    ) -> Tensor:
        """Cross-entropy at the masked place of each trial, nats, ``(trial,)``."""
        _, log_probability = self.predict(views, batch.tokens, drop)
        if isinstance(batch, Expectation):
            return -(batch.joint * log_probability).sum((1, 2))
        symbols = torch.arange(log_probability.shape[1], device=log_probability.device)
        hit = batch.target[:, None] == symbols[:, None]
        return -torch.where(hit, log_probability, 0).sum(1).mean(1)

    def batch(self, state: State, traits: Traits) -> Batch | Expectation:
        """What the next step of these trials trains on: drawn, or the whole of it."""
        if self.whole is not None:
            return Expectation(self.whole.tokens, traits.joint)
        strings, size = self.strings, self.settings.batch_size
        if size:
            strings = self.task.shuffled(strings, size, state.seeds, state.step)
        thresholds = traits.thresholds if len(self.contexts.joint) > 1 else None
        return self.task.draw(strings, state.seeds, state.step, thresholds)

    def dropout(self, state: State) -> "Dropout | None":
        """That of the next step, where the settings have any."""
        if not self.settings.dropout:
            return None
        return self.dropped(self.settings.dropout, state.seeds, state.step, self.dropout_rows)

    def update(
        self, state: State, batch: Batch | Expectation, traits: Traits
    ) -> tuple[State, Tensor]:
        """One step of the optimizer on a given batch; the losses are those before the step."""
        own, drop = self.settings, self.dropout(state)

        def total(flat: Tensor) -> tuple[Tensor, Tensor]:
            losses = self.loss(self.views(flat), batch, drop)
            if self.head:
                return self.head.whole(losses, self.layout.views(flat)), losses
            return losses.sum(), losses  # trials share no parameter: each gets its own gradient

        pull, losses = gradient(total, state.flat)
        if self.as_one:
            joined = state.step < traits.untie_at
            pull = torch.where(joined[:, None], _as_one(self.layout, pull), pull)
        if own.optimizer == "adam":
            pull = pull + traits.scales[:, 2:].to(self.dtype) * state.flat
        flat, *moments = _moved(own, state, pull, self.factors(state.step, traits))
        if self.head:
            flat = self.head.held(self.layout, state.flat, flat)
        return state.after(losses, flat, *moments), losses

    def factors(self, step: Tensor, traits: Traits) -> Tensor:
        """The optimizer's factors at this step under the schedule, ``(trial, 3)``."""
        own, decay = self.settings, traits.scales[:, 2]
        rate = schedule.rate(own, step, traits.scales[:, :2])
        decay = 0 * decay if own.optimizer == "adam" else decay
        betas = own.betas or (0.0, 0.0)  # sgd corrects nothing
        return schedule.adamw_factors(step, rate, decay, betas).to(self.dtype)

    def stepper(self, steps: int) -> Callable[[State], tuple[State, Tensor]]:
        """The whole step, drawing its batch included, compiled where that is possible and pays.

        On a processor a stack is cut into chunks that pass through its cache one by one.

        Args:
            steps: how long the run will be in all; it decides whether compiling pays.
        """
        own, count = self.settings, len(vars(self.traits))

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            traits, state = Traits(*tensors[:count]), State(*tensors[count:])
            state, losses = self.update(state, self.batch(state, traits), traits)
            return losses, *list(vars(state).values())[1:]

        run = compiled(step, self.device) if steps >= EAGER_BELOW else step
        if self.device == "cpu":
            from semantica_lib.trainers.launching import in_chunks  # a kernel needs none

            widest = encoders.widest(own, self.task.vocabulary, self.batch_size)
            run = in_chunks(run, len(self.seeds), max(1, IN_CACHE // widest))

        def call(state: State) -> tuple[State, Tensor]:
            losses, *rest = run(*vars(self.traits).values(), *vars(state).values())
            return State(state.seeds, *rest), losses

        return call


def _whole(contexts: Population, kind: Tensor) -> Expectation:
    """The training strings' contexts; ``joint`` of all trials at once if theirs is the same.

    Args:
        kind: of each trial, which of the populations is its.
    """
    joint = contexts.joint[:, SPLITS.index("train")]  # (kind, symbol, case)
    occur = joint.sum((0, 1)) > 0
    joint = joint[:, :, occur][kind] if len(joint) > 1 else joint[0, :, occur]
    return Expectation(contexts.tokens[None, :, occur], joint)


def _moved(own: Settings, state: State, gradient: Tensor, factors: Tensor) -> tuple[Tensor, ...]:
    """Parameters and moments after a step of the optimizer."""
    kept, rate, scale = factors[:, None].unbind(-1)
    first, second = state.first, state.second
    if own.optimizer == "sgd":
        return kept * state.flat - rate * gradient, first, second
    beta1, beta2 = own.betas
    first = torch.lerp(first, gradient, 1 - beta1)
    second = beta2 * second + (1 - beta2) * gradient * gradient
    return kept * state.flat - rate * first / (second.sqrt() * scale + own.eps), first, second


def _as_one(layout: Layout, gradient: Tensor) -> Tensor:
    """The gradient of two tables that are to move as one."""
    views = layout.views(gradient)
    views[INPUT] = views[OUTPUT] = views[INPUT] + views[OUTPUT]
    return torch.cat([views[name].flatten(1) for name in layout.names], 1)
