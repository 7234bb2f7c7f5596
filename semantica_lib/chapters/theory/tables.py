"""The statements of the theory beside what is measured of them, as Markdown."""

from collections.abc import Iterable
from typing import NamedTuple

from semantica_lib.analysis.markdown import table_of
from semantica_lib.chapters.theory.measures import EXACT


class Check(NamedTuple):
    """A statement, its assumptions, what is measured, and whether it is to hold under them."""

    statement: str
    assumptions: str
    deviation: float
    expected: bool

    @property
    def holds(self) -> bool:
        return self.deviation <= EXACT

    @property
    def as_stated(self) -> bool:
        return self.holds == self.expected


def table(checks: Iterable[Check]) -> str:
    """Each check with its deviation, and whether it came out as stated."""
    return table_of(
        {
            "statement": one.statement,
            "assumptions": one.assumptions,
            "deviation": f"{one.deviation:.1e}",
            f"to {EXACT:.0e}": "holds" if one.holds else "fails",
            "and that is": "as stated" if one.as_stated else "**not as stated**",
        }
        for one in checks
    )
