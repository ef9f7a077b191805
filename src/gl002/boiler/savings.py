"""Savings measured and verified: what was burnt against what would have been, at the same output.

In the manner of IPMVP options B and C: a baseline of fuel over steam, air temperature or whatever
explains it, learned before a measure, adjusted to the conditions after it. The band counts the
scatter of the baseline and that consecutive days resemble each other (ASHRAE Guideline 14).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gl002.boiler.arrays import Array, np
from gl002.boiler.baseline import Baseline, design
from gl002.boiler.uncertainty import Estimate, Part
from gl002.errors import DataError

WORST_CV_RMSE: Final = 0.25
"""Scatter of a daily baseline, share of its mean, beyond which nothing should be claimed with it
(ASHRAE Guideline 14: 20 % for monthly, 30 % for hourly data)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Savings since a measure.

    Attributes:
        saved: fuel not burnt, in the unit of the baseline's response times readings.
        share: the same as a share of what would have been burnt.
        expected: what would have been burnt.
        burnt: what was burnt.
        count: readings since the measure that were counted.
        left_out: readings outside the conditions of the baseline, not counted.
        reasons: what a reader must know to trust it, in plain sentences.
    """

    saved: Estimate
    share: Estimate
    expected: float
    burnt: float
    count: int
    left_out: int
    reasons: tuple[str, ...]


UNCHANGED: Final = Estimate(value=1.0)
"""Heat for the same steam where the fuel is the one that the baseline was learned from."""


def verify(
    baseline: Baseline,
    record: Mapping[str, Array],
    *,
    meter: float = 0.0,
    other_fuel: Estimate = UNCHANGED,
) -> Verified:
    """Savings over a record that began after a measure.

    Args:
        baseline: fuel per interval over its explanations, learned before the measure.
        record: role -> readings at the same intervals, the baseline's response among them.
        meter: relative standard uncertainty of the fuel meter; the same meter before and after, so
            it scales the saving and nothing else.
        other_fuel: heat that the fuel of now takes for the same steam, over that of the fuel that
            the baseline was learned from.

    Raises:
        DataError: a role that is missing, or no reading under conditions the baseline knows.
    """
    missing = sorted({baseline.response, *baseline.ranges} - record.keys())
    if missing:
        raise DataError(f"{baseline.name} needs {', '.join(missing)}")
    used = {name: np.asarray(record[name], dtype=float) for name in baseline.ranges}
    burnt = np.asarray(record[baseline.response], dtype=float)
    finite = np.isfinite(np.stack([burnt, *used.values()])).all(axis=0)
    known = finite & baseline.known(used)
    count, left_out = int(known.sum()), int(finite.sum() - known.sum())
    if not count:
        raise DataError(f"no reading lies within the conditions {baseline.name} was learned from")
    inside = {name: values[known] for name, values in used.items()}
    as_learned, real = float(baseline.predict_all(inside).sum()), float(burnt[known].sum())
    expected = other_fuel.value * as_learned
    parts = {
        "baseline": Part(other_fuel.value * _of_line(baseline, inside)),
        "scatter": Part(0.0, other_fuel.value * _of_scatter(baseline, count)),
        "meter": Part(meter * (expected - real)),
        **({"fuel": Part(as_learned * other_fuel.standard)} if other_fuel.parts else {}),
    }
    saved = Estimate(value=expected - real, parts=parts)
    share = Estimate(
        value=saved.value / expected,
        parts={k: Part(p.systematic / expected, p.random / expected) for k, p in parts.items()},
    )
    return Verified(
        saved=saved, share=share, expected=expected, burnt=real, count=count, left_out=left_out,
        reasons=_reasons(baseline, count, left_out, significant=saved.significant()),
    )  # fmt: skip


def _of_line(baseline: Baseline, record: Mapping[str, Array]) -> float:
    """Standard uncertainty of the sum of all predictions, from that of the coefficients."""
    total = design(baseline.terms, record).sum(axis=0)
    spread = float(total @ np.array(baseline.covariance) @ total)
    return math.sqrt(max(spread, 0.0) * baseline.count / max(baseline.effective_count, 1.0))


def _of_scatter(baseline: Baseline, count: int) -> float:
    """Standard uncertainty of a sum of readings that resemble their neighbours."""
    rho = min(max(baseline.autocorrelation, 0.0), 0.99)
    return baseline.deviation * math.sqrt(count * (1 + rho) / (1 - rho))


def _reasons(
    baseline: Baseline, count: int, left_out: int, *, significant: bool
) -> tuple[str, ...]:
    reasons = []
    if baseline.cv_rmse > WORST_CV_RMSE:
        reasons.append(
            f"the baseline scatters by {baseline.cv_rmse:.0%}: too much to claim savings"
        )
    if left_out > count:
        reasons.append(
            f"{left_out} of {left_out + count} readings lie outside the baseline's conditions and "
            "are not counted"
        )
    if not significant:
        reasons.append("the saving lies within its uncertainty")
    return tuple(reasons)
