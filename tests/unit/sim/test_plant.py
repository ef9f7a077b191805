import math
import statistics
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.boiler.economizer import evaluate as evaluate_economizer
from gl002.boiler.fuels import NATURAL_GAS, normal_heat
from gl002.boiler.live import OPTIONAL, REQUIRED, ROLE_UNITS, Boiler, evaluate
from gl002.errors import ConfigError, DataError
from gl002.model import Quality, Sample, is_bad
from gl002.sim.faults import FAULTS
from gl002.sim.instruments import INSTRUMENTS, Analyser, DeadTime
from gl002.sim.plant import FULL_STEAM, TIME_STEP, Plant, daily_load
from gl002.sim.steam import boiling_enthalpy, vapour_enthalpy, water_enthalpy
from gl002.sim.water import WaterSide
from gl002.units import convert, same_dimension, unit

HOUR = 3600.0
ROLES = {
    "oxygen": "AT301", "stack_temperature": "TT301", "air_temperature": "TT302",
    "carbon_monoxide": "AT302", "load": "UI100",
}  # fmt: skip


def steady(load: float = 0.7, **options) -> Plant:
    return Plant(noise=False, load=lambda _: load, **options)


def values(plant: Plant) -> dict[str, float]:
    return {tag: signal.value for tag, signal in plant.signals().items()}


def efficiency_from_signals(plant: Plant) -> tuple[Sample, str]:
    """As a gateway does it: tags, their units, the boiler's roles."""
    signals = plant.signals()
    inputs = {
        role: Sample(
            tag,
            convert(signals[tag].value, signals[tag].unit, ROLE_UNITS[role]),
            0,
            signals[tag].quality,
        )
        for role, tag in ROLES.items()
    }
    boiler = Boiler(name="b", basis="wet", roles=frozenset(REQUIRED + OPTIONAL) - {"humidity"})
    results = evaluate(boiler, inputs, 0)
    return results[0], str(results[-1].value)


