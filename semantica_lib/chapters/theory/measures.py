"""Which symbols are alike, decided by enumeration, and what the loss's gradients do with them.

The statements that these functions check, and their proofs, are in ``notebooks/theory.ipynb``. The
idea is the paper's (Bertolotti & Cazzola 2024); the statements and proofs are this project's.
Nothing here is told by the settings which symbols are synonyms: all is read off the probabilities.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.markdown import table_of
from semantica_lib.datasets.contexts import Expectation
from semantica_lib.models.stack import INPUT, OUTPUT
from semantica_lib.trainers.stacked import Stack

EXACT = 1e-9  # of float64 quantities of size 1: rounding stays below, a broken symmetry far above
CLOCK_STEPS = 300
HOLE = -1  # stands in a sequence for the occurrence that was taken out


class Relation(NamedTuple):
    """By how much two symbols differ; 0: they are alike in this respect.

    Attributes:
        semantic: max of ``|p(y | rest, a) - p(y | rest, b)|`` over targets y and the rests of
            sequences that both complete; nan if there is no such rest.
        company: max of ``|p(rest | a) - p(rest | b)|``; nan if a symbol never occurs.
        conditional: max of ``|p(a | c) - p(b | c)|`` over contexts c.
    """

    semantic: float
    company: float
    conditional: float


def rests(data: Expectation, ordered: bool) -> list[dict[tuple[int, ...], Tensor]]:
    """Of each symbol, the rests of the sequences it occurs in, with ``(target,)`` probabilities.

    Args:
        ordered: whether rests that differ in the order of their symbols only are different.
    """
    found: list[dict[tuple[int, ...], Tensor]] = [{} for _ in data.joint]
    for tokens, joint in zip(data.tokens[0].T.tolist(), data.joint.T, strict=True):
        for place, symbol in enumerate(tokens):
            rest = (*tokens[:place], HOLE, *tokens[place + 1 :])
            rest = rest if ordered else tuple(sorted(rest))
            found[symbol][rest] = found[symbol].get(rest, 0) + joint
    return found


def relations(data: Expectation, ordered: bool = False) -> dict[Pair, Relation]:
    """How every two symbols of the vocabulary differ, by brute force over the contexts."""
    found, given = rests(data, ordered), data.joint / data.joint.sum(0)
    often = [{rest: joint.sum().item() for rest, joint in of.items()} for of in found]
    company = [{rest: one / sum(of.values()) for rest, one in of.items()} for of in often]

    def relation(a: int, b: int) -> Relation:
        both, either = found[a].keys() & found[b].keys(), found[a].keys() | found[b].keys()
        semantic = (_largest(_given(found[a][rest]) - _given(found[b][rest])) for rest in both)
        apart = (abs(company[a].get(rest, 0.0) - company[b].get(rest, 0.0)) for rest in either)
        return Relation(
            semantic=max(semantic, default=float("nan")),
            company=max(apart) if found[a] and found[b] else float("nan"),
            conditional=_largest(given[a] - given[b]),
        )

    return {pair: relation(*pair) for pair in combinations(range(len(found)), 2)}


def confused(data: Expectation, replaced: Mapping[int, int]) -> float:
    """What a reader loses by taking some symbols for others, if it does not see their order.

    Contexts that become equal are compared: the largest difference of their ``p(y | c)``. At 0
    the reader can still predict as well as before.

    Args:
        replaced: symbol -> the one it is taken for.
    """
    groups: dict[tuple[int, ...], list[Tensor]] = {}
    for tokens, joint in zip(data.tokens[0].T.tolist(), data.joint.T, strict=True):
        context = tuple(sorted(replaced.get(symbol, symbol) for symbol in tokens))
        groups.setdefault(context, []).append(_given(joint))
    return max(_largest(torch.stack(group) - group[0]) for group in groups.values())


def frequency(data: Expectation) -> Tensor:
    """How often each symbol stands in a sequence on average, ``(symbol,)``."""
    symbols = torch.arange(len(data.joint))
    times = (data.tokens[0] == symbols[:, None, None]).sum(1)  # (symbol, case)
    return (times * data.joint.sum(0)).sum(1)


def with_equal_rows(stack: Stack, flat: Tensor, table: str, symbols: Sequence[int]) -> Tensor:
    """Parameters ``(trial, parameter)`` where these symbols all have the first one's row."""
    flat = flat.clone()
    rows = stack.layout.views(flat)[table]
    rows[:, list(symbols)] = rows[:, symbols[:1]].clone()
    return flat


