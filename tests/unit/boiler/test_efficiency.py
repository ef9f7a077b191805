import dataclasses
import doctest
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gl002.boiler.efficiency
from gl002.boiler.efficiency import RANGES, Conditions, indirect
from gl002.boiler.fuels import BITUMINOUS, NATURAL_GAS, Fuel, gas
from gl002.boiler.losses import Residue, ash_heat
from gl002.errors import DataError
from unit.boiler.published import case, residual_oil, wanted

USUAL = Conditions(oxygen=3.0, basis="dry", stack_temperature=180.0, air_temperature=25.0)


def _gas_of(inputs) -> Fuel:
    return gas(inputs["fuel"]["molpct"], hhv=inputs["HHV_kJ_per_unit"])


@pytest.mark.parametrize("name", ["exact-ng-1", "exact-oil-1"])
def test_every_loss_is_within_two_thousandths_of_the_reference(name):
    each = case(name)
    i = each["inputs"]
    found = indirect(
        residual_oil() if "mass" in i["fuel"] else _gas_of(i),
        Conditions(
            oxygen=i["O2"], basis=i["basis"], stack_temperature=i["Tg"], air_temperature=i["Ta"],
            carbon_monoxide=i["CO"], humidity=i["w"], surface_loss=0.0,
        ),
    )  # fmt: skip
    exact = each["expected"]
    assert found.loss_dry_gas == pytest.approx(exact["dry"], abs=2e-3)
    assert found.loss_hydrogen == pytest.approx(exact["H2"], abs=2e-3)
    assert found.loss_fuel_moisture == pytest.approx(exact["moist"], abs=2e-3)
    assert found.loss_air_moisture == pytest.approx(exact["airm"], abs=2e-3)
    assert found.loss_co == pytest.approx(exact["CO"], abs=2e-3)
    assert found.credit_air == pytest.approx(exact["credit"], abs=2e-3)
    assert found.efficiency_hhv == pytest.approx(exact["stack_eff"], abs=2e-3)
    # the reference leaves the half mole of oxygen beside each CO out of its excess air
    assert 100 * found.flue.excess_air == pytest.approx(exact["EA_pct"], abs=0.02)
    assert found.flue.carbon_dioxide_dry == pytest.approx(exact["CO2_dry"], abs=2e-3)
    assert found.flue.oxygen_wet == pytest.approx(exact["O2_wet"], abs=3e-3)


