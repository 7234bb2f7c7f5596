"""A pickle read as data: its opcodes are followed, and nothing that it names is made or called."""

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

OPCODES = 10_000_000  # more than the largest models need
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
    marks: list[list[Any]] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        nonlocal stack
        found, stack = stack, marks.pop()
        return found

    def pairs(flat: list[Any]) -> dict[Any, Any]:
        return dict(zip(flat[::2], flat[1::2], strict=True))

    for count, (opcode, argument, _) in enumerate(pickletools.genops(_Bounded(stream))):
        if count > OPCODES:
            raise ValueError(f"more than {OPCODES:,} steps")
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(stack)
                stack = []
            case "POP":
                stack.pop()
            case "POP_MARK":
                since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(Made("builtins set"))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                width = int(opcode.name[-1])
                stack[-width:] = [tuple(stack[-width:])]
            case "LIST":
                stack.append(since_mark())
            case "DICT":
                stack.append(pairs(since_mark()))
            case "FROZENSET":
                stack.append(Made("builtins frozenset", rest=since_mark()))
            case "APPEND":
                _rest(stack[-2]).append(stack.pop())
            case "APPENDS" | "ADDITEMS":
                added = since_mark()
                _rest(stack[-1]).extend(added)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _items(stack[-1])[key] = value
            case "SETITEMS":
                added = since_mark()
                _items(stack[-1]).update(pairs(added))
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(Name(argument))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(Name(f"{module} {name}"))
            case "REDUCE" | "NEWOBJ":
                args, made = stack.pop(), stack.pop()
                stack.append(Made(made.words, args))
            case "NEWOBJ_EX":
                _, args, made = stack.pop(), stack.pop(), stack.pop()
                stack.append(Made(made.words, args))
            case "OBJ" | "INST":
                args = since_mark()
                words = argument if opcode.name == "INST" else args.pop(0).words
                stack.append(Made(words, tuple(args)))
            case "BUILD":
                state = stack.pop()
                stack[-1].state = state
            case "BINPERSID":
                stack.append(Made("persistent", stack.pop()))
            case _ if opcode.arg is not None and not opcode.stack_before:
                stack.append(argument)  # a number, a text, bytes
            case _:
                raise ValueError(f"its opcode {opcode.name} is not read")
    raise EOFError("the file is cut: its pickle does not end")


def _rest(value: Any) -> list[Any]:
    return value.rest if isinstance(value, Made) else value


def _items(value: Any) -> dict[Any, Any]:
    return value.items if isinstance(value, Made) else value


def array(value: Any) -> np.ndarray | None:
    """The NumPy array of numbers that a pickle would make, if it is one.

    Raises:
        ValueError: its numbers are fewer or more than its shape tells.
    """
    if not isinstance(value, Made) or not value.of.endswith("multiarray _reconstruct"):
        return None
    _, shape, dtype, columns, data = value.state
    kind = np.dtype(dtype.args[0]).newbyteorder(dtype.state[1])
    if kind.hasobject or not isinstance(data, bytes):
        return None
    return np.frombuffer(data, kind).reshape(shape, order="F" if columns else "C")
