"""Strategies of hypothesis that draw good input, input that is nearly good, and junk."""

import copy
import string
from typing import Any

import yaml
from hypothesis import strategies as st

from semantica_lib.settings.catalogue import CATALOGUE
from semantica_lib.settings.sweeps import FOLDER
from semantica_lib.settings.xor import SCHEDULES, SIZES, Settings, training_strings

MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))",
    "![x](javascript:alert(1))", "<javascript:alert(1)>", "a | b", "`code`", "``", "$x$", "$$",
    "\\", "&lt;b&gt;", "# head", "```{raw} html", "{raw}`x`", "<!--", "]]>", "\n\n", "\n", "_", "*",
    "~~x~~", "--- \n", ":::{note}", "www.example.org", "\\(x\\)", "|", '"', "'", "--", "1. x",
    "(x)=", "% x",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 3, 0.5, 1.0, 1e308, 1e-320, -0.0, 10**9, 10**9 + 1, 2**31, 2**63, 2**64, 10**30,
    float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
WORDS = [
    "5e-4",
    "tied",
    "cpu",
    "transformer",
    "x\ny",
    "\x1b[31m",
    "é\u2028",
    "9" * 5000,
    "a" * 3000,
]

# too many digits for Python to write them down, hypothesis included
huge = st.sampled_from([400, 5000]).map(lambda digits: 10**digits)
scalars = (
    st.sampled_from(NUMBERS) | st.sampled_from(WORDS) | st.sampled_from(MARKUP) | st.none()
    | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
    | st.binary(max_size=8)
)  # fmt: skip


def nested(leaves: st.SearchStrategy) -> st.SearchStrategy:
    """Lists and mappings of these, or one of them."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
        ),
        max_leaves=6,
    )


jsonable = nested(
    st.sampled_from(NUMBERS) | st.none() | st.booleans() | st.integers() | st.text(max_size=20)
)
writable = nested(scalars)  # by YAML
anything = nested(scalars | huge)
markup = st.lists(st.sampled_from(MARKUP) | st.text(max_size=10), min_size=1, max_size=3).map(
    " ".join
)


def misspelt(name: str) -> st.SearchStrategy[str]:
    """The name with a letter too many, one too few or another one."""
    places, letters = st.integers(0, len(name) - 1), st.sampled_from(string.printable)
    return st.tuples(places, letters, st.booleans()).map(
        lambda drawn: name[: drawn[0]] + drawn[1] * drawn[2] + name[drawn[0] + 1 :]
    )


# --- settings --------------------------------------------------------------------------------


@st.composite
def distributions(draw: st.DrawFn) -> list[float]:
    """Probabilities of one to three synonyms, some perhaps 0."""
    shares = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3).filter(any))
    return [share / sum(shares) for share in shares]


@st.composite
def small_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Values that make settings, of any kind, which train in no time."""
    values: dict[str, Any] = {
        "steps": 3,
        "seeds": draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=2, unique=True)),
        "ties": draw(st.sampled_from([["tied"], ["untied"], ["untied", "tied"]])),
        "bits": draw(st.integers(2, 4)),
        "zero_dst": draw(distributions()),
        "one_dst": draw(distributions()),
        "layers": draw(st.integers(1, 2)),
        "embedding_size": draw(st.integers(1, 4)),
        "architecture": draw(st.sampled_from(list(SIZES))),
        "expectation": draw(st.sampled_from(["sampled", "exact"])),
        "optimizer": draw(st.sampled_from(["adamw", "adam", "sgd"])),
        "schedule": draw(st.sampled_from(list(SCHEDULES))),
        "learning_rate": draw(st.sampled_from([1e-320, 5e-4, 1, 1e30, 1.7e308])),
        "weight_decay": draw(st.sampled_from([0, 0.1, 3.0, 1e300])),
        "validation": draw(st.sampled_from(["held-out", "as-published"])),
        "record_every": draw(st.integers(1, 4)),
        "validate_every": draw(st.integers(1, 4)),
    }
    sizes = st.integers(1, 5)
    rates = st.sampled_from([0.0, 1e-320, 0.5, 0.999999999])
    optional: dict[str, st.SearchStrategy] = {
        "untie_at": st.sampled_from([1, 2, 10**9]),
        "equal_start": st.booleans(),
        "data_seed": st.integers(0, 2**32 - 1),
        "keep_every": st.integers(1, 4),
        "keep_best": st.booleans(),
        "question": st.text(max_size=9) | st.sampled_from(MARKUP),
        "experiment": st.sampled_from(["a", "A.b-c_9", "x" * 100]),
    }
    optional |= {
        "transformer": {
            "heads": st.sampled_from([n for n in range(1, 5) if values["embedding_size"] % n == 0]),
            "feedforward_size": sizes,
            "activation": st.sampled_from(["gelu", "relu"]),
            "near_synonym": st.sampled_from([0.0, 0.1, 1.0]),
        },
        "lstm": {"hidden_size": sizes, "bidirectional": st.booleans()},
        "mixer": {
            "token_feedforward_size": sizes,
            "channel_feedforward_size": sizes,
            "activation": st.sampled_from(["gelu", "relu"]),
        },
    }[values["architecture"]]
    optional |= {
        "cosine": {
            "schedule_period": st.sampled_from([2, 3, 10**9]),
            "learning_rate_min": st.sampled_from([0.0, values["learning_rate"]]),
        },
        "constant": {"warmup_steps": st.sampled_from([0, 1, 10**9])},
        "none": {},
    }[values["schedule"]]
    if values["optimizer"] != "sgd":
        optional["betas"] = st.tuples(rates, rates).map(list)
        optional["eps"] = st.sampled_from([1e-320, 1e-12, 1.0, 1e300])
    if values["expectation"] == "sampled":
        optional["batch_size"] = st.integers(1, training_strings(values["bits"]))
        if values["architecture"] == "transformer":
            optional["dropout"] = rates
    for name in draw(st.lists(st.sampled_from(sorted(optional)), unique=True)):
        values[name] = draw(optional[name])
    if values["schedule"] == "cosine":
        values.setdefault("learning_rate_min", 0.0)
    return values


