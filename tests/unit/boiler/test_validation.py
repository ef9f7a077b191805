import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import steam, validation
from gl002.boiler.combustion import excess_air, flue_gas, theoretical_air
from gl002.boiler.fuels import BITUMINOUS, NATURAL_GAS
from gl002.boiler.gases import AIR
from gl002.boiler.steady import unsteady
from gl002.boiler.validation import dioxide_at, oxygen_by_flows
from gl002.errors import DataError
from gl002.model import is_bad, severity

CHANCE = np.random.default_rng(4)
NOISE = CHANCE.normal(0, 0.1, 400)
LIVELY = 3.0 + NOISE


def test_a_value_no_boiler_has_is_bad_and_says_its_limits():
    found = validation.out_of_range("stack_temperature", 900.0)
    assert is_bad(found.quality)
    assert found.reason == "stack temperature 900 degC is outside -40 to 600"
    assert validation.out_of_range("stack_temperature", 180.0) is None
    assert "not a number" in validation.out_of_range("oxygen", float("nan")).reason


def test_a_change_faster_than_the_process_is_told_with_its_speed():
    times = np.arange(5.0)
    assert validation.too_fast("pressure", times, np.array([1, 1.01, 1.0, 1.01, 1.0]), 0.1) is None
    found = validation.too_fast("pressure", times, np.array([1, 1, 1.5, 1.5, 1.5]), 0.1)
    assert "0.5 MPa(a) a second" in found.reason


def test_an_instrument_that_lost_its_noise_is_stuck():
    assert validation.stuck("oxygen", LIVELY, 0.1) is None
    found = validation.stuck("oxygen", np.full(30, 3.21), 0.1)
    assert found.reason == "oxygen stands still at 3.21 %: stuck"
    assert is_bad(found.quality)
    assert validation.stuck("oxygen", np.full(10, 3.21), 0.1) is None  # too few to say
    assert validation.stuck("load", np.full(30, 80.0), 0.0) is None  # never had any


def test_twenty_times_the_noise_is_told():
    assert validation.noisy("oxygen", LIVELY, 0.1) is None
    found = validation.noisy("oxygen", 3 + 20 * NOISE, 0.1)
    assert "scatters 2" in found.reason


def test_spikes_are_told_from_a_step_of_the_process():
    step = LIVELY + np.where(np.arange(400) > 200, 3.0, 0.0)
    assert validation.spiky("oxygen", step, 0.1) is None
    spikes = LIVELY.copy()
    spikes[[50, 150, 250]] += 5
    assert "3 times" in validation.spiky("oxygen", spikes, 0.1).reason


def test_scatter_ignores_what_moves_slowly():
    ramp = LIVELY + np.linspace(0, 10, 400)
    assert validation.scatter(ramp) == pytest.approx(0.1, rel=0.15)


def test_zeros_shown_together_are_a_dead_analyser_one_zero_is_none():
    dead = validation.dead_analyser(
        {"oxygen": 0.0, "stack_temperature": 0.0, "carbon_monoxide": 0.0}
    )
    assert [finding.role for finding in dead] == ["oxygen", "carbon_monoxide", "stack_temperature"]
    assert "zero together" in dead[0].reason
    assert validation.dead_analyser({"oxygen": 3.0, "carbon_monoxide": 0.0}) == []


def test_two_tags_of_one_instrument_are_found_by_their_noise():
    walk = np.cumsum(CHANCE.normal(0, 0.01, 400))
    own = {
        "steam_flow": 10 + walk + NOISE,
        "feedwater_flow": 10 + walk + CHANCE.normal(0, 0.1, 400),
    }
    assert list(validation.duplicates(own)) == []
    same = {**own, "fuel_flow": own["steam_flow"] * 0.07}
    found = list(validation.duplicates(same))
    assert {finding.role for finding in found} == {"steam_flow", "fuel_flow"}
    assert "two tags of one instrument" in found[0].reason


@given(st.floats(0.5, 12), st.sampled_from(["wet", "dry"]))
def test_oxygen_and_dioxide_of_one_gas_go_together(oxygen, basis):
    dioxide = dioxide_at(NATURAL_GAS, oxygen, basis)
    assert validation.carbon_dioxide(NATURAL_GAS, oxygen, dioxide, basis) is None


def test_a_wet_reading_declared_dry_is_recognised():
    flue = flue_gas(
        BITUMINOUS, excess_air(BITUMINOUS, 5.0, basis="wet", humidity=0.01), humidity=0.01
    )
    found = validation.carbon_dioxide(BITUMINOUS, flue.oxygen_wet, 100 * flue.co2 / flue.wet, "dry")
    assert found.reason.endswith("the readings fit wet gas, dry is declared")


