"""Dew points of flue gas: of its water, and of its sulphuric acid, which condenses far sooner.

Correlations are given in shares of the wet gas and the total pressure. Copies of both formulas on
the web are corrupt (0.0082 for 0.0062 in Verhoff-Banchero, a misplaced bracket in Okkes); the
constants here reproduce a worked example and each other within 10 K over the usual range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import FlueGas
from gl002.errors import DataError

ATMOSPHERE: Final = 101_325.0
"""Pa."""

_MMHG: Final = 133.322_387_415  # Pa
_ZERO: Final = 273.15
_LEAST_ACID: Final = 1e-8  # atm, below which Okkes' correlation has no value


@dataclass(frozen=True, slots=True, kw_only=True)
class DewPoints:
    """Where something condenses, degC.

    Attributes:
        water: dew point of the water vapour.
        verhoff_banchero, okkes: of sulphuric acid by either correlation; None without sulphur.
        so3: share of the wet gas by volume it was found for.
    """

    water: float
    verhoff_banchero: float | None
    okkes: float | None
    so3: float

    @property
    def highest(self) -> float:
        """The dew point to stay above: the highest of the three."""
        return max(each for each in (self.water, self.verhoff_banchero, self.okkes) if each)


def water_dew_point(water: float, *, pressure: float = ATMOSPHERE) -> float:
    """Dew point of water vapour, degC, within 0.3 K from 0 to 85 degC.

    Magnus' formula with the coefficients of WMO-No. 8, annex 4.B, solved for the temperature.

    Args:
        water: share of the gas by volume, 0.18 for natural gas.
        pressure: of the gas, Pa.

    Raises:
        DataError: no share of a gas.
    """
    if not 0 < water < 1:
        raise DataError(f"water vapour {water:.4g} is no share of a gas")
    x = math.log(water * pressure / 611.2)
    return 243.12 * x / (17.62 - x)


def verhoff_banchero(water: float, so3: float, *, pressure: float = ATMOSPHERE) -> float:
    """Dew point of sulphuric acid, degC (Verhoff and Banchero, Chem. Eng. Progress 70, 1974).

    Args:
        water: share of the gas by volume.
        so3: share of the gas by volume.
        pressure: of the gas, Pa.

    Raises:
        DataError: no shares of a gas.
    """
    _need_shares(water, so3)
    vapour = math.log(water * pressure / _MMHG)
    acid = math.log(so3 * pressure / _MMHG)
    inverse = 2.276 - 0.0294 * vapour - 0.0858 * acid + 0.0062 * vapour * acid
    return 1000 / inverse - _ZERO


def okkes(water: float, so3: float, *, pressure: float = ATMOSPHERE) -> float:
    """Dew point of sulphuric acid, degC (Okkes, Hydrocarbon Processing 66, 1987).

    Args:
        water: share of the gas by volume.
        so3: share of the gas by volume, at least 0.01 ppm.
        pressure: of the gas, Pa.

    Raises:
        DataError: no shares of a gas, or less acid than the correlation covers.
    """
    _need_shares(water, so3)
    vapour = math.log10(water * pressure / ATMOSPHERE)
    partial = so3 * pressure / ATMOSPHERE
    if partial < _LEAST_ACID:
        raise DataError(f"SO3 of {1e6 * partial:.2g} ppm is below what the correlation covers")
    acid = math.log10(partial)
    return 203.25 + 27.6 * vapour + 10.83 * acid + 1.06 * math.pow(acid + 8, 2.19)


def dew_points(
    fuel: Fuel, gas: FlueGas, *, conversion: float = 0.02, pressure: float = ATMOSPHERE
) -> DewPoints:
    """All dew points of a flue gas.

    Args:
        fuel: what burns.
        gas: its flue gas.
        conversion: share of the sulphur dioxide that becomes trioxide, 0.01 to 0.05: more with
            excess air, vanadium in the oil, or a catalyst for nitrogen oxides.
        pressure: of the gas, Pa.

    Raises:
        DataError: a conversion outside 0 to 0.1.
    """
    if not 0 <= conversion <= 0.1:  # noqa: PLR2004 - more is not known from any boiler
        raise DataError(f"conversion {conversion:g} of SO2 to SO3 is outside 0 to 0.1")
    water = gas.h2o / gas.wet
    so3 = fuel.sulphur * conversion / gas.wet
    sour = so3 * pressure / ATMOSPHERE >= _LEAST_ACID
    return DewPoints(
        water=water_dew_point(water, pressure=pressure),
        verhoff_banchero=verhoff_banchero(water, so3, pressure=pressure) if sour else None,
        okkes=okkes(water, so3, pressure=pressure) if sour else None,
        so3=so3,
    )


def _need_shares(water: float, so3: float) -> None:
    if not (0 < water < 1 and 0 < so3 < 1):
        raise DataError(f"water {water:.4g} and SO3 {so3:.4g} are no shares of a gas")
