"""What two tables are to each other: the file decides, the config explains."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from semantica_lib.checkpoints import families
from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.families import VERSION
from semantica_lib.checkpoints.tensor import Tensor, float_steps

LAST = 256  # rows at the end that are looked at


@dataclass(frozen=True)
class Table:
    """A table of a model: its array as the file has it, and as rows of words, [words, width]."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    transposed: bool
    tensor: Tensor = field(repr=False, compare=False)

    @property
    def words(self) -> int:
        return self.shape[-1 if self.transposed else 0]

    @property
    def width(self) -> int:
        return self.shape[0 if self.transposed else -1]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows of some words, read now."""
        if self.transposed:
            return self.tensor.rows(0, self.shape[0])[:, start:stop].T
        return self.tensor.rows(start, stop)

    def array(self) -> np.ndarray:
        """All of it, [words, width], float32, read now."""
        if self.transposed:
            return self.rows(0, self.words).astype(np.float32)
        made = np.empty((self.words, self.width), np.float32)
        for start in range(0, self.words, self.tensor.at_once):
            stop = min(self.words, start + self.tensor.at_once)
            made[start:stop] = self.rows(start, stop)
        return made

    def steps(self, start: int, stop: int, values: np.ndarray) -> np.ndarray:
        """How far values may lie from what they were rounded from."""
        if self.tensor.steps is None:
            return float_steps(values, self.dtype)
        if self.transposed:
            return self.tensor.steps(0, self.shape[0])[:, start:stop].T
        return self.tensor.steps(start, stop)


@dataclass
class Judgement:
    status: str
    input: Table | None
    output: Table | None
    evidence: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(made: Contents, config: Mapping[str, Any]) -> Judgement:
    """The status of a checkpoint whose tables are named."""
    first = made.tensors.get(made.aliases.get(made.input, made.input))
    last = made.tensors.get(made.aliases.get(made.output, made.output))
    judged = Judgement("", *_tables(first, last))
    judged.evidence += made.evidence
    judged.warnings += made.warnings
    if judged.input and judged.output:
        _both(made, config, judged)
    elif judged.output:
        _output_only(made, config, judged)
    elif judged.input:
        _input_only(made, config, judged)
    else:
        judged.status = "not tables of words"
        judged.evidence.append("no array looks like a table with a row a word")
    if judged.input:
        _rows(judged, config)
    return judged


def _tables(first: Tensor | None, last: Tensor | None) -> tuple[Table | None, Table | None]:
    """The arrays as tables: an output whose columns are words is transposed."""

    def table(one: Tensor | None, transposed: bool) -> Table | None:
        flat = one and len(one.shape) == 2 and min(one.shape) > 0
        return Table(one.name, one.shape, one.dtype, transposed, one) if one and flat else None

    source = table(first, False)
    turned = bool(
        source and last and len(last.shape) == 2
        and last.shape[0] != source.words and last.shape[1] == source.words
    )  # fmt: skip
    return source, table(last, turned)


def _both(made: Contents, config: Mapping[str, Any], judged: Judgement) -> None:
    source, head = judged.input, judged.output
    assert source and head
    tied, why = families.flag(config) if config.get("model_type") else (None, "")
    if made.absent and made.absent[0] == "not tables of words":
        judged.status = made.absent[0]
        judged.evidence.append(made.absent[1])
        return
    if source.tensor is head.tensor or (
        source.tensor.place is not None and source.tensor.place == head.tensor.place
    ):
        judged.status = "tied"
        judged.evidence.append("both names stand for one array of the file")
        return
    judged.status, told = _compared(judged, made.format)
    judged.evidence.append(told)
    if tied and judged.status == "untied":
        judged.warnings.append(
            f"{why}, but the file holds two different tables: {VERSION} will not tie them, "
            "and resize_token_embeddings would"
        )
    elif judged.status == "equal copies" and tied is not None:
        does = "ties them, since" if tied else "keeps two tables, since"
        judged.evidence.append(f"{VERSION} {does} {why}")


def _compared(judged: Judgement, kind: str) -> tuple[str, str]:
    """Status and reason of two arrays, by their values."""
    source, head = judged.input, judged.output
    assert source and head
    if head.name.endswith("cls.predictions.dense.weight"):  # MobileBERT: of the further columns
        return "tied in part", (
            f"the output is the input's {source.width} columns and these {head.width} further ones"
        )
    if source.width != head.width:
        return "untied", f"they have {source.width} and {head.width} columns"
    words = min(source.words, head.words)
    if source.words == source.width:
        judged.evidence.append("as many words as columns: both orientations are compared")
        turned = replace(head, transposed=True)
        if _equal(source, turned, words):
            judged.output = turned
            return "equal copies", "one is the other transposed, bit for bit"
    if _equal(source, head, words):
        if source.words != head.words:
            return "tied in part", f"their first {words:,} rows are equal, bit for bit"
        turned = ", one transposed" if head.transposed else ""
        return "equal copies", f"two arrays, equal bit for bit{turned}"
    quantised = source.tensor.steps or head.tensor.steps or source.dtype != head.dtype
    whole = {"int", "uin"} & {one.dtype[:3] for one in (source, head) if not one.tensor.steps}
    if whole:
        judged.warnings.append("whole numbers without a scale that is known: not compared as such")
    elif quantised and _near(source, head, words):
        return "tied up to quantisation", "all values differ by less than the steps of their types"
    if kind == "safetensors" and head.transposed and _scrambled(source, head):
        judged.warnings.append(
            "the output has the input's numbers in the wrong places, as safetensors.numpy 0.8 "
            "writes a transposed array: make it contiguous first"
        )
    return "untied", "two arrays with different values"


def _pairs(
    source: Table, head: Table, words: int
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """The rows of both, so many at a time; a transposed one is read once."""
    step = source.tensor.at_once
    turned = head.tensor.rows(0, head.shape[0]) if head.transposed else None
    for start in range(0, words, step):
        stop = min(words, start + step)
        other = head.rows(start, stop) if turned is None else turned[:, start:stop].T
        yield start, stop, source.rows(start, stop), other


def _equal(source: Table, head: Table, words: int) -> bool:
    if source.dtype != head.dtype:
        return False
    return all(
        first.dtype == last.dtype and np.array_equal(_bits(first), _bits(last))
        for _, _, first, last in _pairs(source, head, words)
    )


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(f"u{values.itemsize}")


def _near(source: Table, head: Table, words: int) -> bool:
    for start, stop, first, last in _pairs(source, head, words):
        first, last = first.astype(np.float32), last.astype(np.float32)
        allowed = source.steps(start, stop, first) + head.steps(start, stop, last)
        if not (np.abs(first - last) <= 1.1 * allowed + 1e-12).all():
            return False
    return True


def _scrambled(source: Table, head: Table) -> bool:
    first = source.rows(0, min(source.words, -(-head.shape[1] // source.width))).ravel()
    return first[: head.shape[1]].tobytes() == head.tensor.rows(0, 1).ravel().tobytes()


def _input_only(made: Contents, config: Mapping[str, Any], judged: Judgement) -> None:
    if made.absent:
        judged.status, told = made.absent
        judged.evidence.append(told)
        return
    if not config.get("model_type") and not config.get("architectures"):
        judged.status = "no output table"
        judged.warnings.append(
            "the file has no output table, and no config.json tells whether the model shares one"
        )
        return
    head = families.has_head(config)
    if head is None:  # a base model's names have no prefix
        head = judged.input is not None and judged.input.name.count(".") > 1
    if not head:
        judged.status = "no output table"
        named = ", ".join(map(str, config.get("architectures") or ["the base model"]))
        judged.evidence.append(f"{named} has no head over words")
        return
    tied, why = families.flag(config)
    if made.bias == "" and "cls.predictions.dense.weight" in made.tensors:
        judged.warnings.append("its output bias is missing")
    judged.evidence.append(f"there is no output table in the file; {why}")
    if tied is None:
        judged.status = "output table missing"
        judged.warnings.append(
            "what its library does is not known: it ties, or draws one at random"
        )
    elif tied:
        judged.status = "tied"
    else:
        judged.status = "output table missing"
        judged.warnings.append(f"{VERSION} would draw a random output table")


def _output_only(made: Contents, config: Mapping[str, Any], judged: Judgement) -> None:
    tied, why = families.flag(config)
    judged.evidence.append(f"only the output's name is in the file; {why}")
    if tied:
        judged.status = "tied"
        judged.evidence.append(f"{VERSION} takes it for the input too")
        return
    judged.status = "untied"
    judged.warnings.append(f"the input table is missing: {VERSION} would draw one at random")


def _rows(judged: Judgement, config: Mapping[str, Any]) -> None:
    """What the last rows say of padding, and the padding token's."""
    source = judged.input
    assert source
    if source.tensor.steps or not re.match(r"b?float", source.dtype):
        return
    start = max(0, source.words - LAST)
    rows = source.rows(start, source.words).astype(np.float32)
    near = np.abs(rows - rows[-1]).max(axis=1) <= 1e-5 * max(1.0, float(np.abs(rows[-1]).max()))
    alike = len(near) - (int(np.flatnonzero(~near)[-1]) + 1 if not near.all() else 0)
    if alike > 1:
        judged.evidence.append(
            f"the last {alike} rows coincide: added by a resize or as padding, and never trained"
        )
    pad = families.text_part(config).get("pad_token_id")
    if isinstance(pad, int) and start <= pad < source.words and not rows[pad - start].any():
        judged.evidence.append(f"row {pad}, the padding token's, is zero")
