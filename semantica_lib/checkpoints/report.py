"""What the reader found, as text and as JSON."""

import json
from collections.abc import Sequence
from typing import Any

from semantica_lib.checkpoints.families import effect
from semantica_lib.checkpoints.reading import Checkpoint, tables
from semantica_lib.checkpoints.status import Table
from semantica_lib.errors import RequestError


def show(sources: Sequence[str], as_json: bool) -> None:
    """Print what each source holds.

    Raises:
        RequestError: some could not be read; the others are printed.
    """
    found, refused = [], []
    for source in sources:
        try:
            found.append(tables(source))
        except RequestError as error:
            refused.append(str(error))
    if as_json:
        print(json.dumps([row(one) for one in found], indent=1))
    elif found:
        print("\n\n".join(map(text, found)))
    if refused:
        raise RequestError("; ".join(map(_plain, refused)))


def row(one: Checkpoint) -> dict[str, Any]:
    """A checkpoint as JSON values."""

    def told(table: Table | None) -> dict[str, Any] | None:
        if table is None:
            return None
        shape = list(table.shape)
        words = {"name": table.name, "shape": shape, "dtype": table.dtype}
        return words | {"transposed": table.transposed}

    return {
        "source": one.source, "format": one.format, "family": one.family, "status": one.status,
        "input": told(one.input), "output": told(one.output), "bias": one.bias,
        "scales": one.scales, "evidence": one.evidence, "warnings": one.warnings,
    }  # fmt: skip


def text(one: Checkpoint) -> str:
    """A checkpoint in lines."""
    lines = [f"{one.source}: {one.status}", f"  {one.format}, {one.family}"]
    for role, table in (("input", one.input), ("output", one.output)):
        if table:
            turned = ", transposed" if table.transposed else ""
            size = " x ".join(f"{length:,}" for length in table.shape)
            lines.append(f"  {role:7} {table.name} [{size}] {table.dtype}{turned}")
    if one.bias:
        lines.append(f"  bias    {one.bias['name']}")
    lines += [f"  scale   {key} {value:g} {effect(key, one.family)}"
              for key, value in one.scales.items()]  # fmt: skip
    lines += [f"  because {words}" for words in one.evidence]
    lines += [f"  warning {words}" for words in one.warnings]
    return "\n".join(map(_plain, lines))


def _plain(line: str) -> str:
    """Without signs that steer a terminal, which a file's names may hold."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)
