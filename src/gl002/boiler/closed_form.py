"""The heat balance of one fuel in closed form, for many evaluations: live bands, history, what-if.

Everything in `gl002.boiler.efficiency` that depends on the fuel alone is added up once: the heat of
the dry gas of complete combustion, of the air in excess of it, and of the exchange of CO for CO2
are one polynomial each. The numbers are those of `heat_balance`, to the last digits; arguments may
be floats or numpy arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gl002.boiler import losses
from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import OxygenBasis, theoretical_air
from gl002.boiler.efficiency import REFERENCE_TEMPERATURE, Conditions
from gl002.boiler.gases import (
    AIR,
    CARBON_MONOXIDE_HEAT,
    HUMIDITY_MOLES,
    condensation,
    enthalpy_coefficients,
)  # fmt: skip
from gl002.boiler.losses import Residue

_ZERO: Final = 273.15


class Terms(NamedTuple):
    """Efficiency and what it is made of, percent of HHV; excess air as a share.

    The names are those of `HeatBalance.losses`, with the credit of the air and excess air added.
    """

    efficiency: float
    dry_gas: float
    hydrogen: float
    fuel_moisture: float
    air_moisture: float
    co: float
    unburnt_carbon: float
    ash: float
    surface: float
    air_credit: float
    excess_air: float


class _Heat:
    """Enthalpy of a mixture of gases, kJ, as one polynomial of the temperature in K."""

    __slots__ = ("a1", "a2", "a3", "a4", "a5", "zero")

    def __init__(self, amounts: Mapping[str, float], reference: float) -> None:
        self.a1, self.a2, self.a3, self.a4, self.a5 = (
            sum(n * enthalpy_coefficients(gas)[i] for gas, n in amounts.items()) for i in range(5)
        )
        self.zero = 0.0
        self.zero = self(reference + _ZERO)

    def __call__(self, kelvin: float) -> float:
        """Heat above the reference, kJ."""
        t = kelvin
        return (
            t * (self.a1 + t * (self.a2 + t * (self.a3 + t * (self.a4 + t * self.a5)))) - self.zero
        )


class ClosedForm:
    """The heat balance of one fuel, ready to be evaluated.

    Args:
        fuel: what burns.
        basis: of the oxygen that will be given.
        reference: degC at which heat counts as zero.
        residues: where the ash leaves and how much carbon is in it.

    Raises:
        DataError: residues that no boiler has.
    """

    def __init__(
        self,
        fuel: Fuel,
        basis: OxygenBasis,
        *,
        reference: float = REFERENCE_TEMPERATURE,
        residues: Sequence[Residue] = (),
    ) -> None:
        self.fuel, self.basis, self.reference = fuel, basis, reference
        carbon = losses.unburnt(fuel, residues) if residues else 0.0
        burnt = losses.burnt(fuel, carbon)
        air = theoretical_air(burnt)
        nitrogen = burnt.nitrogen / 2 + AIR.n2 * air
        complete = {
            "CO2": burnt.carbon + AIR.co2 * air, "SO2": burnt.sulphur, "N2": nitrogen,
            "Ar": AIR.ar * air,
        }  # fmt: skip
        self._residues = tuple(residues)
        self._air, self._demand, self._vapour = air, burnt.oxygen_demand, burnt.vapour
        # as `excess_air` counts it: the air's CO2 among its other inert gases
        self._dry = burnt.carbon + burnt.sulphur + burnt.nitrogen / 2 + (1 - AIR.o2) * air
        self._percent = 100 / fuel.hhv
        self._complete = _Heat(complete, reference)
        self._excess = _Heat(
            {"O2": AIR.o2, "N2": AIR.n2, "Ar": AIR.ar, "CO2": AIR.co2}, reference
        )  # fmt: skip
        self._exchange = _Heat({"CO": 1.0, "CO2": -1.0, "O2": 0.5}, reference)
        self._water = _Heat({"H2O": 1.0}, reference)
        self._evaporation = condensation(reference)
        self._hydrogen = self._percent * fuel.hydrogen / 2
        self._moisture = self._percent * fuel.water
        self._unburnt = losses.unburnt_carbon(fuel, carbon)

    def excess_air(self, oxygen: float, carbon_monoxide: float, humidity: float) -> float:
        """Share of air above the theoretical; as `gl002.boiler.combustion.excess_air`."""
        half = carbon_monoxide * 5e-7
        x = oxygen / 100
        left = (x - half) / (1 - half)
        if self.basis == "dry":
            return left * self._dry / (self._demand - left * self._air)
        water = HUMIDITY_MOLES * humidity * self._air
        return (left * self._dry + x * (self._vapour + water)) / (
            self._demand - left * self._air - x * water
        )

    def __call__(
        self,
        oxygen: float,
        stack: float,
        air: float,
        *,
        carbon_monoxide: float = 0.0,
        humidity: float = 0.010,
        load: float = 1.0,
        surface_loss: float = 0.5,
    ) -> Terms:
        """The balance at one moment, or of arrays of moments; inputs as in `Conditions`.

        Nothing is refused here: inputs outside their range give numbers without a meaning.
        """
        excess = self.excess_air(oxygen, carbon_monoxide, humidity)
        half = carbon_monoxide * 5e-7
        co = 2 * half * (self._dry + excess * self._air) / (1 - half)
        all_air = self._air * (1 + excess)
        air_water = HUMIDITY_MOLES * humidity * all_air
        hot, cold = stack + _ZERO, air + _ZERO
        steam = self._water(hot)
        percent = self._percent
        dry = percent * (
            self._complete(hot) + excess * self._air * self._excess(hot) + co * self._exchange(hot)
        )
        hydrogen = self._hydrogen * (self._evaporation + steam)
        moisture = self._moisture * (self._evaporation + steam)
        in_air = percent * air_water * steam
        monoxide = percent * co * CARBON_MONOXIDE_HEAT
        ash = (
            losses.ash(self.fuel, self._residues, stack, self.reference) if self._residues else 0.0
        )
        surface = surface_loss / load
        credit = percent * (all_air * self._excess(cold) + air_water * self._water(cold))
        lost = dry + hydrogen + moisture + in_air + monoxide + self._unburnt + ash + surface
        return Terms(
            100.0 - lost + credit, dry, hydrogen, moisture, in_air, monoxide, self._unburnt, ash,
            surface, credit, excess,
        )  # fmt: skip

    def at(self, conditions: Conditions) -> Terms:
        """The balance of these conditions, whose oxygen is on this basis."""
        c = conditions
        return self(
            c.oxygen, c.stack_temperature, c.air_temperature, carbon_monoxide=c.carbon_monoxide,
            humidity=c.humidity, load=c.load, surface_loss=c.surface_loss,
        )  # fmt: skip


@functools.lru_cache(maxsize=64)
def closed_form(
    fuel: Fuel,
    basis: OxygenBasis,
    reference: float = REFERENCE_TEMPERATURE,
    residues: tuple[Residue, ...] = (),
) -> ClosedForm:
    """The closed form of a fuel, kept for the next call.

    Raises:
        DataError: residues that no boiler has.
    """
    return ClosedForm(fuel, basis, reference=reference, residues=residues)
