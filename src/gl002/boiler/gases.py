"""Air, and the gases that leave a boiler: what they weigh and how much heat they carry.

Enthalpies are the seven-coefficient polynomials of McBride, Gordon and Reno, "Coefficients for
Calculating Thermodynamic and Transport Properties of Individual Species", NASA TM-4513 (1993),
range 200 to 1000 K (SO2: from 300 K), used as published: an ideal gas, and no fit of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ATOMIC_MASS: Final[Mapping[str, float]] = {
    "C": 12.011, "H": 1.00794, "O": 15.9994, "N": 14.0067, "S": 32.065, "Ar": 39.948,
}  # fmt: skip
"""kg/kmol (IUPAC 2007)."""

WATER_MASS: Final = 2 * ATOMIC_MASS["H"] + ATOMIC_MASS["O"]
"""kg/kmol."""

CONDENSATION: Final = 2441.7 * WATER_MASS
"""kJ per kmol of water vapour that condenses at 25 degC (2441.7 kJ/kg, IAPWS R7-97)."""

_LIQUID_CP: Final = 4.181 * WATER_MASS  # kJ/(kmol K), water between 10 and 40 degC

CARBON_MONOXIDE_HEAT: Final = 282_984.0
"""kJ/kmol, heat of combustion of CO at 25 degC (enthalpies of formation of NASA TM-4513)."""

NORMAL_VOLUME: Final = 22.413_969_54
"""m3 of an ideal gas per kmol at 0 degC and 101.325 kPa (CODATA 2018)."""


@dataclass(frozen=True, slots=True)
class Air:
    """Dry air, kmol of each gas per kmol."""

    o2: float = 0.2095
    n2: float = 0.7808
    ar: float = 0.0094
    co2: float = 0.0003

    @property
    def mass(self) -> float:
        """kg/kmol."""
        atom = ATOMIC_MASS
        return (
            self.o2 * 2 * atom["O"]
            + self.n2 * 2 * atom["N"]
            + self.ar * atom["Ar"]
            + self.co2 * (atom["C"] + 2 * atom["O"])
        )


AIR: Final = Air()

HUMIDITY_MOLES: Final = AIR.mass / WATER_MASS
"""kmol/kmol per kg/kg of water in dry air, 1.608."""

_GAS_CONSTANT: Final = 8.314_462_618  # kJ/(kmol K), CODATA 2018
_ZERO_CELSIUS: Final = 273.15  # K

# a1 to a5 of cp/R = a1 + a2 T + a3 T^2 + a4 T^3 + a5 T^4
_HEAT_CAPACITY: Final[Mapping[str, tuple[float, float, float, float, float]]] = {
    "N2": (3.53100528, -1.23660987e-4, -5.02999437e-7, 2.43530612e-9, -1.40881235e-12),
    "O2": (3.78245636, -2.99673415e-3, 9.84730200e-6, -9.68129508e-9, 3.24372836e-12),
    "Ar": (2.5, 0.0, 0.0, 0.0, 0.0),
    "CO2": (2.35677352, 8.98459677e-3, -7.12356269e-6, 2.45919022e-9, -1.43699548e-13),
    "H2O": (4.19864056, -2.03643410e-3, 6.52040211e-6, -5.48797062e-9, 1.77197817e-12),
    "CO": (3.57953347, -6.10353680e-4, 1.01681433e-6, 9.07005884e-10, -9.04424499e-13),
    "SO2": (3.26653380, 5.32379020e-3, 6.84375520e-7, -5.28100470e-9, 2.55904540e-12),
}
# R a_i / i: the enthalpy's own coefficients, found once
_ENTHALPY: Final = {
    gas: tuple(_GAS_CONSTANT * a / power for power, a in enumerate(coefficients, start=1))
    for gas, coefficients in _HEAT_CAPACITY.items()
}


def heat(gas: str, temperature: float, reference: float) -> float:
    """Sensible heat of a gas above a reference temperature, kJ/kmol.

    Args:
        gas: 'N2', 'O2', 'Ar', 'CO2', 'H2O' (vapour), 'CO' or 'SO2'.
        temperature: degC, -70 to 720; arrays work as well.
        reference: degC, where it is zero.
    """
    return _enthalpy(gas, temperature) - _enthalpy(gas, reference)


def enthalpy_coefficients(gas: str) -> tuple[float, ...]:
    """Of the enthalpy, kJ/kmol, over the powers 1 to 5 of the temperature in K."""
    return _ENTHALPY[gas]


def condensation(temperature: float) -> float:
    """Heat of condensation of water vapour, kJ/kmol, at 0 to 50 degC; more where it is colder."""
    return CONDENSATION + heat("H2O", temperature, 25.0) - _LIQUID_CP * (temperature - 25.0)


def air_heat(temperature: float, reference: float) -> float:
    """Sensible heat of dry air above a reference temperature, kJ/kmol; degC."""
    return (
        AIR.o2 * heat("O2", temperature, reference)
        + AIR.n2 * heat("N2", temperature, reference)
        + AIR.ar * heat("Ar", temperature, reference)
        + AIR.co2 * heat("CO2", temperature, reference)
    )


def _enthalpy(gas: str, temperature: float) -> float:
    a1, a2, a3, a4, a5 = _ENTHALPY[gas]
    t = temperature + _ZERO_CELSIUS
    return t * (a1 + t * (a2 + t * (a3 + t * (a4 + t * a5))))
