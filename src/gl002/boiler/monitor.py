"""Slow changes found early: moving averages and cumulative sums of what a baseline leaves over.

Residuals are given in their own standard deviations, one for each regular interval, an hour as a
rule: long enough apart that they do not repeat each other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gl002.boiler.arrays import Array, np

ALLOWANCE: Final = 0.25
"""Standard deviations that do not add to the sum: half of the shift looked for."""

LIMIT: Final = 12.0
"""Sum at which a change is certain. A shift of half a deviation is found after some 50 readings,
one of two deviations after 7; in health 5,700 readings pass between two false alarms."""

WEIGHT: Final = 0.1
"""Of the newest residual in the moving average."""


class Change(NamedTuple):
    """A lasting change of a residual.

    Attributes:
        found: index at which the sum passed its limit.
        began: index at which it last was 0: where the change probably began.
        size: mean residual since then, in standard deviations.
    """

    found: int
    began: int
    size: float


def ewma(residuals: Array, *, weight: float = WEIGHT) -> Array:
    """Exponentially weighted moving average; values that are not finite leave it as it is."""
    smooth = np.empty(residuals.size)
    level = 0.0
    for i, value in enumerate(residuals):
        if np.isfinite(value):
            level += weight * (float(value) - level)
        smooth[i] = level
    return smooth


def cusum(residuals: Array, *, allowance: float = ALLOWANCE) -> Array:
    """One-sided cumulative sum of residuals above the allowance (Page); never below 0."""
    sums = np.empty(residuals.size)
    level = 0.0
    for i, value in enumerate(residuals):
        if np.isfinite(value):
            level = max(0.0, level + float(value) - allowance)
        sums[i] = level
    return sums


def rising(
    residuals: Array, *, allowance: float = ALLOWANCE, limit: float = LIMIT
) -> Change | None:
    """The first lasting rise of a residual; None where there is none.

    Args:
        residuals: in standard deviations of health, at regular intervals.
        allowance: deviations that are no change.
        limit: of the cumulative sum.
    """
    sums = cusum(residuals, allowance=allowance)
    beyond = np.flatnonzero(sums > limit)
    if not beyond.size:
        return None
    found = int(beyond[0])
    zeros = np.flatnonzero(sums[:found] == 0)
    began = int(zeros[-1]) + 1 if zeros.size else 0
    return Change(found, began, float(np.nanmean(residuals[began : found + 1])))


def trend(times: Array, values: Array) -> tuple[float, float]:
    """Slope of the straight line through values, and its standard uncertainty, per unit of time.

    Values that are not finite are left out; fewer than three give 0 and infinity.
    """
    good = np.isfinite(values)
    t, y = times[good], values[good]
    if y.size < 3 or np.ptp(t) == 0:  # noqa: PLR2004 - two points leave no residual
        return 0.0, float("inf")
    away = t - t.mean()
    spread = float(away @ away)
    slope = float(away @ y) / spread
    left = y - y.mean() - slope * away
    return slope, float(np.sqrt(left @ left / (y.size - 2) / spread))


def too_sudden(times: Array, residuals: Array, *, fastest: float) -> bool:
    """Whether a rise is too fast for deposits: then the instrument is to blame.

    Args:
        times: hours.
        residuals: kelvin of stack temperature above the baseline.
        fastest: kelvin an hour that soot can cause.
    """
    slope, standard = trend(times, residuals)
    return slope - 2 * standard > fastest
