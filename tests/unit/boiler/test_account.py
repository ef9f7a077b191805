"""Accounts, what-ifs and lessons over records of the simulated plant, beside the plant's truth."""

import dataclasses
import functools
from datetime import UTC, datetime

import numpy as np
import pytest

from gl002.boiler.account import account, moments, prices
from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.emissions import carbon_dioxide
from gl002.boiler.fuels import FUEL_OIL_2, NATURAL_GAS
from gl002.boiler.learned import Learned
from gl002.boiler.learning import teach, verified
from gl002.boiler.live import Boiler
from gl002.boiler.recommend.kinds import Declined
from gl002.boiler.recommend.oxygen_trim import BurnerCurve
from gl002.boiler.record import Record
from gl002.boiler.replay import replay
from gl002.boiler.study import Study, Wishes
from gl002.boiler.tariff import Period, Tariff
from gl002.boiler.watch import Watched
from gl002.errors import DataError
from gl002.model import to_ns
from unit.boiler.plant_record import SIZE_OF_HOUR, in_roles, in_steps, simulated

START = to_ns(datetime(2026, 10, 5, tzinfo=UTC))
BOILER = Boiler(
    name="b", basis="wet", roles=frozenset({"fuel_flow", "steam_flow"}), full_steam=13.86,
)  # fmt: skip
WATCHED = Watched(fuel=NATURAL_GAS, basis="wet", saturated=True)
TARIFF = Tariff(price=30.0, periods=(Period(price=50.0, hours=(2, 4)),), carbon=80.0)


@functools.cache
def readings(hours: float = 5) -> Record:
    _, shown = simulated(2, hours, in_steps)
    return Record(start=START, step=5.0, roles=in_roles(shown), doubted={})


@functools.cache
def minutes(hours: float = 5) -> Record:
    found = readings(hours).means(60.0)
    return dataclasses.replace(
        found, roles={**found.roles, "load": found.roles["steam_flow"] / 13.86}
    )  # fmt: skip


def without(*roles: str, rows=slice(None)) -> Record:
    found = {role: values.copy() for role, values in minutes().roles.items()}
    for role in roles:
        found[role][rows] = np.nan
    return dataclasses.replace(minutes(), roles=found)


def test_an_account_is_the_balance_of_each_minute_weighted_by_its_fuel():
    record, found = minutes(), account(BOILER, minutes())
    r = record.roles
    each = [
        indirect(
            NATURAL_GAS,
            Conditions(
                oxygen=r["oxygen"][i], basis="wet", stack_temperature=r["stack_temperature"][i],
                air_temperature=r["air_temperature"][i], load=r["load"][i],
                carbon_monoxide=r["carbon_monoxide"][i],
            ),
        )
        for i in range(record.size)
    ]  # fmt: skip
    weight = r["fuel_flow"] / r["fuel_flow"].sum()
    assert found.efficiency.value == pytest.approx(
        float(weight @ [b.efficiency_hhv for b in each]), abs=1e-6
    )
    assert found.losses["dry_gas"] == pytest.approx(float(weight @ [b.loss_dry_gas for b in each]))
    assert found.fuel == pytest.approx(float(r["fuel_flow"].sum()) * NATURAL_GAS.hhv * 60 / 3.6e6)
    assert found.co2 == pytest.approx(found.fuel * 3.6 * carbon_dioxide(NATURAL_GAS) / 1000)


def test_money_is_the_fuel_of_each_hour_at_its_price():
    found = account(BOILER, minutes(), TARIFF)
    fuel = minutes().roles["fuel_flow"] * NATURAL_GAS.hhv * 60 / 3.6e6
    hour = np.arange(300) // 60
    price = np.where((hour >= 2) & (hour < 4), 50.0, 30.0) + TARIFF.of_carbon(
        carbon_dioxide(NATURAL_GAS)
    )
    assert found.money == pytest.approx(float(fuel @ price))
    assert prices(TARIFF, minutes(), 0.0)[[0, 119, 120, 239, 240]].tolist() == [
        30, 30, 50, 50, 30,
    ]  # fmt: skip


