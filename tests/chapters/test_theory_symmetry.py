"""Relations against the writings themselves, gradients against autograd on plain modules."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from semantica_lib.chapters.theory import measures as symmetry
from semantica_lib.chapters.theory.measures import EXACT, deviation
from semantica_lib.datasets.xor import XorTask
from semantica_lib.models.stack import INPUT, OUTPUT
from semantica_lib.settings.catalogue import settings
from semantica_lib.trainers.stacked import Stack


def _stack(tied: bool = False, bits: int = 3, **others: object) -> Stack:
    own = settings({"bits": bits, "expectation": "exact", **others})
    return Stack(own, [42, 43], tied, dtype=torch.float64)


def _by_hand(writings: Callable, task: XorTask) -> tuple[dict, dict]:
    """``p(target, sequence)`` by sequence; and by symbol, then by rest of the sequence."""
    contexts: dict = defaultdict(lambda: np.zeros(task.vocabulary))
    found: dict = defaultdict(lambda: defaultdict(lambda: np.zeros(task.vocabulary)))
    for tokens, target, probability in writings(task, "train"):
        contexts[tuple(tokens)][target] += probability
        for place, symbol in enumerate(tokens):
            rest = tuple(tokens[:place]), tuple(tokens[place + 1 :])
            found[symbol][rest][target] += probability
    return contexts, found


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_the_relations_by_brute_force_over_writings(
    masked_writings: Callable, architecture: str
) -> None:
    """Where order matters, all three; the order-blind reader's relations agree in what is zero."""
    stack = _stack(architecture=architecture)
    ordered = architecture == "lstm"
    contexts, found = _by_hand(masked_writings, stack.task)
    for (a, b), relation in symmetry.relations(stack.whole, ordered).items():
        both = found[a].keys() & found[b].keys()
        semantic = max(
            (abs(found[a][r] / found[a][r].sum() - found[b][r] / found[b][r].sum()).max())
            for r in both
        ) if both else np.nan  # fmt: skip
        total = [sum(joint.sum() for joint in found[s].values()) for s in (a, b)]
        company = max(
            abs(np.sum(found[a].get(r, 0)) / total[0] - np.sum(found[b].get(r, 0)) / total[1])
            for r in found[a].keys() | found[b].keys()
        )
        conditional = max(abs(joint[a] - joint[b]) / joint.sum() for joint in contexts.values())
        expected = semantic, company, conditional
        if ordered:
            np.testing.assert_allclose(relation, expected, atol=1e-12)
        else:
            np.testing.assert_array_equal(np.isnan(relation), np.isnan(expected))
            assert relation.semantic <= EXACT or not semantic <= EXACT
            assert (relation.conditional <= EXACT) == (conditional <= EXACT)


def test_who_is_alike_in_the_main_experiment() -> None:
    known = symmetry.relations(_stack(bits=4).whole)
    assert [p for p, r in known.items() if max(r.semantic, r.company) <= EXACT] == [(0, 1), (2, 3)]
    conditional = [p for p, r in known.items() if r.conditional <= EXACT]
    assert conditional == [(2, 3), (4, 5), (4, 6), (5, 6)]
    assert np.isnan(known[0, 4].semantic)  # no bit stands where a parity could
    assert known[4, 5].semantic > 0.5 and known[0, 2].semantic > 0.5


def test_a_symbol_that_never_occurs_is_like_none() -> None:
    known = symmetry.relations(_stack(zero_dst=(1.0, 0.0)).whole)
    assert np.isnan(known[0, 1].semantic) and np.isnan(known[0, 1].company)


def _plain_gradients(
    stack: Stack, flat: Tensor, writings: list, plain_model: type
) -> list[tuple[Tensor, Tensor]]:
    """Of each trial's tables, by PyTorch's modules over all writings of all strings."""
    found = []
    for trial in range(len(stack.seeds)):
        model = plain_model(stack.settings, stack.task.vocabulary, stack.layout.tied).double()
        views = {name: view[trial] for name, view in stack.layout.views(flat).items()}
        model.load_state_dict(views)
        tokens = torch.tensor([tokens for tokens, _, _ in writings])
        target = torch.tensor([target for _, target, _ in writings])
        weight = torch.tensor([p for _, _, p in writings], dtype=torch.float64)
        at_mask = model.logits(tokens)[tokens == stack.task.mask]
        losses = torch.nn.functional.cross_entropy(at_mask, target, reduction="none")
        (weight * losses).sum().backward()
        tables = model.input_embedding.weight, model.output_embedding.weight
        found.append(tuple(table.grad for table in tables))
    return found


