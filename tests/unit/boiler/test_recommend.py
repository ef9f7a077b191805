"""What advice saves, alone and together, and when there is none."""

import dataclasses
import math

import pytest

from gl002.boiler.bands import Instruments
from gl002.boiler.efficiency import indirect
from gl002.boiler.fuels import NATURAL_GAS, gas
from gl002.boiler.recommend.advice import advise, instruments
from gl002.boiler.recommend.blowdown import blowdown
from gl002.boiler.recommend.heat_recovery import air_preheat, economizer
from gl002.boiler.recommend.operation import fuel_heat, share_saved
from gl002.boiler.recommend.oxygen_trim import oxygen_trim
from gl002.boiler.recommend.pressure import pressure_reduction
from gl002.boiler.recommend.steam_traps import steam_traps
from gl002.boiler.uncertainty import Accuracy, Estimate, fuel_saving
from gl002.boiler.validation import Finding
from gl002.errors import DataError
from gl002.model import Quality
from unit.boiler.advised_boiler import CURVE, ECONOMY, EVIDENCE, POINT, WATER, reason, soot
from unit.boiler.published import case, wanted

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


def test_nothing_is_advised_whose_saving_lies_within_its_uncertainty():
    loose = Instruments(given={"oxygen": Accuracy(absolute=2.5, meaning="standard")})
    found = soot(excess=1.0, point=dataclasses.replace(POINT, instruments=loose), spread=9.0)
    assert "within its uncertainty" in reason(found) or "as warm as a clean one" in reason(found)


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
