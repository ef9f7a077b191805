"""Balances over records of the simulated plant: sound meters agree, a wrong one is named."""

import dataclasses
import functools

import pytest

from gl002.boiler.balancing import contradictions, reconciled
from gl002.boiler.bands import Instruments
from gl002.boiler.fuels import NATURAL_GAS
from gl002.boiler.gases import NORMAL_VOLUME
from gl002.boiler.live import Boiler
from gl002.boiler.record import Record
from gl002.boiler.rolling import Rolling
from gl002.boiler.uncertainty import Accuracy
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import Plant
from gl002.units import conversion

from .plant_record import in_roles, in_steps, simulated

import numpy as np  # isort: skip

ANALYSED = dataclasses.replace(NATURAL_GAS, hhv_uncertainty=0.005)
METER = Accuracy(reading=0.7, meaning="standard")
BOILER = Boiler(
    name="b", basis="wet", fuel=ANALYSED, full_steam=13.86,
    roles=frozenset({"steam_flow", "feedwater_flow", "fuel_flow"}),
    instruments=Instruments(
        given={"steam_flow": METER, "feedwater_flow": METER, "fuel_flow": METER}
    ),
)  # fmt: skip
ROLES = {
    "oxygen": ("AT301", "%"), "stack_temperature": ("TT301", "degC"),
    "air_temperature": ("TT302", "degC"), "load": ("UI100", "fraction"),
    "steam_flow": ("FT101", "kg/s"), "feedwater_flow": ("FT102", "kg/s"),
    "blowdown_flow": ("FT103", "kg/s"), "boiler_solids": ("AT101", "uS/cm"),
    "feedwater_solids": ("AT102", "uS/cm"), "pressure": ("PT101", "MPa(a)"),
    "feedwater_temperature": ("TT102", "degC"), "fuel_flow": ("FT201", "Nm3/s"),
}  # fmt: skip


@functools.cache
def record() -> Record:
    plant = Plant(seed=4, load=lambda _: 0.7)
    rows = []
    for _ in range(40):
        plant.step(60)
        shown = plant.signals()
        rows.append(
            [
                conversion(INSTRUMENTS[tag].unit, unit)(shown[tag].value)
                for tag, unit in ROLES.values()
            ]
        )
    roles = dict(zip(ROLES, np.array(rows).T, strict=True))
    roles["fuel_flow"] = roles["fuel_flow"] / NORMAL_VOLUME
    return Record(start=0, step=60.0, roles=roles, doubted={})


def changed(role: str, factor: float) -> Record:
    roles = {**record().roles, role: factor * record().roles[role]}
    return dataclasses.replace(record(), roles=roles)


def without(*roles: str) -> Record:
    left = {role: values for role, values in record().roles.items() if role not in roles}
    return dataclasses.replace(record(), roles=left)


def test_meters_in_health_agree():
    assert contradictions(BOILER, record()) == []
    found = reconciled(BOILER, record())
    assert found.consistent
    assert found.redundancy == 3
    assert found.standards["steam"] < 0.007 * found.values["steam"]


@pytest.mark.parametrize("factor", [0.93, 1.07])
@pytest.mark.parametrize("role", ["steam_flow", "feedwater_flow", "fuel_flow"])
def test_a_meter_that_is_seven_percent_off_is_named(role, factor):
    found = contradictions(BOILER, changed(role, factor))
    assert role in {finding.role for finding in found}
    assert all("balances of water, salts and energy" in finding.reason for finding in found)


@pytest.mark.parametrize(("role", "unit"), [("steam_flow", " kg/s"), ("fuel_flow", " kW (HHV)")])
def test_what_a_meter_should_show_is_told_with_its_unit(role, unit):
    """The engine's, and of the fuel its heat: the tag itself may be in lb/hr or scfh."""
    said = next(f.reason for f in contradictions(BOILER, changed(role, 1.1)) if f.role == role)
    number, _, rest = said.split("would be ")[1].partition(" ")
    assert f" {rest}".startswith(unit)
    true = float(np.mean(record().roles[role]))
    assert float(number) == pytest.approx(
        true * (NATURAL_GAS.hhv if role == "fuel_flow" else 1.0), rel=0.03
    )


@pytest.mark.parametrize(("role", "factor"), [("fuel_flow", 0.9), ("oxygen", 3.0)])
def test_fuel_that_does_not_fit_may_be_an_efficiency_that_does_not(role, factor):
    """Only their product is checked, so an oxygen probe that is wrong looks like the meter."""
    (found,) = contradictions(BOILER, changed(role, factor))
    assert found.role == "fuel_flow"
    assert "or oxygen or stack temperature is wrong" in found.reason


def test_solids_that_are_half_of_what_they_are_do_not_pass():
    found = contradictions(BOILER, changed("boiler_solids", 0.5))
    assert {finding.role for finding in found} <= {
        "boiler_solids", "feedwater_solids", "blowdown_flow",
    }  # fmt: skip
    assert found


def test_without_a_second_meter_nothing_can_be_checked():
    assert reconciled(BOILER, without("feedwater_flow")) is None
    assert contradictions(BOILER, without("feedwater_flow")) == []
    assert contradictions(BOILER, without("oxygen")) == []
    assert (
        reconciled(
            BOILER, without("blowdown_flow", "boiler_solids", "feedwater_solids", "pressure")
        )
        is None
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_days_of_changing_load_in_health_give_less_than_one_false_alarm_a_day():
    """As the live watch sees it: the last hour, every five minutes; nothing said of the meters."""
    boiler = dataclasses.replace(BOILER, instruments=Instruments(), fuel=NATURAL_GAS)
    times, shown = simulated(3, 48, in_steps)
    values, rolling, alarms, judged = in_roles(shown), Rolling(), 0, 0
    for number, time in enumerate(times):
        rolling.add(float(time), {role: float(each[number]) for role, each in values.items()})
        if time >= 3600 and time % 300 == 0:
            hour = rolling.record(float(time))
            judged += reconciled(boiler, hour) is not None
            alarms += bool(contradictions(boiler, hour))
    assert judged > 400  # of 564: the others had less than ten minutes at rest
    assert alarms < 2
