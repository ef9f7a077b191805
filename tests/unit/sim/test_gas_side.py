import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.sim import furnace
from gl002.sim.furnace import Surfaces
from gl002.sim.steam import saturation_temperature, vapour_enthalpy, water_enthalpy

FULL = Surfaces(
    gas_flow=14.9, water_flow=13.9, load=1.0, boiling=219.7, feedwater=110.0, soot=0.0
)  # fmt: skip


def changed(**fields) -> Surfaces:
    return Surfaces(**{name: getattr(FULL, name) for name in Surfaces.__slots__} | fields)


def test_water_boils_where_the_steam_tables_say():
    # IAPWS R7-97, table 35: saturation pressure in MPa of a temperature in K
    for kelvin, pressure in {300: 0.353658941e-2, 500: 2.63889776, 600: 12.3443146}.items():
        assert saturation_temperature(pressure) == pytest.approx(kelvin - 273.15, abs=1e-5)


def test_enthalpies_are_those_of_the_steam_tables():
    # IAPWS R7-97, computed with seuif97 2.3.8
    for pressure, enthalpy in {1.0: 2777.120, 2.308: 2800.978, 4.0: 2800.897}.items():
        assert vapour_enthalpy(saturation_temperature(pressure)) == pytest.approx(enthalpy, abs=0.1)
    assert water_enthalpy(110.0) == pytest.approx(463.07, abs=0.05)


def test_a_full_fired_boiler_has_a_stack_of_160_to_180_degrees():
    assert 160 < FULL.stack_temperature() < 180


def test_soot_heats_the_stack_and_less_load_cools_it():
    clean = FULL.stack_temperature()
    assert changed(soot=0.12).stack_temperature() > clean + 5
    assert changed(load=0.5, gas_flow=7.4, water_flow=7.0).stack_temperature() < clean - 15


@given(st.floats(0.3, 1.0), st.floats(2.0, 30.0), st.floats(2.0, 20.0), st.floats(0, 0.2))
def test_the_stack_is_never_colder_than_the_water_that_cools_it(load, gas, water, soot):
    stack = changed(load=load, gas_flow=gas, water_flow=water, soot=soot).stack_temperature()
    assert FULL.feedwater < stack < 1250


def test_soot_grows_until_the_blowers_run():
    assert furnace.fouling(0) == 0
    assert furnace.fouling(3600) < furnace.fouling(7 * 3600)
    assert furnace.fouling(8 * 3600 + 1) < furnace.fouling(3600)


def test_monoxide_is_low_until_air_is_short():
    assert furnace.carbon_monoxide(2.5, 1.0) < 20
    assert furnace.carbon_monoxide(0.5, 1.0) > 200
    assert furnace.carbon_monoxide(0.0, 0.2) <= 20_000
    assert furnace.carbon_monoxide(1.5, 0.4) > furnace.carbon_monoxide(1.5, 1.0)


def test_the_burner_needs_more_air_at_low_load():
    assert furnace.burner_curve(1.0) == 2.5
    assert furnace.burner_curve(1.1) == 2.5
    assert furnace.burner_curve(0.3) > furnace.burner_curve(0.6) > 2.5
