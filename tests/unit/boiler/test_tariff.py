"""Prices of fuel by hour and month."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gl002.boiler.tariff import Period, Tariff
from gl002.errors import DataError

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
