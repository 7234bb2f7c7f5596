"""The random numbers are Philox, in the layout that is promised, and look random.

Statistical tests run at fixed seeds, so they always give the same p-values. A p-value must lie in
``FAIR``, which was chosen before any was computed: too good a fit is as suspect as a bad one.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from semantica_lib.datasets.streams import TRAINING, WORD, philox, words

FAIR = (1e-4, 1 - 1e-4)
SEEDS = torch.tensor([*range(42, 62), 0, 1, 2**31, WORD - 1])

# Counter, key and result of the published test vectors (Random123, philox4x32 with ten rounds).
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip

word = st.integers(0, WORD - 1)


def numbers(text: str) -> list[int]:
    return [int(part, 16) for part in text.split()]


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 in Python's unbounded integers, written from the paper."""
    x, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [
            (second >> 32) ^ x[1] ^ k[0],
            second % 2**32,
            (first >> 32) ^ x[3] ^ k[1],
            first % 2**32,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return x


def our_philox(counter: list[int], key: list[int]) -> list[int]:
    c, k = ([torch.tensor(value) for value in part] for part in (counter, key))
    return [int(value) for value in philox(tuple(c), tuple(k))]


@pytest.mark.parametrize(("counter", "key", "result"), PUBLISHED)
def test_philox_gives_the_published_vectors(counter: str, key: str, result: str) -> None:
    assert our_philox(numbers(counter), numbers(key)) == numbers(result)


@given(counter=st.lists(word, min_size=4, max_size=4), key=st.lists(word, min_size=2, max_size=2))
def test_philox_is_the_algorithm_of_the_paper(counter: list[int], key: list[int]) -> None:
    assert our_philox(counter, key) == plain_philox(counter, key)


@given(
    seeds=st.lists(word, min_size=1, max_size=3),
    stream=st.integers(0, 3),
    step=st.integers(0, 2**40),
    rows=st.integers(1, 5),
    columns=st.integers(1, 9),
)
def test_a_word_depends_on_seed_stream_step_and_place_alone(
    seeds: list[int], stream: int, step: int, rows: int, columns: int
) -> None:
    drawn = words(torch.tensor(seeds), stream, torch.tensor(step), torch.arange(rows), columns)
    assert [tuple(column.shape) for column in drawn] == [(len(seeds), rows)] * columns
    for trial, seed in enumerate(seeds):
        for row in range(rows):
            expected = [
                value
                for block in range(3)
                for value in plain_philox([row, block, step % WORD, step // WORD], [seed, stream])
            ]
            assert [int(column[trial, row]) for column in drawn] == expected[:columns]


@pytest.fixture(scope="module")
def drawn() -> Tensor:
    """Training words ``(seed, step, row, column)``."""
    return sample(TRAINING)


def sample(stream: int) -> Tensor:
    rows = torch.arange(64)
    steps = [torch.stack(words(SEEDS, stream, torch.tensor(t), rows, 8), 2) for t in range(60)]
    return torch.stack(steps, 1)


def assert_uniform(cells: Tensor, count: int) -> None:
    """Chi-square of whole numbers below ``count`` against the uniform distribution."""
    p = stats.chisquare(torch.bincount(cells.flatten(), minlength=count)).pvalue
    assert FAIR[0] < p < FAIR[1]


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_every_byte_of_the_words_is_uniform(drawn: Tensor, shift: int) -> None:
    assert_uniform((drawn >> shift) & 255, 256)


def test_words_are_uniform_for_every_seed_and_column(drawn: Tensor) -> None:
    for seed in range(len(SEEDS)):
        assert_uniform(drawn[seed] >> 24, 256)
    for column in range(drawn.shape[3]):
        assert_uniform(drawn[..., column] >> 24, 256)


@pytest.mark.parametrize("low", [False, True], ids=["high-bits", "low-bits"])
@pytest.mark.parametrize("lag", [1, 2, 7])
@pytest.mark.parametrize("axis", range(4), ids=["seeds", "steps", "rows", "columns"])
def test_neighbours_are_independent(drawn: Tensor, axis: int, lag: int, low: bool) -> None:
    """Pairs of words some way apart fill the 16 by 16 table of their four high or low bits."""
    bits = drawn & 15 if low else drawn >> 28
    place = torch.arange(bits.shape[axis] - lag)
    first = place[place // lag % 2 == 0]  # so that no word is in two pairs
    one, other = bits.index_select(axis, first), bits.index_select(axis, first + lag)
    assert_uniform(one * 16 + other, 256)


def test_streams_of_one_seed_are_independent(drawn: Tensor) -> None:
    assert_uniform((drawn >> 28) * 16 + (sample(TRAINING + 1) >> 28), 256)


def test_no_seed_is_a_shifted_copy_of_another(drawn: Tensor) -> None:
    """Two words side by side never recur: not in another seed, step, row or column.

    A shift of any length between any two seeds would repeat thousands of them. By chance, one in
    a sample of this size (0.4 million of 1.8e19) recurs with a probability of 4e-9.
    """
    pairs = (drawn[..., 0::2] << 31) ^ drawn[..., 1::2]
    assert len(pairs.unique()) == pairs.numel()


def test_words_of_two_seeds_differ_at_every_shift_in_time(drawn: Tensor) -> None:
    """Seed a at step t against seed b at step t + k (by chance one of all is equal: 3e-4)."""
    first = drawn[:, :, 0, 0]  # (seed, step)
    another = ~torch.eye(len(SEEDS), dtype=torch.bool)
    for shift in range(40):
        later, earlier = first[:, None, shift:], first[None, :, : first.shape[1] - shift]
        assert not (later == earlier)[another].any()


def test_a_trial_draws_the_same_in_any_stack() -> None:
    step = torch.tensor(12345)
    together = torch.stack(words(SEEDS, TRAINING, step, torch.arange(16), 8))
    order = torch.arange(len(SEEDS)).flip(0)
    turned = torch.stack(words(SEEDS[order], TRAINING, step, torch.arange(16), 8))
    assert torch.equal(turned, together[:, order])
    for trial in range(len(SEEDS)):
        alone = torch.stack(words(SEEDS[trial : trial + 1], TRAINING, step, torch.arange(16), 8))
        assert torch.equal(alone, together[:, trial : trial + 1])


def test_more_rows_or_columns_leave_the_others_as_they_are() -> None:
    step = torch.tensor(3)
    few = torch.stack(words(SEEDS, TRAINING, step, torch.arange(5), 3))
    many = torch.stack(words(SEEDS, TRAINING, step, torch.arange(50), 11))
    assert torch.equal(few, many[:3, :, :5])
