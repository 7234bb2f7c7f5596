"""What trains a stack: the kernel where it has the stack's shape, else the general path."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.building import NotBuilt
from semantica_lib.trainers.compiling import Uncompiled
from semantica_lib.trainers.kernel import KIND, Kernel, has_shape, serves
from semantica_lib.trainers.stacked import EAGER_BELOW, Stack, State

GENERAL = "general path"


@dataclass(frozen=True)
class Engine:
    """So many steps of a stack at a time."""

    name: str
    most: int  # steps of a call
    advance: Callable[[State, int], State]


def engine(stack: Stack, steps: int) -> Engine:
    """The fastest there is for a stack on this machine.

    Args:
        steps: how long the run will be in all; it decides whether compiling pays.
    """
    if steps >= EAGER_BELOW and serves(stack):
        try:
            return of_kernel(Kernel(stack))
        except (NotBuilt, OSError) as error:
            why = "training without the kernel, which is slower: " + " ".join(str(error).split())
            warnings.warn(why[:250], Uncompiled, stacklevel=2)
    return general(stack, steps)


def kind(own: Settings, device: str, steps: int) -> str:
    """The first word or words of the name of the engine that would train such a stack."""
    served = device.startswith("cpu") and has_shape(own, own.ties)
    return KIND if served and steps >= EAGER_BELOW else GENERAL


def of_kernel(kernel: Kernel) -> Engine:
    """The kernel as an engine."""
    return Engine(kernel.name, kernel.most, lambda *call: kernel.advance(*call)[0])


def general(stack: Stack, steps: int) -> Engine:
    """The stack's own step, compiled where that pays. Raises RequestError if it can't be."""
    from semantica_lib.trainers.launching import launched, steps_a_launch  # a kernel needs none

    step, many = stack.stepper(steps), steps_a_launch(stack.device)
    launch = launched(lambda state: step(state)[0], many, stack.device)

    def advance(state: State, count: int) -> State:
        if count == many:
            return launch(state)
        for _ in range(count):
            state, _ = step(state)
        return state

    return Engine(GENERAL, many, advance)
