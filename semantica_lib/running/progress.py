"""Progress: how far training is, in one line; of XOR in trials' steps, of words in tokens."""

import sys
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm

from semantica_lib.running.groups import Group, trials_in
from semantica_lib.settings.catalogue import MlmSettings

Tell = Callable[[int, int, str], None]  # told how much is done, of how much, and of what


def amount(stack: Sequence[Group], step: int) -> int:
    """What of a stack is done at a step, in its :func:`unit`."""
    own = stack[0].own
    return step * trials_in(stack) * (own.tokens_a_step if isinstance(own, MlmSettings) else 1)


def unit(stack: Sequence[Group]) -> str:
    return "tokens" if isinstance(stack[0].own, MlmSettings) else "trial-steps"


class Bar:
    """A bar that stands there from the first that it is told.

    Args:
        title: what it is a bar of.
        position: its line, where several stand below one another.
    """

    def __init__(self, title: str, position: int | None = None) -> None:
        self.title, self.position, self.bar = title, position, None

    def __call__(self, done: int, total: int, unit: str) -> None:
        if self.bar is None:
            often = 0.1 if sys.stderr.isatty() else 0.5
            line = {"position": self.position, "dynamic_ncols": True, "mininterval": often}
            counted = {"total": total, "initial": done, "unit": f" {unit}", "unit_scale": True}
            self.bar = tqdm(desc=self.title, file=sys.stderr, **line, **counted)
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
