"""What compiling does to the process that trains."""

import inspect
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from semantica_lib.trainers import compiling
from semantica_lib.trainers.compiling import Compiling, Uncompiled, compiled

CPU = Path("/proc/cpuinfo")
FAULTS = """
import resource
import torch
from semantica_lib.trainers.compiling import keep_memory
def step():
    for _ in range(20):
        torch.zeros(10_000_000)
def faults():
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
without = faults()
keep_memory()
print(without, faults())
"""


TAKEN = """
import torch
from torch._dynamo.utils import counters
from semantica_lib.trainers.compiling import compiled
x = torch.linspace(0, 3, 1000)
for _ in range(2):
    torch._dynamo.reset()
    (fast,) = compiled(lambda x: (x.sin().exp(),), "cpu")(x)
    torch.testing.assert_close(fast, x.sin().exp())
    print(counters["inductor"]["fxgraph_cache_hit"])
"""


@pytest.mark.skipif(
    not CPU.exists() or "avx512f" not in CPU.read_text(), reason="no two widths of vectors"
)
def test_what_is_kept_for_wide_vectors_is_not_taken_for_narrow_ones(tmp_path: Path) -> None:
    """As where machines of a cluster share a checkout: PyTorch's own key does not tell them."""
    own = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    own |= {"TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0"}  # of no use here
    for one in (own, own | {"ATEN_CPU_CAPABILITY": "avx2"}):
        taken = subprocess.check_output([sys.executable, "-c", TAKEN], env=one).split()
        assert taken == [b"0", b"1"]  # its own alone


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library")
def test_memory_is_kept_from_step_to_step() -> None:
    """Pages that a second pass has to take anew: thousands a tensor without it, none with it."""
    said = subprocess.check_output([sys.executable, "-c", FAULTS])
    without, with_ = map(int, said.split())
    assert without > 1000 and with_ < without / 100


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """The limit of recompilations, two at first, as it is now."""
    config = torch._dynamo.config
    monkeypatch.setattr(compiling, "keep_memory", lambda: None)
    torch._dynamo.reset()
    with config.patch(recompile_limit=2):
        yield lambda: config.recompile_limit
    torch._dynamo.reset()


def stacks(count: int) -> None:
    """Compile so many steps of one code, each of another shape, without a warning."""
    for size in range(1, count + 1):

        def step(own: Tensor) -> tuple[Tensor, ...]:
            return (own + 1,)

        with warnings.catch_warnings():
            warnings.simplefilter("error", Uncompiled)
            (found,) = compiled(step, "cpu")(torch.zeros(size))
        assert torch.equal(found, torch.ones(size))


def test_many_stacks_compile_where_recompilations_cannot_be_isolated(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before PyTorch 2.13: the argument is unknown, and all stacks share the limit."""
    whole, taken = torch.compile, []

    def older(step: Any, *, fullgraph: bool, dynamic: bool, options: dict[str, bool]) -> Any:
        taken.append(options)
        return whole(step, fullgraph=fullgraph, dynamic=dynamic, backend="eager")

    monkeypatch.setattr(torch, "compile", older)
    stacks(9)
    assert len(taken) == 9 and limit() >= 64
    torch._dynamo.config.recompile_limit = 100  # of who wants more
    stacks(1)
    assert limit() == 100


@pytest.mark.skipif(
    "isolate_recompiles" not in inspect.signature(torch.compile).parameters,
    reason="of PyTorch 2.13 and later",
)
def test_stacks_are_isolated_where_that_is_possible(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, taken = torch.compile, []

    def newer(step: Any, *, isolate_recompiles: bool = False, options: Any, **rest: Any) -> Any:
        taken.append(isolate_recompiles)
        return whole(step, isolate_recompiles=isolate_recompiles, backend="eager", **rest)

    monkeypatch.setattr(torch, "compile", newer)
    stacks(4)
    assert taken == [True] * 4 and limit() == 2


def test_without_a_compiler_nothing_is_traced(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes seconds, each stack anew."""
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("traced"))
    told = pytest.warns(Uncompiled, match=r"No working C\+\+ compiler .*no-such-compiler")
    with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}), told:
        assert compiled(lambda own: (own + 1,), "cpu")(torch.zeros(1)) == (torch.ones(1),)


