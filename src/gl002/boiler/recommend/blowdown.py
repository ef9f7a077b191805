"""Less blowdown, as far as the boiler water allows."""

from __future__ import annotations

from typing import Final

from gl002.boiler import blowdown as physics
from gl002.boiler.recommend.kinds import Advice, Constraint, Declined
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, recommend
from gl002.errors import DataError

SOLIDS: Final = (
    (2.07, 3_500.0), (3.10, 3_000.0), (4.14, 2_500.0), (5.17, 1_000.0), (6.21, 750.0),
    (6.89, 625.0), (10.34, 100.0),
)  # fmt: skip
"""Gauge pressure up to which (MPa) and dissolved solids of boiler water that are usual limits there
(ppm; after ABMA, 1982). The treatment contractor's limit comes first."""

CONTROL: Final = 0.9
"""Share of the limit that is aimed at, because conductivity swings."""

_ROLES: Final = frozenset({"steam_flow", "boiler_solids", "feedwater_solids", "blowdown"})
_ATMOSPHERE: Final = 0.101_325
_SMALL: Final = 0.2  # percent of blowdown that is not worth a change


def usual_limit(pressure: float) -> float:
    """Dissolved solids usual as a limit at a pressure (MPa, absolute), ppm.

    Raises:
        DataError: a pressure at which no drum is blown down.
    """
    for highest, limit in SOLIDS:
        if pressure - _ATMOSPHERE <= highest:
            return limit
    raise DataError(f"there is no usual limit of solids at {pressure:.4g} MPa")


def blowdown(
    point: OperatingPoint,
    economy: Economy,
    evidence: Evidence,
    *,
    boiler_solids: float,
    feedwater_solids: float,
    limit: float,
) -> Advice:
    """Whether blowdown can be reduced.

    Args:
        point: the boiler now, its blowdown known with its basis.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        boiler_solids: dissolved solids or conductivity of the boiler water.
        feedwater_solids: of the feedwater, in the same unit.
        limit: of the boiler water, in the same unit.
    """
    w = point.water
    if not w.blowdown or w.blowdown_basis is None:
        return _no(point, "blowdown is not known")
    try:
        physics.cycles(boiler_solids, feedwater_solids)
        least = physics.flow_from_solids(w.steam_flow, CONTROL * limit, feedwater_solids)
    except DataError as error:
        return _no(point, str(error))
    if boiler_solids >= limit:
        return _no(
            point, f"boiler water is at {boiler_solids:.0f}, its limit is {limit:.0f}: blow more"
        )
    target = physics.percent(w.steam_flow, least, basis=w.blowdown_basis)
    if w.blowdown <= target + _SMALL:
        return _no(point, f"blowdown {w.blowdown:.1f} % is at its target of {target:.1f} %")
    reached = CONTROL * limit
    said = f"boiler water rises from {boiler_solids:.0f} to {reached:.0f}, its limit is {limit:.0f}"
    unit = f"blowdown, % of {w.blowdown_basis}"
    return recommend(
        point, "blowdown", {"blowdown": target}, economy, evidence,
        title=f"Reduce blowdown from {w.blowdown:.1f} to {target:.1f} % of {w.blowdown_basis}",
        now={unit: w.blowdown}, target={unit: target},
        constraints=(Constraint("limit of solids", said, kept=reached < limit),),
        spread={"blowdown": 0.1 * target}, roles=_ROLES,
        reasons=() if point.makeup_temperature is not None else (
            "heating the make-up water is not counted: the saving is about twice as large",
        ),
    )  # fmt: skip


def _no(point: OperatingPoint, reason: str) -> Declined:
    return Declined(boiler=point.boiler, kind="blowdown", reason=reason)
