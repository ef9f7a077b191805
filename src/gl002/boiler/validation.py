"""Whether readings can be believed: each check gives findings, each a quality and a plain sentence.

The checks know one thing each and no history; `gl002.boiler.watch` puts them together with what is
usual for a boiler. Roles are in the units of `UNITS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from gl002.boiler import steam
from gl002.boiler.analysis import Fuel
from gl002.boiler.arrays import Array, np
from gl002.boiler.combustion import OxygenBasis, excess_air, flue_gas, theoretical_air
from gl002.boiler.efficiency import NO_OXYGEN, RANGES, Range
from gl002.boiler.findings import Finding, said_of
from gl002.boiler.gases import AIR
from gl002.boiler.roles import ROLES
from gl002.errors import DataError
from gl002.model import Quality
from gl002.units import STANDARD_ATMOSPHERE

__all__ = [
    "LIMITS", "UNITS", "Finding", "carbon_dioxide", "dead_analyser", "dioxide_at", "duplicates",
    "known_factor", "noisy", "out_of_range", "oxygen_by_flows", "rescaled", "said_of", "saturation",
    "scatter", "skewed", "spiky", "stuck", "too_fast",
]  # fmt: skip

LIMITS: Final[Mapping[str, Range]] = {
    **RANGES,
    "carbon_dioxide": Range(0.0, 21.0, "%"),
    "steam_flow": Range(0.0, 1_000.0, "kg/s"),
    "feedwater_flow": Range(0.0, 1_000.0, "kg/s"),
    "fuel_flow": Range(0.0, 100.0, "kmol/s or kg/s"),
    "air_flow": Range(0.0, 2_000.0, "kg/s"),
    "pressure": Range(0.0, 25.0, "MPa(a)"),
    "steam_temperature": Range(0.0, 650.0, "degC"),
    "feedwater_temperature": Range(0.0, 350.0, "degC"),
}
"""Physical limits of every role."""

UNITS: Final[Mapping[str, str]] = {role: limits.unit for role, limits in LIMITS.items()}
"""Unit in which the checks take each role."""

_ENOUGH: Final = 20  # readings below which scatter says nothing
_ZERO_MONOXIDE: Final = 0.05  # ppm
_ZERO_TEMPERATURE: Final = 0.5  # degC
_SAME: Final = 0.995  # correlation of changes; two transmitters have noise of their own
_DIOXIDE: Final = 0.5  # percent
_SATURATION: Final = 2.0  # K
_KNOWN_FACTORS: Final = {
    10.0: "ten times", 0.1: "a tenth of", 1_000.0: "a thousand times", 0.001: "a thousandth of",
    2.2046: "2.2 times (lb for kg)", 0.45359: "0.45 times (kg for lb)",
    3.6: "3.6 times (t/h for kg/s)",
}  # fmt: skip


def out_of_range(role: str, value: float) -> Finding | None:
    """A value that no boiler has, or that is not a number."""
    low, high, unit = LIMITS[role]
    said = said_of(role)
    if not np.isfinite(value):
        return Finding("range", role, Quality.BAD_OUT_OF_RANGE, f"{said} is not a number")
    if low <= value <= high:
        return None
    reason = f"{said} {value:.4g} {unit} is outside {low:g} to {high:g}"
    return Finding("range", role, Quality.BAD_OUT_OF_RANGE, reason)


def too_fast(role: str, times: Array, values: Array, most: float) -> Finding | None:
    """A change that is faster than the process.

    Args:
        role: what was measured.
        times: seconds.
        values: readings at those times.
        most: largest change per second.
    """
    spans = np.diff(times)
    rates = np.abs(np.diff(values))[spans > 0] / spans[spans > 0]
    if not rates.size or rates.max() <= most:
        return None
    unit = UNITS[role] if role in UNITS else ROLES[role].unit
    reason = (
        f"{said_of(role)} changed by {rates.max():.3g} {unit} a second, {most:.3g} is the most it "
        "can"
    )
    return Finding("rate", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def stuck(role: str, values: Array, noise: float) -> Finding | None:
    """A reading without the noise that its instrument always has.

    Args:
        role: what was measured.
        values: at least 20 readings, else nothing is found.
        noise: usual standard deviation from one reading to the next; 0 where it has none.
    """
    if values.size < _ENOUGH or noise <= 0 or scatter(values) > noise / 10:
        return None
    reason = f"{said_of(role)} stands still at {values[-1]:.5g} {UNITS[role]}: stuck"
    return Finding("stuck", role, Quality.BAD_SENSOR_FAILURE, reason)


def noisy(role: str, values: Array, noise: float, *, times: float = 4.0) -> Finding | None:
    """A reading with far more noise than its instrument usually has.

    Args:
        role: what was measured.
        values: at least 20 readings, else nothing is found.
        noise: usual standard deviation from one reading to the next.
        times: how much more is too much.
    """
    if values.size < _ENOUGH or noise <= 0:
        return None
    found = scatter(values)
    if found <= times * noise:
        return None
    reason = (
        f"{said_of(role)} scatters {found / noise:.0f} times as much as usual: loose contact, "
        "interference or wet tapping"
    )
    return Finding("noise", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def spiky(role: str, values: Array, noise: float, *, times: float = 10.0) -> Finding | None:
    """Single readings that have nothing to do with those before and after them.

    Args:
        role: what was measured.
        values: readings at regular times.
        noise: usual standard deviation from one reading to the next.
        times: how many times the noise is a spike.
    """
    if values.size < _ENOUGH or noise <= 0:
        return None
    middle = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    usual = max(noise, scatter(values))  # where all is noise, there are no spikes in it
    count = int(np.sum(np.abs(values[1:-1] - middle) > times * usual))
    if count < 2:  # noqa: PLR2004 - one may be the process
        return None
    reason = f"{said_of(role)} jumps and returns within one reading, {count} times"
    return Finding("spikes", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def scatter(values: Array) -> float:
    """Standard deviation from one reading to the next; spikes and slow changes do not count."""
    steps = np.diff(values)
    return float(1.4826 * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2))


def dead_analyser(values: Mapping[str, float]) -> list[Finding]:
    """Zeros shown together by the analyser of oxygen, monoxide and stack temperature: it is off.

    Args:
        values: role -> value; roles that are absent are not judged.
    """
    limits = {
        "oxygen": NO_OXYGEN, "carbon_monoxide": _ZERO_MONOXIDE,
        "stack_temperature": _ZERO_TEMPERATURE,
    }  # fmt: skip
    zero = [role for role, limit in limits.items() if abs(values.get(role, np.inf)) <= limit]
    if len(zero) < 2:  # noqa: PLR2004 - one zero may be true
        return []
    shown = " and ".join(said_of(role) for role in zero)
    reason = f"{shown} are zero together: the analyser is off or its cable is"
    return [Finding("dead analyser", role, Quality.BAD_SENSOR_FAILURE, reason) for role in zero]


def duplicates(series: Mapping[str, Array]) -> Iterator[Finding]:
    """Two tags that are one instrument: they change together down to the noise.

    Args:
        series: role -> readings at the same times.
    """
    steps = {role: np.diff(values) for role, values in series.items() if values.size >= _ENOUGH}
    moving = {role: each for role, each in steps.items() if np.std(each) > 0}
    for (one, a), (other, b) in itertools.combinations(moving.items(), 2):
        if abs(float(np.corrcoef(a, b)[0, 1])) > _SAME:
            ratio = float(np.std(a) / np.std(b))
            reason = (
                f"{said_of(one)} and {said_of(other)} change together to the last digit (ratio "
                f"{ratio:.4g}): two tags of one instrument"
            )
            for role in (one, other):
                yield Finding("duplicate", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def carbon_dioxide(
    fuel: Fuel, oxygen: float, dioxide: float, basis: OxygenBasis, *, humidity: float = 0.010
) -> Finding | None:
    """Oxygen and carbon dioxide that cannot come from this fuel together; both on one basis.

    Where the other basis fits, it says so: a wet probe declared dry is the usual mistake.

    Args:
        fuel: what burns.
        oxygen: percent.
        dioxide: percent, of the same gas.
        basis: as declared.
        humidity: kg of water per kg of dry air.

    Raises:
        DataError: the oxygen of air.
    """
    other: OxygenBasis = "dry" if basis == "wet" else "wet"
    expected = dioxide_at(fuel, oxygen, basis, humidity=humidity)
    if abs(expected - dioxide) <= _DIOXIDE:
        return None
    reason = (
        f"carbon dioxide {dioxide:.1f} % does not go with oxygen {oxygen:.1f} % of {fuel.name} "
        f"({expected:.1f} % expected)"
    )
    if abs(dioxide_at(fuel, oxygen, other, humidity=humidity) - dioxide) <= _DIOXIDE:
        reason += f": the readings fit {other} gas, {basis} is declared"
    return Finding("carbon dioxide", "oxygen", Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def dioxide_at(fuel: Fuel, oxygen: float, basis: OxygenBasis, *, humidity: float = 0.010) -> float:
    """Carbon dioxide that goes with an oxygen, percent of gas on the same basis.

    Raises:
        DataError: the oxygen of air.
    """
    if not 0 <= oxygen < RANGES["oxygen"].high:
        raise DataError(f"oxygen {oxygen:.4g} % is that of air: nothing burns")
    flue = flue_gas(
        fuel, excess_air(fuel, oxygen, basis=basis, humidity=humidity), humidity=humidity
    )
    return 100 * flue.co2 / (flue.wet if basis == "wet" else flue.dry)


def oxygen_by_flows(
    fuel: Fuel, air_flow: Array, fuel_flow: Array, basis: OxygenBasis, *, humidity: float = 0.010
) -> Array:
    """Oxygen that meters of air and fuel let expect, percent; not a number where nothing burns.

    Args:
        fuel: what burns.
        air_flow: humid air, kg/s.
        fuel_flow: units of fuel per second.
        basis: of the oxygen wanted.
        humidity: kg of water per kg of dry air.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        air = air_flow / (1 + humidity) / AIR.mass / fuel_flow
        flue = flue_gas(fuel, air / theoretical_air(fuel) - 1, humidity=humidity)  # type: ignore[arg-type] # formulas take arrays
        found = np.asarray(flue.oxygen_wet if basis == "wet" else flue.oxygen_dry)
    return np.where((fuel_flow > 0) & (found > -5), found, np.nan)  # noqa: PLR2004 - a third of the air missing


