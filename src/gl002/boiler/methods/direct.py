"""Efficiency by the direct (input-output) method: heat in the steam over heat in the fuel.

It needs two good flow meters, and is as good as they are: 1.5 % each is 1.8 points of efficiency.
It is the check of the indirect method, and the only one that sees blowdown and casing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gl002.boiler import steam
from gl002.boiler.analysis import Fuel
from gl002.boiler.blowdown import flow as blowdown_flow
from gl002.boiler.gases import NORMAL_VOLUME
from gl002.boiler.result import BlowdownBasis, Efficiency
from gl002.errors import DataError

_MOST: Final = 110.0  # percent of HHV; above it a meter is wrong, not the boiler good


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterSide:
    """Water and steam of a boiler at one moment.

    Attributes:
        steam_flow: leaving the boiler, kg/s.
        pressure: of the steam, absolute, MPa.
        temperature: of superheated steam, degC; None where it is saturated.
        dryness: of saturated steam; not used where `temperature` is given.
        feedwater_temperature: before the economizer, degC.
        drum_pressure: absolute, MPa, where blowdown leaves; None for that of the steam.
        blowdown: percent, on `blowdown_basis`.
        blowdown_basis: what `blowdown` is a share of. There is no default where there is blowdown.
    """

    steam_flow: float
    pressure: float
    temperature: float | None = None
    dryness: float = 1.0
    feedwater_temperature: float
    drum_pressure: float | None = None
    blowdown: float = 0.0
    blowdown_basis: BlowdownBasis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Heat that a boiler gives to its water.

    Attributes:
        steam: kW, in the steam beyond its feedwater.
        blowdown: kW, in the blowdown beyond its feedwater.
        steam_enthalpy, feedwater_enthalpy, blowdown_enthalpy: kJ/kg.
        feedwater_flow, blowdown_flow: kg/s.
    """

    steam: float
    blowdown: float
    steam_enthalpy: float
    feedwater_enthalpy: float
    blowdown_enthalpy: float
    feedwater_flow: float
    blowdown_flow: float


def output(water: WaterSide) -> Output:
    """Heat in steam and blowdown.

    Raises:
        DataError: a state that is no steam or no water (say, a temperature below saturation), a
            flow below 0, or blowdown without its basis.
    """
    w = water
    if not w.steam_flow >= 0:
        raise DataError(f"steam flow {w.steam_flow:.4g} kg/s is below 0 or not a number")
    if w.temperature is None:
        out = steam.saturated(w.pressure, w.dryness)
    else:
        out = steam.superheated(w.pressure, w.temperature)
    drum = w.pressure if w.drum_pressure is None else w.drum_pressure
    feed = steam.water(drum, w.feedwater_temperature)
    drained = steam.by_dryness(drum, 0.0) if w.blowdown else feed
    lost = _blowdown(w)
    return Output(
        steam=w.steam_flow * (out.enthalpy - feed.enthalpy),
        blowdown=lost * (drained.enthalpy - feed.enthalpy),
        steam_enthalpy=out.enthalpy, feedwater_enthalpy=feed.enthalpy,
        blowdown_enthalpy=drained.enthalpy, feedwater_flow=w.steam_flow + lost, blowdown_flow=lost,
    )  # fmt: skip


def direct(fuel: Fuel, fuel_flow: float, water: WaterSide) -> Efficiency:
    """Efficiency by the direct method, on HHV.

    `efficiency` counts the heat of blowdown as output, as the indirect methods do ('fuel
    efficiency'); `details['useful_steam_pct']` counts that of the steam only.

    Args:
        fuel: what burns; its heating value counts here, so it should be a measured one.
        fuel_flow: kmol/s of a gas (`normal_flow` makes it of Nm3/s), kg/s of anything else.
        water: water and steam.

    Raises:
        DataError: as `output`; no fuel flow; or more heat out than in, as when a meter is wrong.
    """
    if not fuel_flow > 0:
        raise DataError(f"fuel flow {fuel_flow:.4g} is not above 0: no efficiency")
    heat = output(water)
    fuel_heat = fuel_flow * fuel.hhv
    efficiency = 100 * (heat.steam + heat.blowdown) / fuel_heat
    if efficiency > _MOST:
        raise DataError(
            f"more heat comes out ({heat.steam + heat.blowdown:.5g} kW) than goes in "
            f"({fuel_heat:.5g} kW, HHV)",
            hint="check the fuel meter, its standard conditions and the heating value",
        )
    return Efficiency(
        method="direct", basis="HHV", efficiency=efficiency, efficiency_hhv=efficiency,
        efficiency_lhv=efficiency * fuel.hhv / fuel.lhv,
        details={
            "useful_steam_pct": 100 * heat.steam / fuel_heat, "fuel_heat_kW": fuel_heat,
            "steam_heat_kW": heat.steam, "blowdown_heat_kW": heat.blowdown,
            "evaporation_kg_per_kg": water.steam_flow / (fuel_flow * fuel.mass),
        },
        fuel=fuel.name, blowdown_basis=water.blowdown_basis,
        inputs=_inputs(water, fuel_flow),
    )  # fmt: skip


def normal_flow(cubic_metres: float) -> float:
    """Gas flow in kmol/s from Nm3/s (0 degC, 101.325 kPa; `gl002.units` converts scf and Sm3)."""
    return cubic_metres / NORMAL_VOLUME


def _blowdown(water: WaterSide) -> float:
    if not water.blowdown:
        return 0.0
    if water.blowdown_basis is None:
        raise DataError(
            f"blowdown {water.blowdown:g} % of what?",
            hint="give blowdown_basis: 'feedwater' or 'steam'",
        )
    return blowdown_flow(water.steam_flow, water.blowdown, basis=water.blowdown_basis)


def _inputs(water: WaterSide, fuel_flow: float) -> dict[str, float | str]:
    given = {name: getattr(water, name) for name in water.__slots__}
    return {"fuel_flow": fuel_flow, **{k: v for k, v in given.items() if v is not None}}
