"""Faults of the simulated plant put into records of its health; how often health is doubted."""

import random

import numpy as np
import pytest

from gl002.boiler.fuels import NATURAL_GAS
from gl002.boiler.watch import WINDOW, Watched, inspect, learn
from gl002.errors import DataError
from gl002.sim.faults import FAULTS
from unit.boiler.plant_record import ROLES, STEP, TAGS, in_roles, part, simulated, spoilt

BOILER = Watched(fuel=NATURAL_GAS, basis="wet", saturated=True)
SIZE = round(WINDOW / STEP)
EVERY = round(300 / STEP)
# the stack's own drift looks like soot: gl002.boiler.baseline tells the two apart by their speed
DRIFTING = [tag for tag in TAGS if tag != "TT301"]


@pytest.fixture(scope="module")
def usual():
    times, shown = simulated(1, 5)
    return learn(BOILER, times, in_roles(shown))


def found_within(usual, times, shown, tags) -> bool:
    """Whether a fault that began after one window is found on one of its instruments."""
    roles = {TAGS[tag] for tag in tags}
    for last in range(SIZE + EVERY, times.size + 1, EVERY):
        window = in_roles(part(shown, last - SIZE, last))
        if any(f.role in roles for f in inspect(BOILER, usual, times[last - SIZE : last], window)):
            return True
    return False


CASES = [
    *(("stuck", (tag,)) for tag in TAGS),
    ("zero_triplet", FAULTS["zero_triplet"].tags),
    *(("drift", (tag,)) for tag in DRIFTING),
    *(("noise_burst", (tag,)) for tag in TAGS),
    *(
        (fault, FAULTS[fault].tags)
        for fault in ("wet_dry_swap", "duplicate", "scale_x10", "unit_slip", "air_ingress")
    ),
    *(("spike", (tag,)) for tag in TAGS),
]


def missed(usual, cases, seed: int):
    """The injected faults that are not found within an hour."""
    times, shown = simulated(2, 5)
    chance = random.Random(seed)
    for fault, tags in cases:
        first = chance.randrange(times.size - 3 * SIZE)
        last = first + 3 * SIZE
        piece = spoilt(part(shown, first, last), fault, tags, SIZE, chance.random())
        if not found_within(usual, times[first:last], piece, tags):
            yield fault, tags, first


def test_injected_faults_are_found(usual):
    assert list(missed(usual, CASES, seed=9)) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_95_of_100_injected_faults_are_found(usual):
    assert len(list(missed(usual, CASES * 5, seed=10))) <= 0.05 * 5 * len(CASES)


def test_a_boiler_in_health_is_left_alone(usual):
    times, shown = simulated(2, 5)
    for last in range(SIZE, times.size, EVERY // 5):
        window = in_roles(part(shown, last - SIZE, last))
        assert inspect(BOILER, usual, times[last - SIZE : last], window) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_less_than_one_false_alarm_a_day(usual):
    times, shown = simulated(3, 48)
    alarms = 0
    for last in range(SIZE, times.size, EVERY // 5):
        window = in_roles(part(shown, last - SIZE, last))
        alarms += bool(inspect(BOILER, usual, times[last - SIZE : last], window))
    assert alarms < 2


def test_a_scale_that_changes_noise_and_value_is_told_from_interference(usual):
    assert "a unit or a range" in reasons(usual, feedwater_flow=lambda flow: 10 * flow)
    assert "scatters" in reasons(
        usual, feedwater_flow=lambda flow: flow + np.random.default_rng(3).normal(0, 0.4, flow.size)
    )


def last_window(**changes):
    times, shown = simulated(2, 5)
    window = in_roles(part(shown, times.size - SIZE, times.size))
    return times[-SIZE:], {**window, **{role: f(window[role]) for role, f in changes.items()}}


def reasons(usual, **changes) -> str:
    return "; ".join(f.reason for f in inspect(BOILER, usual, *last_window(**changes)))


def test_dry_gas_from_a_wet_probe_is_recognised(usual):
    assert "would fit if the analyser measured dry gas" in reasons(
        usual, oxygen=lambda o2: o2 / 0.826
    )


def test_air_that_leaks_in_is_among_the_reasons(usual):
    assert "air that leaks in" in reasons(usual, oxygen=lambda o2: o2 + 1.5)


def test_ten_times_the_feedwater_is_recognised(usual):
    assert "ten times" in reasons(usual, feedwater_flow=lambda flow: 10 * flow)


def test_pounds_for_kilograms_are_recognised(usual):
    assert "lb for kg" in reasons(usual, feedwater_flow=lambda flow: 2.2046 * flow)


def test_gauge_for_absolute_pressure_is_recognised(usual):
    assert "pressure were gauge" in reasons(usual, pressure=lambda p: p - 0.101325)


def test_a_tag_mapped_twice_is_recognised(usual):
    times, window = last_window()
    window["feedwater_flow"] = 1.001 * window["steam_flow"]
    assert "two tags of one instrument" in inspect(BOILER, usual, times, window)[0].reason


def test_a_reading_out_of_range_is_named_and_not_compared(usual):
    times, window = last_window(oxygen=lambda o2: np.full_like(o2, -3.0))
    found = inspect(BOILER, usual, times, window)
    assert [f.check for f in found] == ["range"]


def test_roles_that_are_not_there_are_not_judged(usual):
    times, window = last_window()
    assert inspect(BOILER, usual, times, {"oxygen": window["oxygen"]}) == []
    assert inspect(BOILER, usual, np.zeros(0), {}) == []


def test_an_hour_is_too_short_to_learn_from():
    times, shown = simulated(2, 5)
    with pytest.raises(DataError, match=r"1\.0 hours are too few"):
        learn(BOILER, times[:721], in_roles(part(shown, 0, 721)))


def test_every_role_of_the_record_has_its_noise(usual):
    assert usual.noise.keys() == ROLES.keys()
    assert usual.noise["oxygen"] == pytest.approx(0.1, rel=0.1)
    assert set(usual.comparisons) == {"oxygen", "water", "heat", "saturation"}
