"""How fast the kernel is beside JAX (jit, vmap, scan) on the same work; optional, installs JAX.

For each of the experiments named (a transformer of one layer and one head; default: the main one)
it prints ``NAME/jax MS ms RATIOx``: milliseconds of a step of ten trials in JAX, mean of tied and
untied, and how many times as long as the kernel's that is. Both run on one thread in one process,
by turns; ``book/results/bench-jax.json`` keeps what was found. JAX comes from the package registry
into a temporary folder, which is removed. Before anything is timed, JAX's loss and gradient are
compared with those of plain PyTorch.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from semantica_lib.files import ROOT, write_whole
from semantica_lib.models import encoders
from semantica_lib.settings.catalogue import find
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.stacked import xor_task

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest does
from bench import TIES, TRIALS, by_turns, machine, our_loop, rounded, significant
from plain import PlainModel

FILE = ROOT / "book" / "results" / "bench-jax.json"
VERSION = "0.10.2"
INPUT, OUTPUT = "input_embedding.weight", "output_embedding.weight"
LAYER = "encoder.layers.0."
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
AGREE = 1e-5
AT_ONCE = 100  # steps of a call


def hidden(jax: Any, own: Settings, named: dict[str, Any], tokens: Any) -> Any:
    """The encoder's output at the masked place ``(string, feature)`` of ``(string, place)``.

    As the library has it: attention runs over the symbols, each with the log of its count.
    """
    jnp = jax.numpy

    def at(name: str) -> Any:
        return named[LAYER + name]

    def norm(name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * at(f"{name}.weight") + at(f"{name}.bias")

    def linear(name: str, x: Any) -> Any:
        return x @ at(f"{name}.weight").T + at(f"{name}.bias")

    table = named[INPUT]
    maps = jnp.split(at("self_attn.in_proj_weight"), 3), jnp.split(at("self_attn.in_proj_bias"), 3)
    query, key, value = (table @ weight.T + bias for weight, bias in zip(*maps, strict=True))
    counts = (tokens[:, :, None] == jnp.arange(len(table))).sum(1)  # (string, symbol)
    scores = key @ query[-1] / own.embedding_size**0.5  # the mask, which asks, has the last row
    mixed = jax.nn.softmax(scores + jnp.log(counts)) @ value
    first = norm("norm1", table[-1] + linear("self_attn.out_proj", mixed))
    active = partial(jax.nn.gelu, approximate=False) if own.activation == "gelu" else jax.nn.relu
    return norm("norm2", first + linear("linear2", active(linear("linear1", first))))


def loss(jax: Any, own: Settings, named: dict[str, Any], tokens: Any, target: Any) -> Any:
    """The mean cross-entropy of the symbols at the masked places."""
    output = named.get(OUTPUT, named[INPUT])  # tied: there is only one
    logits = hidden(jax, own, named, tokens) @ output.T
    told = jax.nn.log_softmax(logits)
    hit = target[:, None] == jax.numpy.arange(len(output))
    return -jax.numpy.where(hit, told, 0).sum(1).mean()


def jax_loop(jax: Any, own: Settings, tied: bool, trials: int) -> Callable[[int], None]:
    """A function that trains so many trials for so many times AT_ONCE more steps."""
    jnp, task = jax.numpy, xor_task(own)
    strings = jnp.asarray(task.splits["train"].numpy())
    limits = [np.cumsum(shares)[:-1] for shares in (task.zero_dst, task.one_dst)]
    (beta1, beta2), half = own.betas, own.schedule_period // 2

    def drawn(key: Any) -> tuple[Any, Any]:
        keys = jax.random.split(key)
        drawn = jax.random.uniform(keys[0], strings.shape)
        zero, one = (sum((drawn >= limit).astype(int) for limit in each) for each in limits)
        symbols = jnp.where(strings == 0, zero, len(task.zero_dst) + one)
        place = jax.random.randint(keys[1], (len(strings),), 0, own.bits)
        masked = place[:, None] == jnp.arange(own.bits)
        parity = task.parity + strings.sum(1, keepdims=True) % 2
        tokens = jnp.concatenate([jnp.where(masked, task.mask, symbols), parity], 1)
        return tokens, jnp.where(masked, symbols, 0).sum(1)

    def step(carry: Any, number: Any) -> tuple[Any, Any]:
        named, first, second, key = carry
        key, own_key = jax.random.split(key)
        gradient = jax.grad(lambda one: loss(jax, own, one, *drawn(own_key)))(named)
        low, high = own.learning_rate_min or 0.0, own.learning_rate
        rate = low + (high - low) * (1 + jnp.cos(jnp.pi * number / half)) / 2
        each = jax.tree.map
        first = each(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradient)
        second = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradient)
        now = number + 1.0

        def moved(w: Any, m: Any, v: Any) -> Any:
            way = (m / (1 - beta1**now)) / (jnp.sqrt(v / (1 - beta2**now)) + own.eps)
            return w * (1 - rate * own.weight_decay) - rate * way

        table = named[INPUT]
        distances = jnp.sqrt(((table[:, None] - table[None]) ** 2).sum(-1))
        return (each(moved, named, first, second), first, second, key), distances[0, 1]

    @partial(jax.jit, donate_argnums=0)
    def advance(carry: Any, begin: Any) -> tuple[Any, Any]:
        numbers = begin + jnp.arange(AT_ONCE, dtype=jnp.float32)
        return jax.vmap(lambda one: jax.lax.scan(step, one, numbers))(carry)

    each = [starts(jax, own, tied, seed) for seed in range(trials)]
    named = jax.tree.map(lambda *rows: jnp.stack(rows), *each)
    zero = jax.tree.map(jnp.zeros_like, named)
    keys = jax.random.split(jax.random.key(0), trials)
    carry, done = (named, zero, jax.tree.map(jnp.copy, zero), keys), 0

    def run(times: int) -> None:
        nonlocal carry, done
        for _ in range(times):
            carry, seen = advance(carry, float(done))
            done += AT_ONCE
        jax.block_until_ready(seen)

    return run


def starts(jax: Any, own: Settings, tied: bool, seed: int) -> dict[str, Any]:
    """A trial's initial weights, by name."""
    named = encoders.initial(own, xor_task(own).vocabulary, seed)
    kept = {name: value for name, value in named.items() if not (tied and name == OUTPUT)}
    return {name: jax.numpy.asarray(value.detach().numpy()) for name, value in kept.items()}


