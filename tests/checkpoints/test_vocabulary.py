"""Which word a row is, and all that is measured of a small checkpoint."""

import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_checkpoints import field, folder, gguf, table
from tokenizers import Tokenizer, models, pre_tokenizers

from semantica_lib.checkpoints import vocabulary
from semantica_lib.checkpoints.measures.measuring import measure, read_rows
from semantica_lib.checkpoints.reading import tables
from semantica_lib.errors import RequestError

WORDS = [f"{letter}{other}" for letter in "bcdfgh" for other in "aeiou"]
NAMES = ["<unk>", *WORDS, *(word.capitalize() for word in WORDS[:6])]


def tokenizer(path: Path) -> None:
    made = Tokenizer(models.WordLevel({name: one for one, name in enumerate(NAMES)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(path / "tokenizer.json"))


def text(sentences: int = 400) -> list[str]:
    drawn = np.random.default_rng(1).choice(NAMES[1:], (sentences, 6))
    return [" ".join(line) for line in drawn]


def checkpoint(path: Path, tied: bool) -> str:
    arrays = {"model.embed_tokens.weight": table(1, len(NAMES), 16)}
    arrays |= {} if tied else {"lm_head.weight": table(2, len(NAMES), 16)}
    made = folder(path, arrays, {"model_type": "llama", "tie_word_embeddings": tied})
    tokenizer(path)
    return made


def test_an_untied_checkpoint_at_its_start_is_measured_and_not_judged(tmp_path: Path) -> None:
    told = measure(tables(checkpoint(tmp_path, False)), text())
    assert told["status"] == "untied" and told["left out"] == []
    assert all(one["beyond"] < 0.2 for one in told["start"].values())
    assert told["sides"]["verdict"].startswith("a table has hardly moved")
    assert told["sides"]["centred"]["tokens"] == len(NAMES) - 1
    assert told["pairs"]["case"]["input"]["pairs"] == 6
    assert told["agreement"]["words"] == len(NAMES) - 1
    assert json.loads(json.dumps(told)) == told


def test_one_table_has_no_contrast_and_agrees_with_nobody(tmp_path: Path) -> None:
    told = measure(tables(checkpoint(tmp_path, True)), text())
    assert set(told["start"]) == {"table"}
    assert "contrast" not in told["sides"]["centred"]
    assert "agreement" not in told


def test_what_is_missing_is_left_out_and_named(tmp_path: Path) -> None:
    found = checkpoint(tmp_path, False)
    assert measure(tables(found))["left out"] == ["sides: no text"]
    (short,) = measure(tables(found), ["ba be"])["left out"]
    assert short.startswith("sides: the text is too short: 0 tokens")
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    assert measure(tables(found))["left out"][0].startswith(
        "pairs and sides: its vocabulary cannot"
    )
    (tmp_path / "tokenizer.json").unlink()
    told = measure(tables(found), text())
    assert told["left out"][0].startswith("pairs and sides: no vocabulary beside it")
    assert told["agreement"]["words"] == len(NAMES) and told["pairs"] == {}


def test_a_table_of_few_words_or_of_no_numbers_is_told(tmp_path: Path) -> None:
    few = {"model.embed_tokens.weight": table(1, 7, 8), "lm_head.weight": table(2, 7, 8)}
    config = {"model_type": "llama", "tie_word_embeddings": False}
    told = measure(tables(folder(tmp_path, few, config)))
    assert told["left out"][-1] == "all measures: 7 words to compare, too few"
    damaged = {name: table(3, 40, 8) for name in few}
    damaged["lm_head.weight"] = damaged["lm_head.weight"] + np.float32(np.nan)
    with pytest.raises(RequestError, match=r"lm_head\.weight has values that are no numbers"):
        measure(tables(folder(tmp_path, damaged, config)))


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    found = tables(checkpoint(tmp_path, False)).input
    assert found
    ids = np.array([7, 0, 30, 7])
    assert np.array_equal(read_rows(found, ids), found.array()[ids])


def test_pairs_are_told_by_their_spelling() -> None:
    names = ["the", "The", "Ġthe", "Ġcat", "cat", "Ġcats", "[CLS]", "<s>", "C", "c", "Cl", "ĠTHE"]
    found = vocabulary.pairs(names, range(len(names)))
    spelt = {kind: [(names[a], names[b]) for a, b in some] for kind, some in found.items()}
    assert spelt == {
        "case": [("the", "The"), ("Ġthe", "ĠTHE"), ("c", "C")],
        "leading space": [("Ġthe", "the"), ("Ġcat", "cat")],
        "plural": [("Ġcat", "Ġcats")],
    }


def test_fasttext_s_hash_is_fnv_1a() -> None:
    assert vocabulary._hashes("", 1, 1) == []  # the borders alone are no subwords
    assert vocabulary._hashes("a", 1, 1) == [0xE40C292C]  # of the published test vectors
    assert len(vocabulary._hashes("word", 3, 6)) == 4 + 3 + 2 + 1


def test_a_gguf_file_s_own_words_are_read(tmp_path: Path) -> None:
    names = ["a", "b", "Ġ", "ab", "Ġab"]
    keys = {
        "general.architecture": "llama", "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": names, "tokenizer.ggml.merges": ["a b", "Ġ ab"],
    }  # fmt: skip
    tensors = {"token_embd.weight": ((5, 8), 0, table(1, 5, 8).tobytes())}
    place = tables(gguf(tmp_path / "one.gguf", keys, tensors)).place
    assert place
    words = vocabulary.of(place)
    assert list(words.names) == names
    assert words.encode and list(words.encode("ab ab b")) == [3, 4, 2, 1]


PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("<own>", 0.0, 4), ("▁", -4.0, 1), ("a", -3.5, 1),
          ("b", -3.0, 1), ("ab", -2.0, 1), ("▁a", -2.5, 1), ("▁ab", -9.0, 1), ("ba", -2.2, 1),
          ("<", -6.0, 1), ("s", -6.1, 1), (">", -6.2, 1), ("s>", -7.0, 1)]  # fmt: skip


def _sentencepiece(path: Path, kind: int, prefix: int) -> None:
    """The pieces above; ``kind``: 1 unigrams, 2 BPE."""
    data = b""
    for name, score, sort in PIECES:
        piece = field(1, name) + b"\x15" + struct.pack("<f", score)
        data += field(1, piece + (field(3, sort) if sort > 1 else b""))
    path.write_bytes(data + field(2, field(3, kind)) + field(3, field(3, prefix)))


def _best(text: str) -> list[int]:
    """The pieces of a text with the best sum of scores, of all there are."""
    known = {name: (score, one) for one, (name, score, kind) in enumerate(PIECES) if kind == 1}
    if not text:
        return []
    ways = [[known[text[:n]][1], *_best(text[n:])] for n in range(1, len(text) + 1)
            if text[:n] in known]  # fmt: skip
    return max(ways, key=lambda ids: sum(PIECES[one][1] for one in ids))


def _merged(text: str) -> list[int]:
    """Two neighbours at a time, those that make the piece with the best score."""
    known = {name: (score, one) for one, (name, score, kind) in enumerate(PIECES) if kind == 1}
    parts = list(text)
    while pairs := [(known[a + b][0], -at) for at, (a, b) in enumerate(pairwise(parts))
                    if a + b in known]:  # fmt: skip
        at = -max(pairs)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [known[part][1] for part in parts]


@pytest.mark.parametrize(("kind", "read"), [(1, _best), (2, _merged)])
@pytest.mark.parametrize("prefix", [0, 1])
def test_sentencepieces_pieces(tmp_path: Path, kind: int, read: Any, prefix: int) -> None:
    """As the two rules read a text; what is not of a text is no piece of one."""
    source = folder(tmp_path, {"wte.weight": table(1, len(PIECES), 8)}, {"model_type": "llama"})
    _sentencepiece(tmp_path / "tokenizer.model", kind, prefix)
    words = vocabulary.of(tables(source).place)
    assert list(words.names) == [name for name, *_ in PIECES]
    for text in ("abba bab", "aabab  b", "<s>"):
        marked = ["▁" * (prefix or bool(at)) + part for at, part in enumerate(text.split())]
        if kind == 1:
            assert list(words.encode(text)) == [one for part in marked for one in read(part)]
        else:
            assert list(words.encode(text)) == read("".join(marked))
    assert words.encode("a<own>c")[-2:] == [2, 0]


def test_ids_that_are_not_the_rows_are_not_taken(tmp_path: Path) -> None:
    """Pegasus moves them by 103; tiktoken's file has the name that SentencePiece's has."""
    source = folder(tmp_path, {"wte.weight": table(1, 30, 8)}, {"model_type": "pegasus"})
    _sentencepiece(tmp_path / "spiece.model", 1, 1)
    with pytest.raises(RequestError, match="save_pretrained"):
        vocabulary.of(tables(source).place)
    source = folder(tmp_path / "other", {"wte.weight": table(1, 30, 8)}, None)
    (tmp_path / "other" / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(RequestError, match="save_pretrained"):
        vocabulary.of(tables(source).place)


def test_pieces_that_are_words_are_not_read_and_hide_no_table(tmp_path: Path) -> None:
    source = folder(tmp_path, {"wte.weight": table(1, 30, 8)}, {"model_type": "llama"})
    _sentencepiece(tmp_path / "tokenizer.model", 3, 1)
    place = tables(source).place
    with pytest.raises(RequestError, match="save_pretrained"):
        vocabulary.of(place)


def test_letters_are_read_one_by_one_and_else_only_named(tmp_path: Path) -> None:
    found = folder(tmp_path, {"model.embed_tokens.weight": table(1, 3, 8)}, None)
    place = tables(found).place
    assert place
    with pytest.raises(RequestError, match="no vocabulary"):
        vocabulary.of(place)
    (tmp_path / "vocab.txt").write_bytes("a\r\n\u2028\nb\n".encode())
    place = tables(found).place
    assert place and list(vocabulary.of(place).names) == ["a", "\u2028", "b"]
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "my_vocab.json").write_text('{"a": 2, "b": 1, "<s>": 0}')
    place = tables(found).place
    assert place
    words = vocabulary.of(place)
    assert list(words.names) == ["<s>", "b", "a"]
    assert words.encode and list(words.encode("abc")) == [2, 1]
