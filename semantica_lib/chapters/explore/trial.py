"""Trials that train while somebody looks on: they stop when told, and go on bit for bit."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pandas as pd

from semantica_lib.datasets.contexts import SPLITS
from semantica_lib.errors import RequestError
from semantica_lib.settings.xor import Settings
from semantica_lib.store.result import Result
from semantica_lib.trainers.engines import Engine, engine
from semantica_lib.trainers.history import History
from semantica_lib.trainers.measuring import record, until_due
from semantica_lib.trainers.stacked import Stack


class Trial:
    """The trials of one seed, tied or untied or both, which train in a thread of their own.

    Args:
        own: of one seed.
        tell: called in that thread after each record, at a stop, and at the end.
    """

    def __init__(self, own: Settings, tell: Callable[["Trial"], None]) -> None:
        self.own, self.tell, self.failure = own, tell, ""
        self.stack = Stack([own] * len(own.ties), own.seeds * len(own.ties), own.ties)
        self.state, self.history, self.step = self.stack.initial(), History({}), 0
        self.engine: Engine | None = None
        self.thread, self.halt = Thread(), Event()
        record(self.stack, self.state, 0, own.steps, self.history)

    @property
    def ended(self) -> bool:
        return self.step >= self.own.steps

    @property
    def runs(self) -> bool:
        """Whether steps are being computed."""
        waits = self.halt.is_set() or self.ended or self.failure
        return self.thread.is_alive() and not waits

    def go_on(self) -> None:
        """Train on from where it is; does nothing while it trains, or at its end."""
        if not (self.runs or self.ended):
            self.stop()  # which may be telling its last
            self.failure = ""
            self.halt.clear()
            self.thread = Thread(target=self._train, daemon=True)
            self.thread.start()

    def stop(self) -> None:
        """Stop: once this returns no step is computed any more."""
        self.halt.set()
        if self.thread.is_alive():
            self.thread.join()

    def _train(self) -> None:
        try:
            self.engine = self.engine or engine(self.stack, self.own.steps)  # it may compile
            while not (self.ended or self.halt.is_set()):
                due = until_due(self.own, self.step, self.own.steps)
                count = min(self.engine.most, due)
                self.state = self.engine.advance(self.state, count)
                self.step += count
                if count == due:
                    record(self.stack, self.state, self.step, self.own.steps, self.history)
                    self.tell(self)
        except RequestError as error:
            self.failure = str(error)
        self.tell(self)

    def result(self) -> Result:
        """What is recorded so far, as figures take it; it lies in no folder."""
        series = self.history.tensors()
        tables = series["tables"].transpose(0, 1).numpy()  # (trial, record, table, ...)
        manifest = {"experiment": self.own.experiment, "settings": self.own.model_dump(mode="json")}
        return Result(
            folder=Path(),
            manifest=manifest,
            steps=series["record_steps"].numpy(),
            seed=self.stack.seeds.numpy(),
            tied=np.array(self.stack.ties) == "tied",
            input_embedding=tables[:, :, 0],
            output_embedding=tables[:, :, 1],
            metrics=pd.DataFrame(columns=["seed", "tied", "step", "split", "accuracy", "loss"]),
        )

    def accuracy(self) -> dict[str, float]:
        """Of each tie the accuracy on all strings at the last measurement."""
        last = self.history.series["measured"][-1][SPLITS.index("exact"), 0]
        return dict(zip(self.own.ties, last.tolist(), strict=True))
