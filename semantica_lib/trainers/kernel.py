"""The kernel: a stack's steps in C++, for the stacks whose shape it has.

``native/transformer.cpp`` computes what :class:`~semantica_lib.trainers.stacked.Stack` defines, of
a transformer of one layer and one head without dropout; a stack it does not serve trains by the
general path. The schedule stays that of the stack: the kernel is given each step's factors.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from semantica_lib.datasets import streams
from semantica_lib.trainers.building import HERE, library
from semantica_lib.trainers.stacked import Stack, State

OPTIMIZERS = ("adamw", "adam", "sgd")
MOST_BITS = 8  # three bits hold how often a symbol is shown, eight how often it is hidden
MOST_SYMBOLS = 7
WIDEST = 16  # features, of rows and between the maps: more are slow to compile
WIDEST_LSTM, LOOKED_UP = 32, 8
FACTORS = 25_000  # trials times steps of a call, whose factors are made at once
ARRAYS = (
    "flat", "first", "second", "stopped", "seeds", "untie_at", "limits", "strings", "codes",
    "joint", "factors", "decay", "losses", "memory",
)  # fmt: skip
NUMBERS = ("step", "steps", "trials", "string_count", "cases", "tables")


def serves(stack: Stack) -> bool:
    """Whether there is a kernel of the shape of this stack."""
    own, task = stack.settings, stack.task
    common = (
        stack.device == "cpu"
        and own.batch_size is None
        and own.bits <= MOST_BITS
        and min(len(task.zero_dst), len(task.one_dst)) > 0
        and not (stack.traits.thresholds == streams.WORD - 1).any()  # see `draw` in job.h
    )
    if own.architecture == "transformer":
        return (
            common
            and (own.layers, own.heads, own.dropout) == (1, 1, 0)
            and max(own.embedding_size, own.feedforward_size) <= WIDEST
            and task.symbols <= MOST_SYMBOLS
        )
    return (
        common
        and own.architecture == "lstm"
        and own.expectation == "sampled"
        and max(own.embedding_size, own.hidden_size) <= WIDEST_LSTM
        and task.vocabulary <= LOOKED_UP
    )


def shape(stack: Stack) -> dict[str, int]:
    """The constants that the kernel is compiled with for a stack."""
    own, task = stack.settings, stack.task
    constants = {
        "FEATURES": own.embedding_size,
        "BIT_SYMBOLS": task.symbols,
        "ZERO_SYMBOLS": len(task.zero_dst),
        "BITS": own.bits,
        "LYING": int(any(one.near_synonym for one in stack.each)),
        "OPTIMIZER": OPTIMIZERS.index(own.optimizer),
    } | ({"DOUBLE": 1} if stack.dtype == torch.float64 else {})
    if own.architecture == "lstm":
        directions = 1 + own.bidirectional
        return constants | {"HIDDEN": own.hidden_size, "LAYERS": own.layers, "DIRECTIONS": directions}
    return constants | {
        "INNER": own.feedforward_size,
        "EXACT": int(stack.whole is not None),
        "RELU": int(own.activation == "relu"),
    }


class Kernel:
    """The steps of a stack.

    Args:
        stack: one that the kernel :func:`serves`.
        flags: what processor to build for.

    Raises:
        NotBuilt: it cannot be compiled here.
    """

    def __init__(self, stack: Stack, flags: Sequence[str] = HERE) -> None:
        self.stack, task, traits = stack, stack.task, stack.traits
        self.library = library(f"{stack.settings.architecture}.cpp", shape(stack), flags)
        self.library.instructions.restype = ctypes.c_char_p
        self.library.memory.restype = ctypes.c_int64
        self.name = f"kernel, {self.library.instructions().decode()}"
        self.most = max(1, FACTORS // len(stack.seeds))
        weights = 2 ** torch.arange(stack.strings.shape[1])
        none = torch.zeros(0, dtype=stack.dtype)
        codes = none if stack.whole is None else _codes(stack.whole.tokens[0], task.symbols)
        self.data = {
            "seeds": _words(stack.seeds),
            "untie_at": traits.untie_at.contiguous(),
            "limits": _words(traits.thresholds),
            "strings": _words(stack.strings @ weights),
            "codes": _words(codes),
            "joint": none if stack.whole is None else traits.joint.contiguous(),
            "memory": torch.empty(self.library.memory(), dtype=torch.uint8),
            "decay": traits.scales[:, 2].to(stack.dtype).contiguous(),
        }

    def advance(self, state: State, count: int) -> tuple[State, Tensor]:
        """The state so many steps on, and the losses before the last of them, ``(trial,)``."""
        step = int(state.step)
        moved = {name: getattr(state, name).clone() for name in ("flat", "first", "second")}
        losses = torch.empty(len(state.seeds), dtype=self.stack.dtype)
        job = self._job(step, count, losses=losses, **moved)
        self.library.train(ctypes.byref(job))
        return State(state.seeds, *moved.values(), state.step + count), losses

    def _job(self, step: int, count: int, **arrays: Tensor) -> ctypes.Structure:
        """What a call is given, laid out as the source has it."""
        stack, trials = self.stack, len(self.stack.seeds)
        steps = torch.arange(step, step + count)[:, None]
        factors = stack.factors(steps, stack.traits).expand(-1, trials, -1).contiguous()
        stopped = torch.full((trials,), -1)
        arrays = self.data | arrays | {"factors": factors, "stopped": stopped}
        numbers = (
            step, count, trials, len(stack.strings), self.data["codes"].numel(),
            1 if stack.layout.tied else 2,
        )  # fmt: skip
        moments = (*(stack.settings.betas or (0.0, 0.0)), stack.settings.eps or 0.0)
        real = ctypes.c_double if stack.dtype == torch.float64 else ctypes.c_float
        kinds = {ctypes.c_void_p: ARRAYS, ctypes.c_int64: NUMBERS, real: ("b1", "b2", "eps")}
        fields = [(name, kind) for kind, names in kinds.items() for name in names]
        layout = type("Job", (ctypes.Structure,), {"_fields_": fields})
        job = layout(*(arrays[name].data_ptr() for name in ARRAYS), *numbers, *moments)
        job.held = arrays  # alive as long as the job
        return job


def _words(values: Tensor) -> Tensor:
    """Whole numbers as 32 bits without a sign; 2^32, which no word reaches, as the greatest."""
    return values.clamp(max=streams.WORD - 1).to(torch.uint32).contiguous()


def _codes(tokens: Tensor, symbols: int) -> Tensor:
    """Contexts ``(token, case)`` as the source packs them, ``(case,)``."""
    counts = (tokens[None] == torch.arange(symbols)[:, None, None]).sum(1)  # (symbol, case)
    odd = (tokens == symbols + 1).any(0)
    return (counts << 3 * torch.arange(symbols)[:, None]).sum(0) + (odd.long() << 31)
