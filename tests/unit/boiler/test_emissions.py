import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import emissions
from gl002.boiler.combustion import excess_air, flue_gas
from gl002.boiler.fuels import FUELS, NATURAL_GAS, gas
from gl002.errors import DataError
from gl002.units import convert
from unit.boiler.published import case, wanted

METHANE = gas({"CH4": 100})


def test_the_f_factor_of_the_method_is_that_of_its_equation():
    each = case("epa-m19-fd")
    i = each["inputs"]
    found = emissions.dry_factor_by_analysis(i["C"], i["H"], heat=i["GCV_Btu_lb"])
    published, tolerance = wanted(each)["Fd_dscf_MMBtu"]
    assert found == pytest.approx(published, abs=tolerance)
    assert found == pytest.approx(each["recomputed"]["Fd_dscf_MMBtu"], abs=0.01)


def test_the_f_factor_from_the_atoms_is_that_of_the_equation():
    assert emissions.dry_factor(METHANE) == pytest.approx(8_629, rel=3e-3)


@pytest.mark.parametrize("name", ["natural_gas", "fuel_oil_2", "subbituminous", "wood_dry"])
def test_carbon_dioxide_of_the_atoms_is_near_that_of_the_reporting_rules(name):
    found = convert(emissions.carbon_dioxide(FUELS[name]), "kg/GJ", "kg/MMBtu")
    assert found == pytest.approx(emissions.REPORTED_CO2[name], rel=0.026)


def test_every_fuel_can_be_reported():
    assert emissions.REPORTED_CO2.keys() == FUELS.keys()
    assert emissions.carbon_dioxide(FUELS["hydrogen"]) == 0


def test_thirty_ppm_of_nitrogen_oxides_are_the_36_thousandths_of_a_pound_everyone_knows():
    """30 ppm at 3 % O2 on natural gas: 0.036 lb/MMBtu."""
    found = emissions.method_19(30.0, "NOx", 3.0, factor=8_710)
    assert convert(found, "kg/GJ", "lb/MMBtu") == pytest.approx(0.0364, abs=2e-4)


@given(st.floats(0.5, 10), st.sampled_from(["NOx", "CO", "SO2"]))
def test_the_method_and_the_exact_flue_gas_agree(oxygen, pollutant):
    flue = flue_gas(NATURAL_GAS, excess_air(NATURAL_GAS, oxygen, basis="dry"))
    exact = emissions.per_heat(50.0, pollutant, NATURAL_GAS, flue)
    ruled = emissions.method_19(50.0, pollutant, oxygen, factor=emissions.dry_factor(NATURAL_GAS))
    assert ruled == pytest.approx(exact, rel=0.012)


def test_diluting_the_gas_changes_nothing_at_the_reference():
    assert emissions.at_reference_oxygen(30.0, 3.0) == pytest.approx(30.0)
    diluted, oxygen = 30.0 / 2, (3.0 + 20.9) / 2
    assert emissions.at_reference_oxygen(diluted, oxygen) == pytest.approx(30.0)
    assert emissions.at_reference_oxygen(100.0, 6.0, reference=11.0) == pytest.approx(66.4, abs=0.1)


def test_ppm_become_milligrams():
    assert emissions.milligrams(100.0, "CO") == pytest.approx(125.0, abs=0.1)
    assert emissions.milligrams(100.0, "NOx") == pytest.approx(205.3, abs=0.2)


REFUSED = {
    "is that of air": lambda: emissions.at_reference_oxygen(30.0, 20.9),
    "oxygen 21 % is that of air": lambda: emissions.method_19(30.0, "CO", 21.0, factor=8_710),
    "is not above 0": lambda: emissions.dry_factor_by_analysis(75.0, 25.0, heat=0.0),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_says_nothing_about_the_fuel_is_refused(reason):
    with pytest.raises(DataError, match=reason):
        REFUSED[reason]()
