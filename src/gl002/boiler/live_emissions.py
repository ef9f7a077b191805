"""NOx and CO as tags: in dry gas at the oxygen of the permit, and per heat of the fuel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from gl002.boiler.efficiency import RANGES, Conditions, check, flue_of, without_drift
from gl002.boiler.emissions import Pollutant, at_reference_oxygen, milligrams, per_heat
from gl002.boiler.findings import Finding, about
from gl002.boiler.live import Boiler, Result, inspect, note_of, tags_of, without_oxygen
from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, is_bad, worst

NOTE: Final = Result("emissions_note", "", "Why the emissions are good, uncertain or bad")

_GAS: Final = ("oxygen", "carbon_monoxide", "humidity")  # what its composition depends on
_ANY: Final = 25.0  # degC; it does not depend on this
_GRAMS: Final = 1000.0
_LEAST: Final = RANGES["carbon_monoxide"].low  # ppm, of a zero that drifts
_MOST: Final = 10_000.0  # ppm, beyond which no analyser of a stack goes


class _Measured(NamedTuple):
    """A pollutant that an analyser shows, in ppm of dry gas, and its two results."""

    role: str
    pollutant: Pollutant
    results: tuple[Result, Result]


_MEASURED: Final = (
    _Measured(
        "nitrogen_oxides", "NOx",
        (
            Result("nox_reference", "mg/Nm3", "NOx as NO2 in dry gas at the reference oxygen"),
            Result("nox_per_heat", "g/GJ (HHV)", "NOx as NO2 per heat of the fuel"),
        ),
    ),
    _Measured(
        "carbon_monoxide", "CO",
        (
            Result("co_reference", "mg/Nm3", "CO in dry gas at the reference oxygen"),
            Result("co_per_heat", "g/GJ (HHV)", "CO per heat of the fuel"),
        ),
    ),
)  # fmt: skip


def _of(boiler: Boiler) -> list[_Measured]:
    return [each for each in _MEASURED if each.role in boiler.roles]


def has_emissions(boiler: Boiler) -> bool:
    """Whether a boiler has a reference oxygen and an analyser of what is referred to it."""
    return boiler.reference_oxygen is not None and bool(_of(boiler))


def emission_tags(boiler: Boiler) -> list[Tag]:
    """The result tags of what its analysers show, for the tag table."""
    return tags_of(boiler.name, [r for each in _of(boiler) for r in each.results], NOTE)


def evaluate_emissions(
    boiler: Boiler, inputs: Mapping[str, Sample], now: int, findings: Iterable[Finding] = ()
) -> list[Sample]:
    """The emissions at one moment; arguments as of `gl002.boiler.live.evaluate`.

    Each pollutant has a quality of its own: an analyser that fails says nothing about the other.
    """
    given = list(findings)
    samples: list[Sample] = []
    wrong: list[Finding] = []
    for each in _of(boiler):
        roles = dict.fromkeys((*_GAS, each.role))
        found = [
            *inspect(roles, ("oxygen", each.role), boiler, inputs, now),
            *without_oxygen(inputs),
            *about(given, boiler.roles & roles.keys()),
        ]
        values: tuple[float | None, ...] = (None,) * len(each.results)
        if not is_bad(worst(finding.quality for finding in found)):
            try:
                values = _values(boiler, inputs, each)
            except DataError as error:
                found.append(Finding("emissions", "oxygen", Quality.BAD_OUT_OF_RANGE, str(error)))
        quality = worst(finding.quality for finding in found)
        samples += _samples(boiler.name, each.results, values, now, quality)
        wrong += found
    note = note_of(wrong, worst(finding.quality for finding in wrong))
    return [*samples, Sample(f"{boiler.name}.{NOTE.name}", note, now)]


def _samples(
    boiler: str, results: Iterable[Result], values: Iterable[float | None], now: int, quality: int
) -> Iterator[Sample]:
    for result, value in zip(results, values, strict=True):
        yield Sample(f"{boiler}.{result.name}", value, now, quality)


def _values(boiler: Boiler, inputs: Mapping[str, Sample], each: _Measured) -> tuple[float, float]:
    """Concentration at the reference oxygen and emission per heat, from the exact flue gas."""
    known = {
        role: float(sample.value)
        for role, sample in inputs.items()
        if role in (*_GAS, each.role) and isinstance(sample.value, int | float)
    }
    shown = known.pop(each.role)
    if not _LEAST <= shown < _MOST:
        raise DataError(f"{each.pollutant} {shown:.4g} ppm is outside 0 to {_MOST:,.0f}")
    shown = max(0.0, shown)
    if "carbon_monoxide" in boiler.roles:
        known["carbon_monoxide"] = without_drift(known.get("carbon_monoxide", shown))
    conditions = Conditions(
        basis=boiler.basis, stack_temperature=_ANY, air_temperature=_ANY,
        residues=boiler.residues, **known,
    )  # fmt: skip
    check(conditions)
    flue, _ = flue_of(boiler.fuel, conditions)
    referred = at_reference_oxygen(
        milligrams(shown, each.pollutant), max(0.0, flue.oxygen_dry),
        reference=boiler.reference_oxygen or 0.0,
    )  # fmt: skip
    return referred, _GRAMS * per_heat(shown, each.pollutant, boiler.fuel, flue)
