"""Units of measurement: a table of slopes and offsets, looked up when a configuration loads.

    >>> round(convert(50_000, "lb/hr", "kg/s"), 4)
    6.2999
    >>> fahrenheit = conversion("degC", "degF")
    >>> round(fahrenheit(100.0), 6)
    212.0

Dimensions that look alike are kept apart, because mixing them up is how wrong numbers are made:

* Pressure is gauge ('psig', 'bar(g)'), absolute ('psia', 'bar(a)') or does not say ('bar', 'kPa',
  'inH2O'). Gauge and absolute convert into each other by a stated atmospheric pressure. What does
  not say converts only into what does not say either.
* A temperature difference ('delta_degF') is not a temperature ('degF').
* Energy from fuel counts the heat of its condensing water or does not: 'Btu/lb (HHV)',
  'kJ/kg (LHV)'. Plain 'kJ/kg' is for anything that is no heating value.
* A standard volume ('Nm3', 'Sm3', 'scf') is an amount of ideal gas, counted at stated conditions;
  an actual volume ('m3', 'ft3') is not.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gl002.errors import UnitError

__all__ = [
    "STANDARD_ATMOSPHERE", "Linear", "Unit", "UnitError", "conversion", "convert", "from_unece",
    "same_dimension", "to_unece", "unit", "units",
]  # fmt: skip

STANDARD_ATMOSPHERE: Final = 101_325.0
"""Pa; gauge pressure is measured against it unless a site states its own."""

_GAUGE: Final = "gauge pressure"
_ABSOLUTE: Final = "absolute pressure"
_PRESSURE: Final = "pressure, gauge or absolute not said"
_TEMPERATURE: Final = "temperature"
_DIFFERENCE: Final = "temperature difference"
_ENERGY: Final = "energy"
_POWER: Final = "power"
_SPECIFIC_ENERGY: Final = "energy per mass"
_GAS_ENERGY: Final = "energy per standard volume"
_EMISSION: Final = "mass per energy"
_STANDARD_VOLUME: Final = "standard volume"
_STANDARD_FLOW: Final = "standard volume flow"
_VOLUME: Final = "volume"
_VOLUME_FLOW: Final = "volume flow"

_LB: Final = 0.453_592_37  # kg, avoirdupois pound, exact (international yard and pound, 1959)
_FT: Final = 0.3048  # m, exact
_GAL: Final = 231 * 0.0254**3  # m3, US gallon, exact
_G: Final = 9.806_65  # m/s2, standard gravity, exact
_PSI: Final = _LB * _G / 0.0254**2  # Pa
_BTU: Final = 1_055.055_852_62  # J, International Table
_KCAL: Final = 4_186.8  # J, International Table
_MIN: Final = 60.0
_H: Final = 3_600.0
_DAY: Final = 86_400.0
# The ideal gas in 1 Sm3 (15 degC, 101.325 kPa; ISO 13443) and in 1 scf (60 degF, 14.696 psia),
# as the volume it fills at 0 degC and 101.325 kPa.
_SM3: Final = 273.15 / 288.15
_SCF: Final = (
    _FT**3 * 273.15 / ((60 + 459.67) / 1.8) * 14.696 * _PSI / STANDARD_ATMOSPHERE
)  # fmt: skip

_PRESSURES: Final[Mapping[str, float]] = {  # -> Pa
    "Pa": 1.0, "hPa": 100.0, "kPa": 1e3, "MPa": 1e6, "mbar": 100.0, "bar": 1e5, "psi": _PSI,
    "kg/cm2": _G * 1e4, "atm": STANDARD_ATMOSPHERE,
    "mmHg": 133.322_387_415, "inHg": 25.4 * 133.322_387_415,
    "mmH2O": _G, "inH2O": 25.4 * _G,  # conventional water, 1,000 kg/m3
}  # fmt: skip

# dimension -> unit -> slope to the dimension's first unit, or (slope, offset)
_TABLE: Final[Mapping[str, Mapping[str, float | tuple[float, float]]]] = {
    _TEMPERATURE: {
        "K": 1.0, "degC": (1.0, 273.15), "degF": (1 / 1.8, 459.67 / 1.8), "degR": 1 / 1.8,
    },
    _DIFFERENCE: {"delta_K": 1.0, "delta_degC": 1.0, "delta_degF": 1 / 1.8},
    _PRESSURE: _PRESSURES,
    _GAUGE: {"psig" if name == "psi" else f"{name}(g)": s for name, s in _PRESSURES.items()},
    _ABSOLUTE: {"psia" if name == "psi" else f"{name}(a)": s for name, s in _PRESSURES.items()},
    "mass": {"kg": 1.0, "g": 1e-3, "t": 1e3, "lb": _LB, "klb": 1e3 * _LB, "ton (US)": 2e3 * _LB},
    "mass flow": {
        "kg/s": 1.0, "kg/min": 1 / _MIN, "kg/h": 1 / _H, "t/h": 1e3 / _H, "t/d": 1e3 / _DAY,
        "g/s": 1e-3, "lb/s": _LB, "lb/min": _LB / _MIN, "lb/hr": _LB / _H, "klb/hr": 1e3 * _LB / _H,
    },
    _VOLUME: {"m3": 1.0, "L": 1e-3, "ft3": _FT**3, "gal": _GAL},
    _VOLUME_FLOW: {
        "m3/s": 1.0, "m3/min": 1 / _MIN, "m3/h": 1 / _H, "m3/d": 1 / _DAY, "L/s": 1e-3,
        "L/min": 1e-3 / _MIN, "L/h": 1e-3 / _H, "ft3/s": _FT**3, "ft3/min": _FT**3 / _MIN,
        "ft3/hr": _FT**3 / _H, "gal/min": _GAL / _MIN, "gal/hr": _GAL / _H,
    },
    _STANDARD_VOLUME: {"Nm3": 1.0, "Sm3": _SM3, "scf": _SCF, "kscf": 1e3 * _SCF},
    _STANDARD_FLOW: {
        "Nm3/s": 1.0, "Nm3/min": 1 / _MIN, "Nm3/h": 1 / _H, "Nm3/d": 1 / _DAY,
        "Sm3/s": _SM3, "Sm3/h": _SM3 / _H, "Sm3/d": _SM3 / _DAY,
        "scfm": _SCF / _MIN, "scfh": _SCF / _H, "kscfh": 1e3 * _SCF / _H,
        "MMscfd": 1e6 * _SCF / _DAY,
    },
    _ENERGY: {
        "J": 1.0, "kJ": 1e3, "MJ": 1e6, "GJ": 1e9, "Wh": _H, "kWh": 1e3 * _H, "MWh": 1e6 * _H,
        "kcal": _KCAL, "Btu": _BTU, "MMBtu": 1e6 * _BTU, "therm": 1e5 * _BTU,
    },
    _POWER: {
        "W": 1.0, "kW": 1e3, "MW": 1e6, "kJ/h": 1e3 / _H, "GJ/h": 1e9 / _H, "kcal/h": _KCAL / _H,
        "Btu/hr": _BTU / _H, "MMBtu/hr": 1e6 * _BTU / _H, "hp": 550 * _FT * _LB * _G,
        "boiler hp": 9_809.5,  # NIST SP 811
    },
    _SPECIFIC_ENERGY: {
        "J/kg": 1.0, "kJ/kg": 1e3, "MJ/kg": 1e6, "kWh/kg": 1e3 * _H, "kcal/kg": _KCAL,
        "Btu/lb": _BTU / _LB,
    },
    _GAS_ENERGY: {
        "J/Nm3": 1.0, "kJ/Nm3": 1e3, "MJ/Nm3": 1e6, "kWh/Nm3": 1e3 * _H, "kcal/Nm3": _KCAL,
        "MJ/Sm3": 1e6 / _SM3, "kWh/Sm3": 1e3 * _H / _SM3, "Btu/scf": _BTU / _SCF,
    },
    _EMISSION: {
        "kg/J": 1.0, "g/GJ": 1e-12, "kg/GJ": 1e-9, "kg/MWh": 1e-6 / _H, "g/kWh": 1e-6 / _H,
        "kg/MMBtu": 1e-6 / _BTU, "lb/MMBtu": 1e-6 * _LB / _BTU,
    },
    "share": {"fraction": 1.0, "%": 1e-2, "ppm": 1e-6},
    "mass ratio": {"kg/kg": 1.0, "g/kg": 1e-3, "lb/lb": 1.0, "gr/lb": 1 / 7_000},
    "mass concentration": {
        "kg/m3": 1.0, "g/L": 1.0, "mg/L": 1e-3, "ppm TDS": 1e-3, "lb/ft3": _LB / _FT**3,
    },
    "mass per standard volume": {
        "kg/Nm3": 1.0, "g/Nm3": 1e-3, "mg/Nm3": 1e-6, "mg/Sm3": 1e-6 / _SM3,
    },
    "conductivity": {"S/m": 1.0, "mS/cm": 0.1, "uS/cm": 1e-4},
    "acidity": {"pH": 1.0},
    "length": {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "ft": _FT, "in": _FT / 12},
    "velocity": {"m/s": 1.0, "ft/s": _FT, "ft/min": _FT / _MIN},
    "time": {"s": 1.0, "ms": 1e-3, "min": _MIN, "h": _H, "d": _DAY},
    "frequency": {"Hz": 1.0, "kHz": 1e3},
    "rotation": {"rpm": 1.0},
    "voltage": {"V": 1.0, "mV": 1e-3, "kV": 1e3},
    "current": {"A": 1.0, "mA": 1e-3},
    "number": {"1": 1.0},
}  # fmt: skip

_FUEL_DIMENSIONS: Final = frozenset({_ENERGY, _POWER, _SPECIFIC_ENERGY, _GAS_ENERGY, _EMISSION})

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "degC": ("C", "celsius"), "degF": ("F", "fahrenheit"), "degR": ("rankine",), "K": ("kelvin",),
    "delta_degC": ("deltaC",), "delta_degF": ("deltaF",), "delta_K": ("deltaK",),
    "kg/cm2": ("kgf/cm2",), "inH2O": ("inWC", "inWG", '"H2O', '"WC'), "mmH2O": ("mmWC", "mmWG"),
    "lb": ("lbs", "lbm"), "lb/hr": ("lbs/hr", "lbm/hr", "pph"), "lb/min": ("lbs/min", "lbm/min"),
    "lb/s": ("lbs/s", "lbm/s"), "klb": ("klbs",), "klb/hr": ("klbs/hr", "kpph"),
    "t": ("tonne", "tonnes"), "t/h": ("tph",), "L": ("liter", "litre"), "L/min": ("lpm",),
    "gal": ("galUS",), "gal/min": ("gpm", "USgpm"), "gal/hr": ("gph",),
    "ft3": ("cf",), "ft3/min": ("cfm", "acfm"), "ft3/hr": ("cfh", "acfh"),
    "scfh": ("scf/h",), "scfm": ("scf/min",), "kscfh": ("kscf/h",), "MMscfd": ("MMscf/d",),
    "MMBtu": ("mmBtu",), "MMBtu/hr": ("mmBtu/hr",), "lb/MMBtu": ("lb/mmBtu",), "W": ("watt",),
    "boiler hp": ("BoHP",), "%": ("percent", "pct", "vol%", "%vol"), "ppm": ("ppmv",),
    "gr/lb": ("grains/lb",), "in": ("inch", "inches"), "min": ("minute", "minutes"),
    "s": ("sec", "second", "seconds"), "h": ("hr", "hour", "hours"), "d": ("day", "days"),
    "rpm": ("r/min",), "1": ("count",),
}  # fmt: skip

_UNECE: Final[Mapping[str, str]] = {
    "CEL": "degC", "FAH": "degF", "KEL": "K", "PAL": "Pa", "A97": "hPa", "KPA": "kPa",
    "MPA": "MPa", "MBR": "mbar", "BAR": "bar", "PS": "psi", "80": "psia", "E42": "kg/cm2",
    "ATM": "atm", "HN": "mmHg", "F79": "inHg", "HP": "mmH2O", "F78": "inH2O",
    "KGM": "kg", "GRM": "g", "TNE": "t", "LBR": "lb", "STN": "ton (US)",
    "KGS": "kg/s", "F31": "kg/min", "E93": "kg/h", "E18": "t/h", "L71": "t/d", "F29": "g/s",
    "K81": "lb/s", "K78": "lb/min", "4U": "lb/hr", "M90": "klb/hr",
    "MTQ": "m3", "LTR": "L", "FTQ": "ft3", "GLL": "gal", "NM3": "Nm3", "SM3": "Sm3", "5I": "scf",
    "MQS": "m3/s", "G53": "m3/min", "MQH": "m3/h", "G52": "m3/d", "G51": "L/s", "L2": "L/min",
    "2L": "ft3/min", "2K": "ft3/hr", "G2": "gal/min", "G50": "gal/hr",
    "Q40": "Nm3/h", "Q39": "Nm3/d", "Q38": "Sm3/h", "Q37": "Sm3/d",
    "JOU": "J", "KJO": "kJ", "3B": "MJ", "GV": "GJ", "WHR": "Wh", "KWH": "kWh", "MWH": "MWh",
    "E14": "kcal", "BTU": "Btu", "N72": "therm", "WTT": "W", "KWT": "kW", "MAW": "MW",
    "P20": "kJ/h", "2I": "Btu/hr", "K42": "boiler hp", "J2": "J/kg", "B42": "kJ/kg",
    "JK": "MJ/kg", "AZ": "Btu/lb", "KWN": "kWh/Nm3", "KWS": "kWh/Sm3", "Q41": "J/Nm3",
    "P1": "%", "59": "ppm", "M29": "kg/kg", "M91": "lb/lb", "KMQ": "kg/m3", "GL": "g/L",
    "M1": "mg/L", "87": "lb/ft3", "D10": "S/m", "H61": "mS/cm", "G42": "uS/cm", "Q30": "pH",
    "MTR": "m", "CMT": "cm", "MMT": "mm", "FOT": "ft", "INH": "in", "MTS": "m/s", "FS": "ft/s",
    "FR": "ft/min", "SEC": "s", "C26": "ms", "MIN": "min", "HUR": "h", "DAY": "d",
    "HTZ": "Hz", "KHZ": "kHz", "RPM": "rpm", "VLT": "V", "2Z": "mV", "KVT": "kV", "AMP": "A",
    "4K": "mA", "C62": "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Linear:
    """The straight line `slope * x + offset`: a conversion, or a scaling, or both in one."""

    slope: float
    offset: float

    def __call__(self, value: float) -> float:
        """The converted value; of a numpy array the converted array."""
        return value * self.slope + self.offset

    def then(self, after: Linear) -> Linear:
        """One line that does the same as this and `after` one after the other."""
        return Linear(self.slope * after.slope, self.offset * after.slope + after.offset)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement.

    Attributes:
        name: how the gateway spells it.
        dimension: what it measures, in words; the units of one dimension convert into each other.
        slope, offset: `slope * value + offset` is the value in the dimension's coherent unit.
    """

    name: str
    dimension: str
    slope: float
    offset: float = 0.0


