"""Air that leaks in behind the furnace: it dilutes and cools the gas, and hides the stack loss."""

from __future__ import annotations

from typing import Final

from gl002.boiler.gases import AIR
from gl002.errors import DataError

_PERCENT: Final = 100.0
_OXYGEN_OF_AIR: Final = _PERCENT * AIR.o2
_CARBON_RULE: Final = (
    33.0  # kg of N2 per kmol of air over its share, times carbon: 0.77 x 12 / 28 x 100
)


def leakage(oxygen_before: float, oxygen_behind: float) -> float:
    """Air that leaked in, kmol per kmol of dry gas before, from oxygen of dry gas in percent.

    Raises:
        DataError: less oxygen behind than before, or as much as air has.
    """
    if not 0 <= oxygen_before <= oxygen_behind < _OXYGEN_OF_AIR:
        raise DataError(
            f"oxygen {oxygen_before:.4g} % before and {oxygen_behind:.4g} % behind is no leak",
            hint="the probes may be exchanged, or one is wet and one dry",
        )
    return (oxygen_behind - oxygen_before) / (_OXYGEN_OF_AIR - oxygen_behind)


def air_by_nitrogen(nitrogen: float, dioxide: float, monoxide: float, carbon: float) -> float:
    """Air supplied, kg per kg of fuel, by the textbook rule N2 x C / 33 / (CO2 + CO).

    Of a fuel without nitrogen. Two of them, before and behind, differ by the air that leaked in.

    Args:
        nitrogen: percent of dry gas.
        dioxide: percent of dry gas.
        monoxide: percent of dry gas.
        carbon: percent of the fuel's mass.

    Raises:
        DataError: gas without carbon.
    """
    _need_carbon(dioxide + monoxide)
    return nitrogen * carbon / (_CARBON_RULE * (dioxide + monoxide))


def air_by_carbon(
    carbon: float,
    hydrogen: float,
    *,
    dioxide: float,
    monoxide: float,
    oxygen: float,
    nitrogen: float | None = None,
) -> float:
    """Air supplied, kg per kg of fuel, from an analysis of the dry gas: mass out less fuel in.

    Args:
        carbon: kg per kg of fuel.
        hydrogen: kg per kg of fuel.
        dioxide: percent of dry gas.
        monoxide: percent of dry gas.
        oxygen: percent of dry gas.
        nitrogen: percent of dry gas; the rest where it was not measured.

    Raises:
        DataError: gas without carbon.
    """
    _need_carbon(dioxide + monoxide)
    if nitrogen is None:
        nitrogen = _PERCENT - dioxide - monoxide - oxygen
    weight = 44 * dioxide + 28 * monoxide + 32 * oxygen + 28 * nitrogen
    dry = carbon * weight / (12 * (dioxide + monoxide))
    return dry + 9 * hydrogen - 1


def mixed_temperature(gas: float, air: float, share: float) -> float:
    """Temperature behind the leak, degC.

    Args:
        gas: degC before.
        air: degC of the air that leaks in.
        share: heat capacity flow of that air over that of the gas.
    """
    return (gas + share * air) / (1 + share)


def _need_carbon(percent: float) -> None:
    if not percent > 0:
        raise DataError("flue gas without carbon dioxide says nothing about its air")
