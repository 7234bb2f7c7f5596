"""Export: the folder computes what was trained, its tokenizer reads alike, its README runs.

The function is written out here a second time from the words of OPT's config; the long tests ask
transformers itself.
"""

import errno
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from language import WORDS, small_text, written
from stored import train_here
from tokenizers import Tokenizer, models
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from semantica_lib.checkpoints import place, vocabulary
from semantica_lib.checkpoints.formats import safetensors
from semantica_lib.cli import main
from semantica_lib.datasets.mlm import MlmTask
from semantica_lib.errors import RequestError
from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.running import export
from semantica_lib.running.run import run
from semantica_lib.settings.language import MlmSettings
from semantica_lib.store import results
from semantica_lib.store.checkpoint import load_checkpoint, save_checkpoint
from semantica_lib.store.weights import kept_in
from semantica_lib.trainers import mlm

# Every kind of encoder: where it normalises, and whether it knows places.
KINDS = [
    {"norm": "before", "positions": True, "layers": 2},
    {"norm": "before", "positions": False},
    {"norm": "after", "positions": True},
    {"norm": "after", "positions": False, "layers": 2, "broken_synonyms": 0, "labels": "shown"},
]
BOTH = [(kind, tie) for kind in range(len(KINDS)) for tie in ("tied", "untied")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[MlmSettings]:
    """Trained experiments of all kinds, with no parameter left near its special initial value."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTICA_RESULTS", str(folder / "runs"))
        train_here(patch)
        made = []
        for number, kind in enumerate(KINDS):
            own = written(folder / "text.txt", experiment=f"own{number}", **kind)
            for path in (run(own).folder / "checkpoints").glob("*.safetensors"):
                tensors, about = load_checkpoint(path)
                torch.manual_seed(number)
                for name in [one for one in tensors if one.startswith("model.")]:
                    tensors[name] = tensors[name] + 0.5 * torch.randn_like(tensors[name])
                save_checkpoint(path, tensors, about)
            made.append(own)
    return made


@pytest.fixture(autouse=True)
def _own_place(trained, monkeypatch, tmp_path):
    runs = Path(trained[0].corpus.removeprefix("text:")).parent / "runs"
    monkeypatch.setenv("SEMANTICA_RESULTS", str(runs))
    monkeypatch.chdir(tmp_path)


def exported(own: MlmSettings, tie: str) -> Path:
    export.export(own, None, tie, "made")
    return Path("made")


def task_of(own: MlmSettings) -> MlmTask:
    return mlm.mlm_task(own, mlm.text_of(own, results.here() / "corpora"), 5)


def by_the_trial(own: MlmSettings, tie: str, rows: torch.Tensor) -> torch.Tensor:
    """Logits at every place of rows of ids, by the model that was trained."""
    task, tensors = task_of(own), kept_in(own, 5, tie)[1]
    model = MaskedLanguageModel(own, task.vocabulary, tie == "tied")
    parameters = {name: tensors[f"model.{name}"] for name, _ in model.named_parameters()}
    model.load_state_dict(parameters, strict=tie == "untied")
    with torch.no_grad():
        return model(rows, torch.arange(own.length).expand(len(rows), -1))


def by_hand(folder: Path, rows: np.ndarray) -> np.ndarray:
    """OPT (Zhang et al. 2022, as transformers has it) without its causal mask, in float64."""
    config = json.loads((folder / "config.json").read_text())
    arrays = safetensors.read(place.local(folder), "model.safetensors").tensors
    p = {
        name.removeprefix("model.decoder."): one.rows(0, one.shape[0]).astype(np.float64)
        for name, one in arrays.items()
    }

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def attention(x, name):
        heads, width = config["num_attention_heads"], config["hidden_size"]
        q, k, v = (
            linear(x, f"{name}.{one}_proj").reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)
            for one in "qkv"
        )
        scores = np.exp(q @ k.swapaxes(2, 3) / math.sqrt(width // heads))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        return linear(mixed.swapaxes(1, 2).reshape(x.shape), f"{name}.out_proj")

    def forward(x, name):
        wide = linear(x, f"{name}.fc1")
        return linear(wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2, f"{name}.fc2")

    x = p["embed_tokens.weight"][rows] + p["embed_positions.weight"][2:][: rows.shape[1]]
    for layer in (f"layers.{index}" for index in range(config["num_hidden_layers"])):
        parts = ("self_attn", attention, "self_attn_layer_norm"), ("", forward, "final_layer_norm")
        for inner, part, normed in parts:
            name = f"{layer}.{inner}".rstrip(".")
            if config["do_layer_norm_before"]:
                x = x + part(norm(x, f"{layer}.{normed}"), name)
            else:
                x = norm(x + part(x, name), f"{layer}.{normed}")
    if config["do_layer_norm_before"]:
        x = norm(x, "final_layer_norm")
    assert set(arrays) == used(config, "lm_head.weight" in p)
    return x @ p.get("lm_head.weight", p["embed_tokens.weight"]).T


def used(config: dict, head: bool) -> set[str]:
    """The names that OPT has, all of them and no other."""
    parts = [f"self_attn.{one}_proj" for one in ("q", "k", "v", "out")]
    parts += ["self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"]
    layers = [f"layers.{i}.{one}" for i in range(config["num_hidden_layers"]) for one in parts]
    layers += ["final_layer_norm"] * config["do_layer_norm_before"]
    names = {f"model.decoder.{one}.{kind}" for one in layers for kind in ("weight", "bias")}
    names |= {f"model.decoder.embed_{kind}.weight" for kind in ("tokens", "positions")}
    return names | ({"lm_head.weight"} if head else set())


@pytest.mark.parametrize(("kind", "tie"), BOTH)
def test_the_folder_computes_what_was_trained(kind, tie, trained, capsys):
    own = trained[kind]
    folder, rows = exported(own, tie), task_of(own).sample("validation", 4).tokens
    expected = by_the_trial(own, tie, rows)
    np.testing.assert_allclose(by_hand(folder, rows.numpy()), expected, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1  # so that this says something
    assert main(["tables", "made", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["status"], told["family"]) == (tie, "opt")
    assert told["input"]["name"] == "model.decoder.embed_tokens.weight"
    assert told["warnings"] == [] and told["scales"] == {} and told["bias"] is None


@pytest.mark.parametrize("kind", [0, 3])  # with a class that the tag tells, and without
def test_the_tokenizer_reads_as_the_trial_did(kind, trained):
    folder, task = exported(trained[kind], "tied"), task_of(trained[kind])
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    before = Tokenizer.from_file(str(task.tokens.tokenizer))
    names = list(task.names)
    assert list(vocabulary.of(place.local(folder)).names) == names
    lines = ["the of end.", "ofthe, thing (in-to) ~ the*of"]
    for line in lines:
        plain = before.encode(line, add_special_tokens=False).ids
        assert made.encode(line, add_special_tokens=False).ids == plain
        assert made.encode(line.title(), add_special_tokens=False).ids == plain
    word = task.tokens.words[0]
    end = "[A]" if kind == 0 else "[SEP]"
    read = made.encode(f"{word} {word}* [MASK] {word}*, é").tokens
    assert read == ["[A]", word, f"{word}*", "[MASK]", f"{word}*", "[UNK]", "[UNK]", end]
    assert made.encode("the", "of").tokens == ["[A]", "the", end, "of", end]
    assert made.decode(made.encode(" ".join(WORDS)).ids) == " ".join(WORDS)


def blocks(folder: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("tie", ["tied", "untied"])
def test_the_readme_runs_and_names_nothing_of_this_machine(tie, trained, monkeypatch):
    folder, task = exported(trained[0], tie), task_of(trained[0])
    told = (folder / "README.md").read_text()
    assert "$" not in told and "text.txt" not in told and "step: 4 of 4;" in told
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(blocks(Path())[1], names)
    tensors = kept_in(trained[0], 5, tie)[1]
    rows = [tensors["model.input_embedding.weight"]]
    rows.append(tensors.get("model.output_embedding.weight", rows[0]))
    for found, expected in zip((names["read"], names["written"]), rows, strict=True):
        assert np.array_equal(found, expected)
    assert np.array_equal(names["row"], rows[0][task.tokens.word_ids[0]])


def test_it_needs_the_text_no_more_but_the_tokens(trained, tmp_path, monkeypatch, capsys):
    """Documentation is another text with every package that is installed."""
    monkeypatch.setenv("SEMANTICA_RESULTS", str(tmp_path / "runs"))
    train_here(monkeypatch)
    own = written(tmp_path / "text.txt", experiment="own")
    run(own)
    written(tmp_path / "text.txt", seed=1)  # as many words, each of them another number of times
    first = exported(own, "tied") / "tokenizer.json"
    for folder in (tmp_path / "runs" / "corpora").glob("tokens-*"):
        folder.rename(tmp_path / "elsewhere")
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps(own.model_dump(mode="json")))
    assert main(["export", str(file), "--to", "other"]) == 2
    assert "was trained on another text or tokenizer" in capsys.readouterr().err
    assert first.exists() and not Path("other").exists()


WRONG = {
    "absent": "unknown experiment 'absent'",
    "transformer-small": "transformer-small is no language model",
    "mlm-grammar": "no weights of the tied trial of seed 42 of mlm-grammar here; "
    "`semantica train mlm-grammar` makes them",
    "mlm-grammar --seed 7 --set layers=1": "`semantica train mlm-grammar --set layers=1 --set "
    "'seeds=[7]'` makes them",
    "mlm-grammar --tie loose": "is not one of 'tied', 'untied'",
    "mlm-grammar --set ties=[mapped]": "mapped is not among what can be exported: --tie tied",
    "mlm-grammar --seed one": "is not a valid integer",
    "mlm-grammar --to full": "full is there and is not empty",
    "mlm-grammar --to full/file": "file is there and is no folder",
    "own.yaml --to full/file/new": "Not a directory",
    "own.yaml --to absent/new": "absent/new: No such file or directory; name another folder",
    "own.yaml --seed 6": "no weights of the tied trial of seed 6 of own0",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(line, trained, tmp_path, capsys):
    Path("full").mkdir()
    Path("full/file").touch()
    Path("own.yaml").write_text(json.dumps(trained[0].model_dump(mode="json")))
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("semantica: error: ") and err.count("\n") == 1
    assert WRONG[line] in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_disk_that_is_full_leaves_nothing(trained, tmp_path, monkeypatch, capsys):
    write, count = export.write_whole, iter(range(9))

    def full(path: Path, data: bytes) -> None:
        if next(count) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(export, "write_whole", full)
    Path("own.yaml").write_text(json.dumps(trained[0].model_dump(mode="json")))
    assert main(["export", "own.yaml"]) == 2
    assert "own0-tied-seed-5: No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]
    monkeypatch.undo()


def test_an_empty_folder_is_taken(trained, tmp_path, capsys):
    Path("own.yaml").write_text(json.dumps(trained[0].model_dump(mode="json")))
    (tmp_path / "made").mkdir()
    assert main(["export", "own.yaml", "--tie", "untied", "--to", "made"]) == 0
    assert capsys.readouterr().out == (
        f"own0: untied, seed 5, at step 4: exported to {tmp_path / 'made'}\n"
    )
    assert {path.name for path in tmp_path.glob("made/*")} == {
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip


def test_a_folder_that_is_the_shells_own_is_left(trained, tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    monkeypatch.chdir(tmp_path / "made")
    with pytest.raises(RequestError, match="made is there and is where you are"):
        export.export(trained[0], None, None, ".")


def test_a_trial_that_diverged_says_so(trained, tmp_path, monkeypatch):
    path, tensors, about = kept_in(trained[0], 5, "tied")
    tensors["stopped"] = torch.tensor([3])
    monkeypatch.setattr(export, "kept_in", lambda *_: (path, tensors, about))
    assert "at step 3 (then it diverged):" in export.export(trained[0], None, None, "made")
    assert "step: 3 (then it diverged) of 4;" in (tmp_path / "made" / "README.md").read_text()


def test_the_tokenizer_of_a_hub_keeps_what_it_does_to_text(tmp_path):
    """One made as BERT's, which comes with corpus bookcorpus."""
    text = small_text()
    made = Tokenizer(
        models.WordPiece(dict(zip(text.vocabulary, range(24), strict=True)), unk_token="[UNK]")
    )
    made.normalizer, made.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[MASK]", "[SEP]"])
    made.post_processor = TemplateProcessing("[SEP] $A [SEP]", special_tokens=[("[SEP]", 3)])
    made.save(str(tmp_path / "tokenizer.json"))
    task = MlmTask(
        replace(text, tokenizer=tmp_path / "tokenizer.json"), 0, 2, 1, (1, 0, 0), "drawn"
    )
    found = Tokenizer.from_str(export._tokenizer(task))
    read = found.encode("W00  \u1e8307 w01*[MASK]").tokens  # a w with an accent
    assert read == ["[A]", "w00", "w07", "w01*", "[MASK]", "[A]"]
    known = found.get_vocab()
    assert sorted(known, key=known.get) == list(task.names)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "tie"), BOTH)
def test_transformers_computes_the_same(kind, tie, trained, monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")
    own = trained[kind]
    folder, task = exported(own, tie), task_of(own)
    rows = task.sample("validation", 4).tokens
    for attention in ("eager", "sdpa"):
        made = transformers.AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation=attention
        )
        with torch.no_grad():
            got = made(rows).logits
            masked = made(rows, attention_mask=torch.ones_like(rows)).logits
        torch.testing.assert_close(got, by_the_trial(own, tie, rows), rtol=0, atol=1e-5)
        torch.testing.assert_close(masked, got, rtol=0, atol=1e-5)
    made.save_pretrained(tmp_path / "again")
    assert main(["tables", str(tmp_path / "again")]) == 0
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in (f"{task.tokens.words[0]}* THE [MASK], é", "ofthe end."):
        assert theirs(text)["input_ids"] == ours.encode(text).ids
    assert (theirs.mask_token_id, theirs.pad_token_id) == (2, 0)
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(blocks(Path())[0], names)
    assert names["logits"].shape == (2, 4, task.vocabulary)
