import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import economizer, exchanger, steam
from gl002.boiler.air_leakage import air_by_carbon, air_by_nitrogen, leakage, mixed_temperature
from gl002.boiler.combustion import flue_gas
from gl002.boiler.fuels import FUEL_OIL_2, NATURAL_GAS, gas
from gl002.boiler.gases import air_heat
from gl002.errors import DataError
from gl002.units import convert
from unit.boiler.published import case, wanted

FLUE = flue_gas(NATURAL_GAS, 0.15, humidity=0.01)


def recovered(shares, hot, cold, output, efficiency) -> float:
    """MMBtu/h given by the flue gas of a boiler of this output, dry air."""
    fuel = gas(shares)
    share = economizer.gas_heat(flue_gas(fuel, 0.15), hot, cold) / fuel.hhv
    return output / efficiency * share


def celsius(fahrenheit: float) -> float:
    return convert(fahrenheit, "degF", "degC")


def test_recoverable_heat_is_that_of_first_principles():
    """The table of the tip sheet itself is 25 % high."""
    each = case("doe-tip3-table-public")
    i = each["inputs"]
    for key, (expected, tolerance) in wanted(each).items():
        initial, output = key.removeprefix("T").split("_out")
        found = recovered(
            i["fuel_molpct"], celsius(float(initial)), celsius(i["final_T_F"]), float(output),
            i["boiler_efficiency_HHV"],
        )  # fmt: skip
        assert found == pytest.approx(expected, abs=tolerance)
        assert found == pytest.approx(expected, rel=2e-3)


def test_the_worked_economizer_of_the_tip_sheet():
    each = case("doe-tip3-example")
    i = each["inputs"]
    pressure = convert(i["steam_p_psig"], "psig", "MPa(a)")
    vapour = steam.saturated(pressure).enthalpy
    feed = steam.water(pressure, celsius(i["feedwater_F"])).enthalpy
    output = convert(i["steam_lb_h"] * convert(vapour - feed, "kJ/kg", "Btu/lb"), "Btu", "MMBtu")
    shares = case("doe-tip3-table-public")["inputs"]["fuel_molpct"]
    heat = recovered(shares, celsius(i["stack_F"]), celsius(i["final_F"]), output, i["efficiency"])
    published = wanted(each)
    for key, value in (("thermal_output_MMBtu_h", output), ("recovered_MMBtu_h", heat)):
        assert value == pytest.approx(published[key][0], abs=published[key][1])
    # the sheet's dollars follow from its own 4.6 MMBtu/h
    saved = 4.6 / i["efficiency"] * i["hours"] * i["price_usd_MMBtu"]
    assert saved == pytest.approx(published["saving_usd_yr"][0], abs=1)


@given(st.floats(0.05, 6.0), st.floats(0.0, 1.0))
def test_effectiveness_and_transfer_units_lead_to_each_other(units, ratio):
    share = exchanger.effectiveness(units, ratio)
    assert 0 < share < 1
    assert exchanger.transfer_units(share, ratio) == pytest.approx(units, rel=1e-5)


def test_the_limits_of_effectiveness_are_those_of_the_textbooks():
    assert exchanger.effectiveness(2.0, 0.0) == pytest.approx(1 - math.exp(-2))
    assert exchanger.effectiveness(2.0, 1.0) == pytest.approx(2 / 3)
    assert exchanger.effectiveness(2.0, 0.9999) == pytest.approx(2 / 3, abs=1e-4)


@given(
    st.floats(200, 400), st.floats(60, 120), st.floats(2, 30), st.floats(5, 80), st.floats(1, 60)
)
def test_what_the_gas_loses_the_water_gains(gas_in, water_in, gas_capacity, water_capacity, ua):
    hot, cold = economizer.outlet(
        gas_in, water_in, gas_capacity=gas_capacity, water_capacity=water_capacity, ua=ua
    )
    assert gas_capacity * (gas_in - hot) == pytest.approx(water_capacity * (cold - water_in))
    assert water_in < cold < gas_in
    assert water_in < hot < gas_in


READINGS = {
    "gas_in": 290.0, "gas_out": 150.0, "water_flow": 10.0, "pressure": 2.5, "water_in": 105.0,
}  # fmt: skip


def consistent(fuel_flow=0.035):
    """The water's outlet temperature that the heat of the gas makes."""
    heat = fuel_flow * economizer.gas_heat(FLUE, READINGS["gas_in"], READINGS["gas_out"])
    cold = steam.water(READINGS["pressure"], READINGS["water_in"]).enthalpy
    hot = steam.by_enthalpy(READINGS["pressure"], cold + heat / READINGS["water_flow"])
    return {**READINGS, "water_out": hot.temperature}


