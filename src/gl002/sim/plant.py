"""A boiler to practise on: it burns, boils, drifts and is measured, in plain Python.

    plant = Plant(seed=7)
    plant.step(60.0)
    plant.signals()["AT301"].value       # wet flue gas oxygen, percent, with noise
    plant.write("AIC301.SP", 3.2)        # the plant follows
    plant.fail("stuck", "AT301")

Drum and steam are the model of Pellegrinetti and Bentsman; flue gas, stack temperature and fuel
follow from its oxygen and its heat by the exact combustion balance of `gl002.boiler`. A plant is
deterministic: the same seed, name, load and sequence of calls give the same signals, however the
time is cut into steps.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from gl002.boiler.combustion import excess_air, theoretical_air
from gl002.boiler.economizer import gas_heat
from gl002.boiler.efficiency import HeatBalance
from gl002.boiler.gases import AIR, NORMAL_VOLUME
from gl002.errors import DataError
from gl002.model import Quality
from gl002.sim import furnace, steam, water
from gl002.sim import pellegrinetti as drum
from gl002.sim.controls import Controller, Ramp
from gl002.sim.faults import Reading, Spoil, fault
from gl002.sim.instruments import INSTRUMENTS, WATER, Analyser, DeadTime, Instrument, Lag
from gl002.units import STANDARD_ATMOSPHERE, conversion

TIME_STEP: Final = 0.5
"""Seconds of the integration; `Plant.step` advances in whole ones and keeps the rest."""

FULL_STEAM: Final = 110_000.0
"""Lb/hr of steam at full load."""

_STACK_LAG: Final = 60.0  # s, metal of the economiser
_DRIFT: Final = 0.1 / (30 * 86_400)  # percent oxygen per second, a tenth a month
_LONGEST_STEP: Final = 86_400.0  # s

_TO_KG_S: Final = conversion("lb/hr", "kg/s")
_TO_LB_HR: Final = conversion("kg/s", "lb/hr")
_TO_SCFH: Final = conversion("Nm3/s", "scfh")
_TO_DEGF: Final = conversion("degC", "degF")
_TO_PASCAL: Final = conversion("psig", "Pa(a)", atmosphere=STANDARD_ATMOSPHERE)
_FULL: Final = _TO_KG_S(FULL_STEAM)


class Signal(NamedTuple):
    """What the plant's control system shows for a tag.

    Attributes:
        value: in `unit`.
        unit: as in `gl002.units`.
        description: a plain phrase.
        quality: OPC UA status code.
        writable: whether `Plant.write` takes it.
        low, high: range of the instrument or setpoint.
        age: how long ago it was measured, s; above 0 where a clock is wrong.
    """

    value: float
    unit: str
    description: str
    quality: int = int(Quality.GOOD)
    writable: bool = False
    low: float = 0.0
    high: float = 0.0
    age: float = 0.0


def daily_load(time: float) -> float:
    """Share of full load over time in seconds: a slow, regular pattern between 0.45 and 0.95."""
    slow = math.sin(2 * math.pi * time / 3_600)
    quick = math.sin(2 * math.pi * time / 870)
    return 0.70 + 0.18 * slow + 0.07 * quick


class Plant:
    """One simulated boiler with its instruments, controllers and faults.

    It starts at rest at its first load. Not for use by several threads at once.

    Args:
        name: of the boiler; two names with one seed have different noise.
        seed: of the noise.
        noise: False for instruments without noise and drift.
        load: share of full load over time in seconds, 0.3 to 1.
        soot: share of heat transfer lost over time in seconds.
    """

    def __init__(
        self,
        name: str = "boiler1",
        *,
        seed: int = 0,
        noise: bool = True,
        load: Callable[[float], float] = daily_load,
        soot: Callable[[float], float] = furnace.fouling,
    ) -> None:
        self.name = name
        self._noise = noise
        self._load = load
        self._soot = soot
        self._steps = 0
        self._due = 0.0
        self._seed = f"{name}/{seed}"
        self._chance = _chance(self._seed)
        self._later_chance = _chance(f"{self._seed}/water")
        self._spoilt: dict[str, tuple[str, float, Spoil]] = {}
        self._oxygen_written = False
        self._start()
        self._measure()

    # ---- what users call --------------------------------------------------------------------

    @property
    def time(self) -> float:
        """Seconds simulated so far."""
        return self._steps * TIME_STEP

    @property
    def truth(self) -> HeatBalance:
        """The heat balance now, as it is and not as it is measured."""
        return self._balance

    @property
    def steam(self) -> float:
        """Steam flow now, lb/hr, as it is and not as it is measured."""
        return _TO_LB_HR(drum.steam(self._state))

    @property
    def faults(self) -> Mapping[str, str]:
        """Tag -> fault it suffers from."""
        return {tag: name for tag, (name, _, _) in self._spoilt.items()}

    def step(self, dt: float) -> None:
        """Let time pass.

        Args:
            dt: seconds, up to a day.

        Raises:
            DataError: negative, not a number, or more than a day.
        """
        if not 0 <= dt <= _LONGEST_STEP:
            raise DataError(f"cannot step by {dt} s", hint="0 to 86400")
        self._due += dt
        whole = math.floor(self._due / TIME_STEP + 1e-9)  # 0.1 s five times is one step
        self._due -= whole * TIME_STEP
        for _ in range(whole):
            self._steps += 1
            self._advance()
            self._measure()

    def signals(self) -> Mapping[str, Signal]:
        """Every tag as the control system shows it now."""
        return self._signals

    def write(self, tag: str, value: float) -> None:
        """Change a setpoint; the plant follows at its own pace.

        The oxygen setpoint follows the burner's curve until it is first written.

        Raises:
            DataError: not a setpoint, or a value outside its limits. Nothing has changed then.
        """
        instrument = INSTRUMENTS.get(tag)
        if instrument is None or not instrument.writable:
            setpoints = ", ".join(name for name, each in INSTRUMENTS.items() if each.writable)
            raise DataError(f"{self.name}: '{tag}' cannot be written", hint=f"only {setpoints}")
        if not instrument.low <= value <= instrument.high:
            raise DataError(
                f"{self.name}: {tag} = {value} is outside {instrument.low:g} to "
                f"{instrument.high:g} {instrument.unit}"
            )
        if tag == "AIC301.SP":
            self._oxygen_written = True
            self._oxygen_setpoint.target = float(value)
        elif tag == "BIC101.SP":
            self._water_side.valve = float(value)
        else:
            self._pressure_setpoint.target = float(value)
        self._show(tag, float(value))

    def fail(self, name: str, *tags: str) -> None:
        """Let a fault befall instruments; it replaces any other fault of theirs.

        Args:
            name: one of `gl002.sim.faults.FAULTS`.
            tags: the instruments; those the fault is known for where none is given.

        Raises:
            ConfigError: no such fault.
            DataError: no such instrument.
        """
        kind = fault(name)
        befallen = tags or kind.tags
        for tag in befallen:
            if tag not in INSTRUMENTS or INSTRUMENTS[tag].writable:
                raise DataError(f"{self.name}: there is no instrument '{tag}'")
        for tag in befallen:
            chance = _chance(f"{self._seed}/{tag}/{name}")  # leaves the noise of others alone
            self._spoilt[tag] = (name, self.time, kind.begin(chance))

    def repair(self, *tags: str) -> None:
        """End the faults of these instruments, of all where none is given."""
        for tag in tags or tuple(self._spoilt):
            self._spoilt.pop(tag, None)

    # ---- the process ------------------------------------------------------------------------

    def _start(self) -> None:
        """At rest, at the first load and the nominal pressure, with the level in the middle."""
        pressure = drum.NOMINAL.pressure
        load = self._load(0.0)
        heat = drum.heat_for(load * _FULL, pressure)
        oxygen = furnace.burner_curve(load)
        self._fuel = drum.fuel_at_rest(heat, pressure)
        self._air = self._fuel * drum.ratio_for(oxygen)
        self._water = drum.water_at_rest(heat, pressure)
        density = drum.density_in_the_middle(pressure, heat, self._fuel, self._water)
        self._state = drum.State(pressure, oxygen, density, heat)
        self._fuel_line = DeadTime(drum.FUEL_DEAD_TIME, TIME_STEP, self._fuel)
        self._air_line = DeadTime(drum.FUEL_DEAD_TIME, TIME_STEP, self._air)
        self._water_line = DeadTime(drum.WATER_DEAD_TIME, TIME_STEP, self._water)
        self._pressure_setpoint = Ramp(pressure * drum.PSI, 320.0, rate=10 / 60)
        self._oxygen_setpoint = Ramp(oxygen, oxygen, rate=0.02)
        self._firing = Controller(gain=0.004, reset=90.0, low=0.04, high=1.0)
        self._trim = Controller(gain=0.01, reset=40.0, low=0.9, high=1.4)
        self._feeding = Controller(gain=0.02, reset=200.0, low=0.0, high=1.0)
        self._stack = Lag(_STACK_LAG, TIME_STEP, 160.0)
        self._water_side = water.WaterSide()
        self._water_side.start(load * _FULL)
        for _ in range(30):  # the stack temperature and the gas flow depend on each other
            self._gas_side()
            self._stack.value = self._surfaces().stack_temperature()
        self._oxygen_cell = Analyser(6.0, 10.0, TIME_STEP, self._balance.flue.oxygen_wet)
        self._co_cell = Analyser(15.0, 15.0, TIME_STEP, self._carbon_monoxide())
        self._oxygen_seen = self._balance.flue.oxygen_wet
        self._co_seen = self._carbon_monoxide()

    def _advance(self) -> None:
        """One time step: controllers, drum, gas side, analysers."""
        self._control()
        late = self._fuel_line(self._fuel)
        inputs = drum.Inputs(
            self._fuel, self._air, late, self._air_line(self._air), self._water_line(self._water)
        )
        wanted = drum.heat_for(self._load(self.time) * _FULL, self._state.pressure)
        self._state = drum.step(self._state, inputs, drum.holding(wanted, late), TIME_STEP)
        self._water_side.step(drum.steam(self._state), TIME_STEP)
        self._stack(self._surfaces().stack_temperature())
        self._gas_side()
        self._oxygen_seen = self._oxygen_cell(self._balance.flue.oxygen_wet)
        self._co_seen = self._co_cell(self._carbon_monoxide())

    def _control(self) -> None:
        """Pressure by fuel, oxygen by air, level by feedwater, each around a feedforward.

        The controllers have transmitters of their own: a fault shown in the signals does not
        disturb the plant, so that what is seen is the fault and not its consequences.
        """
        x = self._state
        error = self._pressure_setpoint(TIME_STEP) - x.pressure * drum.PSI
        self._fuel = self._firing(error, drum.fuel_at_rest(x.heat, x.pressure), TIME_STEP)
        if not self._oxygen_written:
            self._oxygen_setpoint.target = furnace.burner_curve(self._load_now())
        setpoint = self._oxygen_setpoint(TIME_STEP)
        ratio = self._trim(setpoint - self._oxygen_seen, drum.ratio_for(setpoint), TIME_STEP)
        self._air = ratio * self._fuel
        level = drum.level(x, self._fuel, self._water)
        self._water = self._feeding(-level, drum.water_at_rest(x.heat, x.pressure), TIME_STEP)

    def _gas_side(self) -> None:
        """Heat balance of now, and the fuel and air that go with it.

        The fuel is what sustains the heat the drum's equations take from the fuel input: its
        paper counts that input in a scale of its own.
        """
        x = self._state
        load = self._load_now()
        self._balance = furnace.balance(x.oxygen, self._stack.value, self._air_temperature(), load)
        self._boiling = steam.saturation_temperature(_TO_PASCAL(x.pressure * drum.PSI) / 1e6)
        made = max(drum.steam_at_rest(self._fuel, x.pressure), 0.02 * _FULL)
        useful = water.heat_taken(made, self._water_side.blowdown, self._boiling)
        self._fuel_moles = useful / (self._balance.efficiency_hhv / 100) / furnace.FUEL.hhv
        self._air_flow = self._fuel_moles * _air_per_mole(self._air / self._fuel)

    def _surfaces(self) -> furnace.Surfaces:
        flow = drum.steam(self._state)
        return furnace.Surfaces(
            gas_flow=self._fuel_moles * furnace.FUEL.mass + self._air_flow,
            water_flow=max(flow, 0.05 * _FULL),
            load=self._load_now(),
            boiling=self._boiling,
            feedwater=water.FEEDWATER,
            soot=self._soot(self.time),
        )

    def _load_now(self) -> float:
        return max(drum.steam(self._state) / _FULL, 0.05)

    def _carbon_monoxide(self) -> float:
        return self._balance.conditions.carbon_monoxide

    def _air_temperature(self) -> float:
        """DegC: the boiler house is warmest in the afternoon."""
        return 25.0 + 4.0 * math.sin(2 * math.pi * self.time / 86_400)

    # ---- the instruments --------------------------------------------------------------------

    def _measure(self) -> None:
        """What every instrument shows: truth, analyser, noise, then its fault, within its range."""
        x = self._state
        self._signals: dict[str, Signal] = {}
        for tag, value in {
            "FT101": _TO_LB_HR(drum.steam(x)),
            "PT101": x.pressure * drum.PSI,
            "TT101": _TO_DEGF(self._boiling),
            "LT101": drum.level(x, self._fuel, self._water),
            "FT102": _TO_LB_HR(drum.STEAM_PER_WATER * self._water + self._water_side.blowdown),
            "TT102": _TO_DEGF(water.FEEDWATER),
            "FT201": _TO_SCFH(self._fuel_moles * NORMAL_VOLUME),
            "FT202": _TO_LB_HR(self._air_flow),
            "AT301": self._oxygen_seen + (_DRIFT * self.time if self._noise else 0.0),
            "AT302": self._co_seen,
            "TT301": _TO_DEGF(self._stack.value),
            "TT302": _TO_DEGF(self._air_temperature()),
            "UI100": 100 * drum.steam(x) / _FULL,
            **self._later(),
        }.items():
            self._show(tag, *self._read(tag, INSTRUMENTS[tag], value))
        self._show("BIC101.SP", self._water_side.valve)
        self._show("AIC301.SP", self._oxygen_setpoint.target)
        self._show("PIC101.SP", self._pressure_setpoint.target)

    def _later(self) -> dict[str, float]:
        """Blowdown, solids, and what is around the economiser."""
        side = self._water_side
        gas = self._surfaces().behind_bank()
        heat = self._fuel_moles * gas_heat(self._balance.flue, gas, self._stack.value)
        flow = max(drum.steam(self._state), 0.05 * _FULL) + side.blowdown
        return {
            "FT103": _TO_LB_HR(side.blowdown), "AT101": side.solids,
            "AT102": water.FEEDWATER_SOLIDS,
            "TT103": _TO_DEGF(water.behind_economiser(heat, flow)), "TT303": _TO_DEGF(gas),
        }  # fmt: skip

    def _read(
        self, tag: str, instrument: Instrument, value: float
    ) -> tuple[float, int, float]:  # fmt: skip
        quality, age = int(Quality.GOOD), 0.0
        if self._noise and instrument.noise:
            chance = self._later_chance if tag in WATER else self._chance
            value += chance.gauss(0.0, instrument.noise)
        if tag in self._spoilt:
            _, since, spoil = self._spoilt[tag]
            shown = spoil(
                Reading(
                    value=value,
                    quality=quality,
                    elapsed=self.time - since,
                    span=instrument.high - instrument.low,
                    noise=instrument.noise,
                    dead=instrument.dead,
                    dry_to_wet=self._balance.flue.wet / self._balance.flue.dry,
                    other=self._signals["FT101"].value if tag != "FT101" else value,
                )
            )
            value, quality, age = shown.value, shown.quality, shown.age
        return min(max(value, instrument.low), instrument.high), quality, age

    def _show(
        self, tag: str, value: float, quality: int = int(Quality.GOOD), age: float = 0.0
    ) -> None:  # fmt: skip
        i = INSTRUMENTS[tag]
        self._signals[tag] = Signal(
            value, i.unit, i.description, quality, i.writable, i.low, i.high, age
        )


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 (noise, no secret)


def _air_per_mole(ratio: float) -> float:
    """Kg of humid air per kmol of fuel that a ratio of air to fuel inputs stands for."""
    oxygen = min(max(drum.oxygen_at_rest(ratio), 0.0), 20.0)
    excess = excess_air(furnace.FUEL, oxygen, basis="wet", humidity=furnace.HUMIDITY)
    dry = theoretical_air(furnace.FUEL) * (1 + excess) * AIR.mass
    return dry * (1 + furnace.HUMIDITY)
