"""The reader beside the libraries whose files it reads: each is asked for the truth.

They are an extra (``pip install -c constraints.txt -e '.[models]'``), and slow to import.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_checkpoints import table

from semantica_lib.checkpoints import families, place, vocabulary
from semantica_lib.checkpoints.formats import sentencepiece
from semantica_lib.checkpoints.reading import tables

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]
V, D = 97, 16
SIZES: dict[str, Any] = {
    "vocab_size": V, "hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32,
    "d_model": D, "n_embd": D, "n_layer": 1, "n_head": 2, "n_positions": 32, "head_dim": 8,
    "pad_token_id": 3, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
T5 = {"d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
BART = {
    "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
}  # fmt: skip
MINI = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2LMHeadModel", {}),
    "gpt_neo": ("GPTNeoForCausalLM",
                {"num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]}),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", {}),
    "gptj": ("GPTJForCausalLM", {"rotary_dim": 4}),
    "codegen": ("CodeGenForCausalLM", {"rotary_dim": 4, "n_head": 4}),
    "gpt_neox": ("GPTNeoXForCausalLM", {}),
    "llama": ("LlamaForCausalLM", {}),
    "mistral": ("MistralForCausalLM", {}),
    "mixtral": ("MixtralForCausalLM", {"num_local_experts": 2}),
    "qwen2": ("Qwen2ForCausalLM", {}),
    "qwen3": ("Qwen3ForCausalLM", {}),
    "phi3": ("Phi3ForCausalLM", {}),
    "olmo": ("OlmoForCausalLM", {}),
    "olmo2": ("Olmo2ForCausalLM", {}),
    "stablelm": ("StableLmForCausalLM", {}),
    "nemotron": ("NemotronForCausalLM", {}),
    "gpt_oss": ("GptOssForCausalLM", {"num_local_experts": 2, "num_experts_per_tok": 1}),
    "phi": ("PhiForCausalLM", {}),
    "granite": ("GraniteForCausalLM", {"embedding_multiplier": 12.0, "logits_scaling": 8.0}),
    "granitemoe": ("GraniteMoeForCausalLM", {"num_local_experts": 2}),
    "starcoder2": ("Starcoder2ForCausalLM", {}),
    "smollm3": ("SmolLM3ForCausalLM", {}),
    "xglm": ("XGLMForCausalLM", {"num_layers": 1, "attention_heads": 2, "ffn_dim": 24}),
    "gemma": ("GemmaForCausalLM", {}),
    "gemma2": ("Gemma2ForCausalLM", {}),
    "gemma3_text": ("Gemma3ForCausalLM", {}),
    "cohere": ("CohereForCausalLM", {}),
    "cohere2": ("Cohere2ForCausalLM", {}),
    "minicpm3": ("MiniCPM3ForCausalLM", MINI | {"v_head_dim": 8}),
    "opt": ("OPTForCausalLM", {"word_embed_proj_dim": 10, "ffn_dim": 24}),
    "falcon": ("FalconForCausalLM", {"head_dim": None}),
    "bloom": ("BloomForCausalLM", {}),
    "mpt": ("MptForCausalLM", {"n_heads": 2, "n_layers": 1}),
    "mamba": ("MambaForCausalLM", {}),
    "mamba2": ("Mamba2ForCausalLM", {"num_heads": 4, "n_groups": 1, "state_size": 8}),
    "openai-gpt": ("OpenAIGPTLMHeadModel", {}),
    "ctrl": ("CTRLLMHeadModel", {"dff": 24}),
    "bert": ("BertForMaskedLM", {}),
    "deberta": ("DebertaForMaskedLM", {}),
    "deberta-v2": ("DebertaV2ForMaskedLM", {}),
    "roberta": ("RobertaForMaskedLM", {}),
    "xlm-roberta": ("XLMRobertaForMaskedLM", {}),
    "mpnet": ("MPNetForMaskedLM", {}),
    "distilbert": ("DistilBertForMaskedLM", {"dim": D, "hidden_dim": 24, "n_layers": 1,
                                             "n_heads": 2}),
    "modernbert": ("ModernBertForMaskedLM", {"cls_token_id": 1, "sep_token_id": 2}),
    "electra": ("ElectraForMaskedLM", {"embedding_size": 10}),
    "albert": ("AlbertForMaskedLM", {"embedding_size": 10}),
    "mobilebert": ("MobileBertForMaskedLM", {"embedding_size": 10, "intra_bottleneck_size": 16,
                                             "true_hidden_size": 16}),
    "xlm": ("XLMWithLMHeadModel", {"emb_dim": D, "n_layers": 1, "n_heads": 2}),
    "xlnet": ("XLNetLMHeadModel", {"d_inner": 24, "max_position_embeddings": None}),
    "funnel": ("FunnelForMaskedLM", {"block_sizes": [1], "num_decoder_layers": 1, "d_head": 8,
                                     "d_inner": 24, "num_hidden_layers": None}),
    "t5": ("T5ForConditionalGeneration", T5),
    "mt5": ("MT5ForConditionalGeneration", T5),
    "umt5": ("UMT5ForConditionalGeneration", T5),
    "longt5": ("LongT5ForConditionalGeneration", T5),
    "bart": ("BartForConditionalGeneration", BART),
    "pegasus": ("PegasusForConditionalGeneration", BART),
    "blenderbot": ("BlenderbotForConditionalGeneration", BART),
    "m2m_100": ("M2M100ForConditionalGeneration", BART),
    "led": ("LEDForConditionalGeneration", BART),
    "marian": ("MarianMTModel", BART),
    "whisper": ("WhisperForConditionalGeneration", BART),
    "falcon_h1": ("FalconH1ForCausalLM", {"mamba_d_ssm": 16, "mamba_n_heads": 2,
                                          "mamba_d_head": 8, "mamba_n_groups": 1}),
    "nanochat": ("NanoChatForCausalLM", {}),
}  # fmt: skip


def _saved(kind: str, tie: bool | None, path: Path) -> Any:
    """A tiny model with random weights, as its library saves it."""
    transformers = pytest.importorskip("transformers")
    name, sizes = FAMILIES[kind]
    told = {} if tie is None else {"tie_word_embeddings": tie}
    wanted = {key: value for key, value in (SIZES | sizes | told).items() if value is not None}
    config = transformers.AutoConfig.for_model(kind, **wanted)
    model = getattr(transformers, name)(config).eval()
    for values in model.parameters():
        torch.nn.init.normal_(values, std=0.5)
    model.save_pretrained(path)
    return model


@pytest.mark.parametrize("tie", [True, False, None])
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_of_transformers(tmp_path: Path, kind: str, tie: bool | None) -> None:
    """Tied where one Parameter is both tables in memory; the rows are those in memory."""
    model = _saved(kind, tie, tmp_path)
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    if kind in ("bart", "pegasus", "blenderbot", "m2m_100", "led", "marian"):
        first = model.get_decoder().embed_tokens  # what an untied decoder reads
    found = tables(str(tmp_path))
    tied = first.weight is last.weight
    expected = "tied" if tied else "untied"
    if kind == "mobilebert" and tied:
        expected = "tied in part"
    assert (found.status, found.family, found.warnings) == (expected, kind, [])
    assert np.array_equal(found.input.array(), first.weight.detach().float().numpy())
    if not tied:
        assert np.array_equal(found.output.array(), last.weight.detach().float().numpy())
    bias = getattr(last, "bias", None)
    assert bias is None or found.bias["shape"] == [V]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "mt5", "starcoder2", "mamba2", "bert"])
@pytest.mark.parametrize("told", [True, False, None])
def test_what_the_library_makes_of_a_missing_table(
    tmp_path: Path, kind: str, told: bool | None
) -> None:
    """The tied file is loaded under another flag: tied in memory, or a head drawn at random."""
    transformers = pytest.importorskip("transformers")
    _saved(kind, True, tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config.pop("tie_word_embeddings")
    config.pop("scale_decoder_outputs", None)
    path.write_text(json.dumps(config | ({} if told is None else {"tie_word_embeddings": told})))
    model = getattr(transformers, FAMILIES[kind][0]).from_pretrained(tmp_path)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tables(str(tmp_path)).status == ("tied" if tied else "output table missing")


def test_defaults_are_those_of_the_library() -> None:
    transformers = pytest.importorskip("transformers")
    mapping = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for kind in mapping:
        try:
            flag = getattr(mapping[kind](), "tie_word_embeddings", None)
        except Exception:  # some cannot be made without arguments
            continue
        if isinstance(flag, bool):
            found[flag].add(kind)
    assert found[True] == families.TIED and found[False] == families.UNTIED


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16", "F32"])
def test_ggufs_types(tmp_path: Path, kind: str) -> None:
    gguf = pytest.importorskip("gguf")
    number = getattr(gguf.GGMLQuantizationType, kind)
    data = gguf.quants.quantize(table(1, V, 64), number)
    _written(gguf, tmp_path / "a.gguf", data, number, table(1, V, 64))
    found = tables(str(tmp_path / "a.gguf"))
    assert found.input.shape == (V, 64)
    assert np.allclose(found.input.array(), gguf.quants.dequantize(data, number), rtol=1e-6)
    assert found.status == ("equal copies" if kind == "F32" else "tied up to quantisation")


BLOCKS = [
    ("Q2_K", (80, 82)), ("Q3_K", (108,)), ("Q4_K", (0, 2)), ("Q5_K", (0, 2)), ("Q6_K", (208,)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "halves"), BLOCKS)
def test_ggufs_blocks_of_256(tmp_path: Path, kind: str, halves: tuple[int, ...]) -> None:
    """Any bytes at all, with sane scales."""
    gguf = pytest.importorskip("gguf")
    number = getattr(gguf.GGMLQuantizationType, kind)
    size = gguf.GGML_QUANT_SIZES[number][1]
    data = np.random.default_rng(1).integers(0, 256, (V * 2, size), dtype=np.uint8)
    for at in halves:
        data[:, at : at + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
    data = data.reshape(V, -1)
    _written(gguf, tmp_path / "a.gguf", data, number)
    expected = gguf.quants.dequantize(data, number)
    found = tables(str(tmp_path / "a.gguf")).input.array()
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)


TEXT = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8").splitlines()
ODD = ["Ünlikely ﬁne  wörds 12 345", "naïve café, 東京 <s> </s> <own> x"]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("spelt", [True, False])
@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc"])
def test_sentencepieces_models(tmp_path: Path, kind: str, spelt: bool, rule: str) -> None:
    """The ids of sentences are those of its own library; of what a GGUF keeps of it too."""
    pieces, gguf = pytest.importorskip("sentencepiece"), pytest.importorskip("gguf")
    (tmp_path / "text.txt").write_text("\n".join(TEXT))
    path = tmp_path / "tokenizer.model"
    pieces.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=500 if spelt else 250, model_type=kind, byte_fallback=spelt,
        normalization_rule_name=rule, user_defined_symbols=["<own>"], minloglevel=2,
        remove_extra_whitespaces=rule == "nmt_nfkc", hard_vocab_limit=False,
    )  # fmt: skip
    own = pieces.SentencePieceProcessor(model_file=str(path))
    (tmp_path / "text.txt").unlink()
    np.savez(tmp_path / "a.npz", emb=table(1, own.vocab_size(), D))
    (tmp_path / "gguf").mkdir()
    writer = gguf.GGUFWriter(str(tmp_path / "gguf" / "a.gguf"), "llama")
    told = sentencepiece.read(place.local(tmp_path), path.name)
    writer.add_tokenizer_model("llama" if kind == "bpe" else "t5")
    writer.add_token_list(told.names)
    writer.add_token_scores(told.scores)
    writer.add_token_types(told.kinds)
    if told.charsmap:
        writer.add_precompiled_charsmap(told.charsmap)
    writer.add_remove_extra_whitespaces(told.tidy)
    _closed(writer, table(1, own.vocab_size(), D), gguf.GGMLQuantizationType.F32)
    for where in (tmp_path, tmp_path / "gguf"):
        words = vocabulary.of(tables(str(where)).place)
        assert list(words.names) == [own.id_to_piece(one) for one in range(own.vocab_size())]
        for line in filter(str.strip, TEXT + ODD):
            assert list(words.encode(line.strip())) == own.encode(line.strip()), line


def _written(gguf: Any, path: Path, data: Any, number: Any, head: Any = None) -> None:
    _closed(gguf.GGUFWriter(str(path), "llama"), data, number, head)


def _closed(writer: Any, data: Any, number: Any, head: Any = None) -> None:
    writer.add_tensor("token_embd.weight", data, raw_dtype=number)
    if head is not None:
        writer.add_tensor("output.weight", head)
    for step in ("header_to_file", "kv_data_to_file", "tensors_to_file"):
        getattr(writer, f"write_{step}")()
    writer.close()


class Net(torch.nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.emb, self.mid, self.head = (
            torch.nn.Embedding(V, D), torch.nn.Linear(D, D), torch.nn.Linear(D, V)
        )  # fmt: skip
        if tied:
            self.head.weight = self.emb.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.mid(self.emb(ids))))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("external", [True, False])
def test_torchs_export_to_onnx(tmp_path: Path, tied: bool, dynamo: bool, external: bool) -> None:
    pytest.importorskip("onnxscript")
    net, path = Net(tied), tmp_path / "a.onnx"
    ids = torch.zeros(2, 5, dtype=torch.int64)
    torch.onnx.export(net, (ids,), path, dynamo=dynamo, external_data=external, verbose=False)
    found = tables(str(path))
    assert found.status == ("equal copies" if tied else "untied") and found.output.transposed
    assert np.array_equal(found.input.array(), net.emb.weight.detach().numpy())
    assert np.array_equal(found.output.array(), net.head.weight.detach().numpy())
    assert found.bias["shape"] == [V]


@pytest.mark.parametrize("beside", [100, 10**9])
def test_gensim(tmp_path: Path, beside: int) -> None:
    models = pytest.importorskip("gensim.models")
    draw = np.random.default_rng(1)
    text = [[f"w{n}" for n in draw.integers(0, 60, 12)] for _ in range(200)]
    model = models.Word2Vec(text, vector_size=8, min_count=1, epochs=1)
    model.save(str(tmp_path / "a.model"), sep_limit=beside)
    found = tables(str(tmp_path / "a.model"))
    assert found.status == "untied"
    assert np.array_equal(found.input.array(), model.wv.vectors)
    assert np.array_equal(found.output.array(), model.syn1neg)
    for name, binary in (("a.txt", False), ("a.bin", True)):
        model.wv.save_word2vec_format(str(tmp_path / name), binary=binary)
        assert np.allclose(tables(str(tmp_path / name)).input.array(), model.wv.vectors)
    subwords = models.FastText(text, vector_size=8, min_count=1, epochs=1, bucket=100)
    models.fasttext.save_facebook_model(subwords, str(tmp_path / "f.bin"))
    found = tables(str(tmp_path / "f.bin"))
    assert found.status == "untied" and found.input.shape == (160, 8)
    assert np.array_equal(found.output.array(), subwords.syn1neg)


def test_keras_in_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")

    def built(output: Callable[[Any, Any], Any], layer: Any) -> Any:
        ids = keras.Input((None,), dtype="int32")
        hidden = keras.layers.LSTM(D, return_sequences=True)(layer(ids))
        return keras.Model(ids, output(layer, hidden))

    plain = built(
        lambda _, hidden: keras.layers.Dense(V, name="output")(hidden),
        keras.layers.Embedding(V, D, name="embedding"),
    )
    plain.compile(keras.optimizers.AdamW(2e-3, weight_decay=0.02), "mse")
    plain.fit(np.zeros((4, 3), int), np.zeros((4, 3, V)), verbose=0)
    for name in ("a.h5", "a.keras", "a.weights.h5"):
        (plain.save_weights if "weights" in name else plain.save)(tmp_path / name)
        found = tables(str(tmp_path / name))
        assert found.status == "untied" and found.output.transposed
        kernel = keras.ops.convert_to_numpy(plain.get_layer("output").kernel)
        assert np.array_equal(found.output.array(), kernel.T)
        told = "its optimizer: weight decay 0.02, rate 0.002, step 1"
        assert (told in found.evidence) == (name == "a.h5")
    for tied in (True, False):
        layer = keras.layers.ReversibleEmbedding(V, D, tie_weights=tied)
        model = built(lambda layer, hidden: layer(hidden, reverse=True), layer)
        model.save(tmp_path / "b.keras")
        assert tables(str(tmp_path / "b.keras")).status == ("tied" if tied else "untied")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", [None, "int8", "float16"])
def test_ctranslate2s_converter(tmp_path: Path, tied: bool, kind: str | None) -> None:
    converters = pytest.importorskip("ctranslate2.converters")
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    model = _saved("gpt2", tied, tmp_path / "a")
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(V)}, unk_token="w0"))
    names = {"unk_token": "w0", "bos_token": "w1", "eos_token": "w2"}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(tmp_path / "a")
    converters.TransformersConverter(str(tmp_path / "a")).convert(
        str(tmp_path / "b"), quantization=kind
    )
    found = tables(str(tmp_path / "b"))
    assert found.status == ("tied" if tied else "untied")
    rows = model.get_input_embeddings().weight.detach().numpy()
    assert np.allclose(found.input.array(), rows, atol={None: 0, "int8": 0.02}.get(kind, 2e-3))


def _multimodal(kind: str, top: bool | None, text: bool | None) -> Any:
    transformers = pytest.importorskip("transformers")
    told = [{} if one is None else {"tie_word_embeddings": one} for one in (top, text)]
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "head_dim",
             "num_key_value_heads", "intermediate_size", "max_position_embeddings",
             "pad_token_id", "bos_token_id", "eos_token_id")  # fmt: skip
    words = {name: SIZES[name] for name in names} | told[1]
    sight = {
        "hidden_size": D, "intermediate_size": 24, "num_hidden_layers": 1, "patch_size": 4,
        "num_attention_heads": 2, "image_size": 8, "projection_dim": D,
    }  # fmt: skip
    if kind == "llava":
        parts = transformers.CLIPVisionConfig(**sight), transformers.LlamaConfig(**words)
        config = transformers.LlavaConfig(vision_config=parts[0], text_config=parts[1], **told[0])
        return transformers.LlavaForConditionalGeneration(config)
    if kind == "gemma3":
        config = transformers.Gemma3Config(vision_config=sight, text_config=words, **told[0])
        return transformers.Gemma3ForConditionalGeneration(config)
    words |= {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}
    sight = {"depth": 1, "embed_dim": D, "hidden_size": D, "num_heads": 2}
    config = transformers.Qwen2VLConfig(vision_config=sight, text_config=words, **told[0])
    return transformers.Qwen2VLForConditionalGeneration(config)


@pytest.mark.parametrize("kind", ["llava", "gemma3", "qwen2_vl"])
@pytest.mark.parametrize("top", [None, True, False])
@pytest.mark.parametrize("text", [None, True, False])
def test_where_multimodal_families_read_the_flag(
    tmp_path: Path, kind: str, top: bool | None, text: bool | None
) -> None:
    """As saved, and with the head taken out of the file and loaded again."""
    from safetensors.numpy import load_file, save_file

    model = _multimodal(kind, top, text)
    model.save_pretrained(tmp_path)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tables(str(tmp_path)).status == ("tied" if tied else "untied")
    file = tmp_path / "model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if "lm_head" not in name}
    save_file(kept, file, metadata={"format": "pt"})
    model = type(model).from_pretrained(tmp_path)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tables(str(tmp_path)).status == ("tied" if tied else "output table missing")