@st.composite
def nearly(draw: st.DrawFn, good: st.SearchStrategy[dict[str, Any]]) -> dict[Any, Any]:
    """Good values of which some are replaced, misspelt, left out or joined by others."""
    values = dict(draw(good))
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(values)))
        change = draw(st.sampled_from(["value", "value", "misspelt", "gone", "other", "corpus"]))
        if change == "value":
            values[name] = draw(anything)
        elif change == "misspelt":
            values[draw(misspelt(name))] = values.pop(name)
        elif change == "gone" and len(values) > 1:
            del values[name]
        elif change == "corpus":
            values["corpus"] = draw(st.sampled_from(["grammar", "text:x"]) | anything)
        else:
            values[draw(st.sampled_from(sorted(Settings.model_fields)) | keys)] = draw(anything)
        values = {str(key) if isinstance(key, str) else key: v for key, v in values.items()}
        values = {key: value for key, value in values.items() if isinstance(key, str)} or values
    return values


keys = st.text(max_size=9) | st.integers() | huge | st.sampled_from([None, "a" * 10**4, "x\ny"])

# --- YAML ------------------------------------------------------------------------------------

FILES = [path.read_text(encoding="utf-8") for folder in (CATALOGUE, FOLDER)
         for path in sorted(folder.glob("*.yaml"))]  # fmt: skip
