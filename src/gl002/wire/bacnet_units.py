"""BACnet's engineering units as ours (BACnetEngineeringUnits, ANSI/ASHRAE 135, clause 21).

Units that could mean two things ('tons' are short or metric, 'siemens' are no conductivity) have
no entry: the configuration says what they are. The names of pressure units do not say gauge or
absolute, so neither do ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_UNITS: Final[Mapping[int, str]] = {
    2: "mA", 3: "A", 5: "V", 6: "kV", 16: "J", 17: "kJ", 18: "Wh", 19: "kWh", 20: "Btu",
    21: "therm", 27: "Hz", 28: "g/kg", 29: "%", 30: "mm", 31: "m", 32: "in", 33: "ft", 39: "kg",
    40: "lb", 42: "kg/s", 43: "kg/min", 44: "kg/h", 45: "lb/min", 46: "lb/hr", 47: "W", 48: "kW",
    49: "MW", 50: "Btu/hr", 51: "hp", 53: "Pa", 54: "kPa", 55: "bar", 56: "psi", 58: "inH2O",
    59: "mmHg", 61: "inHg", 62: "degC", 63: "K", 64: "degF", 70: "d", 71: "h", 72: "min", 73: "s",
    74: "m/s", 76: "ft/s", 77: "ft/min", 79: "ft3", 80: "m3", 82: "L", 83: "gal", 84: "ft3/min",
    85: "m3/s", 87: "L/s", 88: "L/min", 89: "gal/min", 95: "1", 96: "ppm", 98: "%", 104: "rpm",
    117: "Btu/lb", 118: "cm", 119: "lb/s", 120: "delta_degF", 121: "delta_K", 124: "mV",
    125: "kJ/kg", 126: "MJ", 129: "kHz", 133: "hPa", 134: "mbar", 135: "m3/h", 136: "L/h",
    142: "ft3/s", 146: "MWh", 148: "MMBtu", 154: "g/s", 159: "ms", 165: "m3/min", 174: "S/m",
    186: "kg/m3", 191: "ft3/hr", 192: "gal/hr", 195: "g", 206: "mmH2O", 209: "kg/kg", 210: "g/kg",
    214: "g/L", 215: "mg/L", 234: "pH", 249: "m3/d",
}  # fmt: skip


def from_bacnet(number: int) -> str:
    """Our name for a unit, '' where we have none or theirs is not clear."""
    return _UNITS.get(number, "")
