"""How the measures of tables did where the truth is known, as `table_measures.py` wrote it."""

import json
from typing import NamedTuple

import numpy as np

from semantica_lib.analysis.markdown import title
from semantica_lib.analysis.statistics import mean_interval
from semantica_lib.store import results

FILE = results.PUBLISHED / "tables-validation.json"


class Row(NamedTuple):
    """``values`` are one a seed; their mean's sign is to be ``expected`` around ``chance``."""

    measure: str
    model: str
    state: str
    expected: str
    values: list[float]
    chance: float = 0.0
    margin: float = 0.0

    @property
    def label(self) -> str:
        """What the book calls these tables."""
        return f"{title(self.model)}, {self.state}"

    @property
    def interval(self) -> tuple[float, float, float]:
        """The mean over seeds, and its 95% interval."""
        return mean_interval(np.array(self.values))[:3]

    @property
    def passed(self) -> bool:
        """Whether the interval lies beyond the margin on the side expected, or on neither side."""
        _, low, high = self.interval
        over, under = low > self.chance + self.margin, high < self.chance - self.margin
        return {"+": over, "-": under}.get(self.expected, not (over or under))


def validated() -> list[Row]:
    """The stored rows; none if they were not made."""
    if not FILE.exists():
        return []
    return [Row(**one) for one in json.loads(FILE.read_text(encoding="utf-8"))["rows"]]
