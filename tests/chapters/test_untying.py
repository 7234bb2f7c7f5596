"""Trials that are untied on the way, on made-up results whose answers are known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import SEEDS, STEPS, made

from semantica_lib.analysis.claims import EXPLORATORY
from semantica_lib.analysis.statistics import INCONCLUSIVE
from semantica_lib.analysis.sweep_points import Point, stored
from semantica_lib.analysis.verdicts import judged, primary_rows
from semantica_lib.chapters.untying import measures as untying
from semantica_lib.chapters.untying.claims import untying_claims
from semantica_lib.chapters.untying.measures import Way, ways_of
from semantica_lib.settings.catalogue import Settings

RATE = 0.1  # 400 steps of it, decay 0.1: each step leaves 0.99
FAST = {"learning_rate": RATE, "learning_rate_min": RATE, "record_every": 20}
Curve = Callable[[int, tuple[int, int]], Any]


def kept(until: int) -> np.ndarray:
    """What decay leaves at each record of the distance at a step, ``(record,)``, from there on."""
    return np.where(until <= STEPS, 0.99 ** (STEPS - until).astype(float), 1.0)


def late(
    folder: Path, until: int | None, inputs: Curve, outputs: Curve | None = None, **own: Any
) -> Point:
    """A point of the sweep: made-up trials, whose input and output rows are as far apart as said.

    Those of the main experiment, without a step of untying, are tied and untied.
    """
    folder = folder / f"{until}-{len(own)}"
    folder.mkdir(parents=True)
    more = {"attained": own.pop("attained")} if "attained" in own else {}
    more |= {"status": own.pop("status")} if "status" in own else {}
    own = FAST | {"untie_at": until} | own

    def table(curve: Curve) -> Any:
        return made(folder, lambda seed, tied, _, pair: curve(seed, pair), **more, **own)

    result, other = table(inputs), table(outputs or inputs)
    apart = ~result.tied[:, None] | ((until or 500) < STEPS)  # (trial, record)
    output = np.where(apart[..., None, None], other.output_embedding, result.output_embedding)
    return Point({"untie_at": until}, result.settings, replace(result, output_embedding=output))


def learned(seeds: int, loss: float = 0.52, other: float = 1.2) -> Any:
    """Accuracy and loss of trials of which the first so many seeds learn."""
    return lambda seed, tied, split: (0.6, loss if seed <= seeds else other)


def settings(until: int | None, **own: Any) -> Settings:
    return Settings(**({"steps": 400, "schedule_period": 200, "untie_at": until} | FAST | own))


def way(point: Point) -> Way:
    (found,) = [one for one in ways_of([point]) if one.until == point.settings.untie_at]
    return found


def rows(found: list[Point]) -> pd.DataFrame:
    return judged("made", *untying_claims(found), [one.result for one in found if one.result])


@pytest.mark.parametrize(
    ("until", "merges"), [(None, True), (20, True), (60, None), (80, None), (120, False)]
)
def test_the_clock_counts_from_the_step_of_untying(until: int | None, merges: Any) -> None:
    window = np.arange(220, 401, 20)  # the last period's records
    left = np.mean([0.99 ** (step - (until or 0)) for step in window])
    assert untying.clock(settings(until)) == pytest.approx(left, rel=1e-5)
    assert untying.merges(settings(until)) is merges
    assert np.isnan(untying.clock(settings(until, optimizer="adam")))
    assert untying.merges(settings(until, schedule_period=500)) is None


def test_what_is_left_is_of_the_distance_at_the_step_of_untying(tmp_path: Path) -> None:
    def inputs(seed: int, pair: tuple) -> np.ndarray:
        return np.where(STEPS < 100, 5.0, seed * kept(100))

    one = way(late(tmp_path, 100, inputs, lambda *_: 3.0))
    known = np.mean([0.99 ** (step - 100) for step in range(220, 401, 20)])
    for pair in ((0, 1), (2, 3)):
        assert untying.left_of(one, "input", pair) == pytest.approx(known, rel=1e-5)
        ends = 3.0 / np.array(SEEDS)
        assert untying.left_of(one, "output", pair) == pytest.approx(ends, rel=1e-5)
    assert one.clock == pytest.approx(known, rel=1e-5)
    between = way(late(tmp_path, 110, inputs))
    assert np.isnan(untying.left_of(between, "input", (0, 1))).all()


def test_tables_are_one_until_the_step_of_untying_and_root_two_apart_at_right_angles(
    tmp_path: Path,
) -> None:
    one = way(late(tmp_path, 100, lambda *_: 1.0, lambda *_: 2.0))
    apart = untying.apart(one)
    assert apart.shape == (len(SEEDS), len(STEPS))
    assert not apart[:, STEPS <= 100].any() and (apart[:, STEPS > 100] > 0).all()
    # rows of norms 1/2 against 1, twice, beside the same ones: by hand
    same = 4.0 * 2 + 1.0  # rows 2 and 3 lie 2 along another feature, row 4 lies 1
    norms = same + 4 * 0.25, same + 4 * 1.0
    known = np.sqrt(4 * 0.25 / np.mean(norms))
    assert apart[:, -1] == pytest.approx(known, rel=1e-6)
    turned = replace(one.result, output_embedding=np.roll(one.result.input_embedding, 1, 2) * 0)
    turned.output_embedding[..., 6, 0] = np.sqrt(same + 1)  # where the input table has nothing
    crossed = Way(100, untying.Judged(turned), turned)
    assert untying.apart(crossed) == pytest.approx(np.sqrt(2), rel=1e-6)


def test_a_trial_begins_as_the_tied_one_of_its_seed(tmp_path: Path) -> None:
    tied = [
        one for one in ways_of([late(tmp_path, None, lambda seed, _: seed)]) if one.until == np.inf
    ]
    same = way(late(tmp_path, 100, lambda seed, _: np.where(STEPS > 100, 9.0, seed)))
    assert untying.begins_as(same, *tied) == 0
    other = way(late(tmp_path, 120, lambda seed, _: np.where(STEPS == 120, 9.0, seed)))
    assert untying.begins_as(other, *tied) > 0.1


def test_when_a_trial_learns_and_when_outputs_come_close(tmp_path: Path) -> None:
    point = late(tmp_path, 100, lambda *_: 1.0, attained=learned(3))
    metrics = point.result.metrics
    # seed 1 learns at 60, seed 2 is near at 60 only for a moment, then from 200 on; 3 throughout
    late_ones = (metrics.seed == 1) & (metrics.step < 60)
    moment = (metrics.seed == 2) & (metrics.step < 200) & (metrics.step != 60)
    flash = (metrics.seed == 4) & (metrics.step == 80)
    loss = metrics.loss.mask(late_ones | moment, 1.2).mask(flash, 0.52)
    one = way(point._replace(result=replace(point.result, metrics=metrics.assign(loss=loss))))
    first = untying.first_learned(one)
    assert first.to_dict() == {1: 60, 2: 60, 3: 0, 4: np.inf, 5: np.inf, 6: np.inf}
    assert untying.first_learned(one, [0, 40, 80, 240])[[1, 2]].tolist() == [80, 240]

    def outputs(seed: int, pair: tuple) -> np.ndarray:
        return np.where(40 * seed + 100 > STEPS, 1.0, 0.099 if seed < 6 else 0.101)

    one = way(late(tmp_path / "close", 100, lambda *_: 1.0, outputs))
    first = untying.first_close(one, (2, 3))
    assert first.to_dict() == {s: 40 * s + 100 if s < 6 else np.inf for s in SEEDS}
    assert untying.first_close(one, (2, 3), [0, 200, 400])[[1, 2, 3]].tolist() == [200, 200, 400]


def sweep(folder: Path, turn: bool = False, base: Any = None) -> list[Point]:
    """The main experiment and three steps of untying, with all as predicted, or all the other way.

    The clock leaves under a tenth from 20 on, nearly a tenth from 60 and over a tenth from 120.
    """
    folder.mkdir()

    def outputs(seed: int, pair: tuple) -> float:
        near = (pair == (2, 3)) != turn
        return 0.02 * (1 + seed / 100) if near else 1 + seed / 100

    def inputs(until: int) -> Curve:
        after = kept(until) if not turn else 1.0 if until == 20 else 0.05
        return lambda seed, pair: np.where(until < STEPS, after, 1.0)

    def attained(until: int) -> Any:
        return learned(6, (1.0 if turn else 0.6) + until / 1e5)

    main = late(folder, None, lambda seed, pair: 1.0, attained=base or (
        lambda seed, tied, split: (0.6, (0.9 if tied else 0.6) + seed / 1e3)
    ))  # fmt: skip
    return [main] + [
        late(folder, until, inputs(until), outputs, attained=attained(until))
        for until in (20, 60, 120)
    ]


def test_the_primary_claims_and_their_verdicts(tmp_path: Path) -> None:
    frame = rows(sweep(tmp_path / "as"))
    primary = primary_rows(frame)
    words = [text.partition(": ")[::2] for text in primary.claim]
    by = {until: [what for name, what in words if name == f"tied until {until}"]
          for until in (20, 60, 120)}  # fmt: skip
    assert [len(claims) for claims in by.values()] == [4, 1, 5]
    assert "distance over that when untied, predicted to merge" in by[20][0]
    assert "distance over that when untied, predicted to stay apart" in by[120][0]
    assert by[120][-1] == "loss over all strings minus always tied's, nats"
    assert set(primary.verdict) == {"as predicted"}
    others = frame.drop(primary.index)
    assert others.claim.str.startswith(EXPLORATORY).all()
    turned = primary_rows(rows(sweep(tmp_path / "turned", turn=True)))
    assert turned.claim.tolist() == primary.claim.tolist()
    assert set(turned.verdict) == {"not as predicted"}


def test_losses_are_compared_by_seed_at_steps_that_both_measured(tmp_path: Path) -> None:
    """The main experiment is measured every 40 steps; between, the others have another loss."""
    main, *others = sweep(tmp_path / "all")
    metrics = main.result.metrics
    main = main._replace(result=replace(main.result, metrics=metrics[metrics.step % 40 == 0]))
    point = others[0]
    metrics = point.result.metrics
    loss = metrics.loss + metrics.seed / 10 + 5 * (metrics.step % 40 == 20)
    point = point._replace(result=replace(point.result, metrics=metrics.assign(loss=loss)))
    known = 0.6 + 20 / 1e5 + np.array(SEEDS) / 10
    untied, tied = (base + np.array(SEEDS) / 1e3 for base in (0.6, 0.9))
    primary, exploratory = untying_claims([main, point])
    (half,) = [claim for claim in primary if "minus the mean of" in claim.text]
    assert half.values == pytest.approx(known - (untied + tied) / 2)
    for name, least in (("untied", untied), ("tied", tied)):
        text = f"loss over all strings minus always {name}'s, nats"
        (one,) = [claim for claim in [*primary, *exploratory] if claim.text.endswith(text)
                  and (name == "untied" or claim in primary)]  # fmt: skip
        assert one.values == pytest.approx(known - least)


def test_first_steps_are_compared_at_steps_that_both_have(tmp_path: Path) -> None:
    """Untied late it is learned at 60, of which the main experiment, at 160, measures only 80."""

    def learned_at(point: Point, first: int, every: int) -> Point:
        metrics = point.result.metrics
        metrics = metrics[metrics.step % every == 0]
        loss = metrics.loss.mask(metrics.step < first, 1.2)
        return point._replace(result=replace(point.result, metrics=metrics.assign(loss=loss)))

    main, first, *_ = sweep(tmp_path / "all")
    _, exploratory = untying_claims([learned_at(main, 160, 40), learned_at(first, 60, 20)])
    for name, known in (("untied", 80 / 160), ("tied", 80 / 400)):  # tied: never
        (one,) = [c for c in exploratory if f"is learned, over always {name}'s" in c.text]
        assert one.values == pytest.approx([known] * len(SEEDS))


def test_who_learns_is_compared_by_seed(tmp_path: Path) -> None:
    def base(seed: int, tied: bool, split: str) -> tuple[float, float]:
        return 0.6, 0.6 if seed in ((1, 2) if tied else (2, 3, 4)) else 1.2

    found = sweep(tmp_path / "all", base=base)
    point = late(tmp_path, 20, lambda *_: 1.0, attained=learned(2))
    _, exploratory = untying_claims([found[0], point])
    texts = [claim.text for claim in exploratory]
    assert any("than always untied (2 and 3 of 6; paired exact test, p = 1)" in t for t in texts)
    assert any("than always tied (2 and 2 of 6; paired exact test, p = 1)" in t for t in texts)
    (one,) = [c for c in exploratory if "minus always untied's, nats, seeds that learn" in c.text]
    assert one.values == pytest.approx([0.52 - 0.6])  # of seed 2
    (first,) = [c for c in exploratory if "learned, over always untied's" in c.text]
    assert "(never: 4 and 3)" in first.text


def test_what_is_not_all_there_is_not_judged(tmp_path: Path) -> None:
    """No main experiment, a partial one, a step of untying between records, a diverged trial."""
    main, first, _, last = sweep(tmp_path / "all")
    assert rows([main]).empty and rows([]).empty and ways_of([]) == []
    alone = primary_rows(rows([first])).set_index("claim")
    assert set(alone.loc[alone.index.str.contains("loss")].verdict) == {INCONCLUSIVE}
    assert "no trials of the main experiment" in alone.iloc[-1].deviation
    assert (alone.verdict == "as predicted").sum() == 3
    manifest = last.result.manifest | {"status": "partial"}
    partial = last._replace(result=replace(last.result, manifest=manifest))
    frame = rows([main, first, partial])
    of_it = frame[frame.claim.str.contains("tied until 120:")]
    assert len(of_it) and set(of_it.verdict) == {INCONCLUSIVE}
    assert of_it.deviation.str.contains("partial, at step 400").all()
    assert not rows([main, first]).deviation.str.contains("partial").any()
    between = rows([late(tmp_path, 30, lambda *_: 1.0)]).iloc[0]
    assert between.verdict == INCONCLUSIVE and "not among the records" in between.deviation
    first.result.output_embedding[first.result.seed == 3, -1] = np.nan
    diverged = primary_rows(rows([main, first, last]))
    assert diverged.failed.tolist()[:4] == [1, 1, 1, 1] and diverged.seeds.tolist()[:4] == [5] * 4
    assert set(diverged.verdict[:4]) == {"partly"}


def test_the_main_experiment_is_always_tied_and_always_untied() -> None:
    """As published: the same difference of losses as in its own verdicts."""
    found = stored("untie")
    assert [point.settings.untie_at for point in found][:2] == [None, 1_000]
    ways = {one.until: one for one in ways_of(found)}
    untied, tied = ways[0], ways[np.inf]
    assert (untied.label, tied.label) == ("always untied", "always tied")
    difference = untying.final(untied, "loss", tied) - untying.final(tied, "loss", untied)
    known = untied.measured.untied_minus_tied("loss")
    assert difference.to_numpy() == pytest.approx(known) and len(known) == 20
    assert untying.left_of(tied, "input", (0, 1)) == pytest.approx(
        untying.left_of(tied, "output", (0, 1))
    )
