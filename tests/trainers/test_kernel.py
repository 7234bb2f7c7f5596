"""The kernel against the definition: the stack's own step in PyTorch, uncompiled.

In double precision, where exp and erf are the C library's, and as it trains. The keys' bias has no
true gradient (see test_stacked), so it is left out.
"""

import ctypes
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from test_stacked import assert_same_parameters, parameters, uncompiled
from torch import Tensor

from semantica_lib.files import COMPILED
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.settings.schema import family
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers import building, engines
from semantica_lib.trainers.building import HERE, SOURCES, NotBuilt, library
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.kernel import SCHEMES, Kernel, serves, shape
from semantica_lib.trainers.stacked import EAGER_BELOW, NEVER, Stack, State

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, building.COMPILERS)), reason="no C++ compiler"
)
REAL, KEPT = torch.float64, Path(os.environ[COMPILED])  # before a test names another
MAIN = settings({"schedule_period": 60})
# Trials that differ in all that trials of a stack may differ in.
MIXED = [
    ({}, True), ({"zero_dst": [1.0, 0.0], "weight_decay": 1.0}, False),
    ({"zero_dst": [0.0, 1.0], "learning_rate": 2e-3}, False), ({"untie_at": 15}, True),
    ({"equal_start": True, "learning_rate_min": 1e-4}, True),
]  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "mixed": ({}, None),
    "exact": ({"expectation": "exact"}, None),
    "lies": ({"near_synonym": 0.3}, [True, False]),
    "sgd": ({"optimizer": "sgd", "learning_rate": 0.5}, True),
    "adam": (
        {"optimizer": "adam", "schedule": "constant", "warmup_steps": 20, "eps": 1e-8},
        False,
    ),
    "other sizes": (
        {"zero_dst": [0.5, 0.2, 0.3], "one_dst": [0.1, 0.2, 0.3, 0.4], "bits": 5}
        | {"embedding_size": 6, "feedforward_size": 3, "activation": "relu", "betas": [0.8, 0.99]},
        [False, True],
    ),
    "learned bias": ({"output_bias": "learned", "weight_decay": 0.5}, [True, False]),
    "fixed bias": ({"output_bias": "log-frequency", "weight_decay": 0.5}, True),
    "fixed bias, exact": (
        {"output_bias": "log-frequency", "expectation": "exact", "odds": "both", "bits": 4},
        [False, True],
    ),
    "turning odds": ({"odds": "turning", "output_bias": "learned", "untie_at": 15}, True),
    "turning odds of other sizes": (
        {"zero_dst": [0.5, 0.2, 0.3], "one_dst": [0.1, 0.2, 0.3, 0.4]}
        | {"bits": 5, "odds": "turning"},
        [False, True],
    ),
    "lookup": ({"weight_decay": 0.5}, ["lookup:0.1", "lookup:30"]),
    "scaled": ({"expectation": "exact"}, ["scaled:0.02", "scaled:1"]),
    "soft": (
        {"output_bias": "log-frequency", "weight_decay": 0.5},
        ["soft:0.1", "soft:1", "soft:0"],
    ),
    "soft, adam": ({"optimizer": "adam", "eps": 1e-8, "expectation": "exact"}, ["soft:0.1"]),
    "tied but the mask": ({"output_bias": "learned", "bits": 4}, "tied-but-mask"),
    "mapped": ({"odds": "turning", "embedding_size": 3}, "mapped"),
    "pseudo-inverse": ({"weight_decay": 0.5}, "pseudo-inverse"),
    "pseudo-inverse of other sizes": (
        {"expectation": "exact", "embedding_size": 5, "output_bias": "learned", "bits": 4},
        "pseudo-inverse",
    ),
}


@cache
def quick() -> tuple[str, ...]:
    """Flags to compile quickly by: unoptimised; with GCC the header of vectors is read once.

    What it makes of the header is kept. GCC passes over what another compiler has kept there.
    """
    flags, header = (*HERE, "-O0"), KEPT / "vectors-of-tests.h"
    said = subprocess.check_output([building.compiler(), "--version"], text=True)
    if HERE != ("-march=native",) or "Free Software" not in said or not KEPT.is_dir():
        return flags  # that header is of x86
    if not (ready := Path(f"{header}.gch")).exists():
        header.write_text("#include <immintrin.h>\n")
        with TemporaryDirectory(dir=KEPT) as aside:
            asked = [*building.FLAGS, *flags, "-x", "c++-header", str(header)]
            subprocess.run([building.compiler(), *asked, "-o", f"{aside}/ready"], check=True)
            Path(aside, "ready").replace(ready)
    return *flags, "-include", str(header)


