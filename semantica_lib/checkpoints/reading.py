"""A checkpoint from a path or a hub: its format is told by its first bytes, never by its name."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semantica_lib.checkpoints import families, hub, place, status
from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.formats import (
    arrays,
    ctranslate2,
    gguf,
    keras,
    onnx,
    safetensors,
    sentencepiece,
    torch_file,
    vectors,
)
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.status import Table
from semantica_lib.errors import RequestError, short

READ = "safetensors, PyTorch, GGUF, ONNX, npz, Keras, fastText, word2vec, gensim, CTranslate2"
# In a folder, the first of these that is there.
CHOICE = (
    r"model\.safetensors\.index\.json", r"model\.safetensors", r"[^/]*\.safetensors\.index\.json",
    r"(?!adapter_)[^/]*\.safetensors", r"pytorch_model\.bin\.index\.json", r"pytorch_model\.bin",
    r"model\.bin", r"[^/]*\.gguf", r"[^/]*\.onnx", r"[^/]*\.(npz|keras|h5|hdf5)",
    r"(?!optimizer|scheduler|training_args|rng_state|adapter_)[^/]*\.(pt|pth|ckpt|bin)",
    r"[^/]*\.(vec|model|kv)", r"[^/]*/(model\.safetensors|pytorch_model\.bin)",
)  # fmt: skip
FILE = re.compile(r"\.(safetensors|bin|pth?|gguf|onnx|npz|h5|keras|ckpt|vec|json)$")
FOREIGN = (  # first bytes, what they are, what to do
    (b"\x1f\x8b", "compressed by gzip", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file", "run `git lfs pull`"),
    (b"<!DOCTYPE", "a web page", "fetch the file itself"),
    (b"<html", "a web page", "fetch the file itself"),
)
LISTING_BYTES = 1 << 24  # of a zip's members: some 200,000
TOKENIZER_SHARE = 0.05  # of the tables' bytes; a larger tokenizer.json is not looked at


@dataclass
class Checkpoint:
    """What a checkpoint holds, with its tables to be read when they are wanted.

    ``input.array()`` and ``output.array()`` are [words, width]; of a tied one ``output`` is None
    where the file holds one table.
    """

    source: str
    format: str
    family: str
    status: str
    input: Table | None
    output: Table | None
    bias: dict[str, Any] | None
    scales: dict[str, float]
    optimizer: dict[str, Any] | None
    evidence: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    place: Place | None = field(default=None, repr=False)


def tables(source: str) -> Checkpoint:
    """The two tables of the checkpoint at a path, or of ``OWNER/NAME[@REVISION]`` on the hub.

    Raises:
        RequestError: it cannot be read, or is no checkpoint: what was seen, and what to do.
    """
    path = Path(source).expanduser()
    try:
        known = path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero in it
        raise RequestError(
            f"{short(source)}: no name of a file; give a path or OWNER/NAME"
        ) from None
    if known:
        found = replace(place.local(path), label=source)
    elif hub.ID.fullmatch(source) and not source.startswith(".") and not FILE.search(source):
        found = hub.place(source)
    else:
        raise RequestError(f"{source}: no such file or folder")
    try:
        return _read(found)
    except RequestError as error:
        raise RequestError(
            f"{source}: {error}".replace(f"{source}: {source}: ", f"{source}: ")
        ) from None
    except Exception as error:  # damage shows in many ways, and none of them is a fault of ours
        told = " ".join(str(error).split()) or type(error).__name__
        told = {MemoryError: "it announces more than memory holds"}.get(type(error), told)
        raise RequestError(
            f"{source}: damaged, or not what it begins like: {told[:200]}; fetch it anew"
        ) from None


def _read(found: Place) -> Checkpoint:
    file = found.chosen or _choose(found)
    if "/" in file:
        folder, slash, file = file.rpartition("/")
        found = found.within(folder + slash)
    made = _contents(found, file)
    config = found.json("config.json")
    if file.startswith("adapter_model"):
        raise RequestError("a PEFT adapter, not a checkpoint; merge it into its model")
    if any(re.search(r"\blora_(embedding_)?[AB]\b", name) for name in made.tensors):
        raise RequestError("a LoRA adapter, not a checkpoint; merge it into its model")
    if not made.input and not made.output and not made.absent:
        families.assign(made, config)
    if not made.optimizer and re.match(r"model\.safetensors|pytorch_model\.bin", file):
        try:
            made.optimizer = _optimizer(found)
        except Exception:  # damage shows in many ways
            made.warnings.append("optimizer.pt, beside it, cannot be read")
    judged = status.judge(made, config)
    judged.evidence += _optimizer_words(made.optimizer)
    table = judged.input or judged.output
    bias = made.tensors.get(made.bias) if table else None
    if bias and bias.shape[-1:] not in [
        (one.words,) for one in (judged.input, judged.output) if one
    ]:
        bias = None
    if judged.input:
        _tokenizer(found, judged)
    kind = made.family or str(config.get("model_type") or "unknown")
    scales = made.scales or families.scales(config, table.tensor if table else None)
    told = bias and {"name": bias.name, "shape": list(bias.shape), "dtype": bias.dtype}
    return Checkpoint(
        found.label, made.format, kind, judged.status, judged.input, judged.output, told,
        scales if table else {}, made.optimizer, judged.evidence, judged.warnings, found,
    )  # fmt: skip


def _choose(found: Place) -> str:
    names = sorted(found.sizes)
    for pattern in CHOICE:
        chosen = [name for name in names if re.fullmatch(pattern, name)]
        splits = {gguf.SPLIT.sub(r"\1", name) for name in chosen}
        if len(splits) > 1:
            raise RequestError(
                f"{len(chosen)} checkpoints ({', '.join(chosen[:4])}); name one file"
            )
        if chosen:
            return chosen[0]
    if "adapter_config.json" in names:
        raise RequestError("a PEFT adapter, not a checkpoint; merge it into its model")
    if ".metadata" in names or any(name.endswith(".distcp") for name in names):
        raise RequestError(
            "a distributed checkpoint; write it as one file with "
            "torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
        )
    if "saved_model.pb" in names:
        raise RequestError("a TensorFlow SavedModel; save the weights as .h5")
    raise RequestError(f"no checkpoint in this folder; what is read: {READ}")


def _contents(found: Place, file: str) -> Contents:
    if file.endswith(".index.json"):
        reader = safetensors.read if "safetensors" in file else _contents
        shards = safetensors.Shards(found, file, reader)
        first = reader(found, next(iter(shards.where.values())))
        return Contents(first.format, safetensors.Quantised(shards))
    if not found.sizes[file]:
        raise RequestError(f"{file} is empty; fetch it anew")
    with found.open(file) as opened:
        data = opened.read(128)
    for beginning, what, remedy in FOREIGN:
        if data.startswith(beginning):
            raise RequestError(f"{what}; {remedy}")
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < 1 << 40:
        return safetensors.read(found, file)
    for beginning, reader in READERS:
        if data.startswith(beginning):
            return reader(found, file)
    if data[:1] == b"\x80" and data[1:2] <= b"\x05":
        return vectors.read_gensim(found, file)
    if ctranslate2.begins(data):
        return ctranslate2.read(found, file)
    if re.match(rb"\d+ \d+\r?\n", data):
        return vectors.read_word2vec(found, file)
    if data[:1] == b"\x08" or file.endswith(".onnx"):  # the version of ONNX's format comes first
        return onnx.read(found, file)
    raise RequestError(f"{file} is no checkpoint (it begins {data[:8]!r}); what is read: {READ}")


def _zipped(found: Place, file: str) -> Contents:
    with found.open(file) as opened:
        opened.seek(max(0, found.sizes[file] - (1 << 16) - 22))
        tail = opened.read()
        end = tail.rfind(b"PK\5\6"), tail.rfind(b"PK\6\6")  # the second of large archives
        length = int.from_bytes(tail[end[0] + 12 : end[0] + 16], "little")
        if end[1] >= 0:
            length = int.from_bytes(tail[end[1] + 40 : end[1] + 48], "little")
        if length > LISTING_BYTES:
            raise ValueError(f"a list of members of {length:,} bytes is announced")
    with found.open(file) as opened, zipfile.ZipFile(opened) as archive:
        names = archive.namelist()
        if any(one.flag_bits & 1 for one in archive.infolist()):
            raise RequestError("encrypted; unpack it with its password")
        if any(name.endswith("/data.pkl") for name in names):
            return torch_file.read_zip(found, file, archive)
        if "model.weights.h5" in names:
            return keras.read(found, file, archive)
        if any(name.endswith(".npy") for name in names):
            return arrays.read(found, file, archive)
    raise RequestError("a zip archive without tables; unpack it and name one file")


READERS: tuple[tuple[bytes, Callable[[Place, str], Contents]], ...] = (
    (b"PK\x03\x04", _zipped),
    (b"\x80\x02\x8a\x0a", torch_file.read_legacy),
    (b"GGUF", gguf.read),
    (b"\x89HDF\r\n\x1a\n", keras.read),
    (vectors.MAGIC, vectors.read_fasttext),
)


def _optimizer(found: Place) -> dict[str, Any] | None:
    """That of transformers' Trainer, which lies beside the model."""
    if "optimizer.pt" not in found.sizes:
        return None
    told = torch_file.optimizer(found, "optimizer.pt")
    step = found.json("trainer_state.json").get("global_step")
    return told | {"step": [step]} if told and isinstance(step, int) else told


