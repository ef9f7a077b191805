"""Efficiency as tags: samples of the instruments in, samples of the results out.

The quality of a result is that of its worst input, and a note says in a sentence why. What cannot
be computed is bad and has no value: never a number somebody might believe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gl002.boiler.combustion import OxygenBasis
from gl002.boiler.efficiency import RANGES, Conditions, HeatBalance, indirect
from gl002.boiler.fuels import NATURAL_GAS, Fuel
from gl002.boiler.losses import Residue
from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, is_bad, is_good, quality_name, severity, worst

REQUIRED: Final = ("oxygen", "stack_temperature", "air_temperature")
"""Roles without which there is no efficiency."""

OPTIONAL: Final = ("carbon_monoxide", "humidity", "load")
"""Roles that refine it; `Conditions` holds what is assumed where there is no instrument."""

ROLE_UNITS: Final[Mapping[str, str]] = {role: RANGES[role].unit for role in REQUIRED + OPTIONAL}
"""Unit in which `evaluate` takes each role."""

_DEW_POINT: Final = 60.0  # degC; flue gas of natural gas begins to condense at 50 to 60 degC
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
    """

    name: str
    basis: OxygenBasis
    fuel: Fuel = NATURAL_GAS
    surface_loss: float = 0.5
    residues: tuple[Residue, ...] = ()
    max_age: float = 30.0
    roles: frozenset[str] = frozenset(REQUIRED)


class Result(NamedTuple):
    """A tag that `evaluate` gives: '<boiler>.<name>'."""

    name: str
    unit: str
    description: str


RESULTS: Final = (
    Result("efficiency_hhv", "%", "Efficiency by heat losses, of the higher heating value"),
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
    numbers = [
        Tag(name=f"{boiler}.{name}", unit=unit, description=text, source="boiler", type="float")
        for name, unit, text in RESULTS
    ]
    note = Tag(
        name=f"{boiler}.{NOTE.name}", description=NOTE.description, source="boiler", type="str"
    )
    return [*numbers, note]


def evaluate(boiler: Boiler, inputs: Mapping[str, Sample], now: int) -> list[Sample]:
    """All results of a boiler at one moment.

    Args:
        boiler: what is known about it.
        inputs: role -> the latest sample, in the unit of `ROLE_UNITS`. A role of `boiler.roles`
            that is absent has not been received yet.
        now: ns since 1970, time of the results.

    Returns:
        A sample for each of `RESULTS`, all of the same quality, and the note, always good: 'good',
        'uncertain: stack temperature stale 42 s' or 'bad: oxygen has no value'.
    """
    findings = list(_inspect(boiler, inputs, now))
    quality = worst(finding.quality for finding in findings)
    balance = None
    if not is_bad(quality):
        try:
            balance = indirect(boiler.fuel, _conditions(boiler, inputs))
        except DataError as error:
            findings.append(_Finding(Quality.BAD_OUT_OF_RANGE, str(error)))
            quality = worst(finding.quality for finding in findings)
    values = [None] * len(RESULTS) if balance is None else _values(balance)
    samples = [
        Sample(f"{boiler.name}.{result.name}", value, now, quality)
        for result, value in zip(RESULTS, values, strict=True)
    ]
    return [*samples, Sample(f"{boiler.name}.{NOTE.name}", _note(findings, quality), now)]


class _Finding(NamedTuple):
    quality: int
    reason: str


def _inspect(boiler: Boiler, inputs: Mapping[str, Sample], now: int) -> Iterator[_Finding]:
    """What is wrong with the inputs, apart from their values."""
    for role in REQUIRED + OPTIONAL:
        if role in REQUIRED or role in boiler.roles or role in inputs:
            yield from _inspect_one(role, inputs.get(role), now, boiler.max_age)
    stack = inputs.get("stack_temperature")
    if stack is not None and isinstance(stack.value, int | float) and stack.value < _DEW_POINT:
        yield _Finding(
            Quality.UNCERTAIN_SUB_NORMAL,
            f"stack below {_DEW_POINT:g} degC, where water condenses and its heat is not counted",
        )


def _inspect_one(role: str, sample: Sample | None, now: int, max_age: float) -> Iterator[_Finding]:
    said = role.replace("_", " ")
    if sample is None:
        yield _Finding(Quality.BAD_WAITING_FOR_INITIAL_DATA, f"{said} not received yet")
        return
    if not is_good(sample.quality):
        reason = f"{said} is {severity(sample.quality)} ({quality_name(sample.quality)})"
        yield _Finding(sample.quality, reason)
    if is_bad(sample.quality):
        return
    if sample.value is None:
        yield _Finding(Quality.BAD_NO_DATA, f"{said} has no value")
    elif isinstance(sample.value, bool | str):
        yield _Finding(Quality.BAD_TYPE_MISMATCH, f"{said} is not a number: {sample.value!r:.20}")
    age = (now - sample.time) / _NANOSECONDS
    if age > max_age:
        yield _Finding(Quality.UNCERTAIN_LAST_USABLE_VALUE, f"{said} stale {_duration(age)}")


def _conditions(boiler: Boiler, inputs: Mapping[str, Sample]) -> Conditions:
    measured = {
        role: float(sample.value)
        for role, sample in inputs.items()
        if role in ROLE_UNITS and isinstance(sample.value, int | float)
    }
    return Conditions(
        basis=boiler.basis,
        surface_loss=boiler.surface_loss,
        residues=boiler.residues,
        **measured,
    )


def _values(balance: HeatBalance) -> list[float]:
    """The numbers in the order of `RESULTS`."""
    return [
        balance.efficiency_hhv,
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


def _note(findings: list[_Finding], quality: int) -> str:
    """The reasons as grave as the result, in one sentence."""
    grave = [f.reason for f in findings if severity(f.quality) == severity(quality)]
    return f"{severity(quality)}: {'; '.join(grave)}" if grave else severity(quality)


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
