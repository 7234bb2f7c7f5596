"""The XOR task against its definition: what is drawn, how it is split, what is attainable.

Statistical tests run at fixed seeds, so they always give the same p-values, which must lie in
``FAIR``, chosen before any was computed.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from semantica_lib.datasets import streams
from semantica_lib.datasets.contexts import SPLITS, Population
from semantica_lib.datasets.xor import XorTask

FAIR = (1e-4, 1 - 1e-4)
MAIN = XorTask(7, (0.1, 0.9), (0.5, 0.5), 14)
SEEDS = torch.arange(42, 52)
Written = tuple[list[int], int, float]  # tokens, hidden symbol, probability


def distributions(synonyms: int = 4) -> st.SearchStrategy[tuple[float, ...]]:
    """Distributions over one to so many synonyms, some of them impossible."""
    weights = st.lists(st.integers(0, 5), min_size=1, max_size=synonyms).filter(any)
    return weights.map(lambda counts: tuple(count / sum(counts) for count in counts))


def tasks(bits: int = 10, synonyms: int = 4) -> st.SearchStrategy[XorTask]:
    dst = distributions(synonyms)
    return st.builds(XorTask, st.integers(2, bits), dst, dst, st.integers(0, 2**32 - 1))


def numbers(strings: Tensor) -> list[int]:
    return [int("".join(map(str, string)), 2) for string in strings.tolist()]


def bit_of(task: XorTask, symbol: int) -> int:
    return int(symbol >= len(task.zero_dst))


def assert_fits(observed: np.ndarray, expected: np.ndarray) -> None:
    """Chi-square of counts against probabilities; what has none must not occur."""
    possible = expected > 0
    assert not observed[~possible].any()
    if possible.sum() > 1:
        p = stats.chisquare(observed[possible], expected[possible] * observed.sum()).pvalue
        assert FAIR[0] < p < FAIR[1]


def assert_population_is_of(
    writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> dict[tuple[int, ...], Tensor]:
    """The contexts, each with what it hides, are those of these masked writings; returns them."""
    expected: dict[tuple[int, ...], Tensor] = {}
    for index, split in enumerate(SPLITS):
        for tokens, target, probability in writings(task, split):
            if probability > 0:
                zero = torch.zeros(len(SPLITS), task.vocabulary, dtype=torch.float64)
                expected.setdefault(tuple(sorted(tokens)), zero)[index, target] += probability
    population = task.population
    contexts = [tuple(sorted(case)) for case in population.tokens.T.tolist()]
    assert sorted(contexts) == sorted(expected)
    for case, context in enumerate(contexts):
        torch.testing.assert_close(
            population.joint[:, :, case], expected[context], rtol=0, atol=1e-14
        )
    return expected


def neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Values side by side along an axis, none in two pairs."""
    first = torch.arange(0, x.shape[axis] - 1, 2)
    return x.index_select(axis, first), x.index_select(axis, first + 1)


# --- what is drawn ---------------------------------------------------------------------------


@given(
    task=tasks(),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True),
    step=st.integers(0, 2**40),
    split=st.sampled_from(SPLITS),
)
def test_every_sequence_drawn_is_a_masked_writing_of_its_string(
    task: XorTask, seeds: list[int], step: int, split: str
) -> None:
    strings = task.splits[split]
    batch = task.draw(strings, torch.tensor(seeds), torch.tensor(step))
    assert batch.tokens.shape == (len(seeds), task.bits + 1, len(strings))
    assert batch.target.shape == (len(seeds), len(strings))
    for tokens, targets in zip(batch.tokens, batch.target, strict=True):
        for string, sequence, target in zip(
            strings.tolist(), tokens.T.tolist(), targets.tolist(), strict=True
        ):
            *written, parity = sequence
            (place,) = [i for i, symbol in enumerate(sequence) if symbol == task.mask]
            assert place < task.bits
            written[place] = target
            assert all(0 <= symbol < task.symbols for symbol in written)
            assert all(task.probability[symbol] > 0 for symbol in written)
            assert [bit_of(task, symbol) for symbol in written] == string
            others = sum(string[:place] + string[place + 1 :])
            assert bit_of(task, target) == (others + parity - task.parity) % 2


