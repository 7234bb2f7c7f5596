"""Children that do not end when they are asked to are waited for together, then killed."""

from types import SimpleNamespace

import pytest

from semantica_lib.running import children


class Deaf:
    """A process that ends by being killed only; waiting for it takes all the time there is."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.killed = clock, False

    def is_alive(self) -> bool:
        return not self.killed

    def join(self, timeout: float) -> None:
        self.clock[0] += 0 if self.killed else timeout

    def kill(self) -> None:
        self.killed = True

    def poll(self, timeout: float) -> bool:  # its pipe, on which it says nothing
        self.clock[0] += timeout
        return False


def test_all_have_the_same_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [0.0], []

    def wait(pipes: list, timeout: float) -> list:
        clock[0] += timeout
        return []

    monkeypatch.setattr(children, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(children.multiprocessing.connection, "wait", wait)
    running = {one: SimpleNamespace(process=one) for one in [Deaf(clock) for _ in range(5)]}
    children.stop(running, lambda pipe, _: asked.append(pipe), 40)
    assert asked == list(running) and all(one.killed for one in running)
    assert 40 <= clock[0] < 41
