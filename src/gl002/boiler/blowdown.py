"""Blowdown: what must leave the drum so that salts do not, what heat goes with it, what comes back.

A blowdown in percent is worth nothing without saying of what: 6 % of feedwater is 6.4 % of steam,
and a public tip sheet is 7 % off for having mixed them up. Solids are in any unit, conductivity
included, as long as it is the same in feedwater and boiler water.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gl002.boiler import steam
from gl002.boiler.result import BlowdownBasis
from gl002.errors import DataError

_MOST: Final = 50.0  # percent; beyond it the drum is being emptied


def cycles(boiler_solids: float, feedwater_solids: float) -> float:
    """Cycles of concentration: how many times the boiler water holds the salts of its feedwater.

    Raises:
        DataError: boiler water cleaner than its feedwater, or a value that is not above 0.
    """
    if not (boiler_solids > feedwater_solids > 0):
        raise DataError(
            f"boiler water of {boiler_solids:.4g} cannot be concentrated from feedwater of "
            f"{feedwater_solids:.4g}",
            hint="the same unit for both; a new drum filling, or a probe out of service",
        )
    return boiler_solids / feedwater_solids


def flow_from_solids(steam_flow: float, boiler_solids: float, feedwater_solids: float) -> float:
    """Blowdown that keeps the boiler water at these solids, in the unit of the steam flow.

    Salts that come with feedwater F leave with blowdown B alone: F = S + B, F c_f = B c_b.

    Raises:
        DataError: as `cycles`.
    """
    return steam_flow / (cycles(boiler_solids, feedwater_solids) - 1)


def flow(steam_flow: float, percent: float, *, basis: BlowdownBasis) -> float:
    """Blowdown from its percentage, in the unit of the steam flow.

    Raises:
        DataError: a percentage outside 0 to 50.
    """
    if not 0 <= percent <= _MOST:
        raise DataError(f"blowdown {percent:.4g} % is outside 0 to {_MOST:g}")
    share = percent / 100
    return steam_flow * (share / (1 - share) if basis == "feedwater" else share)


def percent(steam_flow: float, blowdown: float, *, basis: BlowdownBasis) -> float:
    """Blowdown in percent of feedwater or of steam; both flows in one unit.

    Raises:
        DataError: no steam flow, or a blowdown below 0.
    """
    if not (steam_flow > 0 and blowdown >= 0):
        raise DataError(f"blowdown {blowdown:.4g} at a steam flow of {steam_flow:.4g} is no share")
    whole = steam_flow + blowdown if basis == "feedwater" else steam_flow
    return 100 * blowdown / whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What flash tank and heat exchanger bring back of a blowdown.

    Attributes:
        flash_share: kg of flash steam per kg of blowdown.
        flash_heat: kW in the flash steam beyond make-up water.
        drain_heat: kW given by the rest to make-up water.
        lost_heat: kW that still goes to the drain, beyond make-up water.
    """

    flash_share: float
    flash_heat: float
    drain_heat: float
    lost_heat: float

    @property
    def recovered(self) -> float:
        """Heat that comes back, kW."""
        return self.flash_heat + self.drain_heat


def lost_heat(blowdown: float, pressure: float, makeup_temperature: float) -> float:
    """Heat that goes down the drain, kW, beyond that of the make-up water it is replaced with.

    Args:
        blowdown: kg/s.
        pressure: of the drum, absolute, MPa.
        makeup_temperature: degC.

    Raises:
        DataError: no pressure of a drum.
    """
    drum = steam.by_dryness(pressure, 0.0)
    return blowdown * (drum.enthalpy - _makeup(makeup_temperature))


def recovery(
    blowdown: float,
    pressure: float,
    makeup_temperature: float,
    *,
    flash_pressure: float | None = None,
    approach: float = 10.0,
) -> Recovery:
    """Heat that a flash tank and a heat exchanger behind it bring back.

    Args:
        blowdown: kg/s.
        pressure: of the drum, absolute, MPa.
        makeup_temperature: degC.
        flash_pressure: of the flash tank, absolute, MPa, usually that of the deaerator; None for a
            heat exchanger alone.
        approach: how many K above make-up water the drain leaves the heat exchanger.

    Raises:
        DataError: a flash tank that is not below the drum's pressure; no pressure of a drum.
    """
    drum = steam.by_dryness(pressure, 0.0)
    makeup = _makeup(makeup_temperature)
    cooled = _makeup(makeup_temperature + approach)
    share, flash_enthalpy, drain_enthalpy = 0.0, 0.0, drum.enthalpy
    if flash_pressure is not None:
        if not flash_pressure < pressure:
            raise DataError(
                f"flash tank at {flash_pressure:.4g} MPa, drum at {pressure:.4g} MPa: no flash"
            )
        flashed = steam.by_enthalpy(flash_pressure, drum.enthalpy)
        share = flashed.dryness or 0.0
        flash_enthalpy = steam.saturated(flash_pressure).enthalpy
        drain_enthalpy = steam.by_dryness(flash_pressure, 0.0).enthalpy
    rest = blowdown * (1 - share)
    return Recovery(
        flash_share=share,
        flash_heat=blowdown * share * (flash_enthalpy - makeup),
        drain_heat=rest * (drain_enthalpy - cooled),
        lost_heat=rest * (cooled - makeup),
    )


def _makeup(temperature: float) -> float:
    """Enthalpy of cold water at the pressure of the air, kJ/kg."""
    return steam.water(0.101_325, temperature).enthalpy
