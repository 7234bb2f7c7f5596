"""The page "Train it here" computes what the library defines: its engine, in Node.js."""

import json
import runpy
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from semantica_lib.analysis.claims import MERGE_MARGIN, Measured
from semantica_lib.analysis.distances import Pair
from semantica_lib.analysis.sweep_points import stored
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.datasets.contexts import SPLITS
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import find, settings
from semantica_lib.store import results
from semantica_lib.store.results import Result
from semantica_lib.trainers.measuring import measure
from semantica_lib.trainers.stacked import Stack, State

FOLDER = ROOT / "book" / "extra" / "trainer"
CODE = ("kernel.js", "engine.js", "trainer.js")
TRIALS = [(42, True), (42, False), (7, True), (99, False)]
# Probability of the first symbol of bit 0, of bit 1; decay.
SETTINGS = {
    "the paper's": (0.1, 0.5, 0.1),
    "even": (0.5, 0.5, 0.1),
    "no decay": (0.1, 0.9, 0.0),
    "almost certain": (0.01, 0.99, 1.0),
}
MAIN = find("transformer-small")
LATER = [0, 1, 9_999, 10_000, 20_001, 149_999]
RUN = """
const { readFileSync } = require("fs");
const { runInThisContext } = require("vm");
const folder = process.argv[1];
for (const name of ["kernel", "starts", "engine"])
    runInThisContext(readFileSync(`${folder}/${name}.js`, "utf8"));
function drawn({ exports, job }, step) {
    const view = () => new DataView(exports.memory.buffer);
    const at = exports.memory.grow(1) * 65536;
    view().setBigInt64(job + 56, BigInt(step), true);
    const count = exports.drawn(job, at, at + 4 * exports.room());
    const words = [...new Uint32Array(exports.memory.buffer, at, 3 * exports.room())];
    const of = (plane) => words.slice(plane * exports.room(), plane * exports.room() + count);
    return [of(0), of(1)];
}
async function run({ own, steps, draws, later }) {
    const engine = await semanticaEngine(semanticaKernel, semanticaStarts, own);
    const start = [...engine.arrays.flat];
    engine.advance(steps);
    const record = engine.record();
    record.tables = record.tables.map((table) => [...table]);
    const factors = later.map(engine.factors);
    const { least, arrays } = engine;
    return { start, flat: [...arrays.flat], record, least, factors,
        clock: engine.clock(later),
        draws: draws.map((step) => drawn(engine, step)) };
}
const asked = JSON.parse(readFileSync(0, "utf8"));
Promise.all(asked.map(run)).then((all) => console.log(JSON.stringify(all)));
"""


@cache
def build() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "book" / "trainer" / "build.py"))


def held(name: str) -> dict[str, Any]:
    """What a script that was built holds."""
    return json.loads((FOLDER / name).read_text().partition("=")[2].strip().rstrip(";"))


def asked(zero: float, one: float, decay: float, trials: list[tuple[int, bool]]) -> dict[str, Any]:
    each = [{"seed": seed, "tied": tied} for seed, tied in trials]
    return {"zero": zero, "one": one, "decay": decay, "trials": each}


def stack_of(zero: float, one: float, decay: float, trials: list[tuple[int, bool]]) -> Stack:
    odds = {"zero_dst": [zero, 1 - zero], "one_dst": [one, 1 - one]}
    own = settings(odds | {"weight_decay": decay})
    return Stack(own, *map(list, zip(*trials, strict=True)), dtype=torch.float64)


@cache
def defined(name: str, steps: int = 100) -> tuple[Stack, State]:
    """The library's own definition after so many steps, in double precision."""
    stack = stack_of(*SETTINGS[name], TRIALS)
    state, step = stack.initial(), stack.stepper(steps)
    for _ in range(steps):
        state, _ = step(state)
    return stack, state


