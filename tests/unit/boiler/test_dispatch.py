import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.boiler.dispatch import Curve, Unit, allocate, fit_curve, share
from gl002.errors import DataError
from unit.boiler.published import case, wanted


def unit(name: str, *, constant=500.0, linear=2700.0, quadratic=20.0, least=2.0, most=10.0, **more):
    return Unit(
        name=name, curve=Curve(constant, linear, quadratic), least=least, most=most, **more
    )  # fmt: skip


THREE = [
    unit("a", quadratic=15.0), unit("b", linear=2800.0, constant=300.0),
    unit("c", linear=3000.0, constant=200.0, most=6.0),
]  # fmt: skip


def dispatch_cases():
    from unit.boiler.published import _CASES

    return [each["id"] for each in _CASES if each["group"] == "dispatch"]


@pytest.mark.parametrize("name", dispatch_cases())
def test_the_textbook_dispatch_comes_out(name):
    i = case(name)["inputs"]
    units = [
        Unit(name=f"P{n}", curve=Curve(a, b, c), least=low, most=high)
        for n, (a, b, c, low, high) in enumerate(
            zip(i["a"], i["b"], i["c"], i["min"], i["max"], strict=True), start=1
        )
    ]
    found, slope = share(units, i["demand"])
    values = {**found, "lam": slope}
    for key, (published, tolerance) in wanted(case(name)).items():
        if key in values:
            assert values[key] == pytest.approx(published, abs=tolerance)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_no_other_sharing_takes_less_fuel(seed):
    chance = random.Random(seed)
    units = [
        unit(
            f"u{n}", linear=chance.uniform(2500, 3200), quadratic=chance.choice([0.0, 5.0, 40.0]),
            least=chance.uniform(0, 3), most=chance.uniform(5, 12),
        )
        for n in range(3)
    ]  # fmt: skip
    low, high = sum(u.least for u in units), sum(u.most for u in units)
    demand = chance.uniform(low, high)
    found, _ = share(units, demand)
    assert sum(found.values()) == pytest.approx(demand, abs=1e-6)
    best = sum(u.curve.at(found[u.name]) for u in units)
    for _ in range(50):
        one, other = chance.sample(units, 2)
        moved = chance.uniform(0, 1)
        if found[one.name] + moved > one.most or found[other.name] - moved < other.least:
            continue
        tried = {**found, one.name: found[one.name] + moved, other.name: found[other.name] - moved}
        assert sum(u.curve.at(tried[u.name]) for u in units) >= best - 1e-6


def test_what_they_cannot_make_together_is_refused():
    with pytest.raises(DataError, match="cannot make 30"):
        share(THREE, 30.0)


def by_hand(units, demand, price, reserve) -> float:
    """The least cost over all ways to switch them, without limits over time."""
    best = math.inf
    ways = list(itertools.product([False, True], repeat=len(units)))
    costs = {}
    for t, wanted_ in enumerate(demand):
        for way in ways:
            on = [u for u, here in zip(units, way, strict=True) if here]
            enough = sum(u.most for u in on) >= wanted_ + reserve
            if on and enough and sum(u.least for u in on) <= wanted_:
                shares, _ = share(on, wanted_)
                costs[t, way] = price * sum(u.curve.at(shares[u.name]) for u in on) / 1000
    for plan in itertools.product(ways, repeat=len(demand)):
        if any((t, way) not in costs for t, way in enumerate(plan)):
            continue
        cost, before = 0.0, tuple(u.on for u in units)
        for t, way in enumerate(plan):
            cost += costs[t, way] + sum(
                u.start_cost
                for u, now, then in zip(units, way, before, strict=True)
                if now and not then
            )
            before = way
        best = min(best, cost)
    return best


@pytest.mark.parametrize("reserve", [0.0, 3.0])
@pytest.mark.parametrize("start_cost", [0.0, 60.0])
def test_the_programme_finds_what_trying_everything_finds(start_cost, reserve):
    units = [
        unit("a", start_cost=start_cost), unit("b", linear=2600.0, start_cost=start_cost, on=False),
        unit("c", linear=3000.0, constant=100.0, most=6.0, start_cost=start_cost, on=False),
    ]  # fmt: skip
    demand = [6.0, 14.0, 5.0]
    found = allocate(units, demand, prices=30.0, reserve=reserve)
    assert found.cost == pytest.approx(by_hand(units, demand, 30.0, reserve), rel=2e-4)


