"""Checkpoints: named tensors and a few words about them, in one file that is whole or absent.

safetensors holds plain numbers, so that loading one never runs code; a digest of the numbers tells
a damaged file from a sound one.
"""

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from semantica_lib.errors import RequestError
from semantica_lib.files import write_whole
from semantica_lib.store.folders import remedy

if TYPE_CHECKING:  # torch takes a second to import: who only lists results does without
    from torch import Tensor


def save_checkpoint(path: Path, tensors: "Mapping[str, Tensor]", about: Mapping[str, str]) -> None:
    """Store tensors and metadata; an existing file is replaced only by a whole new one."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(path, save(tensors, {**about, "sha256": _digest(tensors, about)}))


def load_checkpoint(path: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and metadata of a checkpoint.

    Raises:
        RequestError: the file is cut short, altered, or no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, struct.error) as error:
        raise RequestError(_damaged(path, str(error))) from None
    if about.pop("sha256", None) != _digest(tensors, about):
        raise RequestError(_damaged(path, "its content does not match its digest"))
    return tensors, about


def _damaged(path: Path, reason: str) -> str:
    reason = " ".join(reason.split())
    how = remedy(path, "delete it, or start again with --fresh")
    return f"checkpoint {path} is damaged ({reason}); {how}"


def _digest(tensors: "Mapping[str, Tensor]", about: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(about.items())).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
