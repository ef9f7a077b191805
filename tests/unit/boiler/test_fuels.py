import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler.analysis import Fuel, heat_of_elements
from gl002.boiler.fuels import (
    BIOGAS,
    BITUMINOUS,
    FUEL_OIL_2,
    FUELS,
    HYDROGEN,
    NATURAL_GAS,
    PROPANE,
    SUBBITUMINOUS,
    gas,
    hydrogen_blend,
    mixture,
    normal_heat,
    ultimate,
    wood,
)  # fmt: skip
from gl002.boiler.gases import ATOMIC_MASS, CONDENSATION, WATER_MASS, Air
from gl002.errors import DataError
from unit.boiler.published import case, residual_oil, wanted


def test_natural_gas_is_what_the_configuration_calls_natural_gas():
    assert FUELS["natural_gas"] is NATURAL_GAS
    assert normal_heat(NATURAL_GAS) == pytest.approx(40_540, abs=20)
    assert NATURAL_GAS.lhv / NATURAL_GAS.hhv == pytest.approx(0.903, abs=0.001)


def test_the_heating_value_of_a_composition_is_that_of_the_reference_case():
    inputs = case("exact-ng-1")["inputs"]
    found = gas(inputs["fuel"]["molpct"]).hhv  # ISO 6976:2016; the case took the 1995 edition
    assert found == pytest.approx(inputs["HHV_kJ_per_unit"], rel=1e-4)


@pytest.mark.parametrize("species", ["CH4", "C2H6", "C3H8"])
def test_pure_gases_need_the_air_of_the_textbooks(species):
    fuel = gas({species: 100})
    published = wanted(case("stoich-pure"))
    air = fuel.oxygen_demand / 0.2095
    ratio, tolerance = published[f"{species}_AFR"]
    assert air * Air().mass / fuel.mass == pytest.approx(ratio, abs=tolerance)
    richest, tolerance = published[f"{species}_CO2max"]
    share = 100 * fuel.carbon / (fuel.carbon + air * (1 - 0.2095))
    assert share == pytest.approx(richest, abs=tolerance)


def test_carbon_dioxide_per_heat_is_that_of_the_reporting_rules():
    each = wanted(case("co2-factors"))
    oil = ultimate({"C": 87.3, "H": 12.6}, hhv=45_500.0)
    for fuel, key in ((NATURAL_GAS, "ng"), (oil, "oil2")):
        published, tolerance = each[key]
        kilogram = fuel.carbon * 44.0098 / fuel.hhv * 1_055_055.85
        assert kilogram == pytest.approx(published, abs=tolerance)


def test_a_composition_is_brought_to_a_hundred_percent():
    assert gas({"CH4": 99.8}).hhv == pytest.approx(890_580)


def test_a_measured_heating_value_replaces_the_computed_one():
    assert gas({"CH4": 100}, hhv=891_000.0).hhv == 891_000.0


def test_lower_and_higher_heating_value_differ_by_the_water_that_condenses():
    assert gas({"H2": 100}).hhv - gas({"H2": 100}).lhv == pytest.approx(CONDENSATION)
    assert gas({"CO": 100}).hhv == gas({"CO": 100}).lhv


def test_an_unknown_gas_is_named_with_those_that_are_known():
    with pytest.raises(DataError, match=r"unknown gas \['Xe'\].*CH4"):
        gas({"CH4": 90, "Xe": 10})


@pytest.mark.parametrize(
    "shares", [{"CH4": 90}, {"CH4": 110, "N2": -10}, {"CH4": math.nan}, {"CH4": 0.9, "N2": 0.1}, {}]
)
def test_shares_that_are_no_composition_are_refused(shares):
    with pytest.raises(DataError, match="add up"):
        gas(shares)


def test_a_fuel_by_mass_has_no_standard_volume():
    with pytest.raises(DataError, match="per kg"):
        normal_heat(residual_oil())


