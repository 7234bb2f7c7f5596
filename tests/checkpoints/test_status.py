"""The rules by which two tables are judged, each on tiny files; the sixteen traps among them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_checkpoints import D, V, folder, table
from safetensors.torch import save_model

from semantica_lib.checkpoints.reading import tables
from semantica_lib.errors import RequestError

IN, OUT = "model.embed_tokens.weight", "lm_head.weight"
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
W = table(1)


def test_two_different_tables_are_untied_whatever_the_config_says(tmp_path: Path) -> None:
    other = W.copy()
    other[-1, -1] = np.nextafter(other[-1, -1], np.float32(9))  # one element, by one bit
    found = tables(
        folder(tmp_path / "a", {IN: W, OUT: other}, LLAMA | {"tie_word_embeddings": True})
    )
    assert found.status == "untied"
    assert "two different tables" in found.warnings[0]
    assert np.array_equal(found.input.array(), W) and np.array_equal(found.output.array(), other)


@pytest.mark.parametrize("flag", [True, False])
def test_equal_copies_are_said_to_be_such(tmp_path: Path, flag: bool) -> None:
    config = LLAMA | {"tie_word_embeddings": flag}
    found = tables(folder(tmp_path / "a", {IN: W, OUT: W.copy()}, config))
    assert found.status == "equal copies"
    assert ("ties them" if flag else "keeps two tables") in found.evidence[-1]


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"tie_word_embeddings": True}, "tied"),
        ({"tie_word_embeddings": False}, "output table missing"),
        ({}, "output table missing"),  # Llama's default
        ({"model_type": "qwen3"}, "output table missing"),
        ({"model_type": "starcoder2"}, "tied"),
        ({"model_type": "gemma2"}, "tied"),
        ({"model_type": "somebodys_own"}, "output table missing"),
        ({"architectures": ["LlamaModel"], "tie_word_embeddings": True}, "no output table"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "no output table"),
        ({"architectures": ["ElectraForPreTraining"]}, "no output table"),
    ],
)
def test_one_table_alone_is_what_the_library_makes_of_it(
    tmp_path: Path, config: dict[str, Any], status: str
) -> None:
    found = tables(folder(tmp_path / "a", {IN: W}, LLAMA | config))
    assert found.status == status and found.output is None
    assert bool(found.warnings) == (status == "output table missing")
    if config == {"tie_word_embeddings": False}:
        assert "random" in found.warnings[0]


@pytest.mark.parametrize(
    ("kind", "status"), [("mamba", "tied"), ("mamba2", "output table missing")]
)
def test_sister_families_have_their_own_defaults(tmp_path: Path, kind: str, status: str) -> None:
    config = {"model_type": kind, "architectures": ["XForCausalLM"]}
    assert (
        tables(folder(tmp_path / "a", {"backbone.embeddings.weight": W}, config)).status == status
    )


@pytest.mark.parametrize(
    ("told", "scaled"),
    [
        ({"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False),
        ({}, True),
    ],
)
def test_t5s_flag_is_of_a_scale(tmp_path: Path, told: dict[str, Any], scaled: bool) -> None:
    config = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": D}
    found = tables(folder(tmp_path / "a", {"shared.weight": W}, config | told))
    assert found.status == "tied"
    assert found.scales == ({"d**-0.5": D**-0.5} if scaled else {})
    both = {"shared.weight": W, OUT: table(2)}
    assert tables(folder(tmp_path / "b", both, config | told)).status == "untied"
    mt5 = config | {"model_type": "mt5"} | told
    assert tables(folder(tmp_path / "c", {"shared.weight": W}, mt5)).scales == {}


@pytest.mark.parametrize(
    ("kind", "top", "text", "status"),
    [
        ("llava", False, True, "tied"),
        ("llava", False, False, "output table missing"),
        ("qwen2_vl", None, True, "tied"),
        ("gemma3", None, False, "tied"),
        ("gemma3", False, True, "output table missing"),
    ],
)
def test_multimodal_families_read_the_flag_in_their_own_place(
    tmp_path: Path, kind: str, top: bool | None, text: bool, status: str
) -> None:
    config = {
        "model_type": kind,
        "architectures": ["XForConditionalGeneration"],
        "text_config": {"tie_word_embeddings": text, "hidden_size": D},
    } | ({} if top is None else {"tie_word_embeddings": top})
    name = "language_model.model.embed_tokens.weight"
    assert tables(folder(tmp_path / "a", {name: W}, config)).status == status


def test_the_name_that_survives_may_be_the_outputs(tmp_path: Path) -> None:
    config = LLAMA | {"tie_word_embeddings": True}
    found = tables(folder(tmp_path / "a", {OUT: W}, config))
    assert (found.status, found.input) == ("tied", None)
    found = tables(folder(tmp_path / "b", {OUT: W}, LLAMA | {"tie_word_embeddings": False}))
    assert found.status == "untied" and "input table is missing" in found.warnings[0]

    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tok_emb = torch.nn.Embedding(V, D)
            self.head = torch.nn.Linear(D, V, bias=False)
            self.head.weight = self.tok_emb.weight

    save_model(Tied(), str(tmp_path / "own.safetensors"))  # keeps head.weight and tells of it
    found = tables(str(tmp_path / "own.safetensors"))
    assert (found.status, found.input.name) == ("tied", "head.weight")


def test_orientation_is_told_by_the_shapes_and_by_both_where_they_are_square(
    tmp_path: Path,
) -> None:
    turned = np.ascontiguousarray(W.T)
    found = tables(folder(tmp_path / "a", {IN: W, OUT: turned}, LLAMA))
    assert found.output.transposed and found.output.shape == (D, V)
    assert found.status == "equal copies" and np.array_equal(found.output.array(), W)
    square = table(3, D, D)
    found = tables(folder(tmp_path / "b", {IN: square, OUT: np.ascontiguousarray(square.T)}, LLAMA))
    assert found.status == "equal copies" and found.output.transposed
    assert "both orientations" in " ".join(found.evidence)
    assert (
        tables(folder(tmp_path / "c", {IN: square, OUT: table(4, D, D)}, LLAMA)).status == "untied"
    )


def test_an_array_saved_transposed_by_numpy_is_known_by_its_scrambled_numbers(
    tmp_path: Path,
) -> None:
    scrambled = W.ravel().reshape(D, V)  # what safetensors.numpy 0.8 writes of W.T
    found = tables(folder(tmp_path / "a", {IN: W, OUT: scrambled}, LLAMA))
    assert found.status == "untied" and "wrong places" in found.warnings[-1]


def test_other_widths_are_untied_and_mobilebert_shares_its_first_columns(tmp_path: Path) -> None:
    found = tables(folder(tmp_path / "a", {IN: W, OUT: table(2, V, 2 * D)}, LLAMA))
    assert found.status == "untied" and f"{D} and {2 * D} columns" in found.evidence[-1]
    names = {
        "mobilebert.embeddings.word_embeddings.weight": W,
        "cls.predictions.dense.weight": table(2, 5, V),
        "cls.predictions.bias": table(3)[:, 0].copy(),
    }
    config = {"model_type": "mobilebert", "architectures": ["MobileBertForMaskedLM"]}
    found = tables(folder(tmp_path / "b", names, config))
    assert found.status == "tied in part" and found.output.transposed
    assert found.bias["name"] == "cls.predictions.bias"


def test_rows_that_were_added_are_seen(tmp_path: Path) -> None:
    longer = np.vstack([W, np.repeat(W.mean(axis=0, keepdims=True), 5, axis=0)])
    longer[3] = 0
    config = LLAMA | {"tie_word_embeddings": True, "pad_token_id": 3}
    found = tables(folder(tmp_path / "a", {IN: longer}, config))
    told = " ".join(found.evidence)
    assert "last 5 rows coincide" in told and "row 3, the padding token's, is zero" in told
    found = tables(folder(tmp_path / "b", {IN: longer, OUT: longer[:V].copy()}, config))
    assert found.status == "tied in part" and f"first {V} rows" in " ".join(found.evidence)


@pytest.mark.parametrize(
    ("config", "scales"),
    [
        ({"model_type": "granite", "embedding_multiplier": 12.0, "logits_scaling": 8.0},
         {"embedding_multiplier": 12.0, "logits_scaling": 8.0}),
        ({"model_type": "gemma2", "hidden_size": 16},
         {"sqrt(d)": 4.0, "final_logit_softcapping": 30.0}),
        ({"model_type": "cohere"}, {"logit_scale": 0.0625}),
        ({"model_type": "mpt", "logit_scale": 0.5}, {}),
        ({"model_type": "bart", "scale_embedding": True, "d_model": 16}, {"sqrt(d)": 4.0}),
        ({"model_type": "llama", "logit_scale": float("nan")}, {}),
        ({"model_type": "minicpm3", "hidden_size": 512},
         {"scale_emb": 12.0, "dim_model_base/hidden_size": 0.5}),
    ],
)  # fmt: skip
def test_scales_stand_beside_the_tables(
    tmp_path: Path, config: dict[str, Any], scales: dict[str, float]
) -> None:
    found = tables(folder(tmp_path / "a", {IN: W, OUT: W}, config))
    assert found.scales == scales
    assert np.array_equal(found.input.array(), W)  # they are not multiplied in


@pytest.mark.parametrize(
    ("source", "head", "bias"),
    [
        ("transformer.wte.weight", "lm_head.weight", "lm_head.bias"),
        ("gpt_neox.embed_in.weight", "embed_out.weight", ""),
        ("gpt_neox.embed_in.weight", "lm_head.weight", ""),
        ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight",
         "cls.predictions.bias"),
        ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias"),
        ("distilbert.embeddings.word_embeddings.weight", "vocab_projector.weight",
         "vocab_projector.bias"),
        ("model.embeddings.tok_embeddings.weight", "decoder.weight", "decoder.bias"),
        ("electra.embeddings.word_embeddings.weight", "generator_lm_head.weight",
         "generator_lm_head.bias"),
        ("albert.embeddings.word_embeddings.weight", "predictions.decoder.weight",
         "predictions.bias"),
        ("transformer.embeddings.weight", "pred_layer.proj.weight", "pred_layer.proj.bias"),
        ("transformer.word_embedding.weight", "lm_loss.weight", "lm_loss.bias"),
        ("transformer.w.weight", "lm_head.weight", "lm_head.bias"),
        ("backbone.embeddings.weight", "lm_head.weight", ""),
        ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight", ""),
        ("model.language_model.embed_tokens.weight", "lm_head.weight", ""),
        ("_orig_mod.module.model.embed_tokens.weight", "_orig_mod.module.lm_head.weight", ""),
        ("rwkv.embeddings.weight", "head.weight", ""),
        ("tok_embeddings.weight", "output.weight", ""),
        ("encoder.weight", "decoder.weight", "decoder.bias"),
    ],
)  # fmt: skip
def test_all_spellings_are_known(tmp_path: Path, source: str, head: str, bias: str) -> None:
    made = {source: W, head: table(2), "vision_tower.embed_tokens.weight": table(5, 40)}
    made |= {bias: W[:, 0].copy()} if bias else {}
    found = tables(folder(tmp_path / "a", made, None))
    assert (found.input.name, found.output.name) == (source, head)
    assert (found.bias or {"name": ""})["name"] == bias


def test_an_untied_decoder_reads_its_own_table(tmp_path: Path) -> None:
    names = ("shared", "encoder.embed_tokens", "decoder.embed_tokens")
    made = {f"model.{name}.weight": table(seed) for seed, name in enumerate(names)}
    made |= {OUT: table(9), "final_logits_bias": table(1, 1, V)}
    config = {"model_type": "bart", "architectures": ["BartForConditionalGeneration"]}
    found = tables(folder(tmp_path / "a", made, config))
    assert found.input.name == "model.decoder.embed_tokens.weight" and found.status == "untied"
    assert "model.shared.weight" in found.evidence[0]
    assert found.bias == {"name": "final_logits_bias", "shape": [1, V], "dtype": "float32"}


def _quantised(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    scale = np.abs(values).max(axis=1, keepdims=True) / most
    return np.round(values / scale).astype(np.int8), scale.astype(np.float32)


@pytest.mark.parametrize("spelling", ["torchao", "bitsandbytes", "compressed"])
def test_a_quantised_copy_is_tied_up_to_quantisation(tmp_path: Path, spelling: str) -> None:
    data, scale = _quantised(W, 127)
    parts = {
        "torchao": {"lm_head._weight_qdata": data, "lm_head._weight_scale": scale},
        "bitsandbytes": {"lm_head.weight": data, "lm_head.SCB": scale[:, 0] * np.float32(127)},
        "compressed": {"lm_head.weight": data, "lm_head.weight_scale": scale},
    }[spelling]
    found = tables(folder(tmp_path / "a", {IN: W} | parts, LLAMA))
    assert (found.status, found.output.dtype) == ("tied up to quantisation", "int8")
    assert np.allclose(found.output.array(), W, atol=float(scale.max()))
    other = W.copy()
    other[5, 5] += 3 * scale[5, 0]  # by more than the two halves of a step
    assert tables(folder(tmp_path / "b", {IN: other} | parts, LLAMA)).status == "untied"


def test_adapters_are_refused(tmp_path: Path) -> None:
    made = {"base_model.model.model.embed_tokens.lora_embedding_A": W, OUT: W}
    with pytest.raises(RequestError, match="LoRA adapter"):
        tables(folder(tmp_path / "a", made, None))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "adapter_config.json").write_text("{}")
    (tmp_path / "b" / "adapter_model.safetensors").write_bytes(b"1")
    with pytest.raises(RequestError, match="PEFT adapter, not a checkpoint; merge it"):
        tables(str(tmp_path / "b"))
    folder(tmp_path / "c", {OUT: W}, None)  # what modules_to_save leaves
    (tmp_path / "c" / "model.safetensors").rename(tmp_path / "c" / "adapter_model.safetensors")
    with pytest.raises(RequestError, match="PEFT adapter, not a checkpoint"):
        tables(str(tmp_path / "c" / "adapter_model.safetensors"))


def test_static_tables_have_no_output_and_pictures_no_words(tmp_path: Path) -> None:
    assert tables(folder(tmp_path / "a", {"embedding.weight": W}, None)).status == "no output table"
    rows = {"embeddings": W, "mapping": np.arange(2 * V), "weights": W[:, 0].astype(np.float64)}
    found = tables(folder(tmp_path / "c", rows, None))
    assert found.status == "no output table" and "a mapping tells" in found.evidence[0]
    made = {"vit.patch.weight": table(1, 9, 9), "classifier.weight": table(2, 10, 9)}
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"]}
    found = tables(folder(tmp_path / "b", made, config))
    assert (found.status, found.input) == ("not tables of words", None)
