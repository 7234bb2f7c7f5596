"""Names, numbers, intervals and tables as the pages show them: Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
import yaml

from semantica_lib.analysis import statistics
from semantica_lib.analysis.statistics import Interval, finite
from semantica_lib.datasets.xor import XorTask
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import first_of

NONE = "–"  # stands for a number that there is not
UNTRAINED = "Nothing is trained yet."
# Of symbols, in a claim's fixed words, which have counts of trials too.
PAIR = re.compile(r"(?<![\d.])(?<!never: )(\d+) and (\d+)(?!\.?\d| of \d)")
ALONE = re.compile(r"(?<=o_)\d+|\d+(?= lies half way)")


def title(name: str) -> str:
    """What the book's contents call an experiment, of either round; else its own name."""
    return _titles().get(f"experiments/{first_of(name)}", name)


@cache
def _titles() -> dict[str, str]:
    parts = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8"))["parts"]
    return {one["file"]: one["title"] for part in parts for one in part["chapters"]}


def letter(symbol: int) -> str:
    """What pages call a symbol that stands for a bit: A, B and so on, since bits are numbers."""
    return chr(ord("A") + symbol) if symbol < 26 else f"S{symbol}"


def names(task: XorTask) -> tuple[str, ...]:
    """What pages call all symbols of a task, by id."""
    return *map(letter, range(task.symbols)), "even", "odd", "mask"


def pair_name(pair: Iterable[int]) -> str:
    """``A and B``: two symbols that stand for bits, as pages call them."""
    return " and ".join(map(letter, pair))


def listed(words: Iterable[str], mark: str = ",") -> str:
    """``a, b and c``; empty without any."""
    *head, last = [*words] or [""]
    return f"{f'{mark} '.join(head)} and {last}" if head else last


def lettered(claim: str) -> str:
    """A claim as pages tell it: symbols, which are numbers in its fixed words, become letters.

    Behind ``fourth cell`` a pair is the two parities; behind ``parity`` its first one is that which
    acts as one more symbol of the second one's bit.
    """
    if "fourth cell" in claim:
        return PAIR.sub("even and odd", claim)
    named = "its parity and {1}" if "parity, untied input" in claim else "{0} and {1}"
    told = PAIR.sub(lambda pair: named.format(*(letter(int(one)) for one in pair.groups())), claim)
    return ALONE.sub(lambda one: letter(int(one[0])), told)


def number(value: float | None) -> str:
    """Three digits, below a million without a power of ten, or a dash where there is no number."""
    text = f"{value:#.3g}".rstrip(".") if pd.notna(value) else NONE
    return f"{float(text):,.0f}" if text.endswith(("e+03", "e+04", "e+05")) else text


def with_interval(interval: Interval) -> str:
    """An estimate with its interval in brackets, or a dash where there is none."""
    if np.isnan(interval.estimate):
        return NONE
    return f"{number(interval.estimate)} [{number(interval.low)}, {number(interval.high)}]"


def mean(values: np.ndarray | pd.Series) -> str:
    """The mean of the values that are finite, with its 95% interval (Student's t)."""
    return with_interval(statistics.mean_interval(finite(values)))


def geometric(values: np.ndarray | pd.Series) -> str:
    """The geometric mean of the values that are finite, with its 95% interval (t of the logs)."""
    return with_interval(statistics.geometric_interval(finite(values)))


def counted(passed: np.ndarray | pd.Series) -> str:
    """``3 of 20``: how many are true; a dash if there are none at all."""
    return f"{int(np.sum(passed))} of {len(passed)}" if len(passed) else NONE


def share(passed: np.ndarray | pd.Series) -> str:
    """The share of true values with its exact 95% interval (Clopper & Pearson)."""
    return with_interval(statistics.share_interval(np.asarray(passed, bool)))


def markdown_table(heads: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    """Rows of cells under their heads, as a Markdown table."""
    heads = list(heads)
    rows = [heads, ["---"] * len(heads), *([c.replace("|", "\\|") for c in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def table_of(rows: Iterable[Mapping[str, str]], none: str = "") -> str:
    """Rows of cells by their heads, the same in each, as a Markdown table; ``none`` without any."""
    rows = list(rows)
    return markdown_table(rows[0], [list(row.values()) for row in rows]) if rows else none
