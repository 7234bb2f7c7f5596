"""Progress: how far training is, in one line; of XOR in trials' steps, of words in tokens."""

import sys
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm

from semantica_lib.running.groups import Group, trials_in
from semantica_lib.settings.catalogue import MlmSettings

# Told how much is done, of how much, of what, and what is done before that goes on.
Tell = Callable[[int, int, str, str], None]


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
        self.title, self.position, self.bar, self.doing = title, position, None, ""

    def __call__(self, done: int, total: int, unit: str, doing: str = "") -> None:
        if self.bar is None:
            often = 0.1 if sys.stderr.isatty() else 0.5
            line = {"position": self.position, "dynamic_ncols": True, "mininterval": often}
            counted = {"total": total, "initial": done, "unit": f" {unit}", "unit_scale": True}
            title = f"{self.title}: {doing}" if doing else self.title
            self.bar, self.doing = tqdm(desc=title, file=sys.stderr, **line, **counted), doing
        self.bar.total = total
        if doing != self.doing:
            if not doing:  # what was compiled meanwhile tells nothing of how long the rest takes
                self.bar.unpause()
                self.bar.initial += done - self.bar.n
                self.bar.n = self.bar.last_print_n = done
            self.doing = doing
            self.bar.set_description(f"{self.title}: {doing}" if doing else self.title)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
