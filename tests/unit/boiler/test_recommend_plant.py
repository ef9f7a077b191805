"""Advice on blowdown, pressure and traps, and on projects."""

import dataclasses

import pytest

from gl002.boiler.fuels import FUEL_OIL_6
from gl002.boiler.recommend.blowdown import blowdown, usual_limit
from gl002.boiler.recommend.heat_recovery import air_preheat, economizer
from gl002.boiler.recommend.operation import share_saved
from gl002.boiler.recommend.pressure import pressure_reduction
from gl002.boiler.recommend.steam_traps import Trap, leak, steam_traps
from gl002.errors import DataError
from gl002.units import convert
from unit.boiler.advised_boiler import ECONOMY, EVIDENCE, POINT, WATER, changed, reason
from unit.boiler.published import case, wanted

# ---- blowdown, pressure, traps ----------------------------------------------------------------


def test_blowdown_is_reduced_to_what_the_boiler_water_allows():
    found = blowdown(
        POINT, ECONOMY, EVIDENCE, boiler_solids=1_250, feedwater_solids=100, limit=3_000
    )
    target = found.change["blowdown"]
    assert target == pytest.approx(100 * 100 / 2_700, abs=0.02)
    assert found.constraints[0].kept
    assert found.saving.share.value > 0.005
    assert "roles" not in found.reasons


@pytest.mark.parametrize(
    ("said", "point", "water"),
    [
        ("not known", changed(blowdown=0.0), {}),
        ("at its target", changed(blowdown=3.8), {}),
        ("blow more", POINT, {"boiler_solids": 3_100.0}),
        # as much as it takes to hold 3,600: less than what would hold the limit
        ("blow more", changed(blowdown=2.8), {"boiler_solids": 3_600.0}),
        ("cannot be concentrated", POINT, {"boiler_solids": 50.0}),
    ],
)
def test_blowdown_is_left_alone_where_it_must_be(said, point, water):
    assert said in reason(blowdown(point, ECONOMY, EVIDENCE, **{**WATER, **water}))


def test_usual_limits_fall_with_pressure():
    assert usual_limit(convert(150, "psig", "MPa(a)")) == 3_500
    assert usual_limit(convert(600, "psig", "MPa(a)")) == 2_500
    with pytest.raises(DataError, match="no usual limit"):
        usual_limit(15.0)


def test_pressure_goes_as_low_as_consumers_and_separators_allow():
    found = pressure_reduction(POINT, ECONOMY, EVIDENCE, least=0.95)
    assert found.change["pressure"] == 0.95
    assert found.change["stack_temperature"] < 200.0
    assert 0 < found.saving.share.value < 0.01
    far = pressure_reduction(POINT, ECONOMY, EVIDENCE, least=0.3)
    assert far.change["pressure"] == pytest.approx(0.87, abs=0.02)  # a quarter more volume
    assert "cannot go below" in reason(pressure_reduction(POINT, ECONOMY, EVIDENCE, least=1.1))
    hot = changed(temperature=300.0)
    assert "superheated" in reason(pressure_reduction(hot, ECONOMY, EVIDENCE, least=0.8))


@pytest.mark.parametrize(("pressure", "least"), [(1.1, 0.95), (2.0, 1.6), (4.0, 3.3)])
def test_a_lower_pressure_saves_in_the_stack_and_not_by_poorer_steam(pressure, least):
    """Below 3 MPa steam of less pressure holds less heat: consumers take more kilograms of it."""
    point = changed(pressure=pressure, blowdown=0.0)
    found = pressure_reduction(point, ECONOMY, EVIDENCE, least=least)
    colder = {"stack_temperature": found.change["stack_temperature"]}
    assert found.saving.share.value == pytest.approx(share_saved(point, colder).value, rel=1e-9)
    drained = pressure_reduction(changed(pressure=pressure), ECONOMY, EVIDENCE, least=least)
    assert 0 < drained.saving.share.value - found.saving.share.value < 0.002


def test_a_leaking_trap_loses_what_the_table_says():
    each = case("trap-leak")
    for key, (published, tolerance) in wanted(each).items():
        size, pressure = key.removeprefix("d").split("_p")
        inches = {"0625": 1 / 16, "125": 1 / 8, "250": 1 / 4}[size]
        found = leak(25.4 * inches, convert(float(pressure), "psig", "MPa(a)"))
        pounds = convert(found, "kg/s", "lb/hr")
        assert pounds == pytest.approx(published, abs=tolerance)
        assert pounds == pytest.approx(each["recomputed"][key], rel=1e-3)


def test_traps_are_repaired_for_their_steam():
    traps = [Trap(f"T{n}", 3.2, 1.1) for n in range(5)]
    found = steam_traps(POINT, ECONOMY, EVIDENCE, traps)
    assert found.title == "Repair 5 steam traps (T0, T1, T2, ...)"
    lost = 5 * leak(3.2, 1.1)
    # the blowdown in percent shrinks with the steam, so the share is that of the steam
    assert found.saving.share.value == pytest.approx(lost / 10, rel=1e-3)
    low, high = found.saving.share.band
    assert low > 0
    assert high / found.saving.share.value == pytest.approx(1.6, abs=0.05)
    assert "no trap" in reason(steam_traps(POINT, ECONOMY, EVIDENCE, []))
    assert "does not choke" in reason(steam_traps(POINT, ECONOMY, EVIDENCE, [Trap("T", 3, 0.11)]))
    huge = [Trap("T", 300.0, 1.1)]
    assert "the boiler makes 10" in reason(steam_traps(POINT, ECONOMY, EVIDENCE, huge))


# ---- projects ---------------------------------------------------------------------------------


def test_an_economizer_cools_the_gas_as_far_as_feedwater_and_dew_point_allow():
    found = economizer(POINT, ECONOMY, EVIDENCE)
    assert found.project
    assert found.change["stack_temperature"] == pytest.approx(130.0)  # feedwater and 25 K
    assert 100 * found.saving.share.value == pytest.approx(3.7, abs=0.3)
    assert {each.name for each in found.constraints} == {"dew point", "cold metal", "boiling"}


def test_sour_fuel_and_cold_feedwater_forbid_an_economizer():
    sour = dataclasses.replace(POINT, fuel=FUEL_OIL_6)
    assert "dew point of" in reason(economizer(sour, ECONOMY, EVIDENCE))


def test_an_air_heater_stops_at_what_the_burner_stands():
    found = air_preheat(POINT, ECONOMY, EVIDENCE, most_air=80.0)
    assert 150 < found.change["stack_temperature"] < 165
    assert any("nitrogen oxides" in each for each in found.reasons)
    assert "cannot go below" in reason(
        air_preheat(changed(stack_temperature=75.0), ECONOMY, EVIDENCE)
    )


def test_an_air_heater_whose_coldest_metal_is_below_the_dew_point_says_so():
    """It is half way between the gas that leaves and the air that enters."""
    sour = dataclasses.replace(changed(stack_temperature=250.0), fuel=FUEL_OIL_6)
    found = air_preheat(sour, ECONOMY, EVIDENCE)
    metal = (found.change["stack_temperature"] + 25) / 2
    assert f"its coldest metal has about {metal:.0f} degC" in found.reasons[-1]
    mild = air_preheat(POINT, ECONOMY, EVIDENCE, most_air=80.0)
    assert not any("coldest metal" in each for each in mild.reasons)
