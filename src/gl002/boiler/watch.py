"""Readings watched against what is usual for their boiler: all checks of `validation` together.

    usual = learn(boiler, times, record)          # some days in which all was well
    findings = inspect(boiler, usual, times, window)   # every few minutes, over the last half hour

What is usual are a few numbers: the noise of each instrument, how far oxygen is from what the
meters of air and fuel let expect, the ratios of water and of heat. A finding needs a difference
several times what it varies by in health, so that a boiler in health is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gl002.boiler import steam, validation
from gl002.boiler.analysis import Fuel
from gl002.boiler.arrays import Array, np
from gl002.boiler.combustion import OxygenBasis
from gl002.boiler.findings import Finding, said_of
from gl002.boiler.validation import known_factor
from gl002.errors import DataError
from gl002.model import Quality
from gl002.units import STANDARD_ATMOSPHERE

WINDOW: Final = 1_800.0
"""Seconds one inspection looks at: long enough for storage in the drum to average out."""

_SIGMAS: Final = 8.0  # by how many of its usual deviations a statistic is off
_LEAST_WINDOWS: Final = 40
_HOP: Final = 300.0  # s from one window of the record to the next
_READINGS: Final = 20
_ANY: Final = (-math.inf, math.inf)
_STILL: Final = 0.01  # change of load below which nothing can be learned from it
_RATIO: Final = 0.02  # least difference of a ratio that is looked at
_OXYGEN: Final = 0.25  # percent
_KELVIN: Final = 1.0
_RATE: Final = 5.0  # times the fastest change in health


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A boiler whose readings are watched.

    Attributes:
        fuel: what it burns.
        basis: of its oxygen.
        saturated: whether its steam is saturated, so that pressure gives its temperature.
        humidity: of the air, kg/kg.
        atmosphere: pressure of the air around it, Pa.
    """

    fuel: Fuel
    basis: OxygenBasis
    saturated: bool = False
    humidity: float = 0.010
    atmosphere: float = STANDARD_ATMOSPHERE


