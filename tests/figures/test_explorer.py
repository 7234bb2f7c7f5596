"""The moving figure's data are the stored trajectory's, and all of it is small and local."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from semantica_lib.figures.explorer import data, explorer, still
from semantica_lib.files import ROOT
from semantica_lib.settings.catalogue import Settings, catalogue, find
from semantica_lib.store import results
from semantica_lib.store.results import Result

Make = Callable[..., Result]
PLACES = {
    "Tied": (True, "input_embedding"),
    "Untied: input": (False, "input_embedding"),
    "Untied: output": (False, "output_embedding"),
}


def stored(result: Result, seed: int, name: str) -> np.ndarray:
    """A table of a seed at every record, ``(record, symbol, feature)``."""
    tied, table = PLACES[name]
    (trial,) = np.flatnonzero((result.seed == seed) & (result.tied == tied))
    return getattr(result, table)[trial].astype(float)


def axes_of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal axes of all rows, ``(axis, feature)``, and their shares."""
    flat = rows.reshape(-1, rows.shape[-1])
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    return vectors[:, :-3:-1].T, values[:-3:-1] / values.sum()


@pytest.mark.parametrize("published", [True, False])
def test_rows_shares_and_distances_are_those_of_the_trajectory(make: Make, published: bool) -> None:
    result = results.load(results.PUBLISHED / "transformer-small") if published else make()
    found = data(result)
    records = np.flatnonzero(np.isin(result.steps, found["steps"]))
    assert result.steps[records].tolist() == found["steps"]
    assert {0, result.steps[-1]} <= set(found["steps"])
    assert [trial["seed"] for trial in found["trials"]] == [42, 43, 44, 45, 46]
    assert [pair["of"] for pair in found["pairs"]] == [(0, 1), (2, 3)]
    assert [pair["holds"] for pair in found["pairs"]] == [False, True]
    for trial in found["trials"]:
        assert [panel["name"] for panel in trial["panels"]] == list(PLACES)
        for panel in trial["panels"]:
            rows = stored(result, trial["seed"], panel["name"])[records]
            axes, shares = axes_of(rows)
            drawn = np.array(panel["rows"]).reshape(len(records), -1, 2) / found["unit"]
            expected = rows @ axes.T
            sign = np.sign((drawn * expected).sum((0, 1)))  # an eigenvector has none
            np.testing.assert_allclose(drawn, sign * expected, atol=0.51 / found["unit"])
            np.testing.assert_allclose(panel["shares"], 100 * shares, atol=0.51)
            around = rows - rows.mean(1, keepdims=True)
            held = np.linalg.norm(around @ axes.T, axis=(1, 2)) ** 2
            held /= np.linalg.norm(around, axis=(1, 2)) ** 2
            np.testing.assert_allclose(panel["held"], 100 * held, atol=0.51)

            def apart(a: int, b: int, rows: np.ndarray = rows) -> np.ndarray:
                return np.sqrt(((rows[:, a] - rows[:, b]) ** 2).sum(-1))

            control = np.median([apart(a, b) for a in (0, 1) for b in (2, 3)], axis=0)
            np.testing.assert_allclose(panel["control"], control, rtol=0.006)
            for distance, pair in zip(panel["distances"], [(0, 1), (2, 3)], strict=True):
                np.testing.assert_allclose(distance, apart(*pair), rtol=0.006, atol=2e-7)


def test_the_clock_is_what_decay_leaves(make: Make) -> None:
    own = {"learning_rate": 0.1, "weight_decay": 0.5, "schedule": "none", "schedule_period": None}
    found = data(make(**own))
    expected = [(1 - 0.05) ** step for step in found["steps"]]
    np.testing.assert_allclose(found["clock"], expected, rtol=0.006)
    assert data(make("adam", optimizer="adam", weight_decay=0.5))["clock"] is None  # has none


def test_symbols_are_named_by_letters_and_told_by_their_bit(make: Make) -> None:
    symbols = data(make(one_dst=[0.2, 0.4, 0.4, 0.0]))["symbols"]
    assert [one["name"] for one in symbols] == [*"ABCDEF", "even", "odd", "mask"]
    assert [one["kind"] for one in symbols] == [
        "zero", "zero", "one", "one", "one", "one", "even", "odd", "mask",
    ]  # fmt: skip
    dh = [one["dh"] for one in symbols]
    assert dh == ["fails", "fails", "fails", "holds", "holds", "", "", "", ""]  # F never occurs


@pytest.mark.parametrize(
    ("values", "panels"),
    [
        ({"ties": ["tied"], "seeds": [7], "steps": 20}, ["Tied"]),
        ({"ties": ["untied"]}, ["Untied: input", "Untied: output"]),
        ({"embedding_size": 1, "zero_dst": [1.0], "one_dst": [1.0]}, list(PLACES)),
    ],
)
def test_it_shows_what_there_is(
    make: Make, fits: Callable[[Figure], bool], values: dict[str, Any], panels: list[str]
) -> None:
    found = data(make(**values))
    assert [panel["name"] for panel in found["trials"][0]["panels"]] == panels
    assert fits(still(found))


def test_a_seed_of_which_a_trial_diverged_is_left_out(make: Make) -> None:
    result = make(seeds=[42, 43, 44])
    result.input_embedding[1, -1] = np.nan
    assert [trial["seed"] for trial in data(result)["trials"]] == [42, 44]
    result.input_embedding[:] = np.nan
    assert "nothing to move" in explorer(result).data


def test_many_records_are_thinned_evenly(make: Make) -> None:
    steps = data(make(steps=2000, schedule_period=400))["steps"]  # recorded each tenth: 201
    assert (len(steps), steps[0], steps[-1]) == (76, 0, 2000)
    assert set(np.diff(steps)) == {20, 30}


def test_the_output_holds_its_data_and_a_still_figure_and_asks_for_nothing(make: Make) -> None:
    result = make()
    html = explorer(result).data
    assert html.startswith('<div class="semantica-explorer">')
    (packed,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    assert json.loads(packed) == json.loads(json.dumps(data(result)))
    assert re.search(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="[^"]{20,}"', html)
    assert "bit 0: A, B;" in html and "bit 1: C, D;" in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert html == explorer(result).data  # the same bytes again


def test_a_page_stays_small() -> None:
    for name in catalogue():
        result = results.load(results.PUBLISHED / name)
        if result and isinstance(find(name), Settings):
            assert len(json.dumps(data(result), separators=(",", ":"))) < 200_000, name
    code = [ROOT / "book" / "_static" / f"explorer.{suffix}" for suffix in ("js", "css")]
    assert sum(len(path.read_bytes()) for path in code) < 17 * 1024  # it draws for the trainer, too
    text = code[0].read_text()
    assert set(re.findall(r"https?://[^\"]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(fetch|import|XMLHttpRequest|innerHTML)\b", text)
