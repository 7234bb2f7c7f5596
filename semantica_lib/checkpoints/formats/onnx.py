"""ONNX: a graph, in which the tables are found by what reads them."""

import math
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from semantica_lib.checkpoints.contents import Contents
from semantica_lib.checkpoints.formats.protobuf import Span, fields, integers, text
from semantica_lib.checkpoints.place import Place
from semantica_lib.checkpoints.tensor import SIZES, Tensor, exactly, scaled, stored, whole
from semantica_lib.errors import RequestError

TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
    17: "float8_e4m3fn", 19: "float8_e5m2",
}  # fmt: skip
NODES = 1_000_000
# What may stand between a table and what it is used for.
SAME = {"Identity", "Cast", "CastLike", "DequantizeLinear", "Transpose", "QuantizeLinear"}
AFTER = {
    "Identity", "Cast", "CastLike", "Add", "Mul", "Div", "Tanh", "Reshape", "Squeeze", "Unsqueeze",
    "Softmax", "LogSoftmax", "Slice", "DequantizeLinear", "QuantizeLinear", "Gather", "Sub",
}  # fmt: skip
PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "DynamicQuantizeMatMul", "FusedMatMul"}


@dataclass
class Node:
    op: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    turned: bool = False  # Gemm's transB


def read(place: Place, file: str) -> Contents:
    """The table that token ids gather from, and the last product before the graph's outputs.

    Raises:
        ValueError: it is no ONNX model.
    """
    with place.open(file) as opened:
        graphs = [span for number, span in fields(opened, 0, place.sizes[file]) if number == 7]
        if len(graphs) != 1 or not isinstance(graphs[0], tuple):
            raise ValueError("it has no graph")
        graph = _Graph(place, file, opened, graphs[0])
    made = Contents("ONNX", graph.tensors, "ONNX")
    made.input = graph.input()
    made.output, made.bias = graph.output()
    made.absent = "no output table", "no product before its outputs has a table"
    if not made.input:
        made.output = made.bias = ""  # of other numbers than a word's
        made.warnings.append("nothing in the graph gathers rows from a table")
    return made


class _Graph:
    """Its nodes, and its constants as tensors."""

    def __init__(self, place: Place, file: str, opened: BinaryIO, span: Span) -> None:
        self.place, self.file = place, file
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.ends: list[str] = []
        for number, value in fields(opened, *span):
            if len(self.nodes) + len(self.tensors) > NODES:
                raise ValueError(f"more than {NODES:,} nodes")
            if number == 1:
                self.nodes.append(self._node(opened, value))
            elif number == 5:
                self._tensor(opened, value)
            elif number == 12:
                self.ends += [text(opened, one) for n, one in fields(opened, *value) if n == 1]
        self.maker = {name: node for node in self.nodes for name in node.outputs}

    def _node(self, opened: BinaryIO, span: Span) -> Node:
        node = Node()
        for number, value in fields(opened, *span):
            if number == 1:
                node.inputs.append(text(opened, value))
            elif number == 2:
                node.outputs.append(text(opened, value))
            elif number == 4:
                node.op = text(opened, value)
            elif number == 5:
                told = {}
                for inner, one in fields(opened, *value):
                    told[inner] = one
                name = text(opened, told[1])
                node.turned |= name == "transB" and told.get(3) == 1
                if name == "value" and 5 in told and node.op in ("", "Constant") and node.outputs:
                    self._tensor(opened, told[5], node.outputs[0])
        return node

    def _tensor(self, opened: BinaryIO, span: Span, name: str = "") -> None:
        shape: list[int] = []
        kind, data, external, lists = 0, None, {}, []
        for number, value in fields(opened, *span):
            if number == 1:
                shape += integers(opened, value)
            elif number == 2:
                kind = value
            elif number == 8:
                name = name or text(opened, value)
            elif number == 9:
                data = value
            elif number in (4, 5):
                lists.append(value)
            elif number == 13:
                pair = dict(fields(opened, *value))
                external[text(opened, pair[1])] = text(opened, pair[2])
        dtype = TYPES.get(kind)
        if not dtype or len(shape) > 2 or min(shape, default=1) < 0:
            return
        size, sizes = math.prod(shape) * SIZES[dtype], tuple(shape)
        if external:
            where, offset = external["location"], int(external.get("offset", 0))
            if where not in self.place.sizes:
                raise RequestError(f"its data, {where}, are missing; fetch them")
            self.tensors[name] = stored(self.place, where, offset, name, sizes, dtype)
        elif data is not None and data[1] - data[0] == size:
            self.tensors[name] = stored(self.place, self.file, data[0], name, sizes, dtype)
        elif lists and dtype == "float32":
            self._list(name, sizes, lists)
        elif data is not None:
            raise EOFError(f"{name} has {data[1] - data[0]:,} bytes, its shape tells {size:,}")

    def _list(self, name: str, shape: tuple[int, ...], lists: list[Span]) -> None:
        def load() -> np.ndarray:
            with self.place.open(self.file) as opened:
                parts = []
                for start, stop in lists:
                    opened.seek(start)
                    parts.append(exactly(opened, stop - start))
            return np.frombuffer(b"".join(parts), "<f4").reshape(shape)

        if all(isinstance(one, tuple) for one in lists):
            self.tensors[name] = whole(name, shape, "float32", load)

    def constant(self, name: str) -> str:
        """The table behind a name, through casts and the like; empty if there is none."""
        for _ in range(10):
            if name in self.tensors:
                return name
            node = self.maker.get(name)
            if not node or node.op not in SAME or not node.inputs:
                return ""
            if node.op == "DequantizeLinear" and (table := self.tensors.get(node.inputs[0])):
                self._quantised(table, node.inputs[1:])
            name = node.inputs[0]
        return ""

    def _quantised(self, table: Tensor, others: list[str]) -> None:
        scale, zero = (self.tensors.get(name) for name in [*others, "", ""][:2])
        if scale and len(table.shape) == 2 and math.prod(scale.shape) in (1, table.shape[0]):
            self.tensors[table.name] = scaled(table, scale, 1.0, zero)

    def input(self) -> str:
        """The largest table that is gathered from by something that is no constant."""
        found = []
        floats = {one.inputs[0]: one for one in self.nodes if one.op == "DequantizeLinear"}
        for node in self.nodes:
            if node.op not in ("Gather", "GatherBlockQuantized") or len(node.inputs) < 2:
                continue
            table = self.constant(node.inputs[0])
            scale = floats.get(node.outputs[0]) if node.outputs else None
            if table and scale:  # a quantised table is made floats after its rows are taken
                self._quantised(self.tensors[table], scale.inputs[1:])
            if table and len(self.tensors[table].shape) == 2 and not self.constant(node.inputs[1]):
                found.append(table)
        return max(found, key=lambda name: self.tensors[name].shape[0], default="")

    def output(self) -> tuple[str, str]:
        """The table and the bias of the last product before an output; empty if there is none."""
        for end in self.ends:
            name, bias = end, ""
            for _ in range(30):
                node = self.maker.get(name)
                if not node:
                    break
                if node.op in PRODUCTS and (table := self.constant(node.inputs[1])):
                    if node.op == "Gemm" and len(node.inputs) > 2:
                        bias = self.constant(node.inputs[2])
                    return (table, bias) if len(self.tensors[table].shape) == 2 else ("", "")
                if node.op not in AFTER:
                    break
                constants = [one for one in node.inputs if self.constant(one)]
                if node.op == "Add" and constants:
                    bias = self.constant(constants[0])
                name = next((one for one in node.inputs if one not in constants), "")
        return "", ""