def test_hours_without_an_input_are_not_counted_and_named():
    found = account(BOILER, without("oxygen", rows=slice(60, 120)))
    assert found.hours == pytest.approx(4.0)
    assert "oxygen was missing for 1.0 h of burning: not counted" in found.reasons


def test_hours_without_a_fuel_meter_s_reading_are_named():
    """Its month would be short of fuel, money and carbon dioxide without a word."""
    found = account(BOILER, without("fuel_flow", rows=slice(0, 120)))
    assert found.hours == pytest.approx(3.0)
    assert found.reasons == ("fuel flow was missing for 2.0 h of burning: not counted",)


def test_without_a_fuel_meter_missing_inputs_are_named_too():
    record = without("oxygen", rows=slice(60, 120))
    record.roles["fuel_flow"][:] = np.nan
    record.roles["steam_flow"][120:150] = np.nan
    record.roles["load"][120:150] = np.nan
    found = account(BOILER, record)
    assert found.hours == pytest.approx(3.5)
    assert "oxygen was missing for 1.0 h of burning: not counted" in found.reasons
    assert "steam flow was missing for 0.5 h of burning: not counted" in found.reasons


def test_the_zeros_of_a_dead_analyser_are_no_oxygen():
    record = without()
    record.roles["oxygen"][:60] = 0.0
    found = account(BOILER, record)
    assert found.hours == pytest.approx(4.0)
    assert found.reasons == ("oxygen was missing for 1.0 h of burning: not counted",)


def test_a_boiler_at_rest_misses_nothing():
    record = without()
    record.roles["oxygen"][:60] = 20.8
    record.roles["fuel_flow"][:60] = 0.0
    assert account(BOILER, record).reasons == ()


def test_an_oxygen_of_air_is_a_boiler_that_does_not_burn():
    record = without()
    record.roles["oxygen"][:30] = 20.8
    assert account(BOILER, record).hours == pytest.approx(4.5)


def test_fuel_without_a_meter_comes_from_the_steam():
    metered = account(BOILER, minutes())
    found = account(BOILER, without("fuel_flow"))
    assert found.fuel == pytest.approx(metered.fuel, rel=0.01)
    assert any("no fuel meter" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("roles", "basis"),
    [
        ({"blowdown_flow": 0.5}, None),
        ({"boiler_solids": 2_000.0, "feedwater_solids": 100.0}, None),
        ({"blowdown": 5.0}, "feedwater"),
        ({"blowdown": 100 / 19}, "steam"),
    ],
)
def test_fuel_from_the_steam_counts_the_blowdown_however_it_is_known(roles, basis):
    """A twentieth of the feedwater each: a hundredth of the fuel."""
    record = without("fuel_flow")
    plain = account(BOILER, record).fuel
    steam_flow = record.roles["steam_flow"]
    for role, value in roles.items():
        of_steam = role == "blowdown_flow"
        record.roles[role] = steam_flow / 19 if of_steam else np.full(record.size, value)
    blown = account(dataclasses.replace(BOILER, blowdown_basis=basis), record).fuel
    assert blown / plain - 1 == pytest.approx(0.0108, abs=0.0005)


def test_feedwater_that_would_boil_is_no_feedwater():
    """A thermometer that shows 250 degC at 23 bar: its minutes are not known."""
    record = without("fuel_flow")
    record.roles["feedwater_temperature"][:60] = 250.0
    assert account(BOILER, record).hours == pytest.approx(4.0)


def test_without_fuel_and_steam_losses_cannot_be_weighed():
    with pytest.raises(DataError, match="neither fuel nor steam"):
        account(BOILER, without("fuel_flow", "steam_flow"))


def test_nothing_known_is_no_account():
    with pytest.raises(DataError, match="nothing is known of stack temperature"):
        moments(BOILER, without("stack_temperature"))


# ---- what if ----------------------------------------------------------------------------------


def test_the_oxygen_that_was_there_changes_nothing():
    record = without()
    record.roles["oxygen"][:] = 3.5
    found = replay(BOILER, record, {"oxygen": 3.5})
    assert found.share.value == pytest.approx(0.0, abs=1e-12)
    assert found.before == found.after


