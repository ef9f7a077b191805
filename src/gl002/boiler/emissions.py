"""Emissions: carbon dioxide of a fuel, pollutants at a reference oxygen, mass per heat.

Heat is that of the higher heating value; `gl002.units` brings kg/GJ (HHV) to lb/MMBtu (HHV).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import FlueGas, flue_gas, oxygen_of_air
from gl002.boiler.gases import ATOMIC_MASS, NORMAL_VOLUME
from gl002.errors import DataError

Pollutant: TypeAlias = Literal["NOx", "CO", "SO2"]
"""NOx is counted as NO2, as all rules do."""

MASS: Final[Mapping[Pollutant, float]] = {
    "NOx": ATOMIC_MASS["N"] + 2 * ATOMIC_MASS["O"],
    "CO": ATOMIC_MASS["C"] + ATOMIC_MASS["O"],
    "SO2": ATOMIC_MASS["S"] + 2 * ATOMIC_MASS["O"],
}
"""kg/kmol."""

REPORTED_CO2: Final[Mapping[str, float]] = {
    "natural_gas": 53.06, "propane": 62.87, "fuel_oil_2": 73.96, "fuel_oil_6": 75.10,
    "bituminous": 93.28, "subbituminous": 97.17, "lignite": 97.72, "biogas": 52.07,
    "wood_pellets": 93.80, "wood_dry": 93.80, "wood_green": 93.80, "hydrogen": 0.0,
}  # fmt: skip
"""kg of CO2 per MMBtu (HHV) for greenhouse gas reports in the US, 40 CFR 98, table C-1 (2016);
those of biogas and wood are biogenic and reported apart."""

_CO2: Final = ATOMIC_MASS["C"] + 2 * ATOMIC_MASS["O"]
_KILO_TO_GIGA: Final = 1e6
_AIR_OXYGEN: Final = 20.9  # percent, as the rules round it
_NORMAL: Final = 273.15
_METHOD_19: Final = 528.0 / 1.8  # K, 68 degF
_LB_MMBTU: Final = 0.453_592_37 / 1.055_055_852_62  # kg/GJ
_CUBIC_FEET: Final = 0.3048**3


def carbon_dioxide(fuel: Fuel) -> float:
    """Carbon dioxide per heat, kg/GJ (HHV), when all carbon burns."""
    return fuel.carbon * _CO2 / fuel.hhv * _KILO_TO_GIGA


def fossil_carbon_dioxide(fuel: Fuel) -> float:
    """Carbon dioxide from fossil carbon per heat, kg/GJ (HHV); the rest is from biomass.

    Greenhouse gas inventories report that of biomass apart and do not add it to the total (IPCC
    Guidelines 2006, volume 2, chapter 2); the emissions trade of the EU counts it as zero where
    the biomass meets its criteria (Regulation (EU) 2018/2066, article 38).
    """
    return (fuel.carbon - fuel.biogenic) * _CO2 / fuel.hhv * _KILO_TO_GIGA


def at_reference_oxygen(value: float, oxygen: float, *, reference: float = 3.0) -> float:
    """A concentration in dry gas as it would be at the oxygen a permit refers to.

    Args:
        value: ppm or mg/m3, of dry gas.
        oxygen: measured with it, percent of dry gas.
        reference: percent of dry gas: 3 for gas and oil, 6 for solid fuels, wood among them, in
            the EU (directives 2010/75 and 2015/2193); permits of wood boilers may say 11 or 13.

    Raises:
        DataError: the oxygen of air, at which a concentration says nothing about the fuel.
    """
    if not (0 <= oxygen < _AIR_OXYGEN and 0 <= reference < _AIR_OXYGEN):
        raise DataError(f"oxygen {oxygen:.4g} % is that of air: nothing burns")
    return value * (_AIR_OXYGEN - reference) / (_AIR_OXYGEN - oxygen)


def milligrams(ppm: float, pollutant: Pollutant) -> float:
    """Concentration in mg/Nm3 from ppm by volume (0 degC, 101.325 kPa)."""
    return ppm * MASS[pollutant] / NORMAL_VOLUME


def per_heat(ppm: float, pollutant: Pollutant, fuel: Fuel, gas: FlueGas) -> float:
    """Emission per heat, kg/GJ (HHV), from the exact flue gas of the fuel.

    Args:
        ppm: by volume of dry gas.
        pollutant: what.
        fuel: what burns.
        gas: its flue gas where `ppm` was measured.
    """
    return ppm * 1e-6 * gas.dry * MASS[pollutant] / fuel.hhv * _KILO_TO_GIGA


def dry_factor(fuel: Fuel) -> float:
    """F factor of EPA Method 19, from the atoms: dry flue gas without excess air, dscf/MMBtu."""
    dry = flue_gas(fuel, 0.0).dry * NORMAL_VOLUME * _METHOD_19 / _NORMAL / _CUBIC_FEET
    return dry / fuel.hhv * 1_055_055.852_62


def dry_factor_by_analysis(
    carbon: float,
    hydrogen: float,
    *,
    sulphur: float = 0.0,
    nitrogen: float = 0.0,
    oxygen: float = 0.0,
    heat: float,
) -> float:
    """F factor of EPA Method 19, equation 19-13 with its rounded constants, dscf/MMBtu.

    Args:
        carbon: percent by mass.
        hydrogen: percent by mass.
        sulphur: percent by mass.
        nitrogen: percent by mass.
        oxygen: percent by mass.
        heat: gross calorific value, Btu/lb.

    Raises:
        DataError: a heat that is not above 0.
    """
    if not heat > 0:
        raise DataError(f"gross calorific value {heat:g} Btu/lb is not above 0")
    gas = 3.64 * hydrogen + 1.53 * carbon + 0.57 * sulphur + 0.14 * nitrogen - 0.46 * oxygen
    return 1e6 * gas / heat


def method_19(ppm: float, pollutant: Pollutant, oxygen: float, *, factor: float) -> float:
    """Emission per heat by EPA Method 19, equation 19-1, kg/GJ (HHV).

    Args:
        ppm: by volume of dry gas.
        pollutant: what.
        oxygen: percent of dry gas.
        factor: F factor of the fuel, dscf/MMBtu: 8,710 for natural gas in table 19-2.

    Raises:
        DataError: the oxygen of air.
    """
    if not 0 <= oxygen < min(_AIR_OXYGEN, oxygen_of_air("dry", 0.0)):
        raise DataError(f"oxygen {oxygen:.4g} % is that of air: nothing burns")
    pounds = ppm * 1e-6 * MASS[pollutant] / _STANDARD_POUND  # lb/dscf
    return pounds * factor * _AIR_OXYGEN / (_AIR_OXYGEN - oxygen) * _LB_MMBTU


_STANDARD_POUND: Final = 385.3
"""Cubic feet of an ideal gas per lb-mole at 68 degF and 29.92 inHg."""
