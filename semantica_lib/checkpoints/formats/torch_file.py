"""PyTorch's files, zip and legacy, without torch: the pickle is read as data."""

import io
import math
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.formats import pickles
from semantica_lib.checkpoints.formats.pickles import Made, Name, mapping
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import SIZES, Tensor, exactly, member_offset, stored, whole
from semantica_lib.errors import RequestError

MAGIC = 0x1950A86A20F9469CFC6C  # of the legacy format
STORAGES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool",
}  # fmt: skip
# Under these names, training scripts keep the weights beside other things.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "params")
Find = Callable[[str, str, int], tuple[str, int]]  # a storage's key, type, bytes: file and offset


def read_zip(place: Place, file: str, archive: zipfile.ZipFile) -> Contents:
    """The format since 2020: a zip with a pickle and a member a storage.

    Raises:
        RequestError: it is a program, or of a machine of another byte order.
    """
    members = {one.filename: one for one in archive.infolist()}
    (pickle,) = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    root = pickle.removesuffix("data.pkl")
    if f"{root}constants.pkl" in members:
        raise RequestError("a TorchScript program; save the model's state_dict")
    for name in (pickle, f"{root}byteorder"):
        if name in members and members[name].compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed, which torch does not do")
    if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
        raise RequestError("written by a big-endian machine; save it on another")

    def find(key: str, _: str, size: int) -> tuple[str, int]:
        member = members[f"{root}data/{key}"]
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != size:
            raise ValueError(f"storage {key} is compressed or of another size than it says")
        return file, member_offset(place, file, member)

    return _contents(place, "PyTorch zip", pickles.load(io.BytesIO(archive.read(pickle))), find)


def read_legacy(place: Place, file: str) -> Contents:
    """The older format: five pickles, then the storages."""
    with place.open(file) as opened:
        magic, version, about, root, keys = (pickles.load(opened) for _ in range(5))
        if magic != MAGIC or version != 1001 or not mapping(about).get("little_endian", True):
            raise ValueError("its beginning is of no version that is known")
        begin = opened.tell()
    sizes: dict[str, int] = {}
    for storage in _storages(root):
        sizes[storage[2]] = SIZES[_type(storage[1])]
    places, at = {}, begin
    with place.open(file) as opened:
        for key in keys:
            opened.seek(at)
            count = int.from_bytes(exactly(opened, 8), "little")
            places[key], at = at + 8, at + 8 + count * sizes[key]
    if at != place.sizes[file]:
        raise EOFError(f"it has {place.sizes[file]:,} bytes and tells of {at:,}")
    return _contents(place, "PyTorch legacy", root, lambda key, *_: (file, places[key]))


def optimizer(place: Place, file: str) -> dict[str, Any] | None:
    """Decay, rate and step of a file that holds an optimizer alone; None if it is none."""
    with place.open(file) as opened, zipfile.ZipFile(opened) as archive:
        (pickle,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        return _optimizer(pickles.load(io.BytesIO(archive.read(pickle))))


def _contents(place: Place, kind: str, root: Any, find: Find) -> Contents:
    tensors: dict[str, Tensor] = {}
    made = Contents(kind, tensors)
    tops = mapping(root)
    wrapper = next((name for name in WRAPPERS if _holds(tops.get(name))), "")
    made.optimizer = _optimizer(root)
    for step in made.optimizer["step"] if made.optimizer else ():
        scalar = _tensor(place, "step", step, find) if isinstance(step, Made) else None
        made.optimizer["step"] = [scalar.rows(0, 1).item() if scalar else step]
    for path, value in _named(tops[wrapper] if wrapper else root):
        if tensor := _tensor(place, path, value, find):
            tensors[path] = tensor
    if wrapper:
        made.evidence.append(f"the weights lie under {wrapper!r} in the file")
    if made.optimizer and not tensors:
        raise RequestError("an optimizer's state, not a checkpoint; name the model's file")
    if not tensors:
        of = root.of.replace(" ", ".") if isinstance(root, Made) else type(root).__name__
        raise RequestError(f"a pickle ({of}) without tensors; name the model's file")
    return made


def _holds(value: Any) -> bool:
    return any(True for _ in _named(value))


def _named(root: Any) -> Iterator[tuple[str, Made]]:
    """The tensors below a value with their dotted names; optimizers are passed over."""
    seen: set[int] = set()
    stack = [("", root)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Made) and value.of.startswith("torch._utils _rebuild_"):
            yield path, value
            continue
        inside = mapping(value)
        if id(value) in seen or "param_groups" in inside:
            continue
        seen.add(id(value))
        for key, below in reversed(inside.items()):
            # A module that is pickled whole keeps these two; they are not in its names.
            plain = key in ("_parameters", "_modules", "_buffers")
            stack.append((path if plain else f"{path}.{key}".lstrip("."), below))


def _storages(root: Any) -> Iterator[tuple]:
    seen, stack = set(), [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Made):
            if value.of == "persistent" and value.args[0] == "storage":
                yield value.args
            stack += [value.args, value.state, value.items, value.rest]
        elif isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value


def _type(name: Name) -> str:
    return STORAGES.get(name.words.split()[-1].removesuffix("Storage"), "uint8")


def _tensor(place: Place, path: str, value: Made, find: Find) -> Tensor | None:
    """A tensor as it is stored; None for what is no plain one."""
    args = value.args
    if value.of.endswith(" _rebuild_parameter") and isinstance(args[0], Made):
        return _tensor(place, path, args[0], find)
    if not value.of.endswith((" _rebuild_tensor", " _rebuild_tensor_v2", " _rebuild_tensor_v3")):
        return None
    storage, first, shape, strides = args[:4]
    _, kind, key, _, count = storage.args[:5]
    dtype = _type(kind)
    unit = SIZES[dtype]
    file, offset = find(key, dtype, count * unit)
    if value.of.endswith("_v3"):  # a type of its own, over bytes
        dtype = args[6].words.split()[-1]
    place_, size = (file, offset, first, shape, strides), SIZES.get(dtype, 0)
    reach = first + 1 + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if not size or not all(shape) or min((first, *shape, *strides), default=0) < 0:
        return None
    if reach * size > count * unit:
        raise ValueError(f"{path} reaches beyond its storage")
    plain = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if strides == plain or 1 in shape:
        made = stored(place, file, offset + first * size, path, shape, dtype)
        return Tensor(path, shape, dtype, made.rows, place=place_)
    if len(shape) == 2 and strides == (1, shape[0]):  # a transposed view: its rows are stored
        flipped = stored(place, file, offset + first * size, path, shape[::-1], dtype)
        return whole(path, shape, dtype, lambda: flipped.rows(0, shape[1]).T)
    return None


def _optimizer(root: Any) -> dict[str, Any] | None:
    """Decay, rate and step of the first optimizer below a value."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        inside = mapping(value)
        if id(value) in seen:
            continue
        seen.add(id(value))
        groups = inside.get("param_groups")
        if isinstance(groups, list):
            found: dict[str, Any] = {
                key: [group[name] for group in groups if name in group]
                for key, name in (("weight decay", "weight_decay"), ("rate", "lr"))
            }
            states = map(mapping, mapping(inside.get("state")).values())
            steps = [one["step"] for one in states if "step" in one]
            return found | {"step": steps[:1] or [mapping(root).get("global_step")]}
        stack += value if isinstance(value, list) else inside.values()
    return None
