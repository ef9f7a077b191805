import doctest
import math

import pytest
import seuif97
from hypothesis import assume, given
from hypothesis import strategies as st

import gl002.boiler.steam
from gl002.boiler import steam
from gl002.boiler.steam import by_dryness, by_enthalpy, by_temperature, superheat, superheated
from gl002.errors import DataError
from gl002.units import convert
from unit.boiler.published import case, wanted

ABSOLUTE_ZERO = -273.15


def points(name):
    each = case(name)
    return [(point["inputs"], point["expected"], each["tolerance_rel"]) for point in each["points"]]


@pytest.mark.parametrize(("given_", "table", "tolerance"), points("if97-r1") + points("if97-r2"))
def test_the_basic_equations_give_the_tables_of_the_release(given_, table, tolerance):
    pressure, temperature = given_["p"], given_["T"] + ABSOLUTE_ZERO
    state = by_temperature(pressure, temperature)
    found = {
        "v": state.volume, "h": state.enthalpy, "s": state.entropy, "u": state.internal_energy,
        "cp": steam.heat_capacity(pressure, temperature),
        "w": seuif97.pt(pressure, temperature, 10),
    }  # fmt: skip
    assert found == pytest.approx(table, rel=tolerance)


@pytest.mark.parametrize(("given_", "table", "tolerance"), points("if97-psat"))
def test_the_saturation_line_is_that_of_the_release_both_ways(given_, table, tolerance):
    celsius = given_["T"] + ABSOLUTE_ZERO
    assert steam.saturation_pressure(celsius) == pytest.approx(table["p"], rel=tolerance)
    assert steam.saturation_temperature(table["p"]) == pytest.approx(celsius, abs=1e-6)


@pytest.mark.parametrize(("given_", "table", "tolerance"), points("if97-tph1"))
def test_temperature_from_enthalpy_is_that_of_the_release(given_, table, tolerance):
    found = by_enthalpy(given_["p"], given_["h"]).temperature - ABSOLUTE_ZERO
    assert found == pytest.approx(table["T"], rel=tolerance)


@pytest.mark.parametrize(("given_", "table", "tolerance"), points("steam-grid-a"))
def test_states_of_boilers_are_those_of_a_second_library(given_, table, tolerance):
    if given_["kind"] == "sat_vapour":
        state = steam.saturated(given_["p"])
        found = {"hg": state.enthalpy, "T": state.temperature - ABSOLUTE_ZERO}
    else:
        kind = superheated if given_["kind"] == "superheated" else steam.water
        state = kind(given_["p"], given_["T"] + ABSOLUTE_ZERO)
        found = {"h": state.enthalpy, "s": state.entropy, "v": state.volume}
    assert {key: found[key] for key in table} == pytest.approx(table, rel=tolerance)


def test_energy_to_make_a_pound_of_steam_is_that_of_the_tip_sheet():
    pressure = convert(150, "psig", "MPa(a)")
    vapour = steam.saturated(pressure).enthalpy
    each = case("doe-tip15-public")
    for key, (published, tolerance) in wanted(each).items():
        feed = steam.water(pressure, convert(float(key.split("_T")[1]), "degF", "degC"))
        found = convert(vapour - feed.enthalpy, "kJ/kg", "Btu/lb")
        assert found == pytest.approx(published, abs=tolerance)
        assert found == pytest.approx(each["recomputed"][key], abs=0.01)


def test_a_temperature_below_saturation_is_flagged_and_never_computed_with():
    """The example of a specification: 600 psig and 485 degF, four degrees colder than it boils."""
    i = case("seed-example")["inputs"]
    pressure = convert(i["steam_p_psig"], "psig", "MPa(a)")
    temperature = convert(i["steam_T_F"], "degF", "degC")
    boiling, tolerance = wanted(case("seed-example"))["T_sat_F"]
    found = convert(steam.saturation_temperature(pressure), "degC", "degF")
    assert found == pytest.approx(boiling, abs=tolerance)
    with pytest.raises(DataError, match=r"2\.1 K below saturation \(253\.8 degC\)"):
        superheated(pressure, temperature)


def test_water_above_its_boiling_point_is_flagged():
    with pytest.raises(DataError, match=r"20\.1 K above its boiling point"):
        steam.water(1.0, 200.0)


@given(st.floats(0.001, 21.9))
def test_on_the_line_itself_steam_is_steam_and_water_is_water(pressure):
    """A temperature that a control system computes from the pressure lies there to the last bit."""
    boiling = steam.saturation_temperature(pressure)
    dry, boiled = by_dryness(pressure, 1.0).enthalpy, by_dryness(pressure, 0.0).enthalpy
    assert by_temperature(pressure, boiling).enthalpy == pytest.approx(dry, rel=1e-9)
    assert superheated(pressure, boiling).enthalpy == pytest.approx(dry, rel=1e-9)
    assert steam.water(pressure, boiling).enthalpy == pytest.approx(boiled, rel=1e-9)