def made(values: dict[str, Any], ties: Any, dtype: torch.dtype = REAL) -> Stack:
    """Three trials, or one for each tie; without ties those that are mixed."""
    if values.get("schedule", "cosine") == "cosine":
        values = {"schedule_period": 60, **values}
    if ties is None:
        each = [settings({**values, **own}) for own, _ in MIXED]
        return Stack(each, range(42, 47), [tied for _, tied in MIXED], dtype=dtype)
    own = settings(values)
    count = len(ties) if isinstance(ties, list) else 3
    return Stack(own, range(42, 42 + count), ties, dtype=dtype)


def assert_same(stack: Stack, ours: State, theirs: State, tolerance: float) -> None:
    for trial in range(len(stack.seeds)):
        one, other = (parameters(stack, state, trial) for state in (ours, theirs))
        assert_same_parameters(one, {n: v.to(ours.flat.dtype) for n, v in other.items()}, tolerance)


def assert_definition(stack: Stack, steps: int, tolerance: float) -> None:
    """In double precision: after so many steps the parameters, and the losses before the last."""
    state, losses = Kernel(stack, quick()).advance(stack.initial(), steps)
    expected = uncompiled(stack, steps)
    assert_same(stack, state, expected.state, tolerance)
    torch.testing.assert_close(losses, expected.losses[-1], rtol=0, atol=1e-9)
    assert state.step == steps and torch.equal(state.seeds, stack.seeds)


def assert_gradient(values: dict[str, Any]) -> None:
    """One step of SGD without decay at a rate of 1 takes away the gradient."""
    plain = {"optimizer": "sgd", "schedule": "none", "learning_rate": 1.0, "weight_decay": 0.0}
    stack = made({**plain, **values}, False)
    state = stack.initial()

    def total(flat: Tensor) -> Tensor:
        return stack.loss(stack.layout.views(flat), stack.batch(state, stack.traits)).sum()

    after, _ = Kernel(stack, quick()).advance(state, 1)
    gradient = torch.func.grad(total)(state.flat)
    torch.testing.assert_close(state.flat - after.flat, gradient, rtol=0, atol=1e-9)


def assert_same_bits(own: Settings, count: int, some: Sequence[int]) -> None:
    """Of some trials, alone and among so many, in one call and in several."""
    many = Stack(own, range(count), False)
    whole, losses = Kernel(many).advance(many.initial(), 60)
    for trial in some:
        alone = Stack(own, [trial], False)
        kernel, state = Kernel(alone), alone.initial()
        for steps in (1, 19, 40):
            state, loss = kernel.advance(state, steps)
        for name in ("flat", "first", "second"):
            assert torch.equal(getattr(state, name)[0], getattr(whole, name)[trial]), name
        assert loss[0] == losses[trial]


def assert_state_untouched(stack: Stack) -> None:
    state = stack.initial()
    before = state.flat.clone()
    Kernel(stack).advance(state, 5)
    assert torch.equal(state.flat, before) and state.step == 0


OTHERS = pytest.mark.parametrize(
    "flags", [("-march=x86-64-v3",), ("-march=x86-64", "-DLANES=4")], ids=["AVX2", "any"]
)


def assert_other_instructions(values: dict[str, Any], flags: tuple[str, ...]) -> None:
    if flags[0].endswith("v3") and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    stack = made(values, None, torch.float32)
    kernel = Kernel(stack, flags)
    assert kernel.name == "kernel, " + ("AVX2" if "v3" in flags[0] else "no special instructions")
    state, _ = kernel.advance(stack.initial(), 100)
    assert_same(stack, state, uncompiled(made(values, None)).state, 1e-5)


def assert_general_path(values: dict[str, Any]) -> None:
    stack = Stack(settings(values), [42], False)
    assert not serves(stack)
    assert engines.engine(stack, EAGER_BELOW).name == engines.GENERAL