def saturation(
    pressure: float, temperature: float, *, atmosphere: float = STANDARD_ATMOSPHERE
) -> Finding | None:
    """Pressure and temperature of saturated steam that do not belong together.

    Args:
        pressure: MPa, absolute as declared.
        temperature: of the steam, degC.
        atmosphere: pressure of the air around the boiler, Pa.

    Raises:
        DataError: no pressure at which water boils.
    """
    difference = temperature - steam.saturation_temperature(pressure)
    if abs(difference) <= _SATURATION:
        return None
    reason = (
        f"steam of {temperature:.1f} degC is {abs(difference):.1f} K "
        f"{'above' if difference > 0 else 'below'} the boiling point at {pressure:.4g} MPa"
    )
    air = atmosphere / 1e6
    for shift, said in ((air, "gauge"), (-air, "absolute, taken for gauge")):
        other = pressure + shift
        if other > 0 and abs(temperature - steam.saturation_temperature(other)) <= _SATURATION / 2:
            reason += f": it would fit if the pressure were {said}"
    return Finding("saturation", "pressure", Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def known_factor(ratio: float, *, tolerance: float = 0.03) -> tuple[float, str] | None:
    """The factor that a slip of units makes and how people say it; None for any other ratio."""
    for factor, said in _KNOWN_FACTORS.items():
        if abs(ratio / factor - 1) <= tolerance:
            return factor, said
    return None


def rescaled(role: str, values: Array, noise: float, usual: tuple[float, float]) -> Finding | None:
    """Readings that a unit or a range has blown up or shrunk, together with their noise.

    Args:
        role: what was measured.
        values: at least 20 readings, else nothing is found.
        noise: usual standard deviation from one reading to the next.
        usual: lowest and highest value the boiler usually has.
    """
    if values.size < _ENOUGH or noise <= 0:
        return None
    low, high = usual[0] - 0.3 * abs(usual[0]), usual[1] + 0.3 * abs(usual[1])
    mean = float(np.mean(values))
    found = known_factor(scatter(values) / noise, tolerance=0.25)
    if found is None or low <= mean <= high or not low <= mean / found[0] <= high:
        return None
    reason = f"{said_of(role)} and its noise are {found[1]} what they were: a unit or a range"
    return Finding("scale", role, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED, reason)


def skewed(role: str, time: float, others: Array, *, most: float = 30.0) -> Finding | None:
    """A reading whose clock is apart from those of the other readings that arrived with it.

    Args:
        role: what was measured.
        time: of its newest reading, s.
        others: of the newest readings of other roles, s.
        most: seconds that are no fault.
    """
    apart = time - float(np.median(others))
    if abs(apart) <= most:
        return None
    reason = (
        f"the clock of {said_of(role)} is {abs(apart):.0f} s "
        f"{'ahead of' if apart > 0 else 'behind'} the others: its readings belong to another time"
    )
    return Finding("clock", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)
