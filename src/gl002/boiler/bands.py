"""Efficiency with its 95 % band: what instruments, fuel and method leave open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.closed_form import ClosedForm, Terms, closed_form
from gl002.boiler.efficiency import REFERENCE_TEMPERATURE, Conditions, check
from gl002.boiler.methods.direct import WaterSide, direct
from gl002.boiler.uncertainty import Accuracy, Estimate, Input, Part, propagate

ACCURACIES: Final[Mapping[str, Accuracy]] = {
    "oxygen": Accuracy(absolute=0.25, meaning="standard"),
    "stack_temperature": Accuracy(absolute=3.0, meaning="standard"),
    "air_temperature": Accuracy(absolute=1.5, meaning="standard"),
    "carbon_monoxide": Accuracy(absolute=5.0, reading=10.0, meaning="standard"),
    "humidity": Accuracy(absolute=0.002, meaning="standard"),
    "load": Accuracy(absolute=0.03, meaning="standard"),
    "surface_loss": Accuracy(reading=30.0, meaning="standard"),
}
"""What is assumed of an instrument whose accuracy is not configured: usual ones of a boiler house,
a thermocouple in a duct with its layers, a zirconia probe calibrated now and then."""

UNMEASURED: Final[Mapping[str, Accuracy]] = {
    "air_temperature": Accuracy(absolute=5.0, meaning="standard"),
    "load": Accuracy(absolute=0.9, meaning="standard"),
}
"""What is assumed of a role that nothing measures, though it changes: the air of a boiler house
over the year beside a fixed value for it, and a load anywhere between 30 and 100 % that is taken
for full load. The casing's loss goes with 1/load, which is 0.9 away from 1 in the mean square."""

DIRECT_ACCURACIES: Final[Mapping[str, Accuracy]] = {
    "fuel_flow": Accuracy(reading=1.5, meaning="standard"),
    "steam_flow": Accuracy(reading=1.5, meaning="standard"),
    "pressure": Accuracy(reading=0.5, meaning="standard"),
    "temperature": Accuracy(absolute=1.5, meaning="standard"),
    "dryness": Accuracy(absolute=0.005, meaning="standard"),
    "feedwater_temperature": Accuracy(absolute=1.0, meaning="standard"),
    "blowdown": Accuracy(reading=25.0, meaning="standard"),
}
"""The same for the direct method."""

METHOD: Final = 0.05
"""Points of HHV, standard: what the balance itself leaves out (heat of the fuel, real gases)."""

UNKNOWN_ASH: Final = 1.0
"""Points of HHV, standard: unburnt carbon of a solid fuel whose ash was not analysed."""

_ASH_THAT_COUNTS: Final = 0.01  # kg per kg


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """Accuracy of the instruments of a boiler, where it is better known than assumed.

    Attributes:
        given: role -> accuracy; roles not in it have those of `ACCURACIES`.
        fixed: roles that are set and not measured, known exactly (a what-if).
        fuel_as_heat: whether the fuel meter shows heat, and not a volume or mass.
    """

    given: Mapping[str, Accuracy] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    fuel_as_heat: bool = False

    def heating_value(self, fuel: Fuel) -> float:
        """Relative standard uncertainty that the heating value adds to the heat metered."""
        return 0.0 if self.fuel_as_heat else fuel.hhv_uncertainty

    def accuracy(self, role: str) -> Accuracy:
        """Of a role of the indirect or the direct method."""
        if role in self.fixed:
            return _EXACT
        return self.given.get(role) or ACCURACIES.get(role) or DIRECT_ACCURACIES[role]


ASSUMED: Final = Instruments()
"""Instruments of which nothing is known."""

_EXACT: Final = Accuracy()
_MEASURED: Final = (
    "oxygen", "stack_temperature", "air_temperature", "carbon_monoxide", "humidity",
)  # fmt: skip
_CURVED: Final = frozenset({"oxygen", "stack_temperature"})  # the others act in straight lines


def indirect_band(
    fuel: Fuel,
    conditions: Conditions,
    instruments: Instruments = ASSUMED,
    *,
    reference: float = REFERENCE_TEMPERATURE,
) -> Estimate:
    """Efficiency on HHV by the heat losses (`ptc4_style`), with its band.

    Raises:
        DataError: inputs no boiler at work can have; says which and why.
    """
    check(conditions)
    return band(fuel, conditions, instruments, reference=reference)


