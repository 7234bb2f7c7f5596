"""How work is cut into stacks, and what of a planned stack is left to train."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semantica_lib.models import encoders
from semantica_lib.running.groups import Group, title
from semantica_lib.running.stacks import (
    MOST_SECONDS,
    MOST_TRIALS,
    SECONDS_A_NUMBER,
    cut,
    remaining,
    seconds,
)
from semantica_lib.settings.catalogue import Settings, settings
from semantica_lib.settings.schema import BOTH
from semantica_lib.settings.xor import training_strings

# Of three shapes, two of them with two results each; a trial of the last takes minutes.
KINDS = [
    settings({"experiment": "alone", "bits": 4, "steps": 1000}),
    settings({"experiment": "first", "steps": 1000}),
    settings({"experiment": "second", "steps": 1000, "weight_decay": 0.0, "untie_at": 7}),
    settings({"experiment": "long", "steps": 400_000, "bits": 10, "layers": 2}),
    settings(
        {"experiment": "longer", "steps": 400_000, "bits": 10, "layers": 2, "zero_dst": [0.3, 0.7]}
    ),
]
WORDS = settings({"experiment": "words", "corpus": "grammar"})


def group(own: object, tied: bool | str, seeds: int, number: int = 0, step: int = 0) -> Group:
    path = Path(f"/runs/{own.experiment}/checkpoints/{number}.safetensors")
    tensors = {"step": torch.tensor(step)} if step else None
    tie = tied if isinstance(tied, str) else BOTH[not tied]
    return Group(path, own, tie, tuple(range(seeds)), tensors)


@st.composite
def work(draw: Callable) -> list[Group]:
    """Parts of several results, in any order; some are done, some have begun."""
    kinds = st.tuples(
        st.sampled_from([*KINDS, WORDS]),
        st.booleans(),
        st.integers(1, 3) | st.integers(1, 150),
        st.integers(0, 1),
    )
    return [
        group(own, tied, 1 if own is WORDS else seeds, number, own.steps * done)
        for number, (own, tied, seeds, done) in enumerate(draw(st.lists(kinds, max_size=12)))
    ]


def trials(groups: list[Group]) -> int:
    return sum(len(one.seeds) for one in groups)


def paths(cut_: list[list[Group]]) -> list[list[str]]:
    return [[one.path.name for one in stack] for stack in cut_]


def test_the_kinds_here_are_what_they_should_be() -> None:
    alone, first, second, long, longer = (own.shape for own in KINDS)
    assert first == second and long == longer and len({alone, first, long}) == 3
    assert seconds(KINDS[1]) * MOST_TRIALS < MOST_SECONDS < seconds(KINDS[3]) * 5
    assert seconds(KINDS[3]) * 2 < MOST_SECONDS


@given(groups=work(), least=st.integers(1, 40), device=st.sampled_from(["cpu", "cuda"]))
def test_every_group_is_in_one_stack_and_a_stack_is_of_one_shape(
    groups: list[Group], least: int, device: str
) -> None:
    cut_ = cut(groups, device, least)
    names = [name for stack in paths(cut_) for name in stack]
    assert sorted(names) == sorted(one.path.name for one in groups)
    for stack in cut_:
        assert stack
        if isinstance(stack[0].own, Settings):
            assert len({one.own.shape for one in stack}) == 1
        else:
            assert len(stack) == 1


@given(groups=work(), least=st.integers(1, 40))
def test_a_stack_of_a_processor_is_no_larger_than_it_may_be_and_no_smaller_than_it_must(
    groups: list[Group], least: int
) -> None:
    cut_ = [stack for stack in cut(groups, "cpu", least) if isinstance(stack[0].own, Settings)]
    for shape in {stack[0].own.shape for stack in cut_}:
        of_it = [stack for stack in cut_ if stack[0].own.shape == shape]
        own, everyone = of_it[0][0].own, sum(map(trials, of_it))

        def fits(count: int, own: Settings = own, everyone: int = everyone) -> bool:
            return (
                count <= MOST_TRIALS
                and count * seconds(own) <= MOST_SECONDS
                and count <= math.ceil(everyone / least)
            )

        assert all(fits(trials(stack)) or len(stack) == 1 for stack in of_it)
        for stack, after in pairwise(of_it):
            assert not fits(trials(stack) + len(after[0].seeds))  # nothing more would have fitted
        ties = [one.tie for stack in of_it for one in stack]
        assert ties == sorted(ties)  # of one tie where that can be: without two tables


@given(
    groups=work(), data=st.data(), least=st.integers(1, 40), device=st.sampled_from(["cpu", "cuda"])
)
def test_stacks_are_the_same_whatever_is_finished(
    groups: list[Group], data: st.DataObject, least: int, device: str
) -> None:
    before = paths(cut(groups, device, least))
    for one in groups:
        step = data.draw(st.integers(0, one.own.steps))
        one.tensors = {"step": torch.tensor(step)} if step else None
    assert paths(cut(groups, device, least)) == before


@pytest.mark.parametrize("least", [2, 3, 16])
@pytest.mark.parametrize("seeds", [1, 2, 5, 20, 100])
def test_an_experiment_is_two_stacks_one_a_tie(seeds: int, least: int) -> None:
    """Whatever the machine: so its numbers do not depend on how many cores there are."""
    own = settings({})
    tied, untied = cut([group(own, False, seeds, 1), group(own, True, seeds, 0)], "cpu", least)
    assert [one.tie for one in (*tied, *untied)] == ["tied", "untied"]


def test_a_gpu_takes_all_of_one_shape_at_once() -> None:
    groups = [
        group(own, tied, 150, number)
        for number, (own, tied) in enumerate((own, tied) for own in KINDS for tied in (True, False))
    ]
    groups += [group(WORDS, True, 1, 10), group(WORDS, False, 1, 11)]
    cut_ = cut(groups, "cuda", 1)
    assert sorted(map(sorted, paths(cut_))) == sorted(
        sorted(f"{number}.safetensors" for number in numbers)
        for numbers in ([0, 1], [2, 3, 4, 5], [6, 7, 8, 9], [10], [11])
    )


def test_a_trial_takes_as_long_as_its_numbers_and_steps() -> None:
    own = settings({"bits": 5, "steps": 1000})
    wide = encoders.widest(own, 7, training_strings(5))
    assert seconds(own) == pytest.approx(SECONDS_A_NUMBER * wide * 1000)
    for changed, times in (({"steps": 3000}, 3), ({"layers": 2}, 2)):
        more = settings({"bits": 5, "steps": 1000} | changed)
        assert seconds(more) == pytest.approx(times * seconds(own))
    few = settings({"bits": 5, "steps": 1000, "batch_size": 1})
    assert seconds(few) < seconds(own)


def test_what_is_left_of_a_stack_goes_on_with_what_is_as_far() -> None:
    own = KINDS[1]

    def at(number: int, step: int, **series: list[int]) -> Group:
        one = group(own, True, 1, number, step)
        one.tensors = one.tensors and one.tensors | {k: torch.tensor(v) for k, v in series.items()}
        return one

    planned = [
        at(0, 0), at(1, 500, record_steps=[0, 500]), at(2, 1000), at(3, 0),
        at(4, 500, record_steps=[0, 250, 500]), at(5, 500, record_steps=[0, 500]),
        at(6, 250, record_steps=[0]), at(7, 500, record_steps=[0, 500], kept=[1]),
    ]  # fmt: skip
    assert [[planned.index(one) for one in stack] for stack in remaining(planned)] == [
        [0, 3], [1, 5], [4], [6], [7],
    ]  # fmt: skip
    assert remaining([at(0, 1000), at(1, 1000)]) == []


def test_a_stack_has_a_title() -> None:
    own, other = KINDS[1:3]
    assert title([group(own, True, 5)]) == "first tied, 5 seeds"
    assert title([group(own, False, 1)]) == "first untied, seed 0"
    both = [group(own, True, 5), group(own, False, 2)]
    assert title([*both, group(other, False, 3)]) == "first, 10 trials of 2 results"


def test_stacks_are_of_one_family_of_ties_and_of_any_strengths() -> None:
    own = settings({"zero_dst": [0.3, 0.7]})
    words = ["untied", "soft:1", "mapped", "tied", "soft:0.1", "lookup:3"]
    groups = [group(own, tie, 2, number) for number, tie in enumerate(words)]
    stacks = [{one.tie for one in stack} for stack in cut(groups, "cpu", 1)]
    assert stacks == [{"tied", "untied"}, {"lookup:3"}, {"mapped"}, {"soft:0.1", "soft:1"}]