@pytest.mark.parametrize("tied", [False, True])
def test_gradients_and_frequencies_are_those_of_plain_modules_over_all_writings(
    masked_writings: Callable, plain_model: type, tied: bool
) -> None:
    stack = _stack(tied)
    writings = list(masked_writings(stack.task, "train"))
    flat = symmetry.with_equal_rows(stack, stack.initial().flat, INPUT, (0, 1))
    mine = symmetry.gradients(stack, flat, stack.whole)
    plain = _plain_gradients(stack, flat, writings, plain_model)
    for table in range(2):
        for trial in range(2):
            torch.testing.assert_close(
                mine[table][trial], plain[trial][table], rtol=1e-9, atol=1e-12
            )
    often = np.zeros(stack.task.vocabulary)
    for tokens, _, probability in writings:
        np.add.at(often, tokens, probability)
    np.testing.assert_allclose(symmetry.frequency(stack.whole), often, atol=1e-12)
    if not tied:  # the proposition on the plain modules' own gradients, and its control
        for by_input, _ in plain:
            torch.testing.assert_close(by_input[1], 9 * by_input[0], rtol=1e-9, atol=1e-12)
            assert (by_input[2] - by_input[0]).norm() > 0.01 * by_input[0].norm()


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "mixer"])
@pytest.mark.parametrize(
    ("pair", "equal", "tied", "holds"),
    [
        ((0, 1), True, False, True),
        ((2, 3), True, False, True),
        ((0, 1), False, False, False),
        ((0, 2), True, False, False),
        ((0, 1), True, True, False),
        ((2, 3), True, True, True),
    ],
)
def test_input_gradients_per_occurrence(
    architecture: str, pair: tuple, equal: bool, tied: bool, holds: bool
) -> None:
    stack = _stack(tied, architecture=architecture)
    flat, often = stack.initial().flat, symmetry.frequency(stack.whole)
    if equal:
        flat = symmetry.with_equal_rows(stack, flat, INPUT, pair)
    gradient = symmetry.gradients(stack, flat, stack.whole)[0]
    value = deviation(*(gradient[:, s] / often[s] for s in pair))
    assert value < EXACT if holds else value > 1e-3


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "mixer"])
@pytest.mark.parametrize(
    ("pair", "tied", "holds"),
    [((0, 1), False, True), ((3, 2), False, True), ((0, 2), False, False), ((0, 1), True, False)],
)
def test_two_synonyms_rows_descend_one_landscape(
    masked_writings: Callable,
    plain_model: type,
    architecture: str,
    pair: tuple,
    tied: bool,
    holds: bool,
) -> None:
    """The first's occurrences, read with the second's row, have the second's own gradient.

    By PyTorch's modules over all writings, one occurrence of the first symbol replaced at a time.
    """
    stack = _stack(tied, architecture=architecture, one_dst=(0.5, 0.5, 0.0))
    probe, flat = 4, stack.initial().flat.clone()
    first, second = pair
    table = stack.layout.views(flat)[INPUT]
    assert not torch.equal(table[:, first], table[:, second])
    writings = [one for one in masked_writings(stack.task, "train") if one[2]]
    often = sum(p * tokens.count(second) for tokens, _, p in writings)
    table[:, probe] = table[:, second]
    replaced = [
        ([*tokens[:place], probe, *tokens[place + 1 :]], target, p)
        for tokens, target, p in writings
        for place, symbol in enumerate(tokens)
        if symbol == first
    ]
    total = sum(p for *_, p in replaced)
    replaced = [(tokens, target, p / total) for tokens, target, p in replaced]
    mine = symmetry.slope(stack, flat, first, probe, table[:, second])
    own = _plain_gradients(stack, flat, writings, plain_model)
    seen = _plain_gradients(stack, flat, replaced, plain_model)
    for trial in range(2):
        torch.testing.assert_close(mine[trial], seen[trial][0][probe], rtol=1e-9, atol=1e-12)
    assert (symmetry.misread(stack, pair, probe) < EXACT) == holds
    theirs = torch.stack([one[0][second] / often for one in own])
    value = deviation(torch.stack([one[0][probe] for one in seen]), theirs)
    assert value < EXACT if holds else value > 1e-3


@pytest.mark.parametrize(
    ("optimizer", "along", "left"),
    [("SGD", [1, 2, 0], True), ("AdamW", [1, 2, 0], False), ("AdamW", [0, 0, 1], True)],
)
def test_what_no_hidden_vector_takes_is_on_the_clock(
    optimizer: str, along: list, left: bool
) -> None:
    hidden = torch.tensor([[1.0, -0.5, 0], [-2, 1, 0]], dtype=torch.float64)
    joint = torch.tensor([[0.3, 0.1], [0.1, 0.5]], dtype=torch.float64)
    share = symmetry.unseen(
        getattr(torch.optim, optimizer), hidden, joint,
        torch.tensor(along, dtype=torch.float64), lr=0.05, weight_decay=0.1,
    )  # fmt: skip
    off = (share - 0.995**symmetry.CLOCK_STEPS).abs().max()
    assert off < EXACT if left else off > 1e-2


