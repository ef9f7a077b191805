"""Lower steam pressure where nobody needs it: a colder drum, a colder stack, smaller leaks."""

from __future__ import annotations

from typing import Final

from gl002.boiler import steam
from gl002.boiler.recommend.kinds import Advice, Constraint, Declined
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, recommend
from gl002.errors import DataError

FOLLOWS: Final = 0.5
"""By how many K the stack follows each K of the drum: 0.9 without economizer, less with one."""

_FOLLOWS_DOUBT: Final = 0.23  # standard, of anything between 0.1 and 0.9

MOST_SWELL: Final = 1.25
"""How much more volume the same steam may have: faster steam carries water over."""

_WORTH: Final = 0.02  # MPa
_ROLES: Final = frozenset({"pressure", "stack_temperature", "steam_flow", "oxygen"})


def pressure_reduction(
    point: OperatingPoint,
    economy: Economy,
    evidence: Evidence,
    *,
    least: float,
    follows: float = FOLLOWS,
) -> Advice:
    """Whether the pressure can be lowered to what the consumers need.

    Only for saturated steam: with a superheater its temperature would fall too, which is more than
    this knows about.

    Args:
        point: the boiler now.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        least: pressure the consumers need at the boiler, losses in the lines included, MPa
            absolute.
        follows: K of stack for each K of the drum.
    """
    w = point.water
    if w.temperature is not None:
        return _no(point, "the steam is superheated: its consumers need the temperature too")
    try:
        before = steam.saturated(w.pressure)
        lowest = _lowest(w.pressure, before.volume)
        target = max(least, lowest)
        after = steam.saturated(target)
    except DataError as error:
        return _no(point, str(error))
    if w.pressure - target < _WORTH:
        return _no(point, f"{w.pressure:.3g} MPa cannot go below {target:.3g} MPa")
    drop = before.temperature - after.temperature
    stack = point.conditions.stack_temperature - follows * drop
    drum = None if w.drum_pressure is None else w.drum_pressure - (w.pressure - target)
    change = {"pressure": target, "stack_temperature": stack}
    if drum is not None:
        change["drum_pressure"] = drum
    return recommend(
        point, "pressure", change, economy, evidence,
        title=f"Lower the steam pressure from {w.pressure:.2f} to {target:.2f} MPa (absolute)",
        now={"pressure, MPa(a)": w.pressure}, target={"pressure, MPa(a)": target},
        constraints=(
            Constraint(
                "consumers", f"they need {least:.2f} MPa (absolute)", kept=target >= least
            ),
            Constraint(
                "carry-over", f"steam swells to {after.volume / before.volume:.2f} times",
                kept=after.volume <= MOST_SWELL * before.volume * (1 + 1e-6),
            ),
        ),
        spread={"stack_temperature": _FOLLOWS_DOUBT * drop}, roles=_ROLES,
        reasons=(
            "flow meters that assume the old pressure read wrong afterwards",
            "in steps, with a look at drum level and at the steam's dryness",
        ),
    )  # fmt: skip


def _lowest(pressure: float, volume: float) -> float:
    """Pressure at which steam has swollen as far as it may, by halving."""
    low, high = 0.1 * pressure, pressure
    for _ in range(40):
        middle = (low + high) / 2
        if steam.saturated(middle).volume > MOST_SWELL * volume:
            low = middle
        else:
            high = middle
    return high


def _no(point: OperatingPoint, reason: str) -> Declined:
    return Declined(boiler=point.boiler, kind="pressure", reason=reason)