def gradients(stack: Stack, flat: Tensor, data: Expectation) -> tuple[Tensor, Tensor]:
    """Of the exact loss by the input and the output table, each ``(trial, symbol, feature)``.

    Tied: the one table's gradient, twice.
    """
    point = flat.detach().requires_grad_()
    (pull,) = torch.autograd.grad(stack.loss(stack.layout.views(point), data).sum(), point)
    views = stack.layout.views(pull)
    return views[INPUT], views[OUTPUT]


def deviation(first: Tensor, second: Tensor) -> float:
    """Largest ``|first - second|``, ``(trial, feature)``, in units of the trial's largest entry."""
    size = torch.maximum(first.abs(), second.abs()).amax(1, keepdim=True)
    return _largest((first - second) / size.where(size > 0, 1))


def parted(
    stack: Stack, pair: Pair, table: str, equal: bool = True, per_occurrence: bool = False
) -> float:
    """:func:`deviation` of two rows' gradients at the initial weights, on what the stack trains on.

    Args:
        table: whose rows.
        equal: give both the first one's row beforehand.
        per_occurrence: divide each by how often its symbol occurs.
    """
    flat, often = stack.initial().flat, frequency(stack.whole)
    if equal:
        flat = with_equal_rows(stack, flat, table, pair)
    pull = gradients(stack, flat, stack.whole)[int(table == OUTPUT)]
    return deviation(*(pull[:, s] / (often[s] if per_occurrence else 1) for s in pair))


def probed(data: Expectation, symbol: int, probe: int) -> Expectation:
    """Every occurrence of a symbol, with the probe (a synonym of probability 0) read in its place.

    Their loss, as a function of the probe's row, is the ``l`` of Proposition 1.
    """
    place, case = (data.tokens[0] == symbol).nonzero(as_tuple=True)
    tokens, joint = data.tokens[0][:, case], data.joint[:, case]
    tokens[place, torch.arange(len(case))] = probe
    return Expectation(tokens[None], joint / joint.sum())


def slope(stack: Stack, flat: Tensor, symbol: int, probe: int, rows: Tensor) -> Tensor:
    """Gradient of ``l`` at these rows ``(trial, feature)``, from the symbol's occurrences alone."""
    flat = flat.clone()
    stack.layout.views(flat)[INPUT][:, probe] = rows
    return gradients(stack, flat, probed(stack.whole, symbol, probe))[0][:, probe]


def misread(stack: Stack, pair: Pair, probe: int) -> float:
    """How far the second's gradient, per occurrence, is from what the first's occurrences say."""
    flat, (first, second) = stack.initial().flat, pair
    rows = stack.layout.views(flat)[INPUT][:, second]
    own = gradients(stack, flat, stack.whole)[0][:, second] / frequency(stack.whole)[second]
    return deviation(slope(stack, flat, first, probe, rows), own)


def unseen(
    kind: type[torch.optim.Optimizer], hidden: Tensor, joint: Tensor, along: Tensor, **own: float
) -> Tensor:
    """What of output rows trained under a fixed encoder is left along a direction, ``(symbol,)``.

    A share of the start's, after ``CLOCK_STEPS`` on the exact loss.

    Args:
        kind: PyTorch's optimizer; ``own`` are its ``lr`` and ``weight_decay``.
        hidden: ``(case, feature)``; joint: ``(symbol, case)``.
        along: the direction ``(feature,)``, in which no hidden vector has a part.
    """
    start = torch.linspace(0.1, 1, len(joint) * hidden.shape[1], dtype=hidden.dtype)
    start = start.reshape(len(joint), -1)
    rows = torch.nn.Parameter(start.clone())
    optimizer = kind([rows], **own)
    for _ in range(CLOCK_STEPS):
        optimizer.zero_grad()
        (-(joint * (rows @ hidden.T).log_softmax(0)).sum()).backward()
        optimizer.step()
    return (rows.detach() @ along) / (start @ along)


def off_the_clock(
    kind: type[torch.optim.Optimizer], clock: float, size: float, shared: bool, **own: float
) -> float:
    """How far from the clock PyTorch's own optimizer takes two rows that are pulled at random.

    Args:
        clock: what decay alone leaves of their distance after ``CLOCK_STEPS``.
        size: of the pulls.
        shared: pull both rows the same way.
        own: the optimizer's ``lr`` and ``weight_decay``.
    """
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.Parameter(torch.randn(2, 4, generator=generator, dtype=torch.float64))
    start, optimizer = (rows[0] - rows[1]).norm().item(), kind([rows], **own)
    for _ in range(CLOCK_STEPS):
        pull = size * torch.randn(2, 4, generator=generator, dtype=torch.float64)
        rows.grad = pull[:1].repeat(2, 1) if shared else pull
        optimizer.step()
    return abs((rows[0] - rows[1]).norm().item() / start - clock)


