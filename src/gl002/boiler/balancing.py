"""Balances of water, salts and energy over a record at rest: which meter does not fit the others.

The means of all meters are reconciled (`gl002.boiler.reconcile`); what has to be moved further than
its uncertainty allows is a finding, as for any other check.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gl002.boiler import steam
from gl002.boiler.account import mean_conditions, moments
from gl002.boiler.arrays import Mask, np
from gl002.boiler.bands import band
from gl002.boiler.findings import Finding, said_of
from gl002.boiler.live import Boiler
from gl002.boiler.reconcile import (
    Balance,
    Reading,
    Reconciled,
    balances_of_boiler,
    find_gross_errors,
)
from gl002.boiler.record import Record, resting
from gl002.boiler.uncertainty import Accuracy
from gl002.errors import DataError
from gl002.model import Quality

METERS: Final[Mapping[str, Accuracy]] = MappingProxyType(
    {
        "feedwater_flow": Accuracy(reading=1.5, meaning="standard"),
        "blowdown_flow": Accuracy(reading=5.0, meaning="standard"),
        "boiler_solids": Accuracy(reading=5.0, meaning="standard"),
        "feedwater_solids": Accuracy(reading=5.0, meaning="standard"),
    }
)
"""What is assumed of a meter whose accuracy is not configured, beside those of the bands."""

_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "steam": "steam_flow", "feedwater": "feedwater_flow", "blowdown": "blowdown_flow",
        "feedwater_solids": "feedwater_solids", "boiler_solids": "boiler_solids",
        "fuel_heat": "fuel_flow",
    }
)  # fmt: skip
"""Name in the balances -> role whose instrument it is."""

_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"steam": " kg/s", "feedwater": " kg/s", "blowdown": " kg/s", "fuel_heat": " kW (HHV)"}
)
"""Name in the balances -> unit it is told in; solids are in whatever unit they are measured in."""

_OR_LOSSES: Final = ", or oxygen or stack temperature is wrong: fuel times efficiency is checked"

ENOUGH: Final = 10
"""Minutes at rest that make a judgement."""

_TABLES: Final = 0.2  # kJ/kg, standard, of enthalpies by pressure and temperature


def reconciled(boiler: Boiler, record: Record) -> Reconciled | None:
    """The means at rest, made to agree; None where too little is measured to check anything.

    Raises:
        DataError: nothing is known in the record, or the balances cannot be satisfied.
    """
    rest = rest_of(boiler, record)
    found = None if rest is None else readings_of(boiler, record, rest)
    return None if found is None else find_gross_errors(*found)


def rest_of(boiler: Boiler, record: Record) -> Mask | None:
    """The intervals in which the boiler's balances hold; None where they are too few to judge."""
    if not record.has("steam_flow", "feedwater_flow"):
        return None
    try:
        found = moments(boiler, record)
    except DataError:
        return None
    rest = resting(record, boiler) & found.known
    return rest if rest.sum() >= ENOUGH else None


def readings_of(
    boiler: Boiler, record: Record, rest: Mask, prefix: str = ""
) -> tuple[dict[str, Reading], list[Balance]] | None:
    """What the boiler's meters show in these intervals, and the balances that bind them.

    Args:
        boiler: what is known about it.
        record: what its instruments showed.
        rest: intervals whose means are taken.
        prefix: before each name, as of `balances_of_boiler`.

    Raises:
        DataError: a state no boiler has.
    """
    means = {
        role: float(np.nanmean(values[rest]))
        for role, values in record.roles.items()
        if np.isfinite(values[rest]).any()
    }
    salts = {"boiler_solids", "feedwater_solids"} <= means.keys()
    energy = {"fuel_flow", "pressure", "feedwater_temperature"} <= means.keys()
    if not (salts or energy or "blowdown_flow" in means):
        return None
    readings = _water(boiler, means, salts=salts)
    if energy:
        readings.update(_energy(boiler, record, rest, means))
    named = {prefix + name: reading for name, reading in readings.items()}
    return named, balances_of_boiler(prefix, salts=salts, energy=energy)


