"""Where the heat goes that is not in the steam: each loss in percent of the fuel's HHV.

The method is that of the energy balance in ASME PTC 4 (losses minus credits, one reference
temperature for everything), from its published principles; the text of the standard was not used,
hence the name 'ptc4_style'. Temperatures are degC. Arguments may be numpy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import FlueGas
from gl002.boiler.gases import ATOMIC_MASS, CARBON_MONOXIDE_HEAT, air_heat, condensation, heat
from gl002.errors import DataError

CARBON_HEAT: Final = 33_700.0
"""kJ per kg of carbon that is left in the ash (the value usual in boiler tests)."""

_PERCENT: Final = 100.0
_COMPLETE: Final = 0.005  # how far the shares of the residues may be from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue:
    """Ash that leaves the boiler in one place, from laboratory and experience.

    Attributes:
        share: of all ash, 0 to 1; those of all residues make 1.
        carbon: percent by mass of the dry residue that is carbon.
        temperature: degC where it leaves; None for the temperature of the stack.
    """

    share: float
    carbon: float
    temperature: float | None = None


def unburnt(fuel: Fuel, residues: Sequence[Residue]) -> float:
    """Carbon that is left in the ash, kg per unit of fuel.

    Raises:
        DataError: shares that do not make 1, a carbon content outside 0 to 90 percent, or more
            carbon than the fuel has.
    """
    if abs(sum(each.share for each in residues) - 1) > _COMPLETE:
        raise DataError("the shares of the residues do not add up to 1")
    for each in residues:
        if not (0 <= each.carbon <= 90 and each.share >= 0):  # noqa: PLR2004 - that is coke, not ash
            raise DataError(f"carbon in ash {each.carbon:g} % is outside 0 to 90")
    carbon = sum(
        fuel.ash * each.share * each.carbon / (_PERCENT - each.carbon) for each in residues
    )
    if carbon > fuel.carbon * ATOMIC_MASS["C"]:
        raise DataError(f"the ash has more carbon than {fuel.name} brings")
    return carbon


def burnt(fuel: Fuel, carbon: float) -> Fuel:
    """The part of a fuel that burns, when this much carbon (kg per unit) does not."""
    return replace(fuel, carbon=fuel.carbon - carbon / ATOMIC_MASS["C"]) if carbon else fuel


def dry_gas(fuel: Fuel, gas: FlueGas, stack: float, reference: float) -> float:
    """Heat the dry flue gas takes up the stack."""
    carried = (
        gas.co2 * heat("CO2", stack, reference)
        + gas.co * heat("CO", stack, reference)
        + gas.so2 * heat("SO2", stack, reference)
        + gas.o2 * heat("O2", stack, reference)
        + gas.n2 * heat("N2", stack, reference)
        + gas.ar * heat("Ar", stack, reference)
    )
    return _PERCENT * carried / fuel.hhv


def hydrogen(fuel: Fuel, stack: float, reference: float) -> float:
    """Water made of the fuel's hydrogen: its heat of condensation, and its heat as vapour."""
    vapour = condensation(reference) + heat("H2O", stack, reference)
    return _PERCENT * fuel.hydrogen / 2 * vapour / fuel.hhv


def fuel_moisture(fuel: Fuel, stack: float, reference: float) -> float:
    """Water in the fuel: evaporated, and carried up the stack."""
    vapour = condensation(reference) + heat("H2O", stack, reference)
    return _PERCENT * fuel.water * vapour / fuel.hhv


def air_moisture(fuel: Fuel, gas: FlueGas, stack: float, reference: float) -> float:
    """Water in the air: it came as vapour and leaves as vapour, so only its sensible heat."""
    return _PERCENT * gas.air_water * heat("H2O", stack, reference) / fuel.hhv


def carbon_monoxide(fuel: Fuel, gas: FlueGas) -> float:
    """Heat the carbon monoxide would still have given."""
    return _PERCENT * gas.co * CARBON_MONOXIDE_HEAT / fuel.hhv


def unburnt_carbon(fuel: Fuel, carbon: float) -> float:
    """Heat the carbon in the ash would still have given; kg of it per unit of fuel."""
    return _PERCENT * carbon * CARBON_HEAT / fuel.hhv


def ash(fuel: Fuel, residues: Sequence[Residue], stack: float, reference: float) -> float:
    """Sensible heat of ash and of the carbon in it."""
    carried = sum(
        fuel.ash * each.share / (1 - each.carbon / _PERCENT)
        * ash_heat(stack if each.temperature is None else each.temperature, reference)
        for each in residues
    )  # fmt: skip
    return _PERCENT * carried / fuel.hhv


def ash_heat(temperature: float, reference: float) -> float:
    """Sensible heat of coal ash, kJ/kg, from 0.754 + 5.86e-4 t kJ/(kg K) (Merrick, Fuel 62, 1983).

    Within 5 % of the curve usual in boiler tests, up to 1100 degC.
    """
    return (temperature - reference) * (0.754 + 2.93e-4 * (temperature + reference))


def surface(full_load: float, load: float) -> float:
    """Radiation and convection from the casing.

    The casing stays as warm at any load, so the loss is a constant power (as in the charts of ABMA
    and in EN 12952-15) and its share of the fuel grows as the load falls.

    Args:
        full_load: percent of HHV at full load.
        load: share of full load, above 0.
    """
    return full_load / load


def air_credit(fuel: Fuel, gas: FlueGas, air: float, reference: float) -> float:
    """Heat that comes in with air warmer than the reference; negative where it is colder."""
    brought = gas.air * air_heat(air, reference) + gas.air_water * heat("H2O", air, reference)
    return _PERCENT * brought / fuel.hhv
