"""The water side of the simulated boiler: dissolved solids, blowdown, water through the economiser.

Salts come with the feedwater and leave with the blowdown alone; the drum holds the rest. Blowdown
is a share of the steam, set by a valve. All of it closes: feedwater is steam and blowdown, and the
fuel heats both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gl002.sim import steam

FEEDWATER_SOLIDS: Final = 120.0
"""Conductivity of the feedwater, uS/cm."""

FEEDWATER: Final = 110.0
"""Temperature of the feedwater, degC."""

LARGEST: Final = 12.0
"""Blowdown with the valve wide open, percent of steam."""

_HOLDS: Final = 18_000.0  # kg of water in drum and tubes
_HEAT_CAPACITY: Final = 4.27  # kJ/(kg K), of feedwater on its way through the economiser


@dataclass(slots=True)
class WaterSide:
    """Blowdown and dissolved solids.

    Attributes:
        valve: blowdown that is set, percent of steam.
        solids: conductivity of the boiler water, uS/cm.
        blowdown: kg/s now.
    """

    valve: float = 4.0
    solids: float = 0.0
    blowdown: float = 0.0

    def start(self, steam_flow: float) -> None:
        """At rest with this steam flow (kg/s)."""
        self.blowdown = steam_flow * self.valve / 100
        self.solids = FEEDWATER_SOLIDS * (steam_flow + self.blowdown) / self.blowdown

    def step(self, steam_flow: float, seconds: float) -> None:
        """Let time pass with this steam flow (kg/s)."""
        self.blowdown = max(steam_flow, 0.0) * self.valve / 100
        come = (max(steam_flow, 0.0) + self.blowdown) * FEEDWATER_SOLIDS
        gone = self.blowdown * self.solids
        self.solids += (come - gone) / _HOLDS * seconds


def heat_taken(steam_flow: float, blowdown: float, boiling: float) -> float:
    """Heat that the feedwater takes up to become steam and blowdown, kW.

    Args:
        steam_flow: kg/s.
        blowdown: kg/s.
        boiling: temperature in the drum, degC.
    """
    feed = steam.water_enthalpy(FEEDWATER)
    drained = blowdown * (steam.boiling_enthalpy(boiling) - feed)
    return steam_flow * (steam.vapour_enthalpy(boiling) - feed) + drained


def behind_economiser(heat: float, water_flow: float) -> float:
    """Temperature of feedwater that took up this heat (kW), degC; it does not boil."""
    wanted = steam.water_enthalpy(FEEDWATER) + heat / max(water_flow, 0.1)
    found = FEEDWATER + heat / max(water_flow, 0.1) / _HEAT_CAPACITY
    for _ in range(2):  # Newton; the curve is nearly straight
        found += (wanted - steam.water_enthalpy(found)) / _HEAT_CAPACITY
    return found