def test_a_colder_stack_saves_what_the_balance_says_at_the_price_of_the_hour():
    record = without()
    colder = float(np.mean(record.roles["stack_temperature"])) - 20
    found = replay(BOILER, record, {"stack_temperature": colder}, tariff=TARIFF)
    assert 0.008 < found.share.value < 0.013  # 22 K are a point
    assert found.share.significant()
    carbon = TARIFF.of_carbon(carbon_dioxide(NATURAL_GAS))
    assert 30 + carbon < found.money.value / found.fuel.value < 50 + carbon


def test_the_curve_of_the_burner_is_never_passed():
    curve = BurnerCurve([(0.3, 9.0), (1.0, 9.0)])
    assert replay(BOILER, minutes(), {"oxygen": 1.0}, curve=curve).share.value < 0


def test_the_curve_of_the_burner_holds_where_the_load_is_not_known():
    """A load that nothing shows counts as full load everywhere, so in the curve, too."""
    record = without()
    del record.roles["load"]
    curve = BurnerCurve([(0.3, 12.0), (1.0, 9.0)])
    found = replay(BOILER, record, {"oxygen": 1.0}, curve=curve)
    assert found.share.value < 0
    assert found.limited == pytest.approx(5.0)
    assert "commissioned curve" in found.reasons[0]


def test_a_role_that_follows_from_others_cannot_be_set():
    with pytest.raises(DataError, match="cannot change pressure"):
        replay(BOILER, minutes(), {"pressure": 1.0})


# ---- advice -----------------------------------------------------------------------------------


def test_advice_from_a_record_knows_when_it_was_taken_and_what_is_not_known():
    found = Study(BOILER, minutes(), TARIFF).advise(
        Wishes(curve=BurnerCurve([(0.3, 2.0), (1.0, 1.0)]))
    )
    assert {no.kind for no in found.declined} >= {"soot_blowing", "blowdown", "pressure"}
    for each in found.recommendations:
        assert each.evidence == (minutes().start, minutes().end)


def test_a_boiler_without_flows_of_water_gets_advice_on_its_oxygen_all_the_same():
    record = without("pressure", "feedwater_temperature")
    found = Study(BOILER, record, TARIFF).advise(
        Wishes(curve=BurnerCurve([(0.3, 2.0), (1.0, 1.0)]))
    )
    kinds = {each.kind for each in (*found.recommendations, *found.declined)}
    assert {"oxygen_trim", "blowdown"} <= kinds
    assert any("are needed" in no.reason for no in found.declined if no.kind == "blowdown")


def test_a_boiler_never_at_rest_gets_no_advice():
    record = without()
    record.roles["steam_flow"][::2] *= 1.3
    with pytest.raises(DataError, match="at rest for 0 minutes"):
        Study(BOILER, record, TARIFF)


# ---- what is learned --------------------------------------------------------------------------


@functools.cache
def learned() -> Learned:
    return teach(BOILER, WATCHED, minutes(), readings())


def test_everything_is_learned_from_a_record_with_all_loads():
    found = learned()
    assert found.reasons == ()
    assert found.usual.noise["oxygen"] == pytest.approx(0.1, rel=0.1)
    assert found.stack.response == "stack_temperature"
    assert found.fuel.cv_rmse < 0.01


def test_what_was_learned_survives_a_file():
    assert Learned.decoded(learned().encoded()) == learned()


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"boiler": 1}', b"\xff"])
def test_a_file_with_something_else_is_refused(data):
    with pytest.raises(DataError, match="learned about a boiler"):
        Learned.decoded(data)


def test_what_cannot_be_learned_is_said():
    record = without("steam_flow")
    found = teach(BOILER, WATCHED, record.between(START, START + 10**12), readings(1))
    assert found.fuel is None
    assert any("meters of fuel and steam" in reason for reason in found.reasons)


def test_three_percent_less_fuel_are_verified():
    record = without()
    record.roles["fuel_flow"][:] *= 0.97
    found = verified(BOILER, record, learned())
    assert found.share.value == pytest.approx(0.03, abs=0.003)
    assert found.share.band[0] < 0.03 < found.share.band[1]


