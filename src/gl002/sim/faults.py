"""What goes wrong with instruments, to be switched on and off while the plant runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from gl002.errors import ConfigError
from gl002.model import Quality

_DRIFT: Final = 0.2  # share of the span an hour
_BURST: Final = 20.0  # times the usual noise
_SPIKE_PERIOD: Final = 30.0  # s
_SPIKE_LENGTH: Final = 1.0  # s
_SPIKE: Final = 0.5  # share of the span
_ATMOSPHERE: Final = 14.696  # psi
_SKEW: Final = 120.0  # s
_LEAK: Final = 0.10  # air that leaks in before the probe, share of the flue gas
_AIR_OXYGEN: Final = 20.6  # percent of humid air


class Reading(NamedTuple):
    """What an instrument shows, with what a fault needs to know to spoil it.

    Attributes:
        value: in the instrument's unit.
        quality: OPC UA status code.
        elapsed: seconds since the fault began.
        span: width of the instrument's range.
        noise: standard deviation of its usual noise.
        dead: what it shows when its cable is off, 4 mA and less: zero, in its unit.
        dry_to_wet: volume of all flue gas over that of its dry part.
        other: what the steam meter shows.
        age: how long ago it was measured, s.
    """

    value: float
    quality: int
    elapsed: float
    span: float
    noise: float
    dead: float
    dry_to_wet: float
    other: float = 0.0
    age: float = 0.0


Spoil: TypeAlias = Callable[[Reading], Reading]


class Fault(NamedTuple):
    """A kind of fault.

    Attributes:
        tags: the instruments it befalls where nobody says which.
        description: for people.
        begin: gives the function that spoils the readings of one instrument.
    """

    tags: tuple[str, ...]
    description: str
    begin: Callable[[random.Random], Spoil]


def _stuck(_: random.Random) -> Spoil:
    held: list[float] = []

    def spoil(reading: Reading) -> Reading:
        if not held:
            held.append(reading.value)
        return reading._replace(value=held[0])

    return spoil


def _zero(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(value=reading.dead)


def _drift(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(
        value=reading.value + _DRIFT * reading.span * reading.elapsed / 3600
    )


def _noise_burst(chance: random.Random) -> Spoil:
    return lambda reading: reading._replace(
        value=reading.value + chance.gauss(0, _BURST * reading.noise)
    )


def _wet_dry_swap(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(value=reading.value * reading.dry_to_wet)


def _bad_quality(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(quality=int(Quality.BAD_SENSOR_FAILURE))


def _spike(_: random.Random) -> Spoil:
    def spoil(reading: Reading) -> Reading:
        if reading.elapsed % _SPIKE_PERIOD >= _SPIKE_LENGTH:
            return reading
        return reading._replace(value=reading.value + _SPIKE * reading.span)

    return spoil


def _duplicate(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(value=reading.other)


def _scale_x10(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(value=10 * reading.value)


def _unit_slip(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(value=reading.value + _ATMOSPHERE)


def _time_skew(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(age=_SKEW)


def _air_in_oxygen(_: random.Random) -> Spoil:
    return lambda reading: reading._replace(
        value=(reading.value + _LEAK * _AIR_OXYGEN) / (1 + _LEAK)
    )


FAULTS: Final[Mapping[str, Fault]] = {
    "stuck": Fault(("AT301",), "shows the same value for ever", _stuck),
    "zero_triplet": Fault(
        ("AT301", "AT302", "TT301"), "the flue gas analyser is dead: all it measures is 0", _zero
    ),
    "drift": Fault(("AT301",), "creeps upwards by a fifth of its span an hour", _drift),
    "noise_burst": Fault(("AT301",), "twenty times its usual noise", _noise_burst),
    "wet_dry_swap": Fault(("AT301",), "shows dry oxygen where wet is declared", _wet_dry_swap),
    "bad_quality": Fault(("AT301",), "the value comes with bad quality", _bad_quality),
    "duplicate": Fault(("FT102",), "shows what the steam meter shows", _duplicate),
    "scale_x10": Fault(("AT302",), "shows ten times the value", _scale_x10),
    "unit_slip": Fault(("PT101",), "shows absolute pressure where gauge is declared", _unit_slip),
    "air_ingress": Fault(
        ("AT301",), "air leaks in before the probe, a tenth of the flue gas", _air_in_oxygen
    ),
    "time_skew": Fault(("TT301",), "its clock is two minutes behind", _time_skew),
    "spike": Fault(("FT101",), "jumps by half its span for a second twice a minute", _spike),
}
"""Every fault by name."""


def fault(name: str) -> Fault:
    """Look a fault up.

    Raises:
        ConfigError: no such fault; names those there are.
    """
    if name not in FAULTS:
        raise ConfigError(f"there is no fault '{name}'", hint=f"known are {', '.join(FAULTS)}")
    return FAULTS[name]
