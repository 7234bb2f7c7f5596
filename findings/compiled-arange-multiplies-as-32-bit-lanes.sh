#!/bin/sh
# torch 2.13.0, CPU: a compiled `torch.arange(n) * constant` is wrong in some lanes of a vector.
#
# Range and result are int64. Expected: what eager gives. Happens: the generated C++ makes the
# constant the step of a vector's lanes, and writes it as an int where it fits one. Step times
# lane is then a product of 32 bits: late lanes overflow while the first are right. So a hash or a
# counter by row is wrong in half its rows or more, without a word, and right again from 2**31 on.
# Where it starts depends on the processor: about 2**28 with eight lanes (AVX-512), 2**29 with four
# (AVX2). A range that comes in as an argument is multiplied rightly. Of GPUs a like fault is
# known, in all rows that need more than 32 bits. Needs g++ and a processor with AVX2 or AVX-512.
#
# Seen (AVX-512, g++ 12, Python 3.11; 1000 rows):
#   torch 2.13.0+cpu AVX512
#   2**27 + 1: wrong rows 0
#   2**29 + 1: wrong rows 748
#   2**30 + 1: wrong rows 874
#   2**31 + 1: wrong rows 0
#   2**30 + 1, the range an argument: wrong rows 0
#   row 2 of 2**30 + 1: eager 2147483650, compiled -2147483646
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6

TORCHINDUCTOR_CACHE_DIR=$place OMP_NUM_THREADS=1 "$place/venv/bin/python" - <<'PY'
import torch

ROWS = 1000


def inside(zeros, constant):
    return torch.arange(ROWS) * constant + zeros


def argument(rows, constant):
    return rows * constant


def wrong(function, tensor, power):
    constant = 2**power + 1
    torch._dynamo.reset()  # else the constant becomes an input of a shared program
    eager, compiled = function(tensor, constant), torch.compile(function)(tensor, constant)
    assert eager.dtype == compiled.dtype == torch.int64
    return int((eager != compiled).sum()), eager[2].item(), compiled[2].item()


print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
zeros = torch.zeros(ROWS, dtype=torch.int64)
seen = {power: wrong(inside, zeros, power) for power in (27, 29, 30, 31)}
for power, (rows, _, _) in seen.items():
    print(f"2**{power} + 1: wrong rows {rows}")
given = wrong(argument, torch.arange(ROWS), 30)[0]
print(f"2**30 + 1, the range an argument: wrong rows {given}")
print(f"row 2 of 2**30 + 1: eager {seen[30][1]}, compiled {seen[30][2]}")
right = seen[27][0] == seen[31][0] == given == 0
raise SystemExit(not (right and seen[29][0] and seen[30][0]))
PY
