"""The instruments of the simulated plant."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler.live import ROLE_UNITS
from gl002.model import Quality
from gl002.sim.instruments import INSTRUMENTS, Analyser, DeadTime
from gl002.sim.plant import TIME_STEP, Plant
from gl002.units import same_dimension, unit
from unit.sim.steady_plant import ROLES, steady


def test_every_signal_has_a_known_unit_a_description_and_a_value_in_its_range():
    for signal in Plant().signals().values():
        assert unit(signal.unit).name == signal.unit
        assert signal.description
        assert signal.low <= signal.value <= signal.high
        assert signal.quality == Quality.GOOD
    assert Plant().signals().keys() == INSTRUMENTS.keys()
    assert [tag for tag, s in Plant().signals().items() if s.writable] == [
        "BIC101.SP", "AIC301.SP", "PIC101.SP",
    ]  # fmt: skip


def test_every_role_of_the_efficiency_has_an_instrument_in_a_unit_that_fits():
    for role, tag in ROLES.items():
        assert same_dimension(INSTRUMENTS[tag].unit, ROLE_UNITS[role])


def test_noise_has_the_stated_size_and_no_bias():
    exact, noisy = steady(), Plant(load=lambda _: 0.7)
    differences: dict[str, list[float]] = {tag: [] for tag in INSTRUMENTS}
    for _ in range(1_000):
        exact.step(TIME_STEP)
        noisy.step(TIME_STEP)
        for tag, signal in noisy.signals().items():
            differences[tag].append(signal.value - exact.signals()[tag].value)
    for tag, instrument in INSTRUMENTS.items():
        spread = statistics.pstdev(differences[tag])
        assert spread == pytest.approx(instrument.noise, rel=0.12)
        assert abs(statistics.mean(differences[tag])) <= 0.15 * instrument.noise


@pytest.mark.slow
@pytest.mark.timeout(900)  # nothing but arithmetic: twenty seconds of a processor
def test_the_oxygen_analyser_drifts_a_tenth_of_a_percent_a_month():
    plant = Plant(load=lambda _: 0.7)
    readings = []
    for day in range(2):
        plant.step(86_400 * day)
        total = 0.0
        for _ in range(400):
            plant.step(TIME_STEP)
            total += plant.signals()["AT301"].value - plant.truth.flue.oxygen_wet
        readings.append(total / 400)
    assert readings[1] - readings[0] == pytest.approx(0.1 / 30, abs=0.02)


def test_the_oxygen_analyser_sees_nothing_for_six_seconds_and_then_slowly():
    cell = Analyser(6.0, 10.0, TIME_STEP, 3.0)
    seen = [cell(5.0) for _ in range(200)]
    assert seen[: round(6 / TIME_STEP)] == [3.0] * round(6 / TIME_STEP)
    after_lag = seen[round(16 / TIME_STEP) - 1]
    assert after_lag == pytest.approx(5 - 2 / math.e, abs=0.05)
    assert seen[-1] == pytest.approx(5.0, abs=1e-3)


@given(st.floats(0, 60), st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50))
def test_a_dead_time_gives_back_what_came_in_that_long_ago(seconds, series):
    line = DeadTime(seconds, TIME_STEP, 0.0)
    length = round(seconds / TIME_STEP)
    assert [line(value) for value in series] == ([0.0] * length + series)[: len(series)]
