#!/bin/sh
# transformers 5.24.0: with `is_causal: false`, StableLM and Nemotron still read the left side only.
#
# Since February 2026 the setting makes a decoder an encoder: every place sees both sides, and a
# checkpoint's config.json keeps it. Expected: one function, however attention is computed. Happens:
# in these two families eager attention reads both sides, and sdpa, which is the default, only the
# left, without a word: the mask is left out where nothing is padded, and then attention is causal by
# the layer's own attribute. So the logits of a text change on both sides when a shorter, padded text
# stands beside it in the batch. Llama and OPT do as is expected of them.
#
# Seen (tiny random models, torch 2.13.0 on a CPU, Python 3.11): sides that a place sees
#   transformers 5.24.0
#   llama     eager both   sdpa both   sdpa beside a padded text both
#   opt       eager both   sdpa both   sdpa beside a padded text both
#   stablelm  eager both   sdpa left   sdpa beside a padded text both
#   nemotron  eager both   sdpa left   sdpa beside a padded text both
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 numpy==2.4.6

HF_HOME=$place HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$place/venv/bin/python" - "$place/model" <<'PY'
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = dict(vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=2)
SIZES |= dict(num_attention_heads=2, num_key_value_heads=2, pad_token_id=0)
OPT = dict(ffn_dim=16, word_embed_proj_dim=16)
TEXT, OTHER = [3, 4, 5, 6, 7], [3, 4, 5, 6, 8]  # they differ in the last token


def sides(family, attention, padded=False):
    """The sides that a place sees, of a model that was saved and read."""
    torch.manual_seed(0)
    sizes = SIZES | (OPT if family == "opt" else {})
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes, is_causal=False))
    for values in made.parameters():
        torch.nn.init.normal_(values, std=0.3)
    made.save_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], attn_implementation=attention)
    assert model.config.is_causal is False
    logits = []
    for text in (TEXT, OTHER):
        rows = [text, [3, 4, 0, 0, 0]][: 1 + padded]
        mask = (torch.tensor(rows) != 0).long()
        with torch.no_grad():
            logits.append(model.eval()(torch.tensor(rows), attention_mask=mask).logits[0, 0])
    return "left" if torch.equal(*logits) else "both"


transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
print("transformers", transformers.__version__)
seen = {}
for family in ("llama", "opt", "stablelm", "nemotron"):
    found = sides(family, "eager"), sides(family, "sdpa"), sides(family, "sdpa", padded=True)
    print("{:9} eager {}   sdpa {}   sdpa beside a padded text {}".format(family, *found))
    seen[family] = found
right, wrong = ("both", "both", "both"), ("both", "left", "both")
raise SystemExit(seen != {"llama": right, "opt": right, "stablelm": wrong, "nemotron": wrong})
PY
