"""What fuel costs, when: a tariff with time of use, and a price of carbon dioxide.

    Tariff(price=32.0, periods=(Period(price=41.0, hours=(6, 22), weekdays=frozenset(range(5))),))

Prices are in the money of the site per MWh of the higher heating value, or whatever basis the bill
has, converted before: 1 MWh (LHV) of natural gas is 1.11 MWh (HHV).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.emissions import carbon_dioxide, fossil_carbon_dioxide
from gl002.errors import DataError

_HOUR: Final = timedelta(hours=1)
_LONGEST: Final = timedelta(days=3 * 366)
_EVERY_DAY: Final = frozenset(range(7))
_EVERY_MONTH: Final = frozenset(range(1, 13))


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A part of the week or year with a price of its own.

    Attributes:
        price: per MWh (HHV).
        hours: from this hour of the local day to before that one, 0 to 24; (22, 6) passes midnight.
        weekdays: 0 is Monday. Of a period past midnight the day on which it begins.
        months: 1 is January.
    """

    price: float
    hours: tuple[float, float] = (0.0, 24.0)
    weekdays: frozenset[int] = _EVERY_DAY
    months: frozenset[int] = _EVERY_MONTH

    def holds(self, moment: datetime) -> bool:
        """Whether a local moment lies in it."""
        first, last = self.hours
        hour = moment.hour + moment.minute / 60 + moment.second / 3600
        day = moment
        if first < last:
            inside = first <= hour < last
        else:
            inside = hour >= first or hour < last
            if hour < last:
                day = moment - timedelta(days=1)
        return inside and day.weekday() in self.weekdays and day.month in self.months


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Price of a fuel.

    Attributes:
        price: per MWh (HHV) where no period holds.
        periods: the first that holds counts.
        carbon: price per tonne of CO2, 0 where none is paid.
        biogenic: whether it is paid for carbon dioxide from biomass, too.
        currency: for people, 'EUR'.
        zone: of the local time that periods are meant in.
    """

    price: float
    periods: Sequence[Period] = ()
    carbon: float = 0.0
    biogenic: bool = False
    currency: str = "EUR"
    zone: tzinfo = UTC

    def at(self, moment: datetime) -> float:
        """Price per MWh at a moment; a datetime without a zone is in the tariff's own."""
        local = moment.replace(tzinfo=self.zone) if moment.tzinfo is None else moment
        local = local.astimezone(self.zone)
        return next((each.price for each in self.periods if each.holds(local)), self.price)

    def mean(self, start: datetime, end: datetime, *, carbon_dioxide: float = 0.0) -> float:
        """Mean price per MWh over a time, carbon dioxide included.

        Args:
            start: first moment.
            end: after the last moment; three years later at most.
            carbon_dioxide: of the fuel, kg/GJ (HHV): `priced_carbon_dioxide`.

        Raises:
            DataError: no time between the two, or too much.
        """
        if not timedelta(0) < end - start <= _LONGEST:
            raise DataError(f"no mean price from {start} to {end}", hint="up to three years")
        return self.weighted(_hours(start, end)) + self.of_carbon(carbon_dioxide)

    def weighted(self, hours: Iterable[tuple[datetime, float]]) -> float:
        """Mean price per MWh by the fuel burnt in each hour, carbon dioxide not included.

        Args:
            hours: moment and fuel burnt from there on, in any unit.

        Raises:
            DataError: no fuel at all.
        """
        cost = burnt = 0.0
        for moment, fuel in hours:
            cost += fuel * self.at(moment)
            burnt += fuel
        if not burnt > 0:
            raise DataError("no fuel was burnt: there is no mean price")
        return cost / burnt

    def of_carbon(self, carbon_dioxide: float) -> float:
        """Price of the carbon dioxide of a MWh; kg/GJ (HHV)."""
        return self.carbon * carbon_dioxide * 3.6 / 1000

    def priced_carbon_dioxide(self, fuel: Fuel) -> float:
        """Carbon dioxide of a fuel that `carbon` is paid for, kg/GJ (HHV)."""
        return carbon_dioxide(fuel) if self.biogenic else fossil_carbon_dioxide(fuel)


def _hours(start: datetime, end: datetime) -> Iterable[tuple[datetime, float]]:
    """Every hour of a time, the last one by its share."""
    moment = start
    while moment < end:
        left = min((end - moment) / _HOUR, 1.0)
        yield moment, left
        moment += _HOUR
