"""The kernels: a stack's steps in C++, for the stacks whose shape one has.

The sources in ``native/`` compute what :class:`~semantica_lib.trainers.stacked.Stack` defines:
``transformer.cpp`` of a transformer of one layer and one head without dropout, ``lstm.cpp`` of any
LSTM that draws its batches. The schedule stays that of the stack, which gives each step's factors.
"""

import ctypes
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from semantica_lib.datasets import streams
from semantica_lib.models.stack import OUTPUT
from semantica_lib.settings.schema import BOTH, family
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.building import HERE, library
from semantica_lib.trainers.stacked import Stack, State

KIND = "kernel"  # begins the name of each
OPTIMIZERS = ("adamw", "adam", "sgd")
BIASES = ("none", "learned", "log-frequency")
# transformer: ways to tie, in the order of native/ties.h; the first is tied and untied
SCHEMES = "", "lookup", "scaled", "soft", "tied-but-mask", "mapped", "pseudo-inverse"
MOST_BITS = 8  # transformer: three bits hold how often a symbol is shown, eight how often hidden
MOST_SYMBOLS = {"transformer": 7, "lstm": 5}  # lstm: eight with parity and mask, to be looked up
WIDEST = {"transformer": 16, "lstm": 32}  # features: of more, slow to compile; not measured
UNITS = 4  # lstm: of so many the gates fill a vector
FACTORS = 25_000  # trials times steps of a call, whose factors are made at once
MOVED = 20_000_000  # parameters times steps of a call, which then takes about a second
ARRAYS = (
    "flat", "first", "second", "stopped", "seeds", "untie_at", "limits", "strings", "codes",
    "joint", "factors", "decay", "losses", "memory",
)  # fmt: skip
NUMBERS = ("step", "steps", "trials", "string_count", "cases", "tables")


def serves(stack: Stack) -> bool:
    """Whether there is a kernel of the shape of this stack."""
    certain = (stack.traits.thresholds == streams.WORD - 1).any()  # see `draw` in job.h
    return stack.device == "cpu" and has_shape(stack.settings, stack.ties) and not certain


def has_shape(own: Settings, ties: Collection[str]) -> bool:
    """Whether a kernel has the shape of such an experiment's stacks of these ties."""
    zeros, ones = len(own.zero_dst), len(own.one_dst)
    if own.architecture == "transformer":
        sizes = own.embedding_size, own.feedforward_size
        fits = (own.layers, own.heads, own.dropout) == (1, 1, 0) and own.bits <= MOST_BITS
        fits = fits and {*map(family, ties)} <= {*BOTH, *SCHEMES}
    elif own.architecture == "lstm":
        sizes = own.embedding_size, own.hidden_size
        fits = (own.expectation, own.output_bias) == ("sampled", "none") and {*ties} <= {*BOTH}
        fits = fits and own.hidden_size % UNITS == 0
    else:
        return False
    return (
        fits
        and own.batch_size is None
        and max(sizes) <= WIDEST[own.architecture]
        and zeros + ones <= MOST_SYMBOLS[own.architecture]
        and min(zeros, ones) > 0
    )


def shape(stack: Stack) -> dict[str, int]:
    """The constants that the kernel is compiled with for a stack."""
    own, task = stack.settings, stack.task
    constants = {
        "FEATURES": own.embedding_size, "BITS": own.bits, "BIT_SYMBOLS": task.symbols,
        "ZERO_SYMBOLS": len(task.zero_dst), "OPTIMIZER": OPTIMIZERS.index(own.optimizer),
        "LYING": int(any(one.near_synonym for one in stack.each)),
        "TURNING": int(own.odds != "constant"),
    }  # fmt: skip
    if own.architecture == "transformer":
        constants |= {"INNER": own.feedforward_size, "RELU": int(own.activation == "relu")}
        constants |= {"EXACT": int(stack.whole is not None), "BIAS": BIASES.index(own.output_bias)}
        tie = family(stack.ties[0])
        constants |= {"SCHEME": SCHEMES.index("" if tie in BOTH else tie)}
    else:
        constants |= {"HIDDEN": own.hidden_size, "LAYERS": own.layers}
        constants |= {"DIRECTIONS": 1 + own.bidirectional}
    return constants | ({"DOUBLE": 1} if stack.dtype == torch.float64 else {})


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
        self.name = f"{KIND}, {self.library.instructions().decode()}"
        self.most = max(1, min(FACTORS, MOVED // stack.layout.size) // len(stack.seeds))
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
        moved = {name: getattr(state, name).clone() for name in ARRAYS[:4]}
        losses = torch.empty(len(state.seeds), dtype=self.stack.dtype)
        job = self._job(step, count, losses=losses, **moved)
        self.library.train(ctypes.byref(job))
        return State(state.seeds, *moved.values(), state.step + count), losses

    def _job(self, step: int, count: int, **arrays: Tensor) -> ctypes.Structure:
        """What a call is given, laid out as the source has it."""
        stack, trials, steps = self.stack, len(self.stack.seeds), torch.arange(step, step + count)
        factors = stack.factors(steps[:, None], stack.traits).expand(-1, trials, -1).contiguous()
        arrays = self.data | arrays | {"factors": factors}
        cases, tables = self.data["codes"].numel(), 1 + (OUTPUT in stack.layout.names)
        numbers = step, count, trials, len(stack.strings), cases, tables
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
