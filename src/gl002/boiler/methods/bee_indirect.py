"""The indirect method of the Bureau of Energy Efficiency (India), after IS 8753: on GCV, in kcal.

Formulas and rounded constants are those of its Guide Book 4, "Energy Performance Assessment for
Equipment and Utility Systems", chapter 1, and belong together: 0.23 and 0.45 kcal/(kg K) for dry
gas and vapour, 584 kcal/kg for evaporation, 5,744 kcal per kg of carbon left as CO. An exact
balance differs by up to a point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.efficiency import Conditions, check, flue_of
from gl002.boiler.gases import ATOMIC_MASS, WATER_MASS
from gl002.boiler.result import Efficiency, need_carbon, need_positive
from gl002.errors import DataError

_KCAL: Final = 4.1868  # kJ
_GAS_CP, _VAPOUR_CP, _EVAPORATION, _MONOXIDE = 0.23, 0.45, 584.0, 5_744.0
_WATT: Final = 0.86  # kcal/h
_DIOXIDE_ERROR: Final = 0.5  # percent, of an analyser
_MOST_DIOXIDE: Final = 21.0
_KELVIN: Final = 273.0  # as the guide book rounds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Casing:
    """Surface of the boiler, for its radiation and convection.

    Attributes:
        temperature: degC of the casing.
        area: m2.
        wind: m/s along it.
        fuel_flow: kg/h of fuel at the time.
    """

    temperature: float
    area: float
    wind: float
    fuel_flow: float

    def flux(self, air: float) -> float:
        """Heat lost per area, W/m2; `air` in degC.

        The worked example of the guide book prints the convective term alone.
        """
        surface, ambient = max(self.temperature, air) + _KELVIN, air + _KELVIN
        radiation = 0.548 * ((surface / 55.55) ** 4 - (ambient / 55.55) ** 4)
        breeze = math.sqrt((196.85 * self.wind + 68.9) / 68.9)
        return radiation + 1.957 * math.pow(surface - ambient, 1.25) * breeze


@dataclass(frozen=True, slots=True, kw_only=True)
class Ash:
    """Where ash leaves and what heat is left in it.

    Attributes:
        bottom: share of the ash that leaves at the bottom; the rest flies.
        bottom_heat, fly_heat: gross calorific value of that ash, kcal/kg.
    """

    bottom: float
    bottom_heat: float
    fly_heat: float


def bee_indirect(
    fuel: Fuel,
    conditions: Conditions,
    *,
    carbon_dioxide: float | None = None,
    casing: Casing | None = None,
    ash: Ash | None = None,
) -> Efficiency:
    """Efficiency by the eight losses of the guide book.

    Args:
        fuel: what burns.
        conditions: state of the boiler; `carbon_monoxide` in ppm as everywhere.
        carbon_dioxide: percent of dry gas where it was measured; then `oxygen` is not used.
        casing: for the surface loss; `surface_loss` of the conditions without it.
        ash: for the heat in the ash; none is counted without it.

    Raises:
        DataError: inputs no boiler at work can have, a fuel without carbon, or more carbon dioxide
            than the fuel gives; says which and why.
    """
    check(conditions)
    need_carbon(fuel, "bee_indirect")
    if carbon_dioxide is not None and not 0 < carbon_dioxide < _MOST_DIOXIDE:
        raise DataError(f"carbon dioxide {carbon_dioxide:.4g} % is outside 0 to {_MOST_DIOXIDE:g}")
    c = conditions
    share = _percent_by_mass(fuel)
    gross = fuel.hhv / fuel.mass / _KCAL
    found = _combustion(share, _oxygen_dry(fuel, c), carbon_dioxide)
    rise = c.stack_temperature - c.air_temperature
    vapour = _EVAPORATION + _VAPOUR_CP * rise
    dioxide = found["co2_actual_pct"]
    monoxide = c.carbon_monoxide / 1e4
    heats = {
        "dry_gas": found["dry_gas_kg_per_kg"] * _GAS_CP * rise,
        "hydrogen": 9 * share["H"] / 100 * vapour,
        "fuel_moisture": share["W"] / 100 * vapour,
        "air_moisture": found["air_kg_per_kg"] * c.humidity * _VAPOUR_CP * rise,
        "co": monoxide * share["C"] / 100 / (monoxide + dioxide) * _MONOXIDE,
        "fly_ash": share["A"] / 100 * (1 - ash.bottom) * ash.fly_heat if ash else 0.0,
        "bottom_ash": share["A"] / 100 * ash.bottom * ash.bottom_heat if ash else 0.0,
    }
    losses = {name: 100 * kcal / gross for name, kcal in heats.items()}
    if casing is None:
        losses["surface"] = c.surface_loss / c.load
    else:
        flux = casing.flux(c.air_temperature)
        found["surface_W_per_m2"] = flux
        losses["surface"] = 100 * flux * _WATT * casing.area / (gross * casing.fuel_flow)
    efficiency = 100 - sum(losses.values())
    need_positive(efficiency, f"stack {c.stack_temperature:.4g} degC")
    return Efficiency(
        method="bee_indirect", basis="HHV", efficiency=efficiency, efficiency_hhv=efficiency,
        efficiency_lhv=efficiency * fuel.hhv / fuel.lhv, losses=losses, details=found,
        fuel=fuel.name, oxygen_basis=None if carbon_dioxide is not None else c.basis,
        reference=c.air_temperature, inputs=_inputs(c, carbon_dioxide),
        reasons=() if ash or not share["A"] else ("heat in the ash not given: none counted",),
    )  # fmt: skip


def _percent_by_mass(fuel: Fuel) -> dict[str, float]:
    """Percent of the fuel's mass: C, H, O, N, S, moisture W, ash A."""
    kg = {
        "C": fuel.carbon * ATOMIC_MASS["C"], "H": fuel.hydrogen * ATOMIC_MASS["H"],
        "O": fuel.oxygen * ATOMIC_MASS["O"], "N": fuel.nitrogen * ATOMIC_MASS["N"],
        "S": fuel.sulphur * ATOMIC_MASS["S"], "W": fuel.water * WATER_MASS, "A": fuel.ash,
    }  # fmt: skip
    return {name: 100 * each / fuel.mass for name, each in kg.items()}


