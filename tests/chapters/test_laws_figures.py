"""The chapters' figures and tables show what the stored arrays hold; pages refuse wrong names."""

import ast
from collections.abc import Callable
from dataclasses import replace

import nbformat
import numpy as np
import pytest

from semantica_lib.analysis.log_odds import Source, odds_of
from semantica_lib.analysis.theory import decay_factor
from semantica_lib.chapters.laws import figures as laws
from semantica_lib.chapters.laws import measures as analysis
from semantica_lib.errors import RequestError
from semantica_lib.files import ROOT
from semantica_lib.store.results import Result

Make = Callable[..., Result]
Fits = Callable[..., bool]


def with_gaps(result: Result) -> Result:
    """Gaps of (0, 1) near 2 and of (2, 3) near 0, a little other in each trial."""
    trials, steps = len(result.seed), result.steps
    noise = 0.1 * np.arange(trials)[:, None, None, None]
    gaps = np.array([[2.0, 1.5, 2.5], [0.0, -0.5, 0.5]]) + noise + 0 * steps[:, None, None]
    return replace(result, measured_steps=steps, logit_gap=gaps,
                   hidden_norm=np.ones((trials, len(steps), 2)))  # fmt: skip


def test_the_clock_s_axes_are_predicted_and_measured(make: Make, fits: Fits) -> None:
    result = make(seeds=[1, 2, 3])
    partial = make("two", experiment="other", seeds=[1])
    partial = replace(partial, manifest={**partial.manifest, "status": "partial"})
    figure = laws.clock(analysis.courses([result, partial]))
    assert len(figure.axes) == 6
    factor = decay_factor(result.settings, result.steps)
    table = result.output_embedding[~result.tied].astype(float)
    gap = np.linalg.norm(table[:, :, 0] - table[:, :, 1], axis=-1)
    axes = figure.axes[4]
    assert axes.get_title() == "untied output\nDH fails"
    seeds, mean, end = axes.lines[:3], axes.lines[3], axes.lines[4]
    for line, curve in zip(seeds, gap / gap[:, :1], strict=True):
        np.testing.assert_allclose(line.get_xdata(), factor)
        np.testing.assert_allclose(line.get_ydata(), curve, rtol=1e-6)
    np.testing.assert_allclose(mean.get_ydata(), np.exp(np.log(gap / gap[:, :1]).mean(0)))
    assert end.get_markerfacecolor() != "white"
    assert axes.lines[7].get_markerfacecolor() == "white"  # the partial one's
    diagonal = axes.lines[-1]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert fits(figure)


def test_gaps_end_where_they_were_measured(make: Make, fits: Fits) -> None:
    result, old = with_gaps(make(seeds=[1, 2, 3])), make("two", experiment="old", seeds=[1])
    made = odds_of(analysis.labelled([result, old], []))
    figure = laws.gaps(made)
    untied, tied = figure.axes
    names = [label.get_text() for label in untied.get_yticklabels()]
    assert names == ["made: B over A", "made: D over C", "old: B over A", "old: D over C"]
    for axes, is_tied in ((untied, False), (tied, True)):
        shown = axes.collections[0].get_offsets()[:, 0]
        np.testing.assert_allclose(shown, result.logit_gap[result.tied == is_tied, -1, 0, 0])
        assert axes.lines[0].get_xdata()[0] == pytest.approx(np.log(9))
        assert [text.get_text() for text in axes.texts] == ["not measured"] * 2
    assert fits(figure)
    course = laws.gap_course([one for one in made if one.label == "made"])
    thin = course.axes[0].lines[:3]
    for line, curve in zip(thin, result.logit_gap[~result.tied, :, 0, 0], strict=True):
        np.testing.assert_allclose(line.get_ydata(), curve)
    assert fits(course)


def test_what_is_missing_is_said(make: Make, fits: Fits) -> None:
    old = odds_of([Source("old", make(seeds=[1]))])
    assert "stored before" in laws.gap_course(old).axes[0].texts[0].get_text()
    assert laws.older(old).endswith("only the bound is told: old.")
    assert laws.older([]) == ""
    own = make("two").settings
    assert "decay 0.1, sampled loss. `semantica run closing`" in laws.absent([(own, None)])
    assert "semantica run" in laws.listed([])
    for figure in (laws.clock([]), laws.gaps([]), laws.gap_course([])):
        assert figure.axes[0].texts
        assert fits(figure)
    short = odds_of([Source("short", with_gaps(make("three", steps=20)))])
    assert laws.gaps(short).axes[0].texts[0].get_text() == "nothing at the end"


def test_tables_tell_classes_and_shortfalls(make: Make) -> None:
    result = with_gaps(make(seeds=[1, 2, 3]))
    factor = decay_factor(result.settings, result.steps)[None, :, None, None]
    table = result.input_embedding[:, :1] * factor
    clocked = replace(result, input_embedding=table, output_embedding=table)
    courses = analysis.courses([clocked])
    text = laws.classes(courses)
    assert text.count("*on the clock*: 1.00 [1.00, 1.00]") == 6
    assert "| untied input | holds | 1 | 1 | 0 | 0 | 0 |" in laws.counted(courses)
    assert laws.resisted(courses).endswith("slower than the clock: none.")
    made = odds_of(analysis.labelled([result], []))
    (line,) = [x for x in laws.shortfalls(made).splitlines() if x.startswith("| made | untied")]
    mean = result.logit_gap[~result.tied, -1, 0, 0].mean()
    assert f"| B over A | 2.197 | {mean:#.3g} [" in line
    assert f"{np.log(9) - mean:#.3g} [" in line


@pytest.mark.parametrize("page", ["clock", "logodds"])
def test_the_pages_refuse_a_parameter_that_they_have_not(page: str) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{page}.ipynb", as_version=4)
    first, second, *_ = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert first.metadata.tags == ["parameters"]
    scope = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(first.source).body
    }
    exec(second.source, dict(scope))
    with pytest.raises(RequestError, match="unknown parameter 'seed'"):
        exec(second.source, scope | {"seed": 1})
