"""Advice on soot: when cleaning pays."""

import dataclasses
import math

import numpy as np
import pytest

from gl002.boiler.recommend.advice import advise
from gl002.boiler.recommend.kinds import Recommendation
from gl002.boiler.recommend.pressure import pressure_reduction
from gl002.boiler.recommend.soot_blowing import Stack, economic_interval, soot_blowing
from unit.boiler.advised_boiler import ECONOMY, EVIDENCE, POINT, clean_baseline, reason, soot


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
