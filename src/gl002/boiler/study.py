"""A record of a boiler in, all advice for it out: what recommenders need, taken from history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from gl002.boiler.account import Moments, mean_conditions, moments, prices
from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.findings import Finding
from gl002.boiler.learned import Learned
from gl002.boiler.live import Boiler
from gl002.boiler.live_water import water_of
from gl002.boiler.methods.direct import WaterSide
from gl002.boiler.recommend.advice import Advised, advise
from gl002.boiler.recommend.blowdown import blowdown
from gl002.boiler.recommend.heat_recovery import air_preheat, economizer
from gl002.boiler.recommend.kinds import Advice, Declined, Kind
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, fuel_heat
from gl002.boiler.recommend.oxygen_trim import CO_LIMIT, BurnerCurve, TrimHistory, oxygen_trim
from gl002.boiler.recommend.pressure import pressure_reduction
from gl002.boiler.recommend.soot_blowing import Stack, soot_blowing
from gl002.boiler.recommend.steam_traps import Trap, steam_traps
from gl002.boiler.record import Record, resting
from gl002.boiler.tariff import Tariff
from gl002.boiler.uncertainty import Estimate, Input, propagate
from gl002.errors import DataError

FREE: Final = Tariff(price=0.0, currency="")
"""Where no tariff is configured: savings are in fuel and carbon dioxide alone."""

RECENT: Final = 24 * 3_600.0
"""Seconds that 'now' is the mean of: a day, in which the load was near its usual one."""

_SAME_LOAD: Final = 0.1  # share of full load
_ENOUGH: Final = 10  # intervals at rest
_HOUR: Final = 3_600.0
_WATER: Final = ("steam_flow", "pressure", "feedwater_temperature")
_BLOWDOWN: Final = frozenset({"blowdown", "blowdown_flow", "boiler_solids", "feedwater_solids"})
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is known about a boiler beyond its instruments; each recommendation needs its own.

    Attributes:
        curve: oxygen the burner was commissioned with, over load.
        co_limit: ppm.
        cleaning_cost: of one cleaning.
        cleaned: last cleaning, ns since 1970; None for before the record.
        solids_limit: of the boiler water, in the unit of its role.
        least_pressure: that the consumers need, MPa, absolute.
        projects: whether to look at economizer and air heater.
        traps: that blow through.
        hours: at work in a year.
    """

    curve: BurnerCurve | None = None
    co_limit: float = CO_LIMIT
    cleaning_cost: float | None = None
    cleaned: int | None = None
    solids_limit: float | None = None
    least_pressure: float | None = None
    projects: bool = False
    traps: Sequence[Trap] = ()
    hours: float = 8_000.0