@pytest.mark.parametrize("word", [0, 1, streams.WORD - 2, streams.WORD - 1])
@pytest.mark.parametrize(
    "dst", [(1.0, 0.0), (0.0, 1.0), (0.0, 1.0, 0.0), (1 - 9e-10, 0.0), (0.5, 0.5 - 9e-10, 0.0)]
)
def test_the_extreme_random_words_draw_no_impossible_symbol(
    dst: tuple[float, ...], word: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a distribution sums to 1 only within the 1e-9 that settings allow."""
    task = XorTask(3, dst, dst, 14)

    def all_equal(
        seeds: Tensor, stream: int, step: Tensor, rows: Tensor, columns: int
    ) -> list[Tensor]:
        return [torch.full((len(seeds), len(rows)), word)] * columns

    monkeypatch.setattr(streams, "words", all_equal)
    batch = task.draw(task.splits["exact"], SEEDS[:1], torch.tensor(0))
    assert all(task.probability[symbol] > 0 for symbol in batch.target.flatten().tolist())


@pytest.fixture(scope="module", params=[(0.1, 0.9), (0.7, 0.2, 0.1), (1.0, 0.0)], ids=str)
def drawn(request: pytest.FixtureRequest) -> tuple[XorTask, Tensor, Tensor, Tensor]:
    """Symbols ``(seed, step, place, string)`` before masking, masked places and strings."""
    task = XorTask(7, request.param, (0.5, 0.5), 14)
    strings = task.splits["train"]
    symbols, masked = [], []
    for step in range(200):
        batch = task.draw(strings, SEEDS, torch.tensor(step))
        hidden = batch.tokens[:, :-1] == task.mask
        symbols.append(torch.where(hidden, batch.target[:, None], batch.tokens[:, :-1]))
        masked.append(hidden.long().argmax(1))
    return task, torch.stack(symbols, 1), torch.stack(masked, 1), strings


def test_synonyms_are_as_frequent_as_the_distributions_say(
    drawn: tuple[XorTask, Tensor, Tensor, Tensor],
) -> None:
    task, symbols, masked, strings = drawn
    bits = strings.T.expand_as(symbols)
    hidden = torch.arange(task.bits)[:, None] == masked[:, :, None]
    for bit, dst, first in ((0, task.zero_dst, 0), (1, task.one_dst, len(task.zero_dst))):
        for chosen in (bits == bit, (bits == bit) & hidden, (bits == bit) & ~hidden):
            counts = torch.bincount(symbols[chosen] - first, minlength=len(dst))
            assert_fits(counts.numpy(), np.array(dst))


def test_every_bit_place_is_masked_equally_often(
    drawn: tuple[XorTask, Tensor, Tensor, Tensor],
) -> None:
    task, _, masked, strings = drawn
    uniform = np.full(task.bits, 1 / task.bits)
    assert_fits(torch.bincount(masked.flatten()).numpy(), uniform)
    for seed in range(len(SEEDS)):
        assert_fits(torch.bincount(masked[seed].flatten()).numpy(), uniform)
    for ones in range(1, task.bits):  # whatever the string is
        chosen = masked[..., strings.sum(1) == ones]
        assert_fits(torch.bincount(chosen.flatten()).numpy(), uniform)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["seeds", "steps", "strings"])
def test_masked_places_of_neighbours_are_independent(
    drawn: tuple[XorTask, Tensor, Tensor, Tensor], axis: int
) -> None:
    task, _, masked, _ = drawn
    one, other = neighbours(masked, axis)
    count = task.bits**2
    counts = torch.bincount((one * task.bits + other).flatten(), minlength=count)
    assert_fits(counts.numpy(), np.full(count, 1 / count))


@pytest.mark.parametrize("axis", range(4), ids=["seeds", "steps", "places", "strings"])
def test_synonyms_of_neighbours_are_independent(
    drawn: tuple[XorTask, Tensor, Tensor, Tensor], axis: int
) -> None:
    """Pairs of symbols, given their bits."""
    task, symbols, _, strings = drawn
    one, other = neighbours(symbols, axis)
    one_bit, other_bit = neighbours(strings.T.expand_as(symbols), axis)
    bits = np.array([bit_of(task, symbol) for symbol in range(task.symbols)])
    for first, second in product((0, 1), repeat=2):
        chosen = (one_bit == first) & (other_bit == second)
        if chosen.any():  # the same string has the same bits at any step and for any seed
            pairs = one[chosen] * task.symbols + other[chosen]
            counts = torch.bincount(pairs, minlength=task.symbols**2)
            probability = [np.where(bits == bit, task.probability, 0) for bit in (first, second)]
            assert_fits(counts.numpy(), np.outer(*probability).flatten())


def test_synonyms_do_not_depend_on_the_place_that_is_masked(
    drawn: tuple[XorTask, Tensor, Tensor, Tensor],
) -> None:
    task, symbols, masked, strings = drawn
    bits, places = strings.T.expand_as(symbols), masked[:, :, None].expand_as(symbols)
    for bit, dst, first in ((0, task.zero_dst, 0), (1, task.one_dst, len(task.zero_dst))):
        cells = (places * len(dst) + symbols - first)[bits == bit]
        counts = torch.bincount(cells, minlength=task.bits * len(dst))
        table = counts.reshape(task.bits, -1).numpy()[:, np.array(dst) > 0]
        if table.shape[1] > 1:
            assert FAIR[0] < stats.chi2_contingency(table).pvalue < FAIR[1]


def test_a_trial_draws_the_same_in_any_stack_and_after_anything() -> None:
    strings, step = MAIN.splits["train"], torch.tensor(77)
    together = MAIN.draw(strings, SEEDS, step)
    MAIN.draw(strings, SEEDS, torch.tensor(3))
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    turned = MAIN.draw(strings, SEEDS[order], step)
    assert torch.equal(turned.tokens, together.tokens[order])
    assert torch.equal(turned.target, together.target[order])
    for trial in range(len(SEEDS)):
        alone = MAIN.draw(strings, SEEDS[trial : trial + 1], step)
        assert torch.equal(alone.tokens[0], together.tokens[trial])
        assert torch.equal(alone.target[0], together.target[trial])


def test_a_string_is_written_the_same_in_any_batch() -> None:
    strings, step = MAIN.splits["exact"], torch.tensor(77)
    chosen = torch.arange(len(strings)).flip(0)[::3]
    all_, some = (MAIN.draw(batch, SEEDS, step) for batch in (strings, strings[chosen]))
    assert torch.equal(some.tokens, all_.tokens[..., chosen])
    assert torch.equal(some.target, all_.target[:, chosen])


@pytest.mark.parametrize("size", [1, 20, 57, 114])
def test_a_pass_shows_every_string_once_and_leaves_out_what_fills_no_batch(size: int) -> None:
    strings = MAIN.splits["train"]
    whole = {tuple(string) for string in strings.tolist()}
    orders = []
    for turn in range(2):
        steps = torch.arange(len(strings) // size) + turn * (len(strings) // size)
        shown = torch.cat([MAIN.shuffled(strings, size, SEEDS, step) for step in steps], 1)
        assert shown.shape == (len(SEEDS), len(steps) * size, MAIN.bits)
        for trial in shown.tolist():
            assert len({tuple(string) for string in trial}) == len(trial)
            assert {tuple(string) for string in trial} <= whole
        orders += shown.flatten(1).tolist()
    assert len({tuple(order) for order in orders}) == len(orders)  # of every trial and pass


def test_every_string_is_equally_often_in_the_first_batch() -> None:
    strings, passes = torch.arange(13)[:, None] // 2 ** torch.arange(4) % 2, 3_000
    seen = torch.zeros(13)
    for turn in range(passes):
        batch = MAIN.shuffled(strings, 4, SEEDS[:2], torch.tensor(turn * 3))
        seen += torch.bincount((batch * 2 ** torch.arange(4)).sum(2).flatten(), minlength=13)
    # drawn without replacement, so a little more even than the chi-square test takes it to be
    assert stats.chisquare(seen.numpy()).pvalue > 1e-4
    assert seen.sum() == passes * 2 * 4


def test_a_trial_shuffles_the_same_in_any_stack_and_a_string_is_written_the_same() -> None:
    strings, step = MAIN.splits["train"], torch.tensor(12_345)
    together = MAIN.shuffled(strings, 30, SEEDS, step)
    drawn = MAIN.draw(together, SEEDS, step)
    for trial in range(len(SEEDS)):
        own = SEEDS[trial : trial + 1]
        alone = MAIN.shuffled(strings, 30, own, step)[0]
        assert torch.equal(alone, together[trial])
        batch = MAIN.draw(alone, own, step)
        assert torch.equal(batch.tokens[0], drawn.tokens[trial])
        assert torch.equal(batch.target[0], drawn.target[trial])


def test_every_trial_and_every_step_is_drawn_anew() -> None:
    steps = (0, 1, 2, 3, 2**32, 2**32 + 1)
    batches = [MAIN.draw(MAIN.splits["train"], SEEDS, torch.tensor(step)) for step in steps]
    tokens = torch.cat([batch.tokens for batch in batches]).flatten(1)
    assert len(tokens.unique(dim=0)) == len(steps) * len(SEEDS)


@st.composite
def alike(draw: Callable, bits: int = 6, lies: bool = True) -> list[XorTask]:
    """Tasks of one shape: as many synonyms, the same strings, distributions of their own."""
    zeros, ones = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size, data_seed = draw(st.integers(2, bits)), draw(st.integers(0, 2**32 - 1))

    def dst(count: int) -> tuple[float, ...]:
        weights = st.lists(st.integers(0, 5), min_size=count, max_size=count).filter(any)
        counts = draw(weights)
        return tuple(each / sum(counts) for each in counts)

    near = st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0] if lies else [0.0])
    return [
        XorTask(size, dst(zeros), dst(ones), data_seed, draw(near))
        for _ in range(draw(st.integers(1, 4)))
    ]


@given(
    tasks=alike(), step=st.integers(0, 2**40), split=st.sampled_from(SPLITS), own=st.booleans(),
    data=st.data(),
)  # fmt: skip
def test_trials_with_distributions_of_their_own_draw_as_their_tasks_do(
    tasks: list[XorTask], step: int, split: str, own: bool, data: st.DataObject
) -> None:
    """Whichever of the tasks draws, also where each trial has strings of its own."""
    seed = st.integers(0, 2**32 - 1)
    seeds = torch.tensor([data.draw(seed) for _ in tasks])
    strings, at = tasks[0].splits[split], torch.tensor(step)
    if own:
        strings = torch.stack([strings.roll(trial, 0) for trial in range(len(tasks))])
    lying = any(task.near_synonym for task in tasks)
    thresholds = torch.tensor([task.thresholds(lying) for task in tasks])
    batch = data.draw(st.sampled_from(tasks)).draw(strings, seeds, at, thresholds)
    for trial, task in enumerate(tasks):
        alone = task.draw(strings[trial] if own else strings, seeds[trial : trial + 1], at)
        assert torch.equal(batch.tokens[trial], alone.tokens[0])
        assert torch.equal(batch.target[trial], alone.target[0])


def test_thresholds_are_where_the_distribution_has_been_written_so_far() -> None:
    """By hand, in quarters of all words; a threshold at the end is reached by none."""
    task = XorTask(3, (0.25, 0.75, 0.0), (0.5, 0.5), 14)
    quarter, end = streams.WORD // 4, streams.WORD
    assert task.thresholds(False) == [[quarter, end], [2 * quarter, end]]
    assert task.thresholds(True) == [[quarter, end, end, end], [0, 0, 0, 2 * quarter]]
    lying = XorTask(3, (0.5, 0.5), (0.0, 1.0), 14, 0.5)
    assert lying.thresholds(True) == [
        [2 * quarter, 3 * quarter, 3 * quarter],
        [0, 2 * quarter, 2 * quarter],
    ]


# --- symbols that lie ------------------------------------------------------------------------

LYING = [
    XorTask(3, (0.5, 0.5), (0.5, 0.5), 14, 0.1),
    XorTask(3, (0.5, 0.5), (0.5, 0.5), 14, 0.5),
    XorTask(3, (0.1, 0.9), (0.7, 0.3), 14, 0.25),
    XorTask(3, (0.2, 0.3, 0.5), (0.4, 0.6), 14, 0.3),
    XorTask(2, (1.0,), (1.0, 0.0), 14, 0.2),
    XorTask(3, (0.1, 0.9), (0.5, 0.5), 14, 1.0),
]


def says(task: XorTask, bit: int, symbol: int) -> float:
    """How probably a bit is written so: in two steps, which synonym is meant, and does it lie."""
    zeros = len(task.zero_dst)
    last, total = (zeros - 1, task.symbols - 1), 0.0
    for meant, p in enumerate(task.one_dst if bit else task.zero_dst, zeros if bit else 0):
        lies = task.near_synonym if meant == last[bit] else 0.0
        total += p * (1 - lies) * (symbol == meant) + p * lies * (symbol == last[1 - bit])
    return total


def lying_writings(task: XorTask, split: str) -> Iterable[Written]:
    """Every masked writing of every string, as ``masked_writings`` has them of honest symbols."""
    strings = task.splits[split].tolist()
    for string in strings:
        for writing in product(range(task.symbols), repeat=task.bits):
            p = math.prod(says(task, bit, s) for bit, s in zip(string, writing, strict=True))
            for place in range(task.bits):
                tokens = [*writing, task.parity + sum(string) % 2]
                tokens[place] = task.mask
                yield tokens, writing[place], p / len(strings) / task.bits


@pytest.mark.parametrize("task", LYING, ids=str)
def test_written_is_that_the_last_symbols_lie(task: XorTask) -> None:
    expected = [[says(task, bit, s) for s in range(task.symbols)] for bit in (0, 1)]
    assert np.array(task.written) == pytest.approx(np.array(expected), abs=1e-15)
    assert np.array(task.written).sum(1) == pytest.approx([1, 1])


def test_written_of_a_lie_of_one_tenth() -> None:
    """By hand; where a symbol that lies is seen, its bit is the other one as often as it lies."""
    task = XorTask(7, (0.5, 0.5), (0.5, 0.5), 14, 0.1)
    assert np.array(task.written) == pytest.approx(
        np.array([[0.5, 0.45, 0, 0.05], [0, 0.05, 0.5, 0.45]])
    )
    zero, one = np.array(task.written)
    assert one / (zero + one) == pytest.approx(np.array([0, 0.1, 1, 0.9]))


@pytest.mark.parametrize("task", LYING, ids=str)
def test_symbols_are_drawn_as_written_says(task: XorTask) -> None:
    """Given the bit, at the masked place and beside it; also that pairs are independent."""
    exact, seeds = task.splits["exact"], torch.arange(100)
    batches = [task.draw(exact, seeds, torch.tensor(step)) for step in range(60)]
    tokens = torch.stack([batch.tokens for batch in batches])  # (step, trial, token, string)
    target = torch.stack([batch.target for batch in batches])
    hidden = tokens[:, :, :-1] == task.mask
    assert (hidden.sum(2) == 1).all()
    symbols = torch.where(hidden, target[:, :, None], tokens[:, :, :-1])
    bits = task.splits["exact"].T.expand_as(symbols)
    for bit in (0, 1):
        for chosen in (hidden & (bits == bit), ~hidden & (bits == bit)):
            counts = torch.bincount(symbols[chosen], minlength=task.symbols)
            assert_fits(counts.numpy(), np.array(task.written[bit]))
        both = (bits[:, :, 0] == bit) & (bits[:, :, 1] == bit)
        pairs = (symbols[:, :, 0] * task.symbols + symbols[:, :, 1])[both]
        counts = torch.bincount(pairs, minlength=task.symbols**2)
        assert_fits(counts.numpy(), np.outer(task.written[bit], task.written[bit]).flatten())
    parity = (task.splits["exact"].sum(1) & 1) + task.parity  # that of the bits, not of the symbols
    assert (tokens[:, :, -1] == parity).all()


@pytest.mark.parametrize("task", LYING, ids=str)
def test_the_population_and_the_ceiling_of_symbols_that_lie_are_those_of_brute_force(
    task: XorTask,
) -> None:
    expected = assert_population_is_of(lying_writings, task)
    for index, split in enumerate(SPLITS):
        cells = [cell[index].tolist() for cell in expected.values() if cell[index].sum() > 0]
        accuracy = sum(max(cell) for cell in cells)
        loss = -sum(p * math.log(p / sum(cell)) for cell in cells for p in cell if p > 0)
        assert task.ceiling(split) == pytest.approx((accuracy, loss), abs=1e-12)


def test_symbols_that_never_lie_are_the_old_task() -> None:
    honest = XorTask(7, (0.1, 0.9), (0.5, 0.5), 14, 0.0)
    assert honest == MAIN
    first = len(MAIN.zero_dst)
    assert honest.written[0][:first] == MAIN.zero_dst and not any(honest.written[0][first:])
    assert honest.written[1][first:] == MAIN.one_dst and not any(honest.written[1][:first])
    assert honest.ceiling("exact") == pytest.approx((0.7, 0.509), abs=5e-4)
    # a lie so rare that it is never drawn: the words are compared with the same thresholds
    rare = XorTask(7, (0.1, 0.9), (0.5, 0.5), 14, 1e-13)
    one, other = (
        task.draw(MAIN.splits["exact"], SEEDS, torch.tensor(9)) for task in (honest, rare)
    )
    assert torch.equal(one.tokens, other.tokens) and torch.equal(one.target, other.target)
    assert rare.ceiling("exact") == pytest.approx(honest.ceiling("exact"), abs=1e-9)


def test_symbols_that_always_lie_are_swapped() -> None:
    """1 then stands for bit 1 and 3 for bit 0: the honest task with two names exchanged."""
    swapped = XorTask(3, (0.2, 0.8), (0.6, 0.4), 14, 1.0)
    honest = XorTask(3, (0.2, 0.8), (0.6, 0.4), 14)
    names = [0, 3, 2, 1, 4, 5, 6]
    cases = {}
    for task in (honest, swapped):
        for case, tokens in enumerate(task.population.tokens.T.tolist()):
            named = [names[t] for t in tokens] if task is swapped else tokens
            joint = task.population.joint[:, :, case]
            joint = joint[:, names] if task is swapped else joint
            cases.setdefault(tuple(sorted(named)), []).append(joint)
    assert all(len(both) == 2 for both in cases.values())
    for one, other in cases.values():
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
    for split in SPLITS:
        assert swapped.ceiling(split) == pytest.approx(honest.ceiling(split), abs=1e-12)


def test_the_ceiling_of_symbols_that_lie_in_closed_form() -> None:
    """With k liars beside the mask its bit is known with probability (1 + (1 - 2q)^k) / 2."""
    q, bits = 0.2, 7
    accuracy = loss = 0.0
    for k in range(bits):
        weight = math.comb(bits - 1, k) / 2 ** (bits - 1)
        sure = (1 + (1 - 2 * q) ** k) / 2
        hit = [sure / 2, ((1 - q) * sure + q * (1 - sure)) / 2]
        cell = [*hit, 0.5 * (1 - sure), 0.5 - hit[1]]
        accuracy += weight * max(cell)
        loss += weight * stats.entropy(cell)
    attained = XorTask(bits, (0.5, 0.5), (0.5, 0.5), 14, q).ceiling("exact")
    assert attained == pytest.approx((accuracy, loss), abs=1e-12)


# --- splits ----------------------------------------------------------------------------------


@given(task=tasks())
def test_splits_are_disjoint_and_hold_every_string(task: XorTask) -> None:
    parts = [numbers(task.splits[split]) for split in ("train", "validation", "test")]
    assert sorted([*parts[0], *parts[1], *parts[2]]) == list(range(2**task.bits))
    assert sorted(numbers(task.splits["exact"])) == list(range(2**task.bits))
    train, validation, test = map(len, parts)
    assert train == int(0.9 * (2**task.bits - 1))
    assert validation == max(1, (2**task.bits - 1) // 10)
    assert test >= 1


@given(task=tasks(), zero=distributions(), one=distributions())
def test_the_split_depends_on_bits_and_data_seed_alone(
    task: XorTask, zero: tuple[float, ...], one: tuple[float, ...]
) -> None:
    other = XorTask(task.bits, zero, one, task.data_seed)
    for split in SPLITS:
        assert torch.equal(task.splits[split], other.splits[split])


def test_another_data_seed_gives_another_split() -> None:
    held_out = {
        tuple(sorted(numbers(XorTask(7, (1.0,), (1.0,), seed).splits["validation"])))
        for seed in range(50)
    }
    assert len(held_out) == 50


def test_the_training_strings_are_those_of_the_original(
    reference: Callable[[str], dict[str, np.ndarray]],
) -> None:
    """Its stored batches, unmasked and read as bits, hold our training strings."""
    run = reference("transformer-small-untied")
    tokens, targets = run["tokens"][0], run["targets"][0]
    strings = np.where(tokens == MAIN.mask, targets, tokens)[:, :-1] // 2
    assert sorted(numbers(torch.tensor(strings))) == sorted(numbers(MAIN.splits["train"]))


# --- what is attainable ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zero_dst", "one_dst", "accuracy", "loss"),
    [
        ((0.1, 0.9), (0.5, 0.5), 0.70, 0.509),
        ((1.0, 0.0), (0.5, 0.5), 0.75, 0.347),
        ((1.0, 0.0), (0.1, 0.9), 0.95, 0.163),
    ],
)
def test_ceilings_of_the_papers_distributions(
    zero_dst: tuple[float, ...], one_dst: tuple[float, ...], accuracy: float, loss: float
) -> None:
    attained = XorTask(7, zero_dst, one_dst, 14).ceiling("exact")
    assert attained == pytest.approx((accuracy, loss), abs=5e-4)


@settings(max_examples=25)
@given(task=tasks(bits=4, synonyms=3))
def test_ceilings_are_those_of_the_best_guess_in_every_context(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> None:
    """The best any model can do that sees the whole sequence in its order."""
    for split in SPLITS:
        contexts: dict[tuple[int, ...], Counter] = {}
        for tokens, target, probability in masked_writings(task, split):
            contexts.setdefault(tuple(tokens), Counter())[target] += probability
        accuracy = sum(max(targets.values()) for targets in contexts.values())
        loss = sum(
            -p * math.log(p / targets.total())
            for targets in contexts.values()
            for p in targets.values()
            if p > 0
        )
        assert task.ceiling(split) == pytest.approx((accuracy, loss), abs=1e-12)


@settings(max_examples=25)
@given(task=tasks(bits=4, synonyms=3))
def test_the_population_is_that_of_all_masked_writings(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> None:
    assert_population_is_of(masked_writings, task)
    assert task.population.joint.sum((1, 2)).tolist() == pytest.approx([1] * len(SPLITS), abs=1e-12)


@settings(max_examples=25)
@given(task=tasks(bits=4, synonyms=3))
def test_the_contexts_in_order_are_those_of_all_masked_writings(
    masked_writings: Callable[[XorTask, str], Iterable[Written]], task: XorTask
) -> None:
    expected: dict[tuple[int, ...], Tensor] = {}
    for index, split in enumerate(SPLITS):
        for tokens, target, probability in masked_writings(task, split):
            if probability > 0:
                zero = torch.zeros(len(SPLITS), task.vocabulary, dtype=torch.float64)
                expected.setdefault(tuple(tokens), zero)[index, target] += probability
    contexts = [tuple(case) for case in task.contexts.tokens.T.tolist()]
    assert sorted(contexts) == sorted(expected)
    for case, context in enumerate(contexts):
        torch.testing.assert_close(
            task.contexts.joint[:, :, case], expected[context], rtol=0, atol=1e-14
        )


@settings(max_examples=40)
@given(tasks=alike(bits=4), ordered=st.booleans())
def test_the_contexts_of_several_tasks_hold_those_of_each(
    tasks: list[XorTask], ordered: bool
) -> None:
    """With the same probabilities, and none where a task does not have another's context."""
    each = [task.contexts if ordered else task.population for task in tasks]
    together = Population.of_all(each)
    cases = [tuple(case) for case in together.tokens.T.tolist()]
    known = [dict(zip(map(tuple, one.tokens.T.tolist()), one.joint.unbind(2), strict=True))
             for one in each]  # fmt: skip
    assert len(set(cases)) == len(cases) and set(cases) == set().union(*known)
    assert together.joint.shape == (len(tasks), len(SPLITS), tasks[0].vocabulary, len(cases))
    total = together.joint.sum((2, 3))
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)
    nothing = torch.zeros(len(SPLITS), tasks[0].vocabulary, dtype=torch.float64)
    for own, joint in zip(known, together.joint, strict=True):
        for index, case in enumerate(cases):
            assert torch.equal(joint[:, :, index], own.get(case, nothing))


def test_tasks_of_the_same_contexts_share_them_as_they_are() -> None:
    one, other = (XorTask(4, (p, 1 - p), (0.5, 0.5), 14).population for p in (0.1, 0.3))
    together = Population.of_all([one, other])
    assert together.tokens is one.tokens
    assert torch.equal(together.joint, torch.stack([one.joint, other.joint]))


def test_every_context_in_order_of_a_held_out_string_is_new() -> None:
    """The other bits and the parity fix the masked one, so a context belongs to one string."""
    seen = XorTask(5, (0.1, 0.9), (0.5, 0.5), 14).contexts.joint.sum(1) > 0  # (split, case)
    train, validation, test, exact = seen
    assert exact.all()
    assert torch.equal(train.long() + validation.long() + test.long(), exact.long())


def test_the_population_stays_a_probability_for_long_strings() -> None:
    joint = XorTask(16, (0.7, 0.2, 0.1), (0.5, 0.5), 14).population.joint
    assert joint.sum((1, 2)).tolist() == pytest.approx([1] * len(SPLITS), abs=1e-12)
