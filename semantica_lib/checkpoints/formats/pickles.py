"""A pickle read as data: its opcodes are followed, and nothing that it names is made or called."""

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

OPCODES = 5_000_000  # more than the largest models need
ARGUMENT = 1 << 28  # bytes of one text or array


@dataclass(eq=False)
class Made:
    """What the pickle would make by calling ``of``, and would put into it."""

    of: str
    args: Any = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    rest: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Name:
    """A function or class that the pickle names."""

    words: str


def mapping(value: Any) -> Mapping[Any, Any]:
    """What a dictionary or an object holds by name; empty for anything else."""
    if isinstance(value, Made):
        return {**value.items, **(value.state if isinstance(value.state, dict) else {})}
    return value if isinstance(value, dict) else {}


class _Bounded:
    """A stream that gives no argument of enormous size."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.readline, self.tell = stream, stream.readline, stream.tell

    def read(self, count: int) -> bytes:
        if count > ARGUMENT:
            raise ValueError(f"an argument of {count:,} bytes is announced")
        return self.stream.read(count)


def load(stream: BinaryIO) -> Any:
    """The next pickle of a stream, with :class:`Made` and :class:`Name` for objects.

    Raises:
        ValueError: it is damaged, or does what no checkpoint does.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def marked() -> list[Any]:
        at = marks.pop()
        found = stack[at:]
        del stack[at:]
        return found

    def made(args: Any) -> Made:
        return Made(stack.pop().words, args)

    def inside(of: str) -> Any:
        """Where a list's or a dictionary's entries go, of what is now the last of the stack."""
        return getattr(stack[-1], of) if isinstance(stack[-1], Made) else stack[-1]

    def extend(more: list[Any]) -> None:
        inside("rest").extend(more)

    def update(flat: list[Any]) -> None:
        inside("items").update(zip(flat[::2], flat[1::2], strict=True))

    def build(state: Any) -> None:
        stack[-1].state = state

    makes = {  # opcodes that put one thing on the stack
        "NONE": lambda _: None, "NEWTRUE": lambda _: True, "NEWFALSE": lambda _: False,
        "EMPTY_DICT": lambda _: {}, "EMPTY_LIST": lambda _: [], "EMPTY_TUPLE": lambda _: (),
        "EMPTY_SET": lambda _: Made("builtins set"), "DUP": lambda _: stack[-1],
        "TUPLE": lambda _: tuple(marked()), "LIST": lambda _: marked(),
        "TUPLE1": lambda _: (stack.pop(),), "TUPLE2": lambda _: (stack.pop(), stack.pop())[::-1],
        "TUPLE3": lambda _: (stack.pop(), stack.pop(), stack.pop())[::-1],
        "FROZENSET": lambda _: Made("builtins frozenset", rest=marked()),
        "GET": memo.__getitem__, "BINGET": memo.__getitem__, "LONG_BINGET": memo.__getitem__,
        "GLOBAL": Name, "STACK_GLOBAL": lambda _: Name(" ".join([stack.pop(), stack.pop()][::-1])),
        "REDUCE": lambda _: made(stack.pop()), "NEWOBJ": lambda _: made(stack.pop()),
        "NEWOBJ_EX": lambda _: made([stack.pop(), stack.pop()][1]),
        "BINPERSID": lambda _: Made("persistent", stack.pop()),
    }  # fmt: skip
    does = {  # opcodes that change what is there
        "PROTO": lambda _: None, "FRAME": lambda _: None,
        "MARK": lambda _: marks.append(len(stack)),
        "POP": lambda _: stack.pop(), "POP_MARK": lambda _: marked(),
        "APPEND": lambda _: extend([stack.pop()]), "APPENDS": lambda _: extend(marked()),
        "ADDITEMS": lambda _: extend(marked()), "SETITEMS": lambda _: update(marked()),
        "SETITEM": lambda _: update([stack.pop(), stack.pop()][::-1]),
        "MEMOIZE": lambda _: memo.update({len(memo): stack[-1]}),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda at: memo.update({at: stack[-1]})),
        "BUILD": lambda _: build(stack.pop()),
    }  # fmt: skip

    for count, (opcode, argument, _) in enumerate(pickletools.genops(_Bounded(stream))):
        if opcode.name == "STOP":
            return stack.pop()
        if count > OPCODES:
            raise ValueError(f"more than {OPCODES:,} steps")
        if opcode.name in does:
            does[opcode.name](argument)
        elif opcode.name in makes:
            stack.append(makes[opcode.name](argument))
        elif opcode.arg is not None and not opcode.stack_before:
            stack.append(argument)  # a number, a text, bytes
        else:
            raise ValueError(f"its opcode {opcode.name} is not read")
    raise EOFError("the file is cut: its pickle does not end")


def array(value: Any) -> np.ndarray | None:
    """The NumPy array of numbers that a pickle would make, if it is one.

    Raises:
        ValueError: its numbers are fewer or more than its shape tells.
    """
    if not isinstance(value, Made) or not value.of.endswith("multiarray _reconstruct"):
        return None
    _, shape, dtype, columns, data = value.state
    if isinstance(data, Made) and data.of == "_codecs encode":  # by Python 3 for Python 2
        data = data.args[0]
    data = data.encode("latin-1") if isinstance(data, str) else data  # by Python 2
    kind = np.dtype(dtype.args[0]).newbyteorder(dtype.state[1])
    if kind.hasobject or not isinstance(data, bytes):
        return None
    return np.frombuffer(data, kind).reshape(shape, order="F" if columns else "C")
