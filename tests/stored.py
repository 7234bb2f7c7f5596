"""Small results on disk, trained in this process, for the tests of what is done with results."""

import json

from torch import tensor

from semantica_lib import results
from semantica_lib.run import run
from semantica_lib.settings import Settings
from semantica_lib.trainers.checkpoint import save_checkpoint
from semantica_lib.trainers.stacked import Stack
from semantica_lib.trainers.training import train


def begin(own: Settings, steps: int, **about: str) -> None:
    """Leave checkpoints of these settings at a step, one a tie, as an interrupted run would."""
    folder = results.folder(results.here(), own) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for tie in own.ties:
        kept = {"seeds": tensor(own.seeds)}
        train(Stack(own, own.seeds, tie == "tied"), steps, None, kept.update)
        told = {
            "settings_hash": own.settings_hash,
            "tied": str(tie == "tied").lower(),
            "commit": "",
            "dirty": "false",
            "started": "2020-01-01T00:00:00+00:00",
            "seconds": "1",
        }
        save_checkpoint(folder / f"{tie}.safetensors", kept, told | about)


def finish(own: Settings, steps: int, dirty: bool = False, **about: str) -> results.Result:
    """A result of these settings at a step, with its checkpoints, whatever the working tree is."""
    begin(own, steps, **about)
    folder = run(own.model_copy(update={"steps": steps})).folder
    manifest = json.loads((folder / results.MANIFEST).read_text())
    (folder / results.MANIFEST).write_text(json.dumps(manifest | {"dirty": dirty}))
    return results.load(folder)
