"""What-if: a record run again with something changed, hour by hour at its own load and price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from gl002.boiler.account import Moments, conditions_over, mean_conditions, moments, prices
from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.efficiency import Conditions
from gl002.boiler.emissions import carbon_dioxide
from gl002.boiler.live import Boiler
from gl002.boiler.methods.direct import WaterSide
from gl002.boiler.recommend.operation import OperatingPoint, share_saved
from gl002.boiler.recommend.oxygen_trim import BurnerCurve
from gl002.boiler.record import Record
from gl002.boiler.tariff import Tariff
from gl002.boiler.uncertainty import Estimate, combine
from gl002.errors import DataError

CHANGEABLE: Final = ("oxygen", "stack_temperature", "air_temperature", "carbon_monoxide")
"""Roles that a what-if may set."""

_ANY_WATER: Final = WaterSide(steam_flow=1.0, pressure=1.1, feedwater_temperature=105.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What would have been.

    Attributes:
        boiler: name.
        start: ns since 1970.
        end: ns since 1970.
        hours: that are counted.
        before: efficiency as it was, percent of HHV, weighted by fuel.
        after: as it would have been.
        share: of the fuel saved; below 0 where more would have been burnt.
        fuel: MWh saved.
        money: saved at the price of each hour; None without a tariff.
        co2: t saved.
        limited: hours in which the change was held back by the burner's curve.
        reasons: what a reader must know to trust it.
    """

    boiler: str
    start: int
    end: int
    hours: float
    before: float
    after: float
    share: Estimate
    fuel: Estimate
    money: Estimate | None
    co2: Estimate
    limited: float
    reasons: tuple[str, ...]


def replay(
    boiler: Boiler,
    record: Record,
    change: Mapping[str, float],
    *,
    tariff: Tariff | None = None,
    curve: BurnerCurve | None = None,
) -> Replayed:
    """A record with roles set to other values.

    Oxygen is never taken below the curve its burner was commissioned with, where that is known;
    carbon monoxide stays what it was unless it is changed too, so a setting of less oxygen than
    the boiler ever ran with is an optimistic one, which the result says.

    Args:
        boiler: what is known about it.
        record: means of a minute.
        change: role -> value, of `CHANGEABLE`.
        tariff: what the fuel costs.
        curve: of the burner.

    Raises:
        DataError: a role that cannot be changed, or nothing known in the record.
    """
    unknown = sorted(change.keys() - set(CHANGEABLE))
    if unknown or not change:
        raise DataError(
            f"a what-if cannot change {', '.join(unknown) or 'nothing'}",
            hint=f"it can change {', '.join(CHANGEABLE)}",
        )
    before = moments(boiler, record)
    changed, limited = _changed(record, change, curve)
    after = moments(boiler, replace(changed, roles={**changed.roles, **_as_burnt(before, boiler)}))
    known = before.known & after.known
    if not known.any():
        raise DataError(f"{boiler.name}: it did not burn in this time, or its inputs are missing")
    eta, other = (np.asarray(each.terms.efficiency)[known] for each in (before, after))
    fuel = before.fuel[known]
    saved = fuel * (1 - eta / other)
    hours = record.step / 3600
    weight = fuel / fuel.sum()
    means = [mean_conditions(boiler, each, known, weight) for each in (record, changed)]
    share = _share(boiler, means[0], means[1], float(saved.sum() / fuel.sum()))
    energy = _times(share, float(fuel.sum()) * hours / 1000)
    carbon = carbon_dioxide(boiler.fuel)
    price = (
        None
        if tariff is None
        else prices(tariff, record, tariff.priced_carbon_dioxide(boiler.fuel))[known]
    )
    worth = None if price is None else float(price @ saved) / float(saved.sum() or 1.0)
    return Replayed(
        boiler=boiler.name, start=record.start, end=record.end, hours=float(known.sum()) * hours,
        before=float(eta @ fuel / fuel.sum()), after=float(other @ fuel / fuel.sum()),
        share=share, fuel=energy, money=None if worth is None else _times(energy, worth),
        co2=_times(energy, 3.6 * carbon / 1000),
        limited=float(np.sum(limited & known)) * hours,
        reasons=tuple(_reasons(record, known, change, limited)),
    )  # fmt: skip


def _changed(
    record: Record, change: Mapping[str, float], curve: BurnerCurve | None
) -> tuple[Record, Mask]:
    """The record with its changes, and where the curve held one back."""
    roles = dict(record.roles)
    limited = np.zeros(record.size, dtype=bool)
    for role, value in change.items():
        there = np.isfinite(roles[role]) if role in roles else np.ones(record.size, dtype=bool)
        roles[role] = np.where(there, value, np.nan)
    if curve is not None and "oxygen" in change:
        loads, least = zip(*curve.points, strict=True)
        load = conditions_over(record)["load"]  # that of the balance, assumed where not measured
        floor = np.interp(np.nan_to_num(load, nan=1.0), loads, least)
        limited = roles["oxygen"] < floor
        roles["oxygen"] = np.maximum(roles["oxygen"], floor)
    return replace(record, roles=roles), limited


def _as_burnt(before: Moments, boiler: Boiler) -> dict[str, Array]:
    """The fuel of before as if it were metered: what counts is what it would have become."""
    return {"fuel_flow": before.fuel / boiler.fuel.hhv}


def _share(boiler: Boiler, now: Conditions, target: Conditions, value: float) -> Estimate:
    """The share saved, with the band of the mean state: instruments are wrong all the time."""
    change = {
        role: getattr(target, role)
        for role in CHANGEABLE
        if getattr(target, role) != getattr(now, role)
    }
    if not change:
        return Estimate(value=value)
    point = OperatingPoint(
        boiler=boiler.name, fuel=boiler.fuel, conditions=now, water=_ANY_WATER,
        instruments=boiler.instruments,
    )  # fmt: skip
    return Estimate(value=value, parts=share_saved(point, change).parts)


def _reasons(record: Record, known: Mask, change: Mapping[str, float], limited: Mask) -> list[str]:
    said = []
    if limited[known].any():
        said.append("oxygen was kept at the burner's commissioned curve where that is higher")
    oxygen = change.get("oxygen")
    if oxygen is not None and oxygen < float(np.nanmin(record.roles["oxygen"][known])):
        said.append("the boiler never ran with so little oxygen: its carbon monoxide is not known")
    elif oxygen is not None and "carbon_monoxide" not in change:
        said.append("carbon monoxide is taken as it was")
    return said


def _times(found: Estimate, factor: float) -> Estimate:
    return combine(factor * found.value, [(factor, found)], same_readings=True)
