#!/bin/sh
# transformers 5.24.0: resize_token_embeddings ties a T5 whose file held two different tables.
#
# T5 v1.1 and what was trained from it have an output table of their own; their config.json says
# `tie_word_embeddings: false`. transformers 5 reads that as "do not scale the decoder's output",
# sets the setting to true, warns on loading that the tables differ, and keeps both. Expected of
# resize_token_embeddings: two tables with more rows, as it does for a Llama with the same flag.
# Happens: it ties again by the setting. The trained output table is gone, with no warning that it
# is, even if the size stays the same. So neither config.json nor a model in memory tells whether
# a T5 was trained tied: the file does.
#
# Seen (tiny random models, torch 2.13.0 on a CPU, Python 3.11):
#   transformers 5.24.0
#   llama loaded              flag False   own output table: True
#   llama resized 11 to 13    flag False   own output table: True
#   t5    loaded              flag True    own output table: True
#   t5    resized 11 to 11    flag True    own output table: False
#   t5    resized 11 to 13    flag True    own output table: False
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 numpy==2.4.6

cd "$place"
HF_HOME=$place HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$place/venv/bin/python" - <<'PY'
import json
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.manual_seed(0)
HEAD = torch.randn(11, 8)
LLAMA = LlamaConfig(
    vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
)
T5 = T5Config(vocab_size=11, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)


def saved(name, model):
    """A checkpoint with two tables and the flag that published ones of this kind have."""
    model.lm_head.weight = torch.nn.Parameter(HEAD.clone())
    model.save_pretrained(name)
    file = Path(name, "config.json")
    config = json.loads(file.read_text()) | {"tie_word_embeddings": False}
    config.pop("scale_decoder_outputs", None)  # a key of transformers 5 only
    file.write_text(json.dumps(config))
    return type(model)


print("transformers", transformers.__version__)
seen = []
for name, model, sizes in (
    ("llama", LlamaForCausalLM(LLAMA), (None, 13)),
    ("t5", T5ForConditionalGeneration(T5), (None, 11, 13)),
):
    kind = saved(name, model)
    for size in sizes:
        loaded = kind.from_pretrained(name)
        if size:
            loaded.resize_token_embeddings(size)
        own = torch.equal(loaded.lm_head.weight[:11], HEAD)
        assert own == (loaded.lm_head.weight is not loaded.get_input_embeddings().weight)
        what = f"resized 11 to {size}" if size else "loaded"
        flag = loaded.config.tie_word_embeddings
        print(f"{name:5} {what:19} flag {flag!s:7} own output table: {own}")
        seen.append(own)
raise SystemExit(seen != [True, True, True, False, False])
PY
