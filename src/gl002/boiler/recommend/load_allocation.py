"""Sharing the steam of a header among its boilers, and resting those that are not needed.

Fuel over load comes from each boiler's own record, found from its steam and its losses: two flow
meters would put an error of two percent on the difference between boilers, the losses put some
tenths on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gl002.boiler.account import mean_conditions, moments, prices
from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.bands import band
from gl002.boiler.dispatch import Allocation, Curve, Unit, allocate, fit_curve
from gl002.boiler.emissions import carbon_dioxide
from gl002.boiler.live import Boiler
from gl002.boiler.recommend.kinds import (
    Advice,
    Amounts,
    Constraint,
    Declined,
    Recommendation,
    Saving,
)  # fmt: skip
from gl002.boiler.record import Record, resting
from gl002.boiler.steam_arrays import steam_heat
from gl002.boiler.study import FREE
from gl002.boiler.tariff import Tariff
from gl002.boiler.uncertainty import Estimate, Part, combine
from gl002.errors import DataError

_BLOCK: Final = 600.0  # s of the means that curves are found from
_HOUR: Final = 3_600.0
_MOST_HOURS: Final = 48  # planned together
_SMALL: Final = 1e-9
_VALID: Final = 24 * 3_600_000_000_000
_NEEDED: Final = ("steam_flow", "pressure", "feedwater_temperature")
_LEAST_SPREAD: Final = 0.2  # kg/s of steam that counts as running


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A boiler on a header.

    Attributes:
        boiler: what is known about it.
        record: means of a minute, of the same time for all members.
        least: kg/s of steam below which it cannot run.
        most: kg/s.
        start_cost: of one start, in the money of the tariff.
        min_up: hours it must run once it is on.
        min_down: hours it must rest once it is off.
        tariff: name of what its fuel costs; boilers of another are not compared with it.
    """

    boiler: Boiler
    record: Record
    least: float
    most: float
    start_cost: float = 0.0
    min_up: int = 1
    min_down: int = 1
    tariff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A member with its fuel over load, and how far off that may be."""

    member: Member
    curve: Curve
    steam: Array  # hour by hour, as it was
    doubt: float  # relative standard uncertainty of its efficiency


def load_allocation(
    header: str,
    members: Sequence[Member],
    tariff: Tariff | None = None,
    *,
    reserve: float | Literal["n+1"] = "n+1",
    hours: float = 8_000.0,
) -> Advice:
    """What sharing the steam otherwise would have saved over the last hours of the record.

    Args:
        header: name.
        members: its boilers.
        tariff: what their fuel costs; the same for all.
        reserve: as of `gl002.boiler.dispatch.allocate`.
        hours: at work in a year.
    """
    try:
        _need_one_price(members)
        known = [_known(member) for member in members]
        demand, price = _demand(known, tariff or FREE)
        units = [_unit(each) for each in known]
        best = allocate(units, demand, prices=np.maximum(price, _SMALL).tolist(), reserve=reserve)
    except DataError as error:
        return Declined(boiler=header, kind="load_allocation", reason=str(error))
    was = np.array([each.steam[-len(demand) :] for each in known])
    saved = _saving(known, was, best, price, hours)
    if saved.share.value <= 0:
        return Declined(
            boiler=header, kind="load_allocation", reason="the steam is shared as well as can be"
        )
    if not saved.share.significant():
        low, high = (100 * end for end in saved.share.band)
        return Declined(
            boiler=header, kind="load_allocation",
            reason=f"its saving of {100 * saved.share.value:.2f} % of the fuel lies within its "
            f"uncertainty ({low:.2f} to {high:.2f} %)",
        )  # fmt: skip
    return _recommendation(header, known, was, best, saved, reserve=reserve)


def _need_one_price(members: Sequence[Member]) -> None:
    """Refuse boilers whose fuels cost differently: the least fuel is not the least money then.

    Raises:
        DataError: names what each of them pays.
    """
    if len({member.tariff for member in members}) > 1:
        said = ", ".join(f"{member.boiler.name} pays {member.tariff}" for member in members)
        raise DataError(
            f"its boilers burn fuels of different prices: {said}",
            hint="'tariff' of each boiler names its price; the same name for fuels that cost alike",
        )


def _known(member: Member) -> _Known:
    """Fuel over load of a boiler, from its steam and its losses.

    Raises:
        DataError: what is needed for that is not measured, or it had one load only.
    """
    boiler, record = member.boiler, member.record
    if not record.has(*_NEEDED):
        raise DataError(f"{boiler.name}: steam flow, pressure and feedwater temperature are needed")
    found = moments(boiler, record)
    rest = resting(record, boiler) & found.known
    with np.errstate(all="ignore"):
        fuel = 100 * steam_heat(boiler, record) / np.asarray(found.terms.efficiency)
    rows = Record(
        start=record.start, step=record.step, doubted={},
        roles={"steam": record.roles["steam_flow"], "fuel": fuel},
    )  # fmt: skip
    means = rows.means(_BLOCK, rest).roles
    try:
        curve = fit_curve(means["steam"], means["fuel"])
    except DataError as error:
        raise DataError(f"{boiler.name}: {error}") from None
    hourly = rows.means(_HOUR).roles["steam"]
    running = np.where(found.fuel > 0, record.roles["steam_flow"], 0.0)[found.known]
    if not running.size:
        raise DataError(f"{boiler.name}: it did not burn in this time")
    return _Known(
        member=member, curve=curve, steam=np.nan_to_num(hourly),
        doubt=_doubt(boiler, record, found.known),
    )  # fmt: skip


def _doubt(boiler: Boiler, record: Record, known: Mask) -> float:
    weight = np.full(int(known.sum()), 1 / known.sum())
    estimate = band(
        boiler.fuel, mean_conditions(boiler, record, known, weight), boiler.instruments
    )  # fmt: skip
    own = [
        math.hypot(*part)
        for name, part in estimate.parts.items()
        if name not in {"fuel hydrogen", "fuel air", "method"}  # the same in all of them
    ]
    return math.hypot(*own) / estimate.value


def _unit(each: _Known) -> Unit:
    member = each.member
    return Unit(
        name=member.boiler.name, curve=each.curve, least=member.least, most=member.most,
        start_cost=member.start_cost, min_up=member.min_up, min_down=member.min_down,
        on=bool(each.steam[-min(each.steam.size, _MOST_HOURS)] > _LEAST_SPREAD),
    )  # fmt: skip


def _demand(known: Sequence[_Known], tariff: Tariff) -> tuple[list[float], Array]:
    """Steam of all boilers in each of the last hours, and the price of fuel in it.

    Raises:
        DataError: less than one hour, or no steam at all.
    """
    count = min(_MOST_HOURS, *(each.steam.size for each in known))
    if count < 1:
        raise DataError("less than an hour is known")
    total = np.sum([each.steam[-count:] for each in known], axis=0)
    total = np.where(total > _LEAST_SPREAD, total, 0.0)  # a meter at rest is never quite at zero
    if not np.any(total > 0):
        raise DataError(f"no steam was made in the last {count} hours")
    first = known[0].member
    whole = first.record.means(_HOUR)
    each = prices(tariff, whole, tariff.priced_carbon_dioxide(first.boiler.fuel))
    return [float(value) for value in total], each[-count:]


def _saving(
    known: Sequence[_Known], was: Array, best: Allocation, price: Array, hours: float
) -> Saving:
    """Fuel of the same curves before and after: what they have in common cancels."""
    before, after, parts = 0.0, 0.0, {}
    worth = 0.0
    for i, each in enumerate(known):
        name = each.member.boiler.name
        then = np.array([each.curve.at(x) if x > _LEAST_SPREAD else 0.0 for x in was[i]])
        now = np.array(
            [
                each.curve.at(x) if on else 0.0
                for x, on in zip(best.steam[name], best.on[name], strict=True)
            ]
        )
        before, after = before + float(then.sum()), after + float(now.sum())
        worth += float(price @ (then - now)) / 1000
        parts[f"{name}.efficiency"] = Part(float((then - now).sum()) * each.doubt)
    count = was.shape[1]
    share = Estimate(
        value=(before - after) / before,
        parts={name: Part(part.systematic / before) for name, part in parts.items()},
    )
    starts = sum(best.starts[each.member.boiler.name] * each.member.start_cost for each in known)
    carbon = carbon_dioxide(known[0].member.boiler.fuel) * 3.6 / 1000
    per_hour = _times(share, before / count / 1000)
    money = (worth - starts) / count
    factor = money / per_hour.value if per_hour.value else 0.0
    hour = Amounts(fuel=per_hour, money=_times(per_hour, factor), co2=_times(per_hour, carbon))
    year = Amounts(
        fuel=_times(hour.fuel, hours), money=_times(hour.money, hours),
        co2=_times(hour.co2, hours),
    )  # fmt: skip
    return Saving(share=share, per_hour=hour, per_year=year)


def _recommendation(
    header: str,
    known: Sequence[_Known],
    was: Array,
    best: Allocation,
    saved: Saving,
    *,
    reserve: float | Literal["n+1"],
) -> Recommendation:
    names = [each.member.boiler.name for each in known]
    means = {name: float(np.mean(best.steam[name])) for name in names}
    idle = [name for name in names if not any(best.on[name])]
    shares = ", ".join(f"{name} {means[name]:.1f}" for name in names if name not in idle)
    title = f"Share the steam of {header}, kg/s on the mean: {shares}"
    if idle:
        title += f"; rest {', '.join(idle)}"
    said = "any one may fail" if reserve == "n+1" else f"{reserve:.4g} kg/s"
    starts = sum(best.starts.values())
    record = known[0].member.record
    return Recommendation(
        id=f"{header}.load_allocation", boiler=header, kind="load_allocation", title=title,
        evidence=(record.start, record.end), saving=saved, expires=record.end + _VALID,
        now={f"{name} steam, kg/s": float(np.mean(was[i])) for i, name in enumerate(names)},
        target={f"{name} steam, kg/s": mean for name, mean in means.items()},
        constraints=(
            Constraint("reserve", said, kept=True),
            Constraint("least and most steam", "each within its own", kept=True),
            Constraint("starts", f"{starts} in {was.shape[1]} hours", kept=True),
        ),
        reasons=(
            "of the last hours, whose demand was known: a plan for tomorrow needs a forecast",
        ),
    )  # fmt: skip


def _times(found: Estimate, factor: float) -> Estimate:
    return combine(factor * found.value, [(factor, found)], same_readings=True)