@functools.lru_cache(maxsize=1024)
def unit(name: str) -> Unit:
    """Look a unit up by its name or another usual spelling of it ('lb/h', 'PSIG', '°F', 'barg').

    Upper and lower case matter only where a first letter 'm' or 'M' decides between milli and mega.

    Raises:
        UnitError: no such unit; the hint names the nearest.
    """
    if len(name) > _LONGEST:  # servers and messages name units, too: no time is spent on such
        raise UnitError(f"unknown unit '{name[:_LONGEST]}...'", hint="no unit has so long a name")
    body, basis = _basis(name)
    found = _spellings().get(_folded(body))
    if found is None or (basis and found.dimension not in _FUEL_DIMENSIONS):
        raise UnitError(f"unknown unit '{name}'", hint=_near(name))
    if not basis:
        return found
    return Unit(f"{found.name} ({basis})", f"{found.dimension} ({basis})", found.slope)


def units() -> Iterator[Unit]:
    """Every unit, grouped by dimension; those of fuel energy without their HHV and LHV forms."""
    for dimension, members in _TABLE.items():
        for name, line in members.items():
            slope, offset = line if isinstance(line, tuple) else (line, 0.0)
            yield Unit(name, dimension, slope, offset)


def conversion(source: str, target: str, *, atmosphere: float = STANDARD_ATMOSPHERE) -> Linear:
    """How a value in `source` becomes one in `target`.

    Args:
        source: unit of the value.
        target: unit wanted.
        atmosphere: Pa, the pressure that gauge pressure is measured against.

    Raises:
        UnitError: an unknown unit, or two dimensions that do not convert; names both.
    """
    one, other = unit(source), unit(target)
    if not _convertible(one, other):
        raise UnitError(
            f"'{one.name}' ({one.dimension}) does not convert to '{other.name}' "
            f"({other.dimension})",
            hint=_why_not(one, other),
        )
    shift = _zero(one, atmosphere) - _zero(other, atmosphere)
    return Linear(one.slope / other.slope, shift / other.slope)


