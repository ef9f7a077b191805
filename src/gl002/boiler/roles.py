"""What can be measured on a boiler: each role, the unit the engine takes it in, and for whom.

Roles are what a configuration binds to tags. Fuel is counted in units of its own, kmol for gases
and kg for everything else; `fuel_flow` says how a meter's unit becomes those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from gl002.boiler.analysis import Fuel
from gl002.boiler.efficiency import RANGES
from gl002.boiler.gases import NORMAL_VOLUME
from gl002.errors import UnitError
from gl002.units import STANDARD_ATMOSPHERE, Linear, conversion

REQUIRED: Final = ("oxygen", "stack_temperature", "air_temperature")
"""Roles without which there is no efficiency by heat losses."""

OPTIONAL: Final = ("carbon_monoxide", "humidity", "load")
"""Roles that refine it; `Conditions` holds what is assumed where there is no instrument."""

DIRECT: Final = ("fuel_flow", "steam_flow", "pressure", "feedwater_temperature")
"""Roles without which there is no direct efficiency."""

_HEAT: Final = ("kW (HHV)", "kW (LHV)")  # what a fuel meter may show instead of an amount


class Role(NamedTuple):
    """Something an instrument shows.

    Attributes:
        unit: in which the engine takes it; '' for any, the same in all roles that are compared.
        description: for people.
    """

    unit: str
    description: str


ROLES: Final[Mapping[str, Role]] = {
    "oxygen": Role(RANGES["oxygen"].unit, "Oxygen in the flue gas, wet or dry as declared"),
    "stack_temperature": Role("degC", "Flue gas after the last heat exchanger"),
    "air_temperature": Role("degC", "Combustion air where it enters the boiler"),
    "carbon_monoxide": Role("ppm", "Carbon monoxide in the dry flue gas"),
    "nitrogen_oxides": Role("ppm", "Nitrogen oxides in the dry flue gas"),
    "humidity": Role("kg/kg", "Water in the air, kg per kg of dry air"),
    "load": Role("fraction", "Share of full load"),
    "carbon_dioxide": Role("%", "Carbon dioxide, of the same gas as the oxygen"),
    "fuel_flow": Role("", "Fuel: standard volume flow of a gas, mass flow, or heat flow (HHV)"),
    "air_flow": Role("kg/s", "Combustion air"),
    "steam_flow": Role("kg/s", "Steam that leaves the boiler"),
    "pressure": Role("MPa(a)", "Pressure of the steam"),
    "steam_temperature": Role("degC", "Steam"),
    "feedwater_flow": Role("kg/s", "Feedwater"),
    "feedwater_temperature": Role("degC", "Feedwater before the economizer"),
    "economizer_gas_temperature": Role("degC", "Flue gas before the economizer"),
    "economizer_water_temperature": Role("degC", "Feedwater behind the economizer"),
    "blowdown": Role("%", "Blowdown in percent, of feedwater or of steam as declared"),
    "blowdown_flow": Role("kg/s", "Blowdown"),
    "boiler_solids": Role("", "Dissolved solids or conductivity of the boiler water"),
    "feedwater_solids": Role("", "The same of the feedwater, in the same unit"),
    "makeup_temperature": Role("degC", "Cold water that replaces blowdown"),
}
"""Every role, in the order in which people read them."""


def to_engine(
    role: str, unit: str, fuel: Fuel, *, atmosphere: float = STANDARD_ATMOSPHERE
) -> Linear:
    """How a reading in this unit becomes what the engine takes; '' is the engine's unit already.

    Args:
        role: what is measured.
        unit: of the reading.
        fuel: what burns.
        atmosphere: Pa, the pressure of the air that gauge pressure is measured against.

    Raises:
        UnitError: a unit that does not fit the role.
    """
    if role == "fuel_flow":
        return fuel_flow(unit, fuel)
    wanted = ROLES[role].unit
    if not unit or not wanted:
        return Linear(1.0, 0.0)
    return conversion(unit, wanted, atmosphere=atmosphere)


def shows_heat(unit: str) -> bool:
    """Whether a fuel meter of this unit shows heat, so that no heating value is needed."""
    for wanted in _HEAT:
        try:
            conversion(unit, wanted)
        except UnitError:
            continue
        return True
    return False


def fuel_flow(unit: str, fuel: Fuel) -> Linear:
    """How a meter's unit becomes units of fuel per second: kmol of a gas, kg of anything else.

    Raises:
        UnitError: no standard volume, mass or heat (HHV) over time; a standard volume of a fuel
            that is no gas.
    """
    if not unit:
        return Linear(1.0, 0.0)
    ways = {"kg/s": 1 / fuel.mass, _HEAT[0]: 1 / fuel.hhv, _HEAT[1]: 1 / fuel.lhv}
    if fuel.per == "kmol":
        ways["Nm3/s"] = 1 / NORMAL_VOLUME
    for wanted, factor in ways.items():
        try:
            return conversion(unit, wanted).then(Linear(factor, 0.0))
        except UnitError:
            continue
    kinds = "standard volume, mass" if fuel.per == "kmol" else "mass"
    raise UnitError(
        f"a flow of {fuel.name} cannot be in {unit}",
        hint=f"{kinds} or heat over time: 'Nm3/h', 'kg/h', 'MW (HHV)'"
        if fuel.per == "kmol"
        else f"{kinds} or heat over time: 'kg/h', 'MW (HHV)'",
    )
