"""Advice on sharing a header's steam, on simulated boilers of which one is dirty."""

import dataclasses
import functools

import numpy as np
import pytest

from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import NATURAL_GAS
from gl002.boiler.live import Boiler
from gl002.boiler.recommend.kinds import Declined, Recommendation
from gl002.boiler.recommend.load_allocation import Member, load_allocation
from gl002.boiler.record import Record
from gl002.boiler.tariff import Tariff

FULL = 14.0
TARIFF = Tariff(price=35.0, carbon=70.0)


@functools.cache
def record(stack: float, *, low: float = 0.4, high: float = 0.9, hours: int = 24) -> Record:
    """A boiler with a stack of this temperature at full load, its load rising and falling."""
    size = hours * 60
    load = low + (high - low) * (0.5 + 0.5 * np.sin(np.floor(np.arange(size) / 60) / 3))
    oxygen = 3.0 + 2.0 * (1 - load)
    t_stack = stack - 60 * (1 - load)
    steam = load * FULL
    eta = np.array(
        [
            indirect(
                NATURAL_GAS,
                Conditions(
                    oxygen=o, basis="wet", stack_temperature=t, air_temperature=25.0, load=x
                ),
            ).efficiency_hhv
            for o, t, x in zip(oxygen, t_stack, load, strict=True)
        ]
    )
    rise = 2799.0 - 463.0
    roles = {
        "oxygen": oxygen, "stack_temperature": t_stack, "load": load,
        "air_temperature": np.full(size, 25.0), "steam_flow": steam,
        "pressure": np.full(size, 2.3), "feedwater_temperature": np.full(size, 110.0),
        "fuel_flow": steam * rise / eta * 100 / NATURAL_GAS.hhv,
    }  # fmt: skip
    return Record(start=0, step=60.0, roles=roles, doubted={})


def member(name: str, stack: float, **more) -> Member:
    boiler = Boiler(name=name, basis="wet", full_steam=FULL)
    return Member(
        boiler=boiler, record=record(stack, **more.pop("record", {})), least=4.0, most=FULL, **more
    )  # fmt: skip


def advice(*members, **more):
    return load_allocation("main", members, TARIFF, **more)


def test_a_dirty_boiler_makes_less_and_a_clean_one_more():
    found = advice(member("clean", 150.0), member("dirty", 260.0), reserve=0.0)
    assert isinstance(found, Recommendation)
    assert found.target["clean steam, kg/s"] > found.now["clean steam, kg/s"]
    assert found.target["dirty steam, kg/s"] < found.now["dirty steam, kg/s"]
    low, high = found.saving.share.band
    assert 0 < low < found.saving.share.value < high < 0.05
    assert found.saving.per_year.money.value > 0
    assert found.id == "main.load_allocation"
    assert all(each.kept for each in found.constraints)


def test_what_all_boilers_make_together_stays_the_same():
    found = advice(member("clean", 150.0), member("dirty", 260.0), reserve=0.0)
    assert sum(found.target.values()) == pytest.approx(sum(found.now.values()), rel=0.01)


def test_with_one_to_spare_a_boiler_less_can_rest():
    low = {"record": {"low": 0.32, "high": 0.4}}
    free = advice(member("a", 150.0, **low), member("b", 260.0, **low), reserve=0.0)
    safe = advice(member("a", 150.0, **low), member("b", 260.0, **low), reserve="n+1")
    assert isinstance(free, Recommendation)
    assert "rest b" in free.title
    assert not (isinstance(safe, Recommendation) and "rest" in safe.title)


def test_equal_boilers_are_left_alone():
    found = advice(member("a", 180.0), member("b", 180.0), reserve=0.0)
    assert isinstance(found, Declined)


def test_a_header_without_one_to_spare_says_so():
    found = advice(member("a", 150.0), member("b", 260.0), reserve="n+1")
    assert isinstance(found, Declined)
    assert "cannot be met within the limits" in found.reason
    assert "reserve" in found.reason


def test_a_difference_that_the_instruments_cannot_tell_is_not_acted_on():
    found = advice(member("a", 180.0), member("b", 181.0), reserve=0.0)
    assert isinstance(found, Declined)
    assert "within its uncertainty" in found.reason or "as well as can be" in found.reason


def test_a_start_that_costs_more_than_it_saves_leaves_all_running():
    low = {"record": {"low": 0.32, "high": 0.9}}
    found = advice(
        member("a", 150.0, start_cost=1e6, **low), member("b", 260.0, start_cost=1e6, **low),
        reserve=0.0,
    )  # fmt: skip
    assert isinstance(found, Recommendation)
    assert "0 in 24 hours" in next(c.said for c in found.constraints if c.name == "starts")


def at_rest_from(hour: int, each: Member) -> Member:
    """The same, off from this hour on: no steam, no fuel, air in the flue."""
    roles = {role: values.copy() for role, values in each.record.roles.items()}
    for role, value in (("steam_flow", -0.01), ("fuel_flow", 0.0), ("oxygen", 20.9), ("load", 0.0)):
        roles[role][60 * hour :] = value
    return dataclasses.replace(each, record=dataclasses.replace(each.record, roles=roles))


def test_hours_in_which_the_whole_house_rested_are_no_obstacle():
    pair = (member("clean", 150.0), member("dirty", 260.0))
    found = advice(*(at_rest_from(20, each) for each in pair), reserve=0.0)
    assert isinstance(found, Recommendation)
    assert found.saving.share.value > 0


def test_a_house_that_made_no_steam_has_nothing_to_share():
    pair = [member(name, 180.0, record={"hours": 72}) for name in ("a", "b")]
    found = advice(*(at_rest_from(24, each) for each in pair), reserve=0.0)
    assert isinstance(found, Declined)
    assert "no steam was made in the last 48 hours" in found.reason


def test_fuels_of_different_prices_are_not_weighed_against_each_other():
    """The less fuel is not the less money where one burns wood and the other gas."""
    pair = (member("gas", 150.0, tariff="natural_gas"), member("wood", 260.0, tariff="wood_green"))
    found = advice(*pair, reserve=0.0)
    assert isinstance(found, Declined)
    assert "gas pays natural_gas, wood pays wood_green" in found.reason


def test_one_load_only_teaches_no_curve():
    flat = {"record": {"low": 0.6, "high": 0.6}}
    found = advice(member("a", 150.0, **flat), member("b", 260.0, **flat))
    assert isinstance(found, Declined)
    assert "too few loads" in found.reason


def test_without_the_water_side_there_is_no_advice():
    blind = dataclasses.replace(
        member("a", 150.0),
        record=dataclasses.replace(
            record(150.0), roles={k: v for k, v in record(150.0).roles.items() if k != "pressure"}
        ),
    )
    found = advice(blind, member("b", 260.0))
    assert isinstance(found, Declined)
    assert "steam flow, pressure and feedwater temperature" in found.reason
