"""Efficiency in the manner of EN 12952-15 (water-tube) and EN 12953-11 (shell boilers): on LHV.

Losses and credits against 25 degC; credits count as heat put in, so the efficiency is the share of
fuel and credits together. Heat of the gases is that of `gl002.boiler.gases`, to which the
polynomials of the standard are fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from gl002.boiler import losses as exact
from gl002.boiler.analysis import Fuel
from gl002.boiler.efficiency import Conditions, check, flue_of, reasons_for
from gl002.boiler.gases import heat
from gl002.boiler.result import Efficiency, need_positive
from gl002.errors import DataError

Firing: TypeAlias = Literal["oil_gas", "hard_coal", "lignite", "fluidised_bed"]
"""What decides how warm the casing is."""

SURFACE: Final[Mapping[Firing, float]] = {
    "oil_gas": 0.0113, "hard_coal": 0.0220, "lignite": 0.0315, "fluidised_bed": 0.0315,
}  # fmt: skip
"""C of the surface loss C Q^0.7, both in MW."""

_REFERENCE: Final = 25.0


def en12952(
    fuel: Fuel, conditions: Conditions, *, rated_heat: float, firing: Firing = "oil_gas"
) -> Efficiency:
    """Efficiency on the lower heating value.

    The surface loss is that of the formula, not `surface_loss` of the conditions: a constant power
    at any load, as the casing stays warm.

    Args:
        fuel: what burns.
        conditions: state of the boiler.
        rated_heat: largest useful heat of the boiler, MW.
        firing: which constant of the surface loss.

    Raises:
        DataError: inputs no boiler at work can have; says which and why.
    """
    check(conditions)
    if not rated_heat > 0:
        raise DataError(f"rated heat {rated_heat:g} MW is not above 0")
    c = conditions
    gas, unburnt = flue_of(fuel, c)
    to_lhv = fuel.hhv / fuel.lhv
    vapour = 100 / fuel.lhv * gas.h2o * heat("H2O", c.stack_temperature, _REFERENCE)
    losses = {
        "flue_gas": to_lhv * exact.dry_gas(fuel, gas, c.stack_temperature, _REFERENCE) + vapour,
        "co": to_lhv * exact.carbon_monoxide(fuel, gas),
        "unburnt_carbon": to_lhv * exact.unburnt_carbon(fuel, unburnt),
        "ash": to_lhv * exact.ash(fuel, c.residues, c.stack_temperature, _REFERENCE),
    }
    credit = to_lhv * exact.air_credit(fuel, gas, c.air_temperature, _REFERENCE)
    before = 1 - sum(losses.values()) / (100 + credit)
    output = rated_heat * c.load
    casing = surface_heat(rated_heat, firing)
    efficiency = 100 * before * output / (output + casing)
    losses["surface"] = (100 + credit) * casing * before / (output + casing)
    need_positive(efficiency, f"oxygen {c.oxygen:.4g} %, stack {c.stack_temperature:.4g} degC")
    return Efficiency(
        method="en12952", basis="LHV", efficiency=efficiency, efficiency_lhv=efficiency,
        efficiency_hhv=efficiency * fuel.lhv / fuel.hhv, losses=losses, credits={"air": credit},
        details={"surface_heat_MW": casing, "excess_air_pct": 100 * gas.excess_air},
        fuel=fuel.name, oxygen_basis=c.basis, reference=_REFERENCE,
        inputs={**c.inputs(), "rated_heat": rated_heat, "firing": firing},
        reasons=reasons_for(fuel, c),
    )  # fmt: skip


def surface_heat(rated_heat: float, firing: Firing) -> float:
    """Heat lost by radiation and convection at any load, MW (EN 12952-15, clause 8.4.4)."""
    return SURFACE[firing] * math.pow(rated_heat, 0.7)
