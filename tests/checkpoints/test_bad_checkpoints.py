"""Bad checkpoints: each one line, which says what was seen and what to do, and exit 2."""

import gzip
import json
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import hypothesis
import made_checkpoints as made
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from made_checkpoints import V, constant, folder, node, table

from semantica_lib import cli
from semantica_lib.checkpoints.reading import tables
from semantica_lib.errors import RequestError

W = table(1)
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
IN, OUT = "model.embed_tokens.weight", "lm_head.weight"


def _header(path: Path, header: dict, data: bytes = b"") -> str:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)


def _entry(start: int, stop: int, rows: int = 1) -> dict:
    return {"dtype": "F32", "shape": [rows, 1], "data_offsets": [start, stop]}


def _zip(path: Path, **members: bytes) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return str(path)


def _encrypted(path: Path) -> str:
    data = bytearray(Path(_zip(path, a=b"1")).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return str(path)


def _lacks_a_shard(path: Path) -> str:
    path.mkdir()
    index = {"weight_map": {IN: "model-00001-of-00002.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return str(path)


def _contradicts_its_index(path: Path) -> str:
    folder(path, {IN: W}, LLAMA)
    (path / "model.safetensors").rename(path / "s.safetensors")
    index = {"weight_map": {IN: "s.safetensors", OUT: "s.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return str(path)


def _another_tokenizer(path: Path) -> str:
    folder(path, {IN: W}, LLAMA)
    words = {f"w{number}": number for number in range(V + 1)}
    (path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    return str(path)


def _unread(path: Path) -> str:
    """Two tables of a type of GGUF that is not read, iq3_s."""
    one = (V, 256), 21, bytes(V * 110)
    keys = {"general.architecture": "llama"}
    return made.gguf(path, keys, {"token_embd.weight": one, "output.weight": one})


def _of_another_model(path: Path) -> str:
    folder(path, {IN: W}, LLAMA)
    piece = made.field(1, made.field(1, "a"))
    (path / "tokenizer.model").write_bytes(piece * (V + 1))
    return str(path)


def _of_cut_pieces(path: Path) -> str:
    folder(path, {IN: W}, LLAMA)
    (path / "spiece.model").write_bytes(made.field(1, made.field(1, "a"))[:-1])
    return str(path)


def _of_other_words(name: str) -> Callable[[Path], str]:
    def write(path: Path) -> str:
        folder(path, {IN: W}, LLAMA)
        words = [f"w{number}" for number in range(V + 1)]
        ids = json.dumps({word: number for number, word in enumerate(words)})
        (path / name).write_text(ids if name.endswith(".json") else "\n".join(words))
        return str(path)

    return write


def _written(data: bytes) -> Callable[[Path], str]:
    def write(path: Path) -> str:
        path.write_bytes(data)
        return str(path)

    return write


def _external(path: Path) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("embedding", (4, 4), "f4", external=[("/etc/hosts", 0, 64)])
    return str(path)


def _config(text: str) -> Callable[[Path], str]:
    def write(path: Path) -> str:
        folder(path, {IN: W}, None)
        (path / "config.json").write_text(text)
        return str(path)

    return write


def _distributed(path: Path) -> str:
    path.mkdir()
    (path / ".metadata").write_bytes(b"1")
    return str(path)


def _long_list(path: Path) -> str:
    """An archive whose list of members has 20 MB: ten times as much in memory."""
    entry = b"PK\x01\x02" + bytes(42)
    entries = entry * (20_000_000 // len(entry))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, len(entries), 4, 0)
    path.write_bytes(b"PK\x03\x04" + entries + end)
    return str(path)


BAD: list[tuple[str, Callable[[Path], str], str]] = [
    ("absent", lambda path: f"{path}/none.bin", "no such file or folder"),
    ("long name", lambda path: "x" * 5000, "no name of a file"),
    ("empty", _written(b""), "is empty; fetch it anew"),
    ("text", _written(b"hello, world\n" * 9), "is no checkpoint (it begins b'hello, w')"),
    ("pointer", _written(b"version https://git-lfs.github.com/spec/v1\n"), "run `git lfs pull`"),
    ("page", _written(b"<!DOCTYPE html><html>"), "a web page; fetch the file itself"),
    ("gzip", _written(gzip.compress(W.tobytes())), "compressed by gzip; unpack it"),
    ("no files", lambda path: (path.mkdir(), str(path))[1], "no checkpoint in this folder"),
    ("other zip", lambda path: _zip(path, a=b"1"), "a zip archive without tables"),
    ("encrypted", _encrypted, "encrypted; unpack it with its password"),
    ("program", lambda path: _zip(path, m__data_pkl=b"", **{"m__data.pkl": b"", "m__constants.pkl":
     b""}), "a TorchScript program; save the model's state_dict"),
    ("list of members", _long_list, "a list of members of 19,999,972 bytes is announced"),
    ("shard", _lacks_a_shard, "are missing, such as model-00001-of-00002.safetensors; fetch them"),
    ("index", _contradicts_its_index, "says that lm_head.weight is in s.safetensors, where it is"),
    ("tokenizer", _another_tokenizer, "has ids up to 23, and the input table has 23 rows"),
    ("pieces", _of_another_model, "tokenizer.model has ids up to 23, and the input table has 23"),
    ("cut pieces", _of_cut_pieces, "spiece.model is damaged (the file is cut: a message"),
    ("words of another", _of_other_words("vocab.txt"), "vocab.txt has ids up to 23, and the input"),
    ("ids of another", _of_other_words("vocab.json"), "vocab.json has ids up to 23, and the input"),
    ("type", _unread, "of GGUF's type iq3_s, whose values are not read; name the model's file of"),
    ("four bits", lambda path: _header(path, {name: _entry(at, at + 4) | {"dtype": "F4"} for
     at, name in ((0, IN), (4, OUT))}, bytes(8)), "values of type F4 are not read; save"),
    ("config", _config("{"), "config.json is no JSON"),
    ("list", _config("[1]"), "config.json is no JSON object"),
    ("twice", _config('{"a": 1, "a": 2}'), "a name stands there twice"),
    ("deep", _config("[" * 100_000), "config.json is no JSON"),
    ("header", _written(struct.pack("<Q", 1 << 39) + b"{"), "a header of 549,755,813,888 bytes"),
    ("overlap", lambda path: _header(path, {"a": _entry(0, 4), "b": _entry(2, 6)}, bytes(6)),
     "b begins at 2, but the one before ends at 4"),
    ("size", lambda path: _header(path, {"a": _entry(0, 4, 9)}, bytes(4)), "is not its shape's"),
    ("cut", lambda path: _header(path, {"a": _entry(0, 4)}, bytes(3)), "the file is cut"),
    ("longer", lambda path: _header(path, {"a": _entry(0, 4)}, bytes(5)), "its header tells"),
    ("linked", _external, "lies in another file"),
    ("gguf", _written(struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 1)), "1,152,921,504,606,846,976"),
    ("onnx", _written(made.field(1, 8) + made.field(7, made.field(5, b"\x0a\xff"))), "is cut"),
    ("words", _written(b"1000000000 300\nthe 0.1"), "the file is cut"),
    ("distributed", _distributed, "dcp_to_torch_save"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "told"), [case[1:] for case in BAD], ids=[c[0] for c in BAD])
def test_each_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], str], told: str
) -> None:
    source = make(tmp_path / "x")
    tracemalloc.start()
    try:
        assert cli.main(["tables", source, "--json"]) == 2
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    out, err = capsys.readouterr()
    assert json.loads(out) == [] and err.count("\n") == 1
    assert err.startswith("semantica: error: ") and told in err, err


def test_several_checkpoints_in_a_folder_are_to_be_named(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, emb=W)
    with pytest.raises(RequestError, match=r"2 checkpoints \(a\.npz, b\.npz\); name one file"):
        tables(str(tmp_path))


def test_the_others_are_told_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = folder(tmp_path / "a", {IN: W, OUT: table(2)}, LLAMA)
    assert cli.main(["tables", good, str(tmp_path / "none.bin")]) == 2
    out, err = capsys.readouterr()
    assert f"{good}: untied" in out and "none.bin: no such file" in err
    assert cli.main(["tables", good, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert set(row) == {
        "source", "format", "family", "status", "input", "output", "bias", "scales", "evidence",
        "warnings",
    }  # fmt: skip
    shape = [V, W.shape[1]]
    assert row["input"] == {"name": IN, "shape": shape, "dtype": "float32", "transposed": False}


def test_a_files_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", **{"emb\x1b[31m": W})
    assert cli.main(["tables", str(tmp_path / "a.npz")]) == 0
    assert "\x1b" not in capsys.readouterr().out


def _samples(root: Path) -> list[bytes]:
    """A small file of each format."""
    torch.save({"tok_emb.weight": torch.from_numpy(W)}, root / "a.pt")
    torch.save({"e": torch.ones(3, 3)}, root / "b.pt", _use_new_zipfile_serialization=False)
    folder(root / "s", {IN: W}, None)
    made.gguf(root / "a.gguf", {"general.architecture": "llama"},
              {"token_embd.weight": (W.shape, 0, W.tobytes())})  # fmt: skip
    made.onnx(root / "a.onnx", constant("emb", W), node("Gather", ["emb", "i"], "logits"))
    np.savez(root / "a.npz", emb=W)
    with h5py.File(root / "a.h5", "w") as file:
        file["embedding/embeddings"] = W
    made.ctranslate2(root / "c", {"decoder/embeddings/weight": W}, {})
    made.fasttext(root / "a.bin", 2, V, 0, [W, W])
    (root / "a.vec").write_bytes(b"1 2\nthe 0.5 0.25\n")
    names = ("a.pt", "b.pt", "s/model.safetensors", "a.gguf", "a.onnx", "a.npz", "a.h5",
             "c/model.bin", "a.bin", "a.vec")  # fmt: skip
    return [(root / name).read_bytes() for name in names]


@pytest.mark.parametrize("cases", [150, pytest.param(5_000, marks=pytest.mark.long)])
def test_damage_is_taken_or_refused_in_one_line(tmp_path: Path, cases: int) -> None:
    samples = _samples(tmp_path)
    target = tmp_path / "damaged"

    @hypothesis.settings(max_examples=cases, deadline=None, database=None,
                         suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(
        st.sampled_from(samples),
        st.floats(0, 1),
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    )
    def tried(data: bytes, kept: float, changes: list[tuple[float, int]]) -> None:
        damaged = bytearray(data[: round(kept * len(data))] if kept < 0.7 else data)
        for place, byte in changes if damaged else ():
            damaged[int(place * len(damaged))] = byte
        target.write_bytes(damaged)
        try:
            found = tables(str(target))
        except RequestError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        else:
            json.dumps(found.scales)

    tried()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", emb=W)
    (tmp_path / "a.npz").chmod(0)
    with pytest.raises(RequestError, match="cannot be opened"):
        tables(str(tmp_path / "a.npz"))