def agrees(jax: Any, own: Settings, tied: bool) -> float:
    """How far JAX's loss and gradient are from plain PyTorch's, at most."""
    task = xor_task(own)
    model = PlainModel(own, task.vocabulary, tied)
    named = encoders.initial(own, task.vocabulary, 42)
    model.load_state_dict(named | ({OUTPUT: named[INPUT]} if tied else {}))
    strings = task.splits["train"]
    place, rows = torch.arange(len(strings)) % own.bits, torch.arange(len(strings))
    tokens = torch.cat([strings * len(task.zero_dst), task.parity + strings.sum(1, True) % 2], 1)
    target = tokens[rows, place].clone()
    tokens[rows, place] = task.mask
    out = cross_entropy(model.logits(tokens)[rows, place], target)
    out.backward()
    data = (jax.numpy.asarray(part.numpy()) for part in (tokens, target))
    value, gradient = jax.value_and_grad(lambda one, *rest: loss(jax, own, one, *rest))(
        starts(jax, own, tied, 42), *data
    )
    theirs = dict(model.named_parameters())
    return max(
        abs(float(value) - out.item()),
        *(abs(theirs[name].grad.numpy() - gradient[name]).max() for name in gradient),
    )


def main(names: list[str]) -> None:
    """Install, compare, time, print."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        wanted = [sys.executable, "-m", "pip", "install", "-q", "--target", folder]
        subprocess.run([*wanted, f"jax[cpu]=={VERSION}"], check=True)
        sys.path.append(folder)  # after what is installed, which so stays as it is
        os.environ |= {"XLA_FLAGS": ONE_THREAD, "JAX_PLATFORMS": "cpu"}
        import jax

        for name in names or ["transformer-small"]:
            own = find(name)
            off = max(agrees(jax, own, tied) for tied in TIES.values())
            print(f"JAX {VERSION}: loss and gradient within {off:.1e}", file=sys.stderr)
            if off > AGREE:
                raise SystemExit("JAX computes something else: nothing is timed")
            loops = {}
            for tie, tied in TIES.items():
                ours = our_loop(own, tied, TRIALS)
                loops[f"kernel {tie}"] = lambda times, ours=ours: ours(times * AT_ONCE)
                loops[f"jax {tie}"] = jax_loop(jax, own, tied, TRIALS)
            ms = {loop: each / AT_ONCE for loop, each in by_turns(loops).items()}
            jax_ms, ours = (mean(ms[f"{kind} {tie}"] for tie in TIES) for kind in ("jax", "kernel"))
            figure = {"jax_ms": jax_ms, "kernel_ms": ours, "ratio": jax_ms / ours}
            about = {"jax": VERSION, "trials": TRIALS, "machine": machine()}
            stored = json.loads(FILE.read_text()) if FILE.exists() else {}
            stored[name] = rounded(figure) | about | {"date": datetime.now(UTC).date().isoformat()}
            write_whole(FILE, (json.dumps(stored, indent=1, sort_keys=True) + "\n").encode())
            print(f"{name}/jax {significant(jax_ms)} ms {significant(jax_ms / ours)}x", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
