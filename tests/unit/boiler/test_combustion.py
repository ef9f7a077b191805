import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import losses
from gl002.boiler.combustion import excess_air, flue_gas, oxygen_of_air, theoretical_air
from gl002.boiler.fuels import NATURAL_GAS, gas
from gl002.boiler.gases import AIR, HUMIDITY_MOLES
from unit.boiler.published import case, wanted

METHANE = gas({"CH4": 100})

oxygen = st.floats(0.0, 18.0)
humidity = st.floats(0.0, 0.05)
monoxide = st.floats(0.0, 5_000.0)
bases = st.sampled_from(["wet", "dry"])


def test_excess_air_on_dry_gas_is_that_of_the_tip_sheet_for_methane():
    for key, (published, tolerance) in wanted(case("doe-tip4-public")).items():
        if key.startswith("EA"):
            found = 100 * excess_air(METHANE, float(key.removeprefix("EA_O2_")), basis="dry")
            assert found == pytest.approx(published, abs=tolerance)


def test_excess_air_of_the_us_tool_is_met_within_its_own_accuracy():
    each = case("measur-excess-air")
    shares = dict(each["inputs"]["fuel_molpct"])
    shares["n-C4H10"] = shares.pop("C4H10")
    fuel = gas(shares)
    found = [100 * excess_air(fuel, o2, basis="dry") for o2 in each["inputs"]["O2_dry_pct"]]
    for value, (published, tolerance), exact in zip(
        found, wanted(each).values(), each["recomputed"].values(), strict=True
    ):
        assert value == pytest.approx(published, abs=tolerance)
        assert value == pytest.approx(exact, abs=0.01)


def test_a_wet_reading_taken_for_dry_is_four_points_of_excess_air_off():
    wet = excess_air(NATURAL_GAS, 3.0, basis="wet", humidity=0.010)
    dry = excess_air(NATURAL_GAS, 3.0, basis="dry", humidity=0.010)
    assert 100 * wet == pytest.approx(18.8, abs=0.1)
    assert 100 * dry == pytest.approx(15.1, abs=0.1)


@given(oxygen, bases, monoxide, humidity)
def test_the_flue_gas_has_the_oxygen_and_the_monoxide_it_was_computed_from(o2, basis, co, water):
    excess = excess_air(NATURAL_GAS, o2, basis=basis, carbon_monoxide=co, humidity=water)
    flue = flue_gas(NATURAL_GAS, excess, carbon_monoxide=co, humidity=water)
    found = flue.oxygen_wet if basis == "wet" else flue.oxygen_dry
    assert found == pytest.approx(o2, rel=1e-9, abs=1e-9)
    assert 1e6 * flue.co / flue.dry == pytest.approx(co, rel=1e-9, abs=1e-9)


@given(st.floats(-0.02, 20.0), monoxide, humidity)
def test_atoms_that_go_in_come_out(excess, co, water):
    fuel, flue = NATURAL_GAS, flue_gas(NATURAL_GAS, excess, carbon_monoxide=co, humidity=water)
    air, vapour = flue.air, HUMIDITY_MOLES * water * flue.air
    assert flue.co2 + flue.co == pytest.approx(fuel.carbon + AIR.co2 * air, rel=1e-9)
    assert 2 * flue.h2o == pytest.approx(fuel.hydrogen + 2 * vapour, rel=1e-9)
    assert 2 * flue.n2 == pytest.approx(fuel.nitrogen + 2 * AIR.n2 * air, rel=1e-9)
    assert 2 * flue.o2 + 2 * flue.co2 + flue.co + flue.h2o == pytest.approx(
        fuel.oxygen + (2 * AIR.o2 + 2 * AIR.co2) * air + vapour, rel=1e-9
    )


@given(st.floats(0.0, 5.0), humidity)
def test_dry_oxygen_is_always_more_than_wet(excess, water):
    flue = flue_gas(NATURAL_GAS, excess, humidity=water)
    assert flue.oxygen_wet <= flue.oxygen_dry < oxygen_of_air("dry", water)


def test_monoxide_without_oxygen_means_that_air_was_short():
    assert excess_air(NATURAL_GAS, 0.0, basis="wet", carbon_monoxide=5_000) < 0


def test_all_air_is_theoretical_air_where_nothing_is_left_over():
    flue = flue_gas(NATURAL_GAS, 0.0)
    assert flue.air == theoretical_air(NATURAL_GAS)
    assert flue.oxygen_dry == 0


@pytest.mark.parametrize("basis", ["wet", "dry"])
def test_arrays_give_what_their_elements_give(basis):
    o2, co, water = (
        np.array([1.0, 3.0, 8.0]),
        np.array([0.0, 50.0, 500.0]),
        np.array([0.0, 0.01, 0.03]),
    )
    excess = excess_air(NATURAL_GAS, o2, basis=basis, carbon_monoxide=co, humidity=water)
    flue = flue_gas(NATURAL_GAS, excess, carbon_monoxide=co, humidity=water)
    dry = losses.dry_gas(NATURAL_GAS, flue, np.array([120.0, 180.0, 300.0]), 25.0)
    for i, stack in enumerate((120.0, 180.0, 300.0)):
        one = excess_air(
            NATURAL_GAS, float(o2[i]), basis=basis, carbon_monoxide=float(co[i]),
            humidity=float(water[i]),
        )  # fmt: skip
        single = flue_gas(NATURAL_GAS, one, carbon_monoxide=float(co[i]), humidity=float(water[i]))
        assert excess[i] == pytest.approx(one)
        assert flue.oxygen_wet[i] == pytest.approx(single.oxygen_wet)
        assert dry[i] == pytest.approx(losses.dry_gas(NATURAL_GAS, single, stack, 25.0))
