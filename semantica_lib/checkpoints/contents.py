"""What a format finds in a file, before anything is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semantica_lib.checkpoints.tensor import Tensor


@dataclass
class Contents:
    """The arrays by name, and what the file itself says of them.

    Where a format tells which are the two tables, ``input`` and ``output`` name them, and
    ``absent`` is the status, with its reason, of a file without an output table.
    """

    format: str
    tensors: Mapping[str, Tensor]
    family: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    input: str = ""
    output: str = ""
    bias: str = ""
    absent: tuple[str, str] | None = None
    aliases: dict[str, str] = field(default_factory=dict)  # a name that is not there: what it is
    scales: dict[str, float] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    evidence: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