class Study:
    """A boiler looked at over a record.

    Args:
        boiler: what is known about it.
        record: means of a minute; days, so that all loads are in it.
        tariff: what its fuel costs.
        findings: what is wrong with its instruments now.

    Attributes:
        point: the boiler now: its mean state at rest, near the usual load of the last day.
        economy: what its fuel is worth.
        evidence: when the readings were taken.

    Raises:
        DataError: nothing is known in the record, or it was never at rest.
    """

    def __init__(
        self,
        boiler: Boiler,
        record: Record,
        tariff: Tariff | None = None,
        findings: Sequence[Finding] = (),
    ) -> None:
        self.boiler = boiler
        self.record = record
        self.moments = moments(boiler, record)
        self.rest = resting(record, boiler) & self.moments.known
        now = self._now()
        self.point = _point(boiler, record, self.moments, now, tuple(findings))
        self.economy = self._economy(tariff or FREE, now)
        self.evidence = Evidence(start=record.start, end=record.end)

    def _now(self) -> Mask:
        """Intervals at rest of the last day, near their usual load."""
        recent = self.record.times >= self.record.times[-1] - RECENT
        for rows in (self.rest & recent, self.rest):
            if rows.sum() >= _ENOUGH:
                load = self.record.roles.get("load")
                if load is None:
                    return rows
                return rows & (np.abs(load - np.nanmedian(load[rows])) <= _SAME_LOAD)
        raise DataError(
            f"{self.boiler.name}: it was at rest for {int(self.rest.sum())} minutes of this time",
            hint="efficiency and advice describe a boiler at rest: take a longer time",
        )

    def _economy(self, tariff: Tariff, now: Mask) -> Economy:
        carbon = tariff.priced_carbon_dioxide(self.boiler.fuel)
        known, fuel = self.moments.known, self.moments.fuel
        each = prices(tariff, self.record, carbon)
        last = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.record.end // 1000)
        return Economy(
            fuel_heat=self._burnt(float(fuel[now].mean())),
            price=float(each[known] @ fuel[known] / fuel[known].sum()),
            price_now=tariff.at(last) + tariff.of_carbon(carbon),
            hours=8_000.0, mean_heat=float(fuel[known].mean()),
        )  # fmt: skip

    def _burnt(self, heat: float) -> Estimate:
        """Fuel heat of now with its uncertainty."""
        if not self.moments.metered:
            return fuel_heat(self.point)
        instruments = self.boiler.instruments
        accuracy = instruments.accuracy("fuel_flow")
        systematic = accuracy.systematic(1.0) if not accuracy.absolute else accuracy.systematic(
            heat / self.boiler.fuel.hhv
        ) / (heat / self.boiler.fuel.hhv)  # fmt: skip
        inputs = {
            "fuel_flow": Input(1.0, systematic),
            "fuel heat": Input(1.0, instruments.heating_value(self.boiler.fuel)),
        }
        return propagate(lambda x: heat * x["fuel_flow"] * x["fuel heat"], inputs)

    def advise(self, wishes: Wishes, learned: Learned | None = None) -> Advised:
        """All advice, in order, with what is saved together."""
        self.economy = replace(self.economy, hours=wishes.hours)
        found = list(self._found(wishes, learned))
        return advise(self.point, self.economy, self.evidence, found)

    def _found(self, wishes: Wishes, learned: Learned | None) -> Iterator[Advice]:
        common = (self.point, self.economy, self.evidence)
        if wishes.curve is None:
            yield self._no("oxygen_trim", "the burner's commissioned curve is not configured")
        else:
            yield oxygen_trim(
                *common, curve=wishes.curve, history=self.trim_history(), co_limit=wishes.co_limit
            )
        yield self._soot(wishes, learned)
        if not self.record.has(*_WATER):
            for kind in ("blowdown", "pressure"):
                yield self._no(kind, "steam flow, pressure and feedwater temperature are needed")
            return
        yield self._blowdown(wishes)
        if wishes.least_pressure is None:
            yield self._no("pressure", "the pressure the consumers need is not configured")
        else:
            yield pressure_reduction(*common, least=wishes.least_pressure)
        if wishes.projects:
            yield economizer(*common)
            yield air_preheat(*common)
        if wishes.traps:
            yield steam_traps(*common, wishes.traps)

    def trim_history(self) -> TrimHistory | None:
        """Readings at rest with carbon monoxide; None where it is not measured."""
        if not self.record.has("carbon_monoxide", "load"):
            return None
        load, oxygen, monoxide = (
            self.record.roles[role][self.rest] for role in ("load", "oxygen", "carbon_monoxide")
        )
        return TrimHistory(load=load, oxygen=oxygen, carbon_monoxide=monoxide)

    def _soot(self, wishes: Wishes, learned: Learned | None) -> Advice:
        if wishes.cleaning_cost is None:
            return self._no("soot_blowing", "what a cleaning costs is not configured")
        if learned is None or learned.stack is None:
            return self._no(
                "soot_blowing", "the clean stack was not learned yet: gl002 learn, after a cleaning"
            )
        if learned.burnt is not None and not learned.holds(self.boiler.fuel):
            return self._no(
                "soot_blowing",
                f"the clean stack was learned from {learned.burnt.name}: gl002 learn, after a "
                "cleaning",
            )
        stack = self.stack(learned, wishes.cleaned)
        if stack is None:
            return self._no("soot_blowing", "what the clean stack depends on is not measured")
        return soot_blowing(
            self.point, self.economy, self.evidence, baseline=learned.stack, stack=stack,
            cost=wishes.cleaning_cost,
        )  # fmt: skip

    def stack(self, learned: Learned, cleaned: int | None) -> Stack | None:
        """The stack above its clean baseline since the last cleaning, hour by hour."""
        baseline = learned.stack
        if baseline is None or not self.record.has(baseline.response, *baseline.ranges):
            return None
        excess = excess_over(learned, self.record, self.rest)
        since = self.record.start if cleaned is None else max(cleaned, self.record.start)
        first = round((since - self.record.start) / _NANOSECONDS / self.record.step)
        hourly = hourly_means(excess[first:], self.record.step)
        if not hourly.size:
            return None
        return Stack(hours=np.arange(1, hourly.size + 1, dtype=float), excess=hourly)

    def _blowdown(self, wishes: Wishes) -> Advice:
        roles = self.record.roles
        if wishes.solids_limit is None or not self.record.has("boiler_solids", "feedwater_solids"):
            return self._no("blowdown", "solids of boiler water and feedwater, or their limit, "
                            "are not known")  # fmt: skip
        return blowdown(
            self.point, self.economy, self.evidence,
            boiler_solids=float(np.nanmean(roles["boiler_solids"])),
            feedwater_solids=float(np.nanmean(roles["feedwater_solids"])),
            limit=wishes.solids_limit,
        )  # fmt: skip

    def _no(self, kind: Kind, reason: str) -> Declined:
        return Declined(boiler=self.boiler.name, kind=kind, reason=reason)