def test_less_oxygen_saves_the_fuel_of_the_reference():
    each = case("rec-o2")
    i = each["inputs"]
    fuel = gas(i["fuel_molpct"])
    before, after = (
        indirect(
            fuel,
            Conditions(
                oxygen=o2, basis="dry", stack_temperature=i["Tg"], air_temperature=25.0,
                surface_loss=i["other_losses_pct"],
            ),
        ).efficiency_hhv
        for o2 in (i["o2_from"], i["o2_to"])
    )  # fmt: skip
    values = {"eta1": before, "eta2": after, "fuel_saving_pct": 100 * (1 - before / after)}
    for key, (expected, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(expected, abs=tolerance)


def _stack_efficiency(fuel: Fuel, oxygen: float, rise_fahrenheit: float) -> float:
    """Stack losses only, against the temperature of the air, dry air of 60 degF."""
    air = (60 - 32) / 1.8
    now = Conditions(
        oxygen=oxygen, basis="dry", stack_temperature=air + rise_fahrenheit / 1.8,
        air_temperature=air, humidity=0.0, surface_loss=0.0,
    )  # fmt: skip
    return indirect(fuel, now, reference=air).efficiency_hhv


@pytest.mark.parametrize(
    ("name", "shares", "prefix"),
    [
        ("measur-stack-ng-public", None, ""),
        ("doe-tip4-public", {"CH4": 100}, "eff_"),
    ],
)
def test_stack_efficiency_agrees_with_the_published_tables(name, shares, prefix):
    each = case(name)
    fuel = gas(shares or each["inputs"]["fuel_molpct"])
    points = {key: value for key, value in wanted(each).items() if key.startswith(f"{prefix}O2")}
    assert len(points) == 10
    for key, (published, tolerance) in points.items():
        _, oxygen, rise = key.removeprefix(prefix).split("_")
        found = _stack_efficiency(fuel, float(oxygen), float(rise.removeprefix("dT")))
        assert found == pytest.approx(published, abs=tolerance)
        assert found == pytest.approx(each["recomputed"][key], abs=3e-3)


def test_a_real_boiler_is_met_within_half_a_point():
    each = case("ubc-rows-public")
    fuel = gas(each["inputs"]["fuel_molpct"])
    differences = []
    for point in each["points"]:
        now = Conditions(
            oxygen=point["O2"], basis="dry", stack_temperature=point["Tg_C"],
            air_temperature=each["inputs"]["air_T_C"], surface_loss=0.0,
        )  # fmt: skip
        differences.append(indirect(fuel, now).efficiency_hhv - point["expected_plant_efficiency"])
    assert max(map(abs, differences)) < each["tolerance_abs"]["*"]
    assert statistics.mean(differences) == pytest.approx(-0.29, abs=0.25)


conditions = st.builds(
    Conditions,
    oxygen=st.floats(0.1, 12.0),
    basis=st.sampled_from(["wet", "dry"]),
    stack_temperature=st.floats(110.0, 350.0),
    air_temperature=st.floats(-20.0, 100.0),
    carbon_monoxide=st.floats(0.0, 2_000.0),
    humidity=st.floats(0.0, 0.04),
    load=st.floats(0.2, 1.1),
    surface_loss=st.floats(0.1, 2.0),
)


@given(conditions)
def test_efficiency_is_what_the_losses_leave(now):
    b = indirect(NATURAL_GAS, now)
    lost = (
        b.loss_dry_gas + b.loss_hydrogen + b.loss_fuel_moisture + b.loss_air_moisture
        + b.loss_co + b.loss_surface
    )  # fmt: skip
    assert b.efficiency_hhv == pytest.approx(100 - lost + b.credit_air, rel=1e-12)
    assert min(b.loss_dry_gas, b.loss_hydrogen, b.loss_surface) > 0
    assert b.efficiency_lhv * NATURAL_GAS.lhv == pytest.approx(b.efficiency_hhv * NATURAL_GAS.hhv)


@given(conditions)
def test_more_air_or_a_hotter_stack_never_helps(now):
    best = indirect(NATURAL_GAS, now).efficiency_hhv
    more_air = dataclasses.replace(now, oxygen=now.oxygen + 0.5)
    hotter = dataclasses.replace(now, stack_temperature=now.stack_temperature + 5)
    assert indirect(NATURAL_GAS, more_air).efficiency_hhv < best
    assert indirect(NATURAL_GAS, hotter).efficiency_hhv < best


def test_the_sensitivities_are_those_operators_know():
    at_200 = dataclasses.replace(USUAL, stack_temperature=200.0)
    base = indirect(NATURAL_GAS, at_200).efficiency_hhv

    def change(**changed: float) -> float:
        return indirect(NATURAL_GAS, dataclasses.replace(at_200, **changed)).efficiency_hhv - base

    assert change(oxygen=4.0) == pytest.approx(-0.35, abs=0.05)
    assert change(stack_temperature=222.2) == pytest.approx(-0.95, abs=0.05)
    assert change(carbon_monoxide=100.0) == pytest.approx(-0.03, abs=0.01)


def test_the_surface_loss_is_a_constant_power():
    half = indirect(NATURAL_GAS, dataclasses.replace(USUAL, load=0.5, surface_loss=0.8))
    assert half.loss_surface == pytest.approx(1.6)


def test_a_result_says_what_it_is_and_what_it_came_from():
    found = indirect(NATURAL_GAS, USUAL)
    assert (found.method, found.basis, found.reference) == ("ptc4_style", "HHV", 25.0)
    assert found.conditions is USUAL
    assert found.conditions.basis == "dry"
    assert found.fuel is NATURAL_GAS
    said = found.summary()
    assert (said.method, said.basis, said.oxygen_basis) == ("ptc4_style", "HHV", "dry")
    assert said.efficiency == 100 - sum(said.losses.values()) + said.credits["air"]
    assert said.inputs["oxygen"] == 3.0
    assert said.inputs["humidity"] == 0.010
    assert said.reasons == ()


SLAG, FLY = Residue(share=0.2, carbon=15.0, temperature=1_000.0), Residue(share=0.8, carbon=6.0)


def test_carbon_in_the_ash_is_heat_not_given_and_air_not_needed():
    clean = indirect(BITUMINOUS, USUAL)
    found = indirect(BITUMINOUS, dataclasses.replace(USUAL, residues=(SLAG, FLY)))
    carbon = BITUMINOUS.ash * (0.2 * 15 / 85 + 0.8 * 6 / 94)
    assert found.loss_unburnt_carbon == pytest.approx(100 * carbon * 33_700 / BITUMINOUS.hhv)
    assert found.loss_unburnt_carbon == pytest.approx(1.07, abs=0.01)
    assert found.loss_dry_gas < clean.loss_dry_gas
    assert found.flue.excess_air == pytest.approx(clean.flue.excess_air, rel=0.01)


def test_ash_carries_the_heat_of_where_it_leaves():
    found = indirect(BITUMINOUS, dataclasses.replace(USUAL, residues=(SLAG, FLY)))
    slag = BITUMINOUS.ash * 0.2 / 0.85 * ash_heat(1_000.0, 25.0)
    fly = BITUMINOUS.ash * 0.8 / 0.94 * ash_heat(180.0, 25.0)
    assert found.loss_ash == pytest.approx(100 * (slag + fly) / BITUMINOUS.hhv)


@pytest.mark.parametrize(("celsius", "kilojoule"), [(190.0, 141.0), (1_093.3, 1_199.0)])
def test_the_heat_of_ash_is_near_the_curve_of_boiler_tests(celsius, kilojoule):
    """0.16 T + 1.09e-4 T^2 - 2.843e-8 T^3 - 12.95 Btu/lb over degF."""
    assert ash_heat(celsius, 25.0) == pytest.approx(kilojoule, rel=0.05)


def test_a_solid_fuel_without_an_ash_analysis_says_what_was_assumed():
    assert indirect(BITUMINOUS, USUAL).reasons == (
        "carbon in the ash not given: all carbon counted as burnt",
    )
    assert indirect(NATURAL_GAS, USUAL).reasons == ()


@pytest.mark.parametrize(
    ("residues", "reason"),
    [
        ((Residue(share=0.5, carbon=5.0),), "do not add up to 1"),
        ((Residue(share=1.0, carbon=95.0),), "95 % is outside 0 to 90"),
        ((Residue(share=1.0, carbon=89.9),), "more carbon than bituminous brings"),
    ],
)
def test_residues_no_boiler_has_are_refused(residues, reason):
    with pytest.raises(DataError, match=reason):
        indirect(BITUMINOUS, dataclasses.replace(USUAL, residues=residues))


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("side", ["low", "high", "nan"])
def test_inputs_no_boiler_can_have_are_refused_by_name(name, side):
    value = {
        "low": RANGES[name].low - 1e-3, "high": RANGES[name].high + 1e-3, "nan": math.nan,
    }[side]  # fmt: skip
    with pytest.raises(DataError, match=name.replace("_", " ")):
        indirect(NATURAL_GAS, dataclasses.replace(USUAL, **{name: value}))


@pytest.mark.parametrize(
    ("basis", "humidity", "oxygen"), [("dry", 0.0, 20.9), ("wet", 0.03, 20.0), ("wet", 0.0, 20.9)]
)
def test_the_oxygen_of_air_is_no_flue_gas(basis, humidity, oxygen):
    with pytest.raises(DataError, match="is that of air"):
        indirect(
            NATURAL_GAS, dataclasses.replace(USUAL, basis=basis, humidity=humidity, oxygen=oxygen)
        )


def test_a_stack_colder_than_its_air_is_refused():
    with pytest.raises(DataError, match="below the air temperature"):
        indirect(NATURAL_GAS, dataclasses.replace(USUAL, stack_temperature=20.0))


def test_a_dead_thermometer_in_fahrenheit_is_said_as_zero_and_not_as_a_rest_of_its_conversion():
    dead = Conditions(oxygen=3.0, basis="dry", stack_temperature=3.553e-14, air_temperature=24.87)
    with pytest.raises(DataError, match=r"temperature 0 degC is below .* 24\.9 degC$"):
        indirect(NATURAL_GAS, dead)


def test_losses_beyond_the_heat_of_the_fuel_give_no_number():
    with pytest.raises(DataError, match="losses are larger"):
        indirect(NATURAL_GAS, dataclasses.replace(USUAL, oxygen=20.5, stack_temperature=500.0))


def test_the_example_in_the_docstring_is_true():
    results = doctest.testmod(gl002.boiler.efficiency)
    assert results.attempted >= 3
    assert results.failed == 0
