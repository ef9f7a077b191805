import dataclasses
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from gl002.boiler.bands import Instruments
from gl002.boiler.baseline import STACK_TERMS, fit
from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import FUEL_OIL_6, NATURAL_GAS, gas
from gl002.boiler.methods.direct import WaterSide
from gl002.boiler.recommend.advice import advise, instruments
from gl002.boiler.recommend.blowdown import blowdown, usual_limit
from gl002.boiler.recommend.heat_recovery import air_preheat, economizer
from gl002.boiler.recommend.kinds import Declined, Recommendation
from gl002.boiler.recommend.operation import (
    Economy,
    Evidence,
    OperatingPoint,
    fuel_heat,
    share_saved,
)
from gl002.boiler.recommend.oxygen_trim import (
    STEP,
    BurnerCurve,
    TrimHistory,
    lowest_clean_oxygen,
    oxygen_trim,
)
from gl002.boiler.recommend.pressure import pressure_reduction
from gl002.boiler.recommend.soot_blowing import Stack, economic_interval, soot_blowing
from gl002.boiler.recommend.steam_traps import Trap, leak, steam_traps
from gl002.boiler.tariff import Period, Tariff
from gl002.boiler.uncertainty import Accuracy, Estimate, fuel_saving
from gl002.boiler.validation import Finding
from gl002.errors import DataError
from gl002.model import Quality
from gl002.units import convert
from unit.boiler.published import case, wanted

HOUR = 3_600_000_000_000
EVIDENCE = Evidence(start=0, end=10 * HOUR)
POINT = OperatingPoint(
    boiler="boiler1",
    fuel=NATURAL_GAS,
    conditions=Conditions(
        oxygen=5.0, basis="dry", stack_temperature=200.0, air_temperature=25.0, load=0.7,
        carbon_monoxide=15.0,
    ),
    water=WaterSide(
        steam_flow=10.0, pressure=1.1, feedwater_temperature=105.0, blowdown=8.0,
        blowdown_basis="feedwater",
    ),
    makeup_temperature=15.0,
)  # fmt: skip
ECONOMY = Economy(
    fuel_heat=fuel_heat(POINT), price=35.0, price_now=40.0, hours=8_000, mean_heat=25_000.0
)
CURVE = BurnerCurve([(0.25, 5.0), (0.6, 3.2), (1.0, 2.8)])


def changed(**fields) -> OperatingPoint:
    return POINT.changed(fields)


def reason(advice) -> str:
    assert isinstance(advice, Declined), advice
    return advice.reason


# ---- savings ----------------------------------------------------------------------------------


