"""The equations against the paper's own operating point, and against themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.sim import pellegrinetti as drum
from gl002.sim.pellegrinetti import NOMINAL, NOMINAL_INPUTS, Inputs, State
from unit.boiler.published import case, wanted

heats = st.floats(0.45, 1.0)
pressures = st.floats(14.0, 35.0)


def test_the_nominal_point_of_the_paper_is_at_rest():
    slope = drum.slope(NOMINAL, NOMINAL_INPUTS)
    assert slope.pressure == pytest.approx(0, abs=2e-4)
    assert slope.density == pytest.approx(0, abs=2e-4)
    assert slope.heat == pytest.approx(0, abs=2e-5)
    assert slope == pytest.approx((7.13199e-6, 0.0416799, 2.32726e-5, 1.1276e-6), rel=1e-4)


def test_the_public_case_of_the_equations_comes_out():
    each = case("pb96-nominal")
    state, (fuel, air, water) = State(*each["inputs"]["x"]), each["inputs"]["u"]
    slope = drum.slope(state, Inputs(fuel, air, fuel, air, water))
    values = {
        "dx1": slope.pressure, "dx2": slope.oxygen, "dx3": slope.density, "dx4": slope.heat,
        "y1": drum.PSI * state.pressure, "y3": drum.level(state, fuel, water),
        "y4": drum.steam(state),
    }  # fmt: skip
    expected = wanted(each)
    assert values.keys() == expected.keys()
    for key, (value, tolerance) in expected.items():
        assert values[key] == pytest.approx(value, abs=tolerance), key


def test_oxygen_settles_at_2_70_percent_where_the_paper_prints_2_50():
    ratio = NOMINAL_INPUTS.air / NOMINAL_INPUTS.fuel
    assert drum.oxygen_at_rest(ratio) == pytest.approx(2.697, abs=1e-3)


def test_the_nominal_outputs_are_those_of_the_paper():
    assert NOMINAL.pressure * drum.PSI == pytest.approx(320, abs=0.02)
    assert drum.steam(NOMINAL) == pytest.approx(9.3053, abs=0.002)
    assert drum.level(NOMINAL, 0.3227, 0.37404) == pytest.approx(0, abs=0.01)


@given(heats, pressures)
def test_fuel_and_water_at_rest_hold_pressure_and_mass(heat, pressure):
    fuel, water = drum.fuel_at_rest(heat, pressure), drum.water_at_rest(heat, pressure)
    state = State(pressure, 3.0, 600.0, heat)
    slope = drum.slope(state, Inputs(fuel, 1.2 * fuel + 0.1, fuel, 1.2 * fuel, water))
    assert slope.pressure == pytest.approx(0, abs=1e-12)
    assert slope.density == pytest.approx(0, abs=1e-12)
    assert drum.STEAM_PER_WATER * water == pytest.approx(drum.steam(state))
    assert drum.steam_at_rest(fuel, pressure) == pytest.approx(drum.steam(state))


@given(st.floats(1.0, 25.0), pressures)
def test_the_heat_for_a_steam_flow_gives_that_flow(flow, pressure):
    assert drum.steam(State(pressure, 3.0, 600.0, drum.heat_for(flow, pressure))) == pytest.approx(
        flow
    )


@given(st.floats(0.0, 12.0), st.floats(0.1, 0.8))
def test_the_ratio_for_an_oxygen_content_settles_there(oxygen, fuel):
    air = fuel * drum.ratio_for(oxygen)
    assert drum.oxygen_at_rest(air / fuel) == pytest.approx(oxygen, abs=1e-9)
    slope = drum.slope(State(22.0, oxygen, 600.0, 0.7), Inputs(fuel, air, fuel, air, 0.4))
    assert slope.oxygen == pytest.approx(0, abs=1e-9)


@given(heats, st.floats(0.0, 0.8))
def test_a_held_load_goes_its_own_way_whatever_the_fuel_does(heat, fuel):
    held = drum.slope(NOMINAL, NOMINAL_INPUTS._replace(fuel_late=fuel), drum.holding(heat, fuel))
    assert held.heat == pytest.approx(0.04 * (heat - NOMINAL.heat))


def test_half_the_time_step_gives_the_same_path():
    whole = halves = NOMINAL
    changed = NOMINAL_INPUTS._replace(fuel=0.5, fuel_late=0.5, air=0.7, air_late=0.7)
    for _ in range(60):
        whole = drum.step(whole, changed, 0.001, 0.5)
        halves = drum.step(drum.step(halves, changed, 0.001, 0.25), changed, 0.001, 0.25)
    assert whole == pytest.approx(halves, rel=1e-6)


@given(st.floats(0, 1.1), st.floats(0, 1.1), st.floats(0, 21))
def test_oxygen_stays_between_none_and_that_of_air(fuel, air, oxygen):
    state = NOMINAL._replace(oxygen=oxygen)
    inputs = Inputs(fuel, air, fuel, air, 0.4)
    for _ in range(20):
        state = drum.step(state, inputs, 0.0, 0.5)
        assert 0 <= state.oxygen <= 20.9
