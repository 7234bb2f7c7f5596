"""Which names and which keys of config.json mean what, as libraries write them.

Seen by running transformers 5.24.0 (and 4's older spellings in its loading rules) on tiny models;
sentence-transformers' and model2vec's static tables, and Whisper's, by their files.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.tensor import Tensor

VERSION = "transformers 5.24"
_DEFAULTS = (Path(__file__).parent / "defaults.txt").read_text(encoding="utf-8")
# What transformers 5.24.0 takes for tie_word_embeddings where config.json leaves it out, by
# model_type: asked of every configuration class, and again by a long test.
TIED, UNTIED = (set(part.split()) for part in _DEFAULTS.split("\n\n"))
WRAPPED = r"(?:module\.|_orig_mod\.|base_model\.model\.)*"  # data parallel, compiled, merged
TEXT = (
    r"(?:(?:language_model|text_model|text_decoder|decoder|encoder|model|transformer|biogpt|led|"
    r"prophetnet|thinker|generator)\.){0,5}"
)
# In the order of preference; all of a name must match, since suffixes alone do not tell.
INPUTS = (
    TEXT + r"shared\.weight",
    TEXT + r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|tokens_embed)\.weight",
    r"(?:\w+\.)?embeddings\.(?:word_embeddings|tok_embeddings)\.weight",
    r"(?:gpt_neox\.)?embed_in\.weight",
    r"(?:backbone\.|rwkv\.|transformer\.)?(?:embeddings|word_embedding|w)\.weight",
    r"transformer\.embedding\.word_embeddings\.weight",
    r"(?:(?:0|1)\.)?embedding\.weight|embeddings|embedding",  # model2vec, StaticEmbedding
)
OUTPUTS = (
    TEXT + r"(?:lm_head|embed_out|proj_out|output_projection)\.weight",
    r"lm_head\.decoder\.weight|generator_lm_head\.weight|vocab_projector\.weight",
    r"(?:cls\.)?predictions\.decoder\.weight|lm_loss\.weight|pred_layer\.proj\.weight",
    r"cls\.predictions\.dense\.weight|decoder\.weight|head\.weight|output\.weight",
    r"transformer\.output_layer\.weight",
)
FURTHER = re.compile(WRAPPED + r"(?:model\.|\w+\.)?(?:encoder|decoder)\.embed_tokens\.weight")
BIASES = (
    r"cls\.predictions\.bias|predictions\.bias|lm_head\.bias|generator_lm_head\.bias",
    r"vocab_projector\.bias|decoder\.bias|final_logits_bias|pred_layer\.proj\.bias|lm_loss\.bias",
    TEXT + r"(?:lm_head|embed_out)\.bias|lm_head\.decoder\.bias|cls\.predictions\.decoder\.bias",
)
# Of models that no library names: what people call their tables.
LIKE_INPUT = re.compile(
    r"(?<![a-z])(emb|embed\w*|\w*_emb|wte|encoder|word_vectors|lut)(?![a-z])", re.I
)
LIKE_OUTPUT = re.compile(
    r"(?<![a-z])(\w*head|out|output\w*|decoder|fc\w*|\w*proj\w*|generator|\w*logits|classifier|"
    r"unembed\w*|softmax|dense\w*|linear)(?![a-z])", re.I
)  # fmt: skip
MOST = 20  # tables that are looked at
UNLIKE = re.compile(r"pos|type|segment|norm|attn|attention|mlp|lstm|gru|rnn|conv|time", re.I)
HEADS = re.compile(
    r"\w*(ForCausalLM|LMHeadModel|ForMaskedLM|ForPreTraining|ForConditionalGeneration|"
    r"DoubleHeadsModel|ForSeq2SeqLM|WithLMHead|LMModel|MTModel|EncoderDecoderModel|ForTextToText)\w*"
)
NO_HEADS = {"ElectraForPreTraining", "FunnelForPreTraining"}
ALWAYS = {"t5", "mt5", "umt5", "longt5"}  # tied whatever the flag says, which is of a scale
EITHER = {  # the flag is read at the top or in the text's part
    "llava", "llava_next", "llava_next_video", "llava_onevision", "qwen2_vl", "qwen2_5_vl",
    "glm4v", "glm4v_moe", "glm_ocr", "hunyuan_vl", "paddleocr_vl", "fast_vlm", "minimax_m3_vl",
    "video_llava", "vipllava",
}  # fmt: skip
PARTS = ("text_config", "llm_config", "language_config", "decoder")
SCALES = {  # a key of config.json: what its value does
    "embedding_multiplier": "multiplies the input", "scale_emb": "multiplies the input",
    "logits_scaling": "divides the logits", "logit_scale": "multiplies the logits",
    "lm_head_multiplier": "multiplies the logits", "final_logit_softcapping": "caps the logits",
    "dim_model_base/hidden_size": "multiplies the head's input",
    "sqrt(d)": "multiplies the input", "d**-0.5": "multiplies the head's input",
    "embedding_scale": "multiplies the input",
}  # fmt: skip
ABSENT = {  # a key's value where config.json leaves it out
    "gemma2": {"final_logit_softcapping": 30.0}, "cohere": {"logit_scale": 0.0625},
    "cohere2": {"logit_scale": 0.0625}, "nanochat": {"final_logit_softcapping": 15.0},
    "minicpm3": {"scale_emb": 12.0, "dim_model_base": 256},
    "m2m_100": {"scale_embedding": True}, "xglm": {"scale_embedding": True},
    "biogpt": {"scale_embedding": True}, "fsmt": {"scale_embedding": True},
}  # fmt: skip


def _first(patterns: Iterable[str], names: Iterable[str]) -> str:
    names = list(names)
    for pattern in patterns:
        whole = re.compile(WRAPPED + f"(?:{pattern})")
        if found := sorted(filter(whole.fullmatch, names), key=len):
            return found[0]
    return ""


def text_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that is about text: of a model of text alone, all of it."""
    part = next((config[key] for key in PARTS if isinstance(config.get(key), dict)), {})
    return {**config, **part}


