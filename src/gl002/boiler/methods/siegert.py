"""Siegert's flue loss, on LHV: what hand-held analysers show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.efficiency import Conditions, check, flue_of
from gl002.boiler.result import Efficiency, need_positive
from gl002.errors import DataError

COEFFICIENTS: Final[Mapping[str, tuple[float, float]]] = {
    "natural_gas": (0.66, 0.009), "propane": (0.63, 0.008), "fuel_oil_2": (0.68, 0.007),
}  # fmt: skip
"""Fuel -> A2 and B (1. BImSchV, annex 2)."""

_AIR: Final = 21.0


def siegert(fuel: Fuel, conditions: Conditions) -> Efficiency:
    """Flue loss (t_gas - t_air) (A2 / (21 - O2) + B), and what it leaves.

    Nothing but the stack is counted. Oxygen is that of dry gas; where it was measured wet, it is
    converted by the exact combustion balance.

    Raises:
        DataError: a fuel the formula has no coefficients for, or inputs no boiler can have.
    """
    check(conditions)
    found = COEFFICIENTS.get(fuel.name)
    if found is None:
        raise DataError(
            f"Siegert's formula has no coefficients for {fuel.name}",
            hint=f"they exist for {', '.join(COEFFICIENTS)}",
        )
    c = conditions
    a2, b = found
    oxygen = c.oxygen if c.basis == "dry" else flue_of(fuel, c)[0].oxygen_dry
    loss = (c.stack_temperature - c.air_temperature) * (a2 / (_AIR - oxygen) + b)
    efficiency = 100 - loss
    need_positive(efficiency, f"oxygen {oxygen:.4g} %, stack {c.stack_temperature:.4g} degC")
    return Efficiency(
        method="siegert", basis="LHV", efficiency=efficiency, efficiency_lhv=efficiency,
        efficiency_hhv=efficiency * fuel.lhv / fuel.hhv, losses={"flue_gas": loss},
        details={"oxygen_dry_pct": oxygen}, fuel=fuel.name, oxygen_basis=c.basis,
        reference=c.air_temperature, inputs=c.inputs(),
        reasons=("only the heat of the flue gas is counted: no surface loss, no CO",),
    )  # fmt: skip