def drawn(data: st.DataObject, zeros: int, ones: int, values: dict[str, Any]) -> Stack:
    """Two trials of any distributions and training, beside what else is drawn; in double."""

    def dst(most: int) -> Any:
        sizes = st.lists(st.integers(0, 5), min_size=1, max_size=most).filter(any)
        return sizes.map(lambda parts: [part / sum(parts) for part in parts])

    optimizer = data.draw(st.sampled_from(["adamw", "adam", "sgd"]))
    own = settings(
        {
            "zero_dst": data.draw(dst(zeros)), "one_dst": data.draw(dst(ones)),
            "optimizer": optimizer, "learning_rate": data.draw(st.sampled_from([1e-4, 1e-2])),
            "schedule": data.draw(st.sampled_from(["cosine", "constant", "none"])),
        }
        | ({"eps": 1e-6} if optimizer != "sgd" else {})
        | {name: data.draw(strategy) for name, strategy in values.items()}
    )  # fmt: skip
    return Stack(own, [1, 2**32 - 1], data.draw(st.sampled_from([True, False])), dtype=REAL)


@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_are_those_of_the_definition(case: str) -> None:
    stack = made(*CASES[case])
    assert serves(stack)
    assert_definition(stack, 100, 1e-9)


def test_every_way_to_tie_that_it_serves_is_tried() -> None:
    tried = {family(tie) for _, ties in CASES.values() for tie in _words(ties)}
    assert tried == {*SCHEMES} - {""}


def _words(ties: Any) -> list[str]:
    return [tie for tie in (ties if isinstance(ties, list) else [ties]) if isinstance(tie, str)]


@pytest.mark.parametrize("values", [
    {}, {"expectation": "exact"}, {"output_bias": "learned"}, {"odds": "turning"},
    {"output_bias": "learned", "expectation": "exact", "odds": "both"},
])  # fmt: skip
def test_the_gradient_is_that_of_the_definition(values: dict[str, Any]) -> None:
    assert_gradient(values)


@pytest.mark.parametrize(
    ("name", "tied"),
    [(name, tied) for name in ("transformer-small", "three-synonyms") for tied in (True, False)]
    + [("transformer-small", "soft:1")],
)
def test_as_it_trains_it_is_within_rounding_of_the_definition(name: str, tied: Any) -> None:
    single, real = (Stack(find(name), range(3), tied, dtype=d) for d in (torch.float32, REAL))
    state, losses = Kernel(single).advance(single.initial(), 100)
    expected = uncompiled(real)
    assert_same(single, state, expected.state, 1e-5)
    torch.testing.assert_close(losses.double(), expected.losses[-1], rtol=0, atol=3e-5)


DRAWN = "lies", "other sizes", "turning odds of other sizes"


