"""Faults of instruments of the simulated plant."""

import statistics

import pytest

from gl002.errors import ConfigError, DataError
from gl002.model import Quality, is_bad
from gl002.sim.faults import FAULTS
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import TIME_STEP, Plant
from gl002.units import convert
from unit.sim.steady_plant import HOUR, efficiency_from_signals, steady, values


def test_a_stuck_sensor_keeps_its_value_while_the_load_moves():
    plant = Plant()
    plant.step(60)
    plant.fail("stuck", "FT101")
    plant.step(1)
    held = plant.signals()["FT101"].value
    plant.step(300)
    assert plant.signals()["FT101"].value == held
    plant.repair("FT101")
    plant.step(1)
    assert plant.signals()["FT101"].value != held


def test_a_dead_analyser_shows_three_zeros_with_good_quality_and_gives_no_efficiency():
    plant = Plant()
    plant.fail("zero_triplet")
    plant.step(5)
    now = plant.signals()
    assert (now["AT301"].value, now["AT302"].value) == (0.0, 0.0)
    assert convert(now["TT301"].value, now["TT301"].unit, "degC") == pytest.approx(0)
    assert now["AT301"].quality == Quality.GOOD
    found, note = efficiency_from_signals(plant)
    assert found.value is None
    assert is_bad(found.quality)
    assert "stack temperature" in note


def test_drift_creeps_by_a_fifth_of_the_span_an_hour():
    plant = steady()
    plant.fail("drift", "AT301")
    plant.step(HOUR)
    error = plant.signals()["AT301"].value - plant.truth.flue.oxygen_wet
    assert error == pytest.approx(2.0, abs=0.01)


def test_a_noise_burst_is_twenty_times_the_noise():
    plant = steady()
    plant.fail("noise_burst", "PT101")
    readings = []
    for _ in range(400):
        plant.step(TIME_STEP)
        readings.append(plant.signals()["PT101"].value)
    assert statistics.pstdev(readings) == pytest.approx(20 * INSTRUMENTS["PT101"].noise, rel=0.15)


def test_a_swapped_basis_shows_dry_oxygen_and_costs_a_fifth_of_a_point():
    plant = steady()
    plant.step(HOUR)
    plant.fail("wet_dry_swap")
    plant.step(TIME_STEP)
    assert plant.signals()["AT301"].value == pytest.approx(plant.truth.flue.oxygen_dry, rel=1e-6)
    found, note = efficiency_from_signals(plant)
    assert note == "good"  # nothing in one reading betrays it
    assert found.value - plant.truth.efficiency_hhv == pytest.approx(-0.17, abs=0.06)


def test_bad_quality_reaches_the_efficiency():
    plant = Plant()
    plant.fail("bad_quality", "TT301")
    plant.step(1)
    assert plant.signals()["TT301"].quality == Quality.BAD_SENSOR_FAILURE
    found, note = efficiency_from_signals(plant)
    assert found.quality == Quality.BAD_SENSOR_FAILURE
    assert note == "bad: stack temperature is bad (BadSensorFailure)"


def test_a_spike_lasts_a_second_and_comes_twice_a_minute():
    plant = steady()
    usual = plant.signals()["FT101"].value
    plant.fail("spike")
    high = 0
    for _ in range(240):
        plant.step(TIME_STEP)
        high += plant.signals()["FT101"].value > 1.3 * usual
    assert high in {8, 9}


def faulty(name: str, **options) -> tuple[dict[str, float], dict[str, float]]:
    """What a sound plant and one with this fault show after a minute."""
    sound, spoilt = steady(**options), steady(**options)
    spoilt.fail(name)
    for plant in (sound, spoilt):
        plant.step(60)
    return values(sound), values(spoilt)


def test_a_duplicate_shows_the_steam_meter():
    _, shown = faulty("duplicate")
    assert shown["FT102"] == shown["FT101"]


def test_a_scale_shows_ten_times_the_value():
    sound, shown = faulty("scale_x10")
    assert shown["AT302"] == pytest.approx(10 * sound["AT302"])


def test_a_slip_of_units_is_an_atmosphere():
    sound, shown = faulty("unit_slip")
    assert shown["PT101"] - sound["PT101"] == pytest.approx(14.696)


def test_air_that_leaks_in_looks_like_excess_air():
    sound, shown = faulty("air_ingress")
    assert 1.0 < shown["AT301"] - sound["AT301"] < 2.0


def test_a_skewed_clock_is_told_with_the_signal():
    plant = Plant()
    plant.fail("time_skew")
    plant.step(1)
    assert plant.signals()["TT301"].age == 120
    assert plant.signals()["AT301"].age == 0


def test_a_fault_spoils_its_own_instrument_and_no_other():
    sound, spoilt = Plant(seed=5), Plant(seed=5)
    spoilt.fail("noise_burst", "AT301")
    for plant in (sound, spoilt):
        plant.step(120)
    different = {tag for tag in INSTRUMENTS if sound.signals()[tag] != spoilt.signals()[tag]}
    assert different == {"AT301"}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_begins_where_it_is_known_for_and_ends(name):
    plant, sound = Plant(), Plant()
    plant.fail(name)
    assert set(plant.faults) == set(FAULTS[name].tags)
    assert FAULTS[name].description
    plant.step(60)
    sound.step(60)
    plant.repair()
    assert plant.faults == {}
    plant.step(TIME_STEP)
    sound.step(TIME_STEP)
    assert plant.signals() == sound.signals()


def test_no_fault_shows_a_value_outside_the_instrument():
    plant = Plant()
    plant.fail("spike", "FT101", "AT301", "TT301")
    plant.fail("drift", "LT101")
    plant.step(3 * HOUR)
    for tag, signal in plant.signals().items():
        assert INSTRUMENTS[tag].low <= signal.value <= INSTRUMENTS[tag].high


def test_unknown_faults_and_instruments_are_refused():
    plant = Plant()
    with pytest.raises(ConfigError, match=r"no fault 'gremlin'.*stuck"):
        plant.fail("gremlin")
    for tag in ("XX999", "AIC301.SP"):
        with pytest.raises(DataError, match="no instrument"):
            plant.fail("stuck", tag)
    assert plant.faults == {}
