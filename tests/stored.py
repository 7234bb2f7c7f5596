"""Small results on disk, trained in this process, for the tests of what is done with results."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pytest import MonkeyPatch
from torch import Tensor, tensor

from semantica_lib.running import collect, processes
from semantica_lib.running.groups import Group
from semantica_lib.running.processes import train_stack
from semantica_lib.running.run import run
from semantica_lib.settings.schema import BOTH, one_table
from semantica_lib.settings.xor import Settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import save_checkpoint
from semantica_lib.store.provenance import provenance
from semantica_lib.trainers.stacked import Stack
from semantica_lib.trainers.training import train


def train_here(patch: MonkeyPatch) -> list[list[str]]:
    """Let stacks train in this process, which starts sooner; gives each one's groups as they begin.

    That they train in processes of their own is tested by test_run.py and test_batch.py.
    """
    begun: list[list[str]] = []

    def train_all(
        stacks: Sequence[list[Group]], device: str, at_once: int, done: Callable, tell: Callable
    ) -> None:
        for stack in stacks:
            begun.append([f"{group.own.experiment} {group.tie} {group.step}" for group in stack])
            try:
                train_stack(stack, device, True, lambda step: True)
            except Exception as error:
                done(stack, str(error) or repr(error))
            else:
                done(stack, "")

    patch.setattr("semantica_lib.running.run.train_all", train_all)
    for module in (collect, processes):  # the tree stays as it is: git is asked once for all tests
        patch.setattr(module, "provenance", lambda: dict(_tree()))
    return begun


@cache
def _tree() -> dict[str, Any]:
    return provenance()


@cache
def _trained(own: Settings, steps: int, tie: str) -> dict[str, Tensor]:
    """What a stack keeps at a step; trained once for all tests that begin with it."""
    kept = {"seeds": tensor(own.seeds)}
    train(Stack(own, own.seeds, tie), steps, None, kept.update)
    return kept


def begin(own: Settings, steps: int, **about: str) -> None:
    """Leave checkpoints of these settings at a step, one a tie, as an interrupted run would."""
    folder = results.folder(results.here(), own) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for tie in own.ties:
        told = {
            "settings_hash": own.settings_hash,
            "tied": str(one_table(tie)).lower(),
            "commit": "",
            "dirty": "false",
            "started": "2020-01-01T00:00:00+00:00",
            "seconds": "1",
        }
        told |= {} if tie in BOTH else {"tie": tie}  # an earlier version told no tie
        path = folder / f"{tie.replace(':', '-')}.safetensors"
        save_checkpoint(path, _trained(own, steps, tie), told | about)


def finish(own: Settings, steps: int, dirty: bool = False, **about: str) -> results.Result:
    """A result of these settings at a step, with its checkpoints, whatever the working tree is."""
    begin(own, steps, **about)
    folder = run(own.model_copy(update={"steps": steps})).folder
    tree = {"commit": "c" * 40, "dirty": dirty}
    manifest = json.loads((folder / results.MANIFEST).read_text())
    (folder / results.MANIFEST).write_text(json.dumps(manifest | tree))
    return results.load(folder)