def averaging(stack: Stack, flat: Tensor, data: Expectation, pair: Pair) -> tuple[Tensor, Tensor]:
    """What the loss falls by if two output rows are replaced by their mean, ``(trial,)`` twice.

    First as measured; then as the closed form for conditionally equivalent symbols says:
    ``-sum_c P(c) log(1 - (sqrt q(a | c) - sqrt q(b | c))^2)``, q the model's probabilities.
    """
    mean = flat.clone()
    before, after = (stack.layout.views(one) for one in (flat, mean))
    rows = after[OUTPUT]
    rows[:, list(pair)] = rows[:, list(pair)].mean(1, keepdim=True)
    root = (stack.predict(before, data.tokens)[1][:, list(pair)] / 2).exp()  # (trial, 2, case)
    closed = -(torch.log1p(-(root[:, 0] - root[:, 1]).square()) * data.joint.sum(0)).sum(1)
    return stack.loss(before, data) - stack.loss(after, data), closed


def least_rows(hidden: Tensor, joint: Tensor, decay: float | Tensor) -> Tensor:
    """The output rows ``(symbol, feature)`` of least cross-entropy plus ``decay / 2 * ||O||^2``.

    The problem is convex, with decay strictly so: Newton's steps, each halved until the loss no
    longer rises, reach its one minimum.

    Args:
        hidden: ``(case, feature)``, what a fixed encoder makes of each context, float64.
        joint: ``(symbol, case)``. Where a symbol's probability is 0, no minimum exists at decay 0.
        decay: also ``(symbol, feature)``. A feature of 1 everywhere without decay is a bias.
    """
    rows, weight = hidden.new_zeros(len(joint), hidden.shape[1]), joint.sum(0)
    penalty = torch.diag((torch.zeros_like(rows) + decay).flatten())

    def loss(rows: Tensor) -> Tensor:
        fit = -(joint * (rows @ hidden.T).log_softmax(0)).sum()
        return fit + (decay * rows.square()).sum() / 2

    for _ in range(100):
        q = (rows @ hidden.T).softmax(0)
        slope = (weight * q - joint) @ hidden + decay * rows
        spread = weight * (torch.diag_embed(q.T).permute(1, 2, 0) - q[:, None] * q)
        curvature = torch.einsum("stc,cf,cg->sftg", spread, hidden, hidden)
        curvature = curvature.reshape(penalty.shape) + penalty
        # Without decay a constant added to all logits changes nothing: the shortest step of all.
        step = torch.linalg.lstsq(curvature, slope.reshape(-1, 1), driver="gelsd").solution
        step, size = step.reshape(rows.shape), 1.0
        while size > 1e-6 and loss(rows - size * step) > loss(rows):
            size /= 2
        rows = rows - size * step
        if _largest(step) < 1e-12:
            break
    return rows


def trained(stack: Stack, steps: int) -> Tensor:
    """Parameters after so many steps on the exact loss, ``(trial, parameter)``, not compiled."""
    state = stack.initial()
    for _ in range(steps):
        state, _ = stack.update(state, stack.whole, stack.traits)
    return state.flat


class Check(NamedTuple):
    """A statement, its assumptions, what is measured, and whether it is to hold under them."""

    statement: str
    assumptions: str
    deviation: float
    expected: bool

    @property
    def as_stated(self) -> bool:
        return (self.deviation <= EXACT) == self.expected


def table_of_checks(checks: Iterable[Check]) -> str:
    """Each check with its deviation, and whether it came out as stated, as Markdown."""
    return table_of(
        {
            "statement": one.statement,
            "assumptions": one.assumptions,
            "deviation": f"{one.deviation:.1e}",
            f"to {EXACT:.0e}": "holds" if one.deviation <= EXACT else "fails",
            "and that is": "as stated" if one.as_stated else "**not as stated**",
        }
        for one in checks
    )


def _given(joint: Tensor) -> Tensor:
    return joint / joint.sum()


def _largest(values: Tensor) -> float:
    return values.abs().max().item()
