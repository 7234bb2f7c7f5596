#!/bin/sh
# Keras 3.15.1: an untied ReversibleEmbedding starts its two tables from the same numbers.
#
# With tie_weights=False the layer holds a second table, (width, words) beside (words, width).
# Expected: two draws, as an Embedding and a Dense with the same initializer get. Happens: both
# tables come from one initializer object, and its seed is a constant, so both are filled with
# the same numbers in the same order: the second is the first, reshaped (not transposed). This is
# so with the default, with a name and with an object, seeded or not. With as many words as
# columns the two start equal. Only an initializer with a SeedGenerator gives two draws. So an
# untied model built this way does not start from independent tables.
#
# Seen (torch 2.13.0 as the backend, Python 3.11):
#   keras 3.15.1
#   the default             same numbers: True   correlation 1.00
#   'random_normal'         same numbers: True   correlation 1.00
#   RandomNormal(seed=None) same numbers: True   correlation 1.00
#   SeedGenerator           same numbers: False
#   Embedding and Dense     same numbers: False
#   6 words of 6 columns    equal tables: True
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q keras==3.15.1 torch==2.13.0 numpy==2.4.6

KERAS_BACKEND=torch OMP_NUM_THREADS=1 KERAS_HOME=$place "$place/venv/bin/python" - <<'PY'
import keras
import numpy as np

keras.utils.set_random_seed(1)
Normal, array = keras.initializers.RandomNormal, keras.ops.convert_to_numpy


def tables(words=6, width=4, **initializer):
    layer = keras.layers.ReversibleEmbedding(words, width, tie_weights=False, **initializer)
    layer.build()
    return array(layer.embeddings), array(layer.reverse_embeddings)


def same(first, second):
    return np.array_equal(first.ravel(), second.ravel())


print("keras", keras.__version__)
held = True
cases = {"the default": {}, "'random_normal'": {"embeddings_initializer": "random_normal"}}
cases["RandomNormal(seed=None)"] = {"embeddings_initializer": Normal()}
for name, initializer in cases.items():
    first, second = tables(**initializer)
    held &= same(first, second)
    correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    print(f"{name:23} same numbers: {same(first, second)}   correlation {correlation:.2f}")

drawn = tables(embeddings_initializer=Normal(seed=keras.random.SeedGenerator(1)))
print(f"{'SeedGenerator':23} same numbers: {same(*drawn)}")
embedding = keras.layers.Embedding(6, 4)
dense = keras.layers.Dense(6, kernel_initializer="uniform")
embedding.build()
dense.build((None, 4))
apart = array(embedding.embeddings), array(dense.kernel)
print(f"{'Embedding and Dense':23} same numbers: {same(*apart)}")
square = np.array_equal(*tables(6, 6))
print(f"{'6 words of 6 columns':23} equal tables: {square}")
raise SystemExit(not (held and square and not same(*drawn) and not same(*apart)))
PY