def excess_over(learned: Learned, record: Record, rest: Mask) -> Array:
    """Kelvin of the stack above clean, not a number where the baseline does not hold."""
    baseline = learned.stack
    if baseline is None:
        return np.full(record.size, np.nan)
    used = {name: record.roles[name] for name in baseline.ranges}
    good = rest & baseline.known(used)
    return np.where(good, record.roles[baseline.response] - baseline.predict_all(used), np.nan)


def hourly_means(values: Array, step: float) -> Array:
    """Means over whole hours, of what is known in each; a tenth of the hour at the least."""
    each = round(_HOUR / step)
    rows = values[: values.size // each * each].reshape(-1, each)
    found = np.isfinite(rows)
    number = found.sum(axis=1)
    sums = np.where(found, rows, 0.0).sum(axis=1)
    return np.where(10 * number >= each, sums / np.maximum(number, 1), np.nan)


def _point(
    boiler: Boiler, record: Record, found: Moments, rows: Mask, findings: tuple[Finding, ...]
) -> OperatingPoint:
    """The mean state over these intervals."""
    weight = np.full(int(rows.sum()), 1 / rows.sum())
    conditions = mean_conditions(boiler, record, rows, weight)
    makeup = record.roles.get("makeup_temperature")
    if makeup is not None and not np.isfinite(makeup).any():
        makeup = None
    return OperatingPoint(
        boiler=boiler.name, fuel=boiler.fuel, conditions=conditions,
        water=_water(boiler, record, found, rows),
        makeup_temperature=None if makeup is None else float(np.nanmean(makeup)),
        instruments=boiler.instruments, findings=findings,
    )  # fmt: skip


def _water(boiler: Boiler, record: Record, found: Moments, rows: Mask) -> WaterSide:
    """The water side; where it is not measured, steam that takes up the heat of the fuel."""
    values = {
        role: float(np.nanmean(each[rows]))
        for role, each in record.roles.items()
        if np.isfinite(each[rows]).any()
    }
    if values.keys() >= set(_WATER):
        try:
            return water_of(boiler, values)
        except DataError:  # a blowdown that cannot be is not known; all else does not rest on it
            known = {role: value for role, value in values.items() if role not in _BLOWDOWN}
            return water_of(boiler, known)
    heat = float((found.fuel[rows] * np.asarray(found.terms.efficiency)[rows]).mean()) / 100
    return WaterSide(steam_flow=heat / 2_340.0, pressure=1.1, feedwater_temperature=105.0)
