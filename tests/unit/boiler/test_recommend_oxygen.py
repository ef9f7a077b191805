"""Advice on oxygen: how low it may go."""

import dataclasses

import numpy as np
import pytest

from gl002.boiler.recommend.kinds import Recommendation
from gl002.boiler.recommend.oxygen_trim import (
    STEP,
    BurnerCurve,
    TrimHistory,
    lowest_clean_oxygen,
    oxygen_trim,
)
from gl002.boiler.validation import Finding
from gl002.errors import DataError
from gl002.model import Quality
from unit.boiler.advised_boiler import CURVE, ECONOMY, EVIDENCE, POINT, changed, reason


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