def test_a_sound_economizer_balances_and_its_heat_transfer_predicts_it():
    given_ = consistent()
    found = economizer.evaluate(FLUE, 0.035, **given_)
    assert found.disagreement == pytest.approx(0, abs=1e-3)
    assert found.reasons == ()
    assert found.effectiveness == pytest.approx((290 - 150) / (290 - 105), abs=1e-3)
    hot, cold = economizer.outlet(
        290.0, 105.0, gas_capacity=found.gas_capacity, water_capacity=found.water_capacity,
        ua=found.ua,
    )  # fmt: skip
    assert hot == pytest.approx(150, abs=0.1)
    assert cold == pytest.approx(given_["water_out"], abs=0.1)


@pytest.mark.parametrize(("factor", "side"), [(1.3, "water"), (0.7, "gas")])
def test_sides_that_do_not_agree_are_told_which_shows_more(factor, side):
    given_ = consistent()
    rise = factor * (given_["water_out"] - 105.0)
    found = economizer.evaluate(FLUE, 0.035, **{**given_, "water_out": 105.0 + rise})
    assert found.reasons[0].startswith(f"the {side} side shows")
    assert "passes by" in found.reasons[0]


def test_more_heat_than_a_perfect_one_moves_is_told():
    """Within what the sides may differ, and yet no economizer does that."""
    heat = 0.035 * economizer.gas_heat(FLUE, 290.0, 108.0)
    cold = steam.water(2.5, 105.0).enthalpy
    warm = steam.by_enthalpy(2.5, cold + 1.12 * heat / 10.0).temperature
    found = evaluated(gas_out=108.0, water_out=warm)
    assert found.effectiveness > 1
    assert found.reasons == ("104 % of what a perfect economizer would move: a reading is wrong",)


def test_a_deposit_is_a_resistance():
    assert economizer.fouling_factor(8.0, 10.0, 200.0) == pytest.approx(200 / 8 - 200 / 10)
    assert economizer.at_gas_flow(10.0, 5.0, 10.0) == pytest.approx(10 * 2**0.6)


def test_the_feedwater_decides_about_corrosion():
    assert economizer.cold_end(140.0, 130.0) is None
    assert "keeps the metal below the dew point of 130" in economizer.cold_end(105.0, 130.0)


def evaluated(**changed):
    return economizer.evaluate(FLUE, 0.035, **{**consistent(), **changed})


REFUSED = {
    "cannot exchange heat": lambda: evaluated(gas_out=100.0),
    "no flow of fuel or water": lambda: economizer.evaluate(FLUE, 0.0, **consistent()),
    "above its boiling point": lambda: evaluated(water_out=240.0),
    "are no exchanger": lambda: exchanger.effectiveness(-1.0, 0.5),
    "effectiveness 1 at": lambda: exchanger.transfer_units(1.0, 0.5),
    "must be above 0": lambda: economizer.fouling_factor(0.0, 1.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_readings_no_economizer_has_are_refused(reason):
    with pytest.raises(DataError, match=reason):
        REFUSED[reason]()


def test_air_that_leaks_in_is_found_from_two_analyses():
    each = case("eco-leak")
    i = each["inputs"]
    before, behind = (
        air_by_nitrogen(i[place]["N2"], i[place]["CO2"], 0.0, i["C_pct"])
        for place in ("inlet", "outlet")
    )
    leak = behind - before
    share = leak * i["cp_air"] / ((before + i["fuel_through_chimney"]) * i["cp_gas"])
    drop = i["T_gas_in_C"] - mixed_temperature(i["T_gas_in_C"], i["T_air_C"], share)
    for value, (published, tolerance) in zip((leak, drop), wanted(each).values(), strict=True):
        assert value == pytest.approx(published, abs=tolerance)


def test_air_to_fuel_from_an_exhaust_analysis():
    each = case("petrol-air")
    i = each["inputs"]
    ratio = air_by_carbon(
        i["C"], i["H"], dioxide=100 * i["CO2"], monoxide=100 * i["CO"], oxygen=100 * i["O2"],
        nitrogen=100 * i["N2"],
    )  # fmt: skip
    least = (i["C"] * 32 / 12 + i["H"] * 8) / 0.23
    values = {
        "air_fuel": ratio, "stoich": least, "excess_pct": 100 * (ratio / least - 1),
    }  # fmt: skip
    for key, (published, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(published, abs=tolerance)


@given(st.floats(1.0, 8.0), st.floats(0.0, 1.0))
def test_a_leak_of_known_size_is_found_from_oxygen(oxygen, leak):
    behind = (oxygen + leak * 20.95) / (1 + leak)
    assert leakage(oxygen, behind) == pytest.approx(leak, abs=1e-9)


def test_exchanged_probes_are_no_leak():
    with pytest.raises(DataError, match="probes may be exchanged"):
        leakage(5.0, 4.0)
    with pytest.raises(DataError, match="without carbon dioxide"):
        air_by_nitrogen(79.0, 0.0, 0.0, 80.0)


def test_heat_of_the_gas_is_that_of_its_gases():
    only_air = dataclasses.replace(
        flue_gas(FUEL_OIL_2, 0.0), co2=0.0003, so2=0.0, o2=0.2095, n2=0.7808, ar=0.0094, h2o=0.0
    )
    assert economizer.gas_heat(only_air, 200, 100) == pytest.approx(air_heat(200, 100))