LINES = [
    "steps: 5", "steps: 5: 6", "- a", "grid:", "  - optimizer: [adamw, sgd]", "base: lstm-small",
    "base: [x]", "seeds: [1, 2]", "seeds: 1", "fixed: {steps: 3}", "fixed: {1: 2}", "fixed: 3",
    "question: &a [*a]", "question: *b", "&b x: *b", "? [a, b]", ": 1", "? {a: 1}\n: 2",
    "<<: {steps: 7}", "<<: *a", "steps: !!python/object/apply:os.system ['touch {}']",
    "question: !!python/name:os.system", "!!python/object/new:type {}", "question: !!binary x",
    "steps: !!timestamp 0001-01-01T00:00:00+23:59", "question: 2001-01-01", "2001-01-01: x",
    "steps: 9999-12-31 23:59:59 -12:00", "question: 0001-01-01 00:00:00 +14:00",
    "steps: .nan", ".inf: 1", ".nan: 1", "steps: 0x" + "f" * 5000, "0x" + "f" * 5000 + ": 1",
    "learning_rate: " + "1:" * 400 + "1.5", "steps: " + "1:" * 400 + "1", "steps: " + "[" * 3000,
    "question: " + "{a: " * 2000, "steps: 1" + "0" * 5000, "null: 1", "true: 1", "~: ~", "", "\t",
    "%YAML 9.9", "---", "...", "--- !!set {a, b}", "question: !!set {a}", "question: !!omap [a: 1]",
    "question: |\n  a\n  b", "question: \"\\uD800\"", "question: \"\\x07\\e\"", "\"a\\nb\": 1",
    "grid: [{\"a\\nb\": 1}]", "grid: [{optimizer: 1}]", "grid: [{weight_decay: [1, 1]}]",
    "grid: &g [{weight_decay: *g}]", "grid: [{question: [<b>, <i>]}]", "steps: 5", "steps: 6",
    "corpus: text:\"\\0\"", "corpus: grammar", "corpus: [a]", "device: cuda:\u0663",
]  # fmt: skip
tokens = st.sampled_from(
    [
        *"{}[]:,-?&*!|>'\"%@`#~<\\ \n\t",
        "a",
        "b",
        "steps",
        "1",
        "!!",
        "<<",
        "&a ",
        "*a",
        ": ",
        "\n  ",
        "!!python/object:",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
    ],
)
yaml_like = st.lists(tokens, max_size=40).map("".join) | st.lists(
    st.sampled_from(LINES), min_size=1, max_size=4
).map("\n".join)


@st.composite
def mutated_text(draw: st.DrawFn, texts: list[str]) -> str:
    """A good text with a line of it, or a few characters, replaced."""
    text = draw(st.sampled_from(texts))
    if draw(st.booleans()):
        lines = text.splitlines()
        lines[draw(st.integers(0, len(lines) - 1))] = draw(st.sampled_from(LINES))
        return "\n".join(lines)
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(yaml_like) + text[place + draw(st.integers(0, 5)) :]


@st.composite
def mutated_yaml(draw: st.DrawFn) -> str:
    """A file of the catalogue or of a sweep in which some value is another."""
    values = yaml.safe_load(draw(st.sampled_from(FILES)))
    draw(mutated(values, writable))
    return yaml.safe_dump(values)


@st.composite
def mutated(draw: st.DrawFn, tree: Any, values: st.SearchStrategy = anything) -> Any:
    """Replace, remove or add something somewhere in nested dictionaries and lists, in place."""
    spot = tree
    while True:
        inner = [key for key, value in _items(spot) if isinstance(value, dict | list) and value]
        if not inner or draw(st.booleans()):
            break
        spot = spot[draw(st.sampled_from(inner))]
    here = [key for key, _ in _items(spot)]
    key = draw(st.sampled_from(here))
    change = draw(st.sampled_from(["value", "value", "value", "gone", "more"]))
    if change == "value":
        spot[key] = draw(values)
    elif change == "gone":
        del spot[key]
    elif isinstance(spot, list):
        spot.append(copy.deepcopy(spot[key]))
    else:
        spot[draw(st.text(max_size=6))] = draw(values)
    return tree


def _items(tree: Any) -> list[tuple[Any, Any]]:
    return list(tree.items() if isinstance(tree, dict) else enumerate(tree))


# --- bytes -----------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes cut short, or with some of them replaced, removed or put in."""
    place = draw(st.integers(0, len(data)))
    change = draw(st.sampled_from(["cut", "flipped", "junk", "head"]))
    if change == "cut":
        return data[:place]
    if change == "flipped" and place < len(data):
        return (
            data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
        )
    place = min(place, 200) if change == "head" else place
    return data[:place] + draw(st.binary(max_size=9)) + data[place + draw(st.integers(0, 9)) :]
