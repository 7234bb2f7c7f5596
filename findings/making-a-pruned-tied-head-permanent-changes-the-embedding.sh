#!/bin/sh
# torch 2.13.0: `prune.remove`, which should change no output, changes what a tied model reads.
#
# Pruning or spectral_norm of an output layer whose weight is the input table's alters one use of the
# table: the head writes with the altered one, the embedding reads the whole one. Both are made
# permanent by a call that leaves the layer as it is (`prune.remove`, `remove_parametrizations`).
# Expected: the model computes what it did before the call. Happens: the altered values are written
# into the parameter that both share. The embedding reads them from then on, and the outputs are
# others, without a word; the tie is still there. After weight_norm nothing changes, for it gives the
# head a parameter of its own: the tie is gone as soon as it is applied.
#
# Seen (Python 3.11, CPU; 50 symbols, 8 numbers a row, half of the numbers pruned):
#   torch 2.13.0+cpu
#   untied, pruned: outputs off by 0.0 after, embedding moved by 0.0
#   tied, pruned: outputs off by 4.0 after, embedding moved by 0.6, one table
#   tied, spectral_norm: outputs off by 2.3 after, embedding moved by 3.7, one table
#   tied, weight_norm: outputs off by 0.0 after, embedding moved by 0.0, two tables
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6

cat > "$place/permanent.py" <<'PY'
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

SYMBOLS, SIZE = 50, 8
tokens = torch.arange(SYMBOLS)


def change(kind, tied):
    """Outputs and embedding before and after the change of the head is made permanent."""
    torch.manual_seed(0)
    embedding, head = nn.Embedding(SYMBOLS, SIZE), nn.Linear(SIZE, SYMBOLS, bias=False)
    if tied:
        head.weight = embedding.weight
    if kind == "pruned":
        prune.l1_unstructured(head, "weight", 0.5)
    else:
        getattr(parametrizations, kind)(head)
    head.eval()  # or spectral_norm takes another step of its power iteration at each call
    with torch.no_grad():
        outputs, table = head(embedding(tokens)), embedding.weight.clone()
        if kind == "pruned":
            prune.remove(head, "weight")
        else:
            parametrize.remove_parametrizations(head, "weight")
        off = (head(embedding(tokens)) - outputs).abs().max().item()
        moved = (embedding.weight - table).abs().max().item()
    tables = ", " + ("one table" if head.weight is embedding.weight else "two tables")
    told = "tied" if tied else "untied"
    told += f", {kind}: outputs off by {off:.1f} after, embedding moved by {moved:.1f}"
    print(told + tables * tied)
    return off > 0.5, moved > 0.5, head.weight is embedding.weight


print("torch", torch.__version__)
seen = [
    change("pruned", False), change("pruned", True), change("spectral_norm", True),
    change("weight_norm", True),
]
kept, changed, untied = (False, False, False), (True, True, True), (False, False, False)
raise SystemExit(seen != [kept, changed, changed, untied])
PY
"$place/venv/bin/python" "$place/permanent.py"
