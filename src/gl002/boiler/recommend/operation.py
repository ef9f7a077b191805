"""A boiler at work, what its fuel is worth, and what a change of its operation saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Final

from gl002.boiler.analysis import Fuel
from gl002.boiler.bands import ASSUMED, Instruments, band
from gl002.boiler.blowdown import lost_heat
from gl002.boiler.closed_form import closed_form
from gl002.boiler.efficiency import Conditions, check
from gl002.boiler.emissions import carbon_dioxide
from gl002.boiler.findings import Finding
from gl002.boiler.methods.direct import WaterSide, output
from gl002.boiler.recommend.kinds import (
    LASTING,
    Advice,
    Amounts,
    Constraint,
    Declined,
    Kind,
    Recommendation,
    Saving,
    Upkeep,
)  # fmt: skip
from gl002.boiler.uncertainty import Estimate, Input, Part, combine, propagate
from gl002.errors import DataError
from gl002.model import is_good

_CONDITIONS: Final = frozenset(each.name for each in fields(Conditions))
_WATER: Final = frozenset(each.name for each in fields(WaterSide))
_RELATIVE: Final = frozenset({"blowdown", "steam_flow"})  # roles whose error is a share of them
_NONE: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A boiler at rest, as means over the time looked at.

    Attributes:
        boiler: name.
        fuel: what it burns.
        conditions: of the gas side.
        water: of the water side.
        makeup_temperature: degC of the cold water that replaces blowdown; None where blowdown is
            counted from feedwater on, which is half of what it costs.
        instruments: accuracy of the readings.
        findings: what is wrong with readings; nothing is advised that rests on those.
    """

    boiler: str
    fuel: Fuel
    conditions: Conditions
    water: WaterSide
    makeup_temperature: float | None = None
    instruments: Instruments = ASSUMED
    findings: tuple[Finding, ...] = ()

    def changed(self, change: Mapping[str, float]) -> OperatingPoint:
        """The same boiler with other conditions.

        Args:
            change: field of `Conditions` or `WaterSide` -> value.

        Raises:
            DataError: no such field.
        """
        unknown = sorted(change.keys() - _CONDITIONS - _WATER)
        if unknown:
            raise DataError(f"an operating point has no {', '.join(unknown)}")
        gas = {name: value for name, value in change.items() if name in _CONDITIONS}
        water = {name: value for name, value in change.items() if name in _WATER}
        return replace(
            self,
            conditions=replace(self.conditions, **gas),  # type: ignore[arg-type] # names are checked above
            water=replace(self.water, **water),  # type: ignore[arg-type] # names are checked above
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Economy:
    """What fuel is worth.

    Attributes:
        fuel_heat: burnt now, kW (HHV); metered, or from steam and efficiency.
        price: mean price per MWh (HHV) over the year, carbon dioxide included.
        price_now: the same at this hour.
        hours: at work in a year.
        mean_heat: burnt on the mean over those hours, kW (HHV).
    """

    fuel_heat: Estimate
    price: float
    price_now: float
    hours: float
    mean_heat: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """When the readings were taken, and how long advice from them holds.

    Attributes:
        start: ns since 1970.
        end: ns since 1970.
        valid: ns for which the advice holds from `end` on.
    """

    start: int
    end: int
    valid: int = 24 * 3_600_000_000_000


def heat_out(point: OperatingPoint) -> float:
    """Heat that the fuel must give, kW: to the steam, and to what the blowdown takes away.

    Raises:
        DataError: water and steam no boiler has.
    """
    found = output(point.water)
    if point.makeup_temperature is None or not point.water.blowdown:
        return found.steam + found.blowdown
    drum = point.water.drum_pressure or point.water.pressure
    return found.steam + lost_heat(found.blowdown_flow, drum, point.makeup_temperature)


def heat_needed(before: OperatingPoint, after: OperatingPoint) -> float:
    """Heat out after a change, kW, for the same use of steam.

    A kilogram of steam of another pressure brings another heat, but its consumers need the heat:
    they take that much more or fewer kilograms. What a lower pressure saves is in the stack and in
    the blowdown, not here.

    Raises:
        DataError: water and steam no boiler has.
    """
    as_before = replace(after.water, pressure=before.water.pressure)
    return heat_out(after) - output(after.water).steam + output(as_before).steam


def fuel_heat(point: OperatingPoint) -> Estimate:
    """Fuel burnt, kW (HHV), from the steam and the efficiency; where no meter shows it.

    Raises:
        DataError: readings no boiler at work has.
    """
    check(point.conditions)
    efficiency = band(point.fuel, point.conditions, point.instruments)
    heat = _heat(point)
    value = 100 * heat.value / efficiency.value
    return combine(value, [(100 / efficiency.value, heat), (-value / efficiency.value, efficiency)])


def share_saved(
    point: OperatingPoint, change: Mapping[str, float], *, spread: Mapping[str, float] = _NONE
) -> Estimate:
    """Share of the fuel that a change saves for the same use of steam.

    Efficiency and heat are computed twice with the same instruments: what they show too high, they
    show too high before and after, and most of it cancels.

    Args:
        point: the boiler now.
        change: field -> value after the change.
        spread: field -> standard uncertainty with which that value is reached.

    Raises:
        DataError: readings no boiler at work has, before or after.
    """
    after = point.changed(change)
    check(point.conditions)
    check(after.conditions)
    before_eta = band(point.fuel, point.conditions, point.instruments)
    after_eta = band(point.fuel, after.conditions, point.instruments)
    ratio = _heat_ratio(point, change)
    eta = before_eta.value / after_eta.value
    share = combine(
        1 - ratio.value * eta,
        [
            (ratio.value * eta / after_eta.value, after_eta),
            (-ratio.value / after_eta.value, before_eta),
            (-eta, ratio),
        ],
        same_readings=True,
    )
    parts = dict(share.parts)
    for name, standard in spread.items():
        other = {**change, name: change[name] + standard}
        parts[f"target {name}"] = Part(0.0, _share(point, other) - share.value)
    return Estimate(value=share.value, parts=parts)


def saving(
    point: OperatingPoint,
    change: Mapping[str, float],
    economy: Economy,
    *,
    spread: Mapping[str, float] = _NONE,
    upkeep: Upkeep = LASTING,
) -> Saving:
    """What a change saves in fuel, money and carbon dioxide, per hour and per year.

    Args:
        point: the boiler now.
        change: field -> value after the change.
        economy: what fuel is worth.
        spread: field -> standard uncertainty with which that value is reached.
        upkeep: what the year is short of.

    Raises:
        DataError: as `share_saved`.
    """
    share = share_saved(point, change, spread=spread)
    heat = economy.fuel_heat
    hour = combine(
        share.value * heat.value / 1000, [(heat.value / 1000, share), (share.value / 1000, heat)]
    )
    lost = upkeep.lost
    kept = combine(share.value - lost.value, [(1.0, share), (-1.0, lost)], same_readings=True)
    year = _times(kept, economy.mean_heat * economy.hours / 1000)
    worth = _times(year, economy.price)
    carbon = carbon_dioxide(point.fuel) * 3.6 / 1000  # t/MWh
    return Saving(
        share=share,
        per_hour=Amounts(
            fuel=hour, money=_times(hour, economy.price_now), co2=_times(hour, carbon)
        ),
        per_year=Amounts(
            fuel=year, money=replace(worth, value=worth.value - upkeep.cost),
            co2=_times(year, carbon),
        ),
    )  # fmt: skip


def recommend(
    point: OperatingPoint,
    kind: Kind,
    change: Mapping[str, float],
    economy: Economy,
    evidence: Evidence,
    *,
    title: str,
    now: Mapping[str, float],
    target: Mapping[str, float],
    constraints: tuple[Constraint, ...] = (),
    spread: Mapping[str, float] = _NONE,
    upkeep: Upkeep = LASTING,
    roles: frozenset[str] = frozenset(),
    project: bool = False,
    reasons: tuple[str, ...] = (),
) -> Advice:
    """A recommendation, if it keeps its constraints, rests on sound readings and is worth doing.

    Args:
        point: the boiler now.
        kind: what it is about.
        change: field -> value after the change.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        title: what to do.
        now: quantity with its unit -> value, for people.
        target: the same -> value after the change.
        constraints: limits that were looked at.
        spread: field -> standard uncertainty with which its target is reached.
        upkeep: what keeping it up takes back and costs in a year.
        roles: readings it rests on.
        project: whether it needs equipment.
        reasons: what a reader must know.
    """
    broken = next((each.said for each in constraints if not each.kept), None)
    doubtful = doubt(point, roles)
    if broken or doubtful:
        return Declined(boiler=point.boiler, kind=kind, reason=broken or doubtful or "")
    try:
        found = saving(point, change, economy, spread=spread, upkeep=upkeep)
    except DataError as error:
        return Declined(boiler=point.boiler, kind=kind, reason=str(error))
    if found.share.value <= 0:
        return Declined(boiler=point.boiler, kind=kind, reason="it would save nothing")
    if not found.share.significant():
        low, high = (100 * each for each in found.share.band)
        return Declined(
            boiler=point.boiler,
            kind=kind,
            reason=f"its saving of {100 * found.share.value:.2f} % of the fuel lies within its "
            f"uncertainty ({low:.2f} to {high:.2f} %)",
        )
    if upkeep.cost and found.per_year.money.value <= 0:
        return Declined(
            boiler=point.boiler, kind=kind, reason="a year of it would cost more than it saves"
        )
    return Recommendation(
        id=f"{point.boiler}.{kind}", boiler=point.boiler, kind=kind, title=title,
        evidence=(evidence.start, evidence.end), now=now, target=target, saving=found,
        constraints=constraints, change=dict(change), spread=dict(spread), upkeep=upkeep,
        expires=evidence.end + evidence.valid, project=project, reasons=reasons,
    )  # fmt: skip


def doubt(point: OperatingPoint, roles: frozenset[str]) -> str | None:
    """Why readings that advice would rest on cannot be believed; None where they can."""
    for finding in point.findings:
        if finding.role in roles and not is_good(finding.quality):
            return f"not before this is settled: {finding.reason}"
    return None


def _heat(point: OperatingPoint) -> Estimate:
    """Heat out with the uncertainty of the flow of steam and of blowdown."""
    flows = {
        name: point.instruments.accuracy(name).of(value)
        for name in _RELATIVE
        if (value := getattr(point.water, name))
    }
    return propagate(lambda x: heat_out(point.changed(x)), flows, limits={"blowdown": (0.0, 50.0)})


def _heat_ratio(point: OperatingPoint, change: Mapping[str, float]) -> Estimate:
    """Heat out after a change over that before; a meter is wrong by the same share in both."""
    if not change.keys() & _WATER:
        return Estimate(value=1.0)
    shares = {
        name: Input(1.0, point.instruments.accuracy(name).systematic(value) / value)
        for name in _RELATIVE
        if (value := getattr(point.water, name))
    }

    def ratio(x: Mapping[str, float]) -> float:
        true = {name: x[name] * getattr(point.water, name) for name in shares}
        wanted = {name: x.get(name, 1.0) * value for name, value in change.items()}
        gas = {name: value for name, value in wanted.items() if name in _CONDITIONS}
        water = {**true, **{name: v for name, v in wanted.items() if name in _WATER}}
        before = point.changed(true)
        return heat_needed(before, point.changed({**gas, **water})) / heat_out(before)

    return propagate(ratio, shares)


def _share(point: OperatingPoint, change: Mapping[str, float]) -> float:
    """The share a change saves, without its uncertainty."""
    after = point.changed(change)
    eta = [
        closed_form(each.fuel, each.conditions.basis, 25.0, each.conditions.residues)
        .at(each.conditions)
        .efficiency
        for each in (point, after)
    ]
    return 1 - heat_needed(point, after) / heat_out(point) * eta[0] / eta[1]


def _times(estimate: Estimate, factor: float) -> Estimate:
    return combine(factor * estimate.value, [(factor, estimate)], same_readings=True)
