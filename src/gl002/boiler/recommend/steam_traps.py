"""Steam traps that blow through: what a survey's list of them costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from gl002.boiler.recommend.kinds import Advice, Declined
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, recommend
from gl002.errors import DataError

DISCHARGE: Final = 0.729
"""Coefficient of discharge with which Napier's formula gives the table of US DOE Steam Tip Sheet 1,
within 0.1 lb/h."""

_NAPIER: Final = 51.43  # lb/h per square inch and psi (absolute)
_INCH: Final = 25.4  # mm
_PSI: Final = 0.006_894_757  # MPa
_LB_H: Final = 0.453_592_37 / 3600  # kg/s
_CHOKED: Final = 0.17  # MPa
_SHARE: Final = 0.3  # a trap half open, a valve seat half worn: how far off such a list is
_ROLES: Final = frozenset({"steam_flow"})


class Trap(NamedTuple):
    """A trap that blows through.

    Attributes:
        name: where it is.
        orifice: diameter, mm.
        pressure: before it, absolute, MPa.
    """

    name: str
    orifice: float
    pressure: float


def leak(orifice: float, pressure: float) -> float:
    """Steam through an orifice into the open, kg/s (Napier's formula for choked flow).

    Args:
        orifice: diameter, mm.
        pressure: before it, absolute, MPa; above 0.17, below which the flow is not choked.

    Raises:
        DataError: no orifice, or a pressure at which the formula does not hold.
    """
    if not orifice > 0:
        raise DataError(f"an orifice of {orifice:g} mm leaks nothing")
    if not pressure >= _CHOKED:
        raise DataError(f"{pressure:.3g} MPa (absolute) does not choke an orifice into the open")
    area = math.pi / 4 * (orifice / _INCH) ** 2
    return _NAPIER * area * pressure / _PSI * DISCHARGE * _LB_H


def steam_traps(
    point: OperatingPoint, economy: Economy, evidence: Evidence, traps: Sequence[Trap]
) -> Advice:
    """What the repair of these traps saves.

    Args:
        point: the boiler now.
        economy: what fuel is worth.
        evidence: when the survey was made.
        traps: that blow through.
    """
    if not traps:
        return Declined(boiler=point.boiler, kind="steam_traps", reason="no trap blows through")
    try:
        lost = sum(leak(trap.orifice, trap.pressure) for trap in traps)
    except DataError as error:
        return Declined(boiler=point.boiler, kind="steam_traps", reason=str(error))
    flow = point.water.steam_flow
    if lost >= flow:
        reason = f"the list loses {lost:.3g} kg/s, the boiler makes {flow:.3g}"
        return Declined(boiler=point.boiler, kind="steam_traps", reason=reason)
    named = ", ".join(trap.name for trap in traps[:3]) + (", ..." if len(traps) > 3 else "")  # noqa: PLR2004 - three names fit a line
    return recommend(
        point, "steam_traps", {"steam_flow": flow - lost}, economy, evidence,
        title=f"Repair {len(traps)} steam traps ({named})",
        now={"steam flow, kg/s": flow}, target={"steam flow, kg/s": flow - lost},
        spread={"steam_flow": _SHARE * lost}, roles=_ROLES,
        reasons=("a trap that blows into a condensate line loses less than into the open",),
    )  # fmt: skip
