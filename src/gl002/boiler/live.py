"""Efficiency as tags: samples of the instruments in, samples of the results out.

The quality of a result is that of its worst input, and a note says in a sentence why. What cannot
be computed is bad and has no value: never a number somebody might believe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gl002.boiler.acid_dew_point import water_dew_point
from gl002.boiler.bands import ASSUMED, Instruments, band
from gl002.boiler.combustion import OxygenBasis
from gl002.boiler.efficiency import (
    NO_OXYGEN,
    Conditions,
    HeatBalance,
    indirect,
    without_drift,
)
from gl002.boiler.findings import Finding, about, said_of
from gl002.boiler.fuels import NATURAL_GAS, Fuel
from gl002.boiler.losses import Residue
from gl002.boiler.result import BlowdownBasis
from gl002.boiler.roles import OPTIONAL, REQUIRED, ROLES
from gl002.boiler.steadiness import LIMITS, Limits
from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, is_bad, is_good, quality_name, severity, worst
from gl002.units import STANDARD_ATMOSPHERE

ROLE_UNITS: Final[Mapping[str, str]] = {role: ROLES[role].unit for role in REQUIRED + OPTIONAL}
"""Unit in which `evaluate` takes each role."""

_COLDER_WALLS: Final = 5.0  # K; the last surfaces are colder than the gas that leaves them
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Boiler:
    """A boiler whose efficiency is computed.

    Attributes:
        name: prefix of the result tags, 'boiler1'.
        basis: of the oxygen analyser.
        fuel: what it burns.
        surface_loss: at full load, percent of HHV.
        residues: where the ash of a solid fuel leaves and how much carbon is in it.
        max_age: seconds after which an input makes the result uncertain.
        roles: roles that have an instrument or a fixed value.
        instruments: accuracy of the instruments.
        blowdown_basis: what a blowdown in percent is a share of.
        saturated: whether its steam is saturated.
        dryness: of saturated steam.
        full_steam: steam flow at full load, kg/s; None where it is not known.
        steady: when it counts as at rest.
        atmosphere: pressure of the air around it, Pa.
        reference_oxygen: percent of dry gas that its permit refers to; None where there is none.
    """

    name: str
    basis: OxygenBasis
    fuel: Fuel = NATURAL_GAS
    surface_loss: float = 0.5
    residues: tuple[Residue, ...] = ()
    max_age: float = 30.0
    roles: frozenset[str] = frozenset(REQUIRED)
    instruments: Instruments = ASSUMED
    blowdown_basis: BlowdownBasis | None = None
    saturated: bool = True
    dryness: float = 1.0
    full_steam: float | None = None
    steady: Limits = LIMITS
    atmosphere: float = STANDARD_ATMOSPHERE
    reference_oxygen: float | None = None


class Result(NamedTuple):
    """A tag that `evaluate` gives: '<boiler>.<name>'."""

    name: str
    unit: str
    description: str


RESULTS: Final = (
    Result("efficiency_hhv", "%", "Efficiency by heat losses, of the higher heating value"),
    Result("efficiency_hhv_low", "%", "Lower end of the 95 % band of efficiency_hhv"),
    Result("efficiency_hhv_high", "%", "Upper end of the 95 % band of efficiency_hhv"),
    Result("efficiency_lhv", "%", "Efficiency by heat losses, of the lower heating value"),
    Result("excess_air", "%", "Air above the theoretical"),
    Result("loss_dry_gas", "%", "Loss: heat of the dry flue gas, of HHV"),
    Result("loss_hydrogen", "%", "Loss: water formed from hydrogen, of HHV"),
    Result("loss_moisture", "%", "Loss: water in fuel and air, of HHV"),
    Result("loss_co", "%", "Loss: carbon monoxide not burnt, of HHV"),
    Result("loss_surface", "%", "Loss: radiation and convection of the casing, of HHV"),
    Result("credit_air", "%", "Credit: heat brought by warm air, of HHV"),
    Result("flue_o2_dry", "%", "Oxygen in the dry flue gas"),
)
"""The numbers `evaluate` gives, in this order; `efficiency_note` follows them."""

NOTE: Final = Result("efficiency_note", "", "Why the efficiency is good, uncertain or bad")


def tags(boiler: str) -> list[Tag]:
    """The result tags of a boiler, for the tag table."""
    return tags_of(boiler, RESULTS, NOTE)


def tags_of(boiler: str, results: Iterable[Result], note: Result) -> list[Tag]:
    """Numbers and the note about them, for the tag table."""
    text = Tag(
        name=f"{boiler}.{note.name}", description=note.description, source="boiler", type="str"
    )
    return [*(as_tag(boiler, result) for result in results), text]


def as_tag(boiler: str, result: Result) -> Tag:
    """A number that a boiler's results hold, for the tag table."""
    name, unit, text = result
    return Tag(name=f"{boiler}.{name}", unit=unit, description=text, source="boiler", type="float")


