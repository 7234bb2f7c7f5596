"""Ways to tie in a language model: verdicts, table, figure, on made-up results of known losses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_language import made

from semantica_lib.analysis.sweep_points import Point
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.schemes import figures, language
from semantica_lib.chapters.schemes.language import GRAMMAR, TEXT, language_claims
from semantica_lib.settings.sweeps import points, read, sweeps

TIES = (*sorted({*GRAMMAR, *TEXT}), "tied", "untied", "tied-but-mask", "scaled:0.3")
SEEDS = tuple(range(1, 11))
# Loss minus tied, nats: where the DH holds, where it is broken, at all places.
AS_PREDICTED = {
    "mapped": (-0.1, -0.3, -0.2), "lookup:3": (-0.1, -0.1, -0.1), "pseudo-inverse": (1, 1, 1),
    "soft:0.1": (-0.1, -0.1, -0.1),
}  # fmt: skip
SPLITS = "validation-holds", "validation-broken", "validation"


def point(folder: Path, more: dict, corpus: str = "grammar", ties: tuple = TIES) -> Point:
    """A sweep's point whose ways end at so much more loss than tied, but for some noise."""
    one = made(folder, seeds=SEEDS, corpus=corpus, ties=("tied", "untied"))
    tied, noise = np.flatnonzero(one.tie == "tied"), np.random.default_rng(1)
    index, names, metrics = [], [], []
    for tie in ties:
        index += list(tied)
        names += [tie] * len(tied)
        rows = one.metrics[one.metrics.tie == "tied"].assign(tie=tie, tied=tie == "tied")
        for split, much in zip(SPLITS, more.get(tie, (0, 0, 0)), strict=True):
            here = rows.split == split
            rows.loc[here, "loss"] += much + (tie != "tied") * noise.normal(0, 0.02, here.sum())
        metrics.append(rows)
    own = one.settings.model_copy(update={"ties": ties})
    manifest = one.manifest | {"settings": own.model_dump(mode="json")}
    names = np.array(names)
    result = replace(
        one, manifest=manifest, seed=one.seed[index], tie=names, tied=names == "tied",
        input_embedding=one.input_embedding[index], output_embedding=one.output_embedding[index],
        holds=one.holds[index], metrics=pd.concat(metrics),
    )  # fmt: skip
    return Point({"ties": ties}, own, result)


def rows(found: Point) -> pd.DataFrame:
    return judged("made", *language_claims(language.spoken([found])), [found.result])


@pytest.mark.parametrize("name", ["mlm-grammar-schemes", "mlm-schemes"])
def test_the_sweeps_have_the_ways_and_seeds_that_the_predictions_are_on(name: str) -> None:
    ((_, own),) = points(read(sweeps()[name]))
    assert {*own.ties} == {*TIES} and own.seeds == tuple(range(2000, 2010))
    assert own.corpus == ("grammar" if "grammar" in name else "documentation")


def test_what_does_as_predicted_is_judged_so(tmp_path: Path) -> None:
    primary = primary_rows(rows(point(tmp_path, AS_PREDICTED)))
    assert len(primary) == 5 and {*primary.verdict} == {"as predicted"}
    assert primary.estimate.to_list() == pytest.approx([-0.2, -0.1, 1, -0.1, -0.2], abs=0.03)


def test_what_does_the_contrary_is_judged_so(tmp_path: Path) -> None:
    contrary = {tie: tuple(-one for one in more) for tie, more in AS_PREDICTED.items()}
    primary = primary_rows(rows(point(tmp_path, contrary)))
    assert {*primary.verdict} == {"not as predicted"}


def test_on_text_no_side_is_predicted_of_where_a_map_gains(tmp_path: Path) -> None:
    own = {tie: (0.2, 0.2, 0.2) for tie in GRAMMAR} | {"lookup:3": (-0.1, -0.1, -0.1)}
    frame = rows(point(tmp_path, own, corpus="documentation"))
    assert {*primary_rows(frame).verdict} == {"as predicted"} and len(primary_rows(frame)) == 4
    others = frame.drop(primary_rows(frame).index)
    assert {*others.verdict} == {"no prediction"}
    (contrast,) = others[others.claim.str.contains("gains more")].estimate
    assert contrast == pytest.approx(0, abs=0.03)


def test_the_table_has_every_way_with_what_it_costs_where(tmp_path: Path) -> None:
    told = language.testbed(language.spoken([point(tmp_path, AS_PREDICTED)]))
    mapped = next(line for line in told.splitlines() if line.startswith("| `mapped`"))
    cells = [float(cell.split(" [")[0]) for cell in mapped.split("|")[3:6]]
    assert cells == pytest.approx([-0.2, -0.1, -0.3], abs=0.03)
    near = [float(cell.split(" [")[0]) for cell in mapped.split("|")[6:8]]
    assert near == pytest.approx([0.45, 0.9], rel=0.05)  # as the made-up tied tables are
    assert all(f"| `{tie}` |" in told for tie in TIES)


def test_the_figure_and_its_caption_show_who_does_better_than_tied(tmp_path: Path) -> None:
    there = [point(tmp_path, AS_PREDICTED)]
    absent = [there[0]._replace(result=None)]
    assert language.spoken(absent) is None
    all_ = {"the grammar": language.spoken(there), "text": None}
    told = language.seen(all_)
    assert told.startswith("On the grammar `") and "text" not in told
    assert "`mapped`" in told.partition(" ended at less loss than tied; ")[0]
    assert "`pseudo-inverse`" in told.partition(" at more, ")[2]
    left, right = figures.languages(all_).axes
    assert len(left.get_yticklabels()) == len(TIES) - 1 and right.texts
    marks = [line for line in left.lines if line.get_marker() == "s"]
    assert len(marks) == len(TIES) - 1
    assert not language.seen({"text": None}) and "no prediction" in language.verdict("a", None)
    assert "semantica train mlm-schemes" in language.run("mlm-schemes", absent)
    assert "Nothing" in language.testbed(None)


def test_a_result_without_one_of_its_ways_is_not_judged(tmp_path: Path) -> None:
    found = point(tmp_path, AS_PREDICTED, ties=TIES[1:])
    asked = found.settings.model_copy(update={"ties": TIES})
    assert language.spoken([found._replace(settings=asked)]) is None