def _combustion(
    share: dict[str, float], oxygen: float, carbon_dioxide: float | None
) -> dict[str, float]:
    """Air and dry gas by the formulas of the guide book, which count no argon and no CO."""
    theoretical = (
        11.6 * share["C"] + 34.8 * (share["H"] - share["O"] / 8) + 4.35 * share["S"]
    ) / 100
    carbon = share["C"] / 100 / 12
    nitrogen = theoretical * 0.77 / 28 + share["N"] / 100 / 28
    richest = 100 * carbon / (nitrogen + carbon + share["S"] / 100 / 32)
    if carbon_dioxide is None:
        excess = 100 * oxygen / (21 - oxygen)
        dioxide = 7_900 * richest / (7_900 + excess * (100 - richest))
    else:
        dioxide = carbon_dioxide
        if dioxide > richest + _DIOXIDE_ERROR:
            raise DataError(
                f"carbon dioxide {dioxide:.4g} % is more than the {richest:.3g} % that the fuel "
                "gives without excess air"
            )
        excess = 7_900 * (richest - dioxide) / (dioxide * (100 - richest))
    air = (1 + excess / 100) * theoretical
    burnt = share["C"] * 44 / 12 + share["S"] * 64 / 32 + share["N"]
    return {
        "theoretical_air_kg_per_kg": theoretical,
        "co2_theoretical_pct": richest,
        "co2_actual_pct": dioxide,
        "excess_air_pct": excess,
        "air_kg_per_kg": air,
        "dry_gas_kg_per_kg": burnt / 100 + air * 0.77 + (air - theoretical) * 0.23,
    }


def _oxygen_dry(fuel: Fuel, conditions: Conditions) -> float:
    if conditions.basis == "dry":
        return conditions.oxygen
    return flue_of(fuel, conditions)[0].oxygen_dry


def _inputs(conditions: Conditions, carbon_dioxide: float | None) -> dict[str, float | str]:
    inputs = conditions.inputs()
    if carbon_dioxide is not None:
        del inputs["oxygen"], inputs["basis"]
        inputs["carbon_dioxide"] = carbon_dioxide
    return inputs