def evaluate(
    boiler: Boiler, inputs: Mapping[str, Sample], now: int, findings: Iterable[Finding] = ()
) -> list[Sample]:
    """All results of a boiler at one moment.

    Args:
        boiler: what is known about it.
        inputs: role -> the latest sample, in the unit of `ROLE_UNITS`. A role of `boiler.roles`
            that is absent has not been received yet.
        now: ns since 1970, time of the results.
        findings: what a watch over the instruments has found; those of other roles do not count.

    Returns:
        A sample for each of `RESULTS`, all of the same quality, and the note, always good: 'good',
        'uncertain: stack temperature stale 42 s' or 'bad: oxygen has no value'.
    """
    inputs = with_load(boiler, inputs)
    found = [
        *inspect(REQUIRED + OPTIONAL, REQUIRED, boiler, inputs, now),
        *_without_load(boiler, inputs),
        *without_oxygen(inputs),
        *about(findings, boiler.roles & ROLE_UNITS.keys()),
    ]
    values: Sequence[float] | None = None
    if not is_bad(worst(finding.quality for finding in found)):
        conditions = conditions_of(boiler, inputs)
        try:
            balance = indirect(boiler.fuel, conditions)
        except DataError as error:
            found.append(Finding("balance", "oxygen", Quality.BAD_OUT_OF_RANGE, str(error)))
        else:
            found += _condensing(balance, boiler.atmosphere)
            values = _values(balance, band(boiler.fuel, conditions, boiler.instruments).band)
    return samples_of(boiler.name, RESULTS, NOTE, values, findings=found, now=now)


def samples_of(
    boiler: str,
    results: Sequence[Result],
    note: Result,
    values: Sequence[float] | None,
    *,
    findings: Sequence[Finding],
    now: int,
) -> list[Sample]:
    """Numbers of one quality, the worst of all findings, and the note that says why.

    Args:
        boiler: its name.
        results: what the numbers are.
        note: what the note is.
        values: in the order of `results`; None where they cannot be had.
        findings: what is wrong.
        now: ns since 1970, time of the samples.
    """
    quality = worst(finding.quality for finding in findings)
    numbers = [None] * len(results) if values is None else values
    samples = [
        Sample(f"{boiler}.{result.name}", value, now, quality)
        for result, value in zip(results, numbers, strict=True)
    ]
    return [*samples, Sample(f"{boiler}.{note.name}", note_of(findings, quality), now)]


def inspect(
    roles: Iterable[str],
    required: Iterable[str],
    boiler: Boiler,
    inputs: Mapping[str, Sample],
    now: int,
) -> Iterator[Finding]:
    """What is wrong with the inputs, apart from their values.

    Args:
        roles: those looked at.
        required: those that must be there; others only where the boiler has them.
        boiler: what is known about it.
        inputs: role -> the latest sample.
        now: ns since 1970.
    """
    needed = frozenset(required)
    for role in roles:
        if role in needed or role in boiler.roles or role in inputs:
            yield from _inspect_one(role, inputs.get(role), now, boiler.max_age)


def with_load(boiler: Boiler, inputs: Mapping[str, Sample]) -> Mapping[str, Sample]:
    """The inputs with the load that the steam flow shows, where no tag shows it."""
    steam = inputs.get("steam_flow")
    if not _by_steam(boiler) or steam is None or is_bad(steam.quality):
        return inputs
    if isinstance(steam.value, bool | str | None):
        return inputs
    load = Sample(steam.tag, steam.value / (boiler.full_steam or 1.0), steam.time, steam.quality)
    return {"load": load, **inputs}