def contradictions(boiler: Boiler, record: Record) -> list[Finding]:
    """Meters that do not fit the balances of water, salts and energy, each with a sentence.

    Those that explain a contradiction equally well are all named.
    """
    try:
        found = reconciled(boiler, record)
    except DataError:
        return []
    if found is None:
        return []
    return [finding for _, finding in blamed(found, "the balances of water, salts and energy")]


def blamed(found: Reconciled, balances: str) -> Iterator[tuple[str, Finding]]:
    """Findings about the suspects, each with the prefix of its name.

    Args:
        found: with suspects.
        balances: what they do not fit, in words.
    """
    split = [(name.rpartition(".")[0], name.rpartition(".")[2], name) for name in found.suspects]
    suspects = [each for each in split if each[1] in _ROLES]
    with_others = " or another of those named here" if len(suspects) > 1 else ""
    losses = {prefix for prefix, short, _ in split if short == "efficiency"}
    for prefix, short, name in suspects:
        role = _ROLES[short]
        or_losses = _OR_LOSSES if short == "fuel_heat" and prefix in losses else ""
        yield prefix, Finding(
            "balance", role, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE,
            f"{said_of(role)} does not fit {balances}: it, with the rest right, would be "
            f"{found.values[name]:.4g}{_UNITS.get(short, '')}{with_others}{or_losses}",
        )  # fmt: skip


def reading(boiler: Boiler, role: str, value: float) -> Reading:
    """A mean of one of its meters with the standard uncertainty of that meter."""
    given = boiler.instruments.given.get(role) or METERS.get(role)
    accuracy = given or boiler.instruments.accuracy(role)
    return Reading(value, max(accuracy.systematic(value), 1e-9))


def _water(boiler: Boiler, means: Mapping[str, float], *, salts: bool) -> dict[str, Reading]:
    """Flows, and salts where both are measured; a blowdown without a meter is found."""
    steam_flow = means["steam_flow"]
    readings = {
        "steam": reading(boiler, "steam_flow", steam_flow),
        "feedwater": reading(boiler, "feedwater_flow", means["feedwater_flow"]),
        "blowdown": Reading(0.03 * steam_flow),
    }
    if "blowdown_flow" in means:
        readings["blowdown"] = reading(boiler, "blowdown_flow", means["blowdown_flow"])
    if salts:
        for role in ("boiler_solids", "feedwater_solids"):
            readings[role] = reading(boiler, role, means[role])
    return readings


def _energy(
    boiler: Boiler, record: Record, rest: Mask, means: Mapping[str, float]
) -> dict[str, Reading]:
    """Fuel, its efficiency by the losses, and the enthalpies that go with the readings.

    Raises:
        DataError: a state no boiler has.
    """
    weight = np.full(int(rest.sum()), 1 / rest.sum())
    efficiency = band(
        boiler.fuel, mean_conditions(boiler, record, rest, weight), boiler.instruments
    )
    feed = steam.water(means["pressure"], means["feedwater_temperature"]).enthalpy
    out = (
        steam.saturated(means["pressure"], boiler.dryness)
        if boiler.saturated
        else steam.superheated(means["pressure"], means["steam_temperature"])
    )
    drained = steam.by_dryness(means["pressure"], 0.0)
    fuel = reading(boiler, "fuel_flow", means["fuel_flow"])
    assert fuel.standard is not None
    heat = means["fuel_flow"] * boiler.fuel.hhv
    doubt = math.hypot(
        fuel.standard / means["fuel_flow"], boiler.instruments.heating_value(boiler.fuel)
    )
    return {
        "fuel_heat": Reading(heat, heat * doubt),
        "efficiency": Reading(efficiency.value, efficiency.standard),
        "steam_rise": Reading(out.enthalpy - feed, _TABLES),
        "blowdown_rise": Reading(drained.enthalpy - feed, _TABLES),
    }
