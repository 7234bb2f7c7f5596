"""Each format, from files that its library or the test writes: what is read, and no more."""

import io
import json
import os
import pickle
import sys
import tracemalloc
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import made_checkpoints as made
import numpy as np
import pytest
import torch
from made_checkpoints import D, V, constant, field, folder, node, table
from safetensors.numpy import save_file
from safetensors.torch import save_file as torch_file

from semantica_lib.checkpoints import place, tensor
from semantica_lib.checkpoints.reading import Checkpoint, tables
from semantica_lib.errors import RequestError

W = table(1)


class Net(torch.nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.tok_emb, self.head = torch.nn.Embedding(V, D), torch.nn.Linear(D, V)
        if tied:
            self.head.weight = self.tok_emb.weight


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_torchs_files(tmp_path: Path, tied: bool, legacy: bool, kind: torch.dtype) -> None:
    """Equal to what torch itself loads, bit for bit; one storage under two names is tied."""
    net = Net(tied).to(kind)
    path = tmp_path / "net.pt"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    found = tables(str(path))
    assert found.status == ("tied" if tied else "untied")
    assert found.input.dtype == str(kind).removeprefix("torch.")
    assert found.bias["name"] == "head.bias"
    for one, own in ((found.input, net.tok_emb), (found.output, net.head)):
        assert np.array_equal(one.array(), own.weight.detach().float().numpy())


@pytest.mark.parametrize("around", ["model", "state_dict", "", "module"])
def test_a_checkpoint_tells_its_optimizer(tmp_path: Path, around: str) -> None:
    net = Net(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=0.03)
    net.head(net.tok_emb(torch.zeros(1, dtype=torch.int64))).sum().backward()
    optimizer.step()
    path, weights = tmp_path / "net.ckpt", net.state_dict()
    kept: dict[str, Any] = {"optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(kept | ({around: weights} if around != "module" else {"net": net}), path) if (
        around
    ) else torch.save(weights | kept, path)
    found = tables(str(path))
    assert found.status == "untied"
    assert found.optimizer == {"weight decay": [0.03], "rate": [3e-4], "step": [1.0]}
    assert "its optimizer: weight decay 0.03, rate 0.0003, step 1" in found.evidence
    torch.save(optimizer.state_dict(), path)
    with pytest.raises(RequestError, match="an optimizer's state, not a checkpoint"):
        tables(str(path))


def test_the_trainers_optimizer_lies_beside_the_model(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"wte.weight": W}, {"model_type": "gpt2"})
    group = {"lr": 5e-5, "weight_decay": 0.01, "params": [0]}
    states = {"state": {}, "param_groups": [group, group | {"weight_decay": 0.0}]}
    torch.save(states, tmp_path / "a" / "optimizer.pt")
    (tmp_path / "a" / "trainer_state.json").write_text('{"global_step": 500}')
    told = "its optimizer: weight decay 0.01 or 0, rate 5e-05, step 500"
    assert told in tables(source).evidence


def test_views_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    base = torch.from_numpy(table(3, D, V))
    whole = torch.from_numpy(table(4, 3 * V, D))
    torch.save({"tok_emb.weight": base.T, "head.weight": whole[V : 2 * V]}, tmp_path / "a.pt")
    found = tables(str(tmp_path / "a.pt"))
    assert np.array_equal(found.input.array(), base.T.numpy())
    assert np.array_equal(found.output.array(), whole[V : 2 * V].numpy())
    torch.save({"tok_emb.weight": base.T, "head.weight": base}, tmp_path / "b.pt")
    assert tables(str(tmp_path / "b.pt")).status == "equal copies"


def test_no_pickle_is_run(tmp_path: Path) -> None:
    """Of all that a pickle can name, nothing is looked up or called."""

    mark = tmp_path / "run"

    class Harmful:
        def __reduce__(self) -> tuple[Callable, tuple]:
            return os.mkdir, (str(mark),)

    state = {"tok_emb.weight": torch.from_numpy(W), "args": Harmful()}
    for legacy in (True, False):
        torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
        assert tables(str(tmp_path / "a.pt")).status == "no output table"
    for protocol in range(2, 6):
        (tmp_path / "b.bin").write_bytes(pickle.dumps(Harmful(), protocol))
        with pytest.raises(RequestError, match="can run code, so it is not opened"):
            tables(str(tmp_path / "b.bin"))
    assert not mark.exists()
    assert not {name for name in sys.modules if name.startswith(("gensim", "transformers", "onnx"))}


