"""Through which of its uses a tied table gets the larger gradient, and whether the two agree.

Measured while training (:class:`semantica_lib.store.results.Result`), at step 0 and the powers of
2. The share of the output is its gradient's norm over the sum of both norms. Of untied trials the
same numbers are those of the two tables' own gradients. The optimizer divides each number's
gradient by its usual size, so shares of the gradient are not shares of the movement.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from semantica_lib.analysis.claims import Measured, exploratory
from semantica_lib.analysis.statistics import Claim
from semantica_lib.analysis.sweep_points import Point
from semantica_lib.chapters.shaping.measures import Nearness, ratios
from semantica_lib.settings.catalogue import AnySettings, run_command

DECAY, CHOSEN = 0.1, (0.5, 0.85, 0.99)  # of the sweep: weight decay, the likelier synonym's share
EARLY, LATE = 1_000, 0.1  # up to this step; over this part of the run
HALF = 0.5
UNMEASURED = (
    "The result was stored before gradients were measured; `{command} --fresh` trains it anew."
)


class Pulls(NamedTuple):
    """The trials of one tie, by seed; those that crashed are left out.

    Attributes:
        steps: ``(measurement,)``.
        share: ``(seed, measurement)``, the output's share of the gradient; nan where there is none.
        cosine: likewise, between the gradients through the two uses.
    """

    seeds: np.ndarray
    steps: np.ndarray
    share: np.ndarray
    cosine: np.ndarray

    def early(self, of: np.ndarray) -> pd.Series:
        """Mean over the measurements of the first ``EARLY`` steps, by seed."""
        return self._mean(of, self.steps <= EARLY)

    def late(self, of: np.ndarray) -> pd.Series:
        """Mean over those after the first tenth of the run, by seed."""
        return self._mean(of, self.steps > LATE * self.steps.max(initial=0))

    def _mean(self, of: np.ndarray, where: np.ndarray) -> pd.Series:
        return pd.DataFrame(of[:, where], self.seeds).mean(axis=1)


def pulls(point: Point, tied: bool) -> Pulls | None:
    """What was measured of a point's trials of one tie; None where nothing was."""
    result = point.result
    if result is None or result.table_gradient is None or result.gradient_steps is None:
        return None
    finite = np.isfinite(result.input_embedding).all((1, 2, 3))
    finite &= np.isfinite(result.output_embedding).all((1, 2, 3))
    index = np.flatnonzero((result.tied == tied) & finite)
    index = index[np.argsort(result.seed[index])]
    through_input, through_output, cosine = np.moveaxis(result.table_gradient[index], -1, 0)
    with np.errstate(all="ignore"):  # no gradient at all has no share
        share = through_output / (through_input + through_output)
    return Pulls(result.seed[index], result.gradient_steps, share, cosine)


def likelier(own: AnySettings) -> float:
    """The probability of the likelier synonym of bit 0."""
    return max(own.zero_dst)


def chosen(found: Sequence[Point]) -> dict[float, Point | None]:
    """The points that the claims are about, by the likelier synonym's probability."""
    return {
        p: next(
            (
                one
                for one in found
                if np.isclose(likelier(one.settings), p)
                and np.isclose(one.settings.weight_decay, DECAY)
            ),
            None,
        )
        for p in CHOSEN
    }


def gradient_claims(found: Sequence[Point]) -> list[Claim]:
    """The primary claims, one for each of ``CHOSEN``, whatever is trained of it."""
    claims = []
    for p, point in chosen(found).items():
        text = f"p = {p:g}: the output's share of the tied table's gradient, first {EARLY:,} steps"
        claims.append(_over_half(point, text, "early", True))
    return claims


def _over_half(
    point: Point | None, text: str, when: str, tied: bool, learners: bool = False
) -> Claim:
    predicted = f"over {HALF:g}"
    about = {"side": "over", "margin": HALF}
    if point is None or point.result is None:
        why = "There is no result yet; `semantica run` with the sweep's name trains it."
        return Claim(text, predicted, "difference", np.empty(0), obstacle=why, **about)
    about["prediction"] = predicted
    measured, got = Measured(point.result), pulls(point, tied)
    if got is None:
        why = UNMEASURED.format(command=command(point))
        return measured.claim(text, "difference", np.empty(0), tied, obstacle=why, **about)
    shares = getattr(got, when)(got.share)
    if learners:
        shares = shares[measured.learned[tied].reindex(shares.index, fill_value=False)]
    return measured.claim(text, "difference", shares.to_numpy(), tied, **about)


def command(point: Point) -> str:
    """What to type to train a point's own seeds anew."""
    return f"{run_command(point.settings)} --set 'seeds={list(point.settings.seeds)}'"


def gradient_others(found: Sequence[Point]) -> list[Claim]:
    """Exploratory: later, untied, of trials that learned; and whether the two uses agree."""
    claims = []
    for p, point in chosen(found).items():
        if point is None or pulls(point, True) is None:
            continue
        text, first = f"p = {p:g}: the output's share of the", f", first {EARLY:,} steps"
        last = f", after the first {LATE:.0%} of the steps"
        claims += [
            _over_half(point, f"{text} tied table's gradient{last}", "late", True),
            _over_half(point, f"{text} untied tables' gradients{first}", "early", False),
            _over_half(point, f"{text} untied tables' gradients{last}", "late", False),
        ]
        own = f"{text} tied table's gradient"
        claims += [
            _over_half(point, f"{own}{when}, learned trials only", name, True, learners=True)
            for name, when in (("early", first), ("late", last))
        ]
    return exploratory([*claims, *_agreement(found)])


def _agreement(found: Sequence[Point]) -> list[Claim]:
    """That the two gradients of a tied table point more the same way where the DH holds."""
    holds, *fail = CHOSEN
    by, claims = chosen(found), []
    got = {p: pulls(point, True) if point else None for p, point in by.items()}
    for p in fail:
        if (one := got[holds]) is not None and (other := got[p]) is not None:
            values = (one.late(one.cosine) - other.late(other.cosine)).to_numpy()
            text = f"cosine between the tied table's two gradients, late, p = {holds:g} minus {p:g}"
            claims.append(
                Measured(by[p].result).claim(
                    text, "difference", values, True, side="over", margin=0.0, prediction="over 0"
                )
            )
    return claims


class Related(NamedTuple):
    """Spearman's rank correlation over seeds, with its p; nan with fewer than three seeds or no
    differences among them."""

    p: float
    seeds: int
    correlation: float
    chance: float


def related(found: Sequence[Point]) -> list[Related]:
    """Whether seeds with a larger late share of the output end nearer to the output table.

    Of the share with the residual from the output table over that from the input table, same seed:
    negative where they do.
    """
    rows = []
    for p, point in chosen(found).items():
        got = pulls(point, True) if point else None
        if got is None or set(point.settings.ties) != {"tied", "untied"}:
            continue
        near = Nearness(point.result)
        both = pd.DataFrame(
            {"share": got.late(got.share), "ratio": pd.Series(ratios(near, False), near.seeds)}
        ).dropna()
        enough = len(both) > 2 and both.nunique().min() > 1
        rho, chance = stats.spearmanr(both.share, both.ratio) if enough else (np.nan, np.nan)
        rows.append(Related(p, len(both), float(rho), float(chance)))
    return rows