def test_a_saving_is_the_fuel_times_the_share_everyone_knows():
    each = case("doe-tip4-example")
    i = each["inputs"]
    share = fuel_saving(Estimate(value=i["E2"]), Estimate(value=i["E1"])).value
    values = {
        "saved_MMBtu_yr": share * i["fuel_MMBtu_yr"],
        "saved_usd_yr": share * i["fuel_MMBtu_yr"] * i["price_usd_MMBtu"],
    }
    for key, (published, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(published, abs=tolerance)


def test_savings_from_less_oxygen_and_less_stack_are_computed_together_and_not_added():
    fuel = gas(case("rec-o2")["inputs"]["fuel_molpct"])
    hot = dataclasses.replace(POINT, fuel=fuel).changed(
        {
            "oxygen": 6.0, "stack_temperature": 230.0, "surface_loss": 1.5, "load": 1.0,
            "carbon_monoxide": 0.0,
        }
    )  # fmt: skip

    def saved(start, **change):
        return 100 * share_saved(start, change).value

    at_200 = hot.changed({"stack_temperature": 200.0})
    assert saved(at_200, oxygen=3.0) == pytest.approx(1.45, abs=0.01)
    assert saved(hot.changed({"oxygen": 3.0}), stack_temperature=200.0) == pytest.approx(
        1.60, abs=0.01
    )
    assert saved(hot, oxygen=3.0, stack_temperature=200.0) == pytest.approx(3.30, abs=0.01)


def test_less_blowdown_saves_twice_as_much_with_its_make_up_water():
    """8 to 4 % at 11 bar: 0.65 % of the fuel within the boiler's own envelope."""
    within = dataclasses.replace(POINT, makeup_temperature=None)
    envelope = share_saved(within, {"blowdown": 4.0}).value
    whole = share_saved(POINT, {"blowdown": 4.0}).value
    assert 100 * envelope == pytest.approx(0.65, abs=0.05)
    assert whole / envelope == pytest.approx(2.0, abs=0.25)


def test_what_the_instruments_show_wrong_before_and_after_cancels():
    share = share_saved(POINT, {"oxygen": 3.5})
    assert share.value == pytest.approx(0.0064, abs=0.0006)
    assert share.standard < 0.1 * share.value
    assert share.contributions["surface_loss"] < 1e-4


def test_a_target_that_is_reached_by_chance_widens_the_band():
    sure = share_saved(POINT, {"stack_temperature": 190.0})
    unsure = share_saved(POINT, {"stack_temperature": 190.0}, spread={"stack_temperature": 5.0})
    assert unsure.value == sure.value
    assert unsure.standard == pytest.approx(
        math.hypot(sure.standard, sure.value / 10 * 5), rel=0.02
    )


def test_fuel_that_no_meter_shows_comes_from_steam_and_efficiency():
    found = fuel_heat(POINT)
    eta = indirect(NATURAL_GAS, POINT.conditions).efficiency_hhv
    assert found.value == pytest.approx(10 * (2780.7 - 440.9) / eta * 100, rel=0.05)
    assert 0.01 < found.standard / found.value < 0.03


def test_an_operating_point_has_no_other_fields():
    with pytest.raises(DataError, match="has no colour"):
        POINT.changed({"colour": 1.0})


# ---- oxygen -----------------------------------------------------------------------------------


def test_the_target_is_the_commissioned_curve_with_its_margin():
    found = oxygen_trim(POINT, ECONOMY, EVIDENCE, curve=CURVE)
    assert isinstance(found, Recommendation)
    target = CURVE.at(0.7) + 0.3
    assert found.target == {"oxygen, % dry": pytest.approx(target)}
    assert found.title == f"Lower the oxygen setpoint from 5.0 to {target:.1f} % (dry)"
    assert found.saving.share.significant()
    assert found.saving.confidence > 0.99
    assert any("without carbon monoxide" in each for each in found.reasons)
    assert found.expires == EVIDENCE.end + EVIDENCE.valid
    assert found.id == "boiler1.oxygen_trim"


def test_money_and_dioxide_follow_from_the_fuel():
    found = oxygen_trim(POINT, ECONOMY, EVIDENCE, curve=CURVE).saving
    share = found.share.value
    assert found.per_hour.fuel.value == pytest.approx(share * ECONOMY.fuel_heat.value / 1000)
    assert found.per_hour.money.value == pytest.approx(40 * found.per_hour.fuel.value)
    assert found.per_year.fuel.value == pytest.approx(share * 25 * 8_000)
    assert found.per_year.money.value == pytest.approx(35 * found.per_year.fuel.value)
    assert found.per_year.co2.value == pytest.approx(0.182 * found.per_year.fuel.value, rel=0.01)
    low, high = found.per_year.money.band
    assert low < found.per_year.money.value < high


def history(knee: float, lowest: float = 2.0) -> TrimHistory:
    chance = np.random.default_rng(3)
    oxygen = chance.uniform(lowest, 6.0, 4_000)
    monoxide = 15 + 60 * np.exp((knee - oxygen) / 0.2) + chance.normal(0, 3, 4_000)
    return TrimHistory(
        load=chance.uniform(0.5, 0.9, 4_000), oxygen=oxygen, carbon_monoxide=monoxide
    )


def test_carbon_monoxide_limits_the_target_where_it_begins():
    clean = lowest_clean_oxygen(history(4.0), 0.7, 100.0)
    assert 4.0 < clean.oxygen < 4.5
    assert clean.dirty_below
    found = oxygen_trim(POINT, ECONOMY, EVIDENCE, curve=CURVE, history=history(4.0))
    assert found.change["oxygen"] == clean.oxygen
    assert [each.name for each in found.constraints] == ["commissioned curve", "CO limit"]
    assert all(each.kept for each in found.constraints)


def test_the_target_is_never_below_the_commissioned_curve():
    found = oxygen_trim(POINT, ECONOMY, EVIDENCE, curve=CURVE, history=history(0.0))
    assert found.change["oxygen"] == pytest.approx(CURVE.at(0.7) + 0.3)
    for knee in np.linspace(0, 4.4, 12):
        found = oxygen_trim(POINT, ECONOMY, EVIDENCE, curve=CURVE, history=history(float(knee)))
        if isinstance(found, Recommendation):
            assert found.change["oxygen"] >= CURVE.at(0.7) + 0.3


def test_less_oxygen_than_the_boiler_ever_ran_with_is_tried_one_step_at_a_time():
    known = history(0.0, lowest=4.0)
    clean = lowest_clean_oxygen(known, 0.7, 100.0)
    assert clean.oxygen >= 4.0
    assert not clean.dirty_below
    found = oxygen_trim(POINT, ECONOMY, EVIDENCE, curve=CURVE, history=known)
    assert found.change["oxygen"] == clean.oxygen - STEP
    assert "one step" in found.reasons[-1]


def test_a_few_readings_are_too_few_to_be_clean_and_enough_to_be_dirty():
    """Twenty minutes of 500 ppm are no reason to go there."""
    oxygen = np.concatenate([np.full(2_000, 4.1), np.full(20, 3.6)])
    known = TrimHistory(
        load=np.full(oxygen.size, 0.7), oxygen=oxygen,
        carbon_monoxide=np.where(oxygen < 3.75, 500.0, 20.0),
    )  # fmt: skip
    assert lowest_clean_oxygen(known, 0.7, 100.0) == (4.25, True)
    few = TrimHistory(
        load=known.load, oxygen=known.oxygen, carbon_monoxide=np.full(oxygen.size, 20.0)
    )
    assert lowest_clean_oxygen(few, 0.7, 100.0) == (4.25, False)
    above = dataclasses.replace(known, oxygen=np.where(oxygen < 3.75, 8.0, oxygen))
    assert lowest_clean_oxygen(above, 0.7, 100.0) == (4.25, False)  # no matter for the knee


def test_of_a_load_that_was_never_run_nothing_is_known():
    assert lowest_clean_oxygen(history(0.0), 0.2, 100.0) is None


def test_oxygen_is_left_alone_where_it_must_be():
    assert "is at its target" in reason(
        oxygen_trim(changed(oxygen=3.4), ECONOMY, EVIDENCE, curve=CURVE)
    )
    smoky = changed(carbon_monoxide=300.0)
    assert "above its limit" in reason(
        oxygen_trim(smoky, ECONOMY, EVIDENCE, curve=CURVE, history=history(4.0))
    )
    unknown = changed(load=0.2)
    assert "not known well enough" in reason(
        oxygen_trim(unknown, ECONOMY, EVIDENCE, curve=CURVE, history=history(4.0))
    )
    stuck = Finding("stuck", "oxygen", Quality.BAD_SENSOR_FAILURE, "oxygen stands still: stuck")
    doubted = dataclasses.replace(POINT, findings=(stuck,))
    assert "oxygen stands still" in reason(oxygen_trim(doubted, ECONOMY, EVIDENCE, curve=CURVE))


def test_a_curve_needs_rising_loads():
    with pytest.raises(DataError, match="loads rising"):
        BurnerCurve([(1.0, 3.0), (0.5, 4.0)])
    assert CURVE.at(0.1) == 5.0
    assert CURVE.at(0.8) == pytest.approx(3.0)


def test_nothing_is_advised_whose_saving_lies_within_its_uncertainty():
    loose = Instruments(given={"oxygen": Accuracy(absolute=2.5, meaning="standard")})
    found = soot(excess=1.0, point=dataclasses.replace(POINT, instruments=loose), spread=9.0)
    assert "within its uncertainty" in reason(found) or "as warm as a clean one" in reason(found)


# ---- soot -------------------------------------------------------------------------------------


def clean_baseline(deviation=1.5):
    chance = np.random.default_rng(1)
    n = 400
    load, inlet = chance.uniform(0.3, 1.0, n), chance.uniform(95, 110, n)
    oxygen = chance.uniform(2.5, 6.0, n)
    stack = 100 + 90 * load + 0.6 * inlet + chance.normal(0, deviation, n)
    record = {
        "load": load,
        "load^2": load**2,
        "feedwater_temperature": inlet,
        "oxygen": oxygen,
        "stack_temperature": stack,
    }
    return fit("boiler1.stack", "stack_temperature", STACK_TERMS, record)


def soot(excess=10.0, *, hours=200, cost=60.0, point=POINT, spread=1.5, clean=50, economy=ECONOMY):
    chance = np.random.default_rng(2)
    times = np.arange(float(hours))
    growth = np.maximum(times - clean, 0) / max(hours - clean, 1) * excess
    stack = Stack(hours=times, excess=growth + chance.normal(0, spread, hours))
    return soot_blowing(
        point, economy, EVIDENCE, baseline=clean_baseline(spread), stack=stack, cost=cost
    )


def test_soot_is_cleaned_when_it_pays():
    found = soot()
    assert isinstance(found, Recommendation)
    assert found.change["stack_temperature"] == pytest.approx(190, abs=1.5)
    assert 100 * found.saving.share.value == pytest.approx(0.53, abs=0.1)
    assert "of the fuel a day" in found.reasons[0]


def test_a_year_of_cleaning_is_without_what_soot_takes_back_and_the_cleanings_cost():
    found = soot()
    due, lost, number, cost = (
        float(found.reasons[1].split(before)[1].split()[0].replace(",", ""))
        for before in ("every ", "h, ", "and ", "cost ")
    )
    assert number == pytest.approx(8_000 / due, rel=0.01)
    assert cost == pytest.approx(60 * number, rel=0.01)
    burnt = 25 * 8_000  # MWh a year
    # where both costs are least, they are equal
    assert lost / 100 * burnt * 35 == pytest.approx(cost, rel=0.05)
    hour, year = found.saving.per_hour, found.saving.per_year
    assert hour.fuel.value == pytest.approx(
        found.saving.share.value * ECONOMY.fuel_heat.value / 1000
    )
    assert year.fuel.value == pytest.approx(
        (found.saving.share.value - lost / 100) * burnt, rel=0.02
    )
    assert year.money.value == pytest.approx(35 * year.fuel.value - cost, rel=0.01)
    assert year.money.value == pytest.approx(25_700, rel=0.02)
    low, high = year.money.band
    assert low < year.money.value < high


def test_what_soot_takes_back_counts_in_the_rank_and_in_what_is_saved_together():
    dear = soot(cost=400.0)
    less = pressure_reduction(POINT, ECONOMY, EVIDENCE, least=0.95)
    gross = dear.saving.share.value * 25 * 8_000 * 35
    assert dear.saving.per_year.money.value < less.saving.per_year.money.value < gross
    found = advise(POINT, ECONOMY, EVIDENCE, [dear, less])
    assert [each.kind for each in found.recommendations] == ["pressure", "soot_blowing"]
    year = found.combined.per_year
    assert year.money.value == pytest.approx(
        dear.saving.per_year.money.value + less.saving.per_year.money.value, rel=0.01
    )
    kept = 35 * (dear.saving.per_year.fuel.value + less.saving.per_year.fuel.value)
    assert year.money.value < 35 * year.fuel.value == pytest.approx(kept, rel=0.01)


def test_cleaning_is_not_advised_where_a_year_of_it_costs_more_than_it_saves():
    """Due by its hours, but the stack has been as warm for long: it is no better soon after."""
    chance = np.random.default_rng(2)
    times = np.arange(400.0)
    excess = np.where(times < 390, times / 390 * 10, 2.0) + chance.normal(0, 1.5, 400)
    found = soot_blowing(
        POINT, ECONOMY, EVIDENCE, baseline=clean_baseline(1.5),
        stack=Stack(hours=times, excess=excess), cost=600.0,
    )  # fmt: skip
    assert "a year of it would cost more than it saves" in reason(found)


def test_a_clean_stack_and_a_dear_cleaning_wait():
    assert "as warm as a clean one" in reason(soot(excess=0.0))
    assert "is cheapest" in reason(soot(cost=100_000.0))


def test_without_a_price_no_interval_is_cheapest():
    free = dataclasses.replace(ECONOMY, price=0.0, price_now=0.0)
    assert "the fuel has no price" in reason(soot(economy=free))


def test_a_thermometer_that_drifts_is_not_soot():
    assert "faster than soot can" in reason(soot(excess=200.0, hours=30, clean=10))


def test_the_interval_is_where_both_costs_are_least():
    cost, growth, money = 100.0, 1e-5, 900.0
    best = economic_interval(cost, growth, money)

    def per_hour(hours):
        return cost / hours + growth * money * hours / 2

    assert per_hour(best) < per_hour(best * 1.05)
    assert per_hour(best) < per_hour(best * 0.95)
    assert economic_interval(cost, 0.0, money) == math.inf


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


WATER = {"boiler_solids": 1_250.0, "feedwater_solids": 100.0, "limit": 3_000.0}


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


# ---- all together -----------------------------------------------------------------------------


def all_advice(point=POINT):
    return [
        oxygen_trim(point, ECONOMY, EVIDENCE, curve=CURVE),
        blowdown(point, ECONOMY, EVIDENCE, **WATER),
        soot(point=point),
        pressure_reduction(point, ECONOMY, EVIDENCE, least=0.95),
        economizer(point, ECONOMY, EVIDENCE),
        air_preheat(point, ECONOMY, EVIDENCE),
        steam_traps(point, ECONOMY, EVIDENCE, []),
    ]


def test_advice_is_ordered_and_combined_by_computing():
    found = advise(POINT, ECONOMY, EVIDENCE, all_advice())
    kinds = [each.kind for each in found.recommendations]
    assert set(kinds[-2:]) == {"economizer", "air_preheat"}
    operational = [each for each in found.recommendations if not each.project]
    money = [each.saving.per_year.money.value for each in operational]
    assert money == sorted(money, reverse=True)
    assert len(operational) == 4
    together = found.combined.share.value
    assert max(each.saving.share.value for each in operational) < together
    assert together != pytest.approx(sum(each.saving.share.value for each in operational), rel=1e-4)
    assert found.projects.share.value < sum(
        each.saving.share.value for each in found.recommendations if each.project
    )
    assert [each.kind for each in found.declined] == ["steam_traps"]


def test_what_two_changes_do_to_the_stack_adds_up():
    found = advise(
        POINT, ECONOMY, EVIDENCE, [soot(), pressure_reduction(POINT, ECONOMY, EVIDENCE, least=0.95)]
    )
    stack = sum(each.change["stack_temperature"] for each in found.recommendations) - 200.0
    both = share_saved(POINT, {"pressure": 0.95, "stack_temperature": stack})
    assert found.combined.share.value == pytest.approx(both.value)


def test_projects_save_of_the_fuel_that_operation_leaves():
    found = advise(POINT, ECONOMY, EVIDENCE, all_advice())
    left = 1 - found.combined.share.value
    assert left < 0.98
    share, year = found.projects.share.value, found.projects.per_year
    burnt = ECONOMY.mean_heat * 8 - found.combined.per_year.fuel.value
    assert year.fuel.value == pytest.approx(share * burnt)
    assert year.money.value == pytest.approx(35 * year.fuel.value)
    hour = found.projects.per_hour.fuel
    assert hour.value == pytest.approx(share * left * ECONOMY.fuel_heat.value / 1000)


def test_instruments_come_first_and_stop_what_rests_on_them():
    bad = Finding("stuck", "oxygen", Quality.BAD_SENSOR_FAILURE, "oxygen stands still: stuck")
    mild = Finding("noise", "oxygen", Quality.UNCERTAIN, "oxygen scatters")
    other = Finding("noise", "steam_flow", Quality.UNCERTAIN, "steam flow scatters")
    point = dataclasses.replace(POINT, findings=(mild, bad, other))
    found = advise(point, ECONOMY, EVIDENCE, all_advice(point))
    assert [each.id for each in found.recommendations] == [
        "boiler1.instrument.oxygen", "boiler1.instrument.steam_flow",
    ]  # fmt: skip
    assert "stuck" in found.recommendations[0].title
    assert found.combined is None
    assert found.projects is None
    assert instruments([], "boiler1", EVIDENCE) == []


# ---- tariff -----------------------------------------------------------------------------------

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
PEAK = Tariff(
    price=30.0,
    periods=(
        Period(price=99.0, months=frozenset({12})),
        Period(price=45.0, hours=(6.0, 22.0), weekdays=frozenset(range(5))),
        Period(price=20.0, hours=(22.0, 4.0), weekdays=frozenset({4})),
    ),
    carbon=80.0,
)


@pytest.mark.parametrize(
    ("hours", "price"),
    [
        (0, 30.0), (6, 45.0), (21.99, 45.0), (22, 30.0),
        (4 * 24 + 23, 20.0), (5 * 24 + 3, 20.0), (5 * 24 + 4, 30.0), (6 * 24 + 23, 30.0),
    ],
)  # fmt: skip
def test_the_first_period_that_holds_has_the_price(hours, price):
    assert PEAK.at(MONDAY + timedelta(hours=hours)) == price
    assert PEAK.at(datetime(2024, 12, 2, 12, tzinfo=UTC)) == 99.0


def test_periods_are_meant_in_local_time():
    east = dataclasses.replace(PEAK, zone=timezone(timedelta(hours=2)))
    assert east.at(MONDAY + timedelta(hours=4)) == 45.0
    assert east.at(datetime(2024, 1, 1, 5)) == 30.0  # noqa: DTZ001 - local, on purpose


def test_the_mean_price_counts_hours_and_carbon():
    week = PEAK.mean(MONDAY, MONDAY + timedelta(days=7))
    peak, night = 5 * 16, 6
    assert week == pytest.approx((45 * peak + 20 * night + 30 * (168 - peak - night)) / 168)
    assert PEAK.mean(MONDAY, MONDAY + timedelta(days=7), carbon_dioxide=50.0) == pytest.approx(
        week + 80 * 0.18
    )
    with pytest.raises(DataError, match="no mean price"):
        PEAK.mean(MONDAY, MONDAY)
    with pytest.raises(DataError, match="no fuel was burnt"):
        PEAK.weighted([])
