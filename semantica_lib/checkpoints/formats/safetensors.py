"""safetensors: a JSON header, then the arrays."""

import math
from collections.abc import Callable, Iterator, Mapping

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.place import Place, json_object
from semantica_lib.checkpoints.tensor import SIZES, Tensor, exactly, numbers, scaled, stored
from semantica_lib.errors import RequestError

HEADER_BYTES = 25_000_000  # what the hub's own library reads
TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32",
    "U16": "uint16", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}  # fmt: skip

SCALES = (  # how a quantised table's scale is called, and by what it is multiplied itself
    ("_weight_scale", 1.0), ("weight_scale", 1.0), ("weight_scale_inv", 1.0), ("SCB", 1 / 127),
)  # fmt: skip


def read(place: Place, file: str) -> Contents:
    """One file.

    Raises:
        ValueError: its header contradicts itself or the file.
    """
    with place.open(file) as opened:
        length = int.from_bytes(exactly(opened, 8), "little")
        if length > min(HEADER_BYTES, place.sizes[file]):
            raise ValueError(f"a header of {length:,} bytes is announced")
        header = json_object(exactly(opened, length), "the header")
    notes = header.pop("__metadata__", {})
    tensors, end = {}, 0
    ordered = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    for name, entry in ordered:
        start, stop = entry["data_offsets"]
        dtype, shape = TYPES.get(entry["dtype"]), tuple(entry["shape"])
        if start != end:
            raise ValueError(f"{name} begins at {start:,}, but the one before ends at {end:,}")
        if dtype and stop - start != SIZES[dtype] * math.prod(shape):
            raise ValueError(f"{name} has {stop - start:,} bytes, which is not its shape's")
        end = stop
        if dtype:
            tensors[name] = stored(place, file, 8 + length + start, name, shape, dtype)
        else:  # refused once its values are wanted
            kind = str(entry["dtype"])
            tensors[name] = Tensor(name, shape, kind, lambda *_, kind=kind: numbers(b"", kind))
    if 8 + length + end != place.sizes[file]:
        raise EOFError(f"it has {place.sizes[file]:,} bytes, its header tells {8 + length + end:,}")
    # save_model and save_torch_model write, of names that share an array, which one is kept.
    aliases = {gone: kept for gone, kept in notes.items() if kept in tensors and gone not in header}
    return Contents("safetensors", Quantised(tensors), aliases=aliases)


class Shards(Mapping[str, Tensor]):
    """The arrays of several files by their index; a file's header is read when it is needed."""

    def __init__(self, place: Place, index: str, reader: Callable[[Place, str], Contents]) -> None:
        self.where = place.json(index).get("weight_map")
        if not isinstance(self.where, dict) or not self.where:
            raise RequestError(f"{index} has no weight_map; fetch it anew")
        if missing := sorted({str(file) for file in self.where.values()} - place.sizes.keys()):
            raise RequestError(
                f"{len(missing)} files of {index} are missing, such as {missing[0]}; fetch them"
            )
        self.index, self.place, self.reader = index, place, reader
        self.read: dict[str, Contents] = {}

    def __getitem__(self, name: str) -> Tensor:
        file = self.where[name]
        if file not in self.read:
            self.read[file] = self.reader(self.place, file)
        if name not in self.read[file].tensors:
            raise RequestError(
                f"{self.index} says that {name} is in {file}, where it is not; fetch both anew"
            )
        return self.read[file].tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.where)

    def __len__(self) -> int:
        return len(self.where)


class Quantised(Mapping[str, Tensor]):
    """Arrays by their names, one that is quantised as ``X.weight``, whatever its parts are called.

    torchao 0.18 writes ``X._weight_qdata`` with ``X._weight_scale``; compressed-tensors
    ``X.weight`` with ``X.weight_scale``; DeepSeek and transformers' float8 ``X.weight`` with
    ``X.weight_scale_inv``, which multiplies; bitsandbytes' int8 ``X.weight`` with ``X.SCB`` (of
    127).
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.names = {name.replace("._weight_qdata", ".weight"): name for name in tensors}

    def __getitem__(self, name: str) -> Tensor:
        found, base = self.tensors[self.names[name]], name.removesuffix("weight")
        if not found.dtype.startswith(("int", "uint", "float8")) or len(found.shape) != 2:
            return found
        for scale, factor in SCALES:
            if base + scale in self.tensors:
                zero = self.tensors.get(f"{base}_weight_zero_point")
                return scaled(found, self.tensors[base + scale], factor, zero)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