FLOATS = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


@pytest.mark.parametrize("kind", FLOATS)
def test_every_float_of_eight_bits_is_what_torch_takes_it_for(kind: str) -> None:
    data = bytes(range(256))
    expected = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(FLOATS[kind]).float()
    assert np.array_equal(tensor.numbers(data, kind), expected.numpy(), equal_nan=True)


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("groups", [(), (1,), (V,), (V, 1), (V, 4), "blocks"])
def test_float8_with_its_scales(tmp_path: Path, kind: str, groups: Any) -> None:
    """One scale, one a row, one a group of columns, one a block of 128 by 128; tied to its start.

    The start has tiny values too, which are no normal numbers of such a float.
    """
    words, width = (300, 200) if groups == "blocks" else (V, D)
    start = torch.from_numpy(table(1, words, width)) * torch.logspace(-6, 0, width)
    shape = (3, 2) if groups == "blocks" else groups
    scale = torch.rand(shape, generator=torch.manual_seed(1)) + 0.5
    if groups == "blocks":
        whole = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)[:words, :width]
    else:
        columns = shape[1] if len(shape) == 2 else 1
        whole = scale.reshape(-1, columns).repeat_interleave(width // columns, 1)
    stored = (start / whole).to(FLOATS[kind])
    name = "weight_scale_inv" if groups == "blocks" else "weight_scale"
    both = {"model.embed_tokens.weight": start, "lm_head.weight": stored, f"lm_head.{name}": scale}
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    torch_file(both, tmp_path / "model.safetensors")
    found = tables(str(tmp_path))
    assert (found.status, found.output.dtype) == ("tied up to quantisation", kind)
    assert np.array_equal(found.output.array(), (stored.float() * whole).numpy())
    torch_file(both | {f"lm_head.{name}": scale * 2}, tmp_path / "model.safetensors")
    assert tables(str(tmp_path)).status == "untied"


def test_scales_that_fit_no_table_are_told(tmp_path: Path) -> None:
    stored = torch.ones(V, D).to(torch.float8_e4m3fn)
    both = {"lm_head.weight": stored, "lm_head.weight_scale": torch.ones(5)}
    torch_file({"wte.weight": stored.clone(), **both}, tmp_path / "a.safetensors")
    with pytest.raises(RequestError, match=r"weight_scale has 5 x 1 scales, .* 23 x 8 values"):
        tables(str(tmp_path / "a.safetensors"))


def _blocks(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Blocks of 32 in Q8_0, and what they stand for."""
    flat = values.reshape(-1, 32)
    step = (np.abs(flat).max(axis=1, keepdims=True) / 127).astype(np.float16)
    whole = np.round(flat / step).astype(np.int8)
    rows = [a.tobytes() + b.tobytes() for a, b in zip(step, whole, strict=True)]
    return b"".join(rows), (whole * step.astype(np.float32)).reshape(values.shape)


def test_gguf(tmp_path: Path) -> None:
    values = table(1, V, 64)
    data, means = _blocks(values)
    keys = {"general.architecture": "llama", "tokenizer.ggml.tokens": ["a", "b"]}
    keys |= {"llama.logit_scale": 0.5}
    quantised = {"token_embd.weight": ((V, 64), 8, data)}
    found = tables(made.gguf(tmp_path / "a.gguf", keys, quantised))
    assert (found.status, found.family, found.input.dtype) == ("tied", "llama", "q8_0")
    assert found.input.shape == (V, 64) and np.array_equal(found.input.array(), means)
    assert found.scales == {"logit_scale": 0.5}
    both = quantised | {"output.weight": ((V, 64), 0, values.tobytes())}
    assert tables(made.gguf(tmp_path / "b.gguf", keys, both)).status == "tied up to quantisation"
    both["output.weight"] = ((V, 64), 0, (values + np.float32(0.5)).tobytes())
    assert tables(made.gguf(tmp_path / "c.gguf", keys, both)).status == "untied"
    encoder = keys | {"general.architecture": "bert"}
    assert tables(made.gguf(tmp_path / "d.gguf", encoder, quantised)).status == "no output table"
    adapter = keys | {"general.type": "adapter"}
    with pytest.raises(RequestError, match="a LoRA adapter in GGUF"):
        tables(made.gguf(tmp_path / "e.gguf", adapter, quantised))


def test_gguf_in_parts(tmp_path: Path) -> None:
    keys = {"general.architecture": "llama"}
    first, last = (tmp_path / f"m-0000{part}-of-00002.gguf" for part in (1, 2))
    made.gguf(first, keys, {"token_embd.weight": ((V, D), 0, W.tobytes())})
    made.gguf(last, keys, {"output.weight": ((V, D), 0, W.tobytes())})
    assert tables(str(tmp_path)).status == tables(str(last)).status == "equal copies"
    first.unlink()
    with pytest.raises(RequestError, match="is missing; fetch it"):
        tables(str(last))


def test_onnx_is_read_by_its_graph(tmp_path: Path) -> None:
    """A head that shares the table through a transpose, one that is folded, one that differs."""
    gather = node("Gather", ["emb", "ids"], "x")
    shared = node("Transpose", ["emb"], "turned"), node("MatMul", ["x", "turned"], "logits")
    found = tables(made.onnx(tmp_path / "a.onnx", constant("emb", W), gather, *shared))
    assert (found.status, found.input.name, found.output.transposed) == ("tied", "emb", False)
    folded = node("MatMul", ["x", "k"], "y"), node("Add", ["y", "b"], "logits")
    rest = constant("emb", W), constant("b", W[:, 0].copy()), gather, *folded
    turned = np.ascontiguousarray(W.T)
    found = tables(made.onnx(tmp_path / "b.onnx", constant("k", turned), *rest))
    assert (found.status, found.output.transposed, found.bias["name"]) == (
        "equal copies",
        True,
        "b",
    )
    assert np.array_equal(found.output.array(), W)
    found = tables(made.onnx(tmp_path / "c.onnx", constant("k", turned + 1), *rest))
    assert found.status == "untied"
    scale = np.float32([0.05])
    whole = np.clip(np.round(W / scale) + 100, 0, 255).astype(np.uint8)
    assert ((whole > 0) & (whole < 255)).all()
    parts = (
        constant("emb_q", whole), constant("s", scale), constant("z", np.uint8([100])),
        node("Gather", ["emb_q", "ids"], "g"), node("DequantizeLinear", ["g", "s", "z"], "x"),
        constant("k", turned), node("MatMul", ["x", "k"], "logits"),
    )  # fmt: skip
    found = tables(made.onnx(tmp_path / "d.onnx", *parts))
    assert (found.status, found.input.dtype) == ("tied up to quantisation", "uint8")
    product = node("MatMul", ["x", "k"], "logits")
    found = tables(made.onnx(tmp_path / "e.onnx", constant("k", turned), product))
    assert found.status == "not tables of words"


def test_onnx_with_data_beside_it(tmp_path: Path) -> None:
    pairs = [field(13, field(1, key) + field(2, value)) for key, value in
             (("location", "w.data"), ("offset", "16"))]  # fmt: skip
    entry = field(1, V) + field(1, D) + field(2, 1) + field(8, "emb") + b"".join(pairs)
    source = made.onnx(tmp_path / "a.onnx", field(5, entry), node("Gather", ["emb", "i"], "logits"))
    with pytest.raises(RequestError, match=r"w\.data, are missing"):
        tables(source)
    (tmp_path / "w.data").write_bytes(bytes(16) + W.tobytes())
    assert np.array_equal(tables(source).input.array(), W)


def test_npz_in_any_order_and_compressed(tmp_path: Path) -> None:
    arrays = {"enc_emb": table(2, 9), "dec_emb": np.asfortranarray(W), "fc_w": table(3)}
    arrays |= {"fc_b": W[:, 0].copy(), "enc_w_ih": table(4, 3 * D)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays, names=np.array([None], dtype=object))
        found = tables(str(tmp_path / "a.npz"))
        assert (found.input.name, found.output.name) == ("dec_emb", "fc_w")
        assert found.status == "untied" and found.bias["name"] == "fc_b"
        assert np.array_equal(found.input.array(), W)
        assert "names holds objects" in found.warnings[0]


@pytest.mark.parametrize("packing", [{}, {"compression": "gzip"}])
def test_keras(tmp_path: Path, packing: dict[str, str]) -> None:
    """The kernel is transposed and of another width; the optimizer stands in its settings."""
    kernel = table(2, 3 * D, V)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        weights = {"embedding/embedding/embeddings:0": W, "output/output/kernel:0": kernel}
        weights |= {"output/output/bias:0": W[:, 0], "rnn/rnn/kernel:0": table(3, D, 4 * D)}
        for name, values in weights.items():
            file.create_dataset(name, data=values, **packing)
        told = {"class_name": "Adam", "config": {"learning_rate": 0.004, "weight_decay": None}}
        file.attrs["training_config"] = json.dumps({"optimizer_config": told})
        file["optimizer_weights/Adam/iter:0"] = np.int64(12)
    found = tables(str(tmp_path / "a.h5"))
    assert (found.format, found.status, found.output.transposed) == ("Keras h5", "untied", True)
    assert (found.input.name, found.output.name) == tuple(weights)[:2]
    assert np.array_equal(found.output.array(), kernel.T)
    assert found.bias["name"] == "output/output/bias:0"
    assert "its optimizer: rate 0.004, step 12" in found.evidence


def test_fasttext(tmp_path: Path) -> None:
    matrices = [table(1, V + 10), table(2, V)]
    found = tables(made.fasttext(tmp_path / "a.bin", 2, V, 0, matrices))
    assert (found.format, found.status) == ("fastText", "untied")
    assert found.input.shape == (V + 10, D) and "10 buckets" in found.evidence[0]
    assert np.array_equal(found.output.array(), matrices[1])
    found = tables(made.fasttext(tmp_path / "b.bin", 3, V, 4, [matrices[0], table(2, 4)]))
    assert found.status == "not tables of words" and "4 labels" in found.evidence[-1]
    data = bytearray((tmp_path / "a.bin").read_bytes())
    data[data.index(b"w22\0") + 13] = 1  # the input is quantised
    (tmp_path / "c.ftz").write_bytes(data)
    with pytest.raises(RequestError, match=r"\(\.ftz\), whose tables are not read; take the"):
        tables(str(tmp_path / "c.ftz"))


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_word2vec(tmp_path: Path, end: bytes) -> None:
    head = f"{V} {D}\n".encode()
    rows = [f"wörd{n} ".encode() + row.tobytes() + end for n, row in enumerate(W)]
    (tmp_path / "a.bin").write_bytes(head + b"".join(rows))
    text = [f"wörd{n} {' '.join(map(repr, row.tolist()))}" for n, row in enumerate(W)]
    (tmp_path / "a.txt").write_bytes(head + "\n".join(text).encode() + end)
    for name in ("a.bin", "a.txt"):
        found = tables(str(tmp_path / name))
        assert found.status == "no output table" and np.array_equal(found.input.array(), W)
    (tmp_path / "cut.txt").write_bytes(head + "\n".join(text[:-1]).encode())
    with pytest.raises(RequestError, match="23 vectors are announced, not 22"):
        tables(str(tmp_path / "cut.txt"))


@pytest.mark.parametrize("protocol", [2, 4])
def test_gensims_models_with_arrays_inside_and_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    module = types.ModuleType("gensim.models.word2vec")
    model_class = type("Word2Vec", (), {"__module__": module.__name__})
    vectors_class = type("KeyedVectors", (), {"__module__": module.__name__})
    module.Word2Vec, module.KeyedVectors = model_class, vectors_class
    model, model.wv = model_class(), vectors_class()
    model.wv.vectors, model.syn1neg = W, table(2)
    with monkeypatch.context() as patched:
        for name in ("gensim", "gensim.models", module.__name__):
            patched.setitem(sys.modules, name, module)
        (tmp_path / "a.model").write_bytes(pickle.dumps(model, protocol))
        model.wv.vectors, model.wv.__numpys = None, ["vectors"]
        (tmp_path / "b.model").write_bytes(pickle.dumps(model, protocol))
    np.save(tmp_path / "b.model.wv.vectors.npy", W)
    for name in "ab":
        found = tables(str(tmp_path / f"{name}.model"))
        assert (found.format, found.family, found.status) == ("gensim", "Word2Vec", "untied")
        assert np.array_equal(found.input.array(), W)
        assert np.array_equal(found.output.array(), table(2))
    (tmp_path / "b.model.wv.vectors.npy").unlink()
    with pytest.raises(RequestError, match=r"b\.model\.wv\.vectors\.npy is missing"):
        tables(str(tmp_path / "b.model"))


def test_ctranslate2(tmp_path: Path) -> None:
    names = "decoder/embeddings/weight", "decoder/projection/weight"
    found = tables(made.ctranslate2(tmp_path / "a", {names[0]: W}, {names[1]: names[0]}))
    assert found.status == "tied" and "any two that are equal" in found.evidence[0]
    scale = 127 / np.abs(W).max(axis=1)
    whole = np.round(W * scale[:, None]).astype(np.int8)
    parts = {names[0]: whole, f"{names[0]}_scale": scale, names[1]: W}
    found = tables(made.ctranslate2(tmp_path / "b", parts, {}))
    assert (found.status, found.input.dtype) == ("tied up to quantisation", "int8")
    assert np.allclose(found.input.array(), W, atol=float(1 / scale.min()))


class Counted(io.FileIO):
    read_bytes = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        Counted.read_bytes += count
        return count


def counted(source: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Checkpoint, int, int]:
    """What is found, and the bytes read and the memory taken for it."""
    Counted.read_bytes = 0
    monkeypatch.setattr(
        place.Path, "open", lambda path, _: io.BufferedReader(Counted(str(path)), 8192)
    )
    tracemalloc.start()
    found = tables(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, Counted.read_bytes, peak


@pytest.mark.parametrize("kind", ["safetensors", "torch", "legacy", "gguf", "npz"])
def test_only_the_tables_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    words, width = 20_000, 64
    both = [table(seed, words, width) for seed in (1, 2)]
    both[1][:-1] = both[0][:-1]  # all has to be compared
    names = ("model.embed_tokens.weight", "lm_head.weight")
    other = {f"model.layers.{n}.mlp.weight": table(n, 4_000, 512) for n in range(4)}
    state = {names[0]: both[0]} | other | {names[1]: both[1]}
    path = tmp_path / "m"
    if kind == "safetensors":
        path.mkdir()
        for number, name in enumerate(state):
            save_file({name: state[name]}, path / f"s{number}.safetensors")
        where = {name: f"s{number}.safetensors" for number, name in enumerate(state)}
        (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    elif kind in ("torch", "legacy"):
        tensors = {name: torch.from_numpy(values) for name, values in state.items()}
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "torch")
    elif kind == "gguf":
        state = {"token_embd.weight": both[0]} | other | {"output.weight": both[1]}
        parts = {name: (one.shape, 0, one.tobytes()) for name, one in state.items()}
        made.gguf(path, {"general.architecture": "llama"}, parts)
    else:
        path = tmp_path / "m.npz"
        np.savez(path, **state)
    size = sum(one.nbytes for one in both)
    found, read, peak = counted(str(path), monkeypatch)
    assert found.status == "untied"
    assert size <= read <= 1.2 * size and peak <= 1.2 * size


def test_a_zip_that_swells_is_refused(tmp_path: Path) -> None:
    """Zeros of 100 MB, packed into a tenth of a megabyte."""
    head = {"descr": "<f4", "fortran_order": False, "shape": (25_000, 1000)}
    packed = zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("emb.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, head)
        for _ in range(100):
            file.write(bytes(1_000_000))
    tracemalloc.start()
    with pytest.raises(RequestError, match="emb would swell"):
        tables(str(tmp_path / "a.npz"))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    with h5py.File(tmp_path / "a.h5", "w") as made_file:  # nothing of it is written
        made_file.create_dataset(
            "embedding/embeddings", (1 << 20, 1 << 10), "f4", chunks=(1024, 1024)
        )
    with pytest.raises(RequestError, match="would swell"):
        tables(str(tmp_path / "a.h5"))
