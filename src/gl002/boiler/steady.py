"""Whether a boiler is at rest: only then does an efficiency describe it."""

from __future__ import annotations

from typing import Final

from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.steadiness import LIMITS, Limits

WINDOW: Final = LIMITS.window
"""Seconds over which a boiler must be at rest."""

LEAST_LOAD: Final = 0.25
"""Share of full load below which a balance is not worth publishing."""

_ENOUGH: Final = 10


def unsteady(
    times: Array,
    steam_flow: Array,
    pressure: Array,
    oxygen: Array,
    *,
    full_steam: float,
    busy: str = "",
) -> tuple[str, ...]:
    """Why the last ten minutes are no steady state, in plain sentences; empty when they are one.

    Storage in the drum falsifies the direct method, late gas the indirect one.

    Args:
        times: seconds, the last one is now; older readings than `WINDOW` are left out.
        steam_flow: in any unit.
        pressure: absolute, in any unit.
        oxygen: percent.
        full_steam: steam flow at full load, in the unit of `steam_flow`.
        busy: what is going on besides, 'soot blowing', '' for nothing.
    """
    now = times >= times[-1] - WINDOW if times.size else np.zeros(0, dtype=bool)
    t, steam, p, o2 = (each[now] for each in (times, steam_flow, pressure, oxygen))
    if t.size < _ENOUGH or t[-1] - t[0] < WINDOW / 2:
        return ("less than half of the last ten minutes is known",)
    reasons = []
    mean = float(np.mean(steam))
    if not mean >= LEAST_LOAD * full_steam:
        reasons.append(f"load {max(mean, 0.0) / full_steam:.0%} is below {LEAST_LOAD:.0%}")
    elif np.std(steam) > LIMITS.load * mean:
        reasons.append(f"steam flow varies by {np.std(steam) / mean:.1%}")
    slope = float(np.polyfit(t - t[0], p, 1)[0]) * 60
    if abs(slope) > LIMITS.pressure * abs(float(np.mean(p))):
        reasons.append(f"pressure {'rises' if slope > 0 else 'falls'}")
    if np.std(o2) > LIMITS.oxygen:
        reasons.append(f"oxygen varies by {np.std(o2):.2f} %")
    if busy:
        reasons.append(busy)
    return tuple(reasons)


def at_rest(
    steam_flow: Array,
    pressure: Array,
    oxygen: Array,
    *,
    step: float,
    full_steam: float | None = None,
    limits: Limits = LIMITS,
) -> Mask:
    """For each interval of a record whether it ends a window (ten minutes) of steady state.

    Roles of which nothing is known (not a number) are not judged.

    Args:
        steam_flow: in any unit.
        pressure: absolute, in any unit.
        oxygen: percent.
        step: seconds between two readings, 60 as a rule.
        full_steam: steam flow at full load, in the unit of `steam_flow`; None where unknown.
        limits: what still counts as steady.
    """
    width = max(2, round(limits.window / step))
    quiet = np.ones(oxygen.size, dtype=bool)
    if oxygen.size < width:
        return np.zeros(oxygen.size, dtype=bool)
    quiet[: width - 1] = False
    mean, scatter, slope = _rolling(steam_flow, width)
    with np.errstate(invalid="ignore"):
        quiet &= ~(scatter > limits.load * mean)
        if full_steam:
            quiet &= ~(mean < LEAST_LOAD * full_steam)
        mean, _, slope = _rolling(pressure, width)
        quiet &= ~(np.abs(slope) * 60 / step > limits.pressure * np.abs(mean))
        quiet &= ~(_rolling(oxygen, width)[1] > limits.oxygen)
    return quiet


def _rolling(values: Array, width: int) -> tuple[Array, Array, Array]:
    """Mean, standard deviation and slope per reading over the last `width` readings."""
    empty = np.full(width - 1, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    away = np.arange(width) - (width - 1) / 2
    slope = windows @ away / (away @ away)
    found = (windows.mean(axis=1), windows.std(axis=1), slope)
    return tuple(np.concatenate([empty, each]) for each in found)  # type: ignore[return-value] # of three comes three
