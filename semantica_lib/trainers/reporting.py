"""What every training does between two steps: report where it is, keep a checkpoint, or stop."""

import time
from collections.abc import Callable

TELL_SECONDS, KEEP_SECONDS = 0.2, 50.0  # between reports, and between checkpoints


class Report:
    """Of a training that is under way.

    Args:
        keep: stores a checkpoint of what the training has come to.
        going_on: told the step now and then; answering False asks to stop.
        agreed: given the step and whether this process is to stop, whether all of them stop now.
    """

    def __init__(
        self,
        keep: Callable[[], None],
        going_on: Callable[[int], bool],
        agreed: Callable[[int, bool], bool] = lambda step, stop: stop,
    ) -> None:
        self.keep, self.going_on, self.agreed = keep, going_on, agreed
        self.told = self.kept = time.monotonic()
        self.stop = False

    def stops(self, step: int) -> bool:
        """Report a step that is done, keep it where it is time to; whether training stops here."""
        now = time.monotonic()
        if now - self.told > TELL_SECONDS:
            self.told, self.stop = now, self.stop or not self.going_on(step)
        if self.agreed(step, self.stop):
            return True
        if now - self.kept > KEEP_SECONDS:
            self.keep()
            self.kept = time.monotonic()
        return False

    def end(self, step: int) -> None:
        """Keep and report the last step."""
        self.keep()
        self.going_on(step)