def _optimizer_words(told: dict[str, Any] | None) -> list[str]:
    def values(of: list[Any]) -> str:
        plain = [f"{one:g}" for one in of if isinstance(one, int | float)]
        return " or ".join(dict.fromkeys(plain))

    words = [f"{name} {values(of)}" for name, of in (told or {}).items() if values(of)]
    return [f"its optimizer: {', '.join(words)}"] if words else []


def _tokenizer(found: Place, judged: status.Judgement) -> None:
    """Compare the tokenizer's ids with the rows, where it is small beside the tables.

    Raises:
        RequestError: it has words for which there is no row.
    """
    source = judged.input
    assert source
    names = "tokenizer.json", sentencepiece.named(found), "vocab.json", "vocab.txt"
    name = next((one for one in names if one in found.sizes and one != found.chosen), "")
    room = TOKENIZER_SHARE * 4 * source.words * source.width
    if not 0 < found.sizes.get(name, 0) <= max(room, 1 << 20):
        return
    told = found.json(name) if name.endswith(".json") else {}
    if name.endswith(".model"):
        pieces = sentencepiece.read(found, name)
        told = {"model": {"vocab": list(pieces.names) if pieces else []}}
    elif name == "vocab.txt":
        with found.open(name) as opened:
            lines = opened.read().replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
        told = {"model": {"vocab": lines}}
    elif name == "vocab.json":
        told = {"model": {"vocab": told}}
    model = told.get("model") if isinstance(told.get("model"), dict) else {}
    vocabulary = model.get("vocab")
    ids = range(len(vocabulary)) if isinstance(vocabulary, list) else (vocabulary or {}).values()
    largest = max((one for one in ids if isinstance(one, int)), default=-1)
    added = [one["id"] for one in told.get("added_tokens") or () if isinstance(one.get("id"), int)]
    if largest >= source.words:
        raise RequestError(
            f"{name} has ids up to {largest:,}, and the input table has "
            f"{source.words:,} rows: it is another model's; put the right one there"
        )
    if max(added, default=-1) >= source.words:
        judged.warnings.append(f"the tokenizer has added tokens without a row (id {max(added)})")
    elif (spare := source.words - 1 - max([largest, *added])) >= 0 and spare and largest >= 0:
        judged.evidence.append(f"{spare:,} rows are beyond the tokenizer's words: padding")
