"""Keras' weights in HDF5: .h5, .weights.h5, and the .keras archive around one."""

import contextlib
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place, json_object
from semantica_lib.checkpoints.tensor import Tensor, swells
from semantica_lib.errors import RequestError

INPUT = re.compile(r"embed|\bwte\b", re.IGNORECASE)
NOT_INPUT = re.compile(r"pos|type|segment", re.IGNORECASE)


def read(place: Place, file: str, archive: zipfile.ZipFile | None = None) -> Contents:
    """The embedding, and the dense layer with a unit a row of it.

    Raises:
        RequestError: data lie elsewhere, as links can say.
    """
    import h5py

    member = "model.weights.h5"
    if archive and archive.getinfo(member).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member} is compressed, which Keras does not do")

    @contextlib.contextmanager
    def opened() -> Iterator[Any]:
        with place.open(file) as outer, contextlib.ExitStack() as stack:
            inner = outer
            if archive:
                whole = stack.enter_context(zipfile.ZipFile(outer))
                inner = stack.enter_context(whole.open(member))
            yield stack.enter_context(h5py.File(inner))

    tensors: dict[str, Tensor] = {}
    steps: list[int] = []

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset):
            return
        if "optimizer" in name.split("/")[0]:
            if node.shape == () and re.search(r"/(iter\w*(:0)?|vars/0)$", name):
                steps.append(int(node[()]))
            return
        if node.is_virtual or node.external:
            raise RequestError(f"{name} lies in another file; save it as one")
        held = node.id.get_storage_size()
        if swells(held, node.nbytes) or (not node.chunks and held != node.nbytes):
            raise ValueError(f"{name} would swell from {held:,} bytes to {node.nbytes:,}")
        if node.dtype.kind not in "fiu":
            return

        def rows(start: int, stop: int) -> np.ndarray:
            with opened() as again:
                return again[name][start:stop]

        tensors[name] = Tensor(name, node.shape, node.dtype.name, rows, place=(file, node.id.id))

    with opened() as found:
        found.visititems(visit)
        training = _json(found.attrs.get("training_config"))
    if archive and "config.json" in archive.namelist():
        training = _json(archive.read("config.json")).get("compile_config") or {}
    made = Contents("Keras h5", tensors, "Keras")
    made.optimizer = _optimizer(training.get("optimizer_config") or training.get("optimizer"))
    if made.optimizer:
        made.optimizer["step"] = steps
    _roles(made)
    return made


def _json(data: bytes | str | None) -> dict[str, Any]:
    return json_object(data.encode() if isinstance(data, str) else data or b"{}", "its config")


def _optimizer(told: Any) -> dict[str, Any] | None:
    config = told.get("config") if isinstance(told, dict) else None
    if not isinstance(config, dict):
        return None
    pairs = (("weight decay", "weight_decay"), ("rate", "learning_rate"))
    return {name: [config[key]] for name, key in pairs if key in config}


def _roles(made: Contents) -> None:
    """The embedding, and a kernel with a column a row of it."""
    flat = {name: one.shape for name, one in made.tensors.items() if len(one.shape) == 2}
    inputs = [name for name in flat if INPUT.search(name) and not NOT_INPUT.search(name)][-20:]
    lengths = {one.shape[0]: name for name, one in made.tensors.items() if len(one.shape) == 1}

    def is_output(name: str, of: str) -> bool:
        if name == of or flat[name][1] != flat[of][0]:
            return False
        if name.rpartition("/")[0] == of.rpartition("/")[0]:
            return True  # of a ReversibleEmbedding that is not tied
        return not INPUT.search(name) and bool(re.search(r"kernel|vars/0|weight", name))

    pairs = [(first, last) for first in inputs for last in flat if is_output(last, first)]
    if pairs:  # where there are several, one with a bias
        made.input, made.output = max(pairs, key=lambda pair: flat[pair[0]][0] in lengths)
        made.bias = lengths.get(flat[made.input][0], "")
    elif inputs:
        made.input = max(inputs, key=lambda name: flat[name][0])
        made.absent = "no output table", "no layer has a unit for each row of the embedding"
        if "reversible_embedding" in made.input:
            made.absent = "tied", "a ReversibleEmbedding without a second table (Keras 3.15)"
    else:
        made.absent = "not tables of words", "no layer is an embedding"
