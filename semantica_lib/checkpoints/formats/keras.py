"""Keras' weights in HDF5: .h5, .weights.h5, and the .keras archive around one."""

import re
import zipfile
from typing import Any

import numpy as np

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place, json_object
from semantica_lib.checkpoints.tensor import Tensor, swells
from semantica_lib.errors import RequestError

INPUT = re.compile(r"embed|\bwte\b", re.IGNORECASE)
NOT_INPUT = re.compile(r"pos|type|segment", re.IGNORECASE)
REVERSIBLE = re.compile(r'"class_name": ?"ReversibleEmbedding".*?"tie_weights": ?true', re.DOTALL)


def read(place: Place, file: str, archive: zipfile.ZipFile | None = None) -> Contents:
    """The embedding, and the dense layer with a unit a row of it.

    Raises:
        RequestError: data lie elsewhere, as links can say.
    """
    import h5py

    member = "model.weights.h5"
    if archive and archive.getinfo(member).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member} is compressed, which Keras does not do")

    def opened() -> Any:
        if archive:
            return h5py.File(zipfile.ZipFile(place.open(file)).open(member))
        return h5py.File(place.open(file))

    tensors: dict[str, Tensor] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or "optimizer" in name.split("/")[0]:
            return
        if node.is_virtual or node.external:
            raise RequestError(f"{place.label}: {name} lies in another file; save it as one")
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
        text = {key: _text(found.attrs.get(key)) for key in ("model_config", "training_config")}
    if archive and "config.json" in archive.namelist():
        text["model_config"] = archive.read("config.json").decode()
        told = json_object(text["model_config"].encode(), "config.json").get("compile_config")
        training = told or {}
    else:
        training = json_object(text["training_config"].encode() or b"{}", "training_config")
    made = Contents("Keras h5", tensors, "Keras")
    made.optimizer = _optimizer(training.get("optimizer_config") or training.get("optimizer"))
    _roles(made, text["model_config"])
    return made


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _optimizer(told: Any) -> dict[str, Any] | None:
    config = told.get("config") if isinstance(told, dict) else None
    if not isinstance(config, dict):
        return None
    pairs = (("weight decay", "weight_decay"), ("rate", "learning_rate"))
    return {name: [config[key]] for name, key in pairs if key in config}


def _roles(made: Contents, config: str) -> None:
    flat = {name: one for name, one in made.tensors.items() if len(one.shape) == 2}
    inputs = [one for one in flat if INPUT.search(one) and not NOT_INPUT.search(one)]
    pairs = [
        (first, last)
        for first in inputs
        for last in flat
        if last != first and flat[last].shape[1] == flat[first].shape[0]
        and re.search(r"kernel|vars/\d|reverse", last) and not INPUT.search(last.split("/vars")[0])
    ]  # fmt: skip
    lengths = {one.shape[0]: name for name, one in made.tensors.items() if len(one.shape) == 1}
    pairs.sort(key=lambda pair: flat[pair[0]].shape[0] in lengths)
    if pairs:
        made.input, made.output = pairs[-1]
        made.bias = lengths.get(flat[made.input].shape[0], "")
    elif inputs:
        made.input = max(inputs, key=lambda name: flat[name].shape[0])
        reversible = REVERSIBLE.search(config)
        made.absent = (
            ("tied", "its ReversibleEmbedding has tie_weights true")
            if reversible
            else ("no output table", "no layer has a unit for each row of the embedding")
        )
