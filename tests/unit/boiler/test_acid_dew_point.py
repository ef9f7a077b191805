import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import steam
from gl002.boiler.acid_dew_point import (
    ATMOSPHERE,
    dew_points,
    okkes,
    verhoff_banchero,
    water_dew_point,
)
from gl002.boiler.combustion import excess_air, flue_gas
from gl002.boiler.fuels import FUEL_OIL_6, FUELS, NATURAL_GAS
from gl002.errors import DataError
from unit.boiler.published import case, wanted


def flue(fuel, oxygen=3.0):
    return flue_gas(fuel, excess_air(fuel, oxygen, basis="dry", humidity=0.01), humidity=0.01)


def test_the_worked_example_comes_out():
    each = case("acid-dp-1")
    i = each["inputs"]
    pressure = i["pressure_atm"] * ATMOSPHERE
    so3 = i["SO2_vol"] * i["SO2_to_SO3_mass_fraction"] * 64.064 / 80.063  # from mass to volume
    values = {
        "pH2O_mmHg": i["H2O_vol"] * pressure / 133.322,
        "pSO3_mmHg": so3 * pressure / 133.322,
        "T_K": verhoff_banchero(i["H2O_vol"], so3, pressure=pressure) + 273.15,
    }
    for key, (published, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(published, abs=tolerance)


@given(st.floats(0.05, 0.25), st.floats(0.3e-6, 50e-6))
def test_both_correlations_agree_as_far_as_they_are_known_to(water, so3):
    assert okkes(water, so3) == pytest.approx(verhoff_banchero(water, so3), abs=14)


@given(st.floats(0.05, 0.25), st.floats(0.3e-6, 50e-6))
def test_more_acid_or_more_water_condenses_sooner(water, so3):
    for formula in (okkes, verhoff_banchero):
        assert formula(water, 1.2 * so3) > formula(water, so3)
        assert formula(1.1 * water, so3) > formula(water, so3)


@given(st.floats(0.01, 0.5))
def test_the_dew_point_of_water_is_its_boiling_point_at_that_pressure(share):
    boiling = steam.saturation_temperature(share * ATMOSPHERE / 1e6)
    assert water_dew_point(share) == pytest.approx(boiling, abs=0.3)


def test_gas_condenses_at_55_degrees_and_has_no_acid():
    found = dew_points(NATURAL_GAS, flue(NATURAL_GAS))
    assert found.water == pytest.approx(56.5, abs=1.5)
    assert found.verhoff_banchero is None
    assert found.okkes is None
    assert found.highest == found.water


def test_residual_oil_has_acid_far_above_its_water():
    found = dew_points(FUEL_OIL_6, flue(FUEL_OIL_6), conversion=0.03)
    assert 1e6 * found.so3 == pytest.approx(30, abs=3)
    assert 130 < found.okkes < 160
    assert found.highest == max(found.okkes, found.verhoff_banchero)


@pytest.mark.parametrize("name", FUELS)
def test_every_fuel_has_dew_points_in_order(name):
    found = dew_points(FUELS[name], flue(FUELS[name]))
    assert 25 < found.water < 80
    assert found.highest >= found.water


REFUSED = {
    "water vapour 0 is no share": lambda: water_dew_point(0.0),
    "are no shares": lambda: verhoff_banchero(0.1, 0.0),
    "below what the correlation covers": lambda: okkes(0.1, 1e-9),
    "conversion 0.5": lambda: dew_points(NATURAL_GAS, flue(NATURAL_GAS), conversion=0.5),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_gas_is_refused(reason):
    with pytest.raises(DataError, match=reason):
        REFUSED[reason]()
