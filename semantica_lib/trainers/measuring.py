"""What is measured of a stack while it trains, and at which steps it is recorded."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from semantica_lib.datasets.contexts import SPLITS
from semantica_lib.models.stack import INPUT, OUTPUT
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.history import History
from semantica_lib.trainers.stacked import NEVER, Stack, State

# Sequences of all trials that are measured together: on a processor more leave the cache.
AT_ONCE = {True: 10_000, False: 1_000_000}


def record(stack: Stack, state: State, step: int, steps: int, history: History) -> None:
    """Add to the history what is due at this step of ``steps``; nan of trials that diverged."""
    own, going = stack.settings, (state.stopped == NEVER)[:, None]
    state = replace(state, flat=state.flat.where(going, math.nan))
    if history.due("record_steps", step, own.record_every, steps):
        tables = torch.stack(stack.tables(state), 1).float()
        history.add(record_steps=state.step, tables=tables)
    if history.due("measured_steps", step, own.validate_every, steps):
        measured, norms, gaps = measure(stack, state)
        history.add(measured_steps=state.step, measured=measured)
        history.add(norms=norms.float(), gaps=gaps.float())
        if own.keep_best:
            history.improve(measured[SPLITS.index("validation"), 1], state.flat, state.step)
    if history.due("kept_steps", step, own.keep_every, steps):
        history.add(kept_steps=state.step, kept=state.flat)
    if step & (step - 1) == 0 and history.due("gradient_steps", step, 1, steps):  # 0, powers of 2
        pulls = table_gradient(stack, state).float()
        history.add(gradient_steps=state.step, gradients=pulls)


def until_due(own: Settings, step: int, steps: int) -> int:
    """How many steps there are until something may be recorded."""
    every = own.record_every, own.validate_every, own.keep_every, steps
    return min(2 ** step.bit_length() - step, *(e - step % e for e in every if e))


def table_gradient(stack: Stack, state: State) -> Tensor:
    """How the gradient of the step to come reaches the tables, ``(trial, 3)``.

    Its norm through the input, that through the output, and the cosine between the two. In a tied
    table their sum is the gradient.
    """
    batch, drop = stack.batch(state, stack.traits), stack.dropout(state)
    views = stack.views(state.flat)
    table, output = (views[name].detach().requires_grad_() for name in (INPUT, OUTPUT))
    loss = stack.loss(views | {INPUT: table, OUTPUT: output}, batch, drop).sum()
    pulls = torch.autograd.grad(loss, (table, output))
    one, other = (pull.flatten(1).double() for pull in pulls)
    cosine = torch.nn.functional.cosine_similarity(one, other)
    return torch.stack([one.norm(dim=1), other.norm(dim=1), cosine], 1)


@torch.no_grad()
def measure(stack: Stack, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Exact expectations over the strings of each split, masked places and synonyms.

    Returns:
        Accuracy and cross-entropy (nats), ``(split, quantity, trial)``; ``(trial, bit)``, the
        least norm of the encoder's output over all contexts whose masked bit is 0, is 1 (where
        symbols lie, in which one of 0's, of 1's symbols may have stood); and
        ``(trial, pair, 3)``, of each pair of synonyms mean, least and greatest over the
        contexts of their bit of ``<o_b - o_a, h>``, by how much b's logit exceeds a's.
    """
    task, contexts, views = stack.task, stack.contexts, stack.views(state.flat)
    cases = max(1, AT_ONCE[stack.device == "cpu"] // len(stack.seeds))
    first, second = torch.tensor(task.synonyms, dtype=torch.long).reshape(-1, 2).T
    values, norms, weights, sums, extremes = 0, [], 0, 0, []
    for tokens, joint in zip(
        contexts.tokens.split(cases, 1), contexts.joint.split(cases, 3), strict=True
    ):
        joint = joint[stack.kind]
        hidden, log_probability = stack.predict(views, tokens[None])
        best = log_probability.argmax(1)[:, None, None].expand(-1, len(SPLITS), -1, -1)
        loss = -torch.einsum("tpsc,tsc->pt", joint, log_probability.double())
        accuracy = joint.gather(2, best).sum((2, 3)).T.where(~loss.isnan(), math.nan)
        values = values + torch.stack([accuracy, loss], 1)  # (split, quantity, trial)
        of_bit = joint[:, -1, : task.symbols].split([len(task.zero_dst), len(task.one_dst)], 1)
        weight = torch.stack([own.sum(1) for own in of_bit], 1)  # (trial, bit, case)
        norm = hidden.double().norm(dim=1)[:, None]  # (trial, 1, case)
        norms.append(norm.where(weight > 0, math.inf).amin(2))
        weight = weight[:, (first >= len(task.zero_dst)).long()]  # (trial, pair, case)
        gap = (log_probability[:, second] - log_probability[:, first]).double()
        weights, sums = weights + weight.sum(2), sums + (weight * gap).sum(2)
        least, greatest = (gap.where(weight > 0, end) for end in (math.inf, -math.inf))
        extremes.append(torch.stack([least.amin(2), -greatest.amax(2)]))
    if stack.settings.validation == "as-published":
        values[SPLITS.index("validation")] = values[SPLITS.index("train")]
    least, greatest = torch.stack(extremes).amin(0)
    return values, torch.stack(norms).amin(0), torch.stack([sums / weights, least, -greatest], 2)