def node(*runs: dict[str, Any]) -> list[dict[str, Any]]:
    """What Node.js makes of these runs."""
    found = shutil.which("node")
    if not found:
        pytest.skip("no Node.js is found")
    filled = [{"steps": 100, "draws": [], "later": []} | run for run in runs]
    done = subprocess.run(
        [found, "-e", RUN, str(FOLDER)], input=json.dumps(filled), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def trained() -> dict[str, dict[str, Any]]:
    """The first hundred steps by all settings."""
    found = node(*({"own": asked(*own, TRIALS), "later": LATER} for own in SETTINGS.values()))
    return dict(zip(SETTINGS, found, strict=True))


def assert_near(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    found, expected = (torch.as_tensor(one, dtype=torch.float64) for one in (found, expected))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_hundred_steps_are_those_of_the_definition(name: str) -> None:
    found, (stack, state) = trained()[name], defined(name)
    flat = torch.tensor(found["flat"]).reshape(state.flat.shape)
    ours, theirs = stack.layout.views(flat), stack.layout.views(state.flat)
    for part, values in theirs.items():
        if part.endswith("in_proj_bias"):  # the keys' has no true gradient (see test_stacked)
            query, _, value = values.chunk(3, 1)
            own_query, _, own_value = ours[part].chunk(3, 1)
            assert_near(own_query, query)
            assert_near(own_value, value)
        else:
            assert_near(ours[part], values)
    tables = torch.stack(stack.tables(state), 1).flatten(1)
    assert_near(found["record"]["tables"], tables)
    moved = (tables - torch.stack(stack.tables(stack.initial()), 1).flatten(1)).abs()
    assert moved.amax(1).min() > 1e-2  # a hundred steps are more than nothing


@pytest.mark.parametrize("name", SETTINGS)
def test_what_it_measures_is_what_the_library_measures(name: str) -> None:
    found, (stack, state) = trained()[name], defined(name)
    measured, _, gaps = measure(stack, state)
    assert_near(found["record"]["losses"], measured[SPLITS.index("train"), 1])
    assert_near(found["record"]["gaps"], gaps[:, :, 0])
    assert_near(found["least"], stack.task.ceiling("train")[1], 1e-9)
    assert_near(found["clock"], decay_factor(stack.settings, np.array(LATER)), 1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_begins_with_the_library_s_weights_and_keeps_its_schedule(name: str) -> None:
    found, stack = trained()[name], stack_of(*SETTINGS[name], TRIALS)
    start = stack.initial().flat.float().flatten().tolist()
    assert found["start"] == start
    expected = stack.factors(torch.tensor(LATER)[:, None], stack.traits)[:, 0]
    np.testing.assert_allclose(found["factors"], expected, rtol=1e-12)


def test_draws_are_those_of_the_task_bit_for_bit() -> None:
    steps = [0, 1, 149_999, 2**32 + 5]
    ways = [(own, seed) for own in SETTINGS.values() for seed in (0, 42, 99)]
    runs = [asked(*own, [(seed, False)]) for own, seed in ways]
    found = node(*({"own": run, "steps": 1, "draws": steps} for run in runs))
    for (own, seed), one in zip(ways, found, strict=True):
        stack = stack_of(*own, [(seed, False)])
        for step, (codes, hides) in zip(steps, one["draws"], strict=True):
            state = replace(stack.initial(), step=torch.tensor(step))
            batch = stack.batch(state, stack.traits)
            expected: Counter[tuple[int, int]] = Counter()
            for tokens, target in zip(batch.tokens[0].T.tolist(), batch.target[0], strict=True):
                code = sum(tokens.count(j) << 3 * j for j in range(4)) + (tokens.count(5) << 31)
                expected[code, int(target)] += 1
            drawn = {
                (code, j): word >> 8 * j & 255
                for code, word in zip(codes, hides, strict=True)
                for j in range(4)
                if word >> 8 * j & 255
            }
            assert drawn == expected


def test_the_built_files_are_those_of_the_sources() -> None:
    kernel, starts = held("kernel.js"), held("starts.js")
    again = "run `make trainer`, which needs clang and lld, and commit what it writes"
    assert kernel["source"] == build()["source"](), f"the kernel's sources have changed: {again}"
    assert kernel["task"] == json.loads(json.dumps(build()["task"]())), again
    assert starts["first"] == build()["SEEDS"][0]
    assert starts["weights"] == build()["text"](build()["starts"]()), again


def test_the_page_s_code_is_small() -> None:
    assert sum((FOLDER / name).stat().st_size for name in CODE) < 40_000
    assert set(results.PAPER_SEEDS) <= set(build()["SEEDS"]) and MAIN.steps == 150_000


def test_it_goes_the_way_of_the_published_trials() -> None:
    result = results.load(results.PUBLISHED / MAIN.experiment)
    assert result is not None
    trials = [(42, True), (42, False), (43, True), (43, False)]
    (found,) = node({"own": asked(*SETTINGS["the paper's"], trials), "steps": 2_000})
    record = result.steps.tolist().index(2_000)
    for (seed, tied), tables in zip(trials, found["record"]["tables"], strict=True):
        (trial,) = np.flatnonzero((result.seed == seed) & (result.tied == tied))
        there = [result.input_embedding[trial, record], result.output_embedding[trial, record]]
        assert_near(tables, np.stack(there).flatten())


def shares_of(result: Result | None) -> dict[tuple[str, Pair], tuple[float, float]]:
    """Of each table and pair the medians over seeds of a result's distance at its end: as a share
    of the control pairs', and of what it was at the start."""
    assert result is not None
    found = {}
    for tied, trials in Measured(result).trials.items():
        for table in ("input",) if tied else ("input", "output"):
            for pair in ((0, 1), (2, 3)):
                share, apart = trials.ratio(table, pair)[0], trials.ended(table, pair)
                name = "tied" if tied else table
                found[name, pair] = float(np.median(share)), float(np.median(apart))
    return found


def test_the_presets_show_what_they_say() -> None:
    """By the published results of their settings, or of the nearest."""
    found = {}
    for point in stored("phase"):
        where = point.settings.zero_dst[0], point.settings.weight_decay
        if where in ((0.1, 0.1), (0.5, 0.1), (0.1, 0.0), (0.01, 0.1)):
            found[where] = shares_of(point.result)
    paper, even = found[0.1, 0.1], found[0.5, 0.1]
    none, certain = found[0.1, 0.0], found[0.01, 0.1]
    fails = shares_of(results.load(results.PUBLISHED / "transformer-small-ndh"))
    ab, cd = (0, 1), (2, 3)
    merged, clock = MERGE_MARGIN, decay_factor(MAIN, np.array([MAIN.steps]))[0]
    for name in ("tied", "output"):
        assert paper[name, cd][0] < merged < 0.3 < paper[name, ab][0]
        assert even[name, ab][0] < merged > even[name, cd][0]
        assert fails[name, cd][0] > 0.3
        assert certain[name, ab][1] > paper[name, ab][1]
    for pair in (ab, cd):
        assert paper["input", pair][1] == pytest.approx(clock, rel=0.25)
    assert fails["input", cd][1] == pytest.approx(clock, rel=0.25)
    assert min(share for share, _ in none.values()) > 0.3
    assert min(left for _, left in none.values()) > 0.3