# 40 CFR 98, table C-1 (2016), kg CO2 per MMBtu of HHV; national averages of the class
REPORTED = {
    "natural_gas": 53.06, "propane": 62.87, "fuel_oil_2": 73.96, "fuel_oil_6": 75.10,
    "bituminous": 93.28, "subbituminous": 97.17, "lignite": 97.72, "wood_green": 93.80,
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTED)
def test_typical_fuels_have_the_carbon_per_heat_of_their_class(name):
    fuel = FUELS[name]
    kilogram = fuel.carbon * 44.0098 / fuel.hhv * 1_055_055.85
    assert kilogram == pytest.approx(REPORTED[name], rel=0.04)


# 40 CFR 60, appendix A, method 19, table 19-2: dry flue gas without excess air, dscf/MMBtu
F_FACTORS = {
    "natural_gas": 8_710, "propane": 8_710, "fuel_oil_2": 9_190, "fuel_oil_6": 9_190,
    "bituminous": 9_780, "subbituminous": 9_820, "lignite": 9_860, "wood_green": 9_240,
}  # fmt: skip


@pytest.mark.parametrize("name", F_FACTORS)
def test_typical_fuels_give_the_flue_gas_of_their_class(name):
    fuel = FUELS[name]
    dry = fuel.carbon + fuel.sulphur + fuel.nitrogen / 2 + 0.7905 / 0.2095 * fuel.oxygen_demand
    assert dry * 24.055 * 35.3147 / fuel.hhv * 1_055_055.85 == pytest.approx(
        F_FACTORS[name], rel=0.02
    )


@pytest.mark.parametrize("name", FUELS)
def test_every_fuel_is_consistent_with_itself(name):
    fuel = FUELS[name]
    assert fuel.name == name
    assert 0.75 < fuel.lhv / fuel.hhv < 0.97
    assert fuel.hhv_uncertainty > 0
    assert fuel.per == "kmol" or fuel.mass == pytest.approx(1, abs=0.001)
    assert (fuel.water > 0) == (fuel.water_uncertainty > 0)
    share = {
        element: getattr(fuel, field) * ATOMIC_MASS[element] / fuel.mass
        for element, field in zip(
            "CHONS", ("carbon", "hydrogen", "oxygen", "nitrogen", "sulphur"), strict=True
        )
    }
    if fuel is not HYDROGEN and fuel is not BIOGAS:  # outside what the correlation was made of
        estimate = heat_of_elements(share, fuel.ash / fuel.mass)
        assert fuel.hhv / fuel.mass == pytest.approx(estimate, rel=0.03)


def test_lhv_to_hhv_is_the_ratio_engineers_know():
    ratios = {"natural_gas": 0.903, "fuel_oil_2": 0.94, "bituminous": 0.955, "hydrogen": 0.846}
    for name, ratio in ratios.items():
        assert FUELS[name].lhv / FUELS[name].hhv == pytest.approx(ratio, abs=0.003)
    assert gas({"CH4": 100}).lhv / gas({"CH4": 100}).hhv == pytest.approx(0.9012, abs=0.001)


def test_an_analysis_of_dry_or_ash_free_fuel_is_the_same_fuel():
    as_received = ultimate(
        {"C": 60.0, "H": 4.0, "O": 8.0, "N": 1.0, "S": 2.0}, moisture=15.0, ash=10.0, hhv=24_000.0
    )
    dry = ultimate(
        {key: value / 0.85 for key, value in {"C": 60, "H": 4, "O": 8, "N": 1, "S": 2}.items()},
        basis="dry", moisture=15.0, ash=10 / 0.85, hhv=24_000 / 0.85,
    )  # fmt: skip
    pure = ultimate(
        {key: value / 0.75 for key, value in {"C": 60, "H": 4, "O": 8, "N": 1, "S": 2}.items()},
        basis="ash_free", moisture=15.0, ash=10 / 0.85, hhv=24_000 / 0.75,
    )  # fmt: skip
    for other in (dry, pure):
        for field in dataclasses.fields(Fuel):
            if field.type == "float":
                assert getattr(other, field.name) == pytest.approx(getattr(as_received, field.name))


def test_a_heating_value_that_was_not_measured_comes_from_the_elements_and_says_so():
    """Illinois No. 6 again: measured 27,113 kJ/kg."""
    elements = {"C": 63.75, "H": 4.50, "O": 6.88, "N": 1.25, "S": 2.51}
    found = ultimate(elements, moisture=11.12, ash=9.99)
    assert found.hhv == pytest.approx(27_113, rel=0.015)
    assert found.hhv_uncertainty == 0.015