# ---- the process ------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.4, 0.7, 1.0])
def test_a_plant_at_rest_stays_at_rest(load):
    plant = steady(load)
    first = values(plant)
    plant.step(600)
    after = values(plant)
    for tag in first.keys() - {
        "TT301",
        "TT302",
        "TT303",
        "TT103",
        "FT201",
        "FT202",
    }:  # soot and daytime go on
        assert after[tag] == pytest.approx(first[tag], abs=1e-3 * max(1, abs(first[tag])))
    assert after["FT101"] == pytest.approx(load * FULL_STEAM)
    assert after["LT101"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("load", [0.4, 0.75, 1.0])
def test_efficiency_from_its_own_signals_is_its_true_efficiency(load):
    plant = steady(load)
    plant.step(HOUR)
    found, note = efficiency_from_signals(plant)
    assert note == "good"
    assert found.value == pytest.approx(plant.truth.efficiency_hhv, abs=1e-6)


@pytest.mark.parametrize(("load", "pressure"), [(0.5, 320.0), (0.9, 320.0), (0.7, 450.0)])
def test_heat_in_the_steam_is_the_heat_the_losses_leave(load, pressure):
    plant = steady(load)
    plant.write("PIC101.SP", pressure)
    plant.step(2 * HOUR)
    now = values(plant)
    steam = convert(now["FT101"], "lb/hr", "kg/s")
    boiling = convert(now["TT101"], "degF", "degC")
    feedwater = convert(now["TT102"], "degF", "degC")
    blown = convert(now["FT103"], "lb/hr", "kg/s")
    heat = steam * (vapour_enthalpy(boiling) - water_enthalpy(feedwater))
    heat += blown * (boiling_enthalpy(boiling) - water_enthalpy(feedwater))
    fuel = convert(now["FT201"], "scfh", "Nm3/s") * normal_heat(NATURAL_GAS)
    out = now["FT101"] + now["FT103"]
    assert now["FT102"] == pytest.approx(out, rel=1e-4)  # nothing is stored
    assert 100 * heat / fuel == pytest.approx(plant.truth.efficiency_hhv, abs=0.02)


def test_the_salts_that_come_leave_with_the_blowdown():
    assert values(steady(0.8))["AT101"] == pytest.approx(120 * 1.04 / 0.04)
    side = WaterSide(valve=4.0)
    side.start(10.0)
    side.valve = 8.0
    before = side.solids
    for _ in range(6_000):
        side.step(10.0, 60.0)
    assert side.solids < before
    assert (10.0 + side.blowdown) * 120 == pytest.approx(side.blowdown * side.solids, rel=1e-6)


def test_more_blowdown_takes_more_fuel_and_leaves_the_fuel_efficiency_alone():
    little, much = steady(0.8), steady(0.8)
    little.write("BIC101.SP", 2.0)
    much.write("BIC101.SP", 8.0)
    for plant in (little, much):
        plant.step(HOUR)
    more = values(much)["FT201"] / values(little)["FT201"] - 1
    assert more == pytest.approx(0.06 * (944 - 463) / (2801 - 463), rel=0.1)
    assert much.truth.efficiency_hhv == pytest.approx(little.truth.efficiency_hhv, abs=0.05)


def test_what_the_gas_gives_in_the_economiser_the_water_takes():
    plant = steady(0.8)
    plant.step(HOUR)
    now = values(plant)
    degrees = {
        tag: convert(now[tag], "degF", "degC") for tag in ("TT303", "TT301", "TT103", "TT102")
    }
    found = evaluate_economizer(
        plant.truth.flue, convert(now["FT201"], "scfh", "Nm3/s") / 22.41396954,
        gas_in=degrees["TT303"], gas_out=degrees["TT301"], water_in=degrees["TT102"],
        water_out=degrees["TT103"], water_flow=convert(now["FT102"], "lb/hr", "kg/s"),
        pressure=2.5,
    )  # fmt: skip
    assert abs(found.disagreement) < 0.002
    assert found.reasons == ()


def test_the_air_flow_is_that_of_the_flue_gas():
    plant = steady(0.8)
    plant.step(HOUR)
    now, flue = values(plant), plant.truth.flue
    fuel = convert(now["FT201"], "scfh", "Nm3/s") / 22.41396954
    air = convert(now["FT202"], "lb/hr", "kg/s")
    assert air / fuel == pytest.approx(flue.air * 28.96 * 1.01, rel=1e-3)


@pytest.mark.parametrize(("before", "after"), [(0.4, 0.9), (0.9, 0.4)])
def test_steam_follows_the_load_while_pressure_level_and_oxygen_hold(before, after):
    plant = Plant(noise=False, load=lambda time: before if time < 60 else after)
    for _ in range(600):
        plant.step(1)
        now = values(plant)
        assert abs(now["PT101"] - 320) < 5
        assert abs(now["LT101"]) < 6
        assert 1.5 < plant.truth.flue.oxygen_wet < 6
    assert now["FT101"] == pytest.approx(after * FULL_STEAM, rel=1e-3)


def test_a_day_of_load_stays_within_what_boilers_do():
    plant = Plant(noise=False)
    loads, efficiencies = [], []
    for _ in range(120):
        plant.step(60)
        now = values(plant)
        loads.append(now["UI100"])
        efficiencies.append(plant.truth.efficiency_hhv)
        assert 315 < now["PT101"] < 325
        assert 2 < now["AT301"] < 5
        assert now["AT302"] < 50
        assert 240 < now["TT301"] < 380
        found, note = efficiency_from_signals(plant)
        assert note == "good"
        assert found.value == pytest.approx(plant.truth.efficiency_hhv, abs=0.2)
    assert 44 < min(loads) < 50
    assert 92 < max(loads) < 96
    assert 83 < min(efficiencies) < max(efficiencies) < 85


@given(st.floats(0, 1e9))
def test_the_load_pattern_never_leaves_its_range(moment):
    assert 0.44 < daily_load(moment) < 0.96


# ---- setpoints --------------------------------------------------------------------------------


def test_the_plant_follows_its_oxygen_setpoint_and_burns_less():
    plant = steady(0.7)
    plant.step(600)
    before = values(plant)
    plant.write("AIC301.SP", 2.0)
    assert plant.signals()["AIC301.SP"].value == 2.0
    plant.step(1200)
    after = values(plant)
    assert after["AT301"] == pytest.approx(2.0, abs=0.01)
    assert after["FT101"] == pytest.approx(before["FT101"], rel=1e-3)
    assert 0.002 < 1 - after["FT201"] / before["FT201"] < 0.01


def test_too_little_air_makes_carbon_monoxide():
    plant = steady(0.7)
    plant.write("AIC301.SP", 0.6)
    plant.step(900)
    assert plant.signals()["AT302"].value > 500
    assert plant.truth.loss_co > 0.1


def test_the_pressure_setpoint_of_the_guide_is_reached_at_a_limited_rate():
    plant = steady(0.7)
    plant.write("PIC101.SP", 485.0)
    plant.step(60)
    assert 322 < plant.signals()["PT101"].value < 332
    plant.step(HOUR)
    assert plant.signals()["PT101"].value == pytest.approx(485, abs=0.5)
    assert plant.signals()["TT101"].value == pytest.approx(467, abs=1)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("AIC301.SP", 12.0, "outside 0.5 to 8 %"),
        ("AIC301.SP", math.nan, "outside"),
        ("PIC101.SP", 900.0, "outside 200 to 500 psig"),
        ("AT301", 3.0, "cannot be written"),
        ("XX999", 3.0, "only BIC101.SP, AIC301.SP, PIC101.SP"),
    ],
)
def test_a_wrong_write_is_refused_and_changes_nothing(tag, value, said):
    plant = steady()
    before = values(plant)
    with pytest.raises(DataError, match=said):
        plant.write(tag, value)
    assert values(plant) == before


# ---- the instruments --------------------------------------------------------------------------


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


# ---- determinism ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_day_and_another_seed_another():
    one, same, other, sibling = Plant(seed=3), Plant(seed=3), Plant(seed=4), Plant("b2", seed=3)
    for plant in (one, same, other, sibling):
        plant.step(300)
    assert one.signals() == same.signals()
    assert one.signals() != other.signals()
    assert one.signals() != sibling.signals()


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 1.0, 2.5, 7.0]), max_size=40))
def test_how_the_time_is_cut_into_steps_does_not_matter(cuts):
    pieces, whole = Plant(seed=1), Plant(seed=1)
    for dt in cuts:
        pieces.step(dt)
    whole.step(sum(cuts))
    assert pieces.time == whole.time
    assert pieces.signals() == whole.signals()


def test_signals_do_not_change_while_no_time_passes():
    plant = Plant()
    plant.step(10)
    assert plant.signals() == plant.signals()
    before = dict(plant.signals())
    plant.step(TIME_STEP / 4)
    assert plant.signals() == before


@pytest.mark.parametrize("dt", [-1.0, math.nan, math.inf, 1e6])
def test_a_step_that_is_no_step_is_refused(dt):
    with pytest.raises(DataError, match="cannot step"):
        Plant().step(dt)


def test_a_step_of_a_second_costs_less_than_a_millisecond():
    plant = Plant()
    best = math.inf
    for _ in range(5):
        start = time.process_time()
        for _ in range(20):
            plant.step(1.0)
        best = min(best, (time.process_time() - start) / 20)
    assert best < 1e-3


# ---- faults -----------------------------------------------------------------------------------


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