def test_readings_of_no_fuel_are_told_without_a_guess():
    found = validation.carbon_dioxide(NATURAL_GAS, 3.0, 6.0, "dry")
    assert "does not go with oxygen 3.0 % of natural_gas (10.2 % expected)" in found.reason
    assert "declared" not in found.reason
    with pytest.raises(DataError, match="that of air"):
        validation.carbon_dioxide(NATURAL_GAS, 21.0, 6.0, "dry")


@given(st.floats(0.2, 15), st.sampled_from(["wet", "dry"]))
def test_air_and_fuel_let_expect_the_oxygen_they_make(oxygen, basis):
    excess = excess_air(NATURAL_GAS, oxygen, basis=basis, humidity=0.01)
    air = theoretical_air(NATURAL_GAS) * (1 + excess) * AIR.mass * 1.01
    found = oxygen_by_flows(NATURAL_GAS, np.array([air]), np.array([1.0]), basis)
    assert found[0] == pytest.approx(oxygen, abs=1e-6)


def test_no_fuel_makes_no_oxygen():
    assert np.isnan(oxygen_by_flows(NATURAL_GAS, np.array([1.0]), np.array([0.0]), "wet"))[0]


def test_gauge_pressure_declared_absolute_is_recognised():
    boiling = steam.saturation_temperature(1.1)
    assert validation.saturation(1.1, boiling) is None
    found = validation.saturation(1.1 - 0.101_325, boiling)
    assert "would fit if the pressure were gauge" in found.reason
    other = validation.saturation(1.1 + 0.101_325, boiling)
    assert "absolute, taken for gauge" in other.reason
    assert "would fit" not in validation.saturation(1.1, boiling + 40).reason


def test_slips_of_units_are_recognised():
    assert validation.known_factor(2.21) == (2.2046, "2.2 times (lb for kg)")
    assert validation.known_factor(0.1) == (0.1, "a tenth of")
    assert validation.known_factor(1.3) is None


def test_a_clock_apart_from_the_others_is_told():
    assert validation.skewed("oxygen", 100.0, np.array([99.0, 101.0])) is None
    assert (
        "3600 s ahead of" in validation.skewed("oxygen", 3_700.0, np.array([99, 100, 101.0])).reason
    )


def test_every_finding_has_a_role_a_unit_and_a_severity():
    for role in validation.LIMITS:
        found = validation.out_of_range(role, 1e9)
        assert found.role == role
        assert severity(found.quality) == "bad"


# ---- steady state -----------------------------------------------------------------------------

TIMES = np.arange(0, 1_200, 10.0)


def rest(**changed):
    n = TIMES.size
    calm = np.random.default_rng(1)
    given_ = {
        "times": TIMES,
        "steam_flow": 10 + calm.normal(0, 0.05, n),
        "pressure": 2 + calm.normal(0, 0.002, n),
        "oxygen": 3 + calm.normal(0, 0.1, n),
    }
    return unsteady(**{**given_, **changed}, full_steam=14.0)


def test_a_boiler_at_rest_is_steady():
    assert rest() == ()


UNSTEADY = {
    "steam flow varies by": {"steam_flow": 10 + np.sin(TIMES / 100)},
    "pressure falls": {"pressure": 2 - TIMES / 60 * 0.02},
    "pressure rises": {"pressure": 2 + TIMES / 60 * 0.02},
    "oxygen varies by": {"oxygen": 3 + np.sin(TIMES / 50)},
    "load 14% is below 25%": {"steam_flow": np.full(TIMES.size, 2.0)},
    "soot blowing": {"busy": "soot blowing"},
}


@pytest.mark.parametrize("reason", UNSTEADY)
def test_what_keeps_a_boiler_from_rest_is_said(reason):
    assert any(reason in said for said in rest(**UNSTEADY[reason]))


def test_only_the_last_ten_minutes_count():
    restless = np.where(TIMES < 500, 13.0, 10.0) + np.random.default_rng(1).normal(
        0, 0.05, TIMES.size
    )
    assert rest(steam_flow=restless) == ()


def test_too_short_a_record_is_not_called_steady():
    short = {
        name: np.full(5, value)
        for name, value in (("steam_flow", 10.0), ("pressure", 2.0), ("oxygen", 3.0))
    }
    assert "less than half" in unsteady(np.arange(5.0), **short, full_steam=14.0)[0]