def _by_steam(boiler: Boiler) -> bool:
    return bool(boiler.full_steam) and "steam_flow" in boiler.roles and "load" not in boiler.roles


def _without_load(boiler: Boiler, inputs: Mapping[str, Sample]) -> Iterator[Finding]:
    if _by_steam(boiler) and "load" not in inputs:
        yield Finding(
            "load", "load", Quality.UNCERTAIN_SUB_NORMAL,
            "load not known, as the steam flow is not: casing as at full load",
        )  # fmt: skip


def without_oxygen(inputs: Mapping[str, Sample]) -> Iterator[Finding]:
    """A zero of the oxygen analyser, which is sound to look at and hardly ever true."""
    oxygen = inputs.get("oxygen")
    if oxygen is not None and isinstance(oxygen.value, int | float) and oxygen.value <= NO_OXYGEN:
        yield Finding(
            "no oxygen", "oxygen", Quality.UNCERTAIN_SENSOR_NOT_ACCURATE,
            "oxygen is zero: the analyser is dead, or the burner short of air",
        )  # fmt: skip


def _condensing(balance: HeatBalance, atmosphere: float) -> Iterator[Finding]:
    water = balance.flue.h2o / balance.flue.wet
    if not water > 0:
        return
    dew_point = water_dew_point(water, pressure=atmosphere)
    if balance.conditions.stack_temperature < dew_point + _COLDER_WALLS:
        yield Finding(
            "condensing", "stack_temperature", Quality.UNCERTAIN_SUB_NORMAL,
            f"stack near or below the dew point of its water, {dew_point:.0f} degC: the heat of "
            "what condenses is not counted",
        )  # fmt: skip


def _inspect_one(role: str, sample: Sample | None, now: int, max_age: float) -> Iterator[Finding]:
    said = said_of(role)
    if sample is None:
        waiting = Quality.BAD_WAITING_FOR_INITIAL_DATA
        yield Finding("missing", role, waiting, f"{said} not received yet")
        return
    if not is_good(sample.quality):
        reason = f"{said} is {severity(sample.quality)} ({quality_name(sample.quality)})"
        yield Finding("quality", role, sample.quality, reason)
    if is_bad(sample.quality):
        return
    if sample.value is None:
        yield Finding("missing", role, Quality.BAD_NO_DATA, f"{said} has no value")
    elif isinstance(sample.value, bool | str):
        reason = f"{said} is not a number: {sample.value!r:.20}"
        yield Finding("type", role, Quality.BAD_TYPE_MISMATCH, reason)
    age = (now - sample.time) / _NANOSECONDS
    if age > max_age:
        reason = f"{said} stale {_duration(age)}"
        yield Finding("stale", role, Quality.UNCERTAIN_LAST_USABLE_VALUE, reason)


def conditions_of(boiler: Boiler, inputs: Mapping[str, Sample]) -> Conditions:
    """The state of the gas side that sound inputs show."""
    measured = {
        role: float(sample.value)
        for role, sample in inputs.items()
        if role in ROLE_UNITS and isinstance(sample.value, int | float)
    }
    if "carbon_monoxide" in measured:
        measured["carbon_monoxide"] = without_drift(measured["carbon_monoxide"])
    return Conditions(
        basis=boiler.basis,
        surface_loss=boiler.surface_loss,
        residues=boiler.residues,
        **measured,
    )


def _values(balance: HeatBalance, limits: tuple[float, float]) -> list[float]:
    """The numbers in the order of `RESULTS`."""
    return [
        balance.efficiency_hhv,
        *limits,
        balance.efficiency_lhv,
        100 * balance.flue.excess_air,
        balance.loss_dry_gas,
        balance.loss_hydrogen,
        balance.loss_fuel_moisture + balance.loss_air_moisture,
        balance.loss_co,
        balance.loss_surface,
        balance.credit_air,
        balance.flue.oxygen_dry,
    ]


def note_of(findings: Iterable[Finding], quality: int) -> str:
    """The reasons as grave as the result, in one sentence."""
    grave = [f.reason for f in findings if severity(f.quality) == severity(quality)]
    grave = list(dict.fromkeys(grave))  # one sentence may be about two instruments
    return f"{severity(quality)}: {'; '.join(grave)}" if grave else severity(quality)


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
