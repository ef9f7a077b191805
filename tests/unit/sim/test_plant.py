"""The simulated plant: heat, mass, setpoints, and the same day from the same seed."""

import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.boiler.economizer import evaluate as evaluate_economizer
from gl002.boiler.fuels import NATURAL_GAS, normal_heat
from gl002.errors import DataError
from gl002.sim.plant import FULL_STEAM, TIME_STEP, Plant, daily_load
from gl002.sim.steam import boiling_enthalpy, vapour_enthalpy, water_enthalpy
from gl002.sim.water import WaterSide
from gl002.units import convert
from unit.sim.steady_plant import HOUR, efficiency_from_signals, steady, values

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
