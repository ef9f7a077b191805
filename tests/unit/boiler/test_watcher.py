import numpy as np
import pytest

from gl002.boiler.fuels import NATURAL_GAS
from gl002.boiler.validation import dioxide_at
from gl002.boiler.watch import WINDOW, Watched, learn
from gl002.boiler.watcher import Watcher
from unit.boiler.plant_record import STEP, in_roles, part, simulated, spoilt

BOILER = Watched(fuel=NATURAL_GAS, basis="wet", saturated=True)
SIZE = round(WINDOW / STEP)


@pytest.fixture(scope="module")
def usual():
    times, shown = simulated(1, 5)
    return learn(BOILER, times, in_roles(shown))


def fed(usual, shown, count=SIZE, **changed) -> Watcher:
    watcher = Watcher(BOILER, usual, step=STEP)
    roles = {**in_roles(part(shown, 0, count)), **changed}
    for i in range(count):
        watcher.add(i * STEP, {role: float(values[i]) for role, values in roles.items()})
    return watcher


def said(watcher, **clocks) -> str:
    return "; ".join(finding.reason for finding in watcher.findings(clocks))


def test_a_boiler_in_health_is_left_alone(usual):
    assert fed(usual, simulated(2, 5)[1]).findings() == []


def test_half_an_hour_of_a_stuck_probe_is_found(usual):
    shown = spoilt(simulated(2, 5)[1], "stuck", ("AT301",), 10, 0.5)
    assert "oxygen stands still" in said(fed(usual, shown))


def test_less_than_half_an_hour_is_not_judged_as_a_whole(usual):
    shown = spoilt(simulated(2, 5)[1], "stuck", ("AT301",), 10, 0.5)
    assert fed(usual, shown, count=SIZE // 2).findings() == []


def test_a_dead_analyser_is_found_at_once_and_without_having_learned_anything():
    watcher = Watcher(BOILER)
    watcher.add(0.0, {"oxygen": 0.0, "carbon_monoxide": 0.0, "stack_temperature": 0.0})
    assert "the analyser is off" in said(watcher)
    assert {finding.role for finding in watcher.findings()} == {
        "oxygen", "carbon_monoxide", "stack_temperature",
    }  # fmt: skip


def test_a_value_out_of_range_is_found_at_once():
    watcher = Watcher(BOILER)
    watcher.add(0.0, {"stack_temperature": 3000.0})
    assert "outside" in said(watcher)


def test_oxygen_and_carbon_dioxide_that_fit_dry_gas_only_are_named(usual):
    shown = simulated(2, 5)[1]
    oxygen = in_roles(part(shown, 0, SIZE))["oxygen"]
    noise = np.random.default_rng(5).normal(0, 0.05, SIZE)
    of_dry = noise + [dioxide_at(NATURAL_GAS, float(o), "dry") for o in oxygen]
    of_wet = noise + [dioxide_at(NATURAL_GAS, float(o), "wet") for o in oxygen]
    assert "fit dry gas, wet is declared" in said(fed(usual, shown, carbon_dioxide=of_dry))
    assert fed(usual, shown, carbon_dioxide=of_wet).findings() == []


def test_a_role_that_was_away_for_a_while_is_not_judged_by_the_window(usual):
    shown = spoilt(simulated(2, 5)[1], "stuck", ("AT301",), 10, 0.5)
    roles = in_roles(part(shown, 0, SIZE))
    watcher = Watcher(BOILER, usual, step=STEP)
    for i in range(SIZE):
        row = {role: float(values[i]) for role, values in roles.items()}
        if i == 100:
            del row["oxygen"]
        watcher.add(i * STEP, row)
    assert watcher.findings() == []


def test_a_clock_that_is_apart_is_named():
    watcher = Watcher(BOILER)
    watcher.add(0.0, {"oxygen": 3.0})
    assert "the clock of oxygen is 120 s behind" in said(
        watcher, oxygen=0.0, pressure=120.0, load=120.5
    )
    assert watcher.findings({"oxygen": 0.0, "pressure": 120.0}) == []  # two clocks: who is right?


def test_time_that_stands_still_adds_nothing(usual):
    watcher = Watcher(BOILER, usual)
    watcher.add(5.0, {"oxygen": 3.0})
    watcher.add(5.0, {"oxygen": -4.0})
    assert watcher.findings() == []