OIL = dataclasses.replace(
    BOILER, fuel=dataclasses.replace(FUEL_OIL_2, hydrogen_uncertainty=0.01, air_uncertainty=0.005)
)


def on_oil(saved: float = 0.0) -> Record:
    """The same boiler at the same work, but it burns oil: its fuel is what the losses make it."""
    record = without()
    gas, oil = moments(BOILER, record), moments(OIL, record)
    eta = np.asarray(gas.terms.efficiency) / np.asarray(oil.terms.efficiency)
    record.roles["fuel_flow"][:] = gas.fuel * eta / OIL.fuel.hhv * (1 - saved)
    return record


def test_another_fuel_is_no_saving():
    """Oil loses five points less to water than gas: that is not what somebody has mended."""
    found = verified(OIL, on_oil(), learned())
    low, high = found.share.band
    assert low < 0 < high
    assert abs(found.share.value) < 0.003
    blind = verified(OIL, on_oil(), dataclasses.replace(learned(), burnt=None))
    assert blind.share.value > 0.03, "what it would be without"
    said = next(reason for reason in found.reasons if "burnt natural_gas" in reason)
    assert "of fuel_oil_2 it would have burnt -" in said


def test_a_saving_is_found_in_spite_of_another_fuel_with_a_wider_band():
    found = verified(OIL, on_oil(0.03), learned())
    low, high = found.share.band
    assert low < 0.03 < high
    assert found.share.value == pytest.approx(0.03, abs=0.003)
    assert found.share.contributions["fuel"] > 0.0003


def test_what_was_learned_from_another_fuel_does_not_count():
    assert learned().holds(NATURAL_GAS)
    other = dataclasses.replace(NATURAL_GAS, hydrogen=1.004 * NATURAL_GAS.hydrogen)
    assert learned().holds(other), "an analysis of another day"
    assert not learned().holds(OIL.fuel)
    advised = Study(OIL, on_oil(), TARIFF).advise(Wishes(cleaning_cost=1.0), learned())
    (soot,) = (no for no in advised.declined if no.kind == "soot_blowing")
    assert "learned from natural_gas" in soot.reason


def test_soot_above_the_learned_stack_is_found_and_cleaning_it_pays():
    hot = without()
    hot.roles["stack_temperature"][:] += np.linspace(0, 12, hot.size)
    wishes = Wishes(cleaning_cost=1.0)
    found = Study(BOILER, hot, TARIFF).advise(wishes, learned())
    clean = Study(BOILER, minutes(), TARIFF).advise(wishes, learned())
    assert any(each.kind == "soot_blowing" for each in clean.declined)
    stack = Study(BOILER, hot, TARIFF).stack(learned(), None)
    assert stack.excess[-1] > 8
    told = [
        each for each in (*found.recommendations, *found.declined) if each.kind == "soot_blowing"
    ]
    assert not (isinstance(told[0], Declined) and "as warm as a clean one" in told[0].reason)


def test_an_hour_has_as_many_readings_as_the_records_say():
    assert readings().size == SIZE_OF_HOUR * 5


@pytest.mark.parametrize(
    "roles",
    [{"makeup_temperature": np.nan}, {"boiler_solids": 80.0, "feedwater_solids": 100.0}],
    ids=["make-up water never heard of", "boiler water cleaner than its feedwater"],
)
def test_an_instrument_of_the_water_does_not_stop_advice_on_the_air(roles):
    record = without()
    record.roles["blowdown_flow"] = 0.03 * record.roles["steam_flow"]
    for role, value in roles.items():
        record.roles[role] = np.full(record.size, value)
    if "boiler_solids" in roles:
        del record.roles["blowdown_flow"]
    curve = BurnerCurve([(0.3, 2.0), (1.0, 1.5)])
    advised = Study(BOILER, record, TARIFF).advise(Wishes(curve=curve, solids_limit=3_000.0))
    assert [each.kind for each in advised.recommendations] == ["oxygen_trim"]
    if "boiler_solids" in roles:
        (blowdown,) = (each for each in advised.declined if each.kind == "blowdown")
        assert "blowdown is not known" in blowdown.reason
