#!/bin/sh
# transformers 5.24.0: `logits_scaling` divides the logits of Granite, multiplies HyperCLOVA X's.
#
# Both families have the setting, under one name, with the default 1.0. Expected: one meaning, so
# that what reads a config.json need not know the family. Happens: at 4.0 Granite's logits are a
# quarter of those at 1.0, HyperCLOVA X's four times as large. A reader that knows only the key is
# wrong by the square of it in one of them.
#
# Seen (tiny random models, torch 2.13.0 on a CPU, Python 3.11):
#   transformers 5.24.0
#   granite      logits at 4.0 / logits at 1.0: 0.25
#   hyperclovax  logits at 4.0 / logits at 1.0: 4.0
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 numpy==2.4.6

HF_HOME=$place HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$place/venv/bin/python" - <<'PY'
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = dict(vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=1)
SIZES |= dict(num_attention_heads=2, num_key_value_heads=2)


def logits(family, scaling):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, logits_scaling=scaling)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        return model(torch.tensor([[3, 4, 5]])).logits


print("transformers", transformers.__version__)
seen = {}
for family in ("granite", "hyperclovax"):
    ratios = logits(family, 4.0) / logits(family, 1.0)
    assert torch.allclose(ratios, ratios.mean())
    seen[family] = round(ratios.mean().item(), 4)
    print(f"{family:12} logits at 4.0 / logits at 1.0: {seen[family]}")
raise SystemExit(seen != {"granite": 0.25, "hyperclovax": 4.0})
PY
