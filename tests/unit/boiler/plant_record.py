"""Records of the simulated plant in the roles and units of the engine, and faults put into them."""

from __future__ import annotations

import functools
import random

import numpy as np

from gl002.boiler.gases import NORMAL_VOLUME
from gl002.sim.faults import FAULTS, Reading
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import Plant, daily_load
from gl002.units import conversion

STEP = 5.0
SIZE_OF_HOUR = round(3600 / STEP)
ROLES = {
    "oxygen": ("AT301", "%"), "carbon_monoxide": ("AT302", "ppm"),
    "stack_temperature": ("TT301", "degC"), "air_temperature": ("TT302", "degC"),
    "steam_flow": ("FT101", "kg/s"), "feedwater_flow": ("FT102", "kg/s"),
    "pressure": ("PT101", "MPa(a)"), "steam_temperature": ("TT101", "degC"),
    "fuel_flow": ("FT201", "Nm3/s"), "air_flow": ("FT202", "kg/s"),
    "feedwater_temperature": ("TT102", "degC"),
}  # fmt: skip
TAGS = {tag: role for role, (tag, _) in ROLES.items()}


def in_steps(time: float) -> float:
    """All loads, each for forty minutes."""
    return 0.45 + 0.1 * (int(time / 2400) % 6)


@functools.cache
def simulated(seed: int, hours: float, load=daily_load) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Times, and tag -> what its instrument showed, in the instrument's own unit."""
    plant = Plant(seed=seed, load=load)
    rows = []
    for _ in range(round(hours * 3600 / STEP)):
        plant.step(STEP)
        signals = plant.signals()
        rows.append([signals[tag].value for tag in TAGS])
    columns = np.array(rows).T
    return np.arange(columns.shape[1]) * STEP, dict(zip(TAGS, columns, strict=True))


def in_roles(shown: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same in roles and their units; fuel in kmol/s."""
    found = {}
    for tag, values in shown.items():
        role = TAGS[tag]
        converted = conversion(INSTRUMENTS[tag].unit, ROLES[role][1])(values)
        found[role] = converted / NORMAL_VOLUME if role == "fuel_flow" else converted
    return found


def part(shown: dict[str, np.ndarray], first: int, last: int) -> dict[str, np.ndarray]:
    return {tag: values[first:last] for tag, values in shown.items()}


def spoilt(shown: dict[str, np.ndarray], fault: str, tags, start: int, seed: float):
    """What would have been shown if a fault of the simulator had befallen these instruments."""
    changed = dict(shown)
    for tag in tags:
        instrument, values = INSTRUMENTS[tag], shown[tag].copy()
        spoil = FAULTS[fault].begin(random.Random(seed))
        for i in range(start, values.size):
            reading = spoil(
                Reading(
                    values[i], 0, (i - start) * STEP, instrument.high - instrument.low,
                    instrument.noise, instrument.dead, 1 / 0.826, shown["FT101"][i],
                )
            )  # fmt: skip
            values[i] = min(max(reading.value, instrument.low), instrument.high)
        changed[tag] = values
    return changed
