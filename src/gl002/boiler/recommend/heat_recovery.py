"""A colder stack by an economizer or an air heater: projects, within what the metal stands.

An economizer may not cool the gas to its acid dew point nor bring its water near boiling; the same
gas with its preheated air may not overheat the burner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gl002.boiler import steam
from gl002.boiler.acid_dew_point import dew_points
from gl002.boiler.combustion import FlueGas
from gl002.boiler.economizer import gas_heat
from gl002.boiler.efficiency import check, flue_of
from gl002.boiler.gases import air_heat, heat
from gl002.boiler.recommend.kinds import Advice, Constraint, Declined, Kind
from gl002.boiler.recommend.operation import (
    Economy,
    Evidence,
    OperatingPoint,
    fuel_heat,
    recommend,
)  # fmt: skip
from gl002.errors import DataError

ABOVE_DEW_POINT: Final = 15.0
"""Kelvin that gas and metal stay above the highest dew point."""

BELOW_BOILING: Final = 20.0
"""Kelvin that water behind an economizer stays below its boiling point."""

APPROACH: Final = 25.0
"""Kelvin between the gas and what it heats, at the cold end."""

MOST_AIR: Final = 150.0
"""DegC of combustion air an ordinary burner stands; more is a matter for its maker."""

_WORTH: Final = 10.0  # K of stack below which there is nothing to build for
_ROLES: Final = frozenset({"oxygen", "stack_temperature", "feedwater_temperature", "steam_flow"})


def economizer(
    point: OperatingPoint,
    economy: Economy,
    evidence: Evidence,
    *,
    conversion: float = 0.02,
) -> Advice:
    """What an economizer would save, in addition to what is there.

    Args:
        point: the boiler now; `feedwater_temperature` before any economizer.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        conversion: share of sulphur dioxide that becomes trioxide.
    """
    try:
        gas, dew = _gas(point, conversion)
        w = point.water
        boiling = steam.saturation_temperature(w.drum_pressure or w.pressure)
        feed = w.feedwater_temperature
        stack = point.conditions.stack_temperature
        least = max(dew + ABOVE_DEW_POINT, feed + APPROACH)
        by_water = _stack_by_water(point, gas, stack, boiling - BELOW_BOILING)
    except DataError as error:
        return _no(point, "economizer", str(error))
    target = max(least, by_water)
    if stack - target < _WORTH:
        return _no(point, "economizer", f"a stack of {stack:.0f} degC cannot go below {target:.0f}")
    constraints = (
        Constraint(
            "dew point", f"gas stays {target - dew:.0f} K above the dew point of {dew:.0f} degC",
            kept=target >= dew + ABOVE_DEW_POINT,
        ),
        Constraint(
            "cold metal",
            f"feedwater of {feed:.0f} degC, dew point of {dew:.0f} degC",
            kept=feed >= dew,
        ),
        Constraint(
            "boiling", f"water stays {BELOW_BOILING:.0f} K below {boiling:.0f} degC",
            kept=target >= by_water,
        ),
    )  # fmt: skip
    return recommend(
        point, "economizer", {"stack_temperature": target}, economy, evidence,
        title=f"Economizer that cools the gas from {stack:.0f} to {target:.0f} degC",
        now={"stack temperature, degC": stack}, target={"stack temperature, degC": target},
        constraints=constraints, spread={"stack_temperature": 5.0}, roles=_ROLES, project=True,
    )  # fmt: skip


def air_preheat(
    point: OperatingPoint,
    economy: Economy,
    evidence: Evidence,
    *,
    conversion: float = 0.02,
    most_air: float = MOST_AIR,
) -> Advice:
    """What an air heater in the stack would save.

    The efficiency is that of boiler and heater together: cold air goes in, colder gas comes out.

    Args:
        point: the boiler now, without an air heater.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        conversion: share of sulphur dioxide that becomes trioxide.
        most_air: degC of air the burner stands.
    """
    try:
        gas, dew = _gas(point, conversion)
    except DataError as error:
        return _no(point, "air_preheat", str(error))
    stack, air = point.conditions.stack_temperature, point.conditions.air_temperature
    wanted = gas.air * air_heat(most_air, air) + gas.air_water * heat("H2O", most_air, air)
    by_air = _cooled(gas, stack, wanted)
    target = max(dew + ABOVE_DEW_POINT, by_air)
    if stack - target < _WORTH:
        return _no(
            point, "air_preheat", f"a stack of {stack:.0f} degC cannot go below {target:.0f}"
        )
    return recommend(
        point, "air_preheat", {"stack_temperature": target}, economy, evidence,
        title=f"Air heater that cools the gas from {stack:.0f} to {target:.0f} degC",
        now={"stack temperature, degC": stack}, target={"stack temperature, degC": target},
        constraints=(
            Constraint(
                "dew point", f"gas stays {target - dew:.0f} K above {dew:.0f} degC",
                kept=target >= dew + ABOVE_DEW_POINT,
            ),
            Constraint("burner", f"air at most {most_air:.0f} degC", kept=target >= by_air),
        ),
        spread={"stack_temperature": 5.0}, roles=_ROLES - {"feedwater_temperature"}, project=True,
        reasons=("hotter air makes more nitrogen oxides", *_cold_end((target + air) / 2, dew)),
    )  # fmt: skip


def _cold_end(metal: float, dew: float) -> Iterator[str]:
    """Whether acid or water condenses where gas leaves an air heater and cold air enters it."""
    if metal < dew:
        yield (
            f"its coldest metal has about {metal:.0f} degC, the dew point is {dew:.0f} degC: "
            "warm the air before it, or choose its cold end accordingly"
        )


def _gas(point: OperatingPoint, conversion: float) -> tuple[FlueGas, float]:
    """The flue gas and its highest dew point."""
    check(point.conditions)
    gas, _ = flue_of(point.fuel, point.conditions)
    return gas, dew_points(point.fuel, gas, conversion=conversion).highest


def _stack_by_water(
    point: OperatingPoint, gas: FlueGas, stack: float, most_water: float
) -> float:  # fmt: skip
    """Stack temperature at which the feedwater has been brought to its limit."""
    w = point.water
    pressure = w.drum_pressure or w.pressure
    if most_water <= w.feedwater_temperature:
        return stack
    rise = (
        steam.water(pressure, most_water).enthalpy
        - steam.water(pressure, w.feedwater_temperature).enthalpy
    )
    units = fuel_heat(point).value / point.fuel.hhv  # of fuel per second
    return _cooled(gas, stack, w.steam_flow * rise / units)


def _cooled(gas: FlueGas, hot: float, wanted: float) -> float:
    """Temperature of the gas after it gave this heat (kJ per unit of fuel), by halving."""
    low, high = -50.0, hot
    for _ in range(50):
        middle = (low + high) / 2
        if gas_heat(gas, hot, middle) > wanted:
            low = middle
        else:
            high = middle
    return high


def _no(point: OperatingPoint, kind: Kind, reason: str) -> Declined:
    return Declined(boiler=point.boiler, kind=kind, reason=reason)