def test_with_a_bias_unequal_odds_leave_the_rows_equal() -> None:
    """The closed form: equal rows, biases apart by log 9, where each row's decay is its share."""
    hidden = torch.tensor([[1.5, 0.2, 1], [0.5, 1.0, 1]], dtype=torch.float64)
    joint = torch.tensor([[0.04, 0.01], [0.36, 0.09], [0.1, 0.4]], dtype=torch.float64)
    decay = 0.01 * joint.sum(1, keepdim=True) * torch.tensor([1.0, 1.0, 0.0])
    rows = symmetry.least_rows(hidden, joint, decay)
    assert (rows[1] - rows[0])[:2].norm() < EXACT < (rows[2] - rows[0])[:2].norm()
    assert (rows[1] - rows[0])[2].item() == pytest.approx(np.log(9), abs=EXACT)
    without = symmetry.least_rows(hidden[:, :2], joint, 0.01)
    assert (without[1] - without[0]).norm() > 0.5


@pytest.mark.parametrize(
    ("pair", "holds"),
    [((2, 3), True), ((4, 5), True), ((4, 6), True), ((0, 1), False), ((0, 2), False)],
)
def test_output_gradients_and_what_the_mean_gains(pair: tuple, holds: bool) -> None:
    stack = _stack()
    start = stack.initial().flat
    flat = symmetry.with_equal_rows(stack, start, OUTPUT, pair)
    gradient = symmetry.gradients(stack, flat, stack.whole)[1]
    value = deviation(gradient[:, pair[0]], gradient[:, pair[1]])
    assert value < EXACT if holds else value > 1e-3
    measured, closed = symmetry.averaging(stack, start, stack.whole, pair)
    assert ((measured - closed).abs().max() < EXACT) == holds
    assert (closed > 0).all()


def test_equal_rows_are_the_first_ones_and_nothing_else_changes() -> None:
    stack = _stack()
    start = stack.initial().flat
    before = {name: view.clone() for name, view in stack.layout.views(start).items()}
    after = stack.layout.views(symmetry.with_equal_rows(stack, start, OUTPUT, (1, 3)))
    assert (after[OUTPUT][:, 3] == before[OUTPUT][:, 1]).all()
    after[OUTPUT][:, 3] = before[OUTPUT][:, 3]
    assert all((after[name] == before[name]).all() for name in before)
    assert all((stack.layout.views(start)[name] == before[name]).all() for name in before)


@pytest.mark.parametrize(
    ("replaced", "harmless"),
    [
        ({}, True),
        ({1: 0}, True),
        ({4: 0, 5: 2}, True),
        ({4: 2, 5: 0}, True),
        ({4: 0, 5: 0}, False),
        ({2: 0}, False),
    ],
)
def test_what_may_be_taken_for_what(
    masked_writings: Callable, replaced: dict, harmless: bool
) -> None:
    stack = _stack()
    seen = defaultdict(set)  # multiset after the replacing -> hidden bits
    for tokens, target, _ in masked_writings(stack.task, "train"):
        seen[tuple(sorted(replaced.get(s, s) for s in tokens))].add(target >= 2)
    assert all(len(bits) == 1 for bits in seen.values()) == harmless
    assert (symmetry.confused(stack.whole, replaced) <= EXACT) == harmless


def test_the_least_rows_are_what_torch_finds_and_obey_the_law() -> None:
    hidden = torch.tensor([[1.5, 0.2], [0.5, 1.0]], dtype=torch.float64)
    joint = torch.tensor([[0.04, 0.0], [0.36, 0.0], [0.0, 0.3], [0.0, 0.3]], dtype=torch.float64)
    mine = symmetry.least_rows(hidden, joint, 0.01)
    rows = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [rows], max_iter=500, tolerance_grad=1e-12, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = -(joint * (rows @ hidden.T).log_softmax(0)).sum()
        value = fit + 0.005 * rows.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(mine, rows.detach(), rtol=1e-6, atol=1e-7)
    assert (mine[2] - mine[3]).norm() < EXACT < (mine[0] - mine[1]).norm()
    free = symmetry.least_rows(torch.eye(1, dtype=torch.float64), joint[:2, :1], 0.0)
    assert (free[1] - free[0]).item() == pytest.approx(np.log(9), abs=EXACT)


def test_adam_keeps_rows_together_that_gradient_descent_parts() -> None:
    def apart(optimizer: str, rate: float) -> tuple[float, float]:
        own = {"optimizer": optimizer, "learning_rate": rate, "schedule": "none"}
        stack = _stack(equal_start=True, weight_decay=0.0, **own)
        table = stack.layout.views(symmetry.trained(stack, 30))[INPUT]
        return (table[:, 0] - table[:, 1]).norm().item(), (table[:, 2] - table[:, 3]).norm().item()

    assert max(apart("adamw", 1e-3)) < EXACT
    unequal, equal = apart("sgd", 0.1)
    assert equal < EXACT < 1e-5 < unequal
