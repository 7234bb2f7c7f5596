"""The weights of a trained trial, by PyTorch's names: for a look inside, or for one's own model."""

import shlex
from pathlib import Path
from typing import Literal

from torch import Tensor

from semantica_lib.errors import RequestError
from semantica_lib.settings.catalogue import AnySettings, changes
from semantica_lib.settings.xor import Settings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint
from semantica_lib.store.manifest import tie_in
from semantica_lib.trainers.stacked import Stack


def weights(
    own: Settings, seed: int, tie: str, at: int | Literal["last", "best"] = "last"
) -> dict[str, Tensor]:
    """Every parameter of one trial under the name that PyTorch's modules give it.

    This machine's trial where there is one, else the published one, which has its weights as long
    as its result is partial. The encoder's names begin with ``encoder.``; both tables are among
    them as they are used, and what else a tie or a bias has.

    Args:
        at: the last step, the step of least validation loss (kept if the settings' ``keep_best``
            asked for it while it trained) or any step that ``keep_every`` kept.

    Raises:
        RequestError: there is no such trial, or its weights at that step were not kept.
    """
    path, tensors, _ = kept_in(own, seed, tie)
    trial = tensors["seeds"].tolist().index(seed)
    flat = _at(tensors, trial, at, f"{_named(own, seed, tie)} ({path})")
    views = Stack(own, [seed], tie).views(flat[None])
    return {name: value[0] for name, value in views.items()}


def kept_in(
    own: AnySettings, seed: int, tie: str
) -> tuple[Path, dict[str, Tensor], dict[str, str]]:
    """The checkpoint that has a trial: its file, its tensors and what it is.

    Raises:
        RequestError: there is none, here or published, or it is damaged.
    """
    for place in (results.here(), results.PUBLISHED):
        for path in results.checkpoint_files(place, own):
            tensors, about = load_checkpoint(path)
            if tie_in(about) == tie and seed in tensors["seeds"].tolist():
                return path, tensors, about
    options = [f"seeds=[{seed}]"] * (seed not in own.seeds)
    options += [f"ties=[{tie}]"] * (tie not in own.ties)
    words = [word for option in (*changes(own), *options) for word in ("--set", option)]
    command = shlex.join(["semantica", "train", own.experiment, *words])
    raise RequestError(
        f"there are no weights of {_named(own, seed, tie)} here; `{command}` makes them"
    )


def _named(own: AnySettings, seed: int, tie: str) -> str:
    return f"the {tie} trial of seed {seed} of {own.experiment}"


def _at(tensors: dict[str, Tensor], trial: int, at: int | str, name: str) -> Tensor:
    """One trial's parameters ``(parameter,)`` at a step."""
    steps = tensors["kept_steps"].tolist() if "kept_steps" in tensors else []
    if at in ("last", int(tensors["step"])):
        return tensors["flat"][trial]
    if at == "best" and "best" in tensors:
        return tensors["best"][trial]
    if at in steps:
        return tensors["kept"][steps.index(at), trial]
    best = ", 'best'" * ("best" in tensors)
    kept = f"'last' (step {int(tensors['step'])}){best}{''.join(f', {step}' for step in steps)}"
    raise RequestError(f"the weights of {name} were not kept at {at!r} (kept: {kept})")