@pytest.mark.parametrize(
    "values", [{}, *(CASES[name][0] for name in DRAWN), {"odds": "turning"}, {"odds": "both"}]
)
def test_draws_are_those_of_the_task_bit_for_bit(values: dict[str, Any]) -> None:
    stack = made(values, False)
    kernel, symbols = Kernel(stack, quick()), stack.task.symbols
    room = kernel.library.room()
    for step in (0, 1, 2**32 + 5):
        state = replace(stack.initial(), step=torch.tensor(step))
        batch = stack.batch(state, stack.traits)
        expected: Counter[tuple[tuple[int, ...], int]] = Counter()
        for tokens, target in zip(
            batch.tokens[0].T.tolist(), batch.target[0].tolist(), strict=True
        ):
            expected[tuple(map(tokens.count, range(symbols + 2))), target] += 1
        codes, hides = (torch.zeros(n, room, dtype=torch.uint32) for n in (1, 2))
        unused = dict.fromkeys(("flat", "first", "second", "stopped", "losses"), torch.zeros(1))
        job = kernel._job(step, 1, **unused)
        into = [ctypes.c_void_p(x.data_ptr()) for x in (codes, hides)]
        count = kernel.library.drawn(ctypes.byref(job), *into)
        found: Counter[tuple[tuple[int, ...], int]] = Counter()
        words = hides.flatten().tolist()
        for case, code in enumerate(codes[0, :count].tolist()):
            counts = *((code >> 3 * j) & 7 for j in range(symbols)), 1 - (code >> 31), code >> 31
            for j in range(symbols):
                times = (words[j // 4 * room + case] >> 8 * (j % 4)) & 255
                found.update({(counts, j): times} if times else {})
        assert found == expected


def test_a_trial_has_the_same_bits_alone_and_among_many_and_in_any_calls() -> None:
    assert_same_bits(MAIN, 40, [0, 17, 39])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_trial_that_diverges_stops_where_the_definition_stops_it(optimizer: str) -> None:
    wild = [1e-3, 1e20, 1e30, 5e-4]
    each = [settings({"optimizer": optimizer, "learning_rate": rate}) for rate in wild]
    stack = Stack(each, range(4), [True, False, True, False])
    kernel, state = Kernel(stack), stack.initial()
    for count in (2, 10, 8):
        state, _ = kernel.advance(state, count)
    expected = uncompiled(stack, 20).state
    assert torch.equal(state.stopped, expected.stopped)
    assert (expected.stopped < NEVER).tolist() == [False, True, True, False]
    assert state.flat.isfinite().all() and state.second.isfinite().all()
    for trial in (0, 3):
        alone = Stack(each[trial], [trial], trial == 0)
        (after, _) = Kernel(alone).advance(alone.initial(), 20)
        ours, other = (parameters(stack, state, trial), parameters(alone, after, 0))
        assert all(torch.equal(ours[name], other[name]) for name in ours)


def test_it_leaves_the_state_it_began_with_as_it_is() -> None:
    assert_state_untouched(Stack(MAIN, range(3), True))


@OTHERS
def test_other_instructions_compute_the_same(flags: tuple[str, ...]) -> None:
    assert_other_instructions({}, flags)


@pytest.mark.parametrize("values", [
    {"layers": 2}, {"heads": 2}, {"dropout": 0.1}, {"batch_size": 50}, {"bits": 9},
    {"architecture": "mixer"}, {"embedding_size": 17},
    {"zero_dst": [1 / 5] * 5, "one_dst": [1 / 3] * 3},
    {"zero_dst": [1 - 2**-32, 2**-32]},
])  # fmt: skip
def test_what_it_has_no_shape_for_trains_by_the_general_path(values: dict[str, Any]) -> None:
    assert_general_path(values)


@examples(max_examples=5)
@given(st.data())
def test_any_shape_and_settings_that_it_serves(data: st.DataObject) -> None:
    sizes = st.integers(1, 7)
    shapes = {"bits": st.integers(2, 8), "embedding_size": sizes, "feedforward_size": sizes}
    shapes |= {"activation": st.sampled_from(["gelu", "relu"])}
    shapes |= {"expectation": st.sampled_from(["sampled", "exact"])}
    shapes |= {"odds": st.sampled_from(["constant", "turning", "both"])}
    shapes |= {"output_bias": st.sampled_from(["none", "learned", "log-frequency"])}
    assert_definition(drawn(data, 4, 3, shapes), 20, 1e-7)


def test_without_a_compiler_the_general_path_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(building, "_folder", lambda: None)
    with pytest.warns(Uncompiled, match=r"without the kernel.*no C\+\+ compiler"):
        assert engines.engine(Stack(MAIN, [42], False), EAGER_BELOW).name == engines.GENERAL


def test_what_does_not_compile_says_so() -> None:
    with pytest.raises(NotBuilt, match="error"):
        library("transformer.cpp", {"FEATURES": 0})


def test_what_is_built_is_kept_and_never_taken_from_where_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kept"))
    constants, runs = shape(Stack(settings({"bits": 2}), [42], False)), []
    compiled = building._compile

    def compile_(arguments: Sequence[str]) -> None:
        """Once; then what came out is given again."""
        runs.append(arguments)
        if len(runs) == 1:
            compiled(arguments)
            shutil.copy(arguments[-1], tmp_path / "built.so")
        else:
            shutil.copy(tmp_path / "built.so", arguments[-1])

    monkeypatch.setattr(building, "_compile", compile_)
    for _ in range(2):
        assert library("transformer.cpp", constants, quick()).room() > 0
    (kept,) = (tmp_path / "kept" / "kernels").iterdir()
    assert len(runs) == 1 and kept.suffix == ".so"
    kept.chmod(0o777)  # somebody else may have put another one there
    library("transformer.cpp", constants, quick())
    assert len(runs) == 2 and kept.stat().st_mode & 0o022 == 0
    kept.parent.chmod(0o777)
    library("transformer.cpp", constants, quick())
    assert len(runs) == 3 and [kept] == list(kept.parent.iterdir())


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_it_compiles_for_arm(architecture: str, tmp_path: Path) -> None:
    if not shutil.which("clang++"):
        pytest.skip("no clang++ to compile for ARM with")
    stack = Stack(settings({"architecture": architecture}), [42], False)
    constants = [f"-D{name}={value}" for name, value in shape(stack).items()]
    target = [
        "--target=aarch64-linux-gnu",
        "-ffreestanding",
        "-c",
        str(SOURCES / f"{architecture}.cpp"),
    ]
    flags = [flag for flag in building.FLAGS if flag not in ("-shared", "-march=native")]
    done = subprocess.run(
        ["clang++", *flags, *constants, *target, "-o", str(tmp_path / "arm.o")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