def band(
    fuel: Fuel,
    conditions: Conditions,
    instruments: Instruments = ASSUMED,
    *,
    reference: float = REFERENCE_TEMPERATURE,
) -> Estimate:
    """The arithmetic of `indirect_band`, of inputs that are sound."""
    c = conditions
    balance = closed_form(fuel, c.basis, reference, c.residues)
    accuracy = instruments.accuracy
    terms = balance.at(c)
    parts = {}
    for name in _MEASURED:
        value, systematic, random = accuracy(name).of(getattr(c, name))
        step = math.hypot(systematic, random)
        if not step:
            continue
        above, base, width = _at(balance, c, name, value + step), terms.efficiency, step
        if name in _CURVED:
            below = max(value - step, 0.0)
            base, width = _at(balance, c, name, below), value + step - below
        slope = (above - base) / width
        parts[name] = Part(slope * systematic, slope * random)
    parts.update(_of_surface(c, accuracy("surface_loss"), accuracy("load")))
    parts.update(of_fuel(fuel, terms, analysed_ash=bool(c.residues)))
    return Estimate(value=terms.efficiency, parts=parts)


def _at(balance: ClosedForm, c: Conditions, name: str, value: float) -> float:
    """Efficiency with one input changed."""
    return balance(
        value if name == "oxygen" else c.oxygen,
        value if name == "stack_temperature" else c.stack_temperature,
        value if name == "air_temperature" else c.air_temperature,
        carbon_monoxide=value if name == "carbon_monoxide" else c.carbon_monoxide,
        humidity=value if name == "humidity" else c.humidity,
        load=c.load,
        surface_loss=c.surface_loss,
    ).efficiency


def _of_surface(c: Conditions, loss: Accuracy, load: Accuracy) -> dict[str, Part]:
    """The casing's loss is its full-load value over the load: two slopes known in advance."""
    of_loss, of_load = loss.of(c.surface_loss), load.of(c.load)
    by_loss, by_load = -1 / c.load, c.surface_loss / c.load**2
    return {
        "surface_loss": Part(by_loss * of_loss.systematic, by_loss * of_loss.random),
        "load": Part(by_load * of_load.systematic, by_load * of_load.random),
    }


def of_fuel(fuel: Fuel, terms: Terms, *, analysed_ash: bool) -> dict[str, Part]:
    """What the fuel's analysis and the method leave open: each ratio to the heat scales a loss."""
    air = terms.dry_gas + terms.air_moisture - terms.air_credit
    parts = {
        "fuel hydrogen": Part(-terms.hydrogen * fuel.hydrogen_uncertainty),
        "fuel air": Part(-air * fuel.air_uncertainty),
        "method": Part(METHOD),
    }
    if fuel.water:
        parts["fuel moisture"] = Part(-terms.fuel_moisture * fuel.water_uncertainty)
    if fuel.ash > _ASH_THAT_COUNTS and not analysed_ash:
        parts["unburnt carbon"] = Part(-UNKNOWN_ASH)
    return parts


def direct_band(
    fuel: Fuel, fuel_flow: float, water: WaterSide, instruments: Instruments = ASSUMED
) -> Estimate:
    """Efficiency on HHV by the direct method, with its band.

    Raises:
        DataError: as `gl002.boiler.methods.direct.direct`.
    """
    given = {
        name: float(value)
        for name in DIRECT_ACCURACIES
        if name != "fuel_flow" and (value := getattr(water, name)) is not None
    }
    if water.temperature is not None:
        del given["dryness"]
    if not water.blowdown:
        del given["blowdown"]
    inputs = {name: instruments.accuracy(name).of(value) for name, value in given.items()}
    inputs["fuel_flow"] = instruments.accuracy("fuel_flow").of(fuel_flow)
    inputs["fuel heat"] = Input(1.0, instruments.heating_value(fuel))

    def efficiency(values: Mapping[str, float]) -> float:
        state = {name: values[name] for name in given}
        changed = replace(water, blowdown_basis=water.blowdown_basis, **state)
        return direct(fuel, values["fuel_flow"] * values["fuel heat"], changed).efficiency

    return propagate(efficiency, inputs, limits={"dryness": (0.0, 1.0), "blowdown": (0.0, 50.0)})