def convert(
    value: float, source: str, target: str, *, atmosphere: float = STANDARD_ATMOSPHERE
) -> float:
    """One value (or a numpy array) in another unit; `conversion` is faster for many.

    Raises:
        UnitError: as `conversion`.
    """
    return conversion(source, target, atmosphere=atmosphere)(value)


def same_dimension(one: str, other: str) -> bool:
    """Whether values in `one` can be given in `other`.

    Raises:
        UnitError: an unknown unit.
    """
    return _convertible(unit(one), unit(other))


def from_unece(unit_id: int) -> str:
    """Our name for the `unitId` of an OPC UA EUInformation, '' where we have none.

    The id is the UNECE Recommendation 20 common code, its characters as bytes of one number
    (OPC 10000-8, 5.6.3.3). The codes of pressure units do not say gauge or absolute (except that
    of psia), so neither do the names they give.
    """
    if unit_id <= 0:
        return ""
    code = unit_id.to_bytes((unit_id.bit_length() + 7) // 8, "big")
    return _UNECE.get(code.decode("latin-1"), "")


def to_unece(name: str) -> int | None:
    """The OPC UA `unitId` of a unit, None where UNECE Recommendation 20 has no code for it.

    Raises:
        UnitError: an unknown unit.
    """
    wanted = unit(name).name
    code = next((code for code, known in _UNECE.items() if known == wanted), None)
    return None if code is None else int.from_bytes(code.encode("latin-1"), "big")


def _convertible(one: Unit, other: Unit) -> bool:
    dimensions = {one.dimension, other.dimension}
    return len(dimensions) == 1 or dimensions == {_GAUGE, _ABSOLUTE}


def _zero(which: Unit, atmosphere: float) -> float:
    return which.offset + (atmosphere if which.dimension == _GAUGE else 0.0)


# ---- spelling ---------------------------------------------------------------------------------

_BASES: Final = {"hhv": "HHV", "gcv": "HHV", "lhv": "LHV", "ncv": "LHV"}
_LONGEST: Final = 100  # characters of a name worth looking at
_BASIS: Final = re.compile(
    r"(?<!\s)\s*(?:[(\[]\s*)?(hhv|gcv|lhv|ncv)\s*(?:[)\]]\s*)?$", re.IGNORECASE
)
_REFERENCE: Final = re.compile(
    rf"^({'|'.join(sorted(map(re.escape, _PRESSURES), key=len, reverse=True))})"
    r"_?\(?(g|ga|gauge|a|abs|absolute)\)?$",
    re.IGNORECASE,
)
_CHARACTERS: Final = str.maketrans(
    {"°": "deg", "º": "deg", "˚": "deg", "³": "3", "²": "2", "₂": "2", "µ": "u", "μ": "u",
     "·": "", "^": "", " ": "", "\N{NO-BREAK SPACE}": ""}
)  # fmt: skip
_PER: Final = re.compile(r"/(hr|hour|sec|day)\b", re.IGNORECASE)


def _basis(name: str) -> tuple[str, str]:
    """A name without its heating value basis, and that basis or ''."""
    found = _BASIS.search(name)
    return (name[: found.start()], _BASES[found[1].lower()]) if found else (name, "")


def _folded(name: str) -> str:
    """A spelling as it is compared: case ignored but for a leading m, which is milli or mega."""
    plain = _PER.sub(lambda per: f"/{per[1][0]}", name.strip().translate(_CHARACTERS))
    if said := _REFERENCE.match(plain):
        plain = f"{said[1]}({said[2][0]})"
    return plain[:1] + plain[1:].lower() if plain[:1] in {"m", "M"} else plain.lower()


@functools.cache
def _spellings() -> Mapping[str, Unit]:
    """Folded spelling -> unit."""
    known: dict[str, Unit] = {}
    for each in units():
        for spelling in (each.name, *_ALIASES.get(each.name, ())):
            clash = known.setdefault(_folded(spelling), each)
            assert clash is each, f"'{spelling}' is both {clash.name} and {each.name}"
    return known


# ---- what to do about it ----------------------------------------------------------------------


def _near(name: str) -> str:
    known = {each.name.lower(): each.name for each in units()}
    body = _basis(name)[0].strip().lower()
    close = difflib.get_close_matches(body, known, n=1, cutoff=0.6)
    return f"did you mean '{known[close[0]]}'?" if close else "docs/reference/units.md lists all"


def _why_not(one: Unit, other: Unit) -> str:
    plain = [_BASIS.sub("", each.dimension) for each in (one, other)]
    dimensions = {one.dimension, other.dimension}
    if _PRESSURE in dimensions and dimensions & {_GAUGE, _ABSOLUTE}:
        vague = one.name if one.dimension == _PRESSURE else other.name
        said = ("psig", "psia") if vague == "psi" else (f"{vague}(g)", f"{vague}(a)")
        return f"write '{said[0]}' or '{said[1]}' instead of '{vague}'"
    if plain[0] == plain[1] and plain[0] not in dimensions:
        return "the heat of the fuel's water lies between them: use the fuel's own LHV/HHV ratio"
    if plain[0] == plain[1]:
        return "say whether it counts the heat of the fuel's water: '(HHV)' or '(LHV)'"
    for known, reason in _REASONS.items():
        if dimensions == known:
            return reason
    return ""


_REASONS: Final[Mapping[frozenset[str], str]] = {
    frozenset({_TEMPERATURE, _DIFFERENCE}): "a difference of temperatures has no zero point",
    frozenset({_VOLUME, _STANDARD_VOLUME}): "needs the gas's own pressure and temperature",
    frozenset({_VOLUME_FLOW, _STANDARD_FLOW}): "needs the gas's own pressure and temperature",
}