def assign(made: Contents, config: Mapping[str, Any]) -> None:
    """Name the two tables and the bias, where the format has not."""
    names = [*made.tensors, *made.aliases]
    kind = config.get("model_type")
    made.family = made.family or (kind if isinstance(kind, str) else "")
    made.input, made.output = _first(INPUTS, names), _first(OUTPUTS, names)
    if made.output == made.input:
        made.output = ""
    if not made.input or (not made.output and not kind):
        _guess(made)
    further = [name for name in names if FURTHER.fullmatch(name) and name != made.input]
    decoder = [name for name in further if "decoder.embed_tokens" in name and name in made.tensors]
    if decoder and made.output in made.tensors and "shared" in made.input:
        shared = made.tensors.get(made.input)
        if not shared or shared.place != made.tensors[decoder[0]].place:
            further = [*further, made.input]
            made.input = decoder[0]  # transformers 5.24: an untied decoder reads its own
    if further := [name for name in further if name != made.input]:
        made.evidence.append(f"further input tables: {', '.join(further)}")
    if "mapping" in names:
        made.evidence.append("a mapping tells which row is a token's (model2vec)")
    if made.output or made.input:
        made.bias = made.bias or _first(BIASES, names)
    if not made.bias:
        base = made.output.removesuffix("weight").removesuffix("w") if made.output else "\0"
        made.bias = next((one for one in (f"{base}bias", f"{base}b") if one in names), "")


def _guess(made: Contents) -> None:
    """Two tables with a row a word each, by what people call them."""
    flat = {name: one for name, one in made.tensors.items() if len(one.shape) == 2}
    flat |= {gone: flat[kept] for gone, kept in made.aliases.items() if kept in flat}
    inputs = [one for one in flat if LIKE_INPUT.search(one) and not UNLIKE.search(one)]
    inputs = sorted(inputs, key=lambda name: flat[name].shape[0])[-MOST:]
    inputs = [made.input] if made.input in flat else inputs
    pairs = [
        (flat[first].shape[0], flat[last].shape[0] == flat[first].shape[0], first, last)
        for first in inputs
        for last in flat
        if first != last and flat[first].shape[0] in flat[last].shape
        and LIKE_OUTPUT.search(last) and not LIKE_INPUT.fullmatch(last) and not UNLIKE.search(last)
        and flat[first].shape[0] > 1
    ]  # fmt: skip
    if pairs:
        *_, made.input, made.output = max(pairs)
        made.evidence.append("which tables they are was guessed by their names and sizes")
    elif inputs and not made.input:
        made.input = max(inputs, key=lambda name: flat[name].shape[0])
        made.evidence.append("which table it is was guessed by its name")


def flag(config: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Whether the library ties the two tables of such a model, and why; None if nothing tells."""
    kind = config.get("model_type")
    if kind in ALWAYS:
        return True, f"{kind} is tied whatever the flag says, unless the file holds two tables"
    key = "tie_word_embeddings"
    part = next((config[key] for key in PARTS if isinstance(config.get(key), dict)), {})
    if kind in EITHER and part.get(key):
        return True, f"{key} is true in the text's part of the config"
    if isinstance(config.get(key), bool):
        return config[key], f"{key} is {str(config[key]).lower()} in the config"
    if kind in TIED | UNTIED:
        told = "true" if kind in TIED else "false"
        return kind in TIED, f"the config leaves {key} out, which is {told} for {kind}"
    return None, f"the config leaves {key} out, and its default for {kind or 'it'} is not known"


def has_head(config: Mapping[str, Any]) -> bool | None:
    """Whether the architecture has an output table; None if the config names none."""
    named = config.get("architectures")
    if not isinstance(named, list) or not named:
        return None
    return any(HEADS.fullmatch(str(one)) and one not in NO_HEADS for one in named)


def scales(config: Mapping[str, Any], table: Tensor | None) -> dict[str, float]:
    """What is applied beside the tables, by the config's keys."""
    text = text_part(config)
    kind = str(text.get("model_type", ""))
    told = ABSENT.get(kind, {}) | {key: value for key, value in text.items() if value is not None}
    found = {key: told[key] for key in SCALES if key in told}
    if kind == "mpt":
        found.pop("logit_scale", None)  # transformers 5.24 ignores it
    width = told.get("hidden_size") or told.get("d_model") or (table.shape[-1] if table else 0)
    if not isinstance(width, int) or width < 1:
        width = 0
    if width and (told.get("scale_embedding") or re.match(r"(diffusion_)?gemma|t5gemma", kind)):
        found["sqrt(d)"] = width**0.5
    if width and kind in ALWAYS - {"mt5"}:
        scaled = told.get("scale_decoder_outputs", told.get("tie_word_embeddings", True))
        found |= {"d**-0.5": width**-0.5} if scaled else {}
    if width and kind == "minicpm3" and isinstance(told.get("dim_model_base"), int | float):
        found["dim_model_base/hidden_size"] = told["dim_model_base"] / width
    return {
        key: float(value)
        for key, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def effect(key: str, family: str) -> str:
    """What a scale does, in words."""
    if key == "logits_scaling" and family.startswith("hyperclovax"):
        return "multiplies the logits"
    return SCALES.get(key, "is applied")
