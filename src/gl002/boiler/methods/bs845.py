"""Efficiency in the manner of BS 845-1 (concise procedure): losses against the air, HHV or LHV.

Its own constants: 255 for the carbon in dry gas, the line 2488 - 4.2 t + 2.1 t for water vapour,
33,820 kJ/kg for carbon in ash. The constant of carbon monoxide, which the standard tabulates by
class of fuel, is computed from the fuel's own carbon (23,720 kJ per kg of carbon).

On LHV the line begins at 2488 less the heat of condensation that lies between the two heating
values, so that both show the same heat. The standard's own constant for LHV, recalled as 210, is
not used: no text that can be checked has it (makers of analysers print 2488), and 164 kJ/kg more
than the gross line would be lost: 0.4 points of oil, 0.8 of natural gas, 1.8 of wet wood, even by
gas that leaves as cold as the air.
"""

from __future__ import annotations

from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.efficiency import Conditions, check, flue_of, reasons_for
from gl002.boiler.gases import ATOMIC_MASS, CONDENSATION, WATER_MASS
from gl002.boiler.losses import surface
from gl002.boiler.result import Efficiency, HeatBasis, need_carbon, need_positive

_DRY_GAS: Final = 255.0
_CARBON: Final = 33_820.0  # kJ/kg
_MONOXIDE: Final = 23_720.0  # kJ per kg of carbon that left as CO
_EVAPORATION: Final = {"HHV": 2_488.0, "LHV": 2_488.0 - CONDENSATION / WATER_MASS}  # kJ/kg


def bs845(fuel: Fuel, conditions: Conditions, *, basis: HeatBasis = "HHV") -> Efficiency:
    """Efficiency on the heating value wanted.

    `surface_loss` is the standard's loss by radiation, convection and conduction at full load, of
    the same basis.

    Raises:
        DataError: inputs no boiler at work can have, or a fuel without carbon; says why.
    """
    check(conditions)
    need_carbon(fuel, "bs845")
    c = conditions
    gas, unburnt = flue_of(fuel, c)
    value = fuel.hhv if basis == "HHV" else fuel.lhv
    carbon = 100 * fuel.carbon * ATOMIC_MASS["C"]  # percent of a kg: kg per 100 units
    water = 100 * (fuel.water + fuel.hydrogen / 2) * WATER_MASS
    t3, ta = c.stack_temperature, c.air_temperature
    in_ash = 100 * unburnt * _CARBON / value
    left = 1 - in_ash / 100
    dioxide = gas.carbon_dioxide_dry
    monoxide = 100 * gas.co / gas.dry
    losses = {
        "dry_gas": _DRY_GAS * carbon / value * (t3 - ta) * left / dioxide,
        "water": water * (_EVAPORATION[basis] - 4.2 * ta + 2.1 * t3) / value,
        "co": carbon / value * _MONOXIDE * monoxide * left / (dioxide + monoxide),
        "unburnt_carbon": in_ash,
        "surface": surface(c.surface_loss, c.load),
    }
    efficiency = 100 - sum(losses.values())
    need_positive(efficiency, f"oxygen {c.oxygen:.4g} %, stack {t3:.4g} degC")
    heat = efficiency * value
    return Efficiency(
        method="bs845", basis=basis, efficiency=efficiency, efficiency_hhv=heat / fuel.hhv,
        efficiency_lhv=heat / fuel.lhv, losses=losses,
        details={"co2_dry_pct": dioxide, "k_dry_gas": _DRY_GAS * carbon / value},
        fuel=fuel.name, oxygen_basis=c.basis, reference=ta, inputs=c.inputs(),
        reasons=reasons_for(fuel, c),
    )  # fmt: skip
