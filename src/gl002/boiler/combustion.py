"""Combustion: from oxygen in the flue gas to excess air and to everything that leaves the stack.

The balance is exact and in closed form, for oxygen measured wet or dry and with carbon monoxide;
nothing is iterated. Amounts are kmol per unit of fuel (`Fuel.per`). Arguments may be numpy arrays
of equal shape in place of floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gl002.boiler.analysis import Fuel
from gl002.boiler.gases import AIR, HUMIDITY_MOLES

OxygenBasis: TypeAlias = Literal["wet", "dry"]
"""wet: all of the flue gas, as an in-situ probe sees it. dry: without its water vapour, as an
extractive analyser sees it."""

_PERCENT: Final = 100.0
_PPM: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class FlueGas:
    """What leaves the stack, kmol per unit of fuel.

    Attributes:
        excess_air: share of air above what complete combustion needs; 0.15 for 15 %.
        air: dry air that came in.
        air_water: water that came in with the air.
        co2, co, so2, o2, n2, ar: the dry gases.
        h2o: all water vapour: from hydrogen, from moisture of the fuel and from the air.
    """

    excess_air: float
    air: float
    air_water: float
    co2: float
    co: float
    so2: float
    o2: float
    n2: float
    ar: float
    h2o: float

    @property
    def dry(self) -> float:
        """All gases but water vapour."""
        return self.co2 + self.co + self.so2 + self.o2 + self.n2 + self.ar

    @property
    def wet(self) -> float:
        """All gases."""
        return self.dry + self.h2o

    @property
    def oxygen_dry(self) -> float:
        """O2, percent by volume of dry gas."""
        return _PERCENT * self.o2 / self.dry

    @property
    def oxygen_wet(self) -> float:
        """O2, percent by volume of wet gas."""
        return _PERCENT * self.o2 / self.wet

    @property
    def carbon_dioxide_dry(self) -> float:
        """CO2, percent by volume of dry gas."""
        return _PERCENT * self.co2 / self.dry


def theoretical_air(fuel: Fuel) -> float:
    """Dry air that burns one unit of fuel completely, kmol."""
    return fuel.oxygen_demand / AIR.o2


def oxygen_of_air(basis: OxygenBasis, humidity: float) -> float:
    """What an analyser shows in plain air, percent: no flue gas can have as much."""
    water = HUMIDITY_MOLES * humidity if basis == "wet" else 0.0
    return _PERCENT * AIR.o2 / (1 + water)


def excess_air(
    fuel: Fuel,
    oxygen: float,
    *,
    basis: OxygenBasis,
    carbon_monoxide: float = 0.0,
    humidity: float = 0.0,
) -> float:
    """Share of air above what complete combustion needs, from the oxygen left over.

    With E for the excess, dry gas is (D + E A) / (1 - q/2), where D is the dry gas at E = 0, A the
    theoretical air and q the share of CO in dry gas, each kmol of which leaves half a kmol of O2
    and takes none of CO2 away. O2 is E O_th + CO/2. Setting O2 = x times the dry gas, or x times
    the wet gas, gives an equation linear in E.

    Args:
        fuel: what burns.
        oxygen: percent by volume, less than `oxygen_of_air`.
        basis: what `oxygen` is a share of.
        carbon_monoxide: ppm by volume of dry gas.
        humidity: kg of water per kg of dry air.

    Returns:
        0.15 for 15 %. Below 0 where CO shows that air was short.
    """
    x, q = oxygen / _PERCENT, carbon_monoxide / _PPM
    air = theoretical_air(fuel)
    dry = _dry_at_theoretical(fuel, air)
    left = (x - q / 2) / (1 - q / 2)
    if basis == "dry":
        return left * dry / (fuel.oxygen_demand - left * air)
    water = HUMIDITY_MOLES * humidity
    wet = fuel.vapour + water * air
    return (left * dry + x * wet) / (fuel.oxygen_demand - left * air - x * water * air)


def flue_gas(
    fuel: Fuel, excess: float, *, carbon_monoxide: float = 0.0, humidity: float = 0.0
) -> FlueGas:
    """What leaves the stack when a unit of fuel burns with this much excess air.

    Args:
        fuel: what burns.
        excess: share of air above the theoretical, 0.15 for 15 %.
        carbon_monoxide: ppm by volume of dry gas.
        humidity: kg of water per kg of dry air.
    """
    theoretical = theoretical_air(fuel)
    air = theoretical * (1 + excess)
    q = carbon_monoxide / _PPM
    dry = (_dry_at_theoretical(fuel, theoretical) + excess * theoretical) / (1 - q / 2)
    co = q * dry
    air_water = HUMIDITY_MOLES * humidity * air
    return FlueGas(
        excess_air=excess,
        air=air,
        air_water=air_water,
        co2=fuel.carbon - co + AIR.co2 * air,
        co=co,
        so2=fuel.sulphur,
        o2=excess * fuel.oxygen_demand + co / 2,
        n2=fuel.nitrogen / 2 + AIR.n2 * air,
        ar=AIR.ar * air,
        h2o=fuel.vapour + air_water,
    )


def _dry_at_theoretical(fuel: Fuel, air: float) -> float:
    """Dry gas of complete combustion with exactly the theoretical air."""
    return fuel.carbon + fuel.sulphur + fuel.nitrogen / 2 + (1 - AIR.o2) * air
