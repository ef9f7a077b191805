"""Where the fuel of a period went: losses weighted by the fuel burnt, with band, heat and money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.bands import band
from gl002.boiler.closed_form import Terms, closed_form
from gl002.boiler.efficiency import NO_OXYGEN, RANGES, REFERENCE_TEMPERATURE, Conditions
from gl002.boiler.emissions import carbon_dioxide, fossil_carbon_dioxide
from gl002.boiler.live import Boiler
from gl002.boiler.record import Record
from gl002.boiler.roles import OPTIONAL, REQUIRED
from gl002.boiler.steam_arrays import steam_heat
from gl002.boiler.tariff import Tariff
from gl002.boiler.uncertainty import Estimate
from gl002.errors import DataError

BURNING: Final = 0.02
"""Share of its mean fuel below which a boiler counts as not burning."""

_Names: TypeAlias = tuple[str, ...]

_METERS: Final[Mapping[bool, _Names]] = {
    True: ("fuel_flow",), False: ("steam_flow", "pressure", "feedwater_temperature"),
}  # fmt: skip
_AIR: Final = 20.5  # percent of oxygen from which on nothing burns
_LOSSES: Final = (
    "dry_gas", "hydrogen", "fuel_moisture", "air_moisture", "co", "unburnt_carbon", "ash",
    "surface",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """The heat balance of every interval of a record.

    Attributes:
        terms: efficiency and losses, percent of HHV; not a number where nothing is known.
        fuel: heat burnt, kW (HHV).
        known: intervals that count: burning, all inputs known and within their limits.
        unknown: hours in which it burnt, but an input was missing; by role.
        metered: whether the fuel is metered, or found from the steam.
    """

    terms: Terms
    fuel: Array
    known: Mask
    unknown: Mapping[str, float]
    metered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where the fuel went.

    Attributes:
        boiler: name.
        start: ns since 1970.
        end: ns since 1970.
        hours: that are counted.
        efficiency: percent of HHV, weighted by fuel, with its band.
        efficiency_lhv: the same heat, percent of LHV.
        losses: name -> percent of HHV.
        credit_air: percent of HHV.
        excess_air: percent.
        conditions: mean inputs, weighted by fuel.
        fuel: MWh (HHV); of the hours counted.
        money: what that fuel cost, carbon dioxide included; None without a tariff.
        currency: of `money`.
        co2: t, from all carbon of the fuel.
        co2_fossil: t, from its fossil carbon; the rest is from biomass.
        steam: t; None where it is not measured.
        atmosphere: Pa, that gauge pressures were taken against.
        reasons: what a reader must know to trust it.
    """

    boiler: str
    start: int
    end: int
    hours: float
    efficiency: Estimate
    efficiency_lhv: float
    losses: Mapping[str, float]
    credit_air: float
    excess_air: float
    conditions: Conditions
    fuel: float
    money: float | None
    currency: str
    co2: float
    co2_fossil: float
    steam: float | None
    atmosphere: float
    reasons: tuple[str, ...]


def moments(boiler: Boiler, record: Record) -> Moments:
    """The heat balance of every interval.

    Raises:
        DataError: a role of the heat loss method of which nothing is known, or no way to tell how
            much fuel was burnt.
    """
    missing = [role for role in REQUIRED if not record.has(role)]
    if missing:
        said = ", ".join(role.replace("_", " ") for role in missing)
        raise DataError(f"{boiler.name}: nothing is known of {said} in this time")
    inputs = conditions_over(record)
    good = _sound(record, inputs)
    over: Callable[..., Terms] = closed_form(  # whose formulas take arrays, too
        boiler.fuel, boiler.basis, REFERENCE_TEMPERATURE, boiler.residues
    )
    with np.errstate(all="ignore"):
        terms = over(
            inputs["oxygen"], inputs["stack_temperature"], inputs["air_temperature"],
            carbon_monoxide=inputs["carbon_monoxide"], humidity=inputs["humidity"],
            load=inputs["load"], surface_loss=boiler.surface_loss,
        )  # fmt: skip
        shown, metered = _shown(boiler, record)
        fuel = shown if metered else 100 * shown / np.asarray(terms.efficiency)
    burning = np.isfinite(shown) & (shown > BURNING * _mean(shown))
    good &= np.asarray(terms.efficiency) > 0
    return Moments(
        terms=terms, fuel=fuel, known=good & burning, metered=metered,
        unknown=_unknown(record, inputs, burning, np.isnan(shown), _METERS[metered]),
    )  # fmt: skip


def _unknown(
    record: Record, inputs: Mapping[str, Array], burning: Mask, unmetered: Mask, meters: _Names
) -> dict[str, float]:
    """Hours of burning in which an input or a meter was missing, by role.

    Where the meters are missing themselves, oxygen tells whether it burns.
    """
    with np.errstate(invalid="ignore"):
        lit = unmetered & (inputs["oxygen"] <= _AIR)
    missing = {
        **{role: burning & ~np.isfinite(values) for role, values in inputs.items()},
        **{role: lit & ~np.isfinite(record.roles[role]) for role in meters},
    }
    hours = {role: float(np.sum(rows)) * record.step / 3600 for role, rows in missing.items()}
    return {role: each for role, each in hours.items() if each}