def test_above_the_critical_pressure_cold_is_no_steam_and_hot_is_no_water():
    with pytest.raises(DataError, match="below the critical temperature"):
        superheated(25.0, 300.0)
    with pytest.raises(DataError, match="above the critical temperature"):
        steam.water(25.0, 500.0)
    assert superheated(25.0, 540.0).enthalpy > 3_000
    assert steam.water(25.0, 280.0).enthalpy < 1_300


def test_superheat_is_counted_from_the_boiling_point():
    assert superheat(1.0, 200.0) == pytest.approx(20.114, abs=1e-3)
    assert superheat(1.0, 100.0) < 0


BAD = {
    "pressure is not a number": lambda: by_temperature(math.nan, 100.0),
    "temperature is not a number": lambda: by_temperature(1.0, math.inf),
    "enthalpy is not a number": lambda: by_enthalpy(1.0, math.nan),
    "dryness is not a number": lambda: by_dryness(1.0, math.nan),
    r"pressure 0 MPa is outside": lambda: by_temperature(0.0, 100.0),
    r"pressure -1 MPa is outside": lambda: superheated(-1.0, 100.0),
    r"pressure 101 MPa is outside": lambda: by_enthalpy(101.0, 1000.0),
    r"temperature 900 degC is outside 0 to 800": lambda: by_temperature(60.0, 900.0),
    r"temperature -5 degC is outside": lambda: steam.heat_capacity(1.0, -5.0),
    r"dryness 1.2 is outside 0 to 1": lambda: by_dryness(1.0, 1.2),
    r"water does not boil above 22.064 MPa: 25": lambda: steam.saturated(25.0),
    r"water of 400 degC does not boil": lambda: steam.saturation_pressure(400.0),
    r"-100 kJ/kg at 1 MPa is outside IAPWS-IF97": lambda: by_enthalpy(1.0, -100.0),
    r"9000 kJ/kg at 1 MPa is outside IAPWS-IF97": lambda: by_enthalpy(1.0, 9000.0),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_input_is_an_error_with_its_reason(reason):
    with pytest.raises(DataError, match=reason):
        BAD[reason]()


pressures = st.floats(math.log(1e-3), math.log(100.0)).map(math.exp)
boiling_pressures = st.floats(math.log(1e-3), math.log(21.0)).map(math.exp)


@given(boiling_pressures, st.floats(0, 1))
def test_wet_steam_is_a_mixture_and_is_found_again_from_its_enthalpy(pressure, dryness):
    liquid, wet, vapour = (by_dryness(pressure, x) for x in (0, dryness, 1))
    mixed = (1 - dryness) * liquid.enthalpy + dryness * vapour.enthalpy
    assert wet.enthalpy == pytest.approx(mixed, rel=1e-9)
    assert wet.temperature == liquid.temperature == vapour.temperature
    assert by_enthalpy(pressure, wet.enthalpy).dryness == pytest.approx(dryness, abs=1e-9)


@given(pressures, st.floats(1.0, 4_000.0))
def test_temperature_and_enthalpy_lead_to_each_other(pressure, enthalpy):
    try:
        state = by_enthalpy(pressure, enthalpy)
        assume(state.dryness is None)
        again = by_temperature(pressure, state.temperature)
    except DataError:
        assume(False)
    # IF97's backward equations are consistent with the basic ones within 25 mK
    slack = 0.03 * steam.heat_capacity(pressure, state.temperature)
    assert again.enthalpy == pytest.approx(enthalpy, abs=max(slack, 0.01))


@given(st.floats(0.01, 370.0))
def test_pressure_and_temperature_of_saturation_lead_to_each_other(celsius):
    pressure = steam.saturation_pressure(celsius)
    assert steam.saturation_temperature(pressure) == pytest.approx(celsius, abs=1e-6)


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_whatever_is_asked_the_answer_is_a_state_or_an_error(one, other):
    for ask in (by_temperature, by_enthalpy, by_dryness, superheated, steam.water):
        try:
            state = ask(one, other)
        except DataError:
            continue
        assert state.volume > 0
        assert state.enthalpy > -1
        assert math.isfinite(state.entropy)


@pytest.mark.parametrize(
    ("pressure", "temperature", "phase"),
    [
        (1.0, 100.0, "liquid"), (1.0, 200.0, "vapour"), (25.0, 300.0, "liquid"),
        (25.0, 500.0, "supercritical"),
    ],
)  # fmt: skip
def test_the_phase_is_named(pressure, temperature, phase):
    assert by_temperature(pressure, temperature).phase == phase


def test_saturated_states_are_liquid_wet_or_vapour():
    assert [by_dryness(1.0, x).phase for x in (0, 0.5, 1)] == ["liquid", "wet", "vapour"]


def test_the_examples_in_the_docstring_are_true():
    results = doctest.testmod(gl002.boiler.steam)
    assert results.attempted >= 2
    assert results.failed == 0