def test_every_hour_meets_its_demand_within_the_limits_of_who_is_on():
    demand = [10 + 5 * math.sin(t / 3) for t in range(24)]
    found = allocate(THREE, demand, prices=[30 + t for t in range(24)], reserve="n+1")
    for t, wanted_ in enumerate(demand):
        made = {u.name: found.steam[u.name][t] for u in THREE}
        assert sum(made.values()) == pytest.approx(wanted_, abs=1e-6)
        on = [u for u in THREE if found.on[u.name][t]]
        assert all(u.least - 1e-6 <= made[u.name] <= u.most + 1e-6 for u in on)
        assert all(made[u.name] == 0 for u in THREE if u not in on)
        for failed in on:
            assert sum(u.most for u in on if u is not failed) >= wanted_ - 1e-6


def test_a_boiler_that_was_started_runs_its_least_time():
    units = [unit("a", most=8.0), unit("b", most=8.0, on=False, min_up=4, constant=2000.0)]
    found = allocate(units, [6, 12, 6, 6, 6, 6])
    assert found.on["b"] == (False, True, True, True, True, False)
    assert found.starts["b"] == 1


def test_a_boiler_that_was_stopped_rests_its_least_time():
    units = [
        unit("a", most=8.0, constant=100.0),
        unit("b", most=8.0, min_down=3, constant=3000.0),
        unit("c", most=8.0, linear=5000.0, on=False),
    ]
    found = allocate(units, [6, 12, 6])
    assert found.on["b"] in {(False, False, False), (True, True, True), (True, True, False)}


def test_a_start_that_costs_more_than_it_saves_is_not_made():
    dear = [unit("a"), unit("b", linear=2500.0, on=False, start_cost=1e6)]
    assert allocate(dear, [6.0] * 3, prices=30.0).starts == {"a": 0, "b": 0}


def test_steam_changes_no_faster_than_its_ramp():
    units = [unit("a", ramp=1.0, least=1.0), unit("b", linear=4000.0, least=1.0)]
    found = allocate(units, [6, 8, 12])
    assert all(
        abs(b - a) <= 1.0 + 1e-6 for a, b in itertools.pairwise(found.steam["a"])
    )  # fmt: skip


def test_an_hour_without_demand_lets_all_rest():
    """The works stood still, or the history has a gap of an hour."""
    found = allocate(THREE, [6.0, 0.0, 6.0], prices=35.0)
    assert {name: steam[1] for name, steam in found.steam.items()} == {"a": 0, "b": 0, "c": 0}
    assert found.fuel[1] == 0
    assert found.fuel[0] > 0
    assert found.fuel[2] > 0


def test_a_demand_that_nobody_can_meet_is_refused():
    with pytest.raises(DataError, match="cannot be met"):
        allocate(THREE, [5.0, 40.0])
    with pytest.raises(DataError, match="nothing to allocate"):
        allocate([], [1.0])


def test_a_curve_is_found_from_readings_and_is_never_concave():
    steam = np.linspace(3, 10, 40)
    noise = np.random.default_rng(1).normal(0, 20, 40)
    found = fit_curve(steam, 400 + 2600 * steam + 25 * steam**2 + noise)
    assert found.quadratic == pytest.approx(25, rel=0.2)
    assert found.at(7.0) == pytest.approx(400 + 2600 * 7 + 25 * 49, rel=0.002)
    bent = fit_curve(steam, 400 + 2900 * steam - 25 * steam**2 + noise)
    assert bent.quadratic == 0
    with pytest.raises(DataError, match="too few loads"):
        fit_curve(np.full(20, 5.0), np.full(20, 13_000.0))


def test_six_boilers_over_a_day_take_seconds():
    units = [
        unit(f"u{n}", linear=2600 + 40 * n, start_cost=30.0, min_up=3, min_down=2, on=n < 3)
        for n in range(6)
    ]
    demand = [22 + 12 * math.sin(t / 4) for t in range(24)]
    found = allocate(units, demand, prices=30.0, reserve=5.0)
    assert found.cost > 0
