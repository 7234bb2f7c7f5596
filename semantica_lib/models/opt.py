"""The masked language model as transformers' OPT: another's names for the same function.

OPT normalises before each part and once at the end, or after each part; its positions are learned,
its head has no bias, and ``is_causal: false`` lets it read both sides of a place.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from semantica_lib.models.stack import of_layer
from semantica_lib.settings.language import MlmSettings

OFFSET = 2  # rows in front of the first place's that OPT never reads
RENAMED = {
    "self_attn.out_proj": "self_attn.out_proj", "norm1": "self_attn_layer_norm",
    "linear1": "fc1", "linear2": "fc2", "norm2": "final_layer_norm",
}  # fmt: skip


def config(own: MlmSettings, vocabulary: int, tied: bool, pad: int) -> dict[str, Any]:
    """What config.json has of a model of the settings.

    Args:
        vocabulary: rows of the tables.
        pad: the row of the piece for padding.
    """
    return {
        "architectures": ["OPTForCausalLM"], "model_type": "opt", "is_causal": False,
        "tie_word_embeddings": tied, "vocab_size": vocabulary, "hidden_size": own.embedding_size,
        "word_embed_proj_dim": own.embedding_size, "ffn_dim": own.feedforward_size,
        "num_hidden_layers": own.layers, "num_attention_heads": own.heads,
        "max_position_embeddings": own.length, "activation_function": "gelu",
        "do_layer_norm_before": own.norm == "before", "_remove_final_layer_norm": False,
        "enable_bias": True, "layer_norm_elementwise_affine": True, "dropout": 0.0,
        "attention_dropout": 0.0, "layerdrop": 0.0, "init_std": own.embedding_std,
        "use_cache": False, "pad_token_id": pad, "bos_token_id": None, "eos_token_id": None,
        "dtype": "float32",
    }  # fmt: skip


def tensors(own: MlmSettings, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a :class:`semantica_lib.models.language.MaskedLanguageModel`, renamed.

    Those of its layers are as they were but that the map to queries, keys and values is cut in
    three. Without positions their table is zero. Tied: there is no head.
    """
    found = {"embed_tokens.weight": parameters["input_embedding.weight"]}
    places = torch.zeros(OFFSET + own.length, own.embedding_size)
    if own.positions:
        places[OFFSET:] = parameters["positions"]
    found["embed_positions.weight"] = places
    for index in range(own.layers):
        layer = of_layer(dict(parameters), index)
        for kind in ("weight", "bias"):
            names = [f"self_attn.{letter}_proj" for letter in "qkv"]
            values = layer[f"self_attn.in_proj_{kind}"].chunk(3)
            values += tuple(layer[f"{name}.{kind}"] for name in RENAMED)
            for name, value in zip((*names, *RENAMED.values()), values, strict=True):
                found[f"layers.{index}.{name}.{kind}"] = value
    if own.norm == "before":
        for kind in ("weight", "bias"):
            found[f"final_layer_norm.{kind}"] = parameters[f"encoder.norm.{kind}"]
    found = {f"model.decoder.{name}": value for name, value in found.items()}
    if "output_embedding.weight" in parameters:
        found["lm_head.weight"] = parameters["output_embedding.weight"]
    return {name: value.detach().clone() for name, value in found.items()}
