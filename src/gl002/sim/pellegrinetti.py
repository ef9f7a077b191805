"""A boiler as four differential equations: Pellegrinetti and Bentsman (1996).

G. Pellegrinetti and J. Bentsman, "Nonlinear control oriented boiler modeling: a benchmark problem
for controller design", IEEE Trans. Control Systems Technology 4 (1), 1996: a gas-fired drum boiler
of the Abbott power plant, Champaign, with inputs and two of the states in normalised scales. The
coefficients are those of the paper as quoted in later literature; its nominal point balances them,
except for oxygen, which settles at 2.70 instead of 2.50 percent.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

FUEL_DEAD_TIME: Final = 2.0  # s, also of the air
WATER_DEAD_TIME: Final = 3.0  # s
PSI: Final = 14.214  # psi of drum pressure per unit of `State.pressure` (kg/cm2)

_C11, _C12, _C13, _C14 = 0.00478, 0.280, 0.01348, 0.02493
_C21, _C22, _C23, _C24, _C25, _C26 = -0.1540357, 103.5462, 107.4835, 1.95150, 29.04, 1.824
_C31, _C32, _C33 = 0.00533176, 0.0251950, 0.7317058
_C41, _C42, _C43 = 0.04, 0.029988, 0.018088
_C70, _C71, _C72, _C73, _C74 = -0.1048569, 0.15479, 0.4954961, -0.20797, 1.2720
_C75, _C76, _C77, _C78, _C79 = -324212.7805, -99556.24778, 0.0011850, -1704.50476, -103.7351
_C81, _C82 = 0.85663, -0.18128

STEAM_PER_WATER: Final = _C33 * _C81 / _C32
"""Kg/s of feedwater at full scale: the flow at which the fluid's density is constant."""

_MOST_OXYGEN = 20.9  # percent; the equations know no limit of their own
_LEAST_GAS = 1.0  # of the flue gas flow in the oxygen equation, which has a pole at no air


class State(NamedTuple):
    """The four states.

    Attributes:
        pressure: of the drum, kg/cm2.
        oxygen: in the flue gas, percent by volume.
        density: of the fluid in the drum and tubes.
        heat: rate of steam generation, dimensionless.
    """

    pressure: float
    oxygen: float
    density: float
    heat: float


class Inputs(NamedTuple):
    """Valve and damper positions, 0 to 1; `late` ones are those of a dead time ago."""

    fuel: float
    air: float
    fuel_late: float
    air_late: float
    water_late: float


NOMINAL: Final = State(22.5125, 2.5, 621.17, 0.6941)
NOMINAL_INPUTS: Final = Inputs(0.32270, 0.39503, 0.32270, 0.39503, 0.37404)


def slope(x: State, u: Inputs, disturbance: float = 0.0) -> State:
    """Time derivative of each state, per second.

    Args:
        x: the states.
        u: the inputs.
        disturbance: of the fourth equation, the paper's n5: how the load changes.
    """
    burnt = _C22 * u.air_late - _C23 * u.fuel_late - _C24 * u.fuel * x.oxygen
    gas = max(_C25 * u.air - _C26 * u.fuel, _LEAST_GAS)
    return State(
        -_C11 * x.heat * x.pressure**1.125 + _C12 * u.fuel_late - _C13 * u.water_late + _C14,
        _C21 * x.oxygen + burnt / gas,
        _C31 * x.pressure - _C32 * x.heat * x.pressure + _C33 * u.water_late,
        -_C41 * x.heat + _C42 * u.fuel_late + _C43 + disturbance,
    )


def step(x: State, u: Inputs, disturbance: float, seconds: float) -> State:
    """The states after a time step with constant inputs (Runge-Kutta of fourth order)."""
    k1 = slope(x, u, disturbance)
    k2 = slope(_along(x, k1, seconds / 2), u, disturbance)
    k3 = slope(_along(x, k2, seconds / 2), u, disturbance)
    k4 = slope(_along(x, k3, seconds), u, disturbance)
    mean = State(*((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True)))
    after = _along(x, mean, seconds)
    return after._replace(oxygen=min(max(after.oxygen, 0.0), _MOST_OXYGEN))


def _along(x: State, k: State, seconds: float) -> State:
    return State(
        x.pressure + seconds * k.pressure,
        x.oxygen + seconds * k.oxygen,
        x.density + seconds * k.density,
        x.heat + seconds * k.heat,
    )


def steam(x: State) -> float:
    """Steam flow, kg/s."""
    return (_C81 * x.heat + _C82) * x.pressure


def level(x: State, fuel: float, water: float) -> float:
    """Drum water level, inches from the middle; takes the inputs of now."""
    void = (_C75 * x.pressure + _C76) * (1 - _C77 * x.density)
    return (
        _C70 * x.pressure + _C71 * x.density + _C72 * x.heat * x.pressure
        + _C73 * water + _C74 * fuel + void / (x.density * (x.pressure + _C78)) + _C79
    )  # fmt: skip


# ---- the same equations at rest ---------------------------------------------------------------


def heat_for(steam_flow: float, pressure: float) -> float:
    """The state `heat` that gives a steam flow, kg/s."""
    return (steam_flow / pressure - _C82) / _C81


def holding(heat: float, fuel_late: float) -> float:
    """The disturbance that leads `State.heat` to a value whatever the fuel does."""
    return _C41 * heat - _C42 * fuel_late - _C43


def fuel_at_rest(heat: float, pressure: float) -> float:
    """Fuel that holds the pressure while as much water comes in as steam goes out."""
    water = water_at_rest(heat, pressure)
    return (_C11 * heat * math.pow(pressure, 1.125) + _C13 * water - _C14) / _C12


def water_at_rest(heat: float, pressure: float) -> float:
    """Feedwater that replaces the steam."""
    return pressure * (_C32 * heat - _C31) / _C33


def steam_at_rest(fuel: float, pressure: float) -> float:
    """Steam flow, kg/s, that a fuel input sustains at a pressure: inverse of `fuel_at_rest`."""
    per_heat = _C11 * math.pow(pressure, 1.125) + _C13 * pressure * _C32 / _C33
    heat = (_C12 * fuel + _C14 + _C13 * pressure * _C31 / _C33) / per_heat
    return (_C81 * heat + _C82) * pressure


def oxygen_at_rest(ratio: float) -> float:
    """Oxygen, percent, at which a ratio of air to fuel inputs settles."""
    return (_C22 * ratio - _C23) / (_C24 - _C21 * (_C25 * ratio - _C26))


def ratio_for(oxygen: float) -> float:
    """Ratio of air to fuel inputs that settles at an oxygen content: inverse of the above."""
    return (_C23 + oxygen * (_C24 + _C21 * _C26)) / (_C22 + oxygen * _C21 * _C25)


def density_in_the_middle(pressure: float, heat: float, fuel: float, water: float) -> float:
    """The state `density` at which the drum level is 0, by halving; 0.1 apart is 0.014 inches."""
    low, high = 400.0, 900.0
    for _ in range(60):
        middle = (low + high) / 2
        state = State(pressure, 0.0, middle, heat)
        if level(state, fuel, water) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
