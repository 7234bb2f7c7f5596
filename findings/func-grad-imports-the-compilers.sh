#!/bin/sh
# torch 2.13.0, CPU: an eager gradient by torch.func.grad imports PyTorch's compilers.
#
# Expected: what torch.func.grad and torch.autograd.grad give outside of torch.compile needs no more
# than autograd, so both start alike, and a variable that is of compiling alone changes neither.
# Happens: at its first call torch.func.grad imports torch._dynamo, and that torch._inductor: some
# 800 modules, for most of a second or more. With a setting of the compilers that they cannot read
# (here TORCHINDUCTOR_COMPILE_THREADS=many) it raises, though nothing is compiled;
# torch.autograd.grad works. The gradients are the same bits.
#
# Seen (Python 3.11):
#   torch 2.13.0+cpu
#   autograd.grad: imports no compiler
#   func.grad: imports torch._dynamo and torch._inductor, over 500 modules
#   with a setting of the compilers that cannot be read
#   autograd.grad: imports no compiler
#   func.grad: raises ValueError
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6

cat > "$place/gradient.py" <<'PY'
import sys

import torch


def loss(x):
    return (x.sin() * x).sum()


def by_autograd(x):
    x = x.requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


ways = {"autograd.grad": by_autograd, "func.grad": torch.func.grad(loss)}
way, expected = sys.argv[1:]
before = set(sys.modules)
try:
    found = ways[way](torch.linspace(0, 3, 100))
except Exception as error:
    told = f"raises {type(error).__name__}"
else:
    assert torch.equal(found, by_autograd(torch.linspace(0, 3, 100)))
    new = set(sys.modules) - before
    told = " and ".join(n for n in ("torch._dynamo", "torch._inductor") if n in new)
    told = f"imports {told or 'no compiler'}" + ", over 500 modules" * (len(new) > 500)
print(f"{way}: {told}")
raise SystemExit(told != expected)
PY
run() { "$place/venv/bin/python" "$place/gradient.py" "$1" "$2"; }
"$place/venv/bin/python" -c 'import torch; print("torch", torch.__version__)'
run autograd.grad "imports no compiler"
run func.grad "imports torch._dynamo and torch._inductor, over 500 modules"
echo "with a setting of the compilers that cannot be read"
export TORCHINDUCTOR_COMPILE_THREADS=many
run autograd.grad "imports no compiler"
run func.grad "raises ValueError"