class Comparison(NamedTuple):
    """What is usual for a number that several readings together make.

    Attributes:
        mean: at constant load.
        by_load: what it changes by when the steam flow rises by its own size within the window:
            water and heat are stored in the drum meanwhile.
        deviation: standard deviation of what is left.
    """

    mean: float
    by_load: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual for the readings of a boiler in health.

    Attributes:
        noise: role -> standard deviation from one reading to the next.
        span: role -> lowest and highest mean over a window.
        rate: role -> fastest change over a window, per second.
        comparisons: name -> what is usual for it.
    """

    noise: Mapping[str, float]
    span: Mapping[str, tuple[float, float]]
    rate: Mapping[str, float]
    comparisons: Mapping[str, Comparison]


def learn(boiler: Watched, times: Array, record: Mapping[str, Array]) -> Usual:
    """What is usual, from a record in which all was well: two days or more, all loads in it.

    Args:
        boiler: what is known about it.
        times: seconds, regular.
        record: role -> readings in the units of `validation.UNITS`.

    Raises:
        DataError: less than four hours.
    """
    windows = list(_windows(times, record)) if times.size else []
    if len(windows) < _LEAST_WINDOWS:
        known = np.ptp(times) / 3600 if times.size else 0.0
        raise DataError(
            f"{known:.1f} hours are too few to tell what is usual",
            hint="at least four; two days with all loads are good",
        )
    noise = {
        role: float(np.median([validation.scatter(each[role]) for _, each in windows]))
        for role in record
    }
    means = {role: [float(np.mean(each[role])) for _, each in windows] for role in record}
    span = {role: (min(values), max(values)) for role, values in means.items()}
    rate = {
        role: max(abs(_slope(t, each[role])) for t, each in windows) for role in record
    }  # fmt: skip
    seen = [(_comparisons(boiler, each), _change(t, each)) for t, each in windows]
    comparisons = {
        name: _usual([(each[name], change) for each, change in seen if name in each])
        for name in dict.fromkeys(name for each, _ in seen for name in each)
    }
    return Usual(noise=noise, span=span, rate=rate, comparisons=comparisons)


def _usual(values: Sequence[tuple[float, float]]) -> Comparison:
    """A straight line over the change of load, and what scatters around it."""
    number, change = np.array(values).T
    if np.std(change) > _STILL:
        by_load, mean = np.polyfit(change, number, 1)
    else:
        by_load, mean = 0.0, np.median(number)
    left = number - mean - by_load * change
    return Comparison(float(mean), float(by_load), float(np.std(left)))


def inspect(
    boiler: Watched, usual: Usual, times: Array, window: Mapping[str, Array]
) -> list[Finding]:
    """What is wrong with the readings of the last half hour.

    Args:
        boiler: what is known about it.
        usual: what is usual for it.
        times: seconds, regular.
        window: role -> readings; a role that is absent is not judged.

    Returns:
        Instruments first, then what several of them together show; those named by the first are
        left out of the second.
    """
    if not times.size:
        return []
    found = list(_instruments(usual, times, window))
    guilty = {finding.role for finding in found}
    sound = {role: values for role, values in window.items() if role not in guilty}
    found += [f for f in validation.duplicates(sound) if f.role not in guilty]
    found += list(_together(boiler, usual, times, sound))
    return found


def _instruments(
    usual: Usual, times: Array, window: Mapping[str, Array]
) -> Iterator[Finding]:  # fmt: skip
    """What each instrument shows by itself; of one role only the gravest."""
    dead = validation.dead_analyser({role: float(v[-1]) for role, v in window.items() if v.size})
    yield from dead
    judged = {finding.role for finding in dead}
    for role, values in window.items():
        if role in judged or not values.size:
            continue
        noise = usual.noise.get(role, 0.0)
        finding = (
            validation.out_of_range(role, float(values[-1]))
            or validation.stuck(role, values, noise)
            or validation.rescaled(role, values, noise, usual.span.get(role, _ANY))
            or validation.spiky(role, values, noise)
            or validation.noisy(role, values, noise)
            or _creeping(usual, role, times, values)
        )
        if finding is not None:
            yield finding


def _creeping(usual: Usual, role: str, times: Array, values: Array) -> Finding | None:
    """A change over the window that this boiler never showed, of what changes slowly."""
    if role not in usual.rate:
        return None
    most, noise = usual.rate[role], usual.noise[role]
    span = float(times[-1] - times[0])
    slope = _slope(times, values)
    if not span or abs(slope) <= max(_RATE * most, 10 * noise / span):
        return None
    reason = (
        f"{said_of(role)} {'rises' if slope > 0 else 'falls'} by {abs(slope) * 3600:.3g} "
        f"{validation.UNITS[role]} an hour, faster than this boiler ever did: drift?"
    )
    return Finding("drift", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, reason)


def _together(
    boiler: Watched, usual: Usual, times: Array, window: Mapping[str, Array]
) -> Iterator[Finding]:
    """What several instruments together show."""
    yield from _by_dioxide(boiler, window)
    change = _change(times, window)
    for name, value in _comparisons(boiler, window).items():
        if name not in usual.comparisons:
            continue
        mean, by_load, deviation = usual.comparisons[name]
        expected = mean + by_load * change
        least = {"oxygen": _OXYGEN, "saturation": _KELVIN}.get(name, _RATIO * abs(mean))
        if abs(value - expected) > max(_SIGMAS * deviation, least):
            yield from _explain(boiler, name, value, expected, window)


def _by_dioxide(boiler: Watched, window: Mapping[str, Array]) -> Iterator[Finding]:
    """Oxygen and carbon dioxide of one gas: the fuel leaves them no choice."""
    if not {"oxygen", "carbon_dioxide"} <= window.keys():
        return
    oxygen, dioxide = (float(np.mean(window[role])) for role in ("oxygen", "carbon_dioxide"))
    try:
        finding = validation.carbon_dioxide(
            boiler.fuel, oxygen, dioxide, boiler.basis, humidity=boiler.humidity
        )
    except DataError:
        return
    if finding is not None:
        yield finding


def _change(times: Array, window: Mapping[str, Array]) -> float:
    """By what share of itself the steam flow rose in the window; 0 where it is not known."""
    flow = window.get("steam_flow")
    if flow is None or not flow.size or not np.mean(flow) > 0:
        return 0.0
    return _slope(times, flow) * float(times[-1] - times[0]) / float(np.mean(flow))


def _comparisons(boiler: Watched, window: Mapping[str, Array]) -> dict[str, float]:
    """Comparisons of several readings, each one number for a window."""
    mean = {role: float(np.mean(values)) for role, values in window.items() if values.size}
    found = {}
    if {"oxygen", "air_flow", "fuel_flow"} <= mean.keys():
        expected = validation.oxygen_by_flows(
            boiler.fuel, window["air_flow"], window["fuel_flow"], boiler.basis,
            humidity=boiler.humidity,
        )  # fmt: skip
        apart = window["oxygen"] - expected
        if np.isfinite(apart).any():
            found["oxygen"] = float(np.nanmedian(apart))
    for name, one, other in (
        ("water", "feedwater_flow", "steam_flow"),
        ("heat", "steam_flow", "fuel_flow"),
    ):
        if mean.get(one, 0.0) > 0 and mean.get(other, 0.0) > 0:
            found[name] = mean[one] / mean[other]
    if boiler.saturated and {"pressure", "steam_temperature"} <= mean.keys():
        try:
            boiling = steam.saturation_temperature(mean["pressure"])
        except DataError:
            return found
        found["saturation"] = mean["steam_temperature"] - boiling
    return found


def _explain(
    boiler: Watched, name: str, value: float, mean: float, window: Mapping[str, Array]
) -> Iterator[Finding]:  # fmt: skip
    """Findings for each role that may be at fault, with one sentence for all."""
    uncertain = Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
    if name == "oxygen":
        reason = _oxygen_reason(boiler, value - mean, window)
        for role in ("oxygen", "air_flow"):
            yield Finding("oxygen", role, uncertain, reason)
    elif name == "saturation":
        told = validation.saturation(
            float(np.mean(window["pressure"])),
            float(np.mean(window["steam_temperature"])) - mean,
            atmosphere=boiler.atmosphere,
        )
        reason = told.reason if told else (
            f"steam temperature is {value - mean:+.1f} K from what the pressure makes it"
        )  # fmt: skip
        for role in ("pressure", "steam_temperature"):
            yield Finding("saturation", role, uncertain, reason)
    else:
        one, other = _RATIOS[name]
        factor = known_factor(value / mean)
        reason = f"{said_of(one)} over {said_of(other)} is {value / mean:.3g} times what is usual"
        reason += f": {said_of(one)} may be {factor[1]} the true one" if factor else ""
        for role in (one, other):
            yield Finding(name, role, uncertain, reason)


def _oxygen_reason(boiler: Watched, apart: float, window: Mapping[str, Array]) -> str:
    """What oxygen that does not go with air and fuel may come from."""
    declared, other = boiler.basis, "dry" if boiler.basis == "wet" else "wet"
    expected = {
        basis: float(
            np.nanmedian(
                validation.oxygen_by_flows(
                    boiler.fuel, window["air_flow"], window["fuel_flow"], basis,
                    humidity=boiler.humidity,
                )
            )
        )
        for basis in ("wet", "dry")
    }  # fmt: skip
    reason = (
        f"oxygen is {abs(apart):.2f} % {'more' if apart > 0 else 'less'} than air and fuel let "
        "expect: drift of the analyser or of a meter"
    )
    shift = expected[other] - expected[declared]
    if abs(apart - shift) < abs(shift) / 3:
        return f"{reason}; it would fit if the analyser measured {other} gas"
    return f"{reason}, or air that leaks in before it" if apart > 0 else reason


_RATIOS: Final = {
    "water": ("feedwater_flow", "steam_flow"), "heat": ("steam_flow", "fuel_flow"),
}  # fmt: skip


def _windows(
    times: Array, record: Mapping[str, Array]
) -> Iterator[tuple[Array, dict[str, Array]]]:  # fmt: skip
    """Windows of a record, one every five minutes: load that repeats itself shows all its sides."""
    starts = np.arange(times[0], times[-1] - WINDOW, _HOP)
    for first, last in zip(
        np.searchsorted(times, starts), np.searchsorted(times, starts + WINDOW), strict=True
    ):
        if last - first >= _READINGS:
            yield times[first:last], {role: v[first:last] for role, v in record.items()}


def _slope(times: Array, values: Array) -> float:
    """Of the straight line through readings, per second."""
    t = times - np.mean(times)
    spread = float(np.dot(t, t))
    return float(np.dot(t, values)) / spread if spread else 0.0
