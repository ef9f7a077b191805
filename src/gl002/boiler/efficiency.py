"""Boiler efficiency by the heat loss (indirect) method.

    >>> from gl002.boiler.fuels import NATURAL_GAS
    >>> now = Conditions(oxygen=3.0, basis="dry", stack_temperature=180.0, air_temperature=25.0)
    >>> round(indirect(NATURAL_GAS, now).efficiency_hhv, 1)
    83.3

No flow is measured: what is not lost is in the steam. Other methods, which count the same heat
differently, are in `gl002.boiler.methods`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gl002.boiler import losses
from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import FlueGas, OxygenBasis, excess_air, flue_gas, oxygen_of_air
from gl002.boiler.losses import Residue
from gl002.boiler.result import Efficiency, need_positive
from gl002.errors import DataError

REFERENCE_TEMPERATURE: Final = 25.0
"""DegC; the temperature of ASME PTC 4 (77 degF) and of the heating values."""

NO_OXYGEN: Final = 0.02
"""Percent up to which an analyser shows nothing: it is dead, or the burner short of air."""

_ASH_THAT_COUNTS: Final = 0.01  # kg per kg; oil has less, and no ash to take samples of


class Range(NamedTuple):
    """Physical limits of an input; a value outside is no measurement of a boiler at work."""

    low: float
    high: float
    unit: str


RANGES: Final[Mapping[str, Range]] = {
    "oxygen": Range(0.0, 20.9, "%"),
    "stack_temperature": Range(-40.0, 600.0, "degC"),
    "air_temperature": Range(-50.0, 450.0, "degC"),
    "carbon_monoxide": Range(-20.0, 100_000.0, "ppm"),  # zeros drift: a little below 0 is none
    "humidity": Range(0.0, 0.1, "kg/kg"),
    "load": Range(0.02, 1.5, "fraction"),
}
"""Each measured field of `Conditions`: its limits and the unit it is in."""


def without_drift(monoxide: float) -> float:
    """A reading of carbon monoxide, ppm: none where the analyser's zero has drifted below 0.

    What lies further below is no drift and is left as it is, for `check` to refuse.
    """
    return 0.0 if RANGES["carbon_monoxide"].low <= monoxide < 0 else monoxide


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """State of the boiler at one moment.

    Attributes:
        oxygen: in the flue gas, percent by volume, on `basis`.
        basis: whether `oxygen` is a share of wet or of dry gas. There is no default: taking one
            for the other costs 0.2 points on natural gas.
        stack_temperature: flue gas after the last heat exchanger, degC.
        air_temperature: combustion air where it enters the boiler, degC.
        carbon_monoxide: ppm by volume of dry flue gas; readings below 0 are made 0 before.
        humidity: kg of water per kg of dry air; 0.010 is air of 25 degC at half saturation.
        load: share of full load.
        surface_loss: heat lost through the casing at full load, percent of HHV.
        residues: where the ash of a solid fuel leaves and how much carbon is in it; without them
            all carbon counts as burnt, which the result says.
    """

    oxygen: float
    basis: OxygenBasis
    stack_temperature: float
    air_temperature: float
    carbon_monoxide: float = 0.0
    humidity: float = 0.010
    load: float = 1.0
    surface_loss: float = 0.5
    residues: tuple[Residue, ...] = ()

    def inputs(self) -> dict[str, float | str]:
        """All inputs by name, for a result that says what it was found from."""
        plain: dict[str, float | str] = {
            name: getattr(self, name) for name in self.__slots__ if name != "residues"
        }
        for number, residue in enumerate(self.residues, start=1):
            plain[f"residue_{number}_share"] = residue.share
            plain[f"residue_{number}_carbon"] = residue.carbon
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatBalance:
    """Efficiency and everything it was found from; percent of the fuel's HHV where not said.

    `efficiency_hhv` is 100 less all losses plus the credit. Blowdown is output, not a loss, in this
    method; the fuel comes at the reference temperature; an unaccounted loss is not assumed.

    Attributes:
        efficiency_hhv: heat to water and steam, percent of the higher heating value.
        efficiency_lhv: the same heat, percent of the lower heating value.
        loss_dry_gas: heat of the dry flue gas.
        loss_hydrogen: water formed from hydrogen.
        loss_fuel_moisture: water that was in the fuel.
        loss_air_moisture: water that was in the air.
        loss_co: carbon monoxide not burnt.
        loss_unburnt_carbon: carbon left in the ash.
        loss_ash: sensible heat of the ash.
        loss_surface: radiation and convection from the casing.
        credit_air: heat brought by air warmer than the reference.
        flue: amounts in the flue gas, with `excess_air` as a share.
        fuel: what burns.
        conditions: the inputs used, defaults included; with them the oxygen basis.
        reference: reference temperature, degC.
        reasons: what a reader must know to trust it, in plain sentences; empty when nothing.
        method: name of the method.
        basis: heating value the percentages refer to.
    """

    efficiency_hhv: float
    efficiency_lhv: float
    loss_dry_gas: float
    loss_hydrogen: float
    loss_fuel_moisture: float
    loss_air_moisture: float
    loss_co: float
    loss_unburnt_carbon: float
    loss_ash: float
    loss_surface: float
    credit_air: float
    flue: FlueGas
    fuel: Fuel
    conditions: Conditions
    reference: float
    reasons: tuple[str, ...] = ()
    method: str = field(default="ptc4_style", init=False)
    basis: str = field(default="HHV", init=False)

    @property
    def losses(self) -> dict[str, float]:
        """Name -> percent of HHV."""
        return {
            name.removeprefix("loss_"): getattr(self, name)
            for name in self.__slots__
            if name.startswith("loss_")
        }

    def summary(self) -> Efficiency:
        """The same in the form that all methods share."""
        return Efficiency(
            method=self.method, basis="HHV", efficiency=self.efficiency_hhv,
            efficiency_hhv=self.efficiency_hhv, efficiency_lhv=self.efficiency_lhv,
            losses=self.losses, credits={"air": self.credit_air},
            details={"excess_air_pct": 100 * self.flue.excess_air}, fuel=self.fuel.name,
            oxygen_basis=self.conditions.basis, reference=self.reference,
            inputs=self.conditions.inputs(), reasons=self.reasons,
        )  # fmt: skip


def indirect(
    fuel: Fuel, conditions: Conditions, *, reference: float = REFERENCE_TEMPERATURE
) -> HeatBalance:
    """Efficiency by the heat losses, in the manner of ASME PTC 4 (see `gl002.boiler.losses`).

    Args:
        fuel: what burns.
        conditions: state of the boiler.
        reference: degC at which heat counts as zero.

    Raises:
        DataError: inputs no boiler at work can have; says which and why.
    """
    check(conditions)
    balance = heat_balance(fuel, conditions, reference)
    need_positive(
        balance.efficiency_hhv,
        f"oxygen {conditions.oxygen:.4g} %, stack {conditions.stack_temperature:.4g} degC",
    )
    return balance


def heat_balance(fuel: Fuel, conditions: Conditions, reference: float) -> HeatBalance:
    """The arithmetic of `indirect`, of inputs that are sound; they may be arrays of one shape."""
    c = conditions
    gas, carbon = flue_of(fuel, c)
    dry = losses.dry_gas(fuel, gas, c.stack_temperature, reference)
    hydrogen = losses.hydrogen(fuel, c.stack_temperature, reference)
    fuel_moisture = losses.fuel_moisture(fuel, c.stack_temperature, reference)
    air_moisture = losses.air_moisture(fuel, gas, c.stack_temperature, reference)
    co = losses.carbon_monoxide(fuel, gas)
    unburnt = losses.unburnt_carbon(fuel, carbon)
    ash = losses.ash(fuel, c.residues, c.stack_temperature, reference) if c.residues else 0.0
    surface = losses.surface(c.surface_loss, c.load)
    credit = losses.air_credit(fuel, gas, c.air_temperature, reference)
    lost = dry + hydrogen + fuel_moisture + air_moisture + co + unburnt + ash + surface
    efficiency = 100.0 - lost + credit
    return HeatBalance(
        efficiency_hhv=efficiency, efficiency_lhv=efficiency * fuel.hhv / fuel.lhv,
        loss_dry_gas=dry, loss_hydrogen=hydrogen, loss_fuel_moisture=fuel_moisture,
        loss_air_moisture=air_moisture, loss_co=co, loss_unburnt_carbon=unburnt, loss_ash=ash,
        loss_surface=surface, credit_air=credit, flue=gas, fuel=fuel, conditions=c,
        reference=reference, reasons=reasons_for(fuel, c),
    )  # fmt: skip


def flue_of(fuel: Fuel, conditions: Conditions) -> tuple[FlueGas, float]:
    """The flue gas, and the carbon left in the ash (kg), per unit of fuel."""
    c = conditions
    carbon = losses.unburnt(fuel, c.residues) if c.residues else 0.0
    burnt = losses.burnt(fuel, carbon)
    excess = excess_air(
        burnt, c.oxygen, basis=c.basis, carbon_monoxide=c.carbon_monoxide, humidity=c.humidity
    )
    return flue_gas(burnt, excess, carbon_monoxide=c.carbon_monoxide, humidity=c.humidity), carbon


def reasons_for(fuel: Fuel, conditions: Conditions) -> tuple[str, ...]:
    """What makes a result less certain than its instruments."""
    if fuel.ash > _ASH_THAT_COUNTS and not conditions.residues:
        return ("carbon in the ash not given: all carbon counted as burnt",)
    return ()


def check(conditions: Conditions) -> None:
    """Refuse what cannot be measured on a boiler that burns; every method asks this first.

    Raises:
        DataError: says which input, its value and what is wrong with it.
    """
    c = conditions
    for name, allowed in RANGES.items():
        value = getattr(c, name)
        said = name.replace("_", " ")
        if not math.isfinite(value):
            raise DataError(f"{said} is not a number")
        if name == "oxygen" and value >= min(allowed.high, oxygen_of_air(c.basis, c.humidity)):
            raise DataError(f"oxygen {value:.4g} % is that of air: nothing burns, or air leaks in")
        if not allowed.low <= value <= allowed.high:
            raise DataError(
                f"{said} {value:.4g} {allowed.unit} is outside {allowed.low:g} to {allowed.high:g}"
            )
    if c.stack_temperature < c.air_temperature:
        stack, air = (round(t, 1) for t in (c.stack_temperature, c.air_temperature))
        raise DataError(
            f"stack temperature {stack:z.4g} degC is below the air temperature {air:z.4g} degC"
        )