def conditions_over(record: Record) -> dict[str, Array]:
    """The inputs of the heat loss method; assumed ones where nothing measures them.

    No oxygen at all is that of an analyser that is dead, and not known.
    """
    assumed = {"carbon_monoxide": 0.0, "humidity": 0.010, "load": 1.0}
    inputs = {
        role: record.roles[role] if role in record.roles else np.full(record.size, assumed[role])
        for role in (*REQUIRED, *OPTIONAL)
    }
    with np.errstate(invalid="ignore"):
        inputs["oxygen"] = np.where(inputs["oxygen"] > NO_OXYGEN, inputs["oxygen"], np.nan)
    monoxide = inputs["carbon_monoxide"]
    drifted = (monoxide < 0) & (monoxide >= RANGES["carbon_monoxide"].low)  # of its zero: none
    inputs["carbon_monoxide"] = np.where(drifted, 0.0, monoxide)
    return inputs


def account(boiler: Boiler, record: Record, tariff: Tariff | None = None) -> Account:
    """Where the fuel of a record went.

    Raises:
        DataError: as `moments`; no interval that counts.
    """
    found = moments(boiler, record)
    known = found.known
    if not known.any():
        raise DataError(f"{boiler.name}: it did not burn in this time, or its inputs are missing")
    weight = found.fuel[known] / found.fuel[known].sum()

    def mean(values: float | Array) -> float:
        return float(np.broadcast_to(values, known.shape)[known] @ weight)

    conditions = mean_conditions(boiler, record, known, weight)
    at_mean = band(boiler.fuel, conditions, boiler.instruments)
    efficiency = Estimate(value=mean(found.terms.efficiency), parts=at_mean.parts)
    hours = float(known.sum()) * record.step / 3600
    energy = float(found.fuel[known].sum()) * record.step / 3.6e6
    flow = record.roles.get("steam_flow")
    carbon = carbon_dioxide(boiler.fuel)
    return Account(
        boiler=boiler.name, start=record.start, end=record.end, hours=hours,
        efficiency=efficiency, efficiency_lhv=efficiency.value * boiler.fuel.hhv / boiler.fuel.lhv,
        losses={name: mean(getattr(found.terms, name)) for name in _LOSSES},
        credit_air=mean(found.terms.air_credit), excess_air=100 * mean(found.terms.excess_air),
        conditions=conditions, fuel=energy,
        money=None if tariff is None else float(
            prices(tariff, record, tariff.priced_carbon_dioxide(boiler.fuel))[known]
            @ found.fuel[known]
        ) * record.step / 3.6e6,
        currency="" if tariff is None else tariff.currency,
        co2=energy * 3.6 * carbon / 1000,
        co2_fossil=energy * 3.6 * fossil_carbon_dioxide(boiler.fuel) / 1000,
        steam=None if flow is None else float(np.nansum(flow[known])) * record.step / 1000,
        atmosphere=boiler.atmosphere, reasons=tuple(_reasons(record, found)),
    )  # fmt: skip


def mean_conditions(boiler: Boiler, record: Record, known: Mask, weight: Array) -> Conditions:
    """The mean state of the gas side over the intervals that count."""
    inputs = conditions_over(record)
    means = {role: float(values[known] @ weight) for role, values in inputs.items()}
    return Conditions(
        basis=boiler.basis, surface_loss=boiler.surface_loss, residues=boiler.residues, **means
    )


def prices(tariff: Tariff, record: Record, carbon: float) -> Array:
    """Price per MWh (HHV) of every interval, carbon dioxide (priced, kg/GJ) included.

    Tariffs change on the quarter of an hour at the most, so each is looked up once.
    """
    quarter = 900 * 1_000_000_000
    moments_ = record.start + np.round(record.times * 1e9).astype(np.int64)
    keys, places = np.unique(moments_ // quarter, return_inverse=True)
    began = datetime(1970, 1, 1, tzinfo=UTC)
    each = np.array([tariff.at(began + timedelta(seconds=900 * int(key))) for key in keys])
    return np.asarray(each[places] + tariff.of_carbon(carbon))


def _sound(record: Record, inputs: Mapping[str, Array]) -> Mask:
    """Intervals whose inputs a boiler at work can have."""
    good = np.ones(record.size, dtype=bool)
    with np.errstate(invalid="ignore"):
        for role, values in inputs.items():
            low, high, _ = RANGES[role]
            good &= (values >= low) & (values <= (min(high, _AIR) if role == "oxygen" else high))
        good &= inputs["stack_temperature"] >= inputs["air_temperature"]
    return good


def _shown(boiler: Boiler, record: Record) -> tuple[Array, bool]:
    """Heat that meters show, kW: of the fuel, else in the steam; and whether it is the fuel's."""
    if record.has("fuel_flow"):
        return record.roles["fuel_flow"] * boiler.fuel.hhv, True
    if record.has("steam_flow", "pressure", "feedwater_temperature"):
        return steam_heat(boiler, record), False
    raise DataError(
        f"{boiler.name}: neither fuel nor steam is measured, so its losses cannot be weighed",
        hint="bind 'fuel_flow', or 'steam_flow', 'pressure' and 'feedwater_temperature'",
    )


def _mean(values: Array) -> float:
    good = values[np.isfinite(values) & (values > 0)]
    return float(good.mean()) if good.size else 0.0


def _reasons(record: Record, found: Moments) -> list[str]:
    said = [
        f"{role.replace('_', ' ')} was missing for {hours:.1f} h of burning: not counted"
        for role, hours in found.unknown.items()
    ]
    said += [
        f"{role.replace('_', ' ')} was uncertain for {hours:.1f} h"
        for role, hours in record.doubted.items()
        if role in (*REQUIRED, *OPTIONAL, "fuel_flow")
    ]
    if not found.metered:
        said.append("no fuel meter: fuel is found from steam and efficiency")
    return said
