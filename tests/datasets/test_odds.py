"""Odds of synonyms that turn with the string's parity, against brute force."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest
import torch

from semantica_lib.analysis.distances import synonym_pairs
from semantica_lib.analysis.theory import log_odds_by_parity
from semantica_lib.datasets.contexts import SPLITS, Population
from semantica_lib.datasets.xor import XorTask, xor_task
from semantica_lib.settings.catalogue import settings

Written = tuple[list[int], int, float]
TASKS = [
    XorTask(4, (0.1, 0.9), (0.5, 0.5), 14, odds="turning"),
    XorTask(4, (0.1, 0.9), (0.5, 0.5), 14, odds="both"),
    XorTask(3, (0.7, 0.2, 0.1), (1.0, 0.0), 3, odds="turning"),
    XorTask(3, (1.0,), (0.25, 0.75), 3, odds="both"),
    XorTask(2, (0.3, 0.7), (0.5, 0.5), 14, odds="turning"),
]
EACH = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.odds} {task.zero_dst}")


def counted(writings: Iterable[Written], ordered: bool) -> dict[tuple[int, ...], dict[int, float]]:
    """Probability of every context and target."""
    found: dict = defaultdict(lambda: defaultdict(float))
    for tokens, target, probability in writings:
        *others, parity = tokens
        key = tuple(tokens) if ordered else (*sorted(others), parity)
        found[key][target] += probability
    return found


@EACH
@pytest.mark.parametrize("ordered", [False, True])
def test_the_contexts_are_those_of_all_masked_writings(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask, ordered: bool
) -> None:
    population: Population = task.contexts if ordered else task.population
    for index, split in enumerate(SPLITS):
        expected = counted(masked_writings(task, split), ordered)
        seen = 0
        cases = population.tokens.T.tolist(), population.joint[index].T
        for tokens, joint in zip(*cases, strict=True):
            *others, parity = tokens
            key = tuple(tokens) if ordered else (*sorted(others), parity)
            for symbol, probability in enumerate(joint.tolist()):
                assert probability == pytest.approx(expected[key][symbol], rel=0, abs=1e-12)
            seen += joint.sum().item()
        assert seen == pytest.approx(1, abs=1e-12)
    columns = [tuple(column) for column in population.tokens.T.tolist()]
    assert len(columns) == len(set(columns))


@EACH
def test_the_ceiling_is_that_of_the_best_guess_in_every_context(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> None:
    for split in SPLITS:
        best, least = 0.0, 0.0
        for targets in counted(masked_writings(task, split), True).values():
            best += max(targets.values())
            total = sum(targets.values())
            least -= sum(p * math.log(p / total) for p in targets.values() if p)
        assert task.ceiling(split) == pytest.approx((best, least), rel=0, abs=1e-12)


def test_the_ceiling_of_the_main_experiment_with_turning_odds_is_that_of_constant_ones() -> None:
    turning, constant = (xor_task(settings({"odds": odds})) for odds in ("turning", "constant"))
    assert turning.ceiling("exact") == pytest.approx(constant.ceiling("exact"), abs=1e-12)


@EACH
def test_a_string_is_drawn_as_by_the_constant_task_of_its_parity(task: XorTask) -> None:
    """The random words are the same, so it is to the bit; also where trials have their own."""
    strings, seeds, step = task.splits["exact"], torch.tensor([1, 2**32 - 1, 7]), torch.tensor(5)
    even = XorTask(task.bits, task.zero_dst, task.one_dst, task.data_seed)
    turn = {"turning": lambda dst: dst[::-1], "both": lambda dst: (1 / len(dst),) * len(dst)}
    other = [turn[task.odds](dst) for dst in (task.zero_dst, task.one_dst)]
    odd = XorTask(task.bits, *other, task.data_seed)
    first, second = (one.draw(strings, seeds, step) for one in (even, odd))
    own = torch.tensor([task.thresholds(False)]).expand(3, -1, -1)
    parity = strings.sum(1) % 2 == 1
    for batch in (task.draw(strings, seeds, step), task.draw(strings, seeds, step, own)):
        for name in ("tokens", "target"):
            ours, one, two = (getattr(x, name) for x in (batch, first, second))
            assert torch.equal(ours[..., ~parity], one[..., ~parity])
            assert torch.equal(ours[..., parity], two[..., parity])


@EACH
def test_shares_are_those_of_brute_force(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> None:
    counts = [0.0] * task.symbols
    for _, target, probability in masked_writings(task, "exact"):
        counts[target] += 2 * probability  # each bit stands at half of the places
    assert task.probability == pytest.approx(counts, rel=0, abs=1e-12)


def company(task: XorTask, a: int, b: int) -> float:
    """Total variation between the contexts in which a stands and those in which b does."""
    joint = task.population.joint[SPLITS.index("exact")]
    one, other = (joint[symbol] / joint[symbol].sum() for symbol in (a, b))
    return (one - other).abs().sum().item() / 2


def test_equal_shares_go_with_unequal_company_and_unequal_shares_with_equal_company() -> None:
    """What the two kinds of odds are for; of both, shares and company are unequal."""
    made = {o: xor_task(settings({"odds": o})) for o in ("constant", "turning", "both")}
    assert company(made["constant"], 0, 1) == pytest.approx(0, abs=1e-12)
    assert made["constant"].probability[:2] == (0.1, 0.9)
    assert company(made["turning"], 0, 1) > 0.8 - 1e-9
    assert made["turning"].probability[:2] == pytest.approx((0.5, 0.5))
    assert company(made["both"], 0, 1) > 0.3
    assert made["both"].probability[:2] == pytest.approx((0.3, 0.7))
    for task in made.values():
        assert company(task, 2, 3) == pytest.approx(0, abs=1e-12)
        holds = {pair[:2]: pair.conditionally_equivalent for pair in synonym_pairs(task)}
        assert holds == {(0, 1): False, (2, 3): True}


@EACH
def test_synonyms_mean_the_same(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> None:
    """Beside any synonym the masked symbol has the same distribution."""
    found = counted(masked_writings(task, "exact"), True)
    first = len(task.zero_dst)
    means: dict = {}
    for context, targets in found.items():
        total = sum(targets.values())
        if not total:
            continue
        bits = tuple(t if t >= task.symbols else int(t >= first) for t in context)
        mine = [targets[s] / total for s in range(task.symbols)]
        assert means.setdefault(bits, mine) == pytest.approx(mine, abs=1e-12)


def test_log_odds_by_parity_are_those_of_every_context() -> None:
    """A law for turning odds: what the logits of synonyms must differ by, context by context."""
    for odds, expected in {
        "constant": [math.log(9)],
        "turning": [math.log(9), -math.log(9)],
        "both": [math.log(9), 0.0],
    }.items():
        task = xor_task(settings({"odds": odds}))
        found = log_odds_by_parity(task, (0, 1))
        assert found == pytest.approx(expected)
        joint = task.population.joint[SPLITS.index("exact")]
        cases = task.population.tokens.T.tolist(), joint.T.tolist()
        for tokens, targets in zip(*cases, strict=True):
            if targets[0] > 0:
                law = found[(tokens[-1] - task.parity) % len(found)]
                assert math.log(targets[1] / targets[0]) == pytest.approx(law)
    never = XorTask(3, (1.0, 0.0), (0.5, 0.5), 14, odds="turning")
    assert log_odds_by_parity(never, (0, 1)) == (-math.inf, math.inf)