def test_what_does_not_compile_is_told_and_runs_as_it_is(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(step: Any, **_: Any) -> Any:
        raise OSError("no\n  compiler")

    monkeypatch.setattr(torch, "compile", fails)
    run = compiled(lambda own: (own + 1,), "cpu")
    with pytest.warns(Uncompiled, match=r"uncompiled.*\(no compiler\)"):
        assert run(torch.zeros(1)) == (torch.ones(1),)
    assert run(torch.ones(1)) == (torch.tensor([2.0]),)  # and is told once


@pytest.mark.skipif(
    "isolate_recompiles" not in inspect.signature(torch.compile).parameters,
    reason="of PyTorch 2.13 and later",
)
def test_a_function_compiled_without_guards_serves_itself_alone() -> None:
    """Two of one code, whose arguments agree in all that a guard would ask: each has its own."""

    def of(number: float) -> Callable[..., tuple[Tensor, ...]]:
        return compiled(lambda own: (own * number,), "cpu")

    twice, thrice = of(2.0), of(3.0)
    for _ in range(2):
        assert twice(torch.ones(3))[0].tolist() == [2.0] * 3
        assert thrice(torch.ones(3))[0].tolist() == [3.0] * 3


@pytest.mark.parametrize("isolated", [True, False])
def test_guards_are_left_out_only_where_stacks_are_isolated(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch, isolated: bool
) -> None:
    taken = []

    def compile_(step: Any, *, options: dict[str, Any], **rest: Any) -> Any:
        taken.append("guard_filter_fn" in options)
        return step

    monkeypatch.setattr(torch, "compile", compile_)
    kept = {"isolate_recompiles": True} if isolated else {}
    monkeypatch.setattr(compiling, "_for_many_stacks", lambda: kept)
    stacks(2)
    assert taken == [isolated] * 2


@pytest.mark.parametrize(("free", "kept"), [(2**30, None), (2**28, False)])
def test_where_code_is_kept_elsewhere_a_line_says_so_and_headers_need_room(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch, free: int, kept: bool | None
) -> None:
    taken = []

    def compile_(step: Any, *, options: dict[str, Any], **_: Any) -> Any:
        taken.append(options.get("cpp_cache_precompile_headers"))
        return step

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(compiling, "disk_usage", lambda path: SimpleNamespace(free=free))
    monkeypatch.setattr(compiling, "keep_compiled", lambda: "kept in Y")
    with pytest.warns(Compiling, match="^kept in Y$"):
        run = compiled(lambda own: (own + 1,), "cpu")
    assert run(torch.zeros(1)) == (torch.ones(1),) and taken == [kept]


def test_where_code_is_kept_nowhere_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    monkeypatch.setattr(compiling, "keep_compiled", lambda: "not kept in X")
    monkeypatch.setenv(compiling.COMPILED, compiling.NOWHERE)
    with pytest.warns(Uncompiled, match="uncompiled.*not kept in X$"):
        run = compiled(lambda own: (own + 1,), "cpu")
    assert run(torch.zeros(1)) == (torch.ones(1),)


def test_of_what_a_compiler_says_the_error_is_told(
    limit: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "C++ compile error\n\nCommand:\ng++ x\n\nOutput:\nIn file included from y:1:\n"

    def fails(step: Any, **_: Any) -> Any:
        raise RuntimeError(
            said + "z: fatal error: No space left on device\ncompilation terminated."
        )

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.warns(Uncompiled, match=r"\(z: fatal error: No space left on device\)"):
        compiled(lambda own: (own + 1,), "cpu")(torch.zeros(1))


def test_a_variable_that_torch_cannot_read_is_refused_in_a_line() -> None:
    """Its compilers cannot be imported then."""
    code = "from semantica_lib.trainers import compiling\ntry:\n    compiling.check_variables()\n"
    code += "except compiling.RequestError as error:\n    print(error)"
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "abc"}
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert len(said.splitlines()) == 1
    assert "'abc'" in said and "TORCHINDUCTOR_COMPILE_THREADS=abc" in said
