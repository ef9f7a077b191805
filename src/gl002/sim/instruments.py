"""The instruments of the simulated boiler: their tags, ranges and noise; dead times and lags."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A transmitter, or a setpoint of a controller.

    Attributes:
        unit: as in `gl002.units`.
        description: a plain phrase.
        low, high: range; it cannot show a value outside.
        noise: standard deviation.
        dead: what it shows when it gets no signal: zero, in Celsius for a temperature.
        writable: a setpoint, which may be anything between low and high.
    """

    unit: str
    description: str
    low: float
    high: float
    noise: float = 0.0
    dead: float = 0.0
    writable: bool = False


_FREEZING: Final = 32.0  # degF: an analyser that counts in Celsius shows its zero as this

INSTRUMENTS: Final[Mapping[str, Instrument]] = {
    "FT101": Instrument(
        unit="lb/hr", description="Steam flow", low=0, high=150_000, noise=250),
    "PT101": Instrument(
        unit="psig", description="Drum pressure", low=0, high=600, noise=0.3),
    "TT101": Instrument(
        unit="degF", description="Steam temperature (saturated)", low=0, high=800, noise=0.3,
        dead=_FREEZING),
    "LT101": Instrument(
        unit="in", description="Drum level, from the middle", low=-15, high=15, noise=0.05),
    "FT102": Instrument(
        unit="lb/hr", description="Feedwater flow", low=0, high=150_000, noise=300),
    "TT102": Instrument(
        unit="degF", description="Feedwater temperature before the economiser", low=0, high=400,
        noise=0.2, dead=_FREEZING),
    "FT201": Instrument(
        unit="scfh", description="Fuel gas flow", low=0, high=200_000, noise=250),
    "FT202": Instrument(
        unit="lb/hr", description="Combustion air flow", low=0, high=200_000, noise=500),
    "AT301": Instrument(
        unit="%", description="Flue gas oxygen, wet, in situ", low=0, high=10, noise=0.1),
    "AT302": Instrument(
        unit="ppm", description="Flue gas carbon monoxide, dry", low=0, high=2_000, noise=1.0),
    "TT301": Instrument(
        unit="degF", description="Stack temperature", low=0, high=800, noise=0.5, dead=_FREEZING),
    "TT302": Instrument(
        unit="degF", description="Combustion air temperature", low=-40, high=200, noise=0.2,
        dead=_FREEZING),
    "UI100": Instrument(
        unit="%", description="Boiler load, share of full steam flow", low=0, high=120),
    "FT103": Instrument(
        unit="lb/hr", description="Blowdown flow", low=0, high=20_000, noise=30),
    "AT101": Instrument(
        unit="uS/cm", description="Conductivity of the boiler water", low=0, high=10_000, noise=5),
    "AT102": Instrument(
        unit="uS/cm", description="Conductivity of the feedwater", low=0, high=500, noise=0.3),
    "TT103": Instrument(
        unit="degF", description="Feedwater temperature behind the economiser", low=0, high=500,
        noise=0.3, dead=_FREEZING),
    "TT303": Instrument(
        unit="degF", description="Flue gas temperature before the economiser", low=0, high=1_000,
        noise=0.7, dead=_FREEZING),
    "BIC101.SP": Instrument(
        unit="%", description="Blowdown valve, percent of steam", low=0.5, high=12, writable=True),
    "AIC301.SP": Instrument(
        unit="%", description="Oxygen setpoint, wet", low=0.5, high=8, writable=True),
    "PIC101.SP": Instrument(
        unit="psig", description="Drum pressure setpoint", low=200, high=500, writable=True),
}  # fmt: skip
"""Every tag of a simulated boiler."""

BREAKABLE: Final = tuple(tag for tag, each in INSTRUMENTS.items() if not each.writable)
"""Instruments that a fault can befall, in a fixed order."""

WATER: Final = frozenset({"FT103", "AT101", "AT102", "TT103", "TT303"})
"""Instruments that came later: they have chance of their own, so that old records stay as they
were."""


class DeadTime:
    """A delay line of a whole number of time steps."""

    def __init__(self, seconds: float, time_step: float, first: float) -> None:
        length = round(seconds / time_step) + 1
        self._line = deque([first] * length, maxlen=length)

    def __call__(self, value: float) -> float:
        """Put a value in, take out that of a dead time ago."""
        self._line.append(value)
        return self._line[0]


class Lag:
    """A first-order lag."""

    def __init__(self, seconds: float, time_step: float, first: float) -> None:
        self._share = 1 - math.exp(-time_step / seconds)
        self.value = first

    def __call__(self, target: float) -> float:
        """Let a time step pass with this input."""
        self.value += self._share * (target - self.value)
        return self.value


class Analyser:
    """A gas analyser: transport through its sample line, then the response of its cell."""

    def __init__(self, dead_time: float, lag: float, time_step: float, first: float) -> None:
        self._transport = DeadTime(dead_time, time_step, first)
        self._cell = Lag(lag, time_step, first)

    def __call__(self, value: float) -> float:
        """Let a time step pass with this gas at the probe."""
        return self._cell(self._transport(value))
