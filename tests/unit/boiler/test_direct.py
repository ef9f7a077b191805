import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import steam
from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import NATURAL_GAS, ultimate
from gl002.boiler.methods.direct import WaterSide, direct, normal_flow, output
from gl002.errors import DataError
from gl002.units import convert
from unit.boiler.published import case, wanted

KCAL = 4.1868
BOILER = WaterSide(steam_flow=10.0, pressure=1.5, feedwater_temperature=105.0)


def oil(heat: float):
    return ultimate({"C": 87.0, "H": 13.0}, hhv=heat, name="oil")


def test_the_calculator_of_the_us_department_of_energy_comes_out():
    """A unit test of MEASUR; its steam tables are wrong for wet steam at 20 MPa."""
    each = case("measur-boiler-1")
    i = each["inputs"]
    # dryness 0.2959 at 20 MPa is the enthalpy of 2000 kJ/kg it gives
    water = WaterSide(
        steam_flow=i["steam_flow_kg_h"] / 3600, pressure=i["steam_p_MPa"],
        dryness=steam.by_enthalpy(i["steam_p_MPa"], i["steam_h_kJ_kg"]).dryness,
        feedwater_temperature=steam.saturation_temperature(i["deaerator_p_MPa"]),
        drum_pressure=i["steam_p_MPa"], blowdown=i["blowdown_pct_of_feedwater"],
        blowdown_basis="feedwater",
    )  # fmt: skip
    found = output(water)
    deaerator = steam.by_dryness(i["deaerator_p_MPa"], 0.0).enthalpy
    feed, blown = 3600 * found.feedwater_flow, 3600 * found.blowdown_flow
    heat = 45 * found.steam_enthalpy + blown * found.blowdown_enthalpy - feed * deaerator
    values = {
        "feedwater_flow": feed, "feedwater_energy": feed * deaerator, "blowdown_flow": blown,
        "blowdown_energy": blown * found.blowdown_enthalpy, "boiler_energy": heat,
        "fuel_energy": heat / 0.85,
    }  # fmt: skip
    for key, (value, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(value, abs=tolerance), key


def test_the_worked_example_of_the_guide_book_comes_out():
    """Given in enthalpies: the state with that of the steam is looked up first."""
    each = case("bee-direct")
    i = each["inputs"]
    pressure = 1.0
    vapour = steam.by_enthalpy(pressure, i["h_steam_kcal_kg"] * KCAL)
    feed = steam.by_enthalpy(pressure, i["h_feed_kcal_kg"] * KCAL)
    found = direct(
        oil(i["GCV_kcal_kg"] * KCAL),
        i["coal_t_h"] / 3.6,
        WaterSide(
            steam_flow=i["steam_t_h"] / 3.6, pressure=pressure, temperature=vapour.temperature,
            feedwater_temperature=feed.temperature,
        ),
    )  # fmt: skip
    published = wanted(each)
    assert found.efficiency == pytest.approx(published["efficiency"][0], abs=0.01)
    assert found.details["evaporation_kg_per_kg"] == pytest.approx(
        published["evaporation_ratio"][0], abs=published["evaporation_ratio"][1]
    )


def seed_example():
    i = case("seed-example")["inputs"]
    water = WaterSide(
        steam_flow=convert(i["steam_lb_h"], "lb/hr", "kg/s"),
        pressure=convert(i["steam_p_psig"], "psig", "MPa(a)"),
        temperature=convert(i["steam_T_F"], "degF", "degC"),
        feedwater_temperature=convert(i["feedwater_F"], "degF", "degC"),
    )
    fuel = oil(convert(i["HHV_Btu_lb"], "Btu/lb", "kJ/kg"))
    return fuel, convert(i["fuel_lb_h"], "lb/hr", "kg/s"), water


def test_steam_below_saturation_gives_no_efficiency():
    fuel, fuel_flow, water = seed_example()
    with pytest.raises(DataError, match="below saturation"):
        direct(fuel, fuel_flow, water)


def test_the_same_steam_declared_saturated_gives_one():
    fuel, fuel_flow, water = seed_example()
    found = direct(fuel, fuel_flow, dataclasses.replace(water, temperature=None))
    value, tolerance = wanted(case("seed-example"))["direct_efficiency_if_saturated_vapour"]
    assert found.efficiency == pytest.approx(value, abs=tolerance)


def test_direct_and_indirect_agree_where_everything_is_known():
    now = Conditions(
        oxygen=3.0, basis="dry", stack_temperature=180.0, air_temperature=25.0, surface_loss=0.7
    )
    exact = indirect(NATURAL_GAS, now).efficiency_hhv
    heat = output(BOILER)
    fuel_flow = heat.steam / (exact / 100 * NATURAL_GAS.hhv)
    found = direct(NATURAL_GAS, fuel_flow, BOILER)
    assert found.efficiency == pytest.approx(exact, abs=1e-9)
    assert (found.method, found.basis) == ("direct", "HHV")


@given(st.floats(0, 20), st.sampled_from(["feedwater", "steam"]))
def test_blowdown_raises_what_the_fuel_gave_but_never_the_useful_steam(percent, basis):
    without = direct(NATURAL_GAS, 0.03, BOILER)
    blown = dataclasses.replace(BOILER, blowdown=percent, blowdown_basis=basis)
    found = direct(NATURAL_GAS, 0.03, blown)
    assert found.efficiency >= without.efficiency
    assert found.details["useful_steam_pct"] == pytest.approx(without.details["useful_steam_pct"])
    assert found.blowdown_basis == basis


def test_blowdown_without_its_basis_is_refused():
    with pytest.raises(DataError, match="4 % of what"):
        output(dataclasses.replace(BOILER, blowdown=4.0))


def test_a_wrong_meter_is_told_from_a_good_boiler():
    with pytest.raises(DataError, match="more heat comes out"):
        direct(NATURAL_GAS, 0.02, BOILER)
    with pytest.raises(DataError, match="fuel flow 0 is not above 0"):
        direct(NATURAL_GAS, 0.0, BOILER)
    with pytest.raises(DataError, match="steam flow nan"):
        output(dataclasses.replace(BOILER, steam_flow=float("nan")))


def test_a_gas_meter_counts_kilomoles_at_stated_conditions():
    assert normal_flow(22.41397) == pytest.approx(1, rel=1e-6)
    per_hour = convert(36_000, "scfh", "Nm3/s")
    assert normal_flow(per_hour) == pytest.approx(36_000 / 3600 / 379.48 * 0.453592, rel=1e-3)
