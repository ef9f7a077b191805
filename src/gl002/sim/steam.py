"""Water and steam of the simulated drum: saturated, 10 to 40 bar."""

from __future__ import annotations

from math import sqrt
from typing import Final

# IAPWS R7-97 (IF97), table 34: coefficients of the saturation line
_N: Final = (
    0.116_705_214_527_67e4, -0.724_213_167_032_06e6, -0.170_738_469_400_92e2,
    0.120_208_247_024_70e5, -0.323_255_503_223_33e7, 0.149_151_086_135_30e2,
    -0.482_326_573_615_91e4, 0.405_113_405_420_57e6, -0.238_555_575_678_49,
    0.650_175_348_447_98e3,
)  # fmt: skip


def saturation_temperature(pressure: float) -> float:
    """Boiling point, degC (IAPWS R7-97, equation 31).

    Args:
        pressure: absolute, MPa.
    """
    beta = sqrt(sqrt(pressure))
    e = beta * beta + _N[2] * beta + _N[5]
    f = _N[0] * beta * beta + _N[3] * beta + _N[6]
    g = _N[1] * beta * beta + _N[4] * beta + _N[7]
    d = 2 * g / (-f - sqrt(f * f - 4 * e * g))
    return (_N[9] + d - sqrt((_N[9] + d) ** 2 - 4 * (_N[8] + _N[9] * d))) / 2 - 273.15


def vapour_enthalpy(temperature: float) -> float:
    """Dry saturated steam, kJ/kg; a fit to IF97 from 180 to 250 degC, within 0.04 kJ/kg."""
    t = temperature - 220
    return 2801.060 + t * (0.285_051 + t * (-8.771_26e-3 - 2.538_9e-5 * t))


def boiling_enthalpy(temperature: float) -> float:
    """Boiling water, kJ/kg; a fit to IF97 from 180 to 250 degC, within 0.02 kJ/kg."""
    t = temperature - 220
    return 943.636_5 + t * (4.623_056 + t * (3.316_165e-3 + 1.322_907e-5 * t))


def water_enthalpy(temperature: float) -> float:
    """Feedwater, kJ/kg; a fit to IF97 at 25 bar from 60 to 220 degC, within 0.04 kJ/kg."""
    t = temperature - 110
    return 463.088_4 + t * (4.225_206 + t * (7.063_178e-4 + t * (3.507_671e-6 + 1.760_506e-8 * t)))
