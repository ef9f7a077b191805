"""The short form of ASME PTC 4.1-1964: losses against the temperature of the air, on HHV.

Formulas as handbooks and the steam tip sheets of US DOE give them. Its own constants: dry gas
0.24 Btu/(lb degF), carbon monoxide 10,160 Btu per lb of carbon, carbon in refuse 14,500 Btu/lb.
One heat capacity for all temperatures flatters a hot stack: by 0.4 points at 350 degC.
"""

from __future__ import annotations

from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import FlueGas
from gl002.boiler.efficiency import Conditions, check, flue_of, reasons_for
from gl002.boiler.gases import AIR, ATOMIC_MASS, WATER_MASS, condensation, heat
from gl002.boiler.losses import surface
from gl002.boiler.result import Efficiency, need_carbon, need_positive

_BTU_LB: Final = 2.326  # kJ/kg, exact
_DRY_GAS: Final = 0.24 * _BTU_LB * 1.8  # kJ/(kg K)
_MONOXIDE: Final = 10_160 * _BTU_LB  # kJ per kg of carbon burnt to CO only
_REFUSE: Final = 14_500 * _BTU_LB  # kJ/kg


def ptc41_short(fuel: Fuel, conditions: Conditions) -> Efficiency:
    """Efficiency by the short form.

    The heat of ash and of the fuel is not counted; `surface_loss` is the radiation loss of the
    ABMA chart at full load.

    Raises:
        DataError: inputs no boiler at work can have, or a fuel without carbon; says why.
    """
    check(conditions)
    need_carbon(fuel, "ptc41_short")
    c = conditions
    gas, unburnt = flue_of(fuel, c)
    rise = c.stack_temperature - c.air_temperature
    vapour = condensation(c.air_temperature) + heat("H2O", c.stack_temperature, c.air_temperature)
    dry = dry_gas_mass(fuel, gas, unburnt)
    air_water = gas.air * AIR.mass * c.humidity / WATER_MASS
    burnt = fuel.carbon * ATOMIC_MASS["C"] - unburnt
    heats = {
        "dry_gas": dry * _DRY_GAS * rise,
        "hydrogen": fuel.hydrogen / 2 * vapour,
        "fuel_moisture": fuel.water * vapour,
        "air_moisture": air_water * heat("H2O", c.stack_temperature, c.air_temperature),
        "co": gas.co / (gas.co2 + gas.co) * _MONOXIDE * burnt,
        "unburnt_carbon": unburnt * _REFUSE,
    }
    losses = {name: 100 * kilojoule / fuel.hhv for name, kilojoule in heats.items()}
    losses["surface"] = surface(c.surface_loss, c.load)
    efficiency = 100 - sum(losses.values())
    need_positive(efficiency, f"oxygen {c.oxygen:.4g} %, stack {c.stack_temperature:.4g} degC")
    return Efficiency(
        method="ptc41_short", basis="HHV", efficiency=efficiency, efficiency_hhv=efficiency,
        efficiency_lhv=efficiency * fuel.hhv / fuel.lhv, losses=losses,
        details={"dry_gas_kg_per_kg": dry / fuel.mass, "excess_air_pct": 100 * gas.excess_air},
        fuel=fuel.name, oxygen_basis=c.basis, reference=c.air_temperature, inputs=c.inputs(),
        reasons=reasons_for(fuel, c),
    )  # fmt: skip


def dry_gas_mass(fuel: Fuel, gas: FlueGas, unburnt: float) -> float:
    """Dry flue gas, kg per unit of fuel, from what an Orsat analysis shows and the carbon burnt.

    Orsat takes sulphur dioxide for carbon dioxide, and argon for nitrogen.
    """
    dry = gas.dry / 100
    acid, oxygen, monoxide = (gas.co2 + gas.so2) / dry, gas.o2 / dry, gas.co / dry
    nitrogen = 100 - acid - oxygen - monoxide
    per_carbon = (11 * acid + 8 * oxygen + 7 * (nitrogen + monoxide)) / (3 * (acid + monoxide))
    carbon = fuel.carbon * ATOMIC_MASS["C"] - unburnt
    return per_carbon * (carbon + 3 / 8 * fuel.sulphur * ATOMIC_MASS["S"])
