"""A way to tie of one's own: a class in a file that a setting names, run because one named it.

It is a :class:`semantica_lib.models.ties.Scheme`. Its file is run only where trials of it train or
their weights are read: a stored result names no file, but its digest alone.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import RequestError, nearest
from semantica_lib.models.stack import BIAS, INPUT, OUTPUT
from semantica_lib.models.ties import SCHEMES, STRENGTH, Parameters, Scheme, Tables
from semantica_lib.settings.own_files import digest_of
from semantica_lib.settings.xor import Settings


def load(scheme: str) -> Scheme:
    """The scheme of a setting, from then on among ``SCHEMES``; its file is run once a process.

    Args:
        scheme: ``PATH:NAME@DIGEST``, as settings have it.

    Raises:
        RequestError: the setting was stored, without a path; the file is not as it was when it was
            named, has no such class, or fails.
    """
    path, word = _parts(scheme)
    if word in SCHEMES:
        return SCHEMES[word]
    name, _, digest = word.partition("@")
    if path is None:
        raise RequestError(f"the file of {word} is not known: write scheme=FILE.py:{name}")
    if digest_of(path) != digest:
        raise RequestError(
            f"{path} has changed since this began with {word}: the same command begins anew with "
            "what it is now, as another scheme"
        )
    module = ModuleType(f"{path.stem}_{digest}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # as what is compiled or pickled looks for it
    with _telling(scheme):
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    found = getattr(module, name, None)
    if found is None:
        own = [one for one, value in vars(module).items() if isinstance(value, type)]
        raise RequestError(f"{path} has no {name}{nearest(name, own)}")
    if not (isinstance(found, type) and issubclass(found, Scheme)):
        raise RequestError(
            f"{path}: {name} must be a class of `semantica_lib.models.ties.Scheme`, as "
            f"`class {name}(Scheme):`"
        )
    with _telling(scheme):
        SCHEMES[word] = found()
    return SCHEMES[word]


def tried(own: Settings) -> None:
    """Try a scheme of one's own on a stack of two trials, before any is trained.

    Raises:
        RequestError: as :func:`load`; or what it gives has another shape than it should.
    """
    scheme, task = load(own.scheme), xor_task(own)
    shape, count = (task.vocabulary, own.embedding_size), 2
    drawn = torch.randn(count, 2, *shape, generator=torch.Generator().manual_seed(0))
    with _telling(own.scheme, "start"):
        each = [scheme.start(Tables(*two, 1.0, task.mask), None) for two in drawn.unbind()]
    for one in each:
        _refuse(own.scheme, "start", _wrong_start(one, each[0], shape))
    both = {name: torch.stack([one[name] for one in each]) for name in each[0]}
    both = {name: value.detach().requires_grad_() for name, value in both.items()}
    first = {name: value[:1] for name, value in both.items()}
    found, alone = (_used(scheme, own.scheme, some, task.mask, shape) for some in (both, first))
    for one, other in zip(found, alone, strict=True):
        if not torch.allclose(one[:1], other, atol=1e-6, equal_nan=True):
            _refuse(
                own.scheme, "tables", "must give a trial the same, whatever trials are beside it: "
                "keep apart what the first axis counts",
            )  # fmt: skip
    with _telling(own.scheme):
        torch.autograd.grad(sum(one.sum() for one in found), [*both.values()], allow_unused=True)


def _used(
    scheme: Scheme, name: str, own: Parameters, mask: int, shape: tuple[int, int]
) -> list[Tensor]:
    """Both tables of a stack's parameters, and the penalty if there is one."""
    count = len(own[INPUT])
    with _telling(name, "tables"):
        two = scheme.tables(own, mask)
    right = isinstance(two, tuple | list) and [_shape(one) for one in two] == [(count, *shape)] * 2
    wanted = f"must give two tables of (trial, symbol, feature), here {(count, *shape)} each"
    told = [*map(_shape, two)] if isinstance(two, tuple | list) else _shape(two)
    _refuse(name, "tables", "" if right else f"{wanted}, not {told}")
    with _telling(name, "penalty"):
        much = scheme.penalty(own)
    right, wanted = much is None or _shape(much) == (count,), f"must give None or ({count},)"
    _refuse(name, "penalty", "" if right else f"{wanted}, a number a trial, not {_shape(much)}")
    return [*two] if much is None else [*two, much]


def _wrong_start(one: Parameters, first: Parameters, shape: tuple[int, int]) -> str:
    """What is wrong with the parameters of a trial; empty if nothing is."""
    if not isinstance(one, dict) or not all(isinstance(name, str) for name in one):
        return f"must give parameters by name, a dict, not {_shape(one)}"
    if wrong := [name for name, value in one.items() if not isinstance(value, Tensor)]:
        return f"must give tensors, and {wrong[0]} is of {type(one[wrong[0]]).__name__}"
    for name in {INPUT, *({OUTPUT} & one.keys())}:
        if (found := _shape(one.get(name))) != shape:
            return f"must give {name!r} of the shape of a table, {shape}, not {found}"
    for name, value in one.items():
        if name.startswith("encoder.") or BIAS in name or name == STRENGTH:
            return f"must not give {name!r}, which others have: call it otherwise"
        if not value.is_floating_point() or not value.numel():
            return f"must give real numbers, and {name!r} has {value.dtype} of {_shape(value)}"
    if {name: _shape(value) for name, value in one.items()} != {
        name: _shape(value) for name, value in first.items()
    }:
        return "must give every trial the same names and shapes"
    return ""


def _shape(value: object) -> object:
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__


def _refuse(scheme: str, method: str, wrong: str) -> None:
    if wrong:
        path, word = _parts(scheme)
        raise RequestError(f"{path}: {word.partition('@')[0]}.{method} {wrong}")


def _parts(scheme: str) -> tuple[Path | None, str]:
    path, _, word = scheme.rpartition(":")
    return Path(path) if path else None, word


@contextmanager
def _telling(scheme: str, method: str = "") -> Iterator[None]:
    """Whatever fails within is told in a line, with its place in one's own file."""
    try:
        yield
    except (Exception, SystemExit) as error:
        path, word = _parts(scheme)
        where = f"{path}, in {word.partition('@')[0]}{f'.{method}' * bool(method)}"
        raise RequestError(in_file(error, scheme) or f"{where}: {_words(error)}") from None


def in_file(error: BaseException, scheme: str) -> str:
    """Where in one's own file an error arose, and which; empty if it did not arise there."""
    path, _ = _parts(scheme)
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}, line {error.lineno}: {_words(error)}"
    lines = [
        f"{frame.filename}, line {frame.lineno}, in {frame.name}: {_words(error)}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return lines[-1] if lines else ""


def _words(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
