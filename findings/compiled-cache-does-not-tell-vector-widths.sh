#!/bin/sh
# torch 2.13.0, CPU: compiled code that is kept for AVX-512 is taken with AVX2, and is then wrong.
#
# PyTorch keeps compiled graphs in TORCHINDUCTOR_CACHE_DIR and finds them by a key of the graph, the
# inputs and its settings. Expected: of the processor's vectors, too, for the C++ that is kept
# counts in steps of so many lanes. Happens: that is not in the key. With AVX2 the graph of AVX-512
# is found, its C++ is built anew for AVX2, and goes through rows in steps of 16 with vectors of 8:
# sums over rows are far off, without a word. So it may be wherever machines with and without
# AVX-512 share a folder, as nodes of a cluster share a home. `cpp.simdlen`, which is in the key, set
# to the width of each machine's vectors (512, 256) keeps them apart. Here one machine stands for
# two, by ATEN_CPU_CAPABILITY. Needs g++ and a processor with AVX-512.
#
# Seen (AVX-512, g++ 12, Python 3.11; 64 rows of 1000 numbers between 0 and 1):
#   torch 2.13.0+cpu
#   AVX512, empty folder: graph not found, sums off by 0.0
#   AVX2, empty folder of its own: graph not found, sums off by 0.0
#   AVX2, the folder of AVX512: graph found, sums off by 134.1
#   AVX2, the same folder, simdlen set: graph not found, sums off by 0.0
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6

cat > "$place/sums.py" <<'PY'
import sys

import torch
from torch._dynamo.utils import counters


def sums(x, y):
    return torch.softmax(torch.sin(x) * y + x.exp(), -1), (x * y).sum(-1)


random = torch.Generator().manual_seed(0)
x, y = (torch.rand(64, 1000, generator=random) for _ in range(2))
options = {"cpp.simdlen": 256} if "set" in sys.argv[1] else {}
compiled, eager = torch.compile(sums, options=options)(x, y), sums(x, y)
off = max((a - b).abs().max().item() for a, b in zip(compiled, eager))
found = counters["inductor"]["fxgraph_cache_hit"]
print(f"{sys.argv[1]}: graph {'' if found else 'not '}found, sums off by {off:.1f}")
raise SystemExit((off > 1) != (sys.argv[2] == "wrong"))
PY
run() {
    TORCHINDUCTOR_CACHE_DIR="$place/$1" OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY="$2" \
        "$place/venv/bin/python" "$place/sums.py" "$3" "$4"
}
"$place/venv/bin/python" -c 'import torch; print("torch", torch.__version__)'
run wide avx512 "AVX512, empty folder" right
run narrow avx2 "AVX2, empty folder of its own" right
run wide avx2 "AVX2, the folder of AVX512" wrong
run wide avx2 "AVX2, the same folder, simdlen set" right
