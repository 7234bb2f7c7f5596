"""What is to be seen in the figures of any experiment, in a sentence each, from stored results.

Captions and alternative texts begin with these. A sentence is empty where nothing can be said yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from semantica_lib.analysis import distances
from semantica_lib.analysis.claims import BOTH, MERGE_MARGIN, Measured, tie_of
from semantica_lib.analysis.distances import Table, Trials, end_of, synonym_pairs
from semantica_lib.analysis.markdown import counted, listed, names, number, pair_name
from semantica_lib.analysis.second_round import HALF, share_known
from semantica_lib.analysis.statistics import finite, geometric_interval
from semantica_lib.analysis.sweep_points import PLACES, Place, name_of
from semantica_lib.figures.overview import TABLES
from semantica_lib.store.results import Result


def merged(result: Result, *places: Place) -> str:
    """In how many trials each pair of synonyms has merged at the end, in these tables or all."""
    told = []
    for tied, table in places or TABLES.values():
        trials = Trials.of(result, tied, end_of(result))
        if trials.window is not None and len(trials.seeds):
            counts = [
                f"{pair_name(pair)} in {(trials.ratio(table, tuple(pair))[0] < MERGE_MARGIN).sum()}"
                for *pair, _ in synonym_pairs(trials.task)
            ]
            where = f"of {len(trials.seeds)} trials ({name_of((tied, table))})"
            told += [f"{where} {', '.join(counts)}"] * bool(counts)
    end = "at the end" if result.complete else "so far"
    return f"Merged {end}: {'; '.join(told)}." if told else ""


def learned(result: Result) -> str:
    """How many trials learned the parity, tied and untied."""
    if end_of(result) is None:
        return ""
    return f"The parity is learned by {_of(Measured(result).learned)}."


def known(result: Result) -> str:
    """How many trials know over half of the bit, tied and untied."""
    if end_of(result) is None:
        return ""
    over = {tied: share_known(Measured(result), tied) > HALF for tied in BOTH}
    return f"Over half of the bit is known at the end by {_of(over)}."


def _of(some: Mapping[bool, pd.Series]) -> str:
    """How many tied and how many untied trials are among some."""
    there = (tied for tied in reversed(BOTH) if len(some[tied]))
    return listed(f"{counted(some[tied])} {tie_of(tied)} trials" for tied in there)


def nearest(result: Result) -> str:
    """Which two rows end nearest to each other in each table, by the mean over seeds."""
    window, told = end_of(result), {}
    for name, (tied, table) in TABLES.items():
        trials = Trials.of(result, tied, window)
        if window is not None and len(trials.seeds):
            mean = distances.pairwise(trials.tables[table][:, window]).mean((0, 1))
            mean[np.tril_indices(len(mean))] = np.inf
            pair = np.unravel_index(mean.argmin(), mean.shape)
            told[name] = listed(names(trials.task)[i] for i in pair)
    if len({*told.values()}) == 1 < len(told):
        return f"In every table {told[name]} end nearest to each other."
    ends = (f"{pair} ({name})" for name, pair in told.items())
    return f"Nearest to each other are in the end {listed(ends)}." if told else ""


def overview(found: Sequence[Result]) -> str:
    """Of how many pairs of complete results the geometric mean has merged, by table and DH."""
    counts: dict[Place, dict[bool, list[bool]]] = {place: {True: [], False: []} for place in PLACES}
    for place, result in product(PLACES, [one for one in found if one.complete]):
        trials = Trials.of(result, place[0], end_of(result))
        for *pair, holds in synonym_pairs(trials.task):
            ratio = finite(trials.ratio(place[1], tuple(pair))[0])
            counts[place][holds].append(geometric_interval(ratio).estimate < MERGE_MARGIN)
    told = [
        f"in the {name_of(place)} table {sum(of[True])} of {len(of[True])} where the DH holds and "
        f"{sum(of[False])} of {len(of[False])} where it fails"
        for place, of in counts.items()
    ]
    return f"Pairs have merged, by the mean over seeds, {listed(told, ';')}."


def pairs_apart(result: Result, table: Table, pairs: Iterable[distances.Pair]) -> str:
    """How far apart pairs end in an untied table, as shares of a control pair's distance."""
    trials = Trials.of(result, False, end_of(result))
    if trials.window is None or not len(trials.seeds):
        return ""
    told = []
    for pair in pairs:
        ratio = geometric_interval(finite(trials.ratio(table, pair)[0])).estimate
        told.append(f"{pair_name(pair)} at {number(ratio)}")
    return f"Of a control pair's distance the synonyms end {listed(told)} (untied {table})."
