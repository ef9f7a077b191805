"""Pressure of the air around a boiler, that gauge pressure is measured against."""

from __future__ import annotations

from typing import Final

from gl002.errors import DataError
from gl002.units import STANDARD_ATMOSPHERE

LOWEST: Final = -500.0
HIGHEST: Final = 5_000.0
"""Metres above sea level between which a boiler may stand."""


def at_altitude(metres: float) -> float:
    """Mean pressure of the air at an altitude, Pa.

    The standard atmosphere (ISO 2533, ICAO Doc 7488): 288.15 K at sea level, 6.5 K less for each
    kilometre. The weather moves it by some 2 kPa to either side.

    Raises:
        DataError: an altitude at which no boiler stands.
    """
    if not LOWEST <= metres <= HIGHEST:
        raise DataError(f"altitude {metres:g} m is outside {LOWEST:g} to {HIGHEST:g}")
    return STANDARD_ATMOSPHERE * float((1 - 0.0065 * metres / 288.15) ** 5.25588)