@given(st.floats(0, 70), st.floats(0, 6))
def test_wetter_wood_is_dry_wood_and_water(moisture, ash):
    wet, dry = wood(moisture, ash=ash), wood(0, ash=ash)
    assert wet.hhv == pytest.approx(dry.hhv * (1 - moisture / 100))
    assert wet.water == pytest.approx(moisture / 100 / WATER_MASS)
    assert wet.mass == pytest.approx(1, abs=1e-9)
    assert wet.lhv < wet.hhv


def test_half_wet_wood_has_the_lower_heating_value_of_the_trade():
    """About 8.2 MJ/kg, 2.3 kWh/kg; dry wood 18.8."""
    assert wood(50, ash=0.5).lhv == pytest.approx(8_200, abs=150)
    assert wood(0, ash=0.5).lhv == pytest.approx(18_750, abs=200)


def test_a_tenth_of_hydrogen_brings_a_thirtieth_of_the_heat():
    blend = hydrogen_blend(NATURAL_GAS, 10.0)
    assert blend.per == "kmol"
    assert 0.1 * HYDROGEN.hhv / blend.hhv == pytest.approx(0.0338, abs=0.0005)
    assert hydrogen_blend(NATURAL_GAS, 0).hhv == pytest.approx(NATURAL_GAS.hhv)
    assert hydrogen_blend(NATURAL_GAS, 100).hydrogen == pytest.approx(HYDROGEN.hydrogen)


def test_coal_and_wood_together_have_the_heat_and_atoms_of_both():
    both = mixture([(BITUMINOUS, 80), (wood(30), 20)], by="heat", name="co-firing")
    coal = 0.8 * both.hhv / BITUMINOUS.hhv
    chips = 0.2 * both.hhv / wood(30).hhv
    assert (both.name, both.per) == ("co-firing", "kg")
    assert coal + chips == pytest.approx(1)
    assert both.carbon == pytest.approx(coal * BITUMINOUS.carbon + chips * wood(30).carbon)
    assert both.ash == pytest.approx(coal * BITUMINOUS.ash + chips * wood(30).ash)
    assert both.hhv_uncertainty < BITUMINOUS.hhv_uncertainty


def test_gas_and_oil_burn_together_per_kilogram():
    both = mixture([(NATURAL_GAS, 1), (FUEL_OIL_2, 1)], by="mass")
    assert both.per == "kg"
    assert both.mass == pytest.approx(1)
    assert both.hhv == pytest.approx((NATURAL_GAS.hhv / NATURAL_GAS.mass + FUEL_OIL_2.hhv) / 2)


def test_a_mixture_with_itself_is_itself():
    for by in ("heat", "mass", "volume"):
        both = mixture([(PROPANE, 3), (PROPANE, 1)], by=by)
        assert both.hhv == pytest.approx(PROPANE.hhv)
        assert both.hydrogen == pytest.approx(PROPANE.hydrogen)


REFUSED = {
    r"unknown element \['Cl'\]": lambda: ultimate({"C": 90, "Cl": 10}),
    r"moisture 90 % is outside": lambda: ultimate({"C": 10}, moisture=90),
    r"add up to 70 %": lambda: ultimate({"C": 60}, moisture=10),
    r"add up": lambda: ultimate({"C": 110, "O": -10}),
    r"needs parts": lambda: mixture([], by="heat"),
    r"shares of 0 or more": lambda: mixture([(PROPANE, -1), (HYDROGEN, 2)], by="heat"),
    r"all shares are 0": lambda: mixture([(PROPANE, 0)], by="mass"),
    r"only gases": lambda: mixture([(SUBBITUMINOUS, 1)], by="volume"),
    r"hydrogen 120 % is outside": lambda: hydrogen_blend(NATURAL_GAS, 120),
    r"half water is 50, not 100": lambda: wood(100),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_fuel_is_refused_with_its_reason(reason):
    with pytest.raises(DataError, match=reason):
        REFUSED[reason]()
