"""Less oxygen, as far as burner and carbon monoxide allow.

One per cent of oxygen is worth a third of a point, 100 ppm of carbon monoxide three hundredths: the
limit of CO binds long before the fuel's optimum, and CO is never traded for efficiency. The target
is never below the curve the burner was commissioned with.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gl002.boiler.arrays import Array, np
from gl002.boiler.recommend.kinds import Advice, Constraint, Declined
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, recommend
from gl002.errors import DataError

CO_LIMIT: Final = 100.0
"""ppm of dry gas that 95 % of all readings must stay below."""

MARGIN: Final = 0.3
"""Percent of oxygen above the commissioned curve."""

STEP: Final = 0.5
"""Percent of oxygen by which a setpoint is lowered at a time, with a look at the flame between; no
target is further below what the boiler is known to burn cleanly with."""

_DEADBAND: Final = 0.2  # percent of oxygen that is not worth a change
_LOAD_WIDTH: Final = 0.1  # share of full load to either side that counts as the same load
_BIN: Final = 0.25  # percent of oxygen
_ENOUGH: Final = 30  # readings in a bin
_FEW: Final = 5
_QUANTILE: Final = 0.95
_ROLES: Final = frozenset({"oxygen", "carbon_monoxide", "stack_temperature", "load"})
_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class BurnerCurve:
    """Oxygen a burner was commissioned with, over its load.

    Attributes:
        points: share of full load and oxygen in percent, on the basis of the analyser; loads rise.
    """

    points: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        loads = [load for load, _ in self.points]
        if len(loads) < _TWO or any(b <= a for a, b in itertools.pairwise(loads)):
            raise DataError("a burner curve needs two points or more, their loads rising")

    def at(self, load: float) -> float:
        """Oxygen at a load, between the points in a straight line, beyond them as at the last."""
        loads, oxygen = zip(*self.points, strict=True)
        return float(np.interp(load, loads, oxygen))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimHistory:
    """Readings at rest, to find where carbon monoxide begins.

    Attributes:
        load: share of full load.
        oxygen: percent, on the basis of the analyser.
        carbon_monoxide: ppm of dry gas.
    """

    load: Array
    oxygen: Array
    carbon_monoxide: Array


class Clean(NamedTuple):
    """What a history tells about carbon monoxide at a load.

    Attributes:
        oxygen: percent; the upper edge of the lowest bin in which it stayed below its limit.
        dirty_below: whether it was above its limit with less. Else nothing is known of less
            oxygen than the boiler ever ran with.
    """

    oxygen: float
    dirty_below: bool


def lowest_clean_oxygen(history: TrimHistory, load: float, limit: float) -> Clean | None:
    """The least oxygen at which carbon monoxide stayed below its limit, and at all above it too.

    Args:
        history: readings at rest.
        load: share of full load; readings within a tenth of it count.
        limit: ppm for 95 % of the readings.

    Returns:
        None where the history does not say.
    """
    near = np.abs(history.load - load) <= _LOAD_WIDTH
    oxygen, monoxide = history.oxygen[near], history.carbon_monoxide[near]
    good = np.isfinite(oxygen) & np.isfinite(monoxide)
    if not good.any():
        return None
    bins = np.floor(oxygen[good] / _BIN).astype(int)
    clean, dirty = None, False
    for each in range(int(bins.max()), int(bins.min()) - 1, -1):
        seen = monoxide[good][bins == each]
        if seen.size < (_ENOUGH if clean is None else _FEW):
            continue
        enough = seen.size >= _ENOUGH
        if np.quantile(seen, _QUANTILE if enough else 0.5) > limit:
            dirty = True
            break
        if not enough:  # to call it clean; to call it dirty, half of a few will do
            continue
        clean = (each + 1) * _BIN
    return None if clean is None else Clean(clean, dirty)


def oxygen_trim(
    point: OperatingPoint,
    economy: Economy,
    evidence: Evidence,
    *,
    curve: BurnerCurve,
    history: TrimHistory | None = None,
    co_limit: float = CO_LIMIT,
    margin: float = MARGIN,
) -> Advice:
    """Whether the oxygen setpoint can be lowered, and to what.

    Args:
        point: the boiler now; `carbon_monoxide` of its conditions counts where `history` is given.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        curve: of the burner, on the basis of the analyser.
        history: with carbon monoxide; without it the target is the curve and its margin.
        co_limit: ppm of dry gas.
        margin: percent of oxygen above the curve.
    """
    c = point.conditions
    floor = curve.at(c.load)
    knee = None
    if history is not None:
        if c.carbon_monoxide > co_limit:
            return _no(point, f"carbon monoxide {c.carbon_monoxide:.0f} ppm is above its limit")
        knee = lowest_clean_oxygen(history, c.load, co_limit)
        if knee is None:
            return _no(point, "carbon monoxide at this load is not known well enough")
    lowest = 0.0 if knee is None else knee.oxygen if knee.dirty_below else knee.oxygen - STEP
    target = max(floor + margin, lowest)
    if c.oxygen <= target + _DEADBAND:
        return _no(point, f"oxygen {c.oxygen:.1f} % is at its target of {target:.1f} %")
    said = f"{target:.1f} % is {target - floor:.1f} % above the commissioned {floor:.1f} %"
    constraints = [Constraint("commissioned curve", said, kept=target >= floor)]
    reasons = [f"in steps of {STEP} %, with a look at flame and carbon monoxide after each"]
    if knee is None:
        reasons.append("without carbon monoxide the target is the commissioned curve and a margin")
    else:
        said = f"95 % of the readings at {knee.oxygen:.2f} % and more were below {co_limit:.0f} ppm"
        constraints.append(Constraint("CO limit", said, kept=target >= lowest))
        if target < knee.oxygen:
            reasons.append("with less oxygen than it ever ran with: one step, then look again")
    return recommend(
        point, "oxygen_trim", {"oxygen": target}, economy, evidence,
        title=f"Lower the oxygen setpoint from {c.oxygen:.1f} to {target:.1f} % ({c.basis})",
        now={f"oxygen, % {c.basis}": c.oxygen}, target={f"oxygen, % {c.basis}": target},
        constraints=tuple(constraints), spread={"oxygen": 0.1},
        roles=_ROLES if history is not None else _ROLES - {"carbon_monoxide"},
        reasons=tuple(reasons),
    )  # fmt: skip


def _no(point: OperatingPoint, reason: str) -> Declined:
    return Declined(boiler=point.boiler, kind="oxygen_trim", reason=reason)
