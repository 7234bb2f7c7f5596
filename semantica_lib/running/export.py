"""A trained language model as a folder that other tools open."""

import json
import os
import shutil
from pathlib import Path
from string import Template
from typing import Any

from safetensors.torch import save

from semantica_lib.datasets.mlm import MlmTask
from semantica_lib.datasets.wordpiece import SPECIAL
from semantica_lib.errors import RequestError
from semantica_lib.files import write_whole
from semantica_lib.models import opt
from semantica_lib.running.groups import Group, text_of
from semantica_lib.settings.catalogue import AnySettings, MlmSettings
from semantica_lib.settings.language import CORPORA
from semantica_lib.settings.schema import BOTH
from semantica_lib.settings.spelling import typed
from semantica_lib.store import results
from semantica_lib.store.provenance import UNSURE, was_dirty
from semantica_lib.store.weights import kept_in
from semantica_lib.trainers import mlm

README = Path(__file__).with_suffix(".template")


def export(own: AnySettings, seed: int | None, tie: str | None, to: str | None) -> str:
    """Write one trial of a language model to a folder, whole or not at all.

    The model is transformers' OPT, which computes the same function.

    Args:
        seed, tie: of the trial; the first that the settings name where it is None.
        to: a folder that is not there yet, or is empty; None: one here, named as the trial.

    Returns:
        What was written, in words.

    Raises:
        RequestError: no language model, no weights, or the folder cannot be written.
    """
    if not isinstance(own, MlmSettings):
        raise RequestError(
            f"{own.experiment} is no language model: its symbols are no text; "
            "semantica_lib.store.weights.weights gives its weights by PyTorch's names"
        )
    seed, tie = own.seeds[0] if seed is None else seed, tie or own.ties[0]
    if tie not in BOTH:
        raise RequestError(f"{tie} is not among what can be exported: --tie tied, or --tie untied")
    folder = typed(to or f"{own.experiment}-{tie}-seed-{seed}")
    _refuse(folder)
    path, tensors, about = kept_in(own, seed, tie)
    group = Group(path, own, tie, (seed,), text=about.get("text", ""))
    text = mlm.kept_text(own, results.here() / "corpora", group.text) or text_of(own, [group])
    task = mlm.mlm_task(own, text, seed)
    step = min(int(tensors[name]) for name in ("step", "stopped") if name in tensors)
    ids = dict(zip(SPECIAL, map(task.names.index, SPECIAL), strict=True))
    parameters = {
        name.removeprefix("model."): value
        for name, value in tensors.items()
        if name.startswith("model.")
    }
    lost = " (then it diverged)" * (step < int(tensors["step"]))
    told = {"experiment": own.experiment, "tie": tie, "seed": seed, "step": f"{step:,}{lost}"}
    told |= {"steps": f"{own.steps:,}", "commit": about["commit"] + UNSURE[was_dirty(about)]}
    told |= _words(task, own, tie)
    _write(folder, {
        "model.safetensors": save(opt.tensors(own, parameters), {"format": "pt"}),
        "config.json": _json(opt.config(own, task.vocabulary, tie == "tied", ids[SPECIAL[0]])),
        "tokenizer.json": _tokenizer(task).encode(),
        "tokenizer_config.json": _json(
            {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": own.length}
            | {f"{piece.strip('[]').lower()}_token": piece for piece in SPECIAL}
        ),
        "README.md": Template(README.read_text(encoding="utf-8")).substitute(told).encode(),
    })  # fmt: skip
    return f"{own.experiment}: {tie}, seed {seed}, at step {step:,}{lost}: exported to {folder}"


def _words(task: MlmTask, own: MlmSettings, tie: str) -> dict[str, Any]:
    """What the README tells of the text and the tables; no path of this machine."""
    tables = {
        "tied": "Its two tables are one, `model.decoder.embed_tokens.weight`.",
        "untied": "Its input table is `model.decoder.embed_tokens.weight`, its output table "
        "`lm_head.weight`.",
    }
    tags = (
        "`[B]` in place of every `[A]` asks for the other synonym where a word's class is broken."
    )
    return {
        "tables": tables[tie],
        "tags": tags * bool(task.broken),
        "corpus": own.corpus if own.corpus in CORPORA else "own files",
        "length": own.length,
        "word": task.tokens.words[0],
        "end": _end(task),
        "base": task.base,
    }


def _end(task: MlmTask) -> str:
    """What stands behind each sentence: the tag, where one tells something, else a separator."""
    return task.names[-2] if task.broken else SPECIAL[3]


def _tokenizer(task: MlmTask) -> str:
    """The tokenizer of a trial as JSON: any text as the model reads it, with its tags."""
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors

    made = Tokenizer.from_file(str(task.tokens.tokenizer))
    if made.normalizer is None:  # the text that it was trained on was lower-case by itself
        made.normalizer = normalizers.Lowercase()
    made.decoder = made.decoder or decoders.WordPiece()
    made.add_special_tokens([AddedToken(piece, normalized=False) for piece in SPECIAL])
    made.add_tokens([
        AddedToken(name, normalized=False, single_word=True)
        for name in task.names[task.base : -2]
    ])  # fmt: skip
    made.add_special_tokens([AddedToken(tag, normalized=False) for tag in task.names[-2:]])
    front, end = task.names[-2], _end(task)
    made.post_processor = processors.TemplateProcessing(
        single=f"{front} $A {end}", pair=f"{front} $A {end} $B {end}",
        special_tokens=[(name, task.names.index(name)) for name in dict.fromkeys((front, end))],
    )  # fmt: skip
    return made.to_str(pretty=True)


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=1) + "\n").encode()


def _refuse(folder: Path) -> None:
    """Refuse a folder that cannot give way, before anything takes long."""
    what = ""
    try:
        if os.path.lexists(folder):
            here = "is where you are" * (folder == Path.cwd())
            full = "is not empty" * (folder.is_dir() and any(folder.iterdir()))
            what = "is no folder" * (not folder.is_dir()) or full or here
    except OSError as error:
        raise _unwritten(folder, error) from None
    if what:
        raise RequestError(f"{folder} is there and {what}: name another folder by --to")


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files aside, then give their folder its name in one move."""
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        for name, data in files.items():
            write_whole(part / name, data)
        os.replace(part, folder)  # an empty folder gives way
    except (OSError, ValueError) as error:  # ValueError: a name with a zero in it
        raise _unwritten(folder, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unwritten(folder: Path, error: OSError | ValueError) -> RequestError:
    reason = getattr(error, "strerror", None) or error
    return RequestError(f"cannot write {folder}: {reason}; name another folder by --to")
